//! What a run of this plan will be able to prove, and what it will not.

use crate::plan::{Backend, Claim, Database, Plan, Strategy, Subject};

use super::{LaneCounts, Page};

pub fn can(plan: &Plan, counts: LaneCounts, page: &mut Page) {
    let operations = counts.write_once + counts.hot_key;
    page.heading("What a PASS will prove");
    if operations == 0 {
        page.sentence("nothing about data: no write is sent");
    } else {
        page.sentence(format_args!(
            "of {operations} writing operations, none that was acknowledged is lost, stale or torn"
        ));
    }
    if counts.poison > 0 {
        page.sentence(format_args!(
            "of {} poison operations, every one that was acknowledged is in the dead-letter queue, with its payload",
            counts.poison
        ));
    }
    if plan.claims.contains(&Claim::F1) {
        f1(plan, page);
    }
    if plan.claims.contains(&Claim::F2) {
        f2(plan.stops().filter(|stop| !stop.mode.pauses()).count(), page);
    }
    for of in [Subject::Redis, Subject::Database] {
        failures(of, plan, page);
    }
    if plan.target.witness && counts.hot_key > 0 {
        page.sentence("the witness shows duplicates, and the order in which the writes of one hot key arrived");
    }
}

fn f1(plan: &Plan, page: &mut Page) {
    let pauses = plan.stops().filter(|stop| stop.mode.pauses()).count();
    let added = plan.timeline.iter().map(|step| step.starts.len()).sum::<usize>();
    page.sentence(format_args!(
        "F1: with {added} instances added under load, and one frozen {pauses} times while it holds work, what was"
    ));
    page.line("    acknowledged before is in the database at each checkpoint, before the frozen one goes on; no late");
    page.line("    write of it makes anything stale; and every instance tells the same size of the buffer");
}

fn f2(stops: usize, page: &mut Page) {
    if stops == 0 {
        return;
    }
    page.sentence(format_args!(
        "F2: {stops} stops, each while the victim holds work, lose nothing; zero in {stops} exposed stops bounds the"
    ));
    page.line(format_args!(
        "    true rate of losing stops at {:.0} % (95 % confidence: 1 - 0.05^(1/{stops})), however many writes there are",
        bound(stops) * 100.0
    ));
}

fn failures(of: Subject, plan: &Plan, page: &mut Page) {
    let claim = Claim::of_failures(of);
    if !plan.claims.contains(&claim) {
        return;
    }
    let failures = plan.disturbances().filter(|one| one.disturbance.subject() == of).count();
    let (word, of, tasks) = match of {
        Subject::Redis => (claim.word(), of.name(), "tasks are in it"),
        Subject::Database => (claim.word(), of.name(), "tasks wait for it"),
    };
    page.sentence(format_args!(
        "{word}: {failures} failures of {of}, each while {tasks}, lose nothing that was acknowledged;"
    ));
    page.line("    what was refused as not stored is not there; for each: how it shows, its errors, its recovery");
}

/// The highest rate at which `n` stops without a loss are still as likely as one in twenty.
fn bound(n: usize) -> f64 {
    1.0 - 0.05_f64.powf(1.0 / n as f64)
}

pub fn cannot(plan: &Plan, counts: LaneCounts, page: &mut Page) {
    page.heading("What it will not prove");
    if !plan.claims.contains(&Claim::F1) {
        page.sentence("F1: nothing is added or frozen");
    } else if plan.stops().all(|stop| !stop.mode.pauses()) {
        page.sentence("F1: no instance is frozen, so nobody asks what the others have of its work");
    }
    if !plan.claims.contains(&Claim::F2) {
        page.sentence("F2: nothing is replaced");
    }
    if !plan.claims.contains(&Claim::RedisFailure) && plan.target.strategy.shared() {
        page.sentence("what a failure of Redis costs: nothing is done to it");
    }
    if !plan.target.witness {
        page.sentence("duplicates and order: without a witness they are not observable");
    } else if counts.hot_key == 0 {
        page.sentence("order: no key is written twice");
    }
    if plan.target.strategy == Strategy::Redis && plan.target.redis.appendfsync != "always" {
        page.sentence("what a crash of Redis costs: it may lose what is acknowledged and not yet synced to disk");
    }
    if plan.target.backend == Backend::InProcess {
        in_process(page);
    }
    page.sentence(another_database(plan.target.database));
    page.sentence("several machines: all processes share one kernel, one clock, one disk and the loopback network");
    page.sentence(
        "that this scenario would notice a seeded bug: `mxctl selftest` shows which, and the report names them",
    );
}

fn another_database(database: Database) -> String {
    let only = match database {
        Database::Sqlite => "SQLite has one writer and no server, replication or network",
        Database::Postgres | Database::MariaDb => "each has its own rules for locks and for what a commit survives",
    };
    format!("another database: {only}")
}

fn in_process(page: &mut Page) {
    page.sentence(
        "how fast the service is: generator and service share one process, so own lag and latencies are those of",
    );
    page.line("    a trial, not a measurement");
    page.sentence("processor time, memory and the exit of an instance: none has a process of its own");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_stops_without_a_loss_leave_a_rate_of_26_percent() {
        assert_eq!(format!("{:.2}", bound(10)), "0.26");
        assert_eq!(format!("{:.2}", bound(1)), "0.95");
    }
}
