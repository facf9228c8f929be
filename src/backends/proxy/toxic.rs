//! Toxics: what a proxy does to all that passes in one direction.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

impl Direction {
    pub fn word(self) -> &'static str {
        match self {
            Direction::ToServer => "to the server",
            Direction::ToClient => "to the client",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toxic {
    /// Every piece of data arrives this much later. Their order stays.
    Latency(Duration),
    /// Connections are reset: open ones at once, new ones as they come.
    Reset,
    /// Nothing arrives; what is sent meanwhile arrives once the toxic is out, as TCP sends it again after a partition.
    Blackhole,
    /// The server gets what it is sent and acts on it; an answer on a connection that has asked something with this word
    /// in it never arrives, and the connection is reset in its place. (Only in the direction of the client.)
    SwallowAnswerTo(&'static str),
    /// What asks something with this word in it never arrives, nor does anything that follows on its connection; whoever
    /// asked waits in vain. Once the toxic is out, such a connection is reset. (Only in the direction of the server.)
    SwallowRequestWith(&'static str),
}

impl fmt::Display for Toxic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Toxic::Latency(by) => write!(f, "{by:?} of delay"),
            Toxic::Reset => f.write_str("connections are reset"),
            Toxic::Blackhole => f.write_str("nothing arrives"),
            Toxic::SwallowAnswerTo(word) => write!(f, "answers to {word} are swallowed"),
            Toxic::SwallowRequestWith(word) => write!(f, "requests with {word} are swallowed"),
        }
    }
}

/// Every toxic of a proxy, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toxics(BTreeMap<String, (Direction, Toxic)>);

impl Toxics {
    pub fn put(&mut self, name: &str, direction: Direction, toxic: Toxic) {
        self.0.insert(name.to_owned(), (direction, toxic));
    }

    pub fn take(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn all(&self, direction: Direction) -> impl Iterator<Item = &Toxic> {
        self.0.values().filter(move |(of, _)| *of == direction).map(|(_, toxic)| toxic)
    }

    /// All delays together.
    pub fn delay(&self, direction: Direction) -> Duration {
        let delays = self.all(direction).filter_map(|toxic| match toxic {
            Toxic::Latency(by) => Some(*by),
            _ => None,
        });
        delays.sum()
    }

    /// Whatever its direction: a connection has one life.
    pub fn resets(&self) -> bool {
        self.0.values().any(|(_, toxic)| *toxic == Toxic::Reset)
    }

    pub fn holds(&self, direction: Direction) -> bool {
        self.all(direction).any(|toxic| *toxic == Toxic::Blackhole)
    }

    /// The word in a request that is swallowed.
    pub fn swallows_requests(&self) -> Option<&'static str> {
        self.all(Direction::ToServer).find_map(|toxic| match toxic {
            Toxic::SwallowRequestWith(word) => Some(*word),
            _ => None,
        })
    }

    /// The word in a request whose answer is swallowed.
    pub fn swallows_answers(&self) -> Option<&'static str> {
        self.all(Direction::ToClient).find_map(|toxic| match toxic {
            Toxic::SwallowAnswerTo(word) => Some(*word),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toxic_acts_in_its_direction_until_it_is_taken_out_by_its_name() {
        let mut toxics = Toxics::default();
        toxics.put("slow", Direction::ToClient, Toxic::Latency(Duration::from_millis(20)));
        toxics.put("slower", Direction::ToClient, Toxic::Latency(Duration::from_millis(30)));
        toxics.put("gone", Direction::ToServer, Toxic::Blackhole);
        assert_eq!(toxics.delay(Direction::ToClient), Duration::from_millis(50));
        assert_eq!(toxics.delay(Direction::ToServer), Duration::ZERO);
        assert!(toxics.holds(Direction::ToServer) && !toxics.holds(Direction::ToClient));
        ["slow", "slower", "gone", "never there"].iter().for_each(|name| toxics.take(name));
        assert_eq!(toxics, Toxics::default());
    }
}
