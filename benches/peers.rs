//! Load generators side by side: `cargo bench --bench peers [-- FLAGS]` is `mxctl bench peers FLAGS` of an optimised
//! mxctl.
//!
//! Without cargo's `--bench`, as in `cargo test --all-targets`: one short run, enough to see that it works.

use std::process::Command;

const TRIED: [&str; 8] = ["--rates", "200", "--duration", "1s", "--rounds", "1", "--truth", "none"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let benched = arguments.iter().any(|argument| argument == "--bench");
    let mut peers = Command::new(env!("CARGO_BIN_EXE_mxctl"));
    peers.args(["bench", "peers"]).args(arguments.iter().filter(|argument| *argument != "--bench"));
    if !benched {
        // On one core, too.
        peers.args(TRIED).arg("--anyway");
    }
    let status = peers.status().expect("mxctl runs");
    std::process::exit(status.code().unwrap_or(1));
}
