//! The gates a second time: `docs/arithmetization.md`, computed from cells by their names.
//!
//! Nothing here is shared with `gates.rs` and `profile.rs`, which write the same as polynomials. Two polynomials that
//! agree in a random point are one, so that a gate, factor, term, lane, limb, challenge, rotation or constant that one of
//! both writings lacks shows.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::system::{Cell, Kind, System, Tree};
use crate::hash::poseidon;
use crate::profile::Profile;

/// Names of the challenges in the order in which they are drawn, and the phase after which.
const CHALLENGES: [(&str, u8); 6] = [
    ("delta", 0),
    ("zeta", 0),
    ("beta_x", 0),
    ("beta_y", 0),
    ("eta", 1),
    ("lambda", 1),
];

/// The fixed columns in front of the weights.
const SELECTORS: [&str; 17] = [
    "ACTIVE", "BOUNDARY", "SCALE_A", "SCALE_B", "CONSUME", "TAG", "ACC_NUM", "ACC_DEN", "CONS_NUM",
    "CONS_DEN", "Z_NUM", "Z_DEN", "U_OP", "DOT_OP", "ONE", "INSTANCE", "WINDOW",
];

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{name}{i}")).collect()
}

/// Advice columns of the circuit by phase.
fn advice(p: &Profile) -> [Vec<String>; 3] {
    let mut first = numbered("a", p.lanes);
    for limb in 0..p.limbs {
        first.extend(numbered(&format!("b{limb}_"), p.lanes));
    }
    first.extend(numbered("c", p.lanes));
    first.extend(numbered("m", p.tables));
    let mut third = ["acc", "cons", "mu", "z", "dot", "ub"]
        .map(String::from)
        .to_vec();
    if p.hash {
        first.extend(["s0", "s1", "s2", "q"].map(String::from));
        third.push("hashed".into());
    }
    let mut second = vec!["u".to_owned()];
    second.extend(numbered("S", sums(p)));
    [first, second, third]
}

/// Fixed columns of the circuit.
fn fixed(p: &Profile) -> Vec<String> {
    let mut out = SELECTORS.map(String::from).to_vec();
    out.extend(numbered("F", p.fixed_lanes));
    for table in 0..p.tables {
        out.extend(["IN", "OUT", "TABLE_TAG"].map(|name| format!("{name}{table}")));
    }
    if p.hash {
        out.extend(["HASH_OP", "HASH_CONSTANT", "HASH_NUM", "HASH_DEN"].map(String::from));
    }
    out
}

/// Columns of running sums, three fractions each: one for each pair `(a, c)`, limb and table.
fn sums(p: &Profile) -> usize {
    (p.lanes * (1 + p.limbs) + p.tables).div_ceil(3)
}

/// Where the columns stand among those of halo2: `fold` of one phase in one, in the rows `0..fold`.
fn places(p: &Profile) -> (HashMap<String, Cell>, Vec<u8>) {
    let mut out = HashMap::new();
    let mut put = |kind, first: usize, names: Vec<String>| {
        let columns = names.len().div_ceil(p.fold);
        for (i, name) in names.into_iter().enumerate() {
            let cell = Cell {
                kind,
                column: first + i / p.fold,
                rotation: (i % p.fold) as i32,
            };
            assert_eq!(out.insert(name, cell), None, "a name of its own");
        }
        columns
    };
    let mut phases = Vec::new();
    for (phase, names) in (0..).zip(advice(p)) {
        let columns = put(Kind::Advice, phases.len(), names);
        phases.extend(std::iter::repeat_n(phase, columns));
    }
    let columns = put(Kind::Fixed, 0, fixed(p));
    if p.fold > 1 {
        put(Kind::Fixed, columns, vec!["BASE".into()]);
    }
    for (lane, name) in numbered("inst", p.lanes).into_iter().enumerate() {
        put(Kind::Instance, lane, vec![name]);
    }
    (out, phases)
}

/// Values of all cells and challenges: as good as random, and those of different cells as good as independent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point(pub(super) u64);

impl Point {
    fn draw(self, what: [u64; 3]) -> Fr {
        let mut state = what.into_iter().fold(self.0, |mut state, part| {
            state ^= part;
            split_mix(&mut state)
        });
        let mut next = || split_mix(&mut state);
        Fr::from_raw([next(), next(), next(), next() >> 4])
    }

    pub(super) fn cell(self, at: Cell) -> Fr {
        self.draw([at.kind as u64, at.column as u64, at.rotation as u64])
    }

    pub(super) fn challenge(self, i: usize) -> Fr {
        self.draw([3, i as u64, 0])
    }

