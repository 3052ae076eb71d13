//! How often, how much and how slowly somebody may call, and what every answer tells a browser.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use enlist::{http::proxies::Proxies, model::caller::Role};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{
    app::{Answer, KEYS, Setup, TestApp, api_key, rates},
    db::TestDb,
    http_client, log,
    smtp::SmtpSink,
};

async fn get(app: &TestApp, path: &str, header: (&str, &str)) -> Answer {
    let request = app.anonymous(Method::GET, path).header(header.0, header.1);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_client_and_a_key_have_their_own_allowances_and_are_told() {
    let app = TestApp::start_with(Setup {
        limits: rates(4, 3, 1),
        ..Setup::default()
    })
    .await;
    let anybody = ("accept", "*/*");
    let first = get(&app, "/openapi.json", anybody).await;
    assert_eq!(first.header("ratelimit-policy"), "\"client\";q=4;w=1");
    assert_eq!(first.header("ratelimit"), "\"client\";r=3;t=1");
    let mut answers = Vec::new();
    for path in [
        "/nowhere",
        "/openapi.json",
        "/users",
        "/enroll",
        "/openapi.json",
    ] {
        answers.push(get(&app, path, anybody).await);
    }
    // What is not there and what is refused counts as well.
    let last = answers.pop().unwrap();
    last.is_problem(429, "rate_limited");
    assert!(last.header("ratelimit").starts_with("\"client\";r=0;t="));
    assert_eq!(last.header("retry-after"), "1");
    // A probe does not suffer from it.
    for _ in 0..6 {
        assert_eq!(get(&app, "/healthz", anybody).await.status, StatusCode::OK);
        assert_eq!(get(&app, "/readyz", anybody).await.header("ratelimit"), "");
    }
    app.clock.advance(TimeDelta::seconds(1));
    // A key is looked up once, and from then on counts by itself.
    let key = format!("Bearer {}", api_key(&app.db, Role::Reader));
    let mine = ("authorization", key.as_str());
    let mut counted = Vec::new();
    for _ in 0..5 {
        let answer = get(&app, "/users", mine).await;
        assert_eq!(answer.header("ratelimit-policy"), "\"key\";q=3;w=1");
        counted.push(answer.status.as_u16());
    }
    assert_eq!(counted[..3], [200, 200, 200]);
    assert_eq!(counted[4], 429);
    // Whoever tries keys is counted by where they come from.
    let mut tried = Vec::new();
    for number in 0..6 {
        let wrong = format!("Bearer enl_{number}");
        tried.push(
            get(&app, "/users", ("authorization", &wrong))
                .await
                .status
                .as_u16(),
        );
    }
    assert!(tried.contains(&401) && tried.contains(&429), "{tried:?}");
}

#[tokio::test]
async fn only_a_proxy_of_ours_says_where_a_client_is() {
    let setup = |trusted: &[&str]| Setup {
        limits: rates(2, 1_000, 1),
        proxies: Proxies {
            trusted: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            ..Setup::default().proxies
        },
        ..Setup::default()
    };
    let statuses = async |app: &TestApp| {
        let mut statuses = Vec::new();
        for number in 1..=6 {
            let from = format!("192.0.2.{number}");
            let answer = get(app, "/openapi.json", ("x-forwarded-for", &from)).await;
            statuses.push(answer.status.as_u16());
        }
        statuses
    };
    let app = TestApp::start_with(setup(&["127.0.0.0/8"])).await;
    assert_eq!(statuses(&app).await, [200; 6]);
    let app = TestApp::start_with(setup(&["10.0.0.0/8"])).await;
    assert!(statuses(&app).await.contains(&429));
    let app = TestApp::start_with(setup(&[])).await;
    assert!(statuses(&app).await.contains(&429));
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let app = TestApp::start().await;
    let long = format!("/users?q={}", "x".repeat(9_000));
    app.get(&long).await.is_problem(414, "uri_too_long");
    let headers = (0..8).fold(app.request(Method::GET, "/users"), |request, number| {
        request.header(format!("x-{number}"), "y".repeat(5_000))
    });
    Answer::of(headers.send().await.unwrap())
        .await
        .is_problem(431, "headers_too_large");
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let request = app
        .request(Method::POST, "/users")
        .header("content-type", "application/json")
        .body(deep);
    Answer::of(request.send().await.unwrap())
        .await
        .is_problem(400, "malformed_json");
}

/// A byte now and then is not a request.
#[tokio::test]
async fn a_client_that_dribbles_its_request_is_dropped() {
    let app = TestApp::start().await;
    let address = app.base.trim_start_matches("http://").to_owned();
    let dropped_after = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(250)))
            .unwrap();
        let begun = Instant::now();
        for byte in b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-slow: "
            .iter()
            .chain([&b'x'; 200])
        {
            let mut answer = [0; 64];
            match (stream.write_all(&[*byte]), stream.read(&mut answer)) {
                // Told (408), or simply closed.
                (Err(_), _) | (_, Ok(_)) => return begun.elapsed(),
                _ => {}
            }
        }
        begun.elapsed()
    })
    .await
    .unwrap();
    assert!(dropped_after < Duration::from_secs(12), "{dropped_after:?}");
}

