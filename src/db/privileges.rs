//! What the service's role may do where it owns nothing: said here and nowhere else. The owner grants it after every
//! migration, so that a new table is no trap.

use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{Array, Bool, Text},
};

const EVERYTHING: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// What the service does with tables, and with which.
pub const TABLES: &[(&[&str], &[&str])] = &[
    (
        &["SELECT"],
        &[
            "__diesel_schema_migrations",
            "audit_beginning",
            "audit_retention",
        ],
    ),
    (
        &["SELECT", "INSERT"],
        &["audit_details", "audit_events", "audit_links"],
    ),
    (
        &["SELECT", "INSERT", "DELETE"],
        &["audit_heads", "audit_unlinked"],
    ),
    (
        EVERYTHING,
        &[
            "api_keys",
            "batch_skips",
            "batches",
            "bounce_counts",
            "devices",
            "enrollments",
            "forgotten",
            "group_members",
            "groups",
            "guesses",
            "idempotency_keys",
            "idempotency_leases",
            "invitations",
            "known_networks",
            "mail_allowance",
            "masking",
            "messages",
            "operators",
            "pin_requests",
            "secret_keys",
            "sessions",
            "setting_groups",
            "setting_users",
            "setting_versions",
            "settings",
            "suppressions",
            "user_activity",
            "user_names",
            "users",
        ],
    ),
];

/// What the service needs of a table.
pub(super) fn needed(table: &str) -> &'static [&'static str] {
    let line = TABLES.iter().find(|(_, tables)| tables.contains(&table));
    line.map_or(EVERYTHING, |(privileges, _)| privileges)
}

/// Functions that may run with the owner's rights whoever calls them: those that say so, and triggers, which a cascade runs
/// as the owner of the table. Others in their language belong to them: called now with one search path and now with
/// another, they would be planned at every call. Those in SQL are part of the statement that calls them.
const OF_THE_OWNER: &str = "pronamespace = quote_ident(current_schema())::regnamespace AND proname LIKE 'enlist\\_%' \
     AND (prosecdef OR prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql'))";

/// Gives the owner's functions a search path of their own, so that no table of the caller's (a temporary one) is taken for
/// one of ours; and lets not just anybody call them. One that belongs to somebody else stays as it is.
pub(super) fn secure_functions(connection: &mut PgConnection) -> QueryResult<()> {
    connection.batch_execute(&format!(
        "DO $$
        DECLARE
            ours regprocedure;
            path text := format('pg_catalog, %I, pg_temp', current_schema());
        BEGIN
            FOR ours IN SELECT oid FROM pg_proc WHERE {OF_THE_OWNER} AND pg_has_role(proowner, 'USAGE')
                AND NOT coalesce(proconfig, '{{}}') @> ARRAY['search_path=' || path]
            LOOP
                EXECUTE format('ALTER FUNCTION %s SET search_path = %s', ours, path);
            END LOOP;
            FOR ours IN SELECT oid FROM pg_proc WHERE {OF_THE_OWNER} AND pg_has_role(proowner, 'USAGE')
                AND prosecdef AND has_function_privilege('public', oid, 'EXECUTE')
            LOOP
                EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', ours);
            END LOOP;
        END $$"
    ))
}

/// The tables that this version knows.
pub(super) fn known() -> Vec<&'static str> {
    let tables = TABLES.iter().flat_map(|(_, tables)| *tables);
    tables.copied().collect()
}

#[derive(QueryableByName)]
pub(super) struct Table {
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Bool)]
    is_owned: bool,
    /// Whether something is granted to the role that is not granted for the whole table.
    #[diesel(sql_type = Bool)]
    has_parts: bool,
    /// What the role may do with it.
    #[diesel(sql_type = Array<Text>)]
    pub(super) held: Vec<String>,
}

/// Our tables, and what a role may do with each.
pub(super) fn tables_for(connection: &mut PgConnection, role: &str) -> QueryResult<Vec<Table>> {
    diesel::sql_query(include_str!("sql/tables_for.sql"))
        .bind::<Array<Text>, _>(known())
        .bind::<Text, _>(role)
        .load(connection)
}

/// The owner's functions that a role may not call.
pub(super) fn functions_missed_by(
    connection: &mut PgConnection,
    role: &str,
) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Function {
        #[diesel(sql_type = Text)]
        signature: String,
    }
    let functions: Vec<Function> = diesel::sql_query(include_str!("sql/functions_missed.sql"))
        .bind::<Text, _>(role)
        .load(connection)?;
    Ok(functions.into_iter().map(|of| of.signature).collect())
}

/// Grants a role what the service needs, and takes what is more. A role that can become the owner is left alone.
pub(super) fn grant(connection: &mut PgConnection, role: &str) -> QueryResult<()> {
    let grantee = format!("\"{}\"", role.replace('"', "\"\""));
    for table in tables_for(connection, role)? {
        let needed = needed(&table.name);
        if table.is_owned || (table.held == needed && !table.has_parts) {
            continue;
        }
        let (name, needed) = (&table.name, needed.join(", "));
        connection.batch_execute(&format!(
            "REVOKE ALL ON TABLE \"{name}\" FROM {grantee}; GRANT {needed} ON TABLE \"{name}\" TO {grantee}"
        ))?;
    }
    // For `pg_dump`: the columns that number rows need no grant.
    connection.batch_execute(&format!(
        "DO $$ DECLARE sequence regclass; BEGIN
            FOR sequence IN SELECT oid FROM pg_class WHERE relkind = 'S' AND relnamespace = quote_ident(current_schema())::regnamespace
                AND pg_has_role(relowner, 'USAGE')
            LOOP
                EXECUTE format('GRANT SELECT ON SEQUENCE %s TO {grantee}', sequence);
            END LOOP;
        END $$"
    ))?;
    for signature in functions_missed_by(connection, role)? {
        connection.batch_execute(&format!(
            "GRANT EXECUTE ON FUNCTION {signature} TO {grantee}"
        ))?;
    }
    Ok(())
}

/// What a superuser runs once: a role that owns the schema and one for the service. May be run again.
pub fn roles_sql(owner: &str, service: &str) -> String {
    include_str!("roles.sql")
        .replace("{owner}", owner)
        .replace("{service}", service)
}
