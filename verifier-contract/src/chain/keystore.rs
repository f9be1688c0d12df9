//! Keystores, checked before they are opened: the library that does it relies on lengths and costs in the file, and panics,
//! aborts or works for hours where they are wrong.

use std::{
    fs::File,
    io::{Error, Read},
    path::Path,
};

use serde::Deserialize;

/// The longest file that can be a key, in bytes; a keystore has some 500.
const MAX_FILE: u64 = 1 << 16;
/// Memory that deriving the key may take, in bytes: twice what geth's standard (n = 2^18, r = 8) takes.
const MAX_MEMORY: u64 = 1 << 29;
/// Block operations that scrypt may do, `n·r·p`: eight times those of geth's standard.
const MAX_SCRYPT: u64 = 1 << 24;
/// Rounds that PBKDF2 may do: some forty times the standard's 262,144.
const MAX_ROUNDS: u64 = 10_000_000;

#[derive(Deserialize)]
struct Keystore {
    version: u64,
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParameters,
    kdf: String,
    kdfparams: KdfParameters,
}

#[derive(Deserialize)]
struct CipherParameters {
    iv: String,
}

/// Those of scrypt (`n`, `r`, `p`) and those of PBKDF2 (`c`), as far as they decide what deriving the key costs.
#[derive(Deserialize)]
struct KdfParameters {
    dklen: u64,
    n: Option<u64>,
    r: Option<u64>,
    p: Option<u64>,
    c: Option<u64>,
}

/// Reads a short text file. One that is longer than any key, or no file at all, is not read to its end.
pub(super) fn read_short(path: &Path) -> Result<String, Error> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::other("it is no regular file"));
    }
    let mut text = String::new();
    if file.take(MAX_FILE + 1).read_to_string(&mut text)? as u64 > MAX_FILE {
        return Err(Error::other(format!("it is longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// Refuses a keystore whose key cannot be derived, or at what cost it should not be; says why.
pub(super) fn check(text: &str) -> Result<(), String> {
    let keystore: Keystore = serde_json::from_str(text).map_err(|why| why.to_string())?;
    let Crypto {
        cipher,
        cipherparams,
        kdf,
        kdfparams,
    } = keystore.crypto;
    if keystore.version != 3 {
        return Err(format!("version {}, not 3", keystore.version));
    }
    if cipher != "aes-128-ctr" {
        return Err(format!("cipher {cipher}, not aes-128-ctr"));
    }
    if hex::decode(&cipherparams.iv).map_or(0, |iv| iv.len()) != 16 {
        return Err("the iv is not 16 bytes of hex".to_owned());
    }
    if kdfparams.dklen != 32 {
        return Err(format!("a dklen of {}, not 32", kdfparams.dklen));
    }
    // The library goes by the parameters that are there, so those of the other function must be missing.
    match (kdf.as_str(), &kdfparams) {
        (
            "scrypt",
            &KdfParameters {
                n: Some(n),
                r: Some(r),
                p: Some(p),
                c: None,
                ..
            },
        ) => check_scrypt(n, r, p),
        (
            "pbkdf2",
            &KdfParameters {
                c: Some(c),
                n: None,
                ..
            },
        ) => match c {
            1..=MAX_ROUNDS => Ok(()),
            _ => Err(format!("{c} rounds of pbkdf2, not 1 to {MAX_ROUNDS}")),
        },
        _ => Err(format!("kdf {kdf} with parameters that are not its own")),
    }
}

fn check_scrypt(n: u64, r: u64, p: u64) -> Result<(), String> {
    let fits = |product: Option<u64>, limit: u64| product.is_some_and(|v| (1..=limit).contains(&v));
    let blocks = n.checked_mul(r);
    let memory = blocks.and_then(|blocks| blocks.checked_mul(128));
    if !n.is_power_of_two() || n < 2 {
        return Err(format!("scrypt with n = {n}, no power of 2"));
    }
    if !fits(memory, MAX_MEMORY) || !fits(blocks.and_then(|b| b.checked_mul(p)), MAX_SCRYPT) {
        return Err(format!(
            "scrypt with n = {n}, r = {r}, p = {p}: 128·n·r may be {MAX_MEMORY} at most, and n·r·p {MAX_SCRYPT}"
        ));
    }
    Ok(())
}
