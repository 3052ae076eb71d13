//! What becomes of invitations that are out: resent, revoked, canceled, expired.

use enlist::{
    model::invitation::{MessageState, State},
    outbox::queries::Kept,
};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp},
    log,
    smtp::Stage,
};

fn id_of(sent: &Value, index: usize) -> String {
    sent["results"][index]["invitation_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn invitation(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/invitations/{id}")).await.json
}

/// Without any body, as curl does it.
async fn post_nothing(app: &TestApp, path: &str) -> Answer {
    Answer::of(app.request(Method::POST, path).send().await.unwrap()).await
}

async fn pin(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/invitations/{id}/pin")).await.json["pin"].clone()
}

fn seconds(app: &TestApp, seconds: i64) {
    app.clock.advance(chrono::Duration::seconds(seconds));
}

fn mails_with(app: &TestApp, pin: &Value) -> usize {
    let pin = pin.as_str().unwrap();
    let mails = app.sink.messages();
    let has = |data: &[u8]| String::from_utf8_lossy(data).contains(pin);
    mails.iter().filter(|mail| has(&mail.data)).count()
}

async fn try_pin(app: &TestApp, user: &str, pin: &str, serial: &str) -> Answer {
    let body = json!({"username": user, "pin": pin, "device": {"serial_number": serial, "platform": "ios"}});
    let request = app.anonymous(Method::POST, "/enrollments").json(&body);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_resend_mails_the_same_pin_again_once_a_minute() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    app.worker.deliver_due().await.unwrap();
    let id = id_of(&sent, 0);
    let path = format!("/invitations/{id}/resend");
    let first = pin(&app, &id).await;
    seconds(&app, 5);

    let resent = app.post(&path, json!({"new_pin": false})).await;
    assert_eq!(resent.status, StatusCode::ACCEPTED, "{}", resent.text);
    assert_eq!(
        (&resent.json["resend_count"], &resent.json["delivery"]),
        (&json!(1), &json!("queued"))
    );
    assert_eq!(resent.json["messages"].as_array().unwrap().len(), 2);
    app.worker.deliver_due().await.unwrap();
    let shown = invitation(&app, &id).await;
    assert_eq!(
        (&shown["delivery"], &shown["last_sent_at"]),
        (&json!("accepted"), &json!("2026-11-23T08:00:05Z"))
    );
    assert_eq!(
        shown["pin_expires_at"], "2026-11-24T08:00:00Z",
        "its life goes on"
    );
    assert_eq!((pin(&app, &id).await, mails_with(&app, &first)), (first, 2));

    // Also with another body, or none.
    for again in [
        app.post(&path, json!({})).await,
        post_nothing(&app, &path).await,
    ] {
        again.is_problem(429, "resent_recently");
        assert_eq!(again.header("retry-after"), "60");
    }
    seconds(&app, 59);
    let again = app.post(&path, json!({"new_pin": true})).await;
    assert_eq!(
        again
            .is_problem(429, "resent_recently")
            .header("retry-after"),
        "1"
    );
    seconds(&app, 1);
    assert_eq!(post_nothing(&app, &path).await.status, StatusCode::ACCEPTED);
    app.worker.deliver_due().await.unwrap();
    assert_eq!(app.sink.messages().len(), 3);
    let batch = app
        .get(&format!("/batches/{}", sent["batch_id"].as_str().unwrap()))
        .await;
    assert_eq!(
        batch.json["counts"]["accepted"], 1,
        "a resend is no part of it"
    );
}

