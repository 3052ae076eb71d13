//! Mails that come back: what is believed, what it changes, and what is sent to no one any more.

use std::{io::Write, process::Command, process::Stdio};

use chrono::Duration;
use enlist::model::caller::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, KEYS, Setup, TestApp, api_key},
    db::TestDb,
    log,
    prometheus::Scrape,
    smtp::{Options, SmtpSink, Stage},
};

/// A relay's report about a mail that it had taken.
fn report(to: &str, envelope_id: Option<&str>, action: &str, status: &str) -> String {
    let id = envelope_id.map_or_else(String::new, |id| format!("Original-Envelope-Id: {id}\r\n"));
    format!(
        "Return-Path: <>\r\nFrom: Mail Delivery System <MAILER-DAEMON@relay.example>\r\nTo: {to}\r\n\
         Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"AB.12/relay\"\r\n\r\n\
         --AB.12/relay\r\nContent-Type: text/plain\r\n\r\nI'm sorry.\r\n\r\n\
         --AB.12/relay\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; relay.example\r\n{id}Arrival-Date: Mon, 23 Nov 2026 09:00:00 +0000\r\n\r\n\
         Final-Recipient: rfc822; ada@example.com\r\nAction: {action}\r\nStatus: {status}\r\n\
         Diagnostic-Code: smtp; 550 {status} <ada@example.com>:\r\n Recipient address rejected\r\n\r\n\
         --AB.12/relay\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: Enroll\r\n\r\n--AB.12/relay--\r\n"
    )
}

pub async fn started() -> TestApp {
    let setup = Setup {
        bounces: Some("bounces@example.com".parse().unwrap()),
        ..Setup::default()
    };
    TestApp::start_with(setup).await
}

pub async fn bring(app: &TestApp, mail: &str) -> Answer {
    let request = app
        .request(Method::POST, "/mail/bounces")
        .header("content-type", "message/rfc822")
        .body(mail.to_owned());
    Answer::of(request.send().await.unwrap()).await
}

/// Invites Ada by mail; gives the user, the invitation, and where the mail comes back to.
async fn invited(app: &TestApp) -> (String, String, String) {
    let user = app
        .user(json!({"email": "Ada@Example.com", "display_name": "Ada"}))
        .await;
    let (invitation, from) = again(app, &user).await;
    (user, invitation, from)
}

async fn again(app: &TestApp, user: &str) -> (String, String) {
    let sent = app.invite(json!({"user_ids": [user]})).await;
    app.worker.deliver_due().await.unwrap();
    let invitation = sent["results"][0]["invitation_id"].as_str().unwrap();
    let from = app.sink.messages().last().unwrap().from.clone();
    (invitation.to_owned(), from)
}

pub async fn delivery(app: &TestApp, invitation: &str) -> Value {
    app.get(&format!("/invitations/{invitation}")).await.json
}

