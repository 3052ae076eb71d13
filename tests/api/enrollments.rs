//! `POST /enrollments`: who enrolls what with which secret, and what is answered.

use enlist::model::caller::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp, api_key},
    log,
};

/// One user with a password, and an invitation: the user's id, the invitation's, and its PIN or token.
pub struct Guest {
    pub user: String,
    pub invitation: String,
    pub pin: String,
}

pub const PASSWORD: &str = "correct horse battery";

/// Invites a new user, issued without mailing.
pub async fn guest(app: &TestApp, name: &str, more: Value) -> Guest {
    let user = app
        .user(json!({"email": format!("{name}@example.com"), "password": PASSWORD}))
        .await;
    invite(app, &user, more).await
}

/// Invites a user again.
pub async fn invite(app: &TestApp, user: &str, more: Value) -> Guest {
    let mut body = json!({"user_ids": [user], "delivery": "none"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let sent = app.invite(body).await;
    let invitation = sent["results"][0]["invitation_id"]
        .as_str()
        .unwrap_or_else(|| panic!("{sent}"))
        .to_owned();
    let pin = app.get(&format!("/invitations/{invitation}/pin")).await;
    Guest {
        user: user.to_owned(),
        invitation,
        pin: pin.json["pin"].as_str().unwrap_or_default().to_owned(),
    }
}

/// The token behind an invitation's QR code.
pub fn token(invitation: &str) -> String {
    let keys = enlist::secrets::keys::KeyRing::parse(crate::support::app::KEYS).unwrap();
    enlist::secrets::token::mint(keys.signing(), invitation.parse().unwrap(), 0)
}

pub fn device(serial: &str) -> Value {
    json!({"serial_number": serial, "platform": "ios", "model": "iPhone 17", "os_version": "26.1"})
}

/// Enrolls without a key.
pub async fn enroll(app: &TestApp, body: Value) -> Answer {
    let request = app.anonymous(Method::POST, "/enrollments").json(&body);
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(
        answer.header("cache-control"),
        "no-store",
        "{}",
        answer.text
    );
    answer
}

/// Enrolls with a key.
pub async fn enroll_as(app: &TestApp, key: &str, body: Value) -> Answer {
    let request = app
        .anonymous(Method::POST, "/enrollments")
        .bearer_auth(key)
        .json(&body);
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(
        answer.header("cache-control"),
        "no-store",
        "{}",
        answer.text
    );
    answer
}

pub async fn with_pin(app: &TestApp, name: &str, pin: &str, serial: &str) -> Answer {
    let name = format!("{name}@example.com");
    enroll(
        app,
        json!({"username": name, "pin": pin, "device": device(serial)}),
    )
    .await
}

pub fn wrong(pin: &str) -> String {
    let first = if pin.starts_with('0') { '1' } else { '0' };
    format!("{first}{}", &pin[1..])
}

#[tokio::test]
async fn a_pin_enrolls_a_device() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({"device_ownership": "company_owned"})).await;
    app.clock.advance(chrono::Duration::minutes(5));
    let answer = with_pin(&app, "ADA", &ada.pin, " C02XK0aaJG5H ").await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let owner =
        json!({"requested": "company_owned", "effective": "company_owned", "reason": "setting"});
    let device = answer.json["device"].clone();
    assert_eq!(
        answer.json,
        json!({
            "id": answer.json["id"], "invitation_id": ada.invitation, "method": "pin",
            "user": {"id": ada.user, "username": "ada@example.com", "email": "ada@example.com", "display_name": "ada@example.com"},
            "device": {
                "id": device["id"], "user_id": ada.user, "serial_number": "C02XK0aaJG5H", "device_id": null, "platform": "ios",
                "model": "iPhone 17", "os_version": "26.1", "supervised": false, "user_enrollment": false,
                "device_ownership": owner, "enrolled_at": "2026-11-23T08:05:00Z", "updated_at": "2026-11-23T08:05:00Z",
                "retired_at": null,
            },
            "device_ownership": owner, "confirmation_email": false, "enrolled_at": "2026-11-23T08:05:00Z",
        })
    );
    let path = format!("/devices/{}", device["id"].as_str().unwrap());
    assert_eq!(app.get(&path).await.json, device);
    let user = app.get(&format!("/users/{}", ada.user)).await.json;
    assert_eq!(
        (&user["invite_status"], &user["device_count"]),
        (&json!("completed"), &json!(1))
    );
    assert_eq!(user["pin_status"], Value::Null);
    let invitation = app.get(&format!("/invitations/{}", ada.invitation)).await;
    assert_eq!(invitation.json["state"], "completed");
    app.get(&format!("/invitations/{}/pin", ada.invitation))
        .await
        .is_problem(409, "not_applicable");
    assert_eq!(app.db.number("SELECT count(*) FROM messages"), 0);
}

