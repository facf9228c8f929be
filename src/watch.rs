//! The eyes on a run: the pass tells them what happens, and they never steer it. The terminal's progress display
//! is one; a test that acts behind the run's back is another.

use async_trait::async_trait;

use crate::clock::Offset;

/// The stages of a run that a person waits for, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Up,
    Load,
    Settle,
    ReadBack,
    Down,
    Judge,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Up => "up",
            Phase::Load => "load",
            Phase::Settle => "settle",
            Phase::ReadBack => "read back",
            Phase::Down => "down",
            Phase::Judge => "judge",
        }
    }
}

/// One second of load, as the engine saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Second {
    pub at: Offset,
    /// Operations due in this second.
    pub due: u64,
    /// Of these and earlier ones: sent in this second.
    pub sent: u64,
    pub acked: u64,
    /// Refused or Unknown in this second.
    pub errors: u64,
    /// Response time (done − due), milliseconds.
    pub response_ms_p99: f64,
}

/// Tasks in the buffer, summed over every place that can be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    pub ready: u64,
    pub leased: u64,
    pub delayed: u64,
    pub dead: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Second(Second),
    Depth(Depth),
    /// A sentence about the lab or the timeline: `api-2.1 killed, exposure 1`.
    Note(String),
    /// The next step and when it is due; `None` when the timeline is over.
    NextStep(Option<(Offset, String)>),
}

#[async_trait]
pub trait Watch: Send + Sync {
    /// A stage begins. The run waits for the answer: a test may act here behind the run's back.
    async fn phase(&self, _phase: Phase) {}

    /// Something happened. Must return at once.
    fn event(&self, _event: Event) {}
}

/// Watches nothing.
pub struct Unwatched;

impl Watch for Unwatched {}
