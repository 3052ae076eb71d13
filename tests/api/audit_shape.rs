//! Whatever is put in the place of a table, trigger or function of ours is named by `enlist audit verify`, and nothing in
//! another schema is taken for one.

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::Text,
};
use enlist::{
    audit::verifying::{self, Verified},
    clock::Clock,
    db,
};
use serde_json::Value;

use crate::{
    audit_attacks::{attack, is_clean, is_named, linker, ring, with_events},
    support::{
        app::{KEYS, TestApp},
        db::TestDb,
    },
};

/// As the command does.
fn verify(db: &TestDb) -> Verified {
    let (now, mut connection) = (Clock::system().now(), db::connect(&db.url).unwrap());
    verifying::verify(&mut connection, &ring(KEYS), &[], now).unwrap()
}

#[test]
fn a_new_database_is_what_the_migrations_make() {
    let faults = verify(&TestDb::migrated()).faults;
    assert!(
        faults.is_empty(),
        "A migration made or changed something of these. Put it into src/audit/foreign.rs as it is told here, of a function the \
         signature and what stands in brackets; or into src/audit/shape.rs, of a table what it has and lacks:\n{}",
        faults.join("\n")
    );
    // The schema may have another name.
    let db = TestDb::bare();
    db.execute(&format!(
        "CREATE SCHEMA \"Ad, hoc\"; ALTER DATABASE {} SET search_path = \"Ad, hoc\"",
        db.name()
    ));
    db::migrate(&db.url).unwrap();
    assert_eq!(verify(&db).faults, [""; 0]);
}

