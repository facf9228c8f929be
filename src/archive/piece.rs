//! The pieces of a run's folder, by name.

/// One file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    Plan,
    Environment,
    /// What the executable was proven to catch when the run began.
    Standing,
    Incidents,
    /// The final state without its tables.
    State,
    Rows,
    Witness,
    /// The report for machines; sealed last.
    Run,
    JUnit,
    Markdown,
    /// The histograms of the load, as an HDR log.
    Histograms,
}

impl Piece {
    /// Relative to the run's folder.
    pub fn path(self) -> &'static str {
        match self {
            Piece::Plan => "plan.json",
            Piece::Environment => "environment.json",
            Piece::Standing => "standing.json",
            Piece::Incidents => "incidents.json",
            Piece::State => "state/final.json",
            Piece::Rows => "state/rows.table",
            Piece::Witness => "state/witness.table",
            Piece::Run => "run.json",
            Piece::JUnit => "junit.xml",
            Piece::Markdown => "report.md",
            Piece::Histograms => "latency.hlog",
        }
    }

    /// Tables carry a checksum over their bytes and no words of a person; everything else is masked when written.
    pub(super) fn is_text(self) -> bool {
        !matches!(self, Piece::Rows | Piece::Witness)
    }

    pub(super) fn why_missing(self) -> String {
        format!("{} is not there: the run ended before it was written", self.path())
    }
}

/// What the archive has of a piece.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored<T> {
    Whole(T),
    Missing { why: String },
}

impl<T> Stored<T> {
    pub fn whole(self) -> Option<T> {
        match self {
            Stored::Whole(t) => Some(t),
            Stored::Missing { .. } => None,
        }
    }
}
