//! Where the database is, as a libpq URL.

use std::{os::unix::ffi::OsStrExt, path::Path};

use diesel::{Connection, PgConnection};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::pid_file::{PID_FILE, line};

/// The URL of a database of the Postgres that listens in the folder `socket`.
pub(super) fn url(socket: &Path, database: &str) -> String {
    let host = percent_encode(socket.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    format!("postgres://enlist@/{database}?host={host}&port=5432")
}

/// The URL of the Postgres that another instance runs on `data_dir`, if it answers. Commands beside a
/// running service use it.
pub fn url_of_running(data_dir: &Path) -> Option<String> {
    let socket = line(&data_dir.join("postgres/data").join(PID_FILE), 5)?;
    let url = url(Path::new(&socket), "enlist");
    PgConnection::establish(&url).ok().map(|_| url)
}
