//! A password that comes in, by whatever door, comes out nowhere: not on a screen, not in a file of a run's folder.

mod lab;

use std::path::Path;

use lab::{Ended, Lab};
use mxctl::archive::{Archive, Environment};
use mxctl::report::diff::{Diff, Pair};
use mxctl::report::{ListLine, Renderer, list};
use mxctl::report::{RunReport, Terminal};
use serde_json::Value;

/// Long enough that no digest or port holds it by chance, and with signs that URLs encode.
const SECRET: &str = "hunter2-S3cr3t_+Pa$s";

const QUICK: &str =
    "target: { strategy: in-memory, instances: 1, flush_interval: 50ms }\nload: { rps: 50, duration: 1s }\n";

/// Every form in which the secret could be written down: as it is, percent-encoded, and in base64 at any offset.
fn forms() -> Vec<String> {
    let encode = |b: u8| {
        if b.is_ascii_alphanumeric() || b"-_".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }
    };
    let percent: String = SECRET.bytes().map(encode).collect();
    let in_base64 = (0..3).map(|offset| {
        let text = base64(&[vec![b'x'; offset], SECRET.into()].concat());
        // The first and last characters hold bits of the neighbours, too.
        text[4..text.len() - 4].to_owned()
    });
    // A half of it is one too many.
    let half = SECRET[SECRET.len() / 2..].to_owned();
    [SECRET.to_owned(), percent.to_lowercase(), percent, half].into_iter().chain(in_base64).collect()
}

/// RFC 4648, without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let digit = |six: &[u8]| six.iter().fold(0, |number, bit| number << 1 | usize::from(*bit)) << (6 - six.len());
    bits.chunks(6).map(|six| char::from(DIGITS[digit(six)])).collect()
}

#[track_caller]
fn assert_secret_is_not_in(what: &str, text: &[u8]) {
    for form in forms() {
        let found = text.windows(form.len()).any(|window| window == form.as_bytes());
        assert!(!found, "{what} tells the secret as {form}:\n{}", String::from_utf8_lossy(text));
    }
}

#[track_caller]
fn assert_silent(what: &str, ended: &Ended) {
    assert_secret_is_not_in(&format!("stdout of {what}"), ended.stdout.as_bytes());
    assert_secret_is_not_in(&format!("stderr of {what}"), ended.stderr.as_bytes());
}

/// Every file below a folder, and every name.
#[track_caller]
fn assert_folder_is_silent(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        assert_secret_is_not_in("a name", path.as_os_str().as_encoded_bytes());
        match path.is_dir() {
            true => assert_folder_is_silent(&path),
            false => assert_secret_is_not_in(&path.display().to_string(), &std::fs::read(&path).expect("a file")),
        }
    }
}

/// URLs that carry the secret: as userinfo, as a query parameter, too long for a line, and encoded.
fn urls() -> Vec<String> {
    let percent = &forms()[2];
    vec![
        format!("postgres://user:{SECRET}@127.0.0.1:1/db"),
        format!("mysql://user:{percent}@127.0.0.1:1/db"),
        format!("redis://:{SECRET}@127.0.0.1:1"),
        format!("postgres://user@127.0.0.1:1/db?sslmode=disable&password={SECRET}"),
        format!("postgres://{}:{SECRET}@127.0.0.1:1/{}", "user".repeat(25), "db".repeat(60)),
    ]
}

