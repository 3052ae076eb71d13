//! What is left of a person who is erased, and what a person is told who asks what is held.

use diesel::{QueryableByName, RunQueryDsl, sql_types::Text};
use enlist::model::caller::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    bounces::{bring, started},
    enrollments::{enroll, with_pin},
    support::app::{Answer, TestApp, api_key},
    transfer::counts,
};

/// What may be found of Quill Zanzibar after the erasure, as `table: what`, and why.
const LEFT: [&str; 7] = [
    // The record of what was done. Ids are of nobody once the user is gone.
    "audit_events: id",
    // That somebody was passed over; so the counts of a batch stay true until the batch is forgotten.
    "batch_skips: id",
    // Answers to repeats, gone after 24 h: a key must not do its work again. The answer itself is emptied where it told of
    // one user; of many, it has ids.
    "idempotency_keys: id",
    // What was done to more than one user, or with a device, has ids alone.
    "audit_details: id",
    "audit_details: device",
    // The rows of devices and enrollments stay, with ids of their own.
    "devices: device",
    "enrollments: device",
];

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(app: &TestApp, sql: &str) -> Vec<String> {
    let found: Vec<Line> = diesel::sql_query(sql).load(&mut app.db.connect()).unwrap();
    found.into_iter().map(|row| row.line).collect()
}

/// Where in the whole database each of these is found, as `table: what`.
fn found(app: &TestApp, marks: &[(&str, &str)]) -> Vec<String> {
    let tables = lines(
        app,
        "SELECT table_name::text AS line FROM information_schema.tables
         WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1",
    );
    assert!(tables.len() > 30, "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let rows = lines(app, &format!("SELECT t::text AS line FROM {table} t"));
        let text = rows.join("\n").to_lowercase();
        for (what, mark) in marks {
            let place = format!("{table}: {what}");
            if text.contains(&mark.to_lowercase()) && !found.contains(&place) {
                found.push(place);
            }
        }
    }
    found
}

async fn with_key(app: &TestApp, key: &str, path: &str, body: &Value) -> Answer {
    let request = app.request(Method::POST, path).json(body);
    Answer::of(request.header("idempotency-key", key).send().await.unwrap()).await
}

/// A person with a word of their own in every field and in every flow.
struct Person {
    user: String,
    device: String,
    created: Value,
}

