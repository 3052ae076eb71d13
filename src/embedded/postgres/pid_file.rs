//! The lock files in which a Postgres says that it uses a data directory or a socket.

use std::{fs, path::Path};

use rustix::process::Pid;

/// The one in the data directory. It stays there when Postgres is killed.
pub(super) const PID_FILE: &str = "postmaster.pid";
/// The one beside the socket. It stays there too.
pub(super) const SOCKET_LOCK: &str = ".s.PGSQL.5432.lock";

/// A line of such a file, counted from 1: 1 is the process, 5 the socket's directory, 8 the state
/// (only in [`PID_FILE`]).
pub(super) fn line(file: &Path, number: usize) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.lines().nth(number - 1)?.trim().to_owned())
}

/// The process that a lock file names.
pub(super) fn pid(file: &Path) -> Option<Pid> {
    let pid = line(file, 1)?.parse().ok()?;
    (pid > 0).then(|| Pid::from_raw(pid))?
}
