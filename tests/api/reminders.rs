//! Reminders: to whom, when, with what, and how often.

use chrono::Duration;
use enlist::{db::Db, reminders};
use mailparse::{MailHeaderMap, ParsedMail, parse_mail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    enrollments::with_pin,
    support::{
        app::{Answer, TestApp},
        smtp::Stage,
    },
};

async fn reminding(app: &TestApp, more: Value) {
    let mut setting = json!({"enabled": true, "every_days": 1});
    setting
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    app.set_default("reminder", setting).await;
}

/// Looks once, at this time, and delivers what was queued. Gives how many reminders that were.
async fn at(app: &TestApp, time: &str) -> usize {
    let time = time.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    app.clock.advance(time - app.clock.now());
    let queued = reminders::sweep(&app.worker.db, &app.clock).await.unwrap();
    assert_eq!(app.worker.deliver_due().await.unwrap(), queued);
    queued
}

/// Invites by mail, delivers, and gives the invitation's id.
async fn invited(app: &TestApp, user: &str, more: Value) -> String {
    let mut body = json!({"user_ids": [user]});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let sent = app.invite(body).await;
    app.worker.deliver_due().await.unwrap();
    sent["results"][0]["invitation_id"]
        .as_str()
        .unwrap_or_else(|| panic!("{sent}"))
        .to_owned()
}

async fn ada(app: &TestApp) -> String {
    app.user(json!({"email": "ada@example.com", "display_name": "Ada"}))
        .await
}

async fn invitation(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/invitations/{id}")).await.json
}