#[test]
fn the_forms_are_those_that_other_programs_write() {
    assert_eq!(base64(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw");
    assert!(forms().contains(&"hunter2-S3cr3t_%2BPa%24s".to_owned()));
}

#[test]
fn a_flag_a_variable_and_a_file_that_are_refused_do_not_tell() {
    let lab = Lab::new();
    for url in urls() {
        for key in ["database", "strategy", "backend", "appendfsync"] {
            let flag = format!("--{key}={url}");
            let variable = format!("MXCTL_{}", key.to_uppercase());
            let file = lab.scenario("secret", &format!("target: {{ {key}: \"{url}\", instances: none }}\n"));
            let plain = lab.scenario("plain", QUICK);
            for command in [&["loadtest", "--scenario"][..], &["scenario", "check"], &["scenario", "explain"]] {
                let by_flag = lab.run(&[command, &[&plain, &flag]].concat());
                let by_file = lab.run(&[command, &[&file]].concat());
                let mut variable_set = lab.mxctl(&[command, &[&plain]].concat());
                let by_variable = Ended::of(variable_set.env(&variable, &url).output().unwrap());
                for (door, ended) in [("flag", by_flag), ("file", by_file), ("variable", by_variable)] {
                    assert_silent(&format!("{command:?} with {key} by {door}"), &ended.exits_with(2));
                }
            }
        }
    }
    assert!(!lab.reports().exists());
}

#[test]
fn a_name_and_a_gate_that_are_refused_do_not_tell() {
    let lab = Lab::new();
    for url in urls() {
        let gate = format!("{url} > 5ms");
        let plain = lab.scenario("plain", QUICK);
        assert_silent("a gate", &lab.run(&["loadtest", "--scenario", &plain, "--fail-if", &gate]).exits_with(2));
        assert_silent("a run", &lab.run(&["report", "show", &url]).exits_with(2));
        assert_silent("a scenario", &lab.run(&["chaos", &url]).exits_with(2));
        let named = lab.scenario("named", &format!("name: \"{url}\"\n{QUICK}"));
        assert_silent("a name", &lab.run(&["loadtest", "--scenario", &named]).exits_with(2));
    }
}

#[test]
fn a_configuration_of_the_service_that_is_refused_does_not_tell() {
    let lab = Lab::new();
    for url in urls() {
        let file = lab.folder().join("application.yml");
        let yaml = format!("buffer: {{ strategy: redis, redis: {{ url: \"{url}\", tiemout: 1s }} }}\n");
        std::fs::write(&file, yaml).unwrap();
        let ended = lab.run(&["serve", "--config", file.to_str().unwrap()]);
        assert_silent("serve", &ended.exits_with(2));
    }
}

/// The variables of a run reach its children; none of them writes them down.
#[test]
fn the_folder_of_a_run_does_not_tell_what_its_variables_hold() {
    let lab = Lab::new();
    let file = lab.scenario("quick", QUICK);
    let mut command = lab.mxctl(&["loadtest", "--scenario", &file]);
    for (n, url) in urls().iter().enumerate() {
        command.env(format!("MXCTL_SECRET_{n}"), url).env(format!("DATABASE_URL_{n}"), url);
    }
    let ended = Ended::of(command.output().unwrap());
    assert!(matches!(ended.code, 0 | 3), "{ended:#?}");
    assert_silent("loadtest", &ended);
    assert_folder_is_silent(&lab.reports());
    for arguments in [&["report", "judge", "latest"][..], &["report", "list", "--output", "json"]] {
        assert_silent("a look at it", &lab.run(arguments));
    }
}

/// Adds a URL to every text in a report in which some stage could have put one.
fn plant(value: &mut Value, url: &str) {
    match value {
        // Words of a fixed set, and times, have no blank in them.
        Value::String(text) if text.contains(' ') => *text = format!("{text} {url}"),
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, url)),
        Value::Object(fields) => fields.values_mut().for_each(|field| plant(field, url)),
        _ => {}
    }
}

#[test]
fn whatever_a_stage_put_into_a_report_no_file_and_no_form_of_it_tells() {
    let lab = Lab::new();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/sample/fail/run.json");
    for url in urls() {
        let mut value: Value = serde_json::from_slice(&std::fs::read(&sample).unwrap()).unwrap();
        plant(&mut value, &url);
        let mut report: RunReport = serde_json::from_value(value).unwrap();
        let arguments = ["mxctl".to_owned(), format!("--database={url}"), url.clone()];
        let now = jiff::Timestamp::UNIX_EPOCH;
        report.environment = Some(Environment::gather(now, arguments));
        let archive = Archive::create(&lab.reports(), "secret", 1, now).unwrap();
        archive.seal(&report.files().unwrap()).unwrap();
        drop(archive);

        let terminal = Terminal { colour: true, folder: Path::new("reports/a") }.render(&report).unwrap();
        assert_secret_is_not_in("the terminal", &terminal);
        let pair = Pair { a: "a".to_owned(), b: "b".to_owned() };
        assert_secret_is_not_in("a diff", Diff::of(pair, &report, &report).to_text().as_bytes());
        assert_secret_is_not_in("a list", list(&[ListLine::of_report("a".into(), &report, false)]).as_bytes());
        for form in ["md", "junit", "json", "human"] {
            assert_silent(form, &lab.run(&["report", "render", "latest", "--format", form]).exits_with(0));
        }
    }
    assert_folder_is_silent(&lab.reports());
}
