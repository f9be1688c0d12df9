//! Profiles: the shapes of the constraint system. One verifier contract serves every model of a profile.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Lookups whose fractions one running-sum column adds up; the gate's degree is this plus 2.
pub const LOOKUPS_PER_SUM: usize = 3;
/// Bits of a remainder limb where a profile has two of them. With one limb the model's shift is the width.
pub const LIMB_BITS: u32 = 8;
/// Rows at the end of every column that the circuit leaves to the prover's blinding.
pub const UNUSABLE_ROWS: usize = 7;

/// Fixed columns before the weight lanes, in order; the tables follow the lanes. `docs/arithmetization.md` gives each its
/// meaning.
#[allow(missing_docs)]
pub mod fixed {
    pub const ACTIVE: usize = 0;
    pub const BOUNDARY: usize = 1;
    pub const SCALE_A: usize = 2;
    pub const SCALE_B: usize = 3;
    pub const CONSUME: usize = 4;
    pub const TAG: usize = 5;
    pub const ACC_NUM: usize = 6;
    pub const ACC_DEN: usize = 7;
    pub const CONS_NUM: usize = 8;
    pub const CONS_DEN: usize = 9;
    pub const Z_NUM: usize = 10;
    pub const Z_DEN: usize = 11;
    pub const U_OP: usize = 12;
    pub const DOT_OP: usize = 13;
    pub const ONE: usize = 14;
    pub const INSTANCE: usize = 15;
    pub const WINDOW: usize = 16;
    pub const LANE0: usize = 17;
}

/// Fixed columns of profiles that hash, after all others, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFixed {
    /// What a row does with the state: [`hash_op`].
    Op = 0,
    /// Round constants, inverse weights of absorbed values, tags: any field elements.
    Constant = 1,
    /// Numerator of the chain [`Chain::Hashed`].
    Num = 2,
    /// Its denominator.
    Den = 3,
}

/// Values of [`HashFixed::Op`]; the gates use that 0, 4, 5 and 1, 2 are roots of cubics that differ by a constant.
#[allow(missing_docs)]
pub mod hash_op {
    pub const OFF: i32 = 0;
    pub const SBOX: i32 = 1;
    pub const ROUND: i32 = 2;
    pub const ABSORB: i32 = 4;
    pub const ROTATE: i32 = 5;
}

/// Values of [`fixed::BOUNDARY`].
#[allow(missing_docs)]
pub mod boundary {
    pub const FIRST: i32 = 1;
    pub const LAST: i32 = 2;
    /// The state is `(constant, 0, 0)`.
    pub const LOAD: i32 = 3;
    /// The digest stands in the state's first column.
    pub const DIGEST: i32 = 4;
}

/// A constraint system shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Profile {
    /// Activation lanes `w`: channels of one activation row.
    pub lanes: usize,
    /// Fixed weight lanes `f`, a multiple of `lanes`.
    pub fixed_lanes: usize,
    /// Range-checked limbs of a requantization remainder (1 or 2).
    pub limbs: usize,
    /// Sets of table columns that share the lookup table, so that it does not decide `k`.
    pub tables: usize,
    /// Columns that hash inputs or outputs.
    pub hash: bool,
}

/// All profiles, from narrow (few commitments, least gas) to wide (fewest rows).
pub const ALL: &[Profile] = &[
    Profile {
        lanes: 2,
        fixed_lanes: 8,
        limbs: 1,
        tables: 1,
        hash: false,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 16,
        limbs: 2,
        tables: 1,
        hash: false,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 32,
        limbs: 2,
        tables: 2,
        hash: false,
    },
    Profile {
        lanes: 8,
        fixed_lanes: 32,
        limbs: 2,
        tables: 2,
        hash: false,
    },
    Profile {
        lanes: 8,
        fixed_lanes: 64,
        limbs: 2,
        tables: 2,
        hash: false,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 128,
        limbs: 2,
        tables: 2,
        hash: false,
    },
    Profile {
        lanes: 2,
        fixed_lanes: 8,
        limbs: 1,
        tables: 1,
        hash: true,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 32,
        limbs: 2,
        tables: 2,
        hash: true,
    },
];