async fn pin(app: &TestApp, id: &str) -> String {
    let answer = app.get(&format!("/invitations/{id}/pin")).await;
    answer.json["pin"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", answer.text))
        .to_owned()
}

async fn post(app: &TestApp, path: &str) -> Answer {
    let answer = app.post(path, json!({})).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    answer
}

/// The mails that the server has, one after the other.
fn mails<T>(app: &TestApp, what: impl Fn(&ParsedMail<'_>) -> T) -> Vec<T> {
    let received = app.sink.messages();
    let read = |data: &[u8]| what(&parse_mail(data).unwrap());
    received.iter().map(|mail| read(&mail.data)).collect()
}

fn header(name: &str) -> impl Fn(&ParsedMail<'_>) -> Option<String> {
    move |mail| mail.headers.get_first_value(name)
}

fn text(mail: &ParsedMail<'_>) -> String {
    let mut parts = mail.parts();
    let part = parts.find(|part| part.ctype.mimetype == "text/plain");
    part.unwrap().get_body().unwrap()
}

/// Users `u1@example.com` and so on, each invited long enough ago, with a mail that was accepted.
async fn many(app: &TestApp, count: usize) {
    app.db.execute(&format!(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, 'u' || n || '@example.com', '', '', 'U', true, 'local', '{{}}', now(), now()
         FROM generate_series(1, {count}) n"
    ));
    app.invite(json!({"filter": {}})).await;
    app.db
        .execute("UPDATE messages SET state = 'accepted', smtp_code = 250");
}

#[tokio::test]
async fn at_nine_in_the_users_zone_below_the_invitation() {
    let app = TestApp::start().await;
    reminding(&app, json!({"every_days": 2})).await;
    let user = app
        .user(json!({"email": "ada@example.com", "display_name": "Ada", "locale": "fr-CA", "time_zone": "America/Toronto"}))
        .await;
    let id = invited(&app, &user, json!({"note": "Avant vendredi"})).await;
    let batch = invitation(&app, &id).await["batch_id"].clone();
    let batch = format!("/batches/{}", batch.as_str().unwrap());
    let counts = app.get(&batch).await.json;
    for (time, reminders) in [
        // Nine o'clock there is 14:00 here.
        ("2026-11-23T14:00:00Z", 0),
        ("2026-11-24T14:00:00Z", 0),
        ("2026-11-25T13:59:59Z", 0),
        ("2026-11-25T14:00:00Z", 1),
        ("2026-11-25T14:01:00Z", 0),
        ("2026-11-26T14:00:00Z", 0),
        ("2026-11-27T14:00:00Z", 1),
    ] {
        assert_eq!(at(&app, time).await, reminders, "{time}");
    }
    let subjects = mails(&app, header("Subject"));
    assert_eq!(
        subjects[1].as_deref(),
        Some("Rappel\u{a0}: Example & Söhne vous invite à enregistrer votre appareil")
    );
    assert_eq!(subjects[1], subjects[2]);
    let ids = mails(&app, header("Message-ID"));
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    let below = mails(&app, header("In-Reply-To"));
    assert_eq!(below, [None, ids[0].clone(), ids[0].clone()]);
    // What all of them refer to is known before a relay gives the first one another id.
    let thread = format!("<{id}@example.com>");
    let reminder = format!("{thread} {}", ids[0].as_deref().unwrap());
    assert_eq!(
        mails(&app, header("References")),
        [Some(thread), Some(reminder.clone()), Some(reminder)]
    );
    let texts = mails(&app, text);
    for needed in ["Bonjour Ada,", "Avant vendredi", "reste à enregistrer"] {
        assert!(texts[1].contains(needed), "{needed} in {}", texts[1]);
    }

    let shown = invitation(&app, &id).await;
    let messages = shown["messages"].as_array().unwrap();
    let kinds: Vec<&Value> = messages.iter().map(|message| &message["kind"]).collect();
    assert_eq!(kinds, ["invitation", "reminder", "reminder"]);
    assert_eq!(messages[1]["state"], "accepted");
    assert_eq!(shown["last_sent_at"], "2026-11-27T14:00:00Z");
    assert_eq!(shown["resend_count"], 0);
    assert_eq!(
        app.get(&batch).await.json,
        counts,
        "they are no part of what was sent"
    );
}

#[tokio::test]
async fn nine_stays_nine_when_clocks_change() {
    let app = TestApp::start().await;
    // Clocks go forward on 14 March 2027 in New York.
    app.clock.advance(Duration::days(108));
    reminding(&app, json!({})).await;
    let user = app
        .user(json!({"email": "ada@example.com", "time_zone": "America/New_York"}))
        .await;
    invited(&app, &user, json!({})).await;
    for (time, reminders) in [
        ("2027-03-12T14:00:00Z", 1),
        ("2027-03-13T13:30:00Z", 0),
        ("2027-03-13T14:00:00Z", 1),
        ("2027-03-14T12:59:59Z", 0),
        ("2027-03-14T13:00:00Z", 1),
        ("2027-03-15T13:00:00Z", 1),
    ] {
        assert_eq!(at(&app, time).await, reminders, "{time}");
    }
}

#[tokio::test]
async fn the_same_pin_while_it_lives_and_then_the_next() {
    let app = TestApp::start().await;
    reminding(&app, json!({})).await;
    app.set_default("registration", json!({"pin_lifetime_days": 2}))
        .await;
    let user = ada(&app).await;
    let id = invited(&app, &user, json!({})).await;
    let first = pin(&app, &id).await;
    assert_eq!(at(&app, "2026-11-24T09:00:00Z").await, 1);
    assert_eq!(pin(&app, &id).await, first);
    assert_eq!(
        invitation(&app, &id).await["pin_expires_at"],
        "2026-11-25T08:00:00Z",
        "a reminder does not make it live longer"
    );
    assert_eq!(at(&app, "2026-11-25T09:00:00Z").await, 1);
    let next = pin(&app, &id).await;
    assert_ne!(next, first);
    assert_eq!(
        invitation(&app, &id).await["pin_expires_at"],
        "2026-11-27T09:00:00Z"
    );
    let texts = mails(&app, text);
    assert!(texts[0].contains(&first) && texts[1].contains(&first));
    assert!(texts[2].contains(&next) && !texts[2].contains(&first));
    with_pin(&app, "ada", &first, "S")
        .await
        .is_problem(401, "invalid_credentials");
    let enrolled = with_pin(&app, "ada", &next, "S").await;
    assert_eq!(enrolled.status, StatusCode::CREATED, "{}", enrolled.text);
    assert_eq!(at(&app, "2026-11-26T09:00:00Z").await, 0, "completed");
}

#[tokio::test]
async fn every_method_has_its_reminder() {
    let app = TestApp::start().await;
    reminding(&app, json!({})).await;
    for method in ["pin", "password", "pin_and_password", "qr"] {
        let body =
            json!({"email": format!("{method}@example.com"), "password": "correct horse battery"});
        let user = app.user(body).await;
        invited(&app, &user, json!({"method": method})).await;
    }
    assert_eq!(at(&app, "2026-11-24T09:00:00Z").await, 4);
    let told = mails(&app, |mail| {
        let pictures = mail
            .parts()
            .filter(|part| part.ctype.mimetype == "image/png");
        (header("To")(mail).unwrap(), text(mail), pictures.count())
    });
    assert_eq!(told.len(), 8);
    for (to, text, pictures) in &told[4..] {
        assert!(text.contains("This is still to be done"), "{text}");
        assert_eq!(text.contains("Your PIN"), to.contains("pin"), "{text}");
        assert_eq!(*pictures, usize::from(to.contains("qr")), "{to}");
    }
}

#[tokio::test]
async fn any_number_of_instances_send_one() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    reminding(&app, json!({})).await;
    many(&app, 2_500).await;
    app.clock.advance(Duration::hours(25));
    let instances: Vec<Db> = (0..3).map(|_| Db::new(&app.db.url, 2)).collect();
    let sweeps = instances.iter().flat_map(|db| {
        [
            reminders::sweep(db, &app.clock),
            reminders::sweep(db, &app.clock),
        ]
    });
    let queued: usize = futures_util::future::join_all(sweeps)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert_eq!(queued, 2_500);
    let count = "SELECT count(*) FROM messages WHERE kind = 'reminder'";
    assert_eq!(app.db.number(count), 2_500);
    let once =
        "SELECT count(*) FROM invitations WHERE counter = 0 AND remind_at = '2026-11-25 09:00Z'";
    assert_eq!(app.db.number(once), 2_500, "the PIN's life had not begun");

    // Even if an instance knew nothing of the others, the index would.
    app.db.execute(
        "UPDATE messages SET state = 'accepted', created_at = created_at - interval '2 days';
         UPDATE invitations SET remind_at = 'epoch', pin_issued_at = created_at - interval '1 day'",
    );
    reminders::sweep(&app.worker.db, &app.clock).await.unwrap();
    assert_eq!(app.db.number(count), 2_500);
    assert_eq!(app.db.number(once), 2_500, "and no PIN is replaced for it");
}

#[tokio::test]
async fn many_days_asleep_are_one_reminder() {
    let app = TestApp::start().await;
    reminding(&app, json!({})).await;
    let user = ada(&app).await;
    invited(&app, &user, json!({})).await;
    assert_eq!(at(&app, "2026-11-27T20:00:00Z").await, 0, "not at night");
    assert_eq!(at(&app, "2026-11-28T10:30:00Z").await, 1, "late that day");
    assert_eq!(at(&app, "2026-11-28T10:31:00Z").await, 0);
    assert_eq!(at(&app, "2026-11-29T09:00:00Z").await, 1);
}

#[tokio::test]
async fn what_is_over_or_did_not_arrive_is_not_reminded_of() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    reminding(&app, json!({})).await;
    let names = [
        "completed",
        "revoked",
        "superseded",
        "expired",
        "disabled",
        "deleted",
        "unmailed",
        "refused",
        "deferred",
        "bounced",
        "addressless",
        "guessed",
        "alive",
    ];
    app.sink.on_rcpt(|rcpt| match rcpt {
        "refused@example.com" => Some("550 5.1.1 no such user".into()),
        "deferred@example.com" => Some("451 4.3.0 later".into()),
        _ => None,
    });
    let mut invitations = std::collections::HashMap::new();
    let mut users = std::collections::HashMap::new();
    for name in names {
        let user = app
            .user(json!({"username": name, "email": format!("{name}@example.com")}))
            .await;
        let more = match name {
            "unmailed" => json!({"delivery": "none"}),
            _ => json!({}),
        };
        invitations.insert(name, invited(&app, &user, more).await);
        users.insert(name, user);
    }
    let user = |name: &str| format!("/users/{}", users[name]);
    let completed = pin(&app, &invitations["completed"]).await;
    let enrolled = with_pin(&app, "completed", &completed, "S").await;
    assert_eq!(enrolled.status, StatusCode::CREATED);
    post(
        &app,
        &format!("/invitations/{}/revoke", invitations["revoked"]),
    )
    .await;
    let again = invited(&app, &users["superseded"], json!({"delivery": "none"})).await;
    app.send(Method::PATCH, &user("disabled"), json!({"enabled": false}))
        .await;
    app.send(Method::DELETE, &user("deleted"), json!({})).await;
    app.send(Method::PATCH, &user("addressless"), json!({"email": null}))
        .await;
    app.db.execute(&format!(
        "UPDATE messages SET state = 'bounced' WHERE invitation_id = '{}';
         UPDATE invitations SET pin_tries = 50 WHERE id = '{}';
         UPDATE invitations SET expires_at = '2026-11-24T09:00Z' WHERE id = '{}'",
        invitations["bounced"], invitations["guessed"], invitations["expired"],
    ));
    app.clock.advance(Duration::hours(25));
    let queued = reminders::sweep(&app.worker.db, &app.clock).await.unwrap();
    assert_eq!(queued, 1);
    for (name, id) in invitations.iter().chain([(&"superseded", &again)]) {
        let shown = invitation(&app, id).await;
        let reminders = shown["messages"].as_array().unwrap().iter();
        let reminders = reminders.filter(|message| message["kind"] == "reminder");
        assert_eq!(reminders.count(), usize::from(*name == "alive"), "{name}");
    }
}

