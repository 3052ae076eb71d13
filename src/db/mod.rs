//! The database: the pool, the one crossing between async and blocking, and the migrations.

pub mod keyset;
pub mod prepared;
pub mod text;

use std::{error::Error as StdError, sync::Arc, time::Duration};

use diesel::{
    connection::SimpleConnection,
    migration::{Migration, MigrationSource},
    pg::{Pg, PgConnection},
    prelude::*,
    r2d2::R2D2Connection,
    result::{DatabaseErrorKind, Error as DieselError},
    sql_types::{Bool, Text},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use scheduled_thread_pool::ScheduledThreadPool;
use tokio::sync::Semaphore;

/// Every migration, inside the binary.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Held while migrating, so that instances that start together take turns ("enlist" in ASCII).
const MIGRATION_LOCK: i64 = 0x656e_6c69_7374;

/// How long a request waits for a connection before it is told to come back.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(3);

/// A statement that runs longer is canceled by Postgres: no request may hold a connection for ever. Nor
/// should one take the cores of the others.
const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET timezone = 'UTC'; \
     SET max_parallel_workers_per_gather = 0; SET plan_cache_mode = ";

/// diesel passes on what a server says, but not its SQLSTATE: what only words tell ([`DbError::is_busy`])
/// must be said in English. Before Postgres 15 only superusers may ask for that, since then also whom they
/// let; [`Db::foreign_language`] finds out.
const ENGLISH: &str =
    "DO $$ BEGIN SET lc_messages = 'C'; EXCEPTION WHEN insufficient_privilege THEN NULL; END $$";

/// Planning is most of the work of a small statement: it is done once.
const PLANNED_ONCE: &str = "force_generic_plan";
/// Where a filter decides between an index and a scan, a plan for any value goes wrong by a factor of a
/// hundred.
const PLANNED_EACH_TIME: &str = "force_custom_plan";

/// Run inside a transaction whose statements depend on how many rows their parameters select.
pub const CUSTOM_PLAN: &str = "SET LOCAL plan_cache_mode = force_custom_plan";

/// The channel on which instances tell each other that there is something to send.
pub const OUTBOX_CHANNEL: &str = "enlist_outbox";
/// Run inside a transaction that queues messages: workers of any instance look when it is committed.
pub const WAKE_WORKERS: &str = "NOTIFY enlist_outbox";

/// Why the database could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It is away, or all connections stayed busy. Nothing was done.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] DieselError),
    /// A stored value is not one that this version writes.
    #[error("stored value is not understood: {0}")]
    Stored(String),
}

impl DbError {
    /// The constraint or unique index that refused a row, if that is what happened.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Query(DieselError::DatabaseError(_, info)) => info.constraint_name(),
            _ => None,
        }
    }

    /// Whether the connection broke, as opposed to a statement that was refused.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Query(error) if is_gone(error))
    }

    /// Whether others held what was needed for too long: nothing was done, and a repeat may work. Known
    /// by the server's words, in English ([`ENGLISH`]).
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Query(DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => {
                true
            }
            Self::Query(DieselError::DatabaseError(DatabaseErrorKind::Unknown, info)) => {
                let message = info.message();
                message.contains("lock timeout")
                    || message.contains("statement timeout")
                    || message.contains("deadlock detected")
            }
            _ => false,
        }
    }
}

/// Whether the connection itself is gone, as opposed to a statement that was refused.
fn is_gone(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _,
        )
        | DieselError::BrokenTransactionManager => true,
        // Postgres says so in words while it shuts down or starts (SQLSTATE class 57P).
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, info) => {
            let message = info.message();
            message.contains("terminating connection")
                || message.contains("the database system is")
                || message.contains("server closed the connection")
                || message.contains("no connection to the server")
                || message.contains("SSL connection has been closed")
        }
        DieselError::RollbackErrorOnCommit { commit_error, .. } => is_gone(commit_error),
        _ => false,
    }
}

/// A pooled connection, and whether it was seen dead: then it is not used again.
pub struct Pooled {
    connection: PgConnection,
    gone: bool,
}

impl Pooled {
    fn is_dead(&mut self) -> bool {
        self.connection.is_broken() || self.connection.ping().is_err()
    }
}

struct Manager {
    url: String,
    plans: &'static str,
}

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::ConnectionError;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        let mut connection = PgConnection::establish(&self.url).map_err(|error| {
            diesel::ConnectionError::BadConnection(redacted(&error.to_string(), &self.url))
        })?;
        connection
            .batch_execute(&format!("{SESSION}{}; {ENGLISH}", self.plans))
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
struct Quiet;

