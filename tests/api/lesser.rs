//! The service as a role that owns nothing. All tests run it so (`Setup::as_owner`); here is what it may not do.

use std::collections::BTreeSet;

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types,
};
use enlist::{
    clock::Clock,
    config::DatabaseUrls,
    db::{self, Db, Powers, TABLES},
    server::startup::App,
};
use serde_json::json;

use crate::{
    support::{
        app::{KEYS, Setup, TestApp, config, start_of_time},
        db::{TestDb, number_of_migrations},
        smtp::SmtpSink,
    },
    trials::{has, shell},
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = sql_types::Text)]
    line: String,
}

fn lines(db: &TestDb, sql: &str) -> Vec<String> {
    let lines: Vec<Line> = diesel::sql_query(sql).load(&mut db.connect()).unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

/// Whoever adds a table says in `src/db/privileges.rs` what the service does with it.
#[test]
fn every_table_has_a_line_that_says_what_the_service_does_with_it() {
    let db = TestDb::migrated();
    let there = lines(
        &db,
        "SELECT relname::text AS line FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND (relkind IN ('r', 'p', 'v', 'm', 'f')
             -- The sequence of an identity column goes with its table.
             OR relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = pg_class.oid AND d.deptype = 'i'))",
    );
    let told = TABLES.iter().flat_map(|(_, tables)| *tables);
    assert_eq!(
        there.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        told.copied().collect::<BTreeSet<_>>()
    );
}

/// A function that runs as the owner takes no table of the caller's for one of ours, and not everybody calls it.
#[test]
fn functions_of_the_owner_have_a_search_path_of_their_own() {
    let db = TestDb::migrated();
    let all = "FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'enlist%'
               AND (prosecdef OR prorettype = 'trigger'::regtype OR prosrc LIKE '%BEGIN%')";
    assert!(db.number(&format!("SELECT count(*) {all}")) > 5);
    let open = format!(
        "SELECT oid::regprocedure::text AS line {all} AND (
            NOT coalesce(proconfig, '{{}}') @> ARRAY['search_path=pg_catalog, public, pg_temp']
            OR prosecdef AND has_function_privilege('public', oid, 'EXECUTE'))"
    );
    assert_eq!(lines(&db, &open), [""; 0]);
    // One that a later migration makes anew, and one that it forgets to close.
    db.execute(
        "CREATE OR REPLACE FUNCTION enlist_fill_search_text() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE FUNCTION enlist_audit_forget() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM audit_unlinked'",
    );
    assert_eq!(lines(&db, &open).len(), 2);
    let service = db::schema_at(&db.service_url()).unwrap();
    db::migrate_for(&db.url, Some(&service)).unwrap();
    assert_eq!(lines(&db, &open), [""; 0]);
    let mut lesser = PgConnection::establish(&db.service_url()).unwrap();
    lesser
        .batch_execute("SELECT enlist_audit_forget()")
        .unwrap();
    db.execute("CREATE OR REPLACE FUNCTION enlist_audit_forget() RETURNS void LANGUAGE sql SECURITY DEFINER AS ''");
}

/// The owner's and the service's role of a database of their own, each with its URL.
fn two_roles(db: &TestDb) -> [(String, String); 2] {
    ["owner", "service"].map(|kind| {
        let role = format!("{kind}_{}", db.name());
        let url = db.url.replacen("user=postgres", &format!("user={role}"), 1);
        (role, url)
    })
}

