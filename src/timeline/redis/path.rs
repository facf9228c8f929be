//! The path of the instances, over a failover: who answers on it, and what becomes of a connection that was open.

use tokio::net::TcpStream;

use super::eye::{ask_on, write_on};
use super::info::Info;
use super::{Proof, ProofOf, Struck, proof};
use crate::backends::ControlError;

#[derive(Default)]
pub(super) struct Path {
    /// Who answered before.
    answered: Info,
    /// A connection of our own.
    open: Option<TcpStream>,
}

impl Path {
    pub async fn open(at: &Struck<'_>) -> Result<Path, ControlError> {
        let path = at.redis.proxy().ok_or(ControlError::NoProxy)?;
        let answered = Info::read(path).await.unwrap_or_default();
        let mut open = TcpStream::connect(path).await?;
        ask_on(&mut open, &["PING"]).await?;
        Ok(Path { answered, open: Some(open) })
    }

    /// Whoever connected before reached who is struck, and whoever connects now reaches this one.
    pub async fn leads_to(&self, at: &Struck<'_>, new: &Info) -> Proof {
        let answers = match at.redis.proxy() {
            Some(path) => Info::read(path).await.unwrap_or_default(),
            None => Info::default(),
        };
        let another = self.answered.is_of(at.before) && answers.is_of(new) && !answers.is_of(at.before);
        let seen = format!("run_id {} → {}", self.answered.run_id(), answers.run_id());
        proof(ProofOf::Mechanism, "whoever connects reaches another server", seen, another)
    }

    /// What a write meets on the connection that was open.
    pub async fn write_on_open(&mut self) -> String {
        match &mut self.open {
            Some(open) => write_on(open).await,
            None => "there was none".to_owned(),
        }
    }
}
