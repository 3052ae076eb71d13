//! A running service and a mail server that limits what it takes.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use enlist::{clock::Clock, config::InstanceRole};
use serde_json::json;

use crate::support::{
    app::{Setup, TestApp},
    db::TestDb,
    log,
    prometheus::Scrape,
    smtp::{Ending, Options, SmtpSink, Stage},
};

/// As many as the tests' service opens.
const CONNECTIONS: f64 = 4.0;

/// Far more than anything here takes: only a failing test waits as long.
const SOON: Duration = Duration::from_secs(60);

async fn delivering(options: Options) -> TestApp {
    let setup = Setup {
        role: InstanceRole::All,
        clock: Clock::system(),
        ..Setup::default()
    };
    TestApp::start_on(TestDb::migrated(), SmtpSink::start_with(options), setup).await
}

async fn metric(app: &TestApp, name: &str) -> f64 {
    let text = app.get("/metrics").await.text;
    Scrape::parse(&text).get(name).unwrap_or_default()
}

async fn until(app: &TestApp, name: &str, value: f64) {
    let begun = Instant::now();
    while metric(app, name).await < value {
        assert!(begun.elapsed() < SOON, "{name} is not {value}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn in_state(app: &TestApp, state: &str) -> i64 {
    let count = format!("SELECT count(*) FROM messages WHERE state = '{state}'");
    app.db.number(&count)
}

/// Waits until no result is on its way to the database: that is a little later than the metrics know it.
async fn written(app: &TestApp) {
    let begun = Instant::now();
    while in_state(app, "sending") > 0 {
        assert!(begun.elapsed() < SOON, "results are not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// B24: a sender's daily limit, told as 550 to MAIL FROM or at the end of the content.
#[tokio::test(flavor = "multi_thread")]
async fn a_daily_limit_keeps_the_queue_and_fails_nobody() {
    log::capture();
    for at_the_end in [false, true] {
        let mut app = delivering(Options::default()).await;
        app.leaves_unsent = true;
        let is_over = Arc::new(AtomicUsize::new(0));
        if at_the_end {
            let taken = Arc::clone(&is_over);
            app.sink.on_final(move |_| {
                let reply =
                    "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException";
                (taken.fetch_add(1, Ordering::Relaxed) >= 5).then_some(Ending::Reply(reply))
            });
        } else {
            let reply = "550 5.4.5 Daily sending quota exceeded";
            app.sink.next_replies(Stage::Mail, [reply; 20]);
        }
        let ids = app.users(25).await;
        let sent = app.invite(json!({"user_ids": ids})).await;
        until(&app, "enlist_mail_breaker_open", 1.0).await;
        until(&app, "enlist_mail_refusals_total{about=sender}", 2.0).await;
        written(&app).await;
        let batch = sent["batch_id"].as_str().unwrap();
        let counts = app.get(&format!("/batches/{batch}")).await.json["counts"].clone();
        assert_eq!(
            (&counts["failed"], &counts["recipients"]),
            (&json!(0), &json!(25))
        );
        assert_eq!(counts["accepted"], if at_the_end { 5 } else { 0 });
        assert_eq!(in_state(&app, "failed"), 0);
        // What was on the wire at that moment met it, and hardly anybody else.
        let met = in_state(&app, "deferred");
        assert!(
            (2..=3 * CONNECTIONS as i64).contains(&met),
            "{met} {counts}"
        );
        assert!(log::captured().contains("refuses all that is sent"));
        // Taken again: one that tries it finds out, and what waits goes out by itself.
        is_over.store(usize::MAX / 2, Ordering::Relaxed);
        app.sink.on_final(|_| None);
        app.sink.forget_script();
        let begun = Instant::now();
        while in_state(&app, "accepted") < 25 - met {
            assert!(begun.elapsed() < SOON, "what was kept does not go out");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(metric(&app, "enlist_mail_breaker_open").await, 0.0);
        assert_eq!(in_state(&app, "failed"), 0);
    }
}

/// What is wrong with several mails is wrong with all: the rest is kept, and no probe costs a user the mail.
#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_refused_again_and_again_fails_few() {
    let mut app = delivering(Options::default()).await;
    app.leaves_unsent = true;
    let is_refused = Arc::new(AtomicUsize::new(1));
    let refuses = Arc::clone(&is_refused);
    app.sink.on_final(move |_| {
        let is_refused = refuses.load(Ordering::Relaxed) == 1;
        is_refused.then_some(Ending::Reply("550 5.1.0 policy violation"))
    });
    let ids = app.users(25).await;
    app.invite(json!({"user_ids": ids})).await;
    until(&app, "enlist_mail_breaker_open", 1.0).await;
    // Two probes later.
    let tried = metric(&app, "enlist_mail_refusals_total{about=message}").await;
    until(
        &app,
        "enlist_mail_refusals_total{about=message}",
        tried + 2.0,
    )
    .await;
    assert_eq!(in_state(&app, "failed"), 4);
    is_refused.store(0, Ordering::Relaxed);
    until(&app, "enlist_mail_attempts_total{outcome=accepted}", 10.0).await;
    written(&app).await;
    assert_eq!(in_state(&app, "failed"), 4);
}

/// A server that takes two connections from one client gets two, within seconds, and every mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_few_connections_gets_few() {
    let app = delivering(Options {
        most_connections: Some(2),
        ..Options::default()
    })
    .await;
    app.sink.delay(Stage::Final, Duration::from_millis(20));
    let ids = app.users(60).await;
    app.invite(json!({"user_ids": ids})).await;
    app.sink.wait_for(60, SOON).await;
    until(&app, "enlist_mail_attempts_total{outcome=accepted}", 60.0).await;
    assert_eq!(
        metric(&app, "enlist_mail_attempts_total{outcome=failed}").await,
        0.0
    );
    // All at first, then what it takes, tried again now and then.
    let refused = metric(&app, "enlist_mail_refusals_total{about=pace}").await;
    assert!((1.0..=20.0).contains(&refused), "{refused}");
    assert_eq!(metric(&app, "enlist_mail_breaker_open").await, 0.0);
}

/// Greylisting is each recipient's own: the others go on with all connections.
#[tokio::test(flavor = "multi_thread")]
async fn greylisted_recipients_slow_nobody_else_down() {
    for reply in [
        "450 4.2.0 Recipient address rejected: Greylisted",
        "451 4.7.1 Try again later",
    ] {
        let mut app = delivering(Options::default()).await;
        app.leaves_unsent = true;
        let seen = Mutex::new(HashSet::new());
        app.sink.on_rcpt(move |address| {
            let is_new = seen.lock().unwrap().insert(address.to_owned());
            let number: String = address.chars().filter(char::is_ascii_digit).collect();
            // Some in a row, as users of one company are, and some between others.
            let is_new = is_new && (number.len() == 1 || number == "55");
            is_new.then(|| reply.to_owned())
        });
        let ids = app.users(100).await;
        app.invite(json!({"user_ids": ids})).await;
        until(&app, "enlist_mail_attempts_total{outcome=accepted}", 90.0).await;
        written(&app).await;
        assert_eq!(in_state(&app, "deferred") + in_state(&app, "accepted"), 100);
        let limit = metric(&app, "enlist_mail_concurrency_limit").await;
        assert_eq!(limit, CONNECTIONS, "{reply}");
    }
}
