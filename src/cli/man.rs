//! `mxctl man`: the manual, from the same text as `--help`.

use std::io;
use std::path::{Path, PathBuf};

use clap_mangen::Man;

use super::exit::Exit;
use super::fail;
use super::output::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl man | man -l -
  mxctl man ~/.local/share/man/man1")]
pub struct Command {
    /// Write a page for each command into this folder; without it, the main page goes to stdout
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub fn run(command: &Command) -> Exit {
    let done = match &command.folder {
        None => main_page().map(print),
        Some(folder) => write_pages(folder).map(|count| print(format!("{count} pages in {}\n", folder.display()))),
    };
    done.unwrap_or_else(|e| fail(&format!("write the manual: {e}"), Exit::BadInput))
}

fn main_page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(super::command()).render(&mut page)?;
    Ok(page)
}

/// `mxctl.1`, `mxctl-report.1`, `mxctl-report-list.1`, …; says how many.
fn write_pages(folder: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let mut root = super::command().disable_help_subcommand(true);
    // Global flags, and the names of pages, reach subcommands only in a built tree.
    root.build();
    let pages = every(&root);
    for command in &pages {
        Man::new((*command).clone()).generate_to(folder)?;
    }
    Ok(pages.len())
}

/// A command and all below it.
fn every(command: &clap::Command) -> Vec<&clap::Command> {
    std::iter::once(command).chain(command.get_subcommands().flat_map(every)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let folder = tempfile::tempdir().unwrap();
        let count = write_pages(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), count);
        for name in ["mxctl", "mxctl-report", "mxctl-report-diff", "mxctl-scenario-schema"] {
            let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
            assert!(page.starts_with(".ie") && page.contains("Examples:"), "{page}");
            assert!(page.contains(&format!("\n{} \\-", name.replace('-', "\\-"))), "{name}: {page}");
        }
    }
}
