//! The model seen from outside: real numbers in, real numbers out.

use thiserror::Error;

use crate::model::{Encoding, Kind, Model, Port};

/// An input as integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// The node's tensor, NCHW.
    pub values: Vec<i64>,
    /// How many values lay outside the range and were clamped to it.
    pub clamped: usize,
    /// By how much at most, in the units of the values.
    pub beyond: f64,
}

/// Why values do not fit a port.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PortError {
    /// Another number of values than the port has elements.
    #[error("`{port}` has shape {shape:?} ({expected} values), got {got}")]
    Length {
        /// Port name.
        port: String,
        /// Logical shape.
        shape: Vec<usize>,
        /// Elements of that shape.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// A value that is no number.
    #[error("`{port}`: value {index} is not finite; clean the input")]
    NotFinite {
        /// Port name.
        port: String,
        /// Position.
        index: usize,
    },
    /// The port is not an input of the model.
    #[error("`{port}` is not an input of this model")]
    NotAnInput {
        /// Port name.
        port: String,
    },
}

/// Quantizes an input given in ONNX order: `round(value / scale)`, halves to even, clamped to the node's range; where
/// the port has edges, the number of them that are less than the value.
///
/// # Errors
/// [`PortError`], for the wrong number of values or values that are not finite.
pub fn quantize_input(model: &Model, port: &Port, values: &[f32]) -> Result<Quantized, PortError> {
    let Some(Kind::Input { lo, hi }) = model.nodes.get(port.node).map(|node| &node.kind) else {
        return Err(PortError::NotAnInput {
            port: port.name.clone(),
        });
    };
    check_length(port, values.len())?;
    if let Some(index) = values.iter().position(|v| !v.is_finite()) {
        return Err(PortError::NotFinite {
            port: port.name.clone(),
            index,
        });
    }
    let mut quantized = Quantized {
        values: vec![0; values.len()],
        clamped: 0,
        beyond: 0.0,
    };
    for (i, &value) in values.iter().enumerate() {
        let rounded = match encoding(port, i) {
            Encoded::Scale(scale) => nearest(value, scale),
            Encoded::Edges(edges) => edges.partition_point(|&edge| edge < value) as i64,
        };
        let clamped = rounded.clamp(*lo, *hi);
        if clamped != rounded {
            quantized.clamped += 1;
            if let Encoded::Scale(scale) = encoding(port, i) {
                let beyond = (f64::from(value) - clamped as f64 * scale).abs();
                quantized.beyond = quantized.beyond.max(beyond);
            }
        }
        quantized.values[element(port, i)] = clamped;
    }
    Ok(quantized)
}

/// The nearest integer. The cast saturates; the range that it is clamped to is far inside `i64`.
fn nearest(value: f32, scale: f64) -> i64 {
    quotient(value, scale).round_ties_even() as i64
}

/// `value / scale`. A scale that is a float32 number is that of a `QuantizeLinear`, which divides in float32.
fn quotient(value: f32, scale: f64) -> f64 {
    if f64::from(scale as f32) == scale {
        f64::from(value / scale as f32)
    } else {
        f64::from(value) / scale
    }
}

enum Encoded<'a> {
    Scale(f64),
    Edges(&'a [f32]),
}

fn encoding(port: &Port, logical: usize) -> Encoded<'_> {
    let at = logical.checked_rem(port.encodings.len());
    match at.map(|at| &port.encodings[at]) {
        None => Encoded::Scale(port.scale),
        Some(Encoding::Scale(scale)) => Encoded::Scale(*scale),
        Some(Encoding::Edges(edges)) => Encoded::Edges(edges),
    }
}

/// A number between the edges of its bin, the upper one included.
fn of_bin(edges: &[f32], bin: i64) -> f32 {
    let bin = usize::try_from(bin).unwrap_or(0);
    match (edges.get(bin), edges.last()) {
        (Some(&edge), _) => edge,
        (None, Some(&last)) => last.next_up(),
        (None, None) => 0.0,
    }
}

