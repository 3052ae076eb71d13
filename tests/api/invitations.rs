//! Preview, send, and what can be seen of invitations.

use std::collections::BTreeSet;

use enlist::secrets::{keys::KeyRing, token};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Answer, KEYS, TestApp};

/// One of each kind: who can be invited by everything, without a password, without an address, disabled.
async fn four_kinds(app: &TestApp) -> [String; 4] {
    let body = |name: &str| json!({"email": format!("{name}@example.com"), "display_name": name});
    let mut full = body("full");
    full["password"] = json!("a good password");
    full["locale"] = json!("fr-CA");
    full["time_zone"] = json!("Europe/Paris");
    let mut disabled = body("disabled");
    disabled["enabled"] = json!(false);
    [
        app.user(full).await,
        app.user(body("plain")).await,
        app.user(json!({"username": "nomail"})).await,
        app.user(disabled).await,
    ]
}

fn snapshot_tables(app: &TestApp) -> i64 {
    app.db.number(
        "SELECT (SELECT count(*) FROM batches) + (SELECT count(*) FROM invitations) + (SELECT count(*) FROM messages)
         + (SELECT count(*) FROM batch_skips) + (SELECT count(*) FROM idempotency_keys)",
    )
}

#[tokio::test]
async fn a_preview_tells_all_and_keeps_nothing() {
    let app = TestApp::start().await;
    let [full, plain, nomail, disabled] = four_kinds(&app).await;
    let answer = app
        .post("/invitations/preview", json!({"filter": {}, "device_ownership": "user_owned", "note": "See you\n<b>Monday</b>"}))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let preview = &answer.json;
    assert_eq!(preview["recipient_count"], 4);
    assert_eq!(preview["sendable_count"], 2);
    assert_eq!(
        preview["summary"],
        json!({"by_method": {"pin": 2}, "by_locale": {"en": 1, "fr": 1}, "skipped": {"no_email": 1, "user_disabled": 1}})
    );
    assert_eq!(preview["notices"], json!([]));
    let recipients = preview["recipients"].as_array().unwrap();
    assert_eq!(
        recipients[0],
        json!({
            "user_id": full, "display_name": "full", "email": "full@example.com", "locale": "fr", "method": "pin",
            "outcome": "send", "reason": null, "supersedes_pending": false, "confirmation_email": false, "warnings": [],
            "device_ownership": {"requested": "user_owned", "effective": "user_owned", "reason": "setting", "if_supervised": "company_owned"}
        })
    );
    let reasons: Vec<_> = recipients
        .iter()
        .map(|r| (r["user_id"].as_str().unwrap(), r["reason"].as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            (full.as_str(), None),
            (&plain, None),
            (&nomail, Some("no_email")),
            (&disabled, Some("user_disabled"))
        ]
    );

    let message = &preview["message"];
    assert_eq!(message["user_id"], full.as_str());
    assert_eq!(message["from"], "Example IT <it@example.com>");
    assert_eq!(message["to"], "full@example.com");
    assert_eq!(message["headers"]["Auto-Submitted"], "auto-generated");
    let (text, html) = (
        message["text"].as_str().unwrap(),
        message["html"].as_str().unwrap(),
    );
    assert!(
        text.contains("00000000") && html.contains("00000000"),
        "the placeholder PIN"
    );
    assert!(
        text.contains("<b>Monday</b>")
            && html.contains("&lt;b&gt;Monday")
            && !html.contains("<b>Monday")
    );
    assert!(
        text.contains("mardi 24 novembre 2026 à 09:00 (UTC+01:00)"),
        "one day from now, in Paris: {text}"
    );
    assert_eq!(message["attachments"], json!([]));
    assert_eq!(snapshot_tables(&app), 0, "nothing is stored");
    assert_eq!(
        app.worker.deliver_due().await.unwrap(),
        0,
        "nothing is sent"
    );
}

