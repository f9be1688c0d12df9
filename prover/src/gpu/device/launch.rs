//! One function a kernel: what it relies on is asserted, then it is launched.

use std::{ffi::c_void, sync::Arc};

use halo2_proofs::halo2curves::bn256::{Fr, G1Affine};

use super::{Buffer, Device, Plain, Slice, SliceMut, WidePoint};
use crate::{
    constraints::plan::{Operand, Operator, Plan},
    gpu::error::GpuError,
};

type Done = Result<(), GpuError>;

enum Argument {
    Word(u32),
    Long(u64),
    Element(Fr),
}

impl From<u32> for Argument {
    fn from(value: u32) -> Self {
        Self::Word(value)
    }
}

impl From<u64> for Argument {
    fn from(value: u64) -> Self {
        Self::Long(value)
    }
}

impl From<Fr> for Argument {
    fn from(value: Fr) -> Self {
        Self::Element(value)
    }
}

impl<T> From<Slice<'_, T>> for Argument {
    fn from(values: Slice<'_, T>) -> Self {
        Self::Long(values.address)
    }
}

impl<T> From<Option<Slice<'_, T>>> for Argument {
    fn from(values: Option<Slice<'_, T>>) -> Self {
        Self::Long(values.map_or(0, |values| values.address))
    }
}

impl<T> From<SliceMut<'_, T>> for Argument {
    fn from(values: SliceMut<'_, T>) -> Self {
        Self::Long(values.address)
    }
}

