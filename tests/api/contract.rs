//! What holds for every route: problems, request ids, media types, limits, the document.

use std::{fs, path::Path};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Answer, Setup, TestApp};

async fn raw(
    app: &TestApp,
    method: Method,
    path: &str,
    content_type: &str,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let request = app
        .request(method, path)
        .header("content-type", content_type)
        .body(body);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let app = TestApp::start().await;
    app.get("/nowhere").await.is_problem(404, "not_found");
    app.get("/users/not-a-uuid")
        .await
        .is_problem(404, "not_found");
    app.get(&format!("/users/{}", uuid::Uuid::nil()))
        .await
        .is_problem(404, "not_found");
    app.get("/batches/%00").await.is_problem(404, "not_found");
    for (method, path, allow) in [
        (Method::DELETE, "/users", "GET, HEAD, POST"),
        (Method::GET, "/invitations/send", "POST"),
        (Method::POST, "/healthz", "GET, HEAD"),
        (Method::PUT, "/users/x/password", ""),
    ] {
        let answer = Answer::of(app.request(method, path).send().await.unwrap()).await;
        if allow.is_empty() {
            answer.is_problem(404, "not_found");
        } else {
            answer.is_problem(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), allow);
        }
    }
    let head = app.request(Method::HEAD, "/users").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert!(head.bytes().await.unwrap().is_empty());
}

