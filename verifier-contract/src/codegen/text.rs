//! Building blocks of the contract's text: lines, names, field operations, reverts.

use sha3::{Digest, Keccak256};

use super::{dag::eval_name, layout::VerifierLayout};

/// The contract's errors, as Solidity declares them.
pub const ERRORS: [&str; 8] = [
    "BadKey(address)",
    "BadInstanceCount(uint256,uint256)",
    "BadProofLength(uint256,uint256)",
    "BadCalldata(uint256,uint256)",
    "ScalarNotCanonical(uint256)",
    "PointNotOnCurve(uint256)",
    "PrecompileFailed(uint256)",
    "PairingFailed()",
];

/// Text in the making.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn of(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Appends as is.
    pub(super) fn add(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
    }

    /// Appends a line.
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.add(line);
        self.0.push('\n');
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Yul that reverts with an error and its one-word arguments.
pub(super) fn revert(name: &str, arguments: &[&str]) -> String {
    let mut text = Text::of(format!("mstore(0x00, {}) // {name}\n", selector(name)));
    for (i, argument) in arguments.iter().enumerate() {
        text.line(format!("mstore({:#04x}, {argument})", 0x20 * (i + 1)));
    }
    // Two arguments reach into the free memory pointer, which nothing reads after a revert.
    text.add(format!("revert(0x1c, {:#04x})", 4 + 0x20 * arguments.len()));
    text.into_string()
}

/// First four bytes of the hash of an error's signature, as a literal.
pub(super) fn selector(name: &str) -> String {
    let signature = ERRORS
        .iter()
        .find(|e| e.starts_with(&format!("{name}(")))
        .expect("the contract declares the errors it reverts with");
    format!("0x{}", hex::encode(&Keccak256::digest(signature)[..4]))
}

pub(super) fn mul(a: &str, b: &str) -> String {
    match (a, b) {
        ("1", other) | (other, "1") => other.to_owned(),
        _ => format!("mulmod({a}, {b}, r)"),
    }
}

pub(super) fn load(name: &str) -> String {
    format!("mload({name})")
}

/// Suffix of names that stand for a rotation.
pub(super) fn suffix(rotation: i32) -> String {
    eval_name('0', 0, rotation)[2..].to_owned()
}

/// Name of the point `x ω^rotation`.
pub(super) fn point(rotation: i32) -> String {
    format!("X{}", suffix(rotation))
}

/// Name of the weight of a set's point in its interpolation.
pub(super) fn interpolation_weight(set: usize, point: usize) -> String {
    format!("KEY_WEIGHT_{set}_{point}")
}

/// Name of `u - x ω^rotation`.
pub(super) fn difference(rotation: i32) -> String {
    format!("U_MINUS_X{}", suffix(rotation))
}

pub(super) fn instance_denominator(rotation: i32) -> String {
    format!("INSTANCE_DENOMINATOR{}", suffix(rotation))
}

pub(super) fn instance_rotations(layout: &VerifierLayout) -> Vec<i32> {
    let mut rotations: Vec<i32> = layout.instance_queries.iter().map(|q| q.1).collect();
    rotations.sort_unstable();
    rotations.dedup();
    rotations
}
