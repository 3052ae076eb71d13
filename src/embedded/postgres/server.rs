//! The server process of a cluster: started, and waited for until it answers.

use std::{
    convert::Infallible,
    fs::OpenOptions,
    process::{Child, Stdio},
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use rustix::process::{Pid, Signal};

use super::{
    cluster::Cluster,
    error::{EmbeddedError, Result, failed},
    home::open,
    last_words::one_line,
    leftovers::{end_leftovers, forget_stale_pid},
    log,
    pid_file::{PID_FILE, SOCKET_LOCK, line, pid},
    process::{command, end, not_runnable},
    waiting::is_told_to_stop,
};

/// What Postgres says when another one uses its directory or its socket.
const IN_THE_WAY: [&str; 2] = ["already exists", "still in use"];
/// How long to wait before another try.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Starts Postgres and waits until it answers. None if told to stop. Tries again when another one was
/// in the way after all: one that was started a moment before its Enlist was killed is not seen at
/// first.
pub(super) fn start(cluster: &Cluster, stop: &Receiver<Infallible>) -> Result<Option<Child>> {
    let mut tries_left = 5;
    loop {
        match try_start(cluster, stop) {
            Err(EmbeddedError::Failed(line))
                if tries_left > 0 && IN_THE_WAY.iter().any(|words| line.contains(words)) =>
            {
                tries_left -= 1;
                if is_told_to_stop(stop, TRY_AGAIN_AFTER) {
                    return Ok(None);
                }
            }
            result => return result,
        }
    }
}

/// Ends what is left of an earlier run, and starts Postgres.
fn try_start(cluster: &Cluster, stop: &Receiver<Infallible>) -> Result<Option<Child>> {
    end_leftovers(&cluster.data)?;
    forget_stale_pid(&cluster.data.join(PID_FILE), &cluster.data)?;
    forget_stale_pid(&cluster.socket.join(SOCKET_LOCK), &cluster.data)?;
    log::trim(&cluster.log);
    let log = open(
        &cluster.log,
        cluster.account,
        OpenOptions::new().append(true),
    )?;
    let log_from = log.metadata().map_or(0, |log| log.len());
    let socket = format!("unix_socket_directories=\"{}\"", cluster.socket.display());
    // The service's pool has two connections for each core.
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let connections = format!("max_connections={}", 40 + 2 * cores);
    let settings = [
        "listen_addresses=",
        // Said here, since PGPORT would change it.
        "port=5432",
        &socket,
        &connections,
        "shared_buffers=64MB",
        "max_wal_size=256MB",
        "jit=off",
        "log_checkpoints=off",
        "logging_collector=off",
        "log_destination=stderr",
        // A row that is refused is quoted in DETAIL and CONTEXT, with the addresses in it.
        "log_error_verbosity=terse",
    ];
    let program = cluster.bin.join("postgres");
    let mut server = command(&program, cluster.account, Signal::INT)
        .arg("-D")
        .arg(&cluster.data)
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .or_else(|error| not_runnable(&program, &error.to_string()))?;
    match wait_until_ready(cluster, &mut server, stop) {
        Ok(true) => Ok(Some(server)),
        Ok(false) => {
            end(&mut server);
            Ok(None)
        }
        Err(problem) => {
            end(&mut server);
            failed(format!(
                "Postgres did not start: {problem}; {}",
                log::end_of(&cluster.log, log_from)
            ))
        }
    }
}

/// Waits for a connection. False if told to stop before there is one. An error says what is wrong.
fn wait_until_ready(
    cluster: &Cluster,
    server: &mut Child,
    stop: &Receiver<Infallible>,
) -> std::result::Result<bool, String> {
    let begun = Instant::now();
    while !is_told_to_stop(stop, Duration::from_millis(10)) {
        match server.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => return Err(format!("it ended with {status}")),
            Err(error) => return Err(format!("it cannot be waited for: {error}")),
        }
        // The file of an earlier run may still be there, so it must name this very process.
        let file = cluster.data.join(PID_FILE);
        let is_ready = pid(&file) == Some(Pid::from_child(server))
            && line(&file, 8).as_deref() == Some("ready");
        if is_ready && has_database(cluster)? {
            return Ok(true);
        }
        if begun.elapsed() > cluster.start_within {
            return Err(format!("no answer within {:?}", cluster.start_within));
        }
    }
    Ok(false)
}

/// Whether the database can be connected to. Makes it if nothing else is missing.
fn has_database(cluster: &Cluster) -> std::result::Result<bool, String> {
    let is_there = || PgConnection::establish(&cluster.url("enlist")).is_ok();
    if is_there() {
        return Ok(true);
    }
    let Ok(mut connection) = PgConnection::establish(&cluster.url("postgres")) else {
        return Ok(false);
    };
    connection
        .batch_execute("CREATE DATABASE enlist")
        .map_err(|error| one_line(&format!("cannot create the database: {error}")))?;
    Ok(is_there())
}
