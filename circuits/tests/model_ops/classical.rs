//! The operators of `ai.onnx.ml` against direct evaluations, and against values that ONNX Runtime 1.32 gave.

use tensorseal_circuits::{
    graph::Graph,
    model::{Encoding, Kind, Model},
    onnx::{self, ImportError, ImportOptions},
    quantize::{self, Calibration, QuantizeOptions, inputs::Sample},
};
use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

use super::model_support::{Numbers, Onnx, circuit_agrees, run, samples};

fn import(onnx: &Onnx) -> Result<Graph, ImportError> {
    onnx::import(&onnx.bytes(), &ImportOptions::default())
}

fn quantized(onnx: &Onnx, samples: &[Sample], bits: u32) -> Model {
    let graph = import(onnx).unwrap();
    let calibration = Calibration::measure(&graph, samples).unwrap();
    let options = QuantizeOptions {
        bits,
        ..QuantizeOptions::default()
    };
    quantize::quantize(&graph, &calibration, &options).unwrap()
}

/// A node of the domain; further outputs are named too.
fn ml(onnx: Onnx, op: &str, inputs: &[&str], outputs: &[&str]) -> Onnx {
    onnx.node(op, inputs, outputs[0]).edit(|node| {
        node.domain = "ai.onnx.ml".into();
        node.output = outputs.iter().map(|&o| o.into()).collect();
    })
}

fn features(count: i64) -> Onnx {
    Onnx::new().input("x", &[1, count])
}

/// The errors of the outputs stay below a bound, for every sample; the circuit agrees for the first.
fn agrees(
    onnx: &Onnx,
    samples: &[Sample],
    bits: u32,
    bound: f32,
    expected: impl Fn(&[f32]) -> Vec<Vec<f32>>,
) -> Model {
    let model = quantized(onnx, samples, bits);
    for sample in samples {
        let outputs = run(&model, sample);
        let expected = expected(&sample[0]);
        assert_eq!(outputs.len(), expected.len());
        for ((got, expected), port) in outputs.iter().zip(&expected).zip(&model.outputs) {
            let close = got.len() == expected.len()
                && got
                    .iter()
                    .zip(expected)
                    .all(|(g, e)| (g - e).abs() <= bound);
            assert!(
                close,
                "`{}` of {sample:?} is {got:?}, expected {expected:?}",
                port.name
            );
        }
    }
    // Narrow integers, for a small circuit.
    circuit_agrees(&quantized(onnx, samples, 6), &samples[0]);
    model
}

#[derive(Clone, Debug)]
enum Tree {
    Leaf(usize),
    Split(usize, &'static str, f32, Box<[Tree; 2]>),
}

const MODES: [&str; 6] = [
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
];

impl Tree {
    /// A random tree over four features, with few thresholds, so that samples can meet them.
    fn random(numbers: &mut Numbers, depth: u32, leaves: &mut usize) -> Tree {
        if depth == 0 || (depth < 3 && numbers.next() > 0.6) {
            *leaves += 1;
            return Tree::Leaf(*leaves - 1);
        }
        let mut pick = |n: usize| ((numbers.next() + 1.0) / 2.0 * n as f32) as usize;
        let (feature, mode, threshold) = (pick(4), MODES[pick(6)], pick(5) as f32 / 4.0 - 0.5);
        let children = [0, 1].map(|_| Tree::random(numbers, depth - 1, leaves));
        Tree::Split(feature, mode, threshold, Box::new(children))
    }

    fn leaf(&self, x: &[f32]) -> usize {
        match self {
            Tree::Leaf(leaf) => *leaf,
            Tree::Split(feature, mode, t, children) => {
                let v = x[*feature];
                let holds = match *mode {
                    "BRANCH_LEQ" => v <= *t,
                    "BRANCH_LT" => v < *t,
                    "BRANCH_GTE" => v >= *t,
                    "BRANCH_GT" => v > *t,
                    "BRANCH_EQ" => v == *t,
                    _ => v != *t,
                };
                children[usize::from(!holds)].leaf(x)
            }
        }
    }
}

/// The lists of the older operators.
#[derive(Debug, Default)]
struct Lists {
    tree: Vec<i64>,
    id: Vec<i64>,
    feature: Vec<i64>,
    mode: Vec<&'static str>,
    value: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    leaf_tree: Vec<i64>,
    leaf_id: Vec<i64>,
    leaf: Vec<usize>,
}

impl Lists {
    fn of(trees: &[Tree]) -> Lists {
        let mut lists = Lists::default();
        for (at, tree) in trees.iter().enumerate() {
            lists.add(at as i64, tree, &mut 0);
        }
        lists
    }

