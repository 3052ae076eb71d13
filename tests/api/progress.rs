//! Watching a batch: server-sent events.

use std::time::{Duration, Instant};

use enlist::{clock::Clock, config::InstanceRole, model::caller::Role};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, Setup, TestApp, api_key},
    smtp::Stage,
};

const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

/// The events of a stream, as they come.
struct Events {
    response: Response,
    text: String,
    beats: usize,
}

impl Events {
    async fn open(app: &TestApp, sent: &Value, last: Option<&str>) -> Self {
        Self::open_as(app, &app.key, sent, last).await
    }

    async fn open_as(app: &TestApp, key: &str, sent: &Value, last: Option<&str>) -> Self {
        let path = path(sent);
        let mut request = app.anonymous(Method::GET, &path).bearer_auth(key);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self {
            response,
            text: String::new(),
            beats: 0,
        }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let mut lines = block.lines();
                    lines
                        .find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
                };
                if block.starts_with(':') {
                    self.beats += 1;
                    continue;
                }
                return Some(Event {
                    id: field("id").unwrap(),
                    name: field("event").unwrap(),
                    data: serde_json::from_str(&field("data").unwrap()).unwrap(),
                });
            }
            let chunk = tokio::time::timeout(LIMIT, self.response.chunk())
                .await
                .expect("something comes in time")
                .ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn all(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

fn path(sent: &Value) -> String {
    format!("/batches/{}/events", sent["batch_id"].as_str().unwrap())
}

#[tokio::test]
async fn progress_is_told_until_it_is_done() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    app.sink.on_rcpt(|to| {
        to.starts_with("user2")
            .then(|| "550 5.1.1 nobody".to_owned())
    });
    let sent = app.invite(json!({"user_ids": ids})).await;
    let mut events = Events::open(&app, &sent, None).await;
    let header = |name: &str| events.response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(
        (header("cache-control"), header("x-accel-buffering")),
        ("no-store".into(), "no".into())
    );
    assert!(events.response.headers().contains_key("x-request-id"));
    let first = events.next().await.unwrap();
    let shown = app.get(path(&sent).trim_end_matches("/events")).await.json;
    assert_eq!(
        (first.name.as_str(), &first.data),
        ("progress", &shown),
        "what GET answers"
    );
    assert_eq!(first.data["counts"]["queued"], 3);
    app.worker.deliver_due().await.unwrap();
    let rest = events.all().await;
    let last = rest.last().unwrap();
    let names: Vec<&str> = rest.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["progress", "done"]);
    assert_eq!(
        (
            &last.data["state"],
            &last.data["counts"]["accepted"],
            &last.data["counts"]["failed"]
        ),
        (&json!("done"), &json!(2), &json!(1))
    );
    // Whoever comes later, or again, is told at once.
    let late = Events::open(&app, &sent, None).await.all().await;
    assert_eq!(late, rest);
    let again = Events::open(&app, &sent, Some(&rest[0].id))
        .await
        .all()
        .await;
    assert_eq!(again, rest[1..]);
    let ended = Events::open(&app, &sent, Some(&rest[1].id))
        .await
        .all()
        .await;
    assert_eq!(ended, rest[1..]);
}

/// Events of a running service: seldom enough, and never backwards.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_few_and_in_order_and_end_with_a_cancel() {
    let mut app = TestApp::start_with(Setup {
        role: InstanceRole::All,
        clock: Clock::system(),
        ..Setup::default()
    })
    .await;
    app.leaves_unsent = true;
    let ids = app.users(60).await;
    app.sink.delay(Stage::Final, Duration::from_millis(100));
    let begun = Instant::now();
    let sent = app.invite(json!({"user_ids": ids})).await;
    let mut events = Events::open(&app, &sent, None).await;
    let (mut count, mut accepted) = (0, 0);
    while accepted < 8 {
        let event = events.next().await.unwrap();
        assert_eq!(event.name, "progress");
        let now = event.data["counts"]["accepted"].as_i64().unwrap();
        assert!(now >= accepted, "backwards");
        (count, accepted) = (count + 1, now);
    }
    let id = sent["batch_id"].as_str().unwrap();
    let canceled = app.request(Method::POST, &format!("/batches/{id}/cancel"));
    assert_eq!(canceled.send().await.unwrap().status(), StatusCode::OK);
    let rest = events.all().await;
    count += rest.len();
    let last = rest.last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.data["state"]),
        ("done", &json!("canceled"))
    );
    let counts = &last.data["counts"];
    assert_eq!(
        (&counts["queued"], &counts["deferred"]),
        (&json!(0), &json!(0))
    );
    assert!(
        counts["suppressed"].as_i64().unwrap() > 0
            && counts["accepted"].as_i64().unwrap() >= accepted
    );
    // The first, the end, and four a second between them.
    let most = 3 + (begun.elapsed().as_millis() / 250) as usize;
    assert!(count <= most, "{count} events in {:?}", begun.elapsed());
    app.stop().await;
}

