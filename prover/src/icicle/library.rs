//! ICICLE as it is loaded, its devices and their memory.
//!
//! All unsafe code for ICICLE is in this module. Outside of it a [`Buffer`] is as safe as a vector, and the operations
//! of a [`Device`] check what ICICLE relies on.

use std::{
    collections::HashMap,
    ffi::c_void,
    marker::PhantomData,
    ops::Range,
    path::{Path, PathBuf},
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::Fr;

use super::{
    abi::{
        self, Affine, DomainConfig, Element, MsmConfig, NttConfig, Projective, VectorConfig,
        element,
    },
    error::IcicleCode,
};
use crate::gpu::{
    GpuError,
    device::{Memory, Plain, bytes_of, bytes_of_mut},
};

// SAFETY: four integers.
unsafe impl Plain for Element {}
// SAFETY: eight integers.
unsafe impl Plain for Affine {}

/// A function of ICICLE's that takes these arguments.
macro_rules! function {
    ($($argument:ty),*) => { unsafe extern "C" fn($($argument),*) -> i32 };
}

/// The functions that are used, by the library that has them.
macro_rules! functions {
    ($($library:literal: { $($name:ident($($argument:ty),*);)* })*) => {
        struct Functions { $($($name: function!($($argument),*),)*)* }

        impl Functions {
            fn load(folder: Option<&Path>) -> Result<Self, GpuError> {
                $(
                    let library = open($library, folder)?;
                    $(
                        // SAFETY: the type is the one that ICICLE 4 declares.
                        let found = unsafe { library.get::<function!($($argument),*)>(stringify!($name)) };
                        let $name = *found.map_err(|_| GpuError::IcicleFunction {
                            library: $library,
                            function: stringify!($name),
                        })?;
                    )*
                    // Backends have threads and memory of their own, which outlive whoever asked for them.
                    std::mem::forget(library);
                )*
                Ok(Self { $($($name,)*)* })
            }
        }
    };
}

functions! {
    "icicle_device": {
        icicle_load_backend_from_env_or_default();
        icicle_is_device_available(*const abi::Device);
        icicle_set_device(*const abi::Device);
        icicle_get_available_memory(*mut usize, *mut usize);
        icicle_malloc(*mut *mut c_void, usize);
        icicle_free(*mut c_void);
        icicle_copy_to_host(*mut c_void, *const c_void, usize);
        icicle_copy_to_device(*mut c_void, *const c_void, usize);
    }
    "icicle_field_bn254": {
        bn254_ntt_init_domain(*const Element, *const DomainConfig);
        bn254_ntt_release_domain();
        bn254_ntt(*const c_void, i32, i32, *const NttConfig, *mut c_void);
        bn254_vector_mul(*const c_void, *const c_void, u64, *const VectorConfig, *mut c_void);
    }
    "icicle_curve_bn254": {
        bn254_msm(*const Element, *const c_void, i32, *const MsmConfig, *mut Projective);
    }
}

#[cfg(unix)]
fn load(file: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};
    // Its backends, which ICICLE loads, look for it among all libraries, as for programs that are linked with it.
    // SAFETY: loading ICICLE registers its devices, and nothing else.
    unsafe { Library::open(Some(file), RTLD_LAZY | RTLD_GLOBAL) }.map(Into::into)
}

#[cfg(not(unix))]
fn load(file: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: loading ICICLE registers its devices, and nothing else.
    unsafe { libloading::Library::new(file) }
}

fn open(name: &'static str, folder: Option<&Path>) -> Result<libloading::Library, GpuError> {
    let mut file = PathBuf::from(libloading::library_filename(name));
    if let Some(folder) = folder {
        file = folder.join(file);
    }
    load(&file).map_err(|why| GpuError::IcicleLibrary {
        library: name,
        // What the system says is behind it.
        why: std::error::Error::source(&why).unwrap_or(&why).to_string(),
    })
}

/// ICICLE, loaded for as long as the process runs.
pub(super) struct Library {
    functions: Functions,
    /// One call at a time: a device is chosen by thread, and its domain must not change while it is in use. Logarithms
    /// of the domains' sizes, by the kind of device.
    domains: Mutex<HashMap<String, u32>>,
}

