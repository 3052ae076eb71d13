//! What an attacker with the database can do to the audit log, and that `enlist audit verify` names it; and what looks
//! like that and is none.

use std::{path::PathBuf, process::Command, sync::Arc};

use chrono::Duration;
use diesel::{RunQueryDsl, connection::SimpleConnection};
use enlist::{
    audit::{
        Trail, forgetting,
        heads::Head,
        linking::Linker,
        losses,
        verifying::{self, Verified},
    },
    metrics::{Metrics, Usage},
    secrets::keys::{KeyRing, Purpose},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{Answer, KEYS, TestApp};

pub const ROTATED: &str = "k2:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

pub fn ring(keys: &str) -> Arc<KeyRing> {
    Arc::new(KeyRing::parse(keys).unwrap())
}

pub fn linker(app: &TestApp) -> Linker {
    linker_with(app, KEYS, None)
}

pub fn linker_with(app: &TestApp, keys: &str, file: Option<PathBuf>) -> Linker {
    let db = app.worker.db.clone();
    Linker::new(db, ring(keys), app.clock.clone(), None, file)
}

pub fn verify_with(app: &TestApp, keys: &str) -> Verified {
    verifying::verify(&mut app.db.connect(), &ring(keys), &[], app.clock.now()).unwrap()
}

pub fn verify(app: &TestApp) -> Verified {
    verify_with(app, KEYS)
}

#[track_caller]
pub fn is_clean(app: &TestApp) -> Verified {
    let verified = verify(app);
    assert_eq!(verified.faults, [""; 0]);
    verified
}

#[track_caller]
pub fn is_named(app: &TestApp, fault: &str) {
    let faults = verify(app).faults;
    assert!(
        faults.iter().any(|found| found.contains(fault)),
        "{fault}: {faults:#?}"
    );
}

/// As somebody who owns the database.
pub fn attack(app: &TestApp, sql: &str) {
    let tables = ["audit_events", "audit_links", "audit_details"];
    let switch = |how: &str| -> String {
        tables
            .map(|table| format!("ALTER TABLE {table} {how} TRIGGER USER;"))
            .concat()
    };
    let (off, on) = (switch("DISABLE"), switch("ENABLE"));
    app.db
        .connect()
        .batch_execute(&format!("BEGIN; {off} {sql}; {on} COMMIT"))
        .unwrap();
}

/// Moves links from a position on back to where they wait.
fn unlink(from: u32) -> String {
    format!(
        "INSERT INTO audit_unlinked (event_id) SELECT event_id FROM audit_links WHERE position >= {from};
         DELETE FROM audit_links WHERE position >= {from}"
    )
}

pub async fn with_events() -> (TestApp, String) {
    let app = TestApp::start().await;
    let user = app
        .user(json!({"email": "ada@example.com", "first_name": "Ada"}))
        .await;
    for name in ["A", "B", "C"] {
        app.send(
            Method::PATCH,
            &format!("/users/{user}"),
            json!({"first_name": name}),
        )
        .await;
    }
    (app, user)
}

#[tokio::test]
async fn an_event_that_was_changed_is_found_also_when_it_is_linked_anew() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    attack(
        &app,
        &format!(
            "UPDATE audit_events SET subject_id = gen_random_uuid() WHERE action = 'user.created'; {}",
            unlink(1)
        ),
    );
    linker(&app).link().await.unwrap();
    is_named(&app, "not what its writer wrote");
    // Without the signature it is one that nobody signed.
    attack(
        &app,
        &format!(
            "UPDATE audit_events SET mac = NULL, key_id = NULL WHERE action = 'user.created'; {}",
            unlink(1)
        ),
    );
    linker(&app).link().await.unwrap();
    is_named(&app, "nobody signed it");
}

#[tokio::test]
async fn details_that_were_changed_are_found_with_their_hash_changed_too() {
    let (app, _) = with_events().await;
    attack(
        &app,
        "UPDATE audit_details SET after = replace(after, 'Ada', 'Eve');
         UPDATE audit_events e SET details_hash = sha256(d.salt || '\\x00'::bytea || int8send(0) || '\\x01'::bytea
             || int8send(octet_length(d.after)) || convert_to(d.after, 'UTF8'))
         FROM audit_details d WHERE d.event_id = e.id AND e.action = 'user.created'",
    );
    linker(&app).link().await.unwrap();
    is_named(&app, "not what its writer wrote");
}

#[tokio::test]
async fn a_forged_event_is_not_signed_by_being_linked() {
    for (kind, mac, fault) in [
        ("api_key", "NULL, NULL", Some("nobody signed it")),
        ("operator", "NULL, NULL", Some("nobody signed it")),
        ("service", "NULL, NULL", Some("nobody signed it")),
        (
            "api_key",
            "'k1', sha256('x')",
            Some("not what its writer wrote"),
        ),
        ("api_key", "'k1', NULL", Some("not what its writer wrote")),
        ("shell", "NULL, NULL", None),
        (
            "api_key",
            "'gone', sha256('x')",
            Some("was not known when it was linked"),
        ),
    ] {
        let (app, _) = with_events().await;
        linker(&app).link().await.unwrap();
        attack(
            &app,
            &format!(
                "INSERT INTO audit_events (id, at, actor_kind, action, subject_kind, key_id, mac)
                 VALUES ('016f5e66-e800-7000-8000-000000000000', '2020-01-01', '{kind}', 'user.deleted', 'user', {mac});
                 INSERT INTO audit_unlinked (event_id) VALUES ('016f5e66-e800-7000-8000-000000000000')"
            ),
        );
        linker(&app).link().await.unwrap();
        let verified = verify(&app);
        match fault {
            Some(fault) => {
                assert!(
                    verified.faults[0].contains(fault),
                    "{kind} {mac}: {verified:?}"
                );
            }
            // Listed apart: a shell may have no keys.
            None => {
                assert_eq!(verified.faults, [""; 0], "{kind} {mac}");
                let apart = verified.unsigned_shown.len() + verified.unchecked.len();
                assert_eq!(apart, 1, "{kind} {mac}");
            }
        }
        assert!(verified.longest_wait.unwrap() > Duration::days(365));
    }
}