impl r2d2::HandleError<diesel::ConnectionError> for Quiet {
    fn handle_error(&self, error: diesel::ConnectionError) {
        tracing::debug!(%error, "no connection to the database");
    }
}

/// How the connections are used at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// In use.
    pub busy: usize,
    /// Open, in use or not.
    pub open: u32,
    /// As many as may be in use at once.
    pub most: usize,
}

/// The pool. Clones share it.
#[derive(Clone)]
pub struct Db {
    pool: r2d2::Pool<Manager>,
    /// For searches, whose plans are made for the very parameters.
    searches: r2d2::Pool<Manager>,
    /// As many as may be in use at once, of either pool: whoever waits, waits here, in order and without a thread.
    permits: Arc<Semaphore>,
}

impl Db {
    /// A pool of `size` connections, opened when they are first needed.
    pub fn new(url: &str, size: u32) -> Self {
        // One thread opens connections and looks after their age: r2d2's own would be three a pool.
        let threads = Arc::new(ScheduledThreadPool::new(1));
        let pool = |plans| {
            r2d2::Pool::builder()
                .max_size(size)
                .thread_pool(Arc::clone(&threads))
                .min_idle(Some(0))
                .test_on_check_out(false)
                .connection_timeout(WAIT_FOR_CONNECTION)
                .error_handler(Box::new(Quiet))
                .build_unchecked(Manager {
                    url: with_limits(url),
                    plans,
                })
        };
        Self {
            pool: pool(PLANNED_ONCE),
            searches: pool(PLANNED_EACH_TIME),
            permits: Arc::new(Semaphore::new(size as usize)),
        }
    }

    /// Runs `work` in one transaction on a thread that may block. It is committed if `work` gives
    /// `Ok`, else rolled back.
    ///
    /// # Errors
    /// What `work` gives; [`DbError::Unavailable`] when there is no connection to be had.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + From<DieselError> + Send + 'static,
    {
        let mut work = Some(work);
        self.with_connection(&self.pool, move |pooled| {
            let result = pooled
                .connection
                .transaction(|connection| match work.take() {
                    Some(work) => work(connection),
                    None => {
                        Err(DbError::Unavailable("the transaction was begun twice".into()).into())
                    }
                });
            // A transaction that failed half-way leaves its traces in the transaction manager; a
            // BEGIN on a dead connection does not, and then nothing has run yet.
            match result {
                Err(error) if work.is_some() => {
                    pooled.gone = true;
                    Attempt::NotBegun(error)
                }
                Err(error) => {
                    pooled.gone = pooled.is_dead();
                    Attempt::Done(Err(error))
                }
                Ok(value) => Attempt::Done(Ok(value)),
            }
        })
        .await
    }

    /// Reads without a transaction: again on a fresh connection if the first one was dead.
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub async fn read<T, F>(&self, work: F) -> Result<T, DbError>
    where
        F: FnMut(&mut PgConnection) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        self.read_from(&self.pool, work).await
    }

    /// Reads with plans that are made for the very parameters.
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub async fn search<T, F>(&self, work: F) -> Result<T, DbError>
    where
        F: FnMut(&mut PgConnection) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        self.read_from(&self.searches, work).await
    }

    async fn read_from<T, F>(&self, pool: &r2d2::Pool<Manager>, mut work: F) -> Result<T, DbError>
    where
        F: FnMut(&mut PgConnection) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        self.with_connection(pool, move |pooled| match work(&mut pooled.connection) {
            // Whatever a server says when it ends a connection, and in which language: nothing answers then.
            Err(error) if error.is_gone() || pooled.is_dead() => {
                pooled.gone = true;
                Attempt::NotBegun(error)
            }
            result => Attempt::Done(result),
        })
        .await
    }

    /// Runs `work` on a connection; on another one as long as it says that nothing was begun, since
    /// every connection in the pool may be dead after Postgres was restarted.
    async fn with_connection<T, E, F>(
        &self,
        pool: &r2d2::Pool<Manager>,
        mut work: F,
    ) -> Result<T, E>
    where
        F: FnMut(&mut Pooled) -> Attempt<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let permit = tokio::time::timeout(
            WAIT_FOR_CONNECTION,
            Arc::clone(&self.permits).acquire_owned(),
        )
        .await
        .map_err(|_| DbError::Unavailable("all connections are busy".into()))?
        .map_err(|_| DbError::Unavailable("the pool is closed".into()))?;
        let pool = pool.clone();
        let span = tracing::Span::current();
        let done = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            let _permit = permit;
            let mut tries_left = pool.max_size();
            loop {
                let mut pooled = pool
                    .get()
                    .map_err(|error| DbError::Unavailable(error.to_string()))?;
                match work(&mut pooled) {
                    Attempt::Done(result) => return result,
                    Attempt::NotBegun(error) if tries_left == 0 => return Err(error),
                    Attempt::NotBegun(_) => tries_left -= 1,
                }
            }
        })
        .await;
        match done {
            Ok(result) => result,
            Err(join) => match join.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(DbError::Unavailable("the service is stopping".into()).into()),
            },
        }
    }

    /// How the connections are used now.
    pub fn usage(&self) -> Usage {
        let most = self.pool.max_size() as usize;
        Usage {
            busy: most - self.permits.available_permits().min(most),
            open: self.pool.state().connections + self.searches.state().connections,
            most,
        }
    }

    /// The locale of the server's messages, if they are not in English: then a request that others held up
    /// is answered with 500 instead of 503, and nothing tries it again.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn foreign_language(&self) -> Result<Option<String>, DbError> {
        let locale: String = self
            .read(|connection| {
                let setting = diesel::dsl::sql::<Text>("current_setting('lc_messages')");
                Ok(diesel::select(setting).get_result(connection)?)
            })
            .await?;
        let is_english = matches!(&*locale, "" | "C" | "POSIX")
            || ["C.", "en", "English"]
                .iter()
                .any(|name| locale.starts_with(name));
        Ok(Some(locale).filter(|_| !is_english))
    }

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

