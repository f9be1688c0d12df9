//! Profiles: the shapes of the constraint system. One verifier contract serves every model of a profile.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Lookups whose fractions one running-sum column adds up; the gate's degree is this plus 2.
pub const LOOKUPS_PER_SUM: usize = 3;
/// Bits of a remainder limb where a profile has several of them. With one limb the model's shift is the width.
pub const LIMB_BITS: u32 = 8;

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
    pub const OFF: i64 = 0;
    pub const SBOX: i64 = 1;
    pub const ROUND: i64 = 2;
    pub const ABSORB: i64 = 4;
    pub const ROTATE: i64 = 5;
}

/// Values of [`fixed::BOUNDARY`].
#[allow(missing_docs)]
pub mod boundary {
    pub const FIRST: i64 = 1;
    pub const LAST: i64 = 2;
    /// The state is `(constant, 0, 0)`.
    pub const LOAD: i64 = 3;
    /// The digest stands in the state's first column.
    pub const DIGEST: i64 = 4;
}

/// A constraint system shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Profile {
    /// Activation lanes `w`: channels of one activation row.
    pub lanes: usize,
    /// Fixed weight lanes `f`, a multiple of `lanes`.
    pub fixed_lanes: usize,
    /// Range-checked limbs of a requantization remainder: one of up to 12 bits, or several of [`LIMB_BITS`].
    pub limbs: usize,
    /// Sets of table columns that share the lookup table, so that it does not decide `k`.
    pub tables: usize,
    /// Columns of the circuit that share one column of halo2, a power of two: row `r` of the circuit is `fold` rows of
    /// halo2, from `fold·r` on, and each column has one of them. Commitments cost gas and rows do not, but a row of the
    /// circuit then costs the prover `fold` rows. 1 where columns stand alone.
    pub fold: usize,
    /// Columns that hash inputs or outputs.
    pub hash: bool,
}

/// Where a column of the circuit stands among those of halo2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Column of halo2.
    pub column: usize,
    /// Row within the `fold` rows of a row of the circuit.
    pub slot: usize,
}

/// All profiles, from narrow (few commitments, least gas) to wide (fewest rows).
pub const ALL: &[Profile] = &[
    Profile {
        lanes: 4,
        fixed_lanes: 8,
        limbs: 1,
        tables: 2,
        fold: 8,
        hash: false,
    },
    Profile {
        lanes: 8,
        fixed_lanes: 32,
        limbs: 1,
        tables: 2,
        fold: 8,
        hash: false,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 16,
        limbs: 2,
        tables: 1,
        fold: 1,
        hash: false,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 32,
        limbs: 2,
        tables: 2,
        fold: 1,
        hash: false,
    },
    Profile {
        lanes: 8,
        fixed_lanes: 32,
        limbs: 2,
        tables: 2,
        fold: 1,
        hash: false,
    },
    Profile {
        lanes: 8,
        fixed_lanes: 64,
        limbs: 2,
        tables: 2,
        fold: 1,
        hash: false,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 128,
        limbs: 2,
        tables: 2,
        fold: 1,
        hash: false,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 128,
        limbs: 2,
        tables: 4,
        fold: 1,
        hash: false,
    },
    // For models whose functions fill the table: recurrent ones, or attention.
    Profile {
        lanes: 4,
        fixed_lanes: 32,
        limbs: 2,
        tables: 6,
        fold: 1,
        hash: false,
    },
    // Remainders of 40 and 48 bits: what the multipliers of quantized models need (`docs/quantized.md`).
    Profile {
        lanes: 4,
        fixed_lanes: 32,
        limbs: 5,
        tables: 2,
        fold: 1,
        hash: false,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 32,
        limbs: 6,
        tables: 2,
        fold: 1,
        hash: false,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 8,
        limbs: 1,
        tables: 2,
        fold: 8,
        hash: true,
    },
    Profile {
        lanes: 4,
        fixed_lanes: 32,
        limbs: 2,
        tables: 2,
        fold: 1,
        hash: true,
    },
];

impl Default for Profile {
    fn default() -> Self {
        ALL[2]
    }
}

impl Profile {
    /// The profile's name, `w4f16b2t1` for 4 lanes, 16 fixed lanes, 2 limbs, 1 table, `x8` behind it for a fold of 8, and
    /// `h` at its end where it hashes.
    pub fn name(&self) -> String {
        let fold = match self.fold {
            1 => String::new(),
            fold => format!("x{fold}"),
        };
        let hash = if self.hash { "h" } else { "" };
        format!(
            "w{}f{}b{}t{}{fold}{hash}",
            self.lanes, self.fixed_lanes, self.limbs, self.tables
        )
    }

