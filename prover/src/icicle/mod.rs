//! Proving with ICICLE's libraries, on whatever device it has a backend for.
//!
//! ICICLE transforms and sums points; what it does not offer, the gates of the quotient, evaluations, running products
//! and divisions, is computed on this processor ([`Host`]), and so are linear combinations, for which moving the
//! polynomials would take as long as adding them. The SRS, the cosets' powers and the fixed columns stay on the device.
//!
//! | module | purpose |
//! |---|---|
//! | `abi` | the types of its C interface |
//! | `library` | its libraries, devices, memory and operations; all unsafe code |
//! | `error` | what its functions return |
//! | `need` | how much memory a key's proofs take |

mod abi;
mod error;
mod library;
mod need;
#[cfg(test)]
pub(crate) mod tests;

pub use error::IcicleCode;
pub(crate) use need::Need;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use ff::Field;
use group::Group as _;
use halo2_proofs::{
    halo2curves::{
        CurveExt as _,
        bn256::{Fr, G1, G1Affine},
    },
    poly::EvaluationDomain,
};
use rayon::prelude::*;

use self::{
    abi::{Affine, Element, Projective, element, from_element},
    library::{Buffer, Device, Direction, Library},
};
use crate::{
    backend::{Column, Engine, Host, Shape, Sum, Values, combine},
    gpu::{FoundDevice, GpuError, device::Memory},
    small::{Integer, Integers, each_width},
    srs::powers,
};

/// The backend.
pub(crate) type Icicle = Host<Transforms>;

/// Kinds of devices, the preferred one first. The processor is one of ICICLE's devices too, but only on request.
const KINDS: [&str; 3] = ["CUDA", "METAL", "VULKAN"];

/// Polynomials that are transformed at a time.
const AT_A_TIME: usize = 8;

/// Scalars that are summed at a time: more of them only take memory, and fewer leave a device idle.
const SCALARS_AT_A_TIME: usize = 1 << 21;

/// An opened device.
#[derive(Clone, Debug)]
pub(crate) struct Opened(Arc<Device>);

impl Opened {
    /// Opens the kind of device that `ICICLE_DEVICE` names, or else the first that works, with the libraries in the
    /// folder `ICICLE_LIB_DIR`, or else where the system has them.
    pub(crate) fn from_environment() -> Result<Self, GpuError> {
        let folder = std::env::var_os("ICICLE_LIB_DIR");
        let kind = std::env::var("ICICLE_DEVICE").ok();
        Self::new(folder.as_deref().map(Path::new), kind.as_deref())
    }

    fn new(folder: Option<&Path>, kind: Option<&str>) -> Result<Self, GpuError> {
        let library = Library::open(folder)?;
        let device = match kind {
            Some(kind) => Device::first(library, &[kind])?,
            None => Device::first(library, &KINDS)?,
        };
        Ok(Self(device))
    }