/// Each by its SQL, and what is said of it.
const ATTACKS: &[(&str, &str)] = &[
    // The body of a function of ours.
    (
        "CREATE OR REPLACE FUNCTION enlist_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql
            SET search_path = pg_catalog, public, pg_temp AS 'BEGIN RETURN NULL; END'",
        "the function enlist_audit_is_append_only() is not the one that the migrations make",
    ),
    (
        "CREATE OR REPLACE FUNCTION enlist_audit_erase_operator(operator uuid) RETURNS void LANGUAGE sql SECURITY DEFINER
            SET search_path = pg_catalog, public, pg_temp AS 'SELECT'",
        "the function enlist_audit_erase_operator(operator uuid) is not the one",
    ),
    // One whose body Postgres keeps in its own form: what it calls is compared.
    (
        "CREATE OR REPLACE FUNCTION enlist_spell_out(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
            RETURN evil(value)::text",
        "the function enlist_spell_out(value text) is not the one",
    ),
    (
        "CREATE OR REPLACE FUNCTION enlist_name_key(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
            BEGIN ATOMIC DELETE FROM audit_unlinked RETURNING 'x'; END",
        "the function enlist_name_key(name text) is not the one",
    ),
    // With whose rights, where it looks, whose it is.
    (
        "ALTER FUNCTION enlist_audit_is_append_only() SECURITY DEFINER",
        "the function enlist_audit_is_append_only() is not the one",
    ),
    (
        "ALTER FUNCTION enlist_audit_details_go_with_the_person() SET search_path = evil, pg_catalog",
        "the function enlist_audit_details_go_with_the_person() is not the one",
    ),
    (
        "ALTER FUNCTION enlist_audit_details_go_with_the_person() SET enlist.forgets = 'audit'",
        "the function enlist_audit_details_go_with_the_person() is not the one",
    ),
    (
        "CREATE ROLE evil_{name}; ALTER FUNCTION enlist_analyze() OWNER TO evil_{name}",
        "the function enlist_analyze() belongs to the role evil_",
    ),
    // One more of our kind, and one fewer.
    (
        "CREATE FUNCTION enlist_help() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT'",
        "the function enlist_help() is not ours",
    ),
    (
        "DROP FUNCTION enlist_analyze()",
        "the function enlist_analyze() is gone",
    ),
    // A trigger of our name that does something else.
    (
        "DROP TRIGGER audit_events_append_only ON audit_events;
         CREATE CONSTRAINT TRIGGER audit_events_append_only AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION evil()",
        "the trigger audit_events_append_only on audit_events is not the one that the migrations make",
    ),
    (
        "DROP TRIGGER audit_links_append_only ON audit_links;
         CREATE TRIGGER audit_links_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_links
            FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION enlist_audit_is_append_only()",
        "the trigger audit_links_append_only on audit_links is not the one",
    ),
    (
        "DROP TRIGGER audit_links_append_only ON audit_links;
         CREATE TRIGGER audit_links_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_heads
            FOR EACH STATEMENT EXECUTE FUNCTION enlist_audit_is_append_only()",
        "the trigger audit_links_append_only on audit_heads is not the one",
    ),
    // A function of our name, in another schema.
    (
        "CREATE SCHEMA evil; ALTER DATABASE {name} SET search_path = public, evil;
         DROP TRIGGER audit_details_erasure ON audit_details;
         ALTER FUNCTION enlist_audit_details_go_with_the_person() SET SCHEMA evil;
         CREATE TRIGGER audit_details_erasure BEFORE DELETE ON audit_details
            FOR EACH ROW EXECUTE FUNCTION evil.enlist_audit_details_go_with_the_person()",
        "the trigger audit_details_erasure on audit_details is not the one",
    ),
    // As it was found before, and still is.
    (
        "CREATE TRIGGER evil BEFORE INSERT ON audit_unlinked FOR EACH ROW EXECUTE FUNCTION evil()",
        "the trigger evil on audit_unlinked is not ours",
    ),
    (
        "ALTER TABLE audit_events DISABLE TRIGGER audit_events_append_only",
        "the trigger audit_events_append_only on audit_events is switched off",
    ),
    (
        "DROP TRIGGER audit_events_append_only ON audit_events",
        "the trigger audit_events_append_only is gone",
    ),
    // One that says that it is Postgres's own.
    (
        "CREATE TRIGGER evil BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION evil();
         UPDATE pg_trigger SET tgisinternal = true WHERE tgname = 'evil'",
        "the trigger evil on audit_events is not ours",
    ),
    // What else is called when a row is written.
    (
        "ALTER TABLE audit_unlinked ADD CHECK (evil(event_id))",
        "a constraint, default or index of audit_unlinked calls evil(uuid)",
    ),
    (
        "ALTER TABLE audit_heads ALTER told_at SET DEFAULT evil('now'::text)",
        "a constraint, default or index of audit_heads calls evil(text)",
    ),
    (
        "CREATE INDEX evil ON api_keys (evil(id))",
        "a constraint, default or index of api_keys calls evil(uuid)",
    ),
    (
        "CREATE FUNCTION evil(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE OPERATOR === (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil);
         ALTER TABLE audit_unlinked ADD CHECK (event_id === event_id)",
        "a constraint, default or index of audit_unlinked calls ===(uuid,uuid)",
    ),
    (
        "CREATE DOMAIN evd AS uuid CHECK (evil(value));
         ALTER TABLE audit_unlinked ADD CHECK (event_id::evd IS NOT NULL)",
        "a constraint, default or index of audit_unlinked calls evd",
    ),
    (
        "CREATE DOMAIN evd AS uuid CHECK (evil(value));
         ALTER TABLE audit_unlinked ALTER event_id TYPE evd",
        "audit_unlinked is not the table that the migrations make: it has `event_id evd NOT NULL`",
    ),
    (
        "CREATE TRIGGER evil BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION evil()",
        "the trigger evil on sessions is not ours",
    ),
    // Rows that are elsewhere, with triggers of their own.
    (
        "CREATE TABLE audit_more () INHERITS (audit_events)",
        "audit_events has parts, or is one",
    ),
    (
        "CREATE TABLE more_keys () INHERITS (api_keys)",
        "api_keys has parts, or is one",
    ),
    (
        "CREATE TABLE above (id uuid NOT NULL); ALTER TABLE operators INHERIT above",
        "operators has parts, or is one",
    ),
    (
        "DROP TABLE audit_unlinked;
         CREATE TABLE audit_unlinked (event_id uuid PRIMARY KEY, number bigint NOT NULL DEFAULT 0) PARTITION BY HASH (event_id);
         CREATE TABLE part0 PARTITION OF audit_unlinked FOR VALUES WITH (modulus 1, remainder 0)",
        "audit_unlinked is no table",
    ),
    (
        "ALTER TABLE audit_heads SET UNLOGGED",
        "audit_heads is no table",
    ),
    // Keys that let two of one id in, and columns that take what is not theirs.
    (
        "ALTER TABLE api_keys DROP CONSTRAINT api_keys_pkey CASCADE, ADD PRIMARY KEY (id, key_hash)",
        "api_keys is not the table that the migrations make: it has `PRIMARY KEY USING btree (id, key_hash)`",
    ),
    (
        "ALTER TABLE audit_unlinked DROP CONSTRAINT audit_unlinked_pkey, ADD PRIMARY KEY (event_id) DEFERRABLE",
        "audit_unlinked is not the table that the migrations make",
    ),
    (
        "DROP INDEX audit_links_event_key;
         CREATE UNIQUE INDEX audit_links_event_key ON audit_links (event_id) WHERE position > 5",
        "audit_links is not the table that the migrations make",
    ),
    (
        "CREATE TABLE evil (id uuid PRIMARY KEY);
         ALTER TABLE audit_unlinked ADD FOREIGN KEY (event_id) REFERENCES evil ON DELETE CASCADE NOT VALID",
        "audit_unlinked is not the table that the migrations make",
    ),
    (
        "ALTER TABLE audit_details ALTER salt DROP NOT NULL",
        "audit_details is not the table that the migrations make: it has `salt bytea`, and lacks `salt bytea NOT NULL`",
    ),
];

