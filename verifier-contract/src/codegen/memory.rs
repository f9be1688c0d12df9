//! Where everything lies in the contract's memory.

use super::{
    dag::{challenge_name, eval_name},
    layout::{KEY_FIXED_WORDS, ProofPoint, VerifierLayout},
    text::{
        difference, instance_denominator, instance_rotations, interpolation_weight, point, suffix,
    },
};

/// Named places in memory, one after the other.
#[derive(Debug)]
pub(super) struct MemoryMap {
    next: usize,
    names: Vec<(String, usize, Option<String>)>,
}

impl MemoryMap {
    fn word(&mut self, name: impl Into<String>) {
        self.words(name, 1, None);
    }

    fn words(&mut self, name: impl Into<String>, words: usize, comment: Option<&str>) {
        self.names
            .push((name.into(), self.next, comment.map(str::to_owned)));
        self.next += 32 * words;
    }

    /// Names the next word without taking it.
    fn mark(&mut self, name: impl Into<String>, comment: &str) {
        self.words(name, 0, Some(comment));
    }

    pub(super) fn offset(&self, name: &str) -> usize {
        let found = self.names.iter().find(|(n, ..)| n == name);
        found.expect("every name that is used stands in the map").1
    }

    /// Lays out a profile's memory, up to the shared subexpressions, whose number the gates decide.
    pub(super) fn of(layout: &VerifierLayout, inverses: usize) -> Self {
        // The key's STOP byte is the last byte of the word before, Solidity's first free one.
        let mut map = Self {
            next: 0xa0,
            names: Vec::new(),
        };
        for name in [
            "KEY_ID",
            "KEY_K",
            "KEY_ROWS",
            "KEY_TRANSCRIPT_REPR",
            "KEY_N_INV",
            "KEY_OMEGA_INV",
        ] {
            map.word(name);
        }
        map.words(
            "KEY_G2",
            4,
            Some("imaginary parts first, as the pairing precompile reads them"),
        );
        map.words("KEY_S_G2", 4, None);
        debug_assert_eq!(map.next, 0xa0 + 32 * KEY_FIXED_WORDS);
        for rotation in &layout.rotations {
            map.word(format!("KEY_OMEGA{}", suffix(*rotation)));
        }
        for (i, set) in layout.sets.iter().enumerate() {
            for j in 0..set.interpolation_weights() {
                map.word(interpolation_weight(i, j));
            }
        }
        for column in 0..layout.fixed_columns {
            map.words(format!("F{column}_COMMITMENT"), 2, None);
        }
        for (i, section) in layout.sections.iter().enumerate() {
            if i == 0 {
                map.mark(
                    "POINTS_0",
                    "section 0 is hashed at FREE, where it has room for the instances",
                );
            } else {
                map.words(
                    format!("STATE_{i}"),
                    1,
                    Some("transcript state, then what is absorbed next"),
                );
            }
            for p in &section.points {
                let name = match p {
                    ProofPoint::Advice(column) => format!("A{column}_COMMITMENT"),
                    ProofPoint::Random => "RANDOM_COMMITMENT".to_owned(),
                    ProofPoint::Quotient(piece) => format!("QUOTIENT_{piece}_COMMITMENT"),
                    ProofPoint::H1 => "H1".to_owned(),
                    ProofPoint::H2 => "H2".to_owned(),
                };
                map.words(name, 2, None);
            }
            if section.scalars > 0 {
                for (column, rotation) in &layout.advice_queries {
                    map.word(eval_name('A', *column, *rotation));
                }
                for (column, rotation) in &layout.fixed_queries {
                    map.word(eval_name('F', *column, *rotation));
                }
                map.word("RANDOM_EVAL");
            }
        }
        for challenge in 0..layout.challenges {
            map.word(challenge_name(challenge));
        }
        for name in ["Y", "X", "SET_Y", "SET_V", "SET_U"] {
            map.word(name);
        }
        map.words("X_N", 1, Some("x^n"));
        for rotation in layout.rotations.iter() {
            map.word(point(*rotation));
        }
        for rotation in &layout.opened {
            map.word(difference(*rotation));
        }
        for (column, rotation) in &layout.instance_queries {
            map.word(eval_name('I', *column, *rotation));
        }
        for rotation in instance_rotations(layout) {
            map.word(instance_denominator(rotation));
        }
        map.word("QUOTIENT_EVAL");
        for i in 0..inverses {
            map.words(
                format!("INVERSE_{i}"),
                1,
                (i == 0).then_some("all that is divided by, then its inverses"),
            );
        }
        map.words(
            "PREFIX",
            inverses,
            Some("products of the values before each"),
        );
        map.words("MODEXP", 6, Some("input of precompile 5"));
        for (name, side) in [("RIGHT", "G2"), ("LEFT", "s·G2")] {
            let comment =
                format!("paired with {side}: a sum of points, then a product and its scalar");
            map.words(name, 5, Some(&comment));
        }
        map.words(
            "GENERATOR_SCALAR",
            1,
            Some("what G is multiplied by, summed over the proofs"),
        );
        map.words(
            "FIXED_SCALARS",
            layout.fixed_columns,
            Some("what each fixed commitment is multiplied by, likewise"),
        );
        map.words("GENERATOR", 2, Some("of G1"));
        map.words("PAIRING", 12, Some("input of precompile 8"));
        map.mark("SHARED", "shared subexpressions of the gates");
        map
    }

    /// Takes the words of the shared subexpressions; what follows is free.
    pub(super) fn close(&mut self, shared: usize) {
        self.next += 32 * shared;
        self.mark(
            "FREE",
            "instances, while section 0 of the transcript is hashed",
        );
    }

    /// Names, offsets and comments, in order.
    pub(super) fn constants(&self) -> impl Iterator<Item = (&str, usize, Option<&str>)> {
        let names = self.names.iter();
        names.map(|(name, offset, comment)| (name.as_str(), *offset, comment.as_deref()))
    }
}
