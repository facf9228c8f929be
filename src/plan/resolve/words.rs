//! Words with a fixed meaning: the list of those that exist, those that come later, and the nearest to a slip.

use crate::plan::{Backend, ConditionMetric, Database, PausePoint, Persistence, ReadKeys, StopMode, Strategy};
use crate::scenario::{Entry, Located, Word, nearest};

use super::Remarks;

/// A kind of word: what it is called, its words with their meanings, and known words that mean nothing yet.
pub struct Vocabulary<T: 'static> {
    /// `a strategy`.
    pub what: &'static str,
    pub known: &'static [(&'static str, T)],
    /// Word, and why it cannot be.
    pub not_here: &'static [(&'static str, &'static str)],
}

pub const BACKENDS: Vocabulary<Backend> = Vocabulary {
    what: "a backend",
    known: &[("process", Backend::Process), ("in-process", Backend::InProcess)],
    not_here: &[
        ("docker", "does not exist yet"),
        ("kubernetes", "does not exist yet"),
        ("external", "does not exist yet"),
    ],
};

pub const STRATEGIES: Vocabulary<Strategy> = Vocabulary {
    what: "a strategy",
    known: &[("in-memory", Strategy::InMemory), ("redis", Strategy::Redis)],
    not_here: &[("kafka", "does not exist yet"), ("sqs", "does not exist yet"), ("rabbitmq", "does not exist yet")],
};

pub const DATABASES: Vocabulary<Database> = Vocabulary {
    what: "a database",
    known: &[("sqlite", Database::Sqlite), ("postgres", Database::Postgres), ("mariadb", Database::MariaDb)],
    not_here: &[("mysql", "ends no transaction that stands still, so that a frozen worker would block all others")],
};

pub const MODES: Vocabulary<StopMode> =
    Vocabulary { what: "a mode", known: &[("graceful", StopMode::Graceful), ("hard", StopMode::Hard)], not_here: &[] };

/// What comes after a pause.
pub const THEN: Vocabulary<StopMode> = Vocabulary {
    what: "an end of a pause",
    known: &[("resume", StopMode::Pause), ("kill", StopMode::PauseThenKill)],
    not_here: &[],
};

pub const CONDITION_METRICS: Vocabulary<ConditionMetric> = Vocabulary {
    what: "a metric that a step can wait for",
    known: &[("buffer_size", ConditionMetric::BufferSize)],
    not_here: &[],
};

pub const FSYNC: Vocabulary<&'static str> = Vocabulary {
    what: "a setting of appendfsync",
    known: &[("always", "always"), ("everysec", "everysec"), ("no", "no")],
    not_here: &[],
};

pub const PERSISTENCE: Vocabulary<Persistence> = Vocabulary {
    what: "a persistence of Redis",
    known: &[("aof", Persistence::Aof), ("none", Persistence::None)],
    not_here: &[],
};

/// Whether they are random.
pub const ARRIVALS: Vocabulary<bool> =
    Vocabulary { what: "a way to arrive", known: &[("even", false), ("poisson", true)], not_here: &[] };

pub const READ_KEYS: Vocabulary<ReadKeys> = Vocabulary {
    what: "a choice of keys to read",
    known: &[("all", ReadKeys::All), ("recent", ReadKeys::Recent), ("hot", ReadKeys::Hot)],
    not_here: &[],
};

pub const PAUSE_POINTS: Vocabulary<PausePoint> = Vocabulary {
    what: "a pause point",
    known: &[
        ("offer.registered", PausePoint::OfferRegistered),
        ("offer.stored", PausePoint::OfferStored),
        ("worker.leased", PausePoint::WorkerLeased),
        ("worker.committed", PausePoint::WorkerCommitted),
    ],
    not_here: &[],
};

impl<T: Copy> Vocabulary<T> {
    /// Whether one of these words means this. Those that mean nothing are problems.
    pub fn contains(&self, words: &[Located<Word>], meaning: T, remarks: &mut Remarks) -> bool
    where
        T: PartialEq,
    {
        let meanings: Vec<_> = words.iter().map(|word| self.look_up(word, remarks)).collect();
        meanings.contains(&Some(meaning))
    }

    /// What the entry means, or the default.
    pub fn meaning(&self, entry: &Entry<Word>, default: T, remarks: &mut Remarks) -> T {
        entry.given().and_then(|word| self.look_up(word, remarks)).unwrap_or(default)
    }

    pub fn look_up(&self, word: &Located<Word>, remarks: &mut Remarks) -> Option<T> {
        let text = word.value.0.as_str();
        if let Some((_, meaning)) = self.known.iter().find(|(known, _)| *known == text) {
            return Some(*meaning);
        }
        let words: Vec<_> = self.known.iter().map(|(word, _)| *word).collect();
        let choice = format!("write {}", words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" or "));
        let guess = nearest(text, &words).map(|word| format!("did you mean `{word}`?"));
        let (message, help) = match self.not_here.iter().find(|(known, _)| *known == text) {
            Some((_, why)) => (format!("`{text}` {why}"), choice),
            None if text.contains("://") => ("a server of your own cannot be used yet".to_owned(), choice),
            None => (format!("`{text}` is not {}", self.what), guess.unwrap_or(choice)),
        };
        remarks.problem(&word.place, message, help);
        None
    }
}
