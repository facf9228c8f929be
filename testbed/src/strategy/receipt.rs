//! One delivery's proof of lease: `<instance>#<number>`. Who holds the delivery can be read from it.

use std::fmt;

/// Numbers rise within one buffer, so that a second delivery of a task has another receipt than the first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub String);

impl Receipt {
    pub(super) fn new(holder: &str, number: u64) -> Self {
        Receipt(format!("{holder}#{number}"))
    }

    /// The instance that polled; the whole text where it has no number.
    pub fn holder(&self) -> &str {
        self.parts().map_or(&self.0, |(holder, _)| holder)
    }

    pub fn number(&self) -> Option<u64> {
        self.parts().map(|(_, number)| number)
    }

    fn parts(&self) -> Option<(&str, u64)> {
        let (holder, number) = self.0.rsplit_once('#')?;
        Some((holder, number.parse().ok()?))
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_names_its_holder_even_one_with_a_hash_in_its_name() {
        let receipt = Receipt::new("worker#2.1", 37);
        assert_eq!(receipt.to_string(), "worker#2.1#37");
        assert_eq!((receipt.holder(), receipt.number()), ("worker#2.1", Some(37)));
        assert_eq!(Receipt("nonsense".into()).number(), None);
    }
}
