//! The news of the mailbox, as event streams to the pages that are open.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use super::index::Summary;

/// How many pages may listen for new mail at once.
const LISTENERS: usize = 64;
/// How much news a slow listener may miss before it has to read the whole list again.
const BACKLOG: usize = 256;
/// How often something is sent in any case, so that a connection never looks idle and a client that is
/// gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a page is told.
#[derive(Clone)]
pub(super) enum News {
    Arrived(Arc<Summary>),
    /// The list is to be read again.
    Reload,
}

/// Tells those who listen.
pub(super) struct Events {
    /// `None` once the mailbox is closed.
    news: Mutex<Option<broadcast::Sender<News>>>,
    places: Arc<Semaphore>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            news: Mutex::new(Some(broadcast::Sender::new(BACKLOG))),
            places: Arc::new(Semaphore::new(LISTENERS)),
        }
    }

    pub(super) fn tell(&self, news: News) {
        if let Some(sender) = &*self.news() {
            // An error says that nobody listens.
            let _ = sender.send(news);
        }
    }

    /// What happens from now on; `None` when too many listen or the mailbox is closed.
    pub(super) fn listen(&self) -> Option<Listener> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let news = self.news().as_ref()?.subscribe();
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Listener {
            news,
            heartbeat,
            _place: place,
        })
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.news().take();
    }

    fn news(&self) -> MutexGuard<'_, Option<broadcast::Sender<News>>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open page that listens. It is dropped with its connection, which frees its place.
pub(super) struct Listener {
    news: broadcast::Receiver<News>,
    heartbeat: Interval,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next event or heartbeat; `None` when the mailbox is closed.
    async fn next(&mut self) -> Option<Bytes> {
        let news = tokio::select! {
            news = self.news.recv() => news,
            _ = self.heartbeat.tick() => return Some(Bytes::from_static(b":\n\n")),
        };
        match news {
            Ok(News::Arrived(summary)) => {
                let json = serde_json::to_string(&*summary).ok()?;
                Some(format!("event: message\ndata: {json}\n\n").into())
            }
            Ok(News::Reload) | Err(broadcast::error::RecvError::Lagged(_)) => {
                Some(Bytes::from_static(b"event: reload\ndata: {}\n\n"))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        // The first bytes tell the page at once that it is connected.
        let hello = stream::once(async { Bytes::from_static(b"retry: 2000\n\n") });
        let events = stream::unfold(self, |mut listener| async {
            listener.next().await.map(|event| (event, listener))
        });
        hello.chain(events).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        embedded::mailbox::{Envelope, Mailbox},
    };

    #[tokio::test]
    async fn a_quiet_stream_has_a_heartbeat() {
        let folder = std::env::temp_dir().join(format!("enlist-{}", Clock::system().new_id()));
        let mailbox = Mailbox::open(&folder, Clock::system()).unwrap();
        let mut listener = mailbox.listen().unwrap();
        listener.heartbeat = tokio::time::interval(Duration::from_millis(5));
        for _ in 0..3 {
            assert_eq!(listener.next().await.unwrap(), ":\n\n");
        }
        // Whoever falls behind reads the list again.
        for _ in 0..=BACKLOG {
            mailbox.add(&Envelope::default(), b"").unwrap();
        }
        listener.heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        assert!(listener.next().await.unwrap().starts_with(b"event: reload"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
