//! The schema: up, down and up again, and what is generated from it.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use diesel::{
    QueryableByName, RunQueryDsl,
    sql_types::{Bool, Text},
};

use crate::support::db::{TestDb, number_of_migrations};

#[test]
fn migrations_go_up_down_and_up_again_with_data_in() {
    let db = TestDb::bare();
    let all = number_of_migrations();
    assert_eq!(enlist::db::migrate(&db.url).unwrap().len(), all);
    assert!(
        enlist::db::migrate(&db.url).unwrap().is_empty(),
        "a second time there is nothing to do"
    );
    db.execute(
        "INSERT INTO users (id, username, first_name, last_name, display_name, enabled, source, attributes, created_at, updated_at)
         SELECT gen_random_uuid(), 'user' || n, '', '', 'User', true, 'local', '{}', now(), now() FROM generate_series(1, 10) n;
         INSERT INTO groups (id, name, created_at, updated_at) VALUES (gen_random_uuid(), 'Équipe', now(), now());
         INSERT INTO group_members SELECT g.id, u.id FROM groups g, users u;
         INSERT INTO batches VALUES (gen_random_uuid(), now(), 'test', NULL, 1, 0, NULL);
         INSERT INTO invitations (id, batch_id, user_id, method, state, device_ownership, locale, key_id, counter,
             pin_length, pin_lifetime_days, created_at, expires_at, resend_count)
         SELECT gen_random_uuid(), b.id, u.id, 'pin', 'pending', 'undefined', 'en', 'k1', 0, 8, 1, now(), now() + '1 day', 0
         FROM batches b, (SELECT id FROM users LIMIT 1) u;
         INSERT INTO setting_versions VALUES (gen_random_uuid(), '{\"enabled\": true}', now());
         INSERT INTO settings SELECT gen_random_uuid(), 'confirmation', false, 'On', 1, id, now(), now() FROM setting_versions ORDER BY created_at DESC LIMIT 1;
         INSERT INTO setting_groups SELECT s.id, g.id FROM settings s, groups g WHERE NOT s.is_default;
         INSERT INTO setting_users SELECT s.id, u.id FROM settings s, users u WHERE NOT s.is_default;
         UPDATE invitations SET registration_id = (SELECT version_id FROM settings WHERE kind = 'registration');
         INSERT INTO messages SELECT gen_random_uuid(), 'invitation', id, batch_id, 'queued', 0, now(), now() FROM invitations;
         INSERT INTO devices (id, user_id, serial_number, platform, supervised, user_enrollment, ownership_requested, ownership,
             ownership_reason, enrolled_at, updated_at)
         SELECT gen_random_uuid(), user_id, 'S', 'ios', false, false, 'undefined', 'undefined', 'setting_off', now(), now() FROM invitations;
         INSERT INTO enrollments SELECT gen_random_uuid(), i.user_id, i.id, d.id, 'pin', 'undefined', 'undefined', 'setting_off', true, now()
         FROM invitations i, devices d;
         INSERT INTO messages (id, kind, invitation_id, enrollment_id, state, attempts, due_at, created_at)
         SELECT gen_random_uuid(), 'confirmation', invitation_id, id, 'accepted', 1, now(), now() FROM enrollments;
         INSERT INTO messages (id, kind, invitation_id, state, attempts, due_at, created_at, reminder_on)
         SELECT gen_random_uuid(), 'reminder', id, 'queued', 0, now(), now(), now() FROM invitations;
         INSERT INTO guesses VALUES (gen_random_uuid(), 1, NULL, true, now());
         INSERT INTO pin_requests SELECT gen_random_uuid(), id, now() FROM users",
    );
    assert_eq!(
        db.number("SELECT count(*) FROM user_activity"),
        10,
        "every user has the row"
    );
    enlist::db::revert_all(&db.url).unwrap();
    assert_eq!(db.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_\\_%'"), 0);
    assert_eq!(enlist::db::migrate(&db.url).unwrap().len(), all);
}

#[test]
fn instances_that_start_together_migrate_once() {
    let db = TestDb::bare();
    let applied: usize = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| enlist::db::migrate(&db.url).unwrap().len()))
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).sum()
    });
    assert_eq!(applied, number_of_migrations());
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
    #[diesel(sql_type = Bool)]
    is_key: bool,
}

#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    child: String,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Text)]
    column_name: String,
}

/// `src/schema.rs` as the migrations have it.
fn generated() -> String {
    let db = TestDb::migrated();
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT c.relname::text AS table_name, a.attname::text AS column_name, t.typname::text AS kind,
                NOT a.attnotnull AS nullable, coalesce(a.attnum = ANY (p.conkey), false) AS is_key
         FROM pg_class c
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         JOIN pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_constraint p ON p.conrelid = c.oid AND p.contype = 'p'
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE '\\_\\_%'
         ORDER BY c.relname, a.attnum",
    )
    .load(&mut db.connect())
    .unwrap();
    let foreign_keys: Vec<ForeignKey> = diesel::sql_query(
        "SELECT c.relname::text AS child, p.relname::text AS parent, a.attname::text AS column_name
         FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class p ON p.oid = f.confrelid
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
         WHERE f.contype = 'f' ORDER BY 1, 3",
    )
    .load(&mut db.connect())
    .unwrap();
    let mut tables: BTreeMap<&str, Vec<&Column>> = BTreeMap::new();
    for column in &columns {
        tables.entry(&column.table_name).or_default().push(column);
    }
    let mut text = "//! Generated from the migrations by the test `schema_is_fresh` (`BLESS=1` writes it anew).\n\n".to_owned();
    for (table, columns) in &tables {
        let keys: Vec<&str> = columns
            .iter()
            .filter(|c| c.is_key)
            .map(|c| c.column_name.as_str())
            .collect();
        writeln!(
            text,
            "diesel::table! {{\n    {table} ({}) {{",
            keys.join(", ")
        )
        .unwrap();
        for column in columns {
            let kind = match column.kind.as_str() {
                "uuid" => "Uuid",
                "date" => "Date",
                "text" => "Text",
                "timestamptz" => "Timestamptz",
                "bool" => "Bool",
                "jsonb" => "Jsonb",
                "bytea" => "Bytea",
                "int2" => "Int2",
                "int4" => "Int4",
                "int8" => "Int8",
                other => panic!("teach this test the type {other}"),
            };
            let kind = if column.nullable {
                format!("Nullable<{kind}>")
            } else {
                kind.to_owned()
            };
            writeln!(text, "        {} -> {kind},", column.column_name).unwrap();
        }
        text.push_str("    }\n}\n\n");
    }
    for ForeignKey {
        child,
        parent,
        column_name,
    } in &foreign_keys
    {
        writeln!(
            text,
            "diesel::joinable!({child} -> {parent} ({column_name}));"
        )
        .unwrap();
    }
    let names: Vec<String> = tables.keys().map(|name| format!("    {name},\n")).collect();
    writeln!(
        text,
        "\ndiesel::allow_tables_to_appear_in_same_query!(\n{});",
        names.concat()
    )
    .unwrap();
    text
}

#[test]
fn schema_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schema.rs");
    let generated = generated();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == generated,
        "src/schema.rs is stale: run the tests once with BLESS=1"
    );
}