/// How deep a body is and how much there is in it is limited beside its bytes; what may be asked for fits.
#[tokio::test]
async fn bodies_are_neither_too_deep_nor_too_full() {
    let app = TestApp::start().await;
    let nested = |depth: usize| {
        format!(
            "{{\"attributes\": {}1{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let ids = |name: &str| {
        format!(
            "\"{name}\": [{}]",
            vec!["\"0192d3a0-0000-7000-8000-000000000000\""; 100_000].join(",")
        )
    };
    for (path, body, status, code) in [
        ("/users", nested(32), 400, "malformed_json"),
        ("/users", nested(31), 422, "validation_failed"),
        ("/users", nested(100_000), 400, "malformed_json"),
        (
            "/users",
            format!("{{\"group_ids\": [{}0]}}", "0,".repeat(100_000)),
            400,
            "malformed_json",
        ),
        (
            "/invitations/send",
            format!("{{\"user_ids\": [{}0]}}", "0,".repeat(1_000_000)),
            400,
            "malformed_json",
        ),
        (
            "/invitations/send",
            format!("{{{}, {}}}", ids("user_ids"), ids("exclude_user_ids")),
            422,
            "validation_failed",
        ),
    ] {
        raw(&app, Method::POST, path, "application/json", body)
            .await
            .is_problem(status, code);
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_are_told_apart() {
    let app = TestApp::start().await;
    let send = "/invitations/send";
    for body in ["", "{", "{\"user_ids\": [}", "\u{feff}{", "nul"] {
        raw(&app, Method::POST, send, "application/json", body)
            .await
            .is_problem(400, "malformed_json");
    }
    raw(
        &app,
        Method::POST,
        send,
        "application/json",
        vec![b'"', 0xff, b'"'],
    )
    .await
    .is_problem(400, "malformed_json");
    raw(
        &app,
        Method::POST,
        send,
        "application/json",
        "[".repeat(100_000),
    )
    .await
    .is_problem(400, "malformed_json");
    for body in ["[]", "null", "\"x\"", "1"] {
        raw(&app, Method::POST, send, "application/json", body)
            .await
            .is_problem(422, "validation_failed");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        raw(&app, Method::POST, send, kind, "{}")
            .await
            .is_problem(415, "unsupported_media_type");
    }
    let without = Answer::of(
        app.request(Method::POST, send)
            .body("{}")
            .send()
            .await
            .unwrap(),
    )
    .await;
    without.is_problem(415, "unsupported_media_type");
    raw(
        &app,
        Method::POST,
        send,
        "application/json; charset=utf-8",
        "{}",
    )
    .await
    .is_problem(422, "empty_selection");
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let app = TestApp::start().await;
    let long = |bytes: usize| format!("{{\"username\": \"{}\"}}", "x".repeat(bytes));
    raw(
        &app,
        Method::POST,
        "/users",
        "application/json",
        long(200 * 1024),
    )
    .await
    .is_problem(422, "validation_failed");
    raw(
        &app,
        Method::POST,
        "/users",
        "application/json",
        long(257 * 1024),
    )
    .await
    .is_problem(413, "payload_too_large");
    raw(
        &app,
        Method::POST,
        "/invitations/send",
        "application/json",
        long(7 * 1024 * 1024),
    )
    .await
    .is_problem(422, "validation_failed");
    raw(
        &app,
        Method::POST,
        "/invitations/send",
        "application/json",
        long(9 * 1024 * 1024),
    )
    .await
    .is_problem(413, "payload_too_large");
    // Where anybody may send a secret, it is the shortest.
    for path in ["/sessions", "/enrollments", "/enrollments/pin-requests"] {
        raw(
            &app,
            Method::POST,
            path,
            "application/json",
            long(17 * 1024),
        )
        .await
        .is_problem(413, "payload_too_large");
    }
    // Without a Content-Length, too.
    let chunks =
        futures_util::stream::iter((0..300).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
    let request = app
        .request(Method::POST, "/users")
        .header("content-type", "application/json");
    let answer = request
        .body(reqwest::Body::wrap_stream(chunks))
        .send()
        .await
        .unwrap();
    Answer::of(answer)
        .await
        .is_problem(413, "payload_too_large");
}

#[tokio::test]
async fn a_request_id_is_taken_or_made_and_echoed() {
    let app = TestApp::start().await;
    let with = async |id: &str| {
        let answer = app
            .request(Method::GET, "/users")
            .header("x-request-id", id)
            .send()
            .await
            .unwrap();
        Answer::of(answer).await.header("x-request-id").to_owned()
    };
    assert_eq!(with("abc-123").await, "abc-123");
    for bad in ["a b", "\"", &"x".repeat(200)] {
        assert!(uuid::Uuid::try_parse(&with(bad).await).is_ok());
    }
    let answer = app
        .anonymous(Method::GET, "/users")
        .header("x-request-id", "mine")
        .send()
        .await
        .unwrap();
    assert_eq!(
        Answer::of(answer)
            .await
            .is_problem(401, "unauthorized")
            .json["request_id"],
        "mine"
    );
}

#[tokio::test]
async fn only_configured_origins_may_call_from_a_browser() {
    let app = TestApp::start_with(Setup {
        cors_origins: vec!["https://admin.example.com".into()],
        ..Setup::default()
    })
    .await;
    let preflight = |origin: &'static str| {
        app.anonymous(Method::OPTIONS, "/invitations/send")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,idempotency-key,content-type,if-match,last-event-id",
            )
            .send()
    };
    let ours = preflight("https://admin.example.com").await.unwrap();
    assert_eq!(ours.status(), StatusCode::OK);
    assert_eq!(
        ours.headers()["access-control-allow-origin"],
        "https://admin.example.com"
    );
    let theirs = Answer::of(preflight("https://evil.example").await.unwrap()).await;
    theirs.is_problem(400, "cors");
    assert_eq!(theirs.header("access-control-allow-origin"), "");
    let answer = app
        .request(Method::GET, "/users")
        .header("origin", "https://admin.example.com")
        .send()
        .await
        .unwrap();
    let exposed = answer.headers()["access-control-expose-headers"]
        .to_str()
        .unwrap()
        .to_lowercase();
    for header in [
        "location",
        "etag",
        "link",
        "retry-after",
        "idempotent-replayed",
        "x-request-id",
    ] {
        assert!(exposed.contains(header), "{exposed}");
    }
}

#[tokio::test]
async fn the_document_is_fresh_complete_and_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let made = enlist::server::openapi::json().unwrap();
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &made).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == made,
        "openapi/openapi.json is stale: run the tests once with BLESS=1"
    );

    let app = TestApp::start().await;
    assert_eq!(
        app.anonymous(Method::GET, "/openapi.json")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        made
    );
    let document: Value = serde_json::from_str(&made).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["info"]["title"], "Enlist");
    let methods = &document["components"]["schemas"]["Method"]["enum"];
    assert_eq!(
        methods,
        &json!(["pin", "password", "pin_and_password", "qr"]),
        "as on the wire"
    );
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(
                    !response["description"].as_str().unwrap().is_empty(),
                    "{place} {status}"
                );
                if status.starts_with(['4', '5']) {
                    assert!(
                        response["content"]["application/problem+json"].is_object(),
                        "{place} {status}"
                    );
                }
            }
        }
    }
    let docs = app
        .anonymous(Method::GET, "/docs/")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        docs.contains("swagger-ui") && !docs.contains("//cdn"),
        "{docs}"
    );
}

