//! Every weakening of the constraint system is noticed.
//!
//! Gates, factors, terms, signs, constants, cells and challenges of every gate are taken away or exchanged one by one; so
//! are phases, openings, blinding, degree. Each has to be rejected by the judge that knows the equations alone.

use std::collections::BTreeSet;

use ff::Field;
use rayon::prelude::*;

use super::equations::{Judge, Point};
use super::system::{Cell, Kind, System, Tree};
use super::{FOLDED, Profile, SMALL, TABLES, WIDE};
use crate::profile::ALL;
use halo2_proofs::halo2curves::bn256::Fr;

fn profiles() -> Vec<Profile> {
    let mut out = ALL.to_vec();
    for profile in [SMALL, WIDE, TABLES, FOLDED] {
        out.extend([false, true].map(|hash| Profile { hash, ..profile }));
    }
    // What no profile has: more lanes than limbs, one lane fewer than a fold, one table.
    out.push(Profile {
        lanes: 2,
        fixed_lanes: 4,
        limbs: 3,
        tables: 1,
        fold: 2,
        hash: true,
    });
    out
}

/// The gates as they are written are those of the docs, in all profiles.
#[test]
fn the_gates_are_those_of_the_docs() {
    profiles().into_par_iter().for_each(|profile| {
        let judged = Judge::new(profile).system(&System::of(&profile));
        assert_eq!(judged, Ok(()), "{}", profile.name());
    });
}

/// What one place of a polynomial is exchanged for; none where it is the same polynomial by its form.
fn weaker(tree: &Tree, fold: i32) -> Vec<(&'static str, Tree)> {
    let boxed = |a: &Tree| Box::new(a.clone());
    match tree {
        Tree::Constant(v) => vec![
            ("constant and one", Tree::Constant(*v + Fr::ONE)),
            (
                "constant doubled and one",
                Tree::Constant(v.double() + Fr::ONE),
            ),
        ],
        Tree::Cell(at) => {
            let mut out = vec![("a cell left out", Tree::Constant(Fr::ZERO))];
            for by in BTreeSet::from([1, -1, fold, -fold]) {
                let rotation = at.rotation + by;
                out.push(("another rotation", Tree::Cell(Cell { rotation, ..*at })));
            }
            for column in [Some(at.column + 1), at.column.checked_sub(1)] {
                out.extend(
                    column.map(|column| ("another column", Tree::Cell(Cell { column, ..*at }))),
                );
            }
            let kind = match at.kind {
                Kind::Fixed => Kind::Advice,
                Kind::Advice | Kind::Instance => Kind::Fixed,
            };
            out.push(("another kind of column", Tree::Cell(Cell { kind, ..*at })));
            out
        }
        Tree::Challenge(i) => {
            let others = (0..6).filter(|j| j != i);
            let mut out: Vec<_> = others
                .map(|j| ("another challenge", Tree::Challenge(j)))
                .collect();
            out.push(("a challenge fixed", Tree::Constant(Fr::ONE)));
            out.push(("a challenge left out", Tree::Constant(Fr::ZERO)));
            out
        }
        Tree::Negated(a) => vec![("another sign", (**a).clone())],
        Tree::Sum(a, b) => vec![
            ("a term left out", (**a).clone()),
            ("a term left out", (**b).clone()),
            (
                "another sign",
                Tree::Sum(boxed(a), Box::new(Tree::Negated(boxed(b)))),
            ),
        ],
        Tree::Product(a, b) => {
            let one = |factor: &Tree| matches!(factor, Tree::Constant(v) if *v == Fr::ONE);
            let mut out = vec![("a product left out", Tree::Constant(Fr::ZERO))];
            out.extend((!one(b)).then(|| ("a factor left out", (**a).clone())));
            out.extend((!one(a)).then(|| ("a factor left out", (**b).clone())));
            out
        }
        Tree::Scaled(a, by) => vec![
            ("a scale left out", (**a).clone()),
            ("another scale", Tree::Scaled(boxed(a), *by + Fr::ONE)),
        ],
    }
}

