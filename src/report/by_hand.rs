//! How a person counts the rows without mxctl: the commands, to be copied.
//!
//! In: where the rows are, and the query. Out: lines for a shell. A file is opened; a server that ended with its run is
//! started again over its data; one that is still there is asked.

use std::path::Path;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RunReport;
use crate::plan::Database;

/// A database that is a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseServer {
    pub database: Database,
    /// Where the rows were read, without a password.
    pub url: String,
    /// It was the run's own, and went with it; its data stayed.
    pub ended: bool,
}

/// One command a line; `None`: nothing is known but the query.
pub fn commands(report: &RunReport, folder: &Path, query: &str) -> Option<Vec<String>> {
    let data = report.paths.database.as_ref().map(|path| quoted(&folder.join(path).display().to_string()));
    match (&report.database, data) {
        (None, Some(file)) => Some(vec![format!("sqlite3 {file} \\"), format!("  {}", quoted(query))]),
        (Some(server), data) => {
            let again = data.filter(|_| server.ended).map(|data| start_again(server, &data));
            Some(again.into_iter().flatten().chain(ask(server, query)).collect())
        }
        (None, None) => None,
    }
}

/// As the user who owns the data, and not as root.
fn start_again(server: &DatabaseServer, data: &str) -> [String; 2] {
    let port = Url::parse(&server.url).ok().and_then(|url| url.port()).unwrap_or_default();
    let command = match server.database {
        Database::MariaDb => format!("mariadbd --no-defaults --datadir={data} --port={port} --socket=socket &"),
        _ => format!("postgres -D {data} -p {port} -c unix_socket_directories= &"),
    };
    ["# its server ended with the run; over the data that it left, as their owner:".to_owned(), command]
}

fn ask(server: &DatabaseServer, query: &str) -> [String; 2] {
    let Ok(url) = Url::parse(&server.url) else { return [format!("# on {}", server.url), query.to_owned()] };
    match server.database {
        Database::MariaDb => {
            let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(3306));
            let password = if url.password().is_some() { " --password" } else { "" };
            let name = url.path().trim_matches('/');
            let user = url.username();
            [
                format!("mariadb --protocol=tcp --host={host} --port={port} --user={user}{password} {name} \\"),
                format!("  --execute={}", quoted(query)),
            ]
        }
        _ => {
            let mut asked = url.clone();
            // psql asks for it.
            let _ = asked.set_password(None);
            [format!("psql {} \\", quoted(asked.as_str())), format!("  --command={}", quoted(query))]
        }
    }
}

/// As one word of a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=+,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::canned;
    use super::*;

    fn told(database: Database, url: &str, ended: bool) -> String {
        let (_, mut report) = canned::reports().remove(0);
        report.database = Some(DatabaseServer { database, url: url.to_owned(), ended });
        report.paths.database = ended.then(|| "target/server/data".into());
        commands(&report, Path::new("reports/run"), "select 1").unwrap().join("\n")
    }

    #[test]
    fn a_file_is_opened() {
        let (_, report) = canned::reports().remove(0);
        let told = commands(&report, Path::new("reports/my run"), "select 1").unwrap();
        assert_eq!(told, ["sqlite3 'reports/my run/target/expectation.db' \\", "  'select 1'"]);
    }

    #[test]
    fn a_server_that_ended_with_its_run_is_started_again_over_its_data() {
        let postgres = told(Database::Postgres, "postgres://postgres@127.0.0.1:4711/expectation", true);
        assert!(postgres.contains("postgres -D reports/run/target/server/data -p 4711 "), "{postgres}");
        let mariadb = told(Database::MariaDb, "mariadb://mxctl@127.0.0.1:4712/expectation", true);
        assert!(mariadb.contains("mariadbd --no-defaults --datadir=reports/run/target/server/data --port=4712 "));
        assert!(mariadb.ends_with("--port=4712 --user=mxctl expectation \\\n  --execute='select 1'"), "{mariadb}");
    }

    #[test]
    fn a_server_that_is_there_is_asked_and_asks_for_its_password() {
        let postgres = told(Database::Postgres, "postgres://app:***@db/shop?sslmode=disable", false);
        assert_eq!(postgres, "psql 'postgres://app@db/shop?sslmode=disable' \\\n  --command='select 1'");
        let mariadb = told(Database::MariaDb, "mariadb://app:***@db/shop", false);
        assert!(mariadb.contains(" --host=db --port=3306 --user=app --password shop "), "{mariadb}");
    }
}
