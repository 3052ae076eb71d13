//! The audit log: who did what, that nobody can change it unseen, and what goes with a person.

use std::{process::Command, sync::Arc};

use chrono::Duration;
use diesel::{PgConnection, connection::SimpleConnection};
use enlist::{
    audit::{forgetting, verifying},
    model::caller::Role,
    secrets::keys::KeyRing,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    audit_attacks::{linker, ring, verify},
    support::app::{Answer, KEYS, TestApp, api_key},
};

fn keys() -> Arc<KeyRing> {
    ring(KEYS)
}

async fn link(app: &TestApp) {
    linker(app).link().await.unwrap();
}

/// What was done, the oldest first, but for the key that a test has from the shell.
async fn actions(app: &TestApp, query: &str) -> Vec<String> {
    let events = app
        .get(&format!("/audit-events?limit=200{query}"))
        .await
        .json;
    let rows = events["data"].as_array().unwrap().iter().rev();
    rows.filter(|event| event["actor"]["kind"] != "shell")
        .map(|event| event["action"].as_str().unwrap().to_owned())
        .collect()
}

async fn delete(app: &TestApp, path: &str) {
    let answer = app.request(Method::DELETE, path).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

#[tokio::test]
async fn every_change_and_every_look_at_a_secret_is_written_down() {
    let app = TestApp::start().await;
    let user = app.user(json!({"email": "ada@example.com"})).await;
    let path = format!("/users/{user}");
    app.send(Method::PATCH, &path, json!({"first_name": "Ada"}))
        .await;
    app.send(Method::PATCH, &path, json!({"first_name": "Ada"}))
        .await;
    app.send(
        Method::PUT,
        &format!("{path}/password"),
        json!({"password": "a long password"}),
    )
    .await;
    let group = app.post("/groups", json!({"name": "G"})).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.post(&format!("/groups/{group}/members"), json!({"add": [user]}))
        .await;
    app.send(
        Method::PATCH,
        &format!("/groups/{group}"),
        json!({"name": "H"}),
    )
    .await;
    delete(&app, &format!("/groups/{group}")).await;
    let setting = app
        .post("/settings/reminder", json!({"name": "S", "enabled": true}))
        .await;
    let setting = format!(
        "/settings/reminder/{}",
        setting.json["id"].as_str().unwrap()
    );
    app.send(
        Method::PUT,
        &setting,
        json!({"name": "S", "enabled": false}),
    )
    .await;
    delete(&app, &setting).await;
    app.set_default("registration", json!({"pin_length": 6}))
        .await;
    let sent = app
        .invite(json!({"user_ids": [user], "delivery": "none"}))
        .await;
    let invitation = sent["results"][0]["invitation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.get(&format!("/invitations/{invitation}/pin")).await;
    app.post("/invitations/pins", json!({"user_ids": [user]}))
        .await;
    app.post(&format!("/invitations/{invitation}/resend"), json!({}))
        .await;
    app.post(&format!("/invitations/{invitation}/revoke"), json!({}))
        .await;
    app.post("/invitations/resend", json!({"user_ids": [user]}))
        .await;
    app.post("/invitations/revoke", json!({"user_ids": [user]}))
        .await;
    let qr = app
        .invite(json!({"user_ids": [user], "method": "qr"}))
        .await;
    let qr_invitation = qr["results"][0]["invitation_id"].as_str().unwrap();
    app.get(&format!("/invitations/{qr_invitation}/qr.png"))
        .await;
    app.get(&format!("/invitations/{qr_invitation}/qr.svg"))
        .await;
    let batch = qr["batch_id"].as_str().unwrap();
    app.post(&format!("/batches/{batch}/cancel"), json!({}))
        .await;
    let key = app
        .post("/api-keys", json!({"name": "K", "role": "reader"}))
        .await;
    let key = format!("/api-keys/{}", key.json["id"].as_str().unwrap());
    app.send(Method::PATCH, &key, json!({"name": "L"})).await;
    delete(&app, &key).await;
    delete(&app, &path).await;
    assert_eq!(
        actions(&app, "").await,
        [
            "user.created",
            "user.changed",
            "user.password_set",
            "group.created",
            "group.members_changed",
            "group.changed",
            "group.deleted",
            "setting.created",
            "setting.changed",
            "setting.deleted",
            "setting.changed",
            "invitations.sent",
            "invitation.pin_viewed",
            "invitations.pins_viewed",
            "invitations.resent",
            "invitations.revoked",
            "invitations.resent",
            "invitations.revoked",
            "invitations.sent",
            "invitation.qr_viewed",
            "invitation.qr_viewed",
            "batch.canceled",
            "api_key.created",
            "api_key.renamed",
            "api_key.revoked",
            "user.deleted",
        ]
    );
    link(&app).await;
    let verified = verify(&app);
    assert_eq!((verified.linked, verified.waiting), (27, 0));
    assert_eq!(verified.faults, [""; 0]);
}

#[tokio::test]
async fn an_event_says_who_what_and_from_where_and_no_secret() {
    let app = TestApp::start().await;
    let request = app
        .request(Method::POST, "/users")
        .header("x-request-id", "mine")
        .json(&json!({"email": "ada@example.com", "password": "correct horse battery"}));
    let user = Answer::of(request.send().await.unwrap()).await.json;
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    app.send(Method::PATCH, &path, json!({"locale": "fr"}))
        .await;
    let about = format!(
        "/audit-events?count=true&subject_id={}",
        user["id"].as_str().unwrap()
    );
    let events = app.get(&about).await;
    assert_eq!(events.json["total"], 2);
    assert_eq!(events.json["data"][0]["signature"], "genuine");
    let [changed, created] = &events.json["data"].as_array().unwrap()[..] else {
        panic!("{}", events.text)
    };
    assert_eq!(created["actor"]["kind"], "api_key");
    assert_eq!(created["actor"]["name"], "test");
    assert_eq!(
        created["subject"],
        json!({"kind": "user", "id": user["id"]})
    );
    assert_eq!(created["request_id"], "mine");
    assert_eq!(created["address"], "127.0.0.1");
    assert_eq!(created["at"], "2026-11-23T08:00:00Z");
    assert_eq!(created["before"], Value::Null);
    assert_eq!(created["after"]["email"], "ada@example.com");
    assert_eq!(changed["before"]["locale"], Value::Null);
    assert_eq!(changed["after"]["locale"], "fr");
    for secret in ["correct horse", "argon2"] {
        assert!(!events.text.contains(secret));
    }
    // What was refused is no event, and neither is a repeat.
    app.post("/users", json!({"email": "ada@example.com"}))
        .await;
    app.send(Method::PATCH, &path, json!({"locale": "fr"}))
        .await;
    assert_eq!(app.get(&about).await.json["total"], 2);
}

#[tokio::test]
async fn the_log_is_filtered_paged_and_read_as_a_table() {
    let app = TestApp::start().await;
    let ada = app
        .user(json!({"email": "ada@example.com", "first_name": "=1+1"}))
        .await;
    app.clock.advance(Duration::hours(1));
    let bob = app.user(json!({"email": "bob@example.com"})).await;
    app.clock.advance(Duration::hours(1));
    app.send(
        Method::PATCH,
        &format!("/users/{bob}"),
        json!({"first_name": "Bob"}),
    )
    .await;
    let count = async |query: &str| actions(&app, query).await.len();
    assert_eq!(count("&action=user.created").await, 2);
    assert_eq!(count(&format!("&subject_id={bob}")).await, 2);
    assert_eq!(count("&from=2026-11-23T09:00:00Z").await, 2);
    assert_eq!(count("&to=2026-11-23T09:00:00Z").await, 1);
    assert_eq!(
        count("&from=2026-11-23T08:00:00.000001Z&to=2026-11-23T10:00:00Z").await,
        1
    );
    assert_eq!(count(&format!("&actor_id={ada}")).await, 0);
    let actor = app.get("/audit-events").await.json["data"][0]["actor"]["id"].clone();
    assert_eq!(
        count(&format!("&actor_id={}", actor.as_str().unwrap())).await,
        3
    );
    let first = app.get("/audit-events?limit=2").await.json;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = app
        .get(&format!("/audit-events?limit=2&cursor={cursor}"))
        .await
        .json;
    assert_eq!(second["data"].as_array().unwrap().len(), 2);
    app.get(&format!(
        "/audit-events?action=user.created&cursor={cursor}"
    ))
    .await
    .is_problem(422, "validation_failed");
    app.get("/audit-events?action=nothing&from=soon")
        .await
        .is_problem(422, "validation_failed");
    let table = app
        .request(Method::GET, "/audit-events?action=user.created")
        .header("accept", "text/csv");
    let table = Answer::of(table.send().await.unwrap()).await;
    assert!(table.header("content-type").starts_with("text/csv"));
    let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(table.text.as_bytes())
        .records()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0][0], &rows[0][1]),
        ("2026-11-23T09:00:00.000000Z", "user.created")
    );
    assert!(rows[1][10].contains("=1+1"));
    let reader = api_key(&app.db, Role::Manager);
    let request = app
        .anonymous(Method::GET, "/audit-events")
        .bearer_auth(reader);
    Answer::of(request.send().await.unwrap())
        .await
        .is_problem(403, "forbidden");
}

