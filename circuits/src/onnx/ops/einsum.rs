//! Einsum of one computed operand, alone or with one constant, and of two computed ones.

use std::collections::HashMap;

use super::{
    compose::{contracted, picked, reshaped},
    reduce::{Core, reduced},
    shape::permuted,
};
use crate::{
    graph::{NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::{for_each_index, strides},
        build::{Builder, Value, finite},
    },
};

/// Products of one weight with one element that a map may have.
const MAX_PRODUCTS: usize = 1 << 24;

/// The labels of an equation.
struct Equation {
    /// Labels of each operand.
    operands: Vec<Vec<char>>,
    output: Vec<char>,
}

impl Equation {
    fn parse(node: &NodeView) -> Result<Equation, ImportError> {
        let text = node.string("equation").unwrap_or_default();
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text.as_str(), None),
        };
        let operands: Vec<Vec<char>> = left.split(',').map(|o| o.chars().collect()).collect();
        let labels = operands.iter().flatten().copied();
        let output: Vec<char> = match right {
            Some(right) => right.chars().collect(),
            None => {
                // Labels that occur once, in order of the alphabet.
                let mut once: Vec<char> = labels.clone().collect();
                once.sort_unstable();
                let all = once.clone();
                once.retain(|c| all.iter().filter(|d| *d == c).count() == 1);
                once
            }
        };
        let mut known: Vec<char> = labels.chain(output.iter().copied()).collect();
        known.sort_unstable();
        if let Some(c) = known.iter().find(|c| !c.is_ascii_alphabetic()) {
            return Err(node.form(format!(
                "equation `{text}` holds `{c}`; only letters, commas and one arrow are supported"
            )));
        }
        Ok(Equation { operands, output })
    }
}

pub(super) fn einsum(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let equation = Equation::parse(node)?;
    if equation.operands.len() != node.inputs().len() {
        return Err(node.form("its equation has another number of operands"));
    }
    let values = (0..node.inputs().len())
        .map(|i| ctx.value(node, i))
        .collect::<Result<Vec<_>, _>>()?;
    let (x, at, constant) = match values.as_slice() {
        [Value::Node(x)] => (*x, 0, None),
        [Value::Node(x), Value::Constant(w)] => (*x, 0, Some((w, 1))),
        [Value::Constant(w), Value::Node(x)] => (*x, 1, Some((w, 0))),
        [Value::Node(a), Value::Node(b)] => {
            let id = computed(ctx, node, &equation, *a, *b)?;
            return ctx.assign(node, Value::Node(id));
        }
        _ => return Err(node.not_constant("all operands but two, of two at most,")),
    };
    let mut contraction = Contraction {
        x_labels: equation.operands[at].clone(),
        x_shape: ctx.shape(x).to_vec(),
        w_labels: Vec::new(),
        w_shape: Vec::new(),
        weights: vec![1.0],
        output: equation.output,
        sizes: HashMap::new(),
    };
    if let Some((w, at)) = constant {
        contraction.w_labels = equation.operands[at].clone();
        contraction.w_shape = w.shape().to_vec();
        contraction.weights = finite(node, w)?;
    }
    contraction.measure(node)?;
    let shape = contraction.shape(&contraction.output);
    if shape != ctx.output_shape(node, 0)? {
        return Err(node.form(format!("its output {shape:?} contradicts the inferred one")));
    }
    let id = if contraction.is_matrix_product() {
        contraction.matrix_product(ctx, node, x)?
    } else {
        let taps = contraction.taps(node)?;
        ctx.linear_map(node, x, shape, taps)?
    };
    ctx.assign(node, Value::Node(id))
}

/// An operand with each label once, the diagonal where one repeats, summed over what nobody else names.
fn prepared(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    labels: &[char],
    elsewhere: &[char],
) -> Result<(NodeId, Vec<char>), ImportError> {
    let shape = ctx.shape(x).to_vec();
    if labels.len() != shape.len() {
        return Err(node.form("its equation does not fit the ranks of the operands"));
    }
    let mut names: Vec<char> = Vec::new();
    let mut sizes: Vec<usize> = Vec::new();
    for (&label, &size) in labels.iter().zip(&shape) {
        match names.iter().position(|&n| n == label) {
            None => {
                names.push(label);
                sizes.push(size);
            }
            Some(at) if sizes[at] == size => {}
            Some(_) => return Err(node.form(format!("label `{label}` has two sizes"))),
        }
    }
    let mut x = x;
    if names.len() != labels.len() {
        x = picked(ctx, node, vec![x], sizes.clone(), |index, at| {
            let place = |label| {
                names
                    .iter()
                    .position(|n| n == label)
                    .map_or(0, |i| index[i])
            };
            at.extend(labels.iter().map(place));
            Some(0)
        })?;
    }
    let lonely: Vec<usize> = (0..names.len())
        .filter(|&i| !elsewhere.contains(&names[i]))
        .collect();
    if !lonely.is_empty() {
        let mut kept = sizes.clone();
        lonely.iter().for_each(|&axis| kept[axis] = 1);
        x = reduced(ctx, node, x, &lonely, Core::Sum, kept)?;
        names.retain(|n| elsewhere.contains(n));
        let kept: Vec<usize> = (0..sizes.len())
            .filter(|axis| !lonely.contains(axis))
            .map(|axis| sizes[axis])
            .collect();
        x = reshaped(ctx, node, x, &kept);
    }
    Ok((x, names))
}

