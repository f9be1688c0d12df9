//! Running sums and products, sums, inverses, values and quotients of polynomials: what goes over neighbours.
//!
//! Each works on runs of values, a thread a run, and calls itself on what the runs come to.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::{
    device::{
        Buffer, Slice, SliceMut,
        launch::{
            self, ColumnView, count_scan_apply, count_scan_total, division_apply, division_total,
            dot_parts, field_sums, product_scan_apply, product_scan_total,
        },
    },
    error::GpuError,
};

/// Values of a thread.
const RUN: u32 = 32;

/// Rows of a thread, at least, in a dot product.
const DOT_ROWS: usize = 64;

/// Sums of a dot product, at most.
const DOT_PARTS: usize = 1024;

fn runs(values: usize) -> usize {
    values.div_ceil(RUN as usize)
}

/// Replaces each value by the sum of those before it.
pub(crate) fn count_scan(mut values: SliceMut<'_, u32>) -> Result<(), GpuError> {
    if values.len() <= RUN as usize {
        return count_scan_apply(values, RUN, None);
    }
    let mut totals = Buffer::unset(values.device(), runs(values.len()))?;
    count_scan_total(values.read(), RUN, totals.all_mut())?;
    count_scan(totals.all_mut())?;
    count_scan_apply(values.again(), RUN, Some(totals.all()))
}

/// Replaces each value by `first` times the product of those before it.
pub(crate) fn product_scan(mut values: SliceMut<'_, Fr>, first: Fr) -> Result<(), GpuError> {
    if values.len() <= RUN as usize {
        return product_scan_apply(values, RUN, None, first);
    }
    let mut totals = Buffer::unset(values.device(), runs(values.len()))?;
    product_scan_total(values.read(), RUN, totals.all_mut())?;
    product_scan(totals.all_mut(), first)?;
    product_scan_apply(values.again(), RUN, Some(totals.all()), Fr::ONE)
}

/// The inverses of values, and 0 of 0.
pub(crate) fn invert(values: Slice<'_, Fr>, out: SliceMut<'_, Fr>) -> Result<(), GpuError> {
    launch::invert(values, runs(values.len()), out)
}

/// Writes the value at `z` of the polynomial with these coefficients.
pub(crate) fn evaluate(
    coefficients: Slice<'_, Fr>,
    z: Fr,
    out: SliceMut<'_, Fr>,
) -> Result<(), GpuError> {
    let runs = runs(coefficients.len());
    if runs == 1 {
        return division_total(coefficients, RUN, z, out);
    }
    let mut totals = Buffer::unset(coefficients.device(), runs)?;
    division_total(coefficients, RUN, z, totals.all_mut())?;
    evaluate(totals.all(), z.pow_vartime([u64::from(RUN)]), out)
}

/// Replaces coefficients by those of the quotient by `X - z`, without remainder.
pub(crate) fn divide(mut coefficients: SliceMut<'_, Fr>, z: Fr) -> Result<(), GpuError> {
    let mut remainder = Buffer::unset(coefficients.device(), 1)?;
    if coefficients.len() <= RUN as usize {
        return division_apply(coefficients, RUN, z, None, remainder.all_mut());
    }
    let mut totals = Buffer::unset(coefficients.device(), runs(coefficients.len()))?;
    division_total(coefficients.read(), RUN, z, totals.all_mut())?;
    divide(totals.all_mut(), z.pow_vartime([u64::from(RUN)]))?;
    division_apply(
        coefficients.again(),
        RUN,
        z,
        Some(totals.all()),
        remainder.all_mut(),
    )
}

/// `Σ_r column[r]·weights[(r + shift) mod n]` for each column and shift.
pub(crate) fn dots(
    columns: &[(ColumnView<'_>, usize)],
    weights: Slice<'_, Fr>,
) -> Result<Vec<Fr>, GpuError> {
    let mut parts = (weights.len() / DOT_ROWS).clamp(1, DOT_PARTS);
    let mut sums = Buffer::unset(weights.device(), columns.len() * parts)?;
    dot_parts(columns, weights, parts as u32, sums.all_mut())?;
    while parts > 1 {
        let group = parts.min(RUN as usize);
        parts /= group;
        let mut next = Buffer::unset(weights.device(), columns.len() * parts)?;
        field_sums(sums.all(), group as u32, next.all_mut())?;
        sums = next;
    }
    sums.all().to_vec()
}
