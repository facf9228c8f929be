//! Flags of `mxctl loadtest --url`: one request, as people write them for curl, at the rate of the load's flags.

use std::path::PathBuf;

use clap::Args;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use url::{Position, Url};

use crate::plan::{Given, HttpRequest, Mix, Plan, Statuses, Trust, UrlTarget};
use crate::scenario::{Allowance, Overrides, Place, Problem, Problems};
use crate::url_load::untranslatable;

use super::protocol_flags::ProtocolFlags;
use super::scenario;
use super::target_flags::PlanFlags;

const CLOSED: &str = "a closed loop: requests that a stall of the target kept from being sent are in no figure (coordinated \
                      omission), and the rate is the target's, not one that was asked for";
const INSECURE: &str = "any certificate was accepted (--insecure): who answered is not known";

/// A request of the user's own.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A URL of your own, in place of a target (its data is not assessed)")]
pub struct UrlFlags {
    /// Where every request goes, such as http://127.0.0.1:8080/path; {seq} in path, headers and body is a counter
    #[arg(long, value_name = "URL", conflicts_with_all = ["scenario", "attach", "keep"])]
    pub url: Option<String>,
    /// The request's method; POST where it has a body, else GET
    #[arg(long, short = 'X', value_name = "METHOD", requires = "url")]
    pub method: Option<String>,
    /// A header, such as 'Authorization: Bearer …'; may be repeated
    #[arg(long, short = 'H', value_name = "NAME: VALUE", requires = "url")]
    pub header: Vec<String>,
    /// The body: text, or @FILE
    #[arg(long, short = 'd', value_name = "TEXT|@FILE", requires = "url")]
    pub body: Option<String>,
    /// Which answers are good; all others are errors
    #[arg(long, value_name = "status=LIST", requires = "url", default_value = "status=2xx")]
    pub expect: String,
    /// Count requests, and record none: nothing can be judged again, or looked up, later
    #[arg(long, requires = "url")]
    pub no_ledger: bool,
    /// N requests at a time, each sent when one before it has ended, in place of a rate: for comparison with other tools,
    /// as it hides what a stall keeps from being sent. After a refused connect the next one waits, 10 ms to 1 s
    #[arg(long, value_name = "N", requires = "url", conflicts_with_all = ["rps", "shape", "connections", "arrivals"])]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub closed: Option<u32>,
    #[command(flatten)]
    pub protocol: ProtocolFlags,
}

impl UrlFlags {
    /// The plan of a load on the URL: the load, the gates and the run of the other flags, as in a load test.
    pub fn plan(&self, flags: &PlanFlags, given: Given) -> Result<Plan, Problems> {
        let mut problems = Vec::new();
        refuse_target(flags, &mut problems);
        let target = self.target(&mut problems);
        let plan = scenario::plan("loadtest", flags, given);
        problems.extend(plan.as_ref().err().into_iter().flat_map(Problems::iter).cloned());
        Problems::check(problems)?;
        let (mut target, mut plan) = (target.expect("a target without a problem"), plan?);
        target.request.allowed = allows(flags.overrides(), &target.request.host);
        plan.name = "url".to_owned();
        plan.load.mix = Mix { write_once: 0, hot_key: 0, read: 0, poison: 0, request: 1000 };
        if let Some(at_once) = self.closed {
            plan.load.closed = Some(at_once);
            plan.load.connections = self.connections_for(at_once, plan.load.shards.into());
            plan.notes.push(CLOSED.to_owned());
        }
        if target.protocol.tls == Some(Trust::Anyone) {
            plan.notes.push(INSECURE.to_owned());
        }
        Ok(Plan { url: Some(target), ..plan })
    }

    /// So many that each thread has room for its share of so many requests at a time.
    fn connections_for(&self, at_once: u32, threads: u32) -> u32 {
        let threads = threads.clamp(1, at_once);
        (threads * at_once.div_ceil(threads).div_ceil(self.protocol.streams.max(1))).min(at_once)
    }

