//! What a failover or a backup lost is acknowledged by whoever holds the keys, and by nobody else.

use std::process::{Command, Output};

use chrono::Duration;
use diesel::RunQueryDsl;
use enlist::{
    audit::{
        forgetting,
        heads::Head,
        verifying::{self, Verified},
    },
    clock::Clock,
    model::caller::Role,
};
use serde_json::json;

use crate::{
    audit_attacks::{
        ROTATED, attack, is_clean, is_named, linker, linker_with, ring, verify, verify_with,
        with_events,
    },
    support::app::{KEYS, TestApp, api_key},
};

/// Takes links from a position on out of the database, as a failover does.
fn lose(app: &TestApp, from: i64) {
    attack(
        app,
        &format!(
            "DELETE FROM audit_details d USING audit_links l WHERE l.event_id = d.event_id AND l.position >= {from};
             DELETE FROM audit_events e USING audit_links l WHERE l.event_id = e.id AND l.position >= {from};
             DELETE FROM audit_links WHERE position >= {from}"
        ),
    );
}

fn acknowledge(app: &TestApp, keys: Option<&str>, ends: &[&Head], reason: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enlist"));
    command
        .env("DATABASE_URL", app.db.service_url())
        .env_remove("ENLIST_SECRET_KEYS")
        .args(["audit", "acknowledge", "--reason", reason])
        .args(ends.iter().map(ToString::to_string));
    if let Some(keys) = keys {
        command.env("ENLIST_SECRET_KEYS", keys);
    }
    command.output().unwrap()
}

/// What is wrong where somebody noted this end.
fn faults_with(app: &TestApp, noted: &Head) -> Vec<String> {
    let (keys, now) = (ring(KEYS), app.clock.now());
    let noted = std::slice::from_ref(noted);
    let verified = verifying::verify(&mut app.db.connect(), &keys, noted, now);
    verified.unwrap().faults
}

/// The end that the chain had at a link.
fn end_at(app: &TestApp, position: i64) -> Head {
    #[derive(diesel::QueryableByName)]
    struct End {
        #[diesel(sql_type = diesel::sql_types::Text)]
        end: String,
    }
    let end: End = diesel::sql_query(
        "SELECT position || ':' || encode(hash, 'hex') AS end FROM audit_links WHERE position = $1",
    )
    .bind::<diesel::sql_types::BigInt, _>(position)
    .get_result(&mut app.db.connect())
    .unwrap();
    end.end.parse().unwrap()
}

#[track_caller]
fn is_taken(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[track_caller]
fn is_refused(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(why), "{said}");
}

fn end(verified: &Verified) -> Head {
    verified.head.clone().unwrap()
}

const REASON: &str = "failover of 28 November, 09:12";

#[tokio::test]
async fn a_loss_that_is_known_is_no_fault() {
    for serves_between in [false, true] {
        let (app, _) = with_events().await;
        let mut serving = linker(&app);
        serving.link().await.unwrap();
        serving.tell().await.unwrap();
        let lost = end(&is_clean(&app));
        is_refused(
            &acknowledge(&app, Some(KEYS), &[&lost], REASON),
            "nothing is lost",
        );
        let (lower, kept) = (end_at(&app, 4), end_at(&app, 3));
        lose(&app, 4);
        is_named(&app, "a failover lost commits");
        assert_eq!(
            faults_with(&app, &kept).len() + 1,
            faults_with(&app, &lower).len()
        );
        if serves_between {
            app.user(json!({"email": "bob@example.com"})).await;
            serving.link().await.unwrap();
            is_named(&app, "links 4 to 5 are missing");
            is_named(&app, "was told earlier, is not in the chain any more");
        }
        is_refused(
            &acknowledge(&app, None, &[&lost], REASON),
            "ENLIST_SECRET_KEYS is not set",
        );
        is_refused(&acknowledge(&app, Some(KEYS), &[&lost], " \n "), "--reason");
        is_taken(&acknowledge(&app, Some(KEYS), &[&lost], REASON));
        // At once, with the next link, and when whoever serves starts anew.
        let known = is_clean(&app).known_losses;
        assert!(
            known.iter().all(|known| known.contains(REASON)),
            "{known:?}"
        );
        serving.link().await.unwrap();
        serving.tell().await.unwrap();
        app.user(json!({"email": "cid@example.com"})).await;
        linker(&app).link().await.unwrap();
        let known = is_clean(&app).known_losses;
        assert!(
            known[0].starts_with("links 4 to 5 are missing; known since "),
            "{known:?}"
        );
        assert!(known[1].contains(&lost.to_string()), "{known:?}");
        // So is an end that was told in between, and no other one.
        assert_eq!(faults_with(&app, &lower), [""; 0]);
        let mut another = kept.clone();
        another.hash[0] ^= 1;
        assert_eq!(faults_with(&app, &another).len(), 1);
        // It is an event like others.
        let log = app
            .get("/audit-events?action=audit_log.loss_acknowledged")
            .await;
        assert_eq!(log.json["data"][0]["after"]["reason"], REASON);
        assert_eq!(
            log.json["data"][0]["after"]["missing"],
            json!([{"from": 4, "to": 5}])
        );
        // Later links vouch for it when its key is gone.
        let both = format!("{ROTATED},{KEYS}");
        app.user(json!({"email": "dan@example.com"})).await;
        let mut rotated = linker_with(&app, &both, None);
        rotated.link().await.unwrap();
        rotated.tell().await.unwrap();
        let verified = verify_with(&app, ROTATED);
        assert_eq!(verified.faults, [""; 0]);
        assert!(verified.known_losses[0].starts_with("links 4 to 5"));
        // It does not keep what is old from being forgotten.
        app.db.execute("INSERT INTO audit_retention VALUES (-3000)");
        let later = Clock::system().now().max(app.clock.now()) + Duration::days(1);
        forgetting::forget(&app.worker.db, &ring(&both), later)
            .await
            .unwrap();
        let forgotten = verify_with(&app, &both);
        assert_eq!(forgotten.faults, [""; 0]);
        assert_eq!(forgotten.linked, 0);
        assert!(forgotten.forgotten > 7, "{forgotten:?}");
    }
}

