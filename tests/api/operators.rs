//! Operators, their sessions and passwords.

use chrono::Duration;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};

const PASSWORD: &str = "correct horse battery";

struct Operator {
    id: String,
    email: String,
    token: String,
}

async fn add(app: &TestApp, email: &str, role: &str) -> String {
    let added = app
        .post(
            "/operators",
            json!({"email": email, "role": role, "password": PASSWORD}),
        )
        .await;
    assert_eq!(added.status, 201, "{}", added.text);
    added.json["id"].as_str().unwrap().to_owned()
}

async fn sign_in(app: &TestApp, email: &str, password: &str) -> Answer {
    let request = app
        .anonymous(Method::POST, "/sessions")
        .json(&json!({"email": email, "password": password}));
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    answer
}

fn token(signed_in: &Answer) -> String {
    assert_eq!(signed_in.status, 201, "{}", signed_in.text);
    signed_in.json["token"].as_str().unwrap().to_owned()
}

async fn operator(app: &TestApp, name: &str, role: &str) -> Operator {
    let email = format!("{name}@example.com");
    let id = add(app, &email, role).await;
    let token = token(&sign_in(app, &email, PASSWORD).await);
    Operator { id, email, token }
}

async fn call(
    app: &TestApp,
    token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let request = app.anonymous(method, path).bearer_auth(token);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    Answer::of(request.send().await.unwrap()).await
}

async fn get(app: &TestApp, token: &str, path: &str) -> Answer {
    call(app, token, Method::GET, path, None).await
}

/// Tokens that were looked up are believed for half a second.
async fn a_second() {
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
}

#[tokio::test]
async fn an_operator_signs_in_works_and_signs_out() {
    let app = TestApp::start().await;
    add(&app, "Ada@Example.com", "manager").await;
    let signed_in = sign_in(&app, "ada@example.COM", PASSWORD).await;
    let token = token(&signed_in);
    assert!(token.starts_with("ens_") && token.len() == 47);
    assert_eq!(signed_in.json["expires_at"], "2026-11-24T08:00:00Z");
    assert_eq!(signed_in.json["operator"]["email"], "Ada@Example.com");
    assert_eq!(signed_in.json["operator"]["role"], "manager");
    assert_eq!(
        signed_in.json["operator"]["last_sign_in_at"],
        "2026-11-23T08:00:00Z"
    );
    assert_eq!(get(&app, &token, "/users").await.status, 200);
    get(&app, &token, "/operators")
        .await
        .is_problem(403, "forbidden");
    let session = get(&app, &token, "/sessions/current").await;
    assert_eq!(session.json["operator"]["email"], "Ada@Example.com");
    assert_eq!(session.json["expires_at"], "2026-11-24T08:00:00Z");
    // What the operator does carries the operator's name.
    let user = call(
        &app,
        &token,
        Method::POST,
        "/users",
        Some(json!({"email": "u@example.com"})),
    )
    .await;
    let sent = call(
        &app,
        &token,
        Method::POST,
        "/invitations/send",
        Some(json!({"user_ids": [user.json["id"]], "delivery": "none"})),
    )
    .await;
    let batch = get(&app, &token, sent.header("location")).await;
    assert_eq!(
        batch.json["created_by"],
        format!(
            "operator:{}",
            signed_in.json["operator"]["id"].as_str().unwrap()
        )
    );
    let out = call(&app, &token, Method::DELETE, "/sessions/current", None).await;
    assert_eq!(out.status, 204);
    get(&app, &token, "/users")
        .await
        .is_problem(401, "unauthorized");
    // A copy of the database holds no token.
    let stored = app.db.number("SELECT count(*) FROM sessions");
    assert_eq!(stored, 0);
    get(&app, &app.key, "/sessions/current")
        .await
        .is_problem(403, "forbidden");
}

#[tokio::test]
async fn a_session_slides_and_ends_all_the_same() {
    let app = TestApp::start().await;
    let ada = operator(&app, "ada", "reader").await;
    let bob = operator(&app, "bob", "reader").await;
    for _ in 0..3 {
        app.clock.advance(Duration::minutes(7 * 60 + 50));
        a_second().await;
        assert_eq!(get(&app, &ada.token, "/users").await.status, 200);
    }
    // Unused for more than eight hours.
    get(&app, &bob.token, "/users")
        .await
        .is_problem(401, "unauthorized");
    app.clock.advance(Duration::minutes(30));
    get(&app, &ada.token, "/users")
        .await
        .is_problem(401, "unauthorized");
    enlist::retention::forget(
        &app.worker.db,
        &app.clock,
        enlist::retention::Keep {
            messages: None,
            invitations: None,
            audit: None,
        },
    )
    .await
    .unwrap();
    assert_eq!(app.db.number("SELECT count(*) FROM sessions"), 0);
}

