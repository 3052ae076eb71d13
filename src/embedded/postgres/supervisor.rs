//! The supervisor: a thread that starts Postgres, watches it, starts it again and stops it.

use std::{
    convert::Infallible,
    fs,
    path::Path,
    process::Child,
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    cluster::{Cluster, Options},
    error::{EmbeddedError, Result, cannot, failed},
    log,
    process::end,
    server::start,
    waiting::is_told_to_stop,
};

/// How often the running Postgres is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many times within a minute a Postgres that ended by itself is started again.
const RESTARTS: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);

/// A running Postgres. It is started again if it ends by itself, and stopped when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    /// Dropped to end the thread.
    running: Option<Sender<Infallible>>,
    /// Spawns Postgres and outlives it: the signal that ends Postgres when Enlist is killed is sent
    /// when the *thread* that spawned it ends (`PR_SET_PDEATHSIG`, prctl(2)).
    thread: Option<JoinHandle<()>>,
    failure: oneshot::Receiver<EmbeddedError>,
}

impl Postgres {
    /// Starts Postgres on `<data_dir>/postgres`, and makes the directory, the cluster and the database
    /// where they are missing. Blocks until a connection was made: 0.1 s, or 2 s with `initdb`, or
    /// longer when there is something to recover.
    ///
    /// # Errors
    /// See [`EmbeddedError`]. Nothing is left running then.
    pub fn start(data_dir: &Path, options: Options) -> Result<Self> {
        let (running, stop) = mpsc::channel();
        let (report, started) = mpsc::channel();
        let (give_up, failure) = oneshot::channel();
        let data_dir = data_dir.to_owned();
        let supervise = move || {
            let started = Cluster::open(&data_dir, &options)
                .and_then(|cluster| Ok((start(&cluster, &stop)?, cluster)));
            // Both receivers may be gone: then nobody wants to know any more.
            let _ = match started {
                Ok((Some(server), cluster)) => {
                    let _ = report.send(Ok(cluster.url("enlist")));
                    match watch(&cluster, server, &stop) {
                        Some(error) => give_up.send(error).map_err(drop),
                        None => Ok(()),
                    }
                }
                Ok((None, _)) => Ok(()),
                Err(error) => report.send(Err(error)).map_err(drop),
            };
        };
        let thread = thread::Builder::new()
            .name("postgres-watch".into())
            .spawn(supervise)
            .map_err(cannot("start a thread for", Path::new("postgres")))?;
        // No answer means that the thread panicked, which was printed.
        let url = started
            .recv()
            .unwrap_or_else(|_| failed("Postgres is not watched"))?;
        Ok(Self {
            url,
            running: Some(running),
            thread: Some(thread),
            failure,
        })
    }

    /// The database, as a libpq URL. It stays the same when Postgres is started again.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until Postgres is gone for good: it ended too often to be started once more. Then the
    /// service should end, with this error. The wait may be dropped and begun again, but not after it
    /// has given its answer.
    pub async fn gave_up(&mut self) -> EmbeddedError {
        (&mut self.failure)
            .await
            .unwrap_or_else(|_| EmbeddedError::Failed("Postgres is not watched any more".into()))
    }

    /// Stops Postgres: connections are ended, everything is written. Blocks for as long as that takes,
    /// half a minute at worst: after 20 s Postgres is forced to end, and recovers at the next start.
    /// Dropping it does the same; this says so.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by it, and ended Postgres.
            let _ = thread.join();
        }
    }
}

/// Starts Postgres again whenever it ends, until told to stop. Returns the error that made it give up.
fn watch(
    cluster: &Cluster,
    mut server: Child,
    stop: &Receiver<Infallible>,
) -> Option<EmbeddedError> {
    let mut restarts: Vec<Instant> = Vec::new();
    let mut trouble = String::new();
    loop {
        if is_told_to_stop(stop, LOOK_EVERY) {
            end(&mut server);
            // It is empty now. One under /tmp has to go; one beside the data may.
            let _ = fs::remove_dir(&cluster.socket);
            return None;
        }
        match server.try_wait() {
            Ok(None) => {
                log::trim(&cluster.log);
                continue;
            }
            Ok(Some(status)) if trouble.is_empty() => trouble = format!("it ended with {status}"),
            Ok(Some(_)) => {}
            Err(error) => trouble = error.to_string(),
        }
        restarts.retain(|then| then.elapsed() < MINUTE);
        if restarts.len() == RESTARTS {
            return Some(EmbeddedError::Failed(format!(
                "Postgres was started {RESTARTS} times within a minute and does not last: \
                 {trouble}; {}",
                log::end_of(&cluster.log, 0)
            )));
        }
        tracing::error!("Postgres is started again: {trouble}");
        restarts.push(Instant::now());
        match start(cluster, stop) {
            Ok(Some(again)) => {
                server = again;
                trouble.clear();
            }
            Ok(None) => return None,
            Err(error) => {
                trouble = error.to_string();
                if is_told_to_stop(stop, Duration::from_secs(1)) {
                    return None;
                }
            }
        }
    }
}
