//! What a check says: a verdict, and the sentences that carry it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// FAIL (on sound evidence) outranks INCONCLUSIVE outranks PASS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    Pass,
    Inconclusive,
    Fail,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Inconclusive => "INCONCLUSIVE",
            Verdict::Fail => "FAIL",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// `integrity`, `F2`, `conservation`, `p99.steady`.
    pub check: String,
    pub verdict: Verdict,
    /// One sentence: what was found, with figures.
    pub summary: String,
    /// Further reasons, one sentence each.
    pub details: Vec<String>,
}

impl Finding {
    pub(super) fn new(check: &str, verdict: Verdict, summary: String) -> Self {
        Finding { check: check.to_owned(), verdict, summary, details: Vec::new() }
    }

    pub(super) fn pass(check: &str, summary: String) -> Self {
        Self::new(check, Verdict::Pass, summary)
    }

    pub(super) fn fail(check: &str, summary: String) -> Self {
        Self::new(check, Verdict::Fail, summary)
    }

    pub(super) fn inconclusive(check: &str, summary: String) -> Self {
        Self::new(check, Verdict::Inconclusive, summary)
    }

    pub(super) fn because(mut self, reasons: Vec<String>) -> Self {
        self.details.extend(reasons);
        self
    }
}
