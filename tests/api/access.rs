//! Keys and what they may do.

use std::time::{Duration, Instant};

use enlist::model::caller::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::{Answer, TestApp, api_key};

async fn status_of(app: &TestApp, key: &str, method: Method, path: &str) -> StatusCode {
    let request = app
        .anonymous(method, path)
        .bearer_auth(key)
        .json(&json!({}));
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn everything_but_the_public_routes_needs_a_key() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs/"] {
        let answer = app.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    let id = uuid::Uuid::nil();
    for (method, path) in [
        (Method::GET, "/users".to_owned()),
        (Method::POST, "/users".to_owned()),
        (Method::GET, format!("/users/{id}")),
        (Method::PATCH, format!("/users/{id}")),
        (Method::DELETE, format!("/users/{id}")),
        (Method::PUT, format!("/users/{id}/password")),
        (Method::POST, "/invitations/preview".to_owned()),
        (Method::POST, "/invitations/send".to_owned()),
        (Method::POST, "/invitations/pins".to_owned()),
        (Method::GET, "/invitations".to_owned()),
        (Method::GET, format!("/invitations/{id}")),
        (Method::GET, format!("/invitations/{id}/pin")),
        (Method::GET, format!("/invitations/{id}/qr.png")),
        (Method::GET, format!("/invitations/{id}/qr.svg")),
        (Method::GET, format!("/batches/{id}")),
        (Method::GET, format!("/batches/{id}/results")),
        (Method::GET, "/devices".to_owned()),
        (Method::GET, format!("/devices/{id}")),
        (Method::DELETE, format!("/devices/{id}")),
    ] {
        // A body that would be refused: without a key it is not even read.
        let request = app.anonymous(method.clone(), &path).body("{");
        let answer = Answer::of(request.send().await.unwrap()).await;
        answer.is_problem(401, "unauthorized");
        assert!(
            answer.header("www-authenticate").starts_with("Bearer"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn wrong_keys_are_refused_alike() {
    let app = TestApp::start().await;
    let other = format!("enl_{}", "A".repeat(43));
    let mut details = Vec::new();
    for header in [
        format!("Bearer {other}"),
        "Bearer nonsense".to_owned(),
        format!("Bearer {}x", app.key),
        format!("Bearer {}", app.key.to_lowercase()),
        format!("Bearer ens_{}", &app.key[4..]),
    ] {
        let request = app
            .anonymous(Method::GET, "/users")
            .header("authorization", &header);
        let answer = Answer::of(request.send().await.unwrap()).await;
        details.push(answer.is_problem(401, "unauthorized").json["detail"].clone());
    }
    assert!(
        details.windows(2).all(|two| two[0] == two[1]),
        "{details:?}"
    );
    for header in [format!("Basic {}", app.key), app.key.clone(), String::new()] {
        let request = app
            .anonymous(Method::GET, "/users")
            .header("authorization", &header);
        Answer::of(request.send().await.unwrap())
            .await
            .is_problem(401, "unauthorized");
    }
    let lower = app
        .anonymous(Method::GET, "/users")
        .header("authorization", format!("bearer {}", app.key));
    assert_eq!(
        lower.send().await.unwrap().status(),
        StatusCode::OK,
        "the scheme has no case"
    );
}

#[tokio::test]
async fn a_revoked_key_ends_within_a_second_and_an_expired_one_at_once() {
    let app = TestApp::start().await;
    let key = api_key(&app.db, Role::Admin);
    assert_eq!(
        status_of(&app, &key, Method::GET, "/users").await,
        StatusCode::OK
    );
    app.db.execute("UPDATE api_keys SET revoked_at = now() WHERE created_at = (SELECT max(created_at) FROM api_keys)");
    let revoked = Instant::now();
    while status_of(&app, &key, Method::GET, "/users").await == StatusCode::OK {
        assert!(revoked.elapsed() < Duration::from_secs(1), "still believed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let mut app = TestApp::start().await;
    app.db
        .execute("UPDATE api_keys SET expires_at = '2026-11-23T09:00:00Z'");
    assert_eq!(app.get("/users").await.status, StatusCode::OK);
    app.clock.advance(chrono::Duration::hours(1));
    app.get("/users").await.is_problem(401, "unauthorized");
    app.stop().await;
}

#[tokio::test]
async fn roles_reach_as_far_as_they_say() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let sent = app
        .invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    let pin = format!(
        "/invitations/{}/pin",
        sent["results"][0]["invitation_id"].as_str().unwrap()
    );
    for (role, read, secret, manage) in [
        (Role::Admin, 200, 200, 422),
        (Role::Manager, 200, 200, 422),
        (Role::Reader, 200, 403, 403),
        (Role::Enroller, 403, 403, 403),
        (Role::Provisioner, 403, 403, 403),
    ] {
        let key = api_key(&app.db, role);
        assert_eq!(
            status_of(&app, &key, Method::GET, "/users").await,
            read,
            "{role}"
        );
        assert_eq!(
            status_of(&app, &key, Method::GET, &pin).await,
            secret,
            "{role}"
        );
        // Whom the role lets through is told that nobody is selected.
        assert_eq!(
            status_of(&app, &key, Method::POST, "/invitations/pins").await,
            if secret == 200 { 422 } else { secret },
            "{role}"
        );
        assert_eq!(
            status_of(&app, &key, Method::POST, "/users").await,
            manage,
            "{role}"
        );
        assert_eq!(
            status_of(&app, &key, Method::POST, "/invitations/send").await,
            manage,
            "{role}"
        );
    }
}
