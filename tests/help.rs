//! `--help`, as people see it: every command, with examples, and what the exit codes mean.

use clap::Command;

/// Every command that can be run or asked for help, by its full name, parents first.
fn walk(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
    found.push((path.to_owned(), command.clone()));
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        walk(sub, &format!("{path} {}", sub.get_name()), found);
    }
}

fn commands() -> Vec<(String, Command)> {
    let mut root = mxctl::cli::command();
    // Global flags reach subcommands only in a built tree.
    root.build();
    let mut found = Vec::new();
    walk(&root, "mxctl", &mut found);
    found
}

fn help(command: Command) -> String {
    command.term_width(110).render_long_help().to_string()
}

#[test]
fn every_command_is_helped() {
    for (name, command) in commands() {
        // What the caller's variables hold is no part of the text.
        let filters = [(r"\[env: (MXCTL_\w+)=[^\]]*\]", "[env: $1=]")];
        let suffix = name.replace(' ', "-");
        insta::with_settings!({ filters => filters, snapshot_suffix => suffix, omit_expression => true }, {
            insta::assert_snapshot!("help", help(command));
        });
    }
}

#[test]
fn every_command_has_examples_that_can_be_typed() {
    for (name, command) in commands() {
        let help = help(command);
        let examples: Vec<_> =
            help.lines().skip_while(|l| !l.starts_with("Examples:")).filter(|l| l.starts_with("  mxctl ")).collect();
        assert!(!examples.is_empty(), "{name} has no examples:\n{help}");
        for example in examples {
            // What follows two spaces explains it; a pipe or a redirection is the shell's.
            let typed = example.trim().split("  ").next().unwrap();
            let words = shlex::split(typed).unwrap_or_else(|| panic!("{example}: a quote is left open"));
            let words = words.iter().take_while(|word| !word.starts_with(['>', '|']));
            let parsed = mxctl::cli::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn exit_codes_are_told_wherever_a_verdict_may_come_out() {
    let judging = ["mxctl", "mxctl loadtest", "mxctl chaos", "mxctl report judge"];
    for (name, command) in commands().into_iter().filter(|(name, _)| judging.contains(&name.as_str())) {
        let help = help(command);
        for code in ["0 ", "1 ", "2 ", "3 "] {
            assert!(help.split("Exit codes:").nth(1).is_some_and(|told| told.contains(code)), "{name}: {help}");
        }
    }
}

#[test]
fn the_clap_tree_is_sound() {
    mxctl::cli::command().debug_assert();
}
