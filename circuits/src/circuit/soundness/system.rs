//! A constraint system as data: what a verifier holds a proof to, in a form that can be weakened piece by piece.

use std::collections::BTreeSet;

use halo2_proofs::{halo2curves::bn256::Fr, plonk::ConstraintSystem};

use crate::circuit::configure;
use crate::profile::Profile;

/// A column's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Advice,
    Fixed,
    Instance,
}

/// A cell that a gate reads, from the first of the rows of halo2 in which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cell {
    pub(super) kind: Kind,
    pub(super) column: usize,
    pub(super) rotation: i32,
}

/// A polynomial as it is written.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Constant(Fr),
    Cell(Cell),
    Challenge(usize),
    Negated(Box<Tree>),
    Sum(Box<Tree>, Box<Tree>),
    Product(Box<Tree>, Box<Tree>),
    Scaled(Box<Tree>, Fr),
}

impl Tree {
    /// Its value, given those of cells and challenges.
    pub(super) fn value(&self, cell: &impl Fn(Cell) -> Fr, challenge: &impl Fn(usize) -> Fr) -> Fr {
        let of = |tree: &Tree| tree.value(cell, challenge);
        match self {
            Tree::Constant(v) => *v,
            Tree::Cell(at) => cell(*at),
            Tree::Challenge(i) => challenge(*i),
            Tree::Negated(a) => -of(a),
            Tree::Sum(a, b) => of(a) + of(b),
            Tree::Product(a, b) => of(a) * of(b),
            Tree::Scaled(a, by) => of(a) * by,
        }
    }

    /// Its degree in the cells.
    pub(super) fn degree(&self) -> usize {
        match self {
            Tree::Constant(_) | Tree::Challenge(_) => 0,
            Tree::Cell(_) => 1,
            Tree::Negated(a) | Tree::Scaled(a, _) => a.degree(),
            Tree::Sum(a, b) => a.degree().max(b.degree()),
            Tree::Product(a, b) => a.degree() + b.degree(),
        }
    }
}

/// A constraint system. Whatever soundness rests on and a proof's bytes do not show is one of these fields.
#[derive(Clone, Debug)]
pub(super) struct System {
    /// The polynomials that vanish on all rows, by name.
    pub(super) gates: Vec<(String, Tree)>,
    /// Phase in which each advice column is committed to.
    pub(super) columns: Vec<u8>,
    /// Phase after which each challenge is drawn.
    pub(super) challenges: Vec<u8>,
    pub(super) fixed: usize,
    pub(super) instance: usize,
    /// What is opened.
    pub(super) opened: BTreeSet<Cell>,
    /// What the quotient is cut for.
    pub(super) degree: usize,
    /// Rows at the end of each column that hold random elements, and the one before them.
    pub(super) blinding: usize,
    /// Columns under copy constraints, halo2's own lookups and its selectors: there are none.
    pub(super) others: usize,
}

impl System {
    /// What a profile declares.
    pub(super) fn of(profile: &Profile) -> Self {
        let mut cs = ConstraintSystem::<Fr>::default();
        configure(&mut cs, profile);
        let gates = cs.gates().iter().flat_map(|gate| gate.polynomials());
        let trees = gates.map(|polynomial| {
            let leaf = |kind, column, rotation| {
                Tree::Cell(Cell {
                    kind,
                    column,
                    rotation,
                })
            };
            polynomial.evaluate(
                &Tree::Constant,
                &|_| unreachable!("no selectors"),
                &|q| leaf(Kind::Fixed, q.column_index(), q.rotation().0),
                &|q| leaf(Kind::Advice, q.column_index(), q.rotation().0),
                &|q| leaf(Kind::Instance, q.column_index(), q.rotation().0),
                &|c| Tree::Challenge(c.index()),
                &|a| Tree::Negated(Box::new(a)),
                &|a, b| Tree::Sum(Box::new(a), Box::new(b)),
                &|a, b| Tree::Product(Box::new(a), Box::new(b)),
                &|a, by| Tree::Scaled(Box::new(a), by),
            )
        });
        let names = cs.gates().iter().flat_map(|gate| {
            (0..gate.polynomials().len()).map(move |i| format!("{} {i}", gate.name()))
        });
        let gates = names.zip(trees).collect();
        let cell = |kind, column, rotation: i32| Cell {
            kind,
            column,
            rotation,
        };
        let advice = cs.advice_queries().iter();
        let fixed = cs.fixed_queries().iter();
        let instance = cs.instance_queries().iter();
        let opened = advice
            .map(|(c, r)| cell(Kind::Advice, c.index(), r.0))
            .chain(fixed.map(|(c, r)| cell(Kind::Fixed, c.index(), r.0)))
            .chain(instance.map(|(c, r)| cell(Kind::Instance, c.index(), r.0)))
            .collect();
        System {
            gates,
            columns: cs.advice_column_phase(),
            challenges: cs.challenge_phase(),
            fixed: cs.num_fixed_columns(),
            instance: cs.num_instance_columns(),
            opened,
            degree: cs.degree(),
            blinding: cs.blinding_factors() + 1,
            others: cs.permutation().get_columns().len() + cs.lookups().len() + cs.num_selectors(),
        }
    }
}