#[tokio::test]
async fn a_mail_that_came_back_for_good_ends_what_is_sent_to_the_address() {
    let app = started().await;
    let (user, invitation, from) = invited(&app).await;
    assert!(
        from.starts_with("bounces+") && from.ends_with("@example.com"),
        "{from}"
    );
    let taken = bring(&app, &report(&from, None, "failed", "5.1.1")).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text);
    assert_eq!(taken.json["outcome"], "hard");
    assert_eq!(taken.json["invitation_id"], invitation.as_str());
    assert_eq!(taken.json["suppressed"], true);
    let shown = delivery(&app, &invitation).await;
    assert_eq!(
        (&shown["state"], &shown["delivery"]),
        (&json!("pending"), &json!("bounced"))
    );
    let message = &shown["messages"][0];
    assert_eq!(message["id"], taken.json["message_id"]);
    assert_eq!(message["state"], "bounced");
    assert_eq!(message["enhanced_status"], "5.1.1");
    assert_eq!(
        message["reason"],
        "550 5.1.1 <ada@example.com>: Recipient address rejected"
    );
    let batch = shown["batch_id"].as_str().unwrap();
    let batch = app.get(&format!("/batches/{batch}")).await.json;
    assert_eq!(
        (&batch["counts"]["bounced"], &batch["counts"]["accepted"]),
        (&json!(1), &json!(0))
    );

    // A repeat is the same, and nothing is sent to the address.
    assert_eq!(
        bring(&app, &report(&from, None, "failed", "5.1.1"))
            .await
            .json["outcome"],
        "hard"
    );
    let list = app.get("/suppressions?count=true").await.json;
    assert_eq!(list["total"], 1, "{list}");
    let suppression = &list["data"][0];
    assert_eq!(suppression["email"], "ada@example.com");
    assert_eq!(suppression["user_id"], user.as_str());
    assert_eq!(suppression["enhanced_status"], "5.1.1");
    let asked = json!({"user_ids": [user]});
    let preview = app.post("/invitations/preview", asked.clone()).await.json;
    assert!(
        preview.to_string().contains("email_suppressed"),
        "{preview}"
    );
    let sent = app.invite(asked.clone()).await;
    assert_eq!(sent["results"][0]["reason"], "email_suppressed");
    app.clock.advance(Duration::minutes(5));
    app.post(&format!("/invitations/{invitation}/resend"), json!({}))
        .await
        .is_problem(409, "email_suppressed");
    let many = app.post("/invitations/resend", asked.clone()).await.json;
    assert_eq!(many["results"][0]["reason"], "email_suppressed");
    // The PIN can be told otherwise.
    let by_hand = app
        .invite(json!({"user_ids": [user], "delivery": "none"}))
        .await;
    assert_eq!(by_hand["accepted_count"], 1);
    assert_eq!(app.sink.messages().len(), 1);

    // Lifted, and mails go there again.
    let path = format!("/suppressions/{}", suppression["id"].as_str().unwrap());
    assert_eq!(&app.get(&path).await.json, suppression);
    let lifted = app.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(lifted.status(), StatusCode::NO_CONTENT);
    app.get(&path).await.is_problem(404, "not_found");
    Answer::of(app.request(Method::DELETE, &path).send().await.unwrap())
        .await
        .is_problem(404, "not_found");
    again(&app, &user).await;
    assert_eq!(app.sink.messages().len(), 2);
    let events = app.get("/audit-events").await.text;
    for action in ["suppression.added", "suppression.lifted"] {
        assert!(events.contains(action), "{action}");
    }
}

#[tokio::test]
async fn what_is_forged_changes_nothing() {
    let app = started().await;
    let (_, invitation, from) = invited(&app).await;
    let other = app.user(json!({"email": "bob@example.com"})).await;
    let (_, others) = again(&app, &other).await;
    let message = delivery(&app, &invitation).await["messages"][0]["id"].clone();
    let token = &from["bounces+".len()..from.find('@').unwrap()];
    let half = |from: &str| from["bounces+".len()..from.find('@').unwrap()].to_owned();
    let forged = [
        // Known: the message's id, the address, the Message-ID.
        report("bounces@example.com", message.as_str(), "failed", "5.1.1"),
        report("ada@example.com", Some("aaaa"), "failed", "5.1.1"),
        // One's own token with the beginning of another's.
        report(
            &format!(
                "bounces+{}{}@example.com",
                &token[..24],
                &half(&others)[24..]
            ),
            None,
            "failed",
            "5.1.1",
        ),
        report(&from.replace(&token[46..], "aa"), None, "failed", "5.1.1"),
        "Subject: hello\r\n\r\nNo report at all".to_owned(),
        String::new(),
    ];
    for mail in &forged {
        let taken = bring(&app, mail).await;
        assert_eq!(
            (taken.status, &taken.json["outcome"]),
            (StatusCode::ACCEPTED, &json!("unmatched"))
        );
        assert_eq!(taken.json["message_id"], Value::Null);
    }
    assert_eq!(delivery(&app, &invitation).await["delivery"], "accepted");
    assert_eq!(app.get("/suppressions?count=true").await.json["total"], 0);
    // Counted, not trusted.
    let metrics = app.get("/metrics").await.text;
    assert_eq!(
        Scrape::parse(&metrics).get("enlist_bounce_reports_total{outcome=unmatched}"),
        Some(6.0)
    );
    // With the token, and still no report: nothing.
    let taken = bring(
        &app,
        &format!("To: {from}\r\nSubject: Out of office\r\n\r\nI am away"),
    )
    .await;
    assert_eq!(taken.json["outcome"], "ignored");
    assert_eq!(delivery(&app, &invitation).await["delivery"], "accepted");
}

