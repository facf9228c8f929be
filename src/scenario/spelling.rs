//! The nearest known word to a misspelt one.

/// The known word that needs the fewest edits; `None` where even that is another word altogether.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let edits = |known: &str| strsim::damerau_levenshtein(&word, &known.to_lowercase());
    // A third of the word may be wrong, and in a short one still a letter.
    let limit = (word.chars().count() / 3).max(1);
    known.iter().copied().min_by_key(|k| edits(k)).filter(|k| edits(k) <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let known = ["instances", "workers", "rps"];
        assert_eq!(nearest("instnaces", &known), Some("instances"));
        assert_eq!(nearest("RPS", &known), Some("rps"));
        assert_eq!(nearest("colour", &known), None);
    }
}
