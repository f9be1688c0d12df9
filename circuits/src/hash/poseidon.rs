//! The Poseidon permutation over the scalar field of BN254: width 3, `x^5`, 8 full and 57 partial rounds, with the
//! parameters of circomlib.

use std::sync::OnceLock;

use ark_ff::PrimeField as _;
use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::Fr;

/// Field elements of the state.
pub const WIDTH: usize = 3;
/// Rounds in which every element passes an S-box, half of them first, half last.
pub const FULL_ROUNDS: usize = 8;
/// Rounds in which the first element alone does.
pub const PARTIAL_ROUNDS: usize = 57;

/// State of the permutation.
pub type State = [Fr; WIDTH];

/// Constants of the permutation.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Added in front of each S-box: three for a full round, one for a partial one.
    ///
    /// In a partial round the constants of the other elements meet no S-box before the matrix, so that they can be
    /// added behind it: the permutation is the same with all of them carried into the next round's.
    pub rounds: Vec<Vec<Fr>>,
    /// The matrix.
    pub matrix: [State; WIDTH],
    /// Its inverse.
    pub inverse: [State; WIDTH],
}

/// The constants, made once.
pub fn parameters() -> &'static Parameters {
    static PARAMETERS: OnceLock<Parameters> = OnceLock::new();
    PARAMETERS.get_or_init(|| {
        let given = light_poseidon::parameters::bn254_x5::get_poseidon_parameters::<ark_bn254::Fr>(
            WIDTH as u8,
        )
        .expect("the crate has width 3");
        let matrix = std::array::from_fn(|i| std::array::from_fn(|j| convert(&given.mds[i][j])));
        let mut rounds: Vec<Vec<Fr>> = given
            .ark
            .chunks(WIDTH)
            .map(|c| c.iter().map(convert).collect())
            .collect();
        let half = FULL_ROUNDS / 2;
        for r in half..half + PARTIAL_ROUNDS {
            let carried = multiply(&matrix, &[Fr::ZERO, rounds[r][1], rounds[r][2]]);
            rounds[r].truncate(1);
            rounds[r + 1]
                .iter_mut()
                .zip(carried)
                .for_each(|(c, more)| *c += more);
        }
        Parameters {
            rounds,
            matrix,
            inverse: invert(&matrix),
        }
    })
}

fn convert(v: &ark_bn254::Fr) -> Fr {
    let mut bytes = [0; 32];
    for (to, limb) in bytes.chunks_mut(8).zip(v.into_bigint().0) {
        to.copy_from_slice(&limb.to_le_bytes());
    }
    Option::from(Fr::from_repr(bytes)).expect("both are the scalar field of BN254")
}

/// `matrix · v`.
pub(crate) fn multiply(matrix: &[State; WIDTH], v: &State) -> State {
    std::array::from_fn(|i| (0..WIDTH).map(|j| matrix[i][j] * v[j]).sum())
}

/// The inverse by cofactors.
fn invert(m: &[State; WIDTH]) -> [State; WIDTH] {
    let minor = |i: usize, j: usize| {
        let ([a, b], [c, d]) = ([(i + 1) % 3, (i + 2) % 3], [(j + 1) % 3, (j + 2) % 3]);
        m[a][c] * m[b][d] - m[a][d] * m[b][c]
    };
    let determinant: Fr = (0..WIDTH).map(|j| m[0][j] * minor(0, j)).sum();
    let scale = Option::<Fr>::from(determinant.invert()).expect("an MDS matrix is invertible");
    std::array::from_fn(|i| std::array::from_fn(|j| minor(j, i) * scale))
}

pub(crate) fn fourth_power(x: Fr) -> Fr {
    x.square().square()
}

/// Applies the permutation.
pub fn permute(state: &mut State) {
    let parameters = parameters();
    for constants in &parameters.rounds {
        for (s, c) in state.iter_mut().zip(constants) {
            let x = *s + c;
            *s = fourth_power(x) * x;
        }
        *state = multiply(&parameters.matrix, state);
    }
}

#[cfg(test)]
mod tests {
    use light_poseidon::{Poseidon, PoseidonHasher};

    use super::*;

    /// The crate that the constants come from applies them as they are.
    #[test]
    fn it_is_the_permutation_of_circomlib() {
        for tag in [0u64, 7] {
            for (a, b) in [(1u64, 2u64), (0, 0), (u64::MAX, 3)] {
                let mut state = [tag, a, b].map(Fr::from);
                permute(&mut state);
                let ark = |v: u64| ark_bn254::Fr::from(v);
                let mut reference =
                    Poseidon::<ark_bn254::Fr>::with_domain_tag_circom(2, ark(tag)).unwrap();
                assert_eq!(
                    state[0],
                    convert(&reference.hash(&[ark(a), ark(b)]).unwrap())
                );
            }
        }
    }

    #[test]
    fn the_inverse_is_one() {
        let p = parameters();
        let v = [3, 5, 7].map(Fr::from);
        assert_eq!(multiply(&p.inverse, &multiply(&p.matrix, &v)), v);
    }
}
