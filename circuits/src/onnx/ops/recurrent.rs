//! RNN, GRU and LSTM, unrolled: each gate of each step is a dense layer with its function.
//!
//! Sequence lengths are constant; the reverse direction starts at the end of each sequence, states beyond it stay,
//! and outputs there are 0.

use std::sync::Arc;

use super::{
    compose::{joined, lifted, minus, picked, plus, reshaped, times},
    shape::permuted,
};
use crate::{
    graph::{Activation, Function, NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, finite, integers},
    },
};

/// Steps of all directions that are unrolled at most.
const MAX_STEPS: usize = 512;

/// The operator's shape and constants.
struct Cell {
    /// Steps, batch, inputs, hidden.
    steps: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    gates: usize,
    directions: usize,
    /// Axes are `[batch, steps, ..]`.
    batch_first: bool,
    lengths: Vec<usize>,
    w: Vec<f32>,
    r: Vec<f32>,
    b: Vec<f32>,
    peepholes: Vec<f32>,
    clip: Option<f32>,
    functions: Vec<Activation>,
}

/// A state, or zeros that no node stands for.
type State = Option<NodeId>;

pub(super) fn recurrent(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let cell = Cell::new(ctx, node, x)?;
    let is_lstm = node.op() == "LSTM";
    let mut all: Vec<Vec<NodeId>> = Vec::new();
    let (mut last_h, mut last_c) = (Vec::new(), Vec::new());
    for direction in 0..cell.directions {
        let backward = direction == 1 || node.string("direction").as_deref() == Some("reverse");
        let mut h = cell.initial(ctx, node, 5, direction)?;
        let mut c = if is_lstm {
            cell.initial(ctx, node, 6, direction)?
        } else {
            None
        };
        let mut states = Vec::new();
        for step in 0..cell.steps {
            let input = cell.input(ctx, node, x, step, backward)?;
            let (new_h, new_c) = match node.op().as_str() {
                "LSTM" => cell.lstm(ctx, node, direction, input, h, c)?,
                "GRU" => (cell.gru(ctx, node, direction, input, h)?, None),
                _ => (cell.gate(ctx, node, (direction, 0), input, h)?, None),
            };
            h = Some(cell.held(ctx, node, step, new_h, h)?);
            c = match new_c {
                Some(new) => Some(cell.held(ctx, node, step, new, c)?),
                None => None,
            };
            states.push(new_h);
        }
        all.push(cell.outputs(ctx, node, &states, backward)?);
        last_h.extend(h);
        last_c.extend(c);
    }
    cell.assign(ctx, node, all, last_h, last_c)
}

impl Cell {
    fn new(ctx: &Builder, node: &NodeView, x: NodeId) -> Result<Cell, ImportError> {
        let batch_first = node.int("layout").unwrap_or(0) != 0;
        let (steps, batch, inputs) = match (ctx.shape(x), batch_first) {
            (&[t, n, i], false) | (&[n, t, i], true) => (t, n, i),
            (shape, _) => return Err(node.form(format!("its input {shape:?} has not 3 axes"))),
        };
        let op = node.op();
        let gates = match op.as_str() {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        };
        let w = ctx.constant(node, 1, "the weights")?;
        let r = ctx.constant(node, 2, "the recurrent weights")?;
        let &[directions, rows, hidden] = r.shape() else {
            return Err(node.form("its recurrent weights have not 3 axes"));
        };
        let direction = node.string("direction").unwrap_or_default();
        let wanted = if direction == "bidirectional" { 2 } else { 1 };
        if directions != wanted
            || rows != gates * hidden
            || hidden == 0
            || w.shape() != [directions, rows, inputs]
        {
            return Err(node.form(format!(
                "weights of shapes {:?} and {:?} do not fit its input",
                w.shape(),
                r.shape()
            )));
        }
        if directions * steps > MAX_STEPS {
            return Err(node.form(format!(
                "it has {steps} steps; at most {MAX_STEPS} are unrolled"
            )));
        }
        let numbers = |i: usize, role, len: usize| -> Result<Vec<f32>, ImportError> {
            let values = match ctx.optional(node, i, role)? {
                Some(tensor) => finite(node, &tensor)?,
                None => vec![0.0; len],
            };
            match values.len() == len {
                true => Ok(values),
                false => Err(node.form(format!("{role}: {} numbers, not {len}", values.len()))),
            }
        };
        let b = numbers(3, "the biases", directions * 2 * rows)?;
        let peepholes = match gates {
            4 => numbers(7, "the peepholes", directions * 3 * hidden)?,
            _ => Vec::new(),
        };
        let lengths = match ctx.optional(node, 4, "the sequence lengths")? {
            Some(tensor) => integers(node, &tensor)?,
            None => vec![steps as i64; batch],
        };
        let lengths: Vec<usize> = lengths
            .iter()
            .filter_map(|&l| usize::try_from(l).ok().filter(|&l| l >= 1 && l <= steps))
            .collect();
        if lengths.len() != batch {
            return Err(node.form("its sequence lengths do not fit its input"));
        }
        if node.int("input_forget").unwrap_or(0) != 0 {
            return Err(node.form("attribute input_forget is set; only 0 is supported"));
        }
        Ok(Cell {
            steps,
            batch,
            inputs,
            hidden,
            gates,
            directions,
            batch_first,
            lengths,
            w: finite(node, &w)?,
            r: finite(node, &r)?,
            b,
            peepholes,
            clip: node.float("clip").filter(|&c| c > 0.0),
            functions: functions(node, gates, directions)?,
        })
    }

