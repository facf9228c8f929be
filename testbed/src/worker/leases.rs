//! The receipts that a worker holds at this moment: what is prolonged while a batch lasts, and given back at the end of
//! a service that could not finish it.

use std::sync::{Mutex, MutexGuard};

use crate::strategy::{Delivery, Receipt};

#[derive(Debug, Default)]
pub struct Leases {
    held: Mutex<Vec<Receipt>>,
}

impl Leases {
    /// One batch at a time. A batch that is cut off before its `end` is still held.
    pub fn hold(&self, deliveries: &[Delivery]) {
        *self.lock() = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
    }

    pub fn end(&self) {
        self.lock().clear();
    }

    pub fn all(&self) -> Vec<Receipt> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Receipt>> {
        self.held.lock().expect("no holder of this lock panics")
    }
}
