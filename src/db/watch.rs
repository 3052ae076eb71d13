//! Whether a connection makes progress, as seen by the request that waits for it. A thread that waits for the database cannot
//! be stopped: where it waits too long, it is given up with its connection, and what it comes to is thrown away.

use std::{
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{
    connection::{Instrumentation, InstrumentationEvent},
    result::Error as DieselError,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    errors::{ends_connection, is_read_only},
    patience::OPENED_WITHIN,
};

/// What times are counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What a connection does.
#[derive(Debug)]
pub(super) struct Activity {
    /// Of which pools it is: whether nobody is to use them any more.
    pub(super) are_over: Arc<AtomicBool>,
    /// When the last statement was sent, in milliseconds.
    sent: AtomicU64,
    has_failed: AtomicBool,
    is_ended: AtomicBool,
    /// Whether a statement was refused because nothing may be written there.
    is_read_only: AtomicBool,
}

impl Activity {
    pub(super) fn new(are_over: &Arc<AtomicBool>) -> Self {
        Self {
            are_over: Arc::clone(are_over),
            sent: AtomicU64::new(now()),
            has_failed: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            is_read_only: AtomicBool::new(false),
        }
    }

    /// Begins anew, for another request.
    fn begin(&self) {
        self.sent.store(now(), Ordering::Relaxed);
        self.has_failed.store(false, Ordering::Relaxed);
    }

    /// Whether a statement failed.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Whether a statement failed in a way that no other one will do better on this connection.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.is_read_only.load(Ordering::Relaxed)
    }

    fn failed(&self, error: &DieselError) {
        self.has_failed.store(true, Ordering::Relaxed);
        for (flag, is_so) in [
            (&self.is_ended, ends_connection(error)),
            (&self.is_read_only, is_read_only(error)),
        ] {
            flag.fetch_or(is_so, Ordering::Relaxed);
        }
    }
}

/// Tells an [`Activity`] what the library does. It tells the start of each statement, and the end of those that fail.
pub(super) struct Told(pub(super) Arc<Activity>);

impl Instrumentation for Told {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { .. } => {
                self.0.sent.store(now(), Ordering::Relaxed);
            }
            InstrumentationEvent::FinishQuery {
                error: Some(error), ..
            } => self.0.failed(error),
            _ => {}
        }
    }
}

/// Threads that were given up and still wait.
#[derive(Debug)]
pub(super) struct GivenUp {
    threads: AtomicUsize,
    /// So many of them wait for what was there before the database was found to answer.
    past: AtomicUsize,
    most: usize,
    /// When somebody looked last.
    looked: Mutex<Option<Instant>>,
}

/// With so many times as many somebody looks only now and then.
const MANY: usize = 3;
const NOW_AND_THEN: Duration = Duration::from_secs(30);

impl GivenUp {
    /// So many may be at once, before somebody looks again.
    pub(super) fn new(most: usize) -> Self {
        Self {
            threads: AtomicUsize::new(0),
            past: AtomicUsize::new(0),
            most,
            looked: Mutex::default(),
        }
    }

    /// How many there are.
    pub(super) fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed)
    }

    /// Whether there are as many as may be: then nothing is begun before the database was found to answer.
    pub(super) fn is_full(&self) -> bool {
        let threads = self.threads();
        let past = self.past.load(Ordering::Relaxed).min(threads);
        threads - past >= self.most
    }

    /// Whether somebody may look whether the database answers: who looks may have to be given up, too.
    pub(super) fn may_look(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let may_look = self.threads() < MANY * self.most
            || looked.is_none_or(|looked| looked.elapsed() >= NOW_AND_THEN);
        if may_look {
            *looked = Some(Instant::now());
        }
        may_look
    }

    /// The database answers: what they wait for is past.
    pub(super) fn let_be(&self) {
        self.past.store(self.threads(), Ordering::Relaxed);
    }

    fn add(&self) {
        self.threads.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self) {
        let before = self.threads.fetch_sub(1, Ordering::Relaxed);
        self.past.fetch_min(before - 1, Ordering::Relaxed);
    }
}