    /// The profile of that name, if there is one.
    pub fn by_name(name: &str) -> Option<Profile> {
        ALL.iter().copied().find(|p| p.name() == name)
    }

    /// The largest shift whose remainder the limbs hold; with several limbs it is the only one.
    pub fn max_shift(&self) -> u32 {
        if self.limbs == 1 {
            12
        } else {
            self.limbs as u32 * LIMB_BITS
        }
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

    /// Advice columns of each phase.
    pub fn phases(&self) -> [Range<usize>; 3] {
        [
            0..self.hash_state().end,
            self.u()..self.sums().end,
            self.sums().end..self.advice_columns(),
        ]
    }
    /// Place of an advice column. Columns of different phases never share one.
    pub fn advice_place(&self, i: usize) -> Place {
        let mut first = 0;
        for phase in self.phases() {
            if phase.contains(&i) {
                let at = i - phase.start;
                return Place {
                    column: first + at / self.fold,
                    slot: at % self.fold,
                };
            }
            first += phase.len().div_ceil(self.fold);
        }
        unreachable!("there are {} advice columns", self.advice_columns())
    }
    /// Advice columns of halo2 by phase.
    pub fn folded_phases(&self) -> [Range<usize>; 3] {
        self.phases().map(|phase| {
            self.advice_place(phase.start).column..self.advice_place(phase.end - 1).column + 1
        })
    }
    /// Place of a fixed column.
    pub fn fixed_place(&self, i: usize) -> Place {
        Place {
            column: i / self.fold,
            slot: i % self.fold,
        }
    }
    /// Fixed column of halo2 that is 1 on the first row of each row of the circuit, where the gates hold. Without
    /// folding there is none, and they hold on every row.
    pub fn base(&self) -> Option<usize> {
        (self.fold > 1).then(|| self.fixed_columns().div_ceil(self.fold))
    }
    /// Fixed columns of halo2.
    pub fn folded_fixed_columns(&self) -> usize {
        self.fixed_columns().div_ceil(self.fold) + usize::from(self.fold > 1)
    }
    /// Advice columns of halo2.
    pub fn folded_advice_columns(&self) -> usize {
        self.folded_phases()[2].end
    }
    /// Highest degree of a gate.
    pub fn degree(&self) -> usize {
        LOOKUPS_PER_SUM + 2 + usize::from(self.fold > 1)
    }
    /// Rows at the end of every column that halo2 keeps for blinding: two more than the most evaluations of one column,
    /// or than 3, one for the row that ends the usable ones.
    pub fn blinding_rows(&self) -> usize {
        let mut evaluations = vec![0; self.folded_advice_columns()];
        for i in 0..self.advice_columns() {
            let running = self.sums().contains(&i)
                || self.phases()[2].contains(&i)
                || self.hash_state().take(3).any(|state| state == i);
            evaluations[self.advice_place(i).column] += 1 + usize::from(running);
        }
        evaluations.into_iter().max().unwrap_or(0).max(3) + 3
    }
    /// Last row of the circuit among `2^k` rows of halo2.
    pub fn last_row(&self, k: u32) -> usize {
        ((1usize << k) - self.blinding_rows()) / self.fold - 1
    }
    /// Least `k` for `rows` rows of the circuit before its last.
    pub fn least_k(&self, rows: usize) -> u32 {
        ((rows + 1) * self.fold + self.blinding_rows())
            .next_power_of_two()
            .ilog2()
            .max(6)
    }
    /// The columns of halo2 from those of the circuit, which are of one phase.
    pub fn fold_columns<T: Copy>(&self, columns: Vec<Vec<T>>, zero: T) -> Vec<Vec<T>> {
        if self.fold == 1 {
            return columns;
        }
        columns
            .chunks(self.fold)
            .map(|members| {
                let rows = members.iter().map(Vec::len).max().unwrap_or(0);
                let mut out = vec![zero; rows * self.fold];
                for (slot, member) in members.iter().enumerate() {
                    for (row, v) in member.iter().enumerate() {
                        out[row * self.fold + slot] = *v;
                    }
                }
                out
            })
            .collect()
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
