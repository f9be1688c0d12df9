//! The hash program: rows that absorb the values of hashed sides in their canonical order and permute the state, and the
//! chain that ties the values to the cells of their tensors.
//!
//! The order of the values inside a packed element is free, since each has its own weight: the program takes them in
//! the order that is shortest for the chain.

use std::collections::HashMap;

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use serde::{Deserialize, Serialize};

use super::path::Monomial;
use super::plan::LayoutError;
use super::rows::{FixedColumns, Walk};
use super::{Shown, Tensor, Visibility};
use crate::hash::{
    Packing, PackingError,
    poseidon::{self, FULL_ROUNDS, PARTIAL_ROUNDS},
};
use crate::model::{Kind, Model, Port};
use crate::profile::{HashFixed, Profile, boundary, fixed, hash_op};
use crate::quantize::Bounds;

/// One end of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// All inputs.
    Input,
    /// All outputs.
    Output,
}

/// The digest of a side: of the values of all its ports, one after the other, each in the port's logical (ONNX) order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// What is hashed.
    pub side: Side,
    /// How.
    pub packing: Packing,
    /// How many values.
    pub count: usize,
    /// Its instance column, and its place among the digests; the row is 0.
    pub lane: usize,
}

impl Digest {
    /// The digest of tensors (NCHW), one for each of the side's `ports`.
    ///
    /// # Errors
    /// [`PackingError`] for a value that the side cannot have.
    pub fn compute(&self, ports: &[Port], tensors: &[Vec<i64>]) -> Result<Fr, PackingError> {
        let logical = |(port, values): (&Port, &Vec<i64>)| -> Vec<i64> {
            if port.order.is_empty() {
                values.clone()
            } else {
                port.order.iter().map(|i| values[*i as usize]).collect()
            }
        };
        let values: Vec<i64> = ports.iter().zip(tensors).flat_map(logical).collect();
        self.packing.digest(&values)
    }
}

/// A value of a hashed side.
#[derive(Clone, Copy, Debug)]
struct Value {
    /// Index of the output, or outputs + index of the input.
    port: usize,
    /// Element of the node's NCHW tensor.
    element: usize,
    /// Weight where its tensor is produced, in single powers of `η`.
    monomial: Monomial,
}

/// A side and its values in canonical order.
#[derive(Debug)]
pub(crate) struct HashedSide {
    digest: Digest,
    values: Vec<Value>,
}

/// A row that absorbs a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Absorbed {
    pub(crate) port: usize,
    pub(crate) element: usize,
    /// Its weight in the packed element.
    pub(crate) weight: Fr,
}

/// What the hash columns hold.
#[derive(Debug, Default)]
pub(crate) struct HashProgram {
    pub(crate) digests: Vec<Digest>,
    /// The column [`HashFixed::Constant`].
    pub(crate) constants: Vec<Fr>,
    /// In the order of the rows that absorb.
    pub(crate) absorbed: Vec<Absorbed>,
    chain: Option<Walk>,
}

/// The hashed sides of a model.
pub(super) fn sides(
    model: &Model,
    visibility: Visibility,
    bounds: &[Bounds],
    tensors: &[Tensor],
    lanes: usize,
) -> Result<Vec<HashedSide>, LayoutError> {
    let mut out = Vec::new();
    for (side, shown, ports, first) in [
        (Side::Output, visibility.output, &model.outputs, 0),
        (
            Side::Input,
            visibility.input,
            &model.inputs,
            model.outputs.len(),
        ),
    ] {
        if shown != Shown::Hashed {
            continue;
        }
        let ranges = || ports.iter().map(|p| bounds[p.node].y);
        let lo = ranges().map(|r| r.0).min().unwrap_or(0);
        let hi = ranges().map(|r| r.1).max().unwrap_or(0);
        let mut values = Vec::new();
        for (index, port) in ports.iter().enumerate() {
            values.extend(port_values(model, port, first + index, tensors, lanes)?);
        }
        let digest = Digest {
            side,
            packing: Packing::of(lo, hi),
            count: values.len(),
            lane: out.len(),
        };
        out.push(HashedSide { digest, values });
    }
    Ok(out)
}

fn port_values(
    model: &Model,
    port: &Port,
    index: usize,
    tensors: &[Tensor],
    lanes: usize,
) -> Result<Vec<Value>, LayoutError> {
    let node = &model.nodes[port.node];
    let is_input = matches!(node.kind, Kind::Input { .. });
    let tensor = tensors
        .iter()
        .find(|t| t.node == port.node)
        .expect("every node has its tensor");
    // An input value that nobody reads is not looked up: its range is unknown, and so is what it packs to.
    let bound = tensor
        .order
        .iter()
        .filter(|row| !is_input || row.cons.is_some());
    let places: HashMap<_, _> = bound.filter_map(|row| Some((row.at?, row.prod?))).collect();
    let s = node.shape;
    (0..s.len())
        .map(|i| {
            let element = port.order.get(i).map_or(i, |e| *e as usize);
            let (x, y) = (element % s.w, element / s.w % s.h);
            let (c, n) = (element / (s.w * s.h) % s.c, element / s.item());
            let place = places.get(&(n, y, x)).ok_or_else(|| LayoutError::Unsupported {
                node: node.name.clone(),
                what: "has elements that no layer reads, which a digest cannot bind; crop it, or use another visibility",
            })?;
            let k = tensor.base_p + tensor.offset_p(c / lanes, place.plane, lanes) + c % lanes;
            let monomial = Monomial {
                k: k as i64,
                y: place.y,
                x: place.x,
            };
            Ok(Value {
                port: index,
                element,
                monomial,
            })
        })
        .collect()
}

