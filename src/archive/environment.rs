//! What a run ran on: enough to tell two runs apart that should have been equal.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use nix::sys::utsname::uname;
use procfs::{Current, Meminfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::mask::mask_word;

/// `None`: this system does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Version of mxctl.
    pub mxctl: String,
    /// Of the executable that ran, which is the service under test as well.
    pub executable_sha256: Option<String>,
    /// `Debian GNU/Linux 13 (trixie)`.
    pub system: Option<String>,
    /// `Linux 6.12.1 x86_64`.
    pub kernel: Option<String>,
    /// Those that this process may use.
    pub cpus: Option<usize>,
    /// What this process may use: the machine's, or its control group's where that is less.
    pub memory_bytes: Option<u64>,
    pub started_at: Timestamp,
    /// As typed, without passwords.
    pub arguments: Vec<String>,
    /// Version of each server program that was found: `redis-server` → `7.0.15`.
    pub servers: BTreeMap<String, String>,
}

impl Environment {
    pub fn gather(started_at: Timestamp, arguments: impl IntoIterator<Item = String>) -> Environment {
        Environment {
            executable_sha256: executable_sha256().ok(),
            servers: redis_version().map(|version| ("redis-server".to_owned(), version)).into_iter().collect(),
            ..Environment::of_machine(started_at, arguments)
        }
    }

    /// Of a run whose service is somebody else's: no server program of this machine has a part in it, and no selftest speaks
    /// of it. Its own executable is not hashed, which takes longer than a short load.
    pub fn of_machine(started_at: Timestamp, arguments: impl IntoIterator<Item = String>) -> Environment {
        Environment {
            mxctl: env!("CARGO_PKG_VERSION").to_owned(),
            executable_sha256: None,
            system: system(),
            kernel: kernel(),
            cpus: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: memory_bytes(),
            started_at,
            arguments: arguments.into_iter().map(|argument| mask_word(&argument)).collect(),
            servers: BTreeMap::new(),
        }
    }
}

fn executable_sha256() -> io::Result<String> {
    // Not the path: the file there may be another one by now.
    let mut executable = fs::File::open("/proc/self/exe")?;
    let mut hash = Sha256::new();
    io::copy(&mut executable, &mut hash)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn system() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

fn kernel() -> Option<String> {
    let name = uname().ok()?;
    let words = [name.sysname(), name.release(), name.machine()].map(OsStr::to_string_lossy);
    Some(words.join(" "))
}

fn memory_bytes() -> Option<u64> {
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let machine = Meminfo::current().ok().map(|memory| memory.mem_total);
    [group, machine].into_iter().flatten().min()
}

fn redis_version() -> Option<String> {
    let output = Command::new("redis-server").arg("--version").stdin(Stdio::null()).output().ok()?;
    version_word(&String::from_utf8(output.stdout).ok()?)
}

/// `Redis server v=7.0.15 sha=…`.
fn version_word(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| word.strip_prefix("v=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_names_the_executable_the_machine_and_no_password() {
        let arguments = ["chaos", "--redis", "redis://:hunter2@127.0.0.1"].map(String::from);
        let here = Environment::gather(Timestamp::UNIX_EPOCH, arguments);
        assert_eq!(here.executable_sha256.as_ref().map(String::len), Some(64));
        assert!(here.kernel.as_ref().is_some_and(|k| k.starts_with("Linux ")), "{here:?}");
        assert!(here.cpus.is_some_and(|n| n > 0) && here.memory_bytes.is_some_and(|n| n > 1 << 20), "{here:?}");
        assert_eq!(here.arguments[2], "redis://:***@127.0.0.1");
    }

    #[test]
    fn a_version_is_read_from_what_redis_prints() {
        assert_eq!(version_word("Redis server v=7.0.15 sha=00000000:0 malloc=x"), Some("7.0.15".into()));
        assert_eq!(version_word("no such thing"), None);
    }
}
