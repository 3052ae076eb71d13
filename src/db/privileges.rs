//! What the service's role may do where it owns nothing: said here and nowhere else. The owner grants it after every
//! migration, so that a new table is no trap.

use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{Array, Bool, Text},
};

use super::{errors::DbError, pool::Db};

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
fn needed(table: &str) -> &'static [&'static str] {
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

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    is_owned: bool,
    /// What the role may do with it.
    #[diesel(sql_type = Array<Text>)]
    held: Vec<String>,
}

/// Our tables, also those of a newer version, and what a role may do with each.
fn tables_for(connection: &mut PgConnection, role: &str) -> QueryResult<Vec<Table>> {
    let known: Vec<&str> = TABLES
        .iter()
        .flat_map(|(_, tables)| *tables)
        .copied()
        .collect();
    diesel::sql_query(
        "SELECT relname::text AS name, pg_has_role($1::name, relowner, 'MEMBER') AS is_owned, ARRAY(
            SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) privilege
            WHERE has_table_privilege($1::name, oid, privilege)
         ) AS held
         FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p')
         AND (relname = ANY ($2::name[])
            OR relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations')))
         ORDER BY relname",
    )
    .bind::<Text, _>(role)
    .bind::<Array<Text>, _>(known)
    .load(connection)
}

/// The owner's functions that a role may not call.
fn functions_missed_by(connection: &mut PgConnection, role: &str) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Function {
        #[diesel(sql_type = Text)]
        signature: String,
    }
    let functions: Vec<Function> = diesel::sql_query(format!(
        "SELECT oid::regprocedure::text AS signature FROM pg_proc WHERE {OF_THE_OWNER}
         AND prosecdef AND NOT has_function_privilege($1::name, oid, 'EXECUTE') ORDER BY 1"
    ))
    .bind::<Text, _>(role)
    .load(connection)?;
    Ok(functions.into_iter().map(|of| of.signature).collect())
}

/// Grants a role what the service needs, and takes what is more. A role that can become the owner is left alone.
pub(super) fn grant(connection: &mut PgConnection, role: &str) -> QueryResult<()> {
    let grantee = format!("\"{}\"", role.replace('"', "\"\""));
    for table in tables_for(connection, role)? {
        let needed = needed(&table.name);
        if table.is_owned || table.held == needed {
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

/// What a role may do, as compared with what the service needs.
#[derive(Debug, PartialEq, Eq)]
pub enum Powers {
    /// It owns the tables, or can become who does.
    Owner,
    /// It owns nothing.
    Lesser {
        /// What it needs and may not do.
        missing: Vec<String>,
        /// What it may do and does not need.
        excess: Vec<String>,
    },
}

impl Db {
    /// What the role of these connections may do.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn powers(&self) -> Result<Powers, DbError> {
        self.read(|connection| Ok(powers(connection)?)).await
    }
}

pub(super) fn powers(connection: &mut PgConnection) -> QueryResult<Powers> {
    #[derive(QueryableByName)]
    struct Elsewhere {
        #[diesel(sql_type = Text)]
        role: String,
        #[diesel(sql_type = Array<Text>)]
        held: Vec<String>,
    }
    let Elsewhere { role, held } = diesel::sql_query(
        "SELECT current_user::text AS role, array_remove(ARRAY[
            CASE WHEN has_schema_privilege(current_schema(), 'CREATE') THEN 'CREATE in the schema' END,
            CASE WHEN has_database_privilege(current_database(), 'CREATE') THEN 'CREATE in the database' END,
            CASE WHEN has_database_privilege(current_database(), 'TEMPORARY') THEN 'TEMPORARY tables' END,
            CASE WHEN rolcreaterole THEN 'CREATEROLE' END
         ], NULL) AS held FROM pg_roles WHERE rolname = current_user",
    )
    .get_result(connection)?;
    let tables = tables_for(connection, &role)?;
    if tables.iter().any(|table| table.is_owned) {
        return Ok(Powers::Owner);
    }
    let (mut missing, mut excess) = (Vec::new(), held);
    for table in &tables {
        let needed = needed(&table.name);
        let is_held = |privilege: &&&str| table.held.iter().any(|held| held == **privilege);
        let missed = needed.iter().filter(|privilege| !is_held(privilege));
        missing.extend(missed.map(|privilege| format!("{privilege} {}", table.name)));
        let held = table.held.iter();
        let more = held.filter(|privilege| !needed.contains(&privilege.as_str()));
        excess.extend(more.map(|privilege| format!("{privilege} {}", table.name)));
    }
    let functions = functions_missed_by(connection, &role)?;
    missing.extend(functions.iter().map(|of| format!("EXECUTE {of}")));
    Ok(Powers::Lesser { missing, excess })
}

/// What a superuser runs once: a role that owns the schema and one for the service. May be run again.
pub fn roles_sql(owner: &str, service: &str) -> String {
    include_str!("roles.sql")
        .replace("{owner}", owner)
        .replace("{service}", service)
}
