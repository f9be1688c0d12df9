//! Recurrent layers, unrolled.

use tensorseal_circuits::{
    graph,
    onnx::{self, ImportOptions},
};

use super::model_support::{Onnx, agrees, agrees_within};

/// Inputs `[steps, batch, 3]` and parameters for `hidden` 4.
fn layer(gates: i64, directions: i64) -> Onnx {
    Onnx::new()
        .opset(14)
        .input("x", &[5, 2, 3])
        .weights("w", &[directions, gates * 4, 3])
        .weights("r", &[directions, gates * 4, 4])
        .weights("b", &[directions, gates * 8])
}

fn node(onnx: Onnx, op: &str) -> Onnx {
    onnx.node(op, &["x", "w", "r", "b"], "y")
        .edit(|n| n.output.push("h".into()))
        .int("hidden_size", 4)
}

#[test]
fn lstm_gru_and_rnn_forward() {
    for (op, gates) in [("LSTM", 4), ("GRU", 3), ("RNN", 1)] {
        agrees(&node(layer(gates, 1), op).output("y").output("h"), 1);
    }
    let linear = node(layer(3, 1), "GRU").int("linear_before_reset", 1);
    agrees(&linear.output("y"), 1);
}

#[test]
fn an_lstm_reads_both_ways() {
    let both = node(layer(4, 2), "LSTM").string("direction", "bidirectional");
    agrees(&both.output("y").output("h"), 1);
}

/// As converters write it: the factor of the first step's forget gate is a range of zeros.
#[test]
fn initial_states_of_zeros_as_initializers() {
    let onnx = layer(4, 1)
        .floats("h0", &[1, 2, 4], vec![0.0; 8])
        .floats("c0", &[1, 2, 4], vec![0.0; 8])
        .node("LSTM", &["x", "w", "r", "b", "", "h0", "c0"], "y")
        .edit(|n| n.output.push("h".into()))
        .int("hidden_size", 4);
    agrees(&onnx.output("y").output("h"), 1);
}

#[test]
fn states_and_a_classifier_behind_a_gru() {
    let onnx = layer(3, 1)
        .input("h0", &[1, 2, 4])
        .weights("v", &[4, 2])
        .node("GRU", &["x", "w", "r", "b", "", "h0"], "y")
        .edit(|n| n.output.push("h".into()))
        .int("hidden_size", 4)
        .node("MatMul", &["h", "v"], "scores");
    agrees(&onnx.output("scores"), 1);
}

/// `fixtures/sequence`: an LSTM of two directions and a transformer encoder layer.
#[test]
fn networks_that_torch_exports() {
    for name in ["lstm", "encoder"] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/sequence");
        let bytes = std::fs::read(format!("{folder}/{name}.onnx")).unwrap();
        agrees_within(&bytes, 1, [(8, 0.05), (14, 0.002)]);
    }
}

/// The reference leaves these attributes out, so that the recurrence is written out here.
#[test]
fn functions_clips_and_lengths_of_ones_own() {
    let (w, r, b) = ([0.5f32, -1.0], [0.25f32], [0.1f32, 0.2]);
    let x = [1.0f32, 2.0, -1.0, 0.5, 3.0, -0.5];
    let onnx = Onnx::new()
        .opset(14)
        .input("x", &[3, 1, 2])
        .floats("w", &[1, 1, 2], w.to_vec())
        .floats("r", &[1, 1, 1], r.to_vec())
        .floats("b", &[1, 2], b.to_vec())
        .ints("lengths", &[2])
        .node("RNN", &["x", "w", "r", "b", "lengths"], "y")
        .edit(|n| n.output.push("h".into()))
        .strings("activations", &["LeakyRelu"])
        .int("hidden_size", 1)
        .float("clip", 1.0)
        .string("direction", "reverse")
        .output("y")
        .output("h");
    let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
    let got = graph::run(&graph, &[x.to_vec()]);
    let mut h = 0.0;
    let mut y = [0.0; 3];
    for t in [1, 0] {
        let sum = w[0] * x[2 * t] + w[1] * x[2 * t + 1] + r[0] * h + b[0] + b[1];
        let sum = sum.clamp(-1.0, 1.0);
        h = if sum < 0.0 { 0.01 * sum } else { sum };
        y[t] = h;
    }
    for (got, expected) in got[0].iter().chain(&got[1]).zip([y[0], y[1], y[2], h]) {
        assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
    }
}