    /// What memory is free, if the backend tells.
    fn memory(&self) -> Result<Option<Memory>, GpuError> {
        self.0.memory()
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}

/// The device that would be used, or why there is none.
pub(crate) fn found() -> FoundDevice {
    let found = |device, memory: Option<Memory>, problem: Option<GpuError>| FoundDevice {
        backend: "icicle",
        device,
        arch: None,
        memory: memory.map(|memory| (memory.free, memory.total)),
        // They come with ICICLE.
        kernels_ready: problem.is_none(),
        problem,
    };
    match Opened::from_environment() {
        Err(why) => found(None, None, Some(why)),
        Ok(opened) => {
            let device = Some((0, opened.name().to_owned()));
            match opened.memory() {
                Ok(memory) => found(device, memory, None),
                Err(why) => found(device, None, Some(why)),
            }
        }
    }
}

/// What is on the device for one size.
#[derive(Debug)]
pub(crate) struct Transforms {
    device: Arc<Device>,
    k: u32,
    /// The SRS in its Lagrange form, which serves all commitments.
    bases: Buffer<Affine>,
    cosets: Vec<Coset>,
}

/// What takes polynomials to a coset and back: the powers of its shift, and of the shift's inverse.
#[derive(Debug)]
struct Coset {
    to: Buffer<Element>,
    from: Buffer<Element>,
}

/// Coefficients on the device, one polynomial after another.
#[derive(Debug)]
pub(crate) struct Polynomials {
    coefficients: Buffer<Fr>,
    count: usize,
}

impl Icicle {
    /// Prepares the device. Of the fixed columns that are transformed on their own, by index, as many are kept on all
    /// cosets as half of `memory` bytes of this process hold, of the others the coefficients on the device.
    pub(crate) fn new(
        opened: &Opened,
        g_lagrange: &[G1Affine],
        domain: &EvaluationDomain<Fr>,
        fixed: &[(usize, &Column<'_>)],
        memory: usize,
    ) -> Result<Self, GpuError> {
        let device = &opened.0;
        device.prepare_transforms(domain.k())?;
        let bases: Vec<Affine> = g_lagrange.par_iter().map(affine).collect();
        let n = g_lagrange.len();
        let all = |base: Fr| {
            let powers: Vec<Element> = powers(base, n).par_iter().map(element).collect();
            Buffer::from_slice(device, &powers)
        };
        let Shape { shifts, .. } = Shape::new(domain);
        let coset = |shift: &Fr| {
            let inverse = Option::<Fr>::from(shift.invert()).expect("a generator is not zero");
            Ok(Coset {
                to: all(*shift)?,
                from: all(inverse)?,
            })
        };
        let transforms = Transforms {
            device: device.clone(),
            k: domain.k(),
            bases: Buffer::from_slice(device, &bases)?,
            cosets: shifts.iter().map(coset).collect::<Result<_, _>>()?,
        };
        Self::prepare(transforms, domain, fixed, memory)
    }
}

/// Which sums are asked for together: those over the same rows, from a first one to the end, with as many bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    first: usize,
    /// 0 for elements, which have all.
    bits: u32,
}

/// What is summed of a column.
enum Scalars<'c> {
    /// Small integers in the first rows, zeros in the others, all with something added that leaves none negative.
    Integers { values: Integers<'c>, added: u64 },
    /// What field elements stand for.
    Elements(&'c [Fr]),
}

impl Scalars<'_> {
    fn write(&self, out: &mut [Element]) {
        match self {
            Self::Integers { values, added } => {
                let (head, rest) = out.split_at_mut(values.len());
                each_width!(values, values => {
                    let sums = values.iter().map(|v| added.wrapping_add_signed(v.get()));
                    head.iter_mut().zip(sums).for_each(|(out, sum)| *out = [sum, 0, 0, 0]);
                });
                rest.fill([*added, 0, 0, 0]);
            }
            Self::Elements(values) => {
                let rows = out.iter_mut().zip(*values);
                rows.for_each(|(out, value)| *out = element(value));
            }
        }
    }
}

impl Transforms {
    fn n(&self) -> usize {
        1 << self.k
    }

    /// The sums that commitments to some columns consist of, each with its column's place.
    fn groups<'c>(&self, columns: &[&'c Column<'c>]) -> BTreeMap<Group, Vec<(usize, Scalars<'c>)>> {
        let mut groups: BTreeMap<Group, Vec<_>> = BTreeMap::new();
        for (place, column) in columns.iter().enumerate() {
            let elements = match &column.values {
                Values::Small { tail, .. } => tail,
                Values::Narrow(_) => &[][..],
                Values::Dense(values) => values,
            };
            if !elements.is_empty() {
                let first = self.n() - elements.len();
                let group = groups.entry(Group { first, bits: 0 }).or_default();
                group.push((place, Scalars::Elements(elements)));
            }
            let Some((values, _)) = column.narrow() else {
                continue;
            };
            let (lowest, highest) = values.range();
            let added = lowest.min(0).unsigned_abs();
            let bits = u64::BITS - added.wrapping_add_signed(highest.max(0)).leading_zeros();
            if bits > 0 {
                let bits = bits.next_multiple_of(8);
                let group = groups.entry(Group { first: 0, bits }).or_default();
                group.push((place, Scalars::Integers { values, added }));
            }
        }
        groups
    }

    /// The sums of multiples of the last bases by each of some scalars.
    fn sums(&self, group: Group, scalars: &[Scalars<'_>]) -> Result<Vec<G1>, GpuError> {
        let rows = self.n() - group.first;
        let mut sums = Vec::with_capacity(scalars.len());
        for scalars in scalars.chunks((SCALARS_AT_A_TIME / rows).max(1)) {
            let mut all = vec![Element::default(); scalars.len() * rows];
            let places = all.par_chunks_mut(rows).zip(scalars);
            places.for_each(|(out, scalars)| scalars.write(out));
            let bases = (&self.bases, group.first..self.n());
            for (sum, scalars) in self
                .device
                .sums(&all, bases, group.bits)?
                .iter()
                .zip(scalars)
            {
                let sum = point(sum).ok_or_else(|| GpuError::OffCurve {
                    device: self.device.name().to_owned(),
                })?;
                sums.push(match scalars {
                    // The bases are the Lagrange polynomials' values, whose sum is 1: together they give the first
                    // point of the SRS, which is the generator.
                    Scalars::Integers { added, .. } => sum - G1::generator() * Fr::from(*added),
                    Scalars::Elements(_) => sum,
                });
            }
        }
        Ok(sums)
    }

    fn download(&self, from: &Buffer<Fr>, count: usize) -> Result<Vec<Vec<Fr>>, GpuError> {
        let download = |i: usize| {
            let mut polynomial = vec![Fr::ZERO; self.n()];
            from.download(i * self.n(), &mut polynomial)?;
            Ok(polynomial)
        };
        (0..count).map(download).collect()
    }
}

impl Engine for Transforms {
    type Polynomials = Polynomials;