/// All 24 cells of PRODUCT §2, through the API.
#[tokio::test]
async fn the_table_of_ownership() {
    let app = TestApp::start().await;
    let key = api_key(&app.db, Role::Enroller);
    for method in ["pin", "password", "pin_and_password", "qr"] {
        for setting in ["undefined", "user_owned", "company_owned"] {
            for supervised in [true, false] {
                let name = format!("{method}-{setting}-{supervised}").replace('_', "-");
                let terms = json!({"method": method, "device_ownership": setting});
                let guest = guest(&app, &name, terms).await;
                let mut body = json!({"device": {"serial_number": name, "platform": "android", "supervised": supervised}});
                let fields = body.as_object_mut().unwrap();
                if method == "qr" {
                    fields.insert("token".into(), token(&guest.invitation).into());
                } else {
                    fields.insert("username".into(), format!("{name}@example.com").into());
                }
                if method.starts_with("pin") {
                    fields.insert("pin".into(), guest.pin.into());
                }
                if method.ends_with("password") {
                    fields.insert("password".into(), PASSWORD.into());
                }
                let answer = enroll_as(&app, &key, body).await;
                assert_eq!(
                    answer.status,
                    StatusCode::CREATED,
                    "{name}: {}",
                    answer.text
                );
                let (effective, reason) = match (supervised, method, setting) {
                    (true, ..) => ("company_owned", "supervised"),
                    (_, "qr", _) => ("undefined", "method_not_applicable"),
                    (_, _, "undefined") => ("undefined", "setting_off"),
                    (_, _, setting) => (setting, "setting"),
                };
                let expected =
                    json!({"requested": setting, "effective": effective, "reason": reason});
                assert_eq!(answer.json["device_ownership"], expected, "{name}");
                assert_eq!(
                    answer.json["device"]["device_ownership"], expected,
                    "{name}"
                );
                assert_eq!(answer.json["device"]["supervised"], supervised);
                assert_eq!(answer.json["method"], method);
                assert_eq!(answer.json["invitation_id"], guest.invitation);
            }
        }
    }
}