#[tokio::test]
async fn the_log_tells_of_a_report_once_it_is_committed() {
    log::capture();
    let app = started().await;
    let (_, _, from) = invited(&app).await;
    let mail = report(&from, None, "failed", "5.1.1");
    app.db.refuse_commits();
    let failed = bring(&app, &mail).await;
    assert_eq!(failed.status, 500, "{}", failed.text);
    app.db.commit_again();
    let taken = bring(&app, &mail).await;
    assert_eq!(taken.json["outcome"], "hard");
    for (answer, times) in [(failed, 0), (taken, 1)] {
        let lines = log::lines_of(&answer);
        let said = lines.matches("a delivery status report").count();
        assert_eq!(said, times, "{lines}");
    }
}

#[tokio::test]
async fn soft_reports_are_noted_and_full_mailboxes_stay_open() {
    let app = started().await;
    let (user, invitation, from) = invited(&app).await;
    for (action, status, outcome) in [
        ("delayed", "4.4.1", "soft"),
        ("delayed", "4.2.2", "soft"),
        ("delivered", "2.0.0", "ignored"),
    ] {
        let taken = bring(&app, &report(&from, None, action, status)).await;
        assert_eq!(taken.json["outcome"], outcome);
        assert_eq!(taken.json["suppressed"], false);
        assert_eq!(delivery(&app, &invitation).await["delivery"], "accepted");
    }
    let message = delivery(&app, &invitation).await["messages"][0].clone();
    assert_eq!(message["enhanced_status"], "4.2.2");
    let full = bring(&app, &report(&from, None, "failed", "5.2.2")).await;
    assert_eq!(
        (&full.json["outcome"], &full.json["suppressed"]),
        (&json!("hard"), &json!(false))
    );
    assert_eq!(delivery(&app, &invitation).await["delivery"], "bounced");
    again(&app, &user).await;
    assert_eq!(app.sink.messages().len(), 2);
}

/// RFC 3464 §2.3.3: what failed is over, whatever the reason. What was said of it first stays.
#[tokio::test]
async fn what_was_given_up_is_final() {
    let app = started().await;
    let (_, invitation, from) = invited(&app).await;
    for (action, status, outcome, shown) in [
        ("delayed", "4.4.1", "soft", ("accepted", "4.4.1")),
        ("failed", "4.4.7", "soft", ("bounced", "4.4.7")),
        ("delayed", "4.2.1", "soft", ("bounced", "4.4.7")),
        ("delivered", "2.0.0", "ignored", ("bounced", "4.4.7")),
        ("failed", "5.7.1", "hard", ("bounced", "4.4.7")),
    ] {
        let taken = bring(&app, &report(&from, None, action, status)).await.json;
        assert_eq!(
            (&taken["outcome"], &taken["suppressed"]),
            (&json!(outcome), &json!(false))
        );
        let message = delivery(&app, &invitation).await["messages"][0].clone();
        assert_eq!(
            (&message["state"], &message["enhanced_status"]),
            (&json!(shown.0), &json!(shown.1)),
            "{action} {status}"
        );
        assert_eq!(message["smtp_code"], 550);
    }
    // A complaint changes no state.
    let complaint = format!(
        "To: {from}\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
    );
    let taken = bring(&app, &complaint).await.json;
    assert_eq!(
        (&taken["outcome"], &taken["suppressed"]),
        (&json!("complained"), &json!(true))
    );
    let list = app.get("/suppressions").await.json;
    assert_eq!(list["data"][0]["reason"], "complained", "{list}");
    assert_eq!(delivery(&app, &invitation).await["delivery"], "bounced");
    let metrics = app.get("/metrics").await.text;
    assert_eq!(
        Scrape::parse(&metrics).get("enlist_bounce_reports_total{outcome=complained}"),
        Some(1.0)
    );
}