#[tokio::test]
async fn details_go_with_a_deletion_that_the_log_tells_of_and_with_no_other() {
    let (app, user) = with_events().await;
    linker(&app).link().await.unwrap();
    app.db
        .execute(&format!("DELETE FROM users WHERE id = '{user}'"));
    is_named(&app, "the details are gone");
    // An event for it, which nobody signed, is none.
    attack(
        &app,
        &format!(
            "INSERT INTO audit_events (id, at, actor_kind, action, subject_kind, subject_id)
             VALUES ('016f5e66-e800-7000-8000-000000000000', '2020-01-01', 'shell', 'user.deleted', 'user', '{user}');
             INSERT INTO audit_unlinked (event_id) VALUES ('016f5e66-e800-7000-8000-000000000000')"
        ),
    );
    linker(&app).link().await.unwrap();
    is_named(&app, "the details are gone");
}

#[tokio::test]
async fn rows_that_are_swallowed_stop_what_they_would_hide() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    let operator =
        json!({"email": "eve@example.com", "role": "admin", "password": "a long password"});
    for table in ["audit_unlinked", "audit_events", "audit_details"] {
        app.db.execute(&format!(
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER a BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION swallow()"
        ));
        let answer = app.post("/operators", operator.clone()).await;
        answer.is_problem(500, "internal");
        assert_eq!(app.get("/operators?count=true").await.json["total"], 0);
        app.db.execute("DROP FUNCTION swallow CASCADE");
    }
    // Deleted behind its writer's back, it shows.
    app.post("/operators", operator).await;
    app.db.execute("DELETE FROM audit_unlinked");
    linker(&app).link().await.unwrap();
    is_named(&app, "has no link, and does not wait for one");
    // One that takes all of it away when the transaction ends is seen where it is.
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    app.db.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER swallow AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION swallow()",
    );
    is_named(&app, "the trigger swallow on audit_events is not ours");
    app.db.execute(
        "DROP FUNCTION swallow CASCADE; ALTER TABLE audit_links DISABLE TRIGGER audit_links_append_only;
         ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY",
    );
    is_named(
        &app,
        "audit_links_append_only on audit_links is switched off",
    );
    is_named(&app, "rows of audit_events are hidden");
    app.db.execute(
        "ALTER TABLE api_keys RENAME TO keys; CREATE VIEW api_keys AS SELECT * FROM keys WHERE name <> 'eve'",
    );
    is_named(&app, "api_keys is no table");
}

#[tokio::test]
async fn who_is_let_in_by_the_database_alone_is_found() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    app.db.execute(
        "INSERT INTO api_keys (id, name, role, key_hash, created_at)
         VALUES (gen_random_uuid(), 'eve', 'admin', sha256('x'), '2020-01-01');
         INSERT INTO operators (id, email, role, password_hash, enabled, created_at, updated_at)
         VALUES (gen_random_uuid(), 'eve@example.com', 'admin', 'x', true, now(), now())",
    );
    is_named(&app, "API key `eve`");
    is_named(&app, "operator `eve@example.com`");
}

#[tokio::test]
async fn who_is_put_back_after_their_end_is_found() {
    let app = TestApp::start().await;
    let operator = app
        .post(
            "/operators",
            json!({"email": "eve@example.com", "role": "reader", "password": "a long password"}),
        )
        .await;
    let operator = operator.json["id"].as_str().unwrap().to_owned();
    let key = app.post("/api-keys", json!({"name": "eve", "role": "admin"}));
    let key = key.await.json["id"].as_str().unwrap().to_owned();
    app.db
        .execute("CREATE TABLE kept AS SELECT * FROM operators");
    for path in [format!("/operators/{operator}"), format!("/api-keys/{key}")] {
        let ended = app.request(Method::DELETE, &path).send().await.unwrap();
        assert_eq!(ended.status(), 204, "{}", ended.text().await.unwrap());
    }
    is_clean(&app);
    app.db
        .execute("INSERT INTO operators SELECT * FROM kept; UPDATE api_keys SET revoked_at = NULL");
    let ends = |faults: Vec<String>| {
        let of_ends = faults.into_iter();
        of_ends
            .filter(|fault| fault.contains("tells of its end"))
            .count()
    };
    assert_eq!(ends(verify(&app).faults), 2);
    linker(&app).link().await.unwrap();
    assert_eq!(ends(verify(&app).faults), 2);
}

const EMPTIED: &str = "TRUNCATE audit_events, audit_links, audit_details, audit_unlinked, audit_heads, audit_beginning";

#[tokio::test]
async fn an_emptied_log_is_no_new_one() {
    // While nobody serves: who is let in was let in by somebody.
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    attack(&app, EMPTIED);
    is_named(&app, "no event tells who made it");
    app.user(json!({"email": "bob@example.com"})).await;
    linker(&app).link().await.unwrap();
    is_named(&app, "no event tells who made it");

    // While somebody does, who knows where it ended.
    let (app, _) = with_events().await;
    let mut serving = linker(&app);
    serving.link().await.unwrap();
    attack(&app, EMPTIED);
    app.user(json!({"email": "bob@example.com"})).await;
    serving.link().await.unwrap();
    is_named(&app, "links 1 to 5 are missing");
    // Also for those who serve later.
    app.user(json!({"email": "cid@example.com"})).await;
    linker(&app).link().await.unwrap();
    is_named(&app, "links 1 to 5 are missing");
    assert_eq!(verify(&app).head.unwrap().position, 7);
}

