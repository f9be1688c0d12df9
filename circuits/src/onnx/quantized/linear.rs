//! Convolutions and products with integer weights.

use super::constants::IntegerConstant;
use crate::{
    graph::{Conv, Grid, NodeId, Quantized, QuantizedOp, Sum, SumMap},
    onnx::{ImportError, attributes::NodeView, build::Builder, ops::spatial},
};

/// A layer under construction.
#[derive(Debug)]
pub(super) struct Linear<'a> {
    /// The node that has the attributes of the layer.
    pub(super) node: NodeView<'a>,
    pub(super) x: NodeId,
    pub(super) from: Grid,
    pub(super) weights: IntegerConstant,
    pub(super) bias: Bias,
    /// Factor of the product, before the scales.
    pub(super) alpha: f32,
    pub(super) to: Grid,
    /// Centred integers that it clamps to.
    pub(super) clip: (i64, i64),
}

/// What a layer adds.
#[derive(Clone, Debug)]
pub(super) enum Bias {
    None,
    /// Integers on the scale of the sums.
    Integers(Vec<i64>),
    /// Real numbers, rounded to that scale as ONNX Runtime does.
    Reals(Vec<f32>),
}

impl Linear<'_> {
    /// The scale of a channel's sums, in float32.
    pub(super) fn sum_scale(&self, channel: usize) -> f32 {
        let scales = &self.weights.scales;
        // One scale is that of all channels; there are never fewer than channels otherwise.
        let scale = scales.get(channel).or(scales.last());
        self.alpha * self.from.scale * scale.copied().unwrap_or(1.0)
    }

    fn finish(
        self,
        ctx: &mut Builder,
        map: SumMap,
        shape: Vec<usize>,
    ) -> Result<NodeId, ImportError> {
        let channels = map.channels();
        let node = self.node;
        let bias: Vec<i64> = match &self.bias {
            Bias::None => vec![0; channels],
            Bias::Integers(integers) => integers.clone(),
            Bias::Reals(reals) => (0..reals.len())
                .map(|i| (reals[i] / self.sum_scale(i)).round_ties_even() as i64)
                .collect(),
        };
        let bias = if bias.len() == 1 {
            vec![bias[0]; channels]
        } else {
            bias
        };
        if bias.len() != channels {
            return Err(node.form(format!(
                "{} bias values for {channels} channels",
                bias.len()
            )));
        }
        let multiplier = |channel| self.sum_scale(channel) / self.to.scale;
        let multipliers: Vec<f32> = (0..channels).map(multiplier).collect();
        if let Some(multiplier) = multipliers.iter().find(|m| !m.is_finite()) {
            return Err(node.form(format!("its multiplier {multiplier} is not finite")));
        }
        let quantized = Quantized {
            op: QuantizedOp::Sum(Sum {
                map,
                bias,
                multipliers,
            }),
            from: vec![self.from],
            to: self.to,
            clip: self.clip,
        };
        Ok(ctx.push_quantized(&node, vec![self.x], shape, quantized))
    }

    /// One scale for each output channel, or one for all.
    fn check_axis(&self, axis: usize) -> Result<(), ImportError> {
        if self.weights.scales.len() > 1 && self.weights.axis != axis {
            return Err(self.node.form(format!(
                "its weights have a scale for each place of axis {}; quantize them by output channel",
                self.weights.axis
            )));
        }
        Ok(())
    }

    /// Weights `[cout][cin / groups][..kernel]`.
    pub(super) fn conv(self, ctx: &mut Builder) -> Result<NodeId, ImportError> {
        self.check_axis(0)?;
        let node = self.node;
        let images = spatial::images(ctx, &node)?;
        let (cout, group_in, kernel) = match (&self.weights.shape[..], images.rank) {
            (&[o, i, w], 1) => (o, i, (1, w)),
            (&[o, i, h, w], 2) => (o, i, (h, w)),
            (shape, _) => {
                return Err(node.form(format!("weights of shape {shape:?} do not fit its input")));
            }
        };
        let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
        let fits = groups > 0
            && group_in.checked_mul(groups) == Some(images.channels)
            && cout > 0
            && cout % groups == 0;
        if !fits {
            return Err(node.form(format!(
                "{} channels in, weights {:?} and {groups} groups do not fit together",
                images.channels, self.weights.shape
            )));
        }
        let window = images.window(&node, kernel)?;
        let size = window
            .output()
            .ok_or_else(|| node.form("its kernel is larger than the padded input"))?;
        let conv = Conv {
            cin: images.channels,
            cout,
            groups,
            window,
            weights: self.weights.values.clone(),
            bias: Vec::new(),
        };
        let shape = images.shape(ctx, cout, size);
        self.finish(ctx, SumMap::Conv(conv), shape)
    }

    /// `[.., k]` times weights `[k, n]`.
    pub(super) fn matmul(self, ctx: &mut Builder) -> Result<NodeId, ImportError> {
        self.check_axis(1)?;
        let node = self.node;
        let &[k, n] = &self.weights.shape[..] else {
            return Err(node.form(format!(
                "weights of shape {:?} are not one matrix",
                self.weights.shape
            )));
        };
        let from = ctx.shape(self.x).to_vec();
        if from.last() != Some(&k) || k == 0 || n == 0 {
            return Err(node.form(format!(
                "operand of shape {from:?} does not multiply a matrix of {k} rows"
            )));
        }
        let rows = from.iter().product::<usize>() / k;
        if !rows.is_multiple_of(ctx.batch()) {
            return Err(node.mixes_batch());
        }
        let map = SumMap::MatMul {
            rows: rows / ctx.batch(),
            k,
            n,
            weights: self.weights.values.clone(),
        };
        let mut shape = from;
        shape.pop();
        shape.push(n);
        self.finish(ctx, map, shape)
    }
}
