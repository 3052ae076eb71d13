//! What is on the log's tables, and what these and the functions of the schema are, as compared with what the migrations
//! make: whoever owns the database may have rows hidden, changed or taken away before they are linked.

use diesel::{
    prelude::*,
    sql_types::{Array, Nullable, Text},
};

use super::shape::{differences, tables};
use crate::db::{DbError, looking_at_home};

/// The triggers of these tables, as Postgres tells them, without the schema.
const TRIGGERS: [(&str, &str); 4] = [
    (
        "audit_details_append_only",
        "CREATE TRIGGER audit_details_append_only BEFORE UPDATE OR TRUNCATE ON audit_details \
         FOR EACH STATEMENT EXECUTE FUNCTION enlist_audit_is_append_only()",
    ),
    (
        "audit_details_erasure",
        "CREATE TRIGGER audit_details_erasure BEFORE DELETE ON audit_details \
         FOR EACH ROW EXECUTE FUNCTION enlist_audit_details_go_with_the_person()",
    ),
    (
        "audit_events_append_only",
        "CREATE TRIGGER audit_events_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_events \
         FOR EACH STATEMENT EXECUTE FUNCTION enlist_audit_is_append_only()",
    ),
    (
        "audit_links_append_only",
        "CREATE TRIGGER audit_links_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_links \
         FOR EACH STATEMENT EXECUTE FUNCTION enlist_audit_is_append_only()",
    ),
];

/// The functions of the schema: their signatures, and a digest of what each does and with whose rights. A migration that
/// makes or changes one changes this list; the test `a_new_database_is_what_the_migrations_make` says how.
const FUNCTIONS: [(&str, &str); 23] = [
    (
        "enlist_add_user_activity()",
        "01a4dc76bc91439b1a2b4f7c44acd5d2",
    ),
    ("enlist_analyze()", "cb5d8a46af5053e446d329e2e38dfd61"),
    (
        "enlist_audit_details_go_with_the_person()",
        "8de7006b7aa75df3e8423df611eb7d4e",
    ),
    (
        "enlist_audit_erase_operator(operator uuid)",
        "2f0df0d18f4740320e5f333160e7b756",
    ),
    (
        "enlist_audit_forget(last bigint, last_mac bytea, before timestamp with time zone, sealed_with text, given_seal bytea)",
        "7c7c59ff495f81729b5f3ff8eece9cfe",
    ),
    (
        "enlist_audit_is_append_only()",
        "e8de1e5104978c6b5e9fab5946d168f6",
    ),
    (
        "enlist_fill_search_text()",
        "b2bac47444c9bf26a9660e493c8c863e",
    ),
    (
        "enlist_fold(value text)",
        "13f1c120e3ee2fb41c179ced2258d045",
    ),
    (
        "enlist_forget_name_keys()",
        "07e94840b5664fda051bf95d600cb39e",
    ),
    (
        "enlist_hand_on_names(freed text[])",
        "abd69341896b05ad78bdf50043a6aa66",
    ),
    (
        "enlist_ids_in(before text, after text)",
        "4fe9f2f70caea8db775b3044621600e9",
    ),
    (
        "enlist_mark_clashes(who uuid[])",
        "659ef5669a59d6c8bbaade58f747fe47",
    ),
    (
        "enlist_name_key(name text)",
        "60d1e96514712744c13c369ef2bd6a83",
    ),
    (
        "enlist_names_of(username text, email text, username_key text, email_key text)",
        "36dc07150eb902cd6dbea7404f0ed8b7",
    ),
    (
        "enlist_names_of_added()",
        "d26e468e7876f262603491f5cca5cdc1",
    ),
    (
        "enlist_names_of_changed()",
        "67e4b05103e41b171473db5cf43e2298",
    ),
    (
        "enlist_names_of_removed()",
        "6c023cf2411f17ac3e73c80ba8cdfc36",
    ),
    (
        "enlist_part(value text)",
        "c7cbb0d8a39ad29ee57e1a91e98d352a",
    ),
    (
        "enlist_part_spelled_out(value text)",
        "4430690dedf4394c314f33a27944ff81",
    ),
    (
        "enlist_plain_letters(value text)",
        "21fd9618989b62e544061b6648e77e41",
    ),
    (
        "enlist_search_text(username text, email text, display_name text, first_name text, last_name text)",
        "b2593942b187ee6004b83eabb4e901d3",
    ),
    (
        "enlist_spell_out(value text)",
        "60d1e96514712744c13c369ef2bd6a83",
    ),
    (
        "enlist_take_names(who uuid[])",
        "ac039a23484c22c6af4bc489abc90707",
    ),
];

