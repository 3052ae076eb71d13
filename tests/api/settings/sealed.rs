//! What may be a key in a setting: who sees it, and that the database does not hold it.

use std::sync::Arc;

use enlist::{
    db::Db,
    model::caller::Role,
    secrets::keys::KeyRing,
    settings::sealing::{What, settle},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{applied, path_of, put, setting};
use crate::support::app::{Answer, KEYS, TestApp, api_key};

const CHECKSUM: &str = "gJD2YwtOiWJHkSMkkIfLRlj-quNqG1fb6v100QmzM9w";

fn dpc() -> Value {
    json!({
        "kind": "android_dpc", "component_name": "com.example.dpc/.AdminReceiver",
        "download_location": "https://dl.example.com/dpc.apk?sig=M4RK-location", "signature_checksum": CHECKSUM,
        "extras": {"server": "M4RK-server", "login": "M4RK-login:{token}", "t": "{token}"},
    })
}

/// Each payload with a key in each place that may have one, and what everybody may see of it.
fn payloads() -> Vec<(Value, Value)> {
    let mut shown = dpc();
    shown["download_location"] = "https://dl.example.com/dpc.apk?sig=***".into();
    shown["extras"] = json!({"server": "***", "login": "***{token}", "t": "{token}"});
    vec![
        (dpc(), shown),
        (
            json!({"kind": "android_amapi", "enrollment_token": "M4RK-amapi"}),
            json!({"kind": "android_amapi", "enrollment_token": "***"}),
        ),
        (
            json!({"kind": "apple_url", "url": "https://mdm.example.com/p/M4RK-path1/{token}?key=M4RK-query"}),
            json!({"kind": "apple_url", "url": "https://mdm.example.com/p/***/{token}?key=***"}),
        ),
    ]
}

const MDM_URL: &str = "https://mdm.example.com/start?t={token}&key=M4RK-mdm";
const MDM_URL_SHOWN: &str = "https://mdm.example.com/start?t={token}&key=***";

async fn call(app: &TestApp, key: &str, path: &str) -> Answer {
    let request = app.anonymous(Method::GET, path).bearer_auth(key);
    Answer::of(request.send().await.unwrap()).await
}

#[track_caller]
fn holds_no_key(app: &TestApp) {
    let dump = app.db.dump();
    assert!(dump.contains("setting_versions"), "it is a dump");
    if let Some(at) = dump.find("M4RK") {
        panic!("{}", &dump[at.saturating_sub(300)..at + 30]);
    }
}

#[tokio::test]
async fn what_may_be_a_key_is_shown_to_admins_alone_and_comes_back_hidden() {
    let app = TestApp::start().await;
    let user = app.users(1).await.remove(0);
    for (payload, shown) in payloads() {
        let body = json!({"name": "A", "distribution": {"user_ids": [user]}, "mdm_url": MDM_URL, "qr_payload": payload});
        let created = setting(&app, "registration", body).await;
        assert_eq!(
            (&created["mdm_url"], &created["qr_payload"]),
            (&json!(MDM_URL), &payload)
        );
        let path = path_of("registration", &created);
        let of_user = format!("/users/{user}/settings");
        for role in [Role::Admin, Role::Manager, Role::Reader] {
            let key = api_key(&app.db, role);
            let one = call(&app, &key, &path).await;
            let list = call(&app, &key, "/settings/registration").await;
            let applied = call(&app, &key, &of_user).await;
            for (answer, of) in [
                (&one, &one.json),
                (&list, &list.json["data"][0]),
                (&applied, &applied.json["registration"]),
            ] {
                let (url, payload) = match role {
                    Role::Admin => (MDM_URL, &payload),
                    _ => (MDM_URL_SHOWN, &shown),
                };
                assert_eq!(
                    (&of["mdm_url"], &of["qr_payload"]),
                    (&json!(url), payload),
                    "{role}"
                );
                assert_eq!(answer.text.contains("M4RK"), role == Role::Admin, "{role}");
                assert_eq!(answer.header("cache-control"), "no-store");
            }
        }
        // A reader's tag is not made of what a reader does not see.
        let reader = api_key(&app.db, Role::Reader);
        let tag = |answer: &Answer| answer.header("etag").to_owned();
        let before = call(&app, &reader, &path).await;
        assert_ne!(tag(&before), tag(&app.get(&path).await));
        // What a reader was shown keeps what is stored, whatever else is changed.
        let mut hidden = before.json.clone();
        hidden["pin_length"] = 6.into();
        let kept = put(&app, &path, &hidden).await;
        assert_eq!(kept.status, StatusCode::OK, "{}", kept.text);
        let mut expected = created.clone();
        (expected["pin_length"], expected["updated_at"]) =
            (6.into(), kept.json["updated_at"].clone());
        assert_eq!(kept.json, expected);
        assert_eq!(app.get(&path).await.json, expected);
        assert_eq!(
            super::delete(&app, &path).await.status,
            StatusCode::NO_CONTENT
        );
    }
    holds_no_key(&app);
}

#[tokio::test]
async fn half_of_what_was_shown_is_refused() {
    let app = TestApp::start().await;
    let body = json!({"name": "A", "mdm_url": MDM_URL, "qr_payload": dpc()});
    let created = setting(&app, "registration", body).await;
    let path = path_of("registration", &created);
    let reader = api_key(&app.db, Role::Reader);
    let shown = call(&app, &reader, &path).await.json;
    for (place, value, pointers) in [
        (
            "/mdm_url",
            json!("https://other.example/start?t={token}&key=***"),
            vec!["/mdm_url"],
        ),
        (
            "/mdm_url",
            json!("https://mdm.example.com/start?t={token}&key=***&x=1"),
            vec!["/mdm_url"],
        ),
        (
            "/qr_payload/extras/login",
            json!("***"),
            vec!["/qr_payload/extras/login"],
        ),
        (
            "/qr_payload/extras",
            json!({"another": "***"}),
            vec!["/qr_payload/extras/another"],
        ),
        (
            "/qr_payload",
            json!({"kind": "apple_url", "url": "https://dl.example.com/dpc.apk?sig=***"}),
            vec!["/qr_payload/url"],
        ),
    ] {
        let mut body = shown.clone();
        *body.pointer_mut(place).unwrap() = value;
        let refused = put(&app, &path, &body).await;
        refused.is_problem(422, "validation_failed");
        assert_eq!(refused.pointers(), pointers);
        assert_eq!(refused.json["errors"][0]["code"], "hidden_value");
        assert!(!refused.text.contains("M4RK"), "{}", refused.text);
    }
    let mut new = shown.clone();
    for field in ["id", "created_at", "updated_at"] {
        new.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(
        app.post("/settings/registration", new).await.pointers(),
        [
            "/mdm_url",
            "/qr_payload/download_location",
            "/qr_payload/extras/login",
            "/qr_payload/extras/server"
        ]
    );
    // One extra goes, one is given anew, one stays.
    let mut body = shown.clone();
    body["qr_payload"]["extras"] = json!({"server": "***", "t": "M4RK-new"});
    let changed = put(&app, &path, &body).await;
    assert_eq!(
        changed.json["qr_payload"]["extras"],
        json!({"server": "M4RK-server", "t": "M4RK-new"})
    );
    // Hidden values are short: what they stand for must fit beside the new ones.
    body["qr_payload"]["extras"] = json!({"server": "a".repeat(500), "t": "a".repeat(400)});
    assert_eq!(put(&app, &path, &body).await.status, StatusCode::OK);
    body["qr_payload"]["extras"] =
        json!({"server": "***", "t": "***", "b": "b".repeat(500), "c": "c".repeat(500)});
    let refused = put(&app, &path, &body).await;
    assert_eq!(
        (refused.pointers(), &refused.json["errors"][0]["code"]),
        (vec!["/qr_payload"], &json!("too_long"))
    );
    holds_no_key(&app);
}

#[tokio::test]
async fn no_dump_holds_what_may_be_a_key() {
    let app = TestApp::start().await;
    let user = app.users(1).await.remove(0);
    let body = json!({"name": "A", "method": "qr", "mdm_url": MDM_URL, "qr_payload": dpc(), "distribution": {"user_ids": [user]}});
    let create = async || {
        let request = app.request(Method::POST, "/settings/registration");
        let request = request.header("idempotency-key", "once").json(&body);
        Answer::of(request.send().await.unwrap()).await
    };
    let (first, again) = (create().await, create().await);
    assert_eq!(
        (first.status, again.status),
        (StatusCode::CREATED, StatusCode::CREATED)
    );
    assert_eq!(first.json["mdm_url"], MDM_URL);
    // A repeat is told the same, but for what may be a key.
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(
        (&again.json["id"], &again.json["mdm_url"]),
        (&first.json["id"], &json!(MDM_URL_SHOWN))
    );
    assert!(!again.text.contains("M4RK"));
    holds_no_key(&app);
    // An invitation keeps the version that it was sent with.
    let sent = app.invite(json!({"user_ids": [user]})).await;
    let path = path_of("registration", &first.json);
    let changed = json!({"name": "A", "method": "qr", "qr_payload": {"kind": "apple_url", "url": "https://m.example/{token}?k=M4RK-2"}, "distribution": {"user_ids": [user]}});
    let request = app
        .request(Method::PUT, &path)
        .header("idempotency-key", "twice")
        .json(&changed);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM setting_versions WHERE sealed_under = 'k1'"),
        2
    );
    holds_no_key(&app);
    app.worker.deliver_due().await.unwrap();
    let id = sent["results"][0]["invitation_id"].as_str().unwrap();
    let picture = app.get(&format!("/invitations/{id}/qr.svg")).await;
    assert_eq!(
        picture.status,
        StatusCode::OK,
        "the version of before is read"
    );
    assert_eq!(
        super::delete(&app, &path).await.status,
        StatusCode::NO_CONTENT
    );
    holds_no_key(&app);
    let events = app.get("/audit-events?action=setting.changed").await;
    assert_eq!(events.json["data"][0]["before"]["mdm_url"], MDM_URL_SHOWN);
    assert!(!events.text.contains("M4RK"), "{}", events.text);
}

/// What an older version stored is sealed in place, by however many instances start.
#[tokio::test]
async fn what_was_stored_before_is_sealed() {
    let app = TestApp::start().await;
    let user = app.users(1).await.remove(0);
    let body =
        |n: usize| json!({"method": "qr", "mdm_url": format!("{MDM_URL}{n}"), "qr_payload": dpc()});
    let insert = |n: usize| {
        format!(
            "INSERT INTO setting_versions (id, body, created_at) VALUES ('019ab000-0000-7000-8000-1{n:011}', '{}', now());",
            body(n)
        )
    };
    let rows: String = (0..1_200).map(insert).collect();
    app.db.execute(&format!(
        "{rows} UPDATE settings SET version_id = '019ab000-0000-7000-8000-100000000007' WHERE is_default AND kind = 'registration'"
    ));
    let before = applied(&app, &user).await;
    assert_eq!(before["registration"]["mdm_url"], format!("{MDM_URL}7"));
    let (db, keys) = (
        Db::new(&app.db.url, 4),
        Arc::new(KeyRing::parse(KEYS).unwrap()),
    );
    settle(&db, &keys, What::UnderOthers).await.unwrap();
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM setting_versions WHERE sealed_under IS NOT NULL"),
        0
    );
    let (one, two) = tokio::join!(settle(&db, &keys, What::All), settle(&db, &keys, What::All));
    one.and(two).unwrap();
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM setting_versions WHERE sealed_under = 'k1'"),
        1_200
    );
    assert_eq!(applied(&app, &user).await, before);
    holds_no_key(&app);
    let sealed = "SELECT count(*) FROM setting_versions WHERE body ->> 'sealed' IN (SELECT body ->> 'sealed' FROM kept)";
    app.db.execute(
        "CREATE TABLE kept AS SELECT body FROM setting_versions WHERE sealed_under IS NOT NULL",
    );
    settle(&db, &keys, What::All).await.unwrap();
    assert_eq!(
        app.db.number(sealed),
        1_200,
        "what is sealed stays as it is"
    );
    // A body in another's place is not opened.
    app.db.execute(
        "UPDATE setting_versions SET body = (SELECT body FROM setting_versions WHERE id = '019ab000-0000-7000-8000-100000000008')
         WHERE id = '019ab000-0000-7000-8000-100000000007'",
    );
    app.get("/settings/registration/default")
        .await
        .is_problem(500, "internal");
}

