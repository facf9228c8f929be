//! What sentinels say of the primary that they watch: each is asked, and what most of them say is believed.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use redis::RedisResult;
use tokio::time::{Instant, timeout};

use super::info::connect;
use super::{EVERY, Struck};
use crate::backends::redis_control::{Sentinel, WATCHED_AS};

/// One answer of theirs.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one of them says, or most of them do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Who is the primary.
    pub primary: SocketAddr,
    /// How often another one was made the primary.
    pub epoch: u64,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in config epoch {}", self.primary, self.epoch)
    }
}

/// What one of them knows.
struct Knowledge {
    word: Word,
    /// It finds the primary well.
    well: bool,
    /// Of the replicas that it finds well.
    replicas: Vec<SocketAddr>,
    /// How many sentinels it knows beside itself.
    others: usize,
}

#[derive(Default)]
pub(super) struct Sentinels(Vec<Sentinel>);

impl Sentinels {
    pub async fn of(at: &Struck<'_>) -> Sentinels {
        Sentinels(at.redis.sentinels().await)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until each of them knows the primary, its replica and every other one, and finds them well.
    pub async fn know(&self, at: &Struck<'_>, within: Duration) -> Option<Word> {
        let (primary, replica) = (at.addr(), at.redis.replica()?);
        let knows = |known: &Knowledge| {
            let all = known.replicas == [replica] && known.others + 1 == self.0.len();
            all && known.well && known.word.primary == primary
        };
        let ready = |known: &[Knowledge]| known.len() == self.0.len() && known.iter().all(knows);
        self.until(at, within, |known| ready(known).then(|| self.most(known)).flatten()).await
    }

    /// Waits until most of them name another primary than they did.
    pub async fn name_another(&self, than: &Word, at: &Struck<'_>, within: Duration) -> Option<Word> {
        let another = |word: &Word| word.primary != than.primary && word.epoch > than.epoch;
        self.until(at, within, |known| self.most(known).filter(another)).await
    }

    /// What most of all that there are say in one voice.
    fn most(&self, known: &[Knowledge]) -> Option<Word> {
        let voices = |word: &Word| known.iter().filter(|other| other.word == *word).count();
        known.iter().map(|one| &one.word).find(|word| 2 * voices(word) > self.0.len()).cloned()
    }

    /// Asks all of them until what they know comes to something.
    async fn until(
        &self,
        at: &Struck<'_>,
        within: Duration,
        comes_to: impl Fn(&[Knowledge]) -> Option<Word>,
    ) -> Option<Word> {
        let deadline = Instant::now() + within;
        loop {
            let found = comes_to(&self.ask_all().await);
            let over = self.is_empty() || Instant::now() >= deadline || at.scene.stop.interrupt.is_cancelled();
            if found.is_some() || over {
                return found;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// What those know who answer.
    async fn ask_all(&self) -> Vec<Knowledge> {
        let mut known = Vec::new();
        for sentinel in &self.0 {
            known.extend(timeout(PATIENCE, ask(sentinel.addr)).await.ok().and_then(Result::ok).flatten());
        }
        known
    }

    /// How many there were, and how many of them are alive.
    pub fn alive(&self) -> (usize, usize) {
        (self.0.len(), self.0.iter().filter(|sentinel| sentinel.process.is_alive()).count())
    }
}

/// `None`: it says nothing that could be understood.
async fn ask(addr: SocketAddr) -> RedisResult<Option<Knowledge>> {
    let mut connection = connect(addr).await?;
    let about = |what: &str| redis::cmd("SENTINEL").arg(what).arg(WATCHED_AS).to_owned();
    let (ip, port): (String, String) = about("GET-MASTER-ADDR-BY-NAME").query_async(&mut connection).await?;
    let primary: HashMap<String, String> = about("MASTER").query_async(&mut connection).await?;
    let replicas: Vec<HashMap<String, String>> = about("REPLICAS").query_async(&mut connection).await?;
    Ok(understood(&format!("{ip}:{port}"), &primary, &replicas))
}

fn understood(
    named: &str,
    primary: &HashMap<String, String>,
    replicas: &[HashMap<String, String>],
) -> Option<Knowledge> {
    let number = |name: &str| primary.get(name)?.parse::<u64>().ok();
    let is = |of: &HashMap<String, String>, flag: &str| of.get("flags").is_some_and(|flags| flags == flag);
    let well = replicas.iter().filter(|replica| is(replica, "slave"));
    Some(Knowledge {
        word: Word { primary: named.parse().ok()?, epoch: number("config-epoch")? },
        well: is(primary, "master"),
        replicas: well.filter_map(|replica| replica.get("name")?.parse().ok()).collect(),
        others: usize::try_from(number("num-other-sentinels")?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessIdentity;

    fn addr(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn three() -> Sentinels {
        let process = ProcessIdentity { pid: 1, start_ticks: 0 };
        Sentinels([1, 2, 3].map(|port| Sentinel { addr: addr(port), process }).into())
    }

    /// What they say who answer: whom they name, in which epoch.
    fn said(words: &[(u16, u64)]) -> Option<Word> {
        let one = |&(port, epoch): &(u16, u64)| Knowledge {
            word: Word { primary: addr(port), epoch },
            well: true,
            replicas: Vec::new(),
            others: 2,
        };
        three().most(&words.iter().map(one).collect::<Vec<_>>())
    }

    #[test]
    fn most_of_all_that_there_are_is_more_than_most_of_those_who_answer() {
        assert_eq!(said(&[(7, 1), (6, 0), (7, 1)]), Some(Word { primary: addr(7), epoch: 1 }));
        assert_eq!(said(&[(7, 1), (7, 1)]), Some(Word { primary: addr(7), epoch: 1 }));
        assert_eq!(said(&[(7, 1)]), None);
        assert_eq!(said(&[(7, 1), (7, 0), (6, 0)]), None, "one of them speaks of another election");
        assert_eq!(said(&[]), None);
        assert_eq!(Sentinels::default().most(&[]), None);
    }

    fn fields(fields: &[(&str, &str)]) -> HashMap<String, String> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_primary_or_a_replica_that_they_find_down_is_not_well() {
        let primary = |flags| fields(&[("flags", flags), ("config-epoch", "3"), ("num-other-sentinels", "2")]);
        let replica = |flags| fields(&[("flags", flags), ("name", "127.0.0.1:8")]);
        let known = |of, at| understood("127.0.0.1:7", &primary(of), &[replica(at)]).expect("all is there");
        let all = known("master", "slave");
        assert_eq!((all.word, all.well), (Word { primary: addr(7), epoch: 3 }, true));
        assert_eq!((all.replicas, all.others), (vec![addr(8)], 2));
        assert!(!known("s_down,master", "slave").well);
        assert!(known("master", "s_down,slave").replicas.is_empty());
        assert!(understood("127.0.0.1:7", &fields(&[]), &[]).is_none());
        assert!(understood("nobody", &primary("master"), &[]).is_none());
    }
}
