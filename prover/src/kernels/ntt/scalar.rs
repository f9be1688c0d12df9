//! The transform on single elements.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::Threads;

/// Elements whose layers all run within the cache.
const CACHED: usize = 1 << 12;

/// Twiddle factors of every layer.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    /// At `h + j` for the layer that joins halves of `h` elements: `shift^(n/2h)·ω_(2h)^j`.
    factors: Vec<Fr>,
}

impl Tables {
    pub(super) fn new(k: u32, omega: Fr, shift: Fr) -> Self {
        let size = 1usize << k;
        let mut factors = vec![Fr::ONE; size];
        // The layer of the whole has the finest roots; each one below takes every other of them, squared shift.
        let (mut half, mut root, mut shift) = (size / 2, omega, shift);
        while half > 0 {
            let mut power = shift;
            for factor in &mut factors[half..2 * half] {
                *factor = power;
                power *= root;
            }
            half /= 2;
            root = root.square();
            shift = shift.square();
        }
        Tables { factors }
    }

    /// In place, natural order on both sides.
    pub(super) fn transform(&self, values: &mut [Fr], threads: Threads) {
        let size = values.len();
        if size < 2 {
            return;
        }
        let unused_bits = usize::BITS - size.ilog2();
        for i in 0..size {
            let j = i.reverse_bits() >> unused_bits;
            if i < j {
                values.swap(i, j);
            }
        }
        self.join_halves(values, threads);
    }

    /// All layers over bit-reversed `values`.
    fn join_halves(&self, values: &mut [Fr], threads: Threads) {
        if values.len() <= CACHED {
            let mut half = 1;
            while half < values.len() {
                for pair in values.chunks_exact_mut(2 * half) {
                    let (low, high) = pair.split_at_mut(half);
                    butterflies(low, high, &self.factors[half..2 * half]);
                }
                half *= 2;
            }
            return;
        }
        let half = values.len() / 2;
        let (low, high) = values.split_at_mut(half);
        threads.join(
            || self.join_halves(low, threads),
            || self.join_halves(high, threads),
        );
        join_layer(low, high, &self.factors[half..2 * half], threads);
    }
}

/// [`butterflies`], split between threads.
fn join_layer(low: &mut [Fr], high: &mut [Fr], factors: &[Fr], threads: Threads) {
    if threads == Threads::One || low.len() <= CACHED {
        return butterflies(low, high, factors);
    }
    let half = low.len() / 2;
    let ((l0, l1), (h0, h1), (f0, f1)) = (
        low.split_at_mut(half),
        high.split_at_mut(half),
        factors.split_at(half),
    );
    threads.join(
        || join_layer(l0, h0, f0, threads),
        || join_layer(l1, h1, f1, threads),
    );
}

fn butterflies(low: &mut [Fr], high: &mut [Fr], factors: &[Fr]) {
    for ((a, b), factor) in low.iter_mut().zip(high).zip(factors) {
        let product = *b * factor;
        *b = *a - product;
        *a += product;
    }
}
