//! `/groups`.

use enlist::model::caller::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, api_key};

fn names(page: &Value) -> Vec<&str> {
    let rows = page["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect()
}

/// Creates a group with these members and gives the path.
async fn group(app: &TestApp, name: &str, members: &[String]) -> String {
    let created = app.post("/groups", json!({ "name": name })).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let path = created.header("location").to_owned();
    let joined = members_of(app, &path, json!({ "add": members })).await;
    assert_eq!(joined.json["added"], members.len(), "{}", joined.text);
    path
}

async fn members_of(app: &TestApp, path: &str, change: Value) -> Answer {
    app.post(&format!("{path}/members"), change).await
}

async fn with_header(app: &TestApp, header: (&str, &str), path: &str, body: &Value) -> Answer {
    let request = app
        .request(Method::POST, path)
        .header(header.0, header.1)
        .json(body);
    Answer::of(request.send().await.unwrap()).await
}

async fn delete(app: &TestApp, path: &str) -> Answer {
    Answer::of(app.request(Method::DELETE, path).send().await.unwrap()).await
}

/// Adds users straight to the database and gives their ids.
fn many_users(app: &TestApp, count: usize) -> Vec<String> {
    app.db.execute(&format!(
        "INSERT INTO users (id, username, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT ('01930000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'many' || n, '', '', 'U', true, 'local', '{{}}', now(), now()
         FROM generate_series(1, {count}) n"
    ));
    (1..=count)
        .map(|number| format!("01930000-0000-7000-8000-{number:012x}"))
        .collect()
}

#[tokio::test]
async fn a_group_is_created_read_renamed_and_deleted() {
    let app = TestApp::start().await;
    let users = app.users(2).await;
    let created = app
        .post("/groups", json!({"name": "  Field service "}))
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = created.json["id"].as_str().unwrap();
    let path = format!("/groups/{id}");
    assert_eq!(created.header("location"), path);
    let mut expected = json!({
        "id": id, "name": "Field service", "member_count": 0,
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
    let same = app
        .send(Method::PATCH, &path, json!({"name": "Field service"}))
        .await;
    assert_eq!(same.json, expected, "nothing changed");
    assert_eq!(
        app.send(Method::PATCH, &path, json!({})).await.json,
        expected
    );
    let change = app
        .request(Method::PATCH, &path)
        .header("if-match", &etag)
        .header("content-type", "application/merge-patch+json");
    let renamed = change.body(r#"{"name": "FIELD service"}"#).send().await;
    let renamed = Answer::of(renamed.unwrap()).await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text);
    expected["name"] = json!("FIELD service");
    expected["updated_at"] = json!("2026-11-23T08:00:05Z");
    assert_eq!(renamed.json, expected);
    assert_eq!(app.get(&path).await.header("etag"), renamed.header("etag"));

    // The count is part of what is shown, so a change of members is a change of the tag.
    members_of(&app, &path, json!({ "add": users })).await;
    expected["member_count"] = json!(2);
    assert_eq!(app.get(&path).await.json, expected);
    for (method, path) in [
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/members")),
    ] {
        let stale = app
            .request(method, &path)
            .header("if-match", renamed.header("etag"))
            .json(&json!({}));
        Answer::of(stale.send().await.unwrap())
            .await
            .is_problem(412, "precondition_failed");
    }
    assert_eq!(delete(&app, &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.db.number("SELECT count(*) FROM group_members"), 0);
    assert_eq!(app.db.number("SELECT count(*) FROM users"), 2, "users stay");
    app.get(&path).await.is_problem(404, "not_found");
    delete(&app, &path).await.is_problem(404, "not_found");
    app.send(Method::PATCH, &path, json!({"name": "x"}))
        .await
        .is_problem(404, "not_found");
    members_of(&app, &path, json!({ "add": users }))
        .await
        .is_problem(404, "not_found");
    app.get("/groups/x").await.is_problem(404, "not_found");
}

#[tokio::test]
async fn names_are_unique_without_regard_to_case() {
    let app = TestApp::start().await;
    group(&app, "Équipe Été", &[]).await;
    let other = group(&app, "Sales", &[]).await;
    for name in ["Équipe Été", "ÉQUIPE ÉTÉ", "E\u{301}quipe e\u{301}té"] {
        for clash in [
            app.post("/groups", json!({ "name": name })).await,
            app.send(Method::PATCH, &other, json!({ "name": name }))
                .await,
        ] {
            assert_eq!(
                clash.is_problem(409, "already_exists").pointers(),
                ["/name"]
            );
        }
    }
    assert_eq!(app.db.number("SELECT count(*) FROM groups"), 2);
    // Without its accents it is another name.
    group(&app, "Equipe Ete", &[]).await;
}

/// The database decides: of many at once, one wins and nobody gets a 500.
#[tokio::test]
async fn racing_creations_end_with_one_group() {
    let app = TestApp::start().await;
    let tries = (0..12).map(|number| {
        let name = if number % 2 == 0 { "race" } else { "RACE" };
        app.post("/groups", json!({ "name": name }))
    });
    let answers = futures_util::future::join_all(tries).await;
    let (created, refused): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(created.len(), 1);
    for answer in refused {
        assert_eq!(
            answer.is_problem(409, "already_exists").pointers(),
            ["/name"]
        );
    }
}

#[tokio::test]
async fn bad_groups_are_refused_with_every_fault() {
    let app = TestApp::start().await;
    for (body, places) in [
        (json!({}), vec!["/name"]),
        (json!({"name": null}), vec!["/name"]),
        (json!({"name": " "}), vec!["/name"]),
        (json!({"name": "a\nb"}), vec!["/name"]),
        (json!({"name": "a\u{0}"}), vec!["/name"]),
        (json!({"name": "x".repeat(201)}), vec!["/name"]),
        (json!({"name": 7, "members": []}), vec!["/members", "/name"]),
    ] {
        let refused = app.post("/groups", body).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            places
        );
    }
    let path = group(&app, &"é".repeat(200), &[]).await;
    for body in [
        json!({"name": null}),
        json!({"name": ""}),
        json!({"name": "x".repeat(201)}),
    ] {
        let refused = app.send(Method::PATCH, &path, body).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            ["/name"]
        );
    }
    let refused = app
        .get("/groups?limit=201&sort=size&count=yes&q=a&q=b&group=x")
        .await;
    assert_eq!(
        refused.is_problem(422, "validation_failed").pointers(),
        ["/count", "/group", "/limit", "/q", "/sort"]
    );
    let not_allowed = app.send(Method::PUT, &path, json!({})).await;
    not_allowed.is_problem(405, "method_not_allowed");
    assert_eq!(not_allowed.header("allow"), "DELETE, GET, HEAD, PATCH");
}

#[tokio::test]
async fn search_ignores_case_and_accents_and_takes_wildcards_literally() {
    let app = TestApp::start().await;
    for name in ["Équipe Été", "Straße", "100% Sure", "under_score"] {
        group(&app, name, &[]).await;
    }
    for (q, expected) in [
        ("EQUIPE", vec!["Équipe Été"]),
        ("été", vec!["Équipe Été"]),
        ("strasse", vec!["Straße"]),
        ("0%25", vec!["100% Sure"]),
        ("_", vec!["under_score"]),
        ("%5C", vec![]),
        ("%CC%81", vec![]),
        (
            "e",
            vec!["100% Sure", "Équipe Été", "Straße", "under_score"],
        ),
        ("", vec!["100% Sure", "Équipe Été", "Straße", "under_score"]),
    ] {
        let page = app.get(&format!("/groups?q={q}&count=true")).await;
        assert_eq!(names(&page.json), expected, "{q}: {}", page.text);
        assert_eq!(page.json["total"], expected.len());
    }
}

#[tokio::test]
async fn both_sorts_page_through_all_groups_once_while_others_are_added() {
    let app = TestApp::start().await;
    let users = app.users(3).await;
    for (name, members) in [
        ("b", 3),
        ("A", 1),
        ("é", 0),
        ("e", 2),
        ("Z", 0),
        ("10", 0),
        ("9", 0),
    ] {
        group(&app, name, &users[..members]).await;
    }
    let sorted = ["10", "9", "A", "b", "e", "é", "Z"];
    for sort in ["name", "-name"] {
        let mut expected = sorted.to_vec();
        if sort == "-name" {
            expected.reverse();
        }
        let whole = app.get(&format!("/groups?sort={sort}")).await.json;
        assert_eq!(names(&whole), expected);
        assert_eq!(whole["next_cursor"], Value::Null);
        assert!(whole.get("total").is_none());
        for row in whole["data"].as_array().unwrap() {
            let count = match row["name"].as_str().unwrap() {
                "b" => 3,
                "A" => 1,
                "e" => 2,
                _ => 0,
            };
            assert_eq!(row["member_count"], count, "{row}");
        }
        let (mut seen, mut path) = (Vec::new(), format!("/groups?sort={sort}&limit=3"));
        loop {
            let page = app.get(&path).await;
            seen.extend(names(&page.json).into_iter().map(str::to_owned));
            let Some(cursor) = page.json["next_cursor"].as_str() else {
                assert_eq!(page.header("link"), "");
                break;
            };
            path = format!("/groups?sort={sort}&limit=3&cursor={cursor}");
            assert_eq!(page.header("link"), format!("<{path}>; rel=\"next\""));
            if seen.len() == 3 {
                // One that sorts before what was read, whichever way: it is on no later page.
                let early = if sort == "name" { "0" } else { "ZZ" };
                let early = group(&app, early, &[]).await;
                let next = app.get(&path).await.json;
                assert_eq!(names(&next), expected[3..6]);
                assert_eq!(delete(&app, &early).await.status, StatusCode::NO_CONTENT);
            }
        }
        assert_eq!(seen, expected);
    }
    let first = app.get("/groups?limit=1").await.json;
    let cursor = first["next_cursor"].as_str().unwrap();
    for query in [
        format!("cursor={cursor}&sort=-name"),
        format!("cursor={cursor}&q=e"),
        "cursor=x".to_owned(),
    ] {
        let refused = app.get(&format!("/groups?{query}")).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            ["/cursor"]
        );
    }
    app.get(&format!("/users?cursor={cursor}"))
        .await
        .is_problem(422, "validation_failed");
}

#[tokio::test]
async fn members_come_and_go_and_only_real_changes_count() {
    let app = TestApp::start().await;
    let users = app.users(4).await;
    let path = group(&app, "Sales", &users[..2]).await;
    let changed = members_of(
        &app,
        &path,
        json!({"add": [users[1], users[2], users[2]], "remove": [users[0], users[3], users[0]]}),
    )
    .await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(
        changed.json,
        json!({"added": 1, "removed": 1, "member_count": 2})
    );
    for nothing in [json!({}), json!({"add": [], "remove": []})] {
        assert_eq!(
            members_of(&app, &path, nothing).await.json,
            json!({"added": 0, "removed": 0, "member_count": 2})
        );
    }
    let unknown = uuid::Uuid::nil();
    let refused = members_of(
        &app,
        &path,
        json!({"add": [users[3], unknown, users[0], unknown], "remove": [users[1], unknown.to_string().replace('0', "1")]}),
    )
    .await;
    assert_eq!(
        refused.is_problem(422, "validation_failed").pointers(),
        ["/add/1", "/add/3", "/remove/1"]
    );
    let refused = members_of(
        &app,
        &path,
        json!({"add": [users[0], users[3]], "remove": [users[1], users[3]]}),
    )
    .await;
    assert_eq!(
        refused.is_problem(422, "validation_failed").pointers(),
        ["/remove/1"]
    );
    assert_eq!(refused.json["errors"][0]["code"], "in_both_lists");
    let refused = members_of(
        &app,
        &path,
        json!({"add": ["x", 1], "remove": {}, "replace": []}),
    )
    .await;
    assert_eq!(
        refused.is_problem(422, "validation_failed").pointers(),
        ["/add/0", "/add/1", "/remove", "/replace"]
    );
    let found = app
        .get(&format!("/users?group={}", &path["/groups/".len()..]))
        .await
        .json;
    let ids: Vec<_> = found["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, users[1..3], "all or nothing");
}

#[tokio::test]
async fn ten_thousand_members_change_at_once_and_no_more() {
    let app = TestApp::start().await;
    let users = many_users(&app, 10_001);
    let path = group(&app, "Everybody", &users[..10_000]).await;
    for (change, place) in [
        (json!({ "add": users }), "/add"),
        (json!({ "remove": users }), "/remove"),
        (json!({"add": users[..1], "remove": users[1..]}), ""),
    ] {
        let refused = members_of(&app, &path, change).await;
        assert_eq!(
            refused.is_problem(422, "validation_failed").pointers(),
            [place]
        );
        assert_eq!(refused.json["errors"][0]["code"], "too_many");
    }
    let unknown: Vec<_> = (0..10_000)
        .map(|n| uuid::Uuid::from_u128(n).to_string())
        .collect();
    let refused = members_of(&app, &path, json!({ "add": unknown })).await;
    assert_eq!(
        refused
            .is_problem(422, "validation_failed")
            .pointers()
            .len(),
        100,
        "the first hundred are listed"
    );
    let changed = members_of(
        &app,
        &path,
        json!({"add": users[10_000..], "remove": users[..9_999]}),
    )
    .await;
    assert_eq!(
        changed.json,
        json!({"added": 1, "removed": 9_999, "member_count": 2})
    );
    let large = |kib: usize| {
        app.request(Method::POST, &format!("{path}/members"))
            .header("content-type", "application/json")
            .body(format!("{{\"add\": [{}]}}", " ".repeat(kib * 1024)))
            .send()
    };
    assert_eq!(large(7 * 1024).await.unwrap().status(), StatusCode::OK);
    Answer::of(large(8 * 1024 + 1).await.unwrap())
        .await
        .is_problem(413, "payload_too_large");
}

/// The statements of a change do not grow with its users, nor those of a list with its groups.
#[tokio::test]
async fn changes_and_lists_take_a_fixed_number_of_statements() {
    let app = TestApp::start().await;
    app.db.watch_statements();
    let users = many_users(&app, 5_000);
    let path = group(&app, "Everybody", &[]).await;
    let calls = || app.db.statements();
    let change = async |count: usize| {
        app.db.watch_statements();
        let half = count / 2;
        members_of(
            &app,
            &path,
            json!({"add": users[..half], "remove": users[half..count]}),
        )
        .await;
        let changed = members_of(
            &app,
            &path,
            json!({"add": users[half..count], "remove": users[..half]}),
        )
        .await;
        assert_eq!(changed.json["removed"], half, "{}", changed.text);
        assert_eq!(changed.json["member_count"], count - half);
        calls()
    };
    change(2).await;
    let (of_few, of_many) = (change(2).await, change(5_000).await);
    assert!(
        of_many <= of_few && of_many < 2 * 10,
        "{of_few} statements for 2 users, {of_many} for 5,000"
    );
    let list = async || {
        app.db.watch_statements();
        assert_eq!(
            app.get("/groups?limit=200&count=true").await.status,
            StatusCode::OK
        );
        calls()
    };
    list().await;
    let of_one = list().await;
    app.db.execute(
        "INSERT INTO groups SELECT gen_random_uuid(), 'Group ' || n, now(), now() FROM generate_series(1, 300) n;
         INSERT INTO group_members SELECT g.id, u.id FROM groups g, (SELECT id FROM users LIMIT 20) u ON CONFLICT DO NOTHING",
    );
    let of_all = list().await;
    assert!(
        of_all <= of_one && of_all < 5,
        "{of_one} statements for a group, {of_all} for 301"
    );
}

#[tokio::test]
async fn an_idempotency_key_changes_once() {
    let app = TestApp::start().await;
    let users = app.users(2).await;
    let key = ("idempotency-key", "k-1");
    let body = json!({"name": "Sales"});
    let first = with_header(&app, key, "/groups", &body).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let again = with_header(&app, key, "/groups", &body).await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (StatusCode::CREATED, "true")
    );
    assert_eq!(
        (&again.json, again.header("location")),
        (&first.json, first.header("location"))
    );
    with_header(&app, key, "/groups", &json!({"name": "Other"}))
        .await
        .is_problem(422, "idempotency_key_reused");
    // A refused request leaves its key free.
    let other = ("idempotency-key", "k-2");
    with_header(&app, other, "/groups", &json!({"name": "SALES"}))
        .await
        .is_problem(409, "already_exists");

    let sales = first.header("location").to_owned();
    let office = with_header(&app, other, "/groups", &json!({"name": "Office"})).await;
    let office = office.header("location").to_owned();
    let change = json!({ "add": users });
    for path in [&sales, &office] {
        let path = format!("{path}/members");
        let first = with_header(&app, key, &path, &change).await;
        assert_eq!(first.header("idempotent-replayed"), "");
        assert_eq!(
            first.json,
            json!({"added": 2, "removed": 0, "member_count": 2}),
            "another group is another request"
        );
        let again = with_header(&app, key, &path, &change).await;
        assert_eq!(
            (again.status, again.header("idempotent-replayed")),
            (StatusCode::OK, "true")
        );
        assert_eq!(again.json, first.json);
        with_header(&app, key, &path, &json!({ "remove": users }))
            .await
            .is_problem(422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn racing_repeats_change_once() {
    let app = TestApp::start().await;
    let users = app.users(3).await;
    let path = group(&app, "Sales", &[]).await;
    let (route, body) = (format!("{path}/members"), json!({ "add": users }));
    let tries = (0..12).map(|_| with_header(&app, ("idempotency-key", "race"), &route, &body));
    for answer in futures_util::future::join_all(tries).await {
        if answer.status == StatusCode::CONFLICT {
            answer.is_problem(409, "idempotency_key_in_flight");
        } else {
            assert_eq!(answer.json["added"], 3, "{}", answer.text);
        }
    }
}

/// Changes of one group take turns, whatever order their users come in: nobody waits for ever, and
/// the counts of all add up.
#[tokio::test]
async fn racing_changes_of_members_add_up() {
    let app = TestApp::start().await;
    let users = many_users(&app, 300);
    let path = group(&app, "Sales", &users[..100]).await;
    let changes = (0..16).map(|number| {
        let mut ids = users.clone();
        ids.rotate_left(number * 19);
        if number % 2 == 0 {
            ids.reverse();
        }
        let (add, remove) = ids.split_at(150);
        members_of(&app, &path, json!({"add": add, "remove": remove}))
    });
    let mut balance = 100;
    for answer in futures_util::future::join_all(changes).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json["member_count"], 150);
        balance += answer.json["added"].as_i64().unwrap();
        balance -= answer.json["removed"].as_i64().unwrap();
    }
    assert_eq!(balance, 150);
    assert_eq!(app.db.number("SELECT count(*) FROM group_members"), 150);
}

/// Who deletes a group while its members change: each change is made before, or finds no group.
#[tokio::test]
async fn a_group_may_be_deleted_while_its_members_change() {
    let app = TestApp::start().await;
    let users = many_users(&app, 200);
    for round in 0..5 {
        let path = group(&app, &format!("Round {round}"), &users[..50]).await;
        let changes = (0..8).map(|_| async {
            let answer = members_of(
                &app,
                &path,
                json!({"add": users[20..], "remove": users[..20]}),
            )
            .await;
            if answer.status != StatusCode::OK {
                answer.is_problem(404, "not_found");
            }
        });
        let joins = (0..4).map(|number| {
            let (app, path) = (&app, &path);
            async move {
                let body = json!({"username": format!("{round} {number}"), "group_ids": [&path["/groups/".len()..]]});
                let answer = app.post("/users", body).await;
                if answer.status != StatusCode::CREATED {
                    assert_eq!(
                        answer.is_problem(422, "validation_failed").pointers(),
                        ["/group_ids/0"]
                    );
                }
            }
        });
        let rename = async {
            let answer = app
                .send(
                    Method::PATCH,
                    &path,
                    json!({"name": format!("renamed {round}")}),
                )
                .await;
            if answer.status != StatusCode::OK {
                answer.is_problem(404, "not_found");
            }
        };
        let (deleted, ..) = tokio::join!(
            delete(&app, &path),
            futures_util::future::join_all(changes),
            futures_util::future::join_all(joins),
            rename,
        );
        assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{}", deleted.text);
    }
    assert_eq!(app.db.number("SELECT count(*) FROM group_members"), 0);
}

/// Who deletes users while they join or leave: each change is made before, or names who is not there.
#[tokio::test]
async fn users_may_be_deleted_while_members_change() {
    let app = TestApp::start().await;
    let users = many_users(&app, 120);
    let paths = [
        group(&app, "One", &users[..60]).await,
        group(&app, "Two", &users[60..]).await,
    ];
    let changes = (0..12).map(|number| {
        let (add, remove) = users.split_at(60);
        let change = if number % 3 == 0 {
            json!({"add": remove, "remove": add})
        } else {
            json!({"add": add, "remove": remove})
        };
        let (app, path) = (&app, &paths[number % 2]);
        async move {
            let answer = members_of(app, path, change).await;
            if answer.status != StatusCode::OK {
                for pointer in answer.is_problem(422, "validation_failed").pointers() {
                    assert!(pointer.starts_with("/add/") || pointer.starts_with("/remove/"));
                }
            }
        }
    });
    let deletions = (0..30).map(|number| {
        let (app, path) = (&app, format!("/users/{}", users[number * 4]));
        async move {
            let answer = delete(app, &path).await;
            assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
        }
    });
    tokio::join!(
        futures_util::future::join_all(changes),
        futures_util::future::join_all(deletions),
    );
    let left: Vec<&String> = users
        .iter()
        .enumerate()
        .filter(|(at, _)| at % 4 != 0)
        .map(|(_, id)| id)
        .collect();
    let settled = members_of(&app, &paths[0], json!({ "add": left })).await;
    assert_eq!(settled.json["member_count"], 90, "{}", settled.text);
}

#[tokio::test]
async fn groups_select_users_everywhere() {
    let app = TestApp::start().await;
    let users = app.users(3).await;
    let sales = group(&app, "Sales", &users[..2]).await;
    let office = group(&app, "Office", &users[1..]).await;
    let (sales, office) = (&sales["/groups/".len()..], &office["/groups/".len()..]);
    let found = app.get(&format!("/users?group={sales}&count=true")).await;
    assert_eq!(found.json["total"], 2);
    assert_eq!(
        found.json["data"][1]["groups"],
        json!([{"id": office, "name": "Office"}, {"id": sales, "name": "Sales"}])
    );
    let body = json!({"group_ids": [sales, office], "delivery": "none"});
    let preview = app.post("/invitations/preview", body.clone()).await;
    assert_eq!(preview.json["recipient_count"], 3, "{}", preview.text);
    let sent = app.invite(body).await;
    assert_eq!(sent["accepted_count"], 3, "each once");
    let joined = app
        .post("/users", json!({"username": "new", "group_ids": [sales]}))
        .await;
    assert_eq!(
        joined.json["groups"],
        json!([{"id": sales, "name": "Sales"}])
    );
    let path = format!("/groups/{sales}");
    assert_eq!(app.get(&path).await.json["member_count"], 3);
    app.send(Method::PATCH, &path, json!({"name": "Verkauf"}))
        .await;
    assert_eq!(
        app.get(joined.header("location")).await.json["groups"][0]["name"],
        "Verkauf"
    );
    delete(&app, &path).await;
    let gone = app
        .post("/invitations/send", json!({"group_ids": [office, sales]}))
        .await;
    assert_eq!(
        gone.is_problem(422, "validation_failed").pointers(),
        ["/group_ids/1"]
    );
    assert_eq!(
        app.get(joined.header("location")).await.json["groups"],
        json!([])
    );
    assert_eq!(
        delete(&app, &format!("/users/{}", users[1])).await.status,
        StatusCode::NO_CONTENT
    );
    let office = app.get(&format!("/groups/{office}")).await;
    assert_eq!(office.json["member_count"], 1);
}

#[tokio::test]
async fn a_reader_looks_at_groups_and_a_manager_changes_them() {
    let app = TestApp::start().await;
    let path = group(&app, "Sales", &[]).await;
    for (role, read, manage) in [
        (Role::Admin, 200, true),
        (Role::Manager, 200, true),
        (Role::Reader, 200, false),
        (Role::Enroller, 403, false),
        (Role::Provisioner, 403, false),
    ] {
        let key = api_key(&app.db, role);
        let status = async |method: Method, path: &str, body: Value| {
            let request = app.anonymous(method, path).bearer_auth(&key).json(&body);
            request.send().await.unwrap().status().as_u16()
        };
        for path in ["/groups", &path] {
            assert_eq!(status(Method::GET, path, json!({})).await, read, "{role}");
        }
        let or_forbidden = |done: u16| if manage { done } else { 403 };
        for (method, path, body, done) in [
            (Method::POST, "/groups", json!({"name": role.as_str()}), 201),
            (Method::PATCH, &path, json!({"name": "Office"}), 200),
            (Method::POST, &format!("{path}/members"), json!({}), 200),
            (
                Method::DELETE,
                &format!("/groups/{}", uuid::Uuid::nil()),
                json!({}),
                404,
            ),
        ] {
            let place = format!("{role} {method} {path}");
            assert_eq!(
                status(method, path, body).await,
                or_forbidden(done),
                "{place}"
            );
        }
    }
    for (method, path) in [
        (Method::GET, "/groups".to_owned()),
        (Method::POST, "/groups".to_owned()),
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/members")),
    ] {
        let answer = app.anonymous(method, &path).body("{").send().await.unwrap();
        Answer::of(answer).await.is_problem(401, "unauthorized");
    }
}
