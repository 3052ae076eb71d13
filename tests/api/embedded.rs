//! The embedded Postgres, for real: started, killed, started again. Runs as root and as anybody else.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::BigInt,
};
use enlist::embedded::postgres::{Options, Postgres, url_of_running};
use rustix::process::{Pid, Signal, kill_process};

/// Where the helper process finds its data directory.
const HELPER: &str = "ENLIST_TEST_SUPERVISE";

/// A directory for one test, removed with whatever folder elsewhere the database was put in.
struct Scratch {
    top: PathBuf,
    dir: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("enlist-test-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            top: dir.clone(),
            dir,
        }
    }

    /// The data directory, as it is given.
    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data().join("postgres").join(name)
    }

    fn start(&self) -> Postgres {
        Postgres::start(&self.data(), Options::default()).unwrap()
    }

    /// What a start says that must fail: one line.
    fn refused(&self, options: Options) -> String {
        let told = Postgres::start(&self.data(), options)
            .expect_err("started, and should not have")
            .to_string();
        assert_eq!(told.lines().count(), 1, "{told}");
        told
    }

    fn postmaster(&self) -> Pid {
        let file = fs::read_to_string(self.file("data/postmaster.pid")).unwrap();
        Pid::from_raw(file.lines().next().unwrap().parse().unwrap()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A test that failed half-way may leave a Postgres behind.
        for process in fs::read_dir("/proc").unwrap().flatten() {
            if fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&self.top))
            {
                let pid = process
                    .file_name()
                    .to_str()
                    .and_then(|pid| pid.parse().ok());
                let _ = kill_process(pid.and_then(Pid::from_raw).unwrap(), Signal::KILL);
            }
        }
        if let Ok(elsewhere) = fs::read_link(self.data().join("postgres")) {
            let _ = fs::remove_dir_all(elsewhere);
        }
        let _ = fs::remove_dir_all(&self.top);
    }
}

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn stored(url: &str) -> Vec<i64> {
    let rows: Vec<Row> = sql_query("SELECT n FROM written ORDER BY n")
        .load(&mut connect(url))
        .unwrap();
    rows.into_iter().map(|row| row.n).collect()
}

fn create_table(url: &str) {
    connect(url)
        .batch_execute("CREATE TABLE written (n bigint PRIMARY KEY)")
        .unwrap();
}

/// Writes numbers from several connections, each in a transaction of its own, until they break.
struct Writers {
    threads: Vec<thread::JoinHandle<Vec<i64>>>,
}

impl Writers {
    /// Gives them back once each has written something.
    fn begin(url: &str) -> Self {
        let (first, begun) = mpsc::channel();
        let begin = stored(url).last().copied().unwrap_or(0) + 1;
        let threads = (0..3)
            .map(|writer| {
                let (mut connection, first) = (connect(url), first.clone());
                thread::spawn(move || {
                    let mut answered = Vec::new();
                    let begun = Instant::now();
                    for n in (begin + writer..).step_by(3) {
                        let insert = format!("INSERT INTO written VALUES ({n})");
                        if connection.batch_execute(&insert).is_err() {
                            break;
                        }
                        answered.push(n);
                        assert!(begun.elapsed() < Duration::from_secs(20), "it never broke");
                        if answered.len() == 20 {
                            first.send(()).unwrap();
                        }
                    }
                    answered
                })
            })
            .collect();
        for _ in 0..3 {
            begun.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        Self { threads }
    }

    /// Waits until all connections broke. Gives what was answered for.
    fn answered(self) -> Vec<i64> {
        self.threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    }
}

#[track_caller]
fn assert_all_there(url: &str, answered: &[i64]) {
    let stored = stored(url);
    let lost: Vec<_> = answered
        .iter()
        .filter(|n| stored.binary_search(n).is_err())
        .collect();
    assert!(lost.is_empty(), "answered for and lost: {lost:?}");
}

#[track_caller]
fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn runs(pid: Pid) -> bool {
    // A zombie has no directory to be in.
    fs::metadata(format!("/proc/{pid}/cwd")).is_ok()
}

/// Another process that starts Postgres and waits to be killed.
fn supervisor(scratch: &Scratch) -> (Child, String) {
    let module = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("{module}::helper_that_supervises_until_killed"))
        .env(HELPER, scratch.data())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let url = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .find_map(|line| Some(line.unwrap().split_once("url=")?.1.to_owned()))
        .expect("the helper did not start Postgres");
    (child, url)
}

