//! A private SQLite database: a file in the run's folder, which can be struck. Where a plan fills it up, it lies in a
//! room: a small file system of its own, which goes when the run ends, after the file was moved out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;

use super::{DATABASE, Site};
use crate::backends::database_control::{Change, DatabaseControl};
use crate::backends::proxy::Passed;
use crate::backends::{ControlError, DatabaseSource, Exit, UpError};
use crate::journal::Entry;
use crate::plan::TargetPlan;
use crate::process::ProcessIdentity;
use crate::room::{FILLER, Room};

/// Who holds the lock, in the journal: it ends with its holder.
const NAME: &str = "mxctl";
/// Others hold the write lock for the time of a batch.
const LOCKED_WITHIN: Duration = Duration::from_secs(5);
/// Somebody may still be closing a file in it.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);
const PIECE: usize = 64 * 1024;

pub(super) struct SqliteFile {
    site: Site,
    room: Option<Room>,
    /// The transaction that holds the write lock, while it is held.
    lock: Mutex<Option<SqliteConnection>>,
}

impl SqliteFile {
    /// Makes room for it, where the plan wants that; the service makes the file.
    pub fn prepare(plan: &TargetPlan, site: &Site) -> Result<SqliteFile, UpError> {
        let room = match plan.database_setup.room_bytes {
            0 => None,
            bytes => Some(made_room(site, bytes)?),
        };
        Ok(SqliteFile { site: site.clone(), room, lock: Mutex::new(None) })
    }

    pub fn path(&self) -> PathBuf {
        self.room.as_ref().map_or(&*self.site.folder, Room::at).join(DATABASE)
    }

    /// Once nobody uses the file any more. Says what would not go.
    pub async fn stop(&self) -> Result<(), String> {
        drop(self.lock.lock().await.take());
        let Some(room) = &self.room else { return Ok(()) };
        room.leave(&self.site.folder, EMPTY_WITHIN).map_err(|e| format!("{}: {e}", room.at().display()))?;
        // A journal that cannot be written keeps the room as a leftover, which heal finds to be gone.
        let _ = self.site.journal.write(&Entry::Unmounted { at: room.at().to_owned() });
        Ok(())
    }

    async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        let options = SqliteConnectOptions::new().filename(self.path()).busy_timeout(LOCKED_WITHIN);
        options.disable_statement_logging().connect().await
    }

    async fn take_the_lock(&self) -> Result<(), ControlError> {
        let locked = async {
            let mut connection = self.connect().await?;
            sqlx::raw_sql("begin immediate").execute(&mut connection).await?;
            Ok(connection)
        };
        let refused =
            |e: sqlx::Error| ControlError::TellDatabase { what: "begin immediate".into(), why: e.to_string() };
        *self.lock.lock().await = Some(locked.await.map_err(refused)?);
        Ok(())
    }

    async fn let_the_lock_go(&self) -> Result<(), ControlError> {
        let Some(mut connection) = self.lock.lock().await.take() else { return Ok(()) };
        let released = async {
            sqlx::raw_sql("rollback").execute(&mut connection).await?;
            connection.close().await
        };
        released.await.map_err(|e| ControlError::TellDatabase { what: "rollback".into(), why: e.to_string() })
    }

    fn filler(&self) -> Result<PathBuf, ControlError> {
        Ok(self.room.as_ref().ok_or(ControlError::NoRoom)?.at().join(FILLER))
    }

    /// What the write-ahead log has room for would still be written: it is emptied first, and grows from then on.
    async fn fill(&self, filler: PathBuf) -> Result<(), ControlError> {
        let emptied = async {
            let mut connection = self.connect().await?;
            let what = "pragma wal_checkpoint(truncate)";
            let busy: i64 = sqlx::query_scalar(what).fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok::<_, sqlx::Error>(busy)
        };
        let refused = |why: String| ControlError::TellDatabase { what: "empty its write-ahead log".into(), why };
        match emptied.await {
            Ok(0) => {}
            Ok(_) => return Err(refused("others were in the way".into())),
            Err(e) => return Err(refused(e.to_string())),
        }
        let written = tokio::task::spawn_blocking(move || write_until_full(&filler));
        Ok(written.await.map_err(io::Error::other)??)
    }
}

