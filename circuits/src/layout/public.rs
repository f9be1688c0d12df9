//! Public values and the instance columns that hold them.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::plan::LayoutError;
use super::{Layout, Public, Shown, Visibility};
use crate::model::Model;
use crate::profile::Profile;
use crate::witness::field;

/// Public values, NCHW, by port; empty where the side is not public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicValues {
    /// The outputs' accumulators.
    pub outputs: Vec<Vec<i64>>,
    /// The inputs.
    pub inputs: Vec<Vec<i64>>,
}

/// Why instance columns are not those of this model.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PublicError {
    /// Wrong shape.
    #[error(
        "expected {columns} instance columns of {rows} rows; the proof belongs to another model or profile"
    )]
    Shape {
        /// Columns.
        columns: usize,
        /// Rows.
        rows: usize,
    },
    /// A slot that stands for no value holds one.
    #[error("the unused instance slot at row {row}, lane {lane} is not 0")]
    Unused {
        /// Row.
        row: usize,
        /// Lane.
        lane: usize,
    },
    /// Values of the wrong number or length.
    #[error("the public values do not have the model's shapes")]
    Values,
}

/// Every element of every public tensor has one place, and no two share one: else a proof would show another cell in
/// its place.
pub(super) fn check_public(
    model: &Model,
    visibility: Visibility,
    public: &[Public],
) -> Result<(), LayoutError> {
    let outputs = model.outputs.iter().map(|port| (port, visibility.output));
    let inputs = model.inputs.iter().map(|port| (port, visibility.input));
    let mut places = std::collections::HashSet::new();
    for (index, (port, shown)) in outputs.chain(inputs).enumerate() {
        let node = &model.nodes[port.node];
        let mut shows = vec![0usize; node.shape.len()];
        let mut distinct = true;
        for p in public.iter().filter(|p| p.port == index) {
            shows[p.element] += 1;
            distinct &= places.insert((p.row, p.lane));
        }
        let expected = usize::from(shown == Shown::Public);
        if !distinct || shows.iter().any(|count| *count != expected) {
            return Err(LayoutError::Broken {
                node: node.name.clone(),
                what: "its public values have not one place each",
            });
        }
    }
    Ok(())
}

impl Layout {
    /// Instance columns (one for each lane) of public values.
    ///
    /// # Errors
    /// [`PublicError::Values`] where a port's values have the wrong length.
    pub fn instances(&self, values: &PublicValues) -> Result<Vec<Vec<i64>>, PublicError> {
        let mut out = vec![vec![0; self.instance_rows()]; self.profile.lanes];
        let ports = self.model.outputs.len();
        for p in &self.public {
            let (side, port) = if p.port < ports {
                (&values.outputs, p.port)
            } else {
                (&values.inputs, p.port - ports)
            };
            out[p.lane][p.row] = *side
                .get(port)
                .and_then(|v| v.get(p.element))
                .ok_or(PublicError::Values)?;
        }
        Ok(out)
    }

    /// The values in instance columns.
    ///
    /// # Errors
    /// [`PublicError`] for columns that this model cannot have.
    pub fn public_values(&self, instances: &[Vec<i64>]) -> Result<PublicValues, PublicError> {
        let rows = self.instance_rows();
        if instances.len() != self.profile.lanes || instances.iter().any(|c| c.len() != rows) {
            return Err(PublicError::Shape {
                columns: self.profile.lanes,
                rows,
            });
        }
        let sized = |shown: Shown, ports: &[crate::model::Port]| -> Vec<Vec<i64>> {
            let ports = if shown == Shown::Public { ports } else { &[] };
            ports
                .iter()
                .map(|p| vec![0; self.model.nodes[p.node].shape.len()])
                .collect()
        };
        let mut values = PublicValues {
            outputs: sized(self.visibility.output, &self.model.outputs),
            inputs: sized(self.visibility.input, &self.model.inputs),
        };
        let mut used = vec![vec![false; rows]; self.profile.lanes];
        let ports = self.model.outputs.len();
        for p in &self.public {
            used[p.lane][p.row] = true;
            let side = if p.port < ports {
                &mut values.outputs[p.port]
            } else {
                &mut values.inputs[p.port - ports]
            };
            side[p.element] = instances[p.lane][p.row];
        }
        for row in 0..rows {
            for lane in 0..self.profile.lanes {
                if !used[lane][row] && instances[lane][row] != 0 {
                    return Err(PublicError::Unused { row, lane });
                }
            }
        }
        Ok(values)
    }

