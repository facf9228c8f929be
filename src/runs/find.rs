//! Which run a word means: a path, a folder's name in the reports folder, a unique beginning of one, or `latest`.

use std::path::{Path, PathBuf};

use crate::archive::{Archive, ArchiveError};

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(
        "find a run `{word}` in {}: none has a name that begins so; `mxctl report list` shows those that are there",
        reports.display()
    )]
    Unknown { word: String, reports: PathBuf },
    #[error("find one run `{word}`: {} begin so: {}", .names.len(), .names.join(", "))]
    Ambiguous { word: String, names: Vec<String> },
}

pub fn find(run: &Path, reports: &Path) -> Result<PathBuf, FindError> {
    if run.as_os_str() == "latest" {
        let newest = Archive::runs(reports)?.pop();
        return Ok(newest.ok_or_else(|| ArchiveError::NoRuns(reports.to_owned()))?);
    }
    let within = reports.join(run);
    match () {
        () if run.is_dir() => Ok(run.to_owned()),
        () if within.is_dir() => Ok(within),
        // Whoever writes a folder means a path: opening it says what is wrong with it.
        () if run.components().count() != 1 => Ok(run.to_owned()),
        () => by_beginning(&run.to_string_lossy(), reports),
    }
}

fn by_beginning(word: &str, reports: &Path) -> Result<PathBuf, FindError> {
    let name_of = |run: &PathBuf| run.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found = Archive::runs(reports)?;
    found.retain(|run| name_of(run).starts_with(word));
    match found.as_slice() {
        [] => Err(FindError::Unknown { word: word.to_owned(), reports: reports.to_owned() }),
        [one] => Ok(one.clone()),
        many => Err(FindError::Ambiguous { word: word.to_owned(), names: many.iter().map(name_of).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn run_in(reports: &Path, name: &str, second: i64) -> PathBuf {
        let at = Timestamp::from_second(1_795_478_400 + second).unwrap();
        Archive::create(reports, name, 1, at).unwrap().root().to_owned()
    }

    #[test]
    fn a_run_is_found_by_path_by_name_by_a_unique_beginning_and_as_the_latest() {
        let reports = tempfile::tempdir().unwrap();
        let reports = reports.path();
        assert!(find(Path::new("latest"), reports).is_err());
        let (old, new) = (run_in(reports, "a", 0), run_in(reports, "b", 61));
        let found = |word: &str| find(Path::new(word), reports);
        assert_eq!(found(old.to_str().unwrap()).unwrap(), old);
        assert_eq!(found("20261124T000000Z-a-1").unwrap(), old);
        assert_eq!(found("20261124T0001").unwrap(), new);
        assert_eq!(found("latest").unwrap(), new);
        let many = found("2026").unwrap_err().to_string();
        assert_eq!(many, "find one run `2026`: 2 begin so: 20261124T000000Z-a-1, 20261124T000101Z-b-1");
        assert!(matches!(found("2027"), Err(FindError::Unknown { .. })));
        assert_eq!(found("no/such/run").unwrap(), Path::new("no/such/run"));
    }
}
