//! From the outbox to the mail server.

use std::time::Duration;

use enlist::config::InstanceRole;
use mailparse::{MailHeaderMap, ParsedMail, parse_mail};
use serde_json::{Value, json};

use crate::{
    audit_attacks::linker_with,
    support::{
        app::{Setup, TestApp, start_of_time},
        db::TestDb,
        smtp::{SmtpSink, Stage},
    },
};

/// Every part of a mail, with its media type and decoded body.
pub fn parts(mail: &ParsedMail) -> Vec<(String, Vec<u8>)> {
    if mail.subparts.is_empty() {
        return vec![(mail.ctype.mimetype.clone(), mail.get_body_raw().unwrap())];
    }
    mail.subparts.iter().flat_map(parts).collect()
}

/// What is seen of a page: the text alone.
fn seen(html: &str) -> String {
    scraper::Html::parse_document(html)
        .root_element()
        .text()
        .collect()
}

fn part(mail: &ParsedMail, kind: &str) -> String {
    let (_, body) = parts(mail)
        .into_iter()
        .find(|(found, _)| found == kind)
        .unwrap();
    String::from_utf8(body).unwrap()
}

/// What the picture of a QR code says.
pub fn decode_qr(bytes: &[u8]) -> String {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .unwrap();
    let side = reader.info().width as usize;
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let stride = side.div_ceil(8);
    let mut image = rqrr::PreparedImage::prepare_from_bitmap(side, side, |x, y| {
        pixels[y * stride + x / 8] >> (7 - x % 8) & 1 == 0
    });
    image.detect_grids()[0].decode().unwrap().1
}

async fn invitation(app: &TestApp, sent: &Value, index: usize) -> Value {
    let id = sent["results"][index]["invitation_id"].as_str().unwrap();
    app.get(&format!("/invitations/{id}")).await.json
}

/// B23: what people read is in letters, what mail servers read in A-labels (RFC 5890 §2.3.2.1).
#[tokio::test]
async fn a_sender_beyond_ascii_is_in_a_labels_on_the_wire() {
    let app = TestApp::start_with(Setup {
        from: "IT <it@bücher.example>".to_owned(),
        ..Setup::default()
    })
    .await;
    let ada = app.user(json!({"email": "ada@bücher.example"})).await;
    let body = json!({"user_ids": [ada]});
    let preview = app.post("/invitations/preview", body.clone()).await.json;
    assert_eq!(preview["message"]["from"], "IT <it@bücher.example>");
    let sent = app.invite(body).await;
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    let shown = invitation(&app, &sent, 0).await;
    assert_eq!(shown["messages"][0]["state"], "accepted", "{shown}");
    let received = &app.sink.messages()[0];
    assert_eq!(received.from, "it@xn--bcher-kva.example");
    assert_eq!(received.rcpt, ["ada@xn--bcher-kva.example"]);
    assert!(received.data.is_ascii());
    let mail = parse_mail(&received.data).unwrap();
    let header = |name: &str| mail.headers.get_first_value(name).unwrap_or_default();
    assert_eq!(header("From"), "IT <it@xn--bcher-kva.example>");
    for (name, id) in [
        ("Message-ID", &shown["messages"][0]["id"]),
        ("References", &shown["id"]),
    ] {
        let id = id.as_str().unwrap();
        assert_eq!(header(name), format!("<{id}@xn--bcher-kva.example>"));
    }
    let suppressed = header("X-Auto-Response-Suppress");
    assert!(!suppressed.contains("DR") && !suppressed.contains("All"));
}

