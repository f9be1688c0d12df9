//! The gates. `docs/arithmetization.md` derives each equation and names the cheat it rules out.

use ff::Field;
use halo2_proofs::{
    halo2curves::bn256::Fr,
    plonk::{
        Advice, Challenge, Column, ConstraintSystem, Expression, FirstPhase, Fixed, Instance,
        SecondPhase, ThirdPhase, VirtualCells,
    },
    poly::Rotation,
};

use super::hash::hash_gates;
use crate::profile::{Chain, LIMB_BITS, LOOKUPS_PER_SUM, Place, Profile, boundary, fixed};

pub(super) type Expr = Expression<Fr>;

/// Columns and challenges.
#[derive(Clone, Debug)]
pub struct Columns {
    /// The profile, which says where each column of the circuit stands among those of halo2.
    pub profile: Profile,
    /// Advice columns of halo2.
    pub advice: Vec<Column<Advice>>,
    /// Fixed columns of halo2.
    pub fixed: Vec<Column<Fixed>>,
    /// Instance columns, one for each lane.
    pub instance: Vec<Column<Instance>>,
    /// Drawn after phase 1: `δ` and `ζ` (lookups), `β_x` and `β_y` (positions).
    pub second: [Challenge; 4],
    /// Drawn after phase 2: `η` (channels) and `λ` (separates the two functionals).
    pub third: [Challenge; 2],
}

pub(super) fn constant(v: u64) -> Expr {
    Expression::Constant(Fr::from(v))
}

/// `Σ_i values[i] · [x = i]` over `i = 0, 1, ...` with `values[0] = 0`: a polynomial of degree `values.len() - 1` in `x`,
/// by Horner's rule. Its coefficients depend on challenges alone, so a row costs one multiplication a degree.
fn select(x: &Expr, values: &[Option<Expr>]) -> Expr {
    let n = values.len();
    // Column i: the coefficients of the Lagrange polynomial that is 1 at i.
    let mut coefficients: Vec<Option<Expr>> = vec![None; n];
    for (i, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let mut basis = vec![Fr::ONE];
        let mut scale = Fr::ONE;
        for j in (0..n).filter(|j| *j != i) {
            let root = Fr::from(j as u64);
            let mut next = vec![Fr::ZERO; basis.len() + 1];
            for (d, b) in basis.iter().enumerate() {
                next[d + 1] += b;
                next[d] -= root * b;
            }
            basis = next;
            scale *= Fr::from(i as u64) - root;
        }
        let inverse = Option::<Fr>::from(scale.invert()).expect("i and j differ and are small");
        for (sum, b) in coefficients
            .iter_mut()
            .zip(basis)
            .filter(|(_, b)| *b != Fr::ZERO)
        {
            let term = value.clone() * Expression::Constant(b * inverse);
            *sum = Some(match sum.take() {
                None => term,
                Some(s) => s + term,
            });
        }
    }
    let sum = coefficients
        .into_iter()
        .skip(1)
        .rev()
        .fold(None, |acc: Option<Expr>, c| match (acc, c) {
            (None, c) => c,
            (Some(a), None) => Some(a * x.clone()),
            (Some(a), Some(c)) => Some(a * x.clone() + c),
        });
    sum.expect("some value is not 0") * x.clone()
}

/// `Σ_i x_i η^i` by Horner's rule.
fn horner(eta: &Expr, xs: Vec<Expr>) -> Expr {
    xs.into_iter()
        .rev()
        .reduce(|acc, x| acc * eta.clone() + x)
        .expect("one lane at least")
}

fn power(x: &Expr, log: u32) -> Expr {
    (0..log).fold(x.clone(), |p, _| p.clone() * p)
}

/// Denominator and numerator of a sum of fractions `(N, D)`. Neighbours with the same numerator share it:
/// `N/D_1 + N/D_2 = N·(D_1 + D_2)/(D_1·D_2)`.
fn add_fractions(fractions: Vec<(Expr, Expr)>) -> (Expr, Expr) {
    let mut sum: Option<(Expr, Expr, Expr)> = None; // denominator, numerator over `factor`, factor
    let mut done: Option<(Expr, Expr)> = None;
    let close = |done: Option<(Expr, Expr)>, (d, n, factor): (Expr, Expr, Expr)| match done {
        None => (d, factor * n),
        Some((e, m)) => (e.clone() * d.clone(), m * d + factor * n * e),
    };
    for (numerator, denominator) in fractions {
        sum = Some(match sum {
            Some((d, n, factor)) if same(&factor, &numerator) => {
                (d.clone() * denominator.clone(), n * denominator + d, factor)
            }
            other => {
                if let Some(group) = other {
                    done = Some(close(done, group));
                }
                (denominator, constant(1), numerator)
            }
        });
    }
    close(done, sum.expect("one fraction at least"))
}

