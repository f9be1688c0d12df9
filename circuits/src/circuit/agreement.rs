//! The circuit's outputs are the executor's, on random layers.

use std::sync::Arc;

use halo2_proofs::dev::MockProver;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::ModelCircuit;
use crate::layout::{LayoutError, Shown, Side, Visibility, plan};
use crate::model::{Model, Op, Shape, SumPool, Table, Term};
use crate::profile::Profile;
use crate::testing::{Builder, RELU, SIGNED, random_inputs};
use crate::witness::Witness;

/// One random layer on top of the last.
#[derive(Clone, Debug)]
enum Layer {
    Conv {
        cout: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        pad: usize,
        groups: usize,
        signed: bool,
    },
    Pool {
        cout: usize,
        kernel: usize,
        window: usize,
        from_zero: bool,
    },
    Mean {
        kernel: usize,
        stride: usize,
        pad: usize,
    },
    Residual,
    Dense {
        out: usize,
    },
}

fn layer() -> impl Strategy<Value = Layer> {
    let conv = (
        1..10usize,
        1..4usize,
        1..4usize,
        1..3usize,
        0..3usize,
        1..4usize,
        any::<bool>(),
    )
        .prop_map(
            |(cout, kernel, stride, dilation, pad, groups, signed)| Layer::Conv {
                cout,
                kernel,
                stride,
                dilation,
                pad,
                groups,
                signed,
            },
        );
    let pool = (1..7usize, 1..4usize, 2..4usize, any::<bool>()).prop_map(
        |(cout, kernel, window, from_zero)| Layer::Pool {
            cout,
            kernel,
            window,
            from_zero,
        },
    );
    let mean = (1..4usize, 1..4usize, 0..2usize).prop_map(|(kernel, stride, pad)| Layer::Mean {
        kernel,
        stride,
        pad,
    });
    prop_oneof![4 => conv, 2 => pool, 2 => mean, 1 => Just(Layer::Residual), 1 => (1..9usize).prop_map(|out| Layer::Dense { out })]
}

fn build(shape: (usize, usize, usize, usize), layers: &[Layer], seed: u64) -> Model {
    let mut b = Builder::new("random", seed, shape);
    let mut last = 0;
    for layer in layers {
        let s = b.shape(last);
        last = match *layer {
            Layer::Conv {
                cout,
                kernel,
                stride,
                dilation,
                pad,
                groups,
                signed,
            } => {
                let groups = if s.c.is_multiple_of(groups) {
                    groups
                } else {
                    1
                };
                let span = dilation * (kernel - 1) + 1;
                let (kernel, pad) = if span > s.h.min(s.w) + 2 * pad {
                    (1, 0)
                } else {
                    (kernel, pad)
                };
                let geometry = (kernel, stride, dilation, pad, groups);
                let (term, shape) = b.conv(last, cout * groups, geometry);
                b.push(vec![term], shape, if signed { SIGNED } else { RELU })
            }
            Layer::Pool {
                cout,
                kernel,
                window,
                from_zero,
            } => {
                let kernel = kernel.min(s.h).min(s.w);
                let window = window.min(s.h + 1 - kernel).min(s.w + 1 - kernel);
                b.conv_pool(last, cout, (kernel, 1, 1, 0, 1), window, from_zero)
            }
            Layer::Mean {
                kernel,
                stride,
                pad,
            } => {
                let kernel = kernel.min(s.h).min(s.w);
                let pad = pad.min(kernel - 1);
                let size = |v: usize| (v + 2 * pad - kernel) / stride + 1;
                let pool = SumPool {
                    channels: s.c,
                    kernel: (kernel, kernel),
                    stride: (stride, stride),
                    pads: (pad, pad, pad, pad),
                    multiplier: 65_536 / (kernel * kernel) as i64,
                };
                let shape = Shape {
                    h: size(s.h),
                    w: size(s.w),
                    ..s
                };
                let term = Term {
                    source: last,
                    channel: 0,
                    op: Op::SumPool(pool),
                };
                b.push(vec![term], shape, SIGNED)
            }
            Layer::Residual => {
                let (term, shape) = b.conv(last, s.c, (1, 1, 1, 0, 1));
                let (skip, _) = b.conv(last, s.c, (1, 1, 1, 0, s.c));
                b.push(vec![term, skip], shape, SIGNED)
            }
            Layer::Dense { out } => {
                let (term, shape) = b.dense(last, out);
                b.push(
                    vec![term],
                    shape,
                    Table::Lut {
                        lo: -2,
                        values: vec![4, 1, 0, 1, 4],
                    },
                )
            }
        };
    }
    b.finish(last, 3)
}

const SHOWN: [Shown; 3] = [Shown::Private, Shown::Public, Shown::Hashed];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn circuit_equals_executor(
        shape in (1..3usize, 1..7usize, 1..9usize, 1..9usize),
        layers in prop::collection::vec(layer(), 1..4),
        profile in prop::sample::select(&[
            Profile { lanes: 4, fixed_lanes: 16, limbs: 2, tables: 1, fold: 1, hash: false },
            Profile { lanes: 8, fixed_lanes: 8, limbs: 2, tables: 2, fold: 1, hash: false },
            Profile { lanes: 2, fixed_lanes: 8, limbs: 2, tables: 1, fold: 4, hash: false },
            Profile { lanes: 4, fixed_lanes: 8, limbs: 2, tables: 6, fold: 1, hash: false },
        ]),
        seed in any::<u64>(),
        input in prop::sample::select(&SHOWN),
        output in prop::sample::select(&SHOWN),
    ) {
        let model = build(shape, &layers, seed);
        let visibility = Visibility { input, output };
        let profile = Profile { hash: visibility.hashes(), ..profile };
        let layout = match plan(&model, profile, visibility) {
            Ok(layout) => Arc::new(layout),
            // Strides may leave inputs unread, which only a digest has to refuse.
            Err(why) => {
                let refused = matches!(why, LayoutError::Unsupported { .. });
                prop_assert!(refused && input == Shown::Hashed, "{}", why);
                return Ok(());
            }
        };
        let inputs = random_inputs(&model, &mut ChaCha20Rng::seed_from_u64(seed));
        let witness = Arc::new(Witness::new(&layout, &inputs).expect("the inputs fit"));
        let tensors = crate::executor::run(&model, &inputs).expect("the inputs fit");
        for (output, port) in witness.outputs.iter().zip(&model.outputs) {
            prop_assert_eq!(output, &tensors[port.node]);
        }
        for (digest, value) in layout.digests().iter().zip(&witness.digests) {
            let (ports, tensors) = match digest.side {
                Side::Input => (&model.inputs, &inputs),
                Side::Output => (&model.outputs, &witness.outputs),
            };
            prop_assert_eq!(digest.compute(ports, tensors), Ok(*value));
        }
        let instance = witness.scalars(&profile);
        let circuit = ModelCircuit::with_witness(layout.clone(), witness);
        let prover = MockProver::run(layout.k, &circuit, instance).expect("it runs");
        prop_assert_eq!(prover.verify(), Ok(()));
    }
}
