//! Models from public exporters (`fixtures/exported`, with the scripts that made them): the integers against what the
//! framework computed, and a proof of each.

use std::{fs::File, path::PathBuf, sync::Arc};

use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tensorseal_circuits::{
    circuit::ModelCircuit,
    layout::{Layout, Optimize, Visibility, choose},
    model::Model,
    onnx::{self, ImportOptions},
    quantize::{self, Calibration, QuantizeOptions, inputs::Sample},
    witness::Witness,
};
use tensorseal_prover::{ProveOptions, Srs, fast, keygen, verify};

use super::model_support::{Numbers, integers, run};

/// A model, its activation bits, and the error that its scores may have: a share of their greatest magnitude. Labels
/// must be equal.
const CASES: &[(&str, u32, f64)] = &[
    ("resnet", 8, 0.02),
    ("mobilenet", 8, 0.06),
    ("unet", 8, 0.01),
    ("lstm", 8, 0.06),
    ("random_forest", 8, 1e-6),
    ("xgboost", 10, 0.002),
    ("lightgbm", 8, 0.02),
    ("logistic", 8, 0.025),
    ("svm", 10, 0.015),
    ("svr", 10, 0.005),
];

/// Outputs of at most so many scores belong to classifiers: the greatest score must be the same one.
const MAX_CLASSES: usize = 10;

fn greatest(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
}

struct Fixture {
    name: &'static str,
    arrays: NpzReader<File>,
    onnx: Vec<u8>,
}

impl Fixture {
    fn open(name: &'static str) -> Fixture {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/exported");
        let arrays = File::open(folder.join(format!("{name}.npz"))).unwrap();
        Fixture {
            name,
            arrays: NpzReader::new(arrays).unwrap(),
            onnx: std::fs::read(folder.join(format!("{name}.onnx"))).unwrap(),
        }
    }

    /// The rows of an array.
    fn rows(&mut self, name: &str) -> Vec<Vec<f32>> {
        let array: ArrayD<f32> = self.arrays.by_name(name).unwrap();
        let rows = array.outer_iter();
        rows.map(|row| row.iter().copied().collect()).collect()
    }

    fn quantized(&mut self, bits: u32) -> Model {
        let graph = onnx::import(&self.onnx, &ImportOptions::default()).unwrap();
        let input = graph.nodes[graph.inputs[0]].name.clone();
        let samples = self.rows(&format!("calibration/{input}"));
        let samples: Vec<Sample> = samples.into_iter().map(|row| vec![row]).collect();
        let calibration = Calibration::measure(&graph, &samples).unwrap();
        let options = QuantizeOptions {
            bits,
            ..QuantizeOptions::default()
        };
        quantize::quantize(&graph, &calibration, &options).unwrap()
    }

    /// The largest error of any score, and how many labels differ.
    fn compare(&mut self, model: &Model) -> (f64, usize) {
        let inputs = self.rows(&model.inputs[0].name);
        let expected: Vec<_> = model
            .outputs
            .iter()
            .map(|port| self.rows(&format!("output/{}", port.name)))
            .collect();
        let (mut error, mut wrong) = (0f64, 0);
        for (at, input) in inputs.into_iter().enumerate() {
            let outputs = run(model, &vec![input]);
            for ((port, got), expected) in model.outputs.iter().zip(&outputs).zip(&expected) {
                if port.name.ends_with("label") {
                    wrong += usize::from(got != &expected[at]);
                    continue;
                }
                if got.len() <= MAX_CLASSES {
                    wrong += usize::from(greatest(got) != greatest(&expected[at]));
                }
                let values = expected.iter().flatten();
                let most = values.fold(0f32, |most, v| most.max(v.abs()));
                for (got, expected) in got.iter().zip(&expected[at]) {
                    error = error.max(f64::from((got - expected).abs() / most));
                }
            }
        }
        (error, wrong)
    }

    /// Proves the first sample, verifies, and sees that another output is refused.
    fn prove(&mut self, model: &Model) -> Arc<Layout> {
        let sample = vec![self.rows(&model.inputs[0].name).swap_remove(0)];
        let layout = Arc::new(choose(model, Optimize::Prover, Visibility::default()).unwrap());
        let rows = vec![layout.folded_instance_rows(); layout.profile.lanes];
        let srs = Srs::dev(layout.k).unwrap();
        let pk = keygen(&srs, &ModelCircuit::new(layout.clone()), &rows).unwrap();
        let witness = Arc::new(Witness::new(&layout, &integers(model, &sample)).unwrap());
        let mut public = witness.scalars(&layout.profile);
        let circuit = ModelCircuit::with_witness(layout.clone(), witness);
        let prover = fast::Prover::new(&srs, &pk, fast::DEFAULT_MEMORY).unwrap();
        let rng = ChaCha20Rng::seed_from_u64(1);
        let proof = prover.prove(ProveOptions::default(), &circuit, &public, rng);
        let proof = proof.unwrap();
        verify(pk.vk(), &public, &proof).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        public[0][0] += halo2_proofs::halo2curves::bn256::Fr::from(1);
        assert!(verify(pk.vk(), &public, &proof).is_err(), "{}", self.name);
        layout
    }
}

#[test]
fn exported_models_agree_with_their_frameworks_and_are_proved() {
    let mut faults = Vec::new();
    for &(name, bits, bound) in CASES {
        let mut fixture = Fixture::open(name);
        let model = fixture.quantized(bits);
        let (error, wrong) = fixture.compare(&model);
        let start = std::time::Instant::now();
        let layout = fixture.prove(&model);
        println!(
            "{name}: {bits} bits, error {error:.2e}, {wrong} labels differ, 2^{} rows, {:.1} s",
            layout.k,
            start.elapsed().as_secs_f64()
        );
        if error > bound || wrong > 0 {
            faults.push(name);
        }
        assert!(layout.k <= 15, "{name}");
    }
    assert!(faults.is_empty(), "{faults:?}");
}

/// Changed bytes of classical models: an error, or a model that quantizes or says why not.
#[test]
fn changed_bytes_of_classical_models_cause_no_panic() {
    for name in [
        "random_forest",
        "xgboost",
        "lightgbm",
        "logistic",
        "svm",
        "svr",
    ] {
        let original = Fixture::open(name).onnx;
        let mut numbers = Numbers(3);
        let mut at = |n: usize| ((numbers.next() + 1.0) / 2.0 * n as f32) as usize % n;
        for _ in 0..400 {
            let mut bytes = original.clone();
            for _ in 0..1 + at(4) {
                let place = at(bytes.len());
                bytes[place] ^= 1 << at(8);
            }
            match onnx::import(&bytes, &ImportOptions::default()) {
                Ok(graph) => {
                    let calibration = Calibration::random(&graph);
                    let _ = quantize::quantize(&graph, &calibration, &QuantizeOptions::default());
                }
                Err(error) => {
                    let message = error.to_string();
                    assert!(
                        !message.contains("the import broke off"),
                        "{name}: {message}"
                    );
                }
            }
        }
    }
}