#[tokio::test]
async fn an_end_that_was_told_stays() {
    let cut =
        "DELETE FROM audit_events e USING audit_links l WHERE l.event_id = e.id AND l.position > 3;
               DELETE FROM audit_links WHERE position > 3";
    // In the database alone.
    let (app, _) = with_events().await;
    let mut serving = linker(&app);
    serving.link().await.unwrap();
    serving.tell().await.unwrap();
    is_clean(&app);
    attack(&app, cut);
    is_named(&app, "the chain ends at link 3");
    is_named(&app, "a failover lost commits, or somebody cut the end off");
    // With a seal of somebody's own.
    attack(&app, "UPDATE audit_heads SET position = 3");
    is_named(&app, "a seal that is not ours");

    // A file keeps it, whatever becomes of the database.
    let (app, _) = with_events().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heads");
    let mut serving = linker_with(&app, KEYS, Some(file.clone()));
    serving.link().await.unwrap();
    serving.tell().await.unwrap();
    serving.tell().await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    let check = || {
        let output = Command::new(env!("CARGO_BIN_EXE_enlist"))
            .env("DATABASE_URL", &app.db.url)
            .env("ENLIST_SECRET_KEYS", KEYS)
            .args(["audit", "verify", "--audit-heads"])
            .arg(&file)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    assert!(check().0, "{}", check().1);
    attack(&app, &format!("{cut}; DELETE FROM audit_heads"));
    let (is_good, said) = check();
    assert!(!is_good && said.contains("was told earlier"), "{said}");
    // A service that starts then goes on behind what is missing.
    app.user(json!({"email": "bob@example.com"})).await;
    let mut later = linker_with(&app, KEYS, Some(file.clone()));
    later.link().await.unwrap();
    is_named(&app, "links 4 to 5 are missing");
    // A line that was not written by this service is not believed there.
    std::fs::write(&file, format!("x k1 00 900:{}\n", "ab".repeat(32))).unwrap();
    app.user(json!({"email": "cid@example.com"})).await;
    linker_with(&app, KEYS, Some(file)).link().await.unwrap();
    assert_eq!(verify(&app).head.unwrap().position, 7);
}

#[tokio::test]
async fn a_chain_that_was_made_anew_is_not_the_one_that_was_told() {
    let (app, _) = with_events().await;
    let mut serving = linker(&app);
    serving.link().await.unwrap();
    // Linked anew in another order by a service that does not know.
    attack(
        &app,
        "INSERT INTO audit_unlinked (event_id) SELECT event_id FROM audit_links ORDER BY position DESC;
         DELETE FROM audit_links; DELETE FROM audit_heads",
    );
    linker(&app).link().await.unwrap();
    is_clean(&app);
    app.user(json!({"email": "bob@example.com"})).await;
    serving.link().await.unwrap();
    is_named(&app, "is not in the chain any more");
}

#[tokio::test]
async fn what_happens_to_an_honest_service_is_no_fault() {
    // A fresh install: keys from the shell, with and without the service's keys, long before anybody serves.
    let app = TestApp::start().await;
    let made = Command::new(env!("CARGO_BIN_EXE_enlist"))
        .env("DATABASE_URL", &app.db.url)
        .env_remove("ENLIST_SECRET_KEYS")
        .args(["api-keys", "create", "--name", "first", "--role", "reader"])
        .output()
        .unwrap();
    assert!(made.status.success());
    assert!(String::from_utf8_lossy(&made.stderr).contains("without a signature"));
    let wrong = Command::new(env!("CARGO_BIN_EXE_enlist"))
        .env("DATABASE_URL", &app.db.url)
        .env("ENLIST_SECRET_KEYS", ROTATED.replace("k2", "k1"))
        .args(["api-keys", "create", "--name", "second", "--role", "reader"])
        .output()
        .unwrap();
    assert!(!wrong.status.success(), "another key under the id of ours");
    let before = is_clean(&app);
    assert_eq!((before.linked, before.waiting, before.unsigned), (0, 2, 1));
    app.clock.advance(Duration::days(3));
    linker(&app).link().await.unwrap();
    let served = is_clean(&app);
    assert_eq!((served.linked, served.waiting, served.unsigned), (2, 0, 1));
    assert!(served.longest_wait.unwrap() >= Duration::days(3));

    // Downtime: what was written waits.
    let ada = app.user(json!({"email": "ada@example.com"})).await;
    assert_eq!(is_clean(&app).waiting, 1);
    // A clock that goes back.
    app.clock.advance(-Duration::hours(5));
    linker(&app).link().await.unwrap();
    is_clean(&app);
    // Deleted before it was ever linked, and a deletion that is not linked yet.
    let bob = app.user(json!({"email": "bob@example.com"})).await;
    for user in [ada, bob] {
        app.request(Method::DELETE, &format!("/users/{user}"))
            .send()
            .await
            .unwrap();
    }
    is_clean(&app);
    linker(&app).link().await.unwrap();
    is_clean(&app);

    // Another key in front: with both all is checked, without one what was made with it is not.
    let both = format!("{ROTATED},{KEYS}");
    let mut rotated = linker_with(&app, &both, None);
    app.user(json!({"email": "cid@example.com"})).await;
    rotated.link().await.unwrap();
    rotated.tell().await.unwrap();
    let verified = verify_with(&app, &both);
    assert_eq!((verified.faults.len(), verified.unchecked.len()), (0, 0));
    let verified = verify_with(&app, ROTATED);
    assert_eq!(verified.faults, [""; 0]);
    assert!(verified.unchecked["k1"] > 4);
}

/// An event as an older version wrote it.
fn older_event(app: &TestApp, id: u32, kind: &str) {
    app.db.execute(&format!(
        "INSERT INTO audit_events (id, at, actor_kind, actor_name, action, subject_kind)
         VALUES ('019abb00-0000-7000-8000-{id:012}', '{}', '{kind}', 'old', 'setting.changed', 'setting');
         INSERT INTO audit_unlinked (event_id) VALUES ('019abb00-0000-7000-8000-{id:012}')",
        older_day(id)
    ));
}

fn older_day(id: u32) -> String {
    format!("2025-11-{:02}T00:00:00Z", 10 + id)
}

/// Links one as an older version did.
fn older_link(app: &TestApp, id: u32, kind: &str, before: &[u8], position: i64) -> Vec<u8> {
    let event = json!([
        format!("019abb00-0000-7000-8000-{id:012}"),
        older_day(id)
            .parse::<chrono::DateTime<chrono::Utc>>()
            .unwrap()
            .timestamp_micros(),
        kind,
        null,
        "old",
        "setting.changed",
        "setting",
        null,
        null,
        null,
        null,
        null
    ]);
    let length = (before.len() as u64).to_be_bytes();
    let mac = ring(KEYS).signing().mac(
        Purpose::Audit,
        &[
            &length,
            before,
            &position.to_be_bytes(),
            event.to_string().as_bytes(),
        ],
    );
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    app.db.execute(&format!(
        "INSERT INTO audit_links (position, event_id, key_id, mac)
         VALUES ({position}, '019abb00-0000-7000-8000-{id:012}', 'k1', '\\x{hex}');
         DELETE FROM audit_unlinked WHERE event_id = '019abb00-0000-7000-8000-{id:012}'"
    ));
    mac.to_vec()
}

/// What an older version links behind: the last link's MAC.
fn before_older(app: &TestApp) -> Vec<u8> {
    #[derive(diesel::QueryableByName)]
    struct Last {
        #[diesel(sql_type = diesel::sql_types::Bytea)]
        mac: Vec<u8>,
    }
    let last: Last =
        diesel::sql_query("SELECT mac FROM audit_links ORDER BY position DESC LIMIT 1")
            .get_result(&mut app.db.connect())
            .unwrap();
    last.mac
}

#[tokio::test]
async fn an_upgrade_is_no_fault_and_no_way_around_signatures() {
    let app = TestApp::start().await;
    // All of this version goes: the older one looks after the log, and made a key that no event tells of.
    attack(&app, EMPTIED);
    older_event(&app, 1, "api_key");
    older_event(&app, 2, "operator");
    let first = older_link(&app, 1, "api_key", &[], 1);
    older_link(&app, 2, "operator", &first, 2);
    older_event(&app, 3, "api_key");
    linker(&app).link().await.unwrap();
    let upgraded = is_clean(&app);
    // The link of the upgrade, and the event that the older version had not linked.
    assert_eq!(
        (upgraded.linked, upgraded.by_older, upgraded.unsigned),
        (4, 2, 1)
    );
    // The older version is still there for a while, and links what it sees.
    older_event(&app, 4, "api_key");
    linker(&app).link().await.unwrap();
    older_event(&app, 5, "api_key");
    let head = is_clean(&app).head.unwrap();
    older_link(&app, 5, "api_key", &before_older(&app), head.position + 1);
    let mixed = is_clean(&app);
    assert_eq!((mixed.linked, mixed.by_older, mixed.unsigned), (6, 3, 2));
    // What is behind them vouches for them, also when the older version's key is gone.
    let both = format!("{ROTATED},{KEYS}");
    app.user(json!({"email": "ada@example.com"})).await;
    linker_with(&app, &both, None).link().await.unwrap();
    let rotated = verify_with(&app, ROTATED);
    assert_eq!(rotated.faults, [""; 0]);
    assert_eq!((rotated.linked, rotated.by_older), (7, 3));
    for link in [1, 6] {
        let mut connection = app.db.connect();
        connection
            .batch_execute(&format!(
                "BEGIN; ALTER TABLE audit_events DISABLE TRIGGER USER; ALTER TABLE audit_links DISABLE TRIGGER USER;
                 UPDATE audit_events e SET actor_name = 'new' FROM audit_links l WHERE l.event_id = e.id AND l.position = {link};
                 UPDATE audit_links SET key_id = 'k0' WHERE position = {link}"
            ))
            .unwrap();
        for keys in [ROTATED, KEYS, &both] {
            let changed =
                verifying::check(&mut connection, &ring(keys), &[], app.clock.now()).unwrap();
            let named = "the link before, is not the one that was linked";
            let mut faults = changed.faults.iter();
            assert!(faults.any(|fault| fault.contains(named)), "{keys} {link}");
        }
    }
    // Links of the older version hold, too.
    let mut connection = app.db.connect();
    connection
        .batch_execute("BEGIN; ALTER TABLE audit_events DISABLE TRIGGER USER; UPDATE audit_events SET actor_name = 'new'")
        .unwrap();
    let changed = verifying::check(&mut connection, &ring(KEYS), &[], app.clock.now()).unwrap();
    let of_links = changed
        .faults
        .iter()
        .filter(|fault| fault.starts_with("link "));
    assert_eq!(of_links.count(), 9, "{:?}", changed.faults);
    drop(connection);
    // A day later nobody has an older version.
    app.clock.advance(Duration::hours(25));
    older_event(&app, 6, "api_key");
    is_named(&app, "nobody signed it");
    linker(&app).link().await.unwrap();
    is_named(&app, "nobody signed it");
}

#[tokio::test]
async fn what_an_older_version_linked_wrongly_is_not_vouched_for() {
    let app = TestApp::start().await;
    attack(&app, EMPTIED);
    older_event(&app, 1, "api_key");
    older_link(&app, 1, "api_key", &[], 1);
    older_event(&app, 2, "api_key");
    linker(&app).link().await.unwrap();
    is_clean(&app);
    // Somebody forges an event that excuses something, under a key that nobody has, and the older version links it.
    older_event(&app, 3, "api_key");
    attack(
        &app,
        "UPDATE audit_events SET key_id = 'k0', mac = '\\x00' WHERE id::text LIKE '%-000000000003'",
    );
    let head = is_clean(&app).head.unwrap();
    older_link(&app, 3, "api_key", &before_older(&app), head.position + 1);
    older_event(&app, 4, "api_key");
    linker(&app).link().await.unwrap();
    is_named(&app, "the link before, is not the one that was linked");
}

#[tokio::test]
async fn what_is_forgotten_of_an_older_version_leaves_a_whole_chain() {
    let app = TestApp::start().await;
    attack(&app, EMPTIED);
    older_event(&app, 1, "api_key");
    older_event(&app, 2, "api_key");
    older_event(&app, 3, "api_key");
    let mut before = older_link(&app, 1, "api_key", &[], 1);
    before = older_link(&app, 2, "api_key", &before, 2);
    older_link(&app, 3, "api_key", &before, 3);
    app.user(json!({"email": "ada@example.com"})).await;
    linker(&app).link().await.unwrap();
    is_clean(&app);
    app.db.execute("INSERT INTO audit_retention VALUES (-3000)");
    for (day, forgotten) in [(3, 2), (4, 3)] {
        let before = older_day(day).parse().unwrap();
        forgetting::forget(&app.worker.db, &ring(KEYS), before)
            .await
            .unwrap();
        assert_eq!(is_clean(&app).forgotten, forgotten);
        app.user(json!({"email": format!("{day}@example.com")}))
            .await;
        linker(&app).link().await.unwrap();
        is_clean(&app);
    }
}

/// A key that nobody has but whoever has the database.
const FORGER: &str = "k9:CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

#[tokio::test]
async fn links_that_others_added_are_not_sealed_however_many_there_are() {
    let (app, _) = with_events().await;
    let mut serving = linker(&app);
    serving.link().await.unwrap();
    serving.tell().await.unwrap();
    let told = is_clean(&app).head.unwrap();
    // As the service's own role can: a chain needs no key but for its MACs.
    app.users(5).await;
    let forger = format!("{FORGER},{KEYS}");
    linker_with(&app, &forger, None).link().await.unwrap();
    app.db
        .execute("DELETE FROM audit_heads WHERE key_id = 'k9'");
    for mut linker in [serving, linker(&app)] {
        linker.tell().await.unwrap();
        is_named(&app, "nobody vouches");
        let email = format!("{}@example.com", app.clock.new_id());
        app.user(json!({"email": email})).await;
        linker.link().await.unwrap();
        linker.tell().await.unwrap();
        is_named(&app, "nobody vouches");
    }
    let (keys, now) = (ring(KEYS), app.clock.now());
    let noted = verifying::verify(&mut app.db.connect(), &keys, &[told], now).unwrap();
    assert_eq!(noted.faults.len(), 1, "{:#?}", noted.faults);
}

#[tokio::test]
async fn a_chain_under_a_key_that_nobody_has_is_not_sealed_by_a_start() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    linker(&app).tell().await.unwrap();
    attack(
        &app,
        "UPDATE audit_links SET key_id = 'k9', mac = '\\x00'; DELETE FROM audit_heads",
    );
    linker(&app).tell().await.unwrap();
    is_named(&app, "nobody vouches");
    app.user(json!({"email": "bob@example.com"})).await;
    linker(&app).link().await.unwrap();
    linker(&app).tell().await.unwrap();
    is_named(&app, "nobody vouches");
}

