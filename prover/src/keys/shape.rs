//! What a constraint system says of a circuit's proofs.

use std::collections::HashMap;

use ff::{Field, PrimeField, WithSmallOrderMulGroup};
use halo2_proofs::{
    halo2curves::bn256::Fr,
    plonk::{Circuit, ConstraintSystem},
    poly::EvaluationDomain,
};

use crate::{
    srs::{MAX_K, root_of_unity},
    transcript::{POINT_BYTES, SCALAR_BYTES},
};

/// Why a circuit is none that this crate can prove.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// The circuit uses halo2's own lookup argument.
    #[error(
        "the circuit uses halo2's lookup argument ({count} times), which this prover lacks; express \
         lookups as a running sum over challenges"
    )]
    LegacyLookup {
        /// How many lookups there are.
        count: usize,
    },
    /// halo2 takes a smaller degree for the circuit than its gates have.
    ///
    /// `ConstraintSystem::degree` is capped at 5; proofs of a circuit above the cap would be made but never verify.
    #[error(
        "gate `{gate}` has degree {degree}, but halo2 counts {assumed}; call \
         `set_minimum_degree({degree})` in `configure`"
    )]
    DegreeCapped {
        /// The gate.
        gate: String,
        /// Its degree.
        degree: usize,
        /// The degree halo2 takes for the whole circuit.
        assumed: usize,
    },
    /// The environment changes what halo2 takes for a circuit's degree.
    #[error(
        "the environment variable MAX_DEGREE is `{value}`: it would change the circuit's degree, and so its keys; \
         unset it"
    )]
    Environment {
        /// The variable's value.
        value: String,
    },
    /// A column is queried at two rotations that are the same row.
    ///
    /// Its polynomial would be opened twice at one point, which verifiers must refuse.
    #[error(
        "{kind} column {column} is queried at rotations {first} and {second}, the same row in 2^{k} \
         rows; use a larger k"
    )]
    SameRow {
        /// Advice or fixed.
        kind: &'static str,
        /// Index of the column.
        column: usize,
        /// A rotation.
        first: i32,
        /// The other rotation.
        second: i32,
        /// Base-2 logarithm of the number of rows.
        k: u32,
    },
    /// The rows do not even hold the blinding values.
    #[error("2^{k} rows are too few: blinding alone needs {needed}; use a larger k")]
    TooFewRows {
        /// Base-2 logarithm of the number of rows.
        k: u32,
        /// The least number of rows.
        needed: usize,
    },
    /// The quotient needs a domain the field does not have, or cells cannot be numbered.
    #[error("2^{k} rows at degree {degree} are too many for the scalar field")]
    TooManyRows {
        /// Base-2 logarithm of the number of rows.
        k: u32,
        /// The circuit's degree.
        degree: usize,
    },
}

/// halo2's cap on the degree of a circuit that announces none.
const DEGREE_CAP: &str = "5";

/// Checks that the environment leaves halo2's cap on degrees as it is.
///
/// halo2 reads the variable `MAX_DEGREE` whenever it is asked for a degree. It panics where that is no number, and any
/// other number than its own can give other keys and proofs that nobody accepts.
///
/// # Errors
/// [`ShapeError::Environment`].
pub fn check_environment() -> Result<(), ShapeError> {
    check_cap(std::env::var("MAX_DEGREE").ok())
}

fn check_cap(value: Option<String>) -> Result<(), ShapeError> {
    match value {
        Some(value) if value != DEGREE_CAP => Err(ShapeError::Environment { value }),
        // halo2 takes what is no text for nothing.
        _ => Ok(()),
    }
}

/// The circuit's constraint system as its author wrote it, with the configuration.
pub(crate) fn configure<C: Circuit<Fr>>(
    params: C::Params,
) -> Result<(ConstraintSystem<Fr>, C::Config), ShapeError> {
    check_environment()?;
    let mut cs = ConstraintSystem::default();
    let config = C::configure_with_params(&mut cs, params);
    Ok((cs, config))
}

/// The constraint system with its selectors as fixed columns, as keys hold it.
pub(crate) fn without_selectors(cs: ConstraintSystem<Fr>) -> ConstraintSystem<Fr> {
    let nowhere = vec![vec![]; cs.num_selectors()];
    cs.directly_convert_selectors_to_fixed(nowhere).0
}

/// Checks that circuits of this shape can be proved in `2^k` rows.
pub(crate) fn check(cs: &ConstraintSystem<Fr>, k: u32) -> Result<(), ShapeError> {
    if !cs.lookups().is_empty() {
        return Err(ShapeError::LegacyLookup {
            count: cs.lookups().len(),
        });
    }
    let degree = cs.degree();
    for gate in cs.gates() {
        let gate_degree = gate
            .polynomials()
            .iter()
            .map(|p| p.degree())
            .max()
            .unwrap_or(0);
        if gate_degree > degree {
            return Err(ShapeError::DegreeCapped {
                gate: gate.name().to_owned(),
                degree: gate_degree,
                assumed: degree,
            });
        }
    }
    let cells = cs.permutation().get_columns().len().max(1) as u64;
    if k > MAX_K || extended_k(degree, k) > Fr::S || cells << k > u64::from(u32::MAX) {
        return Err(ShapeError::TooManyRows { k, degree });
    }
    let needed = cs.minimum_rows();
    if 1usize << k < needed {
        return Err(ShapeError::TooFewRows { k, needed });
    }
    let advice = cs
        .advice_queries()
        .iter()
        .map(|(c, r)| ("advice", c.index(), r.0));
    let fixed = cs
        .fixed_queries()
        .iter()
        .map(|(c, r)| ("fixed", c.index(), r.0));
    let mut seen = HashMap::new();
    for (kind, column, rotation) in advice.chain(fixed) {
        let row = i64::from(rotation).rem_euclid(1 << k);
        if let Some(first) = seen.insert((kind, column, row), rotation) {
            return Err(ShapeError::SameRow {
                kind,
                column,
                first,
                second: rotation,
                k,
            });
        }
    }
    Ok(())
}

