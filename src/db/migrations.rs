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

use super::{
    blocked::Watching, errors::DbError, fitness, hosts::connect, pool::Db, powers, privileges,
};

/// Every migration, inside the binary.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// How long others have before a migration that waited for a lock tries again.
const AGAIN_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

/// Held while migrating, so that instances that start together take turns ("enlist" in ASCII).
const MIGRATION_LOCK: i64 = 0x656e_6c69_7374;

/// How the schema in a database and the one of this version go together, and who asks.
#[derive(Debug)]
pub struct Schema {
    /// The version of Postgres.
    pub server: String,
    /// Who asks.
    pub role: String,
    /// Which database it is: two URLs may lead to one.
    pub database: String,
    /// Whether that role may change the schema.
    pub is_owner: bool,
    /// Whether that role may see what was applied.
    pub is_readable: bool,
    /// Migrations that are still to be applied, as far as that can be seen.
    pub pending: Vec<String>,
    /// Whether there is one that this version does not know.
    pub is_newer: bool,
    /// Why it can be no database of Enlist's.
    pub unfit: Option<String>,
}

/// Whether the database is one that requests can be answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Its newest migration is not applied.
    NotMigrated,
    /// It takes no writes: a standby, or one that was told so.
    ReadOnly,
}

impl Schema {
    /// What a start needs and this role cannot do, with what to do about it.
    pub fn refusal(&self) -> Option<String> {
        if self.unfit.is_some() {
            return self.unfit.clone();
        }
        let role = &self.role;
        if !self.is_readable {
            return Some(format!(
                "role {role} may not read the tables: run `enlist migrate` with this role in DATABASE_URL and the owner in \
                 ENLIST_MIGRATE_URL, which grants what the service needs"
            ));
        }
        let pending = match self.pending.len() {
            0 => return None,
            1 => "one migration is pending".to_owned(),
            number => format!("{number} migrations are pending"),
        };
        (!self.is_owner).then(|| {
            format!(
                "role {role} may not change the schema, and {pending}: run `enlist migrate` as the owner, or give the \
                 owner's URL in ENLIST_MIGRATE_URL"
            )
        })
    }
}

impl Db {
    /// Whether requests can be answered. It waits for none of them, nor for locks that they wait for.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn readiness(&self) -> Result<Readiness, DbError> {
        self.may_begin().await?;
        let probed = self.probe(|connection| {
            if diesel::select(sql::<Bool>(fitness::IS_READ_ONLY)).get_result(connection)? {
                return Ok(None);
            }
            let newest = known()?.pop();
            let is_migrated = is_begun(connection)?
                && diesel::select(diesel::dsl::exists(
                    applied::table.filter(applied::version.nullable().eq(newest)),
                ))
                .get_result(connection)?;
            Ok(Some(is_migrated))
        });
        Ok(match probed.await? {
            Some(true) => Readiness::Ready,
            Some(false) => Readiness::NotMigrated,
            None => Readiness::ReadOnly,
        })
    }

    /// What the schema is, without changing it.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn schema(&self) -> Result<Schema, DbError> {
        self.read(schema).await
    }
}

