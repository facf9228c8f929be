//! What a figure that a gate limits came to.

pub(super) enum Measured {
    /// In the unit of the gate's limit.
    Value(f64),
    /// It is at least this much, and nobody saw the end of it.
    AtLeast(f64),
    Nothing(String),
}
