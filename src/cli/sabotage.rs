//! `--sabotage NAME`: a flag of tests and the selftest. Where their guard is not set it does not exist: no help, no page
//! and no completion knows it, and whoever types it is told so as of any unknown flag.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Args, FromArgMatches};

use crate::plan::Sabotage;
use crate::sabotage::GUARD;

const NAME: &str = "sabotage";

/// What is to be done to mxctl itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct SabotageFlag(pub Option<Sabotage>);

impl Args for SabotageFlag {
    fn augment_args(command: clap::Command) -> clap::Command {
        let words = PossibleValuesParser::new(Sabotage::ALL.map(Sabotage::word));
        match std::env::var_os(GUARD) {
            None => command,
            Some(_) => command.arg(Arg::new(NAME).long(NAME).value_name("NAME").value_parser(words).hide(true)),
        }
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SabotageFlag {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        // Without the guard there is no such argument to ask for.
        let word = matches.try_get_one::<String>(NAME).ok().flatten();
        Ok(SabotageFlag(word.and_then(|word| Sabotage::of_word(word))))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
