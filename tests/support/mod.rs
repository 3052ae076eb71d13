//! What the tests stand on: a database each, the app on a port, an SMTP server and a token server that do as they are told.

pub mod app;
pub mod cable;
pub mod db;
pub mod log;
pub mod prometheus;
pub mod smtp;
pub mod tokens;

use std::{env, fs::OpenOptions, io::Write, thread};

use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// A client of HTTP. It has to be told which cryptography to use, as the service's own is: reqwest is built without one.
pub fn http_client() -> reqwest::ClientBuilder {
    let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls)
}

/// Says that a test shows nothing on this machine, and why. In CI, where all that tests need is to be had, it fails
/// instead. `tests/postgres.sh` counts.
#[track_caller]
pub fn skip(reason: &str) {
    let is_ci = env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!is_ci, "not to be skipped in CI: {reason}");
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}: {reason}\n");
    // Not by `eprintln!`, which is shown of tests that fail only.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(list) = env::var_os("ENLIST_TESTS_SKIPPED") {
        let mut list = OpenOptions::new()
            .create(true)
            .append(true)
            .open(list)
            .unwrap();
        list.write_all(line.as_bytes()).unwrap();
    }
}
