//! The migrations, which the binary brings along.

use std::error::Error as StdError;

use diesel::{
    connection::SimpleConnection,
    migration::{Migration, MigrationSource},
    pg::{Pg, PgConnection},
    prelude::*,
    sql_types::Bool,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{errors::DbError, pool::Db, url::connect};

/// Every migration, inside the binary.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Held while migrating, so that instances that start together take turns ("enlist" in ASCII).
const MIGRATION_LOCK: i64 = 0x656e_6c69_7374;

impl Db {
    /// Whether the schema is the one that this version needs: its newest migration is applied.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn is_migrated(&self) -> Result<bool, DbError> {
        self.read(|connection| {
            let newest = MigrationSource::<Pg>::migrations(&MIGRATIONS)
                .map_err(|error| DbError::Stored(error.to_string()))?
                .iter()
                .map(|migration| migration.name().version().to_string())
                .max();
            // No such table: nothing was ever migrated.
            let is_begun: bool = diesel::select(diesel::dsl::sql::<Bool>(
                "to_regclass('__diesel_schema_migrations') IS NOT NULL",
            ))
            .get_result(connection)?;
            if !is_begun {
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
