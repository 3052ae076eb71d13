//! What did not arrive of a batch, sent again.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};

fn path(sent: &Value) -> String {
    format!("/batches/{}/resend", sent["batch_id"].as_str().unwrap())
}

/// Marks the mails to these users as ended so, as a worker or a report does.
fn ended(app: &TestApp, users: &[&String], state: &str) {
    for user in users {
        app.db.execute(&format!(
            "UPDATE messages SET state = '{state}' WHERE id = (SELECT m.id FROM messages m JOIN invitations i
             ON i.id = m.invitation_id WHERE i.user_id = '{user}' ORDER BY m.id DESC LIMIT 1)"
        ));
    }
}

/// Outcome and reason of each of these users; `-`: not in the answer.
fn told(answer: &Answer, users: &[String]) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    let results = answer.json["results"].as_array().unwrap();
    let of = |user: &String| {
        let one = results.iter().find(|one| one["user_id"] == **user);
        one.map_or("-".to_owned(), |one| {
            one["reason"]
                .as_str()
                .or(one["outcome"].as_str())
                .unwrap()
                .to_owned()
        })
    };
    users.iter().map(of).collect()
}

#[tokio::test]
async fn what_failed_or_bounced_is_sent_again() {
    let app = TestApp::start().await;
    let ids = app.users(9).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let other = app
        .user(json!({"email": "other@example.com", "username": "other"}))
        .await;
    app.invite(json!({"user_ids": [other]})).await;
    app.worker.deliver_due().await.unwrap();
    let path = path(&sent);
    // 1 failed, 2 bounced, 3 accepted, 4 suppressed since, 5 without an address, 6 invited anew, 7 disabled, 8 deleted,
    // 9 revoked; and one who is of another batch.
    ended(
        &app,
        &[
            &ids[0], &ids[3], &ids[4], &ids[5], &ids[6], &ids[7], &ids[8], &other,
        ],
        "failed",
    );
    ended(&app, &[&ids[1]], "bounced");
    app.db.execute(&format!(
        "INSERT INTO suppressions SELECT gen_random_uuid(), email, id, '5.1.1', 'no', now() FROM users WHERE id = '{}'",
        ids[3]
    ));
    app.send(
        Method::PATCH,
        &format!("/users/{}", ids[4]),
        json!({"username": "e", "email": null}),
    )
    .await;
    app.invite(json!({"user_ids": [ids[5]]})).await;
    app.send(
        Method::PATCH,
        &format!("/users/{}", ids[6]),
        json!({"enabled": false}),
    )
    .await;
    let deleted = app.request(Method::DELETE, &format!("/users/{}", ids[7]));
    assert_eq!(deleted.send().await.unwrap().status(), 204);
    app.post("/invitations/revoke", json!({"user_ids": [ids[8]]}))
        .await;
    app.worker.deliver_due().await.unwrap();
    let before = app.sink.messages().len();

    let bounced = app.post(&path, json!({"delivery": ["bounced"]})).await;
    assert_eq!(
        told(&bounced, &ids),
        ["-", "resent", "-", "-", "-", "-", "-", "-", "-"]
    );
    let all = app.post(&path, json!({})).await;
    assert_eq!(
        told(&all, &ids),
        [
            "resent",
            "-",
            "-",
            "email_suppressed",
            "no_email",
            "no_pending_invitation",
            "no_pending_invitation",
            "-",
            "no_pending_invitation",
        ]
    );
    for (field, number) in [
        ("recipient_count", 6),
        ("accepted_count", 1),
        ("skipped_count", 5),
    ] {
        assert_eq!(all.json[field], number, "{field}");
    }
    let users: Vec<&str> = all.json["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["user_id"].as_str().unwrap())
        .collect();
    assert!(users.is_sorted());
    // The newest mail decides, also one that is no part of the batch any more.
    app.sink
        .on_rcpt(|to| (to == "user1@example.com").then(|| "550 5.1.1 No such user".into()));
    app.worker.deliver_due().await.unwrap();
    let mails = app.sink.messages();
    assert_eq!(mails.len(), before + 1);
    assert_eq!(mails[before].rcpt, ["user2@example.com"]);
    let too_soon = app.post(&path, json!(null)).await;
    assert_eq!(
        told(&too_soon, &ids[..2]),
        ["resent_recently", "-"],
        "{}",
        too_soon.text
    );
    app.clock.advance(chrono::Duration::minutes(1));
    app.sink.on_rcpt(|_| None);
    let request = || {
        app.request(Method::POST, &path)
            .header("idempotency-key", "again")
            .json(&json!({"delivery": ["failed", "bounced", "failed"]}))
    };
    let again = Answer::of(request().send().await.unwrap()).await;
    assert_eq!(told(&again, &ids[..2]), ["resent", "-"]);
    let repeated = Answer::of(request().send().await.unwrap()).await;
    assert_eq!(repeated.header("idempotent-replayed"), "true");
    assert_eq!(repeated.json, again.json);
    app.worker.deliver_due().await.unwrap();
    assert_eq!(app.sink.messages().len(), before + 2);

    let events = app
        .get("/audit-events?action=invitations.resent&count=true")
        .await
        .json;
    assert_eq!(events["total"], 4);
    let event = &events["data"][0];
    assert_eq!(
        event["subject"],
        json!({"kind": "batch", "id": sent["batch_id"]})
    );
    assert_eq!(
        event["after"],
        json!({"delivery": ["failed", "bounced"], "accepted_count": 1, "skipped_count": 5})
    );
}

#[tokio::test]
async fn what_is_no_such_state_or_batch_is_refused() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let sent = app
        .invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    let path = path(&sent);
    for (body, pointers) in [
        (json!({"delivery": []}), vec!["/delivery"]),
        (json!({"delivery": "failed"}), vec!["/delivery"]),
        (
            json!({"delivery": ["failed", "accepted", 1]}),
            vec!["/delivery/1", "/delivery/2"],
        ),
        (
            json!({"new_pin": true, "state": []}),
            vec!["/new_pin", "/state"],
        ),
    ] {
        let refused = app.post(&path, body.clone()).await;
        refused.is_problem(422, "validation_failed");
        assert_eq!(refused.pointers(), pointers, "{body}");
    }
    let refused = app.post(&path, json!({"delivery": ["queued"]})).await;
    assert!(refused.text.contains("failed, bounced"), "{}", refused.text);
    for id in [&*uuid::Uuid::nil().to_string(), "x"] {
        app.post(&format!("/batches/{id}/resend"), json!({}))
            .await
            .is_problem(404, "not_found");
    }
    // Nothing was mailed, so nothing can be sent again.
    let nothing = app.post(&path, json!({"delivery": null})).await;
    assert_eq!(told(&nothing, &ids), ["-"]);
    assert_eq!(nothing.json["recipient_count"], 0);
}

