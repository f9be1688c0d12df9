//! Making keys: one run of the circuit's synthesis without a witness.

use group::Curve;
use halo2_proofs::{
    circuit::Value,
    halo2curves::bn256::{Fr, G1, G1Affine},
    plonk::{
        self, Advice, Any, Assigned, Assignment, Challenge, Circuit, ConstraintSystem, Fixed,
        FloorPlanner, Instance, Selector, permutation,
    },
    poly::EvaluationDomain,
};
use rayon::prelude::*;

use super::{
    ProvingKey, VerifyingKey,
    column::CompactColumn,
    copies::Cycles,
    shape::{self, ShapeError},
};
use crate::{
    backend::Column,
    kernels::FixedBase,
    srs::Srs,
    synthesis::{FirstError, SynthesisError},
};

/// Why no key could be made for a circuit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeygenError {
    /// The circuit is none that this crate can prove.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The circuit could not be laid out.
    #[error(transparent)]
    Synthesis(#[from] SynthesisError),
    /// The lengths of the instance columns do not fit the circuit.
    #[error("the circuit has {expected} instance columns, but the lengths of {got} were given")]
    InstanceColumns {
        /// How many the circuit has.
        expected: usize,
        /// How many lengths were given.
        got: usize,
    },
    /// An instance column does not fit the rows.
    #[error(
        "instance column {column} has {rows} values, but only {usable} rows are usable; use a larger k"
    )]
    InstanceRows {
        /// Index of the instance column.
        column: usize,
        /// Its length.
        rows: usize,
        /// How many rows may be used.
        usable: usize,
    },
}

/// Makes the keys of a circuit with the SRS's number of rows.
///
/// `instance_rows` is the number of public values in each instance column. It becomes part of the keys,
/// and both prover and verifier insist on it: the transcript does not absorb lengths.
///
/// The halo2 verifying key inside is the one that `halo2_proofs::plonk::keygen_vk` makes.
///
/// # Errors
/// [`KeygenError`] if the circuit does not fit, or is none that this crate can prove.
pub fn keygen<C: Circuit<Fr>>(
    srs: &Srs,
    circuit: &C,
    instance_rows: &[usize],
) -> Result<ProvingKey, KeygenError> {
    let k = srs.k();
    let (cs, config) = shape::configure::<C>(circuit.params())?;
    shape::check(&cs, k)?;
    let usable = shape::usable_rows(&cs, k);
    if instance_rows.len() != cs.num_instance_columns() {
        return Err(KeygenError::InstanceColumns {
            expected: cs.num_instance_columns(),
            got: instance_rows.len(),
        });
    }
    if let Some((column, rows)) = instance_rows
        .iter()
        .enumerate()
        .find(|(_, rows)| **rows > usable)
    {
        return Err(KeygenError::InstanceRows {
            column,
            rows: *rows,
            usable,
        });
    }

    let mut layout = Layout::new(&cs, k, usable);
    let constants = cs.constants().clone();
    let synthesized = C::FloorPlanner::synthesize(&mut layout, circuit, config, constants);
    layout.error.check()?;
    synthesized.map_err(SynthesisError::Circuit)?;
    let Layout {
        mut fixed,
        selectors,
        cycles,
        ..
    } = layout;
    let (cs, selector_columns) = cs.directly_convert_selectors_to_fixed(selectors);
    fixed.extend(selector_columns);

    let copies = cycles.finish();
    let sigma = copies.expand(cs.permutation().get_columns().len(), k);
    let bases = FixedBase::new(srs.g_lagrange(), 0);
    let commit = |columns: &[Vec<Fr>]| {
        let commit = |column: &Vec<Fr>| Column::detect(column.clone(), 0).commit(&bases);
        normalize(columns.par_iter().map(commit).collect())
    };
    let (fixed_commitments, sigma_commitments) = (commit(&fixed), commit(&sigma));
    let degree = cs.degree();
    let halo2 = plonk::VerifyingKey::from_parts(
        shape::light_domain(degree, k),
        fixed_commitments,
        permutation::VerifyingKey::from_commitments(sigma_commitments),
        cs,
        vec![],
        false,
    );
    let vk = VerifyingKey {
        halo2,
        instance_rows: instance_rows.to_vec(),
        g2: srs.g2(),
        s_g2: srs.s_g2(),
        insecure: srs.is_insecure(),
        marked: srs.is_insecure(),
    };
    Ok(ProvingKey {
        vk,
        domain: EvaluationDomain::new(degree as u32, k),
        fixed: fixed
            .par_iter()
            .map(|column| CompactColumn::new(column))
            .collect(),
        copies,
    })
}

fn normalize(points: Vec<G1>) -> Vec<G1Affine> {
    let mut affine = vec![G1Affine::default(); points.len()];
    G1::batch_normalize(&points, &mut affine);
    affine
}

