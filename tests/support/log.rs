//! What the service logs: of all tests of this process, since there is one log in each.

use std::{
    io,
    sync::{LazyLock, Mutex},
};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static CAPTURE: LazyLock<()> = LazyLock::new(|| {
    tracing_subscriber::fmt()
        .with_env_filter("info,enlist=trace,actix_web=trace,actix_http=trace,actix_server=trace")
        .with_ansi(false)
        .with_writer(|| Log)
        .init();
});

/// Begins to write down what is logged.
pub fn capture() {
    LazyLock::force(&CAPTURE);
}

/// All that was logged so far.
pub fn captured() -> String {
    String::from_utf8(LINES.lock().unwrap().clone()).unwrap()
}

/// What was logged of the request that has this answer.
pub fn lines_of(answer: &super::app::Answer) -> String {
    let id = answer.header("x-request-id");
    let lines = captured();
    let lines: Vec<&str> = lines.lines().filter(|line| line.contains(id)).collect();
    lines.join("\n")
}
