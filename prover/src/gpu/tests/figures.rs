//! How long a device takes for what proofs are made of.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ff::Field;
use group::Curve;
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine};

use crate::gpu::{
    device::{
        Buffer, Device,
        cuda::Cuda,
        emulated::Emulated,
        launch::{ScalarValues, powers},
    },
    msm::{self, ELEMENT_BITS, Sum},
    ntt::{Subgroup, Transform},
    scan,
};

/// One operation on `2^k` values.
#[derive(Debug)]
struct Figure {
    operation: &'static str,
    k: u32,
    median: Duration,
}

/// The median time of some runs after a first one; `run` must wait for its result.
fn median(runs: usize, mut run: impl FnMut()) -> Duration {
    run();
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[runs / 2]
}

fn measure(device: &Arc<dyn Device>, k: u32, runs: usize) -> Vec<Figure> {
    let n = 1usize << k;
    let subgroup = Subgroup::new(device, k).unwrap();
    let (mut values, mut out, mut spare) = (
        Buffer::<Fr>::unset(device, n).unwrap(),
        Buffer::unset(device, n).unwrap(),
        Buffer::unset(device, n).unwrap(),
    );
    // Scalars without a pattern in their digits.
    powers(Fr::ONE, Fr::from(3).invert().unwrap(), values.all_mut()).unwrap();
    let bytes: Vec<u8> = (0..n).map(|i| (i * 167 + i / 251) as u8).collect();
    let bytes = Buffer::from_slice(device, &bytes).unwrap();
    // Multiples of the generator, over and over: equal neighbours would be doubled, not added.
    let generator = G1::generator();
    let some: Vec<G1> = std::iter::successors(Some(generator), |p| Some(p + generator))
        .take(1 << 10)
        .collect();
    let mut distinct = vec![G1Affine::default(); some.len()];
    G1::batch_normalize(&some, &mut distinct);
    let bases: Vec<G1Affine> = distinct.into_iter().cycle().take(n).collect();
    let table = Buffer::from_slice(device, &bases).unwrap();
    let last = |buffer: &Buffer<Fr>| buffer.slice(n - 1..n).to_vec().unwrap();
    let mut figures = vec![];
    let mut add = |operation, median| {
        figures.push(Figure {
            operation,
            k,
            median,
        })
    };
    add(
        "transform",
        median(runs, || {
            let how = Transform::Forward;
            subgroup
                .transform(how, values.all(), out.all_mut(), spare.all_mut())
                .unwrap();
            last(&out);
        }),
    );
    add(
        "inversion",
        median(runs, || {
            scan::invert(values.all(), out.all_mut()).unwrap();
            last(&out);
        }),
    );
    for (operation, values, bits) in [
        (
            "sum, dense scalars",
            ScalarValues::Elements(values.all()),
            ELEMENT_BITS,
        ),
        (
            "sum, 8-bit scalars",
            ScalarValues::Integers(bytes.all(), 1),
            8,
        ),
    ] {
        let sum = Sum {
            values,
            bits,
            first_base: 0,
        };
        add(
            operation,
            median(runs, || {
                drop(
                    msm::launch(device, table.all(), &[sum])
                        .unwrap()
                        .wait()
                        .unwrap(),
                )
            }),
        );
    }
    figures
}

#[test]
fn figures_are_taken_of_the_emulated_device() {
    let device: Arc<dyn Device> = Emulated::new(1 << 30);
    let figures = measure(&device, 5, 1);
    assert!(
        figures.len() == 4 && figures.iter().all(|f| f.median > Duration::ZERO),
        "{figures:?}"
    );
}

/// Prints one JSON object a line: `cargo test --workspace --lib figures_of_a_cuda_device -- --ignored --nocapture`.
#[test]
#[ignore = "measures a CUDA device"]
fn figures_of_a_cuda_device() {
    let device: Arc<dyn Device> = Cuda::open(0).expect("a CUDA device");
    for k in (14..=24).step_by(2) {
        for Figure {
            operation,
            k,
            median,
        } in measure(&device, k, 9)
        {
            let (name, ms) = (device.name(), median.as_secs_f64() * 1e3);
            println!(
                r#"{{"device": "{name}", "operation": "{operation}", "k": {k}, "ms": {ms:.4}}}"#
            );
        }
    }
}
