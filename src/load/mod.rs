//! Open-loop load: operation i is due at `due(i)`, whatever the target does.
//!
//! In: a [`LoadPlan`](crate::plan::LoadPlan) and the routing table. Out: a sealed [`Ledger`], one record for every
//! operation, written before it was sent. Start with [`drive()`], then `shard`: it is the engine.
//!
//! ```text
//! pacer + lanes ─ schedule ─┐                        ┌─ dialogue: request ─ client ─ response ─ predicate
//!    (what is due when)     ├─ shard ─ rotation ─────┤   (one connection: out, in, what it says)
//!                           │          (who gets it) ├─ transport (TLS and HTTP/2, in place of client)
//! horizon, backoff ─────────┘                        └─ mailbox (an idle connection)
//!                             └─ ledger (what was attempted), tally (for the eyes) ─ latency ─ hlog
//! ```

pub mod alarm;
mod backoff;
mod client;
pub mod dialogue;
mod drive;
mod fuse;
pub mod hlog;
mod horizon;
pub mod lanes;
pub mod latency;
pub mod ledger;
mod mailbox;
pub mod pacer;
mod predicate;
mod request;
pub mod response;
mod rotation;
mod schedule;
mod shard;
mod tally;
pub mod transport;
mod wake;

pub use drive::{Driven, Load, LoadError, drive, drive_into};
pub use lanes::{Lane, Operation, Operations};
pub use ledger::{Attempt, Ledger, LedgerError, Outcome};
pub use tally::Connections;

#[cfg(test)]
pub(crate) mod fake_target;
#[cfg(test)]
mod test_plan;
