//! Preview and send obey settings; what was sent stays as it was.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{delete, group, path_of, put, setting};
use crate::{
    delivery::{decode_qr, parts},
    enrollments::{PASSWORD, token},
    support::app::{TestApp, start_of_time},
};

async fn invitation(app: &TestApp, id: &Value) -> Value {
    app.get(&format!("/invitations/{}", id.as_str().unwrap()))
        .await
        .json
}

fn recipient<'a>(preview: &'a Value, user: &str) -> &'a Value {
    let mut all = preview["recipients"].as_array().unwrap().iter();
    all.find(|recipient| recipient["user_id"] == user).unwrap()
}

fn codes(notices: &Value) -> Vec<&str> {
    let notices = notices.as_array().unwrap().iter();
    notices
        .map(|notice| notice["code"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn each_recipient_is_invited_as_the_own_setting_says() {
    let app = TestApp::start().await;
    let mut users = app.users(4).await;
    users.push(
        app.user(json!({"email": "grace@example.com", "password": PASSWORD}))
            .await,
    );
    let warehouse = group(&app, "Warehouse", &users[..2]).await;
    setting(
        &app,
        "registration",
        json!({"name": "QR", "priority": 1, "method": "qr", "device_ownership": "company_owned",
            "invitation_lifetime_days": 2, "distribution": {"group_ids": [warehouse]}}),
    )
    .await;
    setting(
        &app,
        "registration",
        json!({"name": "Passwords", "priority": 2, "method": "password", "distribution": {"user_ids": [users[3], users[4]]}}),
    )
    .await;
    setting(
        &app,
        "confirmation",
        json!({"name": "On", "enabled": true, "distribution": {"user_ids": [users[0], users[3]]}}),
    )
    .await;
    put(
        &app,
        "/settings/registration/default",
        &json!({"pin_length": 5, "device_ownership": "user_owned"}),
    )
    .await;

    let preview = app
        .post("/invitations/preview", json!({"filter": {}}))
        .await
        .json;
    assert_eq!(
        preview["summary"]["by_method"],
        json!({"qr": 2, "pin": 1, "password": 1})
    );
    assert_eq!(preview["summary"]["skipped"], json!({"no_password": 1}));
    assert_eq!(
        (&preview["recipient_count"], &preview["sendable_count"]),
        (&json!(5), &json!(4))
    );
    assert_eq!(
        codes(&preview["notices"]),
        ["ownership_not_applicable", "confirmation_email"]
    );
    let in_warehouse = recipient(&preview, &users[0]);
    assert_eq!(in_warehouse["method"], "qr");
    assert_eq!(
        in_warehouse["device_ownership"]["requested"],
        "company_owned"
    );
    assert_eq!(
        in_warehouse["device_ownership"]["reason"],
        "method_not_applicable"
    );
    assert_eq!(in_warehouse["confirmation_email"], true);
    assert_eq!(
        codes(&in_warehouse["warnings"]),
        ["ownership_not_applicable"]
    );
    assert_eq!(recipient(&preview, &users[1])["confirmation_email"], false);
    let by_default = recipient(&preview, &users[2]);
    assert_eq!(by_default["device_ownership"]["effective"], "user_owned");
    assert_eq!(codes(&by_default["warnings"]), [""; 0]);
    let skipped = recipient(&preview, &users[3]);
    assert_eq!(
        (&skipped["outcome"], &skipped["reason"]),
        (&json!("skip"), &json!("no_password"))
    );
    assert_eq!(
        skipped["confirmation_email"], false,
        "who gets no invitation gets no confirmation"
    );
    assert_eq!(recipient(&preview, &users[4])["method"], "password");

    // Each sample is written as its recipient's setting says.
    let sample = async |user: &str| {
        let body = json!({"filter": {}, "sample_user_id": user});
        app.post("/invitations/preview", body).await.json["message"].clone()
    };
    assert!(
        sample(&users[2]).await["text"]
            .as_str()
            .unwrap()
            .contains("00000\n")
    );
    assert_eq!(
        sample(&users[0]).await["attachments"][0]["content_type"],
        "image/png"
    );

    let sent = app.invite(json!({"filter": {}})).await;
    assert_eq!(
        (&sent["accepted_count"], &sent["skipped_count"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(
        codes(&sent["notices"]),
        ["ownership_not_applicable", "confirmation_email"]
    );
    app.worker.deliver_due().await.unwrap();
    for (at, (method, owner, days)) in [
        ("qr", "company_owned", 2),
        ("qr", "company_owned", 2),
        ("pin", "user_owned", 7),
    ]
    .into_iter()
    .enumerate()
    {
        let invitation = invitation(&app, &sent["results"][at]["invitation_id"]).await;
        assert_eq!(invitation["method"], method);
        assert_eq!(invitation["device_ownership"]["requested"], owner);
        let expires: DateTime<Utc> = invitation["expires_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(expires - start_of_time(), chrono::Duration::days(days));
    }
    let id = sent["results"][2]["invitation_id"].as_str().unwrap();
    let pin = app.get(&format!("/invitations/{id}/pin")).await.json["pin"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(pin.len(), 5);
    let mails = app.sink.messages();
    let to_default = mails
        .iter()
        .find(|mail| mail.rcpt == ["user3@example.com"])
        .unwrap();
    assert!(String::from_utf8_lossy(&to_default.data).contains(&pin));

    // What is said at once counts for all.
    let preview = app
        .post(
            "/invitations/preview",
            json!({"filter": {}, "method": "pin", "device_ownership": "undefined"}),
        )
        .await
        .json;
    assert_eq!(preview["summary"]["by_method"], json!({"pin": 5}));
    assert_eq!(codes(&preview["notices"]), ["confirmation_email"]);
}

#[tokio::test]
async fn the_confirmation_notice_is_for_those_in_the_distribution() {
    let app = TestApp::start().await;
    let users = app.users(2).await;
    let without_address = app.user(json!({"username": "kiosk"})).await;
    setting(
        &app,
        "confirmation",
        json!({"name": "On", "enabled": true, "distribution": {"user_ids": [users[0], without_address]}}),
    )
    .await;
    for (user, is_told) in [
        (&users[0], true),
        (&users[1], false),
        (&without_address, false),
    ] {
        let body = json!({"user_ids": [user], "delivery": "none"});
        let preview = app.post("/invitations/preview", body.clone()).await.json;
        assert_eq!(recipient(&preview, user)["confirmation_email"], is_told);
        let expected: &[&str] = if is_told {
            &["confirmation_email"]
        } else {
            &[]
        };
        assert_eq!(codes(&preview["notices"]), expected);
        assert_eq!(codes(&app.invite(body).await["notices"]), expected);
    }
    // A custom one that is off goes before a default that is on.
    put(
        &app,
        "/settings/confirmation/default",
        &json!({"enabled": true}),
    )
    .await;
    setting(
        &app,
        "confirmation",
        json!({"name": "Off", "priority": 1, "distribution": {"user_ids": [users[0]]}}),
    )
    .await;
    let preview = app
        .post("/invitations/preview", json!({"filter": {}}))
        .await
        .json;
    assert_eq!(recipient(&preview, &users[0])["confirmation_email"], false);
    assert_eq!(recipient(&preview, &users[1])["confirmation_email"], true);
}

#[tokio::test]
async fn what_was_sent_stays_as_it_was() {
    let app = TestApp::start().await;
    let users = app.users(2).await;
    let custom = setting(
        &app,
        "registration",
        json!({"name": "Six", "pin_length": 6, "pin_lifetime_days": 2, "invitation_lifetime_days": 3, "distribution": {"user_ids": [users[0]]}}),
    )
    .await;
    let path = path_of("registration", &custom);
    let sent = app
        .invite(json!({"user_ids": users, "delivery": "none"}))
        .await;
    let ids = [0, 1].map(|at| sent["results"][at]["invitation_id"].clone());
    let seen = async || {
        let mut seen = Vec::new();
        for id in &ids {
            let pin = app
                .get(&format!("/invitations/{}/pin", id.as_str().unwrap()))
                .await
                .json;
            let registration = app.db.number(&format!(
                "SELECT (v.body ->> 'pin_length') FROM invitations i JOIN setting_versions v ON v.id = i.registration_id WHERE i.id = '{}'",
                id.as_str().unwrap()
            ));
            seen.push((invitation(&app, id).await, pin, registration));
        }
        seen
    };
    let before = seen().await;
    assert_eq!(before[0].1["pin"].as_str().unwrap().len(), 6);
    assert_eq!(before[0].2, 6);
    assert_eq!(before[1].1["pin"].as_str().unwrap().len(), 8);
    let other = json!({"name": "Ten", "pin_length": 10, "method": "qr", "distribution": {"user_ids": users}});
    assert_eq!(put(&app, &path, &other).await.status, StatusCode::OK);
    put(
        &app,
        "/settings/registration/default",
        &json!({"pin_length": 4}),
    )
    .await;
    assert_eq!(seen().await, before);
    assert_eq!(delete(&app, &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(seen().await, before, "also when the setting is gone");
    // The next invitation is as the settings are now.
    let sent = app
        .invite(json!({"user_ids": users, "delivery": "none"}))
        .await;
    for at in [0, 1] {
        let id = sent["results"][at]["invitation_id"].as_str().unwrap();
        let pin = app.get(&format!("/invitations/{id}/pin")).await.json;
        assert_eq!(pin["pin"].as_str().unwrap().len(), 4);
    }
}

/// The QR code is what the setting said when it was sent: in the mail, over the API, and in no later setting.
#[tokio::test]
async fn a_qr_code_says_what_the_setting_said() {
    let app = TestApp::start().await;
    let users = app.users(2).await;
    let payload = |host: &str| json!({"kind": "apple_url", "url": format!("https://{host}.example.com/{{token}}")});
    let body = |host| json!({"name": "Profiles", "method": "qr", "qr_payload": payload(host), "distribution": {"user_ids": [users[0]]}});
    let custom = setting(&app, "registration", body("before")).await;
    let preview = app
        .post("/invitations/preview", json!({"user_ids": [users[0]]}))
        .await
        .json;
    let picture = &preview["message"]["attachments"][0]["data"];
    let picture = STANDARD.decode(picture.as_str().unwrap()).unwrap();
    let sample = enlist::secrets::token::SAMPLE;
    assert_eq!(
        decode_qr(&picture),
        format!("https://before.example.com/{sample}")
    );

    let sent = app.invite(json!({"user_ids": users, "method": "qr"})).await;
    put(&app, &path_of("registration", &custom), &body("after")).await;
    app.worker.deliver_due().await.unwrap();
    for (at, start) in [
        (0, "https://before.example.com/"),
        (1, "https://enroll.example.com/enroll/"),
    ] {
        let id = sent["results"][at]["invitation_id"].as_str().unwrap();
        let said = format!("{start}{}", token(id));
        let shown = app.request(reqwest::Method::GET, &format!("/invitations/{id}/qr.png"));
        let shown = shown.send().await.unwrap().bytes().await.unwrap();
        assert_eq!(decode_qr(&shown), said);
        let address = format!("user{}@example.com", at + 1);
        let mails = app.sink.messages();
        let mail = mails
            .iter()
            .find(|mail| mail.rcpt == [address.as_str()])
            .unwrap();
        let mail = mailparse::parse_mail(&mail.data).unwrap();
        let parts = parts(&mail);
        let (_, picture) = parts.iter().find(|(kind, _)| kind == "image/png").unwrap();
        assert_eq!(decode_qr(picture), said);
    }
}

#[tokio::test]
async fn who_holds_as_many_devices_as_the_setting_allows_is_not_invited() {
    let app = TestApp::start().await;
    let users = app.users(3).await;
    setting(
        &app,
        "registration",
        json!({"name": "One", "device_limit": 1, "distribution": {"user_ids": [users[0], users[1]]}}),
    )
    .await;
    app.db.execute(&format!(
        "UPDATE user_activity SET device_count = 1 WHERE user_id IN ('{}', '{}')",
        users[0], users[2]
    ));
    let preview = app
        .post("/invitations/preview", json!({"filter": {}}))
        .await
        .json;
    assert_eq!(
        preview["summary"]["skipped"],
        json!({"device_limit_reached": 1})
    );
    assert_eq!(
        recipient(&preview, &users[0])["reason"],
        "device_limit_reached"
    );
    let sent = app.invite(json!({"filter": {}, "delivery": "none"})).await;
    assert_eq!(
        (&sent["accepted_count"], &sent["skipped_count"]),
        (&json!(2), &json!(1))
    );
    let results = app
        .get(&format!(
            "/batches/{}/results",
            sent["batch_id"].as_str().unwrap()
        ))
        .await
        .json;
    assert_eq!(results["data"][2]["reason"], "device_limit_reached");
}

/// Statements and time of a send do not grow with the recipients that a custom setting holds.
#[tokio::test]
async fn a_send_with_custom_settings_takes_a_fixed_number_of_statements() {
    let app = TestApp::start().await;
    let halves = [
        group(&app, "Odd", &[]).await,
        group(&app, "Even", &[]).await,
    ];
    app.db.execute(&format!(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, 'u' || n || '@example.com', '', '', 'U', true, 'local', '{{}}', now(), now()
         FROM generate_series(1, 20000) n;
         INSERT INTO group_members SELECT CASE WHEN right(username, 1) IN ('1', '3', '5', '7', '9') THEN '{}'::uuid ELSE '{}'::uuid END, id FROM users",
        halves[0], halves[1]
    ));
    for (at, half) in halves.iter().enumerate() {
        setting(
            &app,
            "registration",
            json!({"name": "S", "pin_length": 4 + at, "device_limit": 5, "distribution": {"group_ids": [half]}}),
        )
        .await;
    }
    let statements = async |q: &str| {
        app.db.watch_statements();
        let sent = app
            .invite(json!({"filter": {"q": q}, "delivery": "none"}))
            .await;
        let calls = app.db.statements();
        (sent["accepted_count"].as_i64().unwrap(), calls)
    };
    statements("u1234").await;
    let (few, of_few) = statements("u123").await;
    let (many, of_many) = statements("u").await;
    assert!(few < 200 && many == 20_000, "{few} {many}");
    // Beyond 5,000 the planner's statistics are made anew.
    assert!(
        of_many <= of_few + 1 && of_many < 22,
        "{of_few} statements for {few}, {of_many} for {many}"
    );
    for (length, digits) in [(4, "13579"), (5, "02468")] {
        let wrong = app.db.number(&format!(
            "SELECT count(*) FROM invitations i JOIN users u ON u.id = i.user_id
             WHERE i.state = 'pending' AND strpos('{digits}', right(u.username, 1)) > 0 AND i.pin_length <> {length}"
        ));
        assert_eq!(wrong, 0);
    }
}

/// One user of a group with 20,000 members is resolved without reading the others.
#[tokio::test]
async fn one_of_many_members_costs_what_one_costs() {
    let app = TestApp::start().await;
    let all = group(&app, "All", &[]).await;
    app.db.execute(&format!(
        "INSERT INTO users (id, username, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'u' || n, '', '', 'U', true, 'local', '{{}}', now(), now() FROM generate_series(1, 20000) n;
         INSERT INTO group_members SELECT '{all}', id FROM users; ANALYZE"
    ));
    setting(
        &app,
        "registration",
        json!({"name": "S", "pin_length": 4, "distribution": {"group_ids": [all]}}),
    )
    .await;
    let user = app.user(json!({"username": "one"})).await;
    app.post(&format!("/groups/{all}/members"), json!({"add": [user]}))
        .await;
    app.db.watch_statements();
    app.invite(json!({"user_ids": [user], "delivery": "none"}))
        .await;
    super::applied(&app, &user).await;
    // All members are more than a hundred pages.
    let pages = app.db.number(
        "SELECT max(shared_blks_hit + shared_blks_read) FROM seen_statements WHERE query LIKE '%setting_groups%'",
    );
    assert!(
        (1..60).contains(&pages),
        "{pages} pages were read for one user"
    );
}
