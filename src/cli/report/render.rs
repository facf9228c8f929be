//! `mxctl report render`: a stored report in another form.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::Refused;
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::output::{colour, print};
use crate::cli::run_argument::RunArgument;
use crate::mask::mask;
use crate::report::{JUnit, Json, Markdown, Renderer, Terminal};
use crate::runs;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report render latest --format md
  mxctl report render latest --format junit -o junit.xml

Nothing is judged: the verdict is the one that was stored.")]
pub struct Command {
    #[command(flatten)]
    run: RunArgument,
    /// The form
    #[arg(long, value_name = "FORM")]
    format: Form,
    /// Write it to this file instead of stdout
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// Markdown, short enough for a pull request
    Md,
    /// JUnit's XML: a fail is a failure, an inconclusive one an error
    Junit,
    /// run.json
    Json,
    /// What a run prints at its end
    Human,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Refused> {
        let folder = self.run.find(global)?;
        let report = runs::report_of(&folder)?;
        let bytes = self.format.renderer(&folder, self.out.is_none() && colour()).render(&report)?;
        match self.out {
            None => Ok(print(bytes)),
            Some(path) => std::fs::write(&path, mask(&String::from_utf8_lossy(&bytes)))
                .map(|()| Exit::Pass)
                .map_err(|source| Refused::Write { path: path.display().to_string(), source }),
        }
    }
}

impl Form {
    fn renderer(self, folder: &Path, colour: bool) -> Box<dyn Renderer + '_> {
        match self {
            Form::Md => Box::new(Markdown),
            Form::Junit => Box::new(JUnit),
            Form::Json => Box::new(Json),
            Form::Human => Box::new(Terminal { colour, folder }),
        }
    }
}