/// A file system of this size in the target's folder: it is in the journal before it exists.
fn made_room(site: &Site, bytes: u64) -> Result<Room, UpError> {
    let room = Room::new(&site.folder);
    let missing = |why: String| {
        UpError::Missing {
        what: "a small file system for the database".to_owned(),
        why,
        remedy: "run mxctl as root, choose `--database postgres`, or leave the step `database-full` out of a scenario of your \
                 own"
            .to_owned(),
    }
    };
    site.journal.write(&Entry::Mounting { at: room.at().to_owned() })?;
    let mounted = room.make(bytes);
    if mounted.is_err() {
        site.journal.write(&Entry::Unmounted { at: room.at().to_owned() })?;
    }
    mounted.map_err(|e| missing(format!("mount a tmpfs at {}: {e}", room.at().display())))?;
    Ok(room)
}

fn write_until_full(filler: &Path) -> io::Result<()> {
    let mut file = File::create(filler)?;
    let zeros = [0; PIECE];
    loop {
        match file.write(&zeros) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::StorageFull => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

#[async_trait]
impl DatabaseControl for SqliteFile {
    fn source(&self) -> DatabaseSource {
        DatabaseSource::File(self.path())
    }

    fn proxied(&self) -> Option<DatabaseSource> {
        None
    }

    fn passed(&self) -> Passed {
        Passed::default()
    }

    fn room(&self) -> Option<PathBuf> {
        self.room.as_ref().map(|room| room.at().to_owned())
    }

    fn processes(&self) -> Vec<ProcessIdentity> {
        Vec::new()
    }

    fn signal(&self, _signal: Signal) -> Result<(), ControlError> {
        Err(ControlError::NoServer)
    }

    fn end_in_order(&self) -> Result<(), ControlError> {
        Err(ControlError::NoServer)
    }

    async fn frozen(&self, _within: Duration) -> Result<(), ControlError> {
        Err(ControlError::NoServer)
    }

    async fn exited(&self, _within: Duration) -> Result<Option<Exit>, ControlError> {
        Err(ControlError::NoServer)
    }

    async fn start(&self) -> Result<(), ControlError> {
        Err(ControlError::NoServer)
    }

    async fn connections(&self) -> Result<BTreeSet<String>, ControlError> {
        Err(ControlError::NoServer)
    }

    async fn change(&self, change: &Change) -> Result<(), ControlError> {
        match change {
            Change::WriteLock => {
                let process = ProcessIdentity::of(std::process::id() as i32)?;
                let (change, revert) = (change.to_string(), change.undone_by());
                self.site.journal.write(&Entry::Changing { name: NAME.into(), process, change, revert })?;
                self.take_the_lock().await
            }
            Change::Filler => {
                let file = self.filler()?;
                self.site.journal.write(&Entry::Filling { file: file.clone() })?;
                self.fill(file).await
            }
            Change::Disconnect | Change::Toxic { .. } => Err(ControlError::NoServer),
        }
    }

    async fn change_back(&self, change: &Change) -> Result<(), ControlError> {
        match change {
            Change::WriteLock => {
                self.let_the_lock_go().await?;
                let process = ProcessIdentity::of(std::process::id() as i32)?;
                let change = change.to_string();
                Ok(self.site.journal.write(&Entry::ChangedBack { name: NAME.into(), process, change })?)
            }
            Change::Filler => {
                let file = self.filler()?;
                match std::fs::remove_file(&file) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    removed => removed?,
                }
                Ok(self.site.journal.write(&Entry::Emptied { file })?)
            }
            Change::Disconnect | Change::Toxic { .. } => Err(ControlError::NoServer),
        }
    }
}
