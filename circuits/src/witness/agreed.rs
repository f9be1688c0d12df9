//! A witness whose public values are those of the integer model, compared before anything is proved.

use crate::executor;
use crate::layout::{Layout, PublicValues, Shown, Side};
use crate::model::{Model, Port};

use super::{Witness, WitnessError};

/// One inference, as the circuit and as the executor see it.
#[derive(Debug)]
pub struct Inference {
    /// The circuit's values.
    pub witness: Witness,
    /// The instance columns, one for each lane; 0 where digests stand.
    pub instances: Vec<Vec<i64>>,
    /// The executor's outputs, NCHW, in the model's order.
    pub outputs: Vec<Vec<i64>>,
}

impl Inference {
    /// Lays out `inputs` (NCHW, one for each input of `model`) in the layout of `model`, runs the executor on the model as it was
    /// before the planner touched it, and compares what a proof would show: every output, every public input, every digest.
    ///
    /// # Errors
    /// [`WitnessError`] for inputs that do not fit, and where circuit and executor disagree, which only a defect of the planner
    /// brings about.
    pub fn new(model: &Model, layout: &Layout, inputs: &[Vec<i64>]) -> Result<Self, WitnessError> {
        let witness = Witness::new(layout, inputs)?;
        let instances = witness.instance.clone();
        let tensors = executor::run(model, inputs)?;
        let outputs: Vec<Vec<i64>> = model
            .outputs
            .iter()
            .map(|port| tensors[port.node].clone())
            .collect();
        compare(&model.outputs, &witness.outputs, &outputs)?;
        let shown = layout.public_values(&instances)?;
        let PublicValues {
            outputs: shown_outputs,
            inputs: shown_inputs,
        } = &shown;
        for (shown, ports, circuit, model) in [
            (
                layout.visibility.output,
                &model.outputs,
                shown_outputs,
                outputs.as_slice(),
            ),
            (layout.visibility.input, &model.inputs, shown_inputs, inputs),
        ] {
            if shown == Shown::Public {
                compare(ports, circuit, model)?;
            }
        }
        for (digest, shown) in layout.digests().iter().zip(&witness.digests) {
            let (ports, tensors, side) = match digest.side {
                Side::Input => (&model.inputs, inputs, "inputs"),
                Side::Output => (&model.outputs, outputs.as_slice(), "outputs"),
            };
            if digest.compute(ports, tensors) != Ok(*shown) {
                return Err(WitnessError::Digest { side });
            }
        }
        Ok(Inference {
            witness,
            instances,
            outputs,
        })
    }
}

/// Each port's values are the model's.
fn compare(ports: &[Port], circuit: &[Vec<i64>], model: &[Vec<i64>]) -> Result<(), WitnessError> {
    for ((port, circuit), model) in ports.iter().zip(circuit).zip(model) {
        let differs =
            |(element, (c, m)): (usize, (&i64, &i64))| (c != m).then_some((element, *c, *m));
        let found = circuit.iter().zip(model).enumerate().find_map(differs);
        if let Some((element, circuit, model)) = found {
            return Err(WitnessError::Disagrees {
                port: port.name.clone(),
                element,
                circuit,
                model,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::layout::{Visibility, plan};
    use crate::model::Kind;
    use crate::profile::Profile;
    use crate::testing::{layer_kinds, random_inputs};

    /// What a faulty planner would do to a model: another bias in its last layer.
    fn altered(model: &Model) -> Model {
        let mut other = model.clone();
        let last = other.outputs[0].node;
        let Kind::Linear(linear) = &mut other.nodes[last].kind else {
            unreachable!("outputs are linear")
        };
        linear.bias[0] += 1;
        other
    }

    #[test]
    fn a_circuit_of_another_model_is_not_proved() {
        let profile = Profile {
            lanes: 4,
            fixed_lanes: 16,
            limbs: 2,
            tables: 2,
            fold: 1,
            hash: false,
        };
        for shown in [Shown::Public, Shown::Private, Shown::Hashed] {
            let visibility = Visibility {
                input: Shown::Private,
                output: shown,
            };
            let model = layer_kinds().swap_remove(0);
            let profile = Profile {
                hash: visibility.hashes(),
                ..profile
            };
            let layout = plan(&altered(&model), profile, visibility).unwrap();
            let inputs = random_inputs(&model, &mut ChaCha20Rng::seed_from_u64(1));
            let refused = Inference::new(&model, &layout, &inputs).unwrap_err();
            assert!(
                matches!(refused, WitnessError::Disagrees { .. }),
                "{refused}"
            );
            let same = plan(&model, profile, visibility).unwrap();
            let inference = Inference::new(&model, &same, &inputs).unwrap();
            assert_eq!(inference.outputs, inference.witness.outputs);
        }
    }

    #[test]
    fn other_public_values_than_the_models_are_not_proved() {
        let model = layer_kinds().swap_remove(0);
        let visibility = Visibility {
            input: Shown::Public,
            output: Shown::Public,
        };
        let mut layout = plan(&model, Profile::default(), visibility).unwrap();
        let inputs = random_inputs(&model, &mut ChaCha20Rng::seed_from_u64(2));
        let ports = model.outputs.len();
        let value = |p: &crate::layout::Public| inputs[0][p.element];
        let places = layout.public.iter().enumerate();
        let mut of_input = places.filter(|(_, p)| p.port >= ports);
        let (first, one) = of_input.next().expect("the input is public");
        let (_, other) = of_input
            .find(|(_, p)| value(p) != value(one))
            .expect("not all values are equal");
        // An element is shown as another one.
        (layout.public[first].row, layout.public[first].lane) = (other.row, other.lane);
        let refused = Inference::new(&model, &layout, &inputs).unwrap_err();
        assert!(
            matches!(refused, WitnessError::Disagrees { .. }),
            "{refused}"
        );
    }
    /// Two values of the hashed side change places in the sponge, and the state follows.
    #[test]
    fn a_digest_of_other_values_is_not_proved() {
        let model = layer_kinds().swap_remove(0);
        let profile = Profile {
            hash: true,
            ..Profile::default()
        };
        for (input, output) in [
            (Shown::Hashed, Shown::Private),
            (Shown::Private, Shown::Hashed),
        ] {
            let visibility = Visibility { input, output };
            let inputs = random_inputs(&model, &mut ChaCha20Rng::seed_from_u64(3));
            let mut layout = plan(&model, profile, visibility).unwrap();
            let honest = Inference::new(&model, &layout, &inputs).unwrap();
            let shown = match output {
                Shown::Hashed => &honest.outputs[0],
                _ => &inputs[0],
            };
            let value = |i: usize| shown[layout.hash.absorbed[i].element];
            let other = (1..layout.hash.absorbed.len())
                .find(|i| value(*i) != value(0))
                .expect("not all values are equal");
            let [a, b] = [0, other].map(|i| layout.hash.absorbed[i].element);
            layout.hash.absorbed[0].element = b;
            layout.hash.absorbed[other].element = a;
            let refused = Inference::new(&model, &layout, &inputs).unwrap_err();
            assert!(matches!(refused, WitnessError::Digest { .. }), "{refused}");
        }
    }
}
