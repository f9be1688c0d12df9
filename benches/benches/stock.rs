//! The fast prover beside halo2-axiom's `create_proof`: 16 advice columns, one gate of degree 4 on every row, one phase,
//! with random field elements and with 8-bit values. Keys and tables are made before the clock starts, in both.
//!
//!     cargo bench -p tensorseal-benches --bench stock -- 16
//!
//! The argument is the logarithm of the number of rows, 16 unless given.

use std::time::Instant;

use ff::Field;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    halo2curves::bn256::{Bn256, Fr},
    plonk::{
        Advice, Circuit, Column, ConstraintSystem, Error, Expression, Fixed, create_proof,
        keygen_pk2,
    },
    poly::{
        Rotation,
        kzg::{commitment::KZGCommitmentScheme, multiopen::ProverSHPLONK},
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tensorseal_prover::{ProveOptions, Srs, fast, keygen, transcript::KeccakWrite, verify};

const COLUMNS: usize = 16;

/// Rows at the end that halo2 keeps for blinding, and some to spare.
const SPARE: usize = 16;

/// Proofs of each prover, of which the fastest counts.
const RUNS: usize = 3;

/// `q·(Σ_i a_i·a_{i+1}·a_{i+2} - f) = 0` over cyclic `i`, with `f` fixed.
#[derive(Clone)]
struct Products(Vec<[Fr; COLUMNS]>);

impl Products {
    fn new(k: u32, bytes: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut value = || {
            if bytes {
                Fr::from(u64::from(rng.r#gen::<u8>()))
            } else {
                Fr::random(&mut rng)
            }
        };
        let rows = (1 << k) - SPARE;
        Self(
            (0..rows)
                .map(|_| std::array::from_fn(|_| value()))
                .collect(),
        )
    }
}

impl Circuit<Fr> for Products {
    type Config = ([Column<Advice>; COLUMNS], Column<Fixed>, Column<Fixed>);
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(cs: &mut ConstraintSystem<Fr>) -> Self::Config {
        let columns: [Column<Advice>; COLUMNS] = std::array::from_fn(|_| cs.advice_column());
        let (q, f) = (cs.fixed_column(), cs.fixed_column());
        cs.create_gate("products", |cells| {
            let a = columns.map(|column| cells.query_advice(column, Rotation::cur()));
            let q = cells.query_fixed(q, Rotation::cur());
            let f = cells.query_fixed(f, Rotation::cur());
            let product = |i: usize| {
                (0..3)
                    .map(|j| a[(i + j) % COLUMNS].clone())
                    .reduce(|x, y| x * y)
                    .expect("three factors")
            };
            let sum: Expression<Fr> = (0..COLUMNS)
                .map(product)
                .reduce(|x, y| x + y)
                .expect("some products");
            vec![q * (sum - f)]
        });
        (columns, q, f)
    }

    fn synthesize(
        &self,
        (columns, q, f): Self::Config,
        mut layouter: impl Layouter<Fr>,
    ) -> Result<(), Error> {
        layouter.assign_region(
            || "all",
            |mut region| {
                for (row, values) in self.0.iter().enumerate() {
                    for (column, value) in columns.iter().zip(values) {
                        region.assign_advice(*column, row, Value::known(*value));
                    }
                    let product = |i: usize| {
                        values[i] * values[(i + 1) % COLUMNS] * values[(i + 2) % COLUMNS]
                    };
                    region.assign_fixed(q, row, Fr::ONE);
                    region.assign_fixed(f, row, (0..COLUMNS).map(product).sum::<Fr>());
                }
                Ok(())
            },
        )
    }
}

/// Seconds of the fastest run.
fn fastest(mut prove: impl FnMut()) -> f64 {
    let runs = (0..RUNS).map(|_| {
        let start = Instant::now();
        prove();
        start.elapsed().as_secs_f64()
    });
    runs.fold(f64::INFINITY, f64::min)
}

fn main() {
    let k = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(16);
    let srs = Srs::dev(k).expect("a size in range");
    let params = srs.params();
    let rng = || ChaCha8Rng::seed_from_u64(9);
    for (name, bytes) in [("dense", false), ("8-bit", true)] {
        let circuit = Products::new(k, bytes);
        let pk = keygen(&srs, &circuit, &[]).expect("the circuit fits");
        let stock_pk = keygen_pk2(&params, &circuit, false).expect("the circuit fits");
        let stock = fastest(|| {
            let mut transcript = KeccakWrite::new();
            create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
                &params,
                &stock_pk,
                std::slice::from_ref(&circuit),
                &[&[]],
                rng(),
                &mut transcript,
            )
            .expect("the witness holds");
            verify(pk.vk(), &[], &transcript.into_proof()).expect("halo2's proof is accepted");
        });
        let prover = fast::Prover::new(&srs, &pk, fast::DEFAULT_MEMORY).expect("the key fits");
        let options = ProveOptions::default().read_back(false);
        let fast = fastest(|| {
            let proof = prover
                .prove(options, &circuit, &[], rng())
                .expect("the witness holds");
            verify(pk.vk(), &[], &proof).expect("our proof is accepted");
        });
        println!(
            "{name}, 16 advice columns, degree 4, 2^{k} rows: create_proof {stock:.3} s, fast {fast:.3} s, \
             {:.2} times faster",
            stock / fast
        );
    }
}
