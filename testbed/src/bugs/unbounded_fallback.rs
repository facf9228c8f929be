//! Keeps in its own memory what Redis does not take, and says that it is stored. The memory has a cap that nobody counted
//! with: beyond it the process is killed, as by the kernel when a container is out of memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use nix::sys::signal::{Signal, raise};

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "unbounded-fallback", parts: || Arc::new(UnboundedFallback) };

/// Tasks that fit below the cap: less than comes during the outage that exposes it.
const CAP: usize = 60;
/// How the buffer tells that nobody is there.
const GONE: &str = "connect to";

struct UnboundedFallback;

#[async_trait]
impl Parts for UnboundedFallback {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, Memory::default()))
    }
}

#[derive(Default)]
struct Memory {
    kept: Mutex<Vec<ExpectationWriteTask>>,
}

impl Memory {
    fn keep(&self, tasks: Vec<ExpectationWriteTask>) {
        let mut kept = self.kept.lock().expect("no code panics with it");
        kept.extend(tasks);
        if kept.len() > CAP {
            raise(Signal::SIGKILL).expect("a process may kill itself");
        }
    }

    fn take(&self) -> Vec<ExpectationWriteTask> {
        std::mem::take(&mut *self.kept.lock().expect("no code panics with it"))
    }
}

#[async_trait]
impl Twist for Memory {
    async fn offer(&self, inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        match inner.offer(tasks.clone()).await {
            Offered::Unavailable { why } if why.contains(GONE) => {
                self.keep(tasks);
                Offered::Accepted { durability: inner.durability() }
            }
            offered @ Offered::Accepted { .. } => {
                // Redis is back: what was kept goes there.
                let kept = self.take();
                if !kept.is_empty() {
                    let _ = inner.offer(kept).await;
                }
                offered
            }
            offered => offered,
        }
    }
}
