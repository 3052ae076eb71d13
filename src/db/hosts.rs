//! The hosts that a URL names, which of them served last, and how a connection to one is opened.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use diesel::{Connection, PgConnection, connection::SimpleConnection};

use super::{
    path::FIRST_OURS,
    url::{each, let_in_within, unquoted},
};

/// How long a host that let somebody in may take for its first answers.
const FIRST_ANSWERS: Duration = Duration::from_secs(1);
/// Threads that wait for one host to let them in; with so many only one more tries, now and then,
const MANY_WAITING: usize = 16;
const NOW_AND_THEN: Duration = Duration::from_secs(10);
/// up to so many.
const MOST_WAITING: usize = 256;
/// What whoever had the session before left in it: a pooler may not have cleared that.
const CLEARED: &str = "DISCARD ALL";
/// What the library tells each session first, and that clears, too.
const TOLD_AGAIN: &str = "SET client_encoding = 'UTF8'; SET timezone = 'UTC'";

/// One connection, outside of any pool.
///
/// # Errors
/// When the database cannot be reached; the text holds no password.
pub fn connect(url: &str) -> Result<PgConnection, String> {
    let mut connection = Hosts::of(url).connect()?;
    connection
        .batch_execute(FIRST_OURS)
        .map_err(|error| error.to_string())?;
    Ok(connection)
}

/// Whether what was said of a connection that was not to be had may pass by itself: nobody is there yet, or has no place.
/// Who is there and refuses says FATAL, in most languages.
pub fn may_pass(error: &str) -> bool {
    const PASSING: [&str; 5] = [
        "starting up",
        "shutting down",
        "recovery",
        "too many",
        "connection slots",
    ];
    error.split("; ").any(|of_host| {
        !of_host.contains("FATAL") || PASSING.iter().any(|words| of_host.contains(words))
    })
}

/// The hosts of a URL. With several of them the library would ask each in turn, for every connection, and wait for those
/// that are gone: here the one that served last is asked first.
#[derive(Debug)]
pub(super) struct Hosts {
    hosts: Vec<Host>,
    served_last: AtomicUsize,
}

/// One of them, with a URL of its own.
#[derive(Debug)]
struct Host {
    url: String,
    /// Threads that wait for it, also those that nobody waits for any more.
    waiting: Arc<AtomicUsize>,
    /// When one tried although many wait.
    tried: Mutex<Option<Instant>>,
}

impl Hosts {
    pub(super) fn of(url: &str) -> Self {
        let hosts = each(url).into_iter().map(|url| Host {
            url,
            waiting: Arc::default(),
            tried: Mutex::default(),
        });
        Self {
            hosts: hosts.collect(),
            served_last: AtomicUsize::new(0),
        }
    }

    /// A connection to the first that takes one.
    pub(super) fn connect(&self) -> Result<PgConnection, String> {
        let first = self.served_last.load(Ordering::Relaxed);
        let mut errors = Vec::new();
        for next in 0..self.hosts.len() {
            let at = (first + next) % self.hosts.len();
            match self.hosts[at].connect() {
                Ok(connection) => {
                    self.served_last.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => errors.push(error),
            }
        }
        Err(errors.join("; "))
    }
}

impl Host {
    /// The library's own limit is for letting in alone; neither looking a name up has one, nor the first statements. So a
    /// thread does it, which is left to itself when it takes too long.
    fn connect(&self) -> Result<PgConnection, String> {
        let waiting = Waiting(Arc::clone(&self.waiting));
        let before = waiting.0.fetch_add(1, Ordering::Relaxed);
        if before >= MOST_WAITING || (before >= MANY_WAITING && !self.is_time()) {
            return Err("it says nothing to those who came before".to_owned());
        }
        let (tell, told) = mpsc::channel();
        let url = self.url.clone();
        let limit = let_in_within(&url) + FIRST_ANSWERS;
        thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                let _waiting = waiting;
                // Nobody may wait for it any more: then it is closed.
                let _ = tell.send(opened(&url));
            })
            .map_err(|error| error.to_string())?;
        told.recv_timeout(limit).map_err(|_| {
            "it was let in, or looked its host up, and heard nothing more".to_owned()
        })?
    }

    /// Whether nobody tried for a while.
    fn is_time(&self) -> bool {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = tried.is_none_or(|tried| tried.elapsed() >= NOW_AND_THEN);
        if is_time {
            *tried = Some(Instant::now());
        }
        is_time
    }
}

/// One of those who wait.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn opened(url: &str) -> Result<PgConnection, String> {
    let mut connection =
        PgConnection::establish(url).map_err(|error| unquoted(in_a_line(error), url))?;
    for words in [CLEARED, TOLD_AGAIN] {
        connection.batch_execute(words).map_err(in_a_line)?;
    }
    Ok(connection)
}

/// The library's words have several lines.
fn in_a_line(error: impl ToString) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
