// Written by TENSORSEAL_REGENERATE=1 cargo test -p tensorseal-verifier-contract; do not edit.

/// Profile, source, artifact.
const EMBEDDED: &[(&str, &str, &str)] = &[
    (
        "w4f8b1t2x8",
        include_str!("../contracts/profiles/w4f8b1t2x8.sol"),
        include_str!("../contracts/profiles/w4f8b1t2x8.json"),
    ),
    (
        "w8f32b1t2x8",
        include_str!("../contracts/profiles/w8f32b1t2x8.sol"),
        include_str!("../contracts/profiles/w8f32b1t2x8.json"),
    ),
    (
        "w4f16b2t1",
        include_str!("../contracts/profiles/w4f16b2t1.sol"),
        include_str!("../contracts/profiles/w4f16b2t1.json"),
    ),
    (
        "w4f32b2t2",
        include_str!("../contracts/profiles/w4f32b2t2.sol"),
        include_str!("../contracts/profiles/w4f32b2t2.json"),
    ),
    (
        "w8f32b2t2",
        include_str!("../contracts/profiles/w8f32b2t2.sol"),
        include_str!("../contracts/profiles/w8f32b2t2.json"),
    ),
    (
        "w8f64b2t2",
        include_str!("../contracts/profiles/w8f64b2t2.sol"),
        include_str!("../contracts/profiles/w8f64b2t2.json"),
    ),
    (
        "w4f128b2t2",
        include_str!("../contracts/profiles/w4f128b2t2.sol"),
        include_str!("../contracts/profiles/w4f128b2t2.json"),
    ),
];
