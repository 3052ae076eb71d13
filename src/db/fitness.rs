//! Whether what a URL leads to can be Enlist's database at all: in a line each, with what to do.

use std::{sync::mpsc, thread, time::Duration};

use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    connection::SimpleConnection,
    dsl::sql,
    sql_types::{Bool, Integer, Text},
};

use super::{errors::DbError, hosts::Hosts, pool::Db};

/// Whether a session takes no writes.
pub(super) const IS_READ_ONLY: &str =
    "pg_is_in_recovery() OR current_setting('transaction_read_only')::bool";
/// How many connections the server, the database and the role allow.
const MOST_CONNECTIONS: &str = "(SELECT least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    nullif((SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user), -1),
    nullif((SELECT datconnlimit FROM pg_database WHERE datname = current_database()), -1)))";

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
    let (number, version, encoding, is_read_only): (i32, String, String, bool) = diesel::select((
        sql::<Integer>("current_setting('server_version_num')::int"),
        sql::<Text>("current_setting('server_version')"),
        sql::<Text>("current_setting('server_encoding')"),
        sql::<Bool>(IS_READ_ONLY),
    ))
    .get_result(connection)?;
    if is_read_only {
        return Ok(Some(
            "it takes no writes: it is a standby, or `default_transaction_read_only` is set for the server, the database or \
             the role; name the primary, or reset that"
                .to_owned(),
        ));
    }
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
    let elsewhere: Vec<Extension> =
        diesel::sql_query(include_str!("sql/extension_elsewhere.sql")).load(connection)?;
    Ok(elsewhere.first().map(|Extension { name, schema }| {
        format!(
            "the extension {name} is in the schema {schema}, and Enlist looks for it in public: run, as its owner, \
             ALTER EXTENSION {name} SET SCHEMA public"
        )
    }))
}

impl Db {
    /// How many connections this role may have open there, with all others.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn most_connections(&self) -> Result<u32, DbError> {
        let most = self.read(|connection| {
            let most: i32 =
                diesel::select(sql::<Integer>(MOST_CONNECTIONS)).get_result(connection)?;
            Ok(u32::try_from(most).unwrap_or_default())
        });
        most.await
    }
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
    let hosts = Hosts::of(url);
    let first = hosts.connect()?;
    // A pooler lets whoever finds no session wait for minutes.
    thread::Builder::new()
        .name("pooler".to_owned())
        .spawn(move || {
            let _ = tell.send(is_by_transaction(first, &hosts));
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
fn is_by_transaction(mut one: PgConnection, hosts: &Hosts) -> Result<bool, String> {
    let mut other = hosts.connect()?;
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
