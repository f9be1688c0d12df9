//! The numerator of the quotient.
//!
//! All constraints must vanish on the domain `{ω^i}`. With a challenge `y` they are combined into one,
//!
//! ```text
//! N(X) = Σ_i y^{m-1-i}·e_i(X),    e = gates…, permutation…
//! ```
//!
//! and the prover shows that `h(X) = N(X)/(X^n - 1)` is a polynomial. The permutation's constraints are,
//! with `p_j` its columns, `z_s` its products over chunks of columns and `u` the number of usable rows:
//!
//! ```text
//! l_0·(1 - z_0)                                   the first product starts at 1
//! l_last·(z_last² - z_last)                       the last one ends at 1 (or at 0, see halo2)
//! l_0·(z_s - z_{s-1}(ω^u·X))                      each other starts where the one before ended
//! l_active·(z_s(ωX)·Π_j (p_j + β·s_j + γ) - z_s·Π_j (p_j + β·δ^j·X + γ))
//! ```

use ff::{Field, PrimeField};
use halo2_proofs::{halo2curves::bn256::Fr, plonk::ConstraintSystem};

use super::plan::{Builder, Operand, Source};
use crate::{
    keys::{permutation_chunk, permutation_sets},
    srs::powers,
};

/// The columns of the permutation argument, in its order.
pub(crate) fn permutation_columns(cs: &ConstraintSystem<Fr>) -> Vec<Source> {
    use halo2_proofs::plonk::Any;
    let columns = cs.permutation().get_columns();
    columns
        .into_iter()
        .map(|column| match column.column_type() {
            Any::Advice(_) => Source::Advice(column.index()),
            Any::Fixed => Source::Fixed(column.index()),
            Any::Instance => Source::Instance(column.index()),
        })
        .collect()
}

/// The challenges of the permutation argument and of the combination.
pub(crate) struct Challenges {
    pub(crate) beta: Fr,
    pub(crate) gamma: Fr,
    pub(crate) y: Fr,
}

/// The rotation of the row after the usable ones, seen from the first row.
pub(crate) fn last_rotation(cs: &ConstraintSystem<Fr>) -> i32 {
    -(i32::try_from(cs.blinding_factors()).expect("blinding rows are few") + 1)
}

/// Adds the numerator `N` to a plan; its root.
pub(crate) fn numerator(
    b: &mut Builder,
    cs: &ConstraintSystem<Fr>,
    circuit_challenges: &[Fr],
    challenges: &Challenges,
) -> Operand {
    let mut terms: Vec<Operand> = vec![];
    for polynomial in cs.gates().iter().flat_map(|gate| gate.polynomials()) {
        terms.push(b.expression(polynomial, circuit_challenges));
    }
    permutation_terms(b, cs, challenges, &mut terms);
    let y = b.constant(challenges.y);
    let mut sum = b.constant(Fr::ZERO);
    for term in terms {
        let scaled = b.mul(sum, y);
        sum = b.add(scaled, term);
    }
    sum
}

fn permutation_terms(
    b: &mut Builder,
    cs: &ConstraintSystem<Fr>,
    challenges: &Challenges,
    terms: &mut Vec<Operand>,
) {
    let sets = permutation_sets(cs);
    if sets == 0 {
        return;
    }
    let product = |b: &mut Builder, set: usize, rotation| b.query(Source::Product(set), rotation);
    let (first, last) = (b.query(Source::First, 0), b.query(Source::Last, 0));
    let active = b.query(Source::Active, 0);
    let (one, x) = (b.constant(Fr::ONE), b.query(Source::X, 0));

    let z = product(b, 0, 0);
    let start = b.sub(one, z);
    terms.push(b.mul(first, start));

    let z = product(b, sets - 1, 0);
    let square = b.mul(z, z);
    let end = b.sub(square, z);
    terms.push(b.mul(last, end));

    for set in 1..sets {
        let (z, before) = (product(b, set, 0), product(b, set - 1, last_rotation(cs)));
        let step = b.sub(z, before);
        terms.push(b.mul(first, step));
    }

    let (beta, gamma) = (b.constant(challenges.beta), b.constant(challenges.gamma));
    let columns = permutation_columns(cs);
    let chunk = permutation_chunk(cs);
    let deltas = powers(Fr::DELTA, columns.len());
    for (set, sources) in columns.chunks(chunk).enumerate() {
        let (mut left, mut right) = (product(b, set, 1), product(b, set, 0));
        for (j, source) in sources.iter().enumerate() {
            let j = set * chunk + j;
            let value = b.query(*source, 0);
            let value = b.add(value, gamma);
            let sigma = b.query(Source::Sigma(j), 0);
            let sigma = b.mul(beta, sigma);
            let factor = b.add(value, sigma);
            left = b.mul(left, factor);
            let identity = b.constant(challenges.beta * deltas[j]);
            let identity = b.mul(identity, x);
            let factor = b.add(value, identity);
            right = b.mul(right, factor);
        }
        let difference = b.sub(left, right);
        terms.push(b.mul(active, difference));
    }
}