fn refused(connection: &mut PgConnection, sql: &str) {
    let error = connection.batch_execute(sql).unwrap_err().to_string();
    assert!(error.contains("append-only"), "{sql}: {error}");
}

#[tokio::test]
async fn nothing_is_changed_unseen() {
    let app = TestApp::start().await;
    let user = app.user(json!({"email": "ada@example.com"})).await;
    for name in ["A", "B", "C"] {
        app.send(
            Method::PATCH,
            &format!("/users/{user}"),
            json!({"first_name": name}),
        )
        .await;
    }
    assert_eq!(verify(&app).waiting, 5);
    link(&app).await;
    let whole = verify(&app);
    assert_eq!((whole.linked, whole.waiting), (5, 0));
    assert_eq!(whole.faults, [""; 0]);
    assert_eq!(whole.head.unwrap().position, 5);
    let mut connection = app.db.connect();
    for table in ["audit_events", "audit_links", "audit_details"] {
        refused(&mut connection, &format!("DELETE FROM {table}"));
        refused(&mut connection, &format!("TRUNCATE {table}"));
    }
    refused(&mut connection, "UPDATE audit_events SET action = 'x'");
    refused(
        &mut connection,
        "UPDATE audit_links SET position = position + 10",
    );
    refused(&mut connection, "UPDATE audit_details SET after = '{}'");
    // Whoever owns the database can go around the triggers, and is found out.
    for (sql, fault) in [
        (
            "UPDATE audit_events SET actor_name = 'nobody' WHERE action = 'user.created'",
            "who did it is not what was written",
        ),
        (
            "UPDATE audit_events SET request_id = 'another' WHERE action = 'user.created'",
            "not what its writer wrote",
        ),
        (
            "UPDATE audit_details SET after = replace(after, 'A', 'X')",
            "the details are not those",
        ),
        ("DELETE FROM audit_details", "the details are gone"),
        (
            "DELETE FROM audit_events WHERE action = 'user.created'",
            "the event is missing",
        ),
        (
            "DELETE FROM audit_links WHERE position = 2",
            "links 2 to 2 are missing",
        ),
        (
            "UPDATE audit_links SET mac = sha256(mac) WHERE position = 4",
            "link 4",
        ),
    ] {
        let tables = ["audit_events", "audit_links", "audit_details"];
        let off: String = tables
            .map(|table| format!("ALTER TABLE {table} DISABLE TRIGGER USER;"))
            .concat();
        // Seen from within the transaction, which is taken back.
        connection
            .batch_execute(&format!("BEGIN; {off} {sql}"))
            .unwrap();
        let found = verifying::check(&mut connection, &keys(), &[], app.clock.now())
            .unwrap()
            .faults;
        connection.batch_execute("ROLLBACK").unwrap();
        assert!(
            found.iter().any(|found| found.contains(fault)),
            "{sql}: {found:?}"
        );
    }
    assert_eq!(verify(&app).faults, [""; 0]);
}

