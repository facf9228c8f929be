//! The scenarios of the zoo: short, and exact in what they strike.
//!
//! Each file says what it exposes. They are inside the executable, and ship with it, but are no scenarios for a person: a
//! run of one of them says little of a service.

use std::sync::Arc;

use crate::scenario::Source;

/// Name, text: `src/selftest/scenarios/NAME.yml`.
pub fn scenarios() -> &'static [(&'static str, &'static str)] {
    &[
        ("bursts", include_str!("scenarios/bursts.yml")),
        ("clock-ahead", include_str!("scenarios/clock-ahead.yml")),
        ("clock-behind", include_str!("scenarios/clock-behind.yml")),
        ("committed", include_str!("scenarios/committed.yml")),
        ("frozen-workers", include_str!("scenarios/frozen-workers.yml")),
        ("graceful-memory", include_str!("scenarios/graceful-memory.yml")),
        ("graceful-redis", include_str!("scenarios/graceful-redis.yml")),
        ("hard-redis", include_str!("scenarios/hard-redis.yml")),
        ("late-writer", include_str!("scenarios/late-writer.yml")),
        ("late", include_str!("scenarios/late.yml")),
        ("locked", include_str!("scenarios/locked.yml")),
        ("lost-replies", include_str!("scenarios/lost-replies.yml")),
        ("lost-requests", include_str!("scenarios/lost-requests.yml")),
        ("never", include_str!("scenarios/never.yml")),
        ("nothing-held", include_str!("scenarios/nothing-held.yml")),
        ("order", include_str!("scenarios/order.yml")),
        ("poison", include_str!("scenarios/poison.yml")),
        ("redis-evicts", include_str!("scenarios/redis-evicts.yml")),
        ("redis-failover-lagging", include_str!("scenarios/redis-failover-lagging.yml")),
        ("redis-failover", include_str!("scenarios/redis-failover.yml")),
        ("redis-killed", include_str!("scenarios/redis-killed.yml")),
        ("redis-refuses", include_str!("scenarios/redis-refuses.yml")),
        ("redis-struck", include_str!("scenarios/redis-struck.yml")),
        ("scale-out", include_str!("scenarios/scale-out.yml")),
        ("undrained", include_str!("scenarios/undrained.yml")),
    ]
}

pub(super) fn source(name: &str) -> Arc<Source> {
    let (_, text) = scenarios().iter().find(|(known, _)| *known == name).expect("a case names a scenario of the zoo");
    Arc::new(Source { name: format!("src/selftest/scenarios/{name}.yml"), text: (*text).to_owned() })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_in_the_list_under_its_own_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/selftest/scenarios");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        let stems: Vec<_> = files.iter().map(|f| f.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(stems, scenarios().iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
