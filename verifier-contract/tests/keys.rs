//! Keys as data contracts.

use std::{path::PathBuf, sync::LazyLock};

use halo2_proofs::{halo2curves::bn256::Fr, plonk::ConstraintSystem, poly::Rotation};
use proptest::{collection::vec, prelude::*, sample::Index};
use tensorseal_verifier_contract::{
    chain::{Account, ChainError},
    codegen::{CodegenError, KEY_MAGIC, VerifierLayout, generate},
    key::{KeyData, KeyError, MAX_CODE_BYTES},
};

use crate::{case::Case, circuits::SHAPES};

#[test]
fn keys_round_trip() {
    for shape in SHAPES {
        let case = Case::shape(shape);
        let code = case.key.to_code();
        assert_eq!(code.len(), case.layout.key_bytes());
        assert_eq!(code[1..5], KEY_MAGIC);
        assert_eq!(KeyData::parse(&case.layout, &code).unwrap(), case.key);
        assert_eq!(case.registered.code_bytes, code.len());
    }
}

#[test]
fn parsing_refuses_what_is_wrong() {
    let case = Case::shape(SHAPES[1]);
    let code = case.key.to_code();
    let parse = |code: &[u8]| KeyData::parse(&case.layout, code).unwrap_err();
    let with = |at: usize, byte: u8| {
        let mut code = code.clone();
        code[at] = byte;
        parse(&code)
    };
    // Words start after the STOP byte.
    let flipped = |word: usize| with(32 + 32 * word, code[32 + 32 * word] ^ 1);
    let high = |word: usize| with(1 + 32 * word, 0xff);
    assert!(matches!(with(0, 1), KeyError::NotData { found: 1 }));
    assert!(matches!(flipped(0), KeyError::Profile { .. }));
    assert!(matches!(high(0), KeyError::Profile { .. }));
    assert!(matches!(high(1), KeyError::Word { word: 1, .. }));
    assert!(matches!(with(64, 29), KeyError::K { k: 29, .. }));
    assert!(matches!(with(64, 0), KeyError::K { k: 0, .. }));
    assert!(matches!(flipped(1), KeyError::Domain { word: 4, k: 7, .. }));
    assert!(matches!(high(2), KeyError::Word { word: 2, .. }));
    assert!(matches!(high(3), KeyError::Word { word: 3, .. }));
    assert!(matches!(flipped(4), KeyError::Domain { word: 4, .. }));
    assert!(matches!(flipped(5), KeyError::Domain { word: 5, .. }));
    for word in 6..14 {
        let first = if word < 10 { 6 } else { 10 };
        for refused in [flipped(word), high(word)] {
            let expected = KeyError::Point {
                word: first,
                group: "G2",
            };
            assert_eq!(refused, expected);
        }
    }
    assert!(matches!(flipped(14), KeyError::Domain { word: 14, .. }));
    let last = code.len() / 32 - 1;
    for refused in [flipped(last), high(last)] {
        assert!(
            matches!(refused, KeyError::Point { group: "G1", .. }),
            "{refused}"
        );
    }
    for length in [0, 1, 100, code.len() - 1] {
        let refused = KeyData::parse(&case.layout, &code[..length]).unwrap_err();
        assert!(matches!(refused, KeyError::Length { .. }));
    }
    let foreign = Case::shape(SHAPES[2]);
    let refused = KeyData::of(&case.layout, foreign.pk.vk()).unwrap_err();
    assert!(matches!(refused, KeyError::Profile { .. }));
}

/// A key is one data contract, which no model of a profile outgrows: its length is the profile's.
#[test]
fn every_profiles_keys_fit_a_contract() {
    for p in tensorseal_circuits::profile::ALL {
        let mut cs = ConstraintSystem::default();
        tensorseal_circuits::circuit::configure(&mut cs, p);
        let layout = VerifierLayout::strided(&p.name(), &cs, p.fold).unwrap();
        println!("{}: keys of {} bytes", p.name(), layout.key_bytes());
        assert!(layout.key_bytes() <= MAX_CODE_BYTES, "{}", p.name());
    }
    // A constraint system that is too wide is refused.
    let mut cs = ConstraintSystem::default();
    let advice = cs.advice_column();
    let fixed: Vec<_> = (0..400).map(|_| cs.fixed_column()).collect();
    cs.create_gate("wide", |v| {
        let a = v.query_advice(advice, Rotation::cur());
        let term = |f: &_| a.clone() * v.query_fixed(*f, Rotation::cur());
        fixed.iter().map(term).collect::<Vec<_>>()
    });
    let layout = VerifierLayout::new("wide", &cs).unwrap();
    let mut code = vec![0; layout.key_bytes()];
    code[1..33].copy_from_slice(&layout.id());
    code[64] = 6;
    // Points that are in their groups, which is checked first.
    let generators = Case::shape(SHAPES[0]).key.to_code();
    code[1 + 32 * 6..1 + 32 * 14].copy_from_slice(&generators[1 + 32 * 6..1 + 32 * 14]);
    let refused = KeyData::parse(&layout, &code).unwrap_err();
    assert!(matches!(refused, KeyError::TooLong { .. }), "{refused}");
}

