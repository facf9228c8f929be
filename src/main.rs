//! The `mxctl` command. Everything is in the library; `lib.rs` is the map.

fn main() -> std::process::ExitCode {
    mxctl::cli::main()
}
