//! The account that signs.

use tensorseal_verifier_contract::chain::Account;

use super::target::chain_error;
use crate::{CliError, Result, args, pipeline};

/// The variable that holds the sender's private key.
pub(super) const PRIVATE_KEY_VARIABLE: &str = "TENSORSEAL_PRIVATE_KEY";
/// The variable that holds the keystore's password.
const PASSWORD_VARIABLE: &str = "TENSORSEAL_KEYSTORE_PASSWORD";

/// The account that the flags or the environment name, if any.
pub(super) fn account(flags: &args::Chain) -> Result<Option<Account>> {
    let account = if let Some(path) = &flags.keystore {
        let password = match &flags.password_file {
            Some(file) => String::from_utf8(pipeline::read_file(file)?)
                .map_err(|why| CliError::input(file.display(), why))?
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
            None => std::env::var(PASSWORD_VARIABLE).map_err(|_| {
                CliError::Input(format!(
                    "--keystore needs a password: set {PASSWORD_VARIABLE}, or pass --password-file"
                ))
            })?,
        };
        Account::from_keystore(path, &password)
    } else if let Some(path) = &flags.private_key_file {
        Account::from_file(path)
    } else if std::env::var_os(PRIVATE_KEY_VARIABLE).is_some() {
        Account::from_env(PRIVATE_KEY_VARIABLE)
    } else {
        return Ok(None);
    };
    account.map(Some).map_err(chain_error)
}
