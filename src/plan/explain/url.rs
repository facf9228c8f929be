//! A load on a URL of somebody's own, in words.

use crate::scenario::Size;

use super::{LaneCounts, Page, Plan, gates, notes, rate, time};
use crate::plan::UrlTarget;
use crate::plan::resolve::Defaults;

pub fn page(plan: &Plan, target: &UrlTarget, counts: LaneCounts, disk_bytes: u64) -> String {
    let mut page = Page::default();
    page.line(format_args!("Load alone, on a URL: run number {}, seed {}", plan.run.number, plan.run.seed));
    page.heading("Target");
    page.row("request", format!("{} {}", target.method, target.url));
    page.row("headers", format!("{} of your own", target.request.headers.len()));
    page.row("body", Size(target.request.body.len() as u64));
    page.row("good answers", &target.expect);
    page.heading("Load");
    match plan.load.closed {
        Some(at_once) => page.row("rate", format!("none: {at_once} requests at a time, each sent when one has ended")),
        None => rate(plan, counts.request, &mut page),
    }
    let defaults = Defaults::loadtest().load;
    page.row("connections", plan.load.connections);
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
