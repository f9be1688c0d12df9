//! What the prover will do for a circuit, told before it does it.

use halo2_proofs::{
    halo2curves::bn256::Fr,
    plonk::{Circuit, ConstraintSystem},
};

use crate::{
    backend::columns_within,
    constraints::{
        linear::{Combination, extract},
        numerator::{Challenges, numerator},
        plan::{Builder, Plan, Source},
    },
    keys::{ShapeError, configure, without_selectors},
};

/// The plan of the quotient with placeholders for the challenges: which columns stand alone does not depend on them,
/// unless one is drawn as 0.
pub(crate) fn placeholder_plan(cs: &ConstraintSystem<Fr>) -> (Plan, Vec<Combination>) {
    let placeholders: Vec<Fr> = (0..cs.num_challenges())
        .map(|i| Fr::from(1000 + i as u64))
        .collect();
    let challenges = Challenges {
        beta: Fr::from(7),
        gamma: Fr::from(11),
        y: Fr::from(13),
    };
    let mut builder = Builder::default();
    let root = numerator(&mut builder, cs, &placeholders, &challenges);
    extract(&builder, root)
}

/// How the fast prover goes about the constraints of a circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSummary {
    /// Rows.
    pub rows: usize,
    /// Cosets over which the quotient is streamed: the degree less one.
    pub cosets: usize,
    /// Linear combinations of columns that are summed first and transformed once: the members of each.
    pub combined: Vec<Vec<String>>,
    /// Polynomials that are transformed on their own.
    pub alone: Vec<String>,
    /// Multiplications in each row of a coset.
    pub multiplications: usize,
    /// Additions and subtractions in each row of a coset.
    pub additions: usize,
    /// Fourier transforms of all rows from the columns to the quotient: to coefficients, to each coset and back.
    pub transforms: usize,
    /// Those that there would be if every column were transformed on its own and nothing were kept.
    pub transforms_uncombined: usize,
    /// Fixed columns whose values on the cosets are kept between proofs, within the memory allowed.
    pub cached: Vec<String>,
    /// What these take.
    pub cached_bytes: usize,
}

/// What [`Prover::new`](super::Prover::new) and a proof will do for a circuit with `2^k` rows, `memory` bytes being
/// allowed for reuse.
///
/// # Errors
/// [`ShapeError::Environment`].
pub fn describe<C: Circuit<Fr>>(
    params: C::Params,
    k: u32,
    memory: usize,
) -> Result<PlanSummary, ShapeError> {
    let cs = without_selectors(configure::<C>(params)?.0);
    let (plan, combinations) = placeholder_plan(&cs);
    let (rows, cosets) = (1usize << k, cs.degree() - 1);
    let (combined, alone): (Vec<Source>, Vec<Source>) = plan
        .sources()
        .into_iter()
        .filter(|s| *s != Source::X)
        .partition(|s| matches!(s, Source::Virtual(_)));
    let fixed: Vec<Source> = alone
        .iter()
        .copied()
        .filter(|s| matches!(s, Source::Fixed(_)))
        .collect();
    let cached = &fixed[..fixed.len().min(columns_within(memory, cosets, rows))];

    // Fixed columns that are not kept on the cosets are kept as coefficients. Every coset ends with a transform back.
    let to_coefficients = combined.len() + alone.len() - fixed.len();
    let to_cosets = combined.len() + alone.len() - cached.len();
    let mut columns: Vec<Source> = combinations
        .iter()
        .flat_map(|c| c.members.iter().map(|(s, _)| *s))
        .collect();
    columns.extend(&alone);
    columns.sort_unstable();
    columns.dedup();

    let names = |sources: &[Source]| {
        sources
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
    };
    let (multiplications, additions) = plan.operations();
    Ok(PlanSummary {
        rows,
        cosets,
        combined: combinations
            .iter()
            .map(|c| c.members.iter().map(|(s, _)| s.to_string()).collect())
            .collect(),
        alone: names(&alone),
        multiplications,
        additions,
        transforms: to_coefficients + cosets * (to_cosets + 1),
        transforms_uncombined: columns.len() + cosets * (columns.len() + 1),
        cached: names(cached),
        cached_bytes: cached.len() * cosets * rows * size_of::<Fr>(),
    })
}