fn same(a: &Expr, b: &Expr) -> bool {
    match (a, b) {
        (Expression::Fixed(a), Expression::Fixed(b)) => {
            (a.column_index(), a.rotation()) == (b.column_index(), b.rotation())
        }
        _ => false,
    }
}

/// Declares the columns and gates of a profile.
pub fn configure(cs: &mut ConstraintSystem<Fr>, p: &Profile) -> Columns {
    let fixed = (0..p.folded_fixed_columns())
        .map(|_| cs.fixed_column())
        .collect();
    let instance = (0..p.lanes).map(|_| cs.instance_column()).collect();
    let [first, second, third] = p.folded_phases();
    let mut advice: Vec<_> = first.map(|_| cs.advice_column_in(FirstPhase)).collect();
    let drawn_second = [(); 4].map(|()| cs.challenge_usable_after(FirstPhase));
    advice.extend(second.map(|_| cs.advice_column_in(SecondPhase)));
    let drawn_third = [(); 2].map(|()| cs.challenge_usable_after(SecondPhase));
    advice.extend(third.map(|_| cs.advice_column_in(ThirdPhase)));
    let columns = Columns {
        profile: *p,
        advice,
        fixed,
        instance,
        second: drawn_second,
        third: drawn_third,
    };
    lookup_gates(cs, p, &columns);
    chain_gates(cs, p, &columns);
    boundary_gate(cs, p, &columns);
    if p.hash {
        hash_gates(cs, p, &columns);
    }
    cs.set_minimum_degree(p.degree());
    columns
}

/// Cells of the current row of the circuit.
pub(super) struct Row<'a, 'b> {
    pub(super) columns: &'a Columns,
    pub(super) cells: &'a mut VirtualCells<'b, Fr>,
}

impl Row<'_, '_> {
    fn advice_at(&mut self, Place { column, slot }: Place, rows_on: usize) -> Expr {
        let rotation = slot + rows_on * self.columns.profile.fold;
        self.cells
            .query_advice(self.columns.advice[column], Rotation(rotation as i32))
    }
    pub(super) fn advice(&mut self, i: usize) -> Expr {
        self.advice_at(self.columns.profile.advice_place(i), 0)
    }
    pub(super) fn next(&mut self, i: usize) -> Expr {
        self.advice_at(self.columns.profile.advice_place(i), 1)
    }
    pub(super) fn fixed(&mut self, i: usize) -> Expr {
        let Place { column, slot } = self.columns.profile.fixed_place(i);
        self.cells
            .query_fixed(self.columns.fixed[column], Rotation(slot as i32))
    }
    fn instance(&mut self, i: usize) -> Expr {
        self.cells
            .query_instance(self.columns.instance[i], Rotation::cur())
    }
    pub(super) fn challenge(&mut self, c: Challenge) -> Expr {
        self.cells.query_challenge(c)
    }
    fn lanes(&mut self, range: std::ops::Range<usize>) -> Vec<Expr> {
        range.map(|i| self.advice(i)).collect()
    }
    /// The gates where they hold: on the first of the `fold` rows of a row of the circuit.
    pub(super) fn hold(&mut self, gates: Vec<Expr>) -> Vec<Expr> {
        let Some(base) = self.columns.profile.base() else {
            return gates;
        };
        let base = self
            .cells
            .query_fixed(self.columns.fixed[base], Rotation::cur());
        gates.into_iter().map(|g| base.clone() * g).collect()
    }
}

/// The steps of `layout::path`: numerators 1, βx², βy, k and denominators 1, βx, βx², βy·k, where `k` is the power of `η`
/// by which a chain moves; 0 resets.
pub(super) struct Steps {
    bx: Expr,
    bx2: Expr,
    by: Expr,
}

