//! Networks that grow: the same layers, wider or on larger images.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tensorseal_circuits::{
    geometry::Window,
    graph::{Activation, Conv, Graph, Node, NodeId, Op, Output, Pool, PoolKind},
    quantize::{self, Calibration, Method, QuantizeOptions},
};

use super::{Item, Model, compiled};
use crate::{CliError, Result, args::Optimize};

/// Seed of weights and inputs.
const SEED: u64 = 1;
/// Inputs that the ranges are taken from.
const CALIBRATION_ITEMS: usize = 4;
/// Bits of an activation.
const BITS: u32 = 8;
/// Classes at the end of each network.
const CLASSES: usize = 10;

/// A family of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A dense network whose weights grow with the width of its hidden layer.
    Dense,
    /// A convolutional network whose activations grow with the image's area.
    Conv,
}

impl Family {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Family::Dense => "dense",
            Family::Conv => "conv",
        }
    }

    /// The member that is `2^step` times as large as the first, quantized for a goal, and an input of it.
    ///
    /// # Errors
    /// Those of the quantizer.
    pub fn member(self, step: u32, goal: Optimize) -> Result<(Model, Item)> {
        let mut network = Network::new(format!("{}-x{}", self.name(), 1 << step));
        match self {
            Family::Dense => network.dense(128 << step),
            // Side 12 times the root of 2^step.
            Family::Conv => network.conv((12.0 * f64::from(1u32 << step).sqrt()).round() as usize),
        }
        network.quantize(goal)
    }
}

struct Network {
    graph: Graph,
    rng: ChaCha20Rng,
}

impl Network {
    fn new(name: String) -> Self {
        Self {
            graph: Graph {
                name,
                batch: 1,
                nodes: vec![],
                inputs: vec![0],
                outputs: vec![],
                tabular: false,
                quantized: vec![],
                unread: vec![],
                constant_outputs: vec![],
            },
            rng: ChaCha20Rng::seed_from_u64(SEED),
        }
    }

    /// 256 inputs, a hidden layer.
    fn dense(&mut self, width: usize) {
        self.push(&[1, 256], Op::Input);
        self.matmul(256, width);
        self.push(&[1, width], Op::Activation(Activation::RELU));
        self.matmul(width, CLASSES);
    }

    /// Two convolutions of 16 channels over an image of three, the mean of each channel, a dense layer.
    fn conv(&mut self, side: usize) {
        const CHANNELS: usize = 16;
        self.push(&[1, 3, side, side], Op::Input);
        for cin in [3, CHANNELS] {
            let weights = self.weights(CHANNELS * cin * 9, cin * 9);
            let conv = Conv {
                cin,
                cout: CHANNELS,
                groups: 1,
                window: window(side, 3, 1),
                weights,
                bias: vec![],
            };
            let shape = [1, CHANNELS, side, side];
            self.push(&shape, Op::Conv(conv));
            self.push(&shape, Op::Activation(Activation::RELU));
        }
        let mean = Pool {
            kind: PoolKind::Average {
                count_include_pad: false,
            },
            channels: CHANNELS,
            window: window(side, side, 0),
            output: (1, 1),
        };
        self.push(&[1, CHANNELS, 1, 1], Op::Pool(mean));
        let cells = (0..CHANNELS as u32).map(|i| Some((0, i))).collect();
        self.push(&[1, CHANNELS], Op::Rearrange(cells));
        self.matmul(CHANNELS, CLASSES);
    }

    fn matmul(&mut self, k: usize, n: usize) {
        let weights = self.weights(k * n, k);
        let rows = 1;
        self.push(
            &[1, n],
            Op::MatMul {
                rows,
                k,
                n,
                weights,
            },
        );
    }

    /// Weights under which values keep their size.
    fn weights(&mut self, count: usize, fan_in: usize) -> Vec<f32> {
        let limit = (6.0 / fan_in as f32).sqrt();
        (0..count)
            .map(|_| self.rng.gen_range(-limit..limit))
            .collect()
    }

    /// A node that reads the one before it.
    fn push(&mut self, shape: &[usize], op: Op) {
        let id: NodeId = self.graph.nodes.len();
        self.graph.nodes.push(Node {
            name: format!("node{id}"),
            inputs: id.checked_sub(1).into_iter().collect(),
            shape: shape.to_vec(),
            op,
        });
    }

    fn quantize(mut self, goal: Optimize) -> Result<(Model, Item)> {
        let node = self.graph.nodes.len() - 1;
        let name = "output".into();
        self.graph.outputs.push(Output { name, node });
        self.graph.simplify();
        let len = self.graph.item_len(self.graph.inputs[0]);
        let items: Vec<Item> = (0..CALIBRATION_ITEMS)
            .map(|_| vec![(0..len).map(|_| self.rng.gen_range(-1.0..1.0)).collect()])
            .collect();
        let options = QuantizeOptions {
            bits: BITS,
            shift: compiled::goal(goal).shift(),
            method: Method::MinMax,
        };
        let failed = |why: &dyn std::error::Error| CliError::input(&self.graph.name, why);
        let measured = Calibration::measure(&self.graph, &items).map_err(|why| failed(&why))?;
        let model =
            quantize::quantize(&self.graph, &measured, &options).map_err(|why| failed(&why))?;
        Ok((model, items[0].clone()))
    }
}

fn window(side: usize, kernel: usize, pad: usize) -> Window {
    Window {
        input: (side, side),
        kernel: (kernel, kernel),
        stride: (1, 1),
        dilation: (1, 1),
        pads: (pad, pad, pad, pad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_doubles_at_each_step() {
        let sizes = |family: Family, step| {
            let (model, _) = family.member(step, Optimize::Prover).unwrap();
            let activations: usize = model.nodes.iter().map(|node| node.shape.len()).sum();
            (compiled::params(&model), activations)
        };
        for step in 0..4 {
            let (less, more) = (sizes(Family::Dense, step), sizes(Family::Dense, step + 1));
            assert!((1.95..2.0).contains(&(more.0 as f64 / less.0 as f64)));
            let (less, more) = (sizes(Family::Conv, step), sizes(Family::Conv, step + 1));
            assert_eq!(less.0, more.0);
            assert!((1.9..2.1).contains(&(more.1 as f64 / less.1 as f64)));
        }
    }
}
