//! Secrets are guessed at, by many at once: what is looked at, what is locked, and what that tells.

use std::collections::BTreeMap;

use chrono::Duration;
use enlist::model::caller::Role;
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    enrollments::{PASSWORD, device, enroll, enroll_as, guest, invite, token, with_pin, wrong},
    support::app::{Answer, Setup, TestApp, api_key, rates},
};

fn statuses(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counted = BTreeMap::new();
    for answer in answers {
        *counted.entry(answer.status.as_u16()).or_default() += 1;
    }
    counted
}

#[tokio::test]
async fn of_many_devices_with_one_pin_one_enrolls() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let answers = join_all((0..24).map(|number| {
        let (app, pin) = (&app, &ada.pin);
        async move { with_pin(app, "ada", pin, &format!("S{number}")).await }
    }))
    .await;
    assert_eq!(statuses(&answers), [(201, 1), (409, 23)].into());
    for answer in answers
        .iter()
        .filter(|answer| answer.status == StatusCode::CONFLICT)
    {
        answer.is_problem(409, "already_used");
    }
    for table in ["devices", "enrollments"] {
        assert_eq!(app.db.number(&format!("SELECT count(*) FROM {table}")), 1);
    }
    assert_eq!(
        app.db.number("SELECT max(device_count) FROM user_activity"),
        1
    );
    assert_eq!(app.db.number("SELECT pin_tries FROM invitations"), 0);
}

#[tokio::test]
async fn of_many_devices_with_one_code_one_enrolls() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({"method": "qr"})).await;
    let answers = join_all((0..24).map(|number| {
        let body =
            json!({"token": token(&ada.invitation), "device": device(&format!("S{number}"))});
        enroll(&app, body)
    }))
    .await;
    assert_eq!(statuses(&answers), [(201, 1), (409, 23)].into());
}

#[tokio::test]
async fn one_device_with_one_pin_is_one_enrollment_however_often_it_asks() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let answers = join_all((0..24).map(|_| with_pin(&app, "ada", &ada.pin, "S"))).await;
    assert_eq!(statuses(&answers), [(200, 23), (201, 1)].into());
    assert!(answers.iter().all(|answer| answer.json == answers[0].json));
}

#[tokio::test]
async fn one_device_that_many_users_enroll_is_one_users() {
    let app = TestApp::start().await;
    let mut guests = Vec::new();
    for number in 0..12 {
        guests.push(guest(&app, &format!("user{number}"), json!({})).await);
    }
    let answers = join_all(guests.iter().enumerate().map(|(number, guest)| {
        let app = &app;
        async move { with_pin(app, &format!("user{number}"), &guest.pin, "S").await }
    }))
    .await;
    assert_eq!(statuses(&answers), [(201, 1), (409, 11)].into());
    for answer in answers
        .iter()
        .filter(|answer| answer.status == StatusCode::CONFLICT)
    {
        answer.is_problem(409, "device_enrolled_elsewhere");
    }
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM invitations WHERE state = 'pending'"),
        11
    );
    assert_eq!(app.db.number("SELECT sum(pin_tries) FROM invitations"), 0);
}

