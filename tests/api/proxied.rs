//! What proxies, browsers and other programs do to requests on their way: it changes nothing of what is meant.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Answer, Setup, TestApp};

const B12: &str = include_str!("../cases/B12.json");

async fn with_header(
    app: &TestApp,
    (method, path): (Method, &str),
    (name, value): (&str, &str),
    body: &Value,
) -> Answer {
    let request = app.request(method, path).header(name, value).json(body);
    Answer::of(request.send().await.unwrap()).await
}

async fn send_as(app: &TestApp, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = app.request(Method::POST, path).header("content-type", kind);
    Answer::of(request.body(body).send().await.unwrap()).await
}

/// What nginx, Apache, Caddy, Jetty and others make of a tag when they compress the answer.
fn forms(tag: &str) -> Vec<String> {
    let bare = tag.trim_matches('"');
    vec![
        tag.to_owned(),
        format!("W/{tag}"),
        format!("\"{bare}-gzip\""),
        format!("\"{bare}-br\""),
        format!("\"{bare}-zstd\""),
        format!("\"{bare}--gzip\""),
        format!("\"{bare};gzip\""),
        format!("\"gzip-{bare}\""),
        format!("W/\"{bare}-gzip\""),
        format!("{tag}-gzip"),
        format!("\"{bare}-br-gzip\""),
        format!("\"other-gzip\", W/\"{bare}\""),
    ]
}

#[tokio::test]
async fn a_tag_that_a_proxy_has_changed_is_the_same_version() {
    let app = TestApp::start().await;
    let id = app.user(json!({"email": "ada@example.com"})).await;
    let path = format!("/users/{id}");
    let old = app.get(&path).await.header("etag").to_owned();
    for form in forms(&old) {
        let read = (Method::GET, &*path);
        let unchanged = with_header(&app, read, ("if-none-match", &form), &json!({})).await;
        assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED, "{form}");
        let change = (Method::PATCH, &*path);
        let changed = with_header(&app, change, ("if-match", &form), &json!({})).await;
        assert_eq!(changed.status, StatusCode::OK, "{form}: {}", changed.text);
    }
    app.clock.advance(chrono::Duration::seconds(5));
    app.send(Method::PATCH, &path, json!({"last_name": "King"}))
        .await;
    for form in forms(&old) {
        for method in [Method::PATCH, Method::DELETE] {
            let stale = with_header(&app, (method, &path), ("if-match", &form), &json!({})).await;
            stale.is_problem(412, "precondition_failed");
        }
        let read = (Method::GET, &*path);
        let anew = with_header(&app, read, ("if-none-match", &form), &json!({})).await;
        assert_eq!(anew.status, StatusCode::OK, "{form}");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_the_same_in_quotes() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let send = async |key: &str| {
        let body = json!({"user_ids": ids});
        let route = (Method::POST, "/invitations/send");
        with_header(&app, route, ("idempotency-key", key), &body).await
    };
    for (number, (one, other)) in [
        ("\"b43\"", "b43"),
        ("b44", "\"b44\""),
        ("\"a\\\"b\"", "a\"b"),
        ("\"b45\";v=1", "b45"),
        ("\"b 46\"", "\"b 46\" "),
    ]
    .into_iter()
    .enumerate()
    {
        let first = send(one).await;
        assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
        assert_eq!(first.header("idempotent-replayed"), "");
        let again = send(other).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{one} {other}");
        assert_eq!(again.json, first.json);
        let batches = app.db.number("SELECT count(*) FROM batches");
        assert_eq!(batches, i64::try_from(number).unwrap() + 1);
    }
    let quoted = "SELECT count(*) FROM idempotency_keys WHERE key LIKE '\"%'";
    assert_eq!(app.db.number(quoted), 0, "the key itself is stored");
    // One that an earlier version stored as it came.
    app.db
        .execute("UPDATE idempotency_keys SET key = '\"b44\"' WHERE key = 'b44'");
    for key in ["b44", "\"b44\""] {
        assert_eq!(send(key).await.header("idempotent-replayed"), "true");
    }
    app.clock.advance(chrono::Duration::hours(25));
    assert_eq!(send("b44").await.header("idempotent-replayed"), "");
    for bad in [
        "\"",
        "\"\"",
        "\"b43",
        "b43\"",
        "\"b\"43\"",
        "\"b43\"x",
        "\"b\\43\"",
        "\"b43\\\"",
        "\"b43\", \"b44\"",
        "b 43",
    ] {
        let refused = send(bad).await;
        refused.is_problem(422, "invalid_idempotency_key");
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(detail.contains("in double quotes or without"), "{detail}");
    }
    app.worker.deliver_due().await.unwrap();
}

