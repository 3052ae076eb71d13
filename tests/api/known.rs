//! Strangers who guess at operators' passwords, or keep the service busy with it: those who are known from where they are
//! sign in all the same.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::Duration;
use enlist::{http::proxies::Proxies, model::caller::Role};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{Answer, KEYS, Setup, TestApp, api_key};

const PASSWORD: &str = "correct horse battery";
/// Where Ada works, and two networks of strangers.
const WORK: &str = "192.0.2.7";
const NEAR_WORK: &str = "192.0.2.99";
const ELSEWHERE: &str = "198.51.100.1";

/// Behind a proxy that says who calls.
fn proxied() -> Setup {
    let setup = Setup::default();
    let proxies = Proxies {
        trusted: vec!["127.0.0.0/8".parse().unwrap()],
        ..setup.proxies
    };
    Setup { proxies, ..setup }
}

async fn start() -> TestApp {
    TestApp::start_with(proxied()).await
}

async fn sign_in(app: &TestApp, from: &str, email: &str, password: &str) -> Answer {
    let request = app
        .anonymous(Method::POST, "/sessions")
        .header("x-forwarded-for", from)
        .json(&json!({"email": email, "password": password}));
    Answer::of(request.send().await.unwrap()).await
}

/// An operator who signed in at work: the id and the session's token.
async fn operator(app: &TestApp, email: &str) -> (String, String) {
    let body = json!({"email": email, "role": "reader", "password": PASSWORD});
    let added = app.post("/operators", body).await;
    let signed_in = sign_in(app, WORK, email, PASSWORD).await;
    assert_eq!(signed_in.status, 201, "{}", signed_in.text);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&added.json["id"]), text(&signed_in.json["token"]))
}

/// The statuses of so many wrong tries.
async fn guess(app: &TestApp, from: &str, email: &str, times: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        let answer = sign_in(app, from, email, "wrong horse").await;
        statuses.push(answer.status.as_u16());
    }
    statuses
}

/// What was done, with what was told of it, the oldest first.
async fn events(app: &TestApp, action: &str) -> Vec<Value> {
    let page = app.get(&format!("/audit-events?action={action}")).await;
    let mut events = page.json["data"].as_array().unwrap().clone();
    events.reverse();
    events
}

#[tokio::test]
async fn strangers_lock_no_operator_out() {
    let app = start().await;
    operator(&app, "ada@example.com").await;
    // Names that nobody has answer strangers as those of operators do.
    for email in ["ada@example.com", "nobody@example.com"] {
        for network in 0..4 {
            let from = format!("198.51.{network}.1");
            let statuses = guess(&app, &from, email, 7).await;
            assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429], "{email}");
            let neighbour = format!("198.51.{network}.2");
            assert_eq!(guess(&app, &neighbour, email, 1).await, [429]);
        }
        // After twenty from everywhere, there is a pause for all strangers.
        let paused = sign_in(&app, "203.0.113.1", email, PASSWORD).await;
        paused.is_problem(429, "too_many_attempts");
        assert_eq!(paused.header("retry-after"), "30");
    }
    // Not for somebody who is known.
    for from in [WORK, NEAR_WORK] {
        let signed_in = sign_in(&app, from, "Ada@example.com", PASSWORD).await;
        assert_eq!(signed_in.status, 201, "{}", signed_in.text);
    }
    // That starts no count of strangers anew.
    assert_eq!(guess(&app, "198.51.0.1", "ada@example.com", 1).await, [429]);
    app.clock.advance(Duration::seconds(30));
    let elsewhere = sign_in(&app, "203.0.113.1", "ada@example.com", PASSWORD).await;
    assert_eq!(elsewhere.status, 201, "{}", elsewhere.text);
    // A copy of the database does not tell where operators work.
    assert_eq!(app.db.number("SELECT count(*) FROM known_networks"), 2);
}

#[tokio::test]
async fn whoever_guesses_from_a_known_network_is_paused_too() {
    let app = start().await;
    operator(&app, "ada@example.com").await;
    sign_in(&app, ELSEWHERE, "ada@example.com", PASSWORD).await;
    let statuses = guess(&app, NEAR_WORK, "ada@example.com", 6).await;
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    sign_in(&app, WORK, "ada@example.com", PASSWORD)
        .await
        .is_problem(429, "too_many_attempts");
    // There alone.
    let signed_in = sign_in(&app, ELSEWHERE, "ada@example.com", PASSWORD).await;
    assert_eq!(signed_in.status, 201, "{}", signed_in.text);
}