impl Library {
    /// Loads ICICLE from a folder or from where the system has its libraries, and the backends that it finds itself.
    /// What is loaded already is loaded no second time.
    pub(super) fn open(folder: Option<&Path>) -> Result<&'static Self, GpuError> {
        type Loaded = Vec<(Option<PathBuf>, &'static Library)>;
        static LOADED: Mutex<Loaded> = Mutex::new(vec![]);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, library)) = loaded.iter().find(|(at, _)| at.as_deref() == folder) {
            return Ok(library);
        }
        let functions = Functions::load(folder)?;
        // SAFETY: nothing is passed.
        let code = unsafe { (functions.icicle_load_backend_from_env_or_default)() };
        match IcicleCode::new(code) {
            // There are none to load: which devices there are is seen below.
            None | Some(IcicleCode::BackendLoadFailed) => {}
            Some(code) => {
                return Err(GpuError::Icicle {
                    device: "ICICLE".into(),
                    call: "icicle_load_backend_from_env_or_default",
                    code,
                });
            }
        }
        let library: &'static Self = Box::leak(Box::new(Self {
            functions,
            domains: Mutex::default(),
        }));
        loaded.push((folder.map(Path::to_owned), library));
        Ok(library)
    }
}

/// A device, which each call chooses anew for its thread.
pub(super) struct Device {
    library: &'static Library,
    own: abi::Device,
    kind: String,
    name: String,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Which way a transform goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From coefficients to values.
    Forward = 0,
    /// From values to coefficients, divided by their number.
    Inverse = 1,
}

type Domains = MutexGuard<'static, HashMap<String, u32>>;