/// Groups of matrices: labels of both operands and the output, of one of them, of both operands alone.
fn computed(
    ctx: &mut Builder,
    node: &NodeView,
    equation: &Equation,
    a: NodeId,
    b: NodeId,
) -> Result<NodeId, ImportError> {
    let (labels_a, labels_b) = (&equation.operands[0], &equation.operands[1]);
    let output = &equation.output;
    let around = |other: &[char]| [other, output].concat();
    let (a, names_a) = prepared(ctx, node, a, labels_a, &around(labels_b))?;
    let (b, names_b) = prepared(ctx, node, b, labels_b, &around(labels_a))?;
    let mut sizes: HashMap<char, usize> = HashMap::new();
    for (names, id) in [(&names_a, a), (&names_b, b)] {
        for (&name, &size) in names.iter().zip(ctx.shape(id)) {
            if *sizes.entry(name).or_insert(size) != size {
                return Err(node.form(format!("label `{name}` has two sizes")));
            }
        }
    }
    if let Some(label) = output.iter().find(|l| !sizes.contains_key(l)) {
        return Err(node.form(format!("label `{label}` is in no operand")));
    }
    let of = |names: &[char], other: &[char], in_output: bool| -> Vec<char> {
        let mut kept = names.to_vec();
        kept.retain(|n| other.contains(n) && output.contains(n) == in_output);
        kept
    };
    let only = |names: &[char], other: &[char]| -> Vec<char> {
        let mut kept = names.to_vec();
        kept.retain(|n| !other.contains(n));
        kept
    };
    let groups = of(&names_a, &names_b, true);
    let summed = of(&names_a, &names_b, false);
    let (rows, columns) = (only(&names_a, &names_b), only(&names_b, &names_a));
    let count = |labels: &[char]| labels.iter().map(|l| sizes[l]).product::<usize>();
    let mut matrix = |x, names: &[char], free: &[char]| {
        let order = [&groups[..], free, &summed].concat();
        let perm: Vec<usize> = order
            .iter()
            .filter_map(|label| names.iter().position(|n| n == label))
            .collect();
        let x = permuted(ctx, node, x, &perm)?;
        let shape = [count(&groups), count(free), count(&summed)];
        Ok(reshaped(ctx, node, x, &shape))
    };
    let a = matrix(a, &names_a, &rows)?;
    let b = matrix(b, &names_b, &columns)?;
    let y = contracted(ctx, node, a, b)?;
    let labels = [groups, rows, columns].concat();
    let shape: Vec<usize> = labels.iter().map(|l| sizes[l]).collect();
    let y = reshaped(ctx, node, y, &shape);
    let perm: Vec<usize> = output
        .iter()
        .filter_map(|label| labels.iter().position(|l| l == label))
        .collect();
    permuted(ctx, node, y, &perm)
}

/// Both operands with their labels; the constant is 1 where there is none.
struct Contraction {
    x_labels: Vec<char>,
    x_shape: Vec<usize>,
    w_labels: Vec<char>,
    w_shape: Vec<usize>,
    weights: Vec<f32>,
    output: Vec<char>,
    sizes: HashMap<char, usize>,
}

impl Contraction {
    /// Finds the size of every label.
    fn measure(&mut self, node: &NodeView) -> Result<(), ImportError> {
        if self.x_labels.len() != self.x_shape.len() || self.w_labels.len() != self.w_shape.len() {
            return Err(node.form("its equation does not fit the ranks of the operands"));
        }
        let x = self.x_labels.iter().zip(&self.x_shape);
        for (&label, &size) in x.chain(self.w_labels.iter().zip(&self.w_shape)) {
            if *self.sizes.entry(label).or_insert(size) != size {
                return Err(node.form(format!("label `{label}` has two sizes")));
            }
        }
        match self.output.iter().find(|l| !self.sizes.contains_key(l)) {
            Some(label) => Err(node.form(format!("label `{label}` is in no operand"))),
            None => Ok(()),
        }
    }

