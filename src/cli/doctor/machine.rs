//! The machine: ports, open files, disk, processors, clock, what earlier runs left, and who asks.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::geteuid;

use super::Line;
use super::needs::Needs;
use crate::archive::free_bytes;
use crate::room::Room;
use crate::runs::{self, Life};
use crate::scenario::Size;

/// As many as a run needs, held at the same time.
pub fn ports(needs: &Needs) -> Line {
    const NEED: &str = "free ports";
    let held: Vec<_> = (0..needs.ports).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    match held.into_iter().find_map(Result::err) {
        None => Line::ok(NEED, format!("{} at once on 127.0.0.1", needs.ports)),
        Some(e) => Line::missing(NEED, format!("127.0.0.1 refuses one: {e}"), "end what holds them, or allow loopback"),
    }
}

pub fn open_files(needs: &Needs) -> Line {
    const NEED: &str = "open files";
    let remedy = format!("`ulimit -n {}` in this shell, or ask for fewer `--connections`", needs.open_files.max(4096));
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Err(_) => Line::warn(NEED, "this system does not say", remedy),
        Ok((limit, _)) if limit < needs.open_files => {
            Line::missing(NEED, format!("at most {limit} a process; {} are needed", needs.open_files), remedy)
        }
        Ok((limit, _)) => Line::ok(NEED, format!("at most {limit} a process; {} are needed", needs.open_files)),
    }
}

/// Where the reports folder is, or would be made.
pub fn disk(reports: &Path, needs: &Needs) -> Line {
    const NEED: &str = "disk";
    let Some(folder) =
        absolute(reports).as_deref().and_then(|path| path.ancestors().find(|p| p.is_dir())).map(Path::to_owned)
    else {
        return Line::missing(NEED, format!("{} cannot be", reports.display()), "name another folder with `--reports`");
    };
    if let Err(e) = tempfile::tempfile_in(&folder) {
        let found = format!("{} cannot be written: {e}", folder.display());
        return Line::missing(NEED, found, "make it writable, or name another folder with `--reports`");
    }
    let needed = Size(needs.disk_bytes);
    match free_bytes(&folder) {
        Err(e) => Line::warn(NEED, format!("{}: {e}", folder.display()), "see that there is room"),
        Ok(free) if free < needs.disk_bytes => Line::missing(
            NEED,
            format!("{} free in {}; a run takes up to {needed}", Size(free), folder.display()),
            "make room (`mxctl report prune`), or name another folder with `--reports`",
        ),
        Ok(free) => Line::ok(NEED, format!("{} free in {}; a run takes up to {needed}", Size(free), folder.display())),
    }
}

fn absolute(path: &Path) -> Option<std::path::PathBuf> {
    std::path::absolute(path).ok()
}

pub fn processors() -> Line {
    const NEED: &str = "processors";
    match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => Line::warn(
            NEED,
            "1",
            "load and target share it: expect INCONCLUSIVE at high rates; ask for a lower `--rps`",
        ),
        n => Line::ok(NEED, n.to_string()),
    }
}

/// How late a sleeping thread wakes: a load generator that wakes late proves nothing.
pub fn punctuality() -> Line {
    const NEED: &str = "punctual clock";
    const LIMIT: Duration = Duration::from_millis(20);
    let worst = (0..50).map(|_| late_by(Duration::from_millis(1))).max().unwrap_or_default();
    let source = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = source.map_or_else(|_| "unknown".to_owned(), |source| source.trim().to_owned());
    let found = format!("woke at most {:.1} ms late in 50 sleeps; clock source {source}", worst.as_secs_f64() * 1e3);
    match worst {
        worst if worst > LIMIT => Line::warn(NEED, found, "the machine is busy: wait, or expect INCONCLUSIVE runs"),
        _ => Line::ok(NEED, found),
    }
}

fn late_by(asked: Duration) -> Duration {
    let began = Instant::now();
    std::thread::sleep(asked);
    began.elapsed().saturating_sub(asked)
}

/// A run refuses to start over one that was killed and not healed.
pub fn healed(reports: &Path) -> Line {
    const NEED: &str = "healed runs";
    let runs = match runs::all(reports) {
        Ok(runs) => runs,
        Err(e) => return Line::missing(NEED, format!("cannot {e}"), "name another folder with `--reports`"),
    };
    let of = |life: Life| runs.iter().filter(|run| run.life == life).map(|run| run.name()).collect::<Vec<_>>();
    let (unhealed, running) = (of(Life::Unhealed), of(Life::Running));
    match (unhealed.as_slice(), running.len()) {
        ([], 0) => Line::ok(NEED, format!("nothing left of {} earlier runs", runs.len())),
        ([], n) => {
            Line::warn(NEED, format!("{n} running now"), "wait for their end: two runs at once disturb each other")
        }
        (names, _) => Line::missing(NEED, format!("killed, and not healed: {}", names.join(", ")), "`mxctl heal`"),
    }
}

/// Of all that ships, only `database-full` needs root; servers that refuse root need `setpriv` to become someone else.
pub fn user() -> Line {
    const NEED: &str = "user";
    if !geteuid().is_root() {
        return Line::ok(NEED, "an ordinary user, which is enough for all but `database-full`");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).any(|folder| folder.join("setpriv").is_file()) {
        true => {
            Line::ok(NEED, "root, which only `database-full` needs; `setpriv` is there for servers that refuse root")
        }
        false => Line::warn(
            NEED,
            "root, and no `setpriv` for servers that refuse root",
            "run as an ordinary user, or install util-linux",
        ),
    }
}

/// By mounting one, for a moment.
pub fn mounts() -> Line {
    const NEED: &str = "mounts";
    let tried = tempfile::tempdir().and_then(|folder| {
        let room = Room::new(folder.path());
        room.make(1 << 20).and_then(|()| room.leave(folder.path(), Duration::from_secs(1)))
    });
    match tried {
        Ok(()) => Line::ok(NEED, "a small file system can be mounted"),
        Err(e) => {
            let remedy = "only for the step `database-full` (in `chaos database-failure`): run mxctl as root, or leave \
                          the step out of a scenario of your own";
            Line::warn(NEED, format!("no small file system: {e}"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::archive::Archive;
    use crate::journal::Journal;

    #[test]
    fn a_reports_folder_is_measured_where_it_would_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("not/yet/there");
        assert_eq!(disk(&place, &Needs::default()).state, State::Ok);
        assert_eq!(disk(&place, &Needs { disk_bytes: u64::MAX, ..Needs::default() }).state, State::Missing);
        assert!(!place.exists());
    }

    #[test]
    fn more_open_files_than_a_process_may_have_are_missing() {
        assert_eq!(open_files(&Needs::default()).state, State::Ok);
        assert_eq!(open_files(&Needs { open_files: u64::MAX, ..Needs::default() }).state, State::Missing);
    }

    #[test]
    fn an_unhealed_run_is_in_the_way() {
        let reports = tempfile::tempdir().unwrap();
        assert_eq!(healed(reports.path()).state, State::Ok);
        let run = Archive::create(reports.path(), "a", 1, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let _journal = Journal::open(run.root(), "lab").unwrap();
        assert_eq!(healed(reports.path()).state, State::Warn);
        drop(run);
        assert_eq!(healed(reports.path()).state, State::Missing);
    }
}