#[tokio::test]
async fn what_goes_with_a_person_leaves_the_chain_whole() {
    let app = TestApp::start().await;
    let user = app
        .user(json!({"email": "ada@example.com", "first_name": "Ada"}))
        .await;
    app.send(
        Method::PATCH,
        &format!("/users/{user}"),
        json!({"first_name": "Ida"}),
    )
    .await;
    link(&app).await;
    delete(&app, &format!("/users/{user}")).await;
    link(&app).await;
    assert_eq!(verify(&app).faults, [""; 0]);
    let log = app.get("/audit-events").await;
    assert_eq!(log.json["data"].as_array().unwrap().len(), 4);
    for name in ["Ada", "Ida", "ada@example.com"] {
        assert!(!log.text.contains(name), "{name}");
    }
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_the_rest_is_whole() {
    let app = TestApp::start().await;
    app.users(3).await;
    link(&app).await;
    app.clock.advance(Duration::days(10));
    app.users(0).await;
    let young = app.user(json!({"email": "young@example.com"})).await;
    link(&app).await;
    // Nothing can be forgotten that the owner of the schema wants to be kept.
    let recent = app.clock.now() - Duration::days(1);
    let kept = forgetting::forget(&app.worker.db, &keys(), recent).await;
    assert!(kept.unwrap_err().to_string().contains("are to be kept"));
    // The database's clock does not go with the test's.
    app.db.execute("INSERT INTO audit_retention VALUES (-3000)");
    let forget = async |days: i64| {
        let before = app.clock.now() - Duration::days(days);
        forgetting::forget(&app.worker.db, &keys(), before)
            .await
            .unwrap();
    };
    forget(10).await;
    assert_eq!(verify(&app).forgotten, 0);
    forget(9).await;
    let left = verify(&app);
    assert_eq!((left.linked, left.forgotten), (1, 4));
    assert_eq!(left.faults, [""; 0]);
    assert_eq!(left.head.unwrap().position, 5);
    assert_eq!(
        left.older_accounts.len(),
        1,
        "the key's event is forgotten, too"
    );
    let log = app.get("/audit-events").await.json;
    assert_eq!(log["data"].as_array().unwrap().len(), 1);
    assert_eq!(log["data"][0]["subject"]["id"], young.as_str());
    // Others still cannot.
    refused(&mut app.db.connect(), "DELETE FROM audit_events");
    // All of it, and the chain goes on.
    app.clock.advance(Duration::days(1));
    forget(0).await;
    app.user(json!({"email": "next@example.com"})).await;
    link(&app).await;
    let on = verify(&app);
    assert_eq!((on.linked, on.forgotten, on.faults.len()), (1, 5, 0));
    assert_eq!(on.head.unwrap().position, 6);
    // What is not what was written is not forgotten: the service would vouch for it.
    app.clock.advance(Duration::days(1));
    app.db.execute(
        "ALTER TABLE audit_events DISABLE TRIGGER USER; UPDATE audit_events SET at = '2000-01-01';
         ALTER TABLE audit_events ENABLE TRIGGER USER",
    );
    forget(0).await;
    assert_eq!(verify(&app).forgotten, 5);
    // Whoever cuts off more without the key is found out.
    app.db.execute(
        "BEGIN; SET LOCAL enlist.forgets = 'audit'; DELETE FROM audit_events; DELETE FROM audit_links;
         UPDATE audit_beginning SET position = 6; COMMIT",
    );
    assert!(
        verify(&app).faults[0].contains("not ours"),
        "{:?}",
        verify(&app).faults
    );
}

#[tokio::test]
async fn two_who_link_at_once_make_one_chain_and_the_shell_checks_it() {
    let app = TestApp::start().await;
    app.users(60).await;
    let linking: Vec<_> = (0..8)
        .map(|_| {
            let mut linker = linker(&app);
            tokio::spawn(async move { linker.link().await })
        })
        .collect();
    for task in linking {
        task.await.unwrap().unwrap();
    }
    link(&app).await;
    let verified = verify(&app);
    assert_eq!(
        (verified.linked, verified.waiting, verified.faults.len()),
        (61, 0, 0)
    );
    let check = |keys: &str, head: &str| {
        Command::new(env!("CARGO_BIN_EXE_enlist"))
            .env("DATABASE_URL", &app.db.url)
            .env("ENLIST_SECRET_KEYS", keys)
            .args(["audit", "verify", "--head", head])
            .output()
            .unwrap()
    };
    let head = verified.head.unwrap().to_string();
    let good = check(KEYS, &head);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(
        good.status.success() && said.contains("61 events"),
        "{said}"
    );
    for gone in [head.replace("61:", "62:"), head.replace("61:", "60:")] {
        let cut = check(KEYS, &gone);
        assert!(!cut.status.success(), "the end that was noted is gone");
        assert!(String::from_utf8_lossy(&cut.stdout).contains("was told earlier"));
    }
    let other = check("k1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", &head);
    assert!(!other.status.success(), "another key under the same id");
}
