//! A load on a URL of somebody's own, in words.

use crate::scenario::Size;

use super::{LaneCounts, Page, Plan, gates, notes, rate, time};
use crate::plan::resolve::Defaults;
use crate::plan::{Trust, UrlTarget};

pub fn page(plan: &Plan, target: &UrlTarget, counts: LaneCounts, disk_bytes: u64) -> String {
    let mut page = Page::default();
    page.line(format_args!("Load alone, on a URL: run number {}, seed {}", plan.run.number, plan.run.seed));
    page.heading("Target");
    page.row("request", format!("{} {}", target.method, target.url));
    page.row("headers", format!("{} of your own", target.request.headers.len()));
    page.row("body", Size(target.request.body.len() as u64));
    page.row("good answers", &target.expect);
    protocol(target, &mut page);
    page.heading("Load");
    match plan.load.closed {
        Some(at_once) => page.row("rate", format!("none: {at_once} requests at a time, each sent when one has ended")),
        None => rate(plan, counts.request, &mut page),
    }
    let defaults = Defaults::loadtest().load;
    let streams = target.protocol.http2.map(|streams| format!(", {streams} requests at a time on each"));
    page.row("connections", format!("{}{}", plan.load.connections, streams.unwrap_or_default()));
    page.row("time-out", time(plan.load.request_timeout, defaults.request_timeout));
    page.row("own-lag limit", time(plan.load.own_lag_limit, defaults.own_lag_limit));
    let kept = if target.ledger { "every request, before it is sent" } else { "nothing: requests are only counted" };
    page.row("recorded", kept);
    page.row("disk", format!("about {} in the run's folder", Size(disk_bytes)));
    gates(plan, &mut page);
    page.heading("What a PASS cannot prove");
    page.sentence("Anything about data: what a request does to it, nobody looks for");
    notes(plan, &mut page);
    page.text
}

fn protocol(target: &UrlTarget, page: &mut Page) {
    page.row("protocol", &target.protocol);
    if let Some(trust) = &target.protocol.tls {
        let accepted = match trust {
            Trust::Machine => "those that a CA vouches for whom this machine trusts".to_owned(),
            Trust::File(path) => format!("those that a CA of {} vouches for", path.display()),
            Trust::Anyone => "any: who answers is not known".to_owned(),
        };
        page.row("certificates", accepted);
    }
}