#[tokio::test]
async fn a_browser_may_send_and_read_what_tracing_and_limits_need() {
    let app = TestApp::start_with(Setup {
        cors_origins: vec!["https://admin.example.com".into()],
        ..Setup::default()
    })
    .await;
    for header in [
        "authorization",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "last-event-id",
        "x-request-id",
        "traceparent",
        "tracestate",
        "baggage",
        "cache-control",
        "x-requested-with",
    ] {
        let preflight = app
            .anonymous(Method::OPTIONS, "/users")
            .header("origin", "https://admin.example.com")
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", header);
        let allowed = preflight.send().await.unwrap();
        assert_eq!(allowed.status(), StatusCode::OK, "{header}");
    }
    let read = (Method::GET, "/users");
    let origin = ("origin", "https://admin.example.com");
    let answer = with_header(&app, read, origin, &json!({})).await;
    let exposed = answer
        .header("access-control-expose-headers")
        .to_lowercase();
    let exposed: Vec<&str> = exposed.split(',').map(str::trim).collect();
    for header in [
        "location",
        "etag",
        "link",
        "retry-after",
        "idempotent-replayed",
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
        "allow",
        "content-disposition",
    ] {
        assert!(exposed.contains(&header), "{header}: {exposed:?}");
    }
}

#[tokio::test]
async fn a_body_is_read_in_utf_8_with_a_mark_or_without() {
    let app = TestApp::start().await;
    let json = "application/json";
    for (number, kind) in [
        json,
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json; charset=utf8",
        "application/json; charset=us-ascii",
        "application/merge-patch+json",
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!("\u{feff}{{\"username\": \"zoë{number}\"}}");
        let made = send_as(&app, "/users", kind, body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{kind}: {}", made.text);
        assert_eq!(made.json["username"], format!("zoë{number}"));
    }
    for (charset, body) in [
        ("utf-16", "{}"),
        ("UTF-16LE", "{}"),
        ("iso-8859-1", "{}"),
        ("windows-1252", "{}"),
        ("shift_jis", "{}"),
    ] {
        let kind = format!("application/json; charset={charset}");
        let refused = send_as(&app, "/users", &kind, body).await;
        refused.is_problem(415, "unsupported_media_type");
        let detail = refused.json["detail"].as_str().unwrap().to_lowercase();
        assert!(
            detail.contains(&charset.to_lowercase()) && detail.contains("in utf-8"),
            "{detail}"
        );
    }
    let text: Vec<u16> = "{\"username\": \"zoë\"}".encode_utf16().collect();
    let wide: Vec<u8> = text.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    for (body, found) in [
        (wide.clone(), "UTF-16"),
        ([vec![0xFF, 0xFE], wide].concat(), "UTF-16"),
        (b"{\"username\": \"zo\xEB\"}".to_vec(), "not in UTF-8"),
    ] {
        let refused = send_as(&app, "/users", json, body).await;
        refused.is_problem(400, "malformed_json");
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(
            detail.contains(found) && detail.contains("send it in UTF-8"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn a_member_that_is_there_twice_is_refused() {
    let app = TestApp::start().await;
    let id = app.user(json!({"username": "ada"})).await;
    for (path, body, places) in [
        ("/users", r#"{"username": "a", "username": "b"}"#.to_owned(), vec!["/username"]),
        ("/users", r#"{"username": "a", "user\u006eame": "a"}"#.into(), vec!["/username"]),
        ("/users", r#"{"username": "a", "attributes": {"x": 1, "x": 1}}"#.into(), vec!["/attributes/x"]),
        ("/users", r#"{"username": "a", "attributes": {}, "attributes": {"x": 1}}"#.into(), vec!["/attributes"]),
        ("/users", r#"{"username": "a", "nope": 1, "username": "a"}"#.into(), vec!["/nope", "/username"]),
        ("/invitations/send", format!(r#"{{"user_ids": ["{id}"], "user_ids": []}}"#), vec!["/user_ids"]),
        ("/invitations/send", format!(r#"{{"user_ids": ["{id}"], "method": "pin", "method": "qr"}}"#), vec!["/method"]),
        ("/invitations/send", r#"{"filter": {"q": "a", "q": "b"}}"#.into(), vec!["/filter/q"]),
        ("/groups", r#"{"name": "a", "name": "a"}"#.into(), vec!["/name"]),
        (
            "/enrollments",
            r#"{"username": "ada", "pin": "1234", "device": {"serial_number": "S", "platform": "ios", "platform": "macos"}}"#.into(),
            vec!["/device/platform"],
        ),
    ] {
        let refused = send_as(&app, path, "application/json", body).await;
        assert_eq!(refused.is_problem(422, "validation_failed").pointers(), places);
        let errors = refused.json["errors"].as_array().unwrap();
        assert!(errors.iter().any(|error| error["code"] == "repeated"), "{}", refused.text);
    }
    assert_eq!(app.db.number("SELECT count(*) FROM users"), 1);
    assert_eq!(app.db.number("SELECT count(*) FROM batches"), 0);
}

#[tokio::test]
async fn a_whole_number_in_an_attribute_keeps_its_digits() {
    let app = TestApp::start().await;
    let json = "application/json";
    let refused = send_as(&app, "/users", json, B12).await;
    assert_eq!(
        refused.is_problem(422, "validation_failed").pointers(),
        ["/attributes/badge"]
    );
    assert!(
        refused.text.contains("send it as a string"),
        "{}",
        refused.text
    );
    let made = send_as(
        &app,
        "/users",
        json,
        r#"{"username": "long.one", "attributes": {"badge": 9007199254740993, "floor": 3, "max": 9007199254740991}}"#,
    )
    .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let attributes =
        json!({"badge": "9007199254740993", "floor": 3, "max": 9_007_199_254_740_991_i64});
    assert_eq!(made.json["attributes"], attributes);
    let path = format!("/users/{}", made.json["id"].as_str().unwrap());
    let changed = app
        .request(Method::PATCH, &path)
        .header("content-type", "application/merge-patch+json")
        .body(r#"{"attributes": {"badge": 18446744073709551615, "low": -9007199254740993}}"#);
    let changed = Answer::of(changed.send().await.unwrap()).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let read = app.get(&path).await.json;
    assert_eq!(read["attributes"]["badge"], "18446744073709551615");
    assert_eq!(read["attributes"]["low"], "-9007199254740993");
    let too_large = json!({"attributes": {"badge": 1e300}});
    app.send(Method::PATCH, &path, too_large)
        .await
        .is_problem(422, "validation_failed");
}

/// A proxy takes the public URL's path off requests; what says where things are has it.
#[tokio::test]
async fn places_have_the_path_of_the_public_url() {
    for (public_url, base) in [
        ("https://it.example.com/base", "/base"),
        ("https://it.example.com/a/b", "/a/b"),
        ("https://it.example.com", ""),
    ] {
        let app = TestApp::start_with(Setup {
            public_url: public_url.into(),
            ..Setup::default()
        })
        .await;
        let body = json!({"username": "ada"});
        let key = ("idempotency-key", "one");
        let route = (Method::POST, "/users");
        for replayed in ["", "true"] {
            let made = with_header(&app, route.clone(), key, &body).await;
            let id = made.json["id"].as_str().unwrap();
            assert_eq!(made.header("location"), format!("{base}/users/{id}"));
            assert_eq!(made.header("idempotent-replayed"), replayed);
        }
        app.user(json!({"username": "zoë"})).await;
        let page = app.get("/users?limit=1").await;
        let link = page.header("link");
        assert!(
            link.starts_with(&format!("<{base}/users?limit=1&cursor=")),
            "{link}"
        );
        let docs = app.get("/docs").await;
        assert_eq!(docs.header("location"), format!("{base}/docs/"));
    }
}