#[tokio::test]
async fn a_pin_mail_arrives_with_the_pin_that_the_administrator_sees() {
    let app = TestApp::start().await;
    let ada = app
        .user(json!({"email": "ada@example.com", "display_name": "Ada \"The Countess\", Lovelace", "time_zone": "Asia/Tokyo"}))
        .await;
    let body = json!({"user_ids": [ada], "note": "Bring your phone.\nSee you!", "device_ownership": "company_owned"});
    let preview = app.post("/invitations/preview", body.clone()).await.json;
    let sent = app.invite(body).await;
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    let received = &app.sink.messages()[0];
    assert_eq!(
        (received.from.as_str(), received.rcpt.as_slice()),
        ("it@example.com", &["ada@example.com".to_owned()][..])
    );
    assert!(
        received.data.is_ascii()
            && received
                .data
                .split(|b| *b == b'\n')
                .all(|line| line.len() <= 999)
    );
    let mail = parse_mail(&received.data).unwrap();
    let header = |name: &str| mail.headers.get_first_value(name).unwrap_or_default();
    let to = mailparse::addrparse_header(mail.headers.get_first_header("To").unwrap()).unwrap();
    let to = to.extract_single_info().unwrap();
    assert_eq!(
        to.display_name.as_deref(),
        Some("Ada \"The Countess\", Lovelace")
    );
    assert_eq!(to.addr, "ada@example.com");
    assert_eq!(
        header("Subject"),
        "Example & Söhne invites you to enroll your device"
    );
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert_eq!(header("Content-Language"), "en");
    assert_eq!(header("Date"), "Mon, 23 Nov 2026 08:00:00 +0000");
    let shown = invitation(&app, &sent, 0).await;
    assert_eq!(
        header("Message-ID"),
        format!(
            "<{}@example.com>",
            shown["messages"][0]["id"].as_str().unwrap()
        )
    );
    assert_eq!(mail.ctype.mimetype, "multipart/alternative");

    let pin = app
        .get(&format!(
            "/invitations/{}/pin",
            shown["id"].as_str().unwrap()
        ))
        .await
        .json["pin"]
        .as_str()
        .unwrap()
        .to_owned();
    let (text, html) = (part(&mail, "text/plain"), part(&mail, "text/html"));
    for body in [&text, &seen(&html)] {
        assert!(
            body.contains(&pin)
                && body.contains("https://enroll.example.com/enroll")
                && body.contains("help@example.com")
        );
        assert!(
            body.contains("Tuesday, 24 November 2026, 17:00 (UTC+09:00)"),
            "{body}"
        );
    }
    assert!(text.contains("Bring your phone.") && html.contains("Bring your phone.<br>See you!"));
    assert!(html.contains("Example &amp; Söhne"));
    // The preview was this very message, but for the secret.
    let same = |body: &str| {
        body.replace("\r\n", "\n")
            .trim_end()
            .replace(&pin, "00000000")
    };
    assert_eq!(
        same(&text),
        preview["message"]["text"].as_str().unwrap().trim_end()
    );
    assert_eq!(
        same(&html),
        preview["message"]["html"].as_str().unwrap().trim_end()
    );
    assert_eq!(
        header("Subject"),
        preview["message"]["subject"].as_str().unwrap()
    );
}

#[tokio::test]
async fn the_qr_code_in_a_mail_is_the_link_in_its_text() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let sent = app
        .invite(json!({"user_ids": ids, "method": "qr", "locale": "fr"}))
        .await;
    app.worker.deliver_due().await.unwrap();
    let data = app.sink.messages()[0].data.clone();
    let mail = parse_mail(&data).unwrap();
    assert_eq!(mail.subparts[1].ctype.mimetype, "multipart/related");
    let (text, html) = (part(&mail, "text/plain"), part(&mail, "text/html"));
    let link = text
        .lines()
        .find(|line| line.starts_with("https://enroll.example.com/enroll/"))
        .unwrap()
        .trim();
    let (_, picture) = parts(&mail)
        .into_iter()
        .find(|(kind, _)| kind == "image/png")
        .unwrap();
    assert_eq!(decode_qr(&picture), link);
    let picture = &mail.subparts[1].subparts[1];
    let id = picture.headers.get_first_value("Content-ID").unwrap();
    assert!(
        html.contains(&format!("src=\"cid:{}\"", id.trim_matches(['<', '>'])))
            && html.contains(link)
    );
    assert!(
        picture
            .headers
            .get_first_value("Content-Disposition")
            .unwrap()
            .starts_with("inline")
    );
    assert!(text.contains("Bonjour user1@example.com"));
    // The same code as the administrator sees, and genuine.
    let id = sent["results"][0]["invitation_id"].as_str().unwrap();
    let seen = app
        .request(reqwest::Method::GET, &format!("/invitations/{id}/qr.png"))
        .send()
        .await
        .unwrap();
    assert_eq!(decode_qr(&seen.bytes().await.unwrap()), link);
    let keys = enlist::secrets::keys::KeyRing::parse(crate::support::app::KEYS).unwrap();
    let claims = enlist::secrets::token::verify(&keys, link.rsplit('/').next().unwrap()).unwrap();
    assert_eq!(claims.invitation.to_string(), id);
}

