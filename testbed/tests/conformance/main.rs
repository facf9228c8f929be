//! The conformance suite: what every strategy over every database must hold, with real servers and real processes.
//!
//! ```text
//! script ── play ──► Evidence ── judge ──► violations of invariants.rs
//!   │        └─ a strategy, a database, a worker that may be frozen or killed at each step
//!   └─ one canonical, and random ones (properties)
//! ```
//! `broken.rs` holds strategies with one mistake each; `red.rs` shows that the suite tells each mistake by the one
//! invariant that it breaks. `crash.rs`, `outage.rs` and `rivals.rs` do with service processes what a script cannot.
//!
//! A strategy joins by its line in `strategy::STRATEGIES` and in `lab::strategies::Broker::start`, a database by its
//! line in `store::DATABASES` and in `lab::database::DATABASES`. What a strategy cannot do by its nature its
//! `capabilities()` say, and the suite asks for exactly that.

mod broken;
mod crash;
mod ensemble;
#[path = "../service/harness.rs"]
#[expect(dead_code, reason = "one harness for all tests: these need a part of it")]
mod harness;
mod invariants;
#[path = "../lab/mod.rs"]
#[expect(dead_code, reason = "one laboratory for all tests: these need a part of it")]
mod lab;
mod outage;
mod play;
mod process;
mod properties;
mod red;
mod rivals;
mod script;
