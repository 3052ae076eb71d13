//! A bad day: two instances share a database, one of them is killed every second, Postgres crashes once, and the mail
//! servers refuse, drop and forget to answer. At the end everybody has the mail who can have it, and what came
//! twice is explained.
//!
//! `make chaos` does it with 3,000 users and a release build: as long as it takes. Every run of the tests does it with a
//! hundred, and does not wait for leases and for what was put off: it ends them once nobody is killed any more.

mod reckoning;

use std::{
    collections::HashMap,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_types::{BigInt, Text, Uuid as SqlUuid},
};
use enlist::{
    access::keys,
    clock::Clock,
    embedded::postgres::{Options, Postgres},
    model::caller::Role,
};
use mailparse::{MailHeaderMap, parse_mail};
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::KEYS,
    smtp::{Ending, Received, SmtpSink, Stage},
};

/// One user in so many has an address that no server takes.
const NOBODY: usize = 25;
/// In so many parts the second half is sent, while it is already going badly.
const PARTS: usize = 8;

struct Plan {
    users: usize,
    /// How long somebody is killed every second, at least.
    killing: Duration,
    /// How long a mail server thinks about each mail: mails go on as long as the killing does.
    thinks: Duration,
    /// Whether leases and retries take the time that they take.
    patient: bool,
    binary: PathBuf,
}

impl Plan {
    fn asked_for() -> Self {
        let asked = std::env::var("ENLIST_CHAOS_USERS").ok();
        let users = asked.as_ref().map(|users| users.parse().expect("a number"));
        let binary = std::env::var("ENLIST_CHAOS_BINARY").ok();
        Self {
            users: users.unwrap_or(100),
            killing: Duration::from_secs(if asked.is_some() { 120 } else { 6 }),
            thinks: Duration::from_millis(if asked.is_some() { 100 } else { 300 }),
            patient: asked.is_some(),
            binary: binary.map_or_else(|| env!("CARGO_BIN_EXE_enlist").into(), PathBuf::from),
        }
    }
}

/// How often a mail server had the whole of a message, and what it did with it.
#[derive(Default)]
struct Moods {
    arrivals: HashMap<String, i32>,
    refused: usize,
    silent: usize,
}

fn message_id(received: &Received) -> String {
    let mail = parse_mail(&received.data).unwrap();
    let id = mail.headers.get_first_value("Message-ID").unwrap();
    let id = id.trim_matches(['<', '>']).split('@').next().unwrap();
    id.to_owned()
}

/// One in ten is not taken for now, one in twenty is taken without an answer.
fn moody(sink: &SmtpSink, thinks: Duration, moods: &Arc<Mutex<Moods>>) {
    let moods = Arc::clone(moods);
    sink.delay(Stage::Final, thinks);
    sink.on_rcpt(|address| {
        let is_nobody = address.starts_with("nobody");
        is_nobody.then(|| "550 5.1.1 Nobody here".into())
    });
    sink.on_final(move |received| {
        let mut moods = moods.lock().unwrap();
        let id = message_id(received);
        let mut hasher = DefaultHasher::new();
        let arrival = moods.arrivals.entry(id.clone()).or_default();
        *arrival += 1;
        (id, *arrival).hash(&mut hasher);
        match hasher.finish() % 100 {
            0..10 => {
                moods.refused += 1;
                Some(Ending::Reply("451 4.3.0 Later"))
            }
            10..15 => {
                moods.silent += 1;
                Some(Ending::Drop { keep: true })
            }
            _ => None,
        }
    });
}

/// One `enlist serve`, and what became of it.
struct Instance {
    plan: Arc<Plan>,
    database: String,
    sink: SmtpSink,
    port: u16,
    log: PathBuf,
    running: Option<Child>,
    kills: Vec<Instant>,
}

