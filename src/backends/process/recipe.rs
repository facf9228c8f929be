//! What one kind of private database server needs to be told: a recipe each, in `postgres.rs` and `mariadb.rs`.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use nix::sys::signal::Signal;
use tokio::process::Command;

use super::unprivileged::Unprivileged;
use crate::plan::Database;

/// The name of the database in a private server.
pub(super) const NAME: &str = "expectation";

/// How one kind of server is made and started.
pub(super) struct Recipe {
    pub database: Database,
    /// Its folder, its log, and its name in the journal.
    pub word: &'static str,
    /// Ends it in order, and at once.
    pub end: Signal,
    pub remedy: &'static str,
    /// Fills the data folder.
    pub initialise: fn(&Grounds) -> io::Result<Command>,
    pub serve: fn(&Grounds) -> io::Result<Command>,
    /// Makes the database; an error as long as the server does not answer, or is another than the one in this folder.
    pub open: for<'a> fn(&'a Grounds<'a>) -> Opening<'a>,
    /// Sees to it that its log can be written for a while on a full disk: otherwise the server would end of it, where
    /// it is to refuse writes.
    pub make_room_for_the_log: for<'a> fn(&'a Grounds<'a>) -> Opening<'a>,
    /// Of the database, without a password.
    pub url: fn(port: u16) -> String,
    /// Who is connected to it there, but for whoever asks: ids, none of which is ever used again.
    pub connections: for<'a> fn(url: &'a str) -> Answering<'a, BTreeSet<String>>,
    /// Ends the connections of all of them.
    pub disconnect: for<'a> fn(url: &'a str) -> Opening<'a>,
}

type Opening<'a> = Answering<'a, ()>;
pub(super) type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'a>>;

/// Where a server is made and started.
pub(super) struct Grounds<'a> {
    /// Its own: whoever runs it owns it. Nothing is written into it from outside.
    pub folder: &'a Path,
    /// The target's.
    pub around: &'a Path,
    /// Of who may do everything, for this run alone.
    pub secret: &'a str,
    pub user: Option<&'a Unprivileged>,
    pub port: u16,
    pub connections: usize,
    /// The folder is in a small file system: what the server keeps in advance, and how it grows, must be small.
    pub in_a_room: bool,
}

/// The first of these folders, then of PATH, that has the program.
pub(super) fn program(name: &str, folders: &[PathBuf]) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = folders.iter().cloned().chain(std::env::split_paths(&path)).map(|folder| folder.join(name));
    let not_found = || io::Error::new(io::ErrorKind::NotFound, format!("there is no program `{name}`"));
    places.into_iter().find(|place| place.is_file()).ok_or_else(not_found)
}
