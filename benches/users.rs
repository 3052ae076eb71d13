//! Users at scale, against ceilings taken in the same run: `cargo bench --bench users`.
//!
//! A private Postgres with its durability as it comes, 100,000 users in 100 groups, the release
//! service, and 16 connections. The ceiling is pgbench with the same statement, prepared, over the
//! same number of connections on the same cores; for the import it is COPY of the same rows.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use enlist::{
    db,
    embedded::postgres::{Options, Postgres},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const USERS: u32 = 100_000;
const CONNECTIONS: usize = 16;

fn main() {
    let seconds = std::env::var("SECONDS_EACH").map_or(8, |text| text.parse().expect("a number"));
    let place = tempfile::tempdir().expect("a folder");
    // Run by root, Postgres runs as another user and has to get in.
    Command::new("chmod")
        .arg("755")
        .arg(place.path())
        .status()
        .expect("chmod");
    let postgres = Postgres::start(place.path(), Options::default()).expect("Postgres");
    let bench = Bench {
        url: postgres.url().to_owned(),
        place: place.path().to_owned(),
        seconds,
    };
    db::migrate(&bench.url).expect("migrations");
    bench.sql(&fill());
    println!(
        "{USERS} users, {CONNECTIONS} connections, {seconds} s each, {} cores\n",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    println!(
        "| what | Enlist /s | p50 ms | p99 ms | ceiling /s | ratio |\n|---|---:|---:|---:|---:|---:|"
    );
    let service = Service::start(&bench.url);
    let deep = service.cursor("/users?limit=50", 1_000);
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

struct Bench {
    url: String,
    place: PathBuf,
    seconds: u64,
}

impl Bench {
    fn sql(&self, statements: &str) {
        let done = tool("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url])
            // One by one: some may not be in a transaction with others.
            .args(
                statements
                    .split_inclusive(';')
                    .flat_map(|statement| ["-c", statement]),
            )
            .stdout(Stdio::null())
            .status()
            .expect("psql");
        assert!(done.success());
    }

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

    /// Transactions a second of a script.
    fn pgbench(&self, script: &str) -> f64 {
        let file = self.place.join("script.sql");
        fs::write(&file, script).expect("the script");
        let output = tool("pgbench")
            .args([
                "-n",
                "-M",
                "prepared",
                "-c",
                &CONNECTIONS.to_string(),
                "-j",
                "2",
                "-T",
                &self.seconds.to_string(),
                "-f",
            ])
            .arg(&file)
            .arg(&self.url)
            // As the service's own connections plan.
            .env("PGOPTIONS", "-c plan_cache_mode=force_generic_plan")
            .output()
            .expect("pgbench");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
            .unwrap_or_else(|| {
                let told = String::from_utf8_lossy(&output.stderr);
                panic!("pgbench failed: {told}\n{script}")
            })
    }

    fn row(&self, name: &str, ours: &Load, ceiling: f64) {
        println!(
            "| {name} | {:.0} | {:.1} | {:.1} | {ceiling:.0} | {:.2} |",
            ours.per_second,
            ours.percentile(0.5),
            ours.percentile(0.99),
            ours.per_second / ceiling
        );
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

/// A program of Postgres, which Debian keeps out of the way.
fn tool(name: &str) -> Command {
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    Command::new(found.pop().unwrap_or_else(|| name.into()))
}

/// The release service, killed at the end.
struct Service {
    child: Child,
    address: SocketAddr,
    key: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(url: &str) -> Self {
        let run = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_enlist"));
            command.args(args).env("DATABASE_URL", url);
            command
        };
        let key = run(&["api-keys", "create", "--name", "bench", "--role", "admin"])
            .output()
            .expect("a key");
        let address: SocketAddr = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            free.local_addr().expect("its number")
        };
        let child = run(&["serve", "--role", "api", "--listen", &address.to_string()])
            .env("ENLIST_SMTP_URL", "smtp://127.0.0.1:9")
            .env("ENLIST_ORG_NAME", "Bench")
            .env("ENLIST_SUPPORT", "help@example.com")
            .env(
                "ENLIST_SECRET_KEYS",
                "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            )
            .env("ENLIST_LOG", "warn")
            .spawn()
            .expect("the service");
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let key = String::from_utf8(key.stdout)
            .expect("text")
            .trim()
            .to_owned();
        Self {
            child,
            address,
            key,
        }
    }

    /// The largest resident set so far, in MB.
    fn peak(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = line
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0);
        kib * 1024 / 1_000_000
    }

    fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.write_all(bytes).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    /// The cursor after so many pages.
    fn cursor(&self, path: &str, pages: usize) -> String {
        let mut cursor = String::new();
        for _ in 0..pages {
            let path = if cursor.is_empty() {
                path.to_owned()
            } else {
                format!("{path}&cursor={cursor}")
            };
            let answer = self.ask(&request("GET", &path, &self.key, ""));
            let after = answer
                .split("\"next_cursor\":\"")
                .nth(1)
                .expect("another page");
            cursor = after.split('"').next().unwrap_or_default().to_owned();
        }
        cursor
    }

    /// Asks over all connections for some seconds, each the next thing once it has its answer.
    fn load(&self, seconds: u64, next: impl Fn() -> Vec<u8>) -> Load {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let address = self.address;
        let begun = Instant::now();
        let end = begun + Duration::from_secs(seconds);
        let latencies = runtime.block_on(async {
            let clients = (0..CONNECTIONS).map(|_| {
                let next = &next;
                async move {
                    let mut stream = tokio::net::TcpStream::connect(address)
                        .await
                        .expect("a connection");
                    stream.set_nodelay(true).expect("no delay");
                    let (mut latencies, mut buffer) = (Vec::new(), vec![0; 256 * 1024]);
                    while Instant::now() < end {
                        let bytes = next();
                        let asked = Instant::now();
                        stream.write_all(&bytes).await.expect("sent");
                        read_answer(&mut stream, &mut buffer).await;
                        latencies.push(asked.elapsed());
                    }
                    latencies
                }
            });
            futures_util::future::join_all(clients).await.concat()
        });
        Load::of(latencies, begun.elapsed())
    }
}

/// Reads one answer, and insists that it is a good one.
async fn read_answer(stream: &mut tokio::net::TcpStream, buffer: &mut [u8]) {
    let (mut filled, mut whole) = (0, usize::MAX);
    while filled < whole {
        let read = stream.read(&mut buffer[filled..]).await.expect("an answer");
        assert!(read > 0, "the connection ended");
        filled += read;
        if whole == usize::MAX
            && let Some(head) = buffer[..filled]
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            assert!(text.starts_with("http/1.1 20"), "{text}");
            let length = text.split("content-length: ").nth(1).expect("a length");
            let length: usize = length
                .lines()
                .next()
                .unwrap_or_default()
                .parse()
                .expect("a number");
            whole = head + 4 + length;
        }
    }
}

fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What a load came to.
struct Load {
    per_second: f64,
    latencies: Vec<Duration>,
}

impl Load {
    fn of(mut latencies: Vec<Duration>, took: Duration) -> Self {
        latencies.sort_unstable();
        Self {
            per_second: latencies.len() as f64 / took.as_secs_f64(),
            latencies,
        }
    }

    /// In milliseconds.
    fn percentile(&self, part: f64) -> f64 {
        let index = (self.latencies.len() as f64 * part) as usize;
        self.latencies
            .get(index)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }
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
    bench.sql("TRUNCATE users, groups CASCADE; CHECKPOINT;");
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
    bench.sql("TRUNCATE users CASCADE; CHECKPOINT;");
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