/// An id says what was counted, so any instance can go on from it.
#[tokio::test]
async fn a_reader_goes_on_at_another_instance() {
    let one = TestApp::start().await;
    let ids = one.users(2).await;
    one.sink.next_replies(Stage::Rcpt, ["451 4.3.0 later"]);
    let sent = one.invite(json!({"user_ids": ids})).await;
    let mut events = Events::open(&one, &sent, None).await;
    let first = events.next().await.unwrap();
    one.worker.deliver_due().await.unwrap();
    let second = events.next().await.unwrap();
    assert_eq!(second.data["counts"]["deferred"], 1);
    drop(events);

    let config = crate::support::app::config(&one.db, &one.sink, &Setup::default());
    let other = enlist::server::startup::App::build(config, one.clock.clone())
        .await
        .unwrap();
    let base = format!("http://127.0.0.1:{}", other.port());
    let stopper = other.stopper();
    let running = tokio::spawn(other.run());
    let watch = async |last: &Event| {
        let request = crate::support::http_client()
            .build()
            .unwrap()
            .get(format!("{base}{}", path(&sent)));
        let response = request
            .bearer_auth(&one.key)
            .header("last-event-id", &last.id)
            .send();
        Events {
            response: response.await.unwrap(),
            text: String::new(),
            beats: 0,
        }
    };
    let mut behind = watch(&first).await;
    assert_eq!(
        behind.next().await.unwrap(),
        second,
        "what was missed, at once"
    );
    let mut up_to_date = watch(&second).await;
    one.clock.advance(chrono::Duration::seconds(30));
    one.worker.deliver_due().await.unwrap();
    for events in [&mut behind, &mut up_to_date] {
        let next = events.next().await.unwrap();
        assert_eq!(
            (next.name.as_str(), &next.data["counts"]["accepted"]),
            ("progress", &json!(2))
        );
        assert_eq!(events.next().await.unwrap().name, "done");
        assert_eq!(events.next().await, None);
    }
    stopper.stop().await;
    running.await.unwrap().unwrap();
}

/// Many watch, and the database is asked as often as for one; nobody holds a connection meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn all_who_watch_share_one_look() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    app.db.watch_statements();
    let ids = app.users(2).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        let key = api_key(&app.db, Role::Reader);
        for _ in 0..15 {
            let mut events = Events::open_as(&app, &key, &sent, None).await;
            events.next().await.unwrap();
            all.push(events);
        }
    }
    app.db.watch_statements();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let looks = app
        .db
        .number("SELECT sum(calls) FROM seen_statements WHERE query LIKE '%messages%GROUP BY%'");
    assert!((1..=9).contains(&looks), "{looks} looks in two seconds");
    // Sixty streams, and the others are answered as ever.
    assert_eq!(app.get("/users").await.status, StatusCode::OK);
    // Told to stop, they all end at once, in the middle.
    let since = Instant::now();
    app.stop().await;
    for events in all {
        assert_eq!(events.all().await, []);
    }
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_watch() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(1).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let path = path(&sent);
    let with = async |key: &str| {
        app.anonymous(Method::GET, &path)
            .bearer_auth(key)
            .send()
            .await
            .unwrap()
    };
    let anonymous = app.anonymous(Method::GET, &path).send().await.unwrap();
    Answer::of(anonymous).await.is_problem(401, "unauthorized");
    Answer::of(with(&api_key(&app.db, Role::Enroller)).await)
        .await
        .is_problem(403, "forbidden");
    app.get(&format!("/batches/{}/events", uuid::Uuid::nil()))
        .await
        .is_problem(404, "not_found");
    app.get(&format!("{path}?token={}", app.key))
        .await
        .is_problem(422, "validation_failed");
    let head = app.request(Method::HEAD, &path).send();
    let head = tokio::time::timeout(LIMIT, head)
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(head.headers()["content-type"], "text/event-stream");

    // A key that is revoked hears nothing more.
    let reader = api_key(&app.db, Role::Reader);
    let mut events = Events {
        response: with(&reader).await,
        text: String::new(),
        beats: 0,
    };
    assert_eq!(events.next().await.unwrap().name, "progress");
    app.db
        .execute("UPDATE api_keys SET revoked_at = '2026-11-23T08:00:00Z' WHERE role = 'reader'");
    tokio::time::sleep(Duration::from_millis(700)).await;
    app.worker.deliver_due().await.unwrap();
    assert_eq!(events.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_and_no_more() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(1).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    // Each key has its own share.
    let mut all = Vec::new();
    for _ in 0..16 {
        let key = api_key(&app.db, Role::Reader);
        for _ in 0..16 {
            all.push(Events::open_as(&app, &key, &sent, None).await);
        }
    }
    let refused = app.get(&path(&sent)).await;
    assert_eq!(
        refused
            .is_problem(503, "too_many_streams")
            .header("retry-after"),
        "5"
    );
    // Who leaves makes room: seen at the next thing that is told.
    all.clear();
    app.worker.deliver_due().await.unwrap();
    let since = Instant::now();
    loop {
        let answer = app.get(&path(&sent)).await;
        if answer.status == StatusCode::OK {
            break;
        }
        assert!(since.elapsed() < LIMIT, "no room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
