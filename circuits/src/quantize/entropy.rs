//! The range that keeps most of a tensor's information.
//!
//! Magnitudes are counted in bins; for each candidate end `t` the distribution clipped to `t` (what lies beyond counts
//! at the end) is compared with what the quantizer's levels leave of it, by the Kullback-Leibler divergence
//! `Σ p·ln(p/q)`. The least one wins.

/// Bins of the magnitudes.
const BINS: usize = 2048;

/// With more levels than this a level is too few bins for their counts to say anything; nothing is clipped then.
const MOST_LEVELS: usize = BINS / 8;

/// Bins from one candidate to the next.
const STEP: usize = 16;

/// The magnitude to clip `values` to, where `levels` integers express magnitudes from 0 on. Zeros count nowhere: every
/// scale expresses them.
pub(super) fn clip(values: &[f32], levels: usize) -> f32 {
    let peak = values.iter().map(|v| v.abs()).fold(0.0, f32::max);
    if levels > MOST_LEVELS || peak == 0.0 || !peak.is_finite() {
        return peak;
    }
    let mut bins = vec![0u32; BINS];
    for v in values.iter().map(|v| v.abs()).filter(|&v| v > 0.0) {
        bins[((f64::from(v) / f64::from(peak) * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let ends = (levels..BINS).step_by(STEP).chain([BINS]);
    let (end, _) = ends
        .map(|end| (end, divergence(&bins, end, levels)))
        // Among equals the widest: nothing is gained by clipping then.
        .fold((BINS, f64::INFINITY), |best, one| {
            if one.1 <= best.1 { one } else { best }
        });
    (f64::from(peak) * end as f64 / BINS as f64) as f32
}

/// How much the first `end` bins say that `levels` groups of them do not.
fn divergence(bins: &[u32], end: usize, levels: usize) -> f64 {
    let beyond: f64 = bins[end..].iter().map(|&c| f64::from(c)).sum();
    let total: f64 = bins.iter().map(|&c| f64::from(c)).sum();
    let kept = total - beyond;
    let mut sum = 0.0;
    for level in 0..levels {
        let group = level * end / levels..(level + 1) * end / levels;
        let filled = bins[group.clone()].iter().filter(|&&c| c > 0).count();
        let mass: f64 = bins[group.clone()].iter().map(|&c| f64::from(c)).sum();
        for bin in group {
            let mut p = f64::from(bins[bin]);
            let q = if p > 0.0 { mass / filled as f64 } else { 0.0 };
            if bin + 1 == end {
                p += beyond;
            }
            if p > 0.0 {
                // A bin that only holds what was clipped: as if half a value had been there.
                let q = if q > 0.0 {
                    q / kept.max(1.0)
                } else {
                    0.5 / total
                };
                sum += p / total * (p / total / q).ln();
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bell of the given width, deterministic.
    fn bell(count: usize, width: f32) -> Vec<f32> {
        (0..count)
            .map(|i| {
                let u = (i as f64 + 0.5) / count as f64;
                // The logistic distribution's quantiles.
                (f64::from(width) * (u / (1.0 - u)).ln()) as f32
            })
            .collect()
    }

    #[test]
    fn a_few_outliers_are_clipped() {
        let mut values = bell(20_000, 1.0);
        values.extend([80.0, -95.0]);
        let at = clip(&values, 128);
        assert!((5.0..40.0).contains(&at), "{at}");
    }

    #[test]
    fn even_values_are_kept_whole() {
        let values: Vec<f32> = (-5000..=5000).map(|i| i as f32 / 1000.0).collect();
        let at = clip(&values, 128);
        assert!(at > 4.9, "{at}");
    }

    #[test]
    fn nothing_to_choose_keeps_the_peak() {
        assert_eq!(clip(&[], 128), 0.0);
        assert_eq!(clip(&[0.0, -0.0], 128), 0.0);
        assert_eq!(clip(&[3.0, -7.0], 4096), 7.0);
    }
}