    /// What was typed, for files: without the values of headers and without the body, which may be secrets.
    pub fn masked(&self, arguments: impl IntoIterator<Item = String>) -> Vec<String> {
        arguments.into_iter().map(|argument| self.masked_argument(argument)).collect()
    }

    /// A value ends its argument, in each of the forms `-H VALUE`, `-HVALUE` and `--header=VALUE`.
    fn masked_argument(&self, argument: String) -> String {
        let body = self.body.iter().filter(|body| !body.starts_with('@'));
        for secret in self.header.iter().chain(body).filter(|secret| !secret.is_empty()) {
            if let Some(before) = argument.strip_suffix(secret.as_str()) {
                let name = secret.split_once(':').filter(|_| self.header.contains(secret));
                return name.map_or_else(|| format!("{before}***"), |(name, _)| format!("{before}{name}: ***"));
            }
        }
        argument
    }

    fn target(&self, problems: &mut Vec<Problem>) -> Option<UrlTarget> {
        let mut note = |flag: &str, message: String, help: &str| {
            problems.push(Problem::new(&Place::Named(flag.to_owned()), message, help));
        };
        let url = url(self.url.as_deref().unwrap_or_default()).map_err(|(why, help)| note("--url", why, help)).ok();
        let headers: Vec<_> = self
            .header
            .iter()
            .filter_map(|text| header(text).map_err(|why| note("--header", why, "write 'Name: value'")).ok())
            .collect();
        let protocol = self.protocol.protocol(url.as_ref(), &headers, &mut note);
        let body = self.body.as_deref().map_or_else(|| Ok(Vec::new()), body);
        let body = body.map_err(|why| note("--body", why, "write the text itself, or @ and a file's name")).ok();
        let expect = self.expected();
        let expect = expect.map_err(|why| note("--expect", why, "write `status=2xx`, or `status=200,404`")).ok();
        let method = self.method().map_err(|why| note("--method", why, "write `GET`, `POST`, `PUT` …")).ok();
        let (url, body, expect, method) = (url?, body?, expect?, method?);
        let request = HttpRequest {
            host: url.host_str()?.trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default()?,
            authority: authority(&url),
            path: path(&url),
            headers,
            body,
            allowed: false,
        };
        let target = UrlTarget {
            url: crate::mask::mask(url.as_str()),
            method,
            expect,
            ledger: !self.no_ledger && self.closed.is_none(),
            protocol,
            request,
        };
        if let Some(why) = target.protocol.http2.and_then(|_| untranslatable(&target)) {
            note("--http2", format!("HTTP/2 cannot carry this request: {why}"), "change that, or leave `--http2` out");
        }
        Some(target)
    }

    fn method(&self) -> Result<String, String> {
        let usual = if self.body.is_some() { "POST" } else { "GET" };
        let method = self.method.clone().unwrap_or_else(|| usual.to_owned());
        let is_word = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
        match is_word && method != "CONNECT" {
            true => Ok(method),
            false => Err(format!("`{method}` is no method that asks for something")),
        }
    }

    fn expected(&self) -> Result<Statuses, String> {
        let statuses = self.expect.strip_prefix("status=");
        Statuses::read(statuses.ok_or_else(|| format!("`{}` is nothing to expect", self.expect))?)
    }
}

fn url(text: &str) -> Result<Url, (String, &'static str)> {
    const HELP: &str = "write it whole, such as `http://127.0.0.1:8080/path` or `https://…`";
    let url = Url::parse(text).map_err(|e| (format!("`{text}` is no URL: {e}"), HELP))?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(_)) if url.username().is_empty() && url.password().is_none() => Ok(url),
        ("http" | "https", Some(_)) => Err((
            "a name or a password in the URL is not sent".to_owned(),
            "give it as a header: `-H 'Authorization: …'`",
        )),
        (scheme, _) => Err((format!("`{scheme}` is no scheme that load goes to"), HELP)),
    }
}

fn authority(url: &Url) -> String {
    url[Position::BeforeHost..Position::AfterPort].to_owned()
}

