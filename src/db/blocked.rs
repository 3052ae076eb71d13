//! Says what a migration waits for.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    dsl::sql,
    sql_types::{Integer, Text},
};

use super::hosts::connect;

/// How often it is looked, and said again.
const EVERY: Duration = Duration::from_secs(5);
/// Whoever waits no longer than this is not worth a word.
const AT_FIRST: Duration = Duration::from_secs(1);

#[derive(diesel::QueryableByName)]
struct Blocker {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    who: String,
    #[diesel(sql_type = Text)]
    does: String,
}

/// Looks at a session from another one, until it is dropped.
pub(super) struct Watching {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    /// Looks at the session of this connection. Where no second connection is to be had, nothing is said.
    pub(super) fn begin(url: &str, connection: &mut PgConnection) -> QueryResult<Self> {
        let pid: i32 = diesel::select(sql::<Integer>("pg_backend_pid()")).get_result(connection)?;
        let (stop, stopped) = mpsc::channel();
        let url = url.to_owned();
        let look = move || {
            let mut wait = AT_FIRST;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = EVERY;
                if let Ok(mut connection) = connect(&url) {
                    tell(&mut connection, pid);
                }
            }
        };
        let thread = thread::Builder::new().name("migration-waits".to_owned());
        Ok(Self {
            stop: Some(stop),
            thread: thread.spawn(look).ok(),
        })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tell(connection: &mut PgConnection, pid: i32) {
    let blockers: QueryResult<Vec<Blocker>> = diesel::sql_query(include_str!("sql/blockers.sql"))
        .bind::<Integer, _>(pid)
        .load(connection);
    for Blocker { pid, who, does } in blockers.unwrap_or_default() {
        tracing::warn!(
            session = pid,
            who,
            does,
            "the migrations wait for another session; end it with SELECT pg_terminate_backend({pid}) if it hangs"
        );
    }
}