impl HashProgram {
    /// Writes the sponge of each side.
    pub(super) fn write(
        &mut self,
        columns: &mut FixedColumns,
        profile: &Profile,
        sides: Vec<HashedSide>,
    ) -> Result<(), LayoutError> {
        let chain = Walk::new(
            "hashed",
            profile.hash_fixed(HashFixed::Num),
            profile.hash_fixed(HashFixed::Den),
        );
        // Row 0 is the boundary gate's first.
        self.constants.push(Fr::ZERO);
        let mut writer = Writer {
            columns,
            op: profile.hash_fixed(HashFixed::Op),
            chain,
            program: self,
        };
        for side in sides {
            writer.side(&side)?;
            writer.program.digests.push(side.digest);
        }
        self.chain = Some(writer.chain);
        Ok(())
    }

    /// Rows in use, and those that the chain needs to its end.
    pub(super) fn rows(&self) -> usize {
        let end = |chain: &Walk| chain.earliest(Monomial::default()) + 1;
        self.constants.len().max(self.chain.as_ref().map_or(0, end))
    }

    /// Ends the chain in `row`.
    pub(super) fn finish(
        &mut self,
        columns: &mut FixedColumns,
        row: usize,
    ) -> Result<(), LayoutError> {
        match &mut self.chain {
            Some(chain) => chain.finish(columns, row),
            None => Ok(()),
        }
    }
}

/// Appends rows.
struct Writer<'a> {
    columns: &'a mut FixedColumns,
    op: usize,
    chain: Walk,
    program: &'a mut HashProgram,
}