#[tokio::test]
async fn an_envelope_id_is_proof_as_well_and_no_address_is_needed() {
    let options = Options {
        dsn: true,
        ..Options::default()
    };
    let app = TestApp::start_on(
        TestDb::migrated(),
        SmtpSink::start_with(options),
        Setup::default(),
    )
    .await;
    let (_, invitation, from) = invited(&app).await;
    assert_eq!(from, "it@example.com");
    let said = app.sink.commands();
    let mail = said
        .iter()
        .find(|(_, line)| line.starts_with("MAIL"))
        .unwrap();
    let id = mail.1.split("ENVID=").nth(1).unwrap().trim();
    assert_eq!(id.len(), 48, "{}", mail.1);
    let wrapped = format!(
        "Subject: Fwd\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\nContent-Type: message/rfc822\r\n\r\n{}\r\n--out--\r\n",
        report("it@example.com", Some(id), "failed", "5.1.10")
    );
    assert_eq!(bring(&app, &wrapped).await.json["outcome"], "hard");
    assert_eq!(delivery(&app, &invitation).await["delivery"], "bounced");
}

/// A report can be faster than the answer that it is about, or come after that answer was lost.
#[tokio::test]
async fn a_report_that_comes_first_is_not_undone() {
    let app = started().await;
    let user = app.user(json!({"email": "ada@example.com"})).await;
    app.sink.next_replies(Stage::Final, ["451 4.3.0 later"]);
    let (invitation, from) = {
        let sent = app.invite(json!({"user_ids": [user]})).await;
        app.worker.deliver_due().await.unwrap();
        let line = app.sink.commands();
        let from = line
            .iter()
            .find_map(|(_, line)| line.strip_prefix("MAIL FROM:<"))
            .unwrap();
        let from = from.split('>').next().unwrap().to_owned();
        (
            sent["results"][0]["invitation_id"]
                .as_str()
                .unwrap()
                .to_owned(),
            from,
        )
    };
    assert_eq!(delivery(&app, &invitation).await["delivery"], "deferred");
    assert_eq!(
        bring(&app, &report(&from, None, "failed", "5.1.1"))
            .await
            .json["outcome"],
        "hard"
    );
    app.clock.advance(Duration::hours(1));
    assert_eq!(app.worker.deliver_due().await.unwrap(), 0);
    assert_eq!(delivery(&app, &invitation).await["delivery"], "bounced");
}

/// What is queued when an address is suppressed does not go out, and another address of the user is free.
#[tokio::test]
async fn what_waits_is_not_sent_and_a_new_address_is() {
    let app = started().await;
    let (user, _, from) = invited(&app).await;
    let sent = app.invite(json!({"user_ids": [user]})).await;
    bring(&app, &report(&from, None, "failed", "5.1.1")).await;
    app.worker.deliver_due().await.unwrap();
    let waiting = sent["results"][0]["invitation_id"].as_str().unwrap();
    let shown = delivery(&app, waiting).await;
    assert_eq!(shown["delivery"], "suppressed");
    assert_eq!(shown["messages"][0]["reason"], "email_suppressed");
    app.send(
        Method::PATCH,
        &format!("/users/{user}"),
        json!({"email": "lovelace@example.com"}),
    )
    .await;
    let (_, second) = again(&app, &user).await;
    assert_eq!(
        app.sink.messages().last().unwrap().rcpt,
        ["lovelace@example.com"]
    );
    // A late report about the old address is about the message, not about the new address.
    app.send(
        Method::PATCH,
        &format!("/users/{user}"),
        json!({"email": "countess@example.com"}),
    )
    .await;
    let late = bring(&app, &report(&second, None, "failed", "5.1.1")).await;
    assert_eq!(
        (&late.json["outcome"], &late.json["suppressed"]),
        (&json!("hard"), &json!(false))
    );
    assert_eq!(
        app.get("/suppressions?email=countess@example.com&count=true")
            .await
            .json["total"],
        0
    );
    assert_eq!(
        app.get("/suppressions?email=ADA@example.com&count=true")
            .await
            .json["total"],
        1
    );
    // Who is deleted takes it along.
    app.request(Method::DELETE, &format!("/users/{user}"))
        .send()
        .await
        .unwrap();
    assert_eq!(app.get("/suppressions?count=true").await.json["total"], 0);
}