/// A superuser runs what is printed, the owner migrates, and the service works as a role that can do nothing else.
#[tokio::test]
async fn two_roles_are_made_granted_and_looked_at() {
    let (db, sink) = (TestDb::bare(), SmtpSink::start());
    let [(owner, owner_url), (service, service_url)] = two_roles(&db);
    let smtp = sink.url();
    let enlist = async |args: &[&str], migrate: Option<&str>| {
        let mut variables = vec![
            ("DATABASE_URL", &*service_url),
            ("ENLIST_SMTP_URL", &*smtp),
            ("ENLIST_SECRET_KEYS", KEYS),
        ];
        variables.extend(migrate.map(|url| ("ENLIST_MIGRATE_URL", url)));
        shell(args, &variables).await
    };
    let roles = [
        "database",
        "roles",
        "--owner",
        &owner,
        "--service",
        &service,
    ];
    let (well, sql, _) = enlist(&roles, None).await;
    assert!(well);
    db.execute(&sql);
    db.execute(&sql);

    let pending = format!("{} migrations are pending", number_of_migrations());
    let (well, out, err) = enlist(&["migrate"], None).await;
    assert!(!well, "{out}");
    has(
        &err,
        &[
            "DATABASE_URL: cannot migrate",
            &format!("role {service} may not change the schema, and {pending}"),
            "run `enlist migrate` as the owner, or give the owner's URL in ENLIST_MIGRATE_URL",
        ],
    );
    let (well, out, _) = enlist(&["check"], None).await;
    assert!(!well, "{out}");
    has(
        &out,
        &[
            "FAILED   database: ",
            "give the owner's URL in ENLIST_MIGRATE_URL",
        ],
    );
    let (well, out, _) = enlist(&["check"], Some(&owner_url)).await;
    assert!(well, "{out}");
    has(
        &out,
        &[
            "warning  database: Postgres ",
            &format!(
                "role {service}, and {owner}, which may change the schema; {pending}, which the next start applies"
            ),
        ],
    );

    // Migrated by somebody who said nothing of the service.
    db::migrate(&owner_url).unwrap();
    let (well, out, err) = enlist(&["migrate"], None).await;
    assert!(!well, "{out}");
    has(
        &err,
        &[&format!(
            "role {service} may not read the tables: run `enlist migrate`"
        )],
    );
    let (well, out, _) = enlist(&["check"], Some(&owner_url)).await;
    assert!(well, "{out}");
    has(
        &out,
        &[
            "warning  role: it may not SELECT ",
            " more yet; the next start grants it",
        ],
    );

    let (well, out, err) = enlist(&["migrate"], Some(&owner_url)).await;
    assert!(well, "{err}");
    has(&out, &["The database is up to date."]);
    // From now on a start needs no owner.
    for migrate in [None, Some(&*owner_url)] {
        let (well, out, err) = enlist(&["migrate"], migrate).await;
        assert!(well, "{err}");
        has(&out, &["The database is up to date."]);
        let (well, out, _) = enlist(&["check"], migrate).await;
        assert!(well, "{out}");
        has(
            &out,
            &[
                "ok       database: ",
                "ok       role: it owns nothing, and may do what the service needs and no more",
            ],
        );
    }
    for (url, is_owner) in [(&service_url, false), (&owner_url, true)] {
        let powers = Db::new(url, 1).powers().await.unwrap();
        let no_more_and_no_less = Powers {
            is_owner,
            ..Powers::default()
        };
        assert_eq!(powers, no_more_and_no_less);
    }
    let (well, out, _) = {
        let variables = [
            ("DATABASE_URL", &*owner_url),
            ("ENLIST_SMTP_URL", &smtp),
            ("ENLIST_SECRET_KEYS", KEYS),
        ];
        shell(&["check"], &variables).await
    };
    assert!(well, "{out}");
    has(
        &out,
        &[
            "ok       role: it owns the tables",
            "`enlist database roles`",
        ],
    );

    // What somebody granted by hand is told, and goes with the next migration; what was taken comes back.
    db.execute(&format!(
        "GRANT TRUNCATE, DELETE ON audit_events TO {service}; REVOKE INSERT ON users FROM {service}"
    ));
    let (well, out, _) = enlist(&["check"], None).await;
    assert!(!well, "{out}");
    has(
        &out,
        &[
            "warning  role: it may DELETE audit_events, TRUNCATE audit_events, which the service does not need",
            "FAILED   role: it may not INSERT users: run `enlist migrate`",
        ],
    );
    let elsewhere = TestDb::bare();
    let (well, _, err) = enlist(&["migrate"], Some(&elsewhere.url)).await;
    assert!(!well);
    has(
        &err,
        &[
            "ENLIST_MIGRATE_URL: ",
            "it leads to another database than DATABASE_URL",
        ],
    );
    assert!(enlist(&["migrate"], Some(&owner_url)).await.0);
    assert!(enlist(&["check"], None).await.1.contains("no more"));

    attacks(
        &mut PgConnection::establish(&service_url).unwrap(),
        &owner,
        &service,
        db.name(),
    );

    // The tables belong to somebody already.
    let (_, sql, _) = enlist(&["database", "roles"], None).await;
    let refused = db.connect().batch_execute(&sql).unwrap_err().to_string();
    has(&refused, &[&format!("the tables here belong to {owner}")]);
    let (well, _, err) = enlist(&["database", "roles", "--owner", "a'; DROP"], None).await;
    assert!(!well);
    has(&err, &["lower-case letters"]);
    db.execute(&format!(
        "DROP OWNED BY {owner}, {service} CASCADE; DROP ROLE {owner}, {service}"
    ));
}

