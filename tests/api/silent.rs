//! A database that says nothing, or no: what clients are told, and that the service is back without a restart.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use enlist::{
    config::most_open,
    db::{Db, connect},
    server::failover::Failovers,
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{
    app::{Answer, Setup, TestApp},
    cable::{Cable, Commit},
    db::TestDb,
    smtp::SmtpSink,
};

/// A service whose database is at the other end of a cable.
async fn over_a_cable() -> (TestApp, Cable) {
    let db = TestDb::migrated();
    let cable = Cable::to(&db);
    let setup = Setup {
        through: Some(cable.url(&db)),
        ..Setup::default()
    };
    let app = TestApp::start_on(db, SmtpSink::start(), setup).await;
    (app, cable)
}

/// Asks until it is answered with this.
async fn becomes(app: &TestApp, path: &str, status: StatusCode) {
    let begun = Instant::now();
    loop {
        let answer = app.get(path).await;
        if answer.status == status {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_cable_that_is_cut_is_an_answer_and_mended_without_a_restart() {
    let (app, cable) = over_a_cable().await;
    app.user(json!({"email": "ada@example.com"})).await;
    cable.cut();
    let many = (0..60).map(|_| app.get("/users"));
    for answer in futures_util::future::join_all(many).await {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.json["code"], "unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(
        app.get("/readyz").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(app.get("/healthz").await.status, StatusCode::OK);
    let changed = app
        .post("/users", json!({"email": "bob@example.com"}))
        .await;
    assert_eq!(changed.json["code"], "unavailable", "{}", changed.text);
    cable.mend();
    becomes(&app, "/readyz", StatusCode::OK).await;
    becomes(&app, "/users", StatusCode::OK).await;
    // Whoever waited meanwhile does not leave a connection each behind.
    let metrics = app.get("/metrics").await.text;
    let figure = |name: &str| -> u32 {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.rsplit(' ').next())
            .unwrap()
            .parse()
            .unwrap()
    };
    let most = most_open(figure("enlist_db_connections_busy_limit"));
    assert!(figure("enlist_db_connections_open") <= most, "{metrics}");
    // Nobody waits for what was held back: it is not done.
    let list = app.get("/users").await;
    assert_eq!(list.json["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        app.user(json!({"email": "bob@example.com"})).await.len(),
        36
    );
}

#[tokio::test]
async fn a_silence_at_the_commit_is_told_and_the_same_key_tells_the_truth() {
    let (app, cable) = over_a_cable().await;
    for (commit, email) in [
        (Commit::Arrives, "ada@example.com"),
        (Commit::IsLost, "bob@example.com"),
    ] {
        let post = async || {
            let request = app.request(Method::POST, "/users");
            let request = request.header("Idempotency-Key", email);
            let request = request.json(&json!({"email": email}));
            Answer::of(request.send().await.unwrap()).await
        };
        cable.cut_at_commit_of(email, commit);
        let told = post().await;
        assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(told.json["code"], "outcome_unknown", "{}", told.text);
        assert!(told.headers.contains_key("retry-after"));
        assert!(cable.is_dead());
        cable.mend();
        becomes(&app, "/readyz", StatusCode::OK).await;
        let mut again = post().await;
        while again.status == StatusCode::SERVICE_UNAVAILABLE
            || again.status == StatusCode::CONFLICT
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
            again = post().await;
        }
        assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
        let found = app.get(&format!("/users?q={email}")).await;
        assert_eq!(found.json["data"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_not_available() {
    let app = TestApp::start().await;
    app.user(json!({"email": "ada@example.com"})).await;
    let name = app.db.name().to_owned();
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut owner = app.db.connect();
    owner
        .batch_execute(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on"
        ))
        .unwrap();
    owner.batch_execute(others).unwrap();
    let refused = app
        .post("/users", json!({"email": "bob@example.com"}))
        .await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.json["code"], "unavailable", "{}", refused.text);
    let unready = app.get("/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(unready.text.contains("takes no writes"), "{}", unready.text);
    // Whoever only looks is answered.
    assert_eq!(app.get("/users").await.status, StatusCode::OK);
    owner
        .batch_execute(&format!(
            "ALTER DATABASE {name} RESET default_transaction_read_only"
        ))
        .unwrap();
    // The sessions of then stay read-only; each is dropped when it says so.
    let mut made = app
        .post("/users", json!({"email": "bob@example.com"}))
        .await;
    while made.status == StatusCode::SERVICE_UNAVAILABLE {
        made = app
            .post("/users", json!({"email": "bob@example.com"}))
            .await;
    }
    assert_eq!(made.status, StatusCode::CREATED);
    becomes(&app, "/readyz", StatusCode::OK).await;
}

#[tokio::test]
async fn a_lock_on_one_table_leaves_the_rest_to_others() {
    let app = TestApp::start().await;
    let mut holder = app.db.connect();
    holder
        .batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let locked = async {
        let many = (0..12).map(|_| app.get("/users"));
        for answer in futures_util::future::join_all(many).await {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.headers.contains_key("retry-after"));
        }
    };
    // From the first moment on, while requests for users have all of the connections.
    let others = async {
        for _ in 0..40 {
            assert_eq!(app.get("/readyz").await.status, StatusCode::OK);
            let keys = app.get("/api-keys").await;
            assert_eq!(keys.status, StatusCode::OK, "{}", keys.text);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(locked, others);
    holder.batch_execute("ROLLBACK").unwrap();
    becomes(&app, "/users", StatusCode::OK).await;
}

#[tokio::test]
async fn the_service_may_ask_for_the_timeline() {
    let database = TestDb::migrated();
    let mut failovers = Failovers::new(Db::new(&database.service_url(), 1));
    for _ in 0..2 {
        assert_eq!(failovers.ask().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_host_that_lets_in_and_says_nothing_more_is_left_for_another() {
    let db = TestDb::migrated();
    let (silent, other) = (Cable::to(&db), Cable::to(&db));
    silent.cut_at("TIME ZONE");
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", silent.port(), other.port());
    let url = silent
        .url(&db)
        .replace(&format!("127.0.0.1:{}", silent.port()), &hosts)
        + "?connect_timeout=1";
    let connected = tokio::task::spawn_blocking(move || connect(&url).map(drop)).await;
    assert_eq!(connected.unwrap(), Ok(()));
    assert!(silent.is_dead());
}
