//! The integers of a quantized model, by the names of its ONNX tensors.

use super::{Graph, NodeId, Rounded, trace};

/// The integers of a quantized ONNX tensor for some input.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerTensor {
    /// ONNX name.
    pub name: String,
    /// The node that it comes from; several names may be one node.
    pub node: NodeId,
    /// The integers `q` of an item, zero point included, in ONNX order.
    pub values: Vec<i64>,
    /// How far each number lay from a half before it was rounded; 1/2 where none was rounded.
    pub margins: Vec<f64>,
}

/// All quantized tensors of the ONNX graph for one item of every input, computed exactly: what the integer model, too,
/// computes of a graph that [`Graph::is_exact`]. The elements of nodes that `flipped` lists are rounded to the other side:
/// what a near-tie there would do to everything after it.
///
/// # Panics
/// Where `inputs` does not hold one item of the right length for each input of the graph.
pub fn integer_tensors(
    graph: &Graph,
    inputs: &[&[f32]],
    flipped: &[(NodeId, usize)],
) -> Vec<IntegerTensor> {
    let (reals, rounded) = trace(graph, inputs, flipped);
    let tensors = graph.quantized.iter().map(|tensor| {
        let grid = &tensor.grid;
        let of = rounded.iter().find(|(node, _)| *node == tensor.node);
        let elements: Vec<Rounded> = match of {
            Some((_, rounded)) => rounded.clone(),
            None => {
                let moved = grid.integers(&reals[tensor.node]);
                moved.into_iter().map(Rounded::exact).collect()
            }
        };
        IntegerTensor {
            name: tensor.name.clone(),
            node: tensor.node,
            values: elements.iter().map(|r| r.value + grid.zero_point).collect(),
            margins: elements.iter().map(|r| r.margin).collect(),
        }
    });
    tensors.collect()
}