#[tokio::test]
async fn a_rotation_that_is_taken_back_breaks_nothing() {
    let (app, _) = with_events().await;
    let both = format!("{ROTATED},{KEYS}");
    for (round, keys) in [KEYS, &both, KEYS, &both, KEYS].into_iter().enumerate() {
        app.user(json!({"email": format!("{round}@example.com")}))
            .await;
        linker_with(&app, keys, None).link().await.unwrap();
        linker_with(&app, keys, None).tell().await.unwrap();
        assert_eq!(verify_with(&app, &both).faults, [""; 0], "{round}");
    }
}

#[tokio::test]
async fn what_an_older_version_forgot_outlives_its_key() {
    let app = TestApp::start().await;
    attack(&app, EMPTIED);
    older_event(&app, 1, "api_key");
    older_event(&app, 2, "api_key");
    let first = older_link(&app, 1, "api_key", &[], 1);
    older_link(&app, 2, "api_key", &first, 2);
    let seal = ring(KEYS).signing().mac(
        Purpose::Audit,
        &[b"begins at", &1_i64.to_be_bytes(), &first],
    );
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    attack(
        &app,
        &format!(
            "DELETE FROM audit_events e USING audit_links l WHERE l.event_id = e.id AND l.position = 1;
             DELETE FROM audit_links WHERE position = 1;
             INSERT INTO audit_beginning (position, mac, key_id, seal) VALUES (1, '\\x{}', 'k1', '\\x{}')",
            hex(&first),
            hex(&seal)
        ),
    );
    is_clean(&app);
    app.user(json!({"email": "ada@example.com"})).await;
    linker(&app).link().await.unwrap();
    linker(&app).tell().await.unwrap();
    is_clean(&app);
    let both = format!("{ROTATED},{KEYS}");
    app.user(json!({"email": "bob@example.com"})).await;
    linker_with(&app, &both, None).link().await.unwrap();
    linker_with(&app, &both, None).tell().await.unwrap();
    assert_eq!(verify_with(&app, ROTATED).faults, [""; 0]);
    // Whoever is let in since the upgrade is told of all the same.
    app.db.execute(
        "INSERT INTO api_keys (id, name, role, key_hash, created_at)
         VALUES (gen_random_uuid(), 'eve', 'admin', sha256('x'), now() + interval '1 year')",
    );
    is_named(&app, "API key `eve`");
}

