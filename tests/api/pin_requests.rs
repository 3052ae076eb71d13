//! `POST /enrollments/pin-requests`.

use std::time::Duration;

use chrono::Duration as Span;
use enlist::{
    enrollments::pin_requests::{Requested, request},
    invitations::plan::MailsADay,
    model::caller::Role,
};
use mailparse::{MailHeaderMap, parse_mail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    enrollments::{guest, invite, with_pin, wrong},
    support::app::{Answer, TestApp, api_key},
};

async fn ask(app: &TestApp, body: Value) -> Answer {
    let request = app
        .anonymous(Method::POST, "/enrollments/pin-requests")
        .json(&body);
    Answer::of(request.send().await.unwrap()).await
}

/// What a request comes to, without the way through the network.
fn asked(app: &TestApp, name: &str) -> Requested {
    asked_with(app, name, 20)
}

/// The same, where a user gets no more than so many mails a day.
pub fn asked_with(app: &TestApp, name: &str, most: u32) -> Requested {
    use diesel::Connection;
    let most = MailsADay(most.try_into().unwrap());
    app.db
        .connect()
        .transaction::<_, enlist::db::DbError, _>(|connection| {
            let registrations = &app.worker.registrations;
            request(connection, &app.clock, registrations, most, name)
        })
        .unwrap()
}

async fn pin(app: &TestApp, invitation: &str) -> String {
    let answer = app.get(&format!("/invitations/{invitation}/pin")).await;
    answer.json["pin"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", answer.text))
        .to_owned()
}

#[tokio::test]
async fn whoever_asks_for_whomever_is_told_the_same_and_the_user_gets_the_mail() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    guest(&app, "qr", json!({"method": "qr"})).await;
    app.user(json!({"username": "desk"})).await;
    let mut answers = Vec::new();
    for name in [
        "desk",
        "qr@example.com",
        "nobody@example.com",
        "ADA@example.com",
    ] {
        let answer = ask(&app, json!({"username": name})).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        assert_eq!(answer.header("cache-control"), "no-store");
        answers.push(answer.json);
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]));
    // Looked up after the answer.
    for _ in 0..200 {
        if app.db.number("SELECT count(*) FROM messages") > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    let messages = app.sink.messages();
    let mail = parse_mail(&messages[0].data).unwrap();
    assert!(
        mail.headers
            .get_first_value("To")
            .unwrap()
            .contains("ada@example.com")
    );
    let text = mail
        .parts()
        .find(|part| part.ctype.mimetype == "text/plain")
        .unwrap();
    assert!(
        text.get_body().unwrap().contains(&ada.pin),
        "the same PIN while it lives"
    );
    let shown = app
        .get(&format!("/invitations/{}", ada.invitation))
        .await
        .json;
    assert_eq!(shown["delivery"], "accepted");
    let batch = app
        .get(&format!("/batches/{}", shown["batch_id"].as_str().unwrap()))
        .await;
    assert_eq!(
        batch.json["counts"]["accepted"], 0,
        "it is no part of what was sent"
    );
}