    /// The initial state `[batch, hidden]` of a direction.
    fn initial(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        i: usize,
        direction: usize,
    ) -> Result<State, ImportError> {
        if node.input(i).is_none() {
            return Ok(None);
        }
        let value = ctx.value(node, i)?;
        let all = lifted(ctx, node, value)?;
        let wanted = match self.batch_first {
            true => [self.batch, self.directions, self.hidden],
            false => [self.directions, self.batch, self.hidden],
        };
        if ctx.shape(all) != wanted {
            return Err(node.form(format!(
                "an initial state of shape {:?} is not {wanted:?}",
                ctx.shape(all)
            )));
        }
        let batch_first = self.batch_first;
        picked(
            ctx,
            node,
            vec![all],
            vec![self.batch, self.hidden],
            |index, at| {
                at.extend(match batch_first {
                    true => [index[0], direction, index[1]],
                    false => [direction, index[0], index[1]],
                });
                Some(0)
            },
        )
        .map(Some)
    }

    /// The time at which a sequence stands at a step.
    fn time(&self, item: usize, step: usize, backward: bool) -> Option<usize> {
        let length = self.lengths[item];
        let active = step < length;
        active.then(|| if backward { length - 1 - step } else { step })
    }

    /// The input `[batch, inputs]` of a step; 0 beyond a sequence's end.
    fn input(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        x: NodeId,
        step: usize,
        backward: bool,
    ) -> Result<NodeId, ImportError> {
        picked(
            ctx,
            node,
            vec![x],
            vec![self.batch, self.inputs],
            |index, at| {
                let time = self.time(index[0], step, backward)?;
                at.extend(match self.batch_first {
                    true => [index[0], time, index[1]],
                    false => [time, index[0], index[1]],
                });
                Some(0)
            },
        )
    }

    /// `W·x + R·h + b` of a gate, the parts that are not there left out.
    fn linear(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        (direction, gate): (usize, usize),
        x: Option<NodeId>,
        h: State,
        biases: [bool; 2],
    ) -> Result<NodeId, ImportError> {
        let hidden = self.hidden;
        let mut total: State = None;
        for (source, k, all) in [(x, self.inputs, &self.w), (h, hidden, &self.r)] {
            let Some(source) = source else { continue };
            let first = (direction * self.gates + gate) * hidden * k;
            let matrix = &all[first..first + hidden * k];
            let weights = (0..k * hidden).map(|i| matrix[i % hidden * k + i / hidden]);
            let op = Op::MatMul {
                rows: self.batch / ctx.batch(),
                k,
                n: hidden,
                weights: weights.collect(),
            };
            let y = ctx.push(node.name(), vec![source], vec![self.batch, hidden], op);
            total = Some(match total {
                None => y,
                Some(sum) => plus(ctx, node, sum, Value::Node(y))?,
            });
        }
        let mut bias = vec![0.0; hidden];
        for (of, wanted) in biases.into_iter().enumerate() {
            if wanted {
                let first = ((direction * 2 + of) * self.gates + gate) * hidden;
                for (sum, b) in bias.iter_mut().zip(&self.b[first..first + hidden]) {
                    *sum += b;
                }
            }
        }
        match total {
            Some(total) => {
                let bias = super::compose::constant(node, &[hidden], &bias)?;
                plus(ctx, node, total, bias)
            }
            None => {
                let all = bias.repeat(self.batch);
                let bias = super::compose::constant(node, &[self.batch, hidden], &all)?;
                lifted(ctx, node, bias)
            }
        }
    }

    /// A gate's function of its clipped argument.
    fn apply(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        direction: usize,
        function: usize,
        mut x: NodeId,
    ) -> NodeId {
        if let Some(clip) = self.clip {
            let (lo, hi) = (-clip, clip);
            x = ctx.activation(node, x, Activation::Clip { lo, hi });
        }
        let each = self.functions.len() / self.directions;
        let f = self.functions[direction * each + function].clone();
        ctx.activation(node, x, f)
    }

