//! The load's part of a plan.

use std::time::Duration;

use crate::plan::{Arrivals, LoadPlan, Mix, ReadKeys, RunKey, Strategy};
use crate::scenario::{Entry, Load, Located, Percent};

use super::defaults::LOAD_GRACE_TIMEOUTS;
use super::target::period;
use super::words::{ARRIVALS, READ_KEYS};
use super::{Defaults, Remarks, shape};

pub fn resolve(load: &Load, strategy: Strategy, run: RunKey, defaults: &Defaults, remarks: &mut Remarks) -> LoadPlan {
    let defaults = &defaults.load;
    let request_timeout = period(&load.request_timeout, defaults.request_timeout);
    let plan = LoadPlan {
        shape: shape::resolve(load, &defaults.shape, remarks),
        arrivals: match ARRIVALS.meaning(&load.arrivals, false, remarks) {
            false => Arrivals::Even,
            true => Arrivals::Poisson { seed: run.seed },
        },
        mix: mix(&load.mix, defaults.mix, remarks),
        hot_keys: remarks.count("hot keys", &load.hot_keys, 0..=1_000_000, defaults.hot_keys.into()) as u32,
        read_keys: READ_KEYS.meaning(&load.read_keys, defaults.read_keys, remarks),
        connections: remarks.count("connections", &load.connections, 1..=10_000, defaults.connections.into()) as u32,
        shards: remarks.count("shards", &load.shards, 1..=64, defaults.shards.into()) as u16,
        request_timeout,
        grace: request_timeout * LOAD_GRACE_TIMEOUTS,
        own_lag_limit: period(&load.own_lag_limit, defaults.own_lag_limit),
        ..defaults.clone()
    };
    check(load, &plan, remarks);
    check_lanes(load, &plan, strategy, remarks);
    plan
}

fn check(load: &Load, plan: &LoadPlan, remarks: &mut Remarks) {
    if let (Some(place), true) = (load.hot_keys.place(), plan.hot_keys == 0 && plan.mix.hot_key > 0) {
        let message = format!("{} of the load go to hot keys, and there are 0 of them", percent(plan.mix.hot_key));
        remarks.problem(place, message, "write at least `hot_keys: 1`, or take `hot-key` out of the mix");
    }
    let place = load.connections.place().or(load.shards.place());
    if let (Some(place), true) = (place, plan.connections < u32::from(plan.shards)) {
        let message = format!("{} shards share {} connections to an instance", plan.shards, plan.connections);
        remarks.problem(place, message, "write at least one connection a shard");
    }
    let operations = plan.shape.operations_between(Duration::ZERO, plan.duration());
    let most = RunKey::KEYS_WITHOUT_POISON - plan.hot_keys;
    let place = load.shape.place().or(load.duration.place()).or(load.rps.place());
    if let (Some(place), true) = (place, operations < 1.0 || operations > f64::from(most)) {
        let message = format!("this load has {operations:.0} operations; a run holds 1 to {most}");
        let what = if load.shape.place().is_some() { "`shape`" } else { "`rps` or `duration`" };
        remarks.problem(place, message, format!("change {what}"));
    }
}

fn check_lanes(load: &Load, plan: &LoadPlan, strategy: Strategy, remarks: &mut Remarks) {
    if let (Some(place), true) = (load.mix.place(), plan.mix.poison > 0 && !strategy.shared()) {
        let message =
            "poison ends in the dead-letter queue, and that of a buffer in memory cannot be read from outside";
        remarks.problem(place, message, "take `poison` out of the mix, or choose `strategy: redis`");
    }
    let no_hot_keys = plan.read_keys == ReadKeys::Hot && (plan.mix.hot_key == 0 || plan.hot_keys == 0);
    if let (Some(place), true) = (load.read_keys.place(), no_hot_keys && plan.mix.read > 0) {
        let help = "give `hot-key` a share of the mix, or write `read_keys: all`";
        remarks.problem(place, "reads ask for hot keys, and this load writes none", help);
    }
}

/// `15%`, of a weight in permille.
pub fn percent(permille: u16) -> String {
    format!("{}%", f64::from(permille) / 10.0)
}

fn mix(entry: &Entry<crate::scenario::Mix>, default: Mix, remarks: &mut Remarks) -> Mix {
    let Some(Located { value, place }) = entry.given() else { return default };
    let lanes = [&value.write_once, &value.hot_key, &value.read, &value.poison];
    let [Some(write_once), Some(hot_key), Some(read), Some(poison)] = lanes.map(|lane| permille(lane, remarks)) else {
        return default;
    };
    let sum = write_once + hot_key + read + poison;
    if sum != 1000 {
        remarks.problem(place, format!("the mix adds up to {}", percent(sum)), adjust(lanes, sum));
        return default;
    }
    Mix { write_once, hot_key, read, poison, request: 0 }
}

/// Weights are whole permilles, so that a short period of operations holds each lane in its exact share. `None`:
/// there is a problem.
fn permille(entry: &Entry<Percent>, remarks: &mut Remarks) -> Option<u16> {
    let given = match entry {
        Entry::Absent => return Some(0),
        Entry::Unreadable => return None,
        Entry::Given(given) => given,
    };
    let (percent, permille) = (given.value.0, given.value.0 * 10.0);
    if (permille - permille.round()).abs() > 1e-6 {
        let help = format!("write one decimal at most, such as `{percent:.1}%`");
        remarks.problem(&given.place, format!("`{percent}%` is finer than a mix can be"), help);
        return None;
    }
    Some(permille.round() as u16)
}

/// The lanes of a mix, as a person writes them.
const WORDS: [&str; 4] = ["write-once", "hot-key", "read", "poison"];

/// The largest lane takes up what is too much or too little.
fn adjust(lanes: [&Entry<Percent>; 4], sum: u16) -> String {
    let given = WORDS.into_iter().zip(lanes).filter_map(|(w, l)| Some((w, l.given()?)));
    let Some((word, largest)) = given.max_by(|a, b| a.1.value.0.total_cmp(&b.1.value.0)) else {
        return "write `{ write-once: 95%, read: 5% }`".to_owned();
    };
    let whole = largest.value.0 * 10.0 + 1000.0 - f64::from(sum);
    match whole > 0.0 {
        true => format!("make it 100%: for instance `{word}: {}%`", whole.round() / 10.0),
        false => "make it 100%".to_owned(),
    }
}