/// Whatever the service's role may do beside what it needs is a line with what to run, which ends it.
#[tokio::test]
async fn each_power_too_much_is_named_with_what_ends_it() {
    let (db, sink) = (TestDb::bare(), SmtpSink::start());
    let [(owner, owner_url), (service, service_url)] = two_roles(&db);
    let smtp = sink.url();
    let enlist = async |command: &str, url: &str, owner: &str| {
        let variables = [
            ("DATABASE_URL", url),
            ("ENLIST_MIGRATE_URL", owner),
            ("ENLIST_SMTP_URL", &smtp),
            ("ENLIST_SECRET_KEYS", KEYS),
        ];
        let variables: Vec<_> = variables
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        shell(&[command], &variables).await
    };
    db.execute(&db::roles_sql(&owner, &service));
    let (well, _, err) = enlist("migrate", &service_url, &owner_url).await;
    assert!(well, "{err}");
    let database = db.name();
    let may =
        |what: &str| format!("warning  role: it may {what}, which the service does not need: ");
    let table = [
        (
            "ALTER ROLE {service} SUPERUSER",
            "use the attribute SUPERUSER",
        ),
        (
            "ALTER ROLE {service} REPLICATION",
            "use the attribute REPLICATION",
        ),
        (
            "ALTER ROLE {service} BYPASSRLS",
            "use the attribute BYPASSRLS",
        ),
        (
            "ALTER ROLE {service} CREATEROLE",
            "use the attribute CREATEROLE",
        ),
        (
            "ALTER ROLE {service} CREATEDB",
            "use the attribute CREATEDB",
        ),
        ("GRANT {owner} TO {service}", "become {owner}"),
        (
            "CREATE ROLE {service}_more; GRANT {owner} TO {service}_more; GRANT {service}_more TO {service}",
            "become {service}_more",
        ),
        (
            "GRANT pg_execute_server_program TO {service}",
            "become pg_execute_server_program",
        ),
        (
            "ALTER TABLE devices OWNER TO {service}",
            "do everything with the table devices, which it owns",
        ),
        (
            "ALTER DATABASE {database} OWNER TO {service}",
            "do everything with the database {database}, which it owns",
        ),
        (
            "GRANT CREATE ON SCHEMA public TO {service}",
            "CREATE in the schema public",
        ),
        (
            "GRANT TEMPORARY ON DATABASE {database} TO PUBLIC",
            "TEMPORARY in the database {database}",
        ),
        (
            "GRANT DELETE ON audit_events TO {service}",
            "DELETE audit_events",
        ),
        (
            "GRANT UPDATE (mac, action) ON audit_events TO {service}",
            "UPDATE (action) audit_events, UPDATE (mac) audit_events",
        ),
        (
            "GRANT UPDATE (mac) ON audit_links TO PUBLIC",
            "UPDATE (mac) audit_links",
        ),
        (
            "GRANT DELETE ON audit_links TO PUBLIC",
            "DELETE audit_links",
        ),
        (
            "GRANT USAGE ON SEQUENCE audit_unlinked_number_seq TO {service}",
            "USAGE in the sequence audit_unlinked_number_seq",
        ),
    ];
    let named = |text: &str| {
        text.replace("{owner}", &owner)
            .replace("{service}", &service)
            .replace("{database}", database)
    };
    for (sql, what) in table {
        // Beside something that is missing, which is told as well.
        db.execute(&named(sql));
        db.execute(&format!("REVOKE INSERT ON devices FROM {service}"));
        let (well, out, _) = enlist("check", &service_url, "").await;
        let line = may(&named(what));
        let told: Vec<&str> = out.lines().filter(|told| told.starts_with(&line)).collect();
        assert_eq!(told.len(), 1, "{sql}: {line}\n{out}");
        if !sql.contains("SUPERUSER")
            && !sql.contains("devices OWNER")
            && !sql.contains("GRANT {owner}")
        {
            assert!(!well, "{sql}: {out}");
            has(
                &out,
                &["FAILED   role: it may not INSERT devices: run `enlist migrate`"],
            );
        }
        match told[0].split('`').nth(1).unwrap() {
            "enlist migrate" => {}
            remedy => db.execute(remedy),
        }
        let (well, _, err) = enlist("migrate", &service_url, &owner_url).await;
        assert!(well, "{err}");
        let (_, out, _) = enlist("check", &service_url, "").await;
        has(
            &out,
            &["ok       role: it owns nothing, and may do what the service needs and no more"],
        );
    }
    let remedy = "which may not change the schema: ";
    for (url, other, told) in [
        (&owner_url, &service_url, "the two are swapped"),
        (
            &service_url,
            &service_url,
            "name its owner in ENLIST_MIGRATE_URL",
        ),
    ] {
        let (well, out, _) = enlist("check", url, other).await;
        assert!(!well, "{out}");
        has(&out, &["FAILED   database: ", &format!("{remedy}{told}")]);
        let (well, out, err) = enlist("migrate", url, other).await;
        assert!(!well, "{out}");
        has(
            &err,
            &[
                "ENLIST_MIGRATE_URL: ",
                "may not change the schema: name its owner here",
            ],
        );
    }
    let (well, out, _) = enlist("check", &owner_url, &owner_url).await;
    assert!(well, "{out}");
    has(
        &out,
        &["warning  role: it owns the tables, though ENLIST_MIGRATE_URL is there"],
    );
    db.execute(&format!("ALTER DATABASE {database} OWNER TO CURRENT_USER"));
    db.execute(&format!(
        "DROP OWNED BY {owner}, {service}, {service}_more CASCADE; DROP ROLE {owner}, {service}, {service}_more"
    ));
}

