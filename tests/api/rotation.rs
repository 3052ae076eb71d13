//! Secret keys change while invitations are on their way (docs/operating.md, Secret keys).

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use enlist::{
    db::Db,
    secrets::keys::KeyRing,
    server::{keys::look_at_keys, startup::App},
    settings::sealing::{What, settle},
};
use reqwest::Method;
use serde_json::json;

use crate::{
    audit_attacks::linker,
    enrollments::{device, enroll, guest, invite, token, with_pin, wrong},
    support::{
        app::{KEYS, Setup, TestApp, config},
        db::TestDb,
    },
    trials::{has, shell},
};

const NEW: &str = "k2:EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8=";

#[tokio::test]
async fn old_invitations_live_on_beside_a_new_key() {
    let mut app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let bob = guest(&app, "bob", json!({"method": "qr"})).await;
    let cleo = guest(&app, "cleo", json!({})).await;
    let mailed = app.user(json!({"email": "dan@example.com"})).await;
    app.invite(json!({"user_ids": [mailed]})).await;
    app.restart_with_keys(&format!("{NEW},{KEYS}")).await;
    // The PIN, the QR code and what is still in the outbox are those of before.
    let shown = app
        .get(&format!("/invitations/{}/pin", ada.invitation))
        .await;
    assert_eq!(shown.json["pin"], ada.pin.as_str());
    assert_eq!(with_pin(&app, "ada", &ada.pin, "S1").await.status, 201);
    let by_code = json!({"token": token(&bob.invitation), "device": device("S2")});
    assert_eq!(enroll(&app, by_code).await.status, 201);
    app.worker.deliver_due().await.unwrap();
    assert_eq!(app.sink.messages().len(), 1);
    // What is new is made with the new key, and what is sent again as well.
    let eve = guest(&app, "eve", json!({})).await;
    let cleo_again = invite(&app, &cleo.user, json!({})).await;
    assert_ne!(cleo_again.pin, cleo.pin);
    let with = |key: &str| {
        app.db.number(&format!(
            "SELECT count(*) FROM invitations WHERE key_id = '{key}' AND state = 'pending'"
        ))
    };
    assert_eq!((with("k1"), with("k2")), (1, 2));
    // The last of the old ones ends, and the old key can go.
    let path = format!("/users/{mailed}");
    let deleted = app.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    app.restart_with_keys(NEW).await;
    assert_eq!(with_pin(&app, "eve", &eve.pin, "S3").await.status, 201);
    assert_eq!(
        with_pin(&app, "cleo", &cleo_again.pin, "S4").await.status,
        201
    );
}

/// Counts are found under the key that they were made with.
#[tokio::test]
async fn a_new_key_forgets_no_wrong_try() {
    let mut app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    for (name, times) in [("ada", 3), ("nobody", 3), ("paused", 5)] {
        for _ in 0..times {
            with_pin(&app, name, &wrong(&ada.pin), "S1")
                .await
                .is_problem(401, "invalid_credentials");
        }
    }
    app.restart_with_keys(&format!("{NEW},{KEYS}")).await;
    with_pin(&app, "paused", &ada.pin, "S1")
        .await
        .is_problem(429, "too_many_attempts");
    for name in ["ada", "nobody"] {
        for status in [401, 401, 429] {
            let answer = with_pin(&app, name, &wrong(&ada.pin), "S1").await;
            assert_eq!(answer.status, status, "{name}");
        }
    }
}

#[tokio::test]
async fn settings_are_sealed_again_under_a_new_key_and_hold_the_old_one_till_then() {
    let mut app = TestApp::start().await;
    let url = "https://mdm.example.com/start?t={token}&key=swordfish";
    app.set_default("registration", json!({"mdm_url": url}))
        .await;
    let named = app
        .post(
            "/settings/registration",
            json!({"name": "Depot", "mdm_url": url}),
        )
        .await;
    assert_eq!(named.status, 201, "{}", named.text);
    let path = format!(
        "/settings/registration/{}",
        named.json["id"].as_str().unwrap()
    );
    let ada = guest(&app, "ada", json!({})).await;
    let start = async |app: &TestApp, keys: &str| {
        let setup = Setup {
            keys: keys.to_owned(),
            ..Setup::default()
        };
        let config = config(&app.db, &app.sink, &setup);
        enlist::server::startup::App::build(config, app.clock.clone())
            .await
            .map(drop)
    };
    let refused = start(&app, NEW).await.unwrap_err().to_string();
    assert!(
        refused.contains("the key `k1` is missing, and pending invitations were made with it"),
        "{refused}"
    );
    assert!(
        refused.contains("registration settings (`Depot`, `Default`) are sealed under it"),
        "{refused}"
    );
    let other = format!("k1{}", &NEW[2..]);
    let refused = start(&app, &other).await.unwrap_err().to_string();
    assert!(
        refused.contains("the key `k1` is not the one") && refused.contains("`Depot`"),
        "{refused}"
    );
    // Beside the old key, everything is sealed again; what invitations need stays.
    app.restart_with_keys(&format!("{NEW},{KEYS}")).await;
    assert_eq!(app.get(&path).await.json["mdm_url"], url);
    let begun = Instant::now();
    while app
        .db
        .number("SELECT count(*) FROM setting_versions WHERE sealed_under = 'k1'")
        > 0
    {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it is not sealed again"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM setting_versions WHERE sealed_under = 'k2'"),
        2
    );
    assert_eq!(app.get(&path).await.json["mdm_url"], url);
    let refused = start(&app, NEW).await.unwrap_err().to_string();
    assert!(
        refused.contains("pending invitations") && !refused.contains("sealed"),
        "{refused}"
    );
    // With the last pending one the old key can go; the settings are read with the new one alone.
    assert_eq!(with_pin(&app, "ada", &ada.pin, "S1").await.status, 201);
    app.restart_with_keys(NEW).await;
    assert_eq!(app.get(&path).await.json["mdm_url"], url);
}