#[tokio::test]
async fn of_thirty_guesses_at_once_five_are_looked_at() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let bad = wrong(&ada.pin);
    let answers = join_all((0..30).map(|_| with_pin(&app, "ada", &bad, "S"))).await;
    assert_eq!(statuses(&answers), [(401, 5), (429, 25)].into());
    for answer in answers.iter().filter(|answer| answer.status == 429) {
        answer.is_problem(429, "too_many_attempts");
        assert_eq!(answer.header("retry-after"), "30");
    }
    assert_eq!(app.db.number("SELECT pin_tries FROM invitations"), 5);
    let user = app.get(&format!("/users/{}", ada.user)).await.json;
    assert_eq!(user["pin_status"], "locked");
    // The right one is refused, too; a caller with a key is no better off; and nothing is counted meanwhile.
    with_pin(&app, "ada", &ada.pin, "S")
        .await
        .is_problem(429, "too_many_attempts");
    let key = api_key(&app.db, Role::Admin);
    let body = json!({"username": "ada@example.com", "pin": ada.pin, "device": device("S")});
    enroll_as(&app, &key, body)
        .await
        .is_problem(429, "too_many_attempts");
    app.clock.advance(Duration::milliseconds(29_001));
    let refused = with_pin(&app, "ada", &ada.pin, "S").await;
    assert_eq!(refused.header("retry-after"), "1");
    app.clock.advance(Duration::milliseconds(999));
    assert_eq!(
        with_pin(&app, "ada", &ada.pin, "S").await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn of_thirty_passwords_at_once_five_are_looked_at_for_each_name() {
    let app = TestApp::start().await;
    guest(&app, "ada", json!({"method": "password"})).await;
    let ask = |name: &str, password: &str| json!({"username": name, "password": password, "device": device("S")});
    // By two names: each counts for itself, as two names of nobody would.
    let ada = app.get("/users?q=ada").await.json["data"][0]["id"].clone();
    let path = format!("/users/{}", ada.as_str().unwrap());
    app.send(Method::PATCH, &path, json!({"username": "ada"}))
        .await;
    let answers = join_all((0..30).map(|number| {
        let name = if number % 2 == 0 {
            "ada"
        } else {
            "ada@example.com"
        };
        enroll(&app, ask(name, "wrong horse"))
    }))
    .await;
    assert_eq!(statuses(&answers), [(401, 10), (429, 20)].into());
    enroll(&app, ask("ada", PASSWORD))
        .await
        .is_problem(429, "too_many_attempts");
    app.clock.advance(Duration::seconds(30));
    assert_eq!(
        enroll(&app, ask("ada", PASSWORD)).await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        app.db.number("SELECT sum(tries) FROM guesses"),
        10,
        "a right one is no try, and is not seen by whoever guesses"
    );
}

/// Rounds of five, each followed by a pause twice as long, until no PIN is right any more: the same for whoever is there
/// and whoever is not.
#[tokio::test]
async fn pauses_double_and_the_pin_ends() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    // An invitation of a month, so that it outlives the guessing.
    app.db.execute("UPDATE invitations SET expires_at = expires_at + interval '30 days', pin_lifetime_days = 30");
    let bad = wrong(&ada.pin);
    for name in ["ada", "nobody"] {
        for round in 0..10 {
            for _ in 0..5 {
                with_pin(&app, name, &bad, "S")
                    .await
                    .is_problem(401, "invalid_credentials");
            }
            let refused = with_pin(&app, name, &bad, "S").await;
            refused.is_problem(429, "too_many_attempts");
            let pause = [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600][round];
            assert_eq!(
                refused.header("retry-after"),
                pause.to_string(),
                "{name} {round}"
            );
            app.clock.advance(Duration::seconds(pause - 1));
            with_pin(&app, name, &bad, "S")
                .await
                .is_problem(429, "too_many_attempts");
            app.clock.advance(Duration::seconds(1));
        }
        // It ends without a word.
        for pin in [&bad, &ada.pin] {
            with_pin(&app, name, pin, "S")
                .await
                .is_problem(401, "invalid_credentials");
        }
    }
    assert_eq!(app.db.number("SELECT pin_tries FROM invitations"), 50);
    app.clock.advance(Duration::days(1));
    let user = app.get(&format!("/users/{}", ada.user)).await.json;
    assert_eq!(user["pin_status"], "locked");
    app.get(&format!("/invitations/{}/pin", ada.invitation))
        .await
        .is_problem(409, "not_applicable");
    let pins = app
        .post("/invitations/pins", json!({"user_ids": [ada.user]}))
        .await;
    assert_eq!(pins.json["skipped"][0]["reason"], "no_pending_pin");
    with_pin(&app, "ada", &ada.pin, "S")
        .await
        .is_problem(401, "invalid_credentials");
    let again = invite(&app, &ada.user, json!({})).await;
    assert_eq!(
        with_pin(&app, "ada", &again.pin, "S").await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_short_pin_ends_sooner() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    app.db.execute("UPDATE invitations SET pin_length = 4");
    let pin = app
        .get(&format!("/invitations/{}/pin", ada.invitation))
        .await
        .json["pin"]
        .clone();
    let wrong = if pin == "0000" { "0001" } else { "0000" };
    for round in 0..2 {
        for _ in 0..5 {
            with_pin(&app, "ada", wrong, "S")
                .await
                .is_problem(401, "invalid_credentials");
        }
        app.clock.advance(Duration::seconds(30 << round));
    }
    assert_eq!(pin.as_str().unwrap().len(), 4);
    with_pin(&app, "ada", pin.as_str().unwrap(), "S")
        .await
        .is_problem(401, "invalid_credentials");
}

/// Whoever asks learns nothing from when the lock comes: not even whether there is such a user.
#[tokio::test]
async fn every_name_locks_alike() {
    let app = TestApp::start().await;
    guest(&app, "pin", json!({})).await;
    guest(&app, "password", json!({"method": "password"})).await;
    guest(&app, "both", json!({"method": "pin_and_password"})).await;
    guest(&app, "qr", json!({"method": "qr"})).await;
    app.user(json!({"email": "idle@example.com"})).await;
    for proof in [
        json!({"pin": "0000"}),
        json!({"password": "wrong horse"}),
        json!({"pin": "0000", "password": "wrong horse"}),
    ] {
        let mut seen = Vec::new();
        for name in ["pin", "password", "both", "qr", "idle", "Nobody"] {
            let mut body = proof.clone();
            body["username"] = format!("{name}@example.com").into();
            body["device"] = device("S");
            let mut codes = Vec::new();
            for _ in 0..7 {
                let answer = enroll(&app, body.clone()).await;
                codes.push((
                    answer.status,
                    answer.header("retry-after").to_owned(),
                    answer.json["detail"].clone(),
                ));
            }
            seen.push(codes);
        }
        assert_eq!(seen[0][4].0, 401);
        assert_eq!(seen[0][5].0, 429);
        assert!(
            seen.windows(2).all(|two| two[0] == two[1]),
            "{proof} {seen:?}"
        );
        app.clock.advance(Duration::minutes(1));
        app.db.execute(
            "DELETE FROM guesses; UPDATE invitations SET pin_tries = 0, pin_locked_until = NULL",
        );
    }
}

/// All of an answer that a client can look at, but for what belongs to the request: its time and its id, and what is left of
/// the address's allowance.
fn seen(answer: &Answer) -> String {
    let own = ["date", "x-request-id", "ratelimit"];
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()));
    let mut body = answer.json.clone();
    body["request_id"] = json!(null);
    format!("{} {:?} {body}", answer.status, headers.collect::<Vec<_>>())
}