#[tokio::test]
async fn what_stands_in_the_place_of_ours_is_named() {
    for (sql, fault) in ATTACKS {
        let app = TestApp::start().await;
        app.db.execute(
            "CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE FUNCTION evil(uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
             CREATE FUNCTION evil(text) RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
        );
        is_clean(&app);
        let mut connection = app.db.connect();
        connection
            .batch_execute(&sql.replace("{name}", app.db.name()))
            .unwrap();
        let faults = verify(&app.db).faults;
        assert!(
            faults.iter().any(|found| found.starts_with(fault)),
            "{sql}: {faults:#?}"
        );
        connection
            .batch_execute(&format!(
                "DO $$ BEGIN DROP OWNED BY evil_{name}; DROP ROLE evil_{name}; EXCEPTION WHEN undefined_object THEN NULL; END $$",
                name = app.db.name()
            ))
            .unwrap();
    }
}

/// Each by its SQL, and what is said of it.
const STAND_INS: &[(&str, &str)] = &[
    (
        "CREATE SCHEMA hid;
         CREATE FUNCTION hid.current_schema() RETURNS name LANGUAGE sql AS $$ SELECT 'public'::name $$;
         CREATE VIEW hid.api_keys AS SELECT * FROM public.api_keys WHERE name <> 'eve';
         INSERT INTO api_keys (id, name, role, key_hash, created_at) VALUES (gen_random_uuid(), 'eve', 'admin', sha256('x'), now());
         ALTER DATABASE {name} SET search_path = hid, public, pg_catalog",
        "api_keys is no table",
    ),
    (
        "CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER zz AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION evil();
         CREATE VIEW public.pg_trigger AS SELECT * FROM pg_catalog.pg_trigger WHERE tgname <> 'zz';
         ALTER DATABASE {name} SET search_path = public, pg_catalog",
        "the trigger zz on audit_events is not ours",
    ),
    // What fits better than what Postgres has is taken, wherever it is: so these checks look in no other schema.
    (
        "CREATE FUNCTION evil(uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         ALTER TABLE audit_unlinked ADD CHECK (evil(event_id));
         CREATE FUNCTION no(oid, regclass) RETURNS boolean LANGUAGE sql AS
            $$ SELECT $1 = $2::oid AND current_query() NOT LIKE '%a constraint, default%' $$;
         CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = no)",
        "a constraint, default or index of audit_unlinked calls evil(uuid)",
    ),
];

#[tokio::test]
async fn nothing_in_another_schema_stands_in_for_ours() {
    for (sql, fault) in STAND_INS {
        let app = TestApp::start().await;
        is_clean(&app);
        app.db.execute(&sql.replace("{name}", app.db.name()));
        let faults = verify(&app.db).faults;
        assert!(
            faults.iter().any(|found| found.starts_with(fault)),
            "{sql}: {faults:#?}"
        );
    }
}