const WORKING: u8 = 0;
/// COMMIT may be on its way.
const COMMITTING: u8 = 1;
const DONE: u8 = 2;
const GIVEN_UP: u8 = 3;

/// How a request was given up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// Nothing is committed, and nothing will be.
    BeforeCommit,
    /// It may be committed.
    InCommit,
}

/// Places among those who use the database.
pub(super) struct Held {
    /// One among those who wait for each other.
    pub(super) _line: Option<OwnedSemaphorePermit>,
    pub(super) place: OwnedSemaphorePermit,
    /// Whether it is one of those beside.
    pub(super) is_aside: bool,
}

/// One request's thread.
pub(super) struct Watch {
    state: AtomicU8,
    /// What its connection does, once it has one.
    activity: Mutex<Option<Arc<Activity>>>,
    /// Since when it has none, in milliseconds.
    waits_since: AtomicU64,
    /// Its places, which others have as soon as it ends or is given up.
    held: Mutex<Option<Held>>,
    given_up: Arc<GivenUp>,
}

impl Watch {
    pub(super) fn new(held: Held, given_up: Arc<GivenUp>) -> Self {
        Self {
            state: AtomicU8::new(WORKING),
            activity: Mutex::new(None),
            waits_since: AtomicU64::new(now()),
            held: Mutex::new(Some(held)),
            given_up,
        }
    }

    /// From now on it works on this connection.
    pub(super) fn works_on(&self, activity: &Arc<Activity>) {
        activity.begin();
        let mut works_on = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        *works_on = Some(Arc::clone(activity));
    }

    /// It waits for another connection.
    pub(super) fn works_on_none(&self) {
        let mut works_on = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        *works_on = None;
        self.waits_since.store(now(), Ordering::Relaxed);
    }

    /// Of which pools its connection is, if it has one.
    pub(super) fn are_over(&self) -> Option<Arc<AtomicBool>> {
        let works_on = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        let activity = works_on.as_ref()?;
        Some(Arc::clone(&activity.are_over))
    }

    /// How long its connection has not been told anything new; or how long it has waited for a thread or a connection, but
    /// for the time that opening one may take.
    pub(super) fn quiet_for(&self) -> Duration {
        let works_on = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, may_take) = match &*works_on {
            Some(activity) => (&activity.sent, Duration::ZERO),
            None => (&self.waits_since, OPENED_WITHIN),
        };
        let since = since.load(Ordering::Relaxed);
        Duration::from_millis(now().saturating_sub(since)).saturating_sub(may_take)
    }

    /// Leaves its place to others, if there is one beside.
    pub(super) fn step_aside(&self, beside: &Arc<Semaphore>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_mut().filter(|held| !held.is_aside)
            && let Ok(place) = Arc::clone(beside).try_acquire_owned()
        {
            held.place = place;
            held.is_aside = true;
        }
    }

    /// Whether it may commit: it may not once it was given up.
    pub(super) fn may_commit(&self) -> bool {
        self.turns(WORKING, COMMITTING)
    }

    /// Whether COMMIT may have been sent.
    pub(super) fn is_committing(&self) -> bool {
        self.state.load(Ordering::SeqCst) == COMMITTING
    }

    /// Gives it up, unless it is done. Others have its places.
    pub(super) fn give_up(&self) -> Option<Stuck> {
        self.given_up.add();
        let stuck = if self.turns(WORKING, GIVEN_UP) {
            Some(Stuck::BeforeCommit)
        } else if self.turns(COMMITTING, GIVEN_UP) {
            Some(Stuck::InCommit)
        } else {
            None
        };
        if stuck.is_none() {
            self.given_up.take();
        }
        self.let_go();
        stuck
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.state.load(Ordering::SeqCst) == GIVEN_UP
    }

    fn end(&self) {
        if self.state.swap(DONE, Ordering::SeqCst) == GIVEN_UP {
            self.given_up.take();
        }
        self.let_go();
    }

    fn turns(&self, from: u8, to: u8) -> bool {
        let turned = self
            .state
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst);
        turned.is_ok()
    }

    fn let_go(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = None;
    }
}

/// Ends a [`Watch`] however its thread ends.
pub(super) struct Ends(pub(super) Arc<Watch>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}
