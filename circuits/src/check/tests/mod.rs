//! The checker accepts what the planner makes, and nothing that says something else.

mod holes;
mod mutations;

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
