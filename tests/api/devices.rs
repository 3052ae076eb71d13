//! `/devices`, and what a device does between users, limits and repeats.

use enlist::model::caller::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    enrollments::{enroll, guest, invite, with_pin},
    support::app::{Answer, TestApp, api_key},
};

async fn retire(app: &TestApp, enrolled: &Answer) -> Answer {
    let id = enrolled.json["device"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", enrolled.text));
    let request = app.request(Method::DELETE, &format!("/devices/{id}"));
    Answer::of(request.send().await.unwrap()).await
}

fn serials(page: &Value) -> Vec<&str> {
    let rows = page["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row["serial_number"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn devices_are_listed_filtered_and_paged() {
    let app = TestApp::start().await;
    let mut users = Vec::new();
    for number in 1..=5 {
        let name = format!("user{number}");
        let guest = guest(&app, &name, json!({})).await;
        let platform = if number % 2 == 0 { "android" } else { "ios" };
        let device = json!({"serial_number": format!("SN-{number}%É"), "platform": platform, "model": "Pixel_10"});
        let body =
            json!({"username": format!("{name}@example.com"), "pin": guest.pin, "device": device});
        assert_eq!(enroll(&app, body).await.status, StatusCode::CREATED);
        users.push(guest.user);
    }
    let first = app.get("/devices?limit=2&count=true").await;
    assert_eq!(serials(&first.json), ["SN-5%É", "SN-4%É"]);
    assert_eq!(first.json["total"], 5);
    let cursor = first.json["next_cursor"].as_str().unwrap();
    assert!(first.header("link").contains("rel=\"next\""));
    let second = app.get(&format!("/devices?limit=2&cursor={cursor}")).await;
    assert_eq!(serials(&second.json), ["SN-3%É", "SN-2%É"]);
    app.get(&format!("/devices?platform=ios&cursor={cursor}"))
        .await
        .is_problem(422, "validation_failed");
    for (query, found) in [
        ("platform=android".to_owned(), vec!["SN-4%É", "SN-2%É"]),
        (format!("user_id={}", users[2]), vec!["SN-3%É"]),
        ("q=sn-1%25%C3%A9".to_owned(), vec!["SN-1%É"]),
        (
            "q=l_10&platform=android".to_owned(),
            vec!["SN-4%É", "SN-2%É"],
        ),
        ("q=lx10".to_owned(), vec![]),
        ("q=%25%25".to_owned(), vec![]),
        ("retired=true".to_owned(), vec![]),
    ] {
        let page = app.get(&format!("/devices?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert_eq!(serials(&page.json), found, "{query}");
    }
    let bad = app
        .get("/devices?platform=beos&user_id=x&owner=y&retired=1")
        .await;
    bad.is_problem(422, "validation_failed");
    assert_eq!(
        bad.pointers(),
        ["/owner", "/platform", "/retired", "/user_id"]
    );
    let key = api_key(&app.db, Role::Reader);
    let read = app.anonymous(Method::GET, "/devices").bearer_auth(&key);
    assert_eq!(read.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_retired_device_stays_as_a_row_and_frees_its_user() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let enrolled = with_pin(&app, "ada", &ada.pin, "S").await;
    let device = format!(
        "/devices/{}",
        enrolled.json["device"]["id"].as_str().unwrap()
    );
    let user = format!("/users/{}", ada.user);
    let delete = |path: &str| app.request(Method::DELETE, path);
    let refused = Answer::of(delete(&user).send().await.unwrap()).await;
    refused.is_problem(409, "user_has_devices");

    let read = app.get(&device).await;
    let etag = read.header("etag").to_owned();
    let stale = delete(&device)
        .header("if-match", "\"x\"")
        .send()
        .await
        .unwrap();
    Answer::of(stale)
        .await
        .is_problem(412, "precondition_failed");
    let reader = api_key(&app.db, Role::Reader);
    let denied = app.anonymous(Method::DELETE, &device).bearer_auth(&reader);
    Answer::of(denied.send().await.unwrap())
        .await
        .is_problem(403, "forbidden");
    app.clock.advance(chrono::Duration::minutes(1));
    for header in [etag.as_str(), "*"] {
        let done = delete(&device)
            .header("if-match", header)
            .send()
            .await
            .unwrap();
        assert_eq!(
            done.status(),
            StatusCode::NO_CONTENT,
            "a second time changes nothing"
        );
        app.clock.advance(chrono::Duration::minutes(1));
    }
    let mut expected = read.json.clone();
    expected["retired_at"] = json!("2026-11-23T08:01:00Z");
    assert_eq!(app.get(&device).await.json, expected);
    assert_eq!(serials(&app.get("/devices").await.json), Vec::<&str>::new());
    assert_eq!(serials(&app.get("/devices?retired=true").await.json), ["S"]);
    assert_eq!(app.get(&user).await.json["device_count"], 0);
    // The lost answer of a device that was retired is no enrollment any more.
    with_pin(&app, "ada", &ada.pin, "S")
        .await
        .is_problem(409, "device_retired");
    with_pin(&app, "ada", &ada.pin, "T")
        .await
        .is_problem(409, "already_used");

    let gone = Answer::of(delete(&user).send().await.unwrap()).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    expected["user_id"] = Value::Null;
    assert_eq!(app.get(&device).await.json, expected);
    with_pin(&app, "ada", &ada.pin, "S")
        .await
        .is_problem(401, "invalid_credentials");
    for path in [
        "/devices/x".to_owned(),
        format!("/devices/{}", uuid::Uuid::nil()),
    ] {
        app.get(&path).await.is_problem(404, "not_found");
        Answer::of(delete(&path).send().await.unwrap())
            .await
            .is_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_wiped_device_is_brought_up_to_date_and_counts_once() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({"device_ownership": "user_owned"})).await;
    let first = with_pin(&app, "ada", &ada.pin, "S").await;
    app.clock.advance(chrono::Duration::hours(30));
    let again = invite(
        &app,
        &ada.user,
        json!({"device_ownership": "company_owned"}),
    )
    .await;
    let body = json!({"username": "ada@example.com", "pin": again.pin,
        "device": {"serial_number": "s", "device_id": "D", "platform": "ipados", "os_version": "27"}});
    let second = enroll(&app, body).await;
    assert_eq!(second.status, StatusCode::CREATED, "{}", second.text);
    assert_ne!(second.json["id"], first.json["id"]);
    let mut expected = first.json["device"].clone();
    let owner =
        json!({"requested": "company_owned", "effective": "company_owned", "reason": "setting"});
    for (field, value) in [
        ("serial_number", json!("s")),
        ("device_id", json!("D")),
        ("platform", json!("ipados")),
        ("os_version", json!("27")),
        ("device_ownership", owner),
        ("updated_at", json!("2026-11-24T14:00:00Z")),
    ] {
        expected[field] = value;
    }
    assert_eq!(second.json["device"], expected);
    assert_eq!(
        app.get(&format!("/users/{}", ada.user)).await.json["device_count"],
        1
    );
    assert_eq!(app.db.number("SELECT count(*) FROM devices"), 1);
}

#[tokio::test]
async fn a_device_changes_hands_once_it_was_retired() {
    let app = TestApp::start().await;
    let (ada, bob) = (
        guest(&app, "ada", json!({})).await,
        guest(&app, "bob", json!({})).await,
    );
    let first = with_pin(&app, "ada", &ada.pin, "S").await;
    with_pin(&app, "bob", &bob.pin, "s")
        .await
        .is_problem(409, "device_enrolled_elsewhere");
    let pin = app
        .get(&format!("/invitations/{}/pin", bob.invitation))
        .await;
    assert_eq!(pin.json["pin"], bob.pin, "the PIN is not used up");
    assert_eq!(retire(&app, &first).await.status, StatusCode::NO_CONTENT);
    let second = with_pin(&app, "bob", &bob.pin, "s").await;
    assert_eq!(second.status, StatusCode::CREATED, "{}", second.text);
    assert_ne!(second.json["device"]["id"], first.json["device"]["id"]);
    with_pin(&app, "ada", &ada.pin, "S")
        .await
        .is_problem(409, "device_retired");
}

#[tokio::test]
async fn two_names_of_two_devices_are_no_device() {
    let app = TestApp::start().await;
    let ada = guest(&app, "ada", json!({})).await;
    let ask = |pin: &str, device: Value| json!({"username": "ada@example.com", "pin": pin, "device": device});
    enroll(&app, ask(&ada.pin, json!({"serial_number": "S"}))).await;
    let ada = invite(&app, &ada.user, json!({})).await;
    enroll(&app, ask(&ada.pin, json!({"device_id": "D"}))).await;
    let ada = invite(&app, &ada.user, json!({})).await;
    enroll(
        &app,
        ask(&ada.pin, json!({"serial_number": "S", "device_id": "D"})),
    )
    .await
    .is_problem(409, "device_mismatch");
    let answer = enroll(
        &app,
        ask(&ada.pin, json!({"serial_number": "S", "device_id": "d"})),
    )
    .await;
    assert_eq!(
        answer.status,
        StatusCode::CREATED,
        "case of an id matters: {}",
        answer.text
    );
    assert_eq!(app.db.number("SELECT count(*) FROM devices"), 2);
}

/// A plan made while there are few devices reads all of them when there are many.
#[tokio::test]
async fn a_device_is_found_by_an_index_however_many_there_are() {
    let app = TestApp::start().await;
    app.db.watch_statements();
    let mut first = Vec::new();
    for number in 0..12 {
        first.push(guest(&app, &format!("user{number}"), json!({})).await);
    }
    for (number, guest) in first.iter().enumerate() {
        enrolled_again(&app, number, &guest.pin).await;
        let invited = invite(&app, &guest.user, json!({})).await;
        enrolled_again(&app, number, &invited.pin).await;
    }
    app.db.execute(
        "INSERT INTO devices (id, user_id, serial_number, platform, supervised, user_enrollment, ownership_requested,
            ownership, ownership_reason, enrolled_at, updated_at)
         SELECT gen_random_uuid(), (SELECT id FROM users LIMIT 1), 'many' || n, 'ios', false, false, 'undefined',
            'undefined', 'setting_off', now(), now() FROM generate_series(1, 5000) n",
    );
    app.db.watch_statements();
    for (number, guest) in first.iter().enumerate() {
        let invited = invite(&app, &guest.user, json!({})).await;
        enrolled_again(&app, number, &invited.pin).await;
    }
    let blocks = app.db.number(
        "SELECT (sum(shared_blks_hit + shared_blks_read) / sum(calls))::bigint FROM seen_statements
         WHERE query LIKE '%FROM devices%FOR NO KEY UPDATE%'",
    );
    assert!((1..=20).contains(&blocks), "{blocks} blocks for each look");
}

async fn enrolled_again(app: &TestApp, number: usize, pin: &str) {
    let answer = with_pin(app, &format!("user{number}"), pin, &format!("S{number}")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
}
