//! `/settings/…` and `GET /users/{id}/settings`, and what they do to invitations.

mod inviting;
mod resolution;
mod resource;
mod sealed;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};

/// Creates a setting and gives it as the answer shows it.
pub async fn setting(app: &TestApp, kind: &str, body: Value) -> Value {
    let answer = app.post(&format!("/settings/{kind}"), body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(
        answer.header("location"),
        format!("/settings/{kind}/{}", answer.json["id"].as_str().unwrap())
    );
    answer.json
}

/// Creates a group with these members and gives its id.
pub async fn group(app: &TestApp, name: &str, members: &[String]) -> String {
    let created = app.post("/groups", json!({ "name": name })).await;
    let id = created.json["id"].as_str().unwrap().to_owned();
    let joined = app
        .post(&format!("/groups/{id}/members"), json!({ "add": members }))
        .await;
    assert_eq!(joined.json["added"], members.len(), "{}", joined.text);
    id
}

pub async fn put(app: &TestApp, path: &str, body: &Value) -> Answer {
    app.send(Method::PUT, path, body.clone()).await
}

pub async fn delete(app: &TestApp, path: &str) -> Answer {
    Answer::of(app.request(Method::DELETE, path).send().await.unwrap()).await
}

pub fn path_of(kind: &str, setting: &Value) -> String {
    format!("/settings/{kind}/{}", setting["id"].as_str().unwrap())
}

/// What applies to a user, and why.
pub async fn applied(app: &TestApp, user: &str) -> Value {
    let answer = app.get(&format!("/users/{user}/settings")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json
}
