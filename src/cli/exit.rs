//! Exit codes: what a script, or a CI job, learns without reading.

use std::process::ExitCode;

use crate::archive::ArchiveError;
use crate::backends::kept::LabError;
use crate::checks::Verdict;
use crate::heal::HealError;
use crate::run::RunError;
use crate::url_load::UrlLoadError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Pass,
    Fail,
    BadInput,
    Inconclusive,
    /// The laboratory broke before the first request.
    Laboratory,
    Bug,
    /// By this signal; the report was written all the same.
    Interrupted(i32),
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Pass => 0,
            Exit::Fail => 1,
            Exit::BadInput => 2,
            Exit::Inconclusive => 3,
            Exit::Laboratory => 4,
            Exit::Bug => 70,
            Exit::Interrupted(signal) => 128 + signal as u8,
        }
    }

    pub fn of_verdict(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Pass => Exit::Pass,
            Verdict::Fail => Exit::Fail,
            Verdict::Inconclusive => Exit::Inconclusive,
        }
    }

    pub fn of_lab_error(error: &LabError) -> Exit {
        match error {
            LabError::Name(_) | LabError::Files { .. } | LabError::NotBorn(_) => Exit::BadInput,
            _ => Exit::Laboratory,
        }
    }

    pub fn of_run_error(error: &RunError) -> Exit {
        match error {
            RunError::Archive(ArchiveError::Create { .. })
            | RunError::Heal(HealError::Archive(ArchiveError::Runs { .. }))
            | RunError::Journal(_) => Exit::BadInput,
            RunError::Unhealed(_)
            | RunError::Heal(_)
            | RunError::Up(_)
            | RunError::NotEmpty { .. }
            | RunError::Claimed { .. }
            | RunError::Backlog(_)
            | RunError::Baseline(_)
            | RunError::Proven(_)
            | RunError::Database(_) => Exit::Laboratory,
            // It broke after the first request: nobody knows.
            RunError::Archive(_) | RunError::Load(_) | RunError::Down(_) | RunError::Close(_) => Exit::Inconclusive,
            RunError::Render(_) => Exit::Bug,
        }
    }

    pub fn of_url_load_error(error: &UrlLoadError) -> Exit {
        match error {
            UrlLoadError::Archive(ArchiveError::Create { .. })
            | UrlLoadError::NotAllowed { .. }
            | UrlLoadError::Trust(_) => Exit::BadInput,
            UrlLoadError::Address { .. } | UrlLoadError::Handshake { .. } => Exit::Laboratory,
            UrlLoadError::Archive(_) | UrlLoadError::Load(_) => Exit::Inconclusive,
            UrlLoadError::Render(_) => Exit::Bug,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// For `--help`.
pub const TABLE: &str = "\
Exit codes:
  0    PASS
  1    FAIL, on sound evidence
  2    bad input: a flag, a scenario, a report folder that cannot be written
  3    INCONCLUSIVE: the evidence does not suffice, the report says why
  4    the laboratory broke before the first request (no Redis, an unhealed earlier run)
  70   a bug in mxctl
  130  interrupted by Ctrl-C (143: by SIGTERM); the report is written, and is never a PASS";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        let all = [Exit::Pass, Exit::Fail, Exit::BadInput, Exit::Inconclusive, Exit::Laboratory, Exit::Bug];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 70]);
        assert_eq!([Exit::Interrupted(2), Exit::Interrupted(15)].map(Exit::code), [130, 143]);
    }
}