/// Path and query; the braces of counters, which a URL may not hold, are put back.
fn path(url: &Url) -> String {
    url[Position::BeforePath..Position::AfterQuery].replace("%7Bseq%7D", crate::url_load::COUNTER)
}

/// Name and value as they were written: HTTP/1.1 sends them so.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("`{text}` has no colon"))?;
    let (name, value) = (name.trim(), value.trim());
    let read = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))?;
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| format!("the value of `{name}` has a line break or another control character in it"))?;
    match read {
        CONTENT_LENGTH | TRANSFER_ENCODING | CONNECTION => Err(format!("`{name}` is the engine's own affair")),
        _ => Ok((name.to_owned(), value.to_owned())),
    }
}

fn body(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix('@') {
        None => Ok(text.as_bytes().to_vec()),
        Some(file) => std::fs::read(PathBuf::from(file)).map_err(|e| format!("read {file}: {e}")),
    }
}

/// Whatever shapes a target says nothing for a URL.
fn refuse_target(flags: &PlanFlags, problems: &mut Vec<Problem>) {
    let target = &flags.target;
    let given = [
        ("--strategy", target.strategy.is_some()),
        ("--instances", target.instances.is_some()),
        ("--workers", target.workers.is_some()),
        ("--backend", target.backend.is_some()),
        ("--database", target.database.is_some()),
        ("--witness", target.witness.is_some()),
        ("--mix", flags.load.mix.is_some()),
        ("--hot-keys", flags.load.hot_keys.is_some()),
        ("--read-keys", flags.load.read_keys.is_some()),
        ("--require-selftest", flags.run.require_selftest),
    ];
    for (flag, _) in given.into_iter().filter(|(_, given)| *given) {
        let (message, help) = (
            "it shapes a target that the run brings up, and this one goes to a URL",
            "leave it out, or leave `--url` out",
        );
        problems.push(Problem::new(&Place::Named(flag.to_owned()), message, help));
    }
}

fn allows(overrides: Overrides, host: &str) -> bool {
    overrides.allow.iter().any(|given| matches!(&given.value, Allowance::Host(allowed) if allowed == host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_goes_on_the_wire_as_it_was_written_and_its_usual_port_stays_out() {
        let parts = |text: &str| url(text).map(|url| (authority(&url), path(&url))).expect("a URL");
        assert_eq!(parts("http://h:8080/a/{seq}?x={seq}#y"), ("h:8080".to_owned(), "/a/{seq}?x={seq}".to_owned()));
        assert_eq!(parts("http://[::1]:80?"), ("[::1]".to_owned(), "/?".to_owned()));
    }

    #[test]
    fn a_header_keeps_its_letters_and_a_mistake_in_it_is_named() {
        assert_eq!(header("X-Key :  Käse "), Ok(("X-Key".to_owned(), "Käse".to_owned())));
        let wrong = ["no colon", ": v", "a b: v", "X: a\r\nY: b", "Transfer-Encoding: chunked"].map(header);
        assert_eq!(
            wrong.map(Result::unwrap_err),
            [
                "`no colon` has no colon",
                "`` is no name of a header",
                "`a b` is no name of a header",
                "the value of `X` has a line break or another control character in it",
                "`Transfer-Encoding` is the engine's own affair",
            ]
        );
    }

    #[test]
    fn what_may_be_a_secret_goes_into_no_file() {
        let header = vec!["Authorization: Bearer hunter2".to_owned()];
        let flags = UrlFlags { header, body: Some("pin=7".to_owned()), ..UrlFlags::default() };
        let typed =
            ["-H", "Authorization: Bearer hunter2", "--header=Authorization: Bearer hunter2", "-dpin=7", "--rps"];
        let kept = ["-H", "Authorization: ***", "--header=Authorization: ***", "-d***", "--rps"];
        assert_eq!(flags.masked(typed.map(str::to_owned)), kept);
        let of_file = UrlFlags { body: Some("@body.json".to_owned()), ..UrlFlags::default() };
        assert_eq!(of_file.masked(["@body.json".to_owned()]), ["@body.json"]);
    }
}