#[tokio::test]
async fn passwords_and_both() {
    let app = TestApp::start().await;
    let ada = app
        .user(json!({"email": "ada@example.com", "password": "analytical engine"}))
        .await;
    for (method, has_pin) in [("password", false), ("pin_and_password", true)] {
        let sent = app
            .invite(json!({"user_ids": [ada], "method": method}))
            .await;
        app.worker.deliver_due().await.unwrap();
        let data = app.sink.messages().pop().unwrap().data;
        let text = part(&parse_mail(&data).unwrap(), "text/plain");
        assert!(
            text.contains("password")
                && text.contains("ada@example.com")
                && !text.contains("analytical")
        );
        let id = sent["results"][0]["invitation_id"].as_str().unwrap();
        let pin = app.get(&format!("/invitations/{id}/pin")).await;
        assert_eq!(
            pin.json["pin"]
                .as_str()
                .is_some_and(|pin| text.contains(pin)),
            has_pin
        );
    }
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_with_the_same_pin_and_message_id() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    app.sink
        .next_replies(Stage::Rcpt, ["451 4.7.1 Greylisted, come back"]);
    let sent = app.invite(json!({"user_ids": ids})).await;
    app.worker.deliver_due().await.unwrap();
    let message = invitation(&app, &sent, 0).await["messages"][0].clone();
    assert_eq!(
        (
            &message["state"],
            &message["smtp_code"],
            &message["enhanced_status"],
            &message["attempts"]
        ),
        (&json!("deferred"), &json!(451), &json!("4.7.1"), &json!(1))
    );
    assert!(message["reason"].as_str().unwrap().contains("Greylisted"));
    assert_eq!(
        app.worker.deliver_due().await.unwrap(),
        0,
        "not before it is due"
    );
    let batch = app
        .get(&format!("/batches/{}", sent["batch_id"].as_str().unwrap()))
        .await
        .json;
    assert_eq!(
        (&batch["state"], &batch["counts"]["deferred"]),
        (&json!("sending"), &json!(1))
    );

    // The server has the message, but its answer is lost.
    app.sink.drop_after_data(1, true);
    app.clock.advance(chrono::Duration::seconds(30));
    assert_eq!(
        app.worker.deliver_due().await.unwrap(),
        1,
        "first within 30 s"
    );
    let shown = invitation(&app, &sent, 0).await;
    assert_eq!(shown["delivery"], "deferred");
    assert_eq!(
        shown["pin_expires_at"], "2026-11-24T08:00:30Z",
        "it may have arrived: the PIN's life has begun"
    );

    app.clock.advance(chrono::Duration::seconds(60));
    app.worker.deliver_due().await.unwrap();
    let shown = invitation(&app, &sent, 0).await;
    assert_eq!(
        (&shown["delivery"], &shown["messages"][0]["attempts"]),
        (&json!("accepted"), &json!(3))
    );
    assert_eq!(shown["pin_expires_at"], "2026-11-24T08:00:30Z");
    let received = app.sink.messages();
    assert_eq!(
        received.len(),
        2,
        "at least once: the lost answer costs a second copy"
    );
    let mails: Vec<_> = received
        .iter()
        .map(|one| parse_mail(&one.data).unwrap())
        .collect();
    assert_eq!(
        mails[0].headers.get_first_value("Message-ID"),
        mails[1].headers.get_first_value("Message-ID")
    );
    assert_eq!(
        part(&mails[0], "text/plain"),
        part(&mails[1], "text/plain"),
        "the same PIN, valid as long"
    );
}