impl Writer<'_> {
    fn row(&self) -> usize {
        self.program.constants.len()
    }

    fn push(&mut self, op: i64, constant: Fr) {
        self.columns.set(self.op, self.row(), op);
        self.program.constants.push(constant);
    }

    /// Three rotations leave the state as it was: rows in which the chain walks.
    fn wait(&mut self, row: usize) {
        while self.row() < row {
            for _ in 0..3 {
                self.push(hash_op::ROTATE, Fr::ZERO);
            }
        }
    }

    fn side(&mut self, side: &HashedSide) -> Result<(), LayoutError> {
        let packing = side.digest.packing;
        let inverse = |w: Fr| Option::<Fr>::from(w.invert()).expect("powers of 2 are not 0");
        let weights: Vec<(Fr, Fr)> = (0..packing.per_element())
            .map(|j| packing.weight(j))
            .map(|w| (w, inverse(w)))
            .collect();
        self.columns
            .set(fixed::BOUNDARY, self.row(), boundary::LOAD);
        // From here on the state is rotated so that what is absorbed next stands in the first column.
        self.push(hash_op::ROTATE, packing.tag(side.digest.count));
        let elements: Vec<&[Value]> = side.values.chunks(packing.per_element()).collect();
        for (i, pair) in elements.chunks(2).enumerate() {
            if i > 0 {
                self.push(hash_op::ROTATE, Fr::ZERO);
            }
            self.absorb(pair[0], &weights)?;
            self.push(hash_op::ROTATE, Fr::ZERO);
            let second = pair.get(1).copied().unwrap_or_default();
            self.absorb(second, &weights)?;
            self.push(hash_op::ROTATE, Fr::ZERO);
            self.permute([pair[0], second].map(|e| packing.offset(e.len())));
        }
        let place = Monomial {
            k: side.digest.lane as i64,
            ..Monomial::default()
        };
        self.wait(self.chain.earliest(place));
        let row = self.row();
        self.chain.advance(self.columns, row, place)?;
        self.columns.set(fixed::BOUNDARY, row, boundary::DIGEST);
        self.push(hash_op::OFF, Fr::ZERO);
        Ok(())
    }

    /// Adds an element to the state's first column, value by value: the one that the chain reaches first comes first.
    /// `weights` are those of the places in an element, each with its inverse.
    fn absorb(&mut self, element: &[Value], weights: &[(Fr, Fr)]) -> Result<(), LayoutError> {
        let mut left: Vec<(usize, Value)> = element.iter().copied().enumerate().collect();
        while let Some(nearest) =
            (0..left.len()).min_by_key(|i| self.chain.earliest(left[*i].1.monomial))
        {
            let (j, value) = left.remove(nearest);
            self.wait(self.chain.earliest(value.monomial));
            let row = self.row();
            self.chain.advance(self.columns, row, value.monomial)?;
            let (weight, inverse) = weights[j];
            self.push(hash_op::ABSORB, inverse);
            self.program.absorbed.push(Absorbed {
                port: value.port,
                element: value.element,
                weight,
            });
        }
        Ok(())
    }

    /// The permutation; the packed elements' offsets join the first constants of their columns.
    fn permute(&mut self, offsets: [Fr; 2]) {
        let half = FULL_ROUNDS / 2;
        for (r, constants) in poseidon::parameters().rounds.iter().enumerate() {
            if (half..half + PARTIAL_ROUNDS).contains(&r) {
                self.push(hash_op::ROUND, constants[0]);
                continue;
            }
            let [first, second] = if r == 0 { offsets } else { [Fr::ZERO; 2] };
            self.push(hash_op::ROTATE, Fr::ZERO);
            self.push(hash_op::SBOX, constants[1] + first);
            self.push(hash_op::SBOX, constants[2] + second);
            self.push(hash_op::ROUND, constants[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use halo2_proofs::dev::MockProver;

    use super::*;
    use crate::circuit::ModelCircuit;
    use crate::layout::{Layout, plan};
    use crate::model::Node;
    use crate::testing::{Builder, NARROW, RELU, layer_kinds, port};
    use crate::witness::Witness;

    const HASHED: Visibility = Visibility {
        input: Shown::Hashed,
        output: Shown::Private,
    };
    const PROFILE: Profile = Profile {
        hash: true,
        ..NARROW
    };

    /// The layout and the input's digest, which the circuit accepts.
    fn digest(model: &Model, inputs: &[Vec<i64>]) -> (Layout, Fr) {
        let layout = Arc::new(plan(model, PROFILE, HASHED).unwrap());
        let witness = Arc::new(Witness::new(&layout, inputs).unwrap());
        let (instance, value) = (witness.scalars(&PROFILE), witness.digests[0]);
        let circuit = ModelCircuit::with_witness(layout.clone(), witness);
        let prover = MockProver::run(layout.k, &circuit, instance).unwrap();
        assert_eq!(prover.verify(), Ok(()));
        drop(circuit);
        (Arc::into_inner(layout).unwrap(), value)
    }

    #[test]
    fn values_are_hashed_in_the_order_of_their_port() {
        let mut model = layer_kinds().swap_remove(0);
        model.inputs[0].order = (0..12).rev().collect();
        let values: Vec<i64> = (0..12).map(|i| i - 6).collect();
        let (layout, got) = digest(&model, std::slice::from_ref(&values));
        let backwards: Vec<i64> = values.iter().rev().copied().collect();
        assert_eq!(Packing::of(-8, 7).digest(&backwards), Ok(got));
        let computed = layout.digests()[0].compute(&model.inputs, &[values]);
        assert_eq!(computed, Ok(got));
    }

    #[test]
    fn several_inputs_are_hashed_one_after_the_other() {
        let mut b = Builder::new("two inputs", 9, (1, 3, 2, 2));
        let shape = b.shape(0);
        b.model.nodes.push(Node {
            name: "wide".into(),
            shape,
            kind: Kind::Input { lo: -3, hi: 40 },
        });
        b.model.inputs.push(port("wide", 1, shape));
        let terms = vec![
            b.conv(0, 4, (1, 1, 1, 0, 1)).0,
            b.conv(1, 4, (1, 1, 1, 0, 1)).0,
        ];
        let hidden = b.push(terms, crate::model::Shape { c: 4, ..shape }, RELU);
        let model = b.finish(hidden, 2);
        let inputs: [Vec<i64>; 2] = [
            (0..12).map(|i| i % 16 - 8).collect(),
            (0..12).map(|i| 3 * i - 3).collect(),
        ];
        let (layout, got) = digest(&model, &inputs);
        assert_eq!(layout.digests()[0].packing, Packing::of(-8, 40));
        assert_eq!(Packing::of(-8, 40).digest(&inputs.concat()), Ok(got));
    }

    #[test]
    fn elements_that_no_layer_reads_are_hashed_too() {
        let mut b = Builder::new("stride over inputs", 3, (1, 1, 4, 4));
        let (term, shape) = b.conv(0, 2, (1, 2, 1, 0, 1));
        let hidden = b.push(vec![term], shape, RELU);
        let model = b.finish(hidden, 2);
        let values: Vec<i64> = (0..16).map(|i| i - 8).collect();
        let (layout, got) = digest(&model, std::slice::from_ref(&values));
        assert_eq!(Packing::of(-8, 7).digest(&values), Ok(got));
        assert_eq!(layout.digests()[0].count, 16);
    }

    #[test]
    fn a_profile_that_does_not_fit_is_refused() {
        let plain = Profile {
            hash: false,
            ..PROFILE
        };
        for (profile, visibility) in [(plain, HASHED), (PROFILE, Visibility::default())] {
            let refused = plan(&layer_kinds()[0], profile, visibility).unwrap_err();
            assert!(matches!(refused, LayoutError::Hash { .. }), "{refused}");
        }
    }
}