#[tokio::test]
async fn a_new_pin_kills_the_old_one_and_begins_its_life_when_it_is_handed_over() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let sent = app.invite(json!({"user_ids": ids[..1]})).await;
    let qr = app
        .invite(json!({"user_ids": ids[1..], "method": "qr"}))
        .await;
    app.worker.deliver_due().await.unwrap();
    let id = id_of(&sent, 0);
    let old = pin(&app, &id).await;
    seconds(&app, 3_600);
    let resent = app
        .post(
            &format!("/invitations/{id}/resend"),
            json!({"new_pin": true}),
        )
        .await;
    assert_eq!(resent.json["pin_expires_at"], Value::Null);
    let new = pin(&app, &id).await;
    assert_ne!(old, new);
    app.worker.deliver_due().await.unwrap();
    let shown = invitation(&app, &id).await;
    assert_eq!(shown["pin_expires_at"], "2026-11-24T09:00:00Z");
    assert_eq!((mails_with(&app, &old), mails_with(&app, &new)), (1, 1));
    try_pin(&app, "user1@example.com", old.as_str().unwrap(), "S1")
        .await
        .is_problem(401, "invalid_credentials");
    let enrolled = try_pin(&app, "user1@example.com", new.as_str().unwrap(), "S1").await;
    assert_eq!(enrolled.status, StatusCode::CREATED, "{}", enrolled.text);
    // A QR code is the invitation's secret as well.
    let picture = format!("/invitations/{}/qr.svg", id_of(&qr, 0));
    let old = app.get(&picture).await.text;
    let path = format!("/invitations/{}/resend", id_of(&qr, 0));
    assert_eq!(
        app.post(&path, json!({})).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(app.get(&picture).await.text, old);
    seconds(&app, 60);
    assert_eq!(
        app.post(&path, json!({"new_pin": true})).await.status,
        StatusCode::ACCEPTED
    );
    assert_ne!(app.get(&picture).await.text, old);
    app.worker.deliver_due().await.unwrap();
}

/// A mail that was on the wire with the old PIN does not begin the life of the new one.
#[tokio::test]
async fn a_pins_life_begins_with_its_own_mail() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(1).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let (now, lease) = (
        app.clock.now(),
        app.clock.now() + chrono::Duration::seconds(45),
    );
    let claimed = enlist::outbox::queries::claim(
        &mut app.db.connect(),
        1,
        now,
        lease,
        &app.worker.registrations,
    )
    .unwrap();
    let path = format!("/invitations/{}/resend", id_of(&sent, 0));
    app.post(&path, json!({"new_pin": true})).await;
    let settled = enlist::outbox::queries::Settled {
        is_refusal: true,
        id: claimed[0].id,
        attempts: claimed[0].attempts,
        state: MessageState::Accepted,
        due_at: now,
        smtp_code: Some(250),
        enhanced_status: None,
        reason: None,
        handed_over_at: Some(now),
        counter: claimed[0].counter(),
    };
    enlist::outbox::queries::settle(&mut app.db.connect(), &[settled], now).unwrap();
    let shown = invitation(&app, &id_of(&sent, 0)).await;
    assert_eq!(
        (&shown["pin_expires_at"], &shown["last_sent_at"]),
        (&Value::Null, &json!("2026-11-23T08:00:00Z"))
    );
}

#[tokio::test]
async fn a_pin_that_is_of_no_use_is_renewed_in_any_case() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    app.worker.deliver_due().await.unwrap();
    let (expired, used_up) = (id_of(&sent, 0), id_of(&sent, 1));
    let (old_expired, old_used_up) = (pin(&app, &expired).await, pin(&app, &used_up).await);
    app.db.execute(&format!(
        "UPDATE invitations SET pin_tries = 50, pin_locked_until = '2026-11-23T20:00:00Z' WHERE id = '{used_up}'"
    ));
    try_pin(
        &app,
        "user2@example.com",
        old_used_up.as_str().unwrap(),
        "S2",
    )
    .await
    .is_problem(401, "invalid_credentials");
    seconds(&app, 60);
    let path = format!("/invitations/{used_up}/resend");
    assert_eq!(
        app.post(&path, json!({})).await.status,
        StatusCode::ACCEPTED
    );
    let new = pin(&app, &used_up).await;
    assert_ne!(new, old_used_up);
    let enrolled = try_pin(&app, "user2@example.com", new.as_str().unwrap(), "S2").await;
    assert_eq!(
        enrolled.status,
        StatusCode::CREATED,
        "the count starts anew: {}",
        enrolled.text
    );

    seconds(&app, 86_400);
    assert_eq!(pin(&app, &expired).await, Value::Null, "its day is over");
    let path = format!("/invitations/{expired}/resend");
    assert_eq!(
        app.post(&path, json!({"new_pin": false})).await.status,
        StatusCode::ACCEPTED
    );
    let new = pin(&app, &expired).await;
    assert_ne!(new, old_expired);
    app.worker.deliver_due().await.unwrap();
    assert_eq!(mails_with(&app, &new), 1);
}