#[tokio::test]
async fn a_refusal_for_good_is_kept_with_its_code_and_holds_nobody_back() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    app.sink.on_rcpt(|to| {
        to.contains("user2")
            .then(|| "550 5.1.1 No such user here".to_owned())
    });
    let sent = app.invite(json!({"user_ids": ids})).await;
    app.worker.deliver_due().await.unwrap();
    let message = invitation(&app, &sent, 1).await["messages"][0].clone();
    assert_eq!(
        (
            &message["state"],
            &message["smtp_code"],
            &message["enhanced_status"]
        ),
        (&json!("failed"), &json!(550), &json!("5.1.1"))
    );
    assert!(
        message["reason"]
            .as_str()
            .unwrap()
            .contains("No such user here")
    );
    assert_eq!(app.sink.messages().len(), 2);
    let batch = app
        .get(&format!("/batches/{}", sent["batch_id"].as_str().unwrap()))
        .await
        .json;
    assert_eq!(
        (
            &batch["state"],
            &batch["counts"]["failed"],
            &batch["counts"]["accepted"]
        ),
        (&json!("done"), &json!(1), &json!(2))
    );
    app.clock.advance(chrono::Duration::hours(3));
    assert_eq!(app.worker.deliver_due().await.unwrap(), 0, "never again");
}

#[tokio::test]
async fn trying_ends_after_two_days_or_with_the_invitation() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    app.sink
        .on_rcpt(|_| Some("450 4.2.1 Mailbox busy".to_owned()));
    let sent = app.invite(json!({"user_ids": ids})).await;
    let mut tries = 0;
    for _ in 0..200 {
        tries += app.worker.deliver_due().await.unwrap();
        app.clock.advance(chrono::Duration::minutes(30));
    }
    let shown = invitation(&app, &sent, 0).await;
    assert_eq!(
        (&shown["delivery"], &shown["messages"][0]["attempts"]),
        (&json!("failed"), &json!(tries))
    );
    assert_eq!(shown["messages"][0]["smtp_code"], 450);
    let last: chrono::DateTime<chrono::Utc> = shown["messages"][0]["last_attempt_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let tried_for = last - start_of_time();
    assert!(
        tried_for > chrono::Duration::hours(46) && tried_for <= chrono::Duration::hours(48),
        "{tried_for}"
    );
}

#[tokio::test]
async fn what_has_ended_meanwhile_is_not_sent() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    app.sink
        .next_replies(Stage::Rcpt, ["451 later", "451 later", "451 later"]);
    let sent = app.invite(json!({"user_ids": ids})).await;
    assert_eq!(app.worker.deliver_due().await.unwrap(), 3);
    // One user lost the address, one invitation was revoked while a worker held its message, one has expired.
    app.send(
        reqwest::Method::PATCH,
        &format!("/users/{}", ids[0]),
        json!({"username": "a", "email": null}),
    )
    .await;
    app.db.execute(&format!(
        "UPDATE invitations SET state = 'revoked', ended_at = now() WHERE user_id = '{}'",
        ids[1]
    ));
    app.db.execute(&format!(
        "UPDATE invitations SET expires_at = '2026-11-23T08:00:10Z' WHERE user_id = '{}'",
        ids[2]
    ));
    app.clock.advance(chrono::Duration::minutes(1));
    assert_eq!(app.worker.deliver_due().await.unwrap(), 3);
    let mut told = Vec::new();
    for index in 0..3 {
        let message = invitation(&app, &sent, index).await["messages"][0].clone();
        told.push((
            message["state"].as_str().unwrap().to_owned(),
            message["reason"].as_str().unwrap().to_owned(),
        ));
    }
    let expected = [
        ("failed", "no_email"),
        ("suppressed", "revoked"),
        ("failed", "expired"),
    ];
    assert_eq!(
        told,
        expected.map(|(state, reason)| (state.to_owned(), reason.to_owned()))
    );
    assert!(app.sink.messages().is_empty());
}