#[tokio::test]
async fn links_of_a_key_that_is_lost_are_named_and_the_log_goes_on() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    app.user(json!({"email": "bob@example.com"})).await;
    linker_with(&app, ROTATED, None).link().await.unwrap();
    app.user(json!({"email": "cid@example.com"})).await;
    linker_with(&app, ROTATED, None).link().await.unwrap();
    let lost = verify_with(&app, ROTATED);
    let named =
        |fault: &&String| fault.contains("links 1 to 5") && fault.contains("nobody vouches");
    assert_eq!(
        lost.faults.iter().filter(named).count(),
        1,
        "{:#?}",
        lost.faults
    );
    // Whoever holds today's key says that it is gone.
    let head: Head = lost.faults[0].rsplit(' ').next().unwrap().parse().unwrap();
    let trail = Trail::shell(app.clock.clone(), Some(ring(ROTATED)));
    let mut connection = app.db.connect();
    losses::acknowledge(&mut connection, &trail, &[head], "the safe burned down").unwrap();
    linker_with(&app, ROTATED, None).link().await.unwrap();
    let known = verify_with(&app, ROTATED);
    assert_eq!(
        known.faults.iter().filter(named).count(),
        0,
        "{:#?}",
        known.faults
    );
    assert!(known.known_losses[0].contains("the safe burned down"));
    // It was not lost.
    let both = verify_with(&app, &format!("{ROTATED},{KEYS}"));
    assert_eq!(both.faults, [""; 0]);
}

