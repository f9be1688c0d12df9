//! What `verify` demands beside the proof's equations.

use tensorseal_circuits::{
    compiled,
    layout::Visibility,
    model::{Kind as NodeKind, Linear, Model, Node, Op, Shape, Table, Term},
};
use tensorseal_prover::artifact::{self, Flags};

use super::*;
use crate::pipeline::read_model;

/// A dense layer, 3 inputs to 2 outputs.
fn compiled(output: Shown) -> CompiledModel {
    let shape = |c| Shape {
        n: 1,
        c,
        h: 1,
        w: 1,
    };
    let port = |name: &str, node, c| Port {
        name: name.into(),
        node,
        shape: vec![1, c],
        order: Vec::new(),
        scale: 0.5,
        encodings: Vec::new(),
    };
    let dense = Op::Dense {
        out: 2,
        weights: vec![1, 2, 3, -1, 0, 5],
    };
    let linear = Linear {
        terms: vec![Term {
            source: 0,
            channel: 0,
            op: dense,
        }],
        bias: vec![7, 0],
        requantize: false,
        pool: None,
        table: Table::Raw,
    };
    let node = |name: &str, c, kind| Node {
        name: name.into(),
        shape: shape(c),
        kind,
    };
    let model = Model {
        name: "dense".into(),
        bits: 4,
        shift: 16,
        nodes: vec![
            node("x", 3, NodeKind::Input { lo: -8, hi: 7 }),
            node("y", 2, NodeKind::Linear(linear)),
        ],
        inputs: vec![port("x", 0, 3)],
        outputs: vec![port("y", 1, 2)],
    };
    let visibility = Visibility {
        input: Shown::Private,
        output,
    };
    let profile = if output == Shown::Hashed {
        "w4f32b2t2h"
    } else {
        "w4f16b2t1"
    };
    let compiled = compiled::CompiledModel {
        model,
        profile: Profile::by_name(profile).unwrap(),
        visibility,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.seal");
    let payload = compiled.to_bytes().unwrap();
    artifact::write(&path, Kind::Model, Flags::default(), &payload).unwrap();
    read_model(&path).unwrap()
}

fn proved(compiled: &CompiledModel) -> (Vk, Proof) {
    let srs = dev_srs(compiled.layout.k).unwrap();
    let keys = setup(compiled, &srs).unwrap();
    let item = vec![vec![0.5, -1.0, 2.0]];
    let proof = prove(compiled, &keys.pk, &srs, &item).unwrap();
    (keys.vk, proof)
}

/// A word that stands for nothing would be free on rows that enter nothing.
#[test]
fn words_that_stand_for_nothing_are_zero() {
    let compiled = compiled(Shown::Public);
    let (vk, proof) = proved(&compiled);
    assert_eq!(verify(&vk, &proof), Ok(()));
    let used: Vec<(usize, usize)> = compiled
        .layout
        .public()
        .iter()
        .map(|public| (public.lane, public.row))
        .collect();
    let mut unused = 0;
    for column in 0..proof.instances.len() {
        for row in 0..proof.instances[column].len() {
            let mut changed = proof.clone();
            changed.instances[column][row] += 1;
            let why = verify(&vk, &changed).unwrap_err();
            let named =
                format!("the unused public value in column {column}, row {row} is not zero");
            if used.contains(&(column, row)) {
                assert_ne!(why, named);
            } else {
                assert_eq!(why, named);
                unused += 1;
            }
        }
    }
    assert!(unused > 0, "two of four lanes are unused");
}

/// As many digests as the key has, whatever would become of the others.
#[test]
fn digests_are_counted() {
    let (vk, proof) = proved(&compiled(Shown::Hashed));
    assert_eq!(verify(&vk, &proof), Ok(()));
    for count in [0, 2, 5] {
        let mut changed = proof.clone();
        changed.digests.resize(count, Fr::from(0));
        let why = verify(&vk, &changed).unwrap_err();
        let expected = format!("the proof has {count} digests, and those of this key have 1");
        assert_eq!(why, expected);
    }
    let (vk, proof) = proved(&compiled(Shown::Public));
    for count in [1, 5] {
        let mut changed = proof.clone();
        changed.digests.resize(count, Fr::from(0));
        let why = verify(&vk, &changed).unwrap_err();
        assert!(why.contains("digests"), "{why}");
    }
}
