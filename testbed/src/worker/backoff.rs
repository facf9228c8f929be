//! How long to wait after so many failures in a row.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// `failures` counts from 1.
    pub fn after(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_longest() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(2) };
        let waits: Vec<u128> = (1..=7).map(|failures| backoff.after(failures).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(backoff.after(u32::MAX), backoff.longest);
    }
}
