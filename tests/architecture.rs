//! The house rules that a compiler does not know: a stage uses only what stands above it in `lib.rs`, `load` and
//! `timeline` never use each other, checks and renderers do no I/O, and `testbed` stays a stranger.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The modules of `lib.rs`, in order.
fn map() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    modules.map(str::to_owned).collect()
}

/// The module of `lib.rs` that a file belongs to.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file without comments: what is said about a later stage is no use of it.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every `crate::name` in a piece of code, also within `use crate::{a, b::c}`.
fn uses(code: &str, modules: &[String]) -> Vec<String> {
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => used.extend(top_names(group)),
            None => used.push(first_name(rest)),
        }
    }
    used.retain(|name| modules.contains(name));
    used
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The names at the top level of a brace group, whose opening brace is gone.
fn top_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && c.is_alphabetic() => {
                names.push(first_name(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn a_stage_uses_only_what_stands_above_it() {
    let map = map();
    let place = |name: &str| map.iter().position(|m| m == name);
    let mut backward = Vec::new();
    for file in rust_files(&root().join("src")) {
        let module = module_of(&file);
        let Some(here) = place(&module) else { continue };
        for used in uses(&code(&file), &map) {
            if place(&used) > Some(here) {
                backward.push(format!("{}: {module} uses {used}", file.display()));
            }
        }
    }
    assert!(backward.is_empty(), "backward imports:\n{}", backward.join("\n"));
}

#[test]
fn every_file_of_the_library_belongs_to_the_map() {
    let map = map();
    let strangers: Vec<_> = rust_files(&root().join("src"))
        .into_iter()
        .filter(|file| !["lib", "main"].contains(&module_of(file).as_str()) && !map.contains(&module_of(file)))
        .collect();
    assert!(strangers.is_empty(), "not in lib.rs: {strangers:?}");
}

#[test]
fn load_and_timeline_never_use_each_other() {
    for (one, other) in [("load", "timeline"), ("timeline", "load")] {
        for file in rust_files(&root().join("src").join(one)) {
            assert!(!uses(&code(&file), &[other.to_owned()]).contains(&other.to_owned()), "{}", file.display());
        }
    }
}

/// Whether a file belongs to a module that exists in tests only.
fn is_test_module(file: &Path) -> bool {
    let declared = |folder: &Path, name: &str| {
        let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
        let text: String = parents.iter().filter_map(|parent| fs::read_to_string(parent).ok()).collect();
        ["mod", "pub mod", "pub(crate) mod"].iter().any(|m| text.contains(&format!("#[cfg(test)]\n{m} {name};")))
    };
    file.ancestors().any(|part| {
        let (Some(folder), Some(name)) = (part.parent(), part.file_stem()) else { return false };
        declared(folder, name.to_str().expect("a plain name"))
    })
}

#[test]
fn checks_and_renderers_do_no_io() {
    for folder in ["checks", "report"] {
        for file in rust_files(&root().join("src").join(folder)) {
            if is_test_module(&file) {
                continue;
            }
            let code = code(&file);
            // Tests below the code may read golden files.
            let code = code.split("#[cfg(test)]").next().unwrap();
            for io in ["std::fs", "std::net", "tokio::", "File::", "println!", "Instant::now", "SystemTime"] {
                assert!(!code.contains(io), "{} uses {io}", file.display());
            }
        }
    }
}

#[test]
fn the_target_service_is_a_stranger() {
    for file in rust_files(&root().join("testbed")) {
        assert!(!code(&file).contains("mxctl::"), "{} uses mxctl", file.display());
    }
    let doors: Vec<_> =
        rust_files(&root().join("src")).into_iter().filter(|file| code(file).contains("testbed::")).collect();
    let two = ["src/backends/in_process/service.rs", "src/cli/serve.rs"].map(|door| root().join(door));
    assert_eq!(doors, two, "the oracle must not share code with the service");
}

#[test]
fn every_file_says_what_it_is_and_no_lint_is_silenced() {
    for folder in ["src", "testbed/src", "testbed/tests", "tests"] {
        for file in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//!"), "{} opens without //!", file.display());
            let silenced = ["#[", "#!["].map(|open| format!("{open}allow("));
            assert!(
                !silenced.iter().any(|s| text.contains(s.as_str())),
                "{}: say expect, with a reason",
                file.display()
            );
        }
    }
}