/// Wrong tries below the end are forgiven, and the PIN stays.
#[tokio::test]
async fn a_resend_lifts_the_lock() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let sent = app
        .invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    let id = id_of(&sent, 0);
    let live = pin(&app, &id).await;
    for _ in 0..5 {
        try_pin(&app, "user1@example.com", "00000000", "S1").await;
    }
    let live = live.as_str().unwrap();
    try_pin(&app, "user1@example.com", live, "S1")
        .await
        .is_problem(429, "too_many_attempts");
    post_nothing(&app, &format!("/invitations/{id}/resend")).await;
    let enrolled = try_pin(&app, "user1@example.com", live, "S1").await;
    assert_eq!(enrolled.status, StatusCode::CREATED, "{}", enrolled.text);
    app.worker.deliver_due().await.unwrap();
    assert!(
        app.sink.messages().is_empty(),
        "enrolled before it was mailed"
    );
}

/// What waits is sent now, and once: with the PIN that is right now.
#[tokio::test]
async fn a_message_that_still_waits_is_hurried_not_doubled() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    app.sink
        .next_replies(Stage::Rcpt, ["451 4.3.0 later", "451 4.3.0 later"]);
    let sent = app.invite(json!({"user_ids": ids})).await;
    let id = id_of(&sent, 0);
    app.worker.deliver_due().await.unwrap();
    seconds(&app, 30);
    app.worker.deliver_due().await.unwrap();
    assert_eq!(app.worker.deliver_due().await.unwrap(), 0);
    let resent = app
        .post(
            &format!("/invitations/{id}/resend"),
            json!({"new_pin": true}),
        )
        .await;
    assert_eq!(
        resent.json["messages"].as_array().unwrap().len(),
        1,
        "{}",
        resent.text
    );
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    assert_eq!(mails_with(&app, &pin(&app, &id).await), 1);
    let batch = app
        .get(&format!("/batches/{}", sent["batch_id"].as_str().unwrap()))
        .await;
    assert_eq!(
        (&batch.json["state"], &batch.json["counts"]["accepted"]),
        (&json!("done"), &json!(1))
    );
}

#[tokio::test]
async fn what_is_not_pending_is_not_resent() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    let sent = app
        .invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    let resend = async |index: usize| {
        post_nothing(
            &app,
            &format!("/invitations/{}/resend", id_of(&sent, index)),
        )
        .await
    };
    post_nothing(&app, &format!("/invitations/{}/revoke", id_of(&sent, 0))).await;
    resend(0).await.is_problem(409, "not_pending");
    app.send(
        Method::PATCH,
        &format!("/users/{}", ids[1]),
        json!({"username": "a", "email": null}),
    )
    .await;
    resend(1).await.is_problem(409, "no_email");
    seconds(&app, 7 * 86_400);
    resend(2).await.is_problem(409, "not_pending");
    post_nothing(&app, &format!("/invitations/{}/resend", uuid::Uuid::nil()))
        .await
        .is_problem(404, "not_found");
    let path = format!("/invitations/{}/resend", id_of(&sent, 2));
    let refused = app.post(&path, json!({"new_pin": 1, "pin": true})).await;
    assert_eq!(
        refused.is_problem(422, "validation_failed").pointers(),
        ["/new_pin", "/pin"]
    );
    let text = app.request(Method::POST, &path).body("new_pin=true");
    Answer::of(text.send().await.unwrap())
        .await
        .is_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_revoked_invitation_works_no_more_and_is_not_mailed() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let revoke = async |index: usize| {
        post_nothing(
            &app,
            &format!("/invitations/{}/revoke", id_of(&sent, index)),
        )
        .await
    };
    let live = pin(&app, &id_of(&sent, 0)).await;
    for _ in 0..2 {
        let revoked = revoke(0).await;
        assert_eq!(revoked.status, StatusCode::OK, "{}", revoked.text);
        assert_eq!(
            (
                &revoked.json["state"],
                &revoked.json["delivery"],
                &revoked.json["messages"][0]["reason"]
            ),
            (&json!("revoked"), &json!("suppressed"), &json!("revoked"))
        );
    }
    try_pin(&app, "user1@example.com", live.as_str().unwrap(), "S1")
        .await
        .is_problem(401, "invalid_credentials");
    assert_eq!(
        app.get(&format!("/users/{}", ids[0])).await.json["invite_status"],
        "expired"
    );

    let live = pin(&app, &id_of(&sent, 1)).await;
    let enrolled = try_pin(&app, "user2@example.com", live.as_str().unwrap(), "S2").await;
    assert_eq!(enrolled.status, StatusCode::CREATED);
    revoke(1).await.is_problem(409, "already_completed");
    // What has ended otherwise does not work either, and stays what it is.
    seconds(&app, 7 * 86_400);
    let revoked = revoke(2).await;
    assert_eq!(
        (revoked.status, &revoked.json["state"]),
        (StatusCode::OK, &json!("expired"))
    );
    post_nothing(&app, &format!("/invitations/{}/revoke", uuid::Uuid::nil()))
        .await
        .is_problem(404, "not_found");
    app.worker.deliver_due().await.unwrap();
    assert!(app.sink.messages().is_empty());
}

