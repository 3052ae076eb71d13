//! The pool, and the one crossing between async and blocking.

use std::{sync::Arc, time::Duration};

use diesel::{
    connection::SimpleConnection, pg::PgConnection, prelude::*, result::Error as DieselError,
    sql_types::Text,
};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    connection::Pooled,
    errors::DbError,
    held_up::{self, HeldUp},
    patience::{OPENED_WITHIN, Patience},
    pools::{Maker, Purpose},
    waiting::{Waiting, Watched},
    watch::{Ends, GivenUp, Held, Stuck, Watch},
};
use crate::metrics::Usage;

/// How long a request waits for a place before it is told to come back.
const WAIT_FOR_PLACE: Duration = OPENED_WITHIN;
/// How long what is large, or takes turns, waits for others of its kind.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(10);

/// What shows that the database answers: it commits, too, where commits wait for a standby or a disk.
const LOOK: &str = "SELECT pg_logical_emit_message(true, 'enlist', 'look')";

/// The pool. Clones share it.
#[derive(Clone)]
pub struct Db {
    pools: Arc<Maker>,
    /// As many connections as may be in use at once: whoever waits, waits here, in order and without a thread.
    permits: Arc<Semaphore>,
    /// One, for probes.
    probing: Arc<Semaphore>,
    /// Half of them, for what looks at very many rows.
    large: Arc<Semaphore>,
    /// One, for what others would wait for with a connection each.
    turn: Arc<Semaphore>,
    /// Where this one waits before it waits for a connection.
    line: Option<Arc<Semaphore>>,
    /// Requests of a kind that others hold up: half as many, beside the others.
    held_up: Arc<HeldUp>,
    patience: Patience,
    given_up: Arc<GivenUp>,
    size: u32,
}

impl Db {
    /// A pool of `size` connections, opened when they are first needed.
    pub fn new(url: &str, size: u32) -> Self {
        let half = (size / 2).max(1);
        Self {
            pools: Arc::new(Maker::new(url, size + half)),
            permits: Arc::new(Semaphore::new(size as usize)),
            probing: Arc::new(Semaphore::new(1)),
            large: Arc::new(Semaphore::new(half as usize)),
            turn: Arc::new(Semaphore::new(1)),
            line: None,
            held_up: Arc::new(HeldUp::new(half as usize)),
            patience: Patience::Short,
            given_up: Arc::new(GivenUp::new(2 * size as usize)),
            size,
        }
    }

    /// The same connections, for what looks at very many rows: half of them at most, so that others find one.
    pub fn aside(&self) -> Self {
        Self {
            line: Some(Arc::clone(&self.large)),
            ..self.patient()
        }
    }

    /// The same connections, for what takes turns in the database: whoever waits does so here, without one.
    pub fn in_turn(&self) -> Self {
        Self {
            line: Some(Arc::clone(&self.turn)),
            ..self.clone()
        }
    }