#[test]
fn names_do_not_enter_the_id() {
    let case = Case::shape(SHAPES[1]);
    let cs = case.pk.vk().halo2().cs();
    assert_eq!(
        VerifierLayout::new("other", cs).unwrap().id(),
        case.layout.id()
    );
    for name in ["", "a-b", "a b", "é"] {
        let refused = VerifierLayout::new(name, cs).unwrap_err();
        assert!(matches!(refused, CodegenError::ProfileName { .. }));
    }
}

#[test]
fn what_the_contract_cannot_check_is_refused() {
    let layout = |build: &dyn Fn(&mut ConstraintSystem<Fr>)| {
        let mut cs = ConstraintSystem::default();
        build(&mut cs);
        VerifierLayout::new("p", &cs).and_then(|l| generate(&l, &cs))
    };
    let refused = layout(&|_| {}).unwrap_err();
    assert_eq!(refused, CodegenError::NoQueries);
    let refused = layout(&|cs| {
        let a = cs.advice_column();
        cs.enable_equality(a);
    });
    assert_eq!(
        refused.unwrap_err(),
        CodegenError::CopyConstraints { columns: 1 }
    );
    let refused = layout(&|cs| {
        let (a, t) = (cs.advice_column(), cs.lookup_table_column());
        cs.lookup("in table", |v| {
            vec![(v.query_advice(a, Rotation::cur()), t)]
        });
    });
    assert_eq!(refused.unwrap_err(), CodegenError::Lookups { count: 1 });
    let refused = layout(&|cs| {
        let (a, q) = (cs.advice_column(), cs.selector());
        cs.create_gate("zero", |v| {
            vec![v.query_selector(q) * v.query_advice(a, Rotation::cur())]
        });
    });
    assert_eq!(
        refused.unwrap_err(),
        CodegenError::VirtualSelector { index: 0 }
    );
}

#[test]
fn accounts_come_from_files_and_do_not_show_their_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    std::fs::write(&path, format!("{key}\n")).unwrap();
    let account = Account::from_file(&path).unwrap();
    let address = hex::encode(account.address());
    assert_eq!(address, "f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
    assert!(!format!("{account:?}").contains("ac0974"));
    std::fs::write(&path, "0xac0974").unwrap();
    let refused = Account::from_file(&path).unwrap_err();
    assert!(matches!(refused, ChainError::AccountFile { .. }));
    assert!(!refused.to_string().contains("ac0974"));
    let refused = Account::from_file(&PathBuf::from("/nonexistent/key")).unwrap_err();
    assert!(matches!(refused, ChainError::AccountFile { .. }));
    let refused = Account::from_env("TENSORSEAL_NO_SUCH_VARIABLE").unwrap_err();
    assert!(matches!(refused, ChainError::AccountVariable { .. }));
}

proptest! {
    /// Whatever the bytes are, parsing ends without a panic, and accepts one encoding only.
    #[test]
    fn parsing_survives_any_bytes(changes in vec((any::<Index>(), any::<u8>()), 0..4), cut in any::<Option<Index>>()) {
        static CASE: LazyLock<(VerifierLayout, Vec<u8>)> = LazyLock::new(|| {
            let case = Case::shape(SHAPES[1]);
            let code = case.key.to_code();
            (case.layout, code)
        });
        let (layout, honest) = &*CASE;
        let mut code = honest.clone();
        for (at, byte) in changes {
            let at = at.index(code.len());
            code[at] = byte;
        }
        if let Some(cut) = cut {
            code.truncate(cut.index(code.len()));
        }
        if let Ok(key) = KeyData::parse(layout, &code) {
            prop_assert_eq!(key.to_code(), code);
        }
    }
}
