//! Whoever keeps what becomes of each operation while a load runs.

use super::{Begin, Dispatch, End, LedgerError};
use crate::clock::Offset;

/// One shard's recorder. It hears of every operation three times: when it is due, when it is given to an instance, and,
/// once for each, how it ended.
pub trait Recorder: Send + 'static {
    /// What is left when the load is over.
    type Closed: Send + 'static;

    /// The next operation of this part is due. It may be sent only after this.
    fn begin(&mut self, begin: &Begin) -> Result<(), LedgerError>;
    /// A begun operation is given to an instance; called before its first byte is sent.
    fn dispatched(&mut self, op: u64, dispatch: &Dispatch);
    /// How a begun operation ended.
    fn finish(&mut self, op: u64, end: &End);
    /// Ends all that is still open: sent → Unknown, never sent → NotSent.
    fn end_open(&mut self, done: Offset);
    /// Every operation that was due before `issued_until` was begun, and has ended.
    fn close(self, issued_until: Offset) -> Result<Self::Closed, LedgerError>;
}
