//! The backend that runs on the processor's cores.

use ff::Field;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1, G1Affine},
    poly::EvaluationDomain,
};
use rayon::prelude::*;

use super::{
    Column, Shape, Sum,
    combine::combine,
    host::{Engine, Host},
};
use crate::{
    gpu::GpuError,
    kernels::{Coset, Domain, FixedBase},
};

/// The backend.
pub(crate) type Cpu = Host<Cores>;

/// Tables for transforms and commitments.
pub(crate) struct Cores {
    /// The SRS in its Lagrange form, which serves all commitments.
    bases: FixedBase,
    domain: Domain,
    shifts: Vec<Fr>,
    cosets: Vec<Coset>,
}

impl std::fmt::Debug for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cores")
            .field("rows", &self.bases.len())
            .finish()
    }
}

impl Cpu {
    /// Prepares the fixed columns that are transformed on their own, by index. Half of `memory` is for multiples of the
    /// bases, half for columns on all cosets.
    pub(crate) fn new(
        g_lagrange: &[G1Affine],
        domain: &EvaluationDomain<Fr>,
        fixed: &[(usize, &Column<'_>)],
        memory: usize,
    ) -> Self {
        let Shape { shifts, .. } = Shape::new(domain);
        let subgroup = Domain::new(domain.k());
        let cores = Cores {
            bases: FixedBase::new(g_lagrange, memory / 2),
            cosets: shifts.iter().map(|shift| subgroup.coset(*shift)).collect(),
            domain: subgroup,
            shifts,
        };
        Self::prepare(cores, domain, fixed, memory).expect("the processor's results are no errors")
    }
}

impl Engine for Cores {
    type Polynomials = Vec<Vec<Fr>>;

    fn name(&self) -> String {
        "cpu".into()
    }

    fn commit(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError> {
        let commit = |column: &&Column<'_>| column.commit(&self.bases);
        Ok(columns.par_iter().map(commit).collect())
    }

    /// By the values on the domain: a transform costs less than a second set of bases.
    fn commit_coefficients(&self, polynomials: &[&[Fr]]) -> Result<Vec<G1>, GpuError> {
        let commit = |coefficients: &&[Fr]| {
            let mut values = coefficients.to_vec();
            values.resize(self.domain.size(), Fr::ZERO);
            self.domain.fft(&mut values);
            self.bases.msm_dense(&values)
        };
        Ok(polynomials.par_iter().map(commit).collect())
    }

    fn interpolate(&self, sums: &[&Sum<'_>]) -> Result<Vec<Vec<Fr>>, GpuError> {
        let interpolate = |sum: &&Sum<'_>| {
            let mut values = combine(sum, self.domain.size());
            self.domain.ifft(&mut values);
            values
        };
        Ok(sums.par_iter().map(interpolate).collect())
    }

    fn coefficients(&self, polynomials: Vec<Vec<Fr>>) -> Result<Vec<Vec<Fr>>, GpuError> {
        Ok(polynomials)
    }

    fn evaluate_on_coset(
        &self,
        groups: [&Vec<Vec<Fr>>; 2],
        j: usize,
    ) -> Result<Vec<Vec<Fr>>, GpuError> {
        let transform = |coefficients: &Vec<Fr>| {
            let mut values = vec![Fr::ZERO; self.domain.size()];
            self.cosets[j].fft(coefficients, &mut values);
            values
        };
        let polynomials = groups[0].par_iter().chain(groups[1]);
        Ok(polynomials.map(transform).collect())
    }

    fn interpolate_on_coset(&self, mut values: Vec<Fr>, j: usize) -> Result<Vec<Fr>, GpuError> {
        self.domain.coset_ifft(&mut values, self.shifts[j]);
        Ok(values)
    }
}