#[tokio::test]
async fn a_repeat_with_the_same_idempotency_key_resends_once() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let sent = app
        .invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    let keyed = async |path: &str, body: Value| {
        let request = app
            .request(Method::POST, path)
            .header("idempotency-key", "k1");
        Answer::of(request.json(&body).send().await.unwrap()).await
    };
    let (one, two) = (
        format!("/invitations/{}/resend", id_of(&sent, 0)),
        format!("/invitations/{}/resend", id_of(&sent, 1)),
    );
    let first = keyed(&one, json!({})).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    let again = keyed(&one, json!({})).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("idempotent-replayed"), "true");
    keyed(&one, json!({"new_pin": true}))
        .await
        .is_problem(422, "idempotency_key_reused");
    assert_eq!(
        keyed(&two, json!({})).await.status,
        StatusCode::ACCEPTED,
        "another invitation"
    );
    let everybody = json!({"filter": {}});
    let revoked = keyed("/invitations/revoke", everybody.clone()).await;
    let again = keyed("/invitations/revoke", everybody).await;
    assert_eq!(
        (again.json["accepted_count"].clone(), again.text),
        (json!(2), revoked.text)
    );
    app.worker.deliver_due().await.unwrap();
}

#[tokio::test]
async fn many_are_resent_and_revoked_by_selection() {
    let app = TestApp::start().await;
    let ids = app.users(5).await;
    let group = app.post("/groups", json!({"name": "Sales"})).await.json["id"].clone();
    app.post(
        &format!("/groups/{}/members", group.as_str().unwrap()),
        json!({"add": [ids[0], ids[1]]}),
    )
    .await;
    let sent = app.invite(json!({"user_ids": ids[..4]})).await;
    app.worker.deliver_due().await.unwrap();
    app.send(
        Method::PATCH,
        &format!("/users/{}", ids[2]),
        json!({"username": "c", "email": null}),
    )
    .await;
    post_nothing(&app, &format!("/invitations/{}/resend", id_of(&sent, 1))).await;
    let answer = app
        .post(
            "/invitations/resend",
            json!({"user_ids": ids[2..], "group_ids": [group], "new_pin": true}),
        )
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    let told = |results: &Value| -> Vec<(String, String)> {
        let mut sorted: Vec<_> = results["results"].as_array().unwrap().clone();
        sorted.sort_by_key(|one| ids.iter().position(|id| one["user_id"] == **id));
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        sorted
            .iter()
            .map(|one| (text(&one["outcome"]), text(&one["reason"])))
            .collect()
    };
    let expected = |all: [(&str, &str); 5]| all.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec();
    assert_eq!(
        told(&answer.json),
        expected([
            ("resent", "-"),
            ("skipped", "resent_recently"),
            ("skipped", "no_email"),
            ("resent", "-"),
            ("skipped", "no_pending_invitation"),
        ])
    );
    assert_eq!(
        (
            &answer.json["recipient_count"],
            &answer.json["accepted_count"],
            &answer.json["skipped_count"]
        ),
        (&json!(5), &json!(2), &json!(3))
    );
    assert_eq!(app.worker.deliver_due().await.unwrap(), 3);
    assert_eq!(app.sink.messages().len(), 7);

    let revoked = app
        .post(
            "/invitations/revoke",
            json!({"filter": {"invite_status": "pending"}}),
        )
        .await;
    assert_eq!(
        (revoked.status, &revoked.json["accepted_count"]),
        (StatusCode::OK, &json!(4))
    );
    let revoked = app.post("/invitations/revoke", json!({"filter": {}})).await;
    assert_eq!(
        told(&revoked.json),
        expected([("skipped", "no_pending_invitation"); 5])
    );
    // Selections are taken as when sending.
    for path in ["/invitations/resend", "/invitations/revoke"] {
        app.post(path, json!({}))
            .await
            .is_problem(422, "empty_selection");
        let unknown = app
            .post(path, json!({"user_ids": [ids[0], uuid::Uuid::nil()]}))
            .await;
        assert_eq!(
            unknown.is_problem(422, "validation_failed").pointers(),
            ["/user_ids/1"]
        );
    }
    let misplaced = app
        .post(
            "/invitations/revoke",
            json!({"filter": {}, "new_pin": true}),
        )
        .await;
    assert_eq!(
        misplaced.is_problem(422, "validation_failed").pointers(),
        ["/new_pin"]
    );
}