    /// A polynomial's value.
    pub(super) fn of(self, tree: &Tree) -> Fr {
        tree.value(&|at| self.cell(at), &|i| self.challenge(i))
    }
}

/// The generator splitmix64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A row of the circuit by its columns' names.
struct Row<'a> {
    point: Point,
    fold: i32,
    places: &'a HashMap<String, Cell>,
    read: RefCell<BTreeSet<Cell>>,
}

impl Row<'_> {
    fn at(&self, name: &str, rows_on: i32) -> Fr {
        let mut cell = self.places[name];
        cell.rotation += rows_on * self.fold;
        self.read.borrow_mut().insert(cell);
        self.point.cell(cell)
    }
    fn now(&self, name: &str) -> Fr {
        self.at(name, 0)
    }
    fn next(&self, name: &str) -> Fr {
        self.at(name, 1)
    }
    fn challenge(&self, name: &str) -> Fr {
        let index = CHALLENGES.iter().position(|c| c.0 == name);
        self.point.challenge(index.expect("one of six"))
    }
    /// `Σ_ℓ η^ℓ x_ℓ`.
    fn lanes(&self, name: &str, count: usize) -> Fr {
        let names = numbered(name, count);
        let terms = names.iter().enumerate();
        terms
            .map(|(l, name)| self.challenge("eta").pow_vartime([l as u64]) * self.now(name))
            .sum()
    }
}

/// Lagrange's polynomial through the points `(key, value)`.
fn choose(x: Fr, points: &[(u64, Fr)]) -> Fr {
    let mut sum = Fr::ZERO;
    for (i, value) in points {
        let (mut over, mut under) = (Fr::ONE, Fr::ONE);
        for (j, _) in points.iter().filter(|(j, _)| j != i) {
            over *= x - Fr::from(*j);
            under *= Fr::from(*i) - Fr::from(*j);
        }
        sum += value * over * under.invert().expect("keys differ");
    }
    sum
}

/// `Σ N_i/D_i` with its denominators cleared: `(Π D_i, Σ_i N_i·Π_(j≠i) D_j)`.
fn cleared(fractions: &[(Fr, Fr)]) -> (Fr, Fr) {
    let all = fractions.iter().map(|f| f.1).product();
    let one = |i: usize| -> Fr {
        let others = fractions.iter().enumerate().filter(|(j, _)| *j != i);
        fractions[i].0 * others.map(|(_, f)| f.1).product::<Fr>()
    };
    (all, (0..fractions.len()).map(one).sum())
}

/// What is 0 on every row where the gates hold, by gate.
fn equations(p: &Profile, row: &Row<'_>) -> Vec<(String, Fr)> {
    let lookups = lookups(p, row).into_iter();
    let mut out: Vec<(String, Fr)> = lookups.map(|value| ("lookup 0".into(), value)).collect();
    let mut named = |gate: &str, values: Vec<Fr>| {
        let values = values.into_iter().enumerate();
        out.extend(values.map(|(i, value)| (format!("{gate} {i}"), value)));
    };
    named("chains", chains(p, row).into());
    named("boundary", boundaries(p, row).into());
    if p.hash {
        named("hash", hashing(row).into());
    }
    // In folded profiles they hold on the first of the rows of halo2 alone.
    if p.fold > 1 {
        let base = row.now("BASE");
        out.iter_mut().for_each(|(_, value)| *value *= base);
    }
    out
}

fn lookups(p: &Profile, row: &Row<'_>) -> Vec<Fr> {
    let (delta, zeta) = (row.challenge("delta"), row.challenge("zeta"));
    let tuple = |x: Fr, y: Fr, tag: Fr| delta + x + zeta * y + zeta.square() * tag;
    let mut fractions = Vec::new();
    for lane in 0..p.lanes {
        let [a, c] = ["a", "c"].map(|name| row.now(&format!("{name}{lane}")));
        fractions.push((row.now("CONSUME"), tuple(a, c, row.now("TAG"))));
    }
    for limb in 0..p.limbs {
        for name in numbered(&format!("b{limb}_"), p.lanes) {
            let b = row.now(&name);
            fractions.push((row.now("CONSUME"), tuple(b, Fr::ZERO, Fr::ONE)));
        }
    }
    for table in 0..p.tables {
        let [i, o, tag] = ["IN", "OUT", "TABLE_TAG"].map(|name| row.now(&format!("{name}{table}")));
        let m = row.now(&format!("m{table}"));
        fractions.push((-m, tuple(i, o, tag)));
    }
    let sums = fractions.chunks(3).zip(numbered("S", sums(p)));
    sums.map(|(fractions, sum)| {
        let (denominators, numerators) = cleared(fractions);
        let step = row.next(&sum) - row.now(&sum);
        row.now("ACTIVE") * (step * denominators - numerators)
    })
    .collect()
}

