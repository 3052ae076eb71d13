//! Imports that meet something: a repeat, a crash, somebody else's change, too many at once.

use std::time::{Duration, Instant};

use diesel::{PgConnection, connection::SimpleConnection};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    support::app::{Answer, TestApp},
    transfer::{counts, fault, faults},
};

/// `user0@example.com` and so on, as a file.
fn file(rows: usize) -> String {
    let lines: String = (0..rows)
        .map(|number| format!("user{number}@example.com\n"))
        .collect();
    format!("email\n{lines}")
}

/// Somebody who is about to take a user's name, and makes everybody wait who wants it too.
struct Holder(PgConnection);

impl Holder {
    fn of(app: &TestApp, username: &str, email: Option<&str>) -> Self {
        let email = email.map_or("NULL".to_owned(), |email| format!("'{email}'"));
        let mut connection = app.db.connect();
        connection
            .batch_execute(&format!(
                "BEGIN; INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, \
                 source, attributes, created_at, updated_at) VALUES (gen_random_uuid(), '{username}', {email}, \
                 '', '', 'X', true, 'local', '{{}}', now(), now())"
            ))
            .unwrap();
        Self(connection)
    }

    fn gives_up(mut self) {
        self.0.batch_execute("ROLLBACK").unwrap();
    }

    fn goes_on(mut self) {
        self.0.batch_execute("COMMIT").unwrap();
    }
}

impl TestApp {
    /// An import with an idempotency key, under way.
    fn start_import(&self, key: &str, query: &str, csv: String) -> JoinHandle<Answer> {
        let request = self
            .request(Method::POST, &format!("/users/import{query}"))
            .header("content-type", "text/csv")
            .header("idempotency-key", key)
            .body(csv);
        tokio::spawn(async move { Answer::of(request.send().await.unwrap()).await })
    }

    async fn import_with_key(&self, key: &str, query: &str, csv: String) -> Answer {
        self.start_import(key, query, csv).await.unwrap()
    }

