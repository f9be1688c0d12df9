//! The batch opening, SHPLONK (Boneh, Drake, Fisch, Gabizon 2020, section 4).
//!
//! Polynomials opened at the same set of points `S_i` form a set. With challenges `y` inside a set and
//! `v` between sets, `P_i = Σ_j y^j·P_ij`, `R_i` the polynomial of degree below `|S_i|` with `P_i`'s
//! values on `S_i`, and `Z_i` vanishing on `S_i`:
//!
//! ```text
//! H(X) = Σ_i v^i·(P_i(X) - R_i(X))/Z_i(X)                              committed to, then u is drawn
//! L(X) = Σ_i v^i·Z_{T∖S_i}(u)·(P_i(X) - R_i(u)) - Z_T(u)·H(X)            vanishes at u;  T = ∪ S_i
//! W(X) = L(X)/((X - u)·Z_{T∖S_0}(u))                                   committed to
//! ```

use ff::Field;
use halo2_proofs::{
    arithmetic::{kate_division, lagrange_interpolate},
    halo2curves::bn256::{Fr, G1Affine},
    transcript::{Transcript, TranscriptWrite},
};
use rayon::prelude::*;

use super::{ProveError, fourier};
use crate::transcript::KeccakWrite;

/// A polynomial, a point where it is opened, and its value there.
#[derive(Clone, Copy)]
pub(crate) struct Opening<P> {
    pub(crate) polynomial: P,
    pub(crate) point: Fr,
    pub(crate) value: Fr,
}

struct Member<P> {
    polynomial: P,
    /// Points with values, in the order of the set's points.
    values: Vec<(Fr, Fr)>,
}

struct Set<P> {
    points: Vec<Fr>,
    members: Vec<Member<P>>,
}

/// Groups the openings as the verifier does: polynomials and sets in the order of their first opening.
fn group<P: Copy + Eq>(openings: &[Opening<P>]) -> Vec<Set<P>> {
    let mut members: Vec<Member<P>> = vec![];
    for opening in openings {
        let same = |member: &&mut Member<P>| member.polynomial == opening.polynomial;
        let value = (opening.point, opening.value);
        match members.iter_mut().find(same) {
            Some(member) => member.values.push(value),
            None => members.push(Member {
                polynomial: opening.polynomial,
                values: vec![value],
            }),
        }
    }
    let mut sets: Vec<Set<P>> = vec![];
    for mut member in members {
        member.values.sort_unstable_by_key(|(point, _)| *point);
        let points: Vec<Fr> = member.values.iter().map(|(point, _)| *point).collect();
        match sets.iter_mut().find(|set| set.points == points) {
            Some(set) => set.members.push(member),
            None => sets.push(Set {
                points,
                members: vec![member],
            }),
        }
    }
    sets
}

/// What an opening has computed for it.
pub(crate) trait Arithmetic {
    /// Names a polynomial that is opened.
    type Member: Copy + Eq;
    /// A polynomial that the opening makes.
    type Polynomial;

    /// A linear combination of opened polynomials.
    fn combine(&self, members: &[(Self::Member, Fr)]) -> Result<Self::Polynomial, ProveError>;

    /// A linear combination of polynomials made here.
    fn sum(&self, members: &[(&Self::Polynomial, Fr)]) -> Result<Self::Polynomial, ProveError>;

    /// For each, the polynomial less the one with few coefficients, divided by `Π (X - point)`.
    fn divide(
        &self,
        divisions: Vec<(&Self::Polynomial, Vec<Fr>, Vec<Fr>)>,
    ) -> Result<Vec<Self::Polynomial>, ProveError>;

    fn commit(&self, polynomial: &Self::Polynomial) -> Result<G1Affine, ProveError>;
}

