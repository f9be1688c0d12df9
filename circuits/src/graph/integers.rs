//! The integers of a quantized model, by the names of its ONNX tensors.

use super::{Graph, Rounded, trace};

/// The integers of a quantized ONNX tensor for some input.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerTensor {
    /// ONNX name.
    pub name: String,
    /// The integers `q` of an item, zero point included, in ONNX order.
    pub values: Vec<i64>,
    /// How far each number lay from a half before it was rounded; 1/2 where none was rounded.
    pub margins: Vec<f64>,
}

/// All quantized tensors of the ONNX graph for one item of every input, computed exactly: what the integer model, too,
/// computes of a graph that [`Graph::is_exact`].
///
/// # Panics
/// Where `inputs` does not hold one item of the right length for each input of the graph.
pub fn integer_tensors(graph: &Graph, inputs: &[&[f32]]) -> Vec<IntegerTensor> {
    let (reals, rounded) = trace(graph, inputs);
    let tensors = graph.quantized.iter().map(|tensor| {
        let grid = &tensor.grid;
        let of = rounded.iter().find(|(node, _)| *node == tensor.node);
        let elements: Vec<Rounded> = match of {
            Some((_, rounded)) => rounded.clone(),
            None => {
                let exact = |value| Rounded { value, margin: 0.5 };
                let moved = grid.integers(&reals[tensor.node]);
                moved.into_iter().map(exact).collect()
            }
        };
        IntegerTensor {
            name: tensor.name.clone(),
            values: elements.iter().map(|r| r.value + grid.zero_point).collect(),
            margins: elements.iter().map(|r| r.margin).collect(),
        }
    });
    tensors.collect()
}