/// Whoever asks at the same time finds what was just resent.
#[tokio::test]
async fn who_asks_at_the_same_time_resends_once() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    app.worker.deliver_due().await.unwrap();
    ended(&app, &[&ids[0], &ids[1], &ids[2]], "bounced");
    let path = path(&sent);
    let answers = join_all((0..6).map(|_| app.post(&path, json!({})))).await;
    let resent = answers
        .iter()
        .map(|answer| answer.json["accepted_count"].as_i64().unwrap());
    assert_eq!(resent.sum::<i64>(), 3);
    app.worker.deliver_due().await.unwrap();
    assert_eq!(app.sink.messages().len(), 6);
}

/// The statements do not grow with the recipients.
#[tokio::test]
async fn many_take_a_fixed_number_of_statements() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    app.db.execute(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), CASE WHEN n > 100 THEN 'many' ELSE 'few' END || n, 'u' || n || '@example.com', '', '', 'U',
            true, 'local', '{}', now(), now()
         FROM generate_series(1, 3000) n",
    );
    let mut seen = Vec::new();
    for (q, number) in [("few", 100), ("many", 2_900)] {
        let sent = app.invite(json!({"filter": {"q": q}})).await;
        app.db.execute("UPDATE messages SET state = 'failed'");
        app.db.watch_statements();
        let done = app.post(&path(&sent), json!({})).await;
        assert_eq!(done.json["accepted_count"], number);
        assert_eq!(
            done.json["results"].as_array().unwrap().len(),
            number.min(1_000)
        );
        seen.push(app.db.statements());
    }
    assert!(seen[1] <= seen[0] && seen[1] < 12, "{seen:?}");
}