    fn add(&mut self, tree: i64, node: &Tree, next: &mut i64) -> i64 {
        let (id, at) = (*next, self.id.len());
        *next += 1;
        self.tree.push(tree);
        self.id.push(id);
        self.yes.push(0);
        self.no.push(0);
        match node {
            Tree::Leaf(leaf) => {
                self.feature.push(0);
                self.mode.push("LEAF");
                self.value.push(0.0);
                self.leaf_tree.push(tree);
                self.leaf_id.push(id);
                self.leaf.push(*leaf);
            }
            Tree::Split(feature, mode, value, children) => {
                self.feature.push(*feature as i64);
                self.mode.push(mode);
                self.value.push(*value);
                self.yes[at] = self.add(tree, &children[0], next);
                self.no[at] = self.add(tree, &children[1], next);
            }
        }
        id
    }

    /// Writes the attributes; leaf `i` has `weights[i]` for score `scores[i]`.
    fn write(&self, onnx: Onnx, role: &str, scores: &[i64], weights: &[f32]) -> Onnx {
        let of = |list: &dyn Fn(usize) -> i64| -> Vec<i64> {
            self.leaf.iter().map(|&l| list(l)).collect()
        };
        let weights: Vec<f32> = self.leaf.iter().map(|&l| weights[l]).collect();
        onnx.attr_ints("nodes_treeids", &self.tree)
            .attr_ints("nodes_nodeids", &self.id)
            .attr_ints("nodes_featureids", &self.feature)
            .attr_strings("nodes_modes", &self.mode)
            .attr_floats("nodes_values", &self.value)
            .attr_ints("nodes_truenodeids", &self.yes)
            .attr_ints("nodes_falsenodeids", &self.no)
            .attr_ints(&format!("{role}_treeids"), &self.leaf_tree)
            .attr_ints(&format!("{role}_nodeids"), &self.leaf_id)
            .attr_ints(&format!("{role}_ids"), &of(&|l| scores[l]))
            .attr_floats(&format!("{role}_weights"), &weights)
    }
}

fn forest(seed: u64, trees: usize) -> (Vec<Tree>, usize) {
    let (mut numbers, mut leaves) = (Numbers(seed), 0);
    let trees = (0..trees)
        .map(|_| Tree::random(&mut numbers, 5, &mut leaves))
        .collect();
    (trees, leaves)
}

/// Samples on the thresholds, next to them, and anywhere.
fn near_thresholds(count: usize) -> Vec<Sample> {
    let mut numbers = Numbers(11);
    let mut value = || {
        let on = (numbers.next() * 3.0).round() / 4.0;
        match (numbers.next() * 2.0).round() as i32 {
            -2 | -1 => on.next_down(),
            0 => on,
            1 => on.next_up(),
            _ => numbers.next(),
        }
    };
    (0..count)
        .map(|_| vec![(0..4).map(|_| value()).collect()])
        .collect()
}

/// Leaves of different integer weights: an output that is right to 0.01 took every decision as the tree did.
#[test]
fn decisions_are_those_of_the_floats_for_every_mode() {
    let samples = near_thresholds(300);
    let (trees, leaves) = forest(5, 3);
    let weights: Vec<f32> = (0..leaves).map(|l| (l * l) as f32).collect();
    let scores: Vec<i64> = (0..leaves).map(|l| (l % 2) as i64).collect();
    let expected = |x: &[f32]| {
        let mut sums = vec![0.5, -0.25];
        for tree in &trees {
            let leaf = tree.leaf(x);
            sums[leaf % 2] += weights[leaf];
        }
        vec![sums]
    };
    let onnx = ml(features(4), "TreeEnsembleRegressor", &["x"], &["y"])
        .int("n_targets", 2)
        .attr_floats("base_values", &[0.5, -0.25]);
    let onnx = Lists::of(&trees)
        .write(onnx, "target", &scores, &weights)
        .output("y");
    for bits in [4, 8] {
        let model = agrees(&onnx, &samples, bits, 0.01, expected);
        assert!(
            model.inputs[0]
                .encodings
                .iter()
                .all(|e| matches!(e, Encoding::Edges(_)))
        );
    }
    let mean = ml(features(4), "TreeEnsembleRegressor", &["x"], &["y"])
        .string("aggregate_function", "AVERAGE")
        .int("n_targets", 2)
        .attr_floats("base_values", &[0.5, -0.25]);
    let mean = Lists::of(&trees)
        .write(mean, "target", &scores, &weights)
        .output("y");
    agrees(&mean, &samples, 8, 0.01, |x| {
        let sums = expected(x).swap_remove(0);
        vec![vec![
            (sums[0] - 0.5) / 3.0 + 0.5,
            (sums[1] + 0.25) / 3.0 - 0.25,
        ]]
    });
}

/// The same input is read by something else: it lies on a grid, and decisions are those of the rounded features.
#[test]
fn features_that_are_computed_with_are_compared_on_their_grid() {
    let samples = near_thresholds(100);
    let (trees, leaves) = forest(9, 2);
    let weights: Vec<f32> = (0..leaves).map(|l| l as f32).collect();
    let onnx = ml(features(4), "TreeEnsembleRegressor", &["x"], &["y"]);
    let onnx = Lists::of(&trees)
        .write(onnx, "target", &vec![0; leaves], &weights)
        .output("y");
    let onnx = ml(onnx, "LinearRegressor", &["x"], &["z"])
        .attr_floats("coefficients", &[1.0, -2.0, 0.5, 0.25])
        .output("z");
    let model = quantized(&onnx, &samples, 10);
    let Encoding::Scale(_) = model.inputs[0].encodings[0] else {
        panic!("a grid");
    };
    for sample in &samples {
        let port = &model.inputs[0];
        let integers = tensorseal_circuits::ports::quantize_input(&model, port, &sample[0]);
        let integers = integers.unwrap().values;
        // In double precision, as the comparison itself is.
        let rounded: Vec<f64> = integers
            .iter()
            .zip(&port.encodings)
            .map(|(&q, e)| match e {
                Encoding::Scale(scale) => q as f64 * scale,
                Encoding::Edges(_) => panic!("a grid"),
            })
            .collect();
        let mut expected = 0.0;
        for tree in &trees {
            expected += weights[leaf_of_rounded(tree, &rounded)];
        }
        let got = run(&model, sample);
        assert!((got[0][0] - expected).abs() < 0.01, "{got:?} {expected}");
    }
    circuit_agrees(&model, &samples[0]);
}

fn leaf_of_rounded(tree: &Tree, x: &[f64]) -> usize {
    match tree {
        Tree::Leaf(leaf) => *leaf,
        Tree::Split(feature, mode, t, children) => {
            // Every mode is made of `x ≤ t` and `x ≤ the float before t`.
            let (v, t, before) = (x[*feature], f64::from(*t), f64::from(t.next_down()));
            let holds = match *mode {
                "BRANCH_LEQ" => v <= t,
                "BRANCH_LT" => v <= before,
                "BRANCH_GTE" => v > before,
                "BRANCH_GT" => v > t,
                "BRANCH_EQ" => v <= t && v > before,
                _ => !(v <= t && v > before),
            };
            leaf_of_rounded(&children[usize::from(!holds)], x)
        }
    }
}

fn stumps(class: &[i64], weights: &[[f32; 2]], labels: &[i64], post: &str) -> Onnx {
    let trees: Vec<Tree> = (0..class.len())
        .map(|t| {
            let leaves = [Tree::Leaf(2 * t), Tree::Leaf(2 * t + 1)];
            Tree::Split(0, "BRANCH_LEQ", t as f32, Box::new(leaves))
        })
        .collect();
    let onnx = ml(features(1), "TreeEnsembleClassifier", &["x"], &["l", "p"])
        .attr_ints("classlabels_int64s", labels)
        .string("post_transform", post);
    let classes: Vec<i64> = class.iter().flat_map(|&c| [c, c]).collect();
    let onnx = Lists::of(&trees).write(onnx, "class", &classes, &weights.concat());
    onnx.output("l").output("p")
}

/// Labels and scores for the inputs -1, 0.5 and 5, as ONNX Runtime gives them.
fn stumps_agree(onnx: &Onnx, bound: f32, expected: [(f32, &[f32]); 3]) {
    let inputs = [-1.0, 0.5, 5.0];
    let samples: Vec<Sample> = inputs.iter().map(|&x| vec![vec![x]]).collect();
    agrees(onnx, &samples, 12, bound, |x| {
        let at = inputs.iter().position(|&i| i == x[0]).unwrap();
        let (label, scores) = expected[at];
        vec![vec![label], scores.to_vec()]
    });
}

#[test]
fn a_base_value_of_the_second_class_alone_is_not_added() {
    // ONNX Runtime gives σ(0) and σ(score), and labels by the score's sign.
    let onnx = stumps(&[1, 1], &[[0.1, -0.6], [-0.2, 0.3]], &[3, 7], "LOGISTIC")
        .attr_floats("base_values", &[0.4]);
    let p = |score: f32| 1.0 / (1.0 + (-score).exp());
    stumps_agree(
        &onnx,
        1e-2,
        [
            (3.0, &[0.5, p(-0.1)]),
            (3.0, &[0.5, p(-0.8)]),
            (3.0, &[0.5, p(-0.3)]),
        ],
    );
}

#[test]
fn ensembles_classify_as_the_runtime_does() {
    let positive = [[0.1, 0.6], [0.2, 0.3]];
    let mixed = [[0.1, -0.6], [-0.2, 0.3]];
    let two = [10, 11];
    let of = |ids: [i64; 2], weights: &[[f32; 2]], post| stumps(&ids, weights, &two, post);
    stumps_agree(
        &of([0, 0], &positive, "NONE"),
        1e-5,
        [
            (10.0, &[0.7, 0.3]),
            (11.0, &[0.2, 0.8]),
            (11.0, &[0.1, 0.9]),
        ],
    );
    stumps_agree(
        &of([0, 0], &positive, "LOGISTIC"),
        1e-3,
        [
            (10.0, &[0.4256, 0.5744]),
            (11.0, &[0.31, 0.69]),
            (11.0, &[0.2891, 0.7109]),
        ],
    );
    stumps_agree(
        &of([0, 0], &mixed, "SOFTMAX"),
        1e-5,
        [
            (10.0, &[0.1, -0.1]),
            (10.0, &[0.8, -0.8]),
            (10.0, &[0.3, -0.3]),
        ],
    );
    stumps_agree(
        &of([0, 0], &mixed, "LOGISTIC").attr_floats("base_values", &[0.4]),
        1e-3,
        [
            (11.0, &[0.4256, 0.5744]),
            (10.0, &[0.5987, 0.4013]),
            (11.0, &[0.475, 0.525]),
        ],
    );
    stumps_agree(
        &of([1, 1], &positive, "NONE"),
        1e-5,
        [
            (10.0, &[0.0, 0.3]),
            (11.0, &[0.0, 0.8]),
            (11.0, &[0.0, 0.9]),
        ],
    );
    stumps_agree(
        &of([1, 1], &mixed, "SOFTMAX"),
        5e-3,
        [
            (10.0, &[0.525, 0.475]),
            (10.0, &[0.69, 0.31]),
            (10.0, &[0.5744, 0.4256]),
        ],
    );
    let three = |weights: &[[f32; 2]], base: &[f32], post| {
        let onnx = stumps(&[0, 2, 2], weights, &[10, 11, 12], post);
        if base.is_empty() {
            onnx
        } else {
            onnx.attr_floats("base_values", base)
        }
    };
    stumps_agree(
        &three(
            &[[0.1, -0.6], [-0.2, 0.3], [-0.5, 0.1]],
            &[0.0, 0.1, 0.2],
            "NONE",
        ),
        1e-5,
        [
            (10.0, &[0.1, 0.1, -0.5]),
            (11.0, &[-0.6, 0.1, -0.5]),
            (12.0, &[-0.6, 0.1, 0.6]),
        ],
    );
    // A class without scores of its own has the score 0 beside positive ones.
    stumps_agree(
        &three(&[[0.3, 0.1], [0.1, 0.2], [0.1, 0.5]], &[], "NONE"),
        1e-5,
        [
            (10.0, &[0.3, 0.0, 0.2]),
            (12.0, &[0.1, 0.0, 0.2]),
            (12.0, &[0.1, 0.0, 0.7]),
        ],
    );
}

/// The newer operator: sets, shared leaves, numbers for names.
#[test]
fn the_tree_ensemble_of_opset_5() {
    let floats = |values: &[f32]| TensorProto {
        data_type: DataType::Float as i32,
        dims: vec![values.len() as i64],
        float_data: values.to_vec(),
        ..TensorProto::default()
    };
    let modes = TensorProto {
        data_type: DataType::Uint8 as i32,
        dims: vec![3],
        raw_data: vec![6, 0, 3],
        ..TensorProto::default()
    };
    let onnx = ml(features(2), "TreeEnsemble", &["x"], &["y"])
        .attr_tensor("nodes_modes", modes)
        .attr_tensor("nodes_splits", floats(&[0.0, 0.25, -0.5]))
        .attr_tensor("membership_values", floats(&[0.5, -0.5, 0.5, f32::NAN]))
        .attr_ints("nodes_featureids", &[0, 1, 1])
        .attr_ints("nodes_trueleafs", &[0, 1, 1])
        .attr_ints("nodes_truenodeids", &[1, 0, 1])
        .attr_ints("nodes_falseleafs", &[0, 1, 1])
        .attr_ints("nodes_falsenodeids", &[2, 1, 2])
        .attr_ints("leaf_targetids", &[0, 1, 0])
        .attr_tensor("leaf_weights", floats(&[3.0, 5.0, -7.0]))
        .attr_ints("tree_roots", &[0])
        .int("n_targets", 2)
        .int("post_transform", 0)
        .int("aggregate_function", 1)
        .output("y");
    let mut inputs = near_thresholds(100);
    inputs.iter_mut().for_each(|s| s[0].truncate(2));
    agrees(&onnx, &inputs, 8, 1e-3, |x| {
        let leaf = match (x[0] == 0.5 || x[0] == -0.5, x[1]) {
            (true, v) if v <= 0.25 => 0,
            (true, _) => 1,
            (false, v) if v > -0.5 => 1,
            (false, _) => 2,
        };
        vec![[vec![3.0, 0.0], vec![0.0, 5.0], vec![-7.0, 0.0]][leaf].clone()]
    });
}

fn linear(coefficients: &[f32], intercepts: &[f32], labels: &[i64], post: &str) -> Onnx {
    ml(features(2), "LinearClassifier", &["x"], &["l", "p"])
        .attr_floats("coefficients", coefficients)
        .attr_floats("intercepts", intercepts)
        .attr_ints("classlabels_ints", labels)
        .string("post_transform", post)
        .output("l")
        .output("p")
}

#[test]
fn linear_models_classify_as_the_runtime_does() {
    let check = |onnx: Onnx, expected: [(f32, &[f32]); 3]| {
        let inputs = [[1.0, 0.0], [0.0, 1.0], [0.25, 0.2]];
        let samples: Vec<Sample> = inputs.iter().map(|x| vec![x.to_vec()]).collect();
        agrees(&onnx, &samples, 12, 2e-3, |x| {
            let at = inputs.iter().position(|i| i == x).unwrap();
            vec![vec![expected[at].0], expected[at].1.to_vec()]
        });
    };
    let one = |post| linear(&[0.6, -0.3], &[0.1], &[10, 11], post);
    let scores: [(f32, &[f32]); 3] = [
        (11.0, &[0.3, 0.7]),
        (10.0, &[1.2, -0.2]),
        (11.0, &[0.81, 0.19]),
    ];
    check(one("NONE"), scores);
    check(one("SOFTMAX"), scores);
    check(
        one("LOGISTIC"),
        [
            (11.0, &[0.3318, 0.6682]),
            (10.0, &[0.5498, 0.4502]),
            (11.0, &[0.45264, 0.54736]),
        ],
    );
    let three = |post| {
        let weights = [0.6, -0.3, -0.6, 0.4, 0.0, 0.2];
        linear(&weights, &[0.1, 0.2, 0.0], &[-5, 7, 9], post)
    };
    check(
        three("LOGISTIC"),
        [
            (-5.0, &[0.6682, 0.4013, 0.5]),
            (7.0, &[0.4502, 0.6457, 0.5498]),
            (-5.0, &[0.54736, 0.53245, 0.51]),
        ],
    );
    check(
        three("SOFTMAX"),
        [
            (-5.0, &[0.5466, 0.1820, 0.2714]),
            (7.0, &[0.2120, 0.4718, 0.3162]),
            (-5.0, &[0.35591, 0.33528, 0.30882]),
        ],
    );
    // A score of exactly 0 takes no part.
    let masked = linear(
        &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        &[0.0, 0.5, 0.0],
        &[0, 1, 2],
        "SOFTMAX_ZERO",
    );
    check(
        masked,
        [
            (0.0, &[0.6225, 0.3775, 0.0]),
            (1.0, &[0.0, 1.0, 0.0]),
            (1.0, &[0.3894, 0.6106, 0.0]),
        ],
    );
    let regressor = ml(features(2), "LinearRegressor", &["x"], &["y"])
        .attr_floats("coefficients", &[2.0, -1.0, 0.5, 3.0])
        .attr_floats("intercepts", &[0.5, -0.5])
        .int("targets", 2)
        .output("y");
    let inputs = samples(&import(&regressor).unwrap(), 5, 3);
    agrees(&regressor, &inputs, 12, 2e-3, |x| {
        vec![vec![2.0 * x[0] - x[1] + 0.5, 0.5 * x[0] + 3.0 * x[1] - 0.5]]
    });
}

/// Features of very different units, scaled: the scaling costs nothing, and no feature is lost.
#[test]
fn every_feature_has_its_own_scale() {
    let onnx = ml(features(3), "Scaler", &["x"], &["s"])
        .attr_floats("offset", &[1000.0, 0.0, 0.001])
        .attr_floats("scale", &[0.001, 1.0, 1000.0]);
    let onnx = ml(onnx, "LinearRegressor", &["s"], &["y"])
        .attr_floats("coefficients", &[1.0, 1.0, 1.0])
        .output("y");
    let mut numbers = Numbers(4);
    let mut sample = || {
        vec![vec![
            1000.0 + 1000.0 * numbers.next(),
            numbers.next(),
            0.001 + 0.001 * numbers.next(),
        ]]
    };
    let samples: Vec<Sample> = (0..20).map(|_| sample()).collect();
    let model = agrees(&onnx, &samples, 12, 2e-3, |x| {
        vec![vec![
            0.001 * (x[0] - 1000.0) + x[1] + 1000.0 * (x[2] - 0.001),
        ]]
    });
    assert_eq!(model.nodes.len(), 2, "input and output");
}

const VECTORS: [[f32; 2]; 4] = [[0.5, -0.25], [-0.75, 0.5], [0.1, 0.9], [-0.3, -0.8]];

fn kernel(name: &str, x: &[f32], v: &[f32]) -> f32 {
    let dot = x[0] * v[0] + x[1] * v[1];
    match name {
        "LINEAR" => dot,
        "POLY" => (0.8 * dot + 0.5).powi(3),
        "SIGMOID" => (0.8 * dot + 0.5).tanh(),
        _ => (-0.8 * ((x[0] - v[0]).powi(2) + (x[1] - v[1]).powi(2))).exp(),
    }
}

fn machine(op: &str, outputs: &[&str], name: &str) -> Onnx {
    ml(features(2), op, &["x"], outputs)
        .attr_floats("support_vectors", &VECTORS.concat())
        .attr_floats("kernel_params", &[0.8, 0.5, 3.0])
        .string("kernel_type", name)
}

#[test]
fn support_vector_machines_with_every_kernel() {
    for name in ["LINEAR", "POLY", "SIGMOID", "RBF"] {
        let values = |x: &[f32]| VECTORS.map(|v| kernel(name, x, &v));
        let regressor = machine("SVMRegressor", &["y"], name)
            .attr_floats("coefficients", &[1.0, -0.5, 0.75, -1.0])
            .attr_floats("rho", &[0.25])
            .int("n_supports", 4)
            .output("y");
        let inputs = samples(&import(&regressor).unwrap(), 40, 8);
        agrees(&regressor, &inputs, 12, 5e-3, |x| {
            let k = values(x);
            vec![vec![k[0] - 0.5 * k[1] + 0.75 * k[2] - k[3] + 0.25]]
        });
        // Three classes of 1, 2 and 1 vectors.
        let classifier = machine("SVMClassifier", &["l", "p"], name)
            .attr_ints("vectors_per_class", &[1, 2, 1])
            .attr_floats(
                "coefficients",
                &[1.0, -0.5, 0.75, -1.0, 0.8, -0.6, 0.4, -0.9],
            )
            .attr_floats("rho", &[0.05, -0.1, 0.15])
            .attr_ints("classlabels_ints", &[3, 5, 8])
            .output("l")
            .output("p");
        agrees(&classifier, &inputs, 12, 5e-3, |x| {
            let k = values(x);
            let scores = [
                k[0] - 0.5 * k[1] + 0.75 * k[2] + 0.05,
                0.8 * k[0] - k[3] - 0.1,
                -0.6 * k[1] + 0.4 * k[2] - 0.9 * k[3] + 0.15,
            ];
            let mut votes = [0, 0, 0];
            for ((i, j), s) in [(0, 1), (0, 2), (1, 2)].into_iter().zip(scores) {
                votes[if s > 0.0 { i } else { j }] += 1;
            }
            let most = *votes.iter().max().unwrap();
            let label = [3.0, 5.0, 8.0][votes.iter().position(|&v| v == most).unwrap()];
            vec![vec![label], scores.to_vec()]
        });
    }
    let two = |probability: bool| {
        let onnx = machine("SVMClassifier", &["l", "p"], "RBF")
            .attr_ints("vectors_per_class", &[2, 2])
            .attr_floats("coefficients", &[1.0, 0.5, -0.75, -1.0])
            .attr_floats("rho", &[0.05])
            .attr_strings("classlabels_strings", &["no", "yes"]);
        let onnx = if probability {
            onnx.attr_floats("prob_a", &[-1.5])
                .attr_floats("prob_b", &[0.2])
        } else {
            onnx
        };
        onnx.output("l").output("p")
    };
    for probability in [false, true] {
        let onnx = two(probability);
        let inputs = samples(&import(&onnx).unwrap(), 20, 8);
        agrees(&onnx, &inputs, 12, 5e-3, |x| {
            let k = VECTORS.map(|v| kernel("RBF", x, &v));
            let s = k[0] + 0.5 * k[1] - 0.75 * k[2] - k[3] + 0.05;
            let p = 1.0 / (1.0 + (-1.5 * s + 0.2).exp());
            let scores = if probability {
                vec![p, 1.0 - p]
            } else {
                vec![-s, s]
            };
            vec![vec![f32::from(s <= 0.0)], scores]
        });
    }
}

#[test]
fn what_exporters_put_around_models() {
    let check = |onnx: Onnx, bound: f32, expected: &dyn Fn(&[f32]) -> Vec<f32>| {
        let onnx = onnx.output("y");
        let inputs = samples(&import(&onnx).unwrap(), 20, 6);
        agrees(&onnx, &inputs, 12, bound, |x| vec![expected(x)]);
    };
    let norm = |kind: &str| ml(features(3), "Normalizer", &["x"], &["y"]).string("norm", kind);
    check(norm("L1"), 5e-3, &|x| {
        let sum: f32 = x.iter().map(|v| v.abs()).sum();
        x.iter().map(|v| v / sum).collect()
    });
    check(norm("L2"), 5e-3, &|x| {
        let sum: f32 = x.iter().map(|v| v * v).sum();
        x.iter().map(|v| v / sum.sqrt()).collect()
    });
    let binarizer = ml(features(3), "Binarizer", &["x"], &["y"]).float("threshold", 0.25);
    check(binarizer, 0.0, &|x| {
        x.iter().map(|&v| f32::from(v > 0.25)).collect()
    });
    let imputer = ml(features(3), "Imputer", &["x"], &["i"])
        .attr_floats("imputed_value_floats", &[1.0, 2.0, 3.0])
        .float("replaced_value_float", f32::NAN);
    let extracted = ml(
        imputer.ints("columns", &[2, 0]),
        "ArrayFeatureExtractor",
        &["i", "columns"],
        &["y"],
    );
    check(extracted, 1e-3, &|x| vec![x[2], x[0]]);
    let joined = ml(features(3), "FeatureVectorizer", &["x", "x"], &["y"])
        .attr_ints("inputdimensions", &[3, 3]);
    check(joined, 1e-3, &|x| [x, x].concat());

    // The label of an ArgMax, as exporters write it; the first of equals wins.
    let network = features(2)
        .floats("w", &[2, 3], vec![1.0, -1.0, 1.0, 0.5, 2.0, 0.5])
        .ints("classes", &[4, 7, 6])
        .ints("flat", &[-1])
        .node("MatMul", &["x", "w"], "scores")
        .node("ArgMax", &["scores"], "index")
        .int("axis", 1);
    let network = ml(
        network,
        "ArrayFeatureExtractor",
        &["classes", "index"],
        &["named"],
    );
    let network = ml(network, "LabelEncoder", &["named"], &["encoded"])
        .attr_ints("keys_int64s", &[4, 6, 7])
        .attr_ints("values_int64s", &[40, 60, 70])
        .node("Reshape", &["encoded", "flat"], "label")
        .node("Cast", &["label"], "y")
        .int("to", 7);
    check(network, 0.0, &|x| {
        let (a, b) = (x[0] + 0.5 * x[1], 2.0 * x[1] - x[0]);
        vec![if b > a { 70.0 } else { 40.0 }]
    });
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let refused = |onnx: Onnx, part: &str| {
        let error = import(&onnx).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let stump = |post| stumps(&[0, 0], &[[0.1, 0.6], [0.2, 0.3]], &[0, 1], post);
    refused(stump("PROBIT"), "PROBIT");
    refused(
        stumps(&[0, 1], &[[0.1, 0.6], [0.2, 0.3]], &[0, 1], "NONE"),
        "one weight a leaf",
    );
    refused(
        stumps(&[0, 0], &[[0.1, 0.6], [0.2, 0.3]], &[0], "NONE"),
        "1 classes",
    );
    refused(
        stumps(
            &[0, 2, 2],
            &[[0.1, -0.6], [0.2, 0.3], [0.2, 0.3]],
            &[0, 1, 2],
            "NONE",
        ),
        "base value",
    );
    refused(
        stumps(&[0, 0], &[[0.1, f32::NAN], [0.2, 0.3]], &[0, 1], "NONE"),
        "NaN",
    );
    let (trees, leaves) = forest(5, 2);
    let weights = vec![1.0; leaves];
    let edited = |change: &dyn Fn(&mut Lists)| {
        let mut lists = Lists::of(&trees);
        change(&mut lists);
        let onnx = ml(features(4), "TreeEnsembleRegressor", &["x"], &["y"]);
        lists
            .write(onnx, "target", &vec![0; leaves], &weights)
            .output("y")
    };
    refused(edited(&|l| l.feature[0] = 4), "feature 4 of 4");
    refused(edited(&|l| l.feature[0] = -1), "feature");
    refused(edited(&|l| l.yes[0] = 1000), "no node 1000");
    refused(edited(&|l| l.mode[0] = "BRANCH_ODD"), "BRANCH_ODD");
    refused(edited(&|l| l.value[0] = f32::NAN), "NaN");
    refused(edited(&|l| l.id[1] = 0), "two nodes");
    refused(edited(&|l| l.leaf_id[0] = 0), "no leaf");
    refused(edited(&|l| l.value.push(0.0)), "values of nodes");
    // The first inner node that is a child becomes its own parent's parent.
    refused(
        edited(&|l| {
            let inner = (1..l.mode.len())
                .find(|&i| l.mode[i] != "LEAF" && l.tree[i] == 0)
                .unwrap();
            l.yes[inner] = l.id[inner];
        }),
        "circle",
    );
    let minimum = ml(features(4), "TreeEnsembleRegressor", &["x"], &["y"])
        .string("aggregate_function", "MIN");
    let minimum = Lists::of(&trees).write(minimum, "target", &vec![0; leaves], &weights);
    refused(minimum.output("y"), "MIN");
    refused(
        ml(features(2), "SVMClassifier", &["x"], &["l"])
            .attr_ints("classlabels_ints", &[0, 1])
            .output("l"),
        "LinearClassifier",
    );
    refused(
        machine("SVMRegressor", &["y"], "LAPLACE")
            .attr_floats("coefficients", &[1.0; 4])
            .attr_floats("rho", &[0.0])
            .int("n_supports", 4)
            .output("y"),
        "LAPLACE",
    );
    refused(
        ml(features(2), "Imputer", &["x"], &["y"])
            .float("replaced_value_float", 0.0)
            .output("y"),
        "impute before",
    );
    refused(
        linear(&[1.0, 2.0, 3.0], &[], &[0, 1], "NONE"),
        "3 coefficients for 2 features",
    );
    refused(
        ml(features(2), "DictVectorizer", &["x"], &["y"]).output("y"),
        "ai.onnx.ml.DictVectorizer",
    );
    let label = ml(features(2), "LinearClassifier", &["x"], &["l"])
        .attr_floats("coefficients", &[1.0, 2.0])
        .attr_ints("classlabels_ints", &[0, 1]);
    let computed = label
        .node("Cast", &["l"], "f")
        .int("to", 1)
        .node("Neg", &["f"], "y");
    refused(computed.output("y"), "output only");
}

/// Inputs outside a forest's calibration data change nothing: bins have no range.
#[test]
fn a_forest_clamps_no_input() {
    let onnx = stumps(&[0, 0], &[[0.1, 0.6], [0.2, 0.3]], &[0, 1], "NONE");
    let model = quantized(&onnx, &[vec![vec![0.5]]], 8);
    let Kind::Input { lo: 0, hi: 2 } = model.nodes[model.inputs[0].node].kind else {
        panic!("two thresholds");
    };
    for (x, score) in [(-1e30, 0.3), (1e30, 0.9)] {
        let port = &model.inputs[0];
        let quantized = tensorseal_circuits::ports::quantize_input(&model, port, &[x]);
        assert_eq!(quantized.unwrap().clamped, 0);
        let got = run(&model, &vec![vec![x]]);
        assert!((got[1][1] - score).abs() < 1e-5, "{got:?}");
    }
}
