//! All columns of a proof, by their source.

use std::collections::HashMap;

use halo2_proofs::halo2curves::bn256::Fr;

use crate::{
    backend::{Column, Sum},
    constraints::{linear::Combination, plan::Source},
};

/// All columns of a proof.
pub(crate) struct Columns<'a> {
    pub(crate) n: usize,
    pub(crate) advice: Vec<Column<'a>>,
    pub(crate) fixed: &'a [Column<'a>],
    pub(crate) instance: Vec<Column<'a>>,
    pub(crate) products: Vec<Column<'a>>,
    pub(crate) sigma: Vec<Column<'a>>,
    /// `l_0`, `l_last`, `l_active`, where the permutation argument is used.
    pub(crate) indicators: Option<[Column<'a>; 3]>,
}

impl Columns<'_> {
    pub(crate) fn get(&self, source: Source) -> &Column<'_> {
        let indicator = |i: usize| {
            &self
                .indicators
                .as_ref()
                .expect("only the permutation argument reads them")[i]
        };
        match source {
            Source::Advice(i) => &self.advice[i],
            Source::Fixed(i) => &self.fixed[i],
            Source::Instance(i) => &self.instance[i],
            Source::Product(i) => &self.products[i],
            Source::Sigma(i) => &self.sigma[i],
            Source::First => indicator(0),
            Source::Last => indicator(1),
            Source::Active => indicator(2),
            Source::X | Source::Virtual(_) => unreachable!("{source:?} is no column"),
        }
    }

    /// What a plan reads for a source other than the variable.
    pub(crate) fn sum(&self, source: Source, combinations: &[Combination]) -> Sum<'_> {
        match source {
            Source::Virtual(i) => {
                let Combination { members, constant } = &combinations[i];
                let member = |(source, factor): &(Source, Fr)| (self.get(*source), *factor);
                Sum {
                    members: members.iter().map(member).collect(),
                    constant: *constant,
                }
            }
            source => Sum::of(self.get(source)),
        }
    }

    /// All values of some columns.
    pub(crate) fn expand(
        &self,
        sources: impl IntoIterator<Item = Source>,
    ) -> HashMap<Source, Vec<Fr>> {
        sources
            .into_iter()
            .map(|source| (source, self.get(source).expand(self.n)))
            .collect()
    }

    /// The circuit's own columns.
    pub(crate) fn own(&self) -> Vec<Source> {
        let advice = (0..self.advice.len()).map(Source::Advice);
        let fixed = (0..self.fixed.len()).map(Source::Fixed);
        let instance = (0..self.instance.len()).map(Source::Instance);
        advice.chain(fixed).chain(instance).collect()
    }
}