    fn shape(&self, labels: &[char]) -> Vec<usize> {
        labels.iter().map(|label| self.sizes[label]).collect()
    }

    /// True where no label repeats, and what both operands hold is summed over and nothing else is.
    fn is_matrix_product(&self) -> bool {
        let distinct =
            |labels: &[char]| (1..labels.len()).all(|i| !labels[..i].contains(&labels[i]));
        let summed = |l: &char| !self.output.contains(l);
        [&self.x_labels, &self.w_labels, &self.output]
            .iter()
            .all(|labels| distinct(labels))
            && !self.w_labels.is_empty()
            && self
                .x_labels
                .iter()
                .all(|l| self.w_labels.contains(l) == summed(l))
            && self
                .w_labels
                .iter()
                .all(|l| self.x_labels.contains(l) == summed(l))
    }

    /// `[free.., summed..] · [summed.., new..]`, axes brought into order before and after.
    fn matrix_product(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        x: NodeId,
    ) -> Result<NodeId, ImportError> {
        let kept = |labels: &[char], keep: bool| -> Vec<char> {
            let mut labels = labels.to_vec();
            labels.retain(|l| self.output.contains(l) == keep);
            labels
        };
        let (free, summed) = (kept(&self.x_labels, true), kept(&self.x_labels, false));
        let new = kept(&self.w_labels, true);
        let place = |labels: &[char], of: &[char]| -> Vec<usize> {
            of.iter()
                .filter_map(|label| labels.iter().position(|l| l == label))
                .collect()
        };
        let order = [free.clone(), summed.clone()].concat();
        let x = permuted(ctx, node, x, &place(&self.x_labels, &order))?;
        let count = |labels: &[char]| self.shape(labels).iter().product::<usize>();
        let (k, n) = (count(&summed), count(&new));
        let steps = strides(&self.w_shape);
        let order = place(&self.w_labels, &[summed, new.clone()].concat());
        let inner: Vec<usize> = order.iter().map(|&axis| self.w_shape[axis]).collect();
        let mut weights = Vec::with_capacity(k * n);
        for_each_index(&inner, |index| {
            let at: usize = index.iter().zip(&order).map(|(i, &a)| i * steps[a]).sum();
            weights.push(self.weights[at]);
        });
        let rows = count(&free);
        if !rows.is_multiple_of(ctx.batch()) {
            return Err(node.mixes_batch());
        }
        let op = Op::MatMul {
            rows: rows / ctx.batch(),
            k,
            n,
            weights,
        };
        let labels = [free, new].concat();
        let y = ctx.push(node.name(), vec![x], self.shape(&labels), op);
        permuted(ctx, node, y, &place(&labels, &self.output))
    }

    /// Every product of a weight and an element, by output element.
    fn taps(&self, node: &NodeView) -> Result<Vec<Vec<(usize, f32)>>, ImportError> {
        let mut labels = self.output.clone();
        for &label in self.x_labels.iter().chain(&self.w_labels) {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        let shape = self.shape(&labels);
        let products = shape
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size))
            .filter(|&products| products <= MAX_PRODUCTS);
        if products.is_none() {
            return Err(node.form(format!(
                "it sums more than {MAX_PRODUCTS} products; split it, or use MatMul"
            )));
        }
        let steps_of = |operand: &[char], shape: &[usize]| -> Vec<usize> {
            let steps = strides(shape);
            let of = |label: &char| {
                let axes = operand.iter().zip(&steps).filter(|(l, _)| *l == label);
                axes.map(|(_, step)| step).sum()
            };
            labels.iter().map(of).collect()
        };
        let x_steps = steps_of(&self.x_labels, &self.x_shape);
        let w_steps = steps_of(&self.w_labels, &self.w_shape);
        let out_steps = steps_of(&self.output, &self.shape(&self.output));
        let outputs: usize = self.shape(&self.output).iter().product();
        let mut taps: Vec<Vec<(usize, f32)>> = vec![Vec::new(); outputs];
        for_each_index(&shape, |index| {
            let at = |steps: &[usize]| index.iter().zip(steps).map(|(i, s)| i * s).sum::<usize>();
            let weight = self.weights[at(&w_steps)];
            let (taps, element) = (&mut taps[at(&out_steps)], at(&x_steps));
            match taps.iter_mut().find(|(e, _)| *e == element) {
                Some(tap) => tap.1 += weight,
                None => taps.push((element, weight)),
            }
        });
        Ok(taps)
    }
}