#[tokio::test]
async fn commits_that_a_failover_lost_are_told_of() {
    let (app, _) = with_events().await;
    let mut serving = linker(&app);
    serving.link().await.unwrap();
    attack(
        &app,
        "DELETE FROM audit_details d USING audit_links l WHERE l.event_id = d.event_id AND l.position = 5;
         DELETE FROM audit_events e USING audit_links l WHERE l.event_id = e.id AND l.position = 5;
         DELETE FROM audit_links WHERE position = 5",
    );
    serving.tell().await.unwrap();
    is_named(&app, "a failover lost commits");
    app.user(json!({"email": "bob@example.com"})).await;
    serving.link().await.unwrap();
    is_named(&app, "links 5 to 5 are missing");
}

#[tokio::test]
async fn an_erased_operator_leaves_an_id_and_nothing_else() {
    let app = TestApp::start().await;
    let operator =
        |email: &str| json!({"email": email, "role": "admin", "password": "a long password"});
    let eve = app
        .post("/operators", operator("eve@example.com"))
        .await
        .json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.post("/operators", operator("bob@example.com")).await;
    let session = app
        .post(
            "/sessions",
            json!({"email": "eve@example.com", "password": "a long password"}),
        )
        .await;
    let token = session.json["token"].as_str().unwrap().to_owned();
    // Who did what does not end with a wish of whom it is about alone.
    let own = app
        .anonymous(Method::POST, &format!("/operators/{eve}/erase"))
        .bearer_auth(&token);
    Answer::of(own.send().await.unwrap())
        .await
        .is_problem(409, "own_account");
    let user = app
        .anonymous(Method::POST, "/users")
        .bearer_auth(token)
        .json(&json!({"email": "ada@example.com"}));
    assert_eq!(user.send().await.unwrap().status(), 201);
    linker(&app).link().await.unwrap();
    assert!(
        app.get("/audit-events")
            .await
            .text
            .contains("eve@example.com")
    );
    let erase = async || {
        app.post(&format!("/operators/{eve}/erase"), Value::Null)
            .await
    };
    assert_eq!(erase().await.status, 204);
    // Also one who is deleted already.
    assert_eq!(erase().await.status, 204);
    let log = app.get("/audit-events").await;
    assert!(!log.text.contains("eve@example.com"), "{}", log.text);
    assert!(log.text.contains(&eve) && log.text.contains("bob@example.com"));
    is_clean(&app);
    linker(&app).link().await.unwrap();
    is_clean(&app);
    let nobody = app
        .post(
            &format!("/operators/{}/erase", uuid::Uuid::nil()),
            Value::Null,
        )
        .await;
    nobody.is_problem(404, "not_found");
    // Without the event that tells of it, it shows.
    attack(
        &app,
        "SELECT enlist_audit_erase_operator((SELECT id FROM operators WHERE email = 'bob@example.com'))",
    );
    is_named(&app, "the details are gone");
}