impl Device {
    /// The first of these kinds of devices that can be used.
    pub(super) fn first(library: &'static Library, kinds: &[&str]) -> Result<Arc<Self>, GpuError> {
        let mut problems = vec![];
        for kind in kinds {
            let device = Self {
                library,
                own: abi::Device::first(kind),
                kind: (*kind).to_owned(),
                name: format!("ICICLE {kind}"),
            };
            // Choosing a device that no backend has made known ends the process.
            // SAFETY: a device.
            let known =
                unsafe { (library.functions.icicle_is_device_available)(&raw const device.own) };
            if known != 0 {
                problems.push(format!("{kind}: no backend for it is loaded"));
                continue;
            }
            match device.enter() {
                Ok(_) => return Ok(Arc::new(device)),
                Err(GpuError::Icicle { code, .. }) => problems.push(format!("{kind}: {code}")),
                Err(other) => return Err(other),
            }
        }
        Err(GpuError::NoIcicleDevice {
            why: problems.join("; "),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Begins a call, or some that belong together.
    fn enter(&self) -> Result<Domains, GpuError> {
        // A call that panics is made before or after what it has ICICLE do.
        let domains = self.library.domains.lock();
        let domains = domains.unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a device that is known.
        let code = unsafe { (self.library.functions.icicle_set_device)(&raw const self.own) };
        self.check("icicle_set_device", code)?;
        Ok(domains)
    }

    fn check(&self, call: &'static str, code: i32) -> Result<(), GpuError> {
        match IcicleCode::new(code) {
            None => Ok(()),
            Some(code) => Err(GpuError::Icicle {
                device: self.name.clone(),
                call,
                code,
            }),
        }
    }

    /// What memory is free, where the backend tells: ICICLE's own for processors does not.
    pub(super) fn memory(&self) -> Result<Option<Memory>, GpuError> {
        let _calls = self.enter()?;
        let (mut total, mut free) = (0, 0);
        let ask = self.library.functions.icicle_get_available_memory;
        // SAFETY: two numbers to write.
        let code = unsafe { ask(&raw mut total, &raw mut free) };
        if IcicleCode::new(code) == Some(IcicleCode::NotImplemented) {
            return Ok(None);
        }
        self.check("icicle_get_available_memory", code)?;
        Ok(Some(Memory {
            free: free as u64,
            total: total as u64,
        }))
    }

    /// Makes the roots of unity of order `2^k` known to the device, which keeps them for all its users.
    pub(super) fn prepare_transforms(&self, k: u32) -> Result<(), GpuError> {
        self.domain(&mut self.enter()?, k)
    }

    fn domain(&self, domains: &mut Domains, k: u32) -> Result<(), GpuError> {
        let functions = &self.library.functions;
        let ready = domains.get(&self.kind).copied();
        if ready.is_some_and(|ready| ready >= k) {
            return Ok(());
        }
        if domains.remove(&self.kind).is_some() {
            // SAFETY: nothing is passed, and no transform runs.
            let code = unsafe { (functions.bn254_ntt_release_domain)() };
            self.check("bn254_ntt_release_domain", code)?;
        }
        let root = element(&Fr::ROOT_OF_UNITY.pow_vartime([1u64 << (Fr::S - k)]));
        let config = DomainConfig::new();
        // SAFETY: an element and a configuration to read.
        let code = unsafe { (functions.bn254_ntt_init_domain)(&raw const root, &raw const config) };
        self.check("bn254_ntt_init_domain", code)?;
        domains.insert(self.kind.clone(), k);
        Ok(())
    }

    /// Transforms some of the polynomials of `2^k` elements each in their place. Transforms are linear, so elements may
    /// be in Montgomery form, as they are.
    pub(super) fn transform(
        &self,
        polynomials: (&mut Buffer<Fr>, Range<usize>),
        k: u32,
        direction: Direction,
    ) -> Result<(), GpuError> {
        let (buffer, range) = polynomials;
        assert!(buffer.is_on(self) && range.end << k <= buffer.len && !range.is_empty());
        let mut domains = self.enter()?;
        self.domain(&mut domains, k)?;
        let config = NttConfig::new(int(range.len()));
        let at = buffer.at(range.start << k);
        // SAFETY: so many elements are in the buffer, whose device is the thread's, and the domain is as large.
        let code = unsafe {
            (self.library.functions.bn254_ntt)(at, 1 << k, direction as i32, &raw const config, at)
        };
        self.check("bn254_ntt", code)
    }

    /// Writes the products of elements, in Montgomery form, and canonical factors.
    pub(super) fn multiply(
        &self,
        elements: (&Buffer<Fr>, Range<usize>),
        factors: &Buffer<Element>,
        out: (&mut Buffer<Fr>, usize),
    ) -> Result<(), GpuError> {
        let count = elements.1.len();
        assert!(elements.0.is_on(self) && factors.is_on(self) && out.0.is_on(self));
        assert!(elements.1.end <= elements.0.len && count <= factors.len);
        assert!(out.1 + count <= out.0.len);
        let _calls = self.enter()?;
        let config = VectorConfig::new();
        // SAFETY: so many elements are in each of the buffers, whose device is the thread's.
        let code = unsafe {
            (self.library.functions.bn254_vector_mul)(
                elements.0.at(elements.1.start),
                factors.address,
                count as u64,
                &raw const config,
                out.0.at(out.1),
            )
        };
        self.check("bn254_vector_mul", code)
    }

    /// Sums of multiples of the bases in a range: for each run of as many scalars, all below `2^bits`, or of any size
    /// where `bits` is 0.
    pub(super) fn sums(
        &self,
        scalars: &[Element],
        bases: (&Buffer<Affine>, Range<usize>),
        bits: u32,
    ) -> Result<Vec<Projective>, GpuError> {
        let (bases, range) = bases;
        assert!(bases.is_on(self) && range.end <= bases.len && !range.is_empty());
        let count = scalars.len() / range.len();
        assert_eq!(count * range.len(), scalars.len());
        let mut sums = vec![Projective::default(); count];
        let _calls = self.enter()?;
        let config = MsmConfig::new(int(bits as usize), int(count));
        // SAFETY: `count` times as many scalars as bases are there, these in a buffer of the thread's device, and there
        // is room for `count` sums.
        let code = unsafe {
            (self.library.functions.bn254_msm)(
                scalars.as_ptr(),
                bases.at(range.start),
                int(range.len()),
                &raw const config,
                sums.as_mut_ptr(),
            )
        };
        self.check("bn254_msm", code)?;
        Ok(sums)
    }
}

fn int(value: usize) -> i32 {
    i32::try_from(value).expect("SRSs have at most 2^28 points, and columns are few")
}

/// Values in a device's memory, freed with the buffer.
pub(super) struct Buffer<T> {
    device: Arc<Device>,
    /// Null for no values.
    address: *mut c_void,
    len: usize,
    values: PhantomData<T>,
}

// SAFETY: an address in a device's memory, which every thread reaches through ICICLE alone.
unsafe impl<T: Send> Send for Buffer<T> {}
// SAFETY: through a shared reference the memory is only read.
unsafe impl<T: Sync> Sync for Buffer<T> {}

impl<T> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} on {})", self.len, self.device.name)
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.address.is_null() {
            return;
        }
        // The memory's device is found by ICICLE, even if it cannot be chosen any more.
        let calls = self.device.enter();
        // SAFETY: allocated in `unset`, released only here. There is nobody to tell of a failure.
        let _ = unsafe { (self.device.library.functions.icicle_free)(self.address) };
        drop(calls);
    }
}