/// Aliases, strangers, a short PIN, one that is used up, a user who enrolls meanwhile, and a day later: whoever asks sees one
/// sequence.
#[tokio::test]
async fn nothing_that_is_asked_tells_who_is_there() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let path = format!("/users/{}", ada.user);
    app.send(Method::PATCH, &path, json!({"username": "ada"}))
        .await;
    let short = guest(&app, "short", json!({})).await;
    let used_up = guest(&app, "used", json!({})).await;
    guest(&app, "word", json!({"method": "password"})).await;
    app.db.execute(&format!(
        "UPDATE invitations SET pin_length = 4 WHERE user_id = '{}';
         UPDATE invitations SET pin_tries = 50 WHERE user_id = '{}'",
        short.user, used_up.user
    ));
    let names = [
        "nobody",
        "nobody@example.com",
        "ada",
        "ADA@Example.COM",
        "short@example.com",
        "used@example.com",
        "word@example.com",
    ];
    let bad = json!({"pin": "0000"});
    let wrong_word = json!({"password": "wrong horse"});
    let ask = async |name: &str, proof: &serde_json::Value| {
        let mut body = proof.clone();
        body["username"] = name.into();
        body["device"] = device("S");
        enroll(&app, body).await
    };
    let all_alike = async |proof: &serde_json::Value, times: usize| {
        let mut statuses = Vec::new();
        for _ in 0..times {
            let mut answers = Vec::new();
            for name in names {
                answers.push(ask(name, proof).await);
            }
            for (answer, name) in answers.iter().zip(names) {
                assert_eq!(seen(answer), seen(&answers[0]), "{name}");
            }
            statuses.push(answers[0].status.as_u16());
        }
        statuses
    };
    for proof in [&bad, &wrong_word] {
        assert_eq!(all_alike(proof, 3).await, [401; 3]);
    }
    // Ada enrolls by both names, with both secrets: what others have counted for the names stays.
    for (name, proof) in [
        ("ada", json!({"pin": ada.pin})),
        (
            "ada@example.com",
            json!({"pin": ada.pin, "password": PASSWORD}),
        ),
    ] {
        assert!(ask(name, &proof).await.status.is_success());
    }
    // Nobody's PIN is asked for again as well.
    for name in names {
        let request = app
            .anonymous(Method::POST, "/enrollments/pin-requests")
            .json(&json!({"username": name}));
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    for proof in [&bad, &wrong_word] {
        assert_eq!(all_alike(proof, 3).await, [401, 401, 429]);
    }
    // Beyond the end of a short PIN.
    for pause in [30, 60, 120] {
        app.clock.advance(Duration::seconds(pause));
        for proof in [&bad, &wrong_word] {
            assert_eq!(all_alike(proof, 6).await, [401, 401, 401, 401, 401, 429]);
        }
    }
    // A day later, and after another the count is forgotten.
    for _ in 0..2 {
        app.clock.advance(Duration::hours(24));
        enlist::retention::sweep(&app.worker.db, &app.clock)
            .await
            .unwrap();
        let keep = enlist::retention::Keep {
            messages: None,
            invitations: None,
            audit: None,
        };
        enlist::retention::forget(&app.worker.db, &app.clock, keep)
            .await
            .unwrap();
        for proof in [&bad, &wrong_word] {
            assert_eq!(all_alike(proof, 6).await, [401, 401, 401, 401, 401, 429]);
        }
    }
    app.worker.deliver_due().await.unwrap();
}