    fn name(&self) -> String {
        self.device.name().to_owned()
    }

    fn commit(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError> {
        let mut commitments = vec![G1::identity(); columns.len()];
        for (group, members) in self.groups(columns) {
            let (places, scalars): (Vec<usize>, Vec<Scalars<'_>>) = members.into_iter().unzip();
            for (place, sum) in places.into_iter().zip(self.sums(group, &scalars)?) {
                commitments[place] += sum;
            }
        }
        Ok(commitments)
    }

    /// By the values on the domain: a transform costs less than a second set of bases.
    fn commit_coefficients(&self, polynomials: &[&[Fr]]) -> Result<Vec<G1>, GpuError> {
        let mut commitments = Vec::with_capacity(polynomials.len());
        let mut buffer = Buffer::unset(&self.device, AT_A_TIME.min(polynomials.len()) * self.n())?;
        for polynomials in polynomials.chunks(AT_A_TIME) {
            for (i, coefficients) in polynomials.iter().enumerate() {
                buffer.upload(i * self.n(), coefficients)?;
            }
            let forward = Direction::Forward;
            self.device
                .transform((&mut buffer, 0..polynomials.len()), self.k, forward)?;
            let values = self.download(&buffer, polynomials.len())?;
            let scalars: Vec<Scalars<'_>> = values.iter().map(|v| Scalars::Elements(v)).collect();
            commitments.extend(self.sums(Group { first: 0, bits: 0 }, &scalars)?);
        }
        Ok(commitments)
    }

    fn interpolate(&self, sums: &[&Sum<'_>]) -> Result<Polynomials, GpuError> {
        let n = self.n();
        let mut coefficients = Buffer::unset(&self.device, sums.len() * n)?;
        for (first, sums) in (0..).step_by(AT_A_TIME).zip(sums.chunks(AT_A_TIME)) {
            let batch = first..first + sums.len();
            let values: Vec<Vec<Fr>> = sums.par_iter().map(|sum| combine(sum, n)).collect();
            for (i, values) in batch.clone().zip(&values) {
                coefficients.upload(i * n, values)?;
            }
            let polynomials = (&mut coefficients, batch);
            self.device
                .transform(polynomials, self.k, Direction::Inverse)?;
        }
        Ok(Polynomials {
            coefficients,
            count: sums.len(),
        })
    }

    fn coefficients(&self, polynomials: Polynomials) -> Result<Vec<Vec<Fr>>, GpuError> {
        self.download(&polynomials.coefficients, polynomials.count)
    }

    fn to_coset(&self, groups: [&Polynomials; 2], j: usize) -> Result<Vec<Vec<Fr>>, GpuError> {
        let (n, powers) = (self.n(), &self.cosets[j].to);
        let count = groups.iter().map(|group| group.count).sum();
        let mut values = Vec::with_capacity(count);
        let mut buffer = Buffer::unset(&self.device, AT_A_TIME.min(count) * n)?;
        let all: Vec<(&Buffer<Fr>, usize)> = groups
            .iter()
            .flat_map(|group| (0..group.count).map(|i| (&group.coefficients, i * n)))
            .collect();
        for polynomials in all.chunks(AT_A_TIME) {
            for (i, (coefficients, at)) in polynomials.iter().enumerate() {
                let factors = (*coefficients, *at..at + n);
                self.device
                    .multiply(factors, powers, (&mut buffer, i * n))?;
            }
            let forward = Direction::Forward;
            self.device
                .transform((&mut buffer, 0..polynomials.len()), self.k, forward)?;
            values.extend(self.download(&buffer, polynomials.len())?);
        }
        Ok(values)
    }

    fn from_coset(&self, mut values: Vec<Fr>, j: usize) -> Result<Vec<Fr>, GpuError> {
        let mut scaled = Buffer::from_slice(&self.device, &values)?;
        self.device
            .transform((&mut scaled, 0..1), self.k, Direction::Inverse)?;
        let mut coefficients = Buffer::unset(&self.device, self.n())?;
        let (scaled, powers) = ((&scaled, 0..self.n()), &self.cosets[j].from);
        self.device
            .multiply(scaled, powers, (&mut coefficients, 0))?;
        coefficients.download(0, &mut values)?;
        Ok(values)
    }
}

fn affine(point: &G1Affine) -> Affine {
    [element(&point.x), element(&point.y)]
}

/// The point that ICICLE's coordinates stand for, if they do.
fn point(coordinates: &Projective) -> Option<G1> {
    let [x, y, z] = coordinates.map(|limbs| from_element(&limbs));
    let (x, y, z) = (x?, y?, z?);
    let point = G1 { x, y, z };
    // With z = 0 the equation leaves the identity, and no point at all.
    let is_point = bool::from(point.is_on_curve()) && !bool::from(y.is_zero() & z.is_zero());
    is_point.then_some(point)
}