#[tokio::test]
async fn a_preview_can_be_asked_for_as_html_and_as_mail() {
    let app = TestApp::start().await;
    let [_, plain, nomail, _] = four_kinds(&app).await;
    let asked = json!({"user_ids": [plain, nomail], "method": "qr"});
    let as_kind = async |accept: &str| {
        let request = app
            .request(Method::POST, "/invitations/preview")
            .header("accept", accept)
            .json(&asked);
        Answer::of(request.send().await.unwrap()).await
    };
    let html = as_kind("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8").await;
    assert!(html.header("content-type").starts_with("text/html"));
    assert!(
        html.text.starts_with("<!DOCTYPE html>") && html.text.contains("data:image/png;base64,")
    );
    assert!(
        html.header("content-security-policy")
            .contains("default-src 'none'")
    );
    let mail = as_kind("message/rfc822").await;
    assert_eq!(mail.header("content-type"), "message/rfc822");
    let parsed = mailparse::parse_mail(mail.text.as_bytes()).unwrap();
    assert_eq!(parsed.ctype.mimetype, "multipart/alternative");
    assert!(
        as_kind("*/*").await.json.is_object() && as_kind("application/json").await.json.is_object()
    );
    let nobody = app
        .request(Method::POST, "/invitations/preview")
        .header("accept", "text/html");
    let nobody = nobody
        .json(&json!({"user_ids": [nomail]}))
        .send()
        .await
        .unwrap();
    Answer::of(nobody).await.is_problem(422, "no_message");
}

#[tokio::test]
async fn a_preview_shows_the_sample_that_was_asked_for() {
    let app = TestApp::start().await;
    let [full, plain, nomail, _] = four_kinds(&app).await;
    let preview = async |body| app.post("/invitations/preview", body).await;
    let shown = preview(json!({"filter": {}, "sample_user_id": plain, "limit": 1}))
        .await
        .json;
    assert_eq!(shown["message"]["user_id"], plain.as_str());
    assert_eq!(shown["recipients"].as_array().unwrap().len(), 1);
    assert_eq!(
        shown["recipient_count"], 4,
        "the limit is about the list only"
    );
    for (body, code) in [
        (
            json!({"user_ids": [plain], "sample_user_id": full}),
            "not_selected",
        ),
        (
            json!({"filter": {}, "sample_user_id": nomail}),
            "is_skipped",
        ),
        (
            json!({"filter": {}, "sample_user_id": uuid::Uuid::nil()}),
            "not_selected",
        ),
    ] {
        let refused = preview(body).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            ["/sample_user_id"]
        );
        assert_eq!(refused.json["errors"][0]["code"], code);
    }
    assert_eq!(
        preview(json!({"filter": {}, "limit": 501}))
            .await
            .is_problem(422, "validation_failed")
            .pointers(),
        ["/limit"]
    );
    assert_eq!(
        preview(json!({"filter": {}, "delivery": "none"}))
            .await
            .json["message"],
        Value::Null
    );
    assert_eq!(
        preview(json!({"filter": {"q": "nobody at all"}}))
            .await
            .json["notices"][0]["code"],
        "nobody_matched"
    );
}

/// What no version of ours writes is told as an error: nobody is shown another PIN, or another code, for it.
#[tokio::test]
async fn a_stored_number_that_does_not_fit_is_not_taken_for_another_one() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    let mut shown = Vec::new();
    for (user, method, part) in [(0, "pin", "pin"), (1, "pin", "pin"), (2, "qr", "qr.svg")] {
        let body = json!({"user_ids": [ids[user]], "method": method, "delivery": "none"});
        let sent = app.invite(body).await;
        let id = sent["results"][0]["invitation_id"].as_str().unwrap();
        let path = format!("/invitations/{id}/{part}");
        assert_eq!(app.get(&path).await.status, StatusCode::OK);
        shown.push((id.to_owned(), path));
    }
    let code = &shown[2].0;
    let token = token::mint(
        KeyRing::parse(KEYS).unwrap().signing(),
        code.parse().unwrap(),
        0,
    );
    app.db.execute(&format!(
        "ALTER TABLE invitations DROP CONSTRAINT invitations_counter, DROP CONSTRAINT invitations_pin_length;
         UPDATE invitations SET counter = -1 WHERE id IN ('{}', '{code}');
         UPDATE invitations SET pin_length = 300 WHERE id = '{}'",
        shown[0].0, shown[1].0
    ));
    for (_, path) in &shown {
        app.get(path).await.is_problem(500, "internal");
    }
    for user in &ids[..2] {
        let refused = app
            .post("/invitations/pins", json!({"user_ids": [user]}))
            .await;
        refused.is_problem(500, "internal");
    }
    app.get(&format!("/enroll/{token}"))
        .await
        .is_problem(500, "internal");
}

