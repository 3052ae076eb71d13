//! An instance that is told to stop goes without anybody noticing.

use std::{
    net::TcpListener,
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Response, StatusCode, Version};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{app::KEYS, cable::Cable, db::TestDb, http_client, smtp::SmtpSink};

struct Service {
    running: Child,
    base: String,
    client: Client,
    /// What systemd hears.
    supervisor: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Service {
    async fn start(database: &str, sink: &SmtpSink, drain: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .unwrap()
            .port();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let supervisor = UnixDatagram::bind(&socket).unwrap();
        supervisor
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let running = Command::new(env!("CARGO_BIN_EXE_enlist"))
            .arg("serve")
            .current_dir(folder.path())
            .env("DATABASE_URL", database)
            .env("ENLIST_LISTEN", format!("127.0.0.1:{port}"))
            .env("ENLIST_SMTP_URL", sink.url())
            .env("ENLIST_SECRET_KEYS", KEYS)
            .env("ENLIST_DRAIN", drain)
            .env("ENLIST_LOG", "warn")
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            running,
            base: format!("http://127.0.0.1:{port}"),
            client: http_client().build().unwrap(),
            supervisor,
            _folder: folder,
        }
    }

    fn hears(&self) -> String {
        let mut bytes = [0; 256];
        let read = self.supervisor.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..read]).trim().to_owned()
    }

    async fn get(&self, path: &str) -> Response {
        let url = format!("{}{path}", self.base);
        self.client.get(url).send().await.unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.running), signal).unwrap();
    }

    async fn ends(mut self) -> bool {
        let ended = tokio::task::spawn_blocking(move || self.running.wait().unwrap());
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
        ended.unwrap().unwrap().success()
    }
}

#[tokio::test]
async fn whoever_is_told_to_stop_answers_a_little_longer_and_says_so() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let service = Service::start(&db.url, &sink, "3").await;
    assert_eq!(service.hears(), "READY=1");
    let ready = service.get("/readyz").await;
    assert_eq!(ready.status(), StatusCode::OK);
    assert!(!ready.headers().contains_key("connection"));
    let told_at = Instant::now();
    service.signal(Signal::TERM);
    assert_eq!(service.hears(), "STOPPING=1");
    let mut answers = 0;
    while told_at.elapsed() < Duration::from_secs(2) {
        let ready = service.get("/readyz").await;
        assert_eq!(ready.version(), Version::HTTP_11);
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ready.headers()["connection"], "close");
        let alive = service.get("/healthz").await;
        assert_eq!(alive.status(), StatusCode::OK);
        assert_eq!(alive.headers()["connection"], "close");
        answers += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(answers > 1);
    assert!(service.ends().await);
    assert!(told_at.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn whoever_is_at_a_terminal_does_not_wait() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let service = Service::start(&db.url, &sink, "600").await;
    assert_eq!(service.hears(), "READY=1");
    service.signal(Signal::INT);
    assert!(service.ends().await);
}

#[tokio::test]
async fn it_ends_though_a_database_that_says_nothing_is_waited_for() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let cable = Cable::to(&db);
    let service = Service::start(&cable.url(&db), &sink, "0").await;
    assert_eq!(service.hears(), "READY=1");
    cable.cut();
    // One that waits until the process ends.
    let answer = service.get("/readyz").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    service.signal(Signal::TERM);
    assert!(service.ends().await);
}