/// Each by its SQL, after links 4 and 5 were lost and acknowledged, and the chain has gone on at 6 and 7.
const ATTACKS: &[(&str, &str)] = &[
    // More than was lost, on either side.
    (
        "DELETE FROM audit_events WHERE id = (SELECT event_id FROM audit_links WHERE position = 3);
         DELETE FROM audit_links WHERE position = 3",
        "links 3 to 5 are missing",
    ),
    (
        "DELETE FROM audit_events WHERE id = (SELECT event_id FROM audit_links WHERE position = 6);
         DELETE FROM audit_links WHERE position = 6",
        "links 4 to 6 are missing",
    ),
    // The end of today is cut off.
    (
        "DELETE FROM audit_links WHERE position > 6",
        "the chain ends at link 6",
    ),
    // The event that tells of it is changed, gone, not signed, or another one.
    (
        "UPDATE audit_details SET after = replace(after, '4', '2') WHERE after LIKE '%missing%'",
        "links 4 to 5 are missing",
    ),
    (
        "UPDATE audit_events SET key_id = NULL, mac = NULL WHERE action = 'audit_log.loss_acknowledged'",
        "links 4 to 5 are missing",
    ),
    (
        "DELETE FROM audit_links WHERE event_id = (SELECT id FROM audit_events WHERE action = 'audit_log.loss_acknowledged');
         DELETE FROM audit_events WHERE action = 'audit_log.loss_acknowledged'",
        "links 4 to 5 are missing",
    ),
    (
        "UPDATE audit_events SET action = 'audit_log.loss_acknowledged' WHERE action = 'user.changed';
         UPDATE audit_events SET action = 'user.changed' WHERE id = (SELECT event_id FROM audit_links WHERE position = 7)",
        "links 4 to 5 are missing",
    ),
    // A link is put into the gap.
    (
        "INSERT INTO audit_links SELECT 4, gen_random_uuid(), key_id, mac, linked_at, found, hash FROM audit_links WHERE position = 3",
        "link 4, event ",
    ),
];

#[tokio::test]
async fn nobody_else_says_so_and_it_covers_nothing_else() {
    for (sql, fault) in ATTACKS {
        let (app, _) = with_events().await;
        let mut serving = linker(&app);
        serving.link().await.unwrap();
        serving.tell().await.unwrap();
        let lost = end(&is_clean(&app));
        lose(&app, 4);
        app.user(json!({"email": "bob@example.com"})).await;
        serving.link().await.unwrap();
        is_taken(&acknowledge(&app, Some(KEYS), &[&lost], REASON));
        serving.link().await.unwrap();
        serving.tell().await.unwrap();
        assert_eq!(end(&is_clean(&app)).position, 7);
        attack(&app, sql);
        is_named(&app, fault);
    }
}

/// A backup is restored, and the chain goes on in the place of what was lost: nobody who serves knew of it.
#[tokio::test]
async fn an_end_that_another_took_the_place_of_is_known() {
    let (mut app, _) = with_events().await;
    app.stop().await;
    let lost = end(&is_clean(&app));
    lose(&app, 4);
    app.db.execute("DELETE FROM audit_heads");
    for _ in 0..3 {
        api_key(&app.db, Role::Reader);
    }
    linker(&app).link().await.unwrap();
    let check = || {
        Command::new(env!("CARGO_BIN_EXE_enlist"))
            .env("DATABASE_URL", &app.db.url)
            .env("ENLIST_SECRET_KEYS", KEYS)
            .args(["audit", "verify", "--head", &lost.to_string()])
            .output()
            .unwrap()
    };
    assert_eq!(check().status.code(), Some(1));
    is_taken(&acknowledge(&app, Some(KEYS), &[&lost], REASON));
    let known = check();
    let said = String::from_utf8_lossy(&known.stdout).into_owned();
    assert_eq!(known.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("Known: the end {lost}")), "{said}");
    assert_eq!(verify(&app).known_losses, [""; 0]);
}
