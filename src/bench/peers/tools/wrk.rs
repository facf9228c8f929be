//! wrk, a closed loop, and its fork wrk2, which keeps a rate and counts latency from when a request was due.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Told, Tool, first_of, seconds};
use crate::bench::peers::{Errand, Pace};

pub struct Wrk {
    /// It takes a rate, and must have one.
    keeps_a_rate: bool,
}

pub static WRK2: Wrk = Wrk { keeps_a_rate: true };
pub static WRK: Wrk = Wrk { keeps_a_rate: false };

/// More than any machine gives it.
const ALL_IT_CAN: u32 = 1_000_000;

impl Tool for Wrk {
    fn name(&self) -> &'static str {
        if self.keeps_a_rate { "wrk2" } else { "wrk" }
    }

    fn source(&self) -> &'static str {
        match self.keeps_a_rate {
            true => {
                "git clone https://github.com/giltene/wrk2 && make -C wrk2, then put its `wrk` on the PATH as `wrk2`"
            }
            false => "the package `wrk` of your system",
        }
    }

    /// wrk2 calls itself wrk: that one is told by the rate that it knows.
    fn find(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        let named = if self.keeps_a_rate { first_of("wrk2", folders) } else { None };
        named.or_else(|| first_of("wrk", folders).filter(|wrk| knows_a_rate(wrk) == self.keeps_a_rate))
    }

    fn can(&self, pace: Pace) -> bool {
        self.keeps_a_rate || pace == Pace::Max
    }

    fn command(&self, program: &Path, errand: &Errand) -> Command {
        let mut command = Command::new(program);
        command.args(["-t", "1", "-c", &errand.connections.to_string(), "-d", &seconds(errand.lasts)]);
        command.args(["--timeout", "30s", "--latency"]);
        if self.keeps_a_rate {
            let rate = if let Pace::Rate(rps) = errand.pace { rps } else { ALL_IT_CAN };
            command.args(["-R", &rate.to_string()]);
        }
        command.arg(&errand.url);
        command
    }

    fn read(&self, output: &str) -> Result<Told, String> {
        let requests = count(output, "requests in", 0).ok_or("no line `… requests in …`")?;
        Ok(Told {
            requests: Some(requests),
            errors: Some(errors(output)),
            p99_ms: percentile(output, &["99%", "99.000%"]),
            p999_ms: percentile(output, &["99.900%"]),
            max_ms: exact_max(output).or_else(|| max(output)),
            ..Told::default()
        })
    }
}

fn knows_a_rate(wrk: &Path) -> bool {
    let help = Command::new(wrk).stdin(Stdio::null()).output();
    help.is_ok_and(|help| {
        [help.stdout, help.stderr].iter().any(|text| String::from_utf8_lossy(text).contains("--rate"))
    })
}

/// The number that is the word so many before, or after, in the line that holds this.
fn count(output: &str, line: &str, word: usize) -> Option<u64> {
    let line = output.lines().find(|candidate| candidate.contains(line))?;
    line.split_whitespace().nth(word)?.parse().ok()
}

/// `  Socket errors: connect 0, read 0, write 0, timeout 25` and `  Non-2xx or 3xx responses: 5`; neither where there
/// was none.
fn errors(output: &str) -> u64 {
    let of_sockets = output.lines().find_map(|line| line.trim().strip_prefix("Socket errors:")).unwrap_or_default();
    let of_sockets = of_sockets.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
    of_sockets.sum::<u64>() + count(output, "Non-2xx or 3xx responses:", 4).unwrap_or_default()
}

/// `    99%   24.03ms`, ` 99.900%   11.45ms`; the first such line: the second table is of uncorrected times.
fn percentile(output: &str, names: &[&str]) -> Option<f64> {
    output.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        names.contains(&words.next()?).then(|| ms(words.next()?)).flatten()
    })
}

/// `#[Max     =       12.168, Total count    =         2900]`, in milliseconds.
fn exact_max(output: &str) -> Option<f64> {
    let line = output.lines().find_map(|line| line.strip_prefix("#[Max"))?;
    line.split(['=', ',']).nth(1)?.trim().parse().ok()
}

/// `    Latency     2.79ms    4.91ms  53.67ms   89.75%`: mean, deviation, maximum.
fn max(output: &str) -> Option<f64> {
    let line = output.lines().find(|line| line.trim().starts_with("Latency ") && line.ends_with('%'))?;
    ms(line.split_whitespace().nth(3)?)
}

/// `980.00us`, `24.03ms`, `1.02s`, `2.00m`.
fn ms(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match &text[digits.len()..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3600e3,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn wrk2_is_read() {
        let told = Told {
            requests: Some(2901),
            errors: Some(0),
            p99_ms: Some(5.89),
            p999_ms: Some(11.45),
            max_ms: Some(12.168),
            ..Told::default()
        };
        assert_eq!(WRK2.read(include_str!("samples/wrk2.txt")), Ok(told));
    }

    #[test]
    fn wrk_is_read() {
        let told = Told {
            requests: Some(75_051),
            errors: Some(0),
            p99_ms: Some(24.03),
            max_ms: Some(53.67),
            ..Told::default()
        };
        assert_eq!(WRK.read(include_str!("samples/wrk.txt")), Ok(told));
    }

    #[test]
    fn errors_are_added_up() {
        let output = "  Socket errors: connect 1, read 2, write 3, timeout 25\n  Non-2xx or 3xx responses: 5\n";
        assert_eq!((errors(output), errors("  7 requests in 1s")), (36, 0));
    }

    #[test]
    fn times_have_units() {
        let read = ["980.00us", "24.03ms", "1.02s", "2.00m", "1.00h", "5", "x"].map(ms);
        assert_eq!(read, [Some(0.98), Some(24.03), Some(1020.0), Some(120_000.0), Some(3_600_000.0), None, None]);
    }

    #[test]
    fn a_wrk_that_knows_a_rate_is_wrk2() {
        let [old, new] = ["-d, --duration", "-R, --rate  <T>  work rate"].map(|help| {
            let folder = tempfile::tempdir().unwrap();
            let wrk = folder.path().join("wrk");
            std::fs::write(&wrk, format!("#!/bin/sh\necho '{help}'\n")).unwrap();
            std::fs::set_permissions(&wrk, std::fs::Permissions::from_mode(0o755)).unwrap();
            folder
        });
        let found = |tool: &Wrk, folder: &tempfile::TempDir| tool.find(&[folder.path().to_owned()]).is_some();
        assert_eq!([found(&WRK, &old), found(&WRK2, &old)], [true, false]);
        assert_eq!([found(&WRK, &new), found(&WRK2, &new)], [false, true]);
    }
}
