//! `/users`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};

fn names(page: &Value, field: &str) -> Vec<String> {
    let rows = page["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row[field].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn a_user_is_created_read_changed_and_deleted() {
    let app = TestApp::start().await;
    let created = app
        .post("/users", json!({
            "email": "Ada@Example.com", "first_name": "Ada", "last_name": "Lovelace", "locale": "fr-ca",
            "time_zone": "Europe/London", "attributes": {"floor": 3}, "password": "analytical engine"
        }))
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = created.json["id"].as_str().unwrap();
    let path = format!("/users/{id}");
    assert_eq!(created.header("location"), path);
    assert!(!created.text.contains("analytical"));
    let mut expected = json!({
        "id": id, "username": "Ada@Example.com", "email": "Ada@Example.com", "first_name": "Ada",
        "last_name": "Lovelace", "display_name": "Ada Lovelace", "locale": "fr-CA", "time_zone": "Europe/London",
        "managed_apple_account": null, "enabled": true, "name_clash": false, "source": "local", "groups": [], "attributes": {"floor": 3},
        "has_password": true, "invite_status": "not_invited", "last_invited_at": null, "pin_status": null,
        "pin_issued_at": null, "pin_expires_at": null, "device_count": 0,
        "created_at": "2026-11-23T08:00:00Z", "updated_at": "2026-11-23T08:00:00Z"
    });
    assert_eq!(created.json, expected);

    let read = app.get(&path).await;
    assert_eq!(read.json, expected);
    let etag = read.header("etag").to_owned();
    let unchanged = app
        .request(Method::GET, &path)
        .header("if-none-match", &etag)
        .send()
        .await
        .unwrap();
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);

    app.clock.advance(chrono::Duration::seconds(5));
    let change = app
        .request(Method::PATCH, &path)
        .header("if-match", &etag)
        .header("content-type", "application/merge-patch+json");
    let changed = Answer::of(
        change
            .body(r#"{"last_name": "King", "attributes": {"floor": null, "desk": "b"}}"#)
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    expected["last_name"] = json!("King");
    expected["display_name"] = json!("Ada King");
    expected["attributes"] = json!({"desk": "b"});
    expected["updated_at"] = json!("2026-11-23T08:00:05Z");
    assert_eq!(changed.json, expected);
    assert_ne!(changed.header("etag"), etag);

    for method in [Method::PATCH, Method::DELETE] {
        let stale = app
            .request(method, &path)
            .header("if-match", &etag)
            .json(&json!({"enabled": false}));
        Answer::of(stale.send().await.unwrap())
            .await
            .is_problem(412, "precondition_failed");
    }
    let deleted = app.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    app.get(&path).await.is_problem(404, "not_found");
    app.send(Method::PATCH, &path, json!({}))
        .await
        .is_problem(404, "not_found");
}

#[tokio::test]
async fn usernames_and_addresses_are_unique_without_regard_to_case() {
    let app = TestApp::start().await;
    app.user(json!({"username": "ada", "email": "ada@example.com"}))
        .await;
    app.user(json!({"username": "Élodie"})).await;
    let clash = app
        .post(
            "/users",
            json!({"username": "ADA", "email": "Ada@Example.COM"}),
        )
        .await;
    assert_eq!(
        clash.is_problem(409, "already_exists").pointers(),
        ["/email", "/username"]
    );
    let clash = app
        .post(
            "/users",
            json!({"username": "ÉLODIE", "email": "ada@example.com"}),
        )
        .await;
    assert_eq!(
        clash.is_problem(409, "already_exists").pointers(),
        ["/email", "/username"]
    );
    let other = app.user(json!({"email": "bob@example.com"})).await;
    let path = format!("/users/{other}");
    let clash = app
        .send(Method::PATCH, &path, json!({"email": "ADA@example.com"}))
        .await;
    assert_eq!(
        clash.is_problem(409, "already_exists").pointers(),
        ["/email"]
    );
    // Another spelling of one's own name is no clash.
    assert_eq!(
        app.send(Method::PATCH, &path, json!({"username": "BOB@example.com"}))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(app.db.number("SELECT count(*) FROM users"), 3);
}

/// The database decides, not a look before: of many at once, one wins and nobody gets a 500.
#[tokio::test]
async fn racing_creations_end_with_one_user() {
    let app = TestApp::start().await;
    let tries = (0..12).map(|number| {
        let email = if number % 2 == 0 {
            "race@example.com"
        } else {
            "RACE@example.com"
        };
        app.post("/users", json!({ "email": email }))
    });
    let answers = futures_util::future::join_all(tries).await;
    let created = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::CREATED)
        .count();
    assert_eq!(created, 1);
    for answer in answers
        .iter()
        .filter(|answer| answer.status != StatusCode::CREATED)
    {
        answer.is_problem(409, "already_exists");
    }
}

#[tokio::test]
async fn bad_users_are_refused_with_every_fault() {
    let app = TestApp::start().await;
    let refused = app
        .post("/users", json!({
            "email": "ada@example.com\nBcc: everyone@example.com", "username": "a\u{0}", "first_name": "x".repeat(300),
            "locale": "no such", "time_zone": "Here", "password": "s3cr3t!", "enabled": 1, "attributes": ["a"],
            "group_ids": ["x"], "role": "admin"
        }))
        .await;
    assert_eq!(
        refused.is_problem(422, "validation_failed").pointers(),
        [
            "/attributes",
            "/email",
            "/enabled",
            "/first_name",
            "/group_ids/0",
            "/locale",
            "/password",
            "/role",
            "/time_zone",
            "/username"
        ]
    );
    assert!(!refused.text.contains("s3cr3t!"));
    let nobody = app.post("/users", json!({"first_name": "Ada"})).await;
    assert_eq!(
        nobody.is_problem(422, "validation_failed").pointers(),
        ["/email"]
    );
    let unknown = app
        .post(
            "/users",
            json!({"username": "x", "group_ids": [uuid::Uuid::nil()]}),
        )
        .await;
    assert_eq!(
        unknown.is_problem(422, "validation_failed").pointers(),
        ["/group_ids/0"]
    );
    assert_eq!(
        app.db.number("SELECT count(*) FROM users"),
        0,
        "nothing is stored"
    );
}

#[tokio::test]
async fn a_password_is_set_and_only_its_hash_is_stored() {
    let app = TestApp::start().await;
    let id = app.user(json!({"email": "ada@example.com"})).await;
    let path = format!("/users/{id}/password");
    let set = app
        .send(Method::PUT, &path, json!({"password": "analytical engine"}))
        .await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{}", set.text);
    assert_eq!(
        app.get(&format!("/users/{id}")).await.json["has_password"],
        true
    );
    assert_eq!(
        app.db.number(
            "SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'"
        ),
        1
    );
    for bad in [
        json!({"password": "1234567"}),
        json!({"password": "x".repeat(129)}),
        json!({"password": 12345678}),
        json!({}),
    ] {
        let refused = app.send(Method::PUT, &path, bad).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            ["/password"]
        );
    }
    let gone = format!("/users/{}/password", uuid::Uuid::nil());
    app.send(Method::PUT, &gone, json!({"password": "analytical engine"}))
        .await
        .is_problem(404, "not_found");
}

#[tokio::test]
async fn search_ignores_case_and_accents_and_takes_wildcards_literally() {
    let app = TestApp::start().await;
    for (email, name) in [
        ("zoe@example.com", "Zoë Müller"),
        ("strasse@example.com", "Jörg Straße"),
        ("under_score@example.com", "100% Sure"),
        ("other@example.com", "Plain"),
    ] {
        app.user(json!({"email": email, "display_name": name}))
            .await;
    }
    for (q, expected) in [
        ("ZOE", vec!["Zoë Müller"]),
        ("mull", vec!["Zoë Müller"]),
        ("strasse", vec!["Jörg Straße"]),
        ("STRAß", vec!["Jörg Straße"]),
        ("0%25", vec!["100% Sure"]),
        ("%25", vec!["100% Sure"]),
        ("r_s", vec!["100% Sure"]),
        ("%EF%BC%85", vec!["100% Sure"]),
        ("%5C", vec![]),
        (
            "example.com",
            vec!["100% Sure", "Jörg Straße", "Plain", "Zoë Müller"],
        ),
        ("", vec!["100% Sure", "Jörg Straße", "Plain", "Zoë Müller"]),
    ] {
        let page = app.get(&format!("/users?q={q}")).await;
        assert_eq!(
            names(&page.json, "display_name"),
            expected,
            "{q}: {}",
            page.text
        );
    }
}

#[tokio::test]
async fn every_sort_pages_through_all_users_once() {
    let app = TestApp::start().await;
    let ids = app.users(7).await;
    app.user(json!({"username": "no mail", "display_name": "user3@example.com"}))
        .await;
    app.clock.advance(chrono::Duration::seconds(1));
    app.invite(json!({"user_ids": [ids[2], ids[4]], "delivery": "none"}))
        .await;
    for sort in [
        "display_name",
        "username",
        "email",
        "created_at",
        "last_invited_at",
    ] {
        for sort in [sort.to_owned(), format!("-{sort}")] {
            let whole = app
                .get(&format!("/users?sort={sort}&limit=200&count=true"))
                .await
                .json;
            assert_eq!(whole["total"], 8);
            assert_eq!(whole["next_cursor"], Value::Null);
            let (mut seen, mut path) = (Vec::new(), format!("/users?sort={sort}&limit=3"));
            loop {
                let page = app.get(&path).await;
                seen.extend(names(&page.json, "id"));
                let Some(cursor) = page.json["next_cursor"].as_str() else {
                    assert_eq!(page.header("link"), "");
                    break;
                };
                path = format!("/users?sort={sort}&limit=3&cursor={cursor}");
                assert_eq!(page.header("link"), format!("<{path}>; rel=\"next\""));
            }
            assert_eq!(seen, names(&whole, "id"), "{sort}");
            assert_eq!(seen.len(), 8);
        }
    }
    let newest = app.get("/users?sort=-last_invited_at&limit=2").await.json;
    assert_eq!(newest["data"][0]["last_invited_at"], "2026-11-23T08:00:01Z");
    assert!(names(&newest, "id").contains(&ids[2]) && names(&newest, "id").contains(&ids[4]));
}

/// The state of the pending PIN, never the PIN itself, in a list as in one user.
#[tokio::test]
async fn users_tell_how_their_pin_fares() {
    let app = TestApp::start().await;
    let ids = app.users(7).await;
    let [pin, both, locked, past, qr, waiting, _nobody] = &ids[..] else {
        panic!("seven")
    };
    let password = json!({"password": "analytical engine"});
    let set = app
        .send(Method::PUT, &format!("/users/{both}/password"), password)
        .await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{}", set.text);
    for (user, method, delivery) in [
        (pin, "pin", "none"),
        (both, "pin_and_password", "none"),
        (locked, "pin", "none"),
        (past, "pin", "none"),
        (qr, "qr", "none"),
        (waiting, "pin", "email"),
    ] {
        let body = json!({"user_ids": [user], "method": method, "delivery": delivery});
        assert_eq!(app.invite(body).await["results"][0]["outcome"], "created");
    }
    let until = |user: &str, time: &str| {
        format!("UPDATE invitations SET pin_locked_until = '{time}' WHERE user_id = '{user}';")
    };
    app.db.execute(&until(locked, "2026-11-23T09:00:00Z"));
    app.db.execute(&until(past, "2026-11-23T07:59:59Z"));
    let of = |status: &str, issued: &str, end: &str| json!([status, issued, end]);
    let nothing = || json!([null, null, null]);
    let all_are = async |expected: [Value; 7]| {
        let page = app.get("/users?sort=created_at").await.json;
        let state = |user: &Value| {
            ["pin_status", "pin_issued_at", "pin_expires_at"]
                .map(|name| user.get(name).cloned().expect(name))
        };
        let rows = page["data"].as_array().unwrap();
        for (index, (id, expected)) in ids.iter().zip(expected).enumerate() {
            let listed = rows.iter().find(|user| user["id"] == **id).unwrap();
            assert_eq!(json!(state(listed)), expected, "{index}");
            let one = app.get(&format!("/users/{id}")).await.json;
            assert_eq!(json!(state(&one)), expected, "{index}");
        }
    };
    let (began, end) = ("2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z");
    let valid = || of("valid", began, end);
    all_are([
        valid(),
        valid(),
        of("locked", began, end),
        valid(),
        nothing(),
        nothing(),
        nothing(),
    ])
    .await;

    // A lock ends by itself, to the second; a PIN begins to live when a mail server takes it; nothing
    // is told of an invitation that was revoked.
    app.clock.advance(chrono::Duration::hours(1));
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    let both = format!("/users/{both}");
    let disabled = app.send(Method::PATCH, &both, json!({"enabled": false}));
    assert_eq!(disabled.await.status, StatusCode::OK);
    let mailed = of("valid", "2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z");
    all_are([
        valid(),
        nothing(),
        valid(),
        valid(),
        nothing(),
        mailed,
        nothing(),
    ])
    .await;

    // Its life ends before a lock that would last longer, and never after the invitation's.
    app.clock.advance(chrono::Duration::hours(23));
    app.db.execute(&until(locked, "2026-12-24T08:00:00Z"));
    app.db.execute(&format!(
        "UPDATE invitations SET expires_at = '2026-11-24T08:30:00Z' WHERE user_id = '{waiting}'"
    ));
    let over = || of("expired", began, end);
    let cut = of("valid", "2026-11-23T09:00:00Z", "2026-11-24T08:30:00Z");
    all_are([over(), nothing(), over(), over(), nothing(), cut, nothing()]).await;

    // Nothing is told of an invitation whose life is over.
    app.clock.advance(chrono::Duration::days(7));
    all_are([(); 7].map(|()| nothing())).await;
}

#[tokio::test]
async fn filters_combine() {
    let app = TestApp::start().await;
    let ids = app.users(4).await;
    app.db.execute(&format!(
        "INSERT INTO groups VALUES ('01930000-0000-7000-8000-000000000001', 'Sales', now(), now());
         INSERT INTO group_members VALUES ('01930000-0000-7000-8000-000000000001', '{}'), ('01930000-0000-7000-8000-000000000001', '{}');
         UPDATE users SET enabled = false, locale = 'fr' WHERE id = '{}'",
        ids[0], ids[1], ids[1]
    ));
    app.invite(json!({"user_ids": [ids[0]], "delivery": "none"}))
        .await;
    let found = async |query: &str| {
        let mut found = names(&app.get(&format!("/users?{query}")).await.json, "id");
        found.sort();
        found
    };
    assert_eq!(
        found("group=01930000-0000-7000-8000-000000000001").await,
        ids[..2]
    );
    assert_eq!(
        found("group=01930000-0000-7000-8000-000000000001&enabled=false").await,
        ids[1..2]
    );
    assert_eq!(found("invite_status=pending").await, ids[..1]);
    assert_eq!(found("invite_status=not_invited&q=user").await, ids[1..]);
    assert_eq!(found("locale=fr").await, ids[1..2]);
    assert_eq!(found("source=ldap").await, Vec::<String>::new());
    app.clock.advance(chrono::Duration::days(8));
    assert_eq!(
        found("invite_status=expired").await,
        ids[..1],
        "right to the second, without a sweeper"
    );
    let shown = app.get(&format!("/users/{}", ids[0])).await.json;
    assert_eq!(shown["invite_status"], "expired");
    assert_eq!(
        shown["groups"],
        json!([{"id": "01930000-0000-7000-8000-000000000001", "name": "Sales"}])
    );
}

#[tokio::test]
async fn bad_queries_name_every_fault() {
    let app = TestApp::start().await;
    app.users(3).await;
    let refused = app
        .get("/users?limit=201&sort=age&enabled=yes&group=x&colour=red&q=a&q=b&invite_status=lost")
        .await;
    assert_eq!(
        refused.is_problem(422, "validation_failed").pointers(),
        [
            "/colour",
            "/enabled",
            "/group",
            "/invite_status",
            "/limit",
            "/q",
            "/sort"
        ]
    );
    for limit in ["0", "-1", "1.5", "x", "", "99999999999999999999"] {
        let refused = app.get(&format!("/users?limit={limit}")).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            ["/limit"],
            "{limit}"
        );
    }
    let cursor = app.get("/users?limit=1").await.json["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut tampered = cursor.clone();
    tampered.replace_range(30..31, if &cursor[30..31] == "A" { "B" } else { "A" });
    for query in [
        format!("cursor={tampered}"),
        format!("cursor={cursor}&sort=email"),
        format!("cursor={cursor}&q=x"),
        "cursor=x".to_owned(),
        "cursor=".to_owned(),
    ] {
        let refused = app.get(&format!("/users?{query}")).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            ["/cursor"],
            "{query}"
        );
    }
    // The limit is no part of what a cursor belongs to.
    assert_eq!(
        app.get(&format!("/users?cursor={cursor}&limit=2"))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn disabling_or_deleting_a_user_revokes_the_pending_invitation() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    app.invite(json!({"user_ids": ids})).await;
    let disabled = app
        .send(
            Method::PATCH,
            &format!("/users/{}", ids[0]),
            json!({"enabled": false}),
        )
        .await;
    assert_eq!(disabled.status, StatusCode::OK);
    assert_eq!(
        app.request(Method::DELETE, &format!("/users/{}", ids[1]))
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::NO_CONTENT
    );
    let invitations = app.get("/invitations").await.json;
    for invitation in invitations["data"].as_array().unwrap() {
        assert_eq!(invitation["state"], "revoked");
        assert_eq!(invitation["delivery"], "suppressed");
    }
    assert_eq!(
        invitations["data"].as_array().unwrap().len(),
        2,
        "rows are kept"
    );
    assert_eq!(app.worker.deliver_due().await.unwrap(), 0);
    assert!(app.sink.messages().is_empty());
}

#[tokio::test]
async fn a_user_can_be_invited_when_created() {
    let app = TestApp::start().await;
    let created = app
        .post(
            "/users",
            json!({"email": "ada@example.com", "invite": true}),
        )
        .await;
    assert_eq!(created.json["invite_status"], "pending", "{}", created.text);
    assert_eq!(created.json["invitation"]["outcome"], "created");
    let skipped = app
        .post("/users", json!({"username": "kiosk", "invite": true}))
        .await;
    assert_eq!(skipped.status, StatusCode::CREATED);
    assert_eq!(skipped.json["invitation"]["reason"], "no_email");
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    assert_eq!(app.sink.messages()[0].rcpt, ["ada@example.com"]);
}

#[tokio::test]
async fn a_condition_is_never_lost() {
    let app = TestApp::start().await;
    let id = app.user(json!({"email": "ada@example.com"})).await;
    let path = format!("/users/{id}");
    let tag = app.get(&path).await.header("etag").to_owned();
    let patch = async |tags: &[&[u8]]| {
        let mut request = app.request(Method::PATCH, &path).json(&json!({}));
        for tag in tags {
            let value = reqwest::header::HeaderValue::from_bytes(tag).unwrap();
            request = request.header("if-match", value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(patch(&["\"é\"".as_bytes()]).await, 412);
    assert_eq!(
        patch(&[b"\"other\"", tag.as_bytes()]).await,
        200,
        "any line may match"
    );
    assert_eq!(patch(&[b"\"other\""]).await, 412);
    let password = app
        .request(Method::PUT, &format!("{path}/password"))
        .header("if-match", "\"other\"")
        .json(&json!({"password": "analytical engine"}));
    Answer::of(password.send().await.unwrap())
        .await
        .is_problem(412, "precondition_failed");
    assert_eq!(app.get(&path).await.json["has_password"], false);
}

/// Whoever waits for a lock is told to come back; nothing is wrong with the service.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_others_hold_is_a_503() {
    use diesel::{Connection, connection::SimpleConnection};
    let app = TestApp::start().await;
    let id = app.user(json!({"email": "ada@example.com"})).await;
    let mut other = app.db.connect();
    other
        .transaction(|connection| {
            connection.batch_execute(&format!("SELECT FROM users WHERE id = '{id}' FOR UPDATE"))?;
            let answer = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(app.send(
                    Method::PATCH,
                    &format!("/users/{id}"),
                    json!({"locale": "fr"}),
                ))
            });
            assert_ne!(
                answer.is_problem(503, "unavailable").header("retry-after"),
                ""
            );
            diesel::QueryResult::Ok(())
        })
        .unwrap();
}