impl Steps {
    pub(super) fn new(row: &mut Row<'_, '_>) -> Self {
        let [_, _, bx, by] = row.columns.second.map(|c| row.challenge(c));
        Steps {
            bx2: bx.clone() * bx.clone(),
            bx,
            by,
        }
    }

    /// The numerator that `x` selects.
    pub(super) fn num(&self, x: &Expr, k: &Expr) -> Expr {
        let values = [constant(1), self.bx2.clone(), self.by.clone(), k.clone()];
        select(
            x,
            &[None]
                .into_iter()
                .chain(values.map(Some))
                .collect::<Vec<_>>(),
        )
    }

    /// The denominator that `x` selects.
    pub(super) fn den(&self, x: &Expr, k: &Expr) -> Expr {
        let down = self.by.clone() * k.clone();
        let values = [constant(1), self.bx.clone(), self.bx2.clone(), down];
        select(
            x,
            &[None]
                .into_iter()
                .chain(values.map(Some))
                .collect::<Vec<_>>(),
        )
    }
}

/// logUp (Haböck 2022): `S_j(ωX) - S_j(X) = Σ N_i / D_i` over three fractions, cleared of denominators.
fn lookup_gates(cs: &mut ConstraintSystem<Fr>, p: &Profile, columns: &Columns) {
    for (j, sum) in p.sums().enumerate() {
        cs.create_gate("lookup", |cells| {
            let mut row = Row { columns, cells };
            let (delta, zeta) = (
                row.challenge(columns.second[0]),
                row.challenge(columns.second[1]),
            );
            let zeta2 = zeta.clone() * zeta.clone();
            let terms = j * LOOKUPS_PER_SUM..((j + 1) * LOOKUPS_PER_SUM).min(p.fractions());
            let fractions: Vec<(Expr, Expr)> = terms
                .map(|t| {
                    if t < p.lanes {
                        let a = row.advice(p.a().start + t);
                        let c = row.advice(p.c().start + t);
                        let tag = row.fixed(fixed::TAG);
                        let den = delta.clone() + a + zeta.clone() * c + zeta2.clone() * tag;
                        (row.fixed(fixed::CONSUME), den)
                    } else if t < p.lookups() {
                        let b = row.advice(t);
                        (row.fixed(fixed::CONSUME), delta.clone() + zeta2.clone() + b)
                    } else {
                        let table = t - p.lookups();
                        let [i, o, tag] = p.table(table).map(|column| row.fixed(column));
                        let den = delta.clone() + i + zeta.clone() * o + zeta2.clone() * tag;
                        (-row.advice(p.m().start + table), den)
                    }
                })
                .collect();
            let (denominators, numerators) = add_fractions(fractions);
            let step = row.next(sum) - row.advice(sum);
            let gate = row.fixed(fixed::ACTIVE) * (step * denominators - numerators);
            row.hold(vec![gate])
        });
    }
}

