//! Redis becomes read-only, as one that a failover made a replica: REPLICAOF an address where nobody listens. It keeps
//! its data, answers reads, and refuses writes with READONLY.

use std::net::Ipv4Addr;

use async_trait::async_trait;
use tokio::net::TcpSocket;

use super::info::Info;
use super::{PATIENCE, Proof, ProofOf, RedisFault, Struck, Symptom, eventually, proof};
use crate::backends::ControlError;
use crate::backends::redis_control::Change;

#[derive(Default)]
pub(super) struct Readonly {
    /// A port that is ours as long as it lasts, so that nobody else begins to listen there.
    nobody: Option<TcpSocket>,
    change: Option<Change>,
}

/// Bound, and not listening: connections are refused.
fn nobody() -> std::io::Result<(TcpSocket, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let port = socket.local_addr()?.port().to_string();
    Ok((socket, port))
}

#[async_trait]
impl RedisFault for Readonly {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("READONLY", |seen| seen.is_error("READONLY"))
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        let (socket, port) = nobody()?;
        self.nobody = Some(socket);
        let change = Change::command(&["REPLICAOF", "127.0.0.1", &port], Some(&["REPLICAOF", "NO", "ONE"]));
        at.redis.change(self.change.insert(change)).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let (seen, holds) = eventually(
            at.addr(),
            PATIENCE,
            |info| info.get("role") == "slave" && info.get("master_link_status") == "down",
            |info| format!("role {}, link {}", info.get("role"), info.get("master_link_status")),
        )
        .await;
        vec![proof(ProofOf::Mechanism, "it is the replica of nobody", seen, holds)]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        if let Some(change) = &self.change {
            at.redis.change_back(change).await?;
        }
        Ok(())
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let tell = |info: &Info| format!("role {}", info.get("role"));
        let (seen, holds) = eventually(at.addr(), PATIENCE, |info| info.get("role") == "master", tell).await;
        vec![proof(ProofOf::Heal, "it is a master", seen, holds)]
    }
}
