//! One connection of the pool: how it is opened, what it is told first, and when it is dead.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use diesel::{connection::SimpleConnection, pg::PgConnection, prelude::*, r2d2::R2D2Connection};

use super::{
    hosts::Hosts,
    path::FIRST_OURS,
    patience::Patience,
    watch::{Activity, Told},
};

/// What each session is told. No statement should take the cores of the others.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '30s'; SET timezone = 'UTC'; \
     SET default_transaction_isolation = 'read committed'; SET max_parallel_workers_per_gather = 0; SET plan_cache_mode = ";

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

/// A pooled connection.
pub(super) struct Pooled {
    pub(super) connection: PgConnection,
    pub(super) activity: Arc<Activity>,
    /// Whether it is not to be used again.
    pub(super) gone: bool,
    /// What it was told last; `None`: nothing yet.
    patience: Option<Patience>,
    plans: &'static str,
}

impl Pooled {
    /// Tells it how long statements may take, and all else if it is new. Not when it is opened: nobody watches then.
    pub(super) fn prepare(&mut self, patience: Patience) -> QueryResult<()> {
        if self.patience == Some(patience) {
            return Ok(());
        }
        let said = match self.patience {
            None => format!(
                "{}; {FIRST_OURS}; {SESSION}{}; {ENGLISH}",
                patience.said(),
                self.plans
            ),
            Some(_) => patience.said(),
        };
        self.connection.batch_execute(&said)?;
        self.patience = Some(patience);
        Ok(())
    }

    /// Whether it cannot be used again after what was done on it.
    pub(super) fn is_dead(&mut self) -> bool {
        // Whatever a server says when it ends a connection, and in which language: nothing answers then.
        self.connection.is_broken()
            || self.activity.is_ended()
            || (self.activity.has_failed() && self.connection.ping().is_err())
    }
}

pub(super) struct Manager {
    pub(super) hosts: Arc<Hosts>,
    pub(super) plans: &'static str,
    /// Whether nobody is to use its connections any more.
    pub(super) are_over: Arc<AtomicBool>,
}

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::ConnectionError;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        if self.are_over.load(Ordering::Relaxed) {
            let words = "others are in its place".to_owned();
            return Err(diesel::ConnectionError::BadConnection(words));
        }
        let mut connection = self
            .hosts
            .connect()
            .map_err(diesel::ConnectionError::BadConnection)?;
        let activity = Arc::new(Activity::new(&self.are_over));
        connection.set_instrumentation(Told(Arc::clone(&activity)));
        Ok(Pooled {
            connection,
            activity,
            gone: false,
            patience: None,
            plans: self.plans,
        })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), Self::Error> {
        pooled
            .connection
            .ping()
            .map_err(diesel::ConnectionError::CouldntSetupConfiguration)
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.gone || self.are_over.load(Ordering::Relaxed) || pooled.connection.is_broken()
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
