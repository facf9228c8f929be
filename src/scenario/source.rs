//! Where a scenario's text comes from: a file, or one of those that ship inside the executable.

use std::path::Path;
use std::sync::Arc;

use super::nearest;
use super::problem::{Place, Problem};

/// A scenario's text and the name that messages give it.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub text: String,
}

/// The scenarios inside the executable: name, text. `scenarios/NAME.yml` in the repository.
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    &[
        ("database-failure", include_str!("../../scenarios/database-failure.yml")),
        ("loadtest", include_str!("../../scenarios/loadtest.yml")),
        ("redis-failure", include_str!("../../scenarios/redis-failure.yml")),
        ("rolling-update", include_str!("../../scenarios/rolling-update.yml")),
        ("scale-curve", include_str!("../../scenarios/scale-curve.yml")),
        ("scale-out", include_str!("../../scenarios/scale-out.yml")),
    ]
}

impl Source {
    /// A shipped scenario's name, or a path: whatever has a folder or an extension is a path.
    pub fn load(name_or_path: &str) -> Result<Arc<Source>, Problem> {
        match shipped().iter().find(|(name, _)| *name == name_or_path) {
            Some((name, text)) => Ok(Arc::new(Source { name: format!("scenarios/{name}.yml"), text: (*text).into() })),
            None if looks_like_a_path(name_or_path) || Path::new(name_or_path).exists() => read(name_or_path),
            None => Err(unknown(name_or_path)),
        }
    }

    /// What a scenario without a `name` is called.
    pub fn stem(&self) -> &str {
        Path::new(&self.name).file_stem().and_then(|s| s.to_str()).unwrap_or("scenario")
    }
}

fn looks_like_a_path(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some()
}

fn read(path: &str) -> Result<Arc<Source>, Problem> {
    let problem = |why: String| {
        let help = format!("give the path of a scenario file, or one that ships: {}", names().join(", "));
        Problem::new(&Place::Named(path.to_owned()), why, help)
    };
    let bytes = std::fs::read(path).map_err(|e| problem(format!("cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|e| problem(format!("is not UTF-8: {e}")))?;
    // A byte order mark would shift every place on the first line.
    let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned);
    Ok(Arc::new(Source { name: path.to_owned(), text }))
}

fn unknown(name: &str) -> Problem {
    let known = names();
    let guess = nearest(name, &known).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
    let help = format!("{guess}these ship: {}; a file of your own needs its path", known.join(", "));
    Problem::new(&Place::Named(name.to_owned()), "no scenario of this name ships, and no file has it", help)
}

fn names() -> Vec<&'static str> {
    shipped().iter().map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_in_scenarios_ships_under_its_own_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        let stems: Vec<_> = files.iter().map(|f| f.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(stems, names());
    }

    #[test]
    fn a_misspelt_name_gets_the_nearest_that_ships() {
        let problem = Source::load("roling-update").unwrap_err();
        assert!(problem.help.starts_with("did you mean `rolling-update`?"), "{}", problem.help);
    }

    #[test]
    fn a_missing_file_is_named_with_the_reason() {
        let problem = Source::load("no/such/file.yml").unwrap_err();
        assert_eq!(problem.to_string(), "no/such/file.yml: cannot be read: No such file or directory (os error 2)");
    }
}
