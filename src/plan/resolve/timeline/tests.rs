//! What a time line means: scaling, pauses, terminations, conditions, claims.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::{Claim, Given, PausePoint, Plan, Replaced, Role, StopMode};
use crate::scenario::{Overrides, Problems, Scenario, Source};

/// V5 with one api instance and two workers.
fn resolve(steps: &str) -> Result<Plan, Problems> {
    resolve_on("strategy: redis, instances: 1, workers: 2", steps, "")
}

fn resolve_on(target: &str, steps: &str, gates: &str) -> Result<Plan, Problems> {
    let text = format!("target: {{ {target} }}\ntimeline:\n{steps}\n{gates}\n");
    let source = Arc::new(Source { name: "test.yml".into(), text });
    Plan::resolve(Scenario::read(&source), Overrides::default(), Given { run_number: 7, seed: 42 })
}

#[track_caller]
fn plan(steps: &str) -> Plan {
    resolve(steps).unwrap_or_else(|problems| panic!("{problems}"))
}

#[track_caller]
fn only_problem(problems: Result<Plan, Problems>) -> String {
    let all: Vec<String> = problems.expect_err("a problem").iter().map(|p| p.message.clone()).collect();
    assert_eq!(all.len(), 1, "{all:#?}");
    all.into_iter().next().expect("one")
}

fn stops(plan: &Plan) -> Vec<&str> {
    plan.stops().map(|stop| stop.id.as_str()).collect()
}

fn starts(plan: &Plan) -> Vec<&str> {
    plan.timeline.iter().flat_map(|step| &step.starts).map(|start| start.id.as_str()).collect()
}

// Scaling.

#[test]
fn several_scalings_follow_each_other_and_later_steps_know_who_is_there() {
    let plan = plan(
        "  - scale: { at: 1s, to: 3 }\n  - kill: { at: 2s, of: api-3 }\n  - scale: { at: 3s, to: 1 }\n  \
         - scale: { at: 4s, to: 2 }\n  - rolling-update: { at: 5s, of: api }",
    );
    assert_eq!(starts(&plan), ["1:scale/api-2", "1:scale/api-3", "4:scale/api-2"]);
    let want = ["2:kill/api-3", "3:scale/api-3", "3:scale/api-2", "5:rolling-update/api-1", "5:rolling-update/api-2"];
    assert_eq!(stops(&plan), want, "the highest numbers go first");
    let removed = plan.stops().nth(1).unwrap();
    assert_eq!((removed.mode, removed.replaced), (StopMode::Graceful, Replaced::Never));
    assert_eq!(plan.every_slot().filter(|slot| slot.role == Role::Api).count(), 4);
}

#[test]
fn whom_a_scaling_took_away_cannot_be_struck() {
    let problem = only_problem(resolve("  - scale: { at: 1s, to: 3 }\n  - kill: { at: 2s, of: api-4 }"));
    assert_eq!(problem, "this plan has no `api-4` at this point of the time line");
}

#[test]
fn scaling_to_what_is_there_already_is_refused() {
    let problem = only_problem(resolve("  - scale: { at: 1s, to: 2 }\n  - scale: { at: 2s, to: 2 }"));
    assert_eq!(problem, "there are 2 api instances at this point of the time line already");
}

#[test]
fn a_scaling_is_of_one_role_and_says_how_many() {
    for of in ["of: api-2", "of: [api, worker]", "of: wroker"] {
        let problem = only_problem(resolve(&format!("  - scale: {{ at: 1s, to: 3, {of} }}")));
        assert_eq!(problem, "a scale step changes the number of one role", "{of}");
    }
    let problem = only_problem(resolve("  - scale: { at: 1s }"));
    assert_eq!(problem, "nothing says how many instances there shall be");
    assert_eq!(only_problem(resolve("  - scale: { at: 1s, to: 0 }")), "0 instances cannot be");
}

#[test]
fn with_a_buffer_in_memory_everybody_is_scaled_and_workers_are_not() {
    let steps = "  - scale: { at: 1s, to: 2 }\n  - scale: { at: 2s, to: 4, of: worker }";
    let plan = resolve_on("strategy: in-memory, instances: 1", steps, "").unwrap();
    assert_eq!(starts(&plan), ["1:scale/all-2"]);
    assert_eq!(plan.notes, ["2:scale scales no workers: with strategy in-memory there are none"]);
}

// Pauses.