fn schema(connection: &mut PgConnection) -> Result<Schema, DbError> {
    let unfit = fitness::unfit(connection)?;
    let known = known()?;
    let is_begun = is_begun(connection)?;
    // Where there is nothing yet, it is whoever may make tables.
    let (may_change, may_read) = if is_begun {
        (
            "pg_has_role(current_user, (SELECT relowner FROM pg_class \
             WHERE oid = to_regclass('__diesel_schema_migrations')), 'USAGE')",
            "has_table_privilege('__diesel_schema_migrations', 'SELECT')",
        )
    } else {
        (
            "coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)",
            "true",
        )
    };
    let told = (
        sql::<Text>("current_setting('server_version')"),
        sql::<Text>("current_user::text"),
        sql::<Text>("current_database() || extract(epoch FROM pg_postmaster_start_time())::text"),
        sql::<Bool>(may_change),
        sql::<Bool>(may_read),
    );
    let (server, role, database, is_owner, is_readable) =
        diesel::select(told).get_result(connection)?;
    let applied: Vec<String> = if is_begun && is_readable {
        applied::table.select(applied::version).load(connection)?
    } else {
        Vec::new()
    };
    let is_newer = applied.iter().any(|version| !known.contains(version));
    let pending = known
        .into_iter()
        .filter(|version| !applied.contains(version));
    Ok(Schema {
        server,
        role,
        database,
        is_owner,
        is_readable,
        pending: pending.collect(),
        is_newer,
        unfit,
    })
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

/// Who the service is, and where: what [`migrate_for`] grants to.
///
/// # Errors
/// When the database is away.
pub fn schema_at(url: &str) -> Result<Schema, String> {
    schema(&mut connect(url)?).map_err(|error| error.to_string())
}

/// Applies what is pending, one instance at a time. Gives the versions that were applied.
///
/// # Errors
/// When the database is away or a migration fails; a failed one leaves nothing behind.
pub fn migrate(url: &str) -> Result<Vec<String>, Box<dyn StdError + Send + Sync>> {
    migrate_for(url, None)
}

/// The same, where the service is another role than the owner at this URL: it is granted what it needs. Without a service
/// of its own this may be a role that changes nothing, as long as nothing is pending.
///
/// # Errors
/// As [`migrate`], and when the role may not do what is to be done, with who may.
pub fn migrate_for(
    url: &str,
    service: Option<&Schema>,
) -> Result<Vec<String>, Box<dyn StdError + Send + Sync>> {
    let mut connection = connect(url)?;
    connection.batch_execute(
        // However long it takes, whatever the role is told.
        "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
         SET timezone = 'UTC'; SET client_min_messages = warning",
    )?;
    let found = schema(&mut connection)?;
    if let Some(refusal) = found.refusal() {
        return Err(refusal.into());
    }
    if service.is_some_and(|service| service.database != found.database) {
        return Err("it leads to another database than DATABASE_URL".into());
    }
    if !found.is_owner {
        if service.is_some() {
            let role = &found.role;
            return Err(format!(
                "role {role} may not change the schema: name its owner here, and the lesser role in DATABASE_URL"
            )
            .into());
        }
        look_at_lesser(&mut connection, &found)?;
        return Ok(Vec::new());
    }
    let waiting = Watching::begin(url, &mut connection)?;
    connection.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
    let applied = apply(&mut connection)?;
    drop(waiting);
    // A newer version knows better what its tables need.
    if !found.is_newer {
        connection.transaction(|connection| {
            privileges::secure_functions(connection)?;
            match service {
                Some(service) if service.role != found.role => {
                    privileges::grant(connection, &service.role)
                }
                _ => Ok(()),
            }
        })?;
    }
    Ok(applied)
}

/// Applies what is pending, one after the other. A migration that waits for somebody's lock keeps everybody else waiting
/// behind it: so it lets go after a few seconds, and tries again.
fn apply(connection: &mut PgConnection) -> Result<Vec<String>, Box<dyn StdError + Send + Sync>> {
    connection.batch_execute("SET lock_timeout = '4s'")?;
    let mut applied = Vec::new();
    while connection.has_pending_migration(MIGRATIONS)? {
        match connection.run_next_migration(MIGRATIONS) {
            Ok(version) => applied.push(version.to_string()),
            Err(error) if error.to_string().contains("lock timeout") => {
                std::thread::sleep(AGAIN_AFTER);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(applied)
}

/// A role that owns nothing finds a schema that is up to date.
fn look_at_lesser(connection: &mut PgConnection, found: &Schema) -> QueryResult<()> {
    tracing::info!(
        role = found.role,
        "this role may not change the schema, and nothing is pending"
    );
    let missing = powers::powers(connection)?.missing;
    if !missing.is_empty() && !found.is_newer {
        tracing::warn!(
            role = found.role,
            missing = missing.join(", "),
            "this role may do less than the service needs; `enlist migrate` with ENLIST_MIGRATE_URL grants it"
        );
    }
    Ok(())
}

/// Takes every migration back, newest first: only tests do that.
///
/// # Errors
/// As [`migrate`].
pub fn revert_all(url: &str) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let mut connection = connect(url)?;
    connection.revert_all_migrations(MIGRATIONS)?;
    Ok(())
}
