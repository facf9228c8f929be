//! Server programs: found or not, and in which version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Line;
use super::needs::Needs;

/// A server program that some run starts as its private child.
struct Program {
    need: &'static str,
    names: &'static [&'static str],
    /// Folders beside those of PATH; `*` stands for one folder of any name.
    folders: &'static [&'static str],
    remedy: &'static str,
}

const REDIS: Program = Program {
    need: "redis-server",
    names: &["redis-server"],
    folders: &[],
    remedy: "`testbed/provision redis` installs it; without it, `--strategy in-memory`",
};

/// No shipped scenario needs these.
const OPTIONAL: [Program; 2] = [
    Program {
        need: "PostgreSQL",
        names: &["postgres"],
        folders: &["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"],
        remedy: "only for `--database postgres`: `testbed/provision postgres` installs it",
    },
    Program {
        need: "MariaDB",
        names: &["mariadbd", "mysqld"],
        folders: &["/usr/sbin", "/usr/libexec"],
        remedy: "only for `--database mariadb`: `testbed/provision mariadb` installs it",
    },
];

pub fn lines(needs: &Needs) -> Vec<Line> {
    let redis = match (REDIS.found(), needs.redis) {
        (Some(found), _) => Line::ok(REDIS.need, found),
        (None, true) => Line::missing(REDIS.need, "not found", REDIS.remedy),
        (None, false) => Line::warn(REDIS.need, "not found", REDIS.remedy),
    };
    let optional = OPTIONAL.iter().map(|program| match program.found() {
        Some(found) => Line::ok(program.need, found),
        None => Line::warn(program.need, "not found", program.remedy),
    });
    std::iter::once(redis).chain(optional).collect()
}

impl Program {
    /// `7.0.15 (/usr/bin/redis-server)`, of the first place where it answers.
    fn found(&self) -> Option<String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(self.folders.iter().flat_map(|folder| expand(folder)));
        let places = folders.flat_map(|folder| self.names.iter().map(move |name| folder.join(name)));
        places.filter(|place| place.is_file()).find_map(|place| {
            let version = version(&place)?;
            Some(format!("{version} ({})", place.display()))
        })
    }
}

/// The folders that a pattern with at most one `*` stands for, newest name first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.into()] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let names = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| name.starts_with(prefix));
    names.sort_by(|a, b| b.cmp(a));
    names.iter().map(|name| PathBuf::from(format!("{parent}/{name}{after}"))).collect()
}

fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
}

/// The first word with a digit and a dot in it, without what stands around the number.
fn version_in(text: &str) -> Option<String> {
    let word =
        text.split_whitespace().find(|word| word.contains('.') && word.contains(|c: char| c.is_ascii_digit()))?;
    let from = word.find(|c: char| c.is_ascii_digit())?;
    let number = &word[from..];
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    Some(number[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_servers_print() {
        for (text, version) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", "7.0.15"),
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "15.14"),
            ("mariadbd  Ver 10.11.14-MariaDB-0+deb12u2 for debian-linux-gnu on x86_64", "10.11.14"),
        ] {
            assert_eq!(version_in(text).as_deref(), Some(version));
        }
        assert_eq!(version_in("no such thing"), None);
    }

    #[test]
    fn a_pattern_stands_for_the_folders_that_are_there() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15"] {
            fs::create_dir_all(root.path().join("pg").join(version)).unwrap();
        }
        let pattern = format!("{}/pg/*/bin", root.path().display());
        assert_eq!(expand(&pattern), [root.path().join("pg/9/bin"), root.path().join("pg/15/bin")]);
        assert_eq!(expand("/usr/sbin"), [PathBuf::from("/usr/sbin")]);
    }
}