#[test]
fn a_pause_lasts_until_others_can_have_taken_over() {
    let plan = plan("  - pause: { at: 1s, of: [api, worker-2] }\n  - pause: { at: 2s, of: api, then: kill, for: 7s }");
    let all: Vec<_> = plan.stops().map(|s| (s.mode, s.replaced, s.hold, s.lasts)).collect();
    let (default, said) = (Duration::from_millis(8_200), Duration::from_secs(7));
    let (api, worker) = (Some(PausePoint::OfferStored), Some(PausePoint::WorkerLeased));
    assert_eq!(
        all,
        [
            (StopMode::Pause, Replaced::Never, api, default),
            (StopMode::Pause, Replaced::Never, worker, default),
            (StopMode::PauseThenKill, Replaced::After, api, said),
        ]
    );
}

#[test]
fn a_pause_that_proves_nothing_is_refused() {
    let problem = only_problem(resolve("  - pause: { at: 1s, of: worker, for: 6s }"));
    assert_eq!(problem, "a pause of 6s is over before others can have taken over what the frozen instance holds");
}

#[test]
fn pauses_that_begin_after_the_load_are_refused() {
    let pause = "  - pause: { at: 30s, of: [api, worker-1, worker-2], for: 20s }";
    let problem = only_problem(resolve(pause));
    assert_eq!(problem, "after what comes before it, its last act begins at 1m10s, and the load ends at 1m");
}

#[test]
fn on_sqlite_nobody_who_writes_rows_is_frozen_at_any_moment() {
    let plan = plan("  - scale: { at: 1s, to: 2 }\n  - pause: { at: 2s, of: worker, hold: none }");
    assert_eq!(stops(&plan), [] as [&str; 0]);
    assert_eq!(plan.claims, [Claim::F1]);
    assert!(plan.notes[0].starts_with("2:pause leaves worker-1 out: frozen at any moment it could keep SQLite's one"));
}

#[test]
fn without_a_pause_point_only_who_writes_rows_can_be_paused() {
    let problem = only_problem(resolve("  - pause: { at: 2s, of: api, hold: none }"));
    assert_eq!(problem, "what api-1 holds cannot be read without a task at a pause point");
    let problem = only_problem(resolve("  - kill: { at: 2s, of: worker, hold: none }"));
    assert_eq!(problem, "only a pause can strike without a task at a pause point");
}

#[test]
fn a_termination_is_replaced_afterwards() {
    let plan = plan("  - terminate: { at: 1s, of: worker, grace: 5s }");
    let stop = plan.stops().next().unwrap();
    assert_eq!(
        (stop.id.as_str(), stop.mode, stop.replaced),
        ("1:terminate/worker-1", StopMode::Graceful, Replaced::After)
    );
    assert_eq!(stop.grace, Duration::from_secs(5));
}

// Conditions.

#[test]
fn a_condition_may_stand_for_the_time() {
    let plan = plan("  - kill: { when: buffer_size > 9, of: worker }\n  - kill: { at: 3s, of: worker }");
    assert_eq!(plan.timeline[0].when.unwrap().to_string(), "buffer_size >= 10");
    assert_eq!(plan.timeline[0].at, Duration::ZERO);
    assert_eq!(plan.notes, [] as [&str; 0]);
}

#[test]
fn a_condition_on_what_is_not_measured_is_refused() {
    let problem = only_problem(resolve("  - kill: { when: bufer_size > 9, of: worker }"));
    assert_eq!(problem, "`bufer_size` is not a metric that a step can wait for");
    let problem = only_problem(resolve("  - kill: { when: buffer_size, of: worker }"));
    assert_eq!(problem, "when: `buffer_size` compares nothing");
    assert_eq!(only_problem(resolve("  - kill: { of: worker }")), "nothing says when this step begins");
}

// Claims.

#[test]
fn every_time_line_claims_what_its_steps_put_to_the_test() {
    use Claim::{F1, F2};
    let cases: [(&str, &[Claim]); 7] = [
        ("  - scale: { at: 1s, to: 2 }", &[F1]),
        ("  - pause: { at: 1s, of: worker }", &[F1]),
        ("  - scale: { at: 1s, to: 1, of: worker }", &[F2]),
        ("  - terminate: { at: 1s, of: worker }", &[F2]),
        ("  - pause: { at: 1s, of: worker }\n  - kill: { at: 2s, of: worker }", &[F1, F2]),
        ("  - scale: { at: 1s, to: 2 }\n  - scale: { at: 2s, to: 1 }", &[F1, F2]),
        ("  - rolling-update: { at: 1s }", &[F2]),
    ];
    for (steps, claims) in cases {
        assert_eq!(plan(steps).claims, claims, "{steps}");
    }
}

