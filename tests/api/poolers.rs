//! PgBouncer between the service and Postgres: by session it works, by transaction it is refused.

use std::{
    net::TcpListener,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use diesel::{Connection, RunQueryDsl, connection::SimpleConnection};
use enlist::{
    config::DatabaseUrls,
    db::{migrate, unfit_pooler},
    server::schema::look_at_ways,
};
use serde_json::json;

use crate::{
    support::{
        app::{Setup, TestApp},
        db::TestDb,
        skip,
        smtp::SmtpSink,
    },
    trials::shell,
};

struct Bouncer {
    running: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

impl Bouncer {
    fn url(&self, db: &TestDb, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{}", self.port, db.name())
    }
}

/// PgBouncer in front of the test server, where it is installed.
fn bouncer(db: &TestDb, mode: &str, size: u32) -> Option<Bouncer> {
    let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
    let Some(program) = program.into_iter().find(|at| Path::new(at).exists()) else {
        skip("PgBouncer is missing (Debian: package pgbouncer)");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    // Free as soon as this statement is done.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .unwrap()
        .port();
    let (_, socket) = db.url.split_once("host=").unwrap();
    let socket = socket.split('&').next().unwrap();
    let settings = format!(
        "[databases]\n* = host={socket}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = {size}\n\
         max_client_conn = 200\nserver_reset_query =\nlogfile = {0}/log\n",
        folder.path().display()
    );
    // With `auth_type = any` whoever calls is the user of the database line: so one for each.
    let users = ["postgres", "enlist_tests"].map(|user| {
        format!(
            "{user}_{0} = host={socket} dbname={0} user={user}\n",
            db.name()
        )
    });
    let settings = settings.replace("* =", &format!("{}* =", users.concat()));
    let file = folder.path().join("pgbouncer.ini");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new(program);
    command.arg("-q").arg(&file).stdin(Stdio::null());
    if rustix::process::getuid().is_root() {
        // It refuses to run as root, and the server lets its own user in alone.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), mode).unwrap();
        let of_server = std::fs::metadata(socket).unwrap();
        command.uid(of_server.uid()).gid(of_server.gid());
    }
    let mut running = command.spawn().unwrap();
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert_eq!(running.try_wait().unwrap(), None, "{log}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(Bouncer {
        running,
        port,
        _folder: folder,
    })
}

fn through(bouncer: &Bouncer, db: &TestDb, user: &str) -> String {
    let name = format!("{user}_{}", db.name());
    bouncer
        .url(db, user)
        .replace(&format!("/{}", db.name()), &format!("/{name}"))
}

fn urls(service: String) -> DatabaseUrls {
    DatabaseUrls {
        service: service.into(),
        owner: None,
    }
}

#[tokio::test]
async fn by_session_all_is_well() {
    let db = TestDb::migrated();
    let Some(bouncer) = bouncer(&db, "session", 30) else {
        return;
    };
    assert_eq!(
        migrate(&through(&bouncer, &db, "postgres")).unwrap(),
        [""; 0]
    );
    let service = through(&bouncer, &db, "enlist_tests");
    // What others left in their sessions, which this pooler does not clear.
    let others: Vec<_> = (0..8)
        .map(|_| {
            let mut other = diesel::PgConnection::establish(&service).unwrap();
            let left = "PREPARE __diesel_stmt_0 AS SELECT 1; SET search_path = pg_catalog; SET statement_timeout = 1";
            other.batch_execute(left).unwrap();
            other
        })
        .collect();
    drop(others);
    assert_eq!(unfit_pooler(&service).unwrap(), None);
    let setup = Setup {
        through: Some(service),
        ..Setup::default()
    };
    let app = TestApp::start_on(db, SmtpSink::start(), setup).await;
    let users = app.users(20).await;
    app.invite(json!({"user_ids": users})).await;
    assert_eq!(app.get("/readyz").await.status, 200);
    app.worker.deliver_due().await.unwrap();
    assert_eq!(app.sink.messages().len(), 20);
}

#[tokio::test]
async fn by_transaction_or_with_too_few_sessions_a_start_is_refused_and_leaves_no_lock() {
    for (mode, size, words) in [
        ("transaction", 20, "set pool_mode = session"),
        ("statement", 20, "set pool_mode = session"),
        ("transaction", 1, "larger pool"),
        ("session", 1, "larger pool"),
    ] {
        let db = TestDb::migrated();
        let Some(bouncer) = bouncer(&db, mode, size) else {
            return;
        };
        let url = through(&bouncer, &db, "postgres");
        let refused = look_at_ways(&urls(url)).unwrap_err().to_string();
        assert!(refused.starts_with("DATABASE_URL: "), "{refused}");
        assert!(
            refused.contains(words) && refused.contains("PgBouncer"),
            "{mode} {size}: {refused}"
        );
        // With one session in all the first look still waits for the second.
        if size > 1 {
            let url = through(&bouncer, &db, "postgres");
            let (is_well, said, _) = shell(&["check"], &[("DATABASE_URL", &url)]).await;
            let failed = "FAILED   database: DATABASE_URL: a";
            assert!(!is_well && said.contains(failed), "{said}");
        }
        #[derive(diesel::QueryableByName)]
        struct Locks {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            number: i64,
        }
        let locks: Locks = diesel::sql_query(
            "SELECT count(*) AS number FROM pg_locks WHERE locktype = 'advisory'
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .get_result(&mut db.connect())
        .unwrap();
        assert_eq!(locks.number, 0);
    }
}