/// What ended it first stays the reason, also when its time is over, too.
#[tokio::test]
async fn what_is_completed_does_not_fail_later() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    app.sink.next_replies(Stage::Rcpt, ["451 later"]);
    let sent = app.invite(json!({"user_ids": ids})).await;
    app.worker.deliver_due().await.unwrap();
    app.db
        .execute("UPDATE invitations SET state = 'completed', ended_at = created_at");
    app.clock.advance(chrono::Duration::days(8));
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    let shown = invitation(&app, &sent, 0).await;
    let message = &shown["messages"][0];
    assert_eq!(
        (&message["state"], &message["reason"]),
        (&json!("suppressed"), &json!("completed"))
    );
}

/// A worker that was away gives back what was canceled, and has expired, meanwhile.
#[tokio::test]
async fn what_is_given_back_late_has_expired() {
    use enlist::outbox::queries;
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let (mut connection, now) = (app.db.connect(), app.clock.now());
    let known = &app.worker.registrations;
    let claimed = queries::claim(&mut connection, 10, now, now, known).unwrap();
    let path = format!("/batches/{}/cancel", sent["batch_id"].as_str().unwrap());
    assert_eq!(app.post(&path, json!({})).await.status, 200);
    app.clock.advance(chrono::Duration::days(8));
    assert_eq!(invitation(&app, &sent, 0).await["state"], "expired");
    let held = [(claimed[0].id, claimed[0].attempts)];
    queries::give_back(&mut connection, &held, app.clock.now()).unwrap();
    assert_eq!(invitation(&app, &sent, 0).await["state"], "expired");
    let ended = "SELECT count(*) FROM invitations WHERE ended_at = expires_at";
    assert_eq!(app.db.number(ended), 1);
}

#[tokio::test]
async fn a_dead_instances_messages_are_taken_over_within_a_minute() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    app.invite(json!({"user_ids": ids})).await;
    // What an instance leaves behind that was killed right after it had claimed.
    let (now, lease) = (app.clock.now(), app.clock.now() + Duration::from_secs(45));
    let claimed = enlist::outbox::queries::claim(
        &mut app.db.connect(),
        10,
        now,
        lease,
        &app.worker.registrations,
    )
    .unwrap();
    assert_eq!(claimed.len(), 2);
    assert_eq!(app.worker.deliver_due().await.unwrap(), 0, "leased");
    app.clock.advance(chrono::Duration::seconds(46));
    assert_eq!(app.worker.deliver_due().await.unwrap(), 2);
    assert_eq!(app.sink.messages().len(), 2);
    // The dead one wakes up and says that it failed: nobody listens any more.
    let late = enlist::outbox::queries::Settled {
        is_refusal: true,
        id: claimed[0].id,
        attempts: claimed[0].attempts,
        state: enlist::model::invitation::MessageState::Failed,
        due_at: now,
        smtp_code: None,
        enhanced_status: None,
        reason: None,
        handed_over_at: None,
        counter: None,
    };
    enlist::outbox::queries::settle(&mut app.db.connect(), &[late], now).unwrap();
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM messages WHERE state = 'accepted'"),
        2
    );
}

/// The service as it runs: it notices by itself, keeps its connections, and stops cleanly.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_delivers_and_finishes_what_is_on_the_wire_when_stopped() {
    let mut app = TestApp::start_with(Setup {
        role: InstanceRole::All,
        clock: enlist::clock::Clock::system(),
        ..Setup::default()
    })
    .await;
    let ids = app.users(60).await;
    app.invite(json!({"user_ids": ids[..40]})).await;
    app.sink.wait_for(40, Duration::from_secs(10)).await;
    assert!(
        app.sink.connections() <= 4,
        "{} connections",
        app.sink.connections()
    );
    let accepted = "SELECT count(*) FROM messages WHERE state = 'accepted'";
    let since = std::time::Instant::now();
    while app.db.number(accepted) < 40 {
        assert!(since.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    app.sink.delay(Stage::Final, Duration::from_millis(300));
    app.invite(json!({"user_ids": ids[40..]})).await;
    app.sink
        .wait_until("something is on the wire", Duration::from_secs(5), |sink| {
            sink.count("DATA") > 40
        })
        .await;
    app.stop().await;
    let delivered = app.sink.messages().len() as i64;
    assert!(delivered > 40, "what was on the wire is finished");
    assert_eq!(app.db.number(accepted), delivered, "and written down");
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM messages WHERE state = 'sending'"),
        0,
        "the rest is given back"
    );
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts = 0"),
        60 - delivered
    );
    app.leaves_unsent = true;
}

