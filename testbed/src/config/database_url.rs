//! Where the database is: `sqlite:///absolute/path` or `sqlite://relative/path`.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseUrl {
    pub kind: DatabaseKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite { file: PathBuf },
}

const KNOWN: &str = "known: sqlite:///path/to/file.db";

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        match url.split_once("://") {
            Some(("sqlite", "")) => Err(format!("{url:?} names no file ({KNOWN})")),
            Some(("sqlite", file)) => Ok(DatabaseUrl { kind: DatabaseKind::Sqlite { file: file.into() } }),
            Some((scheme, _)) => Err(format!("{scheme:?} is no database that this service knows ({KNOWN})")),
            None => Err(format!("{url:?} is no URL ({KNOWN})")),
        }
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        url.parse()
    }
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DatabaseKind::Sqlite { file } = &self.kind;
        write!(f, "sqlite://{}", file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_slashes_are_an_absolute_path_and_two_a_relative_one() {
        for (url, file) in [("sqlite:///var/lib/e.db", "/var/lib/e.db"), ("sqlite://e.db", "e.db")] {
            let parsed: DatabaseUrl = url.parse().unwrap();
            assert_eq!(parsed.kind, DatabaseKind::Sqlite { file: file.into() });
            assert_eq!(parsed.to_string(), url);
        }
    }

    #[test]
    fn another_scheme_is_answered_with_the_known_one_and_without_its_password() {
        let message = "mysql://me:secret@host/db".parse::<DatabaseUrl>().unwrap_err();
        assert_eq!(message, r#""mysql" is no database that this service knows (known: sqlite:///path/to/file.db)"#);
    }
}
