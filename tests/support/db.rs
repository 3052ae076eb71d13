//! A database a test: a copy of a template that is migrated once.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use diesel::{
    Connection, PgConnection, RunQueryDsl, connection::SimpleConnection, sql_types::Text,
};

/// Held while the template is made: "template" in ASCII.
const TEMPLATE_LOCK: i64 = 0x7465_6d70_6c61_7465;

/// The role of the service where it owns nothing. All tests share it: roles belong to the server.
const SERVICE: &str = "enlist_tests";

static NEXT: AtomicU32 = AtomicU32::new(0);

pub struct TestDb {
    name: String,
    pub url: String,
}

fn server() -> String {
    std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL is not set: run the tests with `make test`, or through tests/postgres.sh")
}

/// The server's URL for another database.
fn url_of(name: &str) -> String {
    server().replacen("/postgres?", &format!("/{name}?"), 1)
}

/// The same URL for the lesser role.
fn as_service(url: &str) -> String {
    url.replacen("user=postgres", &format!("user={SERVICE}"), 1)
}

fn admin() -> PgConnection {
    PgConnection::establish(&server()).expect("the test server answers")
}

#[derive(diesel::QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    #[allow(dead_code)] // Only whether there is a row counts.
    datname: String,
}

fn migrations() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("up.sql"))
        .collect();
    files.sort();
    files
}

/// How many migrations an empty database needs.
pub fn number_of_migrations() -> usize {
    migrations().len()
}

/// The template's name changes with the migrations.
fn template() -> String {
    let mut hasher = DefaultHasher::new();
    for file in migrations() {
        std::fs::read_to_string(file).unwrap().hash(&mut hasher);
    }
    let name = format!("template_{:016x}", hasher.finish());
    let mut connection = admin();
    connection
        .batch_execute(&format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})"))
        .unwrap();
    let known: Vec<Name> =
        diesel::sql_query("SELECT datname::text FROM pg_database WHERE datname = $1")
            .bind::<Text, _>(&name)
            .load(&mut connection)
            .unwrap();
    if known.is_empty() {
        connection
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap();
        connection
            .batch_execute(&format!(
                "DO $$ BEGIN CREATE ROLE {SERVICE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            ))
            .unwrap();
        let service = enlist::db::schema_at(&as_service(&url_of(&name))).unwrap();
        enlist::db::migrate_for(&url_of(&name), Some(&service)).unwrap();
    }
    name
}

impl TestDb {
    /// An empty database with the newest schema.
    pub fn migrated() -> Self {
        Self::create(&format!("TEMPLATE {}", template()))
    }

    /// A database with nothing in it.
    pub fn bare() -> Self {
        Self::create("")
    }

    fn create(options: &str) -> Self {
        let name = format!(
            "t{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        admin()
            .batch_execute(&format!("CREATE DATABASE {name} {options}"))
            .unwrap();
        Self {
            url: url_of(&name),
            name,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the service reaches it: not as the owner, who is whoever runs the tests' own statements.
    pub fn service_url(&self) -> String {
        as_service(&self.url)
    }

    pub fn connect(&self) -> PgConnection {
        PgConnection::establish(&self.url).unwrap()
    }

    /// Cuts every connection and lets no other in, until [`Self::reopen`].
    pub fn close(&self) {
        let (mut admin, name) = (admin(), &self.name);
        // Not in one go, which would be one transaction: nobody may come in between.
        admin
            .batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            .unwrap();
        admin
            .batch_execute(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ))
            .unwrap();
        // Each is only told to end: one that is busy answers once more before it does.
        let left = format!(
            "DO $$ BEGIN
                FOR round IN 1..500 LOOP
                    EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '{name}');
                    PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
                END LOOP;
            END $$"
        );
        admin.batch_execute(&left).unwrap();
    }

    /// Lets connections in again.
    pub fn reopen(&self) {
        admin()
            .batch_execute(&format!(
                "ALTER DATABASE {} ALLOW_CONNECTIONS true",
                self.name
            ))
            .unwrap();
    }

    /// All that is in it, as text.
    pub fn dump(&self) -> String {
        let dump = std::process::Command::new("pg_dump")
            .arg(&self.url)
            .output()
            .expect("pg_dump runs");
        let said = String::from_utf8_lossy(&dump.stderr);
        assert!(dump.status.success(), "{said}");
        String::from_utf8_lossy(&dump.stdout).into_owned()
    }

    /// Runs statements, for what no route can do.
    pub fn execute(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap();
    }

    /// From now on whatever is written to the audit log fails when it is committed, until [`Self::commit_again`].
    pub fn refuse_commits(&self) {
        self.execute(
            "CREATE FUNCTION refuse_commit() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'refused at the commit'; END $$;
             CREATE CONSTRAINT TRIGGER refuse_commit AFTER INSERT ON audit_events
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_commit()",
        );
    }

    /// Ends [`Self::refuse_commits`].
    pub fn commit_again(&self) {
        self.execute("DROP FUNCTION refuse_commit CASCADE");
    }

    /// From now on the statements in this database are counted: others' tests run beside in the same server.
    pub fn watch_statements(&self) {
        self.execute(
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
             CREATE OR REPLACE VIEW seen_statements AS SELECT * FROM pg_stat_statements
                WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database());
             SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)",
        );
    }

    /// The statements since, without those that come by the clock: keys are looked up again and their use is written
    /// down now and then, the audit log is linked every second, and connections are made ready.
    pub fn statements(&self) -> i64 {
        self.number(
            "SELECT sum(calls) FROM seen_statements WHERE toplevel
             AND query NOT IN ('BEGIN', 'COMMIT') AND query NOT LIKE 'SET %' AND query NOT LIKE 'DO %'
             AND query !~ 'pg_stat|seen_statements|api_keys|audit_(unlinked|links|beginning|heads)|pg_try_advisory'",
        )
    }

    /// The single number that a query gives.
    pub fn number(&self, sql: &str) -> i64 {
        #[derive(diesel::QueryableByName)]
        struct Number {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            number: i64,
        }
        let row: Number = diesel::sql_query(format!("SELECT ({sql})::bigint AS number"))
            .get_result(&mut self.connect())
            .unwrap();
        row.number
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let _ = admin().batch_execute(&format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            self.name
        ));
    }
}
