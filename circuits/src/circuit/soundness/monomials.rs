//! Every accumulator has a weight of its own: two with one weight would be bound in their sum alone, and every honest
//! proof would still be accepted.

use std::collections::HashMap;

use super::{BOTH, FOLDED, HASHED, OUTPUT, SMALL, TABLES};
use crate::layout::{Layout, plan};
use crate::profile::{ALL, Profile, fixed};
use crate::testing;

/// Exponents of `βx`, `βy` and `κ`.
type Exponents = [i64; 3];

/// The numerators and denominators that the fixed columns choose among, but for 0.
const NUM: [Exponents; 4] = [[0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1]];
const DEN: [Exponents; 4] = [[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 1]];

/// The weight in the total of what each row adds to the chain `acc`, read off the fixed columns:
/// `den_i·acc_(i+1) = num_i·acc_i + L_i` gives `L_i` the weight `1/den_i·Π_(j>i) num_j/den_j`.
fn weights(layout: &Layout) -> Vec<(usize, Exponents)> {
    let at = |column: usize, row: usize| layout.fixed[column].get(row).copied().unwrap_or(0);
    let mut behind = [0; 3];
    let mut reset = false;
    let mut out = Vec::new();
    for row in (0..layout.last_row()).rev() {
        let (num, den) = (at(fixed::ACC_NUM, row), at(fixed::ACC_DEN, row));
        let enters = [fixed::SCALE_A, fixed::SCALE_B, fixed::INSTANCE];
        let enters = enters.iter().any(|column| at(*column, row) != 0);
        assert!(!enters || den > 0, "row {row} is in no chain");
        if den == 0 {
            continue;
        }
        let under = DEN[den as usize - 1];
        let weight: Exponents = std::array::from_fn(|i| behind[i] - under[i]);
        if enters {
            assert!(!reset, "row {row} is forgotten");
            out.push((row, weight));
        }
        if num == 0 {
            reset = true;
        } else {
            let over = NUM[num as usize - 1];
            behind = std::array::from_fn(|i| weight[i] + over[i]);
        }
    }
    out
}

fn all_differ(layout: &Layout) {
    let mut seen: HashMap<Exponents, usize> = HashMap::new();
    let weights = weights(layout);
    assert!(!weights.is_empty());
    for (row, weight) in weights {
        let other = seen.insert(weight, row);
        assert_eq!(
            other, None,
            "rows of one weight, one of them {row}, in {}",
            layout.model.name
        );
    }
}

#[test]
fn accumulators_have_weights_of_their_own() {
    let wide = Profile {
        fixed_lanes: 128,
        ..SMALL
    };
    for model in testing::layer_kinds() {
        for profile in [SMALL, TABLES, FOLDED, wide] {
            for visibility in [OUTPUT, BOTH, HASHED] {
                let profile = Profile {
                    hash: visibility.hashes(),
                    ..profile
                };
                match plan(&model, profile, visibility) {
                    Ok(layout) => all_differ(&layout),
                    Err(why) => assert!(visibility.hashes(), "{why}"),
                }
            }
        }
    }
    for profile in ALL.iter().filter(|p| p.max_shift() == 40) {
        all_differ(&plan(&testing::tied(), *profile, OUTPUT).unwrap());
    }
}
