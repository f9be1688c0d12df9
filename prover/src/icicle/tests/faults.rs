//! What goes wrong with libraries, devices and calls.

use super::{
    Imitation, compile, install,
    proofs::{proof, setup},
};
use crate::{
    ProveError,
    fast::Prover,
    gpu::{GpuError, IcicleCode},
    icicle::Opened,
};

const CALLS: [&str; 8] = [
    "icicle_set_device",
    "icicle_get_available_memory",
    "icicle_malloc",
    "icicle_copy_to_host",
    "icicle_copy_to_device",
    "bn254_ntt_init_domain",
    "bn254_ntt",
    "bn254_vector_mul",
];

/// Whether an error is what a call that returned a code must give.
fn told(why: &ProveError, code: i32) -> bool {
    match why {
        ProveError::Gpu(GpuError::Icicle { code: named, .. }) => {
            Some(*named) == IcicleCode::new(code)
        }
        ProveError::Gpu(GpuError::OutOfMemory { .. }) => matches!(code, 2 | 4),
        _ => false,
    }
}

#[test]
fn every_code_of_every_function_is_told() {
    let (srs, pk, toy) = setup(5, 1);
    let imitation = Imitation::new();
    let device = imitation.open();
    let attempt = || proof(&Prover::prepare_icicle(&srs, &pk, 0, &device)?, &toy);
    for function in CALLS.into_iter().chain(["bn254_msm"]) {
        for code in (1..=14).chain([-1]) {
            // The domain is made once: a device of its own for what makes it.
            let own = (function == "bn254_ntt_init_domain").then(Imitation::new);
            let refused = match &own {
                None => {
                    imitation.fail_function(function, code);
                    attempt()
                }
                Some(own) => {
                    let device = own.open();
                    own.fail_function(function, code);
                    Prover::prepare_icicle(&srs, &pk, 0, &device).map(|_| vec![])
                }
            };
            if (function, code) == ("icicle_get_available_memory", 10) {
                // The one that ICICLE's own backend does not have: nothing is known then.
                refused.unwrap();
                continue;
            }
            let why = refused.unwrap_err();
            assert!(told(&why, code), "{function}, {code}: {why}");
            if let ProveError::Gpu(GpuError::Icicle { call, .. }) = why {
                assert_eq!(call, function);
            }
            assert_eq!(imitation.count("allocated"), 0, "{function}, {code}");
        }
    }
    imitation.fail_function("", 0);
    attempt().unwrap();
}

#[test]
fn every_call_may_fail() {
    let (srs, pk, toy) = setup(5, 1);
    let imitation = Imitation::new();
    let device = imitation.open();
    let attempt = || proof(&Prover::prepare_icicle(&srs, &pk, 1 << 14, &device)?, &toy);
    imitation.fail(None, 0);
    attempt().unwrap();
    let calls = imitation.count("called");
    assert!(calls > 50, "{calls}");
    for after in 0..calls {
        let code = 1 + (after % 13) as i32;
        imitation.fail(Some(after), code);
        match attempt() {
            // How much memory is free need not be known.
            Ok(_) => {}
            Err(why) => assert!(told(&why, code), "call {after}, {code}: {why}"),
        }
        assert_eq!(imitation.count("allocated"), 0, "call {after}");
    }
    imitation.fail(None, 0);
    attempt().unwrap();
}

#[test]
fn a_domain_that_could_not_grow_is_made_again() {
    let (srs, pk, toy) = setup(5, 1);
    let (larger_srs, larger, _) = setup(7, 1);
    let imitation = Imitation::new();
    let device = imitation.open();
    let prover = Prover::prepare_icicle(&srs, &pk, 0, &device).unwrap();
    let expected = proof(&prover, &toy).unwrap();
    for function in ["bn254_ntt_release_domain", "bn254_ntt_init_domain"] {
        imitation.fail_function(function, 2);
        let refused = Prover::prepare_icicle(&larger_srs, &larger, 0, &device).unwrap_err();
        assert!(told(&refused, 2), "{refused}");
        imitation.fail_function("", 0);
        assert_eq!(proof(&prover, &toy).unwrap(), expected);
    }
    Prover::prepare_icicle(&larger_srs, &larger, 0, &device).unwrap();
    assert_eq!(imitation.count("domain") as i32, 7);
    assert_eq!(proof(&prover, &toy).unwrap(), expected);
}