/// Each caller has asserted that the kernel keeps within the slices among the arguments, and passes its parameters'
/// types in their order.
fn call(
    device: &Arc<dyn Device>,
    kernel: &'static str,
    threads: usize,
    arguments: &[Argument],
) -> Done {
    if threads == 0 {
        return Ok(());
    }
    let threads = threads as u64;
    let mut pointers: Vec<*mut c_void> = vec![std::ptr::from_ref(&threads).cast_mut().cast()];
    pointers.extend(arguments.iter().map(|argument| -> *mut c_void {
        match argument {
            Argument::Word(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Argument::Long(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Argument::Element(value) => std::ptr::from_ref(value).cast_mut().cast(),
        }
    }));
    // SAFETY: see above; the pointers are to values that outlive the call, and slices borrow live buffers. Freed
    // memory is reused in the order of the calls only.
    unsafe { device.launch(kernel, threads, &mut pointers) }
}

macro_rules! call {
    ($device:expr, $kernel:literal, $threads:expr, $($argument:expr),* $(,)?) => {
        call($device, $kernel, $threads, &[$(Argument::from($argument)),*])
    };
}

/// A column as kernels read it: integers of `width` bytes in the first rows, elements in the last.
#[derive(Clone, Copy)]
pub(crate) struct ColumnView<'a> {
    pub(crate) head: Slice<'a, u8>,
    pub(crate) width: u32,
    pub(crate) tail: Slice<'a, Fr>,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct ColumnEntry {
    head: u64,
    tail: u64,
    width: u32,
    head_rows: u32,
    tail_rows: u32,
    reserved: u32,
}

impl ColumnView<'_> {
    fn entry(&self, n: usize) -> ColumnEntry {
        assert!(
            [1, 2, 4, 8].contains(&self.width) && self.head.len.is_multiple_of(self.width as usize)
        );
        let (head_rows, tail_rows) = (self.head.len / self.width as usize, self.tail.len);
        assert!(head_rows + tail_rows <= n);
        ColumnEntry {
            head: self.head.address,
            tail: self.tail.address,
            width: self.width,
            head_rows: head_rows as u32,
            tail_rows: tail_rows as u32,
            reserved: 0,
        }
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct MemberEntry {
    column: ColumnEntry,
    factor: Fr,
    scaled: Fr,
}
// SAFETY: 96 bytes: 32 of integers without gaps, and two elements.
unsafe impl Plain for MemberEntry {}

#[derive(Clone, Copy)]
#[repr(C)]
struct DotEntry {
    column: ColumnEntry,
    shift: u64,
    reserved: u64,
}
// SAFETY: 48 bytes of integers without gaps.
unsafe impl Plain for DotEntry {}

fn two_64() -> Fr {
    Fr::from(1 << 32).square()
}

/// `out[i]`: what the `i`-th run of values adds up to.
pub(crate) fn count_scan_total(
    values: Slice<'_, u32>,
    run: u32,
    totals: SliceMut<'_, u32>,
) -> Done {
    let threads = totals.len;
    assert_eq!(threads, values.len.div_ceil(run as usize));
    call!(
        values.device,
        "count_scan_total",
        threads,
        values,
        values.len as u64,
        run,
        totals
    )
}

/// Replaces each value by the sum of those before it, in runs; `before` is what comes before each run.
pub(crate) fn count_scan_apply(
    values: SliceMut<'_, u32>,
    run: u32,
    before: Option<Slice<'_, u32>>,
) -> Done {
    let (device, count) = (values.device, values.len);
    let threads = count.div_ceil(run as usize);
    assert!(before.map_or(threads <= 1, |before| before.len == threads));
    call!(
        device,
        "count_scan_apply",
        threads,
        values,
        count as u64,
        run,
        before
    )
}

/// As [`count_scan_total`], of products.
pub(crate) fn product_scan_total(
    values: Slice<'_, Fr>,
    run: u32,
    totals: SliceMut<'_, Fr>,
) -> Done {
    let threads = totals.len;
    assert_eq!(threads, values.len.div_ceil(run as usize));
    call!(
        values.device,
        "product_scan_total",
        threads,
        values,
        values.len as u64,
        run,
        totals
    )
}

/// As [`count_scan_apply`], of products; without `before`, `first` comes before the one run there is.
pub(crate) fn product_scan_apply(
    values: SliceMut<'_, Fr>,
    run: u32,
    before: Option<Slice<'_, Fr>>,
    first: Fr,
) -> Done {
    let (device, count) = (values.device, values.len);
    let threads = count.div_ceil(run as usize);
    assert!(before.map_or(threads <= 1, |before| before.len == threads));
    call!(
        device,
        "product_scan_apply",
        threads,
        values,
        count as u64,
        run,
        before,
        first
    )
}

/// Sums of groups of `group` neighbours.
pub(crate) fn field_sums(values: Slice<'_, Fr>, group: u32, out: SliceMut<'_, Fr>) -> Done {
    let threads = out.len;
    assert_eq!(values.len, threads * group as usize);
    call!(values.device, "field_sums", threads, values, group, out)
}

/// As [`field_sums`], of points.
pub(crate) fn point_sums(
    values: Slice<'_, WidePoint>,
    group: u32,
    out: SliceMut<'_, WidePoint>,
) -> Done {
    let threads = out.len;
    assert_eq!(values.len, threads * group as usize);
    call!(values.device, "point_sums", threads, values, group, out)
}

/// Inverses, 0 for 0, with one inversion for each of `threads`.
pub(crate) fn invert(values: Slice<'_, Fr>, threads: usize, out: SliceMut<'_, Fr>) -> Done {
    assert_eq!(values.len, out.len);
    call!(
        values.device,
        "invert",
        threads.min(values.len),
        values,
        values.len as u64,
        out
    )
}

/// A pass of a transform, see the kernel.
#[derive(Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) log_radix: u32,
    pub(crate) log_n: u32,
    pub(crate) log_stride: u32,
    pub(crate) backwards: bool,
}

/// Runs a pass on all transforms that the values hold.
pub(crate) fn ntt_pass(
    pass: Pass,
    values: Slice<'_, Fr>,
    roots: Slice<'_, Fr>,
    scale: Option<Slice<'_, Fr>>,
    out: SliceMut<'_, Fr>,
) -> Done {
    let Pass {
        log_radix,
        log_n,
        log_stride,
        backwards,
    } = pass;
    let n = 1 << log_n;
    assert!(
        log_radix + log_stride <= log_n && values.len == out.len && values.len.is_multiple_of(n)
    );
    assert!(roots.len == n && scale.is_none_or(|scale| scale.len == n));
    let threads = values.len >> log_radix;
    let device = values.device;
    let backwards = u32::from(backwards);
    match log_radix {
        1 => call!(
            device,
            "ntt_pass_2",
            threads,
            values,
            roots,
            scale,
            log_n,
            log_stride,
            backwards,
            out
        ),
        2 => call!(
            device,
            "ntt_pass_4",
            threads,
            values,
            roots,
            scale,
            log_n,
            log_stride,
            backwards,
            out
        ),
        3 => call!(
            device,
            "ntt_pass_8",
            threads,
            values,
            roots,
            scale,
            log_n,
            log_stride,
            backwards,
            out
        ),
        _ => unreachable!("there are passes of radix 2, 4 and 8"),
    }
}

/// `first·base^i`.
pub(crate) fn powers(first: Fr, base: Fr, out: SliceMut<'_, Fr>) -> Done {
    const RUN: u32 = 32;
    let (device, count) = (out.device, out.len);
    call!(
        device,
        "powers",
        count.div_ceil(RUN as usize),
        first,
        base,
        count as u64,
        RUN,
        out
    )
}

/// `Σ factor·column + constant` in each row.
pub(crate) fn combine(
    members: &[(ColumnView<'_>, Fr)],
    constant: Fr,
    out: SliceMut<'_, Fr>,
) -> Done {
    let (device, n) = (out.device, out.len);
    let entries: Vec<MemberEntry> = members
        .iter()
        .map(|(column, factor)| MemberEntry {
            column: column.entry(n),
            factor: *factor,
            scaled: *factor * two_64(),
        })
        .collect();
    let entries = Buffer::from_slice(device, &entries)?;
    call!(
        device,
        "combine",
        n,
        entries.all(),
        members.len() as u32,
        constant,
        n as u64,
        out
    )
}

/// `out += factor·scale·values`.
pub(crate) fn add_scaled(
    values: Slice<'_, Fr>,
    factor: Fr,
    scale: Option<Slice<'_, Fr>>,
    out: SliceMut<'_, Fr>,
) -> Done {
    let (device, threads) = (out.device, out.len);
    assert!(values.len == threads && scale.is_none_or(|scale| scale.len == threads));
    call!(device, "add_scaled", threads, values, factor, scale, out)
}

/// `x - root` for each root.
pub(crate) fn differences(roots: Slice<'_, Fr>, x: Fr, out: SliceMut<'_, Fr>) -> Done {
    let threads = out.len;
    assert_eq!(roots.len, threads);
    call!(roots.device, "differences", threads, roots, x, out)
}

/// `values := values·factors·factor`.
pub(crate) fn multiply(values: SliceMut<'_, Fr>, factors: Slice<'_, Fr>, factor: Fr) -> Done {
    let (device, threads) = (values.device, values.len);
    assert_eq!(factors.len, threads);
    call!(device, "multiply", threads, values, factors, factor)
}

/// For each column, `parts` sums that together are `Σ_r column[r]·weights[(r + shift) mod n]`.
pub(crate) fn dot_parts(
    dots: &[(ColumnView<'_>, usize)],
    weights: Slice<'_, Fr>,
    parts: u32,
    out: SliceMut<'_, Fr>,
) -> Done {
    let (device, n) = (weights.device, weights.len);
    assert!(n.is_power_of_two() && out.len == dots.len() * parts as usize);
    let entries: Vec<DotEntry> = dots
        .iter()
        .map(|(column, shift)| DotEntry {
            column: column.entry(n),
            shift: *shift as u64,
            reserved: 0,
        })
        .collect();
    let entries = Buffer::from_slice(device, &entries)?;
    let threads = out.len;
    call!(
        device,
        "dot_parts",
        threads,
        entries.all(),
        weights,
        n as u64,
        parts,
        two_64(),
        out
    )
}

/// The value at `z` of the polynomial in each run of coefficients.
pub(crate) fn division_total(
    coefficients: Slice<'_, Fr>,
    run: u32,
    z: Fr,
    totals: SliceMut<'_, Fr>,
) -> Done {
    let threads = totals.len;
    assert_eq!(threads, coefficients.len.div_ceil(run as usize));
    call!(
        coefficients.device,
        "division_total",
        threads,
        coefficients,
        coefficients.len as u64,
        run,
        z,
        totals
    )
}

/// Replaces coefficients by those of the quotient by `X - z`; `above` is what comes down into each run.
pub(crate) fn division_apply(
    coefficients: SliceMut<'_, Fr>,
    run: u32,
    z: Fr,
    above: Option<Slice<'_, Fr>>,
    remainder: SliceMut<'_, Fr>,
) -> Done {
    let (device, count) = (coefficients.device, coefficients.len);
    let threads = count.div_ceil(run as usize);
    assert!(remainder.len == 1 && above.map_or(threads <= 1, |above| above.len == threads));
    call!(
        device,
        "division_apply",
        threads,
        coefficients,
        count as u64,
        run,
        z,
        above,
        remainder
    )
}

/// Challenges of the permutation argument, and the column's power of δ.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) beta: Fr,
    pub(crate) delta: Fr,
    pub(crate) gamma: Fr,
}

/// Multiplies a column's terms onto numerators and denominators, or starts them.
pub(crate) fn permutation_terms(
    (values, sigma): (Slice<'_, Fr>, Slice<'_, Fr>),
    terms: Terms,
    roots: Slice<'_, Fr>,
    first: bool,
    numerators: SliceMut<'_, Fr>,
    denominators: SliceMut<'_, Fr>,
) -> Done {
    let (device, threads) = (values.device, values.len);
    assert!(sigma.len == threads && roots.len >= threads);
    assert!(numerators.len >= threads && denominators.len >= threads);
    let Terms { beta, delta, gamma } = terms;
    call!(
        device,
        "permutation_terms",
        threads,
        values,
        sigma,
        beta,
        beta * delta,
        gamma,
        roots,
        u32::from(first),
        numerators,
        denominators
    )
}

#[derive(Clone, Copy)]
#[repr(C)]
struct StepEntry([u32; 4]);
// SAFETY: integers.
unsafe impl Plain for StepEntry {}

#[derive(Clone, Copy)]
#[repr(C)]
struct QueryEntry([u64; 2]);
// SAFETY: integers.
unsafe impl Plain for QueryEntry {}

/// A plan's program on a device.
pub(crate) struct Program {
    steps: Buffer<StepEntry>,
    constants: Buffer<Fr>,
    root: u32,
    queries: usize,
    registers: usize,
}

/// Bytes that a plan takes, with registers for so many rows at a time.
pub(crate) fn program_bytes(plan: &Plan, threads: usize) -> u64 {
    let elements = plan.registers() * threads + plan.constants().len();
    let entries = plan.steps().len() + plan.queries().len();
    (elements * size_of::<Fr>() + entries * size_of::<StepEntry>()) as u64
}

impl Program {
    pub(crate) fn new(device: &Arc<dyn Device>, plan: &Plan) -> Result<Self, GpuError> {
        let (constants, queries, registers) =
            (plan.constants(), plan.queries().len(), plan.registers());
        let operand = |operand: Operand| {
            let (kind, index, limit) = match operand {
                Operand::Constant(index) => (0, index, constants.len()),
                Operand::Query(index) => (1, index, queries),
                Operand::Node(index) => (2, index, registers),
            };
            assert!(index < limit && index < 1 << 30);
            kind << 30 | index as u32
        };
        let steps: Vec<StepEntry> = plan
            .steps()
            .iter()
            .map(|step| {
                let operation = match step.operator {
                    Operator::Add => 0,
                    Operator::Sub => 1,
                    Operator::Mul => 2,
                };
                assert!(step.target < registers);
                StepEntry([
                    operation,
                    operand(step.a),
                    operand(step.b),
                    step.target as u32,
                ])
            })
            .collect();
        Ok(Self {
            steps: Buffer::from_slice(device, &steps)?,
            constants: Buffer::from_slice(device, constants)?,
            root: operand(plan.root()),
            queries,
            registers,
        })
    }

    /// Elements that [`run`](Self::run) needs as registers for so many rows at a time.
    pub(crate) fn scratch(&self, threads: usize) -> usize {
        self.registers * threads
    }

    /// The program's result in each row, times a factor. `queries` are columns, with the row that each is read from
    /// in the first one.
    pub(crate) fn run(
        &self,
        queries: &[(Slice<'_, Fr>, usize)],
        factor: Fr,
        threads: usize,
        registers: SliceMut<'_, Fr>,
        out: SliceMut<'_, Fr>,
    ) -> Done {
        let (device, n) = (out.device, out.len);
        assert!(n.is_power_of_two() && queries.len() == self.queries);
        assert!(registers.len >= self.scratch(threads));
        let entries: Vec<QueryEntry> = queries
            .iter()
            .map(|(column, offset)| {
                assert_eq!(column.len, n);
                QueryEntry([column.address, *offset as u64])
            })
            .collect();
        let entries = Buffer::from_slice(device, &entries)?;
        call!(
            device,
            "run_plan",
            threads,
            self.steps.all(),
            self.steps.len() as u32,
            self.root,
            self.constants.all(),
            entries.all(),
            registers,
            n as u64,
            factor,
            out
        )
    }
}

/// Scalars of one sum, over the bases from `first_base` on.
#[derive(Clone, Copy)]
pub(crate) struct Scalars<'a> {
    pub(crate) values: ScalarValues<'a>,
    pub(crate) first_base: usize,
    pub(crate) windows: usize,
}

/// Scalars at their width.
#[derive(Clone, Copy)]
pub(crate) enum ScalarValues<'a> {
    Integers(Slice<'a, u8>, u32),
    Elements(Slice<'a, Fr>),
}

impl ScalarValues<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Integers(bytes, width) => bytes.len / *width as usize,
            Self::Elements(elements) => elements.len,
        }
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct JobEntry {
    scalars: u64,
    words: [u32; 6],
}
// SAFETY: 32 bytes of integers without gaps.
unsafe impl Plain for JobEntry {}

/// Sums to be computed together, on a device.
pub(crate) struct Jobs {
    entries: Buffer<JobEntry>,
    /// The most scalars of a job.
    rows: usize,
    /// Bits of a window.
    bits: u32,
    windows: usize,
    /// The most digits there can be.
    digits: usize,
    /// Past the last base.
    bases: usize,
}

impl Jobs {
    pub(crate) fn new(
        device: &Arc<dyn Device>,
        sums: &[Scalars<'_>],
        bits: u32,
    ) -> Result<Self, GpuError> {
        assert!((1..=24).contains(&bits));
        let (mut windows, mut digits, mut bases) = (0, 0, 0);
        let entries: Vec<JobEntry> = sums
            .iter()
            .map(|sum| {
                let count = sum.values.len();
                let (scalars, width) = match sum.values {
                    ScalarValues::Integers(bytes, width) => (bytes.address, width),
                    ScalarValues::Elements(elements) => (elements.address, 32),
                };
                let entry = JobEntry {
                    scalars,
                    words: [
                        width,
                        count as u32,
                        sum.first_base as u32,
                        sum.windows as u32,
                        windows as u32,
                        0,
                    ],
                };
                windows += sum.windows;
                digits += count * sum.windows;
                bases = bases.max(sum.first_base + count);
                entry
            })
            .collect();
        assert!(digits < 1 << 32 && windows << (bits - 1) < u32::MAX as usize && bases < 1 << 31);
        Ok(Self {
            entries: Buffer::from_slice(device, &entries)?,
            rows: sums.iter().map(|sum| sum.values.len()).max().unwrap_or(0),
            bits,
            windows,
            digits,
            bases,
        })
    }

    pub(crate) fn windows(&self) -> usize {
        self.windows
    }

    pub(crate) fn digits(&self) -> usize {
        self.digits
    }

    pub(crate) fn buckets(&self) -> usize {
        self.windows << (self.bits - 1)
    }

    /// Adds up how many digits fall into each bucket.
    pub(crate) fn count(&self, counts: SliceMut<'_, u32>) -> Done {
        assert!(counts.len >= self.buckets());
        let threads = self.entries.len() * self.rows;
        call!(
            &self.entries.device,
            "msm_count",
            threads,
            self.entries.all(),
            self.rows as u64,
            self.bits,
            counts
        )
    }

    /// Writes each digit's bucket and base to where `cursors`, made from the counts of the same scalars, say.
    pub(crate) fn sort(
        &self,
        cursors: SliceMut<'_, u32>,
        keys: SliceMut<'_, u32>,
        bases: SliceMut<'_, u32>,
    ) -> Done {
        assert!(
            cursors.len >= self.buckets() && keys.len >= self.digits && bases.len >= self.digits
        );
        let threads = self.entries.len() * self.rows;
        call!(
            &self.entries.device,
            "msm_sort",
            threads,
            self.entries.all(),
            self.rows as u64,
            self.bits,
            cursors,
            keys,
            bases
        )
    }
}

/// Where sums over a sorted list go: whole buckets, and a shorter list of two entries a thread.
pub(crate) struct Sums<'a> {
    pub(crate) run: u32,
    pub(crate) buckets: SliceMut<'a, WidePoint>,
    pub(crate) next_keys: SliceMut<'a, u32>,
    pub(crate) next_points: SliceMut<'a, WidePoint>,
}

impl Sums<'_> {
    fn threads(&self, entries: usize) -> usize {
        let threads = entries.div_ceil(self.run as usize);
        let next = if threads > 1 { 2 * threads } else { 0 };
        assert!(self.next_keys.len >= next && self.next_points.len >= next);
        threads
    }
}

/// Sums the sorted bases of all digits, of which there are `count`, a number on the device.
pub(crate) fn msm_sum_bases(
    jobs: &Jobs,
    (keys, bases): (Slice<'_, u32>, Slice<'_, u32>),
    count: Slice<'_, u32>,
    table: Slice<'_, G1Affine>,
    sums: Sums<'_>,
) -> Done {
    assert!(keys.len >= jobs.digits && bases.len >= jobs.digits && count.len == 1);
    assert!(table.len >= jobs.bases && sums.buckets.len >= jobs.buckets());
    let threads = sums.threads(jobs.digits);
    call!(
        keys.device,
        "msm_sum_bases",
        threads,
        keys,
        bases,
        count,
        sums.run,
        table,
        sums.buckets,
        sums.next_keys,
        sums.next_points
    )
}

/// Sums the points of a list that [`msm_sum_bases`] or this made.
pub(crate) fn msm_sum_points(
    jobs: &Jobs,
    keys: Slice<'_, u32>,
    points: Slice<'_, WidePoint>,
    sums: Sums<'_>,
) -> Done {
    assert!(keys.len == points.len && sums.buckets.len >= jobs.buckets());
    let threads = sums.threads(keys.len);
    call!(
        keys.device,
        "msm_sum_points",
        threads,
        keys,
        points,
        keys.len as u64,
        sums.run,
        sums.buckets,
        sums.next_keys,
        sums.next_points
    )
}

/// Sums of each `run` buckets of a window, weighted by their digits.
pub(crate) fn msm_weigh(
    jobs: &Jobs,
    buckets: Slice<'_, WidePoint>,
    run: u32,
    out: SliceMut<'_, WidePoint>,
) -> Done {
    let half = 1u32 << (jobs.bits - 1);
    let threads = out.len;
    assert!(
        half.is_multiple_of(run)
            && buckets.len >= threads * run as usize
            && threads * run as usize == jobs.buckets()
    );
    call!(
        buckets.device,
        "msm_weigh",
        threads,
        buckets,
        half,
        run,
        out
    )
}

#[cfg(test)]
pub(crate) mod checks {
    //! Kernels that only tests have.

    use halo2_proofs::halo2curves::bn256::Fq;

    use super::*;

    // SAFETY: four limbs, as `Fr`.
    unsafe impl Plain for Fq {}
    // SAFETY: integers.
    unsafe impl Plain for u64 {}

    macro_rules! field {
        ($name:ident, $field:ty, $kernel:literal) => {
            /// The kernel's results, seven for each pair.
            pub(crate) fn $name(
                device: &Arc<dyn Device>,
                a: &[$field],
                b: &[$field],
                v: &[i64],
            ) -> Vec<$field> {
                let v: Vec<u64> = v.iter().map(|v| *v as u64).collect();
                assert!(a.len() == b.len() && a.len() == v.len());
                let (a, b) = (
                    Buffer::from_slice(device, a).unwrap(),
                    Buffer::from_slice(device, b).unwrap(),
                );
                let v = Buffer::from_slice(device, &v).unwrap();
                let mut out = Buffer::<$field>::unset(device, 7 * a.len()).unwrap();
                call!(
                    device,
                    $kernel,
                    a.len(),
                    a.all(),
                    b.all(),
                    v.all(),
                    out.all_mut()
                )
                .unwrap();
                out.all().to_vec().unwrap()
            }
        };
    }
    field!(scalar_field, Fr, "check_scalar_field");
    field!(base_field, Fq, "check_base_field");

    /// The kernel's results, four for each pair.
    pub(crate) fn curve(
        device: &Arc<dyn Device>,
        p: &[G1Affine],
        q: &[G1Affine],
        f: &[u32],
    ) -> Vec<WidePoint> {
        assert!(p.len() == q.len() && p.len() == f.len());
        let (p, q) = (
            Buffer::from_slice(device, p).unwrap(),
            Buffer::from_slice(device, q).unwrap(),
        );
        let f = Buffer::from_slice(device, f).unwrap();
        let mut out = Buffer::<WidePoint>::unset(device, 4 * p.len()).unwrap();
        call!(
            device,
            "check_curve",
            p.len(),
            p.all(),
            q.all(),
            f.all(),
            out.all_mut()
        )
        .unwrap();
        out.all().to_vec().unwrap()
    }
}
