//! `enlist users import` in the hands of a person: interrupted, and on a terminal.

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use diesel::{PgConnection, connection::SimpleConnection};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::app::{KEYS, TestApp};

const ENLIST: &str = env!("CARGO_BIN_EXE_enlist");

fn file(folder: &Path, rows: usize) {
    let lines: String = (0..rows)
        .map(|number| format!("user{number}@example.com\n"))
        .collect();
    std::fs::write(folder.join("users.csv"), format!("email\n{lines}")).unwrap();
}

fn start(app: &TestApp, folder: &Path, args: &[&str]) -> Child {
    Command::new(ENLIST)
        .current_dir(folder)
        .env("DATABASE_URL", &app.db.url)
        .args(["users", "import", "users.csv"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Somebody who makes whoever wants this user's name wait.
fn holder(app: &TestApp, username: &str) -> PgConnection {
    let mut connection = app.db.connect();
    connection
        .batch_execute(&format!(
            "BEGIN; INSERT INTO users (id, username, first_name, last_name, display_name, enabled, source, \
             attributes, created_at, updated_at) VALUES (gen_random_uuid(), '{username}', '', '', 'X', true, \
             'local', '{{}}', now(), now())"
        ))
        .unwrap();
    connection
}

/// Waits until the import waits for somebody.
async fn is_held(app: &TestApp) {
    let begun = Instant::now();
    while app.db.number(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    ) == 0
    {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never waited");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_interrupted_import_says_what_is_there() {
    for (args, stored, expected) in [
        (
            &[][..],
            1_000,
            "1000 created, 0 updated, 0 skipped, 0 failed.",
        ),
        (&["--atomic"], 0, ""),
    ] {
        let app = TestApp::start().await;
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), 2_500);
        let mut other = holder(&app, "user700@example.com");
        let import = start(&app, folder.path(), args);
        is_held(&app).await;
        let pid = Pid::from_child(&import);
        kill_process(pid, Signal::INT).unwrap();
        // It hears of it while it waits, and stores what it is at.
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.batch_execute("ROLLBACK").unwrap();
        let output = import.wait_with_output().unwrap();
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{out}{err}");
        assert_eq!(out.trim(), expected, "{err}");
        assert!(err.contains("enlist: stopped"), "{err}");
        assert_eq!(app.count("users"), stored);
        if stored == 0 {
            assert!(err.contains("nothing was stored"), "{err}");
            continue;
        }
        assert!(err.contains("--on-conflict skip"), "{err}");
        let output = start(&app, folder.path(), &["--on-conflict", "skip"])
            .wait_with_output()
            .unwrap();
        let (out, _) = said(&output);
        assert!(
            out.contains("1500 created, 0 updated, 1000 skipped"),
            "{out}"
        );
    }
}

/// A bar that fits, keeps its length, and is gone before anything else is said.
#[tokio::test]
async fn a_terminal_of_any_width_shows_a_bar() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), 3_000);
    for columns in [80, 40, 20] {
        let command = format!(
            "stty cols {columns} rows 24; exec '{ENLIST}' users import users.csv --yes --on-conflict skip"
        );
        let output = Command::new("script")
            .current_dir(folder.path())
            .env("DATABASE_URL", &app.db.url)
            .env("ENLIST_SECRET_KEYS", KEYS)
            .env("TERM", "xterm")
            .args(["-qefc", &command, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (shown, _) = said(&output);
        assert!(output.status.success(), "{shown}");
        let (bar, rest) = shown.rsplit_once("\x1b[2K").unwrap();
        assert!(
            rest.ends_with("0 failed.\r\n") && !rest.contains('░'),
            "{rest:?}"
        );
        let frames: Vec<&str> = bar
            .split(['\r', '\n'])
            .map(|frame| frame.trim_start_matches("\x1b[2K"))
            .filter(|frame| !frame.is_empty())
            .collect();
        for frame in &frames {
            assert!(frame.chars().count() <= columns, "{columns}: {frame:?}");
            assert!(frame.contains("/3000"), "{frame:?}");
        }
        let slash = |frame: &str| frame.chars().position(|c| c == '/');
        assert!(
            frames.iter().all(|frame| slash(frame) == slash(frames[0])),
            "{frames:?}"
        );
    }
}

/// What a person answers on a terminal, and what was shown there.
fn answered(app: &TestApp, folder: &Path, args: &str, answer: &str) -> (bool, String) {
    let mut child = Command::new("script")
        .current_dir(folder)
        .env("DATABASE_URL", &app.db.url)
        .env("TERM", "xterm")
        .args([
            "-qefc",
            &format!("exec '{ENLIST}' users import users.csv {args}"),
            "/dev/null",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(answer.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    (output.status.success(), said(&output).0)
}

/// Nothing is stored before somebody has seen what the columns become, and agreed.
#[tokio::test]
async fn a_terminal_shows_the_columns_and_asks() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let csv = "E-Mail-Adresse,Vorname,Kennwort,Abt\nada@example.com,Ada,correct horse,R&D\n";
    std::fs::write(folder.path().join("users.csv"), csv).unwrap();
    for (args, answer, is_well, stored) in [
        ("", "n\n", false, 0),
        ("", "\n", false, 0),
        ("--dry-run", "", true, 0),
        (
            r#"--columns '{"Abt": null, "Kennwort": "password"}'"#,
            "yes\n",
            true,
            1,
        ),
    ] {
        let (ended_well, shown) = answered(&app, folder.path(), args, answer);
        assert_eq!(
            (ended_well, app.count("users")),
            (is_well, stored),
            "{args}: {shown}"
        );
        assert!(
            shown.contains("E-Mail-Adresse -> email\r\nVorname -> first_name"),
            "{shown}"
        );
        assert_eq!(
            shown.contains("Import one record? [y/N]"),
            args != "--dry-run",
            "{shown}"
        );
        let (kennwort, abt) = match args.contains("columns") {
            true => ("Kennwort -> password", "Abt -> (left out)"),
            false => ("Kennwort -> (left out)", "Abt -> attributes.Abt"),
        };
        assert!(shown.contains(kennwort) && shown.contains(abt), "{shown}");
        assert!(!shown.contains("correct horse"), "{shown}");
        assert_eq!(
            shown
                .matches("warning: the column `Kennwort` is not stored")
                .count(),
            usize::from(!args.contains("columns")),
            "{shown}"
        );
    }
    // Without a terminal it goes on, as it does with `--yes`; what is wrong with `--columns` is told.
    let output = start(&app, folder.path(), &["--on-conflict", "skip"])
        .wait_with_output()
        .unwrap();
    let (out, err) = said(&output);
    assert!(
        output.status.success() && out.contains("1 skipped"),
        "{out}{err}"
    );
    assert!(
        err.contains("warning: the column `Kennwort` is not stored"),
        "{err}"
    );
    let (_, shown) = answered(&app, folder.path(), "--yes --on-conflict skip", "");
    assert!(
        !shown.contains("[y/N]") && shown.contains("1 skipped"),
        "{shown}"
    );
    let output = start(&app, folder.path(), &["--columns", r#"{"Abt": "dept"}"#])
        .wait_with_output()
        .unwrap();
    let (_, err) = said(&output);
    assert!(
        !output.status.success() && err.contains("known: username, email"),
        "{err}"
    );
}

/// A file in another encoding is shown as it would be read, and read so once somebody agrees.
#[tokio::test]
async fn a_terminal_asks_about_a_guessed_encoding() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let csv = "E-Mail;Vorname;Nachname\njm@example.com;J\u{fc}rgen;M\u{fc}ller\nag@example.com;Anna;Gro\u{df}\n";
    let bytes: Vec<u8> = csv
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    std::fs::write(folder.path().join("users.csv"), bytes).unwrap();
    for (answer, is_well, stored) in [("n\n", false, 0), ("y\nn\n", false, 0), ("y\ny\n", true, 2)]
    {
        let (ended_well, shown) = answered(&app, folder.path(), "", answer);
        assert_eq!(
            (ended_well, app.count("users")),
            (is_well, stored),
            "{shown}"
        );
        assert!(
            shown.contains("it looks like windows-1252") && shown.contains("`Jürgen"),
            "{shown}"
        );
        assert!(shown.contains("Read it as windows-1252? [y/N]"), "{shown}");
        assert_eq!(
            shown.contains("Import 2 records? [y/N]"),
            answer.len() > 2,
            "{shown}"
        );
    }
    let output = start(&app, folder.path(), &[]).wait_with_output().unwrap();
    let (_, err) = said(&output);
    assert!(
        !output.status.success() && err.contains("--charset windows-1252"),
        "{err}"
    );
}