/// How work on a connection went.
enum Attempt<T, E> {
    /// The connection was dead before anything was done: another one may do it.
    NotBegun(E),
    /// It was done, or failed.
    Done(Result<T, E>),
}

/// One connection, outside of any pool.
///
/// # Errors
/// When the database cannot be reached; the text holds no password.
pub fn connect(url: &str) -> Result<PgConnection, String> {
    PgConnection::establish(&with_limits(url)).map_err(|error| redacted(&error.to_string(), url))
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

/// Adds time limits to a connection URL, unless it sets them itself: a host that does not answer
/// must not hold a request for minutes.
fn with_limits(url: &str) -> String {
    let mut limited = url.to_owned();
    for (name, value) in [("connect_timeout", "3"), ("tcp_user_timeout", "10000")] {
        if !limited.contains(name) {
            let joint = match (url.contains("://"), limited.contains('?')) {
                (false, _) => ' ',
                (true, true) => '&',
                (true, false) => '?',
            };
            limited.push(joint);
            limited.push_str(&format!("{name}={value}"));
        }
    }
    limited
}

/// An error text of the database library, which may quote the URL, without the password in it.
fn redacted(text: &str, url: &str) -> String {
    let password = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next())
        .and_then(|authority| authority.rsplit_once('@'))
        .and_then(|(user, _)| user.split_once(':'))
        .map(|(_, password)| password)
        .filter(|password| !password.is_empty());
    let hidden = text.replace(url, "(the URL)");
    match password {
        Some(password) => hidden.replace(password, "***"),
        None => hidden,
    }
}

/// A stored enum value.
///
/// # Errors
/// [`DbError::Stored`] when this version does not know it.
pub fn stored<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, DbError> {
    read(text).ok_or_else(|| DbError::Stored(text.to_owned()))
}

/// A stored number, where it has to fit. Never another one instead: secrets are derived from numbers.
///
/// # Errors
/// [`DbError::Stored`] when it does not fit.
pub fn fitting<N: Copy + std::fmt::Display, T: TryFrom<N>>(number: N) -> Result<T, DbError> {
    T::try_from(number).map_err(|_| DbError::Stored(number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_no_password() {
        let url = "postgres://enlist:s3cr3t@db/enlist";
        let told = redacted(&format!("invalid option \"{url}?x\" near s3cr3t"), url);
        assert!(
            !told.contains("s3cr3t") && told.contains("(the URL)"),
            "{told}"
        );
        assert_eq!(
            redacted("no such host", "host=/run dbname=x"),
            "no such host"
        );
    }

    #[test]
    fn limits_are_added_once_and_in_the_urls_own_way() {
        assert_eq!(
            with_limits("postgres://h/db"),
            "postgres://h/db?connect_timeout=3&tcp_user_timeout=10000"
        );
        assert_eq!(
            with_limits("postgres://a,b/db?connect_timeout=9"),
            "postgres://a,b/db?connect_timeout=9&tcp_user_timeout=10000"
        );
        assert_eq!(
            with_limits("host=/run dbname=x"),
            "host=/run dbname=x connect_timeout=3 tcp_user_timeout=10000"
        );
    }
}