impl<T: Plain> Buffer<T> {
    /// Of any content: only for what is written before it is read.
    pub(super) fn unset(device: &Arc<Device>, len: usize) -> Result<Self, GpuError> {
        let mut buffer = Self {
            device: device.clone(),
            address: ptr::null_mut(),
            len,
            values: PhantomData,
        };
        let bytes = len * size_of::<T>();
        if bytes == 0 {
            return Ok(buffer);
        }
        let calls = device.enter()?;
        let mut address = ptr::null_mut();
        // SAFETY: a pointer to write.
        let code = unsafe { (device.library.functions.icicle_malloc)(&raw mut address, bytes) };
        drop(calls);
        match (IcicleCode::new(code), address.is_null()) {
            (None, false) => {}
            (None | Some(IcicleCode::OutOfMemory | IcicleCode::AllocationFailed), _) => {
                return Err(GpuError::OutOfMemory {
                    device: device.name.clone(),
                    bytes: bytes as u64,
                    free: device
                        .memory()
                        .ok()
                        .flatten()
                        .map_or(0, |memory| memory.free),
                });
            }
            (Some(_), _) => device.check("icicle_malloc", code)?,
        }
        buffer.address = address;
        Ok(buffer)
    }

    pub(super) fn from_slice(device: &Arc<Device>, values: &[T]) -> Result<Self, GpuError> {
        let mut buffer = Self::unset(device, values.len())?;
        buffer.upload(0, values)?;
        Ok(buffer)
    }

    fn is_on(&self, device: &Device) -> bool {
        ptr::eq(&raw const *self.device, device)
    }

    /// Where a value is.
    fn at(&self, index: usize) -> *mut c_void {
        assert!(index <= self.len);
        self.address.wrapping_byte_add(index * size_of::<T>())
    }

    /// Writes values from a place on.
    pub(super) fn upload(&mut self, first: usize, values: &[T]) -> Result<(), GpuError> {
        assert!(first + values.len() <= self.len);
        if values.is_empty() {
            return Ok(());
        }
        let bytes = bytes_of(values);
        let _calls = self.device.enter()?;
        // SAFETY: so many bytes are at both addresses; they are copied before the call returns.
        let code = unsafe {
            (self.device.library.functions.icicle_copy_to_device)(
                self.at(first),
                bytes.as_ptr().cast(),
                bytes.len(),
            )
        };
        self.device.check("icicle_copy_to_device", code)
    }

    /// Reads values from a place on.
    pub(super) fn download(&self, first: usize, values: &mut [T]) -> Result<(), GpuError> {
        assert!(first + values.len() <= self.len);
        if values.is_empty() {
            return Ok(());
        }
        let bytes = bytes_of_mut(values);
        let _calls = self.device.enter()?;
        // SAFETY: so many bytes are at both addresses; they are copied before the call returns, and any are values.
        let code = unsafe {
            (self.device.library.functions.icicle_copy_to_host)(
                bytes.as_mut_ptr().cast(),
                self.at(first),
                bytes.len(),
            )
        };
        self.device.check("icicle_copy_to_host", code)
    }
}