#[tokio::test]
async fn each_method_skips_whom_it_cannot_reach() {
    let app = TestApp::start().await;
    four_kinds(&app).await;
    for (method, created, skipped) in [
        ("pin", 2, json!({"no_email": 1, "user_disabled": 1})),
        ("qr", 2, json!({"no_email": 1, "user_disabled": 1})),
        (
            "password",
            1,
            json!({"no_email": 1, "user_disabled": 1, "no_password": 1}),
        ),
        (
            "pin_and_password",
            1,
            json!({"no_email": 1, "user_disabled": 1, "no_password": 1}),
        ),
    ] {
        // Whoever was invited less than a minute ago is warned of.
        app.clock.advance(chrono::Duration::minutes(1));
        let body = json!({"filter": {}, "method": method, "device_ownership": "company_owned"});
        let preview = app.post("/invitations/preview", body.clone()).await.json;
        assert_eq!(preview["summary"]["skipped"], skipped, "{method}");
        let ownership = &preview["recipients"][0]["device_ownership"];
        let warnings = &preview["recipients"][0]["warnings"];
        if method == "qr" {
            assert_eq!(ownership["effective"], "undefined");
            assert_eq!(ownership["reason"], "method_not_applicable");
            assert_eq!(warnings[0]["code"], "ownership_not_applicable");
        } else {
            assert_eq!(ownership["effective"], "company_owned");
            assert_eq!(warnings, &json!([]));
        }
        let sent = app.invite(body).await;
        assert_eq!(sent["accepted_count"], created, "{method}");
        assert_eq!(sent["skipped_count"], 4 - created);
        assert_eq!(
            app.worker.deliver_due().await.unwrap(),
            created,
            "the previous ones are superseded"
        );
    }
    let none = app
        .invite(json!({"filter": {}, "method": "pin", "delivery": "none"}))
        .await;
    assert_eq!(
        none["accepted_count"], 3,
        "without mailing nobody needs an address"
    );
}

#[tokio::test]
async fn sending_creates_invitations_and_reports_everybody() {
    let app = TestApp::start().await;
    let [full, plain, nomail, disabled] = four_kinds(&app).await;
    let sent = app
        .post("/invitations/send", json!({"user_ids": [plain, full, nomail, plain], "filter": {"enabled": false}, "device_ownership": "user_owned"}))
        .await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.text);
    assert_eq!(sent.json["recipient_count"], 4, "a union: each once");
    assert_eq!(
        (&sent.json["accepted_count"], &sent.json["skipped_count"]),
        (&json!(2), &json!(2))
    );
    let location = sent.header("location").to_owned();
    assert_eq!(
        location,
        format!("/batches/{}", sent.json["batch_id"].as_str().unwrap())
    );
    let results = sent.json["results"].as_array().unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|r| {
            (
                r["user_id"].as_str().unwrap(),
                r["outcome"].as_str().unwrap(),
                r["reason"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (full.as_str(), "created", None),
            (&plain, "created", None),
            (&nomail, "skipped", Some("no_email")),
            (&disabled, "skipped", Some("user_disabled")),
        ]
    );
    let batch = app.get(&location).await.json;
    assert_eq!(batch["state"], "sending");
    assert_eq!(
        batch["counts"],
        json!({"recipients": 4, "skipped": 2, "queued": 2, "accepted": 0, "deferred": 0, "failed": 0, "bounced": 0, "suppressed": 0})
    );
    assert!(
        batch["created_by"]
            .as_str()
            .unwrap()
            .starts_with("api_key:")
    );

    assert_eq!(app.worker.deliver_due().await.unwrap(), 2);
    let batch = app.get(&location).await.json;
    assert_eq!(
        (&batch["state"], &batch["counts"]["accepted"]),
        (&json!("done"), &json!(2))
    );

    let id = results[0]["invitation_id"].as_str().unwrap();
    let invitation = app.get(&format!("/invitations/{id}")).await.json;
    assert_eq!(invitation["user_id"], full.as_str());
    assert_eq!(
        (
            &invitation["method"],
            &invitation["state"],
            &invitation["delivery"]
        ),
        (&json!("pin"), &json!("pending"), &json!("accepted"))
    );
    assert_eq!(invitation["device_ownership"]["effective"], "user_owned");
    assert_eq!(invitation["locale"], "fr");
    assert_eq!(invitation["expires_at"], "2026-11-30T08:00:00Z");
    assert_eq!(invitation["pin_expires_at"], "2026-11-24T08:00:00Z");
    let message = &invitation["messages"][0];
    assert_eq!(
        (
            &message["kind"],
            &message["state"],
            &message["attempts"],
            &message["smtp_code"]
        ),
        (
            &json!("invitation"),
            &json!("accepted"),
            &json!(1),
            &json!(250)
        )
    );

    // Page through all results, one at a time.
    let (mut seen, mut path) = (Vec::new(), format!("{location}/results?limit=1"));
    loop {
        let page = app.get(&path).await.json;
        seen.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{location}/results?limit=1&cursor={cursor}");
    }
    assert_eq!(&seen, results);
}

