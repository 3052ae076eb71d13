//! The binary as a newcomer runs it: `enlist dev`, with its own Postgres and mailbox.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{app::Answer, db::number_of_migrations};

/// A data directory of its own, which also Postgres' own user can reach.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("enlist-dev-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running `enlist dev`.
struct Dev {
    child: Child,
    base: String,
    greeting: String,
    header: String,
}

fn command(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enlist"));
    command
        .current_dir(&place.0)
        .args(["dev", "--listen", "127.0.0.1:0"])
        .env_remove("DATABASE_URL")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Dev {
    fn start(place: &Place) -> Self {
        let log = fs::File::create(place.0.join("log")).unwrap();
        let mut child = command(place).stderr(log).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C") {
            let mut line = String::new();
            assert!(
                out.read_line(&mut line).unwrap() > 0,
                "it ended: {greeting}"
            );
            greeting.push_str(&line);
        }
        let base = greeting
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .unwrap()
            .to_owned();
        let header = fs::read_to_string(place.0.join(".enlist/auth-header")).unwrap();
        Self {
            child,
            base,
            greeting,
            header: header.trim().split_once(": ").unwrap().1.to_owned(),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = crate::support::http_client()
            .build()
            .unwrap()
            .request(method, format!("{}{path}", self.base))
            .header("authorization", &self.header);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        Answer::of(request.send().await.unwrap()).await
    }

    async fn users(&self) -> Value {
        self.ask(Method::GET, "/users?count=true&limit=200", None)
            .await
            .json
    }

    /// The mailbox once it has this many mails.
    async fn mails(&self, count: usize) -> Vec<Value> {
        let since = Instant::now();
        loop {
            let found = self
                .ask(Method::GET, "/dev/mailbox/messages", None)
                .await
                .json;
            let found = found["data"].as_array().unwrap().clone();
            if found.len() >= count {
                return found;
            }
            assert!(since.elapsed() < Duration::from_secs(10), "{found:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// As many users and invitations as were answered for, or more: an answer may be lost on its way.
    async fn holds_at_least(&self, answered: usize) {
        let users = self.users().await["total"].as_u64().unwrap();
        assert!(
            users >= 25 + answered as u64,
            "{users} users, {answered} answered for"
        );
        let invitations = self
            .ask(Method::GET, "/invitations?count=true&limit=1", None)
            .await;
        let total = invitations.json["total"].as_u64().unwrap();
        assert!(
            total >= answered as u64,
            "{total} invitations, {answered} answered for"
        );
    }

    /// Waits until requests can be answered.
    async fn comes_back(&self) {
        let since = Instant::now();
        while self.ask(Method::GET, "/readyz", None).await.status != StatusCode::OK {
            assert!(since.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn signal(&self, signal: &str) {
        kill(signal, &self.child.id().to_string());
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

fn kill(signal: &str, pid: &str) {
    let status = Command::new("kill").args([signal, pid]).status();
    assert!(status.unwrap().success());
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_first_minute() {
    let place = Place::new("first");
    let mut dev = Dev::start(&place);
    assert!(dev.greeting.contains("25 sample users") && dev.greeting.contains("/dev/mailbox"));
    let mode = fs::metadata(place.0.join(".enlist/auth-header"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let users = dev.users().await;
    let users = users["data"].as_array().unwrap();
    assert_eq!(users.len(), 25);
    assert_eq!(
        users.iter().filter(|user| user["email"].is_null()).count(),
        1
    );
    assert_eq!(
        users.iter().filter(|user| user["enabled"] == false).count(),
        1
    );
    assert!(
        users
            .iter()
            .all(|user| user["groups"].as_array().unwrap().len() == 1)
    );

    // Whoever tries it has told it nothing, and need not.
    let all = Some(json!({"filter": {}}));
    let preview = dev
        .ask(Method::POST, "/invitations/preview", all.clone())
        .await;
    assert_eq!(preview.json["notices"], json!([]), "{}", preview.text);
    let log = fs::read_to_string(place.0.join("log")).unwrap();
    assert!(
        !log.contains("WARN") && !log.contains("is not set"),
        "{log}"
    );

    let sent = dev.ask(Method::POST, "/invitations/send", all).await;
    assert_eq!(sent.json["accepted_count"], 23, "{}", sent.text);
    let mails = dev.mails(23).await;
    assert!(mails.iter().all(|mail| mail["has_pin"] == true));
    let qr = json!({"filter": {"q": "lovelace"}, "method": "qr"});
    dev.ask(Method::POST, "/invitations/send", Some(qr)).await;
    assert_eq!(dev.mails(24).await[0]["has_qr"], true, "newest first");

    // The key and the data outlive a stop, and Ctrl-C is a clean one.
    dev.signal("-INT");
    assert!(dev.wait().success());
    let again = Dev::start(&place);
    assert_eq!(again.header, dev.header);
    assert!(again.greeting.contains("what was there before"));
    assert_eq!(again.mails(24).await.len(), 24);
    assert_eq!(again.users().await["total"], 25);
}

#[tokio::test]
async fn only_this_machines_own_names_are_answered_to() {
    let place = Place::new("names");
    let dev = Dev::start(&place);
    for path in [
        "/users",
        "/dev/mailbox",
        "/dev/mailbox/messages",
        "/healthz",
    ] {
        let request = crate::support::http_client()
            .build()
            .unwrap()
            .get(format!("{}{path}", dev.base))
            .header("authorization", &dev.header)
            .header("host", "rebound.example");
        Answer::of(request.send().await.unwrap())
            .await
            .is_problem(421, "misdirected_request");
    }
    let page = dev.ask(Method::GET, "/dev/mailbox", None).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    let open = command(&place)
        .args(["--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert!(!open.status.success());
}

/// `kill -9` under load, of the service, of Postgres, of both in turn: every start recovers, and nothing
/// that was answered for is gone. `ENLIST_KILL_ROUNDS=10` does it more often.
#[tokio::test]
async fn after_a_kill_everything_that_was_answered_for_is_there() {
    let rounds = std::env::var("ENLIST_KILL_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    let place = Place::new("kill");
    let answered = Arc::new(AtomicUsize::new(0));
    for round in 0..rounds {
        let mut dev = Dev::start(&place);
        dev.holds_at_least(answered.load(Relaxed)).await;
        let load: Vec<_> = (0..6)
            .map(|client| tokio::spawn(invite_until_gone(&dev, round, client, &answered)))
            .collect();
        tokio::time::sleep(Duration::from_millis(300 + 170 * (round % 5))).await;
        let postmaster = fs::read_to_string(
            fs::canonicalize(place.0.join(".enlist/postgres/data/postmaster.pid")).unwrap(),
        )
        .unwrap();
        if round % 3 != 0 {
            kill("-KILL", postmaster.lines().next().unwrap());
        }
        if round % 3 == 1 {
            // The service goes on, and starts Postgres again by itself.
            tokio::time::sleep(Duration::from_millis(500)).await;
            dev.comes_back().await;
        }
        dev.signal("-KILL");
        dev.wait();
        for client in load {
            client.await.unwrap();
        }
    }
    assert!(answered.load(Relaxed) > 0);
    let mut dev = Dev::start(&place);
    dev.holds_at_least(answered.load(Relaxed)).await;
    dev.signal("-TERM");
    assert!(dev.wait().success());
}

/// Creates and invites users, one after another, until the service is gone; counts those answered for.
fn invite_until_gone(
    dev: &Dev,
    round: u64,
    client: usize,
    answered: &Arc<AtomicUsize>,
) -> impl Future<Output = ()> + use<> {
    let http = crate::support::http_client().build().unwrap();
    let (url, header) = (format!("{}/users", dev.base), dev.header.clone());
    let answered = Arc::clone(answered);
    async move {
        for number in 0.. {
            let user =
                json!({"email": format!("{round}-{client}-{number}@example.com"), "invite": true});
            let sent = http.post(&url).header("authorization", &header).json(&user);
            match sent.send().await {
                Ok(answer) if answer.status() == StatusCode::CREATED => {
                    answered.fetch_add(1, Relaxed);
                }
                // Without its database it says so, and may have it back in a moment.
                Ok(answer) => assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE),
                Err(_) => return,
            }
        }
    }
}

/// An import that is killed leaves whole rows, groups included, and a repeat of the file ends in the
/// same state as one that was not.
#[tokio::test]
async fn a_killed_import_is_finished_by_a_repeat() {
    const ROWS: usize = 20_000;
    let place = Place::new("import");
    let lines: String = (0..ROWS)
        .map(|number| format!("import{number}@example.com,Imported {}\n", number % 7))
        .collect();
    let csv = format!("email,groups\n{lines}");
    let import = |dev: &Dev| {
        crate::support::http_client()
            .build()
            .unwrap()
            .post(format!("{}/users/import?on_conflict=skip", dev.base))
            .header("authorization", &dev.header)
            .header("content-type", "text/csv")
            .body(csv.clone())
            .send()
    };
    let mut dev = Dev::start(&place);
    let cut = tokio::spawn(import(&dev));
    while dev.users().await["total"].as_u64().unwrap() < 25 + 2_000 {
        assert!(!cut.is_finished(), "it was too quick to be cut");
    }
    dev.signal("-KILL");
    dev.wait();
    assert!(cut.await.unwrap().is_err());

    let dev = Dev::start(&place);
    let there = dev.users().await["total"].as_u64().unwrap() - 25;
    assert!((2_000..ROWS as u64).contains(&there), "{there}");
    let report = Answer::of(import(&dev).await.unwrap()).await.json;
    assert_eq!(report["skipped"], there, "{report}");
    assert_eq!(report["created"], ROWS as u64 - there);
    let mut members = 0;
    for group in dev.ask(Method::GET, "/groups?q=imported", None).await.json["data"]
        .as_array()
        .unwrap()
    {
        members += group["member_count"].as_u64().unwrap();
    }
    assert_eq!(members, ROWS as u64, "no user came without its group");
}

#[tokio::test]
async fn what_hinders_a_start_is_one_clear_line() {
    let place = Place::new("hindered");
    let dev = Dev::start(&place);
    let told = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(!output.status.success());
        let told = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = told
            .lines()
            .filter(|line| line.starts_with("enlist: "))
            .map(str::to_owned)
            .collect();
        assert_eq!(lines.len(), 1, "{told}");
        lines[0].clone()
    };
    let in_use = told(&mut command(&place));
    assert!(
        in_use.contains("in use") && in_use.contains(&dev.child.id().to_string()),
        "{in_use}"
    );
    let other = Place::new("hindered-too");
    let port = dev.base.rsplit(':').next().unwrap();
    let taken = told(
        Command::new(env!("CARGO_BIN_EXE_enlist"))
            .current_dir(&other.0)
            .args(["dev", "--listen", &format!("127.0.0.1:{port}")]),
    );
    assert!(
        taken.contains("ENLIST_LISTEN") && taken.contains(port),
        "{taken}"
    );
    let none = told(command(&other).env("ENLIST_POSTGRES_BIN", "/nowhere"));
    assert!(
        none.contains("no Postgres binaries") && none.contains("apt-get install postgresql"),
        "{none}"
    );
    fs::write(other.0.join("file"), "").unwrap();
    let file = told(command(&other).env("ENLIST_DATA_DIR", other.0.join("file")));
    assert!(file.contains("ENLIST_DATA_DIR"), "{file}");
}

/// `serve` and the other commands use the embedded database when none is given.
#[tokio::test]
async fn serve_without_a_database_uses_its_own() {
    let place = Place::new("serve");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_enlist"))
            .current_dir(&place.0)
            .env_remove("DATABASE_URL")
            .args(args)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let all = format!("{} migrations applied", number_of_migrations());
    assert!(run(&["migrate"]).contains(&all));
    let key = run(&["api-keys", "create", "--name", "me", "--role", "admin"]);
    assert!(key.starts_with("enl_"));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_enlist"))
        .current_dir(&place.0)
        .env_remove("DATABASE_URL")
        .args([
            "serve",
            "--smtp-url",
            "smtp://127.0.0.1:9",
            "--listen",
            &format!("127.0.0.1:{port}"),
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = crate::support::http_client().build().unwrap();
    let since = Instant::now();
    let status = loop {
        let request = client
            .get(format!("http://127.0.0.1:{port}/users"))
            .bearer_auth(key.trim());
        match request.send().await {
            Ok(answer) => break answer.status(),
            Err(_) => assert!(since.elapsed() < Duration::from_secs(20)),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(status, StatusCode::OK);
    // Beside a running service the commands use its database.
    assert!(run(&["migrate"]).contains("up to date"));
    assert!(
        Command::new("kill")
            .arg(serve.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    assert!(serve.wait().unwrap().success());
}
