//! What a proof evaluates and opens.

use halo2_proofs::{halo2curves::bn256::Fr, plonk::ConstraintSystem};

use super::{
    numerator::last_rotation,
    plan::{Query, Source},
};
use crate::keys::permutation_sets;

/// What a proof evaluates, by kind.
pub(crate) struct ProofQueries {
    pub(crate) advice: Vec<Query>,
    pub(crate) fixed: Vec<Query>,
    pub(crate) sigma: Vec<Query>,
    /// For each product: at x, at ωx, and at the row after the usable ones but for the last product.
    pub(crate) products: Vec<Vec<Query>>,
}

impl ProofQueries {
    pub(crate) fn new(cs: &ConstraintSystem<Fr>) -> Self {
        let query = |source, rotation| Query { source, rotation };
        let sets = permutation_sets(cs);
        let product = |set: usize| {
            let last = (set + 1 < sets).then(|| last_rotation(cs));
            [0, 1]
                .into_iter()
                .chain(last)
                .map(|r| query(Source::Product(set), r))
                .collect()
        };
        let sigma = 0..cs.permutation().get_columns().len();
        Self {
            advice: cs
                .advice_queries()
                .iter()
                .map(|(column, rotation)| query(Source::Advice(column.index()), rotation.0))
                .collect(),
            fixed: cs
                .fixed_queries()
                .iter()
                .map(|(column, rotation)| query(Source::Fixed(column.index()), rotation.0))
                .collect(),
            sigma: sigma.map(|j| query(Source::Sigma(j), 0)).collect(),
            products: (0..sets).map(product).collect(),
        }
    }

    /// All of them.
    pub(crate) fn written(&self) -> Vec<Query> {
        let products = self.products.iter().flatten();
        self.advice
            .iter()
            .chain(&self.fixed)
            .chain(&self.sigma)
            .chain(products)
            .copied()
            .collect()
    }

    /// All of them in the order in which the verifier opens them.
    pub(crate) fn opened(&self) -> Vec<Query> {
        let near = self.products.iter().flat_map(|queries| &queries[..2]);
        let far = self.products.iter().rev().flat_map(|queries| &queries[2..]);
        let products = near.chain(far);
        self.advice
            .iter()
            .chain(products)
            .chain(&self.fixed)
            .chain(&self.sigma)
            .copied()
            .collect()
    }
}
