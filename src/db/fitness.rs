//! Whether what a URL leads to can be Enlist's database at all: in a line each, with what to do.

use std::{sync::mpsc, thread, time::Duration};

use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    connection::SimpleConnection,
    dsl::sql,
    sql_types::{Integer, Text},
};

use super::hosts::connect;

/// The oldest version of Postgres that is tried.
const OLDEST: i32 = 140_000;
/// How long a second session may wait for its first answer.
const SECOND_SESSION: Duration = Duration::from_secs(5);
/// A pooler may have given the same session twice by chance.
const ROUNDS: usize = 3;

#[derive(diesel::QueryableByName)]
struct Extension {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    schema: String,
}

/// What of it does not fit.
///
/// # Errors
/// When the database cannot be asked.
pub(super) fn unfit(connection: &mut PgConnection) -> QueryResult<Option<String>> {
    let (number, version, encoding): (i32, String, String) = diesel::select((
        sql::<Integer>("current_setting('server_version_num')::int"),
        sql::<Text>("current_setting('server_version')"),
        sql::<Text>("current_setting('server_encoding')"),
    ))
    .get_result(connection)?;
    if number < OLDEST {
        return Ok(Some(format!(
            "it is Postgres {version}, and Enlist needs version 14 or newer: upgrade the server, or use another one"
        )));
    }
    if encoding != "UTF8" {
        return Ok(Some(format!(
            "its encoding is {encoding}, and names of people need UTF8: make another database with \
             CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )));
    }
    let elsewhere: Vec<Extension> = diesel::sql_query(
        "SELECT extname::text AS name, nspname::text AS schema FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
         WHERE extname IN ('unaccent', 'pg_trgm') AND nspname <> 'public' ORDER BY extname LIMIT 1",
    )
    .load(connection)?;
    Ok(elsewhere.first().map(|Extension { name, schema }| {
        format!(
            "the extension {name} is in the schema {schema}, and Enlist looks for it in public: run, as its owner, \
             ALTER EXTENSION {name} SET SCHEMA public"
        )
    }))
}

fn session(connection: &mut PgConnection) -> Result<i32, String> {
    diesel::select(sql::<Integer>("pg_backend_pid()"))
        .get_result(connection)
        .map_err(|error| error.to_string())
}

/// What of the way to it does not fit: a pooler that gives every transaction another session loses locks, settings and
/// prepared statements. Nothing is locked to find out.
///
/// # Errors
/// When it cannot be reached.
pub fn unfit_pooler(url: &str) -> Result<Option<String>, String> {
    let (tell, told) = mpsc::channel();
    let url = url.to_owned();
    // A pooler lets whoever finds no session wait for minutes.
    thread::Builder::new()
        .name("pooler".to_owned())
        .spawn(move || {
            let _ = tell.send(is_by_transaction(&url));
        })
        .map_err(|error| error.to_string())?;
    let is_by_transaction = match told.recv_timeout(SECOND_SESSION) {
        Ok(is_by_transaction) => is_by_transaction?,
        Err(_) => {
            return Ok(Some(
                "a second connection gets no answer: a pooler such as PgBouncer has no session left for it; give it a \
                 larger pool for this database (default_pool_size), or connect to Postgres itself"
                    .to_owned(),
            ));
        }
    };
    Ok(is_by_transaction.then(|| {
        "a pooler such as PgBouncer gives each transaction another session (pool_mode = transaction or statement), and \
         Enlist needs its own: set pool_mode = session for this database, or connect to Postgres itself"
            .to_owned()
    }))
}

/// Whether two connections are, now and then, one session.
fn is_by_transaction(url: &str) -> Result<bool, String> {
    let (mut one, mut other) = (connect(url)?, connect(url)?);
    for _ in 0..ROUNDS {
        let before = session(&mut one)?;
        // It takes what the first one left, and keeps it while the first one asks again.
        if other.batch_execute("BEGIN").is_err() {
            // By statement there are no transactions, and whoever begins one is thrown out; the first one is not.
            return session(&mut one).map(|_| true);
        }
        let others = session(&mut other)?;
        let after = session(&mut one)?;
        other
            .batch_execute("ROLLBACK")
            .map_err(|error| error.to_string())?;
        if others == before || after != before {
            return Ok(true);
        }
    }
    Ok(false)
}
