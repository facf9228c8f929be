//! A mistake in a file as a person reads it: what is wrong, where, and the lines around it.

use std::path::Path;

use serde::de::DeserializeOwned;

/// Line, column, message and excerpt of what is wrong with `text`.
///
/// Excerpts end up in logs, and they are cut to a few words: a part of a URL is not known as one. So the text is read
/// once more as a `T` with its passwords covered; where that is no mistake any more, there is no excerpt.
pub fn of<T: DeserializeOwned>(error: &serde_yaml::Error, text: &str, path: &Path) -> String {
    let name = path.display().to_string();
    let options = || serde_yaml::render_options! { source_name: Some(&name) };
    let rendered = match serde_yaml::from_str::<T>(&covered(text)) {
        Err(covered) => covered.render_with_options(options()),
        Ok(_) => format!("a value cannot be read at {}", error.location().map_or(0, |at| at.line())),
    };
    rendered.strip_prefix("error: ").unwrap_or(&rendered).to_owned()
}

/// The text with `*` for each byte of a URL's password, before its `@` or in its query: places stay where they are.
fn covered(text: &str) -> String {
    let mut covered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(|c: char| c.is_whitespace() || "\"'`<>\\|".contains(c)).unwrap_or(after.len());
        let (url, next) = after.split_at(end);
        let host = url.rfind('@').unwrap_or(0);
        let query = url.find('?').map_or(url.len(), |at| at + 1);
        covered += before;
        for (at, c) in url.char_indices() {
            match at < host || (at >= query && !"&=".contains(c)) {
                true => covered.extend(std::iter::repeat_n('*', c.len_utf8())),
                false => covered.push(c),
            }
        }
        rest = next;
    }
    covered + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn message(yaml: &str) -> String {
        Config::parse(yaml, Path::new("application.yml")).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_is_shown_in_its_place() {
        let expected = [
            "understand application.yml: line 2 column 3: unknown field `sise`, expected one of batch, flush_interval, \
             lease, redrive_scan, max_attempts, backoff, backoff_max",
            " --> application.yml:2:3",
            "  |",
            "1 | worker:",
            "2 |   sise: 3",
            "  |   ^ unknown field `sise`, expected one of batch, flush_interval, lease, redrive_scan, max_attempts, \
             backoff, backoff_max",
        ];
        assert_eq!(message("worker:\n  sise: 3\n"), expected.join("\n"));
    }

    #[test]
    fn a_password_in_a_wrong_line_is_not_shown() {
        let shown = message("database: { url: 'mysql://me:s3cr@t@host/db' }");
        assert!(shown.contains("mysql://*********@host/db") && !shown.contains("s3cr"), "{shown}");
    }
}
