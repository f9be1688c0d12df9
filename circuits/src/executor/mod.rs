//! The integer executor: the specification of what a proof states.
//!
//! [`run`] evaluates the equations of [`crate::model`] with plain loops over `i64`. [`crate::quantize::bounds`]
//! shows for a given model that no sum leaves that range.

mod terms;

use thiserror::Error;

use crate::{
    model::{Kind, Linear, Model, Node, Table},
    validate::{ModelError, validate},
};

/// Why a model did not run.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ExecError {
    /// The model contradicts itself.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Another number of inputs than the model has.
    #[error("the model takes {expected} inputs, got {got}")]
    Inputs {
        /// Inputs of the model.
        expected: usize,
        /// Inputs given.
        got: usize,
    },
    /// An input of the wrong length.
    #[error("input `{input}` takes {expected} integers, got {got}")]
    Length {
        /// Input name.
        input: String,
        /// Elements of its tensor.
        expected: usize,
        /// Integers given.
        got: usize,
    },
    /// An input value outside its node's range.
    #[error(
        "input `{input}`: element {index} is {value}, outside {lo}..={hi}; quantize inputs with `ports::quantize_input`"
    )]
    Range {
        /// Input name.
        input: String,
        /// Position.
        index: usize,
        /// The value.
        value: i64,
        /// Least allowed.
        lo: i64,
        /// Greatest allowed.
        hi: i64,
    },
}

