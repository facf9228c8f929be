//! Figures as people read them: thousands separated, never without a unit.

use std::time::Duration;

/// `48,000`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Where a cell has no figure.
pub fn dash() -> String {
    "–".to_owned()
}

/// `1,234.56`: milliseconds where the column's title says so.
pub fn hundredths(value: f64) -> String {
    if !value.is_finite() {
        return dash();
    }
    let hundredths = (value.abs() * 100.0).round() as u64;
    let sign = if value < 0.0 && hundredths > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", thousands(hundredths / 100), hundredths % 100)
}

/// `0.412 s`.
pub fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

/// `60 s`, `1.5 s`, `400 ms`: a figure of the plan.
pub fn brief(duration: Duration) -> String {
    match duration.as_secs_f64() {
        s if s >= 1.0 || s == 0.0 => format!("{s} s"),
        s => format!("{} ms", (s * 1e6).round() / 1e3),
    }
}

/// `8.4 s`, `1 min 28 s`, `2 h 05 min`: how long a run took.
pub fn span(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s / 60 % 60),
    }
}

/// `99.98 %`; `–` of nothing. Never rounded up to 100 % or down to 0 %.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return dash();
    }
    let share = part as f64 / whole as f64 * 100.0;
    match share {
        _ if part == whole => "100 %".to_owned(),
        _ if part == 0 => "0 %".to_owned(),
        s if s > 99.995 && s < 100.0 => "> 99.99 %".to_owned(),
        s if s < 0.005 => "< 0.01 %".to_owned(),
        s => format!("{s:.2} %"),
    }
}

/// `7.6 GiB`.
pub fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// `31 MiB`.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let text = [0, 999, 1000, 48_000, 1_234_567, u64::MAX].map(thousands);
        assert_eq!(text, ["0", "999", "1,000", "48,000", "1,234,567", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn times_have_the_precision_that_their_use_needs() {
        assert_eq!([0.0, 0.004, 12.345, 1234.5, f64::NAN].map(hundredths), ["0.00", "0.00", "12.35", "1,234.50", "–"]);
        assert_eq!([0, 400, 1500, 60_000].map(Duration::from_millis).map(brief), ["0 s", "400 ms", "1.5 s", "60 s"]);
        assert_eq!(
            [8_400, 88_400, 7_530_000].map(Duration::from_millis).map(span),
            ["8.4 s", "1 min 28 s", "2 h 05 min"]
        );
        assert_eq!(seconds(Duration::from_micros(412_345)), "0.412 s");
    }

    #[test]
    fn a_share_is_all_or_nothing_only_when_it_is() {
        assert_eq!(percent(47_988, 48_000), "99.98 %");
        assert_eq!(percent(47_999, 48_000), "> 99.99 %");
        assert_eq!(percent(1, 48_000), "< 0.01 %");
        assert_eq!((percent(3, 3), percent(0, 3), percent(0, 0)), ("100 %".into(), "0 %".into(), "–".into()));
    }
}
