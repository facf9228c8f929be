//! Judging again from a run's folder alone: on another machine, after another version, after a crash.
//!
//! In: the folder. Out: the same report, as far as the folder goes. What is not there is missing evidence.

use std::path::{Path, PathBuf};

use crate::archive::{Archive, ArchiveError, Environment, Piece, Stored};
use crate::checks::{Basis, Evidence};
use crate::load::Ledger;
use crate::load::ledger::LedgerError;
use crate::plan::Plan;
use crate::proven::Standing;
use crate::readback::FinalState;
use crate::report::RunReport;
use crate::run;
use crate::timeline::Incidents;
use crate::url_load;

#[derive(Debug, thiserror::Error)]
pub enum RejudgeError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("judge {run}: {why}")]
    NothingToJudge { run: PathBuf, why: String },
    #[error("read the ledger of {run}: {source}")]
    Ledger { run: PathBuf, source: LedgerError },
    #[error("judge {0}: the run is still going on; wait for its end")]
    Alive(PathBuf),
}

/// What a folder still holds.
pub struct Recovered {
    pub plan: Plan,
    /// `None`: the folder does not have it.
    pub environment: Option<Environment>,
    /// What the executable that ran was proven to catch then.
    pub standing: Option<Standing>,
    pub evidence: Evidence,
}

pub fn judge(run: &Path) -> Result<RunReport, RejudgeError> {
    let Recovered { plan, environment, standing, evidence } = recover(run)?;
    if plan.url.is_some() {
        let basis = Basis::Ledger(evidence.ledger);
        return Ok(url_load::judged(&plan, basis, evidence.incidents, environment).0);
    }
    Ok(run::judged(&plan, &evidence, (environment, standing)))
}

pub fn recover(run: &Path) -> Result<Recovered, RejudgeError> {
    let archive = Archive::open(run)?;
    if Archive::is_held(run)? {
        return Err(RejudgeError::Alive(run.to_owned()));
    }
    let plan: Plan = needed(&archive, Piece::Plan)?;
    if plan.url.as_ref().is_some_and(|url| !url.ledger) {
        let why = "its requests were counted and not recorded (`--no-ledger`)".to_owned();
        return Err(RejudgeError::NothingToJudge { run: run.to_owned(), why });
    }
    let environment = archive.get_json(Piece::Environment)?.whole();
    let standing: Option<Standing> = archive.get_json(Piece::Standing)?.whole().flatten();
    let ledger =
        Ledger::open(&archive.ledger_dir()).map_err(|source| RejudgeError::Ledger { run: run.to_owned(), source })?;
    let incidents: Stored<Incidents> = archive.get_json(Piece::Incidents)?;
    let incidents = incidents.whole().unwrap_or_default();
    let state = FinalState::load(&archive)?.whole();
    let interrupted = incidents.interrupted;
    Ok(Recovered { plan, environment, standing, evidence: Evidence { ledger, incidents, state, interrupted } })
}

fn needed<T: serde::de::DeserializeOwned>(archive: &Archive, piece: Piece) -> Result<T, RejudgeError> {
    match archive.get_json(piece)? {
        Stored::Whole(t) => Ok(t),
        Stored::Missing { why } => Err(RejudgeError::NothingToJudge { run: archive.root().to_owned(), why }),
    }
}
