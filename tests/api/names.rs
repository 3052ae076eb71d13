//! One name, one user: usernames and addresses, whoever stores them, and names that older versions stored.

use enlist::users::name_keys;
use reqwest::Method;
use serde_json::json;

use crate::{
    enrollments::{device, enroll, invite},
    support::app::TestApp,
    transfer::counts,
};

/// Who signs in with one must not be taken for the other.
#[tokio::test]
async fn a_username_is_never_the_address_of_somebody_else() {
    let app = TestApp::start().await;
    let ada = app
        .user(json!({"username": "ada", "email": "ada@example.com"}))
        .await;
    let eve = app
        .user(json!({"username": "eve", "email": "eve@example.com"}))
        .await;
    for (body, place) in [
        (json!({"username": "Ada@Example.com"}), "/username"),
        (
            json!({"username": "x", "email": "ADA@example.com"}),
            "/email",
        ),
    ] {
        let answer = app.post("/users", body).await;
        assert_eq!(answer.status, 409, "{}", answer.text);
        assert_eq!(answer.json["errors"][0]["pointer"], place);
    }
    let path = format!("/users/{eve}");
    let change = json!({"username": "ada@example.com"});
    let answer = app.send(reqwest::Method::PATCH, &path, change).await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    // One's own address is one's own.
    let path = format!("/users/{ada}");
    let change = json!({"username": "ada@example.com"});
    let answer = app.send(reqwest::Method::PATCH, &path, change).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn an_import_never_gives_a_username_that_is_an_address() {
    for on_conflict in ["fail", "skip", "update"] {
        let app = TestApp::start().await;
        app.user(json!({"username": "ada", "email": "ada@example.com"}))
            .await;
        app.user(json!({"username": "bob@example.com"})).await;
        let csv = "username,email\n\
            ADA@example.com,new@example.com\n\
            carl,Bob@example.com\n\
            dora,dora@example.com\n\
            dora@example.com,other@example.com\n\
            eve@example.com,eve@example.com\n";
        for query in ["&dry_run=true", ""] {
            let query = format!("?on_conflict={on_conflict}{query}");
            let report = app.import(&query, csv.to_owned()).await;
            assert_eq!(counts(&report), (2, 0, 0, 3), "{query}: {report}");
            let told: Vec<_> = report["errors"].as_array().unwrap().iter().collect();
            for (fault, (line, column, code)) in told.iter().zip([
                (2, "username", "already_exists"),
                (3, "email", "already_exists"),
                (5, "username", "repeated_in_file"),
            ]) {
                assert_eq!(fault["line"], line, "{report}");
                assert_eq!(fault["column"], column, "{report}");
                assert_eq!(fault["code"], code, "{report}");
            }
        }
    }
}

/// A row that says who it is by an address may make that address the username.
#[tokio::test]
async fn ones_own_address_may_become_ones_username() {
    let app = TestApp::start().await;
    let ada = app
        .user(json!({"username": "ada", "email": "ada@example.com"}))
        .await;
    let csv = "username,email\nada@example.com,ada@example.com\n";
    let report = app.import("?on_conflict=update", csv.to_owned()).await;
    assert_eq!(counts(&report), (0, 1, 0, 0), "{report}");
    let user = app.get(&format!("/users/{ada}")).await;
    assert_eq!(user.json["username"], "ada@example.com");
}

/// Two who ask for one name at the same moment: as a username and as an address.
#[tokio::test]
async fn of_two_at_once_one_gets_the_name() {
    let app = TestApp::start().await;
    for round in 0..40 {
        let name = format!("both{round}@example.com");
        let (one, other) = tokio::join!(
            app.post("/users", json!({"username": name})),
            app.post(
                "/users",
                json!({"username": format!("other{round}"), "email": name})
            ),
        );
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{} {}", one.text, other.text);
    }
    assert_eq!(app.count("users"), 40);
    assert_eq!(
        app.db.number("SELECT count(*) FROM users WHERE name_clash"),
        0
    );
}

/// Imports that give the same names to other people, and take them away again, at the same time.
#[tokio::test]
async fn imports_that_cross_leave_every_name_with_one_user() {
    let app = TestApp::start().await;
    let file = |turn: usize| {
        let mut csv = "username,email\n".to_owned();
        for n in 0..1_200 {
            let (name, other) = (format!("n{n}@x.yz"), format!("m{turn}-{n}@x.yz"));
            let row = match (n + turn) % 2 {
                0 => format!("{name},{other}\n"),
                _ => format!("{other},{name}\n"),
            };
            csv.push_str(&row);
        }
        csv
    };
    let (one, two, three) = tokio::join!(
        app.import("", file(0)),
        app.import("", file(1)),
        app.import("", file(2)),
    );
    let created: u64 = [&one, &two, &three]
        .map(|report| counts(report).0)
        .iter()
        .sum();
    assert_eq!(created, 1_200, "{one}\n{two}\n{three}");
    assert_eq!(app.count("users"), 1_200);
    assert_eq!(app.count("user_names"), 2_400);
    assert_eq!(
        app.db.number("SELECT count(*) FROM users WHERE name_clash"),
        0
    );
}

/// A user as older versions stored one, and whoever else writes past the service.
fn stored(app: &TestApp, id: &str, username: &str, email: &str) -> String {
    let email = match email {
        "" => "NULL".to_owned(),
        email => format!("'{email}'"),
    };
    app.db.execute(&format!(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         VALUES ('{id}', '{username}', {email}, '', '', '{username}', true, 'local', '{{}}', now(), now())"
    ));
    id.to_owned()
}

async fn clashing(app: &TestApp) -> Vec<String> {
    let page = app.get("/users?name_clash=true&sort=created_at").await;
    assert_eq!(page.status, 200, "{}", page.text);
    let users = page.json["data"].as_array().unwrap();
    users
        .iter()
        .map(|user| {
            assert_eq!(user["name_clash"], true);
            user["id"].as_str().unwrap().to_owned()
        })
        .collect()
}

const OLDER: &str = "01900000-0000-7000-8000-000000000001";
const YOUNGER: &str = "01900000-0000-7000-8000-000000000002";

/// Of two users who are one by today's rules the older keeps the name. The younger is listed, and gets it once it is free.
#[tokio::test]
async fn the_older_of_two_keeps_the_name() {
    for (older, younger, name) in [
        // A username that is another user's address.
        (
            ("bob", "bob@example.com"),
            ("bob@example.com", ""),
            "BOB@example.com",
        ),
        (
            ("bob@example.com", ""),
            ("bob", "Bob@example.com"),
            "bob@example.com",
        ),
        // Two spellings of one domain: either can be the older one's.
        (
            ("one", "one@xn--bcher-kva.example"),
            ("two", "one@bücher.example"),
            "one@BÜCHER.example",
        ),
        (
            ("one", "one@bücher.example"),
            ("two", "one@xn--bcher-kva.example"),
            "one@xn--bcher-kva.example",
        ),
        // What nobody sees.
        (("kiosk\u{200B}", ""), ("kiosk", ""), "kiosk"),
    ] {
        let app = TestApp::start().await;
        stored(&app, YOUNGER, younger.0, younger.1);
        stored(&app, OLDER, older.0, older.1);
        // As the migration does it: by age, whoever was stored first.
        app.db
            .execute("DELETE FROM user_names; UPDATE users SET name_clash = false");
        app.db.execute(include_str!(
            "../../migrations/2026-11-27-000014_user_names_from_before/up.sql"
        ));
        let db = enlist::db::Db::new(&app.db.url, 2);
        name_keys::settle(&db).await.unwrap();
        assert_eq!(name_keys::settle(&db).await.unwrap(), 1, "{name}");
        assert_eq!(clashing(&app).await, [YOUNGER], "{name}");
        assert_eq!(
            app.get("/users?name_clash=false&count=true").await.json["total"],
            1
        );

        let owner = invite(&app, OLDER, json!({})).await;
        let ask = |pin: &str, serial: &str| json!({"username": name, "pin": pin, "device": device(serial)});
        let answer = enroll(&app, ask(&owner.pin, "1")).await;
        assert_eq!(answer.json["user"]["id"], OLDER, "{name}: {}", answer.text);
        let other = invite(&app, YOUNGER, json!({})).await;
        assert_eq!(
            enroll(&app, ask(&other.pin, "2")).await.status,
            401,
            "{name}"
        );

        // Reachable by id: other changes are taken, and so is another name.
        let path = format!("/users/{YOUNGER}");
        let answer = app
            .send(Method::PATCH, &path, json!({"first_name": "Jo"}))
            .await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        assert_eq!(answer.json["name_clash"], true);
        let path = format!("/users/{OLDER}");
        let free = json!({"username": "free", "email": "free@example.com"});
        let answer = app.send(Method::PATCH, &path, free).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        assert_eq!(clashing(&app).await, Vec::<String>::new(), "{name}");
        let answer = enroll(&app, ask(&other.pin, "3")).await;
        assert_eq!(
            answer.json["user"]["id"], YOUNGER,
            "{name}: {}",
            answer.text
        );
    }
}

/// A clash ends with either user: with another name of the younger, with the older one's end.
#[tokio::test]
async fn a_clash_ends_with_either_user() {
    let app = TestApp::start().await;
    stored(&app, OLDER, "ada", "ada@example.com");
    stored(&app, YOUNGER, "ada@example.com", "");
    assert_eq!(
        clashing(&app).await,
        [YOUNGER],
        "an older instance may still be writing"
    );
    let path = format!("/users/{YOUNGER}");
    let answer = app
        .send(Method::PATCH, &path, json!({"username": "ada2"}))
        .await;
    assert_eq!(answer.json["name_clash"], false, "{}", answer.text);
    let answer = app
        .send(Method::PATCH, &path, json!({"username": "Ada@example.com"}))
        .await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    app.db
        .execute("UPDATE users SET username = 'ada@example.com' WHERE username = 'ada2'");
    assert_eq!(clashing(&app).await, [YOUNGER]);
    let answer = app
        .send(Method::DELETE, &format!("/users/{OLDER}"), json!({}))
        .await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    assert_eq!(clashing(&app).await, Vec::<String>::new());
    assert_eq!(app.count("user_names"), 1);
}

/// A name that was changed since has another key; one that is not changed keeps it.
#[tokio::test]
async fn a_key_goes_with_its_name() {
    let app = TestApp::start().await;
    stored(&app, OLDER, "one", "one@xn--bcher-kva.example");
    let db = enlist::db::Db::new(&app.db.url, 2);
    assert_eq!(name_keys::settle(&db).await.unwrap(), 0);
    let keys = |count: i64, keys: &str| {
        let found = app.db.number(&format!(
            "SELECT count(*) FROM user_names WHERE key IN ({keys})"
        ));
        assert_eq!(found, count, "{keys}");
    };
    keys(2, "'one', 'one@bücher.example'");
    let path = format!("/users/{OLDER}");
    let answer = app
        .send(Method::PATCH, &path, json!({"username": "uno"}))
        .await;
    assert_eq!(
        answer.json["email"], "one@xn--bcher-kva.example",
        "as it was: {}",
        answer.text
    );
    keys(2, "'uno', 'one@bücher.example'");
    let answer = app
        .send(Method::PATCH, &path, json!({"email": "uno@example.com"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    keys(2, "'uno', 'uno@example.com'");
    assert_eq!(app.count("user_names"), 2);
}