/// Over all names of a user the tries add up to the end of the PIN.
#[tokio::test]
async fn two_names_are_not_twice_as_many_tries() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let path = format!("/users/{}", ada.user);
    app.send(Method::PATCH, &path, json!({"username": "ada"}))
        .await;
    app.db.execute("UPDATE invitations SET pin_length = 4");
    let path = format!("/invitations/{}/pin", ada.invitation);
    let pin = app.get(&path).await.json["pin"].clone();
    let bad = if pin == "0000" { "0001" } else { "0000" };
    let ask = |name: &str, pin: &str| json!({"username": name, "pin": pin, "device": device("S")});
    for name in ["ada", "ada@example.com"] {
        for _ in 0..5 {
            enroll(&app, ask(name, bad))
                .await
                .is_problem(401, "invalid_credentials");
        }
    }
    app.clock.advance(Duration::seconds(30));
    for name in ["ada", "ada@example.com"] {
        enroll(&app, ask(name, pin.as_str().unwrap()))
            .await
            .is_problem(401, "invalid_credentials");
    }
}

/// Resending one invitation is for one person, who may try at once. Resending many tells nobody which names there are.
#[tokio::test]
async fn resending_many_opens_no_pause() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    for _ in 0..5 {
        with_pin(&app, "ada", &wrong(&ada.pin), "S").await;
    }
    app.clock.advance(Duration::seconds(20));
    let sent = app
        .post("/invitations/resend", json!({"user_ids": [ada.user]}))
        .await;
    assert_eq!(sent.json["accepted_count"], 1, "{}", sent.text);
    let paused = with_pin(&app, "ada", &ada.pin, "S").await;
    paused.is_problem(429, "too_many_attempts");
    assert_eq!(paused.header("retry-after"), "10");
    let user = app.get(&format!("/users/{}", ada.user)).await.json;
    assert_eq!(user["pin_status"], "locked");
    app.worker.deliver_due().await.unwrap();
}