async fn person(app: &TestApp) -> Person {
    let body = json!({
        "username": "quill.zanzibar", "email": "quill@zanzibar.example", "first_name": "Quill", "last_name": "Zanzibar",
        "display_name": "Quill Z.", "managed_apple_account": "quill@apple.zanzibar.example",
        "password": "correct horse battery", "attributes": {"desk": "zanzibar-7"},
    });
    let created = with_key(app, "create", "/users", &body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let user = created.json["id"].as_str().unwrap().to_owned();
    let other = app.user(json!({"email": "other@example.com"})).await;
    let path = format!("/users/{user}");
    app.send(
        Method::PATCH,
        &path,
        json!({"first_name": "Quilla", "locale": "fr"}),
    )
    .await;
    let group = app.post("/groups", json!({"name": "Sales"})).await;
    let members = format!("/groups/{}/members", group.json["id"].as_str().unwrap());
    with_key(app, "join", &members, &json!({"add": [user]})).await;
    let setting = json!({"name": "Hers", "priority": 1, "distribution": {"user_ids": [user], "group_ids": []},
        "enabled": true});
    let made = app.post("/settings/confirmation", setting).await;
    assert_eq!(made.status, 201, "{}", made.text);

    // Invited with a note, resent, bounced, suppressed, skipped and lifted.
    let asked = json!({"user_ids": [user], "note": "Bring the zanzibar badge"});
    let sent = with_key(app, "send", "/invitations/send", &asked)
        .await
        .json;
    let invitation = sent["results"][0]["invitation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.worker.deliver_due().await.unwrap();
    let from = app.sink.messages().last().unwrap().from.clone();
    let report = format!(
        "From: MAILER-DAEMON@relay.example\r\nTo: {from}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n\
         Final-Recipient: rfc822; quill@zanzibar.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 <quill@zanzibar.example>: no Zanzibar here\r\n\r\n--b--\r\n"
    );
    let taken = bring(app, &report).await;
    assert_eq!(taken.json["suppressed"], true, "{}", taken.text);
    app.invite(json!({"user_ids": [user, other]})).await;
    let listed = app.get("/suppressions").await.json;
    let path = format!(
        "/suppressions/{}",
        listed["data"][0]["id"].as_str().unwrap()
    );
    app.request(Method::DELETE, &path).send().await.unwrap();
    app.clock.advance(chrono::Duration::minutes(2));
    let again = format!("/invitations/{invitation}/resend");
    let resent = with_key(app, "resend", &again, &json!({})).await;
    assert!(resent.text.contains("no Zanzibar here"), "{}", resent.text);
    app.worker.deliver_due().await.unwrap();
    // Written to both, and the other stays.
    app.invite(json!({"user_ids": [user, other], "note": "Welcome, both"}))
        .await;
    app.worker.deliver_due().await.unwrap();

    // A device by PIN, another by the password alone, and one that was retired before.
    let pending = app
        .get(&format!("/invitations?user_id={user}&state=pending"))
        .await
        .json;
    let id = pending["data"][0]["id"].as_str().unwrap();
    let pin = app.get(&format!("/invitations/{id}/pin")).await.json["pin"].clone();
    let device = json!({"serial_number": "ZANZIBAR-S1", "device_id": "zanzibar-d1", "platform": "ios",
        "model": "Quill's iPhone", "os_version": "zanzibar 1"});
    let enrolled = enroll(
        app,
        json!({"username": "quill.zanzibar", "pin": pin, "device": device}),
    )
    .await;
    assert_eq!(enrolled.status, 201, "{}", enrolled.text);
    app.worker.deliver_due().await.unwrap();
    app.set_default("registration", json!({"method": "password"}))
        .await;
    let device =
        json!({"serial_number": "ZANZIBAR-S2", "platform": "macos", "model": "Quill's Mac"});
    let by_password = json!({"username": "quill@zanzibar.example", "password": "correct horse battery", "device": device});
    let old = enroll(app, by_password).await;
    assert_eq!(old.status, 201, "{}", old.text);
    app.worker.deliver_due().await.unwrap();
    let retired = format!("/devices/{}", old.json["device"]["id"].as_str().unwrap());
    app.request(Method::DELETE, &retired).send().await.unwrap();
    // Wrong tries, a PIN asked for again, a file that names the person, and a search.
    let wrong = json!({"username": "quill.zanzibar", "password": "wrong horse battery",
        "device": {"serial_number": "X", "platform": "ios"}});
    enroll(app, wrong)
        .await
        .is_problem(401, "invalid_credentials");
    app.post(
        "/enrollments/pin-requests",
        json!({"username": "quill.zanzibar"}),
    )
    .await;
    let file = "username,email,first_name\nquill.zanzibar,quill@zanzibar.example,Quill\nzanzibar z,not an address,Quill\n";
    let import = app
        .request(Method::POST, "/users/import")
        .header("content-type", "text/csv")
        .header("idempotency-key", "import")
        .body(file);
    let report = Answer::of(import.send().await.unwrap()).await.json;
    assert_eq!(counts(&report).3, 2, "{report}");
    let test = json!({"to": "quill@zanzibar.example"});
    assert_eq!(app.post("/mail/test", test).await.status, 200);
    app.get("/users/export?q=quill%40zanzibar.example").await;
    app.worker.deliver_due().await.unwrap();
    Person {
        user,
        device: enrolled.json["device"]["id"].as_str().unwrap().to_owned(),
        created: body,
    }
}

#[tokio::test]
async fn what_is_left_of_somebody_who_is_erased_is_listed_here() {
    let app = started().await;
    let Person {
        user,
        device,
        created,
    } = person(&app).await;
    let marks = [
        ("a name", "quill"),
        ("a word", "zanzibar"),
        ("id", user.as_str()),
        ("device", device.as_str()),
    ];
    let before = found(&app, &marks);
    for table in [
        "users",
        "batches",
        "devices",
        "messages",
        "idempotency_keys",
        "audit_details",
    ] {
        let place = format!("{table}: a word");
        assert!(before.contains(&place), "{place} is not in {before:?}");
    }

    let path = format!("/users/{user}/erase");
    let manager = api_key(&app.db, Role::Manager);
    let denied = app.anonymous(Method::POST, &path).bearer_auth(&manager);
    Answer::of(denied.send().await.unwrap())
        .await
        .is_problem(403, "forbidden");
    let stale = app.request(Method::POST, &path).header("if-match", "\"x\"");
    Answer::of(stale.send().await.unwrap())
        .await
        .is_problem(412, "precondition_failed");
    let erased = app.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(erased.status(), 204);
    Answer::of(app.request(Method::POST, &path).send().await.unwrap())
        .await
        .is_problem(404, "not_found");

    let mut left = found(&app, &marks);
    left.retain(|place| !LEFT.contains(&place.as_str()));
    assert_eq!(left, Vec::<String>::new());
    let note = "SELECT count(*) FROM batches WHERE note = 'Welcome, both'";
    assert_eq!(
        app.db.number(note),
        1,
        "somebody else was written to as well"
    );
    // Nobody holds the device, and it is enrolled by whoever has it next.
    let shown = app.get(&format!("/devices/{device}")).await.json;
    assert_eq!(
        (&shown["user_id"], &shown["serial_number"], &shown["model"]),
        (&json!(null), &json!(null), &json!(null))
    );
    assert!(!shown["retired_at"].is_null());
    // Two events, of which one says that the details went.
    let events = app
        .get(&format!("/audit-events?subject_id={user}"))
        .await
        .json;
    assert_eq!(events["data"][0]["action"], "user.deleted");
    assert_eq!(events["data"][1]["action"], "user.erased");
    assert_eq!(
        events["data"][1]["after"],
        json!({"retired_device_ids": [device]})
    );
    // A late repeat does not bring the person back.
    let repeat = with_key(&app, "create", "/users", &created).await;
    repeat.is_problem(409, "already_done");
    assert_eq!(repeat.json["id"], user.as_str());
    assert_eq!(app.get("/users?count=true").await.json["total"], 1);
}

/// A deletion takes the same along, and of two at once the later one takes what was written to both.
#[tokio::test(flavor = "multi_thread")]
async fn a_note_goes_with_the_last_to_whom_it_was_written() {
    let app = TestApp::start().await;
    let users = app.users(6).await;
    app.invite(json!({"user_ids": users, "note": "to all six"}))
        .await;
    app.worker.deliver_due().await.unwrap();
    let notes = || {
        app.db
            .number("SELECT count(*) FROM batches WHERE note IS NOT NULL")
    };
    let delete = async |user: &String| {
        let request = app.request(Method::DELETE, &format!("/users/{user}"));
        assert_eq!(request.send().await.unwrap().status(), 204);
    };
    delete(&users[0]).await;
    assert_eq!(notes(), 1);
    futures_util::future::join_all(users[1..].iter().map(delete)).await;
    assert_eq!(notes(), 0);
}

#[tokio::test]
async fn a_person_is_told_all_that_is_held() {
    let app = started().await;
    let Person { user, device, .. } = person(&app).await;
    // More than is read at a time.
    app.db.execute(&format!(
        "INSERT INTO pin_requests SELECT gen_random_uuid(), '{user}', '2026-11-23T08:00:00Z' FROM generate_series(1, 250)"
    ));
    let other = app
        .user(json!({"email": "mallory@example.com", "username": "mallory"}))
        .await;
    let guest = crate::enrollments::invite(&app, &other, json!({"method": "pin"})).await;
    with_pin(&app, "mallory", &guest.pin, "MALLORY-1").await;
    let live = crate::enrollments::invite(&app, &user, json!({"method": "pin"})).await;

    // Together with others, and the others alone.
    for users in [vec![&user, &other], vec![&other]] {
        let looked = app.post("/invitations/pins", json!({"user_ids": users}));
        assert_eq!(looked.await.status, 200);
    }

    let path = format!("/users/{user}/export");
    let reader = api_key(&app.db, Role::Reader);
    let denied = app.anonymous(Method::GET, &path).bearer_auth(&reader);
    Answer::of(denied.send().await.unwrap())
        .await
        .is_problem(403, "forbidden");
    app.get("/users/00000000-0000-0000-0000-000000000000/export")
        .await
        .is_problem(404, "not_found");
    let told = app.get(&path).await;
    assert_eq!(
        (told.status.as_u16(), told.header("cache-control")),
        (200, "no-store")
    );
    assert_eq!(
        told.json["user"],
        app.get(&format!("/users/{user}")).await.json
    );
    assert_eq!(
        told.json["settings"]["confirmation"]["source"]["name"],
        "Hers"
    );
    let count = |list: &str| {
        told.json[list]
            .as_array()
            .unwrap_or_else(|| panic!("{list}"))
            .len()
    };
    assert_eq!(count("invitations"), 3);
    assert_eq!(
        (
            count("enrollments"),
            count("devices"),
            count("suppressions")
        ),
        (2, 2, 0)
    );
    assert_eq!(count("skipped"), 1);
    assert_eq!(count("pin_requests"), 250);
    let notes: Vec<&Value> = told.json["invitations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["note"])
        .collect();
    assert_eq!(
        notes,
        [
            &json!(null),
            // What was written to others as well may be about them.
            &json!(null),
            &json!("Bring the zanzibar badge")
        ]
    );
    let shared: Vec<&Value> = (0..3)
        .map(|at| &told.json["invitations"][at]["note_is_shared"])
        .collect();
    assert_eq!(shared, [&json!(false), &json!(true), &json!(false)]);
    assert!(!told.text.contains("Welcome, both") && !told.text.contains("+00:00"));
    let messages = &told.json["invitations"][2]["messages"];
    assert_eq!(
        messages[0]["reason"],
        "550 5.1.1 <quill@zanzibar.example>: no Zanzibar here"
    );
    assert_eq!(told.json["devices"][0]["id"], device.as_str());
    assert_eq!(
        told.json["enrollments"][0]["confirmation"]["state"],
        "accepted"
    );
    let actions: Vec<&str> = told.json["audit_events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "user.created",
            "user.changed",
            "setting.created",
            "invitations.sent",
            "suppression.added",
            "invitations.sent",
            "suppression.lifted",
            "invitations.resent",
            "invitations.sent",
            "invitation.pin_viewed",
            "device.retired",
            "mail.tested",
            "invitations.sent",
            "invitation.pin_viewed",
            "invitations.pins_viewed",
            "user.exported"
        ]
    );
    assert_eq!(
        told.json["audit_events"][0]["after"]["attributes"]["desk"],
        "zanzibar-7"
    );
    for secret in [
        live.pin.as_str(),
        "mallory",
        "MALLORY",
        "argon2",
        "other@example.com",
        "127.0.0.1",
        "\"test\"",
    ] {
        assert!(!told.text.contains(secret), "{secret} in {}", told.text);
    }
    let events = app.get("/audit-events?action=user.exported").await.json;
    assert_eq!(events["data"][0]["subject"]["id"], user.as_str());
    assert_eq!(
        events["data"].as_array().unwrap().len(),
        1,
        "who was refused exported nothing"
    );
}

/// Whoever enrolls at the same moment has enrolled before, and is erased with the device, or finds nobody.
#[tokio::test(flavor = "multi_thread")]
async fn erasing_and_enrolling_meet() {
    let app = TestApp::start().await;
    for round in 0..8 {
        let name = format!("u{round}");
        let guest = crate::enrollments::guest(&app, &name, json!({})).await;
        let path = format!("/users/{}/erase", guest.user);
        let serial = format!("S{round}");
        let (enrolled, erased) = tokio::join!(
            with_pin(&app, &name, &guest.pin, &serial),
            app.request(Method::POST, &path).send()
        );
        assert_eq!(erased.unwrap().status(), 204);
        assert!(
            matches!(enrolled.status.as_u16(), 201 | 401),
            "{}",
            enrolled.text
        );
    }
    let held = "SELECT count(*) FROM devices WHERE user_id IS NOT NULL OR retired_at IS NULL OR serial_number IS NOT NULL";
    assert_eq!(app.db.number(held), 0);
}
