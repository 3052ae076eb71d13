//! `GET /metrics`, read by the rules of its format.

use std::time::{Duration, Instant};

use enlist::{clock::Clock, config::InstanceRole, model::caller::Role};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{
    app::{Answer, Setup, TestApp, api_key},
    log,
    prometheus::Scrape,
    smtp::Stage,
};

async fn scrape(app: &TestApp) -> Scrape {
    let answer = app.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    Scrape::parse(&answer.text)
}

fn requests(route: &str, method: &str, status: u16) -> String {
    format!(
        "enlist_http_request_duration_seconds_count{{method={method},route={route},status={status}}}"
    )
}

#[tokio::test]
async fn what_is_delivered_and_enrolled_is_counted() {
    let app = TestApp::start().await;
    let before = scrape(&app).await;
    for state in ["queued", "sending", "deferred"] {
        let series = format!("enlist_queue_messages{{state={state}}}");
        assert_eq!(before.get(&series), Some(0.0));
    }
    // What never was is there as 0: a rate can be taken of the first one.
    for outcome in ["accepted", "deferred", "failed", "suppressed"] {
        let series = format!("enlist_mail_attempts_total{{outcome={outcome}}}");
        assert_eq!(before.get(&series), Some(0.0));
    }
    assert_eq!(before.get("enlist_database_up"), Some(1.0));
    assert_eq!(before.get("enlist_queue_oldest_due_seconds"), Some(0.0));
    let build = format!("enlist_build_info{{version={}}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(before.get(&build), Some(1.0));

    let ids = app.users(4).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    app.clock.advance(chrono::Duration::seconds(90));
    let waiting = scrape(&app).await;
    assert_eq!(
        waiting.get("enlist_queue_messages{state=queued}"),
        Some(4.0)
    );
    assert_eq!(waiting.get("enlist_queue_oldest_due_seconds"), Some(90.0));
    assert_eq!(waiting.get("enlist_queue_oldest_seconds"), Some(90.0));

    app.sink.on_rcpt(|to| match to {
        "user1@example.com" => Some("550 5.1.1 No such user".into()),
        "user2@example.com" => Some("451 4.3.0 Later".into()),
        _ => None,
    });
    app.worker.deliver_due().await.unwrap();
    let mut pin = String::new();
    for result in sent["results"].as_array().unwrap() {
        if result["user_id"] == ids[2].as_str() {
            let id = result["invitation_id"].as_str().unwrap();
            let answer = app.get(&format!("/invitations/{id}/pin")).await;
            pin = answer.json["pin"].as_str().unwrap().to_owned();
        }
    }
    let body = |pin: &str| json!({"username": "user3@example.com", "pin": pin, "device": {"serial_number": "S1", "platform": "ios"}});
    for (pin, status) in [("00000000", 401), (&*pin, 201), (&*pin, 200)] {
        let answer = app.post("/enrollments", body(pin)).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    app.get("/enroll/AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQLXIH2M3u8uDtYwHPazE")
        .await;
    app.get("/nowhere/to/go").await;
    app.send(Method::DELETE, "/users", json!({})).await;
    let odd = app.request(Method::from_bytes(b"PROPFIND").unwrap(), "/users");
    odd.send().await.unwrap();

    let answer = app.get("/metrics").await;
    for secret in ["AZLToBI0eryN", &pin, "user3", "nowhere", "PROPFIND"] {
        assert!(!answer.text.contains(secret), "{secret}: {}", answer.text);
    }
    let after = Scrape::parse(&answer.text);
    for (series, value) in [
        ("enlist_queue_messages{state=queued}", 0.0),
        ("enlist_queue_messages{state=deferred}", 1.0),
        ("enlist_queue_oldest_due_seconds", 0.0),
        ("enlist_queue_oldest_seconds", 90.0),
        ("enlist_mail_attempts_total{outcome=accepted}", 2.0),
        ("enlist_mail_attempts_total{outcome=deferred}", 1.0),
        ("enlist_mail_attempts_total{outcome=failed}", 1.0),
        (
            "enlist_smtp_send_duration_seconds_count{outcome=accepted}",
            2.0,
        ),
        (
            "enlist_smtp_send_duration_seconds_count{outcome=deferred}",
            1.0,
        ),
        (
            "enlist_smtp_send_duration_seconds_count{outcome=refused}",
            1.0,
        ),
        ("enlist_enrollments_total{outcome=enrolled}", 1.0),
        ("enlist_enrollments_total{outcome=repeated}", 1.0),
        ("enlist_enrollments_total{outcome=invalid_credentials}", 1.0),
        (&requests("/users", "POST", 201), 4.0),
        (&requests("/enroll/{token}", "GET", 404), 1.0),
        (&requests("/enrollments", "POST", 401), 1.0),
        (&requests("none", "GET", 404), 1.0),
        (&requests("/users", "DELETE", 405), 1.0),
        (&requests("/users", "other", 405), 1.0),
    ] {
        assert_eq!(after.get(series), Some(value), "{series}\n{}", answer.text);
    }
    for series in [
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "enlist_db_connections_open",
        "enlist_db_connections_busy_limit",
    ] {
        assert!(
            after.get(series).is_some_and(|value| value > 0.0),
            "{series}"
        );
    }
    assert!(after.get("process_cpu_seconds_total").is_some());
    assert_eq!(after.get("enlist_db_connections_busy"), Some(0.0));
    app.db
        .execute("UPDATE messages SET state = 'failed' WHERE state = 'deferred'");
}

/// Whoever watches is told most while something is wrong: a known key is believed then, nobody else.
#[tokio::test]
async fn without_the_database_it_tells_of_itself() {
    let app = TestApp::start().await;
    let (key, never_seen) = (
        api_key(&app.db, Role::Provisioner),
        api_key(&app.db, Role::Admin),
    );
    let ask = async |key: &str| {
        let request = app.anonymous(Method::GET, "/metrics").bearer_auth(key);
        Answer::of(request.send().await.unwrap()).await
    };
    assert_eq!(ask(&key).await.status, StatusCode::OK);
    app.db.close();
    let begun = Instant::now();
    let answer = ask(&key).await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let away = Scrape::parse(&answer.text);
    assert_eq!(away.get("enlist_database_up"), Some(0.0));
    assert!(away.beginning_with("enlist_queue_").is_empty());
    assert!(away.get("process_cpu_seconds_total").is_some());
    assert_eq!(away.get(&requests("/metrics", "GET", 200)), Some(1.0));
    ask(&never_seen).await.is_problem(503, "unavailable");
    let unknown = format!("enl_{}", "A".repeat(43));
    ask(&unknown).await.is_problem(503, "unavailable");
    // Nothing else is believed of it.
    app.get("/users").await.is_problem(503, "unavailable");

    app.db.reopen();
    assert_eq!(scrape(&app).await.get("enlist_database_up"), Some(1.0));
    // Once it was seen that a key works no longer, it is forgotten here, too.
    app.db
        .execute("UPDATE api_keys SET revoked_at = now() WHERE role = 'provisioner'");
    while ask(&key).await.status == StatusCode::OK {
        assert!(begun.elapsed() < Duration::from_secs(20), "still believed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.db.close();
    ask(&key).await.is_problem(503, "unavailable");
    app.db.reopen();
}

/// A mail server that is away is seen, and so is that nothing is sent meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_left_alone_is_seen() {
    let mut app = TestApp::start_with(Setup {
        role: InstanceRole::All,
        clock: Clock::system(),
        ..Setup::default()
    })
    .await;
    app.leaves_unsent = true;
    let closed = Some(0.0);
    assert_eq!(scrape(&app).await.get("enlist_mail_breaker_open"), closed);
    let ids = app.users(4).await;
    let away = ["554 5.3.2 No service here"; 8];
    app.sink.next_replies(Stage::Greeting, away);
    app.invite(json!({"user_ids": ids})).await;
    let begun = Instant::now();
    let seen = loop {
        let seen = scrape(&app).await;
        if seen.get("enlist_mail_breaker_open") == Some(1.0) {
            break seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(seen.get("enlist_mail_concurrency_limit"), Some(0.0));
    let tries = seen.get("enlist_mail_attempts_total{outcome=deferred}");
    assert!(tries >= Some(3.0), "{tries:?}");
}

/// An instance that only delivers answers this, too, and asks for a key.
#[tokio::test]
async fn a_mere_worker_is_watched_as_well() {
    let mut app = TestApp::start_with(Setup {
        role: InstanceRole::Worker,
        ..Setup::default()
    })
    .await;
    scrape(&app).await;
    let anonymous = app.anonymous(Method::GET, "/metrics").send().await.unwrap();
    Answer::of(anonymous).await.is_problem(401, "unauthorized");
    app.get("/users").await.is_problem(404, "not_found");
    app.stop().await;
}

/// However much was sent before, a scrape reads what is still to be sent and nothing else.
#[tokio::test]
async fn a_scrape_does_not_read_the_history() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    app.invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    app.db.execute(
        "INSERT INTO messages SELECT gen_random_uuid(), 'invitation', i.id, i.batch_id, 'accepted', 1, now(), now()
         FROM invitations i, generate_series(1, 10000);
         INSERT INTO messages SELECT gen_random_uuid(), 'invitation', i.id, i.batch_id, 'queued', 0, now(), now()
         FROM invitations i;
         ANALYZE;",
    );
    app.db.watch_statements();
    let seen = scrape(&app).await;
    assert_eq!(seen.get("enlist_queue_messages{state=queued}"), Some(3.0));
    let blocks = app.db.number(
        "SELECT sum(shared_blks_hit + shared_blks_read) FROM seen_statements WHERE query LIKE '%overdue_seconds%'",
    );
    assert!(blocks < 50, "{blocks} blocks were read");
    app.db
        .execute("DELETE FROM messages WHERE state = 'queued'");
}

/// What a delivery logs can be followed from the batch to the message.
#[tokio::test(flavor = "current_thread")]
async fn a_deliverys_log_lines_carry_the_ids() {
    log::capture();
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    app.sink.next_replies(Stage::Rcpt, ["550 5.1.1 No"]);
    app.worker.deliver_due().await.unwrap();
    let batch = sent["batch_id"].as_str().unwrap();
    let logged = log::captured();
    let lines: Vec<&str> = logged.lines().filter(|line| line.contains(batch)).collect();
    let is_sent =
        |line: &&&str| line.contains("invitations are sent") && line.contains("request_id");
    assert_eq!(lines.iter().filter(is_sent).count(), 1, "{lines:#?}");
    let mut told = 0;
    for result in sent["results"].as_array().unwrap() {
        let id = result["invitation_id"].as_str().unwrap();
        let shown = app.get(&format!("/invitations/{id}")).await.json;
        let message = shown["messages"][0]["id"].as_str().unwrap();
        let words = match shown["delivery"].as_str().unwrap() {
            "failed" => "refused for good",
            _ => "accepted",
        };
        let line = lines
            .iter()
            .find(|line| line.contains(id) && line.contains(words));
        assert!(line.unwrap().contains(message), "{lines:#?}");
        told += 1;
    }
    assert_eq!(told, 2);
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("@example.com"))
        .collect();
    assert!(told.is_empty(), "an address in a log: {told:#?}");
}
