//! The circuit's outputs are the executor's, on random models: all that `validate` admits, in every profile.

mod gates;
mod judge;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::executor;
use crate::layout::{Layout, Shown, Visibility, plan};
use crate::model::{Kind, Model, Table};
use crate::profile::{ALL, Profile};
use crate::quantize::bounds;
use crate::testing::{features, naive, random, random_inputs};
use crate::validate::validate;
use judge::Run;

const SHOWN: [Shown; 3] = [Shown::Private, Shown::Public, Shown::Hashed];

/// Rows of tables beyond which a model is left out: it would take the time of hundreds of others.
const TABLE_ROWS: i128 = 1 << 14;

/// `2^k` rows beyond which gates are not evaluated.
const GATES_K: u32 = 15;

/// How far a model is looked into.
#[derive(Clone, Copy)]
struct Depth {
    /// Each profile with each visibility of both sides, not one.
    every_visibility: bool,
    /// Layouts whose gates are evaluated.
    gates: usize,
    /// Lies about each of them.
    lies: usize,
    /// One model in so many meets the mock prover.
    mock: u64,
}

/// What came: by features, by reasons of refusals.
#[derive(Debug, Default)]
struct Census {
    models: usize,
    drawn: BTreeMap<&'static str, usize>,
    accepted: BTreeMap<&'static str, usize>,
    /// Models with a layout in some profile.
    planned: usize,
    layouts: usize,
    gates: usize,
    refused: BTreeMap<&'static str, usize>,
}

/// A tape and its model, which is what a failure shows.
#[derive(Clone)]
struct Case {
    seed: u64,
    model: Model,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, {:?}", self.seed, self.model)
    }
}

fn case() -> impl Strategy<Value = Case> {
    let tape = prop::collection::vec(0..1u32 << 16, random::TAPE);
    (any::<u64>(), tape).prop_map(|(seed, tape)| Case {
        seed,
        model: random::model(&tape),
    })
}

/// Profiles of one shift: all of [`ALL`], and two that nobody uses.
fn profiles(shift: u32, rng: &mut ChaCha20Rng) -> Vec<Profile> {
    let limbs = match shift {
        0..=12 => 1,
        16 => 2,
        40 => 5,
        _ => 6,
    };
    let mut out: Vec<Profile> = ALL.iter().copied().filter(|p| p.limbs == limbs).collect();
    for hash in [false, true] {
        let lanes = [2, 4, 8, 16][rng.gen_range(0..4)];
        out.push(Profile {
            lanes,
            fixed_lanes: lanes * [1, 2, 4, 8][rng.gen_range(0..4)],
            limbs,
            tables: rng.gen_range(1..=6),
            fold: [1, 4, 8][rng.gen_range(0..3)],
            hash,
        });
    }
    out
}

/// Every visibility that a profile is for.
fn visibilities(profile: &Profile) -> Vec<Visibility> {
    let all = SHOWN.iter().flat_map(|&input| {
        let of = move |&output| Visibility { input, output };
        SHOWN.iter().map(of)
    });
    all.filter(|v| v.hashes() == profile.hash).collect()
}

/// Rows of the tables that a model's functions need; none where its sums may leave 62 bits.
fn table_rows(model: &Model) -> Option<i128> {
    let all = bounds(model).ok()?;
    let spans = model
        .nodes
        .iter()
        .zip(all)
        .map(|(node, b)| match &node.kind {
            Kind::Linear(l) if l.table == Table::Raw => 0,
            _ => i128::from(b.a.1) - i128::from(b.a.0) + 1,
        });
    Some(spans.sum())
}

/// Sums of nodes that no output depends on may leave 62 bits: nothing shows them.
fn refused_for_its_sums(model: &Model, profile: Profile, census: &mut Census) {
    let visibility = visibilities(&profile)[0];
    let live = features::live(model);
    let beyond = bounds(model).expect_err("its sums leave 62 bits").node;
    let node = model.nodes.iter().position(|n| n.name == beyond);
    match plan(model, profile, visibility) {
        Err(error) => {
            let why = judge::reason(model, &error);
            *census.refused.entry(why).or_default() += 1;
        }
        Ok(_) => assert!(!live[node.expect("it is one of the model's")], "{beyond}"),
    }
}

