//! How a batch goes, told as it happens: one look at the database for all who watch the same batch.
//!
//! An event's id says what was counted. So a reader that comes back with the last id it saw, to whichever instance
//! and after whatever restart, is told what has changed since, and nothing has to be remembered for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    domain::{Batch, BatchState},
    places::{Full, Place, Places},
    queries,
};
use crate::{
    clock::Clock,
    db::{Db, DbError},
};

/// How often a batch is looked at while something happens, and while nothing does.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// Counting 100,000 messages takes some 30 ms: of the database's time, at most one part in so many.
const SHARE: u32 = 10;
/// How often something is sent where nothing happens, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Everybody who watches a batch on this instance.
pub struct Progress {
    db: Db,
    clock: Clock,
    watched: Arc<Watched>,
    places: Arc<Places>,
    stop: watch::Receiver<bool>,
}

/// What is looked at now, for whom.
#[derive(Default)]
struct Watched(Mutex<HashMap<Uuid, watch::Sender<Arc<Batch>>>>);

impl Watched {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<Arc<Batch>>>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops looking if nobody does any more. Whoever comes at this moment is either seen here, or begins anew.
    fn leave_if_alone(&self, batch: Uuid) -> bool {
        let mut watched = self.lock();
        let is_alone = watched
            .get(&batch)
            .is_none_or(|sender| sender.receiver_count() == 0);
        if is_alone {
            watched.remove(&batch);
        }
        is_alone
    }

    /// Tells those who watch. The last news are told with the end.
    fn tell(&self, batch: Batch) {
        let mut watched = self.lock();
        let (id, is_over) = (batch.id, batch.is_over());
        if let Some(sender) = watched.get(&id) {
            sender.send_if_modified(|known| {
                let is_news = **known != batch;
                if is_news {
                    *known = Arc::new(batch);
                }
                is_news
            });
        }
        if is_over {
            watched.remove(&id);
        }
    }
}

/// Why somebody cannot watch.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("there is no such batch")]
    NotFound,
    #[error("there is no place: {0:?}")]
    Full(Full),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Progress {
    /// Until `stop` says so.
    pub fn new(db: Db, clock: Clock, stop: watch::Receiver<bool>) -> Self {
        Self {
            db,
            clock,
            watched: Arc::default(),
            places: Arc::default(),
            stop,
        }
    }

    /// Watches a batch, as a caller who has seen the event `last` already.
    ///
    /// # Errors
    /// When there is no such batch, no place, or no database.
    pub async fn watch(
        &self,
        caller: Uuid,
        id: Uuid,
        last: Option<String>,
    ) -> Result<Reader, WatchError> {
        let place = self.places.take(caller).map_err(WatchError::Full)?;
        Ok(Reader {
            batch: self.subscribe(id).await?,
            last,
            over: false,
            beat_every: HEARTBEAT,
            beat_at: Instant::now() + HEARTBEAT,
            stop: self.stop.clone(),
            _place: place,
        })
    }

    async fn subscribe(&self, id: Uuid) -> Result<watch::Receiver<Arc<Batch>>, WatchError> {
        if let Some(sender) = self.watched.lock().get(&id) {
            return Ok(sender.subscribe());
        }
        let now = self.clock.now();
        let batch = self
            .db
            .read(move |connection| queries::get(connection, id, now))
            .await?
            .ok_or(WatchError::NotFound)?;
        let (sender, receiver) = watch::channel(Arc::new(batch));
        if receiver.borrow().is_over() {
            return Ok(receiver);
        }
        let mut watched = self.watched.lock();
        // Somebody else may have begun meanwhile.
        if let Some(sender) = watched.get(&id) {
            return Ok(sender.subscribe());
        }
        watched.insert(id, sender);
        let (db, clock) = (self.db.clone(), self.clock.clone());
        let (shared, stop) = (Arc::clone(&self.watched), self.stop.clone());
        tokio::spawn(look(db, clock, shared, stop, id));
        Ok(receiver)
    }
}

/// Looks at a batch as long as somebody watches it and something is still to happen.
async fn look(
    db: Db,
    clock: Clock,
    watched: Arc<Watched>,
    mut stop: watch::Receiver<bool>,
    id: Uuid,
) {
    let mut wait = LOOK_EVERY;
    let mut counts = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if watched.leave_if_alone(id) {
            return;
        }
        let asked_at = Instant::now();
        let now = clock.now();
        let found = db
            .read(move |connection| queries::get(connection, id, now))
            .await;
        wait = match found {
            Ok(Some(batch)) => {
                let seen = Some((batch.state, batch.counts.clone()));
                let is_news = counts != seen;
                counts = seen;
                let is_over = batch.is_over();
                watched.tell(batch);
                if is_over {
                    return;
                }
                if is_news { LOOK_EVERY } else { wait * 2 }
            }
            Ok(None) => {
                watched.lock().remove(&id);
                return;
            }
            Err(error) => {
                tracing::debug!(%error, batch_id = %id, "a watched batch cannot be counted now");
                LOOK_AT_LEAST_EVERY
            }
        };
        wait = wait.clamp(LOOK_EVERY, LOOK_AT_LEAST_EVERY);
        wait = wait.max(asked_at.elapsed() * SHARE);
    }
}