#[tokio::test]
async fn who_enrolls_or_is_invited_anew_before_it_is_sent_gets_none() {
    let app = TestApp::start().await;
    reminding(&app, json!({})).await;
    let user = ada(&app).await;
    let id = invited(&app, &user, json!({"method": "pin"})).await;
    app.clock.advance(Duration::hours(25));
    assert_eq!(
        reminders::sweep(&app.worker.db, &app.clock).await.unwrap(),
        1
    );
    let next = pin(&app, &id).await;
    let enrolled = with_pin(&app, "ada", &next, "S").await;
    assert_eq!(enrolled.status, StatusCode::CREATED);
    app.worker.deliver_due().await.unwrap();
    let shown = invitation(&app, &id).await;
    assert_eq!(shown["messages"][1]["state"], "suppressed");
    assert_eq!(shown["messages"][1]["reason"], "completed");
    assert_eq!(app.sink.messages().len(), 1);
}

#[tokio::test]
async fn a_resend_begins_anew() {
    let app = TestApp::start().await;
    reminding(&app, json!({"every_days": 2})).await;
    app.set_default("registration", json!({"invitation_lifetime_days": 30}))
        .await;
    let user = ada(&app).await;
    let id = invited(&app, &user, json!({})).await;
    assert_eq!(at(&app, "2026-11-25T09:00:00Z").await, 1);
    // On the day of the next one it is resent, while that one waits.
    app.clock.advance(Duration::days(2));
    assert_eq!(
        reminders::sweep(&app.worker.db, &app.clock).await.unwrap(),
        1
    );
    post(&app, &format!("/invitations/{id}/resend")).await;
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    let shown = invitation(&app, &id).await;
    assert_eq!(shown["messages"][2]["kind"], "reminder");
    assert_eq!(shown["messages"][2]["reason"], "resent");
    assert_eq!(at(&app, "2026-11-28T09:00:00Z").await, 0);
    assert_eq!(at(&app, "2026-11-29T09:00:00Z").await, 1);
    // It belongs below what was resent.
    let (ids, below) = (
        mails(&app, header("Message-ID")),
        mails(&app, header("In-Reply-To")),
    );
    assert_eq!(below, [None, ids[0].clone(), None, ids[2].clone()]);
    let thread = format!("<{id}@example.com>");
    for references in mails(&app, header("References")) {
        assert!(references.unwrap().starts_with(&thread));
    }
}

