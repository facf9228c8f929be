//! A buffer around another one: what a bug does not twist goes through.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::parts::Buffer;
use crate::strategy::{
    BufferError, BufferType, Capabilities, Cause, DeadLetter, Delivery, Durability, Offered, Receipt, Size,
    WriteBackBufferStrategy,
};
use crate::task::ExpectationWriteTask;

/// What a bug makes of a buffer's operations.
#[async_trait]
pub(super) trait Twist: Send + Sync + 'static {
    async fn offer(&self, inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        inner.offer(tasks).await
    }

    async fn poll(&self, inner: &Buffer, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        inner.poll(max, lease).await
    }

    async fn ack(&self, inner: &Buffer, receipts: &[Receipt]) -> Result<u64, BufferError> {
        inner.ack(receipts).await
    }

    async fn nack(
        &self,
        inner: &Buffer,
        receipts: &[Receipt],
        (delay, why): (Duration, &Cause),
    ) -> Result<u64, BufferError> {
        inner.nack(receipts, delay, why).await
    }

    async fn extend(&self, inner: &Buffer, receipts: &[Receipt], lease: Duration) -> Result<u64, BufferError> {
        inner.extend(receipts, lease).await
    }

    fn close(&self, inner: &Buffer) {
        inner.close();
    }
}

struct Twisted<T> {
    inner: Buffer,
    twist: T,
}

pub(super) fn twisted(inner: Buffer, twist: impl Twist) -> Buffer {
    Arc::new(Twisted { inner, twist })
}

#[async_trait]
impl<T: Twist> WriteBackBufferStrategy for Twisted<T> {
    async fn offer(&self, tasks: Vec<ExpectationWriteTask>) -> Offered {
        self.twist.offer(&self.inner, tasks).await
    }

    async fn poll(&self, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        self.twist.poll(&self.inner, max, lease).await
    }

    async fn wait_ready(&self, at_least: usize, limit: Duration) {
        self.inner.wait_ready(at_least, limit).await;
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<u64, BufferError> {
        self.twist.ack(&self.inner, receipts).await
    }

    async fn nack(&self, receipts: &[Receipt], delay: Duration, cause: &Cause) -> Result<u64, BufferError> {
        self.twist.nack(&self.inner, receipts, (delay, cause)).await
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<u64, BufferError> {
        self.twist.extend(&self.inner, receipts, lease).await
    }

    async fn redrive(&self) -> Result<u64, BufferError> {
        self.inner.redrive().await
    }

    async fn size(&self) -> Result<Size, BufferError> {
        self.inner.size().await
    }

    async fn dead_letters(&self, max: usize) -> Result<Vec<DeadLetter>, BufferError> {
        self.inner.dead_letters(max).await
    }

    async fn ping(&self) -> Result<(), BufferError> {
        self.inner.ping().await
    }

    fn buffer_type(&self) -> BufferType {
        self.inner.buffer_type()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn close(&self) {
        self.twist.close(&self.inner);
    }
}
