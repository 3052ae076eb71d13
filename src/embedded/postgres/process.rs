//! A process of Postgres: how it is begun, and how it is ended.

use std::{
    env,
    io::ErrorKind,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

use super::{
    account::Account,
    error::{Result, failed},
    waiting::comes_true,
};

/// A command that runs as Postgres' user and out of reach of the terminal's Ctrl-C. It gets the signal
/// `death` when the thread that spawned it ends, even by `kill -9`.
#[allow(unsafe_code)]
pub(super) fn command(program: &Path, account: Option<Account>, death: Signal) -> Command {
    let mut command = Command::new(program);
    let kept = ["PATH", "LD_LIBRARY_PATH", "TZ"];
    command
        .env_clear()
        .envs(
            kept.iter()
                .filter_map(|name| Some((name, env::var_os(name)?))),
        )
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    let parent = Pid::from_raw(std::process::id().cast_signed());
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. These are two plain
    // system calls; nothing is allocated, locked or dropped. They come after the change of user, which
    // would undo the first.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(death))?;
            if getppid() == parent {
                Ok(())
            } else {
                // Enlist was killed before the signal was asked for.
                Err(ErrorKind::BrokenPipe.into())
            }
        });
    }
    command
}

/// The error of a program that cannot be run.
pub(super) fn not_runnable<T>(program: &Path, problem: &str) -> Result<T> {
    failed(format!("cannot run {}: {problem}", program.display()))
}

/// Ends a Postgres that Enlist started: in good order, then at once, then by force.
pub(super) fn end(server: &mut Child) {
    for (signal, patience) in [(Signal::INT, 20), (Signal::QUIT, 7), (Signal::KILL, 5)] {
        // Once it was waited for it gets no signal: its number may be another's by then.
        if !matches!(server.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill_process(Pid::from_child(server), signal);
        let patience = Duration::from_secs(patience);
        if comes_true(patience, || !matches!(server.try_wait(), Ok(None))) {
            return;
        }
        tracing::warn!("Postgres did not end within {patience:?} of {signal:?}");
    }
}
