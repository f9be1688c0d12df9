//! What a classifier or regressor makes of its scores: `post_transform`.

use crate::{
    graph::{Activation, Function, NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value},
        ops,
    },
};

/// `post_transform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Post {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
}

impl Post {
    /// The attribute of a node.
    pub(super) fn of(node: &NodeView) -> Result<Post, ImportError> {
        // A name, or a number for TreeEnsemble.
        let name = node.string("post_transform").unwrap_or_default();
        let code = node.int("post_transform").unwrap_or(0);
        match (name.as_str(), code) {
            ("NONE", _) | ("", 0) => Ok(Post::None),
            ("SOFTMAX", _) | ("", 1) => Ok(Post::Softmax),
            ("LOGISTIC", _) | ("", 2) => Ok(Post::Logistic),
            ("SOFTMAX_ZERO", _) | ("", 3) => Ok(Post::SoftmaxZero),
            _ => Err(node.form(format!(
                "post_transform {name} ({code}); supported are NONE, LOGISTIC, SOFTMAX and SOFTMAX_ZERO"
            ))),
        }
    }
}

/// Appends a sparse linear map into `outputs` scores a batch item, plus offsets.
pub(super) fn linear(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    mut entries: Vec<(u32, u32, f32)>,
    offset: Vec<f32>,
) -> NodeId {
    entries.sort_by_key(|e| (e.0, e.1));
    let shape = vec![ctx.batch(), offset.len()];
    let sums = ctx.push(node.name(), vec![x], shape.clone(), Op::Map(entries));
    let scale = vec![1.0; offset.len()];
    ctx.push(node.name(), vec![sums], shape, Op::Affine { scale, offset })
}

/// Appends the transformed scores.
pub(super) fn transformed(
    ctx: &mut Builder,
    node: &NodeView,
    scores: NodeId,
    post: Post,
) -> Result<NodeId, ImportError> {
    match post {
        Post::None => Ok(scores),
        Post::Logistic => Ok(ctx.activation(node, scores, Activation::Sigmoid)),
        Post::Softmax => {
            let id = ops::softmax_over(ctx, node, scores, &[1], false)?;
            ctx.mark_shares(id);
            Ok(id)
        }
        Post::SoftmaxZero => {
            // 0 at 0, else 1.
            let sign = Function::Of(Activation::Sign, Function::Argument.into());
            let mask = Activation::Composed(Function::Of(Activation::Abs, sign.into()).into());
            let mask = ctx.activation(node, scores, mask);
            ops::masked_softmax(ctx, node, scores, &[1], mask)
        }
    }
}

/// What becomes of the one score of two classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// `[1 - s, s]`
    Complement,
    /// `[-s, s]`
    Opposite,
}

/// Appends both classes' scores from one, `s`; `score` appends `factor · s + summand` for each of its pairs.
pub(super) fn pair(
    ctx: &mut Builder,
    node: &NodeView,
    post: Post,
    pair: Pair,
    score: impl FnOnce(&mut Builder, &[(f32, f32)]) -> NodeId,
) -> NodeId {
    match (post, pair) {
        // 1 - σ(s) = σ(-s)
        (Post::Logistic, _) => {
            let s = score(ctx, &[(1.0, 0.0)]);
            let p = ctx.activation(node, s, Activation::Sigmoid);
            let entries = vec![(0, 0, -1.0), (1, 0, 1.0)];
            let id = linear(ctx, node, p, entries, vec![1.0, 0.0]);
            ctx.mark_shares(id);
            id
        }
        (_, Pair::Complement) => score(ctx, &[(-1.0, 1.0), (1.0, 0.0)]),
        (_, Pair::Opposite) => score(ctx, &[(-1.0, 0.0), (1.0, 0.0)]),
    }
}

/// Names the scores after the ONNX node's output `at`, where it has one.
pub(super) fn define(
    ctx: &mut Builder,
    node: &NodeView,
    at: usize,
    scores: NodeId,
) -> Result<(), ImportError> {
    match node.output(at) {
        Some(_) => ctx.assign_output(node, at, Value::Node(scores)),
        None => Ok(()),
    }
}