impl Default for Profile {
    fn default() -> Self {
        ALL[1]
    }
}

impl Profile {
    /// The profile's name, `w4f16b2t1` for 4 lanes, 16 fixed lanes, 2 limbs, 1 table; `h` at its end: it hashes.
    pub fn name(&self) -> String {
        let hash = if self.hash { "h" } else { "" };
        format!(
            "w{}f{}b{}t{}{hash}",
            self.lanes, self.fixed_lanes, self.limbs, self.tables
        )
    }

    /// The profile of that name, if there is one.
    pub fn by_name(name: &str) -> Option<Profile> {
        ALL.iter().copied().find(|p| p.name() == name)
    }

    /// The largest shift whose remainder the limbs hold; with two limbs it is the only one.
    pub fn max_shift(&self) -> u32 {
        if self.limbs == 1 { 12 } else { 2 * LIMB_BITS }
    }

    /// Advice columns of the lanes `a` (shifted accumulators).
    pub fn a(&self) -> Range<usize> {
        0..self.lanes
    }
    /// Advice columns of limb `i` of the remainders `b`.
    pub fn b(&self, i: usize) -> Range<usize> {
        self.lanes * (1 + i)..self.lanes * (2 + i)
    }
    /// Advice columns of the values `c`.
    pub fn c(&self) -> Range<usize> {
        self.lanes * (1 + self.limbs)..self.lanes * (2 + self.limbs)
    }
    /// Advice columns of the lookup multiplicities, one for each table.
    pub fn m(&self) -> Range<usize> {
        let first = self.lanes * (2 + self.limbs);
        first..first + self.tables
    }
    /// Advice columns of the hash, the last of phase 1: the state's three and the S-box's fourth power.
    pub fn hash_state(&self) -> Range<usize> {
        let first = self.m().end;
        first..first + if self.hash { 4 } else { 0 }
    }
    /// Advice column of the consumed functionals `u`, phase 2.
    pub fn u(&self) -> usize {
        self.hash_state().end
    }
    /// Looked-up values of a row: one for each `(a, c)` pair and limb.
    pub fn lookups(&self) -> usize {
        self.lanes * (1 + self.limbs)
    }
    /// Fractions a row adds to the running sums: one for each lookup and table.
    pub fn fractions(&self) -> usize {
        self.lookups() + self.tables
    }
    /// Advice columns of the running sums, phase 2.
    pub fn sums(&self) -> Range<usize> {
        let first = self.u() + 1;
        first..first + self.fractions().div_ceil(LOOKUPS_PER_SUM)
    }
    /// Advice columns of phase 3.
    pub fn chain(&self, c: Chain) -> usize {
        self.sums().end + c as usize
    }
    /// All advice columns.
    pub fn advice_columns(&self) -> usize {
        self.sums().end + 6 + usize::from(self.hash)
    }
    /// Fixed columns `(in, out, tag)` of table `t`.
    pub fn table(&self, t: usize) -> [usize; 3] {
        let first = fixed::LANE0 + self.fixed_lanes + 3 * t;
        [first, first + 1, first + 2]
    }
    /// A fixed column of the hash.
    pub fn hash_fixed(&self, column: HashFixed) -> usize {
        fixed::LANE0 + self.fixed_lanes + 3 * self.tables + column as usize
    }
    /// All fixed columns.
    pub fn fixed_columns(&self) -> usize {
        self.hash_fixed(HashFixed::Op) + if self.hash { 4 } else { 0 }
    }
}

/// The columns of phase 3, all of them running values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Functional of the produced accumulators.
    Acc = 0,
    /// Functional of the consumed values.
    Cons = 1,
    /// Running window maximum, folded over the lanes.
    Mu = 2,
    /// Weights of the current chunk folded over taps and output channels.
    Z = 3,
    /// Sum of `u · z`.
    Dot = 4,
    /// The `u` folded in the order of the consumed tensors.
    Ub = 5,
    /// Functional of the hashed values and of the digests, in profiles that hash.
    Hashed = 6,
}
