//! Gemm and MatMul, with constant weights or of two computed matrices.

use tract_onnx::prelude::Tensor;

use super::compose::{contracted, reshaped, spread};
use crate::{
    graph::{NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::broadcast,
        build::{Builder, Value, finite},
    },
};

/// Weights of a product with many constant matrices.
const MAX_TAPS: usize = 1 << 24;

/// A constant matrix, row-major.
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Leading axes of size 1 are dropped; a vector is one column.
    fn new(node: &NodeView, tensor: &Tensor) -> Result<Matrix, ImportError> {
        let shape = tensor.shape();
        let (lead, rows, columns) = match *shape {
            [rows] => (1, rows, 1),
            [ref lead @ .., rows, columns] => (lead.iter().product(), rows, columns),
            [] => return Err(node.form("the weights are a scalar; use Mul")),
        };
        if lead != 1 || rows == 0 || columns == 0 {
            return Err(node.form(format!(
                "weights of shape {shape:?} are not one matrix; split the product per matrix"
            )));
        }
        Ok(Matrix {
            rows,
            columns,
            values: finite(node, tensor)?,
        })
    }

    fn transposed(&self) -> Matrix {
        let values = (0..self.columns)
            .flat_map(|c| (0..self.rows).map(move |r| self.values[r * self.columns + c]))
            .collect();
        Matrix {
            rows: self.columns,
            columns: self.rows,
            values,
        }
    }
}

pub(super) fn matmul(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(x), Value::Constant(w)) if is_batched(&w) => {
            let id = batched(ctx, node, x, &w)?;
            let id = reshaped(ctx, node, id, &shape);
            ctx.assign(node, Value::Node(id))
        }
        (Value::Constant(w), Value::Node(x)) if is_batched(&w) && ctx.shape(x).len() >= 2 => {
            // A·X = (Xᵀ·Aᵀ)ᵀ
            let x = swap_last(ctx, node, x)?;
            let y = batched(ctx, node, x, &transposed(node, &w)?)?;
            let y = swap_last(ctx, node, y)?;
            ctx.assign(node, Value::Node(y))
        }
        (Value::Node(x), Value::Constant(w)) => {
            let id = product(ctx, node, x, Matrix::new(node, &w)?, shape)?;
            ctx.assign(node, Value::Node(id))
        }
        // A·X = (Xᵀ·Aᵀ)ᵀ
        (Value::Constant(a), Value::Node(x)) if a.shape().len() >= 2 && ctx.shape(x).len() >= 2 => {
            let a = Matrix::new(node, &a)?.transposed();
            let mut inner = shape.clone();
            let rank = inner.len();
            inner.swap(rank - 2, rank - 1);
            let x = swap_last(ctx, node, x)?;
            let y = product(ctx, node, x, a, inner)?;
            let y = swap_last(ctx, node, y)?;
            ctx.assign(node, Value::Node(y))
        }
        (Value::Node(a), Value::Node(b)) => {
            let id = computed(ctx, node, a, b)?;
            let id = reshaped(ctx, node, id, &shape);
            ctx.assign(node, Value::Node(id))
        }
        _ => Err(node.form("operands without axes or without elements")),
    }
}

/// More than one matrix.
fn is_batched(w: &Tensor) -> bool {
    let lead = w.shape().len().saturating_sub(2);
    w.shape()[..lead].iter().any(|&size| size != 1)
}

/// A constant with its last two axes swapped.
fn transposed(node: &NodeView, w: &Tensor) -> Result<Tensor, ImportError> {
    let mut perm: Vec<usize> = (0..w.shape().len()).collect();
    let rank = perm.len();
    perm.swap(rank - 2, rank - 1);
    let w = w.clone().permute_axes(&perm);
    w.map_err(|e| node.form(e.to_string()))
}

/// Products with many constant matrices: a sparse map.
fn batched(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    w: &Tensor,
) -> Result<NodeId, ImportError> {
    let from = match ctx.shape(x) {
        [k] => vec![1, *k],
        shape => shape.to_vec(),
    };
    let (rank, wide) = (from.len(), w.shape().len());
    let (rows, inner) = (from[rank - 2], from[rank - 1]);
    let (depth, columns) = (w.shape()[wide - 2], w.shape()[wide - 1]);
    let lead = super::elementwise::joint_shape(node, &from[..rank - 2], &w.shape()[..wide - 2])?;
    let of = |shape: &[usize]| {
        broadcast(&shape[..shape.len() - 2], &lead)
            .ok_or_else(|| node.form("its operands do not broadcast"))
    };
    let (places, matrices) = (of(&from)?, of(w.shape())?);
    if inner != depth {
        return Err(node.form(format!(
            "operands of shapes {from:?} and {:?} do not multiply",
            w.shape()
        )));
    }
    if places.len() * rows * columns * inner > MAX_TAPS {
        return Err(node.form(format!(
            "products with many matrices take more than {MAX_TAPS} weights; split them"
        )));
    }
    let values = finite(node, w)?;
    let mut taps = Vec::with_capacity(places.len() * rows * columns);
    for (&place, &matrix) in places.iter().zip(&matrices) {
        for row in 0..rows {
            let first = (place * rows + row) * inner;
            for column in 0..columns {
                let weight = |k: usize| values[(matrix * inner + k) * columns + column];
                taps.push((0..inner).map(|k| (first + k, weight(k))).collect());
            }
        }
    }
    let shape = [&lead[..], &[rows, columns]].concat();
    ctx.linear_map(node, x, shape, taps)
}

