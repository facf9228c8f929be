//! Flags of `mxctl loadtest --url` that say how requests travel: TLS and HTTP/2, by the words that curl has for them.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use crate::load::transport::{Tls, is_of_connection};
use crate::plan::{Protocol, Trust};

/// How requests of the user's own travel.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A URL of your own, in place of a target (its data is not assessed)")]
pub struct ProtocolFlags {
    /// HTTP/2: over https:// as the server agrees to it (ALPN h2), over http:// with prior knowledge (h2c)
    #[arg(long, requires = "url")]
    pub http2: bool,
    /// Requests at a time on each connection of HTTP/2 (h2load: -m); no more than the server allows
    #[arg(long, value_name = "N", requires = "http2", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub streams: u32,
    /// Accept any certificate
    #[arg(long, short = 'k', requires = "url", conflicts_with = "cacert")]
    pub insecure: bool,
    /// Accept certificates that a CA of this file (PEM) vouches for, and no others
    #[arg(long, value_name = "FILE", requires = "url")]
    pub cacert: Option<PathBuf>,
}

/// A flag, what is wrong with it, and what to do.
type Note<'a> = &'a mut dyn FnMut(&str, String, &str);

impl ProtocolFlags {
    pub fn protocol(&self, url: Option<&Url>, headers: &[(String, String)], note: Note) -> Protocol {
        let over_tls = url.is_none_or(|url| url.scheme() == "https");
        if !over_tls {
            self.refuse_certificates(note);
        }
        if self.http2 {
            refuse_of_connection(headers, note);
        }
        Protocol { tls: over_tls.then(|| self.trust(note)), http2: self.http2.then_some(self.streams) }
    }

    fn trust(&self, note: Note) -> Trust {
        if self.insecure {
            return Trust::Anyone;
        }
        let Some(file) = self.cacert.clone() else { return Trust::Machine };
        if let Err(why) = Tls::check_file(&file) {
            note("--cacert", why.to_string(), "name a file that begins with `-----BEGIN CERTIFICATE-----`");
        }
        Trust::File(file)
    }

    fn refuse_certificates(&self, note: Note) {
        let given = [("--insecure", self.insecure), ("--cacert", self.cacert.is_some())];
        for (flag, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = "nobody shows a certificate at an http:// address".to_owned();
            note(flag, message, "write `https://`, or leave it out");
        }
    }
}

fn refuse_of_connection(headers: &[(String, String)], note: Note) {
    for (name, value) in headers.iter().filter(|(name, value)| is_of_connection(name, value)) {
        let message = format!("`{name}: {value}` concerns one connection of HTTP/1.1, and HTTP/2 forbids it");
        note("--header", message, "leave it out, or leave `--http2` out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: &ProtocolFlags, url: &str, headers: &[(&str, &str)]) -> (Protocol, Vec<String>) {
        let mut flagged = Vec::new();
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let url = Url::parse(url).unwrap();
        let protocol = flags.protocol(Some(&url), &headers, &mut |flag, _, _| flagged.push(flag.to_owned()));
        (protocol, flagged)
    }

    #[test]
    fn the_scheme_and_the_flags_say_how_requests_travel() {
        let plain = ProtocolFlags { streams: 1, ..ProtocolFlags::default() };
        assert_eq!(read(&plain, "http://a/", &[]), (Protocol::default(), vec![]));
        let machine = Protocol { tls: Some(Trust::Machine), http2: None };
        assert_eq!(read(&plain, "https://a/", &[]), (machine, vec![]));
        let http2 = ProtocolFlags { http2: true, streams: 8, insecure: true, cacert: None };
        assert_eq!(read(&http2, "https://a/", &[]).0, Protocol { tls: Some(Trust::Anyone), http2: Some(8) });
    }

    #[test]
    fn what_does_not_fit_is_said_all_at_once() {
        let all = ProtocolFlags { http2: true, streams: 1, insecure: true, cacert: Some("ca.pem".into()) };
        let (_, flagged) = read(&all, "http://a/", &[("Upgrade", "h2c"), ("TE", "trailers"), ("TE", "gzip")]);
        assert_eq!(flagged, ["--insecure", "--cacert", "--header", "--header"]);
        let missing = ProtocolFlags { streams: 1, cacert: Some("/nowhere/ca.pem".into()), ..ProtocolFlags::default() };
        assert_eq!(read(&missing, "https://a/", &[]).1, ["--cacert"]);
    }
}
