//! The backend: stages of a proof as launches on a device.
//!
//! The SRS, tables and the key's columns stay on the device; a proof's columns go there once, at their width, and what
//! comes back are points and values.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use ff::{Field, PrimeField};
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1, G1Affine},
    poly::EvaluationDomain,
};
use rayon::prelude::*;
use tracing::{debug_span, span::EnteredSpan};

use super::{
    column::{DeviceColumn, Packed},
    device::{
        Buffer, Device, Slice,
        launch::{self, ColumnView, Program, ScalarValues, Terms, add_scaled},
    },
    error::GpuError,
    msm::{self, DIGITS, ELEMENT_BITS, Pending},
    need::{AT_A_TIME, PLAN_THREADS},
    ntt::{Subgroup, Transform},
    scan,
};
use crate::{
    backend::{Backend, Column, Division, Polynomial, Shape, Sum},
    constraints::plan::{Plan, Source},
    plain::permutation::Factor,
};

/// Tables for one key on a device.
#[derive(Debug)]
pub(crate) struct Gpu {
    device: Arc<dyn Device>,
    n: usize,
    /// The SRS in its Lagrange form, which serves all commitments.
    table: Buffer<G1Affine>,
    subgroup: Subgroup,
    shape: Shape,
    /// Fixed columns that are transformed on their own: their values on all cosets, one after another.
    prepared: HashMap<usize, Buffer<Fr>>,
    /// Memory is planned for one stage at a time.
    stage: Mutex<()>,
}

/// A column on the device: what is kept with it, or a copy of what another device keeps.
enum Resident<'c> {
    Kept(&'c DeviceColumn),
    Own(DeviceColumn),
}

impl std::ops::Deref for Resident<'_> {
    type Target = DeviceColumn;

    fn deref(&self) -> &DeviceColumn {
        match self {
            Self::Kept(column) => column,
            Self::Own(column) => column,
        }
    }
}

impl Gpu {
    /// Prepares the device; of the fixed columns that are transformed on their own, by index, as many are kept on all
    /// cosets as `memory` bytes hold.
    pub(crate) fn new(
        device: Arc<dyn Device>,
        g_lagrange: &[G1Affine],
        domain: &EvaluationDomain<Fr>,
        fixed: &[(usize, &Column<'_>)],
        memory: u64,
    ) -> Result<Self, GpuError> {
        let n = g_lagrange.len();
        let mut gpu = Self {
            table: Buffer::from_slice(&device, g_lagrange)?,
            subgroup: Subgroup::new(&device, domain.k())?,
            shape: Shape::new(domain),
            prepared: HashMap::new(),
            stage: Mutex::default(),
            n,
            device,
        };
        let cosets = gpu.shape.shifts.len();
        let within = memory / (cosets * n * size_of::<Fr>()) as u64;
        for (index, column) in fixed.iter().take(within as usize) {
            let sum = Sum {
                members: vec![(column, Fr::ONE)],
                constant: Fr::ZERO,
            };
            let coefficients = gpu.sum(&sum)?;
            let mut values = gpu.unset(cosets)?;
            let mut spare = gpu.unset(1)?;
            for (j, shift) in gpu.shape.shifts.iter().enumerate() {
                let powers = gpu.powers(Fr::ONE, *shift)?;
                gpu.subgroup.transform(
                    Transform::ToCoset(powers.all()),
                    coefficients.all(),
                    values.all_mut().slice_mut(gpu.places(j..j + 1)),
                    spare.all_mut(),
                )?;
            }
            gpu.prepared.insert(*index, values);
        }
        Ok(gpu)
    }

    /// Memory for some polynomials.
    fn unset(&self, polynomials: usize) -> Result<Buffer<Fr>, GpuError> {
        Buffer::unset(&self.device, polynomials * self.n)
    }

    /// Where some of the polynomials in a buffer are.
    fn places(&self, polynomials: std::ops::Range<usize>) -> std::ops::Range<usize> {
        polynomials.start * self.n..polynomials.end * self.n
    }

    /// `first·base^i` for all rows.
    fn powers(&self, first: Fr, base: Fr) -> Result<Buffer<Fr>, GpuError> {
        let mut powers = self.unset(1)?;
        launch::powers(first, base, powers.all_mut())?;
        Ok(powers)
    }

    fn size_inverse(&self) -> Fr {
        Fr::TWO_INV.pow_vartime([u64::from(self.n.ilog2())])
    }

    fn resident<'c>(&self, column: &'c Column<'_>) -> Result<Resident<'c>, GpuError> {
        self.resident_of(column, self.pack(column))
    }

    /// A column as it is to be uploaded, unless the device has it.
    fn pack<'c>(&self, column: &'c Column<'_>) -> Option<Packed<'c>> {
        let kept = column.resident.get();
        let here = kept.is_some_and(|kept| kept.is_on(&self.device));
        (!here).then(|| Packed::new(column, self.n))
    }

    fn resident_of<'c>(
        &self,
        column: &'c Column<'_>,
        packed: Option<Packed<'_>>,
    ) -> Result<Resident<'c>, GpuError> {
        if let Some(packed) = packed {
            let uploaded = DeviceColumn::new(&self.device, &packed, self.n)?;
            // Another device keeps it, or somebody else was quicker.
            if let Err(own) = column.resident.set(uploaded) {
                return Ok(Resident::Own(own));
            }
        }
        let kept = column.resident.get().expect("it is there, or was just set");
        Ok(Resident::Kept(kept))
    }