/// The running values of phase 3.
fn chain_gates(cs: &mut ConstraintSystem<Fr>, p: &Profile, columns: &Columns) {
    cs.create_gate("chains", |cells| {
        let mut row = Row { columns, cells };
        let (eta, _) = (row.challenge(columns.third[0]), columns.third[1]);
        let one = constant(1);
        let kappa = power(&eta, p.lanes.ilog2());
        let kappa_f = power(&eta, p.fixed_lanes.ilog2());
        let steps = Steps::new(&mut row);
        let num = |x: &Expr, k: &Expr| steps.num(x, k);
        let den = |x: &Expr, k: &Expr| steps.den(x, k);
        let [acc, cons, mu, z, dot, ub] = [
            Chain::Acc,
            Chain::Cons,
            Chain::Mu,
            Chain::Z,
            Chain::Dot,
            Chain::Ub,
        ]
        .map(|c| p.chain(c));

        let ha = horner(&eta, row.lanes(p.a()));
        let hb = {
            // From the highest limb down.
            let base = constant(1 << LIMB_BITS);
            let limbs = (0..p.limbs)
                .map(|limb| row.lanes(p.b(limb)))
                .rev()
                .reduce(|high, low| {
                    let pairs = low.into_iter().zip(high);
                    pairs.map(|(l, h)| l + h * base.clone()).collect()
                })
                .expect("one limb at least");
            horner(&eta, limbs)
        };
        let hc = horner(&eta, row.lanes(p.c()));
        let public = horner(&eta, (0..p.lanes).map(|l| row.instance(l)).collect());
        let hf = horner(
            &eta,
            (0..p.fixed_lanes)
                .map(|l| row.fixed(fixed::LANE0 + l))
                .collect(),
        );

        let mu_now = row.advice(mu);
        let produced = row.fixed(fixed::SCALE_A) * (ha + mu_now.clone())
            + row.fixed(fixed::SCALE_B) * hb
            + row.fixed(fixed::INSTANCE) * public;
        let acc_gate = den(&row.fixed(fixed::ACC_DEN), &kappa) * row.next(acc)
            - num(&row.fixed(fixed::ACC_NUM), &kappa) * row.advice(acc)
            - produced;

        let consumed =
            row.fixed(fixed::CONSUME) * hc.clone() + row.fixed(fixed::ONE) * kappa.clone();
        let cons_gate = den(&row.fixed(fixed::CONS_DEN), &kappa) * row.next(cons)
            - num(&row.fixed(fixed::CONS_NUM), &kappa) * row.advice(cons)
            - consumed;

        let active = row.fixed(fixed::ACTIVE);
        let mu_gate = active.clone() * row.next(mu) - row.fixed(fixed::WINDOW) * (mu_now + hc);

        let z_now = row.advice(z);
        let z_gate = den(&row.fixed(fixed::Z_DEN), &kappa_f) * (row.next(z) - hf)
            - num(&row.fixed(fixed::Z_NUM), &kappa_f) * z_now.clone();

        let u = row.advice(p.u());
        let op = row.fixed(fixed::U_OP);
        let ends = select(&op, &[None, Some(one.clone()), None, None]);
        let dot_op = row.fixed(fixed::DOT_OP);
        let grow = kappa_f - one.clone();
        let half = Expression::Constant(Fr::from(2).invert().expect("2 is not 0"));
        let up = dot_op.clone() * (constant(2) - dot_op.clone());
        let down = dot_op.clone() * (dot_op - one.clone()) * half;
        let dot_gate = active.clone()
            * (row.next(dot) * (one.clone() + down * grow.clone())
                - row.advice(dot) * (one.clone() + up * grow))
            - ends.clone() * (u.clone() * z_now);

        let by_eta = eta - one.clone();
        let factor = select(
            &op,
            &[None, Some(by_eta.clone()), Some(kappa - one), Some(by_eta)],
        );
        let ub_now = row.advice(ub);
        let ub_gate = active * (row.next(ub) - ub_now.clone()) - factor * ub_now - ends * u;

        row.hold(vec![
            acc_gate, cons_gate, mu_gate, z_gate, dot_gate, ub_gate,
        ])
    });
}

/// First and last row: empty starts, logUp total 0, and `acc + λ·cons = dot + λ·ub`, where a profile that hashes adds
/// the functional of what it hashed to `acc`.
fn boundary_gate(cs: &mut ConstraintSystem<Fr>, p: &Profile, columns: &Columns) {
    cs.create_gate("boundary", |cells| {
        let mut row = Row { columns, cells };
        let at = row.fixed(fixed::BOUNDARY);
        let not = |value: i64| at.clone() - constant(value as u64);
        let mut ends = at.clone();
        if p.hash {
            ends = ends * not(boundary::LOAD) * not(boundary::DIGEST);
        }
        let first = ends.clone() * not(boundary::LAST);
        let last = ends.clone() * not(boundary::FIRST);
        let lambda = row.challenge(columns.third[1]);
        let chain = |row: &mut Row<'_, '_>, c| row.advice(p.chain(c));
        let sums = p
            .sums()
            .map(|s| row.advice(s))
            .reduce(|a, b| a + b)
            .expect("one sum at least");
        let (mut acc, cons) = (chain(&mut row, Chain::Acc), chain(&mut row, Chain::Cons));
        if p.hash {
            acc = acc + chain(&mut row, Chain::Hashed);
        }
        let (dot, ub) = (chain(&mut row, Chain::Dot), chain(&mut row, Chain::Ub));
        let mu = chain(&mut row, Chain::Mu);
        row.hold(vec![
            ends * sums,
            first.clone() * mu,
            first.clone() * dot.clone(),
            first * ub.clone(),
            last * (acc - dot + lambda * (cons - ub)),
        ])
    });
}