#[test]
fn the_processor_is_used_only_on_request() {
    let imitation = Imitation::new();
    let open = |kind| Opened::new(Some(imitation.folder()), kind);
    assert_eq!(open(None).unwrap().name(), "ICICLE CUDA");
    assert_eq!(open(Some("CPU")).unwrap().name(), "ICICLE CPU");
    assert_eq!(open(Some("CPU")).unwrap().memory(), Ok(None));
    let refused = |kind| match open(kind).unwrap_err() {
        GpuError::NoIcicleDevice { why } => why,
        other => panic!("{other}"),
    };
    assert!(
        refused(Some(
            "CUDA:0, or any other text that is too long for the type of a device"
        ))
        .contains("CUDA:0")
    );

    imitation.devices("CPU,CUDA,VULKAN", "CPU,VULKAN");
    assert_eq!(open(None).unwrap().name(), "ICICLE VULKAN");
    imitation.devices("CPU,CUDA,VULKAN", "CPU");
    let why = refused(None);
    for told in [
        "CUDA: invalid device",
        "METAL: no backend for it is loaded",
        "VULKAN: invalid device",
    ] {
        assert!(why.contains(told), "{why}");
    }
    imitation.devices("CPU", "CPU");
    assert!(refused(None).contains("CUDA: no backend"));
}

#[test]
fn libraries_that_lack_something_are_named() {
    let whole = Imitation::new();
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("empty.cpp"), "").unwrap();
    compile(empty.path(), "empty.cpp", &[]);
    let (whole, hollow) = (whole.folder().join("library"), empty.path().join("library"));
    for (absent, function) in [
        ("icicle_device", "icicle_load_backend_from_env_or_default"),
        ("icicle_field_bn254", "bn254_ntt_init_domain"),
        ("icicle_curve_bn254", "bn254_msm"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let others = super::NAMES.into_iter().filter(|name| *name != absent);
        others.for_each(|name| install(&whole, folder.path(), name));
        let open = || Opened::new(Some(folder.path()), None).unwrap_err();
        let GpuError::IcicleLibrary { library, why } = open() else {
            panic!("{absent}");
        };
        assert!(library == absent && why.contains(absent), "{why}");
        install(&hollow, folder.path(), absent);
        let expected = GpuError::IcicleFunction {
            library: absent,
            function,
        };
        assert_eq!(open(), expected);
    }
    // Without any, and not somewhere else either.
    let nowhere = Opened::new(Some(empty.path()), None).unwrap_err();
    assert!(nowhere.to_string().contains("ICICLE_LIB_DIR"), "{nowhere}");
}

#[test]
fn a_backend_that_does_not_load_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let functions = [
        &CALLS[..],
        &[
            "icicle_is_device_available",
            "icicle_free",
            "bn254_ntt_release_domain",
            "bn254_msm",
        ],
    ]
    .concat();
    let mut text =
        "extern \"C\" int icicle_load_backend_from_env_or_default() { return 13; }\n".to_owned();
    for function in functions {
        text += &format!("extern \"C\" int {function}() {{ return 14; }}\n");
    }
    std::fs::write(folder.path().join("refusing.cpp"), text).unwrap();
    compile(folder.path(), "refusing.cpp", &[]);
    let library = folder.path().join("library");
    super::NAMES
        .iter()
        .for_each(|name| install(&library, folder.path(), name));
    let expected = GpuError::Icicle {
        device: "ICICLE".into(),
        call: "icicle_load_backend_from_env_or_default",
        code: IcicleCode::License,
    };
    assert_eq!(
        Opened::new(Some(folder.path()), None).unwrap_err(),
        expected
    );
}
