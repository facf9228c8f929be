//! Profiles: `application-prod.yml`, merged over `application.yml` when the service is started with `--profile prod`.
//!
//! In: the base file and the names of profiles. Out: one [`Config`]. Each file is understood for itself first, so that
//! a mistake is shown in its own file and line; contradictions are looked for in the whole.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Config, ConfigError, excerpt};

impl Config {
    /// Reads `path`, and over it the overlay of each profile, which stands beside it; a later one wins. Mappings are
    /// merged key by key, anything else is replaced.
    pub fn load(path: &Path, profiles: &[String]) -> Result<Self, ConfigError> {
        let mut merged = values(path)?;
        for profile in profiles {
            merge(&mut merged, values(&overlay(path, profile))?);
        }
        let problem = |error: serde_json::Error| ConfigError::Parse {
            path: path.to_owned(),
            problem: format!("with profiles {}: {error}", profiles.join(", ")),
        };
        serde_json::from_value::<Config>(merged).map_err(problem)?.without_contradictions(path)
    }
}

/// `application-prod.yml` for `application.yml` and `prod`.
fn overlay(path: &Path, profile: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy()));
    path.with_file_name(format!("{stem}-{profile}{extension}"))
}

/// What a file says, and nothing that it does not: its defaults must not hide what lies under it.
fn values(path: &Path) -> Result<Value, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    Config::understand(&text, path)?;
    let said: Option<Value> = serde_yaml::from_str(&text).map_err(|error| ConfigError::Parse {
        path: path.to_owned(),
        problem: excerpt::of::<Option<Value>>(&error, &text, path),
    })?;
    Ok(said.filter(|said| !said.is_null()).unwrap_or_else(|| Value::Object(serde_json::Map::new())))
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn loaded(files: &[(&str, &str)], profiles: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let profiles: Vec<String> = profiles.iter().map(|p| p.to_string()).collect();
        let config = Config::load(&folder.path().join("application.yml"), &profiles);
        config.map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "."))
    }

    const BASE: (&str, &str) = ("application.yml", "instance: a\nworker: { batch: 10, lease: 9s }\n");

    #[test]
    fn an_overlay_replaces_what_it_says_and_nothing_else() {
        let prod = ("application-prod.yml", "worker: { batch: 100 }\nbuffer: { strategy: redis }\n");
        let config = loaded(&[BASE, prod], &["prod"]).unwrap();
        assert_eq!((config.instance.as_str(), config.buffer.strategy.as_str()), ("a", "redis"));
        assert_eq!((config.worker.batch, config.worker.lease), (100, Duration::from_secs(9)));
        assert_eq!(loaded(&[BASE, prod], &[]).unwrap().worker.batch, 10);
    }

    #[test]
    fn of_two_profiles_the_later_one_wins_and_an_empty_one_says_nothing() {
        let (one, two) = (("application-one.yml", "worker: { batch: 1 }"), ("application-two.yml", "# nothing\n"));
        assert_eq!(loaded(&[BASE, one, two], &["one", "two"]).unwrap().worker.batch, 1);
        let three = ("application-three.yml", "worker: { batch: 3 }");
        assert_eq!(loaded(&[BASE, one, three], &["one", "three"]).unwrap().worker.batch, 3);
    }

    #[test]
    fn a_mistake_is_shown_in_the_file_that_makes_it() {
        let prod = ("application-prod.yml", "worker:\n  bach: 100\n");
        let told = loaded(&[BASE, prod], &["prod"]).unwrap_err();
        assert!(told.starts_with("understand ./application-prod.yml: line 2 column 3: unknown field `bach`"), "{told}");
        let told = loaded(&[BASE], &["prod"]).unwrap_err();
        assert!(told.starts_with("read ./application-prod.yml: No such file"), "{told}");
    }

    #[test]
    fn files_that_contradict_each_other_are_refused_together() {
        let prod = ("application-prod.yml", "worker: { lease: 1s }\n");
        let told = loaded(&[("application.yml", "database: { busy_timeout: 2s }"), prod], &["prod"]).unwrap_err();
        assert!(told.contains("database.busy_timeout = 2s: must be shorter than worker.lease (1s)"), "{told}");
    }
}
