//! The checker accepts what the planner makes, and nothing that says something else.

mod holes;
mod mutations;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::statement;
use crate::layout::{Layout, LayoutError, Shown, Visibility, plan};
use crate::model::Model;
use crate::profile::{ALL, Profile};
use crate::testing;

const SMALL: Profile = Profile {
    lanes: 4,
    fixed_lanes: 16,
    limbs: 2,
    tables: 2,
    fold: 1,
    hash: false,
};

/// The model in a profile, or in its sibling that hashes where the visibility asks for it.
fn planned(
    model: &Model,
    profile: Profile,
    input: Shown,
    output: Shown,
) -> Result<Layout, LayoutError> {
    let visibility = Visibility { input, output };
    let profile = Profile {
        hash: visibility.hashes(),
        ..profile
    };
    plan(model, profile, visibility)
}

/// Random models.
const RANDOM: u64 = 300;

const SHOWN: [Shown; 3] = [Shown::Private, Shown::Public, Shown::Hashed];

#[test]
fn every_layer_kind_is_stated_in_every_profile_and_visibility() {
    let mut checked = 0;
    for model in testing::layer_kinds() {
        for profile in ALL.iter().chain([&SMALL]) {
            let shifted = match profile.limbs {
                1 => {
                    let mut model = model.clone();
                    model.shift = 12;
                    model
                }
                limbs => testing::with_shift(model.clone(), 8 * limbs as u32),
            };
            for (input, output) in SHOWN.iter().flat_map(|i| SHOWN.map(|o| (*i, o))) {
                // Some inputs have elements that no layer reads.
                let Ok(layout) = planned(&shifted, *profile, input, output) else {
                    continue;
                };
                checked += 1;
                assert_eq!(statement(&shifted, &layout), Ok(()), "{}", model.name);
            }
        }
    }
    assert!(checked > 700, "{checked}");
    for profile in ALL.iter().filter(|p| p.limbs == 5) {
        let layout = plan(&testing::tied(), *profile, Visibility::default()).unwrap();
        assert_eq!(statement(&testing::tied(), &layout), Ok(()));
    }
}

/// Whatever the planner makes of models that `validate` admits.
#[test]
fn random_models_are_stated() {
    let planned: usize = (0..RANDOM)
        .into_par_iter()
        .map(|seed| {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let tape: Vec<u32> = (0..testing::random::TAPE).map(|_| rng.r#gen()).collect();
            let model = testing::random::model(&tape);
            let (input, output) = (SHOWN[rng.gen_range(0..3)], SHOWN[rng.gen_range(0..3)]);
            let of_shift = |p: &&Profile| match p.limbs {
                1 => model.shift <= 12,
                limbs => model.shift == 8 * limbs as u32,
            };
            let fitting = ALL.iter().chain([&SMALL]).filter(of_shift);
            let mut count = 0;
            for profile in fitting {
                // Models that the planner refuses, or that would take the time of many others.
                if let Ok(layout) = planned(&model, *profile, input, output)
                    && layout.k < 17
                {
                    count += 1;
                    let name = profile.name();
                    let verdict = statement(&model, &layout);
                    assert_eq!(verdict, Ok(()), "seed {seed}, {name}, {input:?} {output:?}");
                }
            }
            count
        })
        .sum();
    assert!(planned > RANDOM as usize, "{planned}");
}