#[tokio::test]
async fn thirty_and_thirty_more_after_a_resend() {
    let app = TestApp::start().await;
    reminding(&app, json!({})).await;
    let user = ada(&app).await;
    let id = invited(&app, &user, json!({"method": "qr"})).await;
    app.db
        .execute("UPDATE invitations SET expires_at = expires_at + interval '100 days'");
    let mut sent = 0;
    app.clock.advance(Duration::hours(1));
    for day in 1..=70 {
        app.clock.advance(Duration::days(1));
        sent += reminders::sweep(&app.worker.db, &app.clock).await.unwrap();
        app.worker.deliver_due().await.unwrap();
        if day == 35 {
            assert_eq!(sent, 30);
            post(&app, &format!("/invitations/{id}/resend")).await;
            app.worker.deliver_due().await.unwrap();
        }
    }
    assert_eq!(sent, 60);
}

#[tokio::test]
async fn the_setting_says_who_is_reminded_and_can_change_any_day() {
    let app = TestApp::start().await;
    let users = app.users(2).await;
    let group = app.post("/groups", json!({"name": "Sales"})).await.json["id"].clone();
    let members = format!("/groups/{}/members", group.as_str().unwrap());
    app.post(&members, json!({"add": [users[1]]})).await;
    for user in &users {
        invited(&app, user, json!({})).await;
    }
    assert_eq!(at(&app, "2026-11-24T09:00:00Z").await, 0, "off at first");
    app.clock.advance(Duration::hours(2));
    let custom = json!({"name": "Sales", "enabled": true, "every_days": 2, "distribution": {"group_ids": [group]}});
    let created = app.post("/settings/reminder", custom).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let custom = format!(
        "/settings/reminder/{}",
        created.json["id"].as_str().unwrap()
    );
    for (time, reminders) in [
        ("2026-11-24T11:01:00Z", 0),
        ("2026-11-25T09:00:00Z", 1),
        ("2026-11-26T09:00:00Z", 0),
        ("2026-11-27T09:00:00Z", 1),
    ] {
        assert_eq!(at(&app, time).await, reminders, "{time}");
    }
    let to = mails(&app, header("To"));
    assert!(to[2].as_ref().unwrap().contains("user2@example.com"));
    // Everybody, from the 28th to the 29th.
    let deleted = app.request(Method::DELETE, &custom).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    reminding(
        &app,
        json!({"start_at": "2026-11-28T09:00:00Z", "end_at": "2026-11-29T09:00:00Z"}),
    )
    .await;
    assert_eq!(at(&app, "2026-11-28T09:00:00Z").await, 2);
    assert_eq!(at(&app, "2026-11-29T09:00:00Z").await, 0);
    reminding(&app, json!({"end_at": null})).await;
    app.set_default("reminder", json!({"enabled": false})).await;
    assert_eq!(at(&app, "2026-11-30T07:59:00Z").await, 0);
}

