//! What is forgotten and when, and what stays true.

use chrono::Duration;
use enlist::retention::{self, Keep};
use reqwest::Method;
use serde_json::json;

use crate::{
    enrollments::{guest, with_pin},
    support::app::TestApp,
};

const KEEP: Keep = Keep {
    messages: Some(Duration::days(90)),
    invitations: Some(Duration::days(400)),
    audit: None,
};

async fn forget(app: &TestApp) {
    retention::sweep(&app.worker.db, &app.clock).await.unwrap();
    retention::forget(&app.worker.db, &app.clock, KEEP)
        .await
        .unwrap();
}

fn words(app: &TestApp) -> i64 {
    app.db
        .number("SELECT count(*) FROM messages WHERE reason IS NOT NULL")
}

#[tokio::test]
async fn what_servers_said_is_forgotten_and_their_codes_are_not() {
    let app = TestApp::start().await;
    app.users(3).await;
    app.invite(json!({"filter": {}})).await;
    app.worker.deliver_due().await.unwrap();
    app.clock.advance(Duration::days(1));
    app.invite(json!({"filter": {}})).await;
    app.worker.deliver_due().await.unwrap();
    assert_eq!(words(&app), 6);
    app.clock.advance(Duration::days(89));
    forget(&app).await;
    assert_eq!(words(&app), 6, "neither is older than 90 days");
    app.clock.advance(Duration::milliseconds(1));
    forget(&app).await;
    assert_eq!(words(&app), 3);
    app.clock.advance(Duration::days(1));
    forget(&app).await;
    forget(&app).await;
    assert_eq!(words(&app), 0);
    let accepted = "SELECT count(*) FROM messages WHERE state = 'accepted' AND smtp_code = 250";
    assert_eq!(app.db.number(accepted), 6);
}

/// More than one statement takes at once.
#[tokio::test]
async fn many_are_forgotten_step_by_step() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    app.db.execute(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, 'u' || n || '@example.com', '', '', 'U', true, 'local', '{}', now(), now()
         FROM generate_series(1, 5001) n",
    );
    app.invite(json!({"filter": {}})).await;
    app.db
        .execute("UPDATE messages SET state = 'accepted', reason = 'ok'");
    app.clock.advance(Duration::days(91));
    forget(&app).await;
    assert_eq!(words(&app), 0);
}

#[tokio::test]
async fn a_batch_goes_as_a_whole_when_it_says_nothing_about_now() {
    let app = TestApp::start().await;
    let users = app.users(3).await;
    let first = app.invite(json!({"user_ids": users})).await;
    app.worker.deliver_due().await.unwrap();
    app.clock.advance(Duration::days(1));
    // Two of the three have a newer one.
    let second = app.invite(json!({"user_ids": users[..2]})).await;
    app.worker.deliver_due().await.unwrap();
    app.clock.advance(Duration::days(500));
    forget(&app).await;
    let batch =
        |sent: &serde_json::Value| format!("/batches/{}", sent["batch_id"].as_str().unwrap());
    let kept = app.get(&batch(&first)).await.json;
    assert_eq!(
        kept["counts"]["accepted"], 3,
        "the third user's latest is in it"
    );
    let third = app.invite(json!({"user_ids": [users[2]]})).await;
    app.worker.deliver_due().await.unwrap();
    forget(&app).await;
    app.get(&batch(&first)).await.is_problem(404, "not_found");
    for sent in [&second, &third] {
        assert_eq!(app.get(&batch(sent)).await.status, 200);
    }
    assert_eq!(app.db.number("SELECT count(*) FROM invitations"), 3);
    assert_eq!(app.db.number("SELECT count(*) FROM messages"), 3);
    let status = app.get(&format!("/users/{}", users[0])).await.json["invite_status"].clone();
    assert_eq!(status, "expired");
}

#[tokio::test]
async fn an_enrollment_outlives_its_invitation_and_a_status_its_batch() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    with_pin(&app, "ada", &ada.pin, "S1").await;
    app.worker.deliver_due().await.unwrap();
    app.clock.advance(Duration::days(500));
    forget(&app).await;
    let user = app.get(&format!("/users/{}", ada.user)).await.json;
    assert_eq!(user["invite_status"], "completed");
    let again = app.invite(json!({"user_ids": [ada.user]})).await;
    app.worker.deliver_due().await.unwrap();
    forget(&app).await;
    assert_eq!(again["accepted_count"], 1);
    assert_eq!(app.db.number("SELECT count(*) FROM invitations"), 1);
    let orphaned = "SELECT count(*) FROM enrollments WHERE invitation_id IS NULL";
    assert_eq!(app.db.number(orphaned), 1);
    assert_eq!(
        app.get("/devices").await.json["data"][0]["serial_number"],
        "S1"
    );
}

/// A server's words can hold the address.
#[tokio::test]
async fn who_is_deleted_leaves_counts_and_no_words() {
    let app = TestApp::start().await;
    let users = app.users(2).await;
    let sent = app.invite(json!({"user_ids": users})).await;
    app.worker.deliver_due().await.unwrap();
    let deleted = app
        .request(Method::DELETE, &format!("/users/{}", users[0]))
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(words(&app), 1);
    let batch = app
        .get(&format!("/batches/{}", sent["batch_id"].as_str().unwrap()))
        .await;
    assert_eq!(batch.json["counts"]["accepted"], 2);
}
