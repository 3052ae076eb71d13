//! Users at scale, against ceilings taken in the same run: `cargo bench --bench users`.
//!
//! A private Postgres with its durability as it comes, 100,000 users in 100 groups, the release
//! service, and 16 connections. The ceiling is pgbench with the same statement, prepared, over the
//! same number of connections on the same cores; for the import it is COPY of the same rows.

mod support;

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use support::{Bench, Service, request, tool};

const USERS: u32 = 100_000;

fn main() {
    let seconds = std::env::var("SECONDS_EACH").map_or(8, |text| text.parse().expect("a number"));
    let bench = Bench::start(seconds);
    bench.sql(&fill());
    bench.head();
    let service = Service::start(&bench.url);
    let deep = cursor(&service, "/users?limit=50", 1_000);
    for (name, path) in [
        ("list, first page", "/users".to_owned()),
        ("list, page 1,000", format!("/users?cursor={deep}")),
        ("search, 11 hits", "/users?q=first5432".to_owned()),
        ("search, 1,000 hits", "/users?q=elan97".to_owned()),
        ("filter by locale", "/users?locale=fr&sort=email".to_owned()),
    ] {
        let asked = request("GET", &path, &service.key, "");
        let script = bench.statements_of(&service, &asked);
        let ours = service.load(seconds, || asked.clone());
        bench.row(name, &ours, bench.pgbench(&script));
    }
    let number = AtomicU64::new(0);
    let ours = service.load(seconds, || {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"email": "new{number}@example.com", "first_name": "New"}}"#);
        request("POST", "/users", &service.key, &body)
    });
    bench.row("create one", &ours, bench.pgbench(CREATE));
    bench.row(
        "create one, against all that it writes",
        &ours,
        bench.pgbench(CREATE_WITH_EVENT),
    );
    import(&bench, &service);
    println!(
        "\nResident memory of the service: {} MB at most",
        service.peak()
    );
}

/// A hundred thousand users of a hundred groups, a third of them invited.
fn fill() -> String {
    format!(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, locale, created_at, updated_at)
         SELECT gen_random_uuid(), 'user' || i || '@example.com', 'user' || i || '@example.com', 'First' || i, 'Élan' || (i % 977),
                'First' || i || ' Élan' || (i % 977), true, 'local', '{{\"floor\": 4}}', CASE WHEN i % 10 = 0 THEN 'fr' END,
                now() - i * interval '1 second', now()
         FROM generate_series(1, {USERS}) i;
         INSERT INTO groups (id, name, created_at, updated_at) SELECT gen_random_uuid(), 'Group ' || i, now(), now() FROM generate_series(1, 100) i;
         INSERT INTO group_members (group_id, user_id)
         SELECT g.id, u.id FROM (SELECT id, row_number() OVER () % 100 AS n FROM users) u JOIN (SELECT id, row_number() OVER () - 1 AS n FROM groups) g USING (n);
         VACUUM ANALYZE;"
    )
}

const CREATE: &str = "\\set n random(1, 1000000000000)
INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
VALUES (gen_random_uuid(), 'p' || :n, 'p' || :n || '@example.com', 'New', '', 'New', true, 'local', '{}', now(), now());";

/// What creating comes to since there is an audit log: the user, the event, its details, and that it is to be linked.
const CREATE_WITH_EVENT: &str = "\\set n random(1, 1000000000000)
BEGIN;
INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
VALUES (lpad(to_hex((:n)::bigint), 32, '0')::uuid, 'p' || (:n)::bigint, 'p' || (:n)::bigint || '@example.com', 'New', '', 'New', true, 'local', '{}', now(), now())
ON CONFLICT DO NOTHING;
WITH event AS (
    INSERT INTO audit_events (id, at, actor_kind, actor_name, action, subject_kind, subject_id, request_id, address, person_id, details_hash)
    VALUES (lpad(to_hex((:n)::bigint), 32, '0')::uuid, now(), 'api_key', 'bench', 'user.created', 'user',
        lpad(to_hex((:n)::bigint), 32, '0')::uuid, 'bench', '127.0.0.1', lpad(to_hex((:n)::bigint), 32, '0')::uuid,
        sha256('bench'))
), unlinked AS (
    INSERT INTO audit_unlinked (event_id) VALUES (lpad(to_hex((:n)::bigint), 32, '0')::uuid)
)
INSERT INTO audit_details (event_id, person_id, salt, after)
VALUES (lpad(to_hex((:n)::bigint), 32, '0')::uuid, lpad(to_hex((:n)::bigint), 32, '0')::uuid, '\\x00112233445566778899aabbccddeeff',
    '{\"first_name\": \"New\", \"username\": \"new@example.com\"}');
COMMIT;";

