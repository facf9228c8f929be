//! What callers are answered.

use std::time::{Duration, Instant};

use crate::harness::{Lab, body, body_with, connect, eventually, rows};
use serde_json::json;

const LARGEST: &str = "99999999999999.99";

#[tokio::test]
async fn an_accepted_write_becomes_three_rows_with_exact_amounts() {
    let lab = Lab::new();
    let service = lab.serve("instance: api-1.1").await;
    let answer = service.post("0042", body_with(7, |_| LARGEST.into())).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let expected = json!({"accepted": true, "key": 42, "seq": 7, "durability": "volatile", "instance": "api-1.1"});
    assert_eq!(answer.json(), expected);
    service.has_rows(3).await;
    for (row, preset) in service.rows().await.iter().zip(1..) {
        assert_eq!((row.key, row.preset, row.seq, row.version), (42, preset, 7, 1));
        assert_eq!((row.total, row.starforce), (9_999_999_999_999_999, 1));
        assert_eq!(row.written_by, "api-1.1");
    }
    service.stop().await;
}

#[tokio::test]
async fn both_versions_of_the_path_read_what_either_wrote() {
    let lab = Lab::new();
    let service = lab.serve("").await;
    service.post("5", body_with(3, |_| LARGEST.into())).await;
    service.has_rows(3).await;
    let [v4, v5] = ["v4", "v5"].map(|version| format!("/api/{version}/characters/0005/expectation"));
    let answer = service.get(&v4).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["key"], 5);
    assert_eq!(
        answer.json()["presets"][2],
        json!({"preset": 3, "seq": 3, "total_expected_cost": LARGEST, "black_cube_cost": "0.04",
               "red_cube_cost": "0.03", "additional_cube_cost": "0.02", "starforce_cost": "0.01"})
    );
    assert_eq!(service.get(&v5).await.text, answer.text);
    service.stop().await;
}

/// Stated in `application.yml`, checked here: a read that begins at t shows what was committed at t − max_age.
#[tokio::test]
async fn a_read_is_at_most_as_stale_as_the_configuration_says() {
    const MAX_AGE: Duration = Duration::from_millis(100);
    let lab = Lab::new();
    let service = lab.serve("l1_cache: { max_age: 100ms }\nworker: { flush_interval: 5ms }").await;
    let mut database = connect(&lab.database()).await;
    let (mut committed, mut stale) = (Vec::new(), 0);
    for seq in 1..=40 {
        service.write(7, seq).await;
        eventually("the commit", || service_has(&lab, 7, seq)).await;
        committed.push((Instant::now(), seq));
        let began = Instant::now();
        let read = service.get("/api/v5/characters/7/expectation").await.json();
        let shown = read["presets"][0]["seq"].as_u64().unwrap();
        let due = committed.iter().rfind(|(at, _)| *at + MAX_AGE <= began).map_or(0, |(_, seq)| *seq);
        assert!(shown >= due, "at {began:?} it showed {shown}, and {due} was committed {MAX_AGE:?} before");
        stale += u32::from(shown < seq);
    }
    assert!(stale > 0, "nothing was cached: {:?} hits", service.metric("l1_cache_hits_total").await);
    sqlx::query("UPDATE equipment_expectation_summary SET write_seq = 99").execute(&mut database).await.unwrap();
    eventually("what another writes is seen", || async {
        service.get("/api/v5/characters/7/expectation").await.json()["presets"][0]["seq"] == 99
    })
    .await;
    service.stop().await;
}

async fn service_has(lab: &Lab, key: i64, seq: u64) -> bool {
    let rows = rows(&lab.database()).await;
    rows.iter().filter(|row| row.key == key && row.seq == seq as i64).count() == 3
}

#[tokio::test]
async fn a_character_without_rows_is_not_found_and_one_that_is_no_number_is_refused() {
    let lab = Lab::new();
    let service = lab.serve("").await;
    assert_eq!(service.get("/api/v5/characters/9/expectation").await.status, 404);
    assert_eq!(service.get("/api/v5/characters/nine/expectation").await.status, 400);
    service.stop().await;
}

#[tokio::test]
async fn an_older_seq_loses_and_the_same_seq_changes_nothing() {
    let lab = Lab::new();
    let service = lab.serve("").await;
    service.write(1, 5).await;
    service.has_rows(3).await;
    for (seq, processed) in [(4, 6.0), (5, 9.0), (6, 12.0)] {
        service.write(1, seq).await;
        crate::harness::eventually("the write is processed", || async {
            service.metric("processed_tasks_total").await == Some(processed)
        })
        .await;
        let row = service.rows().await.remove(0);
        let (newest, version) = if seq == 6 { (6, 2) } else { (5, 1) };
        assert_eq!((row.seq, row.version, row.total), (newest, version, newest * 1000 + 101));
    }
    service.stop().await;
}

#[tokio::test]
async fn a_bad_request_is_not_stored_and_says_so() {
    let lab = Lab::new();
    let service = lab.serve("").await;
    let two_presets = body(1).replace("\"preset\":3", "\"preset\":2");
    let cases = [
        ("1", body(0), "seq"),
        ("1", two_presets, "presets"),
        ("1", "nonsense".into(), "expected"),
        ("1", " ".repeat(20_000), "limit"),
        ("one", body(1), "character id"),
    ];
    for (character, body, problem) in cases {
        let answer = service.post(character, body).await;
        assert_eq!(answer.status, 400, "{problem}");
        assert_eq!((&answer.json()["accepted"], &answer.json()["stored"]), (&false.into(), &false.into()));
        let reason = answer.json()["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(problem), "{problem}: {reason}");
    }
    service.stop().await;
    assert_eq!(crate::harness::rows(&lab.database()).await, []);
}

#[tokio::test]
async fn a_full_buffer_answers_503_and_when_to_come_again() {
    let lab = Lab::new();
    let mut service = lab.serve("buffer: { capacity: 3 }").await;
    service.control.hold("worker.leased").await;
    assert_eq!(service.write(1, 1).await.status, 202);
    service.control.held("worker.leased").await;
    let answer = service.write(2, 1).await;
    assert_eq!(answer.status, 503);
    assert_eq!((&answer.json()["accepted"], &answer.json()["stored"]), (&false.into(), &false.into()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    service.control.release("worker.leased").await;
    service.has_rows(3).await;
    assert_eq!(service.write(2, 1).await.status, 202);
    service.has_rows(6).await;
    service.stop().await;
}

#[tokio::test]
async fn health_and_metrics_say_what_the_service_is() {
    let lab = Lab::new();
    let service = lab.serve("").await;
    crate::harness::eventually("readiness", || async { service.get("/health/ready").await.status == 200 }).await;
    assert_eq!(service.get("/health/live").await.status, 200);
    let metrics = service.get("/metrics").await.text;
    for line in [
        r#"buffer_size{buffer="in-memory",scope="instance"} 0"#,
        r#"buffer_strategy_info{strategy="in-memory",type="IN_MEMORY",durability="volatile"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    service.stop().await;
}