#[tokio::test]
async fn sending_again_supersedes_what_is_pending() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let first = app.invite(json!({"user_ids": ids})).await;
    let preview = app
        .post("/invitations/preview", json!({"user_ids": ids}))
        .await
        .json;
    assert_eq!(preview["recipients"][0]["supersedes_pending"], true);
    app.clock.advance(chrono::Duration::hours(1));
    let second = app.invite(json!({"user_ids": [ids[0]]})).await;
    let state = async |sent: &Value, index: usize| {
        let id = sent["results"][index]["invitation_id"].as_str().unwrap();
        let invitation = app.get(&format!("/invitations/{id}")).await.json;
        (
            invitation["state"].as_str().unwrap().to_owned(),
            invitation["delivery"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(
        state(&first, 0).await,
        ("superseded".into(), "suppressed".into())
    );
    assert_eq!(state(&first, 1).await, ("pending".into(), "queued".into()));
    assert_eq!(state(&second, 0).await, ("pending".into(), "queued".into()));
    assert_eq!(
        app.worker.deliver_due().await.unwrap(),
        2,
        "nobody gets two"
    );
    assert_eq!(app.sink.messages().len(), 2);
    let batch = app
        .get(&format!("/batches/{}", first["batch_id"].as_str().unwrap()))
        .await
        .json;
    assert_eq!(
        (&batch["counts"]["suppressed"], &batch["state"]),
        (&json!(1), &json!("done"))
    );
    // One whose time was over before has expired; it was not superseded.
    app.clock.advance(chrono::Duration::days(10));
    app.invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    assert_eq!(state(&second, 0).await.0, "expired");
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM invitations WHERE state = 'expired'"),
        2
    );
}

/// Ten sends at once to the same users: each user ends with exactly one pending invitation.
#[tokio::test]
async fn racing_sends_leave_one_pending_invitation_a_user() {
    let mut app = TestApp::start().await;
    let ids = app.users(5).await;
    let sends = (0..10).map(|_| app.post("/invitations/send", json!({"user_ids": ids})));
    for answer in futures_util::future::join_all(sends).await {
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    }
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM invitations WHERE state = 'pending'"),
        5
    );
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM invitations WHERE state = 'superseded'"),
        45
    );
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM messages WHERE state = 'queued'"),
        5
    );
    assert_eq!(app.db.number("SELECT count(*) FROM user_activity a JOIN invitations i ON i.id = a.latest_invitation_id WHERE i.state = 'pending'"), 5);
    app.leaves_unsent = true;
}

#[tokio::test]
async fn an_idempotency_key_sends_once() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let with_key = async |path: &str, key: &str, body: &Value| {
        let request = app
            .request(Method::POST, path)
            .header("idempotency-key", key)
            .json(body);
        Answer::of(request.send().await.unwrap()).await
    };
    let body = json!({"user_ids": ids});
    let first = with_key("/invitations/send", "k-1", &body).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    assert_eq!(first.header("idempotent-replayed"), "");
    let again = with_key("/invitations/send", "k-1", &body).await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (StatusCode::ACCEPTED, "true")
    );
    assert_eq!(
        (again.json.clone(), again.header("location")),
        (first.json.clone(), first.header("location"))
    );
    let other = with_key(
        "/invitations/send",
        "k-1",
        &json!({"user_ids": ids, "note": "x"}),
    )
    .await;
    other.is_problem(422, "idempotency_key_reused");
    for bad in ["", "a b", &"x".repeat(256)] {
        with_key("/invitations/send", bad, &body)
            .await
            .is_problem(422, "invalid_idempotency_key");
    }
    assert_eq!(app.db.number("SELECT count(*) FROM batches"), 1);
    // Another route is another scope; a refused request leaves the key free.
    with_key("/users", "k-1", &json!({"username": ""}))
        .await
        .is_problem(422, "validation_failed");
    let user = json!({"username": "ada", "password": "analytical engine"});
    let created = with_key("/users", "k-1", &user).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(with_key("/users", "k-1", &user).await.json, created.json);
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM users WHERE username = 'ada'"),
        1
    );
    assert_eq!(app.db.number("SELECT count(*) FROM idempotency_keys WHERE fingerprint LIKE '%analytical%' OR body LIKE '%analytical%'"), 0);
    // After a day the key may be used again.
    app.clock.advance(chrono::Duration::hours(25));
    let later = with_key("/invitations/send", "k-1", &body).await;
    assert_eq!(later.header("idempotent-replayed"), "");
    assert_ne!(later.json["batch_id"], first.json["batch_id"]);
    app.worker.deliver_due().await.unwrap();
}

