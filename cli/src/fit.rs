//! Least squares.

/// Coefficients `c >= 0` that make `Σ c_i·terms_i` come near the values, in the sum of squared *relative* errors, so that
/// a large value counts as much as a small one. A term that the others make up, or whose best coefficient is
/// negative, gets zero. All values must be positive.
pub fn least_squares<const N: usize>(samples: &[([f64; N], f64)]) -> [f64; N] {
    let mut active = vec![true; N];
    loop {
        let found = solve(samples, &active);
        let least = (0..N).min_by(|a, b| found[*a].total_cmp(&found[*b]));
        match least.filter(|i| found[*i] < 0.0) {
            Some(negative) => active[negative] = false,
            None => return found,
        }
    }
}

/// The normal equations of the active terms.
fn solve<const N: usize>(samples: &[([f64; N], f64)], active: &[bool]) -> [f64; N] {
    // Columns scaled to length one, so that what is left of a pivot tells how independent its column is.
    let scaled = |terms: &[f64; N], value: f64, i: usize| {
        if active[i] { terms[i] / value } else { 0.0 }
    };
    let mut lengths = [0.0; N];
    for (i, length) in lengths.iter_mut().enumerate() {
        let squares = samples.iter().map(|(t, v)| scaled(t, *v, i).powi(2));
        *length = squares.sum::<f64>().sqrt();
    }
    let mut equations = [[0.0; N]; N];
    let mut right = [0.0; N];
    for (terms, value) in samples {
        let unit: [f64; N] = std::array::from_fn(|i| match lengths[i] {
            0.0 => 0.0,
            length => scaled(terms, *value, i) / length,
        });
        for i in 0..N {
            for j in 0..N {
                equations[i][j] += unit[i] * unit[j];
            }
            right[i] += unit[i];
        }
    }
    // Gauss-Jordan; the matrix is symmetric and not negative, so pivots stay on the diagonal.
    let mut used = [false; N];
    for _ in 0..N {
        let free = (0..N).filter(|i| !used[*i]);
        let Some(pivot) = free.max_by(|a, b| equations[*a][*a].total_cmp(&equations[*b][*b]))
        else {
            break;
        };
        if equations[pivot][pivot] < 1e-9 {
            break;
        }
        used[pivot] = true;
        let inverse = 1.0 / equations[pivot][pivot];
        equations[pivot].iter_mut().for_each(|v| *v *= inverse);
        right[pivot] *= inverse;
        let (row, value) = (equations[pivot], right[pivot]);
        for i in (0..N).filter(|i| *i != pivot) {
            let factor = equations[i][pivot];
            for j in 0..N {
                equations[i][j] -= factor * row[j];
            }
            right[i] -= factor * value;
        }
    }
    std::array::from_fn(|i| if used[i] { right[i] / lengths[i] } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(truth: [f64; 3]) -> Vec<([f64; 3], f64)> {
        let terms = [
            [1.0, 10.0, 3.0],
            [1.0, 40.0, 5.0],
            [1.0, 7.0, 90.0],
            [1.0, 2.0, 1.0],
            [1.0, 300.0, 8.0],
        ];
        let value = |terms: &[f64; 3]| terms.iter().zip(truth).map(|(t, c)| t * c).sum();
        terms.iter().map(|t| (*t, value(t))).collect()
    }

    #[test]
    fn exact_values_give_their_coefficients() {
        let truth = [20.0, 1.5, 0.25];
        let found = least_squares(&samples(truth));
        for (found, truth) in found.iter().zip(truth) {
            assert!((found - truth).abs() < 1e-6, "{found} {truth}");
        }
    }

    #[test]
    fn noise_moves_them_little() {
        let truth = [20.0, 1.5, 0.25];
        let mut noisy = samples(truth);
        for (i, (_, value)) in noisy.iter_mut().enumerate() {
            *value *= if i % 2 == 0 { 1.01 } else { 0.99 };
        }
        let found = least_squares(&noisy);
        assert!((found[1] / truth[1] - 1.0).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn what_cannot_be_told_apart_or_is_negative_is_zero() {
        let twice: Vec<([f64; 2], f64)> = (1..5)
            .map(|i| ([f64::from(i), f64::from(2 * i)], f64::from(6 * i)))
            .collect();
        let [a, b] = least_squares(&twice);
        assert!((a + 2.0 * b - 6.0).abs() < 1e-6 && (a == 0.0 || b == 0.0));

        let found = least_squares(&samples([20.0, 1.5, -0.05]));
        assert_eq!(found[2], 0.0);
        assert!(found.iter().all(|c| *c >= 0.0));
        assert_eq!(least_squares::<2>(&[]), [0.0; 2]);
    }
}