/// The run is then INCONCLUSIVE: nothing is planned for the claim.
#[test]
fn a_time_line_of_which_nothing_is_left_still_claims_something() {
    for steps in ["  - scale: { at: 1s, to: 4, of: worker }", "  - pause: { at: 1s, of: worker }"] {
        let plan = resolve_on("strategy: in-memory", steps, "").unwrap();
        assert_eq!((plan.timeline.len(), plan.claims.as_slice()), (0, [Claim::F1].as_slice()), "{steps}");
    }
}

#[test]
fn a_gate_asks_for_steps_that_put_its_claim_to_the_test() {
    let redis = "strategy: redis, instances: 1, workers: 2";
    let (grows, pauses) = ("  - scale: { at: 1s, to: 2 }\n", "  - pause: { at: 2s, of: worker }\n");
    let with = |steps: &str, gate: &str| resolve_on(redis, steps, &format!("gates: {{ {gate}: pass }}"));
    assert!(with(&format!("{grows}{pauses}"), "F1").is_ok());
    assert_eq!(only_problem(with(grows, "F1")), "F1 needs a pause in the time line");
    assert_eq!(only_problem(with(pauses, "F1")), "F1 needs a step that adds instances in the time line");
    assert_eq!(only_problem(with(pauses, "F2")), "F2 needs a stop in the time line");
    let left = format!("{grows}  - pause: {{ at: 2s, of: worker, hold: none }}\n");
    let problem = only_problem(with(&left, "F1"));
    assert_eq!(problem, "F1 needs a pause in the time line that is left with this strategy and database");
    let recovery = resolve_on(redis, grows, "gates: { recovery: 5m }");
    assert_eq!(only_problem(recovery), "`recovery` is measured around stops, and the time line has none");
}

// Failures of the database.

fn resolve_with(database: &str, steps: &str) -> Result<Plan, Problems> {
    resolve_on(&format!("strategy: redis, instances: 1, workers: 2, database: {database}"), steps, "")
}

#[test]
fn what_cannot_be_done_to_a_database_is_a_problem_and_what_is_meant_for_others_is_left_out() {
    let problem = only_problem(resolve_with("sqlite", "  - database-kill: { at: 1s }"));
    assert_eq!(problem, "`database-kill` cannot be done to SQLite");
    let problem = only_problem(resolve_with("mariadb", "  - database-locked: { at: 1s }"));
    assert_eq!(problem, "`database-locked` cannot be done to MariaDB");

    let both = "  - database-locked: { at: 1s, database: sqlite }\n  \
                - database-slow: { at: 2s, database: [postgres, mariadb] }";
    for (database, id, proxied) in [("sqlite", "1:database-locked", false), ("postgres", "2:database-slow", true)] {
        let plan = resolve_with(database, both).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(plan.timeline.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(), [id]);
        assert_eq!((plan.claims, plan.target.database_setup.proxied), (vec![Claim::DatabaseFailure], proxied));
        assert!(plan.notes.iter().any(|note| note.contains("is left out")), "{:?}", plan.notes);
        assert!(!plan.target.redis.proxied);
    }
    let problem = only_problem(resolve_with("sqlite", "  - database-locked: { at: 1s, database: oracle }"));
    assert_eq!(problem, "`oracle` is not a database");
}

#[test]
fn a_disk_is_filled_up_in_a_file_system_that_the_load_fits_into() {
    let plan = resolve_with("sqlite", "  - database-full: { at: 1s }").unwrap_or_else(|problems| panic!("{problems}"));
    assert!(plan.target.database_setup.room_bytes > 32 << 20, "{:?}", plan.target.database_setup);
    assert!(plan.notes.iter().any(|note| note.contains("takes root")), "{:?}", plan.notes);
    let plan = resolve_with("sqlite", "  - database-locked: { at: 1s }").unwrap();
    assert_eq!(plan.target.database_setup.room_bytes, 0);
}

#[test]
fn the_database_of_somebody_else_is_not_struck() {
    let text = "target: { strategy: redis, database: 'postgres://u@127.0.0.1/d' }\nallow: [database]\n\
                timeline:\n  - database-kill: { at: 1s }\n";
    let source = Arc::new(Source { name: "test.yml".into(), text: text.into() });
    let given = Given { run_number: 7, seed: 42 };
    let problem = only_problem(Plan::resolve(Scenario::read(&source), Overrides::default(), given));
    assert_eq!(problem, "`database-kill` strikes the database, and postgres://u@127.0.0.1/d is somebody else's");
}
