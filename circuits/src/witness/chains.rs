//! Phases 2 and 3: functionals, running sums, chains.

use ff::{BatchInvert, Field};
use halo2_proofs::halo2curves::bn256::Fr;
use rayon::prelude::*;

use super::values::cell_index;
use super::{Witness, field};
use crate::layout::Layout;
use crate::profile::{Chain, HashFixed, LIMB_BITS, LOOKUPS_PER_SUM, boundary, fixed, hash_op};

/// Challenges of phase 2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Second {
    pub(crate) delta: Fr,
    pub(crate) zeta: Fr,
    pub(crate) beta_x: Fr,
    pub(crate) beta_y: Fr,
}

/// Powers of a challenge at non-negative exponents.
fn powers(base: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::ONE), |p| Some(*p * base))
        .take(count.max(1))
        .collect()
}

impl Witness {
    /// Columns of phase 2: `u`, then the running sums, rows `0..=last_row`.
    pub(crate) fn second_phase(&self, layout: &Layout, ch: Second) -> Vec<Vec<Fr>> {
        let mut columns = vec![self.functionals(layout, ch)];
        columns.extend(self.running_sums(layout, ch));
        columns
    }

    /// `u = Σ_p βy^y βx^x c_p` for every chunk, in the chunk's row.
    fn functionals(&self, layout: &Layout, ch: Second) -> Vec<Fr> {
        let mut column = vec![Fr::ZERO; layout.last_row() + 1];
        let coordinates = || {
            layout
                .tensors
                .iter()
                .flat_map(|t| &t.order)
                .filter_map(|r| r.cons)
        };
        let xs = powers(
            ch.beta_x,
            coordinates().map(|c| c.x as usize + 1).max().unwrap_or(1),
        );
        let ys = powers(
            ch.beta_y,
            coordinates().map(|c| c.y as usize + 1).max().unwrap_or(1),
        );
        let lanes = layout.profile.lanes;
        let by_tensor: Vec<Vec<Vec<(usize, Fr)>>> = layout
            .tensors
            .iter()
            .map(|t| {
                let mut planes = vec![Vec::new(); t.cons_planes];
                for (i, row) in t.order.iter().enumerate().filter(|(_, r)| r.at.is_some()) {
                    if let Some(c) = row.cons {
                        planes[c.plane].push((i, ys[c.y as usize] * xs[c.x as usize]));
                    }
                }
                planes
            })
            .collect();
        let values: Vec<Fr> = layout
            .chunks
            .par_iter()
            .map(|chunk| {
                let tensor = &layout.tensors[chunk.tensor];
                let Some((plane, channel)) = chunk.source else {
                    let ones = tensor.order.iter().filter(|r| r.one).filter_map(|r| r.cons);
                    return ones.map(|c| ys[c.y as usize] * xs[c.x as usize]).sum();
                };
                let mut sum = Fr::ZERO;
                for (position, weight) in &by_tensor[chunk.tensor][plane] {
                    let v = self.consumed[chunk.tensor]
                        [cell_index(tensor, lanes, channel / lanes, *position) + channel % lanes];
                    match v {
                        0 => {}
                        1 => sum += weight,
                        v => sum += field(v) * weight,
                    }
                }
                sum
            })
            .collect();
        layout
            .chunks
            .iter()
            .zip(values)
            .for_each(|(chunk, v)| column[chunk.row] = v);
        column
    }

    /// logUp: the fractions of a looked-up value are those of its table row.
    fn running_sums(&self, layout: &Layout, ch: Second) -> Vec<Vec<Fr>> {
        let (p, last) = (&layout.profile, layout.last_row());
        let mut inverse: Vec<Fr> = layout
            .tables
            .entries()
            .map(|(i, o, t)| {
                ch.delta + field(i) + ch.zeta * (field(o) + ch.zeta * field(i64::from(t)))
            })
            .collect();
        inverse.iter_mut().batch_invert();
        let looked_up = &layout.fixed[fixed::CONSUME];
        (0..p.sums().len())
            .into_par_iter()
            .map(|j| {
                let fractions = j * LOOKUPS_PER_SUM..((j + 1) * LOOKUPS_PER_SUM).min(p.fractions());
                let mut column = Vec::with_capacity(last + 1);
                let mut sum = Fr::ZERO;
                for row in 0..=last {
                    column.push(sum);
                    for t in fractions.clone() {
                        if t >= p.lookups() {
                            let entry = (t - p.lookups()) * layout.stats.table + row;
                            match self
                                .multiplicities
                                .get(entry)
                                .filter(|_| row < layout.stats.table)
                            {
                                None | Some(0) => {}
                                Some(m) => sum -= Fr::from(*m) * inverse[entry],
                            }
                        } else if looked_up.get(row) == Some(&1) {
                            sum += inverse[self.lookups[t][row] as usize];
                        }
                    }
                }
                column
            })
            .collect()
    }