#[tokio::test]
async fn wrong_tries_are_alike_and_lock_the_address() {
    let app = TestApp::start().await;
    operator(&app, "ada", "admin").await;
    let out = operator(&app, "out", "reader").await;
    app.send(
        Method::PATCH,
        &format!("/operators/{}", out.id),
        json!({"enabled": false}),
    )
    .await;
    let details = [
        sign_in(&app, "ada@example.com", "wrong horse").await,
        sign_in(&app, "nobody@example.com", PASSWORD).await,
        sign_in(&app, "no address", PASSWORD).await,
        sign_in(&app, "out@example.com", PASSWORD).await,
    ]
    .map(|answer| {
        let problem = answer.is_problem(401, "invalid_credentials").json.clone();
        problem["detail"].clone()
    });
    assert!(details.windows(2).all(|two| two[0] == two[1]));
    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..4 {
            sign_in(&app, email, "wrong horse").await;
        }
        // The right one is not looked at either.
        let locked = sign_in(&app, email, PASSWORD).await;
        locked.is_problem(429, "too_many_attempts");
        assert_eq!(locked.header("retry-after"), "30");
    }
    app.clock.advance(Duration::seconds(30));
    sign_in(&app, "ada@example.com", "wrong horse").await;
    assert_eq!(sign_in(&app, "ADA@example.com", PASSWORD).await.status, 201);
    // And what was counted is forgotten.
    for _ in 0..4 {
        sign_in(&app, "ada@example.com", "wrong horse")
            .await
            .is_problem(401, "invalid_credentials");
    }
    assert_eq!(sign_in(&app, "ada@example.com", PASSWORD).await.status, 201);
}

#[tokio::test]
async fn thirty_guesses_at_once_are_looked_at_five_times() {
    let app = TestApp::start().await;
    operator(&app, "ada", "admin").await;
    let answers = join_all((0..30).map(|number| {
        let app = &app;
        async move { sign_in(app, "ada@example.com", &format!("wrong {number}")).await }
    }))
    .await;
    let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(looked_at, 5);
}

#[tokio::test]
async fn a_weaker_hash_is_made_anew_at_the_sign_in() {
    let app = TestApp::start().await;
    operator(&app, "ada", "admin").await;
    // Of the same password, with the smallest parameters that the library takes.
    let weak = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$";
    let hash = {
        use argon2::{Algorithm, Argon2, Params, Version};
        let mut out = [0; 32];
        Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8, 1, 1, None).unwrap(),
        )
        .hash_password_into(PASSWORD.as_bytes(), &[0; 16], &mut out)
        .unwrap();
        use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
        format!("{weak}{}", STANDARD_NO_PAD.encode(out))
    };
    app.db
        .execute(&format!("UPDATE operators SET password_hash = '{hash}'"));
    let outdated = "SELECT count(*) FROM operators WHERE password_hash LIKE '%m=8,%'";
    sign_in(&app, "ada@example.com", "wrong horse").await;
    assert_eq!(app.db.number(outdated), 1);
    assert_eq!(sign_in(&app, "ada@example.com", PASSWORD).await.status, 201);
    assert_eq!(app.db.number(outdated), 0);
    assert_eq!(sign_in(&app, "ada@example.com", PASSWORD).await.status, 201);
}

#[tokio::test]
async fn the_last_admin_stays() {
    let app = TestApp::start().await;
    let ada = operator(&app, "ada", "admin").await;
    operator(&app, "rea", "reader").await;
    let path = format!("/operators/{}", ada.id);
    for change in [json!({"enabled": false}), json!({"role": "manager"})] {
        app.send(Method::PATCH, &path, change)
            .await
            .is_problem(409, "last_admin");
    }
    let deleted = app.request(Method::DELETE, &path).send().await.unwrap();
    Answer::of(deleted).await.is_problem(409, "last_admin");
    // Twelve admins who all end each other at once: one is left.
    let mut admins = vec![ada.id];
    for number in 0..11 {
        admins.push(add(&app, &format!("admin{number}@example.com"), "admin").await);
    }
    let ended = join_all(admins.iter().enumerate().map(|(index, id)| {
        let (app, path) = (&app, format!("/operators/{id}"));
        async move {
            if index % 2 == 0 {
                app.request(Method::DELETE, &path)
                    .send()
                    .await
                    .unwrap()
                    .status()
            } else {
                app.send(Method::PATCH, &path, json!({"role": "reader"}))
                    .await
                    .status
            }
        }
    }))
    .await;
    assert_eq!(ended.iter().filter(|status| **status == 409).count(), 1);
    let left = "SELECT count(*) FROM operators WHERE role = 'admin' AND enabled";
    assert_eq!(app.db.number(left), 1);
}