/// Where a database or role says that names are looked up, and where every connection of ours looks.
#[tokio::test]
async fn what_postgres_brings_comes_first_and_what_is_temporary_last() {
    #[derive(QueryableByName)]
    struct Path {
        #[diesel(sql_type = Text)]
        path: String,
    }
    fn path(connection: &mut PgConnection) -> String {
        let path = diesel::sql_query("SELECT pg_catalog.current_setting('search_path') AS path");
        path.get_result::<Path>(connection).unwrap().path
    }
    for (said, expected) in [
        ("\"$user\", public", "public, public, pg_temp"),
        ("public, pg_catalog", "public, public, pg_temp"),
        ("pg_temp, pg_catalog, public", "public, public, pg_temp"),
        ("\"Ad, hoc\", pg_catalog", "\"Ad, hoc\", public, pg_temp"),
        // Without a home nothing is found, and nothing is made.
        ("missing, pg_catalog", "missing, pg_catalog"),
    ] {
        let db = TestDb::bare();
        db.execute(&format!(
            "CREATE SCHEMA \"Ad, hoc\"; ALTER DATABASE {} SET search_path = {said}",
            db.name()
        ));
        assert_eq!(path(&mut db::connect(&db.url).unwrap()), expected, "{said}");
        let pool = db::Db::new(&db.url, 1);
        let of_pool = pool.read(|connection| Ok(path(connection))).await.unwrap();
        assert_eq!(of_pool, expected, "{said}");
        if expected.ends_with("pg_temp") {
            db::migrate(&db.url).unwrap();
            assert_eq!(verify(&db).faults, [""; 0], "{said}");
        }
    }
}

/// The true event is put where nobody looks, and a forged one of its id is shown.
#[tokio::test]
async fn of_two_events_of_one_id_none_is_genuine() {
    let (app, user) = with_events().await;
    linker(&app).link().await.unwrap();
    is_clean(&app);
    attack(
        &app,
        &format!(
            "CREATE TABLE audit_more () INHERITS (audit_events);
             WITH moved AS (DELETE FROM ONLY audit_events WHERE subject_id = '{user}' RETURNING *)
                INSERT INTO audit_more SELECT * FROM moved;
             INSERT INTO audit_events (id, at, actor_kind, actor_id, action, subject_kind, subject_id, key_id, mac, who_salt,
                    who_hash, details_hash)
                SELECT id, at, 'operator', gen_random_uuid(), 'invitation.pin_viewed', subject_kind, subject_id, key_id, mac,
                    who_salt, who_hash, details_hash FROM audit_more"
        ),
    );
    is_named(&app, "audit_events has parts, or is one");
    is_named(&app, "it is not what its writer wrote");
    let page = app.get(&format!("/audit-events?subject_id={user}")).await;
    let events = page.json["data"].as_array().unwrap();
    let forged = |event: &&Value| event["action"] == "invitation.pin_viewed";
    assert_eq!(events.iter().filter(forged).count(), 4, "{}", page.json);
    for event in events.iter().filter(forged) {
        assert_eq!(event["signature"], "wrong", "{event}");
    }
}

/// Details are those that were written, or none are shown.
#[tokio::test]
async fn details_that_nobody_wrote_are_not_genuine() {
    for (change, expected) in [
        ("after = '{\"forged\": 1}'", "wrong"),
        ("salt = NULL, after = '{\"forged\": 1}'", "wrong"),
        ("salt = NULL, before = '{}', after = NULL", "wrong"),
        ("before = NULL, after = NULL", "wrong"),
        ("salt = NULL, before = NULL, after = NULL", "genuine"),
    ] {
        let (app, user) = with_events().await;
        attack(
            &app,
            &format!(
                "ALTER TABLE audit_details ALTER salt DROP NOT NULL; UPDATE audit_details SET {change}"
            ),
        );
        let page = app.get(&format!("/audit-events?subject_id={user}")).await;
        let events = page.json["data"].as_array().unwrap();
        assert_eq!(events.len(), 4);
        for event in events {
            assert_eq!(event["signature"], expected, "{change}: {event}");
        }
    }
}