/// What is there of a name that the migrations make, or of one that looks like ours.
#[derive(QueryableByName)]
struct There {
    #[diesel(sql_type = Text)]
    name: String,
    /// The table, or who owns it where that is somebody else.
    #[diesel(sql_type = Nullable<Text>)]
    of: Option<String>,
    #[diesel(sql_type = Text)]
    what: String,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// What is not as the migrations make it. No schema is looked at but Postgres' own and the one that is asked for: what
/// somebody made elsewhere, or fits better than what Postgres has, would stand in for it.
pub(super) fn foreign(connection: &mut PgConnection) -> Result<Vec<String>, DbError> {
    looking_at_home(connection, |connection, home| {
        let mut lines = triggers(connection, home)?;
        lines.extend(functions(connection, home)?);
        lines.extend(shapes(connection, home)?);
        lines.extend(others(connection, home)?);
        Ok(lines)
    })
}

/// Compares triggers. Those by which Postgres looks after foreign keys are its own.
fn triggers(connection: &mut PgConnection, home: &str) -> Result<Vec<String>, DbError> {
    let there: Vec<There> = diesel::sql_query(include_str!("sql/foreign_triggers.sql"))
        .bind::<Array<Text>, _>(tables())
        .bind::<Text, _>(home)
        .load(connection)?;
    let mut lines = Vec::new();
    for (ours, _) in TRIGGERS {
        if there.iter().all(|there| there.name != ours) {
            lines.push(format!("the trigger {ours} is gone"));
        }
    }
    for There { name, of, what } in there {
        let (of, ours) = (
            of.unwrap_or_default(),
            TRIGGERS.iter().find(|of| of.0 == name),
        );
        let (what, is_off) = match what.strip_suffix(" (off)") {
            Some(what) => (what, true),
            None => (what.as_str(), false),
        };
        if is_off {
            lines.push(format!("the trigger {name} on {of} is switched off"));
        }
        match ours {
            _ if is_off && ours.is_none() => {}
            None => lines.push(format!("the trigger {name} on {of} is not ours")),
            Some((_, expected)) if *expected != what => lines.push(format!(
                "the trigger {name} on {of} is not the one that the migrations make: {what}"
            )),
            Some(_) => {}
        }
    }
    Ok(lines)
}

/// Compares functions: language, rights, settings, and what is stored as text. Of a body that is not, only what it calls and
/// which tables it uses can be compared, since each version of Postgres tells it in its own words. They belong to whoever
/// owns the log, or may become that role.
fn functions(connection: &mut PgConnection, home: &str) -> Result<Vec<String>, DbError> {
    let there: Vec<There> = diesel::sql_query(include_str!("sql/foreign_functions.sql"))
        .bind::<Text, _>(home)
        .load(connection)?;
    let mut lines = Vec::new();
    for (ours, _) in FUNCTIONS {
        if there.iter().all(|there| there.name != ours) {
            lines.push(format!("the function {ours} is gone"));
        }
    }
    for There { name, of, what } in there {
        match FUNCTIONS.iter().find(|of| of.0 == name) {
            None => lines.push(format!("the function {name} is not ours ({what})")),
            Some((_, expected)) if *expected != what => lines.push(format!(
                "the function {name} is not the one that the migrations make ({what})"
            )),
            Some(_) => {}
        }
        if let Some(of) = of {
            lines.push(format!("the function {name} belongs to the role {of}"));
        }
    }
    Ok(lines)
}

/// Compares columns, keys and what is referred to: a key over other columns lets two of one id in, and a type of somebody's
/// own calls what they like.
fn shapes(connection: &mut PgConnection, home: &str) -> Result<Vec<String>, DbError> {
    let there: Vec<There> = diesel::sql_query(include_str!("sql/foreign_shapes.sql"))
        .bind::<Array<Text>, _>(tables())
        .bind::<Text, _>(home)
        .load(connection)?;
    let lines = there.iter().filter_map(|There { name, what, .. }| {
        let differences = differences(name, what)?;
        Some(format!(
            "{name} is not the table that the migrations make: {differences}"
        ))
    });
    Ok(lines.collect())
}

/// Looks for rules, policies, views and parts elsewhere that hide rows, for keys that are gone, and for what is called when
/// a row is written.
fn others(connection: &mut PgConnection, home: &str) -> Result<Vec<String>, DbError> {
    let lines: Vec<Line> = diesel::sql_query(include_str!("sql/foreign_others.sql"))
        .bind::<Array<Text>, _>(tables())
        .bind::<Text, _>(home)
        .load(connection)?;
    Ok(lines.into_iter().map(|line| line.line).collect())
}
