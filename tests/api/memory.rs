//! What strangers make the service keep in memory.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{app::KEYS, db::TestDb, http_client, skip, smtp::SmtpSink};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Running {
    /// Its memory, in MiB.
    fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1_024)
    }
}

/// A hash takes 19 MiB, and two are made at once: that is what stays, however many strangers have had one made.
#[tokio::test]
async fn passwords_of_strangers_fill_no_memory() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let running = Running(
        Command::new(env!("CARGO_BIN_EXE_enlist"))
            .arg("serve")
            .env("DATABASE_URL", &db.url)
            .env("ENLIST_LISTEN", format!("127.0.0.1:{port}"))
            .env("ENLIST_SMTP_URL", sink.url())
            .env("ENLIST_SECRET_KEYS", KEYS)
            .env("ENLIST_LIMIT_SECRETS", "1000")
            .env("ENLIST_LIMIT_CLIENT", "1000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is not up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let Some(before) = running.memory() else {
        return skip("nothing says how much memory a process has");
    };
    let client = http_client().build().unwrap();
    for round in 0..3 {
        let tries = (0..40).map(|number| {
            let body = json!({"username": format!("nobody{round}-{number}"), "password": "wrong horse", "device": {"device_id": "x"}});
            let url = format!("http://127.0.0.1:{port}/enrollments");
            client.post(url).json(&body).send()
        });
        for answer in join_all(tries).await {
            assert_eq!(answer.unwrap().status(), 401);
        }
    }
    let after = running.memory().unwrap();
    assert!(after < before + 80, "{before} MiB, then {after} MiB");
}
