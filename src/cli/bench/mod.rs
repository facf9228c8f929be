//! `mxctl bench`: load generators, and what they are compared on.

mod peers;
mod peers_report;
mod server;
mod tables;

use clap::Subcommand;

use super::Global;
use super::exit::Exit;
use crate::scenario::Written;

/// Compare load generators
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run mxctl and every other load generator on the PATH side by side
    #[command(after_help = peers::EXAMPLES)]
    Peers(Box<peers::PeersArgs>),
    /// Answer HTTP by a script, and log when every request arrived
    #[command(after_help = server::EXAMPLES)]
    Server(Box<server::ServerArgs>),
}

pub const EXAMPLES: &str = "Examples:
  mxctl bench peers
  mxctl bench server --port 8080 --log arrivals.csv
  mxctl bench server --stall 14s:1s --duration 30s";

pub async fn run(command: Command, global: &Global) -> Exit {
    match command {
        Command::Peers(args) => peers::run(*args, global).await,
        Command::Server(args) => server::run(&args).await,
    }
}

/// A value as scenario files write it.
fn written<T: Written>(text: &str) -> Result<T, String> {
    T::read(text).map_err(|wrong| format!("{}; {}", wrong.message, wrong.help))
}
