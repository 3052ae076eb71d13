//! The pools of connections; and others in their place once the database has fallen silent, since what is open then leads
//! to where nobody answers, and who waits there keeps it.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use scheduled_thread_pool::ScheduledThreadPool;

use super::{
    connection::{Manager, PLANNED_EACH_TIME, PLANNED_ONCE, Quiet},
    hosts::Hosts,
    patience::OPENED_WITHIN,
};

/// The same, for the question whether the database is there.
const PROBED_WITHIN: Duration = Duration::from_secs(2);
/// Connections that are opened at once, at most.
const OPENED_AT_ONCE: u32 = 4;

/// What connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Usual,
    /// Their plans are made for the very parameters.
    Searches,
    /// Whether the database is there: it waits for nobody.
    Probes,
}

/// The pools of one time.
pub(super) struct Pools {
    usual: r2d2::Pool<Manager>,
    searches: r2d2::Pool<Manager>,
    probes: r2d2::Pool<Manager>,
    /// Nobody is to use them any more.
    are_over: Arc<AtomicBool>,
    /// When those before were given up.
    silent_since: Option<Instant>,
    /// Whether it was told that these work.
    is_told: AtomicBool,
}

impl Pools {
    pub(super) fn of(&self, purpose: Purpose) -> &r2d2::Pool<Manager> {
        match purpose {
            Purpose::Usual => &self.usual,
            Purpose::Searches => &self.searches,
            Purpose::Probes => &self.probes,
        }
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> u32 {
        [&self.usual, &self.searches, &self.probes]
            .into_iter()
            .map(|pool| pool.state().connections)
            .sum()
    }

    /// Closes what nobody has lent; what is lent is closed when it comes back, and nothing more is opened.
    fn close(&self) {
        self.are_over.store(true, Ordering::Relaxed);
        for pool in [&self.usual, &self.searches, &self.probes] {
            while pool.try_get().is_some() {}
        }
    }

    /// The database answered on one of these.
    pub(super) fn answered(&self) {
        if let Some(since) = self.silent_since
            && !self.is_told.swap(true, Ordering::Relaxed)
        {
            tracing::info!(after = ?since.elapsed(), "the database answers again");
        }
    }
}

/// Makes pools, and has those of now.
pub(super) struct Maker {
    hosts: Arc<Hosts>,
    /// Connections in use at once, of each purpose but probes.
    most: u32,
    /// A few threads open connections and look after their age: r2d2's own would be three a pool.
    threads: Arc<ScheduledThreadPool>,
    now: RwLock<Arc<Pools>>,
}

impl Maker {
    pub(super) fn new(url: &str, most: u32) -> Self {
        let threads = Arc::new(ScheduledThreadPool::new(OPENED_AT_ONCE.min(most) as usize));
        let hosts = Arc::new(Hosts::of(url));
        let pools = pools(&hosts, most, &threads, None);
        Self {
            hosts,
            most,
            threads,
            now: RwLock::new(Arc::new(pools)),
        }
    }

    pub(super) fn now(&self) -> Arc<Pools> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nobody takes connections any more of the pools that this says of whether they are over. Once, however many find out.
    pub(super) fn end(&self, are_over: &Arc<AtomicBool>) -> bool {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let is_first = Arc::ptr_eq(&now.are_over, are_over);
        if is_first {
            let next = pools(&self.hosts, self.most, &self.threads, Some(Instant::now()));
            let last = std::mem::replace(&mut *now, Arc::new(next));
            drop(now);
            last.close();
        }
        is_first
    }
}

fn pools(
    hosts: &Arc<Hosts>,
    most: u32,
    threads: &Arc<ScheduledThreadPool>,
    silent_since: Option<Instant>,
) -> Pools {
    let are_over = Arc::new(AtomicBool::new(false));
    let pool = |plans, size, within| {
        r2d2::Pool::builder()
            .max_size(size)
            .thread_pool(Arc::clone(threads))
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(within)
            .error_handler(Box::new(Quiet))
            .build_unchecked(Manager {
                hosts: Arc::clone(hosts),
                plans,
                are_over: Arc::clone(&are_over),
            })
    };
    Pools {
        usual: pool(PLANNED_ONCE, most, OPENED_WITHIN),
        searches: pool(PLANNED_EACH_TIME, most, OPENED_WITHIN),
        probes: pool(PLANNED_ONCE, 1, PROBED_WITHIN),
        are_over: Arc::clone(&are_over),
        silent_since,
        is_told: AtomicBool::new(false),
    }
}