    /// Columns of phase 3 in [`Chain`] order (the last where the profile hashes), rows `0..=last_row`. `second` are the columns of phase 2.
    pub(crate) fn third_phase(
        &self,
        layout: &Layout,
        ch: Second,
        eta: Fr,
        second: &[Vec<Fr>],
    ) -> Vec<Vec<Fr>> {
        let p = &layout.profile;
        let last = layout.last_row();
        let powers = powers(eta, p.fixed_lanes + 1);
        let (kappa, kappa_f) = (powers[p.lanes], powers[p.fixed_lanes]);
        let fold = |columns: &[Vec<i64>], row: usize| -> Fr {
            columns
                .iter()
                .zip(&powers)
                .filter_map(|(column, power)| {
                    column
                        .get(row)
                        .filter(|v| **v != 0)
                        .map(|v| field(*v) * power)
                })
                .sum()
        };
        let value = |column: usize, row: usize| layout.fixed[column].get(row).copied().unwrap_or(0);
        let base = Fr::from(1 << LIMB_BITS);
        // Lane sums of every row, in parallel; the chains themselves are sequential.
        let sums: Vec<[Fr; 3]> = (0..last)
            .into_par_iter()
            .map(|row| {
                let ha = fold(&self.lanes[p.a()], row);
                let hc = fold(&self.lanes[p.c()], row);
                let hb = (0..p.limbs)
                    .rev()
                    .map(|limb| fold(&self.lanes[p.b(limb)], row))
                    .reduce(|high, low| high * base + low)
                    .expect("one limb at least");
                let public = match value(fixed::INSTANCE, row) {
                    0 => Fr::ZERO,
                    sign => {
                        let digests = match row {
                            0 => self.digests.iter().zip(&powers).map(|(d, p)| d * p).sum(),
                            _ => Fr::ZERO,
                        };
                        field(sign) * (fold(&self.instance, row) + digests)
                    }
                };
                let scale_a = field(value(fixed::SCALE_A, row));
                let produced = scale_a * ha + field(value(fixed::SCALE_B, row)) * hb + public;
                let weights = (0..p.fixed_lanes)
                    .filter_map(|l| match value(fixed::LANE0 + l, row) {
                        0 => None,
                        v => Some(field(v) * powers[l]),
                    })
                    .sum();
                [produced, hc, weights]
            })
            .collect();
        let steps = Steps::new(ch, kappa);
        let steps_f = Steps::new(ch, kappa_f);
        let inverse_f = kappa_f.invert().unwrap_or(Fr::ZERO);
        let mut columns = [(); 6].map(|()| Vec::with_capacity(last + 1));
        let (mut acc, mut cons, mut mu, mut z, mut dot, mut ub) = Default::default();
        for row in 0..=last {
            for (chain, v) in [
                (Chain::Acc, acc),
                (Chain::Cons, cons),
                (Chain::Mu, mu),
                (Chain::Z, z),
                (Chain::Dot, dot),
                (Chain::Ub, ub),
            ] {
                columns[chain as usize].push(v);
            }
            if row == last {
                break;
            }
            let [produced, hc, weights] = sums[row];
            let at = |column| value(column, row) as usize;
            let produced = produced + field(value(fixed::SCALE_A, row)) * mu;
            let mut consumed = if value(fixed::CONSUME, row) == 1 {
                hc
            } else {
                Fr::ZERO
            };
            if value(fixed::ONE, row) == 1 {
                consumed += kappa;
            }
            acc = steps.apply(acc, produced, at(fixed::ACC_NUM), at(fixed::ACC_DEN));
            cons = steps.apply(cons, consumed, at(fixed::CONS_NUM), at(fixed::CONS_DEN));
            let ends = value(fixed::U_OP, row);
            let u = second[0][row];
            match value(fixed::DOT_OP, row) {
                1 => dot *= kappa_f,
                2 => dot *= inverse_f,
                _ => {}
            }
            match ends {
                1 => {
                    dot += u * z;
                    ub = ub * eta + u;
                }
                2 => ub *= kappa,
                3 => ub *= eta,
                _ => {}
            }
            z = steps_f.apply(z, Fr::ZERO, at(fixed::Z_NUM), at(fixed::Z_DEN)) + weights;
            mu = if value(fixed::WINDOW, row) == 1 {
                mu + hc
            } else {
                Fr::ZERO
            };
        }
        let mut columns: Vec<_> = columns.into();
        if p.hash {
            columns.push(self.hashed(layout, &Steps::new(ch, eta)));
        }
        columns
    }

    /// The chain over what the state absorbed, and over the digests.
    fn hashed(&self, layout: &Layout, steps: &Steps) -> Vec<Fr> {
        let p = &layout.profile;
        let state = &self.hash[0];
        let at = |column: usize, row: usize| layout.fixed[column].get(row).copied().unwrap_or(0);
        let [op, num, den] =
            [HashFixed::Op, HashFixed::Num, HashFixed::Den].map(|c| p.hash_fixed(c));
        let mut sum = Fr::ZERO;
        let mut column = vec![sum];
        for row in 0..layout.last_row() {
            let mut added = Fr::ZERO;
            if at(op, row) == hash_op::ABSORB {
                added = layout.hash.constants[row] * (state[row + 1] - state[row]);
            }
            if at(fixed::BOUNDARY, row) == boundary::DIGEST {
                added = state[row];
            }
            sum = steps.apply(sum, added, at(num, row) as usize, at(den, row) as usize);
            column.push(sum);
        }
        column
    }
}

/// The constants of the chains' steps.
struct Steps {
    num: [Fr; 5],
    den: [Fr; 5],
}

impl Steps {
    fn new(ch: Second, kappa: Fr) -> Self {
        let bx2 = ch.beta_x.square();
        let invert = |v: Fr| v.invert().unwrap_or(Fr::ZERO);
        Steps {
            num: [Fr::ZERO, Fr::ONE, bx2, ch.beta_y, kappa],
            den: [
                Fr::ZERO,
                Fr::ONE,
                invert(ch.beta_x),
                invert(bx2),
                invert(ch.beta_y * kappa),
            ],
        }
    }

    /// `(num · value + added) / den`; 0 where no step is set, as the gate then leaves the value free.
    fn apply(&self, value: Fr, added: Fr, num: usize, den: usize) -> Fr {
        if den == 1 && num == 1 {
            return value + added;
        }
        (self.num[num] * value + added) * self.den[den]
    }
}
