//! What the benchmarks share: a Postgres of their own, the release service, a load, and pgbench.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use enlist::{
    db,
    embedded::postgres::{Options, Postgres},
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const CONNECTIONS: usize = 16;
/// What PINs derive from.
pub const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A private Postgres with its durability as it comes, migrated.
pub struct Bench {
    pub url: String,
    pub place: PathBuf,
    pub seconds: u64,
    // Dropped in this order: the server before the folder that it is in.
    _postgres: Postgres,
    _folder: TempDir,
}

impl Bench {
    pub fn start(seconds: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Run by root, Postgres runs as another user and has to get in.
        Command::new("chmod")
            .arg("755")
            .arg(folder.path())
            .status()
            .expect("chmod");
        let postgres = Postgres::start(folder.path(), Options::default()).expect("Postgres");
        let url = postgres.url().to_owned();
        db::migrate(&url).expect("migrations");
        let bench = Self {
            url,
            place: folder.path().to_owned(),
            seconds,
            _postgres: postgres,
            _folder: folder,
        };
        // The log's details hold the parameters of statements.
        bench.sql("ALTER ROLE CURRENT_USER SET log_error_verbosity = 'default';");
        println!(
            "{CONNECTIONS} connections, {seconds} s each, {} cores\n",
            std::thread::available_parallelism().map_or(0, usize::from)
        );
        bench
    }

    /// The head of the table that [`Bench::row`] writes.
    pub fn head(&self) {
        println!(
            "| what | Enlist /s | p50 ms | p99 ms | ceiling /s | ratio |\n|---|---:|---:|---:|---:|---:|"
        );
    }

    /// What a query gives: one number.
    pub fn number(&self, query: &str) -> f64 {
        let output = tool("psql")
            .args(["-X", "-A", "-t", "-d", &self.url, "-c", query])
            .output()
            .expect("psql");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("{query}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    pub fn sql(&self, statements: &str) {
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

    /// Transactions a second of a script.
    pub fn pgbench(&self, script: &str) -> f64 {
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
                // A script counts with it.
                "-D",
                "i=0",
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

    pub fn row(&self, name: &str, ours: &Load, ceiling: f64) {
        println!(
            "| {name} | {:.0} | {:.1} | {:.1} | {ceiling:.0} | {:.2} |",
            ours.per_second,
            ours.percentile(0.5),
            ours.percentile(0.99),
            ours.per_second / ceiling
        );
    }
}

/// A program of Postgres, which Debian keeps out of the way.
pub fn tool(name: &str) -> Command {
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
pub struct Service {
    pub child: Child,
    pub address: SocketAddr,
    pub key: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// The API alone.
    pub fn start(url: &str) -> Self {
        Self::start_as(url, "api", "smtp://127.0.0.1:9")
    }

    /// An instance with a role, and the mail server that it sends to.
    pub fn start_as(url: &str, role: &str, smtp: &str) -> Self {
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
        let child = run(&["serve", "--role", role, "--listen", &address.to_string()])
            .env("ENLIST_SMTP_URL", smtp)
            .env("ENLIST_ORG_NAME", "Bench")
            .env("ENLIST_SUPPORT", "help@example.com")
            .env("ENLIST_SECRET_KEYS", KEYS)
            .env("ENLIST_LOG", "warn")
            // One address and one key ask for everybody.
            .env("ENLIST_LIMIT_KEY", "1000000")
            .env("ENLIST_LIMIT_SECRETS", "100000")
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

    /// The most memory that was resident, in megabytes.
    pub fn peak(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("the status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        kib.expect("a number") * 1_024 / 1_000_000
    }

    pub fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.write_all(bytes).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    /// Asks over all connections for some seconds, each the next thing once it has its answer.
    pub fn load(&self, seconds: u64, next: impl Fn() -> Vec<u8>) -> Load {
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

pub fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What a load came to.
pub struct Load {
    pub per_second: f64,
    pub latencies: Vec<Duration>,
}

impl Load {
    pub fn of(mut latencies: Vec<Duration>, took: Duration) -> Self {
        latencies.sort_unstable();
        Self {
            per_second: latencies.len() as f64 / took.as_secs_f64(),
            latencies,
        }
    }

    /// In milliseconds.
    pub fn percentile(&self, part: f64) -> f64 {
        let index = (self.latencies.len() as f64 * part) as usize;
        self.latencies
            .get(index)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }
}