    /// The same connections, for statements that take long.
    pub fn patient(&self) -> Self {
        Self {
            patience: Patience::Long,
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
        self.may_begin().await?;
        self.with_connection(Purpose::Usual, move |pooled, watch| {
            let result = pooled
                .connection
                .transaction(|connection| match work.take() {
                    Some(work) => {
                        let value = work(connection)?;
                        if watch.may_commit() {
                            Ok(value)
                        } else {
                            Err(DbError::Unavailable("nobody waits for it any more".into()).into())
                        }
                    }
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
                    Attempt::Done(Err(if pooled.gone && watch.is_committing() {
                        DbError::Uncertain("its connection broke".into()).into()
                    } else {
                        error
                    }))
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
        self.read_from(Purpose::Usual, work).await
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
        self.read_from(Purpose::Searches, work).await
    }

    async fn read_from<T, F>(&self, purpose: Purpose, mut work: F) -> Result<T, DbError>
    where
        F: FnMut(&mut PgConnection) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        self.may_begin().await?;
        self.with_connection(purpose, move |pooled, _| {
            match work(&mut pooled.connection) {
                Err(error) if pooled.is_dead() => {
                    pooled.gone = true;
                    Attempt::NotBegun(error)
                }
                result => Attempt::Done(result),
            }
        })
        .await
    }

    /// Runs `work` on a connection; on another one as long as it says that nothing was begun, since
    /// every connection in the pool may be dead after Postgres was restarted.
    async fn with_connection<T, E, F>(&self, purpose: Purpose, mut work: F) -> Result<T, E>
    where
        F: FnMut(&mut Pooled, &Watch) -> Attempt<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + From<DieselError> + Send + 'static,
    {
        let watch = Arc::new(Watch::new(self.places().await?, Arc::clone(&self.given_up)));
        let (maker, patience) = (Arc::clone(&self.pools), self.patience);
        let waiting = Waiting {
            patience,
            maker: Arc::clone(&maker),
            held_up: Arc::clone(&self.held_up),
            kind: held_up::kind().filter(|_| patience != Patience::Probe),
        };
        let (ends, span) = (Ends(Arc::clone(&watch)), tracing::Span::current());
        let task = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            let watch = &ends.0;
            // Dead ones are dropped, and there are no more than that.
            let mut tries_left = maker.now().of(purpose).max_size();
            loop {
                watch.works_on_none();
                // Others may be in their place by now.
                let pools = maker.now();
                let mut pooled = pools
                    .of(purpose)
                    .get()
                    .map_err(|error| DbError::Unavailable(error.to_string()))?;
                watch.works_on(&pooled.activity);
                let attempt = match pooled.prepare(patience) {
                    Ok(()) => work(&mut pooled, watch),
                    Err(error) => {
                        pooled.gone = true;
                        Attempt::NotBegun(error.into())
                    }
                };
                if watch.is_given_up() {
                    pooled.gone = true;
                } else if pooled.gone && pooled.activity.is_read_only() {
                    // Then so are the others.
                    maker.end(&pooled.activity.are_over);
                }
                if !pooled.gone {
                    pools.answered();
                }
                match attempt {
                    Attempt::Done(result) => return result,
                    Attempt::NotBegun(error) if tries_left == 0 || watch.is_given_up() => {
                        return Err(error);
                    }
                    Attempt::NotBegun(_) => tries_left -= 1,
                }
            }
        });
        let mut watched = Watched {
            task: Some(task),
            watch,
            waiting,
        };
        match watched.done().await {
            Ok(Ok(result)) => result,
            Ok(Err(join)) => match join.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(DbError::Unavailable("the service is stopping".into()).into()),
            },
            Err(Stuck::BeforeCommit) => {
                Err(DbError::Unavailable("a connection says nothing".into()).into())
            }
            Err(Stuck::InCommit) => {
                Err(DbError::Uncertain("its connection says nothing".into()).into())
            }
        }
    }

    /// Nothing is begun while as many were given up as may be, unless the database is found to answer: they may wait for
    /// a host that is gone, while another one serves. One looks, and whoever else comes meanwhile is told at once.
    pub(super) async fn may_begin(&self) -> Result<(), DbError> {
        if !self.given_up.is_full() {
            return Ok(());
        }
        let is_looked_at = self.probing.available_permits() == 0;
        if is_looked_at || !self.given_up.may_look() {
            return Err(DbError::Unavailable(
                "too many connections say nothing".into(),
            ));
        }
        let looked = self.probe(|connection| {
            connection.batch_execute(LOOK)?;
            Ok(Some(()))
        });
        looked.await?;
        self.given_up.let_be();
        Ok(())
    }

    /// Waits for a place among those who use the database.
    async fn places(&self) -> Result<Held, DbError> {
        let take = async |of: &Arc<Semaphore>, wait, late| match timeout(
            wait,
            Arc::clone(of).acquire_owned(),
        )
        .await
        {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(DbError::Unavailable("the pool is closed".into())),
            Err(_) => Err(late),
        };
        let _line = match &self.line {
            Some(line) => Some(take(line, WAIT_FOR_OTHERS, DbError::Crowded).await?),
            None => None,
        };
        let is_held_up = || held_up::kind().is_some_and(|kind| self.held_up.has(kind));
        if !is_held_up() {
            let busy = DbError::Unavailable("all connections are busy".into());
            let place = take(&self.permits, WAIT_FOR_PLACE, busy).await?;
            // While it waited, others may have been seen to be.
            if !is_held_up() {
                return Ok(Held {
                    _line,
                    place,
                    is_aside: false,
                });
            }
        }
        let beside = &self.held_up.places;
        Ok(Held {
            _line,
            place: take(beside, WAIT_FOR_PLACE, DbError::HeldUp).await?,
            is_aside: true,
        })
    }

    /// Asks on a connection of its own, which waits for nobody else, nor for what they wait for. `None`: this session takes no
    /// writes; all are opened anew then, since another host may have become the one that does.
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub(super) async fn probe<T, F>(&self, mut ask: F) -> Result<Option<T>, DbError>
    where
        F: FnMut(&mut PgConnection) -> Result<Option<T>, DbError> + Send + 'static,
        T: Send + 'static,
    {
        let probe = Self {
            permits: Arc::clone(&self.probing),
            patience: Patience::Probe,
            line: None,
            ..self.clone()
        };
        let maker = Arc::clone(&self.pools);
        let probed = probe.with_connection(Purpose::Probes, move |pooled, _| {
            match ask(&mut pooled.connection) {
                Err(error) if pooled.is_dead() => {
                    pooled.gone = true;
                    Attempt::NotBegun(error)
                }
                Ok(None) => {
                    maker.end(&pooled.activity.are_over);
                    Attempt::Done(Ok(None))
                }
                result => Attempt::Done(result),
            }
        });
        probed.await
    }

    /// How the connections are used now.
    pub fn usage(&self) -> Usage {
        let most = self.size as usize;
        Usage {
            busy: most - self.permits.available_permits().min(most),
            open: self.pools.now().open(),
            most,
            given_up: self.given_up.threads(),
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
