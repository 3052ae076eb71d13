//! Secret keys change while invitations are on their way (docs/operating.md, Secret keys).

use reqwest::Method;
use serde_json::json;

use crate::{
    enrollments::{device, enroll, guest, invite, token, with_pin, wrong},
    support::app::{KEYS, TestApp},
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