/// Two hundred silent clients where a shell allows sixty-four open files: the service raises what it may.
#[tokio::test]
async fn slow_clients_do_not_keep_others_out() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut running = Command::new("sh")
        .args(["-c", "ulimit -Sn 64; exec \"$0\" serve"])
        .arg(env!("CARGO_BIN_EXE_enlist"))
        .env("DATABASE_URL", &db.url)
        .env("ENLIST_LISTEN", format!("127.0.0.1:{port}"))
        .env("ENLIST_SMTP_URL", sink.url())
        .env("ENLIST_SECRET_KEYS", KEYS)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is not up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(b"G").unwrap();
        slow.push(client);
    }
    let client = http_client().build().unwrap();
    let answer = tokio::time::timeout(
        Duration::from_secs(3),
        client.get(format!("http://127.0.0.1:{port}/readyz")).send(),
    );
    let answered = answer
        .await
        .map(|answer| answer.map(|answer| answer.status()));
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(answered.expect("in time").unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let app = TestApp::start().await;
    let sent = app.post("/users", json!({"email": "a@example.com"})).await;
    for answer in [
        app.get("/users").await,
        app.get("/nowhere").await,
        get(&app, "/users", ("accept", "*/*")).await,
        app.get("/docs/").await,
        app.get("/enroll").await,
        sent,
    ] {
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert_eq!(
            answer.header("strict-transport-security"),
            "max-age=31536000"
        );
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("server"), "");
    }
}

/// Whoever asks too often fills no log, and neither does a probe.
#[tokio::test]
async fn refusals_are_counted_and_probes_are_for_whoever_looks_closer() {
    log::capture();
    let app = TestApp::start_with(Setup {
        limits: rates(2, 1_000, 1),
        ..Setup::default()
    })
    .await;
    let anybody = ("accept", "*/*");
    let mut lines = Vec::new();
    for _ in 0..2 {
        for _ in 0..20 {
            let answer = get(&app, "/openapi.json", anybody).await;
            lines.push((answer.status.as_u16(), log::lines_of(&answer)));
        }
        app.clock.advance(TimeDelta::seconds(1));
    }
    let of = |status: u16| -> Vec<&str> {
        let lines = lines
            .iter()
            .filter(|(of, line)| *of == status && line.contains("request"));
        lines.map(|(_, line)| line.as_str()).collect()
    };
    assert_eq!(of(200).len(), 4, "{lines:#?}");
    let refused = of(429);
    assert_eq!(refused.len(), 2, "{lines:#?}");
    assert!(refused[0].contains("untold=0"), "{}", refused[0]);
    assert!(refused[1].contains("untold=17"), "{}", refused[1]);
    for path in ["/healthz", "/readyz"] {
        let answer = get(&app, path, anybody).await;
        let line = log::lines_of(&answer);
        let line = line
            .lines()
            .find(|line| line.contains("latency_ms"))
            .unwrap();
        assert!(line.contains("DEBUG"), "{line}");
    }
    app.db.close();
    let unwell = get(&app, "/readyz", anybody).await;
    app.db.reopen();
    assert_eq!(unwell.status, StatusCode::SERVICE_UNAVAILABLE);
    let line = log::lines_of(&unwell);
    assert!(
        line.contains("not ready") && line.contains("cause"),
        "{line}"
    );
}
