//! One connection of the pool: how it is opened, what it is told first, and when it is dead.

use diesel::{connection::SimpleConnection, pg::PgConnection, prelude::*, r2d2::R2D2Connection};

use super::{path::FIRST_OURS, url::redacted};

/// A statement that runs longer is canceled by Postgres: no request may hold a connection for ever. Nor
/// should one take the cores of the others.
const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET timezone = 'UTC'; \
     SET max_parallel_workers_per_gather = 0; SET plan_cache_mode = ";

/// diesel passes on what a server says, but not its SQLSTATE: what only words tell (`DbError::is_busy`)
/// must be said in English. Before Postgres 15 only superusers may ask for that, since then also whom they
/// let; `Db::foreign_language` finds out.
const ENGLISH: &str =
    "DO $$ BEGIN SET lc_messages = 'C'; EXCEPTION WHEN insufficient_privilege THEN NULL; END $$";

/// Planning is most of the work of a small statement: it is done once.
pub(super) const PLANNED_ONCE: &str = "force_generic_plan";
/// Where a filter decides between an index and a scan, a plan for any value goes wrong by a factor of a
/// hundred.
pub(super) const PLANNED_EACH_TIME: &str = "force_custom_plan";

/// A pooled connection, and whether it was seen dead: then it is not used again.
pub(super) struct Pooled {
    pub(super) connection: PgConnection,
    pub(super) gone: bool,
}

impl Pooled {
    pub(super) fn is_dead(&mut self) -> bool {
        self.connection.is_broken() || self.connection.ping().is_err()
    }
}

pub(super) struct Manager {
    pub(super) url: String,
    pub(super) plans: &'static str,
}

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::ConnectionError;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        let mut connection = PgConnection::establish(&self.url).map_err(|error| {
            diesel::ConnectionError::BadConnection(redacted(&error.to_string(), &self.url))
        })?;
        connection
            .batch_execute(&format!("{FIRST_OURS}; {SESSION}{}; {ENGLISH}", self.plans))
            .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
        Ok(Pooled {
            connection,
            gone: false,
        })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), Self::Error> {
        pooled
            .connection
            .ping()
            .map_err(diesel::ConnectionError::CouldntSetupConfiguration)
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.gone || pooled.connection.is_broken()
    }
}

/// r2d2 reports failed connection attempts here; they are part of every 503 already.
#[derive(Debug)]
pub(super) struct Quiet;

impl r2d2::HandleError<diesel::ConnectionError> for Quiet {
    fn handle_error(&self, error: diesel::ConnectionError) {
        tracing::debug!(%error, "no connection to the database");
    }
}
