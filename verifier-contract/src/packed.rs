//! Public values in fewer bytes of calldata.
//!
//! A word of the verifier's calldata costs 16 gas for each byte that is not zero, and 4 for each that is (EIP-2028; at the floor of
//! EIP-7623 40 and 10): 140 gas or so for a small integer, but 512 for a negative one, which is the group order less a little. Consumers can
//! take integers of the width that they need instead and unpack them with `PublicValues.unpack`.

/// Public values as signed integers, big-endian two's complement, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Bytes of a value, 1 to 31.
    pub width: usize,
    /// The values.
    pub bytes: Vec<u8>,
}

/// Half of the group order of BN254, rounded down: words above it stand for negative integers.
const HALF: [u8; 32] = [
    0x18, 0x32, 0x27, 0x39, 0x70, 0x98, 0xd0, 0x14, 0xdc, 0x28, 0x22, 0xdb, 0x40, 0xc0, 0xac, 0x2e,
    0x94, 0x19, 0xf4, 0x24, 0x3c, 0xdc, 0xb8, 0x48, 0xa1, 0xf0, 0xfa, 0xc9, 0xf8, 0x00, 0x00, 0x00,
];

/// Packs the words of public values, each below the group order, in the least width that holds them all; none where one
/// needs more than 31 bytes, as digests do.
#[must_use]
pub fn pack(words: &[[u8; 32]]) -> Option<Packed> {
    let integers: Vec<[u8; 32]> = words.iter().map(signed).collect();
    let width = integers.iter().map(width_of).max().unwrap_or(1);
    if width > 31 {
        return None;
    }
    let bytes = integers
        .iter()
        .flat_map(|integer| &integer[32 - width..])
        .copied()
        .collect();
    Some(Packed { width, bytes })
}

/// The integer nearest 0 that a word stands for, in two's complement.
fn signed(word: &[u8; 32]) -> [u8; 32] {
    if *word <= HALF {
        return *word;
    }
    // word - r = word - 2·HALF - 1
    let mut out = [0; 32];
    let mut borrow = 1i32;
    for i in (0..32).rev() {
        let double = 2 * i32::from(HALF[i]) + borrow;
        let difference = i32::from(word[i]) - double;
        out[i] = difference.rem_euclid(256) as u8;
        borrow = -difference.div_euclid(256);
    }
    out
}

/// Bytes that hold an integer with its sign.
fn width_of(integer: &[u8; 32]) -> usize {
    let fill = if integer[0] & 0x80 == 0 { 0 } else { 0xff };
    let skipped = integer.iter().take_while(|&&b| b == fill).count();
    // The sign bit must be there.
    match integer.get(skipped) {
        Some(byte) if (byte ^ fill) & 0x80 == 0 => 32 - skipped,
        _ => 33 - skipped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::scalar_bytes;
    use ff::Field;
    use halo2_proofs::halo2curves::bn256::Fr;

    fn word(value: i64) -> [u8; 32] {
        let magnitude = Fr::from(value.unsigned_abs());
        scalar_bytes(&if value < 0 { -magnitude } else { magnitude })
    }

    #[test]
    fn the_least_width_is_taken() {
        for (values, width) in [
            (vec![], 1),
            (vec![0, 127, -128], 1),
            (vec![128], 2),
            (vec![-129], 2),
            (vec![32_767, -32_768], 2),
            (vec![8_388_608], 4),
            (vec![i64::MAX, i64::MIN], 8),
        ] {
            let words: Vec<[u8; 32]> = values.iter().map(|&v| word(v)).collect();
            let packed = pack(&words).unwrap();
            assert_eq!(packed.width, width, "{values:?}");
            let read = |bytes: &[u8]| {
                let fill = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
                let mut long = [fill; 8];
                long[8 - width..].copy_from_slice(bytes);
                i64::from_be_bytes(long)
            };
            let back: Vec<i64> = packed.bytes.chunks(width).map(read).collect();
            assert_eq!(back, values);
        }
    }

    #[test]
    fn wide_words_are_not_packed() {
        let digest = scalar_bytes(&(Fr::ONE + Fr::ONE).invert().unwrap());
        assert_eq!(pack(&[word(1), digest]), None);
    }
}
