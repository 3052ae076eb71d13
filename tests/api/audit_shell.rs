//! The shell and the audit log: with which key it signs, how `enlist audit verify` exits, and that whoever reads it may go
//! away.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Output, Stdio},
};

use enlist::server::keys::check_keys;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    audit_attacks::{
        ROTATED, attack, is_clean, linker, linker_with, ring, verify_with, with_events,
    },
    support::{
        app::{KEYS, TestApp},
        db::TestDb,
    },
};

const THIRD: &str = "k3:AwMDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

fn enlist(url: &str, keys: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enlist"));
    command
        .env("DATABASE_URL", url)
        .env("ENLIST_SECRET_KEYS", keys)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn create(app: &TestApp, keys: &str) -> Output {
    let args = ["api-keys", "create", "--name", "K", "--role", "reader"];
    enlist(&app.db.url, keys, &args).output().unwrap()
}

/// A shell signs with the service's key of today, whichever comes first in its own list, or not at all.
#[tokio::test]
async fn a_shell_signs_with_a_key_that_the_service_knows() {
    let both = format!("{ROTATED},{KEYS}");
    let other_order = format!("{KEYS},{ROTATED}");
    let with_third = format!("{THIRD},{ROTATED}");
    // The service's keys, the shell's, and the one that it signs with.
    for (service, shell, signs) in [
        (KEYS, KEYS, Some("k1")),
        // One that the service has not got yet.
        (KEYS, ROTATED, None),
        (KEYS, &both, Some("k1")),
        // The service has gone on to another one.
        (&both, KEYS, None),
        (&both, &other_order, Some("k2")),
        (ROTATED, KEYS, None),
        (ROTATED, &other_order, Some("k2")),
        (ROTATED, &with_third, Some("k2")),
        (ROTATED, THIRD, None),
    ] {
        let (mut app, _) = with_events().await;
        // It has told the end, and no longer does.
        app.stop().await;
        if service == ROTATED {
            // A key is left out only after it stood behind another one.
            linker_with(&app, &both, None).tell().await.unwrap();
        }
        let mut serving = linker_with(&app, service, None);
        serving.link().await.unwrap();
        serving.tell().await.unwrap();
        let made = create(&app, shell);
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert_eq!(
            made.status.success(),
            signs.is_some(),
            "{service} {shell}: {said}"
        );
        match signs {
            Some(key) => {
                let signed = format!(
                    "SELECT count(*) FROM audit_events WHERE action = 'api_key.created' AND key_id = '{key}' AND actor_kind = 'shell' AND id IN (SELECT event_id FROM audit_unlinked)"
                );
                assert_eq!(app.db.number(&signed), 1, "{service} {shell}");
            }
            None => {
                assert!(said.contains("the service signs with the key `"), "{said}");
                assert_eq!(
                    app.db
                        .number("SELECT count(*) FROM api_keys WHERE name = 'K'"),
                    0
                );
            }
        }
        // No shell leaves a fault behind.
        serving.link().await.unwrap();
        assert_eq!(
            verify_with(&app, service).faults,
            [""; 0],
            "{service} {shell}"
        );
    }
    // Before anybody serves, the first shell's key is the one that others have, too.
    let mut app = TestApp::start().await;
    app.stop().await;
    app.db
        .execute("DELETE FROM secret_keys; DELETE FROM audit_heads");
    assert!(create(&app, ROTATED).status.success());
    assert!(!create(&app, THIRD).status.success());
    assert!(create(&app, &with_third).status.success());
    // Whoever serves first needs it, too.
    let start = async |keys: &str| check_keys(&app.worker.db, &ring(keys), &app.clock).await;
    let refused = start(KEYS).await.unwrap_err().to_string();
    assert!(
        refused.contains("the key `k2` is missing, and audit events from the shell"),
        "{refused}"
    );
    start(&both).await.unwrap();
}

#[tokio::test]
async fn verify_says_by_its_exit_status_whether_it_could_check() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    is_clean(&app);
    let bare = TestDb::bare();
    let another = ROTATED.replace("k2", "k1");
    let head = format!("9:{}", "ab".repeat(32));
    let service = app.db.service_url();
    let good = service.as_str();
    let away = "postgres:///none?host=/nowhere";
    for (url, keys, args, code, says) in [
        (good, KEYS, &[][..], 0, ""),
        (
            good,
            KEYS,
            &["--head", &head],
            1,
            "not what was written: 1 fault",
        ),
        (away, KEYS, &[], 2, "DATABASE_URL"),
        (&bare.url, KEYS, &[], 2, "run `enlist migrate`"),
        (good, &another, &[], 2, "the key `k1` is not the one"),
        (good, "", &[], 2, "ENLIST_SECRET_KEYS"),
        (good, "nonsense", &[], 2, "ENLIST_SECRET_KEYS"),
        (good, KEYS, &["--head", "nonsense"], 2, "--head"),
        (good, KEYS, &["--audit-heads", "/"], 2, "/: "),
    ] {
        let args = [&["audit", "verify"], args].concat();
        let output = enlist(url, keys, &args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
    // A schema of another version is not compared with what this one makes.
    app.db
        .execute("INSERT INTO __diesel_schema_migrations VALUES ('99991231000001', now())");
    let newer = enlist(good, KEYS, &["audit", "verify"]).output().unwrap();
    assert_eq!(newer.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&newer.stderr).contains("newer version"));
}

/// Whoever reads closes the pipe before anything is written: the command ends, and says nothing of it.
#[tokio::test]
async fn a_closed_pipe_ends_a_command_quietly() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    let url = &app.db.url;
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users").display().to_string();
    std::fs::write(&users, "bob@example.com\n").unwrap();
    for (args, code) in [
        (&["audit", "verify"][..], 141),
        (&["openapi"], 141),
        (&["database", "roles"], 141),
        (&["migrate"], 141),
        (&["check"], 141),
        (
            &["api-keys", "create", "--name", "K", "--role", "reader"],
            141,
        ),
        (
            &["users", "import", &users, "--addresses", "--dry-run"],
            141,
        ),
        // The report is stored: the mail server must not come again.
        (&["bounce"], 0),
    ] {
        let mut running = enlist(url, KEYS, args).spawn().unwrap();
        drop(running.stdout.take());
        let output = running.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
    // Another failure to write is told.
    let mut full = enlist(url, KEYS, &["openapi"]);
    full.stdout(std::fs::File::create("/dev/full").unwrap());
    let full = full.output().unwrap();
    assert_eq!(full.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&full.stderr).contains("standard output: "));
    // With nobody at standard error either, nothing panics.
    let mut deaf = enlist(url, "nonsense", &["audit", "verify"])
        .spawn()
        .unwrap();
    drop((deaf.stdout.take(), deaf.stderr.take()));
    assert_eq!(deaf.wait().unwrap().code(), Some(2));
}