/// So do answers that an older version kept for a repeat: the migration goes over them.
#[tokio::test]
async fn answers_of_before_lose_what_may_be_a_key() {
    let app = TestApp::start().await;
    let path = "/settings/registration";
    let request = app
        .request(Method::POST, path)
        .header("idempotency-key", "once");
    let body = json!({"name": "A", "mdm_url": MDM_URL, "qr_payload": dpc()});
    let first = Answer::of(request.json(&body).send().await.unwrap()).await;
    app.db.execute(&format!(
        "UPDATE idempotency_keys SET body = '{}'",
        first.json
    ));
    app.db.execute(include_str!(
        "../../../migrations/2026-11-28-000027_answers_about_settings/up.sql"
    ));
    holds_no_key(&app);
    let request = app
        .request(Method::POST, path)
        .header("idempotency-key", "once");
    let again = Answer::of(request.json(&body).send().await.unwrap()).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    let mut expected = first.json.clone();
    expected["mdm_url"] = "***".into();
    expected["qr_payload"] = json!({"kind": "android_dpc"});
    assert_eq!(again.json, expected);
}

/// The page that anybody may open leads on to the default setting's address only where there is nothing in it that may be
/// a key.
#[tokio::test]
async fn a_stranger_sees_no_key_either() {
    let app = TestApp::start().await;
    for (url, leads_on) in [
        ("https://mdm.example.com/start?t={token}", true),
        (MDM_URL, false),
        ("https://mdm.example.com/M4RK-path1/{token}", false),
    ] {
        app.set_default("registration", json!({"mdm_url": url}))
            .await;
        let request = app
            .anonymous(Method::GET, "/enroll")
            .header("user-agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0)");
        let page = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(
            page.text.contains("https://mdm.example.com"),
            leads_on,
            "{url}"
        );
        assert!(!page.text.contains("M4RK"), "{url}");
    }
}
