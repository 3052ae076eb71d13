//! What is secret is in nothing that the program prints, whatever is wrong and however much is logged.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    support::{db::TestDb, smtp::SmtpSink},
    variables::run,
};

const ENLIST: &str = env!("CARGO_BIN_EXE_enlist");

/// In every secret. As base64 it is 32 bytes.
const KEYS: &str = "k1:M4RKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn silent(told: &str) {
    if let Some(at) = told.find("M4RK") {
        panic!(
            "{}",
            String::from_utf8_lossy(
                &told.as_bytes()[at.saturating_sub(400)..(at + 40).min(told.len())]
            )
        );
    }
}

/// What a command prints.
fn told(args: &[&str], variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), args, variables).1
}

#[tokio::test]
async fn no_command_prints_a_secret_variable() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let database = format!("{}&password=M4RKdatabase", db.url);
    let smtp = sink
        .url()
        .replace("smtp://", "smtp://it%40example.com:M4RKsmtp@");
    let mailbox = sink.url().replace("smtp://", "smtp://it%40example.com@");
    let good = [
        ("DATABASE_URL", database.as_str()),
        ("ENLIST_SMTP_URL", &smtp),
        ("ENLIST_SECRET_KEYS", KEYS),
        ("ENLIST_LOG", "trace"),
    ];
    let token_url = ("ENLIST_SMTP_OAUTH_TOKEN_URL", "http://127.0.0.1:1/token");
    let oauth = [
        ("ENLIST_SMTP_URL", mailbox.as_str()),
        token_url,
        ("ENLIST_SMTP_OAUTH_CLIENT_ID", "enlist"),
        ("ENLIST_SMTP_OAUTH_CLIENT_SECRET", "M4RKsecret"),
        ("ENLIST_SMTP_OAUTH_SCOPE", "mail"),
        ("ENLIST_SMTP_OAUTH_REFRESH_TOKEN", "M4RKrefresh"),
    ];
    let odd = [
        ("DATABASE_URL", "postgres://u:M4RKdatabase@127.0.0.1:1/x"),
        ("DATABASE_URL", "postgres://u:M4RKdatabase@127.0.0.1:1:2/x"),
        ("DATABASE_URL", "postgres://u:M4RK%zzdatabase@h/x?y=z"),
        ("DATABASE_URL", "password=M4RKdatabase host="),
        ("DATABASE_URL", "M4RKdatabase"),
        ("ENLIST_SMTP_URL", "smtp://u:M4RKsmtp@h:port"),
        ("ENLIST_SMTP_URL", "smtp://u:M4RKsmtp@127.0.0.1:1"),
        ("ENLIST_SMTP_URL", "smtp://u:M4RKsmtp@h.example?tls=maybe"),
        ("ENLIST_SMTP_URL", "ftp://u:M4RKsmtp@h.example"),
        ("ENLIST_SMTP_URL", "u:M4RKsmtp@h.example"),
        ("ENLIST_SMTP_URL", "smtp://M4RKsmtp:@h.example/"),
        ("ENLIST_SECRET_KEYS", "k1:M4RK"),
        ("ENLIST_SECRET_KEYS", "M4RKAAAA"),
        ("ENLIST_SECRET_KEYS", "k1:M4RK%AAA"),
        ("ENLIST_SECRET_KEYS", "k1;M4RKAAAA,k2:M4RK"),
        ("ENLIST_SMTP_OAUTH_CLIENT_SECRET", "M4RK\nsecret"),
        ("ENLIST_SMTP_OAUTH_REFRESH_TOKEN", "M4RKé"),
        ("ENLIST_SMTP_OAUTH_TOKEN_URL", "https://u:M4RK@h.example"),
        ("ENLIST_SMTP_OAUTH_TOKEN_URL", "M4RKtoken"),
    ];
    let mut settings = vec![good.to_vec(), [&good[..], &oauth[..]].concat()];
    settings.extend(odd.map(|odd| [&good[..], &[odd]].concat()));
    settings.extend(odd.map(|odd| [&good[..], &oauth[..], &[odd]].concat()));
    for variables in settings {
        let variables: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let told = tokio::task::spawn_blocking(move || {
            let variables: Vec<(&str, &str)> = variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            told(&["check"], &variables)
        });
        silent(&told.await.unwrap());
    }
    let all = [&good[..], &oauth[..]].concat();
    for args in [
        &["help", "serve"][..],
        &["serve", "--help"],
        &["check", "-h"],
        &["mail", "test", "--help"],
        &["bounce", "--help"],
        &["audit", "verify", "--help"],
        &["users", "import", "--help"],
        &["migrate"],
        &["serve", "--nonsense"],
        &["serve", "--listen", "nowhere"],
    ] {
        silent(&told(args, &all));
    }
}

/// One answer to bytes that may be no request.
fn ask(port: u16, request: &[u8]) -> String {
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    client.write_all(request).unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_service_that_logs_everything_logs_no_secret_and_strangers_make_no_errors() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut running = Command::new(ENLIST)
        .arg("serve")
        .env("DATABASE_URL", format!("{}&password=M4RKdatabase", db.url))
        .env("ENLIST_LISTEN", format!("127.0.0.1:{port}"))
        .env(
            "ENLIST_SMTP_URL",
            sink.url().replace("smtp://", "smtp://it:M4RKsmtp@"),
        )
        .env("ENLIST_SECRET_KEYS", KEYS)
        .env("ENLIST_LOG", "trace")
        .stdout(fs::File::create(&log).unwrap())
        .stderr(fs::File::options().append(true).open(&log).unwrap())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is not up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = tokio::task::spawn_blocking(move || {
        for (request, status) in [
            ("GET /enroll/M4RKtoken HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
            (
                "GET /enroll/M4RKtoken?x=M4RK HTTP/1.1\r\nHost: x\r\nReferer: https://x/enroll/M4RK\r\n\r\n",
                "404",
            ),
            ("GET /enroll/%4D4RK/M4RK HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
            (
                "GET /users?q=M4RK HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer enl_M4RK\r\nIdempotency-Key: M4RK\r\n\r\n",
                "401",
            ),
            ("GET /enroll/M4RKtoken HTTP/9.9\r\nHost: x\r\n\r\n", "400"),
            ("GET /enroll/M4RK token HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
            ("GET /enroll/M4RK\u{1} HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
            ("G@T /enroll/M4RK HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
            (
                "GET /enroll/M4RK HTTP/1.1\r\nHost: x\r\nContent-Length: x4\r\n\r\n",
                "400",
            ),
            (
                "GET /enroll/M4RK HTTP/1.1\r\nHost: x\r\nHost: M4RK\r\n\r\n",
                "400",
            ),
            (
                "GET http://[M4RK/enroll/M4RK HTTP/1.1\r\nHost: x\r\n\r\n",
                "400",
            ),
            (
                "POST /enrollments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"token\": \"M4RK\"}",
                "422",
            ),
        ] {
            let answer = ask(port, request.as_bytes());
            assert!(answer.ends_with(status), "{request}: {answer}");
        }
        let head = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
            "M4RK".repeat(50_000)
        );
        assert!(ask(port, head.as_bytes()).ends_with("431"));
    });
    let asked = asked.await;
    running.kill().unwrap();
    running.wait().unwrap();
    asked.unwrap();
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains("parse error"), "it logs everything: {told}");
    assert!(told.contains("/enroll/{token}"));
    assert!(!told.contains("ERROR"), "{told}");
    silent(&told);
}
