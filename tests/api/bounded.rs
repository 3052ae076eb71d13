//! What one caller may take of the service at once, and what is written down of those who take much.

use std::time::{Duration, Instant};

use enlist::model::caller::Role;
use reqwest::{Method, Response};
use serde_json::json;

use crate::support::app::{Answer, TestApp, api_key};

const LIMIT: Duration = Duration::from_secs(10);

/// A key that watches does not keep others from it, and a stream that ends makes room, whichever way it ends.
#[tokio::test(flavor = "multi_thread")]
async fn one_caller_watches_sixteen_times() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(1).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let path = format!("/batches/{}/events", sent["batch_id"].as_str().unwrap());
    let other = api_key(&app.db, Role::Reader);
    let open = async |key: &str| -> Response {
        let request = app.anonymous(Method::GET, &path).bearer_auth(key);
        request.send().await.unwrap()
    };
    let mut all = Vec::new();
    for number in 0..16 {
        all.push(open(&app.key).await);
        assert_eq!(all.last().unwrap().status(), 200, "{number}");
    }
    let refused = Answer::of(open(&app.key).await).await;
    refused.is_problem(429, "too_many_streams");
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(open(&other).await.status(), 200, "others watch");
    // Who vanishes is missed at the next thing that is told.
    all.clear();
    app.worker.deliver_due().await.unwrap();
    let since = Instant::now();
    while open(&app.key).await.status() != 200 {
        assert!(since.elapsed() < LIMIT, "no room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Large details make small pages: all of them are found, and each once.
#[tokio::test]
async fn a_page_of_the_audit_log_is_about_a_megabyte() {
    let app = TestApp::start().await;
    for (number, kilobytes) in [1, 600, 300, 300, 1, 2_000, 1, 1].into_iter().enumerate() {
        app.db.execute(&format!(
            "WITH event AS (
                INSERT INTO audit_events (id, at, actor_kind, action, subject_kind, details_hash)
                VALUES ('0194f0c8-0000-7000-8000-00000000000{number}', now(), 'shell', 'setting.changed', 'setting', '')
             )
             INSERT INTO audit_details (event_id, salt, after) VALUES ('0194f0c8-0000-7000-8000-00000000000{number}', '',
                (SELECT to_json(string_agg(md5(n::text), ''))::text FROM generate_series(1, {kilobytes} * 32) n))"
        ));
    }
    let mut sizes = Vec::new();
    let mut path = "/audit-events?limit=200&action=setting.changed".to_owned();
    loop {
        let page = app.get(&path).await;
        let events = page.json["data"].as_array().unwrap();
        assert!(page.text.len() < 1024 * 1024 || events.len() == 1);
        sizes.push(events.len());
        let Some(cursor) = page.json["next_cursor"].as_str() else {
            break;
        };
        assert!(page.header("link").contains("cursor="));
        path = format!("/audit-events?limit=200&action=setting.changed&cursor={cursor}");
    }
    assert_eq!(sizes, [2, 1, 3, 2]);
    let csv = app
        .request(Method::GET, "/audit-events?action=setting.changed")
        .header("accept", "text/csv");
    let csv = Answer::of(csv.send().await.unwrap()).await;
    assert_eq!(csv.text.lines().count(), 9, "a file has all of them");
}
