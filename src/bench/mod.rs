//! What load generators are measured against: a server whose log of arrivals is the truth, and what an honest client
//! of a server that stalls must report; and the generators side by side.
//!
//! ```text
//! script ─┬─ server ── log of arrivals ──┐
//!         └─ truth ── percentiles ───────┴─ what a generator said is held against both (`peers`)
//! ```

pub mod peers;
pub mod server;
pub mod truth;