/// Demands of one model all that has to hold.
fn check(case: &Case, depth: Depth, census: &mut Census) {
    let Case { seed, model } = case;
    assert_eq!(validate(model), Ok(()));
    let mut rng = ChaCha20Rng::seed_from_u64(*seed);
    census.models += 1;
    let features = features::of(model);
    for feature in &features {
        *census.drawn.entry(feature).or_default() += 1;
    }
    let inputs = random_inputs(model, &mut rng);
    let profiles = profiles(model.shift, &mut rng);
    let Some(rows) = table_rows(model) else {
        refused_for_its_sums(model, profiles[0], census);
        return;
    };
    let tensors = executor::run(model, &inputs).expect("the inputs fit");
    for (ours, naive) in tensors.iter().zip(naive::run(model, &inputs)) {
        assert!(
            ours.iter().map(|v| i128::from(*v)).eq(naive),
            "the executor"
        );
    }
    // What no table holds is refused at once.
    if (TABLE_ROWS..1 << 24).contains(&rows) {
        *census.refused.entry("left out").or_default() += 1;
        return;
    }
    let run = Run {
        model,
        inputs: &inputs,
        tensors: &tensors,
    };
    let mut layouts: Vec<Layout> = Vec::new();
    let mut reasons: Vec<&'static str> = Vec::new();
    for profile in profiles {
        let mut all = visibilities(&profile);
        if !depth.every_visibility {
            all = vec![all[rng.gen_range(0..all.len())]];
        }
        for visibility in all {
            match plan(model, profile, visibility) {
                Ok(layout) => layouts.push(layout),
                Err(error) => reasons.push(judge::reason(model, &error)),
            }
        }
    }
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        *census.refused.entry(reason).or_default() += 1;
    }
    if layouts.is_empty() {
        return;
    }
    census.planned += 1;
    census.layouts += layouts.len();
    for feature in features {
        *census.accepted.entry(feature).or_default() += 1;
    }
    let mut witnesses = Vec::new();
    for layout in layouts {
        let witness = run.witness(&layout);
        if layout.k <= GATES_K {
            witnesses.push((layout, witness));
        }
    }
    for i in 0..depth.gates.min(witnesses.len()) {
        let (layout, mut witness) = witnesses.swap_remove(rng.gen_range(0..witnesses.len()));
        judge::gates_hold(&layout, &mut witness, &mut rng, depth.lies);
        census.gates += 1;
        if i == 0 && seed.is_multiple_of(depth.mock) {
            judge::mock_prover_agrees(Arc::new(layout), witness);
        }
    }
}

/// Checks so many models; a failure is shrunk and shown.
fn agree(count: u32, seed: u64, depth: Depth) -> Census {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = ProptestConfig {
        cases: count,
        max_shrink_iters: 20_000,
        max_shrink_time: 120_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let census = RefCell::new(Census::default());
    let result = TestRunner::new_with_rng(config, rng).run(&case(), |case| {
        check(&case, depth, &mut census.borrow_mut());
        Ok(())
    });
    let census = census.into_inner();
    println!("{census:?}");
    if let Err(failure) = result {
        panic!("runner seed {seed}: {failure}");
    }
    census
}

impl Census {
    /// The generator still draws all that it should, and most of it has layouts.
    fn assert_shares(&self, least: usize) {
        for feature in features::all() {
            let of = if feature == features::IDLE_INPUT {
                &self.drawn
            } else {
                &self.accepted
            };
            let count = of.get(feature).copied().unwrap_or(0);
            assert!(count >= least, "{count} models with: {feature}");
        }
        for reason in judge::REASONS {
            let count = self.refused.get(reason).copied().unwrap_or(0);
            assert!(count < self.models / 4, "{count} refused: {reason}");
        }
        assert!(
            self.planned * 10 >= self.models * 6,
            "{} planned",
            self.planned
        );
        assert!(
            self.gates * 10 >= self.planned * 8,
            "{} evaluated",
            self.gates
        );
    }
}

#[test]
fn random_models_agree_with_the_executor() {
    let depth = Depth {
        every_visibility: false,
        gates: 1,
        lies: 1,
        mock: 20,
    };
    agree(300, 1, depth).assert_shares(1);
}

#[test]
#[ignore = "slow: 5,000 models, half an hour"]
fn slow_random_models_agree_with_the_executor() {
    let depth = Depth {
        every_visibility: true,
        gates: 2,
        lies: 2,
        mock: 50,
    };
    agree(5_000, 2, depth).assert_shares(25);
}
