//! What ICICLE's C interface passes: types of version 4.0.

use std::{ffi::c_void, ptr};

use ff::PrimeField;

/// A device: its kind, a string with a zero after it, and its number.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Device {
    kind: [u8; 64],
    id: i32,
}

/// An integer below the order of a field, least limb first.
pub(super) type Element = [u64; 4];
/// `x` and `y`, both 0 for the identity.
pub(super) type Affine = [Element; 2];
/// `x`, `y`, `z` of the point `(x/z, y/z)`.
pub(super) type Projective = [Element; 3];

/// The integer that a field element stands for.
pub(super) fn element<F: PrimeField<Repr = [u8; 32]>>(value: &F) -> Element {
    let repr = value.to_repr();
    std::array::from_fn(|i| {
        let bytes = repr[8 * i..][..8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    })
}

/// The field element of an integer below the order.
pub(super) fn from_element<F: PrimeField<Repr = [u8; 32]>>(limbs: &Element) -> Option<F> {
    let mut repr = [0; 32];
    for (bytes, limb) in repr.chunks_exact_mut(8).zip(limbs) {
        bytes.copy_from_slice(&limb.to_le_bytes());
    }
    F::from_repr(repr).into()
}

#[repr(C)]
pub(super) struct MsmConfig {
    stream: *mut c_void,
    precompute_factor: i32,
    c: i32,
    pub(super) bitsize: i32,
    pub(super) batch_size: i32,
    points_shared_in_batch: bool,
    scalars_on_device: bool,
    scalars_montgomery: bool,
    points_on_device: bool,
    points_montgomery: bool,
    results_on_device: bool,
    is_async: bool,
    ext: *mut c_void,
}

#[repr(C)]
pub(super) struct NttConfig {
    stream: *mut c_void,
    coset_gen: Element,
    pub(super) batch_size: i32,
    columns_batch: bool,
    ordering: i32,
    inputs_on_device: bool,
    outputs_on_device: bool,
    is_async: bool,
    ext: *mut c_void,
}

#[repr(C)]
pub(super) struct DomainConfig {
    stream: *mut c_void,
    is_async: bool,
    ext: *mut c_void,
}

#[repr(C)]
pub(super) struct VectorConfig {
    stream: *mut c_void,
    a_on_device: bool,
    b_on_device: bool,
    result_on_device: bool,
    is_async: bool,
    batch_size: i32,
    columns_batch: bool,
    ext: *mut c_void,
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Device>() == 68 && offset_of!(Device, id) == 64);
    assert!(size_of::<MsmConfig>() == 40 && offset_of!(MsmConfig, points_shared_in_batch) == 24);
    assert!(offset_of!(MsmConfig, bitsize) == 16 && offset_of!(MsmConfig, ext) == 32);
    assert!(size_of::<NttConfig>() == 64 && offset_of!(NttConfig, batch_size) == 40);
    assert!(offset_of!(NttConfig, ordering) == 48 && offset_of!(NttConfig, ext) == 56);
    assert!(size_of::<DomainConfig>() == 24 && offset_of!(DomainConfig, ext) == 16);
    assert!(size_of::<VectorConfig>() == 32 && offset_of!(VectorConfig, batch_size) == 12);
    assert!(offset_of!(VectorConfig, ext) == 24);
    assert!(size_of::<Affine>() == 64 && size_of::<Projective>() == 96);
};

impl Device {
    /// The first device of a kind, whose name is cut to what fits.
    pub(super) fn first(kind: &str) -> Self {
        let mut device = Self {
            kind: [0; 64],
            id: 0,
        };
        let room = device.kind.len() - 1;
        for (to, from) in device.kind[..room].iter_mut().zip(kind.bytes()) {
            *to = from;
        }
        device
    }
}

impl MsmConfig {
    /// Integers of the host below `2^bits` times points of the device, canonical all of them. 0 bits stand for all.
    pub(super) fn new(bits: i32, batch_size: i32) -> Self {
        Self {
            stream: ptr::null_mut(),
            precompute_factor: 1,
            c: 0,
            bitsize: bits,
            batch_size,
            points_shared_in_batch: true,
            scalars_on_device: false,
            scalars_montgomery: false,
            points_on_device: true,
            points_montgomery: false,
            results_on_device: false,
            is_async: false,
            ext: ptr::null_mut(),
        }
    }
}

impl NttConfig {
    /// Polynomials on the device, one after another, in natural order.
    pub(super) fn new(batch_size: i32) -> Self {
        Self {
            stream: ptr::null_mut(),
            coset_gen: [1, 0, 0, 0],
            batch_size,
            columns_batch: false,
            ordering: 0,
            inputs_on_device: true,
            outputs_on_device: true,
            is_async: false,
            ext: ptr::null_mut(),
        }
    }
}

impl DomainConfig {
    pub(super) fn new() -> Self {
        Self {
            stream: ptr::null_mut(),
            is_async: false,
            ext: ptr::null_mut(),
        }
    }
}

impl VectorConfig {
    /// One vector, on the device as is the result.
    pub(super) fn new() -> Self {
        Self {
            stream: ptr::null_mut(),
            a_on_device: true,
            b_on_device: true,
            result_on_device: true,
            is_async: false,
            batch_size: 1,
            columns_batch: false,
            ext: ptr::null_mut(),
        }
    }
}
