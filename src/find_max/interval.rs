//! What a figure of a sample says of that which was sampled: its 95 % interval.
//!
//! A quantile: the order statistics whose ranks are `nq ± z √(nq(1−q))` (distribution-free; Conover, *Practical
//! Nonparametric Statistics*, §3.2; Hahn and Meeker, *Statistical Intervals*, §5.2). A share: Wilson's score interval
//! (1927), which stays sound where nothing at all was counted.
//!
//! # What it is not
//! Both take samples for independent. Answers of a queue are not: near its limit the true interval is wider. So a rate
//! that was missed is tried again before it counts (`search.rs`).

use hdrhistogram::Histogram;

/// Of the normal distribution, for 95 %.
const Z: f64 = 1.96;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub point: f64,
    /// Infinite where the sample has too few values beyond the quantile to say.
    pub high: f64,
}

/// In the histogram's unit; `None` of an empty one.
pub fn quantile(histogram: &Histogram<u64>, q: f64) -> Option<Interval> {
    let n = histogram.len() as f64;
    // Half a rank below: the histogram rounds ranks up.
    let at_rank = |rank: f64| histogram.value_at_quantile((rank - 0.5).max(0.0) / n) as f64;
    let spread = Z * (n * q * (1.0 - q)).sqrt();
    let (low, high) = ((n * q - spread).floor().max(1.0), (n * q + spread).ceil() + 1.0);
    let high = if high > n { f64::INFINITY } else { at_rank(high) };
    (n > 0.0).then(|| Interval { low: at_rank(low), point: histogram.value_at_quantile(q) as f64, high })
}

/// `part` of `whole`; `None` of nothing.
pub fn share(part: u64, whole: u64) -> Option<Interval> {
    let (n, p) = (whole as f64, part as f64 / whole as f64);
    let (centre, shrink) = (p + Z * Z / (2.0 * n), 1.0 + Z * Z / n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At both ends it is exact, and rounding must not make a little more or less of it.
    let low = if part == 0 { 0.0 } else { (centre - spread) / shrink };
    let high = if part == whole { 1.0 } else { (centre + spread) / shrink };
    (whole > 0).then_some(Interval { low, point: p, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 1_000_000, 5).unwrap();
        values.into_iter().for_each(|value| histogram.record(value).unwrap());
        histogram
    }

    #[test]
    fn the_interval_of_a_quantile_has_the_ranks_of_the_binomial() {
        // 990 ± 1.96 √9.9 = 983.8 … 996.2, and one more.
        let Interval { low, point, high } = quantile(&histogram(1..=1000), 0.99).unwrap();
        assert_eq!((low, point, high), (983.0, 990.0, 998.0));
        assert_eq!(quantile(&histogram(1..=100), 0.99).unwrap().high, f64::INFINITY, "one value beyond says nothing");
        assert_eq!(quantile(&histogram([]), 0.5), None);
    }

    #[test]
    fn a_share_of_nothing_seen_is_not_shown_to_be_nothing() {
        let Interval { low, point, high } = share(0, 1000).unwrap();
        assert_eq!((low, point), (0.0, 0.0));
        assert!((high - 0.003_826).abs() < 1e-5, "{high}");
        let half = share(50, 100).unwrap();
        assert!((half.low - 0.4038).abs() < 1e-3 && (half.high - 0.5962).abs() < 1e-3, "{half:?}");
        assert_eq!((share(7, 7).unwrap().high, share(0, 0)), (1.0, None));
    }
}
