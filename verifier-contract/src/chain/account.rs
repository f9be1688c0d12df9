//! Accounts that sign, and addresses as text.

use std::{fmt, path::Path};

use alloy::{
    network::EthereumWallet,
    primitives::Address,
    signers::local::{LocalSigner, PrivateKeySigner},
};

use super::{ChainError, keystore};

/// An account that signs transactions. Its key comes from an environment variable, a file or a keystore, never
/// from an argument, and `Debug` does not show it.
#[derive(Clone)]
pub struct Account(PrivateKeySigner);

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.0.address()).finish()
    }
}

impl Account {
    /// The account whose key an environment variable holds, in hex.
    ///
    /// # Errors
    /// [`ChainError::AccountVariable`] where it is missing or no key.
    pub fn from_env(name: &str) -> Result<Self, ChainError> {
        let refused = || ChainError::AccountVariable {
            name: name.to_owned(),
        };
        let text = std::env::var(name).map_err(|_| refused())?;
        // The parser's error could repeat the key.
        text.trim().parse().map(Self).map_err(|_| refused())
    }

    /// The account whose key a file holds, in hex.
    ///
    /// # Errors
    /// [`ChainError::AccountFile`] where it cannot be read or is no key.
    pub fn from_file(path: &Path) -> Result<Self, ChainError> {
        let refused = |reason: String| ChainError::AccountFile {
            path: path.to_owned(),
            reason,
        };
        let text = keystore::read_short(path).map_err(|e| refused(e.to_string()))?;
        let key = text.trim().parse();
        key.map(Self)
            .map_err(|_| refused("no 64 hex digits".to_owned()))
    }

    /// The account in an encrypted keystore (Web3 secret storage version 3, as geth and Foundry write it). Deriving its key
    /// may take 512 MiB, and some ten times as long as geth's standard parameters do.
    ///
    /// # Errors
    /// [`ChainError::Keystore`] where it cannot be read, asks for more than that, or the password is another.
    pub fn from_keystore(path: &Path, password: &str) -> Result<Self, ChainError> {
        let refused = |reason: String| ChainError::Keystore {
            path: path.to_owned(),
            reason,
        };
        let text = keystore::read_short(path).map_err(|e| refused(e.to_string()))?;
        keystore::check(&text).map_err(refused)?;
        LocalSigner::decrypt_keystore(path, password)
            .map(Self)
            .map_err(|e| refused(e.to_string()))
    }

    /// The account's address.
    #[must_use]
    pub fn address(&self) -> [u8; 20] {
        self.0.address().into_array()
    }

    pub(super) fn wallet(&self) -> EthereumWallet {
        EthereumWallet::from(self.0.clone())
    }
}

/// Reads an address written as `0x` and 40 hex digits.
///
/// # Errors
/// [`ChainError::Address`] for anything else.
pub fn parse_address(text: &str) -> Result<[u8; 20], ChainError> {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    let mut address = [0; 20];
    hex::decode_to_slice(digits, &mut address).map_err(|_| ChainError::Address {
        text: text.to_owned(),
    })?;
    Ok(address)
}

/// Writes an address as `0x` and 40 hex digits, with the checksum of EIP-55.
#[must_use]
pub fn format_address(address: [u8; 20]) -> String {
    Address::from(address).to_checksum(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        let text = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
        assert_eq!(format_address(parse_address(text).unwrap()), text);
        for wrong in ["", "0x", "5FbDB2315678afecb367f032d93F642f64180aa3", "0x5F"] {
            assert!(parse_address(wrong).is_err());
        }
    }

    #[test]
    fn keystores_open_with_their_password_only() {
        let folder = tempfile::tempdir().unwrap();
        // Made by `cast wallet import` from the first key of anvil's published mnemonic; the password is "seal".
        let path = folder.path().join("keystore");
        std::fs::write(&path, include_str!("../../tests/fixtures/keystore.json")).unwrap();
        let account = Account::from_keystore(&path, "seal").unwrap();
        assert_eq!(
            format_address(account.address()),
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
        );
        // What the library would panic on, abort on or work on for hours; all with the same ending.
        let text = include_str!("../../tests/fixtures/keystore.json");
        let hostile = [
            (r#""dklen":32"#, r#""dklen":1"#),
            (r#""dklen":32"#, r#""dklen":0"#),
            (r#""dklen":32"#, r#""dklen":255"#),
            ("07b5163e159e17cef2bd88abfb6a583a", "07b5"),
            ("07b5163e159e17cef2bd88abfb6a583a", ""),
            ("07b5163e159e17cef2bd88abfb6a583a", "zz"),
            (r#""n":8192"#, r#""n":1073741824"#),
            (r#""n":8192"#, r#""n":4294967295"#),
            (r#""n":8192"#, r#""n":0"#),
            (r#""n":8192"#, r#""n":1"#),
            (r#""r":8"#, r#""r":4294967295"#),
            (r#""r":8"#, r#""r":0"#),
            (r#""p":1"#, r#""p":1000000"#),
            (r#""p":1"#, r#""p":0"#),
            (r#""p":1"#, r#""p":1,"c":4294967295,"prf":"hmac-sha256""#),
            (
                r#""n":8192,"p":1,"r":8"#,
                r#""c":4294967295,"prf":"hmac-sha256""#,
            ),
            ("aes-128-ctr", "aes-128-cbc"),
            ("\"scrypt\"", "\"pbkdf2\""),
            ("\"version\":3", "\"version\":1"),
        ];
        for (from, to) in hostile {
            assert!(text.contains(from), "{from}");
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let refused = Account::from_keystore(&path, "seal").unwrap_err();
            let reason = refused.to_string();
            assert!(matches!(refused, ChainError::Keystore { .. }), "{reason}");
            assert!(
                !reason.contains("Mac"),
                "not refused before it is opened: {to}"
            );
        }
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("none"), "{}").unwrap();
        std::fs::write(folder.path().join("long"), vec![b' '; 1 << 20]).unwrap();
        for (file, password) in [
            ("keystore", "other"),
            ("none", "seal"),
            ("long", "seal"),
            ("missing", "seal"),
            ("/dev/zero", "seal"),
        ] {
            let refused = Account::from_keystore(&folder.path().join(file), password).unwrap_err();
            assert!(matches!(refused, ChainError::Keystore { .. }), "{refused}");
        }
        let endless = Account::from_file(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(endless, ChainError::AccountFile { .. }));
    }
}
