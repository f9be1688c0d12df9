//! Recurrent layers, unrolled.

use super::model_support::{Onnx, agrees};

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

#[test]
fn functions_of_ones_own_choice() {
    let onnx = node(layer(1, 1), "RNN").strings("activations", &["Relu"]);
    agrees(&onnx.output("y"), 1);
}