/// The statements do not grow with the recipients.
#[tokio::test]
async fn many_take_a_fixed_number_of_statements() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    app.db.execute(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, 'u' || n || '@example.com', '', '', 'U', true, 'local', '{}', now(), now()
         FROM generate_series(1, 3000) n",
    );
    app.invite(json!({"filter": {}})).await;
    app.db
        .execute("UPDATE messages SET state = 'accepted' WHERE abs(hashtext(id::text)) % 2 = 0");
    let statements = async |path: &str, q: &str| {
        app.db.watch_statements();
        let done = app.post(path, json!({"filter": {"q": q}})).await;
        let calls = app.db.statements();
        (done.json["accepted_count"].as_i64().unwrap(), calls)
    };
    for path in ["/invitations/resend", "/invitations/revoke"] {
        statements(path, "u12").await;
        seconds(&app, 60);
        let (few, of_few) = statements(path, "u13").await;
        let (many, of_many) = statements(path, "u").await;
        assert!(
            (100..200).contains(&few) && many > 2_700,
            "{path} {few} {many}"
        );
        assert!(
            of_many <= of_few && of_many < 12,
            "{path}: {of_few} statements for {few}, {of_many} for {many}"
        );
    }
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM invitations WHERE state = 'pending'"),
        0
    );
    assert_eq!(
        app.db.number("SELECT max(count) FROM (SELECT count(*) FROM messages WHERE state = 'suppressed' GROUP BY invitation_id) m"),
        1,
        "none was doubled"
    );
}

async fn batch(app: &TestApp, sent: &Value) -> Value {
    let id = sent["batch_id"].as_str().unwrap();
    app.get(&format!("/batches/{id}")).await.json
}

/// Whoever was counted is somewhere.
fn adds_up(batch: &Value) {
    let counts = batch["counts"].as_object().unwrap();
    let sum: i64 = counts
        .iter()
        .filter(|(name, _)| *name != "recipients")
        .map(|(_, n)| n.as_i64().unwrap())
        .sum();
    assert_eq!(json!(sum), counts["recipients"], "{batch}");
}