/// Real values of an input or output tensor, in ONNX order; of an element with edges, a number of the same bin.
///
/// # Errors
/// [`PortError::Length`], for the wrong number of values.
pub fn dequantize(port: &Port, values: &[i64]) -> Result<Vec<f32>, PortError> {
    check_length(port, values.len())?;
    Ok((0..values.len())
        .map(|i| {
            let value = values[element(port, i)];
            match encoding(port, i) {
                Encoded::Scale(scale) => (value as f64 * scale) as f32,
                Encoded::Edges(edges) => of_bin(edges, value),
            }
        })
        .collect())
}

fn element(port: &Port, logical: usize) -> usize {
    port.order.get(logical).map_or(logical, |&i| i as usize)
}

fn check_length(port: &Port, got: usize) -> Result<(), PortError> {
    let expected = port.shape.iter().product();
    if got != expected {
        return Err(PortError::Length {
            port: port.name.clone(),
            shape: port.shape.clone(),
            expected,
            got,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Node, Shape};

    fn model(order: Vec<u32>) -> Model {
        let shape = Shape {
            n: 1,
            c: 3,
            h: 1,
            w: 1,
        };
        let port = Port {
            name: "x".into(),
            node: 0,
            shape: vec![1, 3],
            order,
            scale: 0.5,
            encodings: Vec::new(),
        };
        Model {
            name: "ports".into(),
            bits: 8,
            shift: 16,
            nodes: vec![Node {
                name: "x".into(),
                shape,
                kind: Kind::Input { lo: -3, hi: 3 },
            }],
            inputs: vec![port],
            outputs: Vec::new(),
        }
    }

    #[test]
    fn inputs_round_to_even_clamp_and_follow_the_order() {
        let model = model(vec![2, 0, 1]);
        let port = &model.inputs[0];
        let quantized = quantize_input(&model, port, &[0.25, 0.75, -9.0]).unwrap();
        assert_eq!(
            quantized,
            Quantized {
                values: vec![2, -3, 0],
                clamped: 1,
                beyond: 7.5,
            }
        );
        assert_eq!(
            dequantize(port, &quantized.values).unwrap(),
            [0.0, 1.0, -1.5]
        );
    }

    #[test]
    fn elements_may_have_encodings_of_their_own() {
        let mut model = model(vec![]);
        model.inputs[0].encodings = vec![
            Encoding::Scale(0.25),
            Encoding::Edges(vec![-1.0, 0.5, 2.0]),
            Encoding::Edges(Vec::new()),
        ];
        let port = &model.inputs[0];
        let values = |v: [f32; 3]| quantize_input(&model, port, &v).unwrap().values;
        assert_eq!(values([0.5, -1.0, 7.0]), [2, 0, 0]);
        assert_eq!(values([-0.5, (-1.0f32).next_up(), 7.0]), [-2, 1, 0]);
        assert_eq!(values([0.0, 0.5, -7.0]), [0, 1, 0]);
        assert_eq!(values([0.0, 2.5, -7.0]), [0, 3, 0]);
        // What a bin stands for is a number of that bin.
        for bin in 0..=3 {
            let shown = dequantize(port, &[1, bin, 0]).unwrap();
            assert_eq!(values([shown[0], shown[1], shown[2]]), [1, bin, 0]);
        }
    }

    #[test]
    fn wrong_lengths_and_nan_are_errors() {
        let model = model(Vec::new());
        let port = &model.inputs[0];
        assert!(matches!(
            quantize_input(&model, port, &[0.0]),
            Err(PortError::Length {
                expected: 3,
                got: 1,
                ..
            })
        ));
        let nan = [0.0, f32::NAN, 0.0];
        assert!(matches!(
            quantize_input(&model, port, &nan),
            Err(PortError::NotFinite { index: 1, .. })
        ));
        assert!(matches!(
            dequantize(port, &[1]),
            Err(PortError::Length { .. })
        ));
    }
}