/// What somebody tries who has the service's password.
fn attacks(service: &mut PgConnection, owner: &str, name: &str, database: &str) {
    let table = [
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "ALTER TABLE audit_details DISABLE TRIGGER audit_details_erasure",
        "SET session_replication_role = replica",
        "UPDATE audit_events SET actor_name = 'nobody'",
        "UPDATE audit_details SET after = NULL",
        "UPDATE audit_links SET mac = ''",
        "UPDATE audit_beginning SET position = 9",
        "UPDATE audit_unlinked SET event_id = event_id",
        "DELETE FROM audit_events",
        "DELETE FROM audit_details",
        "DELETE FROM audit_links",
        "DELETE FROM audit_beginning",
        "BEGIN; SET LOCAL enlist.forgets = 'audit'; DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "TRUNCATE audit_links, audit_unlinked",
        "TRUNCATE users CASCADE",
        "SELECT * FROM audit_events FOR UPDATE",
        "DROP TABLE audit_events",
        "DROP TRIGGER audit_events_append_only ON audit_events",
        "DROP FUNCTION enlist_audit_is_append_only CASCADE",
        "ALTER TABLE audit_events ADD COLUMN more text",
        "ALTER TABLE audit_events OWNER TO CURRENT_USER",
        "ALTER TABLE users RENAME TO others",
        "CREATE OR REPLACE FUNCTION enlist_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE OR REPLACE FUNCTION enlist_analyze() RETURNS void LANGUAGE sql AS ''",
        "ALTER FUNCTION enlist_analyze() SECURITY INVOKER",
        "ALTER FUNCTION enlist_analyze() SET search_path = pg_temp",
        "CREATE FUNCTION mine() RETURNS void LANGUAGE sql AS ''",
        "CREATE TRIGGER mine BEFORE INSERT ON audit_unlinked FOR EACH ROW EXECUTE FUNCTION enlist_audit_is_append_only()",
        "CREATE RULE mine AS ON INSERT TO audit_unlinked DO INSTEAD NOTHING",
        "CREATE POLICY mine ON audit_unlinked USING (false)",
        "CREATE TABLE mine (id int)",
        "CREATE TEMP TABLE users (id uuid)",
        "CREATE SCHEMA mine",
        "CREATE EXTENSION hstore",
        "CREATE INDEX mine ON users (id)",
        "CREATE VIEW mine AS SELECT 1",
        "BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE",
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')",
        "DELETE FROM __diesel_schema_migrations",
        "SET ROLE {owner}",
        "SET SESSION AUTHORIZATION {owner}",
        "GRANT {owner} TO {service}",
        "ALTER ROLE {owner} PASSWORD 'mine'",
        "ALTER ROLE {service} SUPERUSER",
        "ALTER DATABASE {database} SET session_replication_role = replica",
        "REASSIGN OWNED BY {owner} TO {service}",
        "COPY users TO '/tmp/users'",
        "COPY users FROM PROGRAM 'true'",
    ];
    // Grants nothing, though Postgres does not call it an error.
    service
        .batch_execute("GRANT ALL ON audit_events TO CURRENT_USER")
        .unwrap();
    for attack in table {
        let attack = attack
            .replace("{owner}", owner)
            .replace("{service}", name)
            .replace("{database}", database);
        let refused = service
            .batch_execute(&attack)
            .expect_err(&attack)
            .to_string();
        let _ = service.batch_execute("ROLLBACK");
        let is_refused = [
            "permission denied",
            "must be ",
            "must have admin option",
            "extension control file",
        ]
        .iter()
        .any(|words| refused.contains(words));
        assert!(is_refused, "{attack}: {refused}");
    }
}

