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