/// No invitation was ever made with it: that it sealed something is enough to be told of when it is idle.
#[tokio::test]
async fn a_key_can_go_once_nothing_is_sealed_under_it() {
    let app = TestApp::start().await;
    let url = "https://mdm.example.com/start?t={token}&key=swordfish";
    app.set_default("registration", json!({"mdm_url": url}))
        .await;
    linker(&app).link().await.unwrap();
    let db = Db::new(&app.db.url, 1);
    let both = Arc::new(KeyRing::parse(&format!("{NEW},{KEYS}")).unwrap());
    let idle = async || {
        let older = look_at_keys(&db, &both, app.clock.now()).await.unwrap();
        older.idle
    };
    assert!(idle().await.is_empty());
    settle(&db, &both, What::UnderOthers).await.unwrap();
    assert_eq!(idle().await, ["k1"]);
    // One that has made nothing yet waits for its turn.
    let swapped = KeyRing::parse(&format!("{NEW},{KEYS},k3:{}", &KEYS[3..])).unwrap();
    let older = look_at_keys(&db, &swapped, app.clock.now()).await.unwrap();
    assert_eq!(older.idle, ["k1"]);
}

/// A key is lost with the machine that had it: the dump is restored, and the shell gives up what needs it, so that the
/// service starts.
#[tokio::test]
async fn a_lost_key_is_given_up_in_a_restored_dump() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let url = "https://mdm.example.com/start?t={token}&key=swordfish";
    app.set_default("registration", json!({"mdm_url": url}))
        .await;
    let ada = guest(&app, "ada", json!({})).await;
    guest(&app, "bob", json!({"method": "qr"})).await;
    app.db
        .execute("UPDATE invitations SET expires_at = now() + interval '3 days'");
    let mut restored = TestDb::bare();
    let mut psql = Command::new("psql")
        .args(["-qX", "-v", "ON_ERROR_STOP=1", &restored.url])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = psql.stdin.take().unwrap();
    input.write_all(app.db.dump().as_bytes()).unwrap();
    drop(input);
    assert!(psql.wait().unwrap().success());

    let start = async || {
        let setup = Setup {
            keys: NEW.to_owned(),
            ..Setup::default()
        };
        let config = config(&restored, &app.sink, &setup);
        let started = App::build(config, app.clock.clone()).await;
        started.map(drop).map_err(|error| error.to_string())
    };
    let refused = start().await.unwrap_err();
    has(
        &refused,
        &[
            "the key `k1` is missing, and pending invitations were made with it (2, until ",
            "`enlist secret-keys lost k1` gives up what needs it",
        ],
    );
    let lost = async |keys: &str, id: &str| {
        let variables = [
            ("DATABASE_URL", &*restored.url),
            ("ENLIST_SECRET_KEYS", keys),
        ];
        shell(&["secret-keys", "lost", id], &variables).await
    };
    let (well, _, err) = lost(&format!("{NEW},{KEYS}"), "k1").await;
    assert!(!well);
    has(
        &err,
        &["the key `k1` is in ENLIST_SECRET_KEYS, so it is not lost"],
    );
    let (well, out, err) = lost(NEW, "k1").await;
    assert!(well, "{err}");
    has(
        &out,
        &[
            "2 pending invitations were revoked",
            "What was sealed of registration settings (`Default`) is gone",
        ],
    );
    start().await.unwrap();
    let (well, out, _) = lost(NEW, "k1").await;
    assert!(well);
    has(&out, &["0 pending invitations", "Nothing was sealed"]);
    let number = |sql: &str| restored.number(&format!("SELECT count(*) FROM {sql}"));
    assert_eq!(number("invitations WHERE state = 'revoked'"), 2);
    let events = "audit_events WHERE actor_kind = 'shell' AND key_id = 'k2' AND action IN";
    assert_eq!(
        number(&format!(
            "{events} ('invitations.revoked', 'setting.changed')"
        )),
        2
    );
    // The service goes on there: the setting has no address, and who is sent to again enrolls.
    std::mem::swap(&mut app.db, &mut restored);
    app.restart_with_keys(NEW).await;
    let setting = app.get("/settings/registration/default").await.json;
    assert_eq!(setting["mdm_url"], json!(null), "{setting}");
    let again = invite(&app, &ada.user, json!({})).await;
    assert_eq!(with_pin(&app, "ada", &again.pin, "S1").await.status, 201);
}
