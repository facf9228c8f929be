//! What a person is told about a configuration, and about servers that are missing.

use std::path::Path;

use testbed::{Config, ConfigError, ServeError};
use tokio_util::sync::CancellationToken;

use crate::harness::Lab;

async fn refusal(config: Config) -> ServeError {
    testbed::serve(config, None, CancellationToken::new()).await.unwrap_err()
}

#[test]
fn the_sample_is_the_defaults_and_a_port() {
    let mut sample = Config::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/application.yml")), &[]).unwrap();
    assert_eq!(sample.server.port, 8080);
    sample.server.port = 0;
    assert_eq!(sample, Config::default());
}

#[test]
fn the_profile_that_ships_changes_the_buffer_by_configuration_alone() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/application.yml"));
    let prod = Config::load(file, &["prod".into()]).unwrap();
    assert_eq!((prod.buffer.strategy.as_str(), prod.worker.batch), ("redis", 100));
}

#[test]
fn a_file_that_is_missing_is_named() {
    let error = Config::load(Path::new("no/such/application.yml"), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
    assert!(error.to_string().starts_with("read no/such/application.yml: No such file"), "{error}");
}

#[tokio::test]
async fn an_unknown_strategy_refuses_to_start_and_names_the_known_ones() {
    let error = refusal(Lab::new().config("buffer: { strategy: kafak }")).await;
    assert!(error.is_configuration());
    for part in ["kafak", "in-memory", "redis"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// What loses data on purpose must never be switched on by a line that somebody left in a file.
#[tokio::test]
async fn a_seeded_bug_is_refused_to_whoever_starts_the_service_by_hand() {
    let error = refusal(Lab::new().config("buffer: { bug: sigterm-ignored }")).await;
    assert!(error.is_configuration());
    assert!(error.to_string().contains("buffer.bug = sigterm-ignored: a seeded bug is served only"), "{error}");
}

#[tokio::test]
async fn an_unknown_bug_refuses_to_start_under_the_guard_too() {
    let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let config = Lab::new().config("buffer: { bug: no-such-bug }");
    let error = testbed::serve(config, Some(theirs), CancellationToken::new()).await.unwrap_err();
    assert!(error.is_configuration());
    assert!(error.to_string().contains("no such bug; known: "), "{error}");
}

#[tokio::test]
async fn a_contradiction_that_was_never_parsed_is_refused_too() {
    let mut config = Lab::new().config("");
    config.worker.batch = 0;
    let error = refusal(config).await;
    assert!(error.is_configuration());
    assert!(error.to_string().contains("worker.batch = 0"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_no_mistake_in_the_configuration() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let lab = Lab::new();
    let error = refusal(lab.config(&format!("server: {{ port: {port} }}"))).await;
    assert!(!error.is_configuration());
    assert!(error.to_string().starts_with(&format!("listen on 127.0.0.1:{port}: ")), "{error}");
}

#[tokio::test]
async fn a_database_folder_that_is_missing_is_named() {
    let mut config = Lab::new().config("");
    config.database.url = "sqlite:///no/such/folder/e.db".parse().unwrap();
    let error = refusal(config).await;
    assert!(!error.is_configuration());
    let start = "open sqlite:///no/such/folder/e.db: use the database: ";
    assert!(error.to_string().starts_with(start), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_may_open_a_new_database_at_once() {
    for lab in Lab::each().await {
        let all = std::array::from_fn::<_, 6, _>(|_| lab.serve("witness: true"));
        let [a, b, c, d, e, f] = all;
        let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
        for service in [a, b, c, d, e, f] {
            service.stop().await;
        }
    }
}