/// Rows that a circuit may use; those after them hold blinding values.
pub(crate) fn usable_rows(cs: &ConstraintSystem<Fr>, k: u32) -> usize {
    (1 << k) - (cs.blinding_factors() + 1)
}

/// How many phases the circuit has.
pub(crate) fn phases(cs: &ConstraintSystem<Fr>) -> usize {
    cs.advice_column_phase()
        .into_iter()
        .max()
        .map_or(1, |phase| usize::from(phase) + 1)
}

/// Columns that share one permutation product.
pub(crate) fn permutation_chunk(cs: &ConstraintSystem<Fr>) -> usize {
    cs.degree() - 2
}

/// How many permutation products there are.
pub(crate) fn permutation_sets(cs: &ConstraintSystem<Fr>) -> usize {
    cs.permutation()
        .get_columns()
        .len()
        .div_ceil(permutation_chunk(cs))
}

/// A value of the proof, in its order in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Point,
    Scalar,
}

impl Slot {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Point => POINT_BYTES,
            Self::Scalar => SCALAR_BYTES,
        }
    }
}

/// The values of a proof: advice commitments, permutation products, the random polynomial, quotient
/// pieces; evaluations; the two commitments of the opening.
pub(crate) fn proof_slots(cs: &ConstraintSystem<Fr>) -> impl Iterator<Item = Slot> {
    let sets = permutation_sets(cs);
    let points = cs.num_advice_columns() + sets + 1 + (cs.degree() - 1);
    // Each product is opened at x and ωx, all but the last one at the last usable row too.
    let products = (3 * sets).saturating_sub(1);
    let sigma = cs.permutation().get_columns().len();
    let scalars = cs.advice_queries().len() + cs.fixed_queries().len() + 1 + sigma + products;
    let points = std::iter::repeat_n(Slot::Point, points);
    points
        .chain(std::iter::repeat_n(Slot::Scalar, scalars))
        .chain([Slot::Point; 2])
}

fn extended_k(degree: usize, k: u32) -> u32 {
    k + (degree - 1).next_power_of_two().trailing_zeros()
}

/// halo2's description of the domain without its tables for Fourier transforms.
///
/// A verifier needs none, and at `k = 20` they take hundreds of megabytes. Equal in all else to
/// `EvaluationDomain::new(degree, k)`.
pub(crate) fn light_domain(degree: usize, k: u32) -> EvaluationDomain<Fr> {
    let extended_k = extended_k(degree, k);
    let inverse = |value: Fr| {
        value
            .invert()
            .expect("roots of unity and powers of two are not zero")
    };
    let (omega, extended_omega) = (root_of_unity(k), root_of_unity(extended_k));
    let n = 1u64 << k;
    let step = extended_omega.pow_vartime([n]);
    let t_evaluations = std::iter::successors(Some(Fr::ZETA.pow_vartime([n])), |t| Some(*t * step))
        .take(1 << (extended_k - k))
        .map(|t| inverse(t - Fr::ONE))
        .collect();
    EvaluationDomain {
        n,
        k,
        extended_k,
        omega,
        omega_inv: inverse(omega),
        extended_omega,
        extended_omega_inv: inverse(extended_omega),
        g_coset: Fr::ZETA,
        g_coset_inv: Fr::ZETA.square(),
        quotient_poly_degree: (degree - 1) as u64,
        ifft_divisor: inverse(Fr::from(n)),
        extended_ifft_divisor: inverse(Fr::from(1 << extended_k)),
        t_evaluations,
        barycentric_weight: inverse(Fr::from(n)),
        fft_data: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_from_outside_is_refused() {
        for value in [None, Some("5")] {
            check_cap(value.map(str::to_owned)).unwrap();
        }
        for value in ["", "abc", "4", "6", "05", "-1", " 5"] {
            let refused = check_cap(Some(value.to_owned())).unwrap_err();
            assert!(
                refused.to_string().contains("unset it"),
                "`{value}`: {refused}"
            );
        }
    }

    #[test]
    fn the_light_domain_is_halo2s() {
        for (degree, k) in [(3, 4), (4, 5), (5, 6), (9, 4)] {
            let (ours, theirs) = (
                light_domain(degree, k),
                EvaluationDomain::<Fr>::new(degree as u32, k),
            );
            assert_eq!(
                format!("{:?}", ours.pinned()),
                format!("{:?}", theirs.pinned())
            );
            let fields = |d: &EvaluationDomain<Fr>| {
                (
                    (d.n, d.k, d.extended_k, d.quotient_poly_degree),
                    [d.omega, d.omega_inv, d.extended_omega, d.extended_omega_inv],
                    [
                        d.g_coset,
                        d.g_coset_inv,
                        d.ifft_divisor,
                        d.extended_ifft_divisor,
                    ],
                    (d.barycentric_weight, d.t_evaluations.clone()),
                )
            };
            assert_eq!(fields(&ours), fields(&theirs));
        }
    }
}