/// Known is who signed in within thirty days with the password that is still the right one.
#[tokio::test]
async fn what_makes_known_ends() {
    let mut app = start().await;
    let (id, _) = operator(&app, "ada@example.com").await;
    let path = format!("/operators/{id}");
    let known = "SELECT count(*) FROM known_networks";
    // Whether Ada waits for the strangers at her name; their pauses end, and their count stays.
    let is_known = async |app: &TestApp| {
        for network in 0..4 {
            guess(app, &format!("198.51.{network}.1"), "ada@example.com", 5).await;
        }
        let answer = sign_in(app, WORK, "ada@example.com", PASSWORD).await;
        app.clock.advance(Duration::hours(2));
        answer.status == 201
    };
    assert!(is_known(&app).await);
    // The key that the network was noted under is no longer the first.
    let new = "k2:EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8=";
    let rotated = Setup {
        keys: format!("{new},{KEYS}"),
        clock: app.clock.clone(),
        ..proxied()
    };
    app.restart_with(rotated).await;
    assert!(is_known(&app).await);
    app.clock.advance(Duration::days(31));
    assert!(!is_known(&app).await);
    enlist::access::known::forget_old(&mut app.db.connect(), app.clock.now()).unwrap();
    assert_eq!(app.db.number(known), 0);
    // Disabled, and enabled again.
    sign_in(&app, WORK, "ada@example.com", PASSWORD).await;
    assert_eq!(app.db.number(known), 1);
    for enabled in [false, true] {
        app.send(Method::PATCH, &path, json!({"enabled": enabled}))
            .await;
        assert_eq!(app.db.number(known), 0);
    }
    // A new password, by an admin: the strangers' pause is over, too.
    sign_in(&app, WORK, "ada@example.com", PASSWORD).await;
    assert!(is_known(&app).await);
    let body = json!({"password": PASSWORD});
    let set = app
        .send(Method::PUT, &format!("{path}/password"), body)
        .await;
    assert_eq!(set.status, 204);
    assert_eq!(app.db.number(known), 0);
    assert_eq!(guess(&app, "198.51.0.1", "ada@example.com", 1).await, [401]);
    let again = sign_in(&app, WORK, "ada@example.com", PASSWORD).await;
    assert_eq!(again.status, 201);
    assert_eq!(app.db.number(known), 1);
    // By the operator.
    let token = again.json["token"].as_str().unwrap().to_owned();
    let body = json!({"current_password": PASSWORD, "password": "another horse"});
    let changed = app
        .anonymous(Method::PUT, "/operators/current/password")
        .bearer_auth(token)
        .json(&body);
    assert_eq!(changed.send().await.unwrap().status(), 204);
    assert_eq!(app.db.number(known), 0);
}

#[tokio::test]
async fn a_change_of_password_has_a_count_of_its_own() {
    let app = start().await;
    let (_, token) = operator(&app, "ada@example.com").await;
    let change = async |current: &str| {
        let request = app
            .anonymous(Method::PUT, "/operators/current/password")
            .bearer_auth(&token)
            .json(&json!({"current_password": current, "password": "another horse"}));
        Answer::of(request.send().await.unwrap()).await
    };
    // Strangers do not keep an operator from it.
    for network in 0..5 {
        guess(&app, &format!("198.51.{network}.1"), "ada@example.com", 6).await;
    }
    for _ in 0..5 {
        change("wrong horse")
            .await
            .is_problem(409, "wrong_password");
    }
    let paused = change(PASSWORD).await;
    paused.is_problem(429, "too_many_attempts");
    assert_eq!(paused.header("retry-after"), "30");
    // It locks nobody's sign-in.
    let signed_in = sign_in(&app, WORK, "ada@example.com", PASSWORD).await;
    assert_eq!(signed_in.status, 201);
    app.clock.advance(Duration::seconds(30));
    assert_eq!(change(PASSWORD).await.status, 204);
    // One for each network of strangers but the last, and one for this.
    assert_eq!(events(&app, "operator.sign_in_paused").await.len(), 5);
}

/// From where any operator signed in, all names go one way: that of whoever is known there, of another operator, and of nobody.
#[tokio::test]
async fn a_known_network_tells_nothing_of_names() {
    let app = start().await;
    operator(&app, "ada@example.com").await;
    let bob = json!({"email": "bob@example.com", "role": "reader", "password": PASSWORD});
    assert_eq!(app.post("/operators", bob).await.status, 201);
    for email in ["ada@example.com", "bob@example.com", "nobody@example.com"] {
        for network in 0..4 {
            guess(&app, &format!("198.51.{network}.1"), email, 5).await;
        }
        assert_eq!(guess(&app, "203.0.113.1", email, 1).await, [429], "{email}");
        let statuses = guess(&app, NEAR_WORK, email, 6).await;
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429], "{email}");
    }
}