    /// A gate of the first function.
    fn gate(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        (direction, gate): (usize, usize),
        x: NodeId,
        h: State,
    ) -> Result<NodeId, ImportError> {
        let y = self.linear(ctx, node, (direction, gate), Some(x), h, [true; 2])?;
        Ok(self.apply(ctx, node, direction, 0, y))
    }

    /// `i, o, f` with peepholes, `c' = f·c + i·g`, `h = o · tanh c'`.
    fn lstm(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        direction: usize,
        x: NodeId,
        h: State,
        c: State,
    ) -> Result<(NodeId, State), ImportError> {
        let gate =
            |ctx: &mut Builder, gate: usize, function: usize, peephole: Option<(usize, NodeId)>| {
                let mut y = self.linear(ctx, node, (direction, gate), Some(x), h, [true; 2])?;
                if let Some((of, state)) = peephole {
                    let first = (direction * 3 + of) * self.hidden;
                    let weights = &self.peepholes[first..first + self.hidden];
                    if weights.iter().any(|&w| w != 0.0) {
                        let weights = super::compose::constant(node, &[self.hidden], weights)?;
                        let part = times(ctx, node, state, weights)?;
                        y = plus(ctx, node, y, Value::Node(part))?;
                    }
                }
                Ok(self.apply(ctx, node, direction, function, y))
            };
        let i = gate(ctx, 0, 0, c.map(|c| (0, c)))?;
        let g = gate(ctx, 3, 1, None)?;
        let mut next = times(ctx, node, i, Value::Node(g))?;
        if let Some(c) = c {
            let f = gate(ctx, 2, 0, Some((2, c)))?;
            let kept = times(ctx, node, f, Value::Node(c))?;
            next = plus(ctx, node, kept, Value::Node(next))?;
        }
        let o = gate(ctx, 1, 0, Some((1, next)))?;
        let each = self.functions.len() / self.directions;
        let f = self.functions[direction * each + 2].clone();
        let out = ctx.activation(node, next, f);
        Ok((times(ctx, node, o, Value::Node(out))?, Some(next)))
    }

    /// `z, r`, `n = g(W·x + R·(r·h))` or `g(W·x + r·(R·h + b))`, `h' = n + z·(h - n)`.
    fn gru(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        direction: usize,
        x: NodeId,
        h: State,
    ) -> Result<NodeId, ImportError> {
        let z = self.gate(ctx, node, (direction, 0), x, h)?;
        let r = self.gate(ctx, node, (direction, 1), x, h)?;
        let new = if node.int("linear_before_reset").unwrap_or(0) != 0 {
            let inner = self.linear(ctx, node, (direction, 2), None, h, [false, true])?;
            let inner = times(ctx, node, inner, Value::Node(r))?;
            let outer = self.linear(ctx, node, (direction, 2), Some(x), None, [true, false])?;
            plus(ctx, node, outer, Value::Node(inner))?
        } else {
            let reset = h.map(|h| times(ctx, node, h, Value::Node(r))).transpose()?;
            self.linear(ctx, node, (direction, 2), Some(x), reset, [true; 2])?
        };
        let n = self.apply(ctx, node, direction, 1, new);
        match h {
            Some(h) => {
                let step = minus(ctx, node, Value::Node(h), Value::Node(n))?;
                let step = times(ctx, node, z, Value::Node(step))?;
                plus(ctx, node, n, Value::Node(step))
            }
            None => {
                let product = times(ctx, node, z, Value::Node(n))?;
                minus(ctx, node, Value::Node(n), Value::Node(product))
            }
        }
    }

    /// The new state, or the old one where a sequence has ended.
    fn held(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        step: usize,
        new: NodeId,
        old: State,
    ) -> Result<NodeId, ImportError> {
        if self.lengths.iter().all(|&length| step < length) {
            return Ok(new);
        }
        let inputs = [vec![new], old.into_iter().collect()].concat();
        picked(
            ctx,
            node,
            inputs,
            vec![self.batch, self.hidden],
            |index, at| {
                at.extend_from_slice(index);
                match step < self.lengths[index[0]] {
                    true => Some(0),
                    false => old.map(|_| 1),
                }
            },
        )
    }

    /// The outputs `[batch, hidden]` by time, 0 beyond each sequence's end.
    fn outputs(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        states: &[NodeId],
        backward: bool,
    ) -> Result<Vec<NodeId>, ImportError> {
        let plain = !backward && self.lengths.iter().all(|&l| l == self.steps);
        if plain {
            return Ok(states.to_vec());
        }
        let at_time = |time: usize| {
            picked(
                ctx,
                node,
                states.to_vec(),
                vec![self.batch, self.hidden],
                |index, at| {
                    at.extend_from_slice(index);
                    let length = self.lengths[index[0]];
                    let active = time < length;
                    active.then(|| if backward { length - 1 - time } else { time })
                },
            )
        };
        (0..self.steps).map(at_time).collect()
    }