/// Details go with the person by a cascade, which runs a trigger as the owner of the table: it must not take a view of the
/// caller's for our table, and run what that calls.
#[tokio::test]
async fn a_cascade_runs_nothing_that_the_caller_made() {
    let app = TestApp::start().await;
    let ada = app.user(json!({"email": "ada@example.com"})).await;
    let details = format!("SELECT count(*) FROM audit_details WHERE person_id = '{ada}'");
    assert_eq!(app.db.number(&details), 1);
    let mut lesser = PgConnection::establish(&app.db.service_url()).unwrap();
    lesser
        .batch_execute(&format!(
            "CREATE TEMP TABLE loot (who text);
             CREATE FUNCTION pg_temp.mine() RETURNS uuid LANGUAGE plpgsql AS $$
                BEGIN INSERT INTO pg_temp.loot VALUES (current_user); RETURN NULL; END $$;
             CREATE TEMP VIEW users AS SELECT pg_temp.mine() AS id;
             DELETE FROM public.users WHERE id = '{ada}'"
        ))
        .unwrap();
    let loot: Vec<Line> = diesel::sql_query("SELECT who AS line FROM pg_temp.loot")
        .load(&mut lesser)
        .unwrap();
    assert!(loot.is_empty(), "it ran as {}", loot[0].line);
    assert_eq!(
        app.db.number(&details),
        0,
        "the details went with the person"
    );
}

/// A start as the lesser role: with nothing pending it goes on, else it says who may help.
#[tokio::test]
async fn a_role_that_may_not_migrate_serves_what_is_up_to_date() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let start = async |owner: Option<String>| {
        let mut config = config(
            &db,
            &sink,
            &Setup {
                as_owner: false,
                ..Setup::default()
            },
        );
        config.migrate = true;
        config.database = DatabaseUrls {
            service: db.service_url().into(),
            owner: owner.map(Into::into),
        };
        App::build(config, Clock::fixed(start_of_time()))
            .await
            .map(drop)
    };
    start(None).await.unwrap();
    db.execute("DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)");
    let refused = start(None).await.unwrap_err().to_string();
    has(
        &refused,
        &[
            "DATABASE_URL: ",
            "role enlist_tests may not change the schema, and one migration is pending: run `enlist migrate`",
        ],
    );
    let migrations = std::fs::read_dir("migrations").unwrap();
    let newest = migrations
        .map(|folder| folder.unwrap().path())
        .max()
        .unwrap();
    db.execute(&std::fs::read_to_string(newest.join("down.sql")).unwrap());
    start(Some(db.url.clone())).await.unwrap();
    start(None).await.unwrap();
}

/// Statistics after many inserts are the owner's to make: the service calls a function of the owner's.
#[tokio::test]
async fn a_large_send_of_the_lesser_role_leaves_statistics() {
    let mut app = TestApp::start_with(Setup {
        as_owner: false,
        ..Setup::default()
    })
    .await;
    app.leaves_unsent = true;
    app.db.execute(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), n || '@example.com', n || '@example.com', '', '', 'User', true, 'local', '{}', now(), now()
         FROM generate_series(1, 5000) n",
    );
    app.invite(json!({"filter": {}})).await;
    let rows = "SELECT reltuples FROM pg_class WHERE relname = 'invitations'";
    assert_eq!(app.db.number(rows), 5000);
    let sessions = "SELECT count(*) FROM pg_stat_activity
        WHERE usename = 'enlist_tests' AND datname = current_database()";
    assert!(app.db.number(sessions) > 0, "it was another role");
}