/// Twenty at once with one key: one batch; the others get its answer or are told that it is running.
#[tokio::test]
async fn racing_repeats_send_once() {
    let app = TestApp::start().await;
    let ids = app.users(3).await;
    let body = json!({"user_ids": ids});
    let tries = (0..20).map(async |_| {
        let request = app
            .request(Method::POST, "/invitations/send")
            .header("idempotency-key", "race")
            .json(&body);
        Answer::of(request.send().await.unwrap()).await
    });
    let mut batches = BTreeSet::new();
    for answer in futures_util::future::join_all(tries).await {
        if answer.status == StatusCode::CONFLICT {
            answer.is_problem(409, "idempotency_key_in_flight");
        } else {
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
            batches.insert(answer.json["batch_id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(batches.len(), 1);
    assert_eq!(app.db.number("SELECT count(*) FROM batches"), 1);
    assert_eq!(app.worker.deliver_due().await.unwrap(), 3);
}

#[tokio::test]
async fn bad_selections_are_refused_and_nothing_is_kept() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let unknown = uuid::Uuid::nil().to_string();
    for path in ["/invitations/send", "/invitations/preview"] {
        for body in [
            json!({}),
            json!({"user_ids": []}),
            json!({"user_ids": [], "group_ids": [], "filter": null}),
        ] {
            app.post(path, body)
                .await
                .is_problem(422, "empty_selection");
        }
        let refused = app
            .post(
                path,
                json!({"user_ids": [ids[0], unknown, ids[1], unknown]}),
            )
            .await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            ["/user_ids/1", "/user_ids/3"]
        );
        let refused = app
            .post(path, json!({"user_ids": ids, "group_ids": [unknown]}))
            .await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            ["/group_ids/0"]
        );
        let refused = app
            .post(path, json!({
                "user_ids": ["x", 1], "filter": {"q": 1, "colour": "red"}, "device_ownership": "mine", "method": "fax",
                "locale": "?", "note": "x".repeat(1001), "delivery": "pigeon", "ownership": "user_owned"
            }))
            .await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            [
                "/delivery",
                "/device_ownership",
                "/filter/colour",
                "/filter/q",
                "/locale",
                "/method",
                "/note",
                "/ownership",
                "/user_ids/0",
                "/user_ids/1"
            ]
        );
        let many = vec![unknown.as_str(); 100_001];
        let refused = app.post(path, json!({ "user_ids": many })).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            ["/user_ids"]
        );
        let many = vec![unknown.as_str(); 100_000];
        let refused = app.post(path, json!({ "user_ids": many })).await;
        assert_eq!(
            refused
                .is_problem(422, "validation_failed")
                .pointers()
                .len(),
            100,
            "the first hundred are listed"
        );
    }
    assert_eq!(snapshot_tables(&app), 0);
    assert!(app.sink.messages().is_empty());
}

#[tokio::test]
async fn an_administrator_can_look_at_live_secrets() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let invite = async |id: &str, method: &str| {
        let sent = app
            .invite(json!({"user_ids": [id], "method": method, "delivery": "none"}))
            .await;
        format!(
            "/invitations/{}",
            sent["results"][0]["invitation_id"].as_str().unwrap()
        )
    };
    let (pin, qr) = (invite(&ids[0], "pin").await, invite(&ids[1], "qr").await);
    let shown = app.get(&format!("{pin}/pin")).await;
    assert_eq!(shown.header("cache-control"), "no-store");
    let digits = shown.json["pin"].as_str().unwrap();
    assert!(digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()));
    assert_eq!(shown.json["expires_at"], "2026-11-24T08:00:00Z");
    assert_eq!(
        app.get(&format!("{pin}/pin")).await.json,
        shown.json,
        "the same PIN while it lives"
    );
    let png = app
        .request(Method::GET, &format!("{qr}/qr.png"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            &png.headers()["content-type"],
            &png.headers()["cache-control"]
        ),
        (&"image/png".parse().unwrap(), &"no-store".parse().unwrap())
    );
    assert!(png.bytes().await.unwrap().starts_with(b"\x89PNG"));
    let svg = app.get(&format!("{qr}/qr.svg")).await;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    assert!(svg.text.starts_with("<svg"));
    for path in [
        format!("{pin}/qr.png"),
        format!("{pin}/qr.svg"),
        format!("{qr}/pin"),
    ] {
        app.get(&path).await.is_problem(409, "not_applicable");
    }
    // An answer with a secret is in no list.
    assert!(!app.get("/invitations").await.text.contains(digits));
    app.clock.advance(chrono::Duration::days(1));
    app.get(&format!("{pin}/pin"))
        .await
        .is_problem(409, "not_applicable");
    invite(&ids[1], "qr").await;
    app.get(&format!("{qr}/qr.png"))
        .await
        .is_problem(409, "not_applicable");
    app.get(&format!("/invitations/{}/pin", uuid::Uuid::nil()))
        .await
        .is_problem(404, "not_found");
}

