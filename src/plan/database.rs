//! The database of a target: which one it is, and whose.
//!
//! In: the word or the URL that a person wrote. Out: a [`Database`], and, where it exists already, its
//! [`DatabaseUrl`], which shows its password to nobody but a driver.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::mask::mask;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Database {
    /// A file in the run's folder.
    Sqlite,
    Postgres,
    #[serde(rename = "mariadb")]
    MariaDb,
}

impl Database {
    pub const ALL: [Database; 3] = [Database::Sqlite, Database::Postgres, Database::MariaDb];

    /// The word in scenario files and flags.
    pub fn word(self) -> &'static str {
        match self {
            Database::Sqlite => "sqlite",
            Database::Postgres => "postgres",
            Database::MariaDb => "mariadb",
        }
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Database::Sqlite => "SQLite",
            Database::Postgres => "PostgreSQL",
            Database::MariaDb => "MariaDB",
        }
    }

    fn of_scheme(scheme: &str) -> Option<Database> {
        match scheme {
            "postgres" | "postgresql" => Some(Database::Postgres),
            "mariadb" | "mysql" => Some(Database::MariaDb),
            _ => None,
        }
    }

    /// Parameters of a URL that neither move it to another host nor carry a password.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Database::Sqlite => &[],
            Database::Postgres => &["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "options"],
            Database::MariaDb => &["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "charset"],
        }
    }
}

/// Where a database is that somebody else started: `postgres://user:password@host:5432/name`. It is shown, logged and
/// stored without its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL and what it names; otherwise what is wrong with it, as words that follow it.
    pub fn read(text: &str) -> Result<(Database, DatabaseUrl), String> {
        let url = Url::parse(text).map_err(|e| format!("is no URL: {e}"))?;
        let Some(database) = Database::of_scheme(url.scheme()) else {
            return Err(format!("has the scheme `{}`, which no database here has", url.scheme()));
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err("names no host".to_owned());
        }
        if url.path().trim_matches('/').is_empty() {
            return Err("names no database".to_owned());
        }
        let known = database.parameters();
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| !known.contains(&&**name)) {
            return Err(format!("has the parameter `{name}`; only these are taken: {}", known.join(", ")));
        }
        Ok((database, DatabaseUrl(text.to_owned())))
    }

    /// A server that the run started itself, without a password.
    pub fn of_own(text: String) -> DatabaseUrl {
        DatabaseUrl(text)
    }

    /// With its password: for drivers alone.
    pub fn revealed(&self) -> &str {
        &self.0
    }

    /// As it was written, without a port; empty where nobody can tell.
    pub fn host(&self) -> String {
        Url::parse(&self.0).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Whether it is on this machine, as far as its name says.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// A driver's words, without the password that they may repeat.
    pub fn mask(&self, text: &str) -> String {
        let password = Url::parse(&self.0).ok().and_then(|url| url.password().map(str::to_owned));
        let masked = mask(text);
        match password.as_deref() {
            None | Some("") => masked,
            Some(encoded) => [encoded, &decoded(encoded)].iter().fold(masked, |text, form| text.replace(form, "***")),
        }
    }
}

/// Undoes percent-encoding.
fn decoded(encoded: &str) -> String {
    let query = format!("p={}", encoded.replace('+', "%2B"));
    let Ok(url) = Url::parse(&format!("x://h/?{query}")) else { return encoded.to_owned() };
    url.query_pairs().next().map_or_else(|| encoded.to_owned(), |(_, value)| value.into_owned())
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Without its password: what reads it back knows where it was, and cannot open it.
impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Database, DatabaseUrl) {
        DatabaseUrl::read(text).unwrap()
    }

    #[test]
    fn a_scheme_says_which_database_it_is() {
        for (url, database) in [
            ("postgres://u@h/d", Database::Postgres),
            ("postgresql://u:p@127.0.0.1:5433/d?sslmode=disable", Database::Postgres),
            ("mariadb://u@h:3306/d", Database::MariaDb),
            ("mysql://u@h/d?ssl-mode=DISABLED", Database::MariaDb),
        ] {
            assert_eq!(read(url).0, database, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for (url, why) in [
            ("oracle://u:s3cret@h/d", "has the scheme `oracle`"),
            ("postgres://u:s3cret@h", "names no database"),
            ("postgres:///d", "names no host"),
            ("postgres://u@h/d?host=/tmp", "has the parameter `host`"),
            ("postgres://u@h/d?password=s3cret", "has the parameter `password`"),
            ("mariadb://u:s3cret@h:port/d", "is no URL"),
        ] {
            let wrong = DatabaseUrl::read(url).unwrap_err();
            assert!(wrong.contains(why) && !wrong.contains("s3cret"), "{url}: {wrong}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for (host, here) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.8.0.1:5432", true),
            ("[::1]:5432", true),
            ("10.0.0.1", false),
            ("localhost.example.org", false),
            ("db", false),
        ] {
            assert_eq!(read(&format!("postgres://u@{host}/d")).1.is_loopback(), here, "{host}");
        }
    }

    #[test]
    fn a_password_is_shown_and_stored_nowhere() {
        let (_, url) = read("postgres://app:p%40ss%2Bw@127.0.0.1:5432/d?sslmode=disable");
        let shown = "postgres://app:***@127.0.0.1:5432/d?sslmode=disable";
        assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        assert_eq!(serde_json::to_value(&url).unwrap(), shown);
        assert_eq!(url.mask("cannot log in with p@ss+w or p%40ss%2Bw"), "cannot log in with *** or ***");
    }
}
