//! `mxctl completions`: what a shell needs to complete a command line.

use clap_complete::Shell;

use super::exit::Exit;
use super::output::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl completions bash > ~/.local/share/bash-completion/completions/mxctl
  mxctl completions zsh > ~/.zfunc/_mxctl
  mxctl completions fish > ~/.config/fish/completions/mxctl.fish")]
pub struct Command {
    /// The shell
    shell: Shell,
}

pub fn run(command: &Command) -> Exit {
    print(script(command.shell))
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "mxctl", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for command in super::super::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