/// The PINs of many are the very ones that each invitation shows.
#[tokio::test]
async fn live_pins_are_shown_for_many_users_at_once() {
    let app = TestApp::start().await;
    let [full, plain, nomail, disabled] = four_kinds(&app).await;
    let [over, qr, never] = [
        app.user(json!({"username": "over"})).await,
        app.user(json!({"username": "qr"})).await,
        app.user(json!({"username": "never"})).await,
    ];
    let invite = async |id: &str, method: &str, delivery: &str| {
        let sent = app
            .invite(json!({"user_ids": [id], "method": method, "delivery": delivery}))
            .await;
        sent["results"][0]["invitation_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    invite(&over, "pin", "none").await;
    app.clock.advance(chrono::Duration::hours(23));
    invite(&plain, "pin", "none").await;
    let newest = invite(&plain, "pin", "none").await;
    let mailed = invite(&full, "pin_and_password", "email").await;
    let issued = invite(&nomail, "pin", "none").await;
    invite(&qr, "qr", "none").await;
    app.clock.advance(chrono::Duration::hours(1));
    let before = snapshot_tables(&app);
    let body =
        json!({"user_ids": [plain, full, plain, never, over], "filter": {"source": "local"}});
    let shown = app
        .request(Method::POST, "/invitations/pins")
        .header("idempotency-key", "k-1")
        .json(&body);
    let shown = Answer::of(shown.send().await.unwrap()).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    assert_eq!(shown.header("cache-control"), "no-store");
    let pin = async |id: &str| {
        let shown = app.get(&format!("/invitations/{id}/pin")).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
        (shown.json["pin"].clone(), shown.json["expires_at"].clone())
    };
    let mut expected = Vec::new();
    for (user, name, email, invitation, end) in [
        // Not handed to a mail server yet: the PIN's own day has not begun.
        (
            &full,
            "full",
            Some("full@example.com"),
            &mailed,
            "2026-12-01T07:00:00Z",
        ),
        (
            &plain,
            "plain",
            Some("plain@example.com"),
            &newest,
            "2026-11-25T07:00:00Z",
        ),
        (&nomail, "nomail", None, &issued, "2026-11-25T07:00:00Z"),
    ] {
        let (pin, expires_at) = pin(invitation).await;
        assert_eq!(expires_at, end);
        expected.push(json!({
            "user_id": user, "display_name": name, "username": email.unwrap_or(name), "email": email,
            "invitation_id": invitation, "pin": pin, "expires_at": end
        }));
    }
    let skipped = [&disabled, &over, &qr, &never]
        .map(|id| json!({"user_id": id, "reason": "no_pending_pin"}));
    assert_eq!(shown.json, json!({"data": expected, "skipped": skipped}));
    assert_eq!(snapshot_tables(&app), before, "nothing is stored");

    // Of the selection alone; and what has ended is shown no more.
    let body = json!({ "user_ids": [full] });
    let one = app.post("/invitations/pins", body.clone()).await.json;
    assert_eq!(one, json!({"data": expected[..1], "skipped": []}));
    app.send(
        Method::PATCH,
        &format!("/users/{full}"),
        json!({"enabled": false}),
    )
    .await;
    assert_eq!(
        app.post("/invitations/pins", body).await.json,
        json!({"data": [], "skipped": [{"user_id": full, "reason": "no_pending_pin"}]})
    );
    app.clock.advance(chrono::Duration::days(7));
    let over = app.post("/invitations/pins", json!({"filter": {}})).await;
    assert_eq!(over.json["data"], json!([]));
    assert_eq!(over.json["skipped"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn pins_of_many_take_a_selection_as_a_send_does() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let unknown = uuid::Uuid::nil().to_string();
    let pins = async |body: Value| app.post("/invitations/pins", body).await;
    for body in [
        json!({}),
        json!({"user_ids": [], "group_ids": [], "filter": null}),
    ] {
        pins(body).await.is_problem(422, "empty_selection");
    }
    for (body, places) in [
        (
            json!({"user_ids": [ids[0], unknown, ids[1], unknown]}),
            vec!["/user_ids/1", "/user_ids/3"],
        ),
        (
            json!({"user_ids": ids, "group_ids": [unknown]}),
            vec!["/group_ids/0"],
        ),
        (json!({"filter": {"q": " "}}), vec!["/filter/q"]),
        (
            json!({"user_ids": ["x"], "filter": {"colour": "red"}, "method": "pin"}),
            vec!["/filter/colour", "/method", "/user_ids/0"],
        ),
    ] {
        let refused = pins(body).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            places
        );
    }
    app.db.execute(
        "INSERT INTO users (id, username, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, '', '', 'U', true, 'ldap', '{}', now(), now() FROM generate_series(1, 1000) n",
    );
    let most = pins(json!({"filter": {"source": "ldap"}})).await;
    assert_eq!(most.json["skipped"].as_array().unwrap().len(), 1_000);
    for body in [
        json!({"filter": {"source": "ldap"}, "user_ids": ids[..1]}),
        json!({"filter": {}}),
    ] {
        pins(body).await.is_problem(422, "too_many_recipients");
    }
    // A repeat counts once.
    let repeated = vec![ids[0].as_str(); 1_001];
    assert_eq!(
        pins(json!({ "user_ids": repeated })).await.status,
        StatusCode::OK
    );
    let other_method = app.get("/invitations/pins").await;
    other_method.is_problem(405, "method_not_allowed");
    assert_eq!(other_method.header("allow"), "POST");
}

/// The statements do not grow with the users.
#[tokio::test]
async fn pins_of_many_take_a_fixed_number_of_statements() {
    let app = TestApp::start().await;
    app.db.execute(
        "INSERT INTO users (id, username, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, '', '', 'U', true, 'local', '{}', now(), now() FROM generate_series(1, 1000) n",
    );
    app.invite(json!({"filter": {}, "delivery": "none"})).await;
    let statements = async |q: &str| {
        app.db.watch_statements();
        let shown = app
            .post("/invitations/pins", json!({"filter": {"q": q}}))
            .await;
        let calls = app.db.statements();
        (shown.json["data"].as_array().unwrap().len(), calls)
    };
    statements("u").await;
    let (few, of_few) = statements("u12").await;
    let (many, of_many) = statements("u").await;
    assert!(few < 20 && many == 1_000, "{few} {many}");
    assert!(
        of_many <= of_few && of_many < 8,
        "{of_few} statements for {few}, {of_many} for {many}"
    );
}

/// PINs that are read while others send and delete: each answer is of one moment, and at every moment
/// everybody who is there has one.
#[tokio::test]
async fn pins_of_many_are_of_one_moment() {
    let app = TestApp::start().await;
    let ids = app.users(20).await;
    let everybody = json!({"filter": {}, "delivery": "none"});
    app.invite(everybody.clone()).await;
    let reads = (0..15).map(async |_| {
        let shown = app.post("/invitations/pins", json!({"filter": {}})).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
        assert_eq!(shown.json["skipped"], json!([]));
        assert!(shown.json["data"].as_array().unwrap().len() >= 10);
    });
    let sends = (0..5).map(|_| app.invite(everybody.clone()));
    let deletions = ids[..10].iter().map(async |id| {
        let deletion = app.request(Method::DELETE, &format!("/users/{id}"));
        let status = deletion.send().await.unwrap().status();
        assert_eq!(status, StatusCode::NO_CONTENT);
    });
    tokio::join!(
        futures_util::future::join_all(reads),
        futures_util::future::join_all(sends),
        futures_util::future::join_all(deletions),
    );
}

#[tokio::test]
async fn invitations_are_listed_filtered_and_paged() {
    let app = TestApp::start().await;
    let ids = app.users(4).await;
    let mailed = app.invite(json!({"user_ids": ids[..3]})).await;
    app.clock.advance(chrono::Duration::seconds(1));
    app.invite(json!({"user_ids": ids[2..], "method": "qr", "delivery": "none"}))
        .await;
    let found = async |query: &str| {
        let page = app.get(&format!("/invitations?{query}")).await;
        page.json["data"]
            .as_array()
            .unwrap_or_else(|| panic!("{}", page.text))
            .len()
    };
    assert_eq!(found("").await, 5);
    assert_eq!(
        found(&format!(
            "batch_id={}",
            mailed["batch_id"].as_str().unwrap()
        ))
        .await,
        3
    );
    assert_eq!(found(&format!("user_id={}", ids[2])).await, 2);
    assert_eq!(found("state=pending").await, 4);
    assert_eq!(found("state=superseded&delivery=suppressed").await, 1);
    assert_eq!(found("delivery=none").await, 2);
    assert_eq!(found("delivery=queued&method=pin").await, 2);
    let (mut seen, mut path) = (Vec::new(), "/invitations?limit=2&count=true".to_owned());
    loop {
        let page = app.get(&path).await.json;
        assert_eq!(page["total"], 5);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|i| i["id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/invitations?limit=2&count=true&cursor={cursor}");
    }
    assert!(
        seen.len() == 5 && seen.iter().rev().is_sorted(),
        "newest first: {seen:?}"
    );
    app.get("/invitations?state=lost&x=1")
        .await
        .is_problem(422, "validation_failed");
    app.worker.deliver_due().await.unwrap();
}

/// The statements of a send do not grow with its recipients.
#[tokio::test]
async fn a_send_takes_a_fixed_number_of_statements() {
    let app = TestApp::start().await;
    app.db.execute(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, CASE WHEN n % 7 > 0 THEN 'u' || n || '@example.com' END, '', '', 'U', true, 'local', '{}', now(), now()
         FROM generate_series(1, 3000) n",
    );
    let statements = async |q: &str| {
        app.db.watch_statements();
        let sent = app.invite(json!({"filter": {"q": q}})).await;
        let calls = app.db.statements();
        (sent["recipient_count"].as_i64().unwrap(), calls)
    };
    statements("u").await;
    let (few, of_few) = statements("u12").await;
    let (many, of_many) = statements("u").await;
    assert!(few < 200 && many == 3000, "{few} {many}");
    assert!(
        of_many <= of_few && of_many < 20,
        "{of_few} statements for {few}, {of_many} for {many}"
    );
    app.db.execute("UPDATE messages SET state = 'suppressed'");
}

/// A filter such as "not invited yet" is about what is committed: of several sends at once, the first
/// invites everybody and the others nobody.
#[tokio::test]
async fn racing_sends_by_filter_invite_everybody_once() {
    let app = TestApp::start().await;
    app.db.execute(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, 'u' || n || '@example.com', '', '', 'U', true, 'local', '{}', now(), now()
         FROM generate_series(1, 500) n",
    );
    let body = json!({"filter": {"invite_status": "not_invited"}, "delivery": "none"});
    let sends = (0..4).map(|_| app.post("/invitations/send", body.clone()));
    let answers = futures_util::future::join_all(sends).await;
    let mut invited: Vec<_> = answers
        .iter()
        .map(|answer| answer.json["accepted_count"].as_i64().unwrap())
        .collect();
    invited.sort_unstable();
    assert_eq!(invited, [0, 0, 0, 500]);
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM invitations WHERE state = 'superseded'"),
        0
    );
}

#[tokio::test]
async fn a_blank_filter_is_not_everybody() {
    let app = TestApp::start().await;
    app.users(3).await;
    for path in ["/invitations/send", "/invitations/preview"] {
        for blank in ["", " "] {
            let refused = app.post(path, json!({"filter": {"q": blank}})).await;
            assert_eq!(
                refused.is_problem(422, "validation_failed").pointers(),
                ["/filter/q"]
            );
        }
    }
    // A lone accent folds to nothing, and nothing is what it finds.
    let found = app
        .post("/invitations/preview", json!({"filter": {"q": "\u{301}"}}))
        .await;
    assert_eq!(found.json["recipient_count"], 0, "{}", found.text);
    assert_eq!(app.get("/users?q=%CC%81").await.json["data"], json!([]));
    assert_eq!(
        app.get("/users?q=").await.json["data"]
            .as_array()
            .unwrap()
            .len(),
        3,
        "a blank search box"
    );
}

#[tokio::test]
async fn what_will_go_otherwise_than_asked_is_told() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let body = json!({"user_ids": ids, "method": "qr", "device_ownership": "user_owned", "locale": "tlh", "delivery": "none"});
    let codes = |notices: &Value| {
        let notices = notices.as_array().unwrap().clone();
        notices
            .iter()
            .map(|n| n["code"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let expected = ["ownership_not_applicable", "locale_not_available"];
    let preview = app.post("/invitations/preview", body.clone()).await.json;
    assert_eq!(codes(&preview["recipients"][0]["warnings"]), expected);
    assert_eq!(codes(&preview["notices"]), expected);
    assert_eq!(codes(&app.invite(body).await["notices"]), expected);
}