/// Takes what a circuit says of its fixed cells, selectors and copies.
struct Layout {
    k: u32,
    usable: usize,
    num_advice: usize,
    fixed: Vec<Vec<Fr>>,
    selectors: Vec<Vec<bool>>,
    cycles: Cycles,
    error: FirstError<SynthesisError>,
}

impl Layout {
    fn new(cs: &ConstraintSystem<Fr>, k: u32, usable: usize) -> Self {
        let n = 1usize << k;
        Self {
            k,
            usable,
            num_advice: cs.num_advice_columns(),
            fixed: vec![vec![Fr::zero(); n]; cs.num_fixed_columns()],
            selectors: vec![vec![false; n]; cs.num_selectors()],
            cycles: Cycles::new(cs, n),
            error: FirstError::new(),
        }
    }

    fn check_row(&self, row: usize) -> Result<(), SynthesisError> {
        if row < self.usable {
            Ok(())
        } else {
            Err(SynthesisError::NotEnoughRows {
                row,
                usable: self.usable,
                k: self.k,
            })
        }
    }

    fn set_fixed(&mut self, column: usize, row: usize, value: Fr) -> Result<(), SynthesisError> {
        self.check_row(row)?;
        let cells = self.fixed.get_mut(column);
        let cells = cells.ok_or_else(|| no_such("fixed", column))?;
        cells[row] = value;
        Ok(())
    }

    fn set_selector(&mut self, selector: usize, row: usize) -> Result<(), SynthesisError> {
        self.check_row(row)?;
        let cells = self.selectors.get_mut(selector);
        let cells = cells.ok_or_else(|| no_such("selector", selector))?;
        cells[row] = true;
        Ok(())
    }
}

fn no_such(kind: &str, index: usize) -> SynthesisError {
    SynthesisError::NoSuchColumn {
        column: format!("{kind} column {index}"),
    }
}

/// halo2's error that ends a synthesis; the cause is kept beside it.
const STOP: plonk::Error = plonk::Error::Synthesis;

impl Assignment<Fr> for Layout {
    fn enter_region<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _: N) {}

    fn annotate_column<A: FnOnce() -> AR, AR: Into<String>>(
        &mut self,
        _: A,
        _: plonk::Column<Any>,
    ) {
    }

    fn exit_region(&mut self) {}

    fn enable_selector<A: FnOnce() -> AR, AR: Into<String>>(
        &mut self,
        _: A,
        selector: &Selector,
        row: usize,
    ) -> Result<(), plonk::Error> {
        let result = self.set_selector(selector.index(), row);
        self.error.catch(result).ok_or(STOP)
    }

    fn query_instance(
        &self,
        _: plonk::Column<Instance>,
        _: usize,
    ) -> Result<Value<Fr>, plonk::Error> {
        Ok(Value::unknown())
    }

    fn assign_advice<'v>(
        &mut self,
        column: plonk::Column<Advice>,
        row: usize,
        _: Value<Assigned<Fr>>,
    ) -> Value<&'v Assigned<Fr>> {
        let known = column.index() < self.num_advice;
        let result = self.check_row(row).and_then(|()| {
            known
                .then_some(())
                .ok_or_else(|| no_such("advice", column.index()))
        });
        self.error.catch(result);
        Value::unknown()
    }

    fn assign_fixed(&mut self, column: plonk::Column<Fixed>, row: usize, to: Assigned<Fr>) {
        let result = self.set_fixed(column.index(), row, to.evaluate());
        self.error.catch(result);
    }

    fn copy(
        &mut self,
        left_column: plonk::Column<Any>,
        left_row: usize,
        right_column: plonk::Column<Any>,
        right_row: usize,
    ) {
        let result = self.check_row(left_row.max(right_row)).and_then(|()| {
            self.cycles
                .copy((left_column, left_row), (right_column, right_row))
        });
        self.error.catch(result);
    }

    fn fill_from_row(
        &mut self,
        column: plonk::Column<Fixed>,
        row: usize,
        to: Value<Assigned<Fr>>,
    ) -> Result<(), plonk::Error> {
        let mut known = None;
        to.map(|value| known = Some(value.evaluate()));
        let result = known
            .ok_or(SynthesisError::UnknownFixed {
                column: column.index(),
            })
            .and_then(|value| {
                (row..self.usable).try_for_each(|row| self.set_fixed(column.index(), row, value))
            });
        self.error.catch(result).ok_or(STOP)
    }

    fn get_challenge(&self, _: Challenge) -> Value<Fr> {
        Value::unknown()
    }

    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _: N) {}

    fn pop_namespace(&mut self, _: Option<String>) {}
}
