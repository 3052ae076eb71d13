//! `/api-keys`: made once, shown once, ended for good.

use chrono::Duration;
use enlist::model::caller::Role;
use reqwest::Method;
use serde_json::json;

use crate::support::app::{Answer, TestApp};

async fn with(app: &TestApp, key: &str, path: &str) -> Answer {
    let request = app.anonymous(Method::GET, path).bearer_auth(key);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_key_is_made_used_renamed_and_revoked() {
    let app = TestApp::start().await;
    let made = app
        .post(
            "/api-keys",
            json!({"name": " MDM ", "role": "reader", "expires_at": "2026-12-01T10:00:00+01:00"}),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("cache-control"), "no-store");
    let (id, key) = (
        made.json["id"].as_str().unwrap(),
        made.json["key"].as_str().unwrap(),
    );
    let path = format!("/api-keys/{id}");
    assert_eq!(made.header("location"), path);
    assert_eq!(made.json["name"], "MDM");
    assert_eq!(made.json["expires_at"], "2026-12-01T09:00:00Z");
    assert_eq!(made.json["last_used_at"], json!(null));
    assert!(key.starts_with("enl_") && key.len() == 47);
    assert_eq!(with(&app, key, "/users").await.status, 200);
    with(&app, key, "/api-keys")
        .await
        .is_problem(403, "forbidden");
    // Seen, to the minute.
    app.clock.advance(Duration::seconds(59));
    let shown = app.get(&path).await;
    assert_eq!(shown.json["last_used_at"], "2026-11-23T08:00:00Z");
    assert!(!shown.text.contains(key), "never again");
    let renamed = app
        .request(Method::PATCH, &path)
        .header("if-match", shown.header("etag"))
        .json(&json!({"name": "Old MDM"}));
    let renamed = Answer::of(renamed.send().await.unwrap()).await;
    assert_eq!(
        (renamed.status.as_u16(), &renamed.json["name"]),
        (200, &json!("Old MDM"))
    );
    let list = app.get("/api-keys?count=true").await;
    assert_eq!(list.json["total"], 2);
    let rows = list.json["data"].as_array().unwrap();
    assert!(
        rows.iter()
            .any(|row| row["id"] == id && row["name"] == "Old MDM")
    );
    assert!(!list.text.contains("enl_"));
    let late = app
        .request(Method::DELETE, &path)
        .header("if-match", shown.header("etag"));
    Answer::of(late.send().await.unwrap())
        .await
        .is_problem(412, "precondition_failed");
    let revoked = app.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(revoked.status(), 204);
    app.get(&path).await.is_problem(404, "not_found");
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    with(&app, key, "/users")
        .await
        .is_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_lost_answer_is_no_second_key() {
    let app = TestApp::start().await;
    let make = async |body: serde_json::Value| {
        let request = app
            .request(Method::POST, "/api-keys")
            .header("idempotency-key", "one")
            .json(&body);
        Answer::of(request.send().await.unwrap()).await
    };
    let body = json!({"name": "MDM", "role": "enroller"});
    let made = make(body.clone()).await;
    let again = make(body).await;
    again.is_problem(409, "already_done");
    assert_eq!(again.json["id"], made.json["id"]);
    make(json!({"name": "x", "role": "admin"}))
        .await
        .is_problem(422, "idempotency_key_reused");
    assert_eq!(app.get("/api-keys?count=true").await.json["total"], 2);
    let key = made.json["key"].as_str().unwrap();
    let kept = format!(
        "SELECT count(*) FROM idempotency_keys WHERE body LIKE '%{}%'",
        &key[4..]
    );
    assert_eq!(app.db.number(&kept), 0);
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_told() {
    let app = TestApp::start().await;
    let refused = app
        .post(
            "/api-keys",
            json!({"name": "", "role": "king", "expires_at": "soon", "scope": 1}),
        )
        .await;
    let mut pointers = refused.is_problem(422, "validation_failed").pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/expires_at", "/name", "/role", "/scope"]);
    let past = app
        .post(
            "/api-keys",
            json!({"name": "a", "role": "reader", "expires_at": "2026-11-23T08:00:00Z"}),
        )
        .await;
    assert_eq!(
        past.is_problem(422, "validation_failed").pointers(),
        ["/expires_at"]
    );
    let id = app.get("/api-keys").await.json["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let nameless = app
        .send(
            Method::PATCH,
            &format!("/api-keys/{id}"),
            json!({"name": null}),
        )
        .await;
    assert_eq!(
        nameless.is_problem(422, "validation_failed").pointers(),
        ["/name"]
    );
    app.send(
        Method::PATCH,
        &format!("/api-keys/{id}"),
        json!({"role": "reader"}),
    )
    .await
    .is_problem(422, "validation_failed");
}

#[tokio::test]
async fn many_keys_are_paged() {
    let app = TestApp::start().await;
    for role in Role::NAMES {
        app.post("/api-keys", json!({"name": role, "role": role}))
            .await;
    }
    let (mut path, mut names) = ("/api-keys?limit=2".to_owned(), Vec::new());
    loop {
        let page = app.get(&path).await;
        let rows = page.json["data"].as_array().unwrap().clone();
        names.extend(
            rows.iter()
                .map(|row| row["name"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page.json["next_cursor"].as_str() else {
            break;
        };
        app.get(&format!("/operators?cursor={cursor}"))
            .await
            .is_problem(422, "validation_failed");
        path = format!("/api-keys?limit=2&cursor={cursor}");
    }
    // The test's own key is among them.
    names.retain(|name| name != "test");
    assert_eq!(names, Role::NAMES);
}
