//! What a person wrote: structs one to one with the YAML, and the flags that are laid over them.
//!
//! In: a [`Source`] (a file, or a scenario that ships). Out: a [`Scenario`], whose fields keep their place, together
//! with every problem found so far. A field that cannot be read is a problem and an [`Entry::Unreadable`]; reading
//! goes on. Only [`Plan::resolve`](crate::plan::Plan::resolve) says what the words mean, and whether there is a plan.

mod allow;
mod condition;
mod gates;
mod node;
mod overrides;
mod problem;
mod read;
mod reader;
mod shape;
mod source;
mod spelling;
mod value;

use crate::disturbance::Disturbance;
pub use allow::Allowance;
pub use condition::ConditionText;
pub use gates::GateLine;
pub use overrides::Overrides;
pub use problem::{Place, Position, Problem, Problems};
pub use read::step_words;
pub use shape::ShapePart;
pub use source::{Source, shipped};
pub use spelling::nearest;
pub use value::{
    Count, Entry, Located, Moment, Percent, Period, Rate, Rps, Shift, Size, Switch, Word, Written, Wrong,
    share_in_percent,
};

/// One scenario file, or one with flags laid over it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The file's name without its extension serves where the file has no `name`.
    pub name: Entry<Word>,
    pub stem: String,
    pub target: Target,
    pub load: Load,
    pub timeline: Vec<Step>,
    pub gates: Vec<GateLine>,
    pub settle: Settle,
    /// What the run may touch although it did not start it.
    pub allow: Vec<Located<Allowance>>,
    /// Whether every gate could be read.
    pub gates_readable: bool,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// The service under test.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Target {
    pub backend: Entry<Word>,
    pub strategy: Entry<Word>,
    pub instances: Entry<Count>,
    pub workers: Entry<Count>,
    pub database: Entry<Word>,
    pub batch: Entry<Count>,
    pub flush_interval: Entry<Period>,
    pub lease: Entry<Period>,
    pub redrive_scan: Entry<Period>,
    pub max_attempts: Entry<Count>,
    pub witness: Entry<Switch>,
    pub appendfsync: Entry<Word>,
    pub persistence: Entry<Word>,
    pub grace: Entry<Period>,
    pub clock_offset: Entry<Vec<ClockLine>>,
}

/// The clock of one instance: `worker-2: 30s`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockLine {
    pub slot: Located<Word>,
    pub ahead: Located<Shift>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Load {
    pub rps: Entry<Rps>,
    pub duration: Entry<Period>,
    /// In place of `rps` and `duration`.
    pub shape: Entry<Vec<ShapePart>>,
    pub mix: Entry<Mix>,
    pub hot_keys: Entry<Count>,
    pub arrivals: Entry<Word>,
    pub read_keys: Entry<Word>,
    /// To each instance.
    pub connections: Entry<Count>,
    pub request_timeout: Entry<Period>,
    pub own_lag_limit: Entry<Period>,
    pub shards: Entry<Count>,
}

/// A lane that is left out has no share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mix {
    pub write_once: Entry<Percent>,
    pub hot_key: Entry<Percent>,
    pub read: Entry<Percent>,
    pub poison: Entry<Percent>,
}

impl Load {
    /// Whether all that says how long the load lasts, and at which rate, could be read.
    pub fn shape_is_readable(&self) -> bool {
        let parts = self.shape.given().map_or(&[][..], |shape| &shape.value);
        let whole = parts.iter().all(ShapePart::is_readable);
        whole && self.shape.is_readable() && self.rps.is_readable() && self.duration.is_readable()
    }
}

/// `- rolling-update: {…}`, `- pause: {…}`, ….
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    RollingUpdate(StepFields),
    Kill(StepFields),
    Terminate(StepFields),
    Pause(StepFields),
    Scale(StepFields),
    /// What the service depends on is disturbed.
    Disturb(Disturbance, StepFields),
    Unreadable,
}

impl Step {
    pub fn fields(&self) -> Option<&StepFields> {
        match self {
            Step::RollingUpdate(f) | Step::Kill(f) | Step::Terminate(f) | Step::Pause(f) | Step::Scale(f) => Some(f),
            Step::Disturb(_, f) => Some(f),
            Step::Unreadable => None,
        }
    }
}

/// The fields of a step; those that its kind does not have are absent.
#[derive(Debug, Clone, PartialEq)]
pub struct StepFields {
    /// Of the step's word.
    pub place: Place,
    pub at: Entry<Moment>,
    pub when: Entry<ConditionText>,
    /// Roles (`api`) and slots (`api-2`).
    pub of: Entry<Vec<Located<Word>>>,
    pub mode: Entry<Word>,
    pub grace: Entry<Period>,
    /// How long a pause or a disturbance lasts: `for`.
    pub lasts: Entry<Period>,
    /// Of every answer.
    pub delay: Entry<Period>,
    /// The databases that a disturbance is meant for: with another one it is left out.
    pub databases: Entry<Vec<Located<Word>>>,
    /// What comes after a pause.
    pub then: Entry<Word>,
    /// How many instances there are after scaling.
    pub to: Entry<Count>,
    pub window: Entry<Period>,
    pub window_acks: Entry<Count>,
    pub hold: Entry<Word>,
}

impl StepFields {
    /// A step of which only its word was written.
    fn nothing(place: Place) -> StepFields {
        StepFields {
            place,
            at: Entry::Absent,
            when: Entry::Absent,
            of: Entry::Absent,
            mode: Entry::Absent,
            grace: Entry::Absent,
            lasts: Entry::Absent,
            delay: Entry::Absent,
            databases: Entry::Absent,
            then: Entry::Absent,
            to: Entry::Absent,
            window: Entry::Absent,
            window_acks: Entry::Absent,
            hold: Entry::Absent,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settle {
    pub hard_cap: Entry<Period>,
    pub deadline: Entry<Period>,
}