/// `A·B` of computed operands; a vector is a row on the left and a column on the right.
fn computed(
    ctx: &mut Builder,
    node: &NodeView,
    a: NodeId,
    b: NodeId,
) -> Result<NodeId, ImportError> {
    let a = match *ctx.shape(a) {
        [k] => reshaped(ctx, node, a, &[1, k]),
        _ => a,
    };
    // Rows of the second matrix are the columns of the product.
    let b = match *ctx.shape(b) {
        [k] => reshaped(ctx, node, b, &[1, k]),
        [] => return Err(node.form("an operand is a scalar; use Mul")),
        _ => swap_last(ctx, node, b)?,
    };
    contracted(ctx, node, a, b)
}

/// Transposes the last two axes.
fn swap_last(ctx: &mut Builder, node: &NodeView, x: NodeId) -> Result<NodeId, ImportError> {
    let mut shape = ctx.shape(x).to_vec();
    let rank = shape.len();
    let (h, w) = (shape[rank - 2], shape[rank - 1]);
    shape.swap(rank - 2, rank - 1);
    let total: usize = shape.iter().product();
    let cells = (0..total)
        .map(|i| Some((0, (i / (h * w) * h * w + i % h * w + i / h % w) as u32)))
        .collect();
    ctx.rearrange(node, vec![x], shape, cells)
}

/// `[.., k] · [k, n]`.
fn product(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    w: Matrix,
    shape: Vec<usize>,
) -> Result<NodeId, ImportError> {
    let from = ctx.shape(x).to_vec();
    if from.last() != Some(&w.rows) {
        return Err(node.form(format!(
            "operand of shape {from:?} does not multiply a matrix of {} rows",
            w.rows
        )));
    }
    let rows = from.iter().product::<usize>() / w.rows;
    if !rows.is_multiple_of(ctx.batch()) {
        return Err(node.mixes_batch());
    }
    let op = Op::MatMul {
        rows: rows / ctx.batch(),
        k: w.rows,
        n: w.columns,
        weights: w.values,
    };
    Ok(ctx.push(node.name(), vec![x], shape, op))
}

/// `alpha · A·B + beta · C`, each of `A` and `B` transposed where asked.
pub(super) fn gemm(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    let (alpha, beta) = (
        node.float("alpha").unwrap_or(1.0),
        node.float("beta").unwrap_or(1.0),
    );
    let weights = match ctx.value(node, 1)? {
        Value::Constant(w) => w,
        Value::Node(b) => return computed_gemm(ctx, node, b, (alpha, beta), shape),
    };
    let mut w = Matrix::new(node, &weights)?;
    if node.int("transB").unwrap_or(0) != 0 {
        w = w.transposed();
    }
    w.values.iter_mut().for_each(|v| *v *= alpha);
    let mut x = match ctx.value(node, 0)? {
        Value::Node(x) => x,
        Value::Constant(_) => return Err(node.form("operand A is a constant; use MatMul")),
    };
    if ctx.shape(x).len() != 2 {
        return Err(node.form(format!(
            "operand A has shape {:?}, expected two axes",
            ctx.shape(x)
        )));
    }
    if node.int("transA").unwrap_or(0) != 0 {
        x = swap_last(ctx, node, x)?;
    }
    let n = w.columns;
    let y = product(ctx, node, x, w, shape.clone())?;
    if shape.last() != Some(&n) {
        return Err(node.form(format!(
            "output shape {shape:?} does not end in {n} columns"
        )));
    }
    let out = match node.input(2).map(|_| ctx.value(node, 2)).transpose()? {
        None => y,
        Some(c) => summand(ctx, node, y, c, beta, shape)?,
    };
    ctx.assign(node, Value::Node(out))
}

/// `y + beta · C`.
fn summand(
    ctx: &mut Builder,
    node: &NodeView,
    y: NodeId,
    c: Value,
    beta: f32,
    shape: Vec<usize>,
) -> Result<NodeId, ImportError> {
    match c {
        Value::Constant(c) => {
            let values = spread(node, &c, &shape)?;
            let offset = ctx.per_item(node, values.into_iter().map(|v| beta * v).collect())?;
            if offset.iter().any(|v| !v.is_finite()) {
                return Err(node.form("operand C is not finite; repair the model's parameters"));
            }
            let scale = vec![1.0; offset.len()];
            Ok(ctx.push(node.name(), vec![y], shape, Op::Affine { scale, offset }))
        }
        Value::Node(c) => {
            let c = if beta == 1.0 {
                c
            } else {
                ctx.affine(node, c, beta, 0.0)
            };
            super::elementwise::sum(ctx, node, y, c, false)
        }
    }
}

/// Gemm of two computed matrices.
fn computed_gemm(
    ctx: &mut Builder,
    node: &NodeView,
    b: NodeId,
    (alpha, beta): (f32, f32),
    shape: Vec<usize>,
) -> Result<(), ImportError> {
    let a = ctx.value(node, 0)?;
    let mut a = super::compose::lifted(ctx, node, a)?;
    if ctx.shape(a).len() != 2 || ctx.shape(b).len() != 2 {
        return Err(node.form("its operands must have two axes"));
    }
    if node.int("transA").unwrap_or(0) != 0 {
        a = swap_last(ctx, node, a)?;
    }
    let b = match node.int("transB").unwrap_or(0) {
        0 => swap_last(ctx, node, b)?,
        _ => b,
    };
    let mut y = contracted(ctx, node, a, b)?;
    if alpha != 1.0 {
        y = ctx.affine(node, y, alpha, 0.0);
    }
    if node.input(2).is_some() {
        let c = ctx.value(node, 2)?;
        y = summand(ctx, node, y, c, beta, shape)?;
    }
    ctx.assign(node, Value::Node(y))
}
