// Written by TENSORSEAL_REGENERATE=1 cargo test -p tensorseal-verifier-contract; do not edit.

/// Profile, source, artifact.
const EMBEDDED: &[(&str, &str, &str)] = &[
    (
        "w2f8b1t1",
        include_str!("../contracts/profiles/w2f8b1t1.sol"),
        include_str!("../contracts/profiles/w2f8b1t1.json"),
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
    (
        "w2f8b1t1h",
        include_str!("../contracts/profiles/w2f8b1t1h.sol"),
        include_str!("../contracts/profiles/w2f8b1t1h.json"),
    ),
    (
        "w4f32b2t2h",
        include_str!("../contracts/profiles/w4f32b2t2h.sol"),
        include_str!("../contracts/profiles/w4f32b2t2h.json"),
    ),
];