/// The log says what was done: neither what failed as it was committed, nor a second time what was answered again.
#[tokio::test]
async fn the_log_says_once_what_was_committed() {
    log::capture();
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(3).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let (one, batch) = (id_of(&sent, 0), sent["batch_id"].as_str().unwrap());
    seconds(&app, 120);
    let (last, rest) = (json!({"user_ids": ids[2..]}), json!({"user_ids": ids[..2]}));
    for (path, body, says) in [
        (
            format!("/invitations/{one}/resend"),
            json!({}),
            "an invitation is resent",
        ),
        (
            format!("/invitations/{one}/revoke"),
            json!({}),
            "an invitation is revoked",
        ),
        (
            "/invitations/resend".into(),
            last.clone(),
            "invitations are resent",
        ),
        (
            "/invitations/revoke".into(),
            last,
            "invitations are revoked",
        ),
        (
            format!("/batches/{batch}/cancel"),
            json!({}),
            "a batch is canceled",
        ),
        ("/invitations/send".into(), rest, "invitations are sent"),
    ] {
        let ask = async || {
            let request = app
                .request(Method::POST, &path)
                .header("idempotency-key", "once")
                .json(&body);
            Answer::of(request.send().await.unwrap()).await
        };
        app.db.refuse_commits();
        let failed = ask().await;
        assert_eq!(failed.status, 500, "{path}: {}", failed.text);
        app.db.commit_again();
        let done = ask().await;
        assert!(done.status.is_success(), "{path}: {}", done.text);
        let repeat = ask().await;
        assert_eq!(repeat.header("idempotent-replayed"), "true", "{path}");
        let times = |answer: &Answer| log::lines_of(answer).matches(says).count();
        let said = (times(&failed), times(&done), times(&repeat));
        assert_eq!(said, (0, 1, 0), "{says}: {}", log::lines_of(&failed));
    }
}