/// With a key that nobody has, nothing is vouched for.
#[tokio::test]
async fn a_key_that_nobody_has_excuses_nothing() {
    let forged = |action: &str, subject: &str| {
        format!(
            "INSERT INTO audit_events (id, at, actor_kind, action, subject_kind, subject_id, key_id, mac)
             VALUES (gen_random_uuid(), '2020-01-01', 'service', '{action}', 'user', {subject}, 'k0', sha256('x'));
             INSERT INTO audit_unlinked (event_id) SELECT id FROM audit_events WHERE key_id = 'k0'"
        )
    };
    let eve = "INSERT INTO api_keys (id, name, role, key_hash, created_at)
               VALUES ('00000000-0000-7000-8000-000000000001', 'eve', 'admin', sha256('x'), '2020-01-01')";
    for (sql, fault) in [
        // An event in the middle is another one, and its link's MAC stays.
        (
            "UPDATE audit_events e SET action = 'user.deleted', key_id = 'k0', who_hash = NULL, who_salt = NULL
             FROM audit_links l WHERE l.event_id = e.id AND l.position = 3;
             UPDATE audit_links SET key_id = 'k0' WHERE position = 3"
                .to_owned(),
            "not the one that was linked",
        ),
        // All links from one on are made anew.
        (
            "DELETE FROM audit_heads; UPDATE audit_links SET key_id = 'k0', mac = sha256('x') WHERE position > 2"
                .to_owned(),
            "nobody vouches for them",
        ),
        // The log is gone, and its beginning says that it is old.
        (
            format!(
                "DELETE FROM audit_links; DELETE FROM audit_events; DELETE FROM audit_details; {eve};
                 INSERT INTO audit_beginning VALUES (999, 'x', 'k0', 'x', now())"
            ),
            "sealed with the key `k0`, which was not given",
        ),
        (
            format!(
                "DELETE FROM audit_links; DELETE FROM audit_events; DELETE FROM audit_details; {eve};
                 INSERT INTO audit_beginning VALUES (999, 'x', 'k0', 'x', now())"
            ),
            "API key `eve`",
        ),
        // Events that would excuse something.
        (
            format!("{}; DELETE FROM users", forged("user.deleted", "(SELECT id FROM users LIMIT 1)")),
            "the details are gone",
        ),
        (
            format!("{eve}; {}", forged("api_key.created", "'00000000-0000-7000-8000-000000000001'")),
            "API key `eve`",
        ),
        (
            format!(
                "{}; INSERT INTO audit_events (id, at, actor_kind, action, subject_kind)
                 VALUES ('016f5e66-e800-7000-8000-000000000000', '2020-01-01', 'operator', 'x', 'user');
                 INSERT INTO audit_unlinked VALUES ('016f5e66-e800-7000-8000-000000000000')",
                forged("audit_log.upgraded", "NULL")
            ),
            "nobody signed it",
        ),
        // Links below the chain's beginning, which nobody would look at.
        (
            format!(
                "ALTER TABLE audit_links DROP CONSTRAINT audit_links_position; {eve}; {};
                 INSERT INTO audit_links SELECT -1, id, 'k1', 'x' FROM audit_events WHERE key_id = 'k0'",
                forged("api_key.created", "'00000000-0000-7000-8000-000000000001'")
            ),
            "link -1 is before the beginning",
        ),
        // A link of an older version, on an installation that never had one.
        (
            "UPDATE audit_events e SET key_id = NULL, mac = NULL, who_hash = NULL, who_salt = NULL, actor_kind = 'operator',
                actor_name = NULL, actor_id = gen_random_uuid(), details_hash = NULL
             FROM audit_links l WHERE l.event_id = e.id AND l.position = 4;
             UPDATE audit_links SET linked_at = NULL, hash = NULL, found = NULL WHERE position = 4"
                .to_owned(),
            "not the one that was linked",
        ),
        (
            "UPDATE audit_links SET mac = hash, hash = NULL, linked_at = NULL, found = NULL, key_id = 'k0' WHERE position <= 3"
                .to_owned(),
            "not the one that was linked",
        ),
        // Two events of one id.
        (
            "ALTER TABLE audit_events DROP CONSTRAINT audit_events_pkey".to_owned(),
            "audit_events has no key",
        ),
        // Details of an event that has none.
        (
            "ALTER TABLE audit_details ALTER salt DROP NOT NULL;
             UPDATE audit_events SET details_hash = NULL WHERE action = 'user.created'"
                .to_owned(),
            "not those that were written",
        ),
        // What keeps the end of the chain.
        ("DELETE FROM audit_heads".to_owned(), "no end of the chain is kept"),
    ] {
        let (app, _) = with_events().await;
        linker(&app).link().await.unwrap();
        is_clean(&app);
        attack(&app, &sql);
        is_named(&app, fault);
        // Whoever serves goes on, and vouches for none of it.
        app.user(json!({"email": "bob@example.com"})).await;
        linker(&app).link().await.unwrap();
        let faults = verify(&app).faults;
        // The end is kept again with the next link.
        let is_mended = sql == "DELETE FROM audit_heads";
        assert_eq!(faults.is_empty(), is_mended, "{sql}: {faults:#?}");
    }
}

/// Whoever may only add rows cannot keep the chain from growing.
#[tokio::test]
async fn rows_that_are_added_do_not_stop_the_chain() {
    let far = "INSERT INTO audit_links VALUES (4611686018427387904, gen_random_uuid(), 'k1', 'x', now(), 1, 'x')";
    let next = "INSERT INTO audit_links SELECT n, gen_random_uuid(), 'k1', 'x', now(), 1, 'x' FROM generate_series(6, 8) n";
    let again =
        "INSERT INTO audit_unlinked (event_id) SELECT event_id FROM audit_links WHERE position = 3";
    let nothing = "INSERT INTO audit_unlinked (event_id) VALUES (gen_random_uuid())";
    for (sql, fault) in [
        (far, "missing"),
        (next, "link 6"),
        (again, ""),
        (nothing, ""),
    ] {
        let (app, _) = with_events().await;
        linker(&app).link().await.unwrap();
        app.db.execute(sql);
        app.user(json!({"email": "bob@example.com"})).await;
        linker(&app).link().await.unwrap();
        let verified = verify(&app);
        assert_eq!(verified.waiting, 0, "{sql}");
        match fault {
            "" => assert_eq!(verified.faults, [""; 0], "{sql}"),
            fault => is_named(&app, fault),
        }
    }
}

