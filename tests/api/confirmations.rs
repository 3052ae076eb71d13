//! The mail after an enrollment.

use mailparse::{MailHeaderMap, parse_mail};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    enrollments::{PASSWORD, device, enroll, guest, invite, token, with_pin},
    support::{app::TestApp, smtp::Stage},
};

/// Every mail so far, whole, decoded: subject and text.
fn mails(app: &TestApp) -> Vec<(String, String)> {
    app.sink
        .messages()
        .iter()
        .map(|received| {
            let mail = parse_mail(&received.data).unwrap();
            let subject = mail.headers.get_first_value("Subject").unwrap();
            let text = mail
                .parts()
                .find(|part| part.ctype.mimetype == "text/plain")
                .unwrap()
                .get_body()
                .unwrap();
            (subject, text)
        })
        .collect()
}

#[tokio::test]
async fn one_mail_an_enrollment_says_what_when_and_whose() {
    let app = TestApp::start().await;
    app.set_default("confirmation", json!({"enabled": true}))
        .await;
    let user = app
        .user(json!({"email": "ada@example.com", "display_name": "Ada", "locale": "fr", "time_zone": "Europe/Paris"}))
        .await;
    let sent = app
        .invite(json!({"user_ids": [user], "device_ownership": "company_owned"}))
        .await;
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    let invitation = sent["results"][0]["invitation_id"].as_str().unwrap();
    let path = format!("/invitations/{invitation}");
    let pin = app.get(&format!("{path}/pin")).await.json["pin"].clone();
    let pin = pin.as_str().unwrap();
    let batch = format!("/batches/{}", sent["batch_id"].as_str().unwrap());
    let counts = app.get(&batch).await.json;

    app.clock.advance(chrono::Duration::minutes(90));
    let answer = with_pin(&app, "ada", pin, "C02XK0AAJG5H").await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.json["confirmation_email"], true);
    let again = with_pin(&app, "ada", pin, "C02XK0AAJG5H").await;
    assert_eq!((again.status, &again.json), (StatusCode::OK, &answer.json));
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    assert_eq!(app.worker.deliver_due().await.unwrap(), 0);

    let mails = mails(&app);
    assert_eq!(mails.len(), 2, "the invitation and one confirmation");
    let (subject, text) = &mails[1];
    assert_eq!(
        subject,
        "Votre appareil est enregistré chez Example & Söhne"
    );
    for needed in [
        "Bonjour Ada,",
        "ada@example.com",
        "iPhone 17",
        "C02XK0AAJG5H",
        "lundi 23 novembre 2026 à 10:30 (UTC+01:00)",
        "Propriétaire\u{a0}: Example & Söhne",
        "help@example.com",
    ] {
        assert!(text.contains(needed), "{needed} in {text}");
    }
    assert!(!text.contains(pin));

    // It is shown with the invitation, and changes neither its delivery nor the batch.
    let shown = app.get(&path).await.json;
    let kinds: Vec<&Value> = shown["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| &message["kind"])
        .collect();
    assert_eq!(kinds, ["invitation", "confirmation"]);
    assert_eq!(shown["messages"][1]["state"], "accepted");
    assert_eq!(
        (&shown["delivery"], &shown["state"]),
        (&json!("accepted"), &json!("completed"))
    );
    assert_eq!(shown["last_sent_at"], "2026-11-23T08:00:00Z");
    assert_eq!(app.get(&batch).await.json, counts);
}

#[tokio::test]
async fn a_confirmation_is_tried_again_and_survives_what_comes_after() {
    let app = TestApp::start().await;
    app.set_default("confirmation", json!({"enabled": true}))
        .await;
    let ada = guest(&app, "ada", json!({})).await;
    assert_eq!(
        with_pin(&app, "ada", &ada.pin, "S").await.status,
        StatusCode::CREATED
    );
    app.sink.next_replies(Stage::Mail, ["451 4.3.0 later"]);
    app.worker.deliver_due().await.unwrap();
    let path = format!("/invitations/{}", ada.invitation);
    let shown = app.get(&path).await.json;
    assert_eq!(shown["messages"][0]["state"], "deferred");
    assert_eq!(shown["delivery"], "none", "no invitation was mailed");
    // A new invitation suppresses what belongs to the old one; not what is told about an enrollment.
    invite(&app, &ada.user, json!({})).await;
    app.clock.advance(chrono::Duration::minutes(1));
    app.worker.deliver_due().await.unwrap();
    assert_eq!(
        app.get(&path).await.json["messages"][0]["state"],
        "accepted"
    );
    assert_eq!(app.get(&path).await.json["last_sent_at"], Value::Null);
    assert_eq!(mails(&app).len(), 1);
}

#[tokio::test]
async fn who_gets_none_is_told_so() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let off = with_pin(&app, "ada", &ada.pin, "A").await;
    assert_eq!(off.json["confirmation_email"], false, "the setting is off");
    // Decided when the device enrolls, not when the invitation was sent.
    let bob = guest(&app, "bob", json!({"method": "qr"})).await;
    app.set_default("confirmation", json!({"enabled": true}))
        .await;
    let on = enroll(
        &app,
        json!({"token": token(&bob.invitation), "device": device("B")}),
    )
    .await;
    assert_eq!(on.json["confirmation_email"], true);
    let nameless = app
        .user(json!({"username": "desk", "password": PASSWORD}))
        .await;
    let nameless = invite(&app, &nameless, json!({"method": "password"})).await;
    let body = json!({"username": "desk", "password": PASSWORD, "device": device("D")});
    let answer = enroll(&app, body).await;
    assert_eq!(
        answer.json["invitation_id"], nameless.invitation,
        "{}",
        answer.text
    );
    assert_eq!(
        answer.json["confirmation_email"], false,
        "there is no address"
    );
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    assert_eq!(mails(&app).len(), 1);
}
