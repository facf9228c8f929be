//! The class of an operation: its word, whether it fails a run, and the evidence that it rests on; and how a report
//! counts the members of each, and shows the first of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Offset;

/// The classes of DESIGN §4, in the order in which the first that matches counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Unexpected,
    Corrupt,
    Phantom,
    Dead,
    Stranded,
    Lost,
    Stale,
    Torn,
    Applied,
    Superseded,
    Recovered,
    Unresolved,
    Refused,
    NotSent,
}

impl Class {
    pub const ALL: [Class; 14] = [
        Class::Unexpected,
        Class::Corrupt,
        Class::Phantom,
        Class::Dead,
        Class::Stranded,
        Class::Lost,
        Class::Stale,
        Class::Torn,
        Class::Applied,
        Class::Superseded,
        Class::Recovered,
        Class::Unresolved,
        Class::Refused,
        Class::NotSent,
    ];

    /// What losing a write looks like.
    pub const BROKEN: [Class; 4] = [Class::Stranded, Class::Lost, Class::Stale, Class::Torn];

    pub fn word(self) -> &'static str {
        match self {
            Class::Unexpected => "unexpected",
            Class::Corrupt => "corrupt",
            Class::Phantom => "phantom",
            Class::Dead => "dead",
            Class::Stranded => "stranded",
            Class::Lost => "lost",
            Class::Stale => "stale",
            Class::Torn => "torn",
            Class::Applied => "applied",
            Class::Superseded => "superseded",
            Class::Recovered => "recovered",
            Class::Unresolved => "unresolved",
            Class::Refused => "refused",
            Class::NotSent => "not sent",
        }
    }

    /// Whether one member on sound evidence fails the run.
    pub fn fails(self) -> bool {
        use Class::{Corrupt, Lost, Phantom, Stale, Stranded, Torn, Unexpected};
        matches!(self, Unexpected | Corrupt | Phantom | Stranded | Lost | Stale | Torn)
    }

    /// The evidence that a class names for itself.
    pub fn rests_on(self) -> &'static str {
        match self {
            Class::Unexpected => "untorn ledger, empty start",
            Class::Phantom => "untorn ledger",
            Class::Corrupt => "complete reader",
            Class::Dead => "queue probe",
            Class::Stranded => "queue probe, target at rest; or a checkpoint",
            Class::Lost | Class::Stale | Class::Torn => "complete reader, queue probe, target at rest",
            Class::Applied | Class::Superseded | Class::Recovered | Class::Unresolved => "rows",
            Class::Refused | Class::NotSent => "ledger",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassCount {
    pub class: Class,
    /// Operations (for `unexpected`: rows).
    pub count: u64,
    /// Fail on sight, where the evidence is sound.
    pub fails: bool,
    /// The evidence it rests on, in words.
    pub rests_on: String,
    /// Why that evidence is unsound; the count then says nothing.
    pub void: Option<String>,
}

/// One write of a failing class, as a person would look into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exhibit {
    pub class: Class,
    pub op: Option<u64>,
    pub key: u64,
    pub seq: u64,
    /// Which of its presets.
    pub presets: Vec<u8>,
    /// Who acknowledged it.
    pub instance: Option<String>,
    pub acked: Option<Offset>,
    /// `acknowledged by all-1.1, not in the database at the checkpoint of 2:rolling-update/all-1, never seen again`.
    pub last_seen: String,
}