#[tokio::test]
async fn the_user_chooses_where_the_setting_is_user_owned_and_a_user_enrollment_is_the_users() {
    let app = TestApp::start().await;
    let key = api_key(&app.db, Role::Manager);
    for (number, (method, setting, choice, device, expected)) in [
        (
            "pin",
            "user_owned",
            "company_owned",
            json!({}),
            ("company_owned", "user_choice"),
        ),
        (
            "pin",
            "user_owned",
            "user_owned",
            json!({}),
            ("user_owned", "user_choice"),
        ),
        (
            "password",
            "user_owned",
            "company_owned",
            json!({}),
            ("company_owned", "user_choice"),
        ),
        (
            "pin",
            "company_owned",
            "user_owned",
            json!({}),
            ("company_owned", "setting"),
        ),
        (
            "pin",
            "undefined",
            "user_owned",
            json!({}),
            ("undefined", "setting_off"),
        ),
        (
            "qr",
            "user_owned",
            "company_owned",
            json!({}),
            ("undefined", "method_not_applicable"),
        ),
        (
            "pin",
            "user_owned",
            "user_owned",
            json!({"supervised": true}),
            ("company_owned", "supervised"),
        ),
        (
            "pin",
            "company_owned",
            "company_owned",
            json!({"user_enrollment": true}),
            ("user_owned", "user_enrollment"),
        ),
        (
            "qr",
            "company_owned",
            "company_owned",
            json!({"user_enrollment": true}),
            ("user_owned", "user_enrollment"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("user{number}");
        let guest = guest(
            &app,
            &name,
            json!({"method": method, "device_ownership": setting}),
        )
        .await;
        let mut reported = json!({"device_id": name});
        reported
            .as_object_mut()
            .unwrap()
            .extend(device.as_object().unwrap().clone());
        let mut body = json!({"owner_choice": choice, "device": reported});
        match method {
            "qr" => body["token"] = token(&guest.invitation).into(),
            "pin" => {
                body["username"] = format!("{name}@example.com").into();
                body["pin"] = guest.pin.into();
            }
            _ => {
                body["username"] = format!("{name}@example.com").into();
                body["password"] = PASSWORD.into();
            }
        }
        let answer = enroll_as(&app, &key, body).await;
        assert_eq!(
            answer.status,
            StatusCode::CREATED,
            "{number}: {}",
            answer.text
        );
        assert_eq!(
            answer.json["device_ownership"],
            json!({"requested": setting, "effective": expected.0, "reason": expected.1}),
            "{number}"
        );
    }
}

#[tokio::test]
async fn every_fault_of_a_request_is_named() {
    let app = TestApp::start().await;
    let serial = json!({"serial_number": "1"});
    for (body, pointers) in [
        (json!({}), vec!["/device"]),
        (json!({"device": {}}), vec!["/device", "/username"]),
        (json!({"device": serial}), vec!["/username"]),
        (json!({"pin": "1234", "device": serial}), vec!["/username"]),
        (json!({"username": "ada", "device": serial}), vec!["/pin"]),
        (
            json!({"token": "x", "pin": "1234", "device": serial}),
            vec!["/token"],
        ),
        (
            json!({"token": "x", "username": "ada", "device": serial}),
            vec!["/token"],
        ),
        (
            json!({"username": "ada", "device": {"supervised": true, "user_enrollment": true}}),
            vec![
                "/device",
                "/device/supervised",
                "/device/user_enrollment",
                "/pin",
            ],
        ),
        (
            json!({"username": "", "pin": 1234, "password": "", "token": "x".repeat(300), "owner_choice": "undefined", "invitation": 1,
                "device": {"serial_number": "", "device_id": "a\nb", "platform": "beos", "supervised": "yes", "imei": "1"}}),
            vec![
                "/device/device_id",
                "/device/imei",
                "/device/platform",
                "/device/serial_number",
                "/device/supervised",
                "/invitation",
                "/owner_choice",
                "/password",
                "/pin",
                "/token",
                "/username",
            ],
        ),
    ] {
        let answer = enroll(&app, body.clone()).await;
        answer.is_problem(422, "validation_failed");
        assert_eq!(answer.pointers(), pointers, "{body}");
    }
    let asked = app
        .anonymous(Method::POST, "/enrollments?dry_run=true")
        .json(&json!({}));
    let answer = Answer::of(asked.send().await.unwrap()).await;
    assert_eq!(
        answer.is_problem(422, "validation_failed").pointers(),
        ["/dry_run"]
    );
}

#[tokio::test]
async fn only_a_caller_with_a_key_says_what_a_device_is() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let body =
        |device: Value| json!({"username": "ada@example.com", "pin": ada.pin, "device": device});
    for claim in ["supervised", "user_enrollment"] {
        let answer = enroll(&app, body(json!({"device_id": "x", claim: true}))).await;
        answer.is_problem(422, "validation_failed");
        assert_eq!(answer.pointers(), [format!("/device/{claim}")]);
    }
    let claims = json!({"device_id": "x", "supervised": true});
    for role in [Role::Reader, Role::Provisioner] {
        let key = api_key(&app.db, role);
        enroll_as(&app, &key, body(claims.clone()))
            .await
            .is_problem(403, "forbidden");
    }
    for key in ["nonsense", &format!("enl_{}", "A".repeat(43)), ""] {
        let answer = enroll_as(&app, key, body(claims.clone())).await;
        answer.is_problem(401, "unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    let enroller = api_key(&app.db, Role::Enroller);
    for path in ["/users", "/devices", "/invitations"] {
        let asked = app.anonymous(Method::GET, path).bearer_auth(&enroller);
        Answer::of(asked.send().await.unwrap())
            .await
            .is_problem(403, "forbidden");
    }
    let denied = body(json!({"device_id": "x", "supervised": false, "user_enrollment": false}));
    assert_eq!(enroll(&app, denied).await.status, StatusCode::CREATED);
    for (number, role) in [Role::Enroller, Role::Manager, Role::Admin]
        .into_iter()
        .enumerate()
    {
        let name = format!("user{number}");
        let guest = guest(&app, &name, json!({})).await;
        let body = json!({"username": format!("{name}@example.com"), "pin": guest.pin,
            "device": {"device_id": name, "supervised": true}});
        let answer = enroll_as(&app, &api_key(&app.db, role), body).await;
        assert_eq!(
            answer.status,
            StatusCode::CREATED,
            "{role}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn methods_take_what_they_ask_for() {
    let app = TestApp::start().await;
    for method in ["pin", "password", "pin_and_password", "qr"] {
        let name = method.replace('_', "-");
        let guest = guest(&app, &name, json!({"method": method})).await;
        let username = format!("{name}@example.com");
        let pin = if guest.pin.is_empty() {
            "12345678".to_owned()
        } else {
            guest.pin.clone()
        };
        let typed = |pin: Option<&str>, password: Option<&str>| json!({"username": username, "pin": pin, "password": password, "device": device(&name)});
        let not_enough = match method {
            "pin" => vec![
                typed(None, Some(PASSWORD)),
                typed(Some(&wrong(&pin)), Some(PASSWORD)),
            ],
            "password" => vec![
                typed(Some(&pin), None),
                typed(Some(&pin), Some("wrong horse")),
            ],
            "pin_and_password" => vec![
                typed(Some(&pin), None),
                typed(None, Some(PASSWORD)),
                typed(Some(&pin), Some("wrong horse")),
                typed(Some(&wrong(&pin)), Some(PASSWORD)),
            ],
            _ => vec![typed(Some(&pin), Some(PASSWORD))],
        };
        for body in not_enough {
            enroll(&app, body)
                .await
                .is_problem(401, "invalid_credentials");
        }
        // A token of an invitation that enrolls otherwise is no way around its method.
        let by_token = json!({"token": token(&guest.invitation), "device": device(&name)});
        let answer = enroll(&app, by_token).await;
        if method == "qr" {
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
            continue;
        }
        answer.is_problem(401, "invalid_credentials");
        // A form may have a field for everything: what is not asked for is not looked at.
        let answer = match method {
            "pin" => enroll(&app, typed(Some(&pin), Some("whatever"))).await,
            _ => enroll(&app, typed(Some(&pin), Some(PASSWORD))).await,
        };
        assert_eq!(
            answer.status,
            StatusCode::CREATED,
            "{method}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn a_pin_may_be_typed_as_people_type() {
    let app = TestApp::start().await;
    for (name, spaced) in [("plain", ""), ("spaces", " "), ("hyphens", "-")] {
        let guest = guest(&app, name, json!({})).await;
        let typed = format!(" {}{spaced}{} ", &guest.pin[..4], &guest.pin[4..]);
        let answer = with_pin(&app, name, &typed, name).await;
        assert_eq!(
            answer.status,
            StatusCode::CREATED,
            "{typed}: {}",
            answer.text
        );
    }
    let wide = guest(&app, "wide", json!({})).await;
    let typed: String = wide
        .pin
        .chars()
        .map(|c| char::from_u32(c as u32 + 0xFEE0).unwrap())
        .collect();
    assert_eq!(
        with_pin(&app, "wide", &typed, "wide").await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn what_is_wrong_looks_the_same() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    guest(&app, "qr", json!({"method": "qr"})).await;
    app.user(json!({"email": "nobody-invited@example.com"}))
        .await;
    let revoked = guest(&app, "revoked", json!({})).await;
    app.db.execute(&format!(
        "UPDATE invitations SET state = 'revoked', ended_at = created_at WHERE id = '{}'",
        revoked.invitation
    ));
    let superseded = guest(&app, "superseded", json!({})).await;
    let newer = invite(&app, &superseded.user, json!({})).await;
    assert_ne!(superseded.pin, newer.pin);
    let other_token = guest(&app, "token", json!({"method": "qr"})).await;
    let old_token = token(&other_token.invitation);
    app.db.execute(&format!(
        "UPDATE invitations SET counter = 1 WHERE id = '{}'",
        other_token.invitation
    ));
    let mut answers = Vec::new();
    for body in [
        json!({"username": "ada@example.com", "pin": wrong(&ada.pin)}),
        json!({"username": "ada@example.com", "pin": "0000"}),
        json!({"username": "ada@example.com", "pin": &ada.pin[..7]}),
        json!({"username": "ada@example.com", "password": PASSWORD}),
        json!({"username": "ada@example.com", "password": "wrong horse"}),
        json!({"username": "unknown@example.com", "pin": ada.pin}),
        json!({"username": "unknown@example.com", "password": PASSWORD}),
        json!({"username": "unknown@example.com", "pin": ada.pin, "password": PASSWORD}),
        json!({"username": "nobody-invited@example.com", "pin": ada.pin}),
        json!({"username": "nobody-invited@example.com", "password": PASSWORD}),
        json!({"username": "qr@example.com", "pin": "00000000"}),
        json!({"username": "revoked@example.com", "pin": revoked.pin}),
        json!({"username": "superseded@example.com", "pin": superseded.pin}),
        json!({"token": enlist::secrets::token::SAMPLE}),
        json!({"token": "x"}),
        json!({"token": old_token}),
        json!({"token": token(&uuid::Uuid::nil().to_string())}),
    ] {
        let mut body = body;
        body["device"] = device("1");
        let answer = enroll(&app, body.clone()).await;
        answer.is_problem(401, "invalid_credentials");
        let mut problem = answer.json.clone();
        problem["request_id"] = Value::Null;
        let mut names: Vec<String> = answer.headers.keys().map(|name| name.to_string()).collect();
        names.sort();
        answers.push((problem, names));
    }
    assert!(
        answers.windows(2).all(|two| two[0] == two[1]),
        "{answers:?}"
    );
    assert_eq!(app.db.number("SELECT count(*) FROM devices"), 0);
    // The secrets are as good as before.
    assert_eq!(
        with_pin(&app, "superseded", &newer.pin, "2").await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        with_pin(&app, "ada", &ada.pin, "1").await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_lost_answer_is_given_again_for_a_day() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let serials = json!({"serial_number": "S1", "device_id": "D1", "platform": "macos"});
    let ask =
        |device: Value| json!({"username": "ada@example.com", "pin": ada.pin, "device": device});
    let first = enroll(&app, ask(serials.clone())).await;
    assert_eq!(first.status, StatusCode::CREATED);
    for again in [
        serials.clone(),
        json!({"serial_number": "s1"}),
        json!({"device_id": "D1"}),
    ] {
        let answer = enroll(&app, ask(again)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json, first.json);
    }
    for other in [
        json!({"serial_number": "S2"}),
        json!({"device_id": "d1"}),
        json!({"serial_number": "S1", "device_id": "D2"}),
    ] {
        enroll(&app, ask(other))
            .await
            .is_problem(409, "already_used");
    }
    let bad = json!({"username": "ada@example.com", "pin": wrong(&ada.pin), "device": serials});
    enroll(&app, bad)
        .await
        .is_problem(401, "invalid_credentials");
    assert_eq!(
        app.db.number("SELECT pin_tries FROM invitations"),
        1,
        "right ones do not count"
    );

    // The PIN's life of a day is over as well; with a new invitation the old answer is still there.
    app.clock.advance(chrono::Duration::hours(23));
    let newer = invite(&app, &ada.user, json!({})).await;
    let again = enroll(&app, ask(serials.clone())).await;
    assert_eq!((again.status, &again.json), (StatusCode::OK, &first.json));
    app.clock.advance(chrono::Duration::minutes(60));
    assert_eq!(
        enroll(&app, ask(serials.clone())).await.status,
        StatusCode::OK
    );
    app.clock.advance(chrono::Duration::seconds(1));
    enroll(&app, ask(serials.clone()))
        .await
        .is_problem(401, "invalid_credentials");
    assert_eq!(
        with_pin(&app, "ada", &newer.pin, "S1").await.status,
        StatusCode::CREATED
    );
    app.clock.advance(chrono::Duration::hours(25));
    with_pin(&app, "ada", &newer.pin, "S1")
        .await
        .is_problem(409, "already_used");
    assert_eq!(app.db.number("SELECT count(*) FROM devices"), 1);

    let qr = guest(&app, "qr", json!({"method": "qr"})).await;
    let by_token = |serial: &str| json!({"token": token(&qr.invitation), "device": device(serial)});
    assert_eq!(
        enroll(&app, by_token("Q")).await.status,
        StatusCode::CREATED
    );
    assert_eq!(enroll(&app, by_token("Q")).await.status, StatusCode::OK);
    enroll(&app, by_token("R"))
        .await
        .is_problem(409, "already_used");
}

#[tokio::test]
async fn what_came_too_late_is_told_to_those_with_the_right_secret() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let qr = guest(&app, "qr", json!({"method": "qr"})).await;
    let by_token = json!({"token": token(&qr.invitation), "device": device("Q")});
    app.clock.advance(chrono::Duration::days(1));
    for _ in 0..7 {
        let late = with_pin(&app, "ada", &ada.pin, "1").await;
        late.is_problem(410, "pin_expired");
        assert!(
            late.json["detail"]
                .as_str()
                .unwrap()
                .contains("pin-requests")
        );
    }
    with_pin(&app, "ada", &wrong(&ada.pin), "1")
        .await
        .is_problem(401, "invalid_credentials");
    app.clock.advance(chrono::Duration::days(6));
    with_pin(&app, "ada", &ada.pin, "1")
        .await
        .is_problem(410, "invitation_expired");
    enroll(&app, by_token)
        .await
        .is_problem(410, "invitation_expired");
    assert_eq!(app.db.number("SELECT count(*) FROM devices"), 0);
}

#[tokio::test]
async fn a_disabled_user_enrolls_nothing() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let path = format!("/users/{}", ada.user);
    app.send(Method::PATCH, &path, json!({"enabled": false}))
        .await;
    with_pin(&app, "ada", &ada.pin, "1")
        .await
        .is_problem(403, "user_disabled");
    with_pin(&app, "ada", &wrong(&ada.pin), "1")
        .await
        .is_problem(401, "invalid_credentials");
    app.send(Method::PATCH, &path, json!({"enabled": true}))
        .await;
    // The invitation was revoked, and stays so.
    with_pin(&app, "ada", &ada.pin, "1")
        .await
        .is_problem(401, "invalid_credentials");
    let again = invite(&app, &ada.user, json!({})).await;
    assert_eq!(
        with_pin(&app, "ada", &again.pin, "1").await.status,
        StatusCode::CREATED
    );
    app.send(Method::PATCH, &path, json!({"enabled": false}))
        .await;
    with_pin(&app, "ada", &again.pin, "1")
        .await
        .is_problem(403, "user_disabled");
}

#[tokio::test]
async fn nothing_that_was_shown_stands_in_the_log() {
    log::capture();
    let app = TestApp::start().await;
    app.set_default("confirmation", json!({"enabled": true}))
        .await;
    let password = "a password that nobody else has";
    let pin = guest(&app, "logged-pin", json!({})).await;
    let both = app
        .user(json!({"email": "logged-both@example.com", "password": password}))
        .await;
    let both = invite(&app, &both, json!({"method": "pin_and_password"})).await;
    let qr = guest(&app, "logged-qr", json!({"method": "qr"})).await;
    let token = token(&qr.invitation);
    let forged = format!("{token}x");
    for (proof, status) in [
        (
            json!({"username": "logged-pin@example.com", "pin": "wrong-logged-pin"}),
            422,
        ),
        (
            json!({"username": "logged-pin@example.com", "pin": pin.pin}),
            201,
        ),
        (
            json!({"username": "logged-both@example.com", "pin": both.pin, "password": "wrong-logged-password"}),
            401,
        ),
        (
            json!({"username": "logged-both@example.com", "pin": both.pin, "password": password}),
            201,
        ),
        (json!({"username": "logged-nobody", "pin": both.pin}), 401),
        (json!({"token": forged}), 401),
        (json!({"token": token}), 201),
        (
            json!({"token": token, "username": "logged-name", "pin": ["logged-array"]}),
            422,
        ),
    ] {
        let mut body = proof;
        body["device"] = device(&format!("S{}", body.to_string().len()));
        let answer = enroll(&app, body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    app.worker.deliver_due().await.unwrap();
    let logged = log::captured();
    assert!(
        logged.matches("a device was enrolled").count() >= 3,
        "{logged}"
    );
    assert!(logged.contains("invalid_credentials"));
    for secret in [
        &pin.pin,
        &both.pin,
        password,
        &token,
        "wrong-logged",
        "logged-nobody",
        "logged-array",
        "logged-pin@",
    ] {
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
}

/// What a caller with a key said of a device that is held stays until such a caller says something else.
#[tokio::test]
async fn nobody_without_a_key_takes_back_what_a_device_is() {
    let app = TestApp::start().await;
    let key = api_key(&app.db, Role::Enroller);
    let company = ("company_owned", "supervised");
    let own = ("user_owned", "user_enrollment");
    let chosen = ("user_owned", "user_choice");
    let no = json!({"supervised": false, "user_enrollment": false});
    for (number, (first, with_key, second, supervised, expected)) in [
        (json!({"supervised": true}), false, json!({}), true, company),
        (
            json!({"supervised": true}),
            false,
            no.clone(),
            true,
            company,
        ),
        (
            json!({"user_enrollment": true}),
            false,
            no.clone(),
            false,
            own,
        ),
        (json!({"supervised": true}), true, json!({}), true, company),
        (json!({"supervised": true}), true, no, false, chosen),
        // One is not the other: what is said last holds.
        (
            json!({"user_enrollment": true}),
            true,
            json!({"supervised": true}),
            true,
            company,
        ),
        (
            json!({"supervised": true}),
            true,
            json!({"user_enrollment": true}),
            false,
            own,
        ),
        (json!({}), false, json!({}), false, chosen),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("user{number}");
        let terms = json!({"device_ownership": "user_owned"});
        let first_time = guest(&app, &name, terms.clone()).await;
        let ask = |pin: &str, facts: &Value| {
            let mut device = device(&name);
            let fields = device.as_object_mut().unwrap();
            fields.extend(facts.as_object().unwrap().clone());
            json!({"username": format!("{name}@example.com"), "pin": pin, "owner_choice": "user_owned", "device": device})
        };
        let taken = enroll_as(&app, &key, ask(&first_time.pin, &first)).await;
        assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.text);
        let again = invite(&app, &first_time.user, terms).await;
        let body = ask(&again.pin, &second);
        let taken = if with_key {
            enroll_as(&app, &key, body).await
        } else {
            enroll(&app, body).await
        };
        assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.text);
        let device = &taken.json["device"];
        assert_eq!(device["supervised"], supervised, "{number}: {device}");
        let owner =
            json!({"requested": "user_owned", "effective": expected.0, "reason": expected.1});
        assert_eq!(taken.json["device_ownership"], owner, "{number}");
        assert_eq!(device["device_ownership"], owner, "{number}");
        let path = format!("/devices/{}", device["id"].as_str().unwrap());
        assert_eq!(&app.get(&path).await.json, device);
    }
}