#[tokio::test]
async fn a_reminder_that_is_refused_is_the_last_and_one_that_waits_is_alone() {
    let app = TestApp::start().await;
    reminding(&app, json!({})).await;
    let users = app.users(1).await;
    invited(&app, &users[0], json!({})).await;
    app.sink.next_replies(Stage::Mail, ["451 4.3.0 later"]);
    assert_eq!(at(&app, "2026-11-24T09:00:00Z").await, 1);
    app.clock.advance(Duration::hours(24));
    assert_eq!(
        reminders::sweep(&app.worker.db, &app.clock).await.unwrap(),
        0,
        "the last one waits"
    );
    app.sink
        .next_replies(Stage::Rcpt, ["550 5.1.1 no such user"]);
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    assert_eq!(
        at(&app, "2026-11-26T09:00:00Z").await,
        0,
        "refused for good"
    );
}

#[tokio::test]
async fn what_is_queued_wakes_delivery() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    reminding(&app, json!({})).await;
    many(&app, 1).await;
    app.clock.advance(Duration::hours(25));
    let bell = std::sync::Arc::new(tokio::sync::Notify::new());
    let _listener =
        enlist::outbox::listen::Listener::start(app.db.url.clone(), std::sync::Arc::clone(&bell))
            .unwrap();
    // A listener rings once when it begins to listen.
    bell.notified().await;
    reminders::sweep(&app.worker.db, &app.clock).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(5), bell.notified())
        .await
        .expect("rung");
}
