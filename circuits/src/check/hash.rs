//! The hash program, run as the machine that the gates describe on values drawn for it: it absorbs each value of a side once, with the
//! weight of its cell, and its digest is that of the definition in `docs/arithmetization.md`.

use std::collections::HashMap;

use ark_bn254::Fr as Scalar;
use ark_ff::{BigInt, Field as _, PrimeField as _, Zero as _};
use ff::PrimeField as _;
use halo2_proofs::halo2curves::bn256::Fr;
use light_poseidon::parameters::bn254_x5::get_poseidon_parameters;
use sha3::{Digest as _, Keccak256};

use super::CheckError;
use super::cells::Cells;
use super::columns::Columns;
use super::intervals::{Interval, Intervals};
use super::walk::{Exponents, weights};
use crate::layout::{Digest, Layout, Shown, Side};
use crate::model::Port;
use crate::profile::{HashFixed, boundary, fixed, hash_op};

/// Bits that a packed element has at most.
const ELEMENT_BITS: u32 = 248;

type State = [Scalar; 3];

/// A sponge as it was run.
struct Run {
    /// Rows that absorb, with the value that was drawn for each.
    absorbed: Vec<(usize, Scalar)>,
    digest_row: usize,
    digest: Scalar,
}

/// Compares the hash program with the sides that are hashed.
pub(super) fn program(
    columns: &Columns<'_>,
    layout: &Layout,
    cells: &[Cells<'_>],
    intervals: &Intervals,
) -> Result<(), CheckError> {
    let sides = [
        (Side::Output, layout.visibility.output),
        (Side::Input, layout.visibility.input),
    ];
    let hashed = sides.iter().filter(|(_, shown)| *shown == Shown::Hashed);
    let digests = layout.digests();
    if !hashed
        .map(|(side, _)| *side)
        .eq(digests.iter().map(|d| d.side))
    {
        return Err(CheckError::new("there are other digests than hashed sides"));
    }
    if !columns.profile.hash {
        return if digests.is_empty() {
            Ok(())
        } else {
            Err(CheckError::new("a side is hashed in a profile that cannot"))
        };
    }
    let op = columns.profile.hash_fixed(HashFixed::Op);
    let walk = [HashFixed::Num, HashFixed::Den].map(|c| columns.profile.hash_fixed(c));
    let chain = weights(columns, (walk[0], walk[1]), |row| {
        columns.at(op, row) == hash_op::ABSORB
            || columns.at(fixed::BOUNDARY, row) == boundary::DIGEST
    })?;
    let runs = Machine::new(columns, layout).run()?;
    if runs.len() != digests.len() {
        return Err(CheckError::new("there are other sponges than hashed sides"));
    }
    for (lane, (digest, run)) in digests.iter().zip(&runs).enumerate() {
        let own = Exponents {
            k: lane as i32,
            ..Exponents::default()
        };
        if digest.lane != lane
            || lane >= columns.profile.lanes
            || chain[run.digest_row] != Some(own)
        {
            return Err(CheckError::at(
                run.digest_row,
                "a digest is not bound to its public value",
            ));
        }
        side(layout, digest, run, &chain, cells, intervals)?;
    }
    Ok(())
}

/// Compares one sponge with its side.
fn side(
    layout: &Layout,
    digest: &Digest,
    run: &Run,
    chain: &[Option<Exponents>],
    cells: &[Cells<'_>],
    intervals: &Intervals,
) -> Result<(), CheckError> {
    let ports = match digest.side {
        Side::Input => &layout.model.inputs,
        Side::Output => &layout.model.outputs,
    };
    packing(digest, ports, intervals)?;
    let mut by_weight: HashMap<(i64, i32, i32), Scalar> = HashMap::new();
    for (row, value) in &run.absorbed {
        let weight = chain[*row]
            .filter(|w| w.is_power())
            .ok_or_else(|| CheckError::at(*row, "a hashed value has no weight"))?;
        let key = (i64::from(weight.k), weight.y, weight.x);
        if by_weight.insert(key, *value).is_some() {
            return Err(CheckError::at(*row, "two hashed values have one weight"));
        }
    }
    let mut values = Vec::with_capacity(by_weight.len());
    for port in ports {
        let node = &layout.model.nodes[port.node];
        let cells = cells
            .iter()
            .find(|c| c.id == port.node)
            .ok_or_else(|| CheckError::new("a hashed tensor has no cells").node(&node.name))?;
        for i in 0..node.shape.len() {
            let element = port.order.get(i).map_or(i, |e| *e as usize);
            let value = weight_of(cells, element, layout.profile.lanes)
                .and_then(|weight| by_weight.remove(&weight))
                .ok_or_else(|| {
                    CheckError::new(format!("element {element} is not hashed")).node(&node.name)
                })?;
            values.push(value);
        }
    }
    if !by_weight.is_empty() || values.len() != digest.count {
        return Err(CheckError::new("other values are hashed than the side has"));
    }
    if defined(digest, &values) != run.digest {
        return Err(CheckError::at(
            run.digest_row,
            "the digest is not that of the side's values",
        ));
    }
    Ok(())
}

/// Where an element is produced: exponents of `η`, `βy`, `βx`.
fn weight_of(cells: &Cells<'_>, element: usize, lanes: usize) -> Option<(i64, i32, i32)> {
    let s = cells.node.shape;
    let (x, y) = (element % s.w, element / s.w % s.h);
    let (c, n) = (element / (s.w * s.h) % s.c, element / s.item());
    let place = cells.produced.at[(n * s.h + y) * s.w + x]?;
    let exponent = cells.produced.exponent(place.plane, c, lanes);
    Some((exponent, place.y, place.x))
}

/// The packing holds all values that the side can have; an input's is the narrowest over its range.
fn packing(digest: &Digest, ports: &[Port], intervals: &Intervals) -> Result<(), CheckError> {
    let ranges = || ports.iter().map(|p| intervals.node(p.node).sum);
    let all = Interval {
        lo: ranges().map(|r| r.lo).min().unwrap_or(0),
        hi: ranges().map(|r| r.hi).max().unwrap_or(0),
    };
    let (lo, bits) = (digest.packing.lo(), digest.packing.bits());
    let reach = i128::from(lo) + (1i128 << bits) - 1;
    let holds = lo <= all.lo && i128::from(all.hi) <= reach && (1..=64).contains(&bits);
    let narrowest = bits == 1 || i128::from(all.hi) > i128::from(lo) + (1i128 << (bits - 1)) - 1;
    if holds && (digest.side == Side::Output || (lo == all.lo && narrowest)) {
        Ok(())
    } else {
        Err(CheckError::new(
            "the packing of a digest is not that of its side's range",
        ))
    }
}

/// The digest of the definition, of any field elements.
fn defined(digest: &Digest, values: &[Scalar]) -> Scalar {
    let (lo, bits) = (digest.packing.lo(), digest.packing.bits());
    let count = values.len() as u64;
    let mut tag = vec![0; 2];
    tag.extend_from_slice(b"tensorseal");
    tag.extend_from_slice(&count.to_be_bytes());
    tag.extend_from_slice(&bits.to_be_bytes());
    tag.extend_from_slice(&lo.to_be_bytes());
    let mut state = [
        Scalar::from_be_bytes_mod_order(&tag),
        Scalar::zero(),
        Scalar::zero(),
    ];
    let base = Scalar::from(2).pow([u64::from(bits)]);
    let element = |values: &[Scalar]| {
        let highest_first = values.iter().rev();
        highest_first.fold(Scalar::zero(), |sum, v| sum * base + *v - Scalar::from(lo))
    };
    let elements: Vec<Scalar> = values
        .chunks((ELEMENT_BITS / bits) as usize)
        .map(element)
        .collect();
    let poseidon = Poseidon::new();
    for pair in elements.chunks(2) {
        state[1] += pair[0];
        state[2] += pair.get(1).copied().unwrap_or_default();
        state = poseidon.permute(state);
    }
    state[0]
}

/// Poseidon as it is defined, constants in front of every S-box.
struct Poseidon {
    constants: Vec<Scalar>,
    matrix: Vec<Vec<Scalar>>,
    full: usize,
    partial: usize,
}

impl Poseidon {
    fn new() -> Self {
        let given = get_poseidon_parameters::<Scalar>(3).expect("the crate has width 3");
        Poseidon {
            constants: given.ark,
            matrix: given.mds,
            full: given.full_rounds,
            partial: given.partial_rounds,
        }
    }

    fn mix(&self, state: State) -> State {
        std::array::from_fn(|i| (0..3).map(|j| self.matrix[i][j] * state[j]).sum())
    }

    fn permute(&self, mut state: State) -> State {
        for round in 0..self.full + self.partial {
            for (i, s) in state.iter_mut().enumerate() {
                *s += self.constants[3 * round + i];
            }
            let half = self.full / 2;
            let partial = (half..half + self.partial).contains(&round);
            for s in state.iter_mut().take(if partial { 1 } else { 3 }) {
                *s = s.pow([5]);
            }
            state = self.mix(state);
        }
        state
    }
}

/// The gates' machine: a row gives the next row's state, but where it is off.
struct Machine<'a> {
    columns: &'a Columns<'a>,
    constants: &'a [Fr],
    poseidon: Poseidon,
}

impl<'a> Machine<'a> {
    fn new(columns: &'a Columns<'a>, layout: &'a Layout) -> Self {
        Machine {
            columns,
            constants: &layout.hash.constants,
            poseidon: Poseidon::new(),
        }
    }

    fn constant(&self, row: usize) -> Scalar {
        self.constants.get(row).map_or(Scalar::zero(), scalar)
    }

    fn run(&self) -> Result<Vec<Run>, CheckError> {
        let mut out = Vec::new();
        let op = self.columns.profile.hash_fixed(HashFixed::Op);
        let mut row = 0;
        while row < self.columns.last {
            if self.columns.at(fixed::BOUNDARY, row) == boundary::LOAD {
                let run = self.sponge(row)?;
                row = run.digest_row + 1;
                out.push(run);
                continue;
            }
            let idle = self.columns.at(op, row) == hash_op::OFF && self.constant(row).is_zero();
            if !idle || self.columns.at(fixed::BOUNDARY, row) == boundary::DIGEST {
                return Err(CheckError::at(row, "a row hashes outside a sponge"));
            }
            row += 1;
        }
        Ok(out)
    }

    fn sponge(&self, start: usize) -> Result<Run, CheckError> {
        let mut state = [self.constant(start), Scalar::zero(), Scalar::zero()];
        let mut absorbed = Vec::new();
        for row in start..self.columns.last {
            let at = self.columns.at(fixed::BOUNDARY, row);
            let op = self
                .columns
                .at(self.columns.profile.hash_fixed(HashFixed::Op), row);
            let [s0, s1, s2] = state;
            let constant = self.constant(row);
            if at == boundary::DIGEST && op == hash_op::OFF && constant.is_zero() {
                return Ok(Run {
                    absorbed,
                    digest_row: row,
                    digest: s0,
                });
            }
            if at != 0 && row != start {
                return Err(CheckError::at(row, "a boundary inside a sponge"));
            }
            state = match op {
                hash_op::SBOX => [s1, s2, (s0 + constant).pow([5])],
                hash_op::ROUND => self.poseidon.mix([(s0 + constant).pow([5]), s1, s2]),
                hash_op::ROTATE => {
                    if row != start && !constant.is_zero() {
                        return Err(CheckError::at(row, "a constant that nothing adds"));
                    }
                    [s1, s2, s0]
                }
                // The chain has `v = c·(s0' - s0)`.
                hash_op::ABSORB => {
                    let inverse = constant
                        .inverse()
                        .ok_or_else(|| CheckError::at(row, "a value is absorbed without weight"))?;
                    let value = drawn(row);
                    absorbed.push((row, value));
                    [s0 + value * inverse, s1, s2]
                }
                _ => return Err(CheckError::at(row, "a sponge stops before its digest")),
            };
        }
        Err(CheckError::at(start, "a sponge has no digest"))
    }
}

/// A field element that the program cannot have been made for.
fn drawn(row: usize) -> Scalar {
    let bytes = Keccak256::digest((row as u64).to_be_bytes());
    Scalar::from_be_bytes_mod_order(&bytes)
}

fn scalar(v: &Fr) -> Scalar {
    let bytes = v.to_repr();
    let limb = |i: usize| {
        let bytes = &bytes.as_ref()[8 * i..8 * i + 8];
        bytes
            .iter()
            .rev()
            .fold(0u64, |sum, b| sum << 8 | u64::from(*b))
    };
    let limbs = BigInt::new(std::array::from_fn(limb));
    Scalar::from_bigint(limbs).expect("both are the scalar field of BN254")
}
