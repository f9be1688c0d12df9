//! How long the digits model takes: keys, proof, verification, in the planner's widest and narrowest choice.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion};
use tensorseal::{args::Optimize, pipeline};
use tensorseal_benches::{Ready, digits};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(20))
        .configure_from_args();
    for (name, optimize) in [("prover", Optimize::Prover), ("gas", Optimize::Gas)] {
        let Ready {
            compiled,
            srs,
            keys,
            item,
        } = digits(optimize).expect("the fixture compiles");
        let proof = pipeline::prove(&compiled, &keys.pk, &srs, &item).expect("the fixture proves");
        let facts = pipeline::facts(&compiled).expect("a compiled model has figures");
        eprintln!(
            "digits/{name}: profile {}, k = {}, {} rows, {} advice and {} fixed columns, proof of {} bytes",
            facts.profile,
            facts.k,
            facts.rows,
            facts.advice_columns,
            facts.fixed_columns,
            proof.bytes().len()
        );
        let mut group = criterion.benchmark_group("digits");
        group.bench_function(BenchmarkId::new("setup", name), |bencher| {
            bencher.iter(|| {
                pipeline::setup(black_box(&compiled), &srs).expect("the fixture has keys")
            });
        });
        group.bench_function(BenchmarkId::new("prove", name), |bencher| {
            bencher.iter(|| {
                pipeline::prove(&compiled, &keys.pk, &srs, black_box(&item))
                    .expect("the fixture proves")
            });
        });
        group.bench_function(BenchmarkId::new("verify", name), |bencher| {
            bencher.iter(|| {
                pipeline::verify(&keys.vk, black_box(&proof)).expect("the proof is valid")
            });
        });
        group.finish();
    }
    criterion.final_summary();
}
