//! The golden reports in `reports/sample/`: what each renderer makes of the canned reports, file by file. After a
//! change that is meant, write them anew and look at the difference:
//!
//! ```text
//! UPDATE_SAMPLES=1 cargo test --workspace samples && git diff reports/sample
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::{Renderer, RunReport, Terminal, canned};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/sample")
}

/// Every form of a report, by the name of its file.
fn forms(report: &RunReport) -> Vec<(&'static str, String)> {
    let run = format!("reports/20261124T001203Z-{}-{}", report.plan.name, report.plan.run_number);
    let terminal = Terminal { colour: false, folder: Path::new(&run) }.render(report).unwrap();
    let files = report.files().unwrap().into_iter().map(|(piece, bytes)| (piece.path(), bytes));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    files.chain([("terminal.txt", terminal)]).map(|(name, bytes)| (name, text(bytes))).collect()
}

#[test]
fn samples_are_what_the_renderers_write() {
    for (name, report) in canned::reports() {
        for (file, rendered) in forms(&report) {
            let path = folder().join(name).join(file);
            if std::env::var_os("UPDATE_SAMPLES").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &rendered).unwrap();
            }
            let golden = fs::read_to_string(&path).unwrap_or_default();
            assert!(golden == rendered, "{} is not what is rendered now:\n{rendered}\n{UPDATE}", path.display());
        }
    }
}

const UPDATE: &str = "if the change is meant: UPDATE_SAMPLES=1 cargo test --workspace samples";

#[test]
fn every_sample_belongs_to_a_canned_report() {
    let mut found: Vec<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let mut canned: Vec<&str> = canned::reports().iter().map(|(name, _)| *name).collect();
    canned.sort();
    assert_eq!(found, canned);
}
