//! The pool, and the one crossing between async and blocking.

use std::{sync::Arc, time::Duration};

use diesel::{pg::PgConnection, prelude::*, result::Error as DieselError, sql_types::Text};
use scheduled_thread_pool::ScheduledThreadPool;
use tokio::sync::Semaphore;

use super::{
    connection::{Manager, PLANNED_EACH_TIME, PLANNED_ONCE, Pooled, Quiet},
    errors::DbError,
    url::with_limits,
};
use crate::metrics::Usage;

/// How long a request waits for a connection before it is told to come back.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(3);
/// How long what is large, or takes turns, waits for others of its kind.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(10);

/// The pool. Clones share it.
#[derive(Clone)]
pub struct Db {
    pool: r2d2::Pool<Manager>,
    /// For searches, whose plans are made for the very parameters.
    searches: r2d2::Pool<Manager>,
    /// As many as may be in use at once, of either pool: whoever waits, waits here, in order and without a thread.
    permits: Arc<Semaphore>,
    /// Half of them, for what looks at very many rows.
    large: Arc<Semaphore>,
    /// One, for what others would wait for with a connection each.
    turn: Arc<Semaphore>,
    /// Where this one waits before it waits for a connection.
    line: Option<Arc<Semaphore>>,
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
            large: Arc::new(Semaphore::new((size as usize / 2).max(1))),
            turn: Arc::new(Semaphore::new(1)),
            line: None,
        }
    }

    /// The same connections, for what looks at very many rows: half of them at most, so that others find one.
    pub fn aside(&self) -> Self {
        Self {
            line: Some(Arc::clone(&self.large)),
            ..self.clone()
        }
    }

    /// The same connections, for what takes turns in the database: whoever waits does so here, without one.
    pub fn in_turn(&self) -> Self {
        Self {
            line: Some(Arc::clone(&self.turn)),
            ..self.clone()
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
        let place = match &self.line {
            Some(line) => Some(
                tokio::time::timeout(WAIT_FOR_OTHERS, Arc::clone(line).acquire_owned())
                    .await
                    .map_err(|_| DbError::Crowded)?
                    .map_err(|_| DbError::Unavailable("the pool is closed".into()))?,
            ),
            None => None,
        };
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
            let _held = (place, permit);
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
}

/// How work on a connection went.
enum Attempt<T, E> {
    /// The connection was dead before anything was done: another one may do it.
    NotBegun(E),
    /// It was done, or failed.
    Done(Result<T, E>),
}
