//! Multi-scalar multiplication: signed digits sorted into buckets, sums of buckets, their weighted sums.

use std::sync::Arc;

use group::Group;
use halo2_proofs::halo2curves::{
    CurveExt,
    bn256::{Fq, G1, G1Affine},
    serde::SerdeObject,
};

use super::{
    device::{
        Buffer, Device, Slice, WidePoint,
        launch::{
            Jobs, ScalarValues, Scalars, Sums, msm_sum_bases, msm_sum_points, msm_weigh, point_sums,
        },
    },
    error::GpuError,
    scan::count_scan,
};

/// Bits of a field element.
pub(crate) const ELEMENT_BITS: u32 = 254;

/// Digits that are sorted at a time, unless one sum alone has more.
pub(crate) const DIGITS: usize = 1 << 24;

/// Sums over sorted lists: entries of a thread in the first list, where there are enough, and in those after it.
const FIRST_RUN: std::ops::RangeInclusive<usize> = 4..=64;
const NEXT_RUN: u32 = 8;

/// Threads that keep a device busy.
const THREADS: usize = 1 << 17;

/// Buckets, and then points, of a thread in the weighted sums.
const WEIGH_RUN: usize = 16;

/// One sum: scalars of at most `bits` bits, over the bases from `first_base` on.
#[derive(Clone, Copy)]
pub(crate) struct Sum<'a> {
    pub(crate) values: ScalarValues<'a>,
    pub(crate) bits: u32,
    pub(crate) first_base: usize,
}

/// Bits of a window, and how many windows, for so many scalars of so many bits: what takes the fewest additions.
fn windows(count: usize, bits: u32) -> (u32, usize) {
    // A bit more than the scalars have, so that the last digit leaves no carry.
    let number = |width: u32| (bits + 1).div_ceil(width) as usize;
    let cost = |width: u32| number(width) * (count + (4 << (width - 1)));
    let width = (1..=20)
        .min_by_key(|width| cost(*width))
        .expect("some widths");
    (width, number(width))
}

/// Bytes that sums of dense columns of `n` rows take, `columns` at a time at most.
pub(crate) fn working_bytes(n: usize, columns: usize) -> u64 {
    let (width, number) = windows(n, ELEMENT_BITS);
    let one = (n * number) as u64;
    let all = (DIGITS as u64).max(one).min(one * columns as u64);
    let jobs = all.div_ceil(one);
    let buckets = jobs * ((number as u64) << (width - 1));
    let threads = all / *FIRST_RUN.start() as u64;
    let list = if all as usize / *FIRST_RUN.end() >= THREADS {
        all / *FIRST_RUN.end() as u64
    } else {
        threads.min(THREADS as u64)
    };
    let point = size_of::<WidePoint>() as u64;
    // Keys and bases; counts; buckets and what they are weighed to; two entries a thread, in lists that shrink by 4;
    // the sums of all windows.
    8 * all
        + 5 * buckets
        + point * (buckets + buckets / 8)
        + 2 * (point + 4) * (2 * list + list / 2)
        + point * (columns * number) as u64
        + (1 << 20)
}

/// Sums that a device has been asked for.
pub(crate) struct Pending {
    /// Bits of a window, and windows of a sum.
    width: u32,
    windows: usize,
    /// The weighted sums of the windows' buckets, for some sums at a time.
    points: Vec<Buffer<WidePoint>>,
}

