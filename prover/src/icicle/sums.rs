//! Commitments: sums of multiples of the SRS's points.

use std::collections::BTreeMap;

use ff::Field;
use group::Group as _;
use halo2_proofs::halo2curves::{
    CurveExt as _,
    bn256::{Fr, G1, G1Affine},
};
use rayon::prelude::*;

use super::{
    Transforms,
    abi::{Affine, Element, Projective, element, from_element},
};
use crate::{
    backend::{Column, Values},
    gpu::GpuError,
    small::{Integer, Integers, each_width},
};

/// Sums over so many rows that are asked for at a time: more scalars than a few millions only take memory.
pub(super) fn sums_at_a_time(rows: usize) -> usize {
    ((1 << 21) / rows).clamp(1, 32)
}

/// Which sums are asked for together: those over the same rows, from a first one to the end, with as many bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    first: usize,
    /// 0 for elements, which have all.
    bits: u32,
}

/// What is summed of a column.
enum Scalars<'c> {
    /// Small integers in the first rows, zeros in the others, all with something added that leaves none negative.
    Integers { values: Integers<'c>, added: u64 },
    /// What field elements stand for.
    Elements(&'c [Fr]),
}

impl Scalars<'_> {
    fn write(&self, out: &mut [Element]) {
        match self {
            Self::Integers { values, added } => {
                let (head, rest) = out.split_at_mut(values.len());
                each_width!(values, values => {
                    let sums = values.iter().map(|v| added.wrapping_add_signed(v.get()));
                    head.iter_mut().zip(sums).for_each(|(out, sum)| *out = [sum, 0, 0, 0]);
                });
                rest.fill([*added, 0, 0, 0]);
            }
            Self::Elements(values) => {
                let rows = out.par_iter_mut().with_min_len(1024).zip(*values);
                rows.for_each(|(out, value)| *out = element(value));
            }
        }
    }
}

impl Transforms {
    /// Commits to columns by their values.
    pub(super) fn commit_columns(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError> {
        let mut commitments = vec![G1::identity(); columns.len()];
        for (group, members) in self.groups(columns) {
            let (places, scalars): (Vec<usize>, Vec<Scalars<'_>>) = members.into_iter().unzip();
            for (place, sum) in places.into_iter().zip(self.sums(group, &scalars)?) {
                commitments[place] += sum;
            }
        }
        Ok(commitments)
    }

    /// Commits to field elements, one in each row.
    pub(super) fn commit_elements(&self, values: &[Vec<Fr>]) -> Result<Vec<G1>, GpuError> {
        let scalars: Vec<Scalars<'_>> = values.iter().map(|v| Scalars::Elements(v)).collect();
        self.sums(Group { first: 0, bits: 0 }, &scalars)
    }

    /// The sums that commitments to some columns consist of, each with its column's place.
    fn groups<'c>(&self, columns: &[&'c Column<'c>]) -> BTreeMap<Group, Vec<(usize, Scalars<'c>)>> {
        let mut groups: BTreeMap<Group, Vec<_>> = BTreeMap::new();
        for (place, column) in columns.iter().enumerate() {
            let elements = match &column.values {
                Values::Small { tail, .. } => tail,
                Values::Narrow(_) => &[][..],
                Values::Dense(values) => values,
            };
            if !elements.is_empty() {
                let first = self.n() - elements.len();
                let group = groups.entry(Group { first, bits: 0 }).or_default();
                group.push((place, Scalars::Elements(elements)));
            }
            let Some((values, _)) = column.narrow() else {
                continue;
            };
            let (lowest, highest) = values.range();
            let added = lowest.min(0).unsigned_abs();
            let bits = u64::BITS - added.wrapping_add_signed(highest.max(0)).leading_zeros();
            if bits > 0 {
                let bits = bits.next_multiple_of(8);
                let group = groups.entry(Group { first: 0, bits }).or_default();
                group.push((place, Scalars::Integers { values, added }));
            }
        }
        groups
    }

    /// The sums of multiples of the last bases by each of some scalars.
    fn sums(&self, group: Group, scalars: &[Scalars<'_>]) -> Result<Vec<G1>, GpuError> {
        let rows = self.n() - group.first;
        let mut sums = Vec::with_capacity(scalars.len());
        for scalars in scalars.chunks(sums_at_a_time(rows)) {
            let mut all = vec![Element::default(); scalars.len() * rows];
            let places = all.par_chunks_mut(rows).zip(scalars);
            places.for_each(|(out, scalars)| scalars.write(out));
            let bases = (&self.bases, group.first..self.n());
            let found = self.device.sums(&all, bases, group.bits)?;
            for (sum, scalars) in found.iter().zip(scalars) {
                let sum = point(sum).ok_or_else(|| GpuError::OffCurve {
                    device: self.device.name().to_owned(),
                })?;
                sums.push(match scalars {
                    // The bases are the Lagrange polynomials' values, whose sum is 1: together they give the first
                    // point of the SRS, which is the generator.
                    Scalars::Integers { added, .. } => sum - G1::generator() * Fr::from(*added),
                    Scalars::Elements(_) => sum,
                });
            }
        }
        Ok(sums)
    }
}

pub(super) fn affine(point: &G1Affine) -> Affine {
    [element(&point.x), element(&point.y)]
}

/// The point that ICICLE's coordinates stand for, if they do.
fn point(coordinates: &Projective) -> Option<G1> {
    let [x, y, z] = coordinates.map(|limbs| from_element(&limbs));
    let (x, y, z) = (x?, y?, z?);
    let point = G1 { x, y, z };
    // With z = 0 the equation leaves the identity, and no point at all.
    let is_point = bool::from(point.is_on_curve()) && !bool::from(y.is_zero() & z.is_zero());
    is_point.then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_points_are_taken() {
        let (zero, one, two) = ([0; 4], [1, 0, 0, 0], [2, 0, 0, 0]);
        assert_eq!(point(&[one, two, one]), Some(G1::generator()));
        assert_eq!(point(&[zero, one, zero]), Some(G1::identity()));
        assert_eq!(point(&[zero, zero, zero]), None);
        assert_eq!(point(&[one, zero, zero]), None);
        assert_eq!(point(&[one, one, one]), None);
        // 1 plus the order of the base field.
        let above = [
            0x3c20_8c16_d87c_fd48,
            0x9781_6a91_6871_ca8d,
            0xb850_45b6_8181_585d,
            0x3064_4e72_e131_a029,
        ];
        assert_eq!(point(&[above, two, one]), None);
    }
}
