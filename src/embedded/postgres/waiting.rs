//! Waiting: until something comes true, or until the supervisor is told to stop.

use std::{
    convert::Infallible,
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// Whether `test` comes true within this time. It is tried at least once.
pub(super) fn comes_true(within: Duration, mut test: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !test() {
        if begun.elapsed() > within {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Waits this long, or until told to stop. Says which.
pub(super) fn is_told_to_stop(stop: &Receiver<Infallible>, wait: Duration) -> bool {
    stop.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected)
}