#[test]
#[ignore = "a process that other tests start and kill"]
fn helper_that_supervises_until_killed() {
    let Some(dir) = env::var_os(HELPER) else {
        return;
    };
    let postgres = Postgres::start(Path::new(&dir), Options::default()).unwrap();
    println!("url={}", postgres.url());
    std::io::stdout().flush().unwrap();
    loop {
        thread::park();
    }
}

#[test]
fn data_is_kept_and_only_one_may_use_it_at_a_time() {
    let scratch = Scratch::new();
    let first = scratch.start();
    create_table(first.url());
    connect(first.url())
        .batch_execute("INSERT INTO written VALUES (7)")
        .unwrap();

    let told = scratch.refused(Options::default());
    let me = format!("(process {})", std::process::id());
    assert!(told.contains("in use") && told.contains(&me), "{told}");
    let beside = url_of_running(&scratch.data()).expect("it runs, and is not found");
    assert_eq!(stored(&beside), [7]);

    // Nobody but its user may read the data or talk to it.
    for private in ["data", "socket"] {
        let mode = fs::metadata(scratch.file(private)).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{private}: {mode:o}");
    }
    let postmaster = scratch.postmaster();

    first.stop();
    assert!(!runs(postmaster));
    assert_eq!(url_of_running(&scratch.data()), None);

    let second = scratch.start();
    assert_eq!(stored(second.url()), [7]);
    drop(second);

    let options = Options {
        fresh: true,
        ..Options::default()
    };
    let fresh = Postgres::start(&scratch.data(), options).unwrap();
    create_table(fresh.url());
    assert!(stored(fresh.url()).is_empty());
}

