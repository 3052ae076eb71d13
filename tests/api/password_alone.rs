//! Enrolling with the password alone, and how many devices somebody may hold.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    enrollments::{PASSWORD, device, enroll, guest, invite, with_pin},
    support::app::{Answer, TestApp},
};

async fn by_password(app: &TestApp, name: &str, serial: &str) -> Answer {
    let name = format!("{name}@example.com");
    enroll(
        app,
        json!({"username": name, "password": PASSWORD, "device": device(serial)}),
    )
    .await
}

#[tokio::test]
async fn a_password_enrolls_alone_where_the_setting_says_so_and_nothing_is_pending() {
    let app = TestApp::start().await;
    let user = app
        .user(json!({"email": "ada@example.com", "password": PASSWORD}))
        .await;
    by_password(&app, "ada", "S")
        .await
        .is_problem(401, "invalid_credentials");
    app.set_default(
        "registration",
        json!({"method": "password", "device_ownership": "user_owned"}),
    )
    .await;
    let first = by_password(&app, "ada", "S").await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    assert_eq!(first.json["invitation_id"], Value::Null);
    assert_eq!(first.json["method"], "password");
    assert_eq!(
        first.json["device_ownership"],
        json!({"requested": "user_owned", "effective": "user_owned", "reason": "setting"})
    );
    // A lost answer, then a wiped device a day later, then another one.
    let again = by_password(&app, "ada", "s").await;
    assert_eq!((again.status, &again.json), (StatusCode::OK, &first.json));
    app.clock.advance(chrono::Duration::hours(25));
    let wiped = by_password(&app, "ada", "S").await;
    assert_eq!(wiped.status, StatusCode::CREATED);
    assert_eq!(wiped.json["device"]["id"], first.json["device"]["id"]);
    assert_ne!(wiped.json["id"], first.json["id"]);
    assert_eq!(
        by_password(&app, "ada", "T").await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        app.get(&format!("/users/{user}")).await.json["device_count"],
        2
    );
    assert_eq!(
        app.get(&format!("/users/{user}")).await.json["invite_status"],
        "not_invited"
    );

    // While an invitation is pending, its method rules.
    let pending = invite(&app, &user, json!({"method": "pin"})).await;
    by_password(&app, "ada", "U")
        .await
        .is_problem(401, "invalid_credentials");
    assert_eq!(
        with_pin(&app, "ada", &pending.pin, "U").await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        by_password(&app, "ada", "V").await.status,
        StatusCode::CREATED
    );
    app.send(
        Method::PATCH,
        &format!("/users/{user}"),
        json!({"enabled": false}),
    )
    .await;
    by_password(&app, "ada", "W")
        .await
        .is_problem(403, "user_disabled");
}

#[tokio::test]
async fn an_invitation_by_password_is_used_once() {
    let app = TestApp::start().await;
    guest(&app, "ada", json!({"method": "password"})).await;
    let first = by_password(&app, "ada", "S").await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let again = by_password(&app, "ada", "S").await;
    assert_eq!((again.status, &again.json), (StatusCode::OK, &first.json));
    by_password(&app, "ada", "T")
        .await
        .is_problem(409, "already_used");
    guest(&app, "bob", json!({"method": "password"})).await;
    app.clock.advance(chrono::Duration::days(7));
    by_password(&app, "bob", "B")
        .await
        .is_problem(410, "invitation_expired");
}

#[tokio::test]
async fn a_user_holds_no_more_devices_than_allowed_however_many_ask_at_once() {
    let app = TestApp::start().await;
    app.user(json!({"email": "ada@example.com", "password": PASSWORD}))
        .await;
    app.set_default(
        "registration",
        json!({"method": "password", "device_limit": 2}),
    )
    .await;
    let serials: Vec<String> = (0..5).map(|number| format!("S{number}")).collect();
    let answers = join_all(
        serials
            .iter()
            .map(|serial| by_password(&app, "ada", serial)),
    )
    .await;
    let enrolled: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::CREATED)
        .collect();
    assert_eq!(enrolled.len(), 2);
    for answer in answers
        .iter()
        .filter(|answer| answer.status != StatusCode::CREATED)
    {
        answer.is_problem(409, "device_limit_reached");
    }
    // Of the same device at once there is one.
    let same = json!({"serial_number": enrolled[0].json["device"]["serial_number"]});
    let body = json!({"username": "ada@example.com", "password": PASSWORD, "device": same});
    app.clock.advance(chrono::Duration::hours(25));
    let answers = join_all((0..4).map(|_| enroll(&app, body.clone()))).await;
    assert!(answers.iter().all(|answer| answer.status.is_success()));
    assert_eq!(app.db.number("SELECT count(*) FROM devices"), 2);
    let id = enrolled[1].json["device"]["id"].as_str().unwrap();
    let retired = app
        .request(Method::DELETE, &format!("/devices/{id}"))
        .send()
        .await
        .unwrap();
    assert_eq!(retired.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        by_password(&app, "ada", "T").await.status,
        StatusCode::CREATED
    );
    by_password(&app, "ada", "U")
        .await
        .is_problem(409, "device_limit_reached");
}

#[tokio::test]
async fn one_device_that_asks_many_times_at_once_is_there_once() {
    let app = TestApp::start().await;
    app.user(json!({"email": "ada@example.com", "password": PASSWORD}))
        .await;
    app.set_default("registration", json!({"method": "password"}))
        .await;
    let answers = join_all((0..4).map(|_| by_password(&app, "ada", "S"))).await;
    let created = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(created.count(), 1);
    assert!(answers.iter().all(|answer| answer.json == answers[0].json));
    assert_eq!(
        app.db.number("SELECT max(device_count) FROM user_activity"),
        1
    );
}

/// The limit is the one that the invitation was sent with; the PIN stays good for when there is room. Nobody is
/// invited who has no room left, so the room is taken away after the invitation was sent.
#[tokio::test]
async fn a_limit_leaves_the_invitation_as_it_was() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let first = with_pin(&app, "ada", &ada.pin, "S").await;
    assert_eq!(first.status, StatusCode::CREATED);
    app.set_default("registration", json!({"device_limit": 1}))
        .await;
    app.db.execute("UPDATE user_activity SET device_count = 0");
    let second = invite(&app, &ada.user, json!({})).await;
    app.db.execute("UPDATE user_activity SET device_count = 1");
    app.set_default("registration", json!({"device_limit": null}))
        .await;
    with_pin(&app, "ada", &second.pin, "T")
        .await
        .is_problem(409, "device_limit_reached");
    let user = app.get(&format!("/users/{}", ada.user)).await.json;
    assert_eq!(
        (&user["invite_status"], &user["device_count"]),
        (&json!("pending"), &json!(1))
    );
    assert_eq!(app.db.number("SELECT sum(pin_tries) FROM invitations"), 0);
    // The same device again is none more.
    let again = with_pin(&app, "ada", &second.pin, "S").await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
}
