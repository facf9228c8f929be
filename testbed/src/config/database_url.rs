//! Where the database is. In: a URL such as `sqlite:///path/to/file.db` or `postgres://user:password@host:5432/name`.
//! Out: a URL that its database understands, shown without its password wherever it is shown.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::secrets::Secrets;
use crate::store::{DATABASES, Database};

#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseUrl {
    text: String,
    database: &'static Database,
}

impl DatabaseUrl {
    /// What the URL names: its scheme says so.
    pub(crate) fn database(&self) -> &'static Database {
        self.database
    }

    /// With its password: for the driver alone.
    pub(crate) fn revealed(&self) -> &str {
        &self.text
    }

    /// A driver's words, without the password that they may repeat.
    pub(crate) fn mask(&self, text: &str) -> String {
        Secrets::of(&self.text).mask(text)
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let masked = Secrets::of(url).mask(url);
        let Some((scheme, _)) = url.split_once("://") else {
            return Err(format!("{masked:?} is no URL ({})", known()));
        };
        let Some(database) = DATABASES.iter().find(|database| database.schemes.contains(&scheme)) else {
            return Err(format!("{scheme:?} is no database that this service knows ({})", known()));
        };
        (database.check)(url).map_err(|why| format!("{masked:?} {} ({})", Secrets::of(url).mask(&why), known()))?;
        Ok(DatabaseUrl { text: url.to_owned(), database })
    }
}

fn known() -> String {
    format!("known: {}", DATABASES.iter().map(|database| database.example).collect::<Vec<_>>().join(", "))
}

impl TryFrom<String> for DatabaseUrl {
    type Error = String;

    /// `${NAME}` stands for an environment variable: a file need not hold a password.
    fn try_from(url: String) -> Result<Self, String> {
        let Some(name) = url.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else { return url.parse() };
        let value = std::env::var(name).map_err(|_| format!("the environment has no variable {name:?}"))?;
        value.parse()
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for DatabaseUrl {}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mask(&self.text))
    }
}

/// As [`fmt::Display`]: this ends up in logs.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        url.parse::<DatabaseUrl>().unwrap_err()
    }

    #[test]
    fn each_database_is_found_by_its_scheme() {
        for database in DATABASES {
            let url: DatabaseUrl = database.example.parse().unwrap();
            assert_eq!(url.database().example, database.example);
        }
        let mysql: DatabaseUrl = "mysql://root@127.0.0.1/expectation".parse().unwrap();
        assert!(mysql.database().schemes.contains(&"mariadb"));
    }

    #[test]
    fn another_scheme_is_answered_with_the_known_ones_and_without_its_password() {
        let message = refusal("oracle://me:secret@host/db");
        let start = r#""oracle" is no database that this service knows (known: sqlite:///path/to/file.db, postgres://"#;
        assert!(message.starts_with(start) && !message.contains("secret"), "{message}");
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        let cases = [
            ("expectation.db", "is no URL"),
            ("sqlite://", "names no file"),
            ("postgres://me:s3cret@host:5432", "names no database"),
            ("postgres://me:s3cret@host:port/db", "invalid port number"),
            ("postgres://me:s3cret@host/db?sslmode=maybe", "maybe"),
            ("postgres://me@host/db?passwrod=s3cret", "\"passwrod\" is no parameter"),
            ("mariadb://me:s3cret@host:3306/", "names no database"),
            ("mysql://me:s3cret@host/db?ssl-mode=maybe", "maybe"),
            ("mariadb://me:s3cret@host/db?sslmodus=DISABLED", "\"sslmodus\" is no parameter"),
        ];
        for (url, why) in cases {
            let message = refusal(url);
            assert!(message.contains(why) && message.contains("known: "), "{url}: {message}");
            assert!(!message.contains("s3cret"), "{url}: {message}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere_and_the_rest_everywhere() {
        let url: DatabaseUrl = "postgres://app:p%40ss@127.0.0.1:5432/expectation?sslmode=disable".parse().unwrap();
        let shown = "postgres://app:***@127.0.0.1:5432/expectation?sslmode=disable";
        assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        assert_eq!(url.mask("cannot log in with p@ss or p%40ss"), "cannot log in with *** or ***");
    }

    #[test]
    fn a_url_may_stand_in_the_environment() {
        let unset = DatabaseUrl::try_from("${NO_SUCH_VARIABLE}".to_owned()).unwrap_err();
        assert_eq!(unset, "the environment has no variable \"NO_SUCH_VARIABLE\"");
        let path = std::env::var("PATH").unwrap();
        let no_url = DatabaseUrl::try_from("${PATH}".to_owned()).unwrap_err();
        assert!(no_url.contains("is no URL") && no_url.contains(&path), "{no_url}");
    }

    #[test]
    fn three_slashes_are_an_absolute_path_and_two_a_relative_one() {
        for url in ["sqlite:///var/lib/e.db", "sqlite://e.db"] {
            assert_eq!(url.parse::<DatabaseUrl>().unwrap().to_string(), url);
        }
    }
}
