//! A private SQLite database: a file in the run's folder, which can be struck. Where a plan fills it up, it lies in a
//! room: a small file system of its own, which goes when the run ends, after the file was moved out.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;

use super::run_room::RunRoom;
use super::{DATABASE, Site};
use crate::backends::database_control::{Change, DatabaseControl};
use crate::backends::proxy::Passed;
use crate::backends::{ControlError, DatabaseSource, Exit, UpError};
use crate::journal::Entry;
use crate::plan::TargetPlan;
use crate::process::ProcessIdentity;

/// Who holds the lock, in the journal: it ends with its holder.
const NAME: &str = "mxctl";
/// Others hold the write lock for the time of a batch.
const LOCKED_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct SqliteFile {
    site: Site,
    room: Option<RunRoom>,
    /// The transaction that holds the write lock, while it is held.
    lock: Mutex<Option<SqliteConnection>>,
}

impl SqliteFile {
    /// Makes room for it, where the plan wants that; the service makes the file.
    pub fn prepare(plan: &TargetPlan, site: &Site) -> Result<SqliteFile, UpError> {
        let room = RunRoom::make_for(plan, site)?;
        Ok(SqliteFile { site: site.clone(), room, lock: Mutex::new(None) })
    }

    pub fn path(&self) -> PathBuf {
        self.room.as_ref().map_or(&*self.site.folder, RunRoom::at).join(DATABASE)
    }

    /// Once nobody uses the file any more. Says what would not go.
    pub async fn stop(&self) -> Result<(), String> {
        drop(self.lock.lock().await.take());
        self.room.as_ref().map_or(Ok(()), RunRoom::leave)
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

    fn room(&self) -> Result<&RunRoom, ControlError> {
        self.room.as_ref().ok_or(ControlError::NoRoom)
    }

    /// What its write-ahead log has room for would still be written: emptied, it grows from then on.
    async fn empty_the_log(&self) -> Result<(), ControlError> {
        let emptied = async {
            let mut connection = self.connect().await?;
            let what = "pragma wal_checkpoint(truncate)";
            let busy: i64 = sqlx::query_scalar(what).fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok::<_, sqlx::Error>(busy)
        };
        let refused = |why: String| ControlError::TellDatabase { what: "empty its write-ahead log".into(), why };
        match emptied.await {
            Ok(0) => Ok(()),
            Ok(_) => Err(refused("others were in the way".into())),
            Err(e) => Err(refused(e.to_string())),
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
                let room = self.room()?;
                self.empty_the_log().await?;
                room.fill().await
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
            Change::Filler => self.room()?.empty(),
            Change::Disconnect | Change::Toxic { .. } => Err(ControlError::NoServer),
        }
    }
}
