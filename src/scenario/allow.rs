//! Consent: what a run may touch although it did not start it.
//!
//! `allow: [database, host: db.example.org]` in a file; `--allow database,host=db.example.org` on the command line.

use super::value::{Written, Wrong};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowance {
    /// The database of the target's URL: tables are made in it where they are missing, and rows of this run's keys.
    Database,
    /// Traffic to a machine that is not this one.
    Host(String),
}

impl Allowance {
    /// The words that exist.
    pub const WORDS: [&'static str; 2] = ["database", "host"];

    /// A word, and what stands behind it.
    pub fn of(word: &str, value: Option<&str>) -> Result<Allowance, Wrong> {
        match (word, value.map(str::trim)) {
            ("database", None) => Ok(Allowance::Database),
            ("host", Some(host)) if !host.is_empty() => Ok(Allowance::Host(host.to_owned())),
            ("database", Some(_)) => Err(Wrong {
                message: "`database` takes no value: it is the one of the target's URL".into(),
                help: "write `database`".into(),
            }),
            ("host", _) => Err(Wrong {
                message: "`host` names no machine".into(),
                help: "write `host: db.example.org` (`--allow host=db.example.org`)".into(),
            }),
            _ => Err(Wrong {
                message: format!(
                    "there is nothing called `{word}` to allow: a run touches only what it started itself"
                ),
                help: "write `database`, or `host: db.example.org`, or leave `allow` out".into(),
            }),
        }
    }
}

impl Written for Allowance {
    const EXAMPLE: &'static str = "database";

    /// As in a flag: `host=db.example.org`.
    fn read(text: &str) -> Result<Self, Wrong> {
        match text.trim().split_once('=') {
            Some((word, value)) => Allowance::of(word.trim(), Some(value)),
            None => Allowance::of(text.trim(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_s_words_are_a_file_s_words() {
        assert_eq!(Allowance::read("database"), Ok(Allowance::Database));
        assert_eq!(Allowance::read(" host=db.example.org "), Ok(Allowance::Host("db.example.org".into())));
        for wrong in ["", "host", "host=", "database=x", "redis.kill"] {
            assert!(Allowance::read(wrong).is_err(), "{wrong}");
        }
    }
}