    fn assign(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        all: Vec<Vec<NodeId>>,
        last_h: Vec<NodeId>,
        last_c: Vec<NodeId>,
    ) -> Result<(), ImportError> {
        if node.output(0).is_some() {
            // [directions, steps, batch, hidden]
            let flat: Vec<NodeId> = all.into_iter().flatten().collect();
            let y = self.stacked(ctx, node, flat, &[self.directions, self.steps])?;
            let perm = match self.batch_first {
                true => [2, 1, 0, 3],
                false => [1, 0, 2, 3],
            };
            let y = permuted(ctx, node, y, &perm)?;
            ctx.assign(node, Value::Node(y))?;
        }
        for (output, states) in [(1, last_h), (2, last_c)] {
            if node.output(output).is_some() && !states.is_empty() {
                let mut y = self.stacked(ctx, node, states, &[self.directions])?;
                if self.batch_first {
                    y = permuted(ctx, node, y, &[1, 0, 2])?;
                }
                ctx.assign_output(node, output, Value::Node(y))?;
            }
        }
        Ok(())
    }

    /// Tensors `[batch, hidden]` one after the other, as `[lead.., batch, hidden]`.
    fn stacked(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        parts: Vec<NodeId>,
        lead: &[usize],
    ) -> Result<NodeId, ImportError> {
        let shape = [lead, &[self.batch, self.hidden]].concat();
        if ctx.batch() == 1 {
            let all = joined(ctx, node, parts, 0)?;
            return Ok(reshaped(ctx, node, all, &shape));
        }
        picked(ctx, node, parts, shape, |index, at| {
            let part = match *index {
                [direction, step, ..] if lead.len() == 2 => direction * lead[1] + step,
                [direction, ..] => direction,
                [] => 0,
            };
            at.extend_from_slice(&index[lead.len()..]);
            Some(part)
        })
    }
}

/// The functions of all directions, `f`, `g` (and `h`).
fn functions(
    node: &NodeView,
    gates: usize,
    directions: usize,
) -> Result<Vec<Activation>, ImportError> {
    let default: &[&str] = match gates {
        4 => &["Sigmoid", "Tanh", "Tanh"],
        3 => &["Sigmoid", "Tanh"],
        _ => &["Tanh"],
    };
    let names = node
        .strings("activations")
        .filter(|names| !names.is_empty());
    let names = names.unwrap_or_else(|| default.iter().map(|s| (*s).to_owned()).collect());
    let names = match names.len() {
        n if n == default.len() * directions => names,
        n if n == default.len() => [&names[..], &names].concat(),
        n => return Err(node.form(format!("it names {n} functions"))),
    };
    let (mut alphas, mut betas) = (
        node.floats("activation_alpha")
            .unwrap_or_default()
            .iter()
            .copied(),
        node.floats("activation_beta")
            .unwrap_or_default()
            .iter()
            .copied(),
    );
    let mut function = |name: &String| {
        let mut alpha = |default: f32| alphas.next().unwrap_or(default);
        let mut beta = |default: f32| betas.next().unwrap_or(default);
        Ok(match name.to_lowercase().as_str() {
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "relu" => Activation::RELU,
            "softsign" => Activation::Softsign,
            "softplus" => Activation::Softplus,
            "leakyrelu" => Activation::LeakyRelu { alpha: alpha(0.01) },
            "thresholdedrelu" => Activation::ThresholdedRelu { alpha: alpha(1.0) },
            "hardsigmoid" => Activation::HardSigmoid {
                alpha: alpha(0.2),
                beta: beta(0.5),
            },
            "elu" => Activation::Elu {
                alpha: alpha(1.0),
                gamma: 1.0,
                width: 1.0,
            },
            "affine" => {
                let number = |v: f32| Arc::new(Function::Constant(f64::from(v)));
                let scaled = Function::Product(Arc::new(Function::Argument), number(alpha(1.0)));
                let line = Function::Sum(Arc::new(scaled), number(beta(0.0)));
                Activation::Composed(Arc::new(line))
            }
            other => {
                return Err(node.form(format!(
                    "function {other}; supported are Sigmoid, Tanh, Relu, Softsign, Softplus, LeakyRelu, ThresholdedRelu, HardSigmoid, Elu and Affine"
                )));
            }
        })
    };
    names.iter().map(&mut function).collect()
}
