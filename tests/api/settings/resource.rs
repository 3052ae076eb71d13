//! Settings as a resource.

use enlist::{model::caller::Role, settings::domain};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{delete, group, path_of, put, setting};
use crate::support::app::{Answer, TestApp, api_key};

const KINDS: [&str; 3] = ["registration", "reminder", "confirmation"];

fn names(page: &Value) -> Vec<&str> {
    let rows = page["data"].as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_kind_has_its_default() {
    let app = TestApp::start().await;
    let common = |answer: &Answer| {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let mut rest = answer.json.clone();
        let fields = rest.as_object_mut().unwrap();
        assert_eq!(fields.remove("id").unwrap(), "default");
        assert_eq!(fields.remove("name").unwrap(), "Default");
        assert_eq!(fields.remove("priority").unwrap(), Value::Null);
        assert_eq!(fields.remove("distribution").unwrap(), Value::Null);
        assert!(fields.remove("created_at").is_some() && fields.remove("updated_at").is_some());
        rest
    };
    assert_eq!(
        common(&app.get("/settings/registration/default").await),
        json!({
            "method": "pin", "pin_length": 8, "pin_lifetime_days": 1, "invitation_lifetime_days": 7,
            "allow_pin_request": true, "device_ownership": "undefined", "device_limit": null, "mdm_url": null,
            "qr_payload": {"kind": "enrollment_url"}
        })
    );
    // What the migration wrote is what the code takes for the default.
    let stored = common(&app.get("/settings/registration/default").await);
    assert_eq!(
        stored,
        json!(enlist::model::registration::Registration::default())
    );
    let stored = common(&app.get("/settings/reminder/default").await);
    assert_eq!(stored, json!(domain::Reminder::default()));
    assert_eq!(
        stored,
        json!({"enabled": false, "start_at": null, "end_at": null, "every_days": 3})
    );
    let stored = common(&app.get("/settings/confirmation/default").await);
    assert_eq!(stored, json!(domain::Confirmation::default()));
    assert_eq!(stored, json!({"enabled": false}));
    for kind in KINDS {
        let list = app.get(&format!("/settings/{kind}?count=true")).await.json;
        assert_eq!((names(&list), &list["total"]), (vec!["Default"], &json!(1)));
        delete(&app, &format!("/settings/{kind}/default"))
            .await
            .is_problem(409, "default_setting");
    }
}

#[tokio::test]
async fn the_default_is_changed_and_keeps_its_place() {
    let app = TestApp::start().await;
    let path = "/settings/registration/default";
    let changed = put(&app, path, &json!({"method": "qr", "device_limit": 3})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(changed.json["method"], "qr");
    assert_eq!(changed.json["device_limit"], 3);
    assert_eq!(
        changed.json["pin_length"], 8,
        "what is left out takes its default"
    );
    assert_eq!(changed.json["id"], "default");
    let faults = put(
        &app,
        path,
        &json!({"name": "Other", "priority": 3, "distribution": {"user_ids": [uuid::Uuid::nil()]}, "id": "x"}),
    )
    .await;
    faults.is_problem(422, "validation_failed");
    assert_eq!(
        faults.pointers(),
        ["/distribution", "/id", "/name", "/priority"]
    );
    let back = put(
        &app,
        path,
        &json!({"name": "Default", "priority": null, "distribution": null}),
    )
    .await;
    assert_eq!(back.json["method"], "pin", "{}", back.text);
}

#[tokio::test]
async fn a_custom_setting_is_created_read_replaced_and_deleted() {
    let app = TestApp::start().await;
    let users = app.users(3).await;
    let warehouse = group(&app, "Warehouse", &users[..1]).await;
    let body = json!({
        "name": "  Warehouse ", "priority": 5, "distribution": {"group_ids": [warehouse], "user_ids": [users[2], users[1], users[2]]},
        "method": "pin_and_password", "pin_length": 12, "pin_lifetime_days": 30, "invitation_lifetime_days": 30,
        "allow_pin_request": false, "device_ownership": "company_owned", "device_limit": 1,
        "mdm_url": "https://mdm.example.com/start?t={token}",
        "qr_payload": {"kind": "apple_url", "url": "https://mdm.example.com/p/{token}.mobileconfig"}
    });
    let created = setting(&app, "registration", body.clone()).await;
    let mut expected = body;
    expected["name"] = "Warehouse".into();
    expected["distribution"]["user_ids"] = json!([users[1], users[2]]);
    for field in ["id", "created_at", "updated_at"] {
        expected[field] = created[field].clone();
    }
    assert_eq!(created, expected);
    let path = path_of("registration", &created);
    let got = app.get(&path).await;
    assert_eq!(got.json, created);

    // If-None-Match, If-Match.
    let unchanged = app
        .request(Method::GET, &path)
        .header("if-none-match", got.header("etag"));
    assert_eq!(
        unchanged.send().await.unwrap().status(),
        StatusCode::NOT_MODIFIED
    );
    app.clock.advance(chrono::Duration::minutes(1));
    let again = put(&app, &path, &got.json).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    assert_eq!(
        again.json, got.json,
        "a PUT of what GET gave changes nothing"
    );
    assert_eq!(again.header("etag"), got.header("etag"));

    let replaced = put(
        &app,
        &path,
        &json!({"name": "Depot", "distribution": {"user_ids": [users[0]]}}),
    )
    .await;
    assert_eq!(replaced.status, StatusCode::OK, "{}", replaced.text);
    assert_eq!(replaced.json["priority"], 100);
    assert_eq!(
        replaced.json["distribution"],
        json!({"group_ids": [], "user_ids": [users[0]]})
    );
    assert_eq!(replaced.json["method"], "pin");
    assert_ne!(replaced.json["updated_at"], created["updated_at"]);
    assert_eq!(replaced.json["created_at"], created["created_at"]);
    let stale = |method: Method| {
        let request = app
            .request(method, &path)
            .header("if-match", got.header("etag"));
        request.json(&json!({"name": "Depot"})).send()
    };
    for method in [Method::PUT, Method::DELETE] {
        Answer::of(stale(method).await.unwrap())
            .await
            .is_problem(412, "precondition_failed");
    }
    let mut other = replaced.json.clone();
    other["id"] = json!(uuid::Uuid::nil());
    assert_eq!(put(&app, &path, &other).await.pointers(), ["/id"]);

    assert_eq!(delete(&app, &path).await.status, StatusCode::NO_CONTENT);
    app.get(&path).await.is_problem(404, "not_found");
    delete(&app, &path).await.is_problem(404, "not_found");
    put(&app, &path, &json!({"name": "x"}))
        .await
        .is_problem(404, "not_found");
    assert_eq!(app.db.number("SELECT count(*) FROM setting_users"), 0);
}

#[tokio::test]
async fn a_setting_is_known_by_its_own_kind_and_id_only() {
    let app = TestApp::start().await;
    let created = setting(&app, "reminder", json!({"name": "R"})).await;
    for path in [
        format!("/settings/registration/{}", created["id"].as_str().unwrap()),
        "/settings/reminder/defaults".into(),
        "/settings/reminder/019ab000-0000-7000-8000-000000000002".into(),
        "/settings/other".into(),
        "/settings/other/default".into(),
    ] {
        app.get(&path).await.is_problem(404, "not_found");
    }
    app.send(Method::PATCH, "/settings/reminder/default", json!({}))
        .await
        .is_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn every_fault_is_named() {
    let app = TestApp::start().await;
    let created = |kind: &str, body: Value| {
        let path = format!("/settings/{kind}");
        let app = &app;
        async move { app.post(&path, body).await }
    };
    let answer = created(
        "registration",
        json!({
            "name": "", "priority": -1, "distribution": {"group_ids": ["x"], "users": []},
            "method": "sms", "pin_length": 3, "pin_lifetime_days": 0, "invitation_lifetime_days": 31,
            "allow_pin_request": "yes", "device_ownership": "mine", "device_limit": 0,
            "mdm_url": "http://mdm.example.com/{token}",
            "qr_payload": {"kind": "android_dpc", "component_name": "x"}, "pin_lenght": 6
        }),
    )
    .await;
    answer.is_problem(422, "validation_failed");
    assert_eq!(
        answer.pointers(),
        [
            "/allow_pin_request",
            "/device_limit",
            "/device_ownership",
            "/distribution/group_ids/0",
            "/distribution/users",
            "/invitation_lifetime_days",
            "/mdm_url",
            "/method",
            "/name",
            "/pin_lenght",
            "/pin_length",
            "/pin_lifetime_days",
            "/priority",
            "/qr_payload/component_name",
            "/qr_payload/download_location",
        ]
    );
    for (kind, body, pointers) in [
        ("registration", json!({}), vec!["/name"]),
        (
            "registration",
            json!({"name": null, "pin_length": 13}),
            vec!["/pin_length"],
        ),
        (
            "registration",
            json!({"name": "x", "pin_length": null}),
            vec!["/pin_length"],
        ),
        (
            "registration",
            json!({"name": "x", "pin_length": 4.5}),
            vec!["/pin_length"],
        ),
        (
            "registration",
            json!({"name": "x", "mdm_url": "https://mdm.example.com/"}),
            vec!["/mdm_url"],
        ),
        (
            "registration",
            json!({"name": "x", "device_limit": 1_000_001}),
            vec!["/device_limit"],
        ),
        (
            "registration",
            json!({"pin_lifetime_days": 8, "distribution": {"user_ids": [uuid::Uuid::nil()], "group_ids": [uuid::Uuid::nil()]}, "name": "x"}),
            vec![
                "/distribution/group_ids/0",
                "/distribution/user_ids/0",
                "/pin_lifetime_days",
            ],
        ),
        (
            "registration",
            json!({"name": "x", "pin_lifetime_days": 5, "invitation_lifetime_days": 4}),
            vec!["/pin_lifetime_days"],
        ),
        (
            "registration",
            json!({"name": "x", "id": "default", "created_at": "2026-11-23T08:00:00Z", "updated_at": "2026-11-23T08:00:00Z"}),
            vec!["/created_at", "/id", "/updated_at"],
        ),
        (
            "reminder",
            json!({"name": "x", "enabled": 1, "start_at": "tomorrow", "end_at": "2026-11-23", "every_days": 31}),
            vec!["/enabled", "/end_at", "/every_days", "/start_at"],
        ),
        (
            "reminder",
            json!({"name": "x", "start_at": "2026-12-01T09:00:00Z", "end_at": "2026-12-01T10:00:00+01:00"}),
            vec!["/end_at"],
        ),
        (
            "confirmation",
            json!({"name": "x", "enabled": null, "method": "pin"}),
            vec!["/enabled", "/method"],
        ),
        (
            "confirmation",
            json!({"name": "x", "distribution": {"group_ids": vec![uuid::Uuid::nil(); 1_001]}}),
            vec![],
        ),
    ] {
        let answer = created(kind, body.clone()).await;
        answer.is_problem(422, "validation_failed");
        if !pointers.is_empty() {
            assert_eq!(answer.pointers(), pointers, "{body}");
        }
    }
    assert_eq!(app.db.number("SELECT count(*) FROM settings"), 3);
    assert_eq!(
        app.db.number("SELECT count(*) FROM setting_versions"),
        3,
        "nothing is kept of what was refused"
    );
}

#[tokio::test]
async fn reminders_take_times_with_any_offset() {
    let app = TestApp::start().await;
    let created = setting(
        &app,
        "reminder",
        json!({"name": "R", "enabled": true, "start_at": "2026-12-01T09:00:00+01:00", "end_at": "2026-12-24T00:00:00Z", "every_days": 1}),
    )
    .await;
    assert_eq!(created["start_at"], "2026-12-01T08:00:00Z");
    assert_eq!(created["end_at"], "2026-12-24T00:00:00Z");
    assert_eq!(
        (&created["enabled"], &created["every_days"]),
        (&json!(true), &json!(1))
    );
    let path = path_of("reminder", &created);
    assert_eq!(put(&app, &path, &created).await.json, created);
}

#[tokio::test]
async fn settings_are_listed_in_the_order_of_application() {
    let app = TestApp::start().await;
    for (name, priority) in [
        ("late", 200),
        ("first", 0),
        ("tie 1", 7),
        ("tie 2", 7),
        ("usual", 100),
    ] {
        setting(
            &app,
            "confirmation",
            json!({"name": name, "priority": priority}),
        )
        .await;
        app.clock.advance(chrono::Duration::seconds(1));
    }
    setting(&app, "confirmation", json!({"name": "unsaid"})).await;
    let order = [
        "first", "tie 1", "tie 2", "usual", "unsaid", "late", "Default",
    ];
    let all = app.get("/settings/confirmation?count=true").await.json;
    assert_eq!(names(&all), order);
    assert_eq!(
        (&all["total"], &all["next_cursor"]),
        (&json!(7), &Value::Null)
    );
    for limit in [1, 2, 3, 6] {
        let (mut seen, mut path) = (Vec::new(), format!("/settings/confirmation?limit={limit}"));
        loop {
            let page = app.get(&path).await;
            seen.extend(names(&page.json).into_iter().map(str::to_owned));
            let Some(cursor) = page.json["next_cursor"].as_str() else {
                break;
            };
            assert!(page.header("link").contains("rel=\"next\""));
            path = format!("/settings/confirmation?limit={limit}&cursor={cursor}");
            app.get(&format!("/settings/reminder?cursor={cursor}"))
                .await
                .is_problem(422, "validation_failed");
        }
        assert_eq!(seen, order, "{limit}");
    }
    app.get("/settings/confirmation?sort=name")
        .await
        .is_problem(422, "validation_failed");
}

#[tokio::test]
async fn a_repeat_with_the_same_key_creates_one_setting() {
    let app = TestApp::start().await;
    let create = async |kind: &str, body: Value| {
        let request = app.request(Method::POST, &format!("/settings/{kind}"));
        Answer::of(
            request
                .header("idempotency-key", "k")
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    let first = create("confirmation", json!({"name": "A", "enabled": true})).await;
    let again = create("confirmation", json!({"name": "A", "enabled": true})).await;
    assert_eq!((first.status, &first.json), (again.status, &again.json));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("location"), first.header("location"));
    create("confirmation", json!({"name": "B"}))
        .await
        .is_problem(422, "idempotency_key_reused");
    let other_kind = create("reminder", json!({"name": "A", "enabled": true})).await;
    assert_eq!(
        other_kind.status,
        StatusCode::CREATED,
        "another kind is another route"
    );
    assert_eq!(
        app.db
            .number("SELECT count(*) FROM settings WHERE NOT is_default"),
        2
    );
}

#[tokio::test]
async fn admins_change_settings_and_managers_and_readers_look() {
    let app = TestApp::start().await;
    let token = "AMAPI-TOKEN";
    let user = app.users(1).await.remove(0);
    let created = setting(
        &app,
        "registration",
        json!({"name": "A", "distribution": {"user_ids": [user]}, "qr_payload": {"kind": "android_amapi", "enrollment_token": token}}),
    )
    .await;
    let path = path_of("registration", &created);
    let of_user = format!("/users/{user}/settings");
    for (role, may_look, may_see) in [
        (Role::Admin, true, true),
        (Role::Manager, true, false),
        (Role::Reader, true, false),
        (Role::Enroller, false, false),
        (Role::Provisioner, false, false),
    ] {
        let key = api_key(&app.db, role);
        let call = async |method: Method, path: &str, body: Option<Value>| {
            let mut request = app.anonymous(method, path).bearer_auth(&key);
            if let Some(body) = body {
                request = request.json(&body);
            }
            Answer::of(request.send().await.unwrap()).await
        };
        for path in ["/settings/registration", &path, &of_user] {
            let answer = call(Method::GET, path, None).await;
            if may_look {
                assert_eq!(answer.status, StatusCode::OK, "{role} {path}");
                assert_eq!(answer.text.contains(token), may_see, "{role} {path}");
                assert_eq!(answer.text.contains("\"***\""), !may_see, "{role} {path}");
            } else {
                answer.is_problem(403, "forbidden");
            }
        }
        if role != Role::Admin {
            for (method, path, body) in [
                (
                    Method::POST,
                    "/settings/registration",
                    Some(json!({"name": "B"})),
                ),
                (
                    Method::PUT,
                    "/settings/registration/default",
                    Some(json!({"method": "qr"})),
                ),
                (Method::DELETE, &path, None),
            ] {
                call(method, path, body).await.is_problem(403, "forbidden");
            }
        }
    }
    // What a reader was shown does not take the token's place, but keeps it; in another setting there is none to keep.
    let mut hidden = created.clone();
    hidden["qr_payload"]["enrollment_token"] = "***".into();
    assert_eq!(put(&app, &path, &hidden).await.json, created);
    let refused = put(
        &app,
        "/settings/registration/default",
        &json!({"qr_payload": hidden["qr_payload"]}),
    )
    .await;
    assert_eq!(refused.pointers(), ["/qr_payload/enrollment_token"]);
}

#[tokio::test]
async fn deleting_a_group_says_what_changes() {
    let app = TestApp::start().await;
    let users = app.users(4).await;
    let (crew, other) = (
        group(&app, "Crew", &users[..3]).await,
        group(&app, "Other", &users[1..]).await,
    );
    // Of the three in the crew, the second is in the other group too, and the third is named.
    let setting = setting(
        &app,
        "registration",
        json!({"name": "S", "method": "qr", "distribution": {"group_ids": [crew, other], "user_ids": [users[2]]}}),
    )
    .await;
    let confirmation = super::setting(
        &app,
        "confirmation",
        json!({"name": "C", "enabled": true, "distribution": {"group_ids": [crew]}}),
    )
    .await;
    let expected = json!({"settings": [
        {"kind": "confirmation", "id": confirmation["id"], "name": "C", "user_count": 3},
        {"kind": "registration", "id": setting["id"], "name": "S", "user_count": 1},
    ]});
    let dry = delete(&app, &format!("/groups/{crew}?dry_run=true")).await;
    assert_eq!((dry.status, &dry.json), (StatusCode::OK, &expected));
    assert_eq!(
        app.get(&format!("/groups/{crew}")).await.status,
        StatusCode::OK
    );
    let done = delete(&app, &format!("/groups/{crew}")).await;
    assert_eq!((done.status, &done.json), (StatusCode::OK, &expected));
    app.get(&format!("/groups/{crew}"))
        .await
        .is_problem(404, "not_found");
    let left = app.get(&path_of("registration", &setting)).await.json;
    assert_eq!(
        left["distribution"],
        json!({"group_ids": [other], "user_ids": [users[2]]})
    );
    assert_eq!(
        super::applied(&app, &users[0]).await["registration"]["source"]["reason"],
        "default"
    );
    assert_eq!(
        super::applied(&app, &users[1]).await["registration"]["method"],
        "qr"
    );

    // A group to which nothing is distributed goes without words.
    let plain = group(&app, "Plain", &users).await;
    let dry = delete(&app, &format!("/groups/{plain}?dry_run=true")).await;
    assert_eq!(
        (dry.status, &dry.json),
        (StatusCode::OK, &json!({"settings": []}))
    );
    let done = delete(&app, &format!("/groups/{plain}")).await;
    assert_eq!(
        (done.status, done.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    delete(&app, &format!("/groups/{plain}?force=true"))
        .await
        .is_problem(422, "validation_failed");
}

/// A deletion and a distribution to the same group: one comes first, and nothing is lost without a word.
#[tokio::test]
async fn a_group_is_deleted_while_a_setting_is_distributed_to_it() {
    let app = TestApp::start().await;
    for round in 0..8 {
        let crew = group(&app, &format!("Crew {round}"), &[]).await;
        let path = format!("/groups/{crew}");
        let (created, deleted) = tokio::join!(
            app.post(
                "/settings/reminder",
                json!({"name": "R", "distribution": {"group_ids": [crew]}})
            ),
            delete(&app, &path)
        );
        match (created.status.as_u16(), deleted.status.as_u16()) {
            (201, 200) => assert_eq!(deleted.json["settings"][0]["id"], created.json["id"]),
            (422, 204) => assert_eq!(created.pointers(), ["/distribution/group_ids/0"]),
            other => panic!("{other:?} {} {}", created.text, deleted.text),
        }
    }
    assert_eq!(app.db.number("SELECT count(*) FROM setting_groups"), 0);
}
