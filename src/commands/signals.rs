//! The signals that ask a process to end.

use std::io;

use super::out::end;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How the process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// By a supervisor (SIGTERM), which has others take over.
    Politely,
    /// By somebody at a terminal (SIGINT), or who closed it (SIGHUP).
    AtOnce,
}

/// SIGTERM, SIGINT and SIGHUP, which ask a process to end.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From now on the process decides itself what they do.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one of them.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Politely,
            _ = self.interrupt.recv() => Asked::AtOnce,
            _ = self.hang_up.recv() => Asked::AtOnce,
        }
    }
}

/// Ends the process when it is asked to, whatever it waits for: a container's first process is not ended by signals
/// that it does not listen to. What the database was doing, it takes back.
pub fn end_when_asked() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Listening from here on, not from whenever the thread runs.
    let mut signals = {
        let _entered = runtime.enter();
        Signals::listen()?
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let asked = runtime.block_on(signals.next());
            end(match asked {
                Asked::Politely => 143,
                Asked::AtOnce => 130,
            })
        })?;
    Ok(())
}