/// Three workers claim from one queue, a few messages at a time.
#[tokio::test(flavor = "multi_thread")]
async fn instances_share_the_queue_and_double_nothing() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(120).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running: Vec<_> = (0..3)
        .map(|_| tokio::spawn(app.worker.clone().run(stopped.clone())))
        .collect();
    app.invite(json!({"user_ids": ids})).await;
    app.sink.wait_for(120, Duration::from_secs(20)).await;
    stop.send_replace(true);
    for one in running {
        one.await.unwrap();
    }
    let mut to: Vec<String> = app
        .sink
        .messages()
        .into_iter()
        .flat_map(|one| one.rcpt)
        .collect();
    to.sort();
    to.dedup();
    assert_eq!((to.len(), app.sink.messages().len()), (120, 120));
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM messages WHERE state = 'accepted' AND attempts = 1"),
        120
    );
}

/// What was claimed ahead is looked at again before it is sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_while_it_waits_for_a_slow_server_is_not_sent() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(20).await;
    app.sink.delay(Stage::Final, Duration::from_millis(1_500));
    app.invite(json!({"user_ids": ids})).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(app.worker.clone().run(stopped));
    app.sink
        .wait_until(
            "four mails are on the wire",
            Duration::from_secs(5),
            |sink| sink.count("DATA") == 4,
        )
        .await;
    app.db
        .execute("UPDATE invitations SET state = 'revoked', ended_at = now()");
    let since = std::time::Instant::now();
    while app
        .db
        .number("SELECT count(*) FROM messages WHERE state = 'suppressed' AND reason = 'revoked'")
        < 16
    {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "they were sent all the same"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.send_replace(true);
    running.await.unwrap();
    assert_eq!(app.sink.messages().len(), 4, "only what was on the wire");
}

/// A dead database does not keep the service alive for ever once it was told to stop.
#[tokio::test(flavor = "multi_thread")]
async fn stopping_without_the_database_ends() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(1).await;
    app.sink.delay(Stage::Final, Duration::from_millis(500));
    app.invite(json!({"user_ids": ids})).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(app.worker.clone().run(stopped));
    app.sink
        .wait_until("it is on the wire", Duration::from_secs(5), |sink| {
            sink.count("DATA") == 1
        })
        .await;
    app.db.execute("ALTER TABLE messages RENAME TO gone");
    stop.send_replace(true);
    tokio::time::timeout(Duration::from_secs(40), running)
        .await
        .expect("it ends")
        .unwrap();
    app.db.execute("ALTER TABLE gone RENAME TO messages");
}

/// Some servers quote the link that they object to.
#[tokio::test]
async fn a_servers_words_give_no_secret_away() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let sent = app.invite(json!({"user_ids": ids})).await;
    let id = sent["results"][0]["invitation_id"].as_str().unwrap();
    let pin = app.get(&format!("/invitations/{id}/pin")).await.json["pin"]
        .as_str()
        .unwrap()
        .to_owned();
    app.sink.next_replies(
        Stage::Final,
        [format!("554 5.7.1 We do not like {pin}").as_str()],
    );
    app.worker.deliver_due().await.unwrap();
    let reason = invitation(&app, &sent, 0).await["messages"][0]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(reason.ends_with("We do not like ***"), "{reason}");
}