/// Three hundred strangers at once: some are sent away, the rest waits behind whoever is known.
#[tokio::test]
async fn whoever_is_known_is_served_before_strangers() {
    let app = Arc::new(start().await);
    operator(&app, "ada@example.com").await;
    let done = Arc::new(AtomicUsize::new(0));
    let strangers: Vec<_> = (0..300)
        .map(|number| {
            let (app, done) = (Arc::clone(&app), Arc::clone(&done));
            tokio::spawn(async move {
                let (from, email) = (
                    IpAddr::from([203, 0, number as u8, 1]).to_string(),
                    format!("nobody{number}@example.com"),
                );
                let answer = sign_in(&app, &from, &email, "wrong horse").await;
                if answer.status == 401 {
                    done.fetch_add(1, Ordering::SeqCst);
                }
                answer
            })
        })
        .collect();
    // They are being served.
    while done.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let signed_in = sign_in(&app, WORK, "ada@example.com", PASSWORD).await;
    assert_eq!(signed_in.status, 201, "{}", signed_in.text);
    // From there, nobody waits longer than somebody.
    let nobody = sign_in(&app, NEAR_WORK, "nobody@example.com", PASSWORD).await;
    assert_eq!(nobody.status, 401, "{}", nobody.text);
    let before = done.load(Ordering::SeqCst);
    let mut served = 0;
    for stranger in strangers {
        let answer = stranger.await.unwrap();
        if answer.status == 429 {
            answer.is_problem(429, "rate_limited");
            assert_eq!(answer.header("retry-after"), "5");
        } else {
            answer.is_problem(401, "invalid_credentials");
            served += 1;
        }
    }
    assert!((2..300).contains(&served), "{served} were served");
    assert!(before < served, "{before} of {served} were served before");
    // Who was sent away has not tried.
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM guesses WHERE name IS NULL AND tries > 0"),
        i64::try_from(served).unwrap()
    );
}

#[tokio::test]
async fn a_pause_is_one_event_however_often_it_is_met() {
    let app = start().await;
    let (id, _) = operator(&app, "ada@example.com").await;
    guess(&app, ELSEWHERE, "ada@example.com", 12).await;
    // What people type by mistake may be a secret, and strangers must not fill the log with what nobody is called.
    guess(&app, ELSEWHERE, "my secret", 12).await;
    guess(&app, ELSEWHERE, "nobody@example.com", 12).await;
    let told = events(&app, "operator.sign_in_paused").await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0]["after"],
        json!({"email": "ada@example.com", "until": "2026-11-23T08:00:30Z"})
    );
    assert_eq!(told[0]["subject"], json!({"kind": "operator", "id": id}));
    assert_eq!(told[0]["actor"]["kind"], "public");
    assert_eq!(told[0]["address"], ELSEWHERE);
    assert!(!told[0]["request_id"].is_null());
    // They are counted all the same, all alike.
    let counted = app.get("/metrics").await.text;
    let line = "enlist_sign_in_pauses_total 3";
    assert!(counted.lines().any(|found| found == line), "{counted}");
    // The right one at the end of a round begins no pause.
    app.clock.advance(Duration::seconds(30));
    guess(&app, ELSEWHERE, "ada@example.com", 4).await;
    assert_eq!(
        sign_in(&app, ELSEWHERE, "ada@example.com", PASSWORD)
            .await
            .status,
        201
    );
    assert_eq!(events(&app, "operator.sign_in_paused").await.len(), 1);
}

#[tokio::test]
async fn a_key_that_is_tried_after_its_end_is_an_event() {
    let app = start().await;
    let revoked = app
        .post("/api-keys", json!({"name": "old", "role": "reader"}))
        .await;
    let path = format!("/api-keys/{}", revoked.json["id"].as_str().unwrap());
    let gone = app.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let body = json!({"name": "brief", "role": "reader", "expires_at": "2026-11-23T08:01:00Z"});
    let expired = app.post("/api-keys", body).await;
    app.clock.advance(Duration::minutes(2));
    let use_both = async || {
        for key in [&revoked, &expired] {
            let request = app
                .anonymous(Method::GET, "/users")
                .header("x-forwarded-for", ELSEWHERE)
                .bearer_auth(key.json["key"].as_str().unwrap());
            Answer::of(request.send().await.unwrap())
                .await
                .is_problem(401, "unauthorized");
        }
    };
    for _ in 0..3 {
        use_both().await;
    }
    let told = events(&app, "api_key.used_after_end").await;
    let after: Vec<_> = told.iter().map(|event| event["after"].clone()).collect();
    assert_eq!(
        after,
        [
            json!({"name": "old", "ended": "revoked"}),
            json!({"name": "brief", "ended": "expired"}),
        ]
    );
    assert_eq!(told[0]["subject"]["id"], revoked.json["id"]);
    assert_eq!(told[0]["address"], ELSEWHERE);
    app.clock.advance(Duration::hours(1));
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    use_both().await;
    assert_eq!(events(&app, "api_key.used_after_end").await.len(), 4);
    // Nothing is told of keys that work, nor of what is no key.
    let works = api_key(&app.db, Role::Reader);
    for token in [works.as_str(), "enl_x"] {
        let request = app.anonymous(Method::GET, "/users").bearer_auth(token);
        request.send().await.unwrap();
    }
    assert_eq!(events(&app, "api_key.used_after_end").await.len(), 4);
}
