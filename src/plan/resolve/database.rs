//! The target's database: a private one by its word, or an existing one by its URL, which takes consent.

use crate::plan::{Database, DatabaseUrl};
use crate::scenario::{Allowance, Entry, Located, Word};

use super::Remarks;
use super::words::DATABASES;

/// What a run may touch although it did not start it.
pub struct Consent<'a>(pub &'a [Located<Allowance>]);

impl Consent<'_> {
    fn database(&self) -> bool {
        self.0.iter().any(|given| given.value == Allowance::Database)
    }

    fn host(&self, host: &str) -> bool {
        self.0.iter().any(|given| matches!(&given.value, Allowance::Host(allowed) if allowed == host))
    }
}

/// Which database, and where it is if it exists already.
pub fn resolve(written: &Entry<Word>, consent: &Consent<'_>, remarks: &mut Remarks) -> (Database, Option<DatabaseUrl>) {
    match written.given() {
        Some(word) if word.value.0.contains("://") => existing(word, consent, remarks),
        _ => (DATABASES.meaning(written, Database::Sqlite, remarks), None),
    }
}

fn existing(word: &Located<Word>, consent: &Consent<'_>, remarks: &mut Remarks) -> (Database, Option<DatabaseUrl>) {
    let (database, url) = match DatabaseUrl::read(&word.value.0) {
        Ok(read) => read,
        Err(why) => {
            let help = "write `postgres://user:password@host:5432/name` or `mariadb://user:password@host:3306/name`";
            remarks.problem(&word.place, format!("the database's URL {why}"), help);
            return (Database::Sqlite, None);
        }
    };
    if !consent.database() {
        let message = format!("{url} exists already, and nothing allows a run to write to it");
        let help = "write `allow: [database]` in the scenario, or `--allow database`";
        remarks.problem(&word.place, message, help);
    }
    let host = url.host();
    if !url.is_loopback() && !consent.host(&host) {
        let message = format!("{url} is on another machine, and nothing allows traffic to it");
        let help =
            format!("write `allow: [database, host: {host}]` in the scenario, or `--allow database,host={host}`");
        remarks.problem(&word.place, message, help);
    }
    (database, Some(url))
}
