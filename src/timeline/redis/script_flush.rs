//! Redis forgets its scripts, as after a failover: SCRIPT FLUSH. Whoever calls one by its digest gets NOSCRIPT, which
//! proves that nothing ran, and has to send the script again.

use async_trait::async_trait;

use super::eye::ask;
use super::{PATIENCE, Proof, ProofOf, RedisFault, Struck, Symptom, eventually, proof};
use crate::backends::ControlError;
use crate::backends::redis_control::Change;

/// Of our own, to see it forgotten.
const SCRIPT: &str = "return 'mxctl'";

fn flush() -> Change {
    Change::command(&["SCRIPT", "FLUSH", "SYNC"], None)
}

#[derive(Default)]
pub(super) struct ScriptFlush {
    digest: String,
    /// What a call of it gave before.
    known: String,
}

#[async_trait]
impl RedisFault for ScriptFlush {
    fn symptom(&self) -> Option<Symptom> {
        None
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        let loaded = ask(at.addr(), &["SCRIPT", "LOAD", SCRIPT]).await?;
        self.digest = loaded.lines().nth(1).unwrap_or_default().to_owned();
        self.known = call(at, &self.digest).await;
        at.redis.change(&flush()).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let now = call(at, &self.digest).await;
        let code = now.split_whitespace().next().unwrap_or_default().to_owned();
        let holds = code == "-NOSCRIPT" && self.known.ends_with("mxctl");
        // Its answer is what a client sees, and what the server has forgotten.
        let seen = format!("known before: {}; now {code}", if self.known.ends_with("mxctl") { "yes" } else { "no" });
        vec![
            proof(ProofOf::Mechanism, "an own script is forgotten", seen.clone(), holds),
            proof(ProofOf::Symptom, "a call by digest is answered NOSCRIPT", seen, holds),
        ]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.redis.change_back(&flush()).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        // One is the eye's, which sends its script with each call.
        let (seen, holds) = eventually(
            at.addr(),
            PATIENCE,
            |info| info.number("number_of_cached_scripts") > Some(1),
            |info| format!("{} scripts are known", info.get("number_of_cached_scripts")),
        )
        .await;
        vec![proof(ProofOf::Heal, "the instances have sent their scripts again", seen, holds)]
    }
}

async fn call(at: &Struck<'_>, digest: &str) -> String {
    ask(at.addr(), &["EVALSHA", digest, "0"]).await.unwrap_or_else(|e| e.to_string())
}