#[tokio::test]
async fn a_canceled_batch_sends_no_more_and_revokes_what_nobody_got() {
    let app = TestApp::start().await;
    let ids = app.users(5).await;
    app.user(json!({"username": "nomail"})).await;
    app.sink.on_rcpt(|to| match to {
        to if to.starts_with("user1") => Some("451 4.3.0 later".into()),
        to if to.starts_with("user2") => Some("550 5.1.1 nobody".into()),
        _ => None,
    });
    let sent = app.invite(json!({"filter": {}})).await;
    let path = format!("/batches/{}/cancel", sent["batch_id"].as_str().unwrap());
    // One of each: deferred, failed, accepted, and two that nobody has tried.
    app.db.execute("UPDATE messages SET due_at = '2026-11-23T09:00:00Z' WHERE id IN (SELECT id FROM messages ORDER BY id DESC LIMIT 2)");
    app.worker.deliver_due().await.unwrap();
    let canceled = post_nothing(&app, &path).await;
    assert_eq!(canceled.status, StatusCode::OK, "{}", canceled.text);
    let counts = json!({"recipients": 6, "skipped": 1, "queued": 0, "accepted": 1, "deferred": 0, "failed": 1, "bounced": 0, "suppressed": 3});
    assert_eq!(
        (
            &canceled.json["state"],
            &canceled.json["counts"],
            &canceled.json["canceled_at"]
        ),
        (&json!("canceled"), &counts, &json!("2026-11-23T08:00:00Z"))
    );
    adds_up(&canceled.json);
    let listed = app
        .get("/invitations?state=revoked&delivery=suppressed")
        .await;
    let listed = listed.json["data"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 3);
    assert!(
        listed
            .iter()
            .all(|one| one["messages"][0]["reason"] == "canceled")
    );
    assert_eq!(
        app.get("/invitations?state=pending").await.json["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    seconds(&app, 7_200);
    assert_eq!(app.worker.deliver_due().await.unwrap(), 0);
    let again = post_nothing(&app, &path).await;
    assert_eq!(
        (again.status, &again.json),
        (StatusCode::OK, &canceled.json)
    );
    // Who was revoked can be invited anew.
    let anew = app
        .invite(json!({"user_ids": ids[..1], "delivery": "none"}))
        .await;
    assert_eq!(anew["accepted_count"], 1);
    let done = format!("/batches/{}/cancel", anew["batch_id"].as_str().unwrap());
    post_nothing(&app, &done)
        .await
        .is_problem(409, "already_done");
    assert_eq!(batch(&app, &anew).await["state"], "done");
    post_nothing(&app, &format!("/batches/{}/cancel", uuid::Uuid::nil()))
        .await
        .is_problem(404, "not_found");
}

/// What is on the wire when its batch is canceled ends as the server has it, and is not tried again.
#[tokio::test]
async fn what_is_being_sent_while_its_batch_is_canceled_ends_legally() {
    let app = TestApp::start().await;
    let ids = app.users(4).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let now = app.clock.now();
    let lease = now + chrono::Duration::seconds(45);
    let claimed = enlist::outbox::queries::claim(
        &mut app.db.connect(),
        4,
        now,
        lease,
        &app.worker.registrations,
    )
    .unwrap();
    let path = format!("/batches/{}/cancel", sent["batch_id"].as_str().unwrap());
    let canceled = post_nothing(&app, &path).await;
    assert_eq!(
        (
            canceled.status,
            &canceled.json["state"],
            &canceled.json["counts"]["queued"]
        ),
        (StatusCode::OK, &json!("canceled"), &json!(4))
    );
    let settled = |index: usize, state: MessageState| enlist::outbox::queries::Settled {
        is_refusal: true,
        id: claimed[index].id,
        attempts: 1,
        state,
        due_at: now,
        smtp_code: None,
        enhanced_status: None,
        reason: None,
        handed_over_at: (state == MessageState::Accepted).then_some(now),
        counter: Some(0),
    };
    let results = [
        settled(0, MessageState::Accepted),
        settled(1, MessageState::Deferred),
    ];
    enlist::outbox::queries::settle(&mut app.db.connect(), &results, now).unwrap();
    // One was never tried, and the instance that holds the last one is dead.
    enlist::outbox::queries::give_back(&mut app.db.connect(), &[(claimed[2].id, 1)], now).unwrap();
    assert_eq!(
        enlist::outbox::queries::renew(&mut app.db.connect(), &[(claimed[3].id, 1)], lease)
            .unwrap(),
        [(
            claimed[3].id,
            Kept {
                id: claimed[3].id,
                is_canceled: true,
                state: Some(State::Pending),
            }
        )]
        .into()
    );
    seconds(&app, 46);
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    assert!(app.sink.messages().is_empty());
    let shown = batch(&app, &sent).await;
    adds_up(&shown);
    assert_eq!(
        (
            &shown["state"],
            &shown["counts"]["accepted"],
            &shown["counts"]["suppressed"]
        ),
        (&json!("canceled"), &json!(1), &json!(3))
    );
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM invitations WHERE state = 'pending'"),
        1
    );
    assert_eq!(
        app.db.number(
            "SELECT count(*) FROM messages WHERE state = 'suppressed' AND reason = 'canceled'"
        ),
        3
    );
    assert_eq!(
        app.db.number(
            "SELECT count(*) FROM invitations WHERE state = 'revoked' AND ended_at IS NOT NULL"
        ),
        3
    );
}

/// Canceled while four workers are busy with it, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn cancel_and_deliver_meet() {
    let app = TestApp::start().await;
    let ids = app.users(24).await;
    app.sink
        .on_rcpt(|to| to.contains("7@").then(|| "451 4.3.0 later".to_owned()));
    app.sink
        .delay(Stage::Final, std::time::Duration::from_millis(3));
    for round in 0..25_u64 {
        let sent = app.invite(json!({"user_ids": ids})).await;
        let path = format!("/batches/{}/cancel", sent["batch_id"].as_str().unwrap());
        let deliver = join_all((0..3).map(|_| app.worker.deliver_due()));
        let cancel = async {
            tokio::time::sleep(std::time::Duration::from_millis(round * 2)).await;
            post_nothing(&app, &path).await
        };
        let (delivered, canceled) = tokio::join!(deliver, cancel);
        assert!(delivered.iter().all(Result::is_ok), "{delivered:?}");
        let shown = batch(&app, &sent).await;
        adds_up(&shown);
        match canceled.status {
            StatusCode::OK => {
                assert_eq!(shown["state"], "canceled");
                assert_eq!(
                    (&shown["counts"]["queued"], &shown["counts"]["deferred"]),
                    (&json!(0), &json!(0)),
                    "{shown}"
                );
            }
            _ => {
                canceled.is_problem(409, "already_done");
            }
        }
        // Who has the mail has the invitation, and nobody else of a canceled batch.
        let id = sent["batch_id"].as_str().unwrap();
        let wrong = app.db.number(&format!(
            "SELECT count(*) FROM invitations i JOIN messages m ON m.invitation_id = i.id JOIN batches b ON b.id = i.batch_id
             WHERE b.id = '{id}' AND ((m.state = 'accepted') <> (i.state = 'pending')) AND b.canceled_at IS NOT NULL AND m.state <> 'failed'"
        ));
        assert_eq!(wrong, 0, "round {round}: {shown}");
    }
}

