//! What is known of one operation, and the class that follows from it.
//!
//! In: each write's row, its place in the queue, what the witness saw. Out: the first class of DESIGN §4 that matches.

mod poison;

use super::Class;
use super::checkpoints::Look;
use crate::load::{Attempt, Lane, Outcome};
use crate::readback::{QueuedItem, Row};

/// What the rows say of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its row has its seq and its content.
    There,
    /// Its row has its seq and other content.
    Corrupt,
    /// Its row has a newer seq that was attempted.
    Superseded,
    /// Its row has a newer seq that nobody attempted.
    Overwritten,
    /// Its row has an older seq.
    Older,
    Missing,
}

/// What is known of one write of an operation.
pub(super) struct Write<'a> {
    pub preset: u8,
    pub presence: Presence,
    pub row: Option<Row<'a>>,
    pub queued: Option<&'a QueuedItem>,
    /// Whether the witness saw it, attempted or dropped by name; `None`: there is no witness.
    pub seen: Option<bool>,
    /// The witness saw it applied.
    pub regressed: bool,
}

impl Write<'_> {
    /// Its seq is in its row, or was seen on the way there.
    fn there(&self) -> bool {
        self.presence == Presence::There || (self.hidden() && self.seen == Some(true))
    }

    /// A newer row stands where its own would: whether it ever arrived, the row does not say.
    fn hidden(&self) -> bool {
        matches!(self.presence, Presence::Superseded | Presence::Overwritten)
    }

    pub fn absent(&self) -> bool {
        matches!(self.presence, Presence::Missing | Presence::Older) && self.queued.is_none()
    }

    /// In no row, and in no row's past.
    pub fn lost(&self) -> bool {
        match self.presence {
            Presence::Missing | Presence::Overwritten => true,
            Presence::Superseded => self.seen == Some(false),
            Presence::There | Presence::Corrupt | Presence::Older => false,
        }
    }
}

/// What is known of one operation.
pub(super) struct Seen<'a> {
    pub operation: Attempt,
    pub writes: [Write<'a>; 3],
    /// Its instance still has tasks in its own memory.
    pub held_privately: bool,
    /// A checkpoint at which it had to be in the database, and was not.
    pub stranded_at: Option<&'a Look<'a>>,
    pub rows_read: bool,
}

impl<'a> Seen<'a> {
    fn any(&self, holds: impl Fn(&Write<'a>) -> bool) -> bool {
        self.writes.iter().any(holds)
    }

    fn all(&self, holds: impl Fn(&Write<'a>) -> bool) -> bool {
        self.writes.iter().all(holds)
    }

    /// A checkpoint missed it, and at the end it is there.
    pub fn came_late(&self) -> bool {
        self.stranded_at.is_some() && self.all(|w| w.presence == Presence::There)
    }

    /// The first class of DESIGN §4 that matches.
    pub fn class(&self) -> Class {
        if self.operation.lane == Lane::Poison {
            return self.class_of_poison();
        }
        if self.operation.outcome != Outcome::NotSent && self.any(|w| w.presence == Presence::Corrupt) {
            return Class::Corrupt;
        }
        match self.operation.outcome {
            Outcome::NotSent => Class::NotSent,
            Outcome::Refused if self.any(|w| w.there() || w.seen == Some(true) || w.queued.is_some()) => Class::Phantom,
            Outcome::Refused => Class::Refused,
            Outcome::Acked => self.class_of_acked(),
            Outcome::Unknown => self.class_of_unknown(),
        }
    }

    fn class_of_acked(&self) -> Class {
        let incomplete = self.any(|w| w.lost() || w.presence == Presence::Older);
        let late = self.stranded_at.is_some();
        if late || self.any(|w| w.queued.is_some()) || (incomplete && self.rows_read && self.held_privately) {
            Class::Stranded
        } else if !self.rows_read {
            Class::Unresolved
        } else if self.any(Write::lost) {
            Class::Lost
        } else if incomplete {
            Class::Stale
        } else if self.all(|w| w.presence == Presence::There) {
            Class::Applied
        } else {
            Class::Superseded
        }
    }

    fn class_of_unknown(&self) -> Class {
        if self.any(Write::there) && self.any(Write::absent) {
            Class::Torn
        } else if self.any(Write::there) && self.all(|w| w.there() || w.hidden()) {
            Class::Recovered
        } else {
            Class::Unresolved
        }
    }
}
