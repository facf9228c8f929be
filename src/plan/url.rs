//! A URL of somebody's own, in place of a target that the run brings up: load alone, and no data is judged.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UrlTarget {
    /// Without the password in it, where it had one.
    pub url: String,
    pub method: String,
    pub expect: Statuses,
    /// Every request is recorded before it is sent; else they are only counted.
    pub ledger: bool,
    #[serde(default)]
    pub protocol: Protocol,
    /// What is sent: it may hold tokens, and goes into no file.
    #[serde(skip)]
    pub request: HttpRequest,
}

/// How requests travel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// Over TLS, and whose certificate is accepted; `None`: `http://`.
    pub tls: Option<Trust>,
    /// HTTP/2, with so many requests at a time on a connection; `None`: HTTP/1.1, with one.
    pub http2: Option<u32>,
}

/// Whose certificates are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// That of anybody for whom a CA vouches that this machine trusts.
    Machine,
    /// That of anybody for whom one of the CAs in this file vouches.
    File(PathBuf),
    Anyone,
}

impl Protocol {
    /// HTTP/1.1 over TCP.
    pub fn is_plain(&self) -> bool {
        *self == Protocol::default()
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.http2.is_some() { "HTTP/2" } else { "HTTP/1.1" })?;
        f.write_str(if self.tls.is_some() { " over TLS" } else { "" })
    }
}

/// One request, in its parts.
#[derive(Clone, Default, PartialEq)]
pub struct HttpRequest {
    /// To connect to.
    pub host: String,
    pub port: u16,
    /// What `Host` says, unless a header of the user's does.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// In the order in which they were given.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The user said that a machine other than this one may be loaded.
    pub allowed: bool,
}

impl fmt::Debug for HttpRequest {
    /// Without headers and body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "HttpRequest({}:{}{}, {} headers, {} bytes)",
            self.host,
            self.port,
            self.path,
            self.headers.len(),
            self.body.len()
        )
    }
}

/// Which statuses are the answer that was hoped for: `2xx`, `200,404`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Statuses(Vec<StatusRange>);

/// Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StatusRange {
    first: u16,
    last: u16,
}

impl Statuses {
    pub fn read(text: &str) -> Result<Statuses, String> {
        text.split(',').map(|word| StatusRange::read(word.trim())).collect::<Result<_, _>>().map(Statuses)
    }

    pub fn has(&self, status: u16) -> bool {
        self.0.iter().any(|range| (range.first..=range.last).contains(&status))
    }
}

impl StatusRange {
    fn read(word: &str) -> Result<StatusRange, String> {
        let wrong = || format!("`{word}` is no status: write `2xx`, or `200,404`");
        let (first, last) = match word.strip_suffix("xx") {
            Some(class) => {
                let class: u16 = class.parse().map_err(|_| wrong())?;
                (class.saturating_mul(100), class.saturating_mul(100).saturating_add(99))
            }
            None => {
                let status: u16 = word.parse().map_err(|_| wrong())?;
                (status, status)
            }
        };
        // An interim answer is never the last word.
        if (200..=599).contains(&first) { Ok(StatusRange { first, last }) } else { Err(wrong()) }
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Statuses(vec![StatusRange { first: 200, last: 299 }])
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |range: &StatusRange| match range.first == range.last {
            true => range.first.to_string(),
            false => format!("{}xx", range.first / 100),
        };
        f.write_str(&self.0.iter().map(word).collect::<Vec<_>>().join(","))
    }
}

impl From<Statuses> for String {
    fn from(statuses: Statuses) -> String {
        statuses.to_string()
    }
}

impl TryFrom<String> for Statuses {
    type Error = String;

    fn try_from(text: String) -> Result<Statuses, String> {
        Statuses::read(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_classes_and_numbers() {
        let statuses = Statuses::read("2xx, 404").unwrap();
        assert_eq!([200, 299, 404, 301, 500].map(|status| statuses.has(status)), [true, true, true, false, false]);
        assert_eq!(statuses.to_string(), "2xx,404");
        assert_eq!(Statuses::read(&Statuses::default().to_string()), Ok(Statuses::default()));
        for wrong in ["", "ok", "1xx", "100", "6xx", "99999xx", "2xx,"] {
            assert!(Statuses::read(wrong).is_err(), "{wrong}");
        }
    }
}