/// Whoever has a PIN must not make a device company-owned: for every name alike, and it is no try.
#[tokio::test]
async fn only_a_key_says_that_the_company_owns_a_device() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({"device_ownership": "user_owned"})).await;
    let body = |name: &str, choice: &str| json!({"username": name, "pin": ada.pin, "owner_choice": choice, "device": device("S")});
    for name in ["ada@example.com", "nobody@example.com"] {
        let refused = enroll(&app, body(name, "company_owned")).await;
        refused.is_problem(422, "validation_failed");
        assert_eq!(refused.pointers(), ["/owner_choice"], "{}", refused.text);
    }
    assert_eq!(app.db.number("SELECT count(*) FROM guesses"), 0);
    let taken = enroll(&app, body("ada@example.com", "user_owned")).await;
    assert_eq!(taken.json["device_ownership"]["effective"], "user_owned");
    let bob = guest(&app, "bob", json!({"device_ownership": "user_owned"})).await;
    let key = api_key(&app.db, Role::Enroller);
    let mut body = body("bob@example.com", "company_owned");
    body["pin"] = bob.pin.into();
    body["device"] = device("T");
    let taken = enroll_as(&app, &key, body).await;
    assert_eq!(taken.json["device_ownership"]["effective"], "company_owned");
}

#[tokio::test]
async fn with_both_secrets_neither_can_be_guessed_alone() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({"method": "pin_and_password"})).await;
    let ask = |pin: &str, password: &str| json!({"username": "ada@example.com", "pin": pin, "password": password, "device": device("S")});
    for (pin, password) in [
        (ada.pin.clone(), "wrong horse"),
        (wrong(&ada.pin), PASSWORD),
        (wrong(&ada.pin), "wrong horse"),
        (ada.pin.clone(), "wrong horse"),
        (wrong(&ada.pin), PASSWORD),
    ] {
        enroll(&app, ask(&pin, password))
            .await
            .is_problem(401, "invalid_credentials");
    }
    enroll(&app, ask(&ada.pin, PASSWORD))
        .await
        .is_problem(429, "too_many_attempts");
    app.clock.advance(Duration::seconds(30));
    let answer = enroll(&app, ask(&ada.pin, PASSWORD)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
}

#[tokio::test]
async fn a_new_password_starts_the_count_anew() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({"method": "password"})).await;
    let ask = |password: &str| json!({"username": "ada@example.com", "password": password, "device": device("S")});
    for _ in 0..5 {
        enroll(&app, ask("wrong horse"))
            .await
            .is_problem(401, "invalid_credentials");
    }
    enroll(&app, ask(PASSWORD))
        .await
        .is_problem(429, "too_many_attempts");
    let path = format!("/users/{}/password", ada.user);
    let set = app
        .send(Method::PUT, &path, json!({"password": "another horse"}))
        .await;
    assert_eq!(set.status, StatusCode::NO_CONTENT);
    enroll(&app, ask(PASSWORD))
        .await
        .is_problem(401, "invalid_credentials");
    let answer = enroll(&app, ask("another horse")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
}

#[tokio::test]
async fn counts_nobody_adds_to_are_forgotten() {
    let app = TestApp::start().await;
    let now = app.clock.now();
    with_pin(&app, "nobody", "1234", "S").await;
    let forget = |at| enlist::guessing::counter::forget_old(&mut app.db.connect(), at).unwrap();
    assert_eq!(forget(now + Duration::hours(23)), 0);
    assert_eq!(forget(now + Duration::hours(24)), 1);
}

#[tokio::test]
async fn an_address_may_ask_ten_times_at_once_and_a_key_has_its_own_limit() {
    let setup = Setup {
        limits: rates(50, 3, 1),
        ..Setup::default()
    };
    let app = TestApp::start_with(setup).await;
    let body = json!({"token": "x", "device": device("S")});
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(enroll(&app, body.clone()).await);
    }
    let refused = &answers[11];
    assert_eq!(answers[9].status, 401);
    refused.is_problem(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    // Before the body is looked at; and whatever a client says of where it comes from.
    let spoofed = app
        .anonymous(Method::POST, "/enrollments")
        .header("x-forwarded-for", "192.0.2.7")
        .body("{");
    Answer::of(spoofed.send().await.unwrap())
        .await
        .is_problem(429, "rate_limited");
    let key = api_key(&app.db, Role::Enroller);
    let answers = join_all((0..8).map(|_| enroll_as(&app, &key, body.clone()))).await;
    let counted = statuses(&answers);
    assert!(counted[&401] >= 3 && counted[&429] >= 2, "{counted:?}");
    // Everything else goes on.
    assert_eq!(app.get("/users").await.status, StatusCode::OK);
}