#[tokio::test]
async fn who_may_bring_one_and_in_which_form() {
    let app = started().await;
    for (role, expected) in [
        (Role::Reader, 403),
        (Role::Provisioner, 403),
        (Role::Enroller, 202),
        (Role::Manager, 202),
    ] {
        let request = app
            .anonymous(Method::POST, "/mail/bounces")
            .bearer_auth(api_key(&app.db, role))
            .header("content-type", "message/rfc822; charset=us-ascii")
            .body("x");
        assert_eq!(request.send().await.unwrap().status(), expected, "{role}");
    }
    app.post("/mail/bounces", json!({}))
        .await
        .is_problem(415, "unsupported_media_type");
    let large = "x".repeat(1024 * 1024 + 1);
    bring(&app, &large)
        .await
        .is_problem(413, "payload_too_large");
    app.get("/suppressions?limit=0&x=1&email=no")
        .await
        .is_problem(422, "validation_failed");
    app.get("/suppressions/nobody")
        .await
        .is_problem(404, "not_found");
}

#[tokio::test]
async fn the_shell_takes_a_report_for_a_pipe() {
    let app = started().await;
    let (_, invitation, from) = invited(&app).await;
    let bounce = |database: &str, mail: &str| {
        let mut running = Command::new(env!("CARGO_BIN_EXE_enlist"))
            .env("DATABASE_URL", database)
            .env("ENLIST_SECRET_KEYS", KEYS)
            .arg("bounce")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        running
            .stdin
            .take()
            .unwrap()
            .write_all(mail.as_bytes())
            .unwrap();
        running.wait_with_output().unwrap()
    };
    let long = report(&from, None, "failed", "5.1.1") + &"x".repeat(3 * 1024 * 1024);
    let done = bounce(&app.db.url, &long);
    assert_eq!(
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stdout).trim()
        ),
        (Some(0), "hard")
    );
    assert_eq!(delivery(&app, &invitation).await["delivery"], "bounced");
    let done = bounce(&app.db.url, "nothing");
    assert_eq!(
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stdout).trim()
        ),
        (Some(0), "unmatched")
    );
    // The mail server keeps it and comes again.
    let away = bounce("postgres:///none?host=/nowhere", "nothing");
    assert_eq!(away.status.code(), Some(75), "{away:?}");
    assert!(String::from_utf8_lossy(&away.stderr).contains("DATABASE_URL"));
}

/// Addresses that are suppressed, each with status, words and the hour of the day from when it is.
async fn suppressed(app: &TestApp, all: &[(&str, Option<&str>, Option<&str>, u32)]) {
    for (number, (address, status, words, hour)) in all.iter().enumerate() {
        let user = app.user(json!({"username": format!("s{number}")})).await;
        let text = |text: &Option<&str>| text.map_or("NULL".into(), |text| format!("'{text}'"));
        app.db.execute(&format!(
            "INSERT INTO suppressions VALUES (gen_random_uuid(), '{address}', '{user}', {}, {}, '2026-11-20T{hour:02}:00:00Z')",
            text(status), text(words)
        ));
    }
}