    /// Instance columns as halo2 has them: a row of the circuit is the first of `fold` rows, and the others are 0. The
    /// digests stand in row 0 of the first columns.
    pub fn instance_scalars(
        profile: &Profile,
        instances: &[Vec<i64>],
        digests: &[Fr],
    ) -> Vec<Vec<Fr>> {
        let column = |values: &Vec<i64>| {
            let mut out = vec![Fr::ZERO; values.len() * profile.fold];
            for (row, v) in values.iter().enumerate() {
                out[row * profile.fold] = field(*v);
            }
            out
        };
        let mut columns: Vec<Vec<Fr>> = instances.iter().map(column).collect();
        let places = columns.iter_mut().filter_map(|c| c.first_mut());
        places.zip(digests).for_each(|(to, digest)| *to = *digest);
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Visibility, plan};
    use crate::testing::{NARROW, layer_kinds};
    use crate::witness::Witness;

    const PROFILE: Profile = Profile { fold: 4, ..NARROW };
    const BOTH: Visibility = Visibility {
        input: Shown::Public,
        output: Shown::Public,
    };

    fn honest(visibility: Visibility) -> (Layout, Vec<Vec<i64>>) {
        let model = &layer_kinds()[1];
        let hash = visibility.hashes();
        let layout = plan(model, Profile { hash, ..PROFILE }, visibility).unwrap();
        let inputs = vec![(0..24).map(|i| i % 16 - 8).collect()];
        let witness = Witness::new(&layout, &inputs).unwrap();
        let instances = witness.instances().to_vec();
        (layout, instances)
    }

    /// A slot stands for one value, or holds 0.
    #[test]
    fn each_slot_that_stands_for_nothing_is_zero() {
        let (layout, honest) = honest(BOTH);
        assert!(layout.public_values(&honest).is_ok());
        let mut unused = 0;
        for row in 0..layout.instance_rows() {
            for lane in 0..4 {
                let mut changed = honest.clone();
                changed[lane][row] += 1;
                let stands = layout
                    .public()
                    .iter()
                    .filter(|p| (p.row, p.lane) == (row, lane));
                match stands.count() {
                    0 => {
                        unused += 1;
                        let refused = Err(PublicError::Unused { row, lane });
                        assert_eq!(layout.public_values(&changed), refused);
                    }
                    1 => assert_ne!(
                        layout.public_values(&changed),
                        layout.public_values(&honest)
                    ),
                    more => panic!("row {row}, lane {lane} stands for {more} values"),
                }
            }
        }
        assert!(unused > 0, "some lane is unused");
    }

    #[test]
    fn columns_of_another_shape_are_refused() {
        let (layout, honest) = honest(BOTH);
        let refused = Err(PublicError::Shape {
            columns: 4,
            rows: honest[0].len(),
        });
        assert_eq!(layout.public_values(&honest[..3]), refused);
        let more = [&honest[..], &honest[..1]].concat();
        assert_eq!(layout.public_values(&more), refused);
        let mut longer = honest.clone();
        longer[3].push(0);
        assert_eq!(layout.public_values(&longer), refused);
        let mut shorter = honest.clone();
        shorter[0].pop();
        assert_eq!(layout.public_values(&shorter), refused);
        let values = layout.public_values(&honest).unwrap();
        for values in [
            PublicValues {
                inputs: Vec::new(),
                ..values.clone()
            },
            PublicValues {
                outputs: Vec::new(),
                ..values.clone()
            },
            PublicValues {
                outputs: vec![values.outputs[0][1..].to_vec()],
                ..values.clone()
            },
            PublicValues {
                inputs: vec![values.inputs[0][1..].to_vec()],
                ..values
            },
        ] {
            assert_eq!(layout.instances(&values), Err(PublicError::Values));
        }
    }

    /// Between the rows of the circuit there are zeros, and digests in row 0.
    #[test]
    fn scalars_stand_on_the_first_of_folded_rows() {
        let instances = vec![vec![5, -6], vec![0, 8]];
        let digests = [Fr::from(70), Fr::from(71)];
        let [zero, six] = [Fr::ZERO, -Fr::from(6)];
        let of = |digests: &[Fr]| Layout::instance_scalars(&PROFILE, &instances, digests);
        let column =
            |first: Fr, second: Fr| vec![first, zero, zero, zero, second, zero, zero, zero];
        let plain = [column(Fr::from(5), six), column(zero, Fr::from(8))];
        assert_eq!(of(&[]), plain);
        assert_eq!(
            of(&digests),
            [column(digests[0], six), column(digests[1], Fr::from(8))]
        );
        assert_eq!(
            of(&digests[..1]),
            [column(digests[0], six), plain[1].clone()]
        );
    }

    /// What is not public is not shown.
    #[test]
    fn a_private_side_has_no_slots() {
        for (input, output) in [
            (Shown::Private, Shown::Public),
            (Shown::Public, Shown::Private),
            (Shown::Hashed, Shown::Public),
            (Shown::Public, Shown::Hashed),
            (Shown::Private, Shown::Private),
        ] {
            let (layout, instances) = honest(Visibility { input, output });
            let values = layout.public_values(&instances).unwrap();
            let shown = [values.inputs.len(), values.outputs.len()];
            assert_eq!(
                shown,
                [input, output].map(|side| usize::from(side == Shown::Public))
            );
        }
    }
}