impl Bench {
    /// What the service asks of Postgres for a request, as a script: read from Postgres' log, so that it
    /// is the very same.
    fn statements_of(&self, service: &Service, asked: &[u8]) -> String {
        let log = self.place.join("postgres/postgres.log");
        let set = |what: &str| {
            self.sql(&format!("ALTER SYSTEM {what}; SELECT pg_reload_conf();"));
            std::thread::sleep(Duration::from_millis(500));
        };
        set("SET log_statement = 'all'");
        // The first one also looks the key up.
        service.ask(asked);
        let before = fs::read_to_string(&log).expect("the log").len();
        service.ask(asked);
        std::thread::sleep(Duration::from_millis(200));
        let text = fs::read_to_string(&log).expect("the log").split_off(before);
        set("RESET log_statement");
        let lines: Vec<&str> = text.lines().collect();
        let process = |line: &str| line.split(['[', ']']).nth(1).unwrap_or_default().to_owned();
        let ours = lines
            .iter()
            .find(|line| line.contains("FROM") && line.contains("\"users\""))
            .map(|line| process(line))
            .expect("a statement about users");
        let mut script = String::new();
        for (index, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| process(line) == ours)
        {
            let statement = line.split_once("LOG:  statement: ").or_else(|| {
                line.split_once("LOG:  execute ")
                    .and_then(|(_, rest)| rest.split_once(": "))
            });
            let Some((_, statement)) = statement else {
                continue;
            };
            let mut statement = statement.to_owned();
            let detail = lines
                .get(index + 1)
                .and_then(|line| line.split_once("DETAIL:  parameters: "));
            let parameters = detail.map_or_else(Vec::new, |(_, given)| parameters(given));
            for (number, value) in parameters.iter().enumerate().rev() {
                statement = statement.replace(&format!("${}", number + 1), value);
            }
            script += &format!("{statement};\n");
        }
        script
    }
}

/// The literals of a log's `$1 = 'a', $2 = NULL`.
fn parameters(given: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = given;
    while let Some((_, value)) = rest.split_once(" = ") {
        let mut end = value.len();
        if let Some(text) = value.strip_prefix('\'') {
            let mut at = 0;
            let bytes = text.as_bytes();
            while at < bytes.len() && (bytes[at] != b'\'' || bytes.get(at + 1) == Some(&b'\'')) {
                at += if bytes[at] == b'\'' { 2 } else { 1 };
            }
            end = at + 2;
        } else if let Some(comma) = value.find(", $") {
            end = comma;
        }
        found.push(value[..end].to_owned());
        rest = &value[end..];
    }
    found
}

/// Empties tables, and what hangs on them; the audit log lets nobody do that while its triggers are on.
fn empty(bench: &Bench, tables: &str) {
    bench.sql(&format!(
        "SET session_replication_role = replica; TRUNCATE {tables} CASCADE; CHECKPOINT;"
    ));
}

/// A hundred thousand new users in a hundred new groups, then the very same rows by COPY.
fn import(bench: &Bench, service: &Service) {
    let mut csv = String::from("username,email,first_name,last_name,locale,groups,floor\n");
    for i in 0..USERS {
        let locale = if i % 10 == 0 { "fr" } else { "" };
        csv += &format!(
            "import{i},import{i}@example.com,First{i},Élan{},{locale},Import {},{}\n",
            i % 977,
            i % 100,
            i % 30
        );
    }
    empty(bench, "users, user_names, groups");
    let begun = Instant::now();
    let head = format!(
        "POST /users/import HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        service.key,
        csv.len()
    );
    let answer = service.ask(&[head.as_bytes(), csv.as_bytes()].concat());
    let ours = begun.elapsed();
    assert!(answer.contains(&format!("\"created\":{USERS}")), "{answer}");
    let (users, members) = (
        bench.place.join("users.copy"),
        bench.place.join("members.copy"),
    );
    let columns = "id, username, email, first_name, last_name, display_name, locale, time_zone, managed_apple_account, \
         enabled, attributes, password_hash, source, created_at, updated_at";
    let copies = |direction: &str| {
        bench.copy(&format!(
            "\\copy users ({columns}) {direction} '{}'",
            users.display()
        ));
        bench.copy(&format!(
            "\\copy group_members {direction} '{}'",
            members.display()
        ));
    };
    copies("TO");
    empty(bench, "users, user_names");
    let begun = Instant::now();
    copies("FROM");
    let ceiling = begun.elapsed();
    let speed = |took: Duration| f64::from(USERS) / took.as_secs_f64();
    println!(
        "| import, rows | {:.0} | | | {:.0} | {:.2} |",
        speed(ours),
        speed(ceiling),
        speed(ours) / speed(ceiling)
    );
}

impl Bench {
    fn copy(&self, command: &str) {
        let done = tool("psql")
            .args([
                "-X",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &self.url,
                "-c",
                command,
            ])
            .status();
        assert!(done.expect("psql").success());
    }
}

/// The cursor after so many pages.
fn cursor(service: &Service, path: &str, pages: usize) -> String {
    let mut cursor = String::new();
    for _ in 0..pages {
        let path = if cursor.is_empty() {
            path.to_owned()
        } else {
            format!("{path}&cursor={cursor}")
        };
        let answer = service.ask(&request("GET", &path, &service.key, ""));
        let after = answer
            .split("\"next_cursor\":\"")
            .nth(1)
            .expect("another page");
        cursor = after.split('"').next().unwrap_or_default().to_owned();
    }
    cursor
}