async fn lift(app: &TestApp, query: &str) -> Answer {
    let request = app.request(Method::DELETE, &format!("/suppressions{query}"));
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn many_are_lifted_by_what_is_listed_before() {
    let app = started().await;
    suppressed(
        &app,
        &[
            (
                "a@example.com",
                Some("5.1.1"),
                Some("550 5.1.1 User unknown"),
                1,
            ),
            (
                "b@sub.example.com",
                Some("5.1.1"),
                Some("550 5.1.1 User unknown"),
                2,
            ),
            ("c@bücher.example", Some("5.1.10"), None, 3),
            ("d@xn--bcher-kva.example", None, Some("complained"), 4),
            (
                "e@example.org",
                None,
                Some("554 Blocked_by Straße 100% <e@example.org>"),
                5,
            ),
            ("f@notexample.com", None, None, 6),
        ],
    )
    .await;
    let found = async |query: &str| {
        let listed = app.get(&format!("/suppressions?count=true&{query}")).await;
        let rows = listed.json["data"].as_array().unwrap();
        assert_eq!(listed.json["total"], rows.len(), "{query}");
        let mut first: Vec<String> = rows
            .iter()
            .map(|row| row["email"].as_str().unwrap()[..1].to_owned())
            .collect();
        first.sort_unstable();
        first.concat()
    };
    for (query, expected) in [
        ("domain=example.com", "a"),
        ("domain=EXAMPLE.com", "a"),
        ("domain=%40sub.example.com.", "b"),
        ("domain=com", ""),
        ("domain=b%C3%BCcher.example", "cd"),
        ("domain=XN--Bcher-KVA.example", "cd"),
        ("reason=5.1.1", "ab"),
        ("reason=5.1.10", "c"),
        ("reason=5.1", "abc"),
        ("reason=5.1.", "abc"),
        ("reason=user%20UNKNOWN", "ab"),
        ("reason=Complained", "d"),
        ("reason=blocked", "e"),
        ("reason=STRA%C3%9FE%20100%25%20%3Ce%40", "e"),
        ("reason=d_b", "e"),
        ("reason=.*", ""),
        ("reason=50", ""),
        ("before=2026-11-20T03:00:00Z", "ab"),
        ("before=2026-11-20T04:00:00%2B01:00", "ab"),
        ("domain=example.com&reason=5.1.10", ""),
        (
            "reason=5.1.1&before=2026-11-20T02:00:00Z&domain=example.com",
            "a",
        ),
        ("email=a@example.com&reason=unknown", "a"),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
        if !query.contains("email=") {
            let dry = lift(&app, &format!("?dry_run=true&{query}")).await;
            assert_eq!(
                (dry.status, &dry.json),
                (StatusCode::OK, &json!({"lifted": expected.len()})),
                "{query}"
            );
        }
    }
    // A cursor is good for the same filters alone.
    let page = app.get("/suppressions?limit=1&reason=5.1.1").await.json;
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = app
        .get(&format!(
            "/suppressions?limit=1&reason=5.1.1&cursor={cursor}"
        ))
        .await
        .json;
    assert_ne!(next["data"][0]["email"], page["data"][0]["email"]);
    app.get(&format!(
        "/suppressions?limit=1&reason=5.1.10&cursor={cursor}"
    ))
    .await
    .is_problem(422, "validation_failed");

    let events = async || {
        app.get("/audit-events?action=suppression.lifted")
            .await
            .json["data"]
            .clone()
    };
    let nothing = lift(&app, "?domain=nowhere.example").await;
    assert_eq!(nothing.json, json!({"lifted": 0}));
    assert_eq!(events().await, json!([]), "nothing was done");
    let lifted = lift(&app, "?domain=b%C3%BCcher.example").await;
    assert_eq!(
        (lifted.status, &lifted.json),
        (StatusCode::OK, &json!({"lifted": 2}))
    );
    assert_eq!(found("").await, "abef");
    let lifted = lift(
        &app,
        "?reason=%3Ce%40example.org%3E&before=2026-11-21T00:00:00Z",
    )
    .await;
    assert_eq!(lifted.json, json!({"lifted": 1}));
    let told = events().await;
    assert_eq!(told.as_array().unwrap().len(), 2, "one for the lot");
    assert_eq!(
        (&told[1]["subject"], &told[1]["after"]),
        (
            &json!({"kind": "suppression", "id": null}),
            &json!({"domain": "xn--bcher-kva.example", "reason": null, "before": null, "lifted": 2})
        )
    );
    assert_eq!(
        told[0]["after"],
        json!({"domain": null, "reason": "…", "before": "2026-11-21T00:00:00Z", "lifted": 1}),
        "an address would stay when its user is erased"
    );
}

#[tokio::test]
async fn a_lift_without_a_filter_is_refused() {
    let app = started().await;
    suppressed(&app, &[("a@example.com", None, None, 1)]).await;
    for query in ["", "?", "?dry_run=true", "?dry_run=false"] {
        let refused = lift(&app, query).await;
        refused.is_problem(422, "validation_failed");
        let fault = &refused.json["errors"][0];
        assert_eq!(fault["code"], "no_filter", "{query}");
        let detail = fault["detail"].as_str().unwrap();
        assert!(
            ["domain", "reason", "before"]
                .iter()
                .all(|name| detail.contains(name)),
            "{detail}"
        );
    }
    for (query, pointers) in [
        ("?reason=", vec!["/reason"]),
        ("?reason=%20&domain=", vec!["/domain", "/reason"]),
        (
            "?domain=a@example.com&before=yesterday",
            vec!["/before", "/domain"],
        ),
        ("?email=a@example.com", vec!["/email"]),
        ("?domain=example.com&dry_run=1", vec!["/dry_run"]),
    ] {
        let refused = lift(&app, query).await;
        refused.is_problem(422, "validation_failed");
        assert_eq!(refused.pointers(), pointers, "{query}");
    }
    assert_eq!(app.get("/suppressions?count=true").await.json["total"], 1);
}
