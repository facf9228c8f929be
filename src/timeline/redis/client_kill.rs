//! Every connection to Redis is cut by Redis itself: CLIENT KILL. What was under way on one has no answer.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::eye::ask_on;
use super::info::connect;
use super::{EVERY, PATIENCE, Proof, ProofOf, RedisFault, Struck, Symptom, proof};
use crate::backends::ControlError;
use crate::backends::redis_control::Change;

fn cut() -> Change {
    Change::command(&["CLIENT", "KILL", "TYPE", "normal"], None)
}

#[derive(Default)]
pub(super) struct ClientKill {
    /// Whoever was connected before, by id: ids rise, and are never used again.
    before: BTreeSet<u64>,
    /// One of our own among them.
    own: Option<TcpStream>,
}

#[async_trait]
impl RedisFault for ClientKill {
    fn symptom(&self) -> Option<Symptom> {
        None
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        let mut own = TcpStream::connect(at.addr()).await?;
        ask_on(&mut own, &["PING"]).await?;
        self.own = Some(own);
        self.before = clients(at.addr()).await.unwrap_or_default();
        at.redis.change(&cut()).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let (now, before) = (clients(at.addr()).await, self.before.len());
        let left = now.map(|now| now.intersection(&self.before).count());
        let told = left.map_or_else(|| "nobody knows how many".to_owned(), |left| left.to_string());
        let seen = format!("{told} of {before} connections are left");
        let cut_off = match &mut self.own {
            Some(own) => {
                timeout(PATIENCE, own.read(&mut [0; 64])).await.is_ok_and(|read| matches!(read, Ok(0) | Err(_)))
            }
            None => false,
        };
        let told = if cut_off { "it ended" } else { "it lives" };
        vec![
            proof(ProofOf::Mechanism, "nobody who was connected is", seen, left == Some(0) && before > 1),
            proof(ProofOf::Symptom, "an own connection was cut off", told, cut_off),
        ]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.redis.change_back(&cut()).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let deadline = Instant::now() + PATIENCE;
        let wanted = at.scene.deployment.alive().len();
        loop {
            // Our own one looks.
            let now = clients(at.addr()).await.unwrap_or_default();
            let new = now.difference(&self.before).count().saturating_sub(1);
            if new >= wanted || Instant::now() >= deadline {
                let seen = format!("{new} new connections, {wanted} instances");
                return vec![proof(ProofOf::Heal, "the instances are connected again", seen, new >= wanted)];
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// The ids of all who are connected; `None`: it could not be asked.
async fn clients(addr: SocketAddr) -> Option<BTreeSet<u64>> {
    let list = async {
        let mut connection = connect(addr).await?;
        redis::cmd("CLIENT").arg(&["LIST", "TYPE", "normal"]).query_async::<String>(&mut connection).await
    };
    let list = timeout(PATIENCE, list).await.ok().and_then(Result::ok)?;
    Some(list.lines().filter_map(|line| line.strip_prefix("id=")?.split(' ').next()?.parse().ok()).collect())
}
