//! The worked CI example, as far as it can be checked without a CI: it is YAML of the right form, every `mxctl` line in
//! it is one that this mxctl understands, and what it uploads is what a run's folder holds.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, FromArgMatches};
use mxctl::cli::target_flags::PlanFlags;
use mxctl::plan::Given;
use serde_json::Value;

fn workflow() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows/example.yml");
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn steps() -> Vec<Value> {
    let jobs = workflow()["jobs"].as_object().unwrap().clone();
    jobs.values().flat_map(|job| job["steps"].as_array().unwrap().clone()).collect()
}

/// The words of every command that begins with `mxctl`, as a shell would split them; what a variable stands for is not
/// known here.
fn commands(script: &str) -> Vec<Vec<String>> {
    let parts = script.split(['\n', ';', '|', '&']).map(str::trim).filter(|part| part.starts_with("mxctl "));
    parts.map(words).collect()
}

/// Quotes keep words together; a redirection ends the command.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '>') => break,
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (_, c) => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn all_commands() -> Vec<Vec<String>> {
    steps().iter().filter_map(|step| step["run"].as_str()).flat_map(commands).collect()
}

fn parsed(words: &[String]) -> ArgMatches {
    let matches = mxctl::cli::command().try_get_matches_from(words);
    matches.unwrap_or_else(|e| panic!("{words:?}: {e}"))
}

#[test]
fn a_shell_splits_words_as_we_do() {
    let found = commands("cd x && mxctl chaos a --fail-if 'p99 > 5ms' >> \"$OUT\"\nmxctl heal");
    assert_eq!(found, [vec!["mxctl", "chaos", "a", "--fail-if", "p99 > 5ms"], vec!["mxctl", "heal"]]);
}

#[test]
fn every_mxctl_line_is_understood_and_every_scenario_ships_and_can_be_planned() {
    let commands = all_commands();
    assert!(commands.len() >= 6, "{commands:?}");
    let mut planned = 0;
    for words in commands {
        let matches = parsed(&words);
        let (command, matches) = matches.subcommand().unwrap();
        let name = match command {
            "chaos" => matches.get_one::<String>("name").unwrap().clone(),
            "loadtest" => matches.get_one::<String>("scenario").unwrap().clone(),
            _ => continue,
        };
        assert!(mxctl::scenario::shipped().iter().any(|(shipped, _)| *shipped == name), "{name} does not ship");
        let flags = PlanFlags::from_arg_matches(matches).unwrap();
        let given = Given { run_number: 1, seed: 1 };
        mxctl::cli::scenario::plan(&name, &flags, given).unwrap_or_else(|e| panic!("{words:?}: {e}"));
        planned += 1;
    }
    assert!(planned >= 2);
}

#[test]
fn the_report_is_kept_whatever_the_outcome_and_the_gate_is_the_exit_code() {
    let steps = steps();
    let find = |what: &dyn Fn(&Value) -> bool| steps.iter().position(what).expect("such a step");
    let run = |word: &'static str| move |step: &Value| step["run"].as_str().is_some_and(|run| run.contains(word));
    let gate = find(&run("mxctl chaos"));
    assert!(steps[gate]["continue-on-error"].is_null() && !steps[gate]["run"].as_str().unwrap().contains("||"));
    let upload = |step: &Value| step["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/upload-artifact@"));
    for after in [find(&run("GITHUB_STEP_SUMMARY")), find(&run("mxctl heal")), find(&upload)] {
        assert!(after > gate);
        assert_eq!(steps[after]["if"], "always()", "{:#}", steps[after]);
    }
    assert!(workflow()["jobs"].as_object().unwrap().values().all(|job| job["timeout-minutes"].is_u64()));
}

/// What a run's folder holds: what its report names, and the files beside it.
fn layout() -> Vec<PathBuf> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/sample/pass/run.json");
    let report: Value = serde_json::from_slice(&std::fs::read(sample).unwrap()).unwrap();
    let named = report["paths"].as_object().unwrap().values().filter_map(|path| path.as_str().map(PathBuf::from));
    named.chain(["run.json", "lock", mxctl::journal::FILE].map(PathBuf::from)).collect()
}

#[test]
fn what_is_uploaded_is_in_the_layout_of_a_runs_folder() {
    let reports = workflow()["env"]["MXCTL_REPORTS"].as_str().unwrap().to_owned();
    let upload = steps().into_iter().find(|step| step["with"]["if-no-files-found"].is_string()).unwrap();
    let paths: Vec<String> = upload["with"]["path"].as_str().unwrap().lines().map(str::to_owned).collect();
    assert!(
        paths.iter().any(|path| path.ends_with("junit.xml")) && paths.iter().any(|path| path.ends_with("report.md"))
    );
    for path in &paths {
        let within = path.strip_prefix(&format!("{reports}/*/")).unwrap_or_else(|| panic!("{path}: another folder"));
        let place = Path::new(within.split_once("/*").map_or(within, |(folder, _)| folder));
        assert!(layout().iter().any(|known| known.starts_with(place)), "{path}: a run's folder has no such thing");
    }
}

#[test]
fn what_it_runs_in_the_repository_is_there() {
    let scripts: Vec<String> = steps().iter().filter_map(|step| step["run"].as_str().map(str::to_owned)).collect();
    assert!(scripts.iter().any(|script| script.starts_with("testbed/provision ")));
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/provision").exists());
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(scripts.iter().any(|script| script.contains(&format!("toolchain install {version} "))), "{version}");
}