/// What somebody who watches is told next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The counts have changed.
    Progress(String, Arc<Batch>),
    /// They will not change any more.
    Done(String, Arc<Batch>),
    /// Nothing has happened.
    Beat,
}

/// Somebody who watches a batch.
pub struct Reader {
    batch: watch::Receiver<Arc<Batch>>,
    /// The id of the last event that was told.
    last: Option<String>,
    over: bool,
    beat_every: Duration,
    beat_at: Instant,
    stop: watch::Receiver<bool>,
    _place: Place,
}

impl Reader {
    /// Waits for the next news; `None`: there are no more, or the service stops.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            if self.over || *self.stop.borrow() {
                return None;
            }
            let batch = Arc::clone(&self.batch.borrow_and_update());
            let (now, end) = (event_id(&batch, false), event_id(&batch, true));
            let is_known = self
                .last
                .as_ref()
                .is_some_and(|last| *last == now || *last == end);
            if !is_known {
                self.told(now.clone());
                return Some(News::Progress(now, batch));
            }
            if batch.is_over() {
                self.over = true;
                return Some(News::Done(end, batch));
            }
            tokio::select! {
                changed = self.batch.changed() => if changed.is_err() { return None },
                () = tokio::time::sleep_until(self.beat_at) => {
                    self.beat_at = Instant::now() + self.beat_every;
                    return Some(News::Beat);
                }
                _ = self.stop.wait_for(|stop| *stop) => return None,
            }
        }
    }

    fn told(&mut self, id: String) {
        self.last = Some(id);
        self.beat_at = Instant::now() + self.beat_every;
    }
}

/// What was counted, as a text: the same counts have the same id, wherever they were counted.
fn event_id(batch: &Batch, is_end: bool) -> String {
    let counts = &batch.counts;
    let state = match batch.state {
        _ if is_end => "end",
        BatchState::Canceled => BatchState::Canceled.as_str(),
        // Nothing left to do is told by the end.
        BatchState::Sending | BatchState::Done => BatchState::Sending.as_str(),
    };
    format!(
        "{state}-{}-{}-{}-{}-{}-{}",
        counts.queued,
        counts.accepted,
        counts.deferred,
        counts.failed,
        counts.bounced,
        counts.suppressed
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches::domain::BatchCounts;
    use chrono::DateTime;

    fn batch(queued: i64, accepted: i64) -> Batch {
        Batch {
            id: Uuid::nil(),
            state: if queued > 0 {
                BatchState::Sending
            } else {
                BatchState::Done
            },
            counts: BatchCounts {
                recipients: queued + accepted,
                queued,
                accepted,
                ..BatchCounts::default()
            },
            created_at: DateTime::UNIX_EPOCH,
            created_by: "test".into(),
            canceled_at: None,
            waiting: None,
        }
    }

    struct Setup {
        sender: watch::Sender<Arc<Batch>>,
        stop: watch::Sender<bool>,
        places: Arc<Places>,
    }

    impl Setup {
        fn new(first: Batch) -> Self {
            Self {
                sender: watch::Sender::new(Arc::new(first)),
                stop: watch::Sender::new(false),
                places: Arc::default(),
            }
        }

        fn reader(&self, last: Option<&str>) -> Reader {
            Reader {
                batch: self.sender.subscribe(),
                last: last.map(str::to_owned),
                over: false,
                beat_every: Duration::from_millis(30),
                beat_at: Instant::now() + Duration::from_millis(30),
                stop: self.stop.subscribe(),
                _place: self.places.take(Uuid::nil()).ok().unwrap(),
            }
        }
    }

    async fn ids(reader: &mut Reader) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(news) = reader.next().await {
            match news {
                News::Progress(id, _) | News::Done(id, _) => ids.push(id),
                News::Beat => ids.push("beat".into()),
            }
        }
        ids
    }

    #[tokio::test]
    async fn the_last_counts_come_before_the_end_and_a_reader_comes_back_where_it_was() {
        let setup = Setup::new(batch(0, 3));
        let (last, end) = ("sending-0-3-0-0-0-0", "end-0-3-0-0-0-0");
        for (seen, told) in [
            (None, vec![last, end]),
            (Some("sending-1-2-0-0-0-0"), vec![last, end]),
            (Some("nonsense"), vec![last, end]),
            (Some(last), vec![end]),
            (Some(end), vec![end]),
        ] {
            assert_eq!(ids(&mut setup.reader(seen)).await, told, "{seen:?}");
        }
    }

    #[tokio::test]
    async fn where_nothing_happens_there_is_a_beat() {
        let setup = Setup::new(batch(3, 0));
        let mut reader = setup.reader(None);
        let begun = Instant::now();
        assert!(matches!(reader.next().await, Some(News::Progress(..))));
        for beat in 1..4 {
            assert_eq!(reader.next().await, Some(News::Beat));
            assert!(begun.elapsed() >= Duration::from_millis(30) * beat);
        }
        setup.sender.send_replace(Arc::new(batch(2, 1)));
        assert!(
            matches!(reader.next().await, Some(News::Progress(id, _)) if id == "sending-2-1-0-0-0-0")
        );
        setup.stop.send_replace(true);
        assert_eq!(reader.next().await, None);
    }
}