    fn coefficients<'p>(&self, polynomial: &'p Polynomial) -> Slice<'p, Fr> {
        match polynomial {
            Polynomial::Device(coefficients) if coefficients.len() == self.n => coefficients.all(),
            _ => unreachable!("another backend's polynomial"),
        }
    }

    /// Writes `Σ factor·column + constant` in each row, all times `scale`.
    fn sum_into(
        &self,
        sum: &Sum<'_>,
        scale: Fr,
        out: super::device::SliceMut<'_, Fr>,
    ) -> Result<(), GpuError> {
        let columns = sum.members.iter().map(|(column, _)| self.resident(column));
        let columns: Vec<Resident<'_>> = columns.collect::<Result<_, _>>()?;
        let members: Vec<(ColumnView<'_>, Fr)> = columns
            .iter()
            .zip(&sum.members)
            .map(|(column, (_, factor))| (column.view(), *factor * scale))
            .collect();
        launch::combine(&members, sum.constant * scale, out)
    }

    /// The coefficients of a sum of columns.
    fn sum(&self, sum: &Sum<'_>) -> Result<Buffer<Fr>, GpuError> {
        if sum.members.is_empty() && sum.constant == Fr::ZERO {
            return Buffer::zeros(&self.device, self.n);
        }
        let (mut values, mut out, mut spare) = (self.unset(1)?, self.unset(1)?, self.unset(1)?);
        self.sum_into(sum, self.size_inverse(), values.all_mut())?;
        self.subgroup.transform(
            Transform::Backward,
            values.all(),
            out.all_mut(),
            spare.all_mut(),
        )?;
        Ok(out)
    }

    /// The coefficients of all sums, one after another.
    fn all_sums(&self, sums: &[&Sum<'_>]) -> Result<Buffer<Fr>, GpuError> {
        let mut coefficients = self.unset(sums.len())?;
        let at_a_time = AT_A_TIME.min(sums.len());
        let (mut values, mut spare) = (self.unset(at_a_time)?, self.unset(at_a_time)?);
        for (batch, sums) in sums.chunks(AT_A_TIME).enumerate() {
            for (i, sum) in sums.iter().enumerate() {
                let place = values.all_mut().slice_mut(self.places(i..i + 1));
                self.sum_into(sum, self.size_inverse(), place)?;
            }
            let (first, all) = (batch * AT_A_TIME, self.places(0..sums.len()));
            self.subgroup.transform(
                Transform::Backward,
                values.slice(all.clone()),
                coefficients
                    .all_mut()
                    .slice_mut(self.places(first..first + sums.len())),
                spare.all_mut().slice_mut(all),
            )?;
        }
        Ok(coefficients)
    }

    /// Has the parts of some columns' commitments computed, in groups of like sizes.
    fn launch_sums(
        &self,
        columns: &[Resident<'_>],
        first: usize,
        launched: &mut Vec<(Vec<usize>, Pending)>,
    ) -> Result<(), GpuError> {
        // Integers by how many windows they need, short tails, and whole columns of elements.
        let mut groups: BTreeMap<(bool, u32), (Vec<usize>, Vec<msm::Sum<'_>>)> = BTreeMap::new();
        for (i, column) in columns.iter().enumerate() {
            let [integers, elements] = column.sums();
            let mut add = |key, sum| {
                let (places, sums) = groups.entry(key).or_default();
                places.push(first + i);
                sums.push(sum);
            };
            if integers.values.len() > 0 && integers.bits > 0 {
                add((false, integers.bits.div_ceil(8)), integers);
            }
            if elements.values.len() > 0 {
                let whole = elements.values.len() == self.n;
                add((true, u32::from(whole)), elements);
            }
        }
        for (places, sums) in groups.into_values() {
            let pending = msm::launch(&self.device, self.table.all(), &sums)?;
            launched.push((places, pending));
        }
        Ok(())
    }

    /// Ends a stage that nothing is downloaded in: where somebody measures it, its work counts as its own.
    fn end(&self, stage: EnteredSpan) -> Result<(), GpuError> {
        if stage.is_disabled() {
            return Ok(());
        }
        self.device.wait()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ()> {
        // What it guards is memory, which a panic gives back.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Gpu {
    fn name(&self) -> String {
        self.device.name().to_owned()
    }

    fn wait(&self) -> Result<(), GpuError> {
        self.device.wait()
    }

    fn polynomial(&self, coefficients: Vec<Fr>) -> Result<Polynomial, GpuError> {
        let coefficients = Buffer::from_slice(&self.device, &coefficients)?;
        Ok(Polynomial::Device(coefficients))
    }

    fn commit(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError> {
        // On all cores, which must not wait for whoever has the device.
        let mut packed: Vec<Option<Packed<'_>>> =
            columns.par_iter().map(|column| self.pack(column)).collect();
        let _stage = self.lock();
        let mut launched = vec![];
        let at_a_time = (DIGITS / self.n).max(1);
        let parts = columns.chunks(at_a_time).zip(packed.chunks_mut(at_a_time));
        for (part, (columns, packed)) in parts.enumerate() {
            // These are uploaded while the sums of those before them are computed.
            let residents = columns.iter().zip(packed);
            let residents: Vec<Resident<'_>> = residents
                .map(|(column, packed)| self.resident_of(column, packed.take()))
                .collect::<Result<_, _>>()?;
            self.launch_sums(&residents, part * at_a_time, &mut launched)?;
        }
        let mut sums = vec![G1::default(); columns.len()];
        for (places, pending) in launched {
            for (place, value) in places.into_iter().zip(pending.wait()?) {
                sums[place] += value;
            }
        }
        Ok(sums)
    }

    /// By the values on the domain: a transform costs less than a second set of bases.
    fn commit_polynomials(&self, polynomials: &[&Polynomial]) -> Result<Vec<G1>, GpuError> {
        let _stage = self.lock();
        let mut launched = vec![];
        for polynomials in polynomials.chunks(AT_A_TIME) {
            let mut values = self.unset(polynomials.len())?;
            let mut spare = self.unset(1)?;
            for (i, polynomial) in polynomials.iter().enumerate() {
                self.subgroup.transform(
                    Transform::Forward,
                    self.coefficients(polynomial),
                    values.all_mut().slice_mut(self.places(i..i + 1)),
                    spare.all_mut(),
                )?;
            }
            drop(spare);
            let sums: Vec<msm::Sum<'_>> = (0..polynomials.len())
                .map(|i| msm::Sum {
                    values: ScalarValues::Elements(values.slice(self.places(i..i + 1))),
                    bits: ELEMENT_BITS,
                    first_base: 0,
                })
                .collect();
            launched.push(msm::launch(&self.device, self.table.all(), &sums)?);
        }
        let commitments = launched.into_iter().map(Pending::wait);
        let commitments: Vec<Vec<G1>> = commitments.collect::<Result<_, _>>()?;
        Ok(commitments.concat())
    }

    fn combine(
        &self,
        sum: &Sum<'_>,
        polynomials: &[(&Polynomial, Fr)],
    ) -> Result<Polynomial, GpuError> {
        let _stage = self.lock();
        let mut combined = self.sum(sum)?;
        for (polynomial, factor) in polynomials {
            let coefficients = self.coefficients(polynomial);
            add_scaled(coefficients, *factor, None, combined.all_mut())?;
        }
        Ok(Polynomial::Device(combined))
    }

    fn divide(&self, divisions: &[Division<'_>]) -> Result<Vec<Polynomial>, GpuError> {
        let _stage = self.lock();
        let mut quotients = Vec::with_capacity(divisions.len());
        for division in divisions {
            let mut quotient = self.unset(1)?;
            quotient
                .all_mut()
                .copy_from(self.coefficients(division.polynomial))?;
            let few = division.low.len();
            let minus: Vec<Fr> = division.low.iter().map(|low| -low).collect();
            let minus = Buffer::from_slice(&self.device, &minus)?;
            add_scaled(
                minus.all(),
                Fr::ONE,
                None,
                quotient.all_mut().slice_mut(0..few),
            )?;
            for point in &division.points {
                scan::divide(quotient.all_mut(), *point)?;
            }
            quotients.push(Polynomial::Device(quotient));
        }
        Ok(quotients)
    }

    /// `Σ_i p(ω^i)·l_i(x)`, with `l_i(x) = (x^n - 1)/n·ω^i/(x - ω^i)`.
    fn evaluate(&self, queries: &[(&Column<'_>, i32)], x: Fr) -> Result<Vec<Fr>, GpuError> {
        if queries.is_empty() {
            return Ok(vec![]);
        }
        let _stage = self.lock();
        let (mut differences, mut weights) = (self.unset(1)?, self.unset(1)?);
        launch::differences(self.subgroup.roots(), x, differences.all_mut())?;
        scan::invert(differences.all(), weights.all_mut())?;
        let scale = (x.pow_vartime([self.n as u64]) - Fr::ONE) * self.size_inverse();
        launch::multiply(weights.all_mut(), self.subgroup.roots(), scale)?;
        let columns = queries.iter().map(|(column, _)| self.resident(column));
        let columns: Vec<Resident<'_>> = columns.collect::<Result<_, _>>()?;
        let dots: Vec<(ColumnView<'_>, usize)> = columns
            .iter()
            .zip(queries)
            .map(|(column, (_, rotation))| {
                // Row r meets the weight of index r - rotation.
                let shift = (-i64::from(*rotation)).rem_euclid(self.n as i64);
                (column.view(), shift as usize)
            })
            .collect();
        scan::dots(&dots, weights.all())
    }

    fn evaluate_polynomials(
        &self,
        polynomials: &[&Polynomial],
        x: Fr,
    ) -> Result<Vec<Fr>, GpuError> {
        let _stage = self.lock();
        let mut values = Buffer::unset(&self.device, polynomials.len())?;
        for (i, polynomial) in polynomials.iter().enumerate() {
            let value = values.all_mut().slice_mut(i..i + 1);
            scan::evaluate(self.coefficients(polynomial), x, value)?;
        }
        values.all().to_vec()
    }

    fn running_product(
        &self,
        factors: &[Factor<'_>],
        first: Fr,
        rows: usize,
    ) -> Result<Vec<Fr>, GpuError> {
        let _stage = self.lock();
        // The ratio after the last row counts for nothing.
        let mut products = Buffer::from_slice(&self.device, &vec![Fr::ONE; rows + 1])?;
        let mut denominators = Buffer::unset(&self.device, rows)?;
        for (i, factor) in factors.iter().enumerate() {
            let values = Buffer::from_slice(&self.device, &factor.values[..rows])?;
            let sigma = Buffer::from_slice(&self.device, &factor.sigma[..rows])?;
            let terms = Terms {
                beta: factor.beta,
                delta: factor.delta,
                gamma: factor.gamma,
            };
            launch::permutation_terms(
                (values.all(), sigma.all()),
                terms,
                self.subgroup.roots(),
                i == 0,
                products.all_mut(),
                denominators.all_mut(),
            )?;
        }
        if !factors.is_empty() {
            let mut inverses = Buffer::unset(&self.device, rows)?;
            scan::invert(denominators.all(), inverses.all_mut())?;
            let ratios = products.all_mut().slice_mut(0..rows);
            launch::multiply(ratios, inverses.all(), Fr::ONE)?;
        }
        scan::product_scan(products.all_mut(), first)?;
        products.all().to_vec()
    }

    fn quotient(
        &self,
        plan: &Plan,
        sums: &HashMap<Source, Sum<'_>>,
    ) -> Result<Vec<Polynomial>, GpuError> {
        let _stage = self.lock();
        let span = debug_span!("transform").entered();
        let prepared = |source: Source| match source {
            Source::Fixed(index) => self.prepared.get(&index),
            _ => None,
        };
        let sources = plan.sources();
        let own: Vec<Source> = sources
            .iter()
            .copied()
            .filter(|source| *source != Source::X && prepared(*source).is_none())
            .collect();
        let own_sums: Vec<&Sum<'_>> = own.iter().map(|source| &sums[source]).collect();
        let coefficients = self.all_sums(&own_sums)?;
        self.end(span)?;

        let span = debug_span!("quotient").entered();
        let program = Program::new(&self.device, plan)?;
        let threads = PLAN_THREADS.min(self.n);
        let mut registers = Buffer::unset(&self.device, program.scratch(threads))?;
        let mut values = self.unset(own.len())?;
        let mut spare = self.unset(AT_A_TIME.min(own.len()).max(1))?;
        let (mut result, mut back) = (self.unset(1)?, self.unset(1)?);
        let mut pieces = self
            .shape
            .inverse
            .iter()
            .map(|_| Buffer::zeros(&self.device, self.n))
            .collect::<Result<Vec<_>, _>>()?;
        for (j, shift) in self.shape.shifts.iter().enumerate() {
            let powers = self.powers(Fr::ONE, *shift)?;
            for first in (0..own.len()).step_by(AT_A_TIME) {
                let batch = first..own.len().min(first + AT_A_TIME);
                self.subgroup.transform(
                    Transform::ToCoset(powers.all()),
                    coefficients.slice(self.places(batch.clone())),
                    values.all_mut().slice_mut(self.places(batch.clone())),
                    spare.all_mut().slice_mut(self.places(0..batch.len())),
                )?;
            }
            let x = self.powers(*shift, self.subgroup.omega())?;
            let queries: Vec<(Slice<'_, Fr>, usize)> = plan
                .queries()
                .iter()
                .map(|query| {
                    let column = match (query.source, prepared(query.source)) {
                        (Source::X, _) => x.all(),
                        (_, Some(cosets)) => cosets.slice(self.places(j..j + 1)),
                        (source, None) => {
                            let at = own.binary_search(&source).expect("sources are in order");
                            values.slice(self.places(at..at + 1))
                        }
                    };
                    let offset = i64::from(query.rotation).rem_euclid(self.n as i64);
                    (column, offset as usize)
                })
                .collect();
            program.run(
                &queries,
                self.shape.vanishing[j],
                threads,
                registers.all_mut(),
                result.all_mut(),
            )?;
            self.subgroup.transform(
                Transform::Backward,
                result.all(),
                back.all_mut(),
                spare.all_mut().slice_mut(self.places(0..1)),
            )?;
            let inverse = Option::<Fr>::from(shift.invert()).expect("a generator is not zero");
            let powers = self.powers(self.size_inverse(), inverse)?;
            for (piece, row) in pieces.iter_mut().zip(&self.shape.inverse) {
                add_scaled(back.all(), row[j], Some(powers.all()), piece.all_mut())?;
            }
        }
        self.end(span)?;
        Ok(pieces.into_iter().map(Polynomial::Device).collect())
    }
}
