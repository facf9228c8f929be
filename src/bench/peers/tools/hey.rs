//! hey: a closed loop whose workers may be slowed down to a rate.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Told, Tool, first_of, seconds};
use crate::bench::peers::{Errand, Pace};

pub struct Hey;

impl Tool for Hey {
    fn name(&self) -> &'static str {
        "hey"
    }

    fn source(&self) -> &'static str {
        "go install github.com/rakyll/hey@latest, or the package `hey` of your system"
    }

    fn find(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        first_of("hey", folders)
    }

    /// Its rate is one worker's.
    fn command(&self, program: &Path, errand: &Errand) -> Command {
        let mut command = Command::new(program);
        command.args(["-c", &errand.connections.to_string(), "-z", &seconds(errand.lasts), "-t", "30"]);
        if let Pace::Rate(rps) = errand.pace {
            command.args(["-q", &(f64::from(rps) / f64::from(errand.connections)).to_string()]);
        }
        command.arg(&errand.url);
        command
    }

    fn read(&self, output: &str) -> Result<Told, String> {
        let good = answers(output, |status| (200..400).contains(&status));
        let bad = answers(output, |status| !(200..400).contains(&status)) + broken(output);
        if good + bad == 0 {
            return Err("no answer in its summary".to_owned());
        }
        Ok(Told {
            requests: Some(good + bad),
            errors: Some(bad),
            p99_ms: seconds_after(output, "99% in"),
            max_ms: seconds_after(output, "Slowest:"),
            ..Told::default()
        })
    }
}

/// `  [200]  2000 responses`, with a tab between.
fn answers(output: &str, counts: impl Fn(u16) -> bool) -> u64 {
    let lines = output.lines().filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(" responses"));
    let answers = lines.filter_map(|line| line.split_once(']'));
    let counted = answers.filter(|(status, _)| status.parse().is_ok_and(&counts));
    counted.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum()
}

/// After `Error distribution:`, `  [3]  Get "http://…": EOF`.
fn broken(output: &str) -> u64 {
    let lines = output.lines().skip_while(|line| !line.starts_with("Error distribution:")).skip(1);
    lines.filter_map(|line| line.trim().strip_prefix('[')?.split_once(']')?.0.parse::<u64>().ok()).sum()
}

/// `  Slowest:  0.0268 secs`, in milliseconds.
fn seconds_after(output: &str, name: &str) -> Option<f64> {
    let line = output.lines().find_map(|line| line.trim().strip_prefix(name))?;
    Some(line.trim().strip_suffix("secs")?.trim().parse::<f64>().ok()? * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_summary_is_read() {
        let told = Hey.read(include_str!("samples/hey.txt")).unwrap();
        assert_eq!((told.requests, told.errors, told.p999_ms), (Some(2000), Some(0), None));
        assert_eq!([told.p99_ms, told.max_ms].map(tenths), [Some(193.0), Some(268.0)]);
    }

    fn tenths(ms: Option<f64>) -> Option<f64> {
        ms.map(|ms| (ms * 10.0).round())
    }

    #[test]
    fn what_broke_and_what_was_refused_are_errors() {
        let output = "Status code distribution:\n  [200]\t7 responses\n  [503]\t2 responses\n\n\
                      Error distribution:\n  [3]\tGet \"http://127.0.0.1:9/\": EOF\n";
        let told = Hey.read(output).unwrap();
        assert_eq!((told.requests, told.errors), (Some(12), Some(5)));
    }
}