    /// Waits until so many users are there.
    async fn has_users(&self, count: i64) {
        let begun = Instant::now();
        while self.count("users") != count {
            assert!(begun.elapsed() < Duration::from_secs(20), "{count} users");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_key_covers_an_import_that_is_under_way() {
    let app = TestApp::start().await;
    let other = Holder::of(&app, "user700@example.com", None);
    let first = app.start_import("k", "", file(1_000));
    app.has_users(500).await;
    // The first chunk is there, the second one waits.
    let second = app.import_with_key("k", "", file(1_000)).await;
    second.is_problem(409, "idempotency_key_in_flight");
    assert_eq!(second.header("retry-after"), "1");
    app.import_with_key("k", "", file(999))
        .await
        .is_problem(422, "idempotency_key_reused");
    app.import_with_key("k", "?atomic=true", file(1_000))
        .await
        .is_problem(422, "idempotency_key_reused");
    other.gives_up();
    let first = first.await.unwrap();
    assert_eq!(counts(&first.json), (1_000, 0, 0, 0), "{}", first.text);
    let again = app.import_with_key("k", "", file(1_000)).await;
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(app.count("idempotency_leases"), 0);
}

#[tokio::test]
async fn a_key_means_options_and_format_not_their_spelling() {
    let app = TestApp::start().await;
    let list = "ada@example.com\n";
    let first = app.import_with_key("k", "", format!("email\n{list}")).await;
    for query in [
        "?on_conflict=fail",
        "?invite=false&atomic=false&",
        "?dry%5Frun=false",
    ] {
        let again = app
            .import_with_key("k", query, format!("email\n{list}"))
            .await;
        assert_eq!(again.text, first.text, "{query}");
    }
    let as_text = |csv: &str| {
        app.request(Method::POST, "/users/import")
            .header("content-type", "text/plain")
            .header("idempotency-key", "k")
            .body(csv.to_owned())
            .send()
    };
    Answer::of(as_text("email\nada@example.com\n").await.unwrap())
        .await
        .is_problem(422, "idempotency_key_reused");
    for query in ["", "?dry_run=true"] {
        app.import_with_key("not one", query, file(1))
            .await
            .is_problem(422, "invalid_idempotency_key");
    }
}

#[tokio::test]
async fn the_key_of_a_crashed_import_is_free_when_its_lease_ends() {
    let app = TestApp::start().await;
    app.import_with_key("k", "", file(1)).await;
    app.db.execute(
        "INSERT INTO idempotency_leases SELECT caller, route, key, fingerprint, gen_random_uuid(), \
         created_at + interval '30 s' FROM idempotency_keys; DELETE FROM idempotency_keys",
    );
    app.import_with_key("k", "", file(1))
        .await
        .is_problem(409, "idempotency_key_in_flight");
    app.clock.advance(chrono::Duration::seconds(31));
    let answer = app.import_with_key("k", "?on_conflict=skip", file(1)).await;
    assert_eq!(counts(&answer.json), (0, 0, 1, 0), "{}", answer.text);
}

/// One that was silent for so long that another run has its key stores nothing any more, and says what
/// it did.
#[tokio::test]
async fn an_import_that_was_taken_over_stops() {
    let app = TestApp::start().await;
    let other = Holder::of(&app, "user700@example.com", None);
    let first = app.start_import("k", "", file(1_500));
    app.has_users(500).await;
    app.db
        .execute("UPDATE idempotency_leases SET holder = gen_random_uuid()");
    other.gives_up();
    let answer = first.await.unwrap();
    answer.is_problem(409, "idempotency_key_in_flight");
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(
        detail.contains("500 users were created, 0 updated"),
        "{detail}"
    );
    assert_eq!(app.count("users"), 500);
    assert_eq!(app.count("idempotency_keys"), 0);
}

/// The client is gone, and comes back for the answer.
#[tokio::test]
async fn an_import_goes_on_without_its_client() {
    let app = TestApp::start().await;
    let other = Holder::of(&app, "user700@example.com", None);
    let first = app.start_import("k", "", file(1_000));
    app.has_users(500).await;
    first.abort();
    tokio::time::sleep(Duration::from_millis(300)).await;
    other.gives_up();
    app.has_users(1_000).await;
    let begun = Instant::now();
    let answer = loop {
        let answer = app.import_with_key("k", "", file(1_000)).await;
        if answer.status != 409 || begun.elapsed() > Duration::from_secs(10) {
            break answer;
        }
    };
    assert_eq!(counts(&answer.json), (1_000, 0, 0, 0), "{}", answer.text);
    assert_eq!(answer.header("idempotent-replayed"), "true");
}

/// The database refuses a chunk for good: what is stored is told, and the key is free.
#[tokio::test]
async fn an_import_that_stops_half_way_says_what_is_there() {
    let app = TestApp::start().await;
    app.db.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW \
         WHEN (NEW.username = 'user1200@example.com') EXECUTE FUNCTION refuse()",
    );
    let answer = app.import_with_key("k", "", file(1_500)).await;
    answer.is_problem(500, "internal");
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(
        detail.contains("1000 users were created, 0 updated")
            && detail.contains("on_conflict=skip"),
        "{detail}"
    );
    app.db.execute("DROP TRIGGER refuse ON users");
    let rest = app
        .import_with_key("k", "?on_conflict=skip", file(1_500))
        .await;
    assert_eq!(counts(&rest.json), (500, 0, 1_000, 0), "{}", rest.text);
}

#[tokio::test]
async fn the_first_faults_are_told_in_the_order_of_the_file() {
    let app = TestApp::start().await;
    app.import("", file(400)).await;
    let mut csv = "email\n".to_owned();
    for line in 0..1_500 {
        // The first chunk is no address at all; the second begins with users who are there.
        match line {
            500..900 => csv.push_str(&format!("user{}@example.com\n", line - 500)),
            _ => csv.push_str("nobody\n"),
        }
    }
    for query in ["", "?dry_run=true", "?atomic=true"] {
        let report = app.import(query, csv.clone()).await;
        assert_eq!(counts(&report), (0, 0, 0, 1_500));
        let lines: Vec<u64> = faults(&report).iter().map(|fault| fault.0).collect();
        assert_eq!(lines, (2..1_002).collect::<Vec<_>>(), "{query}");
    }
    // Where the limit cuts a chunk in two.
    let cut = csv.lines().skip(301).collect::<Vec<_>>().join("\n");
    let report = app.import("", format!("email\n{cut}")).await;
    let lines: Vec<u64> = faults(&report).iter().map(|fault| fault.0).collect();
    assert_eq!(lines, (2..1_002).collect::<Vec<_>>());
}

#[tokio::test]
async fn faults_name_the_columns_as_the_file_does() {
    let app = TestApp::start().await;
    app.user(json!({"username": "ada", "email": "ada@example.com"}))
        .await;
    app.user(json!({"username": "bob@example.com"})).await;
    let report = app
        .import(
            "",
            "User Name;E-Mail\nADA;ada@example.com\nada;new@example.com\nnew;Ada@example.com\n\
             x;x@example.com\ny;X@example.com\nX;z@example.com\n",
        )
        .await;
    assert_eq!(
        faults(&report),
        [
            fault(2, "User Name", "already_exists"),
            fault(2, "E-Mail", "already_exists"),
            fault(3, "User Name", "repeated_in_file"),
            fault(4, "E-Mail", "repeated_in_file"),
            fault(6, "E-Mail", "repeated_in_file"),
            fault(7, "User Name", "repeated_in_file"),
        ]
    );
    // Nobody wrote a username: it is the address.
    let report = app
        .import(
            "",
            "Email_Address\nada@example.com\nbob@example.com\nbob2@example.com\nBOB2@example.com\n",
        )
        .await;
    assert_eq!(
        faults(&report),
        [
            fault(2, "Email_Address", "already_exists"),
            fault(3, "Email_Address", "already_exists"),
            fault(5, "Email_Address", "repeated_in_file"),
        ]
    );
}

/// Somebody is quicker with the address, not with the name.
#[tokio::test]
async fn a_lost_race_names_what_was_lost() {
    let app = TestApp::start().await;
    let other = Holder::of(&app, "somebody", Some("race@example.com"));
    let import = app.start_import(
        "k",
        "",
        "username,E-Mail\nada,race@example.com\n".to_owned(),
    );
    tokio::time::sleep(Duration::from_millis(700)).await;
    other.goes_on();
    let report = import.await.unwrap();
    assert_eq!(
        faults(&report.json),
        [fault(2, "E-Mail", "already_exists")],
        "{}",
        report.text
    );
}

/// What a dry run finds out it must not make others wait for, nor wait for others.
#[tokio::test]
async fn a_dry_run_holds_nobody_up() {
    let app = TestApp::start().await;
    app.import("", file(600)).await;
    let mut other = app.db.connect();
    other
        .batch_execute(
            "BEGIN; UPDATE users SET first_name = 'X' WHERE username = 'user3@example.com'",
        )
        .unwrap();
    let csv = file(1_000).replace('\n', ",Ada,Sales\n").replacen(
        "email,Ada,Sales",
        "email,first_name,groups",
        1,
    );
    let begun = Instant::now();
    let report = app
        .import("?dry_run=true&on_conflict=update", csv.clone())
        .await;
    assert_eq!(counts(&report), (400, 600, 0, 0), "{report}");
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited");
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!((app.count("users"), app.count("groups")), (600, 0));
}

/// Numbers below `limit`, the same for one seed.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |limit| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    }
}

/// Names and addresses that clash in every way, over several chunks: the dry run says what then happens.
#[tokio::test]
async fn a_dry_run_tells_what_the_import_does() {
    for (seed, on_conflict) in [
        (1, "update"),
        (2, "update"),
        (3, "skip"),
        (4, "fail"),
        (5, "update"),
    ] {
        let app = TestApp::start().await;
        let mut next = numbers(seed);
        let mut rows = |header: &str, count: usize, pool: u64| {
            let mut csv = format!("{header}\n");
            for _ in 0..count {
                let (name, email) = (next(pool), next(pool));
                let email = match next(4) {
                    0 => String::new(),
                    1 => format!("NAME{email}@x.yz"),
                    _ => format!("name{email}@x.yz"),
                };
                let name = match next(5) {
                    0 if !email.is_empty() => String::new(),
                    1 => format!("name{name}@x.yz"),
                    // Sharp s and dotted I: one letter to some, two to others.
                    2 => format!("Straße İ{name}"),
                    3 => format!("STRASSE i̇{name}"),
                    _ => format!("name{name}"),
                };
                let (group, first) = (next(3), next(3));
                csv.push_str(&format!("{name},{email},Group {group},First {first}\n"));
            }
            csv
        };
        let header = "username,email,groups,first_name";
        let before = rows(header, 1_200, 1_500);
        app.import("?on_conflict=skip", before).await;
        let csv = rows(header, 1_600, 1_800);
        let query = format!("?on_conflict={on_conflict}");
        let there = app.count("users");
        let dry = app
            .import(&format!("{query}&dry_run=true"), csv.clone())
            .await;
        assert_eq!(app.count("users"), there);
        let atomic = app
            .import(&format!("{query}&dry_run=true&atomic=true"), csv.clone())
            .await;
        let real = app.import(&query, csv.clone()).await;
        assert_eq!(dry, real, "seed {seed}");
        let (created, updated, skipped, failed) = counts(&real);
        assert!(
            created > 50 && failed > 50 && updated + skipped + failed > 100,
            "{real}"
        );
        assert_eq!(counts(&atomic), (0, 0, 0, failed));
        assert_eq!(atomic["errors"], real["errors"]);
    }
}

/// Uploads that dribble in take no more room than there is.
#[tokio::test]
async fn uploads_under_way_are_limited() {
    use tokio::io::AsyncWriteExt;
    let app = TestApp::start().await;
    let address = app.base.strip_prefix("http://").unwrap();
    let mut slow = Vec::new();
    for _ in 0..16 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /users/import HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\n\
             content-length: 1000000\r\n\r\nemail\n",
            app.key
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = app.import_as("", "text/csv", file(1)).await;
    answer.is_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    assert!(answer.text.contains("uploaded"), "{}", answer.text);
    drop(slow);
    let begun = Instant::now();
    while app.import_as("", "text/csv", file(1)).await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

/// Two are imported at a time; a third one waits, for as long as a client may be kept waiting.
#[tokio::test]
async fn an_import_waits_for_a_place() {
    let app = TestApp::start().await;
    let mut other = app.db.connect();
    let mut lock = || {
        other
            .batch_execute("BEGIN; LOCK TABLE users IN EXCLUSIVE MODE")
            .unwrap()
    };
    lock();
    let mut imports: Vec<_> = (0..2)
        .map(|n| app.start_import(&format!("k{n}"), "", format!("email\na{n}@x.yz\n")))
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    imports.push(app.start_import("late", "", "email\nlate@x.yz\n".to_owned()));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert!(imports.iter().all(|import| !import.is_finished()));
    // Its key is held while it waits.
    app.import_with_key("late", "", "email\nlate@x.yz\n".to_owned())
        .await
        .is_problem(409, "idempotency_key_in_flight");
    let late = imports.pop().unwrap().await.unwrap();
    late.is_problem(503, "unavailable");
    assert!(
        late.text.contains("Other imports are under way"),
        "{}",
        late.text
    );
    assert_eq!(late.header("retry-after"), "5");
    other.batch_execute("ROLLBACK").unwrap();
    for import in imports {
        let answer = import.await.unwrap();
        assert_eq!(counts(&answer.json), (1, 0, 0, 0), "{}", answer.text);
    }
    // Its key is free again, and so are the places.
    let late = app
        .import_with_key("late", "", "email\nlate@x.yz\n".to_owned())
        .await;
    assert_eq!(counts(&late.json), (1, 0, 0, 0), "{}", late.text);
}

/// Plans are made for what is there, and after many invitations that is something else.
#[tokio::test]
async fn a_big_send_is_counted_for_the_planner() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    app.import("", file(5_000)).await;
    let analyzed = "SELECT count(*) FROM pg_stat_user_tables WHERE last_analyze IS NOT NULL \
                    AND relname IN ('user_activity', 'invitations')";
    let few: Value = app.invite(json!({"filter": {"q": "user1"}})).await;
    assert!(few["accepted_count"].as_u64().unwrap() < 5_000);
    assert_eq!(app.db.number(analyzed), 0);
    app.invite(json!({"filter": {}})).await;
    assert_eq!(app.db.number(analyzed), 2);
}
