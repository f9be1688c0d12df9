//! Deterministic addresses: contracts created by the well-known deployment proxy with `CREATE2`.
//!
//! The proxy (<https://github.com/Arachnid/deterministic-deployment-proxy>) stands at one address on most chains and in
//! anvil. It creates a contract from `salt ++ creation code`, at an address that depends on these two alone. So a verifier,
//! a key or a registry has one address everywhere, whoever deploys it, and is deployed once.

use sha3::{Digest, Keccak256};

/// Address of the deployment proxy.
pub const PROXY: [u8; 20] = [
    0x4e, 0x59, 0xb4, 0x48, 0x47, 0xb3, 0x79, 0x57, 0x85, 0x88, 0x92, 0x0c, 0xa7, 0x8f, 0xbf, 0x26,
    0xc0, 0xb4, 0x95, 0x6c,
];

/// All contracts are created with this salt: the code is what tells them apart.
const SALT: [u8; 32] = [0; 32];

/// Where the proxy creates a contract.
#[must_use]
pub fn address(initcode: &[u8]) -> [u8; 20] {
    let hash = Keccak256::new()
        .chain_update([0xff])
        .chain_update(PROXY)
        .chain_update(SALT)
        .chain_update(Keccak256::digest(initcode))
        .finalize();
    hash[12..].try_into().expect("a hash has 32 bytes")
}

/// Calldata for the proxy that creates the contract.
#[must_use]
pub fn calldata(initcode: &[u8]) -> Vec<u8> {
    [&SALT[..], initcode].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_create2() {
        // `cast create2 --init-code 0x00` with the proxy as deployer and a zero salt.
        assert_eq!(
            hex::encode(address(&[0])),
            "24c4fd2db1cf4cb1aec651cc0e060a00d400e784"
        );
    }
}
