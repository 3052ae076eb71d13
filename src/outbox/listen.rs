//! Hears from other instances that there is something to send.
//!
//! A connection of its own listens. The library gives no way to wait for its socket, so a thread looks at it some
//! times a second, which asks nothing of the database. Behind it the queue is polled: what is missed here,
//! while Postgres is away, is seen a second later.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use diesel::{PgConnection, connection::SimpleConnection};
use tokio::sync::Notify;

use crate::db::{self, OUTBOX_CHANNEL};

/// How often the socket is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long until the next try when Postgres is away.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

/// Listens until it is dropped.
pub struct Listener {
    stopped: Arc<AtomicBool>,
}

impl Listener {
    /// Rings `bell` whenever somebody queues messages.
    ///
    /// # Errors
    /// When the machine has no thread to give.
    pub fn start(url: String, bell: Arc<Notify>) -> std::io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&stopped);
        thread::Builder::new()
            .name("outbox-listen".to_owned())
            .spawn(move || {
                while !watched.load(Ordering::Relaxed) {
                    if let Err(error) = listen(&url, &bell, &watched) {
                        tracing::debug!(error, "not listening for messages; the queue is polled");
                    }
                    wait(RECONNECT_AFTER, &watched);
                }
            })?;
        Ok(Self { stopped })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn listen(url: &str, bell: &Notify, stopped: &AtomicBool) -> Result<(), String> {
    let mut connection: PgConnection = db::connect(url)?;
    connection
        .batch_execute(&format!("LISTEN {OUTBOX_CHANNEL}"))
        .map_err(|error| error.to_string())?;
    // Something may have been queued while nobody listened.
    bell.notify_one();
    while !stopped.load(Ordering::Relaxed) {
        let mut rung = false;
        for heard in connection.notifications_iter() {
            heard.map_err(|error| error.to_string())?;
            rung = true;
        }
        if rung {
            bell.notify_one();
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Sleeps, but not past the end.
fn wait(time: Duration, stopped: &AtomicBool) {
    let mut left = time;
    while !left.is_zero() && !stopped.load(Ordering::Relaxed) {
        thread::sleep(LOOK_EVERY);
        left = left.saturating_sub(LOOK_EVERY);
    }
}
