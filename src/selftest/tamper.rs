//! What controls do to the folder of a sound run before it is judged again: evidence is taken away, and the judge must say
//! that it is.

use std::fs;
use std::io;
use std::path::Path;

use crate::archive::Piece;
use crate::sabotage::cut_ledger;

/// The last quarter of the ledger is gone, as after a crash of the disk.
pub(super) fn cut_the_ledger(run: &Path) -> io::Result<()> {
    cut_ledger(&run.join("ledger"))
}

/// The database counts more rows than were read, as behind a reader with a limit.
pub(super) fn limit_the_reader(run: &Path) -> io::Result<()> {
    change_json(&run.join(Piece::State.path()), &["rows", "Read", "counted"], |counted| counted + 100)
}

/// The plan is another run's: its keys are others.
pub(super) fn number_another_run(run: &Path) -> io::Result<()> {
    change_json(&run.join(Piece::Plan.path()), &["run", "number"], |number| number + 1)
}

/// Changes the number at this place of a file. A place that is not there is an error: the control would control nothing.
fn change_json(file: &Path, place: &[&str], change: impl FnOnce(u64) -> u64) -> io::Result<()> {
    let mut root: serde_json::Value = serde_json::from_slice(&fs::read(file)?)?;
    let mut value = &mut root;
    for name in place {
        value = &mut value[*name];
    }
    let number = value.as_u64().ok_or_else(|| io::Error::other(format!("{} has no number there", file.display())))?;
    *value = change(number).into();
    fs::write(file, serde_json::to_vec(&root)?)
}