/// Whoever has the password guesses at the PIN, for a device that the password alone enrolled lately: each wrong PIN counts.
#[tokio::test]
async fn a_wrong_pin_counts_whatever_else_is_right() {
    let app = TestApp::start().await;
    for (number, method) in ["pin", "pin_and_password"].into_iter().enumerate() {
        let name = format!("user{number}");
        let ada = guest(&app, &name, json!({"method": "password"})).await;
        let ask = |pin: Option<&str>| json!({"username": format!("{name}@example.com"), "pin": pin, "password": PASSWORD, "device": device(&name)});
        assert_eq!(
            enroll(&app, ask(None)).await.status,
            StatusCode::CREATED,
            "{method}"
        );
        let newer = invite(&app, &ada.user, json!({"method": method})).await;
        let tries = format!(
            "SELECT pin_tries FROM invitations WHERE id = '{}'",
            newer.invitation
        );
        for number in 1..=5 {
            enroll(&app, ask(Some(&wrong(&newer.pin))))
                .await
                .is_problem(401, "invalid_credentials");
            assert_eq!(app.db.number(&tries), number);
        }
        enroll(&app, ask(Some(&newer.pin)))
            .await
            .is_problem(429, "too_many_attempts");
        app.clock.advance(Duration::seconds(30));
        let right = enroll(&app, ask(Some(&newer.pin))).await;
        assert_eq!(right.status, StatusCode::CREATED, "{}", right.text);
        assert_eq!(app.db.number(&tries), 5, "a right one is no try");
    }
}

/// A PIN that an invitation does not ask for is not looked at, and not taken for right either.
#[tokio::test]
async fn a_pin_that_nobody_asked_for_is_a_try() {
    let app = TestApp::start().await;
    guest(&app, "ada", json!({"method": "password"})).await;
    let body = json!({"username": "ada@example.com", "pin": "0000", "password": PASSWORD, "device": device("S")});
    let answers: Vec<_> = [201, 200, 200, 200, 200, 429].into();
    for status in answers {
        assert_eq!(enroll(&app, body.clone()).await.status, status);
    }
}

/// Two names of one user are not seen by how long tries at them wait for each other: strangers wait for all, one by one.
#[tokio::test(flavor = "multi_thread")]
async fn tries_at_two_names_wait_as_those_at_strangers_do() {
    use diesel::connection::SimpleConnection;
    let app = TestApp::start().await;
    guest(&app, "ada", json!({})).await;
    // As a try at the user's other name does, while it is committed.
    let mut other = app.db.connect();
    other
        .batch_execute("BEGIN; SELECT FROM invitations FOR NO KEY UPDATE")
        .unwrap();
    let nobody =
        json!({"username": "nobody@example.com", "pin": "00000000", "device": device("S")});
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let ask = async {
        let ada = with_pin(&app, "ada", "0000", "S");
        let stranger = async {
            while app.db.number(waiting) == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            let patience = std::time::Duration::from_secs(1);
            let answer = tokio::time::timeout(patience, enroll(&app, nobody.clone())).await;
            assert!(answer.is_err(), "it did not wait");
            // Whoever has a key does not.
            let key = api_key(&app.db, Role::Enroller);
            let answer = enroll_as(&app, &key, nobody.clone()).await;
            answer.is_problem(401, "invalid_credentials");
            other.batch_execute("COMMIT").unwrap();
        };
        futures_util::future::join(ada, stranger).await.0
    };
    ask.await.is_problem(401, "invalid_credentials");
    enroll(&app, nobody.clone())
        .await
        .is_problem(401, "invalid_credentials");
}
