//! What no well-meaning client sends, over a raw socket: a clear refusal or a closed connection, and nothing in the log.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::support::{app::KEYS, db::TestDb};

struct Service {
    running: Child,
    port: u16,
    folder: tempfile::TempDir,
    _db: TestDb,
}

impl Service {
    /// `enlist serve` as a process of its own: so its log is that of these requests alone.
    fn start() -> Self {
        let db = TestDb::migrated();
        let folder = tempfile::tempdir().unwrap();
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let running = Command::new(env!("CARGO_BIN_EXE_enlist"))
            .arg("serve")
            .current_dir(folder.path())
            .env("DATABASE_URL", db.service_url())
            .env("ENLIST_LISTEN", format!("127.0.0.1:{port}"))
            .env("ENLIST_SMTP_URL", "smtp://127.0.0.1:1")
            .env("ENLIST_PUBLIC_URL", "https://enroll.example.com")
            .env("ENLIST_MAIL_FROM", "it@example.com")
            .env("ENLIST_SECRET_KEYS", KEYS)
            .env("ENLIST_LIMIT_CLIENT", "1000")
            .env("ENLIST_LOG", "warn")
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let service = Self {
            running,
            port,
            folder,
            _db: db,
        };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it is not up");
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }

    /// Everything that comes back until the service closes, or has said all that it will to a client that is done.
    fn ask(&self, request: &[u8]) -> String {
        let mut client = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        // The service may refuse and close before it has read everything.
        let _ = client.write_all(request);
        let _ = client.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

/// The statuses of all answers: two to one request would be a smuggled one.
fn statuses(answer: &str) -> Vec<&str> {
    let heads = answer.match_indices("HTTP/1.").map(|(at, _)| &answer[at..]);
    heads.filter_map(|head| head.get(9..12)).collect()
}

#[test]
fn malformed_and_hostile_requests_are_refused_or_dropped() {
    let service = Service::start();
    let port = service.port;
    let host = format!("Host: localhost:{port}\r\nConnection: close\r\n");
    let post = "POST /enrollments/pin-requests HTTP/1.1\r\n";
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let json = "Content-Type: application/json\r\n";
    let many: String = (0..2_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let some: String = (0..200).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let long = "a".repeat(64 * 1024);
    // What is sent, and the statuses of the answers; without one the connection is closed.
    let table: Vec<(&str, String, &str)> = vec![
        (
            "both lengths",
            format!(
                "{post}{host}{json}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            "400",
        ),
        (
            "chunked twice",
            format!(
                "{post}{host}{json}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            "400",
        ),
        (
            "chunked in disguise",
            format!("{post}{host}{json}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
            "400",
        ),
        (
            "chunked not last",
            format!(
                "{post}{host}{json}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            "400",
        ),
        (
            "gzip",
            format!(
                "{post}{host}{json}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            "400",
        ),
        (
            "two lengths",
            format!(
                "{post}{host}{json}Content-Length: 2\r\nContent-Length: 4\r\n\r\n{{}}{smuggled}"
            ),
            "400",
        ),
        (
            "the same length twice",
            format!("{post}{host}{json}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}"),
            "400",
        ),
        (
            "a list of lengths",
            format!("{post}{host}{json}Content-Length: 2, 2\r\n\r\n{{}}"),
            "400",
        ),
        (
            "a signed length",
            format!("{post}{host}{json}Content-Length: +2\r\n\r\n{{}}"),
            "400",
        ),
        (
            "a negative length",
            format!("{post}{host}{json}Content-Length: -2\r\n\r\n{{}}"),
            "400",
        ),
        (
            "a hexadecimal length",
            format!("{post}{host}{json}Content-Length: 0x2\r\n\r\n{{}}"),
            "400",
        ),
        (
            "an endless length",
            format!("{post}{host}{json}Content-Length: 99999999999999999999\r\n\r\n{{}}"),
            "400",
        ),
        (
            "a huge length",
            format!("{post}{host}{json}Content-Length: 9223372036854775807\r\n\r\n{{}}"),
            "413",
        ),
        (
            "a huge chunk",
            format!("{post}{host}{json}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{{}}"),
            "400",
        ),
        (
            "a chunk of no size",
            format!("{post}{host}{json}Transfer-Encoding: chunked\r\n\r\n\r\n{{}}\r\n0\r\n\r\n"),
            "400",
        ),
        (
            "a chunk that is too short",
            format!("{post}{host}{json}Transfer-Encoding: chunked\r\n\r\n5\r\n{{}}\r\n0\r\n\r\n"),
            "400",
        ),
        (
            "a chunk with an extension",
            format!(
                "{post}{host}{json}Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{{}}\r\n0\r\n\r\n"
            ),
            "422",
        ),
        (
            "a body that is cut",
            format!("{post}{host}{json}Content-Length: 50\r\n\r\n{{\"user"),
            "400",
        ),
        (
            "folding",
            format!("GET /healthz HTTP/1.1\r\n{host}X-Folded: a\r\n b\r\n\r\n"),
            "400",
        ),
        (
            "folding at the first",
            "GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n".to_owned(),
            "400",
        ),
        (
            "a blank before the colon",
            format!("{post}{host}{json}Content-Length : 2\r\n\r\n{{}}"),
            "400",
        ),
        (
            "a header without a name",
            format!("GET /healthz HTTP/1.1\r\n{host}: x\r\n\r\n"),
            "400",
        ),
        (
            "a header without a colon",
            format!("GET /healthz HTTP/1.1\r\n{host}nothing\r\n\r\n"),
            "400",
        ),
        (
            "NUL in a header",
            format!("GET /healthz HTTP/1.1\r\n{host}X-A: a\0b\r\n\r\n"),
            "400",
        ),
        (
            "NUL in the target",
            format!("GET /health\0z HTTP/1.1\r\n{host}\r\n"),
            "400",
        ),
        (
            "a lone CR",
            format!("GET /healthz HTTP/1.1\r\n{host}X-A: a\rX-B: b\r\n\r\n"),
            "400",
        ),
        (
            "lone LFs",
            "GET /healthz HTTP/1.1\nHost: localhost\nConnection: close\n\n".to_owned(),
            "200",
        ),
        (
            "a header without end",
            format!("GET /healthz HTTP/1.1\r\n{host}X-Long: {long}"),
            "431",
        ),
        (
            "a head that is cut",
            format!("GET /healthz HTTP/1.1\r\n{host}X-A: "),
            "",
        ),
        ("a target without end", format!("GET /{long}"), "431"),
        (
            "a long method",
            format!("{long} / HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            "200 headers",
            format!("GET /healthz HTTP/1.1\r\n{host}{some}\r\n"),
            "431",
        ),
        (
            "2,000 headers",
            format!("GET /healthz HTTP/1.1\r\n{host}{many}\r\n"),
            "431",
        ),
        (
            "an absolute target",
            format!("GET http://evil.example/healthz HTTP/1.1\r\n{host}\r\n"),
            "200",
        ),
        (
            "an absolute target of nobody",
            format!("GET http:///healthz HTTP/1.1\r\n{host}\r\n"),
            "400",
        ),
        (
            "an authority as target",
            format!("GET evil.example:80 HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            "an asterisk",
            format!("OPTIONS * HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            "an asterisk to read",
            format!("GET * HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            "a target without a slash",
            format!("GET healthz HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            "climbing",
            format!("GET /docs/../../../etc/passwd HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            "climbing, encoded",
            format!("GET /docs/%2e%2e%2f%2e%2e%2fetc/passwd HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            "half an encoding",
            format!("GET /users/%f HTTP/1.1\r\n{host}\r\n"),
            "401",
        ),
        (
            "no UTF-8",
            format!("GET /users/%ff%fe HTTP/1.1\r\n{host}\r\n"),
            "401",
        ),
        (
            "CONNECT",
            format!("CONNECT evil.example:443 HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            "TRACE",
            format!("TRACE /healthz HTTP/1.1\r\n{host}\r\n"),
            "405",
        ),
        (
            "a method of its own",
            format!("BREW /healthz HTTP/1.1\r\n{host}\r\n"),
            "405",
        ),
        (
            "upgrade to a socket",
            "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".to_owned(),
            "200",
        ),
        (
            "upgrade to HTTP/2",
            "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n".to_owned(),
            "200",
        ),
        (
            "HTTP/2 at once",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned(),
            "400",
        ),
        ("HTTP/0.9", "GET /healthz\r\n".to_owned(), "400"),
        (
            "HTTP/1.2",
            format!("GET /healthz HTTP/1.2\r\n{host}\r\n"),
            "400",
        ),
        (
            "HTTP/9.9",
            format!("GET /healthz HTTP/9.9\r\n{host}\r\n"),
            "400",
        ),
        (
            "no host",
            "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            "400",
        ),
        (
            "two hosts",
            format!("GET /healthz HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n"),
            "400",
        ),
        (
            "TLS",
            "\x16\x03\x01\x02\0\x01\0\x01\u{7f}\x03\x03".to_owned(),
            "400",
        ),
        (
            "nothing but ends of lines",
            "\r\n\r\n\r\n\r\n".to_owned(),
            "",
        ),
        ("nothing", String::new(), ""),
        (
            "a body on GET",
            format!("GET /healthz HTTP/1.1\r\n{host}{json}Content-Length: 2\r\n\r\n{{}}"),
            "200",
        ),
        (
            "a chunked body on GET",
            format!(
                "GET /healthz HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
            ),
            "200",
        ),
        (
            "a body on HEAD",
            format!("HEAD /healthz HTTP/1.1\r\n{host}Content-Length: 2\r\n\r\n{{}}"),
            "200",
        ),
        (
            "expectations",
            format!("{post}{host}{json}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{{}}"),
            "100 422",
        ),
        (
            "other expectations",
            format!("{post}{host}{json}Expect: the-unexpected\r\nContent-Length: 2\r\n\r\n{{}}"),
            "422",
        ),
    ];
    for (name, request, expected) in table {
        let answer = service.ask(request.as_bytes());
        let told = statuses(&answer).join(" ");
        // Whoever sends more than is read may be cut off before the answer is.
        let is_cut = told.is_empty() && request.len() > 32 * 1024;
        assert!(told == expected || is_cut, "{name}: {answer}");
    }
    let alive = service.ask(format!("GET /healthz HTTP/1.1\r\n{host}\r\n").as_bytes());
    assert_eq!(statuses(&alive), ["200"]);
    // A head that cannot be read is told of by the framework itself.
    let log = service.log();
    let told = log
        .lines()
        .filter(|line| !line.contains("request parse error"));
    assert_eq!(told.collect::<Vec<_>>(), [""; 0]);
}