impl Instance {
    fn new(plan: &Arc<Plan>, database: &str, folder: &Path, name: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            plan: Arc::clone(plan),
            database: database.to_owned(),
            sink: SmtpSink::start(),
            port: port.local_addr().unwrap().port(),
            log: folder.join(name),
            running: None,
            kills: Vec::new(),
        }
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log);
        let running = Command::new(&self.plan.binary)
            .arg("serve")
            .current_dir(self.log.parent().unwrap())
            .env("DATABASE_URL", &self.database)
            .env("ENLIST_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("ENLIST_SMTP_URL", self.sink.url())
            .env("ENLIST_SECRET_KEYS", KEYS)
            .env("ENLIST_MAIL_CONNECTIONS", "4")
            .env("ENLIST_LOG", "info")
            .env("ENLIST_DRAIN", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.running = Some(running.unwrap());
    }

    /// `kill -9`: nothing is finished, nothing is said.
    fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            self.kills.push(Instant::now());
            running.kill().unwrap();
            running.wait().unwrap();
        }
    }

    /// Waits until it answers: it may only just have been started, or have found no database to start with.
    async fn is_up(&mut self) {
        let begun = Instant::now();
        while let Err(error) = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{error}; {:?}; {}; {}",
                self.running.as_mut().map(Child::try_wait),
                self.database_says(),
                self.said()
            );
            let has_ended = |running: &mut Child| running.try_wait().unwrap().is_some();
            if self.running.as_mut().is_some_and(has_ended) {
                self.start();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGTERM: what is on the wire is finished, and all is written down.
    async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
        let ended = tokio::task::spawn_blocking(move || running.wait().unwrap());
        let ended = tokio::time::timeout(Duration::from_secs(40), ended).await;
        assert!(ended.unwrap().unwrap().success(), "{}", self.said());
    }

    /// Who does what in the database, and who waits for whom.
    fn database_says(&self) -> String {
        #[derive(Debug, QueryableByName)]
        #[expect(dead_code, reason = "it is shown")]
        struct Activity {
            #[diesel(sql_type = Text)]
            line: String,
        }
        let mut connection = PgConnection::establish(&self.database).unwrap();
        let lines: Vec<Activity> = diesel::sql_query(
            "SELECT concat_ws(' ', a.pid, a.state, a.wait_event, now() - a.query_start, pg_blocking_pids(a.pid), left(a.query, 90)) AS line
             FROM pg_stat_activity a WHERE a.datname IS NOT NULL",
        )
        .load(&mut connection)
        .unwrap();
        format!("{lines:#?}")
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The database, as far as it answers: it crashes, too.
fn number(url: &str, sql: &str) -> Option<i64> {
    let mut connection = PgConnection::establish(url).ok()?;
    let row: Number = diesel::sql_query(format!("SELECT ({sql})::bigint AS number"))
        .get_result(&mut connection)
        .ok()?;
    Some(row.number)
}

const OPEN: &str = "SELECT count(*) FROM messages WHERE state IN ('queued', 'sending', 'deferred')";

struct Town {
    plan: Arc<Plan>,
    url: String,
    folder: tempfile::TempDir,
    instances: [Instance; 2],
    key: String,
    /// When Postgres was seen to be away, and to be back.
    away: Option<(Instant, Instant)>,
}

impl Town {
    /// Crashes Postgres, which is started again by whoever looks after it, and has to recover what was committed.
    fn crash_postgres(&self) {
        let pid = self.folder.path().join("data/postgres/data/postmaster.pid");
        let pid = fs::read_to_string(pid).unwrap();
        let pid = pid.lines().next().unwrap().parse().unwrap();
        // At once, without writing anything down (pg_ctl's "immediate").
        kill_process(Pid::from_raw(pid).unwrap(), Signal::QUIT).unwrap();
    }

    /// Kills one after the other, each second, and starts it again; until all mails have gone, or it was enough.
    async fn kill_around(&mut self, all_sent: &AtomicBool) {
        let begun = Instant::now();
        let mut turn = 0;
        let mut crashed = false;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.instances[turn % 2].kill();
            self.instances[turn % 2].start();
            turn += 1;
            if !crashed && begun.elapsed() > self.plan.killing / 3 {
                crashed = true;
                let from = Instant::now();
                self.crash_postgres();
                tokio::time::sleep(Duration::from_millis(50)).await;
                while number(&self.url, "SELECT 1").is_none() {
                    assert!(from.elapsed() < Duration::from_secs(60), "no Postgres");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                self.away = Some((from, Instant::now()));
            }
            let is_done = number(&self.url, OPEN) == Some(0);
            let is_enough = begun.elapsed() > self.plan.killing || is_done && crashed;
            if is_enough && all_sent.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Waits until nothing is left to be sent, and nobody is killed any more.
    async fn settle_down(&mut self) {
        for instance in &mut self.instances {
            instance.is_up().await;
        }
        let hurry = |states: &str| {
            let sql = format!(
                "UPDATE messages SET due_at = now() WHERE state IN ({states}) AND due_at > now()"
            );
            let mut connection = PgConnection::establish(&self.url).unwrap();
            connection.batch_execute(&sql).unwrap();
        };
        let (begun, patient) = (Instant::now(), self.plan.patient);
        if !patient {
            for instance in &mut self.instances {
                instance.stop().await;
            }
            // What is still held is held by those who are gone.
            hurry("'sending'");
            for instance in &mut self.instances {
                instance.start();
                instance.is_up().await;
            }
        }
        while number(&self.url, OPEN) != Some(0) {
            // After a minute all leases have ended by themselves; what was put off for longer is not waited for.
            if !patient || begun.elapsed() > Duration::from_secs(75) {
                hurry("'deferred'");
            }
            assert!(
                begun.elapsed() < Duration::from_secs(180),
                "{:?} are left; {}",
                number(&self.url, OPEN),
                self.instances[0].said()
            );
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

/// Sends to these users, as often as it takes: whoever is asked may be killed before it answers.
async fn invite(ports: [u16; 2], key: &str, ids: &[Uuid], idempotency_key: &str) -> Value {
    let (begun, client) = (
        Instant::now(),
        crate::support::http_client().build().unwrap(),
    );
    let mut turn = 0;
    loop {
        turn += 1;
        assert!(begun.elapsed() < Duration::from_secs(60), "never sent");
        let request = client
            .post(format!(
                "http://127.0.0.1:{}/invitations/send",
                ports[turn % 2]
            ))
            .bearer_auth(key)
            .header("idempotency-key", idempotency_key)
            .json(&json!({"user_ids": ids}));
        let answer = match request.send().await {
            Ok(answer) => (answer.status(), answer.json::<Value>().await),
            Err(_) => (StatusCode::BAD_GATEWAY, Ok(Value::Null)),
        };
        match answer {
            (StatusCode::ACCEPTED, Ok(answer)) => return answer,
            // Killed meanwhile, or the database is away, or one that was killed had begun with it.
            (
                StatusCode::ACCEPTED
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::CONFLICT,
                _,
            ) => tokio::time::sleep(Duration::from_millis(50)).await,
            (other, answer) => panic!("{other}: {answer:?}"),
        }
    }
}

/// Makes the users, some of whom no server knows, and a key.
fn settle_people(url: &str, count: usize) -> (Vec<Uuid>, String) {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let mut connection = PgConnection::establish(url).unwrap();
    let rows: Vec<Row> = diesel::sql_query(format!(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), name, name || '@example.com', '', '', name, true, 'local', '{{}}', now(), now()
         FROM (SELECT CASE WHEN n % {NOBODY} = 0 THEN 'nobody' ELSE 'user' END || n AS name FROM generate_series(1, {count}) n) x
         RETURNING id"
    ))
    .load(&mut connection)
    .unwrap();
    let clock = Clock::system();
    let (id, now) = (clock.new_id(), clock.now());
    let key = keys::create(&mut connection, id, "chaos", Role::Admin, None, now).unwrap();
    let ids = rows.into_iter().map(|row| row.id).collect();
    (ids, key.expose_secret().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_day_ends_with_one_live_invitation_and_its_mail_for_everybody() {
    let plan = Arc::new(Plan::asked_for());
    let folder = tempfile::tempdir().unwrap();
    // Postgres runs as somebody else, where this runs as root.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    let postgres = Postgres::start(&data, Options::default()).unwrap();
    let url = postgres.url().to_owned();
    enlist::db::migrate(&url).unwrap();
    let (ids, key) = settle_people(&url, plan.users);
    let moods = Arc::new(Mutex::new(Moods::default()));
    let instances = ["one", "two"].map(|name| Instance::new(&plan, &url, folder.path(), name));
    let mut town = Town {
        plan,
        url,
        folder,
        instances,
        key,
        away: None,
    };
    for instance in &mut town.instances {
        moody(&instance.sink, instance.plan.thinks, &moods);
        instance.start();
    }

    let begun = Instant::now();
    let ports = [0, 1].map(|index: usize| town.instances[index].port);
    let (key, all_sent) = (town.key.clone(), AtomicBool::new(false));
    let sending = async {
        let (early, late) = ids.split_at(ids.len() / 2);
        let mut batches = vec![invite(ports, &key, early, "early").await];
        for (part, ids) in late.chunks(late.len().div_ceil(PARTS)).enumerate() {
            tokio::time::sleep(Duration::from_millis(600)).await;
            batches.push(invite(ports, &key, ids, &format!("late-{part}")).await);
        }
        all_sent.store(true, Ordering::Relaxed);
        batches
    };
    let (batches, ()) = tokio::join!(sending, town.kill_around(&all_sent));
    town.settle_down().await;
    let took = begun.elapsed();
    reckoning::counts_agree(&town, &batches).await;
    for instance in &mut town.instances {
        instance.stop().await;
    }
    let told = reckoning::reckon(&town, &moods.lock().unwrap());
    println!("{told} In {:.0} s.", took.as_secs_f64());
    drop(town);
    postgres.stop();
}
