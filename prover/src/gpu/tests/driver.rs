//! The code that calls NVIDIA's driver and compiler, on a stand-in for them (`driver.cpp`). They are found once a
//! process, by name, so this runs in processes of its own.

use std::{path::Path, process::Command, sync::Arc};

use halo2_proofs::halo2curves::bn256::Fr;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::{
    ProveError, ProveOptions, Srs,
    fast::{Processor, Prover},
    gpu::{
        GpuError,
        device::{Buffer, Device, cuda::Cuda},
    },
    keygen, prove,
    toy::{INSTANCE_ROWS, Toy},
};

/// Set in the processes that have the stand-in.
const STAND_IN: &str = "TENSORSEAL_STAND_IN";

/// Builds the stand-in under both libraries' names.
fn build(folder: &Path) {
    let library = folder.join("libcuda.so");
    let compiler = std::env::var_os("CXX").unwrap_or("c++".into());
    // From this program, which may run on another machine than it was built on.
    let source = folder.join("driver.cpp");
    std::fs::write(&source, include_str!("driver.cpp")).unwrap();
    let output = Command::new(&compiler)
        .args(["-std=c++17", "-O1", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output()
        .unwrap_or_else(|why| panic!("{compiler:?}: {why}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::copy(&library, folder.join("libnvrtc.so")).unwrap();
}

/// Runs tests of this program with the stand-in; what they print, and what it counted.
fn with_stand_in(folder: &Path, seed: u32, tests: &[&str]) -> (String, String) {
    let log = folder.join("log");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(tests)
        .args(["--nocapture", "--include-ignored", "--test-threads=2"])
        .env("LD_LIBRARY_PATH", folder)
        .env("XDG_CACHE_HOME", folder)
        .env("STAND_IN_LOG", &log)
        .env("STAND_IN_SEED", seed.to_string())
        .env(STAND_IN, "1")
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{printed}");
    (printed, std::fs::read_to_string(log).unwrap())
}

#[test]
fn backend_and_proofs_are_right_on_a_stand_in() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path());
    let proofs = [
        "gpu::tests::driver::uploads_wait",
        "gpu::tests::driver::large_columns",
        "gpu::tests::proofs::random_circuits",
    ];
    let backend = [
        "gpu::tests::driver::large_columns",
        "backend::tests::devices",
        "gpu::tests::proofs::proofs_are",
        "gpu::tests::kernels::sums",
    ];
    // Streams take other turns with each seed.
    for (seed, tests) in [(1, &backend[..]), (2, &proofs[..]), (3, &proofs[..])] {
        let (printed, log) = with_stand_in(folder.path(), seed, tests);
        assert!(!printed.contains("not on a CUDA device"), "{printed}");
        let count = |what: &str| -> u64 {
            let line = log
                .lines()
                .find_map(|line| line.strip_prefix(what)?.trim().parse().ok());
            line.unwrap_or_else(|| panic!("{what}: {log}"))
        };
        assert!(count("cuLaunchKernel") > 500, "{log}");
        assert!(count("cuStreamWaitEvent") > 0, "{log}");
        for kind in ["allocations", "streams", "events", "modules", "pinned"] {
            assert_eq!(count(&format!("live_{kind}")), 0, "{log}");
        }
    }
}

#[test]
fn faults_are_named_on_a_stand_in() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path());
    with_stand_in(
        folder.path(),
        1,
        &["gpu::tests::driver::each_call_that_fails"],
    );
}