#[tokio::test]
async fn a_service_knows_the_end_that_it_told() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    let mut idle = linker(&app);
    idle.tell().await.unwrap();
    attack(
        &app,
        "DELETE FROM audit_events e USING audit_links l WHERE l.event_id = e.id AND l.position > 3;
         DELETE FROM audit_links WHERE position > 3; DELETE FROM audit_heads",
    );
    app.user(json!({"email": "bob@example.com"})).await;
    idle.link().await.unwrap();
    is_named(&app, "links 4 to 5 are missing");
    attack(&app, "DELETE FROM audit_heads");
    idle.tell().await.unwrap();
    is_named(&app, "is not in the chain any more");
}

#[tokio::test]
async fn an_account_that_only_an_unsigned_event_tells_of_is_named() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    attack(
        &app,
        "INSERT INTO api_keys (id, name, role, key_hash, created_at)
         VALUES ('00000000-0000-7000-8000-000000000001', 'eve', 'admin', sha256('x'), '2020-01-01');
         INSERT INTO audit_events (id, at, actor_kind, action, subject_kind, subject_id)
         SELECT gen_random_uuid(), now(), 'shell', CASE WHEN n < 150 THEN 'users.imported' ELSE 'api_key.created' END, 'api_key',
            '00000000-0000-7000-8000-000000000001' FROM generate_series(1, 150) n;
         INSERT INTO audit_unlinked (event_id) SELECT id FROM audit_events WHERE actor_kind = 'shell' AND mac IS NULL",
    );
    linker(&app).link().await.unwrap();
    let verified = is_clean(&app);
    assert_eq!(
        (verified.unsigned, verified.unsigned_shown.len()),
        (150, 100)
    );
    assert!(
        verified.unsigned_accounts[0].contains("`eve`"),
        "{verified:?}"
    );
}

/// What an administrator is told of a signature is what came of checking it, with what is shown beside it.
#[tokio::test]
async fn a_look_at_the_log_checks_what_it_shows() {
    let table = [
        ("id = id", "genuine"),
        ("mac = sha256('y')", "wrong"),
        ("key_id = 'k9', mac = sha256('y')", "unknown_key"),
        ("key_id = NULL, mac = NULL", "missing"),
        ("mac = NULL", "wrong"),
        ("actor_name = 'somebody else'", "wrong"),
        ("subject_id = gen_random_uuid()", "wrong"),
        ("details_hash = NULL", "wrong"),
    ];
    for (change, expected) in table {
        let (app, _) = with_events().await;
        attack(&app, &format!("UPDATE audit_events SET {change}"));
        let page = app.get("/audit-events").await.json;
        let events = page["data"].as_array().unwrap();
        assert!(events.len() >= 4, "{page}");
        let changed = events.iter().filter(|event| event["signature"] == expected);
        // The test's own key has an event that nobody signed, as the shell writes it.
        assert!(changed.count() >= 4, "{change}: {page}");
    }
    let (app, user) = with_events().await;
    attack(&app, "UPDATE audit_details SET after = '{}'");
    let of_user = format!("/audit-events?subject_id={user}");
    let signatures = async || {
        let page = app.get(&of_user).await.json;
        let events = page["data"].as_array().unwrap().iter();
        let signatures = events.map(|event| event["signature"].as_str().unwrap().to_owned());
        signatures.collect::<Vec<_>>()
    };
    assert_eq!(signatures().await, ["wrong"; 4]);
    // What `verify` names is found.
    let named = verify(&app).faults.join("\n");
    let id = named
        .split("event ")
        .nth(1)
        .unwrap()
        .split([':', ' '])
        .next()
        .unwrap();
    let found = app
        .get(&format!("/audit-events?count=true&id={id}"))
        .await
        .json;
    assert_eq!(
        (&found["total"], &found["data"][0]["id"]),
        (&json!(1), &json!(id)),
        "{named}"
    );
    // What goes with a person is no fault.
    let deleted = app.request(Method::DELETE, &format!("/users/{user}"));
    assert_eq!(deleted.send().await.unwrap().status(), 204);
    assert_eq!(signatures().await, ["genuine"; 5]);
    let table = app
        .request(Method::GET, &of_user)
        .header("accept", "text/csv");
    let table = table.send().await.unwrap().text().await.unwrap();
    assert!(
        table.lines().next().unwrap().ends_with(",signature,id"),
        "{table}"
    );
    assert_eq!(table.matches(",genuine,").count(), 5, "{table}");
}

/// Who reads no logs is told all the same.
#[tokio::test]
async fn a_lost_end_and_one_that_cannot_be_told_are_measured() {
    let (app, _) = with_events().await;
    let measured = async |name: &str| {
        let text = app.get("/metrics").await.text;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().to_owned()
    };
    let mut serving = linker(&app);
    serving.link().await.unwrap();
    serving.tell().await.unwrap();
    assert_eq!(measured("enlist_audit_ends_lost").await, "0");
    attack(
        &app,
        "DELETE FROM audit_links WHERE position = (SELECT max(position) FROM audit_links)",
    );
    assert_eq!(measured("enlist_audit_ends_lost").await, "1");

    let folder = tempfile::tempdir().unwrap();
    for (file, untold) in [("missing/heads", 1), ("heads", 0)] {
        let (_stop, stopped) = tokio::sync::watch::channel(true);
        let metrics = Arc::new(Metrics::new().unwrap());
        let linker = linker_with(&app, KEYS, Some(folder.path().join(file)));
        linker.run(stopped, Arc::clone(&metrics)).await;
        let text = metrics.text(Usage::default(), None).unwrap();
        let line = format!("enlist_audit_end_untold {untold}\n");
        assert!(text.contains(&line), "{file}: {text}");
    }
}