/// Answers are right to the second; the sweeper writes it down, chunk by chunk, with the messages.
#[tokio::test]
async fn invitations_expire_by_themselves_and_are_marked_later() {
    let app = TestApp::start().await;
    app.db.execute(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, 'u' || n || '@example.com', '', '', 'U', true, 'local', '{}', now(), now()
         FROM generate_series(1, 2500) n",
    );
    let sent = app.invite(json!({"filter": {}})).await;
    seconds(&app, 7 * 86_400 - 1);
    enlist::retention::sweep(&app.worker.db, &app.clock)
        .await
        .unwrap();
    assert_eq!(invitation(&app, &id_of(&sent, 0)).await["state"], "pending");
    seconds(&app, 1);
    assert_eq!(invitation(&app, &id_of(&sent, 0)).await["state"], "expired");
    let pending = "SELECT count(*) FROM invitations WHERE state = 'pending'";
    assert_eq!(app.db.number(pending), 2_500, "not marked yet");
    enlist::retention::sweep(&app.worker.db, &app.clock)
        .await
        .unwrap();
    assert_eq!(app.db.number(pending), 0);
    assert_eq!(
        app.db.number(
            "SELECT count(*) FROM invitations WHERE state = 'expired' AND ended_at = expires_at"
        ),
        2_500
    );
    let shown = batch(&app, &sent).await;
    adds_up(&shown);
    assert_eq!(
        (&shown["state"], &shown["counts"]["failed"]),
        (&json!("done"), &json!(2_500))
    );
    assert_eq!(
        invitation(&app, &id_of(&sent, 0)).await["messages"][0]["reason"],
        "expired"
    );
}

/// Deleting a user lets go of all invitations of that user: in the order in which everybody else locks them, so
/// that a worker that writes results for two of them is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_delete_waits_for_whoever_holds_an_older_invitation() {
    use diesel::connection::SimpleConnection;
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let user = app.users(1).await.remove(0);
    let older = id_of(&app.invite(json!({"user_ids": [&user]})).await, 0);
    let newer = id_of(&app.invite(json!({"user_ids": [&user]})).await, 0);
    let lock = |id: &str| format!("SELECT FROM invitations WHERE id = '{id}' FOR NO KEY UPDATE");
    let mut worker = app.db.connect();
    worker
        .batch_execute(&format!("BEGIN; {}", lock(&older)))
        .unwrap();
    let path = format!("/users/{user}");
    let deleting = app.request(Method::DELETE, &path).send();
    let deleting = tokio::spawn(deleting);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let begun = std::time::Instant::now();
    while app.db.number(waits) == 0 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(10));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    worker
        .batch_execute(&format!("{}; COMMIT", lock(&newer)))
        .unwrap();
    assert_eq!(deleting.await.unwrap().unwrap().status(), 204);
}

/// The same the other way round: it holds the invitation, and does not wait for a worker that holds its message.
#[tokio::test(flavor = "multi_thread")]
async fn a_delete_does_not_wait_for_a_message_that_is_being_settled() {
    use diesel::connection::SimpleConnection;
    let app = TestApp::start().await;
    let user = app.users(1).await.remove(0);
    let id = id_of(&app.invite(json!({"user_ids": [&user]})).await, 0);
    app.worker.deliver_due().await.unwrap();
    let mut worker = app.db.connect();
    worker
        .batch_execute("BEGIN; SELECT FROM messages FOR NO KEY UPDATE; SET lock_timeout = '5s'")
        .unwrap();
    let answer = app.request(Method::DELETE, &format!("/users/{user}"));
    let answer = tokio::time::timeout(std::time::Duration::from_secs(5), answer.send()).await;
    assert_eq!(answer.expect("it waits").unwrap().status(), 204);
    worker
        .batch_execute(&format!(
            "SELECT FROM invitations WHERE id = '{id}' FOR NO KEY UPDATE; COMMIT"
        ))
        .unwrap();
}
