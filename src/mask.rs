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
    mask_with(text, |_| MASK.to_owned())
}

/// The same, byte for byte as long as it was: places in the text stay where they are.
pub fn mask_in_place(text: &str) -> String {
    mask_with(text, |secret| "*".repeat(secret.len()))
}

fn mask_with(text: &str, instead: impl Fn(&str) -> String) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(ends_a_url).unwrap_or(after.len());
        masked.push_str(before);
        masked.push_str(&mask_secrets(&mask_userinfo(&after[..end], &instead), &instead));
        rest = &after[end..];
    }
    masked + rest
}

fn ends_a_url(c: char) -> bool {
    c.is_whitespace() || "\"'`<>\\|".contains(c)
}

/// `user:password@rest`, `:password@rest`.
fn mask_userinfo(url: &str, instead: impl Fn(&str) -> String) -> String {
    let parts = url.rsplit_once('@').and_then(|(userinfo, rest)| Some((userinfo.split_once(':')?, rest)));
    match parts {
        Some(((user, password), rest)) => format!("{user}:{}@{rest}", instead(password)),
        None => url.to_owned(),
    }
}

/// `?password=…&token=…`.
fn mask_secrets(url: &str, instead: impl Fn(&str) -> String) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_secret(name) => {
            format!("{name}={}", instead(value))
        }
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// Also in XML, where `&` is written `&amp;`.
fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name.strip_prefix("amp;").unwrap_or(name).to_ascii_lowercase().as_str())
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
            ("<e a=\"pg://u@db/x?a=b&amp;token=x&amp;c=d\"/>", "<e a=\"pg://u@db/x?a=b&amp;token=***&amp;c=d\"/>"),
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
    fn masked_in_place_a_text_keeps_its_length_in_bytes() {
        let text = "a: redis://u:pä@h?token=xyz # b";
        assert_eq!(mask_in_place(text), "a: redis://u:***@h?token=*** # b");
        assert_eq!(mask_in_place(text).len(), text.len());
    }

    #[test]
    fn masking_twice_is_masking_once() {
        let once = mask("redis://user:hunter2@db?token=x");
        assert_eq!(mask(&once), once);
    }
}