/// The polynomial with one of its places weakened, for all places and weakenings.
fn weakened(tree: &Tree, fold: i32, out: &mut Vec<(&'static str, Tree)>) {
    let mut inside = |part: &Tree, whole: &dyn Fn(Tree) -> Tree| {
        let mut parts = Vec::new();
        weakened(part, fold, &mut parts);
        out.extend(parts.into_iter().map(|(what, part)| (what, whole(part))));
    };
    let boxed = |a: &Tree| Box::new(a.clone());
    match tree {
        Tree::Constant(_) | Tree::Cell(_) | Tree::Challenge(_) => {}
        Tree::Negated(a) => inside(a, &|a| Tree::Negated(Box::new(a))),
        Tree::Scaled(a, by) => inside(a, &|a| Tree::Scaled(Box::new(a), *by)),
        Tree::Sum(a, b) => {
            inside(a, &|a| Tree::Sum(Box::new(a), boxed(b)));
            inside(b, &|b| Tree::Sum(boxed(a), Box::new(b)));
        }
        Tree::Product(a, b) => {
            inside(a, &|a| Tree::Product(Box::new(a), boxed(b)));
            inside(b, &|b| Tree::Product(boxed(a), Box::new(b)));
        }
    }
    out.extend(weaker(tree, fold));
}

/// All weakenings of all gates of a profile; how many there were.
fn every_weakening_of_a_gate_is_noticed(profile: Profile) -> usize {
    let (judge, system) = (Judge::new(profile), System::of(&profile));
    let count = |(i, gate): (usize, &(String, Tree))| {
        let mut all = Vec::new();
        weakened(&gate.1, profile.fold as i32, &mut all);
        for (what, tree) in &all {
            let weak = (gate.0.clone(), tree.clone());
            assert!(
                judge.gate(i, &weak).is_err(),
                "{}: {}, {what}: {tree:?}",
                profile.name(),
                gate.0
            );
        }
        all.len()
    };
    system.gates.par_iter().enumerate().map(count).sum()
}

#[test]
fn every_weakening_of_every_gate_is_noticed() {
    for profile in [
        Profile {
            hash: true,
            ..SMALL
        },
        Profile {
            hash: true,
            ..FOLDED
        },
        ALL[0],
    ] {
        let tried = every_weakening_of_a_gate_is_noticed(profile);
        assert!(tried > 2000, "{}: {tried}", profile.name());
    }
}

#[test]
#[ignore = "slow: all profiles"]
fn slow_every_weakening_of_every_gate_is_noticed() {
    for profile in profiles() {
        every_weakening_of_a_gate_is_noticed(profile);
    }
}

/// Systems that lack something that is no part of a polynomial.
fn weaker_systems(system: &System) -> Vec<(String, System)> {
    let mut out: Vec<(String, System)> = Vec::new();
    let mut push = |what: String, change: &dyn Fn(&mut System)| {
        let mut weak = system.clone();
        change(&mut weak);
        out.push((what, weak));
    };
    for (i, gate) in system.gates.iter().enumerate() {
        push(format!("{} left out", gate.0), &|s| {
            s.gates.remove(i);
        });
        push(format!("{} empty", gate.0), &|s| {
            s.gates[i].1 = Tree::Constant(Fr::ZERO);
        });
    }
    for i in 0..system.challenges.len() {
        for phase in (0..3).filter(|phase| *phase != system.challenges[i]) {
            push(format!("challenge {i} after phase {phase}"), &|s| {
                s.challenges[i] = phase;
            });
        }
    }
    for i in 0..system.columns.len() {
        for phase in (0..3).filter(|phase| *phase != system.columns[i]) {
            push(format!("advice column {i} in phase {phase}"), &|s| {
                s.columns[i] = phase;
            });
        }
    }
    for cell in &system.opened {
        push(format!("{cell:?} not opened"), &|s| {
            s.opened.remove(cell);
        });
    }
    push("a row of blinding less".into(), &|s| s.blinding -= 1);
    push("a smaller quotient".into(), &|s| s.degree -= 1);
    push("a fixed column less".into(), &|s| s.fixed -= 1);
    push("an instance column less".into(), &|s| s.instance -= 1);
    push("a copy constraint".into(), &|s| s.others += 1);
    out
}

#[test]
fn every_weakening_of_the_system_is_noticed() {
    for profile in [SMALL, FOLDED].map(|p| Profile { hash: true, ..p }) {
        let judge = Judge::new(profile);
        for (what, weak) in weaker_systems(&System::of(&profile)) {
            assert!(judge.system(&weak).is_err(), "{}: {what}", profile.name());
        }
    }
}

/// The values of different cells differ, or the judge would not see one exchanged for another.
#[test]
fn the_judges_cells_differ() {
    let mut seen = BTreeSet::new();
    for kind in [Kind::Advice, Kind::Fixed, Kind::Instance] {
        for column in 0..200 {
            for rotation in -16..16 {
                let cell = Cell {
                    kind,
                    column,
                    rotation,
                };
                assert!(seen.insert(Point(5).cell(cell)), "{cell:?}");
            }
        }
    }
    assert!((0..6).all(|i| seen.insert(Point(5).challenge(i))));
}
