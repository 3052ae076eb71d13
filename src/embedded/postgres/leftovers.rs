//! What an earlier Postgres left behind: processes that still run, and lock files of dead ones.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    error::{Result, cannot, failed},
    pid_file::{PID_FILE, pid},
    waiting::comes_true,
};

/// Ends the processes that still work on `data`. After `kill -9` of Enlist, Postgres is about to end by
/// itself; after `kill -9` of the postmaster its busy children go on, and would keep a new one from
/// starting for minutes.
pub(super) fn end_leftovers(data: &Path) -> Result<()> {
    let all = leftovers(data);
    if all.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        "ending {} processes that an earlier Postgres left",
        all.len()
    );
    // It ends its children in good order. Without it they must be told themselves.
    let postmaster = pid(&data.join(PID_FILE)).filter(|pid| all.contains(pid));
    for (signal, patience) in [(Signal::INT, 10), (Signal::QUIT, 5), (Signal::KILL, 5)] {
        let told = match (signal, postmaster) {
            (Signal::INT, None) => continue,
            (Signal::INT, Some(postmaster)) => vec![postmaster],
            _ => leftovers(data),
        };
        for pid in told {
            // It may be gone by now.
            let _ = kill_process(pid, signal);
        }
        if comes_true(Duration::from_secs(patience), || leftovers(data).is_empty()) {
            return Ok(());
        }
    }
    failed(format!(
        "an earlier Postgres works on {} and cannot be ended, not even by SIGKILL",
        data.display()
    ))
}

/// Removes a lock file whose process is dead, or whose number is another process's by now (after a
/// reboot, or in a new container): Postgres would take that for a postmaster and refuse to start. Where
/// the process is a Postgres that works on `data`, or on a directory that cannot be seen, Postgres
/// decides.
pub(super) fn forget_stale_pid(file: &Path, data: &Path) -> Result<()> {
    let may_be_ours = |pid| match workplace(pid) {
        Some(Ok(dir)) => identity(data).is_ok_and(|data| data == dir),
        // It may have ended since.
        Some(Err(error)) => error.kind() != ErrorKind::NotFound,
        None => false,
    };
    match pid(file) {
        Some(pid) if !may_be_ours(pid) => fs::remove_file(file).map_err(cannot("remove", file)),
        _ => Ok(()),
    }
}

/// The processes of every Postgres that works in this directory, whoever started it: only the holder
/// of the lock may use the directory.
fn leftovers(data: &Path) -> Vec<Pid> {
    let Ok(data) = identity(data) else {
        return Vec::new();
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(|pid| matches!(workplace(*pid), Some(Ok(dir)) if dir == data))
        .collect()
}

/// The directory that a Postgres process works in; an error if that cannot be seen. None for other
/// processes, and for one that was killed and not yet waited for (in a container without an init).
fn workplace(pid: Pid) -> Option<io::Result<(u64, u64)>> {
    // 4711 (postgres) S … (proc(5))
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, state) = stat.split_once(' ')?.1.rsplit_once(") ")?;
    let is_running = name == "(postgres" && !state.starts_with(['Z', 'X']);
    is_running.then(|| identity(format!("/proc/{pid}/cwd")))
}

/// What tells a directory from others: device and inode, as paths differ between mount namespaces.
fn identity(dir: impl AsRef<Path>) -> io::Result<(u64, u64)> {
    fs::metadata(dir).map(|dir| (dir.dev(), dir.ino()))
}