#[test]
fn a_killed_postmaster_is_started_again_until_it_is_hopeless() {
    let scratch = Scratch::new();
    let mut postgres = scratch.start();
    create_table(postgres.url());
    let mut answered = Vec::new();
    for round in 1.. {
        let writers = Writers::begin(postgres.url());
        let postmaster = scratch.postmaster();
        kill_process(postmaster, Signal::KILL).unwrap();
        answered.extend(writers.answered());
        if round == 6 {
            break;
        }
        soon("a new postmaster answers", || {
            PgConnection::establish(postgres.url()).ok()
        });
        assert_ne!(scratch.postmaster(), postmaster);
        assert_all_there(postgres.url(), &answered);
    }
    let told = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(Duration::from_secs(20), postgres.gave_up()).await })
        .expect("it goes on for ever")
        .to_string();
    assert!(told.contains("does not last"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    drop(postgres);
    assert_all_there(scratch.start().url(), &answered);
}

#[test]
fn kill_9_of_the_service_of_postgres_or_of_both_loses_nothing() {
    let scratch = Scratch::new();
    let mut answered = Vec::new();
    for (service, postgres) in [(true, false), (true, true), (true, false), (true, true)] {
        let (mut child, url) = supervisor(&scratch);
        if answered.is_empty() {
            create_table(&url);
        }
        assert_all_there(&url, &answered);
        let writers = Writers::begin(&url);
        let postmaster = scratch.postmaster();
        if postgres {
            kill_process(postmaster, Signal::KILL).unwrap();
        }
        if service {
            child.kill().unwrap();
        }
        child.wait().unwrap();
        answered.extend(writers.answered());
    }
    // Nobody starts it again: it ends by itself, since nobody would ever stop it.
    let (mut child, url) = supervisor(&scratch);
    let postmaster = scratch.postmaster();
    child.kill().unwrap();
    child.wait().unwrap();
    soon("Postgres ends after its service", || {
        (!runs(postmaster)).then_some(())
    });
    assert!(PgConnection::establish(&url).is_err());
    assert_all_there(scratch.start().url(), &answered);
}

#[test]
fn busy_children_of_a_killed_postmaster_do_not_block_the_next_start() {
    let scratch = Scratch::new();
    let (mut child, url) = supervisor(&scratch);
    let busy = thread::spawn({
        let mut connection = connect(&url);
        move || {
            // Busy without ever looking whether the postmaster is there.
            let spin = "SELECT count(*) FROM (SELECT generate_series(1, 100000000000)) AS n";
            connection.batch_execute(spin).is_err()
        }
    });
    let working: i64 = soon("the query runs", || {
        let rows: Vec<Row> = sql_query(
            "SELECT pid::bigint AS n FROM pg_stat_activity WHERE state = 'active' \
             AND query LIKE '%(SELECT gen%' AND pid <> pg_backend_pid()",
        )
        .load(&mut connect(&url))
        .unwrap();
        rows.first().map(|row| row.n)
    });
    let working = Pid::from_raw(working.try_into().unwrap()).unwrap();
    // Stopped, it cannot end its children when its supervisor goes.
    kill_process(scratch.postmaster(), Signal::STOP).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    kill_process(scratch.postmaster(), Signal::KILL).unwrap();
    assert!(runs(working), "nothing was left to be ended");
    let begun = Instant::now();
    drop(scratch.start());
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert!(!runs(working));
    assert!(busy.join().unwrap(), "the query was answered");
}

#[test]
fn what_an_earlier_start_left_does_no_harm() {
    let scratch = Scratch::new();
    // An initdb that was killed half-way.
    fs::create_dir_all(scratch.file("data.init/base/1")).unwrap();
    fs::write(scratch.file("data.init/PG_VERSION"), "15\n").unwrap();
    let postgres = scratch.start();
    create_table(postgres.url());
    assert!(!scratch.file("data.init").exists());
    postgres.stop();

    // A postmaster.pid from before a reboot: its process is another one today (this one).
    let stale = format!(
        "{}\n{}\n1700000000\n5432\n{}\n\n  5432001         1\nready   \n",
        std::process::id(),
        scratch.file("data").display(),
        scratch.file("socket").display(),
    );
    fs::write(scratch.file("data/postmaster.pid"), stale).unwrap();
    let postgres = scratch.start();
    assert!(stored(postgres.url()).is_empty());
    assert_ne!(
        scratch.postmaster().as_raw_pid().cast_unsigned(),
        std::process::id()
    );
}

#[test]
fn a_path_too_long_for_a_socket_or_closed_to_others_will_do() {
    let mut scratch = Scratch::new();
    scratch.dir = scratch.top.join("a, \"b\" é%").join("d".repeat(120));
    fs::create_dir_all(&scratch.dir).unwrap();
    let postgres = scratch.start();
    create_table(postgres.url());
    let socket = url_of_running(&scratch.data()).expect("it runs, and is not found");
    assert_eq!(socket, postgres.url());
    postgres.stop();
    let again = scratch.start();
    assert_eq!(again.url(), socket);
    again.stop();

    // As root, Postgres' user cannot come in here; as anybody else, it is us and can.
    scratch.dir = scratch.top.join("closed");
    fs::create_dir(&scratch.dir).unwrap();
    fs::set_permissions(&scratch.dir, fs::Permissions::from_mode(0o700)).unwrap();
    let postgres = scratch.start();
    create_table(postgres.url());
    let is_link = fs::read_link(scratch.data().join("postgres")).is_ok();
    assert_eq!(is_link, rustix::process::geteuid().is_root());
    postgres.stop();
    // Wherever it is, it is found again, even if it could be here now.
    fs::set_permissions(&scratch.dir, fs::Permissions::from_mode(0o755)).unwrap();
    let postgres = scratch.start();
    assert!(stored(postgres.url()).is_empty());
}

/// Programs that are not Postgres, to see what is said when they fail.
fn fake_binaries(scratch: &Scratch, postgres: &str, initdb: &str) -> Options {
    let bin_dir = scratch.dir.join("bin");
    fs::create_dir_all(&bin_dir).unwrap();
    for (name, script) in [("postgres", postgres), ("initdb", initdb)] {
        let path = bin_dir.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    Options {
        bin_dir: Some(bin_dir),
        start_within: Duration::from_secs(1),
        ..Options::default()
    }
}

#[test]
fn whatever_is_wrong_is_said_in_one_line() {
    let scratch = Scratch::new();
    let says = |options: &Options, words: &[&str]| {
        let told = scratch.refused(options.clone());
        for word in words {
            assert!(told.contains(word), "`{word}` is missing in: {told}");
        }
    };
    let version = "[ \"$1\" = --version ] && echo 'postgres (PostgreSQL) 15.3' && exit 0";

    fs::write(scratch.data(), "a file in its place").unwrap();
    let data = scratch.data();
    says(
        &Options::default(),
        &["ENLIST_DATA_DIR", data.to_str().unwrap()],
    );
    fs::remove_file(scratch.data()).unwrap();
    fs::create_dir(scratch.data()).unwrap();
    fs::write(scratch.data().join("postgres"), "a file in its place").unwrap();
    says(&Options::default(), &["ENLIST_DATA_DIR", "postgres"]);
    fs::remove_file(scratch.data().join("postgres")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", scratch.data().join("postgres")).unwrap();
    says(&Options::default(), &["ENLIST_DATA_DIR", "gone"]);
    fs::remove_file(scratch.data().join("postgres")).unwrap();

    let none = Options {
        bin_dir: Some(scratch.dir.join("no-bin")),
        ..Options::default()
    };
    says(
        &none,
        &[
            "no-bin",
            "apt-get install postgresql",
            "ENLIST_POSTGRES_BIN",
        ],
    );
    says(
        &fake_binaries(&scratch, "echo no luck >&2", ""),
        &["cannot run", "no luck"],
    );

    let full = "echo creating; echo 'initdb: error: No space left on device' >&2; exit 1";
    says(
        &fake_binaries(&scratch, version, full),
        &["initdb failed", "No space left on device"],
    );
    assert!(!scratch.file("data").exists());

    let makes = "echo 15 > \"$2/PG_VERSION\"";
    let ends = format!("{version}\nenv >&2; echo 'FATAL:  out of luck' >&2; exit 3");
    let options = fake_binaries(&scratch, &ends, makes);
    says(
        &options,
        &[
            "did not start",
            "exit status: 3",
            "out of luck",
            "postgres.log",
        ],
    );
    let log = fs::read_to_string(scratch.file("postgres.log")).unwrap();
    assert!(
        !log.contains("CARGO"),
        "it was given our environment: {log}"
    );
    let hangs = format!("{version}\necho hanging >&2; exec sleep 600");
    let options = fake_binaries(&scratch, &hangs, makes);
    says(&options, &["did not start", "within 1s", "hanging"]);

    fs::write(scratch.file("data/PG_VERSION"), "9\n").unwrap();
    says(
        &options,
        &[
            "made by PostgreSQL 9",
            "only 15",
            "apt-get install postgresql-9",
        ],
    );
}

/// What Postgres says of a refused row must not bring addresses into its log.
#[test]
fn the_log_holds_no_rows() {
    let scratch = Scratch::new();
    let postgres = scratch.start();
    let mut connection = connect(postgres.url());
    connection
        .batch_execute("CREATE TABLE people (email text CONSTRAINT taken UNIQUE)")
        .unwrap();
    let mut insert = || {
        sql_query("INSERT INTO people VALUES ($1)")
            .bind::<diesel::sql_types::Text, _>("ada@example.com")
            .execute(&mut connection)
    };
    insert().unwrap();
    insert().expect_err("twice");
    let log = soon("the log tells of it", || {
        let log = fs::read_to_string(scratch.file("postgres.log")).unwrap();
        log.contains("\"taken\"").then_some(log)
    });
    assert!(!log.contains("ada@example.com"), "{log}");
}