fn is_here() -> bool {
    std::env::var_os(STAND_IN).is_some()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

/// More than the rings hold, of either kind, before anything is waited for.
#[test]
#[ignore = "runs with the stand-in"]
fn uploads_wait_for_a_free_slot() {
    assert!(is_here());
    let device: Arc<dyn Device> = Cuda::open(0).unwrap();
    let values = |len: usize, seed: u32| -> Vec<u32> {
        let value = |i| (i as u32).wrapping_mul(0x9e37_79b9) ^ seed;
        (0..len).map(value).collect()
    };
    let lengths = std::iter::repeat_n(5 << 20, 3).chain(std::iter::repeat_n(15_000, 60));
    let uploads: Vec<Vec<u32>> = lengths
        .zip(0..)
        .map(|(len, seed)| values(len, seed))
        .collect();
    let buffers: Vec<Buffer<u32>> = uploads
        .iter()
        .map(|values| Buffer::from_slice(&device, values).unwrap())
        .collect();
    for (i, (buffer, values)) in buffers.iter().zip(&uploads).enumerate() {
        assert!(buffer.all().to_vec().unwrap() == *values, "upload {i}");
    }
}

/// Columns that are uploaded beside what is computed.
#[test]
#[ignore = "runs with the stand-in"]
fn large_columns_give_the_plain_provers_bytes() {
    assert!(is_here());
    let srs = Srs::dev(12).unwrap();
    let toy = Toy::new(2);
    let pk = keygen(&srs, &toy, &INSTANCE_ROWS).unwrap();
    let instances = toy.instances();
    let plain = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
    let prover = Prover::on(Processor::Cuda, &srs, &pk, 0).unwrap();
    let proof = prover
        .prove(ProveOptions::default(), &toy, &instances, rng())
        .unwrap();
    assert_eq!(proof, plain);
}

/// Whatever the driver refuses, and when: an error that names it, or the right proof.
#[test]
#[ignore = "runs with the stand-in"]
fn each_call_that_fails_is_named() {
    assert!(is_here());
    type Fault = unsafe extern "C" fn(*const std::ffi::c_char, u64, i32);
    type Calls = unsafe extern "C" fn(*const std::ffi::c_char) -> u64;
    // SAFETY: the stand-in, which the prover has loaded or will.
    let library = unsafe { libloading::Library::new("libcuda.so") }.unwrap();
    // SAFETY: the stand-in's functions have these types.
    let (fault, calls) = unsafe {
        (
            *library.get::<Fault>(b"stand_in_fault").unwrap(),
            *library.get::<Calls>(b"stand_in_calls").unwrap(),
        )
    };
    let srs = Srs::dev(5).unwrap();
    let toy = Toy::new(2);
    let pk = keygen(&srs, &toy, &INSTANCE_ROWS).unwrap();
    let instances: Vec<Vec<Fr>> = toy.instances();
    let run = || -> Result<Vec<u8>, ProveError> {
        let prover = Prover::on(Processor::Cuda, &srs, &pk, 0)?;
        prover.prove(ProveOptions::default(), &toy, &instances, rng())
    };
    let plain = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
    assert_eq!(run().unwrap(), plain);
    const UNKNOWN: i32 = 999;
    const OUT_OF_MEMORY: i32 = 2;
    for function in [
        c"cuInit",
        c"cuDeviceGetCount",
        c"cuDeviceGet",
        c"cuDeviceGetName",
        c"cuDeviceGetAttribute",
        c"cuDevicePrimaryCtxRetain",
        c"cuCtxGetCurrent",
        c"cuMemGetInfo",
        c"cuDeviceGetDefaultMemPool",
        c"cuMemPoolSetAttribute",
        c"cuMemPoolTrimTo",
        c"cuModuleLoadData",
        c"cuModuleGetFunction",
        c"cuStreamCreate",
        c"cuEventCreate",
        c"cuMemHostAlloc",
        c"cuMemAllocAsync",
        c"cuMemcpyHtoDAsync",
        c"cuMemsetD8Async",
        c"cuMemcpyDtoDAsync",
        c"cuLaunchKernel",
        c"cuMemcpyDtoHAsync",
        c"cuStreamSynchronize",
        c"cuMemFreeAsync",
        c"cuModuleUnload",
    ] {
        // SAFETY: a name, and a count.
        let count = |of: &std::ffi::CStr| unsafe { calls(of.as_ptr()) };
        let before = count(function);
        assert_eq!(run().unwrap(), plain);
        let times = count(function) - before;
        assert!(times > 0, "{function:?} is not called");
        let allocates = [c"cuMemAllocAsync", c"cuMemHostAlloc"].contains(&function);
        let code = if allocates { OUT_OF_MEMORY } else { UNKNOWN };
        for after in [0, 1, times / 3, times / 2, times - 1] {
            // SAFETY: a name that lives on, and numbers.
            unsafe { fault(function.as_ptr(), after, code) };
            let told = match run() {
                Ok(proof) => {
                    assert_eq!(proof, plain, "{function:?} after {after}");
                    // Giving back, and what comes after the proof.
                    function == c"cuMemFreeAsync"
                        || function == c"cuModuleUnload"
                        || after + 1 >= times
                        || times == 1
                }
                Err(ProveError::Gpu(GpuError::OutOfMemory { .. })) => code == OUT_OF_MEMORY,
                Err(ProveError::Gpu(GpuError::Driver { code: named, .. })) => {
                    named.contains(if code == UNKNOWN { "UNKNOWN" } else { "MEMORY" })
                }
                Err(other) => panic!("{function:?} after {after}: {other}"),
            };
            assert!(told, "{function:?} after {after}");
            // SAFETY: no name.
            unsafe { fault(std::ptr::null(), 0, 0) };
        }
    }
    assert_eq!(run().unwrap(), plain);
}
