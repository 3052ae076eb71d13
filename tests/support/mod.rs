//! What the tests stand on: a database each, the app on a port, an SMTP server that does as it is told.

pub mod app;
pub mod db;
pub mod log;
pub mod prometheus;
pub mod smtp;