#[tokio::test]
async fn a_request_is_checked_and_a_key_is_one_or_none() {
    let app = TestApp::start().await;
    for (body, pointer) in [
        (json!({}), "/username"),
        (json!({"username": "a", "email": "b"}), "/email"),
        (json!({"username": ""}), "/username"),
    ] {
        let answer = ask(&app, body).await;
        assert_eq!(
            answer.is_problem(422, "validation_failed").pointers(),
            [pointer]
        );
    }
    for (key, status) in [
        (api_key(&app.db, Role::Enroller), 202),
        (api_key(&app.db, Role::Reader), 403),
        ("nonsense".to_owned(), 401),
    ] {
        let request = app
            .anonymous(Method::POST, "/enrollments/pin-requests")
            .bearer_auth(key)
            .json(&json!({"username": "a"}));
        assert_eq!(request.send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn a_pin_that_has_expired_is_followed_by_the_next_one() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    for _ in 0..4 {
        with_pin(&app, "ada", &wrong(&ada.pin), "S")
            .await
            .is_problem(401, "invalid_credentials");
    }
    app.clock.advance(Span::days(1));
    with_pin(&app, "ada", &ada.pin, "S")
        .await
        .is_problem(410, "pin_expired");
    assert_eq!(asked(&app, "ada@example.com"), Requested::Queued);
    let next = pin(&app, &ada.invitation).await;
    assert_ne!(next, ada.pin);
    let path = format!("/invitations/{}", ada.invitation);
    assert_eq!(
        app.get(&path).await.json["pin_expires_at"],
        Value::Null,
        "its life begins with its mail"
    );
    app.clock.advance(Span::hours(5));
    app.worker.deliver_due().await.unwrap();
    assert_eq!(
        app.get(&path).await.json["pin_expires_at"],
        "2026-11-25T13:00:00Z"
    );
    // The old one is dead, and the wrong tries go on counting: this is the fifth.
    with_pin(&app, "ada", &ada.pin, "S")
        .await
        .is_problem(401, "invalid_credentials");
    with_pin(&app, "ada", &next, "S")
        .await
        .is_problem(429, "too_many_attempts");
    // Asking again does not open the lock.
    assert_eq!(asked(&app, "ada@example.com"), Requested::Queued);
    with_pin(&app, "ada", &next, "S")
        .await
        .is_problem(429, "too_many_attempts");
    app.worker.deliver_due().await.unwrap();
    app.clock.advance(Span::seconds(30));
    assert_eq!(
        with_pin(&app, "ada", &next, "S").await.status,
        StatusCode::CREATED
    );
    assert_eq!(asked(&app, "ada@example.com"), Requested::NothingToSend);
}

#[tokio::test]
async fn three_an_hour_and_ten_a_day() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    // A month, so that only the limits count.
    app.db.execute("UPDATE invitations SET expires_at = expires_at + interval '30 days', pin_lifetime_days = 30");
    let mut sent = Vec::new();
    for minute in 0..24 * 60 {
        let outcome = asked(&app, "ada@example.com");
        if outcome == Requested::Queued {
            sent.push(minute);
            assert_eq!(asked(&app, "ada@example.com"), Requested::OnItsWay);
            app.worker.deliver_due().await.unwrap();
        } else {
            assert_eq!(outcome, Requested::TooOften);
        }
        // Every minute of the first hours, then every quarter of an hour is enough to see.
        app.clock.advance(Span::minutes(1));
        if sent.len() == 10 {
            break;
        }
    }
    assert_eq!(sent, [0, 1, 2, 60, 61, 62, 120, 121, 122, 180]);
    app.clock.advance(Span::minutes(24 * 60 - 182));
    assert_eq!(asked(&app, "ada@example.com"), Requested::TooOften);
    app.clock.advance(Span::minutes(1));
    assert_eq!(asked(&app, "ada@example.com"), Requested::Queued);
    app.worker.deliver_due().await.unwrap();
    assert_eq!(app.sink.messages().len(), 11);
    let forget =
        |at| enlist::enrollments::pin_requests::forget_old(&mut app.db.connect(), at).unwrap();
    assert_eq!(forget(app.clock.now() + Span::hours(23)), 10);
    assert_eq!(pin(&app, &ada.invitation).await, ada.pin, "still the same");
}

#[tokio::test]
async fn many_who_ask_at_once_get_one_mail() {
    let app = TestApp::start().await;
    guest(&app, "ada", json!({})).await;
    let outcomes: Vec<Requested> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| asked(&app, "ada@example.com")))
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let queued = outcomes
        .iter()
        .filter(|outcome| **outcome == Requested::Queued);
    assert_eq!(queued.count(), 1, "{outcomes:?}");
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
}

#[tokio::test]
async fn nothing_is_sent_where_there_is_nothing_to_send() {
    let app = TestApp::start().await;
    let user = app.user(json!({"email": "ada@example.com"})).await;
    assert_eq!(
        asked(&app, "ada@example.com"),
        Requested::NothingToSend,
        "not invited"
    );
    invite(&app, &user, json!({})).await;
    // Guessed at too often: the next one would be dead, too.
    app.db.execute("UPDATE invitations SET pin_tries = 50");
    assert_eq!(asked(&app, "ada@example.com"), Requested::NothingToSend);
    app.db.execute("UPDATE invitations SET pin_tries = 49");
    app.clock.advance(Span::days(7));
    assert_eq!(
        asked(&app, "ada@example.com"),
        Requested::NothingToSend,
        "expired"
    );
    app.set_default("registration", json!({"allow_pin_request": false}))
        .await;
    invite(&app, &user, json!({})).await;
    assert_eq!(asked(&app, "ada@example.com"), Requested::NotAllowed);
    app.set_default("registration", json!({"allow_pin_request": true}))
        .await;
    assert_eq!(
        asked(&app, "ada@example.com"),
        Requested::NotAllowed,
        "what it was sent with stays"
    );
    app.send(
        Method::PATCH,
        &format!("/users/{user}"),
        json!({"enabled": false}),
    )
    .await;
    assert_eq!(
        asked(&app, "ada@example.com"),
        Requested::NothingToSend,
        "disabled"
    );
}

/// Whoever asks for one user's PIN again and again, while that user's invitation is held, keeps nobody else waiting.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_ask_for_a_pin_take_one_connection() {
    use diesel::connection::SimpleConnection;
    let app = TestApp::start().await;
    guest(&app, "ada", json!({})).await;
    let mut holder = app.db.connect();
    holder
        .batch_execute("BEGIN; SELECT FROM invitations FOR NO KEY UPDATE")
        .unwrap();
    for number in 0..200 {
        let name = ["ada@example.com", "ADA@example.com", "Ada@Example.com"][number % 3];
        let answer = ask(&app, json!({"username": name})).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    }
    let answer = app.get("/users").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let begun = std::time::Instant::now();
    while app.db.number(waiting) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(app.db.number(waiting), 1);
    holder.batch_execute("COMMIT").unwrap();
    // The one that waits, and the next, which finds the mail on its way.
    while app.db.number("SELECT count(*) FROM pin_requests") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    app.worker.deliver_due().await.unwrap();
    assert_eq!(app.sink.messages().len(), 1);
}
