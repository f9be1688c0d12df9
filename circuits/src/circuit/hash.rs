//! The gates of profiles that hash: one row absorbs a value, rotates the state, or does the work of one S-box.
//!
//! Every gate vanishes where the fixed columns are 0, but for the S-box's own, which [`fixed::ACTIVE`] switches.

use halo2_proofs::{
    halo2curves::bn256::Fr,
    plonk::{ConstraintSystem, Expression},
};

use super::gates::{Columns, Expr, Row, Steps, constant};
use crate::hash::poseidon::parameters;
use crate::profile::{Chain, HashFixed, Profile, boundary, fixed, hash_op};

/// A product of `x - root` over small roots, scaled to 1 at `one`.
fn vanishing(x: &Expr, roots: &[i64], one: i64) -> Expr {
    let root = |r: i64| Fr::from(r as u64);
    let scale: Fr = roots.iter().map(|r| root(one) - root(*r)).product();
    let scale = Option::<Fr>::from(scale.invert()).expect("`one` is no root");
    let factor = |r: &i64| match r {
        0 => x.clone(),
        r => x.clone() - constant(*r as u64),
    };
    let product = roots.iter().map(factor).reduce(|a, b| a * b);
    product.expect("one root at least") * Expression::Constant(scale)
}

pub(super) fn hash_gates(cs: &mut ConstraintSystem<Fr>, p: &Profile, columns: &Columns) {
    cs.create_gate("hash", |cells| {
        let mut row = Row { columns, cells };
        let state = p.hash_state();
        let [s0, s1, s2] = [0, 1, 2].map(|i| row.advice(state.start + i));
        let next = [0, 1, 2].map(|i| row.next(state.start + i));
        let [n0, n1, n2] = next.clone();
        let fourth = row.advice(state.start + 3);
        let op = row.fixed(p.hash_fixed(HashFixed::Op));
        let added = row.fixed(p.hash_fixed(HashFixed::Constant));

        let x = s0.clone() + added.clone();
        let square = x.clone() * x.clone();
        let power = row.fixed(fixed::ACTIVE) * (fourth.clone() - square.clone() * square);
        let y = fourth * x;

        use hash_op::{ABSORB, OFF, ROTATE, ROUND, SBOX};
        let only = |one: i64| {
            let others = [OFF, SBOX, ROUND, ABSORB, ROTATE];
            let others: Vec<i64> = others.into_iter().filter(|o| *o != one).collect();
            vanishing(&op, &others, one)
        };
        let [sbox, round, absorb, rotate] = [SBOX, ROUND, ABSORB, ROTATE].map(only);
        // 1 in both kinds of rows that have an S-box, see `hash_op`.
        let passes = vanishing(&op, &[OFF, ABSORB, ROTATE], SBOX);
        // A round's equations are those of the inverse matrix, so that `y` stands in one of them only.
        let [k0, k1, k2] = parameters().inverse.map(|line| {
            let terms = line.into_iter().zip(next.clone());
            terms
                .map(|(k, n)| n * Expression::Constant(k))
                .reduce(|a, b| a + b)
                .expect("three terms")
        });
        let turns = sbox.clone() + rotate.clone();
        let first = sbox * n2.clone() + rotate * (n2.clone() - s0.clone()) + round.clone() * k0
            - passes * y;
        let second = turns.clone() * (n0.clone() - s1.clone())
            + round.clone() * (k1 - s1.clone())
            + absorb.clone() * (n1.clone() - s1.clone());
        let third =
            turns * (n1 - s2.clone()) + round * (k2 - s2.clone()) + absorb * (n2 - s2.clone());

        let at = row.fixed(fixed::BOUNDARY);
        let edge = |one: i64| {
            let others = [
                0,
                boundary::FIRST,
                boundary::LAST,
                boundary::LOAD,
                boundary::DIGEST,
            ];
            let others: Vec<i64> = others.into_iter().filter(|o| *o != one).collect();
            vanishing(&at, &others, one)
        };
        let load = edge(boundary::LOAD);
        let loads = [
            load.clone() * (s0.clone() - added.clone()),
            load.clone() * s1,
            load * s2,
        ];

        // What a row absorbs, with the inverse of its weight as the constant; rows that are off have constant 0.
        let weighted = vanishing(&op, &[SBOX, ROUND, ROTATE], ABSORB) * added;
        let value = weighted * (n0 - s0.clone()) + edge(boundary::DIGEST) * s0;
        let steps = Steps::new(&mut row);
        let eta = row.challenge(columns.third[0]);
        let hashed = p.chain(Chain::Hashed);
        let (num, den) = (
            row.fixed(p.hash_fixed(HashFixed::Num)),
            row.fixed(p.hash_fixed(HashFixed::Den)),
        );
        let chain = steps.den(&den, &eta) * row.next(hashed)
            - steps.num(&num, &eta) * row.advice(hashed)
            - value;

        let mut gates = vec![power, first, second, third];
        gates.extend(loads);
        gates.push(chain);
        row.hold(gates)
    });
}
