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

/// What is exported is written down before the first row is on its way: whoever hangs up has begun an export all the same.
#[tokio::test]
async fn an_export_leaves_an_event_however_it_ends() {
    let app = TestApp::start().await;
    app.users(3).await;
    let events = async |action: &str| {
        let events = app
            .get(&format!("/audit-events?action={action}"))
            .await
            .json;
        events["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["after"].clone())
            .collect::<Vec<_>>()
    };
    let reader = api_key(&app.db, Role::Reader);
    let path = "/users/export?q=user2@example.com&enabled=true";
    // Cut before anything of the answer is read.
    let request = app.anonymous(Method::GET, path).bearer_auth(&reader);
    drop(request.send().await.unwrap());
    assert_eq!(
        events("users.exported").await,
        [json!({"filter": {"q": "…", "enabled": true}, "rows": 1})]
    );
    app.get("/users/export").await;
    assert_eq!(
        events("users.exported").await[0],
        json!({"filter": {}, "rows": 3})
    );
    app.get("/users").await;
    assert_eq!(
        events("users.exported").await.len(),
        2,
        "a page is no export"
    );
    let csv = app
        .request(Method::GET, "/audit-events?action=user.created")
        .header("accept", "text/csv");
    drop(csv.send().await.unwrap());
    let exported = events("audit_events.exported").await;
    assert_eq!(
        (&exported[0]["filter"]["action"], &exported[0]["rows"]),
        (&json!("user.created"), &json!(3))
    );
    assert_eq!(exported.len(), 1);
    // What cannot be written down is not given away.
    app.db.refuse_commits();
    for path in ["/users/export", "/audit-events"] {
        let refused = app.request(Method::GET, path).header("accept", "text/csv");
        assert!(
            refused.send().await.unwrap().status().is_server_error(),
            "{path}"
        );
    }
    app.db.commit_again();
}

/// Whoever previews everybody, or waits for a turn to send, leaves connections to the others.
#[tokio::test(flavor = "multi_thread")]
async fn many_large_requests_leave_connections_to_others() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(2).await;
    // No preview, no send and no count ends before it is let go.
    for (hold, free, path) in [
        (
            "BEGIN; LOCK TABLE settings",
            "COMMIT",
            "/invitations/preview",
        ),
        (
            "BEGIN; SELECT pg_advisory_lock(1936027236)",
            "SELECT pg_advisory_unlock(1936027236); COMMIT",
            "/invitations/send",
        ),
        (
            "BEGIN; SELECT pg_advisory_lock(1936027236)",
            "SELECT pg_advisory_unlock(1936027236); COMMIT",
            "/invitations/resend",
        ),
    ] {
        let mut holder = app.db.connect();
        diesel::connection::SimpleConnection::batch_execute(&mut holder, hold).unwrap();
        let body = json!({"user_ids": [ids[0]]});
        let asked = futures_util::future::join_all((0..40).map(|_| app.post(path, body.clone())));
        let others = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            for id in &ids {
                let answer = app.get(&format!("/users/{id}")).await;
                assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            }
            diesel::connection::SimpleConnection::batch_execute(&mut holder, free).unwrap();
        };
        let (answers, ()) = tokio::join!(asked, others);
        for answer in answers {
            assert!(answer.status.is_success(), "{path}: {}", answer.text);
        }
    }
}
