//! The migrations, which the binary brings along.

use std::error::Error as StdError;

use diesel::{
    connection::SimpleConnection,
    dsl::sql,
    migration::{Migration, MigrationSource},
    pg::{Pg, PgConnection},
    prelude::*,
    sql_types::{Bool, Text},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{errors::DbError, pool::Db, url::connect};

/// Every migration, inside the binary.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Held while migrating, so that instances that start together take turns ("enlist" in ASCII).
const MIGRATION_LOCK: i64 = 0x656e_6c69_7374;

/// How the schema in a database and the one of this version go together.
#[derive(Debug)]
pub struct Schema {
    /// The version of Postgres.
    pub server: String,
    /// Who asks.
    pub role: String,
    /// Whether that role may change the schema.
    pub is_owner: bool,
    /// Migrations that are still to be applied.
    pub pending: Vec<String>,
    /// Whether there is one that this version does not know.
    pub is_newer: bool,
}

impl Db {
    /// Whether the schema is the one that this version needs: its newest migration is applied.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn is_migrated(&self) -> Result<bool, DbError> {
        self.read(|connection| {
            let newest = known()?.pop();
            if !is_begun(connection)? {
                return Ok(false);
            }
            let there: bool = diesel::select(diesel::dsl::exists(
                applied::table.filter(applied::version.nullable().eq(newest)),
            ))
            .get_result(connection)?;
            Ok(there)
        })
        .await
    }

    /// What the schema is, without changing it.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn schema(&self) -> Result<Schema, DbError> {
        self.read(|connection| {
            let known = known()?;
            let is_begun = is_begun(connection)?;
            let applied: Vec<String> = if is_begun {
                applied::table.select(applied::version).load(connection)?
            } else {
                Vec::new()
            };
            // Where there is nothing yet, it is whoever may make tables.
            let may_change = if is_begun {
                "pg_has_role(current_user, (SELECT relowner FROM pg_class \
                 WHERE oid = to_regclass('__diesel_schema_migrations')), 'USAGE')"
            } else {
                "coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
            };
            let told = (
                sql::<Text>("current_setting('server_version')"),
                sql::<Text>("current_user::text"),
                sql::<Bool>(may_change),
            );
            let (server, role, is_owner) = diesel::select(told).get_result(connection)?;
            let is_newer = applied.iter().any(|version| !known.contains(version));
            let pending = known
                .into_iter()
                .filter(|version| !applied.contains(version));
            Ok(Schema {
                server,
                role,
                is_owner,
                pending: pending.collect(),
                is_newer,
            })
        })
        .await
    }
}

/// The versions of this version's migrations, the newest last.
fn known() -> Result<Vec<String>, DbError> {
    let migrations = MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .map_err(|error| DbError::Stored(error.to_string()))?;
    let versions = migrations.iter().map(|of| of.name().version().to_string());
    let mut versions: Vec<String> = versions.collect();
    versions.sort();
    Ok(versions)
}

/// Whether anything was ever migrated.
fn is_begun(connection: &mut PgConnection) -> Result<bool, DbError> {
    let is_there = sql::<Bool>("to_regclass('__diesel_schema_migrations') IS NOT NULL");
    Ok(diesel::select(is_there).get_result(connection)?)
}

diesel::table! {
    #[sql_name = "__diesel_schema_migrations"]
    applied (version) {
        version -> Text,
    }
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    is_ours: bool,
}

/// Applies what is pending, one instance at a time. Gives the versions that were applied.
///
/// # Errors
/// When the database is away or a migration fails; a failed one leaves nothing behind.
pub fn migrate(url: &str) -> Result<Vec<String>, Box<dyn StdError + Send + Sync>> {
    let mut connection = connect(url)?;
    connection.batch_execute("SET timezone = 'UTC'; SET client_min_messages = warning")?;
    let is_ours: Locked = diesel::sql_query(format!(
        "SELECT pg_try_advisory_lock({MIGRATION_LOCK}) AS is_ours"
    ))
    .get_result(&mut connection)?;
    if !is_ours.is_ours {
        tracing::info!("another instance looks after the migrations; waiting for it");
        connection.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
    }
    let applied = connection.run_pending_migrations(MIGRATIONS)?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

/// Takes every migration back, newest first: only tests do that.
///
/// # Errors
/// As [`migrate`].
pub fn revert_all(url: &str) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let mut connection = PgConnection::establish(url)?;
    connection.revert_all_migrations(MIGRATIONS)?;
    Ok(())
}
