//! Multi-scalar multiplication and Fourier transforms beside those of halo2-axiom, halo2curves-axiom and arkworks, on one
//! thread and on all. Throughput is in elements, so that criterion prints time per point and per coefficient.
//!
//! The bases of a sum are known in advance, so what is precomputed from them is not measured; arkworks gets its own types.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::UniformRand;
use ark_poly::EvaluationDomain as _;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use ff::Field;
use group::{Curve, prime::PrimeCurveAffine};
use halo2_proofs::{
    arithmetic::best_fft,
    fft::recursive,
    halo2curves::{
        self,
        bn256::{Fr, G1, G1Affine},
        msm::msm_best,
    },
    poly::EvaluationDomain,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tensorseal_prover::kernels::{Domain, FixedBase};

/// Sizes of sums, as logarithms.
const SUMS: [u32; 3] = [12, 14, 16];

/// Sizes of transforms, as logarithms.
const TRANSFORMS: [u32; 4] = [12, 14, 16, 18];

/// Columns that are transformed together.
const COLUMNS: usize = 8;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in if all > 1 { vec![1, all] } else { vec![1] } {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads start");
        sums(&mut criterion, &pool);
        transforms(&mut criterion, &pool);
    }
    criterion.final_summary();
}

/// Benches of one kind and size on one pool of threads.
struct Benches<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    size: String,
    pool: &'a ThreadPool,
}

impl<'a> Benches<'a> {
    fn new(
        criterion: &'a mut Criterion,
        name: &str,
        pool: &'a ThreadPool,
        k: u32,
        elements: usize,
    ) -> Self {
        let mut group =
            criterion.benchmark_group(format!("{name}/{} threads", pool.current_num_threads()));
        group.throughput(Throughput::Elements(elements as u64));
        Benches {
            group,
            size: format!("2^{k}"),
            pool,
        }
    }

    fn add<R>(&mut self, name: &str, mut body: impl FnMut() -> R + Send) {
        let pool = self.pool;
        self.group
            .bench_function(BenchmarkId::new(name, &self.size), |bencher| {
                bencher.iter_custom(|count| {
                    pool.install(|| {
                        let start = Instant::now();
                        for _ in 0..count {
                            black_box(body());
                        }
                        start.elapsed()
                    })
                });
            });
    }
}

fn sums(criterion: &mut Criterion, pool: &ThreadPool) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for k in SUMS {
        let size = 1usize << k;
        let step = G1::generator() * Fr::random(&mut rng);
        let points: Vec<G1> = std::iter::successors(Some(step), |point| Some(*point + step))
            .take(size)
            .collect();
        let mut bases = vec![G1Affine::identity(); size];
        G1::batch_normalize(&points, &mut bases);
        let dense: Vec<Fr> = (0..size).map(|_| Fr::random(&mut rng)).collect();
        let bytes: Vec<i64> = (0..size).map(|_| rng.gen_range(-128..128)).collect();
        let wider: Vec<i64> = (0..size)
            .map(|_| rng.gen_range(-(1 << 19)..1 << 19))
            .collect();
        let tail = &dense[..6];
        let plain = FixedBase::new(&bases, 0);
        let precomputed = FixedBase::new(&bases, usize::MAX);

        let ark_points: Vec<ark_bn254::G1Projective> = {
            let mut rng = ark_std::test_rng();
            let step = ark_bn254::G1Projective::rand(&mut rng);
            std::iter::successors(Some(step), |point| Some(*point + step))
                .take(size)
                .collect()
        };
        let ark_bases = ark_bn254::G1Projective::normalize_batch(&ark_points);
        let ark_dense: Vec<ark_bn254::Fr> = {
            let mut rng = ark_std::test_rng();
            (0..size).map(|_| ark_bn254::Fr::rand(&mut rng)).collect()
        };
        let ark_bytes: Vec<u8> = (0..size).map(|_| rng.r#gen()).collect();

        let mut benches = Benches::new(criterion, "msm/dense", pool, k, size);
        benches.add("halo2curves", || msm_best(black_box(&dense), &bases));
        benches.add("ark", || {
            ark_bn254::G1Projective::msm_unchecked(&ark_bases, black_box(&ark_dense))
        });
        benches.add("ours", || plain.msm_dense(black_box(&dense)));
        benches.add("ours, all multiples", || {
            precomputed.msm_dense(black_box(&dense))
        });
        benches.add("ours, making all multiples", || {
            FixedBase::new(black_box(&bases), usize::MAX)
        });
        drop(benches);
        let mut benches = Benches::new(criterion, "msm/8 bits", pool, k, size);
        let bytes_as_elements: Vec<Fr> = bytes.iter().map(|v| Fr::from(v.unsigned_abs())).collect();
        benches.add("halo2curves, unsigned", || {
            msm_best(black_box(&bytes_as_elements), &bases)
        });
        benches.add("ark, unsigned", || {
            ark_bn254::G1Projective::msm_u8(&ark_bases, black_box(&ark_bytes))
        });
        benches.add("ours", || plain.msm_small(black_box(&bytes)));
        benches.add("ours, with 6 dense", || {
            plain.msm_small_with_tail(black_box(&bytes), size - tail.len(), tail)
        });
        benches.add("ours, 20 bits", || plain.msm_small(black_box(&wider)));
    }
}

fn transforms(criterion: &mut Criterion, pool: &ThreadPool) {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for k in TRANSFORMS {
        let size = 1usize << k;
        let mut values: Vec<Fr> = (0..size).map(|_| Fr::random(&mut rng)).collect();
        let theirs = EvaluationDomain::<Fr>::new(1, k);
        let (omega, tables) = (theirs.get_omega(), theirs.get_fft_data(size));
        let ours = Domain::new(k);
        let coset = ours.coset(values[0]);
        let mut ark_values: Vec<ark_bn254::Fr> = {
            let mut rng = ark_std::test_rng();
            (0..size).map(|_| ark_bn254::Fr::rand(&mut rng)).collect()
        };
        let ark_domain = ark_poly::Radix2EvaluationDomain::<ark_bn254::Fr>::new(size)
            .expect("the field has roots of this order");
        let mut columns = vec![values.clone(); COLUMNS];

        let mut benches = Benches::new(criterion, "ntt/one", pool, k, size);
        benches.add("halo2 best_fft", || {
            best_fft(black_box(&mut values), omega, k, tables, false)
        });
        benches.add("halo2 recursive", || {
            recursive::fft(black_box(&mut values), omega, k, tables, false)
        });
        benches.add("halo2curves", || {
            halo2curves::fft::best_fft(black_box(&mut values), omega, k)
        });
        benches.add("ark", || {
            ark_domain.fft_in_place(black_box(&mut ark_values))
        });
        benches.add("ours", || ours.fft(black_box(&mut values)));
        benches.add("ours, inverse", || ours.ifft(black_box(&mut values)));
        let mut out = values.clone();
        benches.add("ours, coset", || coset.fft(black_box(&values), &mut out));
        drop(benches);
        let mut benches = Benches::new(criterion, "ntt/columns", pool, k, COLUMNS * size);
        benches.add("ours", || ours.fft_many(black_box(&mut columns)));
    }
}
