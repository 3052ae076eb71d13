//! Every route of the document, with every role and with none, against the contract (API.md, Access) in words
//! of the test's own.

use enlist::model::caller::Role;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::app::{Answer, TestApp, api_key};

/// Who may call a route without a token.
fn is_public(method: &str, path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/openapi.json")
        || path == "/enroll"
        || path.starts_with("/enroll/")
        || path.starts_with("/enrollments")
        || (method, path) == ("POST", "/sessions")
}

/// Whether an API key with this role reaches a route that is not public.
fn reaches(role: Role, method: &str, path: &str) -> bool {
    let is_secret = ["/pin", "/pins", "/qr.png", "/qr.svg", "{id}/export"]
        .iter()
        .any(|end| path.ends_with(end));
    let room = path.split('/').nth(1).unwrap();
    if (method, path) == ("GET", "/metrics") {
        return true;
    }
    // A key has no session.
    if room == "sessions" || path.starts_with("/operators/current/") {
        return false;
    }
    let is_for_admins = matches!(room, "api-keys" | "operators" | "audit-events")
        || path == "/users/{id}/erase"
        || room == "settings" && method != "GET";
    match role {
        Role::Admin => true,
        Role::Manager => !is_for_admins,
        Role::Reader => method == "GET" && !is_secret && !is_for_admins,
        Role::Enroller | Role::Provisioner => false,
    }
}

/// Every operation of the document: method and pattern.
fn operations() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&enlist::server::openapi::json().unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

/// Calls a route in a way that changes nothing: with ids of nothing and a body that is no JSON.
async fn call(app: &TestApp, token: Option<&str>, method: &str, path: &str) -> Answer {
    let path = path.replace("{id}", &uuid::Uuid::nil().to_string());
    let path = path.replace("{token}", "none");
    let method: Method = method.parse().unwrap();
    let request = app
        .anonymous(method, &path)
        .header("content-type", "application/json")
        .body("{");
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn every_route_asks_for_the_role_that_the_contract_says() {
    let app = TestApp::start().await;
    let operations = operations();
    assert!(operations.len() > 40);
    let keys: Vec<(Role, String)> = Role::ALL
        .into_iter()
        .map(|role| (role, api_key(&app.db, role)))
        .collect();
    for (method, path) in &operations {
        let place = format!("{method} {path}");
        let anonymous = call(&app, None, method, path).await;
        if is_public(method, path) {
            assert_ne!(anonymous.status, StatusCode::UNAUTHORIZED, "{place}");
            assert_ne!(anonymous.status, StatusCode::FORBIDDEN, "{place}");
        } else {
            anonymous.is_problem(401, "unauthorized");
        }
        for (role, key) in &keys {
            let answer = call(&app, Some(key), method, path).await;
            let place = format!("{role}: {place}: {}", answer.text);
            assert!(answer.status.as_u16() < 500, "{place}");
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{place}");
            let may = if path.starts_with("/enrollments") || path == "/mail/bounces" {
                matches!(role, Role::Admin | Role::Manager | Role::Enroller)
            } else {
                is_public(method, path) || reaches(*role, method, path)
            };
            assert_eq!(answer.status != StatusCode::FORBIDDEN, may, "{place}");
            if !may {
                answer.is_problem(403, "forbidden");
            }
        }
    }
}
