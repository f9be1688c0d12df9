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
//! | `sums` | commitments |
//! | `need` | how much memory a key's proofs take |

mod abi;
mod error;
mod library;
mod need;
mod sums;
#[cfg(test)]
pub(crate) mod tests;

pub use error::IcicleCode;
pub(crate) use need::Need;

use std::{path::Path, sync::Arc};

use ff::Field;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1, G1Affine},
    poly::EvaluationDomain,
};
use rayon::prelude::*;

use self::{
    abi::{Affine, Element, element},
    library::{Buffer, Device, Direction, Library},
};
use crate::{
    backend::{Column, Engine, Host, Shape, Sum, combine},
    gpu::{FoundDevice, GpuError, device::Memory},
    srs::powers,
};

/// The backend.
pub(crate) type Icicle = Host<Transforms>;

/// Kinds of devices, the preferred one first. The processor is one of ICICLE's devices too, but only on request.
const KINDS: [&str; 3] = ["CUDA", "METAL", "VULKAN"];

/// Polynomials that are transformed at a time.
const AT_A_TIME: usize = 8;

/// An opened device.
#[derive(Clone, Debug)]
pub(crate) struct Opened(Arc<Device>);

impl Opened {
    /// Opens the kind of device that `ICICLE_DEVICE` names, or else the first that works, with the libraries in the
    /// folder `ICICLE_LIB_DIR`, or else where the system has them.
    pub(crate) fn from_environment() -> Result<Self, GpuError> {
        let folder = std::env::var_os("ICICLE_LIB_DIR");
        let kind = std::env::var_os("ICICLE_DEVICE");
        let kind = kind.as_ref().map(|kind| kind.to_string_lossy());
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
        let bases: Vec<Affine> = g_lagrange.par_iter().map(sums::affine).collect();
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

impl Transforms {
    fn n(&self) -> usize {
        1 << self.k
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
        self.commit_columns(columns)
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
            commitments.extend(self.commit_elements(&values)?);
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

    fn evaluate_on_coset(
        &self,
        groups: [&Polynomials; 2],
        j: usize,
    ) -> Result<Vec<Vec<Fr>>, GpuError> {
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

    fn interpolate_on_coset(&self, mut values: Vec<Fr>, j: usize) -> Result<Vec<Fr>, GpuError> {
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