/// Runs the model on one integer tensor (NCHW) for each input; gives the tensor of every node.
///
/// # Errors
/// [`ExecError`], for a model that contradicts itself or inputs that do not fit it.
pub fn run(model: &Model, inputs: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, ExecError> {
    run_counted(model, inputs).map(|(values, _)| values)
}

/// As [`run`]; tells for each node, too, how many values its [`Table::Clip`] changed. The lower end of a ReLU, 0, is part of
/// the function and does not count.
///
/// # Errors
/// As [`run`].
pub fn run_counted(
    model: &Model,
    inputs: &[Vec<i64>],
) -> Result<(Vec<Vec<i64>>, Vec<u64>), ExecError> {
    validate(model)?;
    if inputs.len() != model.inputs.len() {
        return Err(ExecError::Inputs {
            expected: model.inputs.len(),
            got: inputs.len(),
        });
    }
    let mut values: Vec<Vec<i64>> = Vec::with_capacity(model.nodes.len());
    let mut clamped = vec![0; model.nodes.len()];
    for (id, node) in model.nodes.iter().enumerate() {
        let value = match &node.kind {
            Kind::Input { lo, hi } => {
                let at = model
                    .inputs
                    .iter()
                    .position(|p| p.node == id)
                    .expect("`validate` found a port for every input");
                check_input(&node.name, node.shape.len(), (*lo, *hi), &inputs[at])?;
                inputs[at].clone()
            }
            Kind::Linear(linear) => linear_node(model, node, linear, &values, &mut clamped[id]),
        };
        values.push(value);
    }
    Ok((values, clamped))
}

fn check_input(
    name: &str,
    expected: usize,
    (lo, hi): (i64, i64),
    values: &[i64],
) -> Result<(), ExecError> {
    let input = || name.to_owned();
    if values.len() != expected {
        return Err(ExecError::Length {
            input: input(),
            expected,
            got: values.len(),
        });
    }
    match values.iter().position(|v| !(lo..=hi).contains(v)) {
        Some(index) => Err(ExecError::Range {
            input: input(),
            index,
            value: values[index],
            lo,
            hi,
        }),
        None => Ok(()),
    }
}

fn linear_node(
    model: &Model,
    node: &Node,
    linear: &Linear,
    values: &[Vec<i64>],
    clamped: &mut u64,
) -> Vec<i64> {
    let size = terms::accumulator_size(node, linear);
    let mut table = |x: i64| {
        if let Table::Clip { lo, hi } = linear.table {
            *clamped += u64::from(x > hi || (x < lo && lo < 0));
        }
        linear.table.eval(x)
    };
    let mut out = Vec::with_capacity(node.shape.len());
    for item in 0..node.shape.n {
        let mut y = terms::bias(linear, node.shape.c, size);
        for term in &linear.terms {
            let shape = &model.nodes[term.source].shape;
            let source = &values[term.source][item * shape.item()..][..shape.item()];
            terms::add(term, shape, source, &mut y);
        }
        if linear.table == Table::Raw {
            out.extend(y);
            continue;
        }
        if linear.requantize {
            y.iter_mut().for_each(|y| *y >>= model.shift);
        }
        match linear.pool {
            Some(pool) => {
                let full = pool.full.0 * pool.full.1;
                for plane in y.chunks_exact(full) {
                    for oy in 0..node.shape.h {
                        for ox in 0..node.shape.w {
                            let window = (0..pool.kernel.0).flat_map(|ky| {
                                let row =
                                    (oy * pool.kernel.0 + ky) * pool.full.1 + ox * pool.kernel.1;
                                plane[row..row + pool.kernel.1].iter().copied()
                            });
                            let max = window.max().expect("`validate` found the window not empty");
                            out.push(table(if pool.from_zero { max.max(0) } else { max }));
                        }
                    }
                }
            }
            None => out.extend(y.into_iter().map(&mut table)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conv, MaxPool, Op, Port, Shape, Term};

    /// A model of one input `[1, 1, 2, 2]` in `-8..=7` and one node behind it, read out raw.
    fn model(linear: Linear, (h, w): (usize, usize)) -> Model {
        let shape = |h, w| Shape { n: 1, c: 1, h, w };
        let port = |name: &str, node, h: usize, w: usize| Port {
            name: name.into(),
            node,
            shape: vec![1, 1, h, w],
            order: Vec::new(),
            scale: 1.0,
            encodings: Vec::new(),
        };
        let raw = Linear {
            terms: vec![scaled(1, 1)],
            bias: vec![0],
            requantize: false,
            pool: None,
            table: Table::Raw,
        };
        let node = |name: &str, shape, kind| Node {
            name: name.into(),
            shape,
            kind,
        };
        Model {
            name: "test".into(),
            bits: 8,
            shift: 2,
            nodes: vec![
                node("x", shape(2, 2), Kind::Input { lo: -8, hi: 7 }),
                node("node", shape(h, w), Kind::Linear(linear)),
                node("y", shape(h, w), Kind::Linear(raw)),
            ],
            inputs: vec![port("x", 0, 2, 2)],
            outputs: vec![port("y", 2, h, w)],
        }
    }

    fn scaled(source: usize, weight: i64) -> Term {
        let conv = Conv {
            cin: 1,
            cout: 1,
            kernel: (1, 1),
            stride: (1, 1),
            dilation: (1, 1),
            pads: (0, 0, 0, 0),
            groups: 1,
            weights: vec![weight],
        };
        Term {
            source,
            channel: 0,
            op: Op::Conv(conv),
        }
    }

    fn linear(bias: i64, requantize: bool, table: Table) -> Linear {
        Linear {
            terms: vec![scaled(0, 1)],
            bias: vec![bias],
            requantize,
            pool: None,
            table,
        }
    }

    #[test]
    fn the_shift_rounds_down_and_its_bias_rounds_to_nearest() {
        let input = vec![vec![-7, -2, 5, 7]];
        let down = model(linear(0, true, Table::Identity), (2, 2));
        assert_eq!(run(&down, &input).unwrap()[1], [-2, -1, 1, 1]);
        let nearest = model(linear(2, true, Table::Identity), (2, 2));
        assert_eq!(run(&nearest, &input).unwrap()[1], [-2, 0, 1, 2]);
    }

    #[test]
    fn tables_clamp_past_their_ends() {
        let input = vec![vec![-8, -1, 1, 7]];
        let clip = model(linear(0, false, Table::Clip { lo: -1, hi: 3 }), (2, 2));
        let (values, clamped) = run_counted(&clip, &input).unwrap();
        assert_eq!(values[2], [-1, -1, 1, 3]);
        assert_eq!(clamped, [0, 2, 0], "-8 and 7 were changed, -1 was not");
        let relu = model(linear(0, false, Table::Clip { lo: 0, hi: 7 }), (2, 2));
        assert_eq!(run_counted(&relu, &input).unwrap().1, [0; 3]);
        let lut = model(
            linear(
                0,
                false,
                Table::Lut {
                    lo: -1,
                    values: vec![10, 20, 30],
                },
            ),
            (2, 2),
        );
        assert_eq!(run(&lut, &input).unwrap()[2], [10, 10, 30, 30]);
    }

    #[test]
    fn pools_start_at_zero_only_where_they_say_so() {
        let input = vec![vec![-8, -1, -3, -2]];
        for (from_zero, expected) in [(false, -1), (true, 0)] {
            let pool = Some(MaxPool {
                kernel: (2, 2),
                from_zero,
                full: (2, 2),
            });
            let pooled = model(
                Linear {
                    pool,
                    ..linear(0, false, Table::Identity)
                },
                (1, 1),
            );
            assert_eq!(run(&pooled, &input).unwrap()[2], [expected]);
        }
    }

    #[test]
    fn inputs_that_do_not_fit_are_errors() {
        let model = model(linear(0, false, Table::Identity), (2, 2));
        assert!(matches!(
            run(&model, &[]),
            Err(ExecError::Inputs {
                expected: 1,
                got: 0
            })
        ));
        assert!(matches!(
            run(&model, &[vec![0; 3]]),
            Err(ExecError::Length {
                expected: 4,
                got: 3,
                ..
            })
        ));
        let outside = run(&model, &[vec![0, 0, 8, 0]]);
        assert!(matches!(
            outside,
            Err(ExecError::Range {
                index: 2,
                value: 8,
                ..
            })
        ));
    }
}