/// Factors of `chain'` and of `chain`, for a chain that moves along `η` by `k`.
fn steps(row: &Row<'_>, den: &str, num: &str, k: Fr) -> (Fr, Fr) {
    let (bx, by) = (row.challenge("beta_x"), row.challenge("beta_y"));
    let none = (0, Fr::ZERO);
    let dens = [none, (1, Fr::ONE), (2, bx), (3, bx.square()), (4, by * k)];
    let nums = [none, (1, Fr::ONE), (2, bx.square()), (3, by), (4, k)];
    (choose(row.now(den), &dens), choose(row.now(num), &nums))
}

fn chains(p: &Profile, row: &Row<'_>) -> [Fr; 6] {
    let eta = row.challenge("eta");
    let kappa = eta.pow_vartime([p.lanes as u64]);
    let kappa_f = eta.pow_vartime([p.fixed_lanes as u64]);

    let remainders: Fr = (0..p.limbs)
        .map(|limb| {
            let place = Fr::from(256).pow_vartime([limb as u64]);
            place * row.lanes(&format!("b{limb}_"), p.lanes)
        })
        .sum();
    let (den, num) = steps(row, "ACC_DEN", "ACC_NUM", kappa);
    let produced = row.now("SCALE_A") * (row.lanes("a", p.lanes) + row.now("mu"))
        + row.now("SCALE_B") * remainders
        + row.now("INSTANCE") * row.lanes("inst", p.lanes);
    let acc = den * row.next("acc") - num * row.now("acc") - produced;

    let (den, num) = steps(row, "CONS_DEN", "CONS_NUM", kappa);
    let consumed = row.now("CONSUME") * row.lanes("c", p.lanes) + row.now("ONE") * kappa;
    let cons = den * row.next("cons") - num * row.now("cons") - consumed;

    let grown = row.now("mu") + row.lanes("c", p.lanes);
    let mu = row.now("ACTIVE") * row.next("mu") - row.now("WINDOW") * grown;

    let (den, num) = steps(row, "Z_DEN", "Z_NUM", kappa_f);
    let folded = row.next("z") - row.lanes("F", p.fixed_lanes);
    let z = den * folded - num * row.now("z");

    let (one, none) = (Fr::ONE, Fr::ZERO);
    let end = choose(
        row.now("U_OP"),
        &[(0, none), (1, one), (2, none), (3, none)],
    );
    let up = choose(row.now("DOT_OP"), &[(0, one), (1, kappa_f), (2, one)]);
    let down = choose(row.now("DOT_OP"), &[(0, one), (1, one), (2, kappa_f)]);
    let moved = row.next("dot") * down - row.now("dot") * up;
    let dot = row.now("ACTIVE") * moved - end * row.now("u") * row.now("z");

    let factor = choose(
        row.now("U_OP"),
        &[(0, none), (1, eta - one), (2, kappa - one), (3, eta - one)],
    );
    let moved = row.next("ub") - row.now("ub");
    let ub = row.now("ACTIVE") * moved - factor * row.now("ub") - end * row.now("u");
    [acc, cons, mu, z, dot, ub]
}

fn boundaries(p: &Profile, row: &Row<'_>) -> [Fr; 5] {
    let at = row.now("BOUNDARY");
    let not = |value: u64| at - Fr::from(value);
    // 1 in the first row, 2 in the last; 3 and 4, where profiles hash, are for the hash's own gates.
    let others = if p.hash { not(3) * not(4) } else { Fr::ONE };
    let (first, last) = (at * not(2) * others, at * not(1) * others);
    let total: Fr = numbered("S", sums(p)).iter().map(|s| row.now(s)).sum();
    let hashed = if p.hash { row.now("hashed") } else { Fr::ZERO };
    let produced = row.now("acc") + hashed - row.now("dot");
    let consumed = row.now("cons") - row.now("ub");
    [
        at * others * total,
        first * row.now("mu"),
        first * row.now("dot"),
        first * row.now("ub"),
        last * (produced + row.challenge("lambda") * consumed),
    ]
}

