//! The password in a URL, and the forms in which it may show up elsewhere: as it was written, decoded, or encoded
//! anew by a driver.

use std::fmt::Write as _;

pub struct Secrets {
    /// Longest first: one form may contain another.
    forms: Vec<String>,
}

const MASK: &str = "***";

impl Secrets {
    /// Of a URL, also of one that nobody can understand.
    pub fn of(url: &str) -> Self {
        let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let mut forms: Vec<String> =
            in_user_info(after_scheme).into_iter().chain(in_query(after_scheme)).flat_map(forms).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Secrets { forms }
    }

    pub fn mask(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |masked, form| masked.replace(form, MASK))
    }
}

/// What stands between the first `:` and the last `@`: a password that was not encoded may hold more of both.
fn in_user_info(after_scheme: &str) -> Option<&str> {
    let (user_info, _) = after_scheme.rsplit_once('@')?;
    Some(user_info.split_once(':')?.1)
}

fn in_query(after_scheme: &str) -> impl Iterator<Item = &str> {
    let query = after_scheme.split_once('?').map_or("", |(_, query)| query);
    let parameters = query.split(['&', '#']).filter_map(|parameter| parameter.split_once('='));
    let secret = |(name, value): &(&str, &str)| name.to_lowercase().contains("pass") && !value.starts_with(MASK);
    parameters.filter(secret).map(|(_, value)| value)
}

fn forms(password: &str) -> Vec<String> {
    let decoded = decoded(password);
    let mut forms = vec![password.to_owned(), encoded(&decoded), decoded];
    forms.retain(|form| !form.is_empty());
    forms
}

/// Undoes percent-encoding; what is none stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &after[2..]),
            None => (bytes.push(first), rest = after),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Everything but letters and digits in percent-encoding, as drivers write it.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_password_is_masked() {
        let secrets = Secrets::of("mysql://me:p%40s-s@host/db");
        for form in ["p%40s-s", "p@s-s", "p%40s%2Ds"] {
            assert_eq!(secrets.mask(&format!("<{form}>")), "<***>", "{form}");
        }
    }

    #[test]
    fn a_password_that_was_not_encoded_is_masked_whole() {
        let url = "mysql://me:a:b/c@d?e@host/db";
        assert_eq!(Secrets::of(url).mask(url), "mysql://me:***@host/db");
    }

    #[test]
    fn a_password_among_the_parameters_is_masked() {
        let url = "postgres://me@host/db?password=s3cret&sslmode=disable";
        assert_eq!(Secrets::of(url).mask(url), "postgres://me@host/db?password=***&sslmode=disable");
    }

    #[test]
    fn a_url_without_a_password_stays_as_it_is() {
        for url in ["sqlite:///var/lib/e.db", "postgres://me@host/db", "postgres://me:@host/db", "nonsense"] {
            assert_eq!(Secrets::of(url).mask(url), url);
        }
    }
}