/// The PIN that a lost answer began, and that has expired since, begins a new life.
#[tokio::test]
async fn a_dead_pin_is_not_mailed() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    app.sink.drop_after_data(1, false);
    let sent = app.invite(json!({"user_ids": ids})).await;
    app.worker.deliver_due().await.unwrap();
    assert_eq!(
        invitation(&app, &sent, 0).await["last_sent_at"],
        Value::Null,
        "no server has accepted it"
    );
    app.clock.advance(chrono::Duration::hours(25));
    app.worker.deliver_due().await.unwrap();
    let shown = invitation(&app, &sent, 0).await;
    assert_eq!(shown["pin_expires_at"], "2026-11-25T09:00:00Z");
    assert_eq!(shown["last_sent_at"], "2026-11-24T09:00:00Z");
    let text = part(
        &parse_mail(&app.sink.messages()[0].data).unwrap(),
        "text/plain",
    );
    assert!(text.contains("25 November 2026"), "{text}");
}

/// However much was sent before, a claim reads what is due and nothing else.
#[tokio::test]
async fn a_claim_reads_only_what_is_due() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    app.invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    app.db.execute(
        "INSERT INTO messages SELECT overlay(gen_random_uuid()::text PLACING '0190' FROM 1)::uuid, 'invitation', i.id, i.batch_id,
            'accepted', 1, now(), now()
         FROM invitations i, generate_series(1, 30000);
         ANALYZE",
    );
    app.invite(json!({"user_ids": ids})).await;
    app.db.watch_statements();
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    let blocks = app.db.number(
        "SELECT sum(shared_blks_hit + shared_blks_read) FROM seen_statements WHERE query LIKE '%FOR UPDATE SKIP LOCKED%'",
    );
    assert!(blocks < 200, "{blocks} blocks were read");
}

#[tokio::test]
async fn a_start_without_a_pending_invitations_key_is_refused_with_its_id() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let old = Setup {
        keys: "old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into(),
        ..Setup::default()
    };
    let app = TestApp::start_on(db, sink, old).await;
    let ids = app.users(1).await;
    app.invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    // Events from before the first link need the key, too.
    let keys = "old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    linker_with(&app, keys, None).link().await.unwrap();
    let build = async |keys: &str| {
        let setup = Setup {
            keys: keys.into(),
            ..Setup::default()
        };
        let config = crate::support::app::config(&app.db, &app.sink, &setup);
        enlist::server::startup::App::build(config, app.clock.clone())
            .await
            .map(drop)
    };
    let new = "new:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    let refused = build(new).await.unwrap_err().to_string();
    assert!(
        refused.contains("ENLIST_SECRET_KEYS") && refused.contains("`old`"),
        "{refused}"
    );
    let other = build("old:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=");
    let refused = other.await.unwrap_err().to_string();
    assert!(
        refused.contains("`old` is not the one"),
        "another key under the same id: {refused}"
    );
    build(&format!(
        "{new},old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    ))
    .await
    .unwrap();
    app.clock.advance(chrono::Duration::days(8));
    build(new).await.unwrap();
}

/// A copy of the database gives nothing away.
#[tokio::test]
async fn the_database_holds_no_secret() {
    let app = TestApp::start().await;
    let ids = app.users(4).await;
    let pins = app.invite(json!({"user_ids": ids[..2]})).await;
    app.invite(json!({"user_ids": ids[2..], "method": "qr"}))
        .await;
    app.send(
        reqwest::Method::PUT,
        &format!("/users/{}/password", ids[0]),
        json!({"password": "analytical engine"}),
    )
    .await;
    app.worker.deliver_due().await.unwrap();
    let dump = app.db.dump();
    assert!(dump.contains("user1@example.com"), "it is a dump");
    let mut secrets = vec![
        app.key.clone(),
        "analytical engine".into(),
        crate::support::app::KEYS[3..].to_owned(),
    ];
    for index in 0..2 {
        let id = pins["results"][index]["invitation_id"].as_str().unwrap();
        secrets.push(
            app.get(&format!("/invitations/{id}/pin")).await.json["pin"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    for received in app.sink.messages() {
        let text = part(&parse_mail(&received.data).unwrap(), "text/plain");
        if let Some(link) = text.lines().find(|line| line.contains("/enroll/")) {
            secrets.push(link.trim().rsplit('/').next().unwrap().to_owned());
        }
    }
    assert_eq!(secrets.len(), 7);
    for secret in secrets {
        assert!(!dump.contains(&secret), "{secret}");
    }
}