/// A service goes on when nobody reads what it says.
#[tokio::test]
async fn a_service_outlives_whoever_reads_its_log() {
    let app = TestApp::start().await;
    let mut serving = enlist(
        &app.db.url,
        KEYS,
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--smtp-url",
            &app.sink.url(),
        ],
    )
    .spawn()
    .unwrap();
    let mut log = BufReader::new(serving.stderr.take().unwrap());
    let address = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        if let Some((_, address)) = line.trim().split_once("address=") {
            break address.split_whitespace().next().unwrap().to_owned();
        }
    };
    drop((log, serving.stdout.take()));
    // Each of these is a line of the log.
    for _ in 0..3 {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream
            .write_all(b"GET /users HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    kill_process(Pid::from_child(&serving), Signal::TERM).unwrap();
    assert_eq!(serving.wait().unwrap().code(), Some(0));
}

/// A name that takes its line off the screen, or writes one of its own, is shown for what it is.
#[tokio::test]
async fn what_the_database_holds_is_one_line_that_is_seen() {
    let (app, _) = with_events().await;
    linker(&app).link().await.unwrap();
    attack(
        &app,
        "INSERT INTO api_keys (id, name, role, key_hash, created_at)
         VALUES (gen_random_uuid(), E'eve\\nKnown: all\\u202e\\u200f\\x1b[1A\\x1b[2K\\x1b[8m', 'admin', sha256('x'), now())",
    );
    let output = enlist(&app.db.url, KEYS, &["audit", "verify"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let shown = r"`eve\nKnown: all\u{202e}\u{200f}\u{1b}[1A\u{1b}[2K\u{1b}[8m`";
    assert!(said.contains(shown), "{said:?}");
    let is_plain = |c: char| c == '\n' || !c.is_control();
    assert!(said.chars().all(is_plain), "{said:?}");
    // What somebody types and others read is refused at once.
    for reason in ["a\u{202e}b", "a\nb", "\u{1b}[2K", "a\u{2028}b"] {
        let end = format!("1:{}", "ab".repeat(32));
        let args = ["audit", "acknowledge", &end, "--reason", reason];
        let output = enlist(&app.db.url, KEYS, &args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{reason:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("must not hold line breaks"), "{said:?}");
    }
}
