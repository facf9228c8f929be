//! Masking: no password of a URL reaches a file or a screen.
//!
//! In: any text. Out: the same, with `***` for the password of each URL, and for the value of each query parameter
//! that is named like a secret.
//!
//! # Why it would rather mask too much
//! A password with a raw `@` or `/` in it makes a URL ambiguous. Everything up to the last `@` of the word counts as
//! its password: an address that loses a part of its path is a smaller harm.

const MASK: &str = "***";
const SECRETS: [&str; 6] = ["password", "passwd", "pwd", "token", "secret", "api_key"];

/// `redis://user:hunter2@host` → `redis://user:***@host`.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(ends_a_url).unwrap_or(after.len());
        masked.push_str(before);
        masked.push_str(&mask_secrets(&mask_userinfo(&after[..end])));
        rest = &after[end..];
    }
    masked + rest
}

fn ends_a_url(c: char) -> bool {
    c.is_whitespace() || "\"'`<>\\|".contains(c)
}

/// `user:password@rest`, `:password@rest`.
fn mask_userinfo(url: &str) -> String {
    match url.rsplit_once('@').and_then(|(userinfo, rest)| Some((userinfo.split_once(':')?.0, rest))) {
        Some((user, rest)) => format!("{user}:{MASK}@{rest}"),
        None => url.to_owned(),
    }
}

/// `?password=…&token=…`.
fn mask_secrets(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if SECRETS.contains(&name.to_ascii_lowercase().as_str()) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_url_is_masked_and_the_rest_stays() {
        for (text, masked) in [
            ("redis://user:hunter2@db:6379/0", "redis://user:***@db:6379/0"),
            ("redis://:hunter2@db", "redis://:***@db"),
            ("--redis=redis://:a:b@db and http://x:y@z", "--redis=redis://:***@db and http://x:***@z"),
            ("postgres://u@db/x?sslmode=off&Password=s3cret", "postgres://u@db/x?sslmode=off&Password=***"),
            ("{\"url\":\"redis://:p@h\",\"a\":\"b@c\"}", "{\"url\":\"redis://:***@h\",\"a\":\"b@c\"}"),
            ("<e>redis://:p@h</e><e>b@c</e>", "<e>redis://:***@h</e><e>b@c</e>"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }

    #[test]
    fn a_password_with_the_signs_of_a_url_in_it_is_masked_whole() {
        assert_eq!(mask("redis://:p@ss/w:rd?@db"), "redis://:***@db");
    }

    #[test]
    fn text_without_a_password_is_left_alone() {
        for text in ["", "://", "http://127.0.0.1:6379/a?b=c", "postgres://u@db", "a:b@c", "sqlite:///path/x.db"] {
            assert_eq!(mask(text), text);
        }
    }

    #[test]
    fn masking_twice_is_masking_once() {
        let once = mask("redis://user:hunter2@db?token=x");
        assert_eq!(mask(&once), once);
    }
}