/// Has sums computed, and does not wait for them.
pub(crate) fn launch(
    device: &Arc<dyn Device>,
    table: Slice<'_, G1Affine>,
    sums: &[Sum<'_>],
) -> Result<Pending, GpuError> {
    let count = sums.iter().map(|sum| sum.values.len()).max().unwrap_or(1);
    let bits = sums.iter().map(|sum| sum.bits).max().unwrap_or(1);
    let (width, windows) = windows(count, bits);
    let jobs: Vec<Scalars<'_>> = sums
        .iter()
        .map(|sum| Scalars {
            values: sum.values,
            first_base: sum.first_base,
            windows,
        })
        .collect();
    let at_a_time = (DIGITS / (count * windows).max(1)).max(1);
    let points = jobs
        .chunks(at_a_time)
        .map(|jobs| batch(device, table, jobs, width))
        .collect::<Result<_, _>>()?;
    Ok(Pending {
        width,
        windows,
        points,
    })
}

impl Pending {
    /// The sums' values.
    pub(crate) fn wait(self) -> Result<Vec<G1>, GpuError> {
        let mut values = vec![];
        for buffer in &self.points {
            let points = buffer.all().to_vec()?;
            let points = points.iter().map(|point| {
                narrow(point).ok_or_else(|| GpuError::OffCurve {
                    device: buffer.all().device().name().to_owned(),
                })
            });
            let points: Vec<G1> = points.collect::<Result<_, _>>()?;
            values.extend(points.chunks(self.windows).map(|windows| {
                let mut sum = G1::identity();
                for point in windows.iter().rev() {
                    for _ in 0..self.width {
                        sum = sum.double();
                    }
                    sum += point;
                }
                sum
            }));
        }
        Ok(values)
    }
}

/// The weighted sum of each window's buckets.
fn batch(
    device: &Arc<dyn Device>,
    table: Slice<'_, G1Affine>,
    scalars: &[Scalars<'_>],
    width: u32,
) -> Result<Buffer<WidePoint>, GpuError> {
    let jobs = Jobs::new(device, scalars, width)?;
    let buckets = sum_buckets(device, table, &jobs)?;
    let half = 1 << (width - 1);
    let mut left: usize = half;
    let run = left.min(WEIGH_RUN);
    left /= run;
    let mut sums = Buffer::unset(device, jobs.windows() * left)?;
    msm_weigh(&jobs, buckets.all(), run as u32, sums.all_mut())?;
    drop(buckets);
    while left > 1 {
        let group = left.min(WEIGH_RUN);
        left /= group;
        let mut next = Buffer::unset(device, jobs.windows() * left)?;
        point_sums(sums.all(), group as u32, next.all_mut())?;
        sums = next;
    }
    Ok(sums)
}

/// The sum of the bases in each bucket.
fn sum_buckets(
    device: &Arc<dyn Device>,
    table: Slice<'_, G1Affine>,
    jobs: &Jobs,
) -> Result<Buffer<WidePoint>, GpuError> {
    let (buckets, digits) = (jobs.buckets(), jobs.digits());
    let mut sums = Buffer::zeros(device, buckets)?;
    // One more, which becomes the number of all digits.
    let mut cursors = Buffer::<u32>::zeros(device, buckets + 1)?;
    jobs.count(cursors.all_mut())?;
    count_scan(cursors.all_mut())?;
    let mut count = Buffer::unset(device, 1)?;
    count
        .all_mut()
        .copy_from(cursors.slice(buckets..buckets + 1))?;
    let (mut keys, mut bases) = (
        Buffer::unset(device, digits)?,
        Buffer::unset(device, digits)?,
    );
    jobs.sort(cursors.all_mut(), keys.all_mut(), bases.all_mut())?;
    drop(cursors);

    let run = (digits / THREADS).clamp(*FIRST_RUN.start(), *FIRST_RUN.end());
    let list = |entries: usize, run: usize| {
        let threads = entries.div_ceil(run);
        if threads > 1 { 2 * threads } else { 0 }
    };
    let entries = list(digits, run);
    let (mut next_keys, mut next_points) = (
        Buffer::unset(device, entries)?,
        Buffer::unset(device, entries)?,
    );
    let first = Sums {
        run: run as u32,
        buckets: sums.all_mut(),
        next_keys: next_keys.all_mut(),
        next_points: next_points.all_mut(),
    };
    msm_sum_bases(jobs, (keys.all(), bases.all()), count.all(), table, first)?;
    drop((keys, bases));
    while next_keys.len() > 0 {
        let (keys, points) = (next_keys, next_points);
        let entries = list(keys.len(), NEXT_RUN as usize);
        next_keys = Buffer::unset(device, entries)?;
        next_points = Buffer::unset(device, entries)?;
        let next = Sums {
            run: NEXT_RUN,
            buckets: sums.all_mut(),
            next_keys: next_keys.all_mut(),
            next_points: next_points.all_mut(),
        };
        msm_sum_points(jobs, keys.all(), points.all(), next)?;
    }
    Ok(sums)
}

/// A point of a device as the host has it, if it is one.
pub(crate) fn narrow(point: &WidePoint) -> Option<G1> {
    let element = |limbs: &[u64; 4]| {
        let bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        Fq::from_raw_bytes(&bytes)
    };
    let WidePoint([x, y, zz, zzz]) = point;
    let (x, y, zz, zzz) = (element(x)?, element(y)?, element(zz)?, element(zzz)?);
    if zz == Fq::zero() {
        return Some(G1::identity());
    }
    // x = X/ZZ and y = Y/ZZZ over the common denominator.
    let point = G1 {
        x: x * zzz,
        y: y * zz,
        z: zz * zzz,
    };
    bool::from(point.is_on_curve()).then_some(point)
}
