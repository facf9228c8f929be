//! A mistake in a file as a person reads it: what is wrong, where, and the lines around it.

use std::path::Path;

use super::secrets::Secrets;

/// Line, column, message and excerpt. Excerpts end up in logs: what stands before the `@` of a URL is left out, and a
/// password among its parameters.
pub fn of(error: &serde_yaml::Error, path: &Path) -> String {
    let name = path.display().to_string();
    let rendered = error.render_with_options(serde_yaml::render_options! { source_name: Some(&name) });
    let plain = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    plain.lines().map(without_password).collect::<Vec<_>>().join("\n")
}

fn without_password(line: &str) -> String {
    let Some((scheme, rest)) = line.split_once("://") else { return line.to_owned() };
    let rest = Secrets::of(line).mask(rest);
    rest.rsplit_once('@').map_or_else(|| format!("{scheme}://{rest}"), |(_, host)| format!("{scheme}://***@{host}"))
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
        let shown = message("database: { url: 'mysql://me:s3cr@t@host' }");
        assert!(shown.contains("mysql://***@host") && !shown.contains("s3cr"), "{shown}");
        let shown = message("database: { url: 'postgres://host?password=s3cret' }");
        assert!(shown.contains("names no database") && !shown.contains("s3cret"), "{shown}");
    }
}
