//! Choices from a tape of numbers, so that a tape which shrinks makes a model that shrinks.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// Reads choices off a tape. Past its end every number is 0, and 0 is the simplest choice.
#[derive(Debug)]
pub(crate) struct Draws<'a> {
    tape: &'a [u32],
}

impl<'a> Draws<'a> {
    pub(crate) fn new(tape: &'a [u32]) -> Self {
        Draws { tape }
    }

    fn next(&mut self) -> u32 {
        let Some((first, rest)) = self.tape.split_first() else {
            return 0;
        };
        self.tape = rest;
        *first
    }

    /// One of `0..count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.next() as usize % count
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.next() % 100 >= 100 - percent
    }

    /// One of the choices; what stands there more often comes more often.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// `count` numbers of one draw: all `limit` where it is 0, else within `-limit..=limit`, a share of them 0.
    pub(crate) fn weights(&mut self, count: usize, limit: i64, density: f64) -> Vec<i64> {
        let Some(mut rng) = self.rng() else {
            return vec![limit; count];
        };
        let mut one = |_| {
            if rng.gen_bool(density) {
                rng.gen_range(-limit..=limit)
            } else {
                0
            }
        };
        (0..count).map(&mut one).collect()
    }

    /// Random numbers that take one place on the tape; none where that is 0.
    pub(crate) fn rng(&mut self) -> Option<ChaCha20Rng> {
        match self.next() {
            0 => None,
            seed => Some(ChaCha20Rng::seed_from_u64(seed.into())),
        }
    }
}
