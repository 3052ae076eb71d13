//! Whatever is put in the place of a trigger or function of ours is named by `enlist audit verify`.

use diesel::connection::SimpleConnection;
use enlist::{
    audit::verifying::{self, Verified},
    clock::Clock,
    db,
};

use crate::{
    audit_attacks::{is_clean, ring},
    support::{
        app::{KEYS, TestApp},
        db::TestDb,
    },
};

fn verify(db: &TestDb) -> Verified {
    let now = Clock::system().now();
    verifying::verify(&mut db.connect(), &ring(KEYS), &[], now).unwrap()
}

#[test]
fn a_new_database_is_what_the_migrations_make() {
    let faults = verify(&TestDb::migrated()).faults;
    assert!(
        faults.is_empty(),
        "A migration made or changed something of these. Put it into src/audit/foreign.rs as it is told here, of a function the \
         signature and what stands in brackets:\n{}",
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