fn hashing(row: &Row<'_>) -> [Fr; 8] {
    const OPS: [u64; 5] = [0, 1, 2, 4, 5];
    let op = row.now("HASH_OP");
    let only = |key: u64| choose(op, &OPS.map(|k| (k, Fr::from(u64::from(k == key)))));
    let (sbox, round, absorb, rotate) = (only(1), only(2), only(4), only(5));
    // Cubics: 1 in the S-box's two operations; 1 where a row absorbs, 0 where the state is permuted.
    let twelfth = Fr::from(12).invert().expect("12 is not 0");
    let passes = op * (op - Fr::from(4)) * (op - Fr::from(5)) * twelfth;
    let absorbs = choose(op, &[1, 2, 4, 5].map(|k| (k, Fr::from(u64::from(k == 4)))));

    let constant = row.now("HASH_CONSTANT");
    let [s0, s1, s2] = ["s0", "s1", "s2"].map(|s| row.now(s));
    let [n0, n1, n2] = ["s0", "s1", "s2"].map(|s| row.next(s));
    let (x, q) = (s0 + constant, row.now("q"));
    let y = q * x;
    let back = poseidon::parameters().inverse;
    let [k0, k1, k2] = [0, 1, 2].map(|i| back[i][0] * n0 + back[i][1] * n1 + back[i][2] * n2);

    let edges = [0, 1, 2, 3, 4];
    let at = |key: u64| {
        let points = edges.map(|k| (k, Fr::from(u64::from(k == key))));
        choose(row.now("BOUNDARY"), &points)
    };
    let (load, digest) = (at(3), at(4));
    let (den, num) = steps(row, "HASH_DEN", "HASH_NUM", row.challenge("eta"));
    let value = absorbs * constant * (n0 - s0) + digest * s0;
    [
        row.now("ACTIVE") * (q - x.pow_vartime([4])),
        sbox * n2 + round * k0 + rotate * (n2 - s0) - passes * y,
        (sbox + rotate) * (n0 - s1) + round * (k1 - s1) + absorb * (n1 - s1),
        (sbox + rotate) * (n1 - s2) + round * (k2 - s2) + absorb * (n2 - s2),
        load * (s0 - constant),
        load * s1,
        load * s2,
        den * row.next("hashed") - num * row.now("hashed") - value,
    ]
}

/// What the constraint system of a profile has to be.
pub(super) struct Judge {
    profile: Profile,
    point: Point,
    equations: Vec<(String, Fr)>,
    phases: Vec<u8>,
    opened: BTreeSet<Cell>,
    fixed: usize,
}

impl Judge {
    /// From the equations alone.
    pub(super) fn new(profile: Profile) -> Self {
        let point = Point(0x7e11);
        let (places, phases) = places(&profile);
        let row = Row {
            point,
            fold: profile.fold as i32,
            places: &places,
            read: RefCell::default(),
        };
        let equations = equations(&profile, &row);
        let columns = places.values().filter(|cell| cell.kind == Kind::Fixed);
        Judge {
            profile,
            point,
            equations,
            phases,
            opened: row.read.into_inner(),
            fixed: columns.map(|cell| cell.column + 1).max().unwrap_or(0),
        }
    }

    /// Whether a polynomial is the `i`-th gate's.
    pub(super) fn gate(&self, i: usize, gate: &(String, Tree)) -> Result<(), String> {
        let (name, value) = &self.equations[i];
        if gate.0 != *name || self.point.of(&gate.1) != *value {
            return Err(format!("gate {i}, {}, is not {name}", gate.0));
        }
        Ok(())
    }

    /// Whether a constraint system is the profile's.
    pub(super) fn system(&self, system: &System) -> Result<(), String> {
        let same = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        let p = &self.profile;
        same(
            system.gates.len() == self.equations.len(),
            "number of gates",
        )?;
        for (i, gate) in system.gates.iter().enumerate() {
            self.gate(i, gate)?;
        }
        same(system.columns == self.phases, "phases of the columns")?;
        same(
            system.challenges == CHALLENGES.map(|c| c.1),
            "phases of the challenges",
        )?;
        same(system.fixed == self.fixed, "number of fixed columns")?;
        same(system.instance == p.lanes, "number of instance columns")?;
        same(system.opened == self.opened, "cells that are opened")?;
        same(system.others == 0, "copy constraints, lookups, selectors")?;
        // Three fractions of degree 1 beside the step and [ACTIVE]; a folded profile's [BASE] adds one.
        let degree = 5 + usize::from(p.fold > 1);
        let highest = system.gates.iter().map(|gate| gate.1.degree()).max();
        same(highest == Some(degree), "degree of the gates")?;
        same(system.degree == degree, "degree of the quotient")?;
        // Each opening tells one value of a column, the argument of the openings one more; halo2 keeps a row besides, and
        // one between.
        let columns = 0..self.phases.len();
        let of = |column| {
            let opened = self.opened.iter();
            opened
                .filter(|cell| cell.kind == Kind::Advice && cell.column == column)
                .count()
        };
        let openings = columns.map(of).max().unwrap_or(0).max(3);
        same(system.blinding == openings + 3, "rows for blinding")
    }
}
