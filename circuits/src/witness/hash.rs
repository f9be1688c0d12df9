//! The hash columns.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::field;
use crate::hash::poseidon::{State, fourth_power, multiply, parameters};
use crate::layout::Layout;
use crate::profile::{HashFixed, boundary, fixed, hash_op};

/// The state's three columns and the S-boxes' fourth powers, rows `0..=last_row`, and the digests. `value` gives the
/// hashed values by port (outputs, then inputs) and element.
pub(crate) fn run(layout: &Layout, value: impl Fn(usize, usize) -> i64) -> (Vec<Vec<Fr>>, Vec<Fr>) {
    let rows = layout.last_row() + 1;
    let mut columns = vec![vec![Fr::ZERO; rows]; layout.profile.hash_state().len()];
    let mut digests = Vec::new();
    let program = &layout.hash;
    let mut absorbed = program.absorbed.iter();
    let at = |column: usize, row: usize| layout.fixed[column].get(row).copied().unwrap_or(0);
    let mut state = [Fr::ZERO; 3];
    for (row, constant) in program.constants.iter().enumerate() {
        match at(fixed::BOUNDARY, row) {
            boundary::LOAD => state = [*constant, Fr::ZERO, Fr::ZERO],
            boundary::DIGEST => digests.push(state[0]),
            _ => {}
        }
        let [s0, s1, s2] = state;
        let x = s0 + constant;
        let power = fourth_power(x);
        for (column, v) in columns.iter_mut().zip([s0, s1, s2, power]) {
            column[row] = v;
        }
        state = match at(layout.profile.hash_fixed(HashFixed::Op), row) {
            hash_op::SBOX => [s1, s2, power * x],
            hash_op::ROUND => multiply(&parameters().matrix, &[power * x, s1, s2]),
            hash_op::ROTATE => [s1, s2, s0],
            hash_op::ABSORB => {
                let a = absorbed.next().expect("as many as rows that absorb");
                [s0 + field(value(a.port, a.element)) * a.weight, s1, s2]
            }
            _ => State::default(),
        };
    }
    (columns, digests)
}
