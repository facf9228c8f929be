//! What a person is told of a database server that cannot be used. The password of the laboratory must be encoded in a
//! URL; it is shown in no form.

use tokio_util::sync::CancellationToken;

use crate::harness::Lab;
use crate::lab::database::{Database, SERVERS};

/// Why a service on this URL does not start.
async fn refusal(url: &str) -> String {
    let mut config = Lab::new().config("");
    config.database.url = url.parse().unwrap();
    let error = testbed::serve(config, None, CancellationToken::new()).await.unwrap_err();
    assert!(!error.is_configuration(), "{error}");
    let told = error.to_string();
    for form in ["p@ss", "p%40ss", "w/rd", "wrong"] {
        assert!(!told.contains(form), "{told}");
    }
    told
}

/// The URL with another password.
fn with_wrong_password(url: &str) -> String {
    url.replace("p%40ss", "wr%6Fng")
}

#[tokio::test]
async fn a_wrong_password_is_told_with_the_url_and_without_either() {
    for word in SERVERS {
        let database = Database::new(word).await;
        let told = refusal(&with_wrong_password(&database.url)).await;
        let (_, address) = database.url.split_once('@').unwrap();
        let user = if *word == "postgres" { "postgres" } else { "app" };
        assert!(told.starts_with(&format!("open {word}://{user}:***@{address}: use the database: ")), "{told}");
        assert!(told.contains("password"), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    for url in ["postgres://app:wrong@127.0.0.1:1/e", "mariadb://app:wrong@127.0.0.1:1/e"] {
        let told = refusal(url).await;
        assert!(told.contains("127.0.0.1:1/e: use the database: "), "{told}");
        assert!(told.contains("Connection refused"), "{told}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    for word in SERVERS {
        let database = Database::new(word).await;
        let (address, _) = database.url.rsplit_once('/').unwrap();
        let told = refusal(&format!("{address}/no_such_database")).await;
        assert!(told.to_lowercase().contains("no_such_database: use the database: "), "{told}");
    }
}

#[tokio::test]
async fn tls_that_the_server_lacks_is_not_done_without() {
    for (word, parameter) in [("postgres", "sslmode=require"), ("mariadb", "ssl-mode=REQUIRED")] {
        let database = Database::new(word).await;
        let more = if database.url.contains('?') { '&' } else { '?' };
        let told = refusal(&format!("{}{more}{parameter}", database.url)).await;
        assert!(told.contains("TLS"), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_refused_and_the_primary_asked_for() {
    for word in SERVERS {
        let database = Database::alone(word).await;
        database.refuse_writes().await;
        let told = refusal(&database.url).await;
        assert!(told.contains("name its primary in database.url"), "{told}");
    }
}

#[tokio::test]
async fn a_database_whose_transactions_are_read_only_is_refused() {
    let database = Database::new("postgres").await;
    let told = refusal(&format!("{}%20-cdefault_transaction_read_only%3Don", database.url)).await;
    assert!(told.contains("default_transaction_read_only is on"), "{told}");
}

#[tokio::test]
async fn an_instance_starts_while_another_process_holds_the_lock_of_the_file() {
    let lab = Lab::new();
    let database = lab.database.clone();
    lab.serve("witness: true").await.stop().await;
    let _lock = database.lock().await;
    lab.serve("witness: true").await.stop().await;
}