#[tokio::test]
async fn who_is_barred_demoted_or_signed_out_is_so_everywhere() {
    let app = TestApp::start().await;
    operator(&app, "root", "admin").await;
    let ada = operator(&app, "ada", "manager").await;
    let other = token(&sign_in(&app, &ada.email, PASSWORD).await);
    let path = format!("/operators/{}", ada.id);
    app.send(Method::PATCH, &path, json!({"role": "reader"}))
        .await;
    a_second().await;
    let refused = call(&app, &ada.token, Method::POST, "/users", Some(json!({}))).await;
    refused.is_problem(403, "forbidden");
    let everywhere = call(&app, &ada.token, Method::DELETE, "/sessions", None).await;
    assert_eq!(everywhere.status, 204);
    a_second().await;
    for token in [&ada.token, &other] {
        get(&app, token, "/users")
            .await
            .is_problem(401, "unauthorized");
    }
    let third = token(&sign_in(&app, &ada.email, PASSWORD).await);
    assert_eq!(get(&app, &third, "/users").await.status, 200);
    let ended = app.request(Method::DELETE, &format!("{path}/sessions"));
    assert_eq!(ended.send().await.unwrap().status(), 204);
    a_second().await;
    get(&app, &third, "/users")
        .await
        .is_problem(401, "unauthorized");
    let fourth = token(&sign_in(&app, &ada.email, PASSWORD).await);
    let barred = app
        .send(Method::PATCH, &path, json!({"enabled": false}))
        .await;
    assert_eq!(barred.json["enabled"], false);
    a_second().await;
    get(&app, &fourth, "/users")
        .await
        .is_problem(401, "unauthorized");
    let gone = app.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    app.get(&path).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn passwords_are_changed_by_their_owner_and_set_by_an_admin() {
    let app = TestApp::start().await;
    let ada = operator(&app, "ada", "reader").await;
    let other = token(&sign_in(&app, &ada.email, PASSWORD).await);
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "password": new});
        call(
            &app,
            &ada.token,
            Method::PUT,
            "/operators/current/password",
            Some(body),
        )
        .await
    };
    let wrong = change("wrong horse", "a better password").await;
    assert_eq!(
        wrong.is_problem(409, "wrong_password").pointers(),
        ["/current_password"]
    );
    change(PASSWORD, "short")
        .await
        .is_problem(422, "validation_failed");
    assert_eq!(change(PASSWORD, "a better password").await.status, 204);
    a_second().await;
    assert_eq!(
        get(&app, &ada.token, "/users").await.status,
        200,
        "this one goes on"
    );
    get(&app, &other, "/users")
        .await
        .is_problem(401, "unauthorized");
    sign_in(&app, &ada.email, PASSWORD)
        .await
        .is_problem(401, "invalid_credentials");
    for _ in 0..4 {
        sign_in(&app, &ada.email, PASSWORD).await;
    }
    sign_in(&app, &ada.email, "a better password")
        .await
        .is_problem(429, "too_many_attempts");
    // An admin helps.
    let set = app
        .send(
            Method::PUT,
            &format!("/operators/{}/password", ada.id),
            json!({"password": "yet another one"}),
        )
        .await;
    assert_eq!(set.status, 204);
    assert_eq!(
        sign_in(&app, &ada.email, "yet another one").await.status,
        201
    );
    a_second().await;
    get(&app, &ada.token, "/users")
        .await
        .is_problem(401, "unauthorized");
}

#[tokio::test]
async fn operators_are_told_what_is_wrong() {
    let app = TestApp::start().await;
    let ada = operator(&app, "ada", "admin").await;
    let refused = app
        .post(
            "/operators",
            json!({"email": "x", "role": "king", "password": "short"}),
        )
        .await;
    let mut pointers = refused.is_problem(422, "validation_failed").pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/email", "/password", "/role"]);
    let twice = app
        .post(
            "/operators",
            json!({"email": "ADA@example.com", "role": "reader", "password": PASSWORD}),
        )
        .await;
    assert_eq!(
        twice.is_problem(409, "already_exists").pointers(),
        ["/email"]
    );
    let path = format!("/operators/{}", ada.id);
    let nulls = app
        .send(
            Method::PATCH,
            &path,
            json!({"email": null, "role": null, "enabled": null}),
        )
        .await;
    assert_eq!(
        nulls.is_problem(422, "validation_failed").pointers().len(),
        3
    );
    let list = app.get("/operators?count=true").await;
    assert_eq!(list.json["total"], 1);
    assert!(!list.text.contains("argon2"));
    let same = app.send(Method::PATCH, &path, json!({})).await;
    assert_eq!(same.json["updated_at"], same.json["created_at"]);
}

/// `enlist operators create` reads the password from standard input where nobody types it.
#[tokio::test]
async fn an_operator_is_added_from_the_shell() {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };
    let app = TestApp::start().await;
    let create = |password: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_enlist"))
            .env("DATABASE_URL", &app.db.url)
            .args([
                "operators",
                "create",
                "--email",
                "ada@example.com",
                "--role",
                "admin",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        child.wait_with_output().unwrap()
    };
    let short = create("short");
    assert!(!short.status.success());
    assert!(String::from_utf8_lossy(&short.stderr).contains("8 characters"));
    let made = create(PASSWORD);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let id = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    assert!(uuid::Uuid::try_parse(&id).is_ok(), "{id}");
    assert_eq!(sign_in(&app, "ada@example.com", PASSWORD).await.status, 201);
    let twice = create(PASSWORD);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("another operator"));
}
