//! The programs of Postgres on this machine: found, and checked against the data.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use rustix::process::Signal;

use super::{
    account::Account,
    error::{Result, cannot, failed},
    last_words::last_words,
    process::{command, not_runnable},
};

/// Where Debian keeps the binaries: `<major>/bin`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Finds the folder of the binaries: the configured one, else the newest that Debian installed, else
/// one in PATH. Data that is there already needs the major version that made it.
pub(super) fn binaries(
    configured: Option<&Path>,
    account: Option<Account>,
    data: Option<&Path>,
) -> Result<PathBuf> {
    let made_by = match data.map(|data| data.join("PG_VERSION")) {
        Some(path) => Some(fs::read_to_string(&path).map_err(cannot("read", &path))?),
        None => None,
    };
    let made_by = made_by.as_deref().map(str::trim);
    let dirs = match configured {
        Some(dir) => vec![std::path::absolute(dir).map_err(cannot("find", dir))?],
        None => installed(),
    };
    let mut found = None;
    for dir in &dirs {
        let program = dir.join("postgres");
        if !program.is_file() || !dir.join("initdb").is_file() {
            continue;
        }
        let output = command(&program, account, Signal::KILL)
            .arg("--version")
            .output()
            .or_else(|error| not_runnable(&program, &error.to_string()))?;
        // postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.trim_start_matches("postgres (PostgreSQL) ");
        let major = number.split(|c: char| !c.is_ascii_digit()).next();
        match major.filter(|major| !major.is_empty()) {
            None => return not_runnable(&program, &last_words(&output.stderr)),
            Some(major) if made_by.is_none_or(|made_by| made_by == major) => return Ok(dir.clone()),
            Some(major) => found = found.or(Some(major.to_owned())),
        }
    }
    match (found, data, made_by) {
        (Some(found), Some(data), Some(made_by)) => failed(format!(
            "the database in {} was made by PostgreSQL {made_by}, and only {found} is here: install \
             that (Debian: apt-get install postgresql-{made_by}) or name its directory in \
             ENLIST_POSTGRES_BIN",
            data.display()
        )),
        _ => failed(format!(
            "no Postgres binaries in {}: install them (Debian: apt-get install postgresql), name \
             their directory in ENLIST_POSTGRES_BIN, or set DATABASE_URL",
            match configured {
                Some(dir) => dir.display().to_string(),
                None => format!("{DEBIAN}/*/bin or PATH"),
            }
        )),
    }
}

/// The folders where binaries may be, best first.
fn installed() -> Vec<PathBuf> {
    let mut majors: Vec<u32> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable();
    let debian = majors
        .iter()
        .rev()
        .map(|major| PathBuf::from(format!("{DEBIAN}/{major}/bin")));
    let path = env::var_os("PATH").unwrap_or_default();
    debian.chain(env::split_paths(&path)).collect()
}
