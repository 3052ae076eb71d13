//! A delivery that has waited for an hour is seen: in its batch, and by whoever watches the service.

use chrono::Duration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{app::TestApp, prometheus::Scrape};

async fn late(app: &TestApp) -> f64 {
    let metrics = app.get("/metrics").await.text;
    Scrape::parse(&metrics)
        .get("enlist_queue_waiting_messages")
        .unwrap()
}

#[tokio::test]
async fn what_has_waited_for_an_hour_says_why() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let path = format!("/batches/{}", sent["batch_id"].as_str().unwrap());
    let waiting = async || app.get(&path).await.json["waiting"].clone();
    app.sink.on_rcpt(|to| match to {
        "user1@example.com" => None,
        _ => Some("451 4.7.1 Greylisted, try again".into()),
    });
    app.worker.deliver_due().await.unwrap();
    app.clock.advance(Duration::hours(1));
    let before = app.get(&path).await;
    assert_eq!(before.json["counts"]["deferred"], 2);
    assert_eq!(before.json["waiting"], Value::Null);
    assert_eq!(late(&app).await, 0.0);

    app.clock.advance(Duration::seconds(1));
    let shown = waiting().await;
    assert_eq!(
        (&shown["messages"], &shown["since"]),
        (&json!(2), &json!("2026-11-23T08:00:00Z"))
    );
    assert_eq!(
        (&shown["smtp_code"], &shown["enhanced_status"]),
        (&json!(451), &json!("4.7.1"))
    );
    assert!(shown["reason"].as_str().unwrap().contains("Greylisted"));
    assert_eq!(late(&app).await, 2.0);
    // That an hour is over makes another version of it.
    let same = app
        .request(Method::GET, &path)
        .header("if-none-match", before.header("etag"));
    assert_eq!(same.send().await.unwrap().status(), StatusCode::OK);

    // The newest words count; who was invited just now is not late.
    app.sink.on_rcpt(|to| match to {
        "user2@example.com" => Some("452 4.2.2 Mailbox full".into()),
        _ => None,
    });
    app.invite(json!({"user_ids": [ids[0]]})).await;
    app.worker.deliver_due().await.unwrap();
    let shown = waiting().await;
    assert_eq!(
        (&shown["messages"], &shown["smtp_code"]),
        (&json!(1), &json!(452))
    );
    assert!(shown["reason"].as_str().unwrap().contains("Mailbox full"));
    assert_eq!(late(&app).await, 1.0);

    app.sink.on_rcpt(|_| None);
    app.clock.advance(Duration::hours(1));
    app.worker.deliver_due().await.unwrap();
    let over = app.get(&path).await.json;
    assert_eq!(
        (&over["state"], &over["waiting"]),
        (&json!("done"), &Value::Null)
    );
    assert_eq!(late(&app).await, 0.0);
}

#[tokio::test]
async fn what_was_never_tried_waits_without_words() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let path = format!("/batches/{}", sent["batch_id"].as_str().unwrap());
    app.clock.advance(Duration::hours(2));
    let shown = app.get(&path).await.json["waiting"].clone();
    assert_eq!(
        shown,
        json!({"messages": 2, "since": "2026-11-23T08:00:00Z", "smtp_code": null, "enhanced_status": null, "reason": null})
    );
    let canceled = app.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(canceled.json["waiting"], Value::Null, "{}", canceled.text);
}