#[tokio::test]
async fn an_instance_without_its_database_says_503_and_recovers() {
    let mut app = TestApp::start().await;
    app.users(1).await;
    assert_eq!(
        app.anonymous(Method::GET, "/readyz")
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
    // Every pooled connection dies, as when Postgres restarts: reads are tried again and nobody notices.
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        app.db.name()
    );
    app.db.execute(&cut);
    assert_eq!(
        app.get("/users").await.json["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    app.db.execute(&cut);
    let answers = futures_util::future::join_all(
        (0..8).map(|_| app.post("/users", json!({"username": "after"}))),
    )
    .await;
    for answer in &answers {
        assert!(
            [201, 409, 503].contains(&answer.status.as_u16()),
            "{}",
            answer.text
        );
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            assert_ne!(
                answer.is_problem(503, "unavailable").header("retry-after"),
                ""
            );
        }
    }
    assert_eq!(app.get("/users?count=true").await.status, StatusCode::OK);

    app.db.execute("DROP TABLE __diesel_schema_migrations");
    let unready = Answer::of(app.anonymous(Method::GET, "/readyz").send().await.unwrap()).await;
    assert!(
        unready.is_problem(503, "unavailable").json["detail"]
            .as_str()
            .unwrap()
            .contains("enlist migrate")
    );
    assert_eq!(
        app.anonymous(Method::GET, "/healthz")
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
    app.stop().await;
}

/// A mistyped option must not be ignored, least of all by what sends.
#[tokio::test]
async fn a_query_where_none_is_taken_is_refused() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let refused = app
        .post("/invitations/send?dry_run=true&x", json!({"user_ids": ids}))
        .await;
    assert_eq!(
        refused.is_problem(422, "validation_failed").pointers(),
        ["/dry_run", "/x"]
    );
    app.get(&format!("/users/{}?fields=id", ids[0]))
        .await
        .is_problem(422, "validation_failed");
    assert_eq!(app.db.number("SELECT count(*) FROM batches"), 0);
}

#[tokio::test]
async fn what_the_framework_refuses_is_a_problem_too() {
    let app = TestApp::start().await;
    app.get("/docs/nope").await.is_problem(404, "not_found");
}

/// A client that is made from the document would otherwise refuse to leave out what may be left out.
#[test]
fn what_has_a_default_is_not_required() {
    let document: Value = serde_json::from_str(&enlist::server::openapi::json().unwrap()).unwrap();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for field in schema["required"].as_array().into_iter().flatten() {
            let has_default =
                schema["properties"][field.as_str().unwrap()]["default"] != Value::Null;
            assert!(!has_default, "{name}: {field}");
        }
    }
}

/// Every object of a request's body, with those inside it: what the document says that it takes.
fn objects<'a>(document: &'a Value, schema: &'a Value, seen: &mut Vec<&'a Value>) {
    if let Some(place) = schema["$ref"].as_str() {
        let target = document.pointer(place.trim_start_matches('#')).unwrap();
        if !seen.iter().any(|known| std::ptr::eq(*known, target)) {
            objects(document, target, seen);
        }
        return;
    }
    if schema["type"] == "object"
        || schema["type"]
            .as_array()
            .is_some_and(|types| types.contains(&json!("object")))
    {
        seen.push(schema);
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            objects(document, part, seen);
        }
    }
    for field in schema["properties"]
        .as_object()
        .into_iter()
        .flat_map(|it| it.values())
    {
        objects(document, field, seen);
    }
    if schema["items"].is_object() {
        objects(document, &schema["items"], seen);
    }
}

/// A body's object either names its fields and takes no others, or is a map, which names none.
#[test]
fn every_object_of_a_request_says_whether_it_takes_other_fields() {
    let document: Value = serde_json::from_str(&enlist::server::openapi::json().unwrap()).unwrap();
    let mut number = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let content = operation["requestBody"]["content"].as_object();
            for (_, body) in content
                .into_iter()
                .flatten()
                .filter(|(kind, _)| kind.ends_with("json"))
            {
                let mut seen = Vec::new();
                objects(&document, &body["schema"], &mut seen);
                for object in seen {
                    number += 1;
                    let is_map = object["properties"]
                        .as_object()
                        .is_none_or(|it| it.is_empty());
                    let is_closed = object["additionalProperties"] == false;
                    assert!(
                        is_map || is_closed,
                        "{method} {path} takes an object that is open: {object}"
                    );
                }
            }
        }
    }
    assert!(number > 40, "{number}");
}

/// A handler that is written and not registered answers nobody, and nothing else would notice.
#[test]
fn every_handler_is_registered() {
    fn handlers(folder: &Path, found: &mut Vec<(String, String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                handlers(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            for line in text.lines().map(str::trim) {
                for method in ["get", "post", "put", "patch", "delete"] {
                    let pattern = line
                        .strip_prefix(&format!("#[{method}(\""))
                        .and_then(|rest| rest.strip_suffix("\")]"));
                    if let Some(pattern) = pattern {
                        let place = path.display().to_string();
                        found.push((method.to_owned(), pattern.to_owned(), place));
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    handlers(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    let document: Value = serde_json::from_str(&enlist::server::openapi::json().unwrap()).unwrap();
    for (method, pattern, place) in &found {
        assert!(
            document["paths"][pattern][method].is_object(),
            "{method} {pattern} of {place} is not registered"
        );
    }
    assert!(found.len() > 50, "{}", found.len());
}