/// Writes the opening of all polynomials.
pub(crate) fn open<A: Arithmetic>(
    openings: &[Opening<A::Member>],
    arithmetic: &A,
    transcript: &mut KeccakWrite,
) -> Result<(), ProveError> {
    let sets = group(openings);
    let y = *transcript.squeeze_challenge_scalar::<()>();
    let v = *transcript.squeeze_challenge_scalar::<()>();

    // P_i and R_i.
    let combined: Vec<(A::Polynomial, Vec<Fr>)> = sets
        .iter()
        .map(|set| combine_set(set, arithmetic, y))
        .collect::<Result<_, _>>()?;
    let divisions = combined
        .iter()
        .zip(&sets)
        .map(|((p, r), set)| (p, r.clone(), set.points.clone()));
    let quotients = arithmetic.divide(divisions.collect())?;
    let powers = std::iter::successors(Some(Fr::ONE), |power| Some(*power * v));
    let terms: Vec<(&A::Polynomial, Fr)> = quotients.iter().zip(powers).collect();
    let h = arithmetic.sum(&terms)?;
    write(arithmetic.commit(&h)?, transcript)?;
    let u = *transcript.squeeze_challenge_scalar::<()>();

    let mut all_points: Vec<Fr> = sets.iter().flat_map(|set| set.points.clone()).collect();
    all_points.sort_unstable();
    all_points.dedup();
    let vanishing = |excluded: &[Fr]| {
        all_points
            .iter()
            .filter(|p| !excluded.contains(p))
            .fold(Fr::ONE, |z, p| z * (u - p))
    };
    // Everything is divided by this, so that the verifier need not scale the first set.
    let normalizer =
        Option::<Fr>::from(vanishing(&sets[0].points).invert()).ok_or(ProveError::Identity {
            what: "opening's challenge".to_owned(),
        })?;
    let mut terms = vec![];
    let mut constant = Fr::ZERO;
    let mut power = normalizer;
    for ((p, r), set) in combined.iter().zip(&sets) {
        let factor = power * vanishing(&set.points);
        terms.push((p, factor));
        constant += factor * fourier::evaluate(r, u);
        power *= v;
    }
    terms.push((&h, -(normalizer * vanishing(&[]))));
    let l = arithmetic.sum(&terms)?;
    let w = arithmetic.divide(vec![(&l, vec![constant], vec![u])])?;
    write(arithmetic.commit(&w[0])?, transcript)
}

fn combine_set<A: Arithmetic>(
    set: &Set<A::Member>,
    arithmetic: &A,
    y: Fr,
) -> Result<(A::Polynomial, Vec<Fr>), ProveError> {
    let mut values = vec![Fr::ZERO; set.points.len()];
    let mut members = vec![];
    let mut power = Fr::ONE;
    for member in &set.members {
        members.push((member.polynomial, power));
        values
            .iter_mut()
            .zip(&member.values)
            .for_each(|(sum, (_, value))| *sum += power * value);
        power *= y;
    }
    Ok((
        arithmetic.combine(&members)?,
        lagrange_interpolate(&set.points, &values),
    ))
}

/// Coefficients in vectors, for provers that have the opened polynomials so.
pub(crate) struct Coefficients<'a, P> {
    pub(crate) n: usize,
    pub(crate) opened: &'a dyn Fn(P) -> &'a [Fr],
    pub(crate) commit: &'a dyn Fn(&[Fr]) -> G1Affine,
}

impl<P: Copy + Eq> Arithmetic for Coefficients<'_, P> {
    type Member = P;
    type Polynomial = Vec<Fr>;

    fn combine(&self, members: &[(P, Fr)]) -> Result<Vec<Fr>, ProveError> {
        let mut sum = vec![Fr::ZERO; self.n];
        for (member, factor) in members {
            add_scaled(&mut sum, (self.opened)(*member), *factor);
        }
        Ok(sum)
    }

    fn sum(&self, members: &[(&Vec<Fr>, Fr)]) -> Result<Vec<Fr>, ProveError> {
        let mut sum = vec![Fr::ZERO; self.n];
        for (member, factor) in members {
            add_scaled(&mut sum, member, *factor);
        }
        Ok(sum)
    }

    fn divide(
        &self,
        divisions: Vec<(&Vec<Fr>, Vec<Fr>, Vec<Fr>)>,
    ) -> Result<Vec<Vec<Fr>>, ProveError> {
        let divide = |(polynomial, low, points): (&Vec<Fr>, Vec<Fr>, Vec<Fr>)| {
            let mut quotient = polynomial.clone();
            quotient.iter_mut().zip(&low).for_each(|(p, r)| *p -= r);
            points
                .iter()
                .fold(quotient, |q, point| kate_division(&q, *point))
        };
        Ok(divisions.into_par_iter().map(divide).collect())
    }

    fn commit(&self, polynomial: &Vec<Fr>) -> Result<G1Affine, ProveError> {
        Ok((self.commit)(polynomial))
    }
}

pub(crate) fn add_scaled(sum: &mut [Fr], summand: &[Fr], factor: Fr) {
    sum.par_iter_mut()
        .with_min_len(1024)
        .zip(summand)
        .for_each(|(sum, summand)| *sum += factor * summand);
}

fn write(point: G1Affine, transcript: &mut KeccakWrite) -> Result<(), ProveError> {
    let written = transcript.write_point(point);
    written.map_err(|_| ProveError::Identity {
        what: "opening".to_owned(),
    })
}
