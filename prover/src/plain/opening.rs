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

/// Writes the opening of all polynomials, of `n` coefficients each. `combine` gives the coefficients of a
/// linear combination, `commit` commits to coefficients.
pub(crate) fn open<P: Copy + Eq + Sync>(
    openings: &[Opening<P>],
    n: usize,
    combine: impl Fn(&[(P, Fr)]) -> Vec<Fr>,
    commit: impl Fn(&[Fr]) -> G1Affine,
    transcript: &mut KeccakWrite,
) -> Result<(), ProveError> {
    let sets = group(openings);
    let y = *transcript.squeeze_challenge_scalar::<()>();
    let v = *transcript.squeeze_challenge_scalar::<()>();

    // P_i and R_i.
    let combined: Vec<(Vec<Fr>, Vec<Fr>)> = sets
        .iter()
        .map(|set| combine_set(set, &combine, y))
        .collect();
    let points: Vec<&[Fr]> = sets.iter().map(|set| &set.points[..]).collect();
    let quotients: Vec<Vec<Fr>> = combined
        .par_iter()
        .zip(points)
        .map(|((p, r), points)| {
            let mut quotient = p.clone();
            quotient.iter_mut().zip(r).for_each(|(p, r)| *p -= r);
            points
                .iter()
                .fold(quotient, |q, point| kate_division(&q, *point))
        })
        .collect();
    let mut h = vec![Fr::ZERO; n];
    let mut power = Fr::ONE;
    for quotient in &quotients {
        add_scaled(&mut h, quotient, power);
        power *= v;
    }
    write(commit(&h), transcript)?;
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
    let mut l = vec![Fr::ZERO; n];
    let mut power = normalizer;
    for ((p, r), set) in combined.iter().zip(&sets) {
        let factor = power * vanishing(&set.points);
        add_scaled(&mut l, p, factor);
        l[0] -= factor * fourier::evaluate(r, u);
        power *= v;
    }
    add_scaled(&mut l, &h, -(normalizer * vanishing(&[])));
    debug_assert_eq!(fourier::evaluate(&l, u), Fr::ZERO);
    write(commit(&kate_division(&l, u)), transcript)
}

fn combine_set<P: Copy>(
    set: &Set<P>,
    combine: impl Fn(&[(P, Fr)]) -> Vec<Fr>,
    y: Fr,
) -> (Vec<Fr>, Vec<Fr>) {
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
    (
        combine(&members),
        lagrange_interpolate(&set.points, &values),
    )
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
