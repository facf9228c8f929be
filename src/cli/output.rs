//! The result of a command on stdout, as text or as JSON, and nothing else there.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::exit::Exit;
use super::{Global, OutputFormat, fail};
use crate::mask::mask;

/// Prints it; the exit code is 0, unless it could not be told.
pub fn print(text: impl AsRef<[u8]>) -> Exit {
    match write(text.as_ref()) {
        Err(e) => fail(&format!("print the result: {e}"), Exit::BadInput),
        Ok(()) => Exit::Pass,
    }
}

/// Prints a value as `--output` asks.
pub fn print_as<T: Serialize + ?Sized>(value: &T, in_words: impl FnOnce() -> String, global: &Global) -> Exit {
    print(match global.output {
        OutputFormat::Human => in_words(),
        OutputFormat::Json => json(value),
    })
}

pub fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("plain data with string keys and finite numbers") + "\n"
}

/// Writes text without its passwords. A reader that has gone (`… | head`) wants no more: that is no error.
pub fn write(text: &[u8]) -> io::Result<()> {
    let masked = mask(&String::from_utf8_lossy(text));
    let mut stdout = io::stdout().lock();
    match stdout.write_all(masked.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Whether stdout should have colours: a terminal, and no `NO_COLOR`.
pub fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
