//! The zoo: parts of the service with one mistake each, so that whoever judges the service can show that it finds them.
//!
//! In: the word in `buffer.bug`. Out: the [`Parts`] of a service that has this bug. The correct code knows nothing of
//! bugs: each exchanges a part behind its interface, or a script of the buffer in Redis.
//!
//! # The guard
//! A bug is served only by a process that mxctl started (it holds the control socket). One that a person starts refuses.
//!
//! # Adding a bug
//! One file with a `BUG`, its `mod` and its line in [`BUGS`]. A window that it needs is a barrier or a pause point, or open
//! for as long as the load lasts; never a matter of luck.

mod ack_before_enqueue;
mod ack_by_id;
mod another_key;
mod attempt_reset;
mod client_clock_lease;
mod dead_drain_tracker;
mod drain_after_close;
mod drain_beyond_grace;
mod error_pages;
mod evicting_redis;
mod flush_behind_global_lock;
mod lifo;
mod no_prestop;
mod no_redrive;
mod offer_drain_race;
mod one_slot_per_key;
mod oom_refusal_ignored;
mod open_to_the_end;
mod poison_drops_batch;
mod poison_stalls;
mod pop_then_crash;
mod push_error_swallowed;
mod range_then_trim;
mod resend_after_timeout;
mod ring_drops_oldest;
mod scripted;
mod sigterm_ignored;
mod slow_database;
mod stuck_readonly;
mod tables_in_front;
mod timeout_is_success;
mod twice_in_one_batch;
mod twisted;
mod typo_is_in_memory;
mod unbounded_fallback;
mod undecodable_vanishes;
mod unversioned_upsert;

use std::sync::Arc;

use crate::parts::{Parts, Sound};

/// Every bug there is.
const BUGS: &[Bug] = &[
    ack_before_enqueue::BUG,
    ack_by_id::BUG,
    another_key::BUG,
    attempt_reset::BUG,
    client_clock_lease::BUG,
    dead_drain_tracker::BUG,
    drain_after_close::BUG,
    drain_beyond_grace::BUG,
    error_pages::BUG,
    evicting_redis::BUG,
    flush_behind_global_lock::BUG,
    lifo::BUG,
    no_prestop::BUG,
    no_redrive::BUG,
    offer_drain_race::BUG,
    one_slot_per_key::BUG,
    oom_refusal_ignored::BUG,
    poison_drops_batch::BUG,
    poison_stalls::BUG,
    pop_then_crash::BUG,
    push_error_swallowed::BUG,
    range_then_trim::BUG,
    resend_after_timeout::BUG,
    ring_drops_oldest::BUG,
    sigterm_ignored::BUG,
    slow_database::BUG,
    stuck_readonly::BUG,
    timeout_is_success::BUG,
    twice_in_one_batch::BUG,
    typo_is_in_memory::BUG,
    unbounded_fallback::BUG,
    undecodable_vanishes::BUG,
    unversioned_upsert::BUG,
];

/// A service with one mistake.
struct Bug {
    /// As in `buffer.bug`.
    name: &'static str,
    parts: fn() -> Arc<dyn Parts>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BugError {
    #[error(
        "use buffer.bug = {0}: a seeded bug is served only where mxctl started the service to prove itself \
         (`mxctl selftest`); take the key out"
    )]
    ByHand(String),
    #[error("use buffer.bug = {0}: no such bug; known: {known}", known = known())]
    Unknown(String),
}

fn known() -> String {
    BUGS.iter().map(|bug| bug.name).collect::<Vec<_>>().join(", ")
}

/// The parts of a service with this bug. `guarded`: it was started by mxctl.
pub fn parts(bug: Option<&str>, guarded: bool) -> Result<Arc<dyn Parts>, BugError> {
    let Some(name) = bug else { return Ok(Arc::new(Sound)) };
    if !guarded {
        return Err(BugError::ByHand(name.to_owned()));
    }
    let found = BUGS.iter().find(|bug| bug.name == name).ok_or_else(|| BugError::Unknown(name.to_owned()))?;
    tracing::warn!(bug = name, "this service has a seeded bug: it loses data, and is no product");
    Ok((found.parts)())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What several of them are made of.
    const NO_BUGS: [&str; 5] = ["mod", "open-to-the-end", "scripted", "tables-in-front", "twisted"];

    #[test]
    fn a_bug_is_served_only_under_the_guard() {
        for bug in BUGS {
            assert_eq!(parts(Some(bug.name), false).err(), Some(BugError::ByHand(bug.name.into())));
            assert!(parts(Some(bug.name), true).is_ok());
        }
        assert!(parts(None, false).is_ok(), "a service without a bug asks nobody");
    }

    #[test]
    fn an_unknown_bug_is_answered_with_those_that_exist() {
        let told = parts(Some("no-such"), true).err().expect("a refusal").to_string();
        assert!(told.contains("no-such") && told.contains("lifo"), "{told}");
    }

    #[test]
    fn every_file_is_in_the_list_once_under_its_own_name() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bugs");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let stem = |file: std::path::PathBuf| file.file_stem().unwrap().to_str().unwrap().replace('_', "-");
        let rust = files.filter(|file| file.extension().is_some_and(|e| e == "rs"));
        let files: BTreeSet<String> = rust.map(stem).filter(|name| !NO_BUGS.contains(&&name[..])).collect();
        assert_eq!(files, BUGS.iter().map(|bug| bug.name.to_owned()).collect());
        assert_eq!(files.len(), BUGS.len());
    }
}
