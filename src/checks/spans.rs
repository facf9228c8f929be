//! Spans of a run's time: when something struck, how long it lasted, and which operations it touched.

use crate::clock::Offset;
use crate::load::{Attempt, Outcome};
use crate::timeline::{DisturbanceRecord, StopRecord};

/// From the first moment (inclusive) to the second (exclusive).
pub(super) type Span = (Offset, Offset);

/// The moment of the blow: from then on the victim does not answer as it did.
pub(super) fn struck(record: &StopRecord) -> Offset {
    record.frozen.or(record.signalled).unwrap_or(record.began)
}

/// From the first act until all was as before; for good, where it never was.
pub(super) fn disturbed(record: &DisturbanceRecord) -> Span {
    (record.began, record.healed.unwrap_or(Offset(u64::MAX)))
}

/// Whether an operation was not acknowledged, and open at some moment of a span.
pub(super) fn touches(operation: &Attempt, (from, to): Span) -> bool {
    let open = operation.due <= to && operation.done.is_none_or(|done| done >= from);
    open && operation.outcome != Outcome::Acked
}
