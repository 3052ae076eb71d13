//! Enlist invites people to enroll their devices in MDM.
//!
//! # The rooms, from the highest to the lowest
//! - `main.rs` and `commands/` (the binary): the command line.
//! - [`server`]: from a configuration to a running service, and what happens around every request.
//!   [`config`]: every setting, a section a file. [`embedded`]: what one machine alone needs. [`retention`]: what is
//!   forgotten.
//! - The features, a folder each. Inside, the same layers: `domain` says what things are, a file a use case changes
//!   them, `queries` reads and writes rows, `http` has the handlers. [`users`], [`enrollments`], [`reminders`],
//!   [`bounces`], [`batches`], [`invitations`], [`devices`], [`groups`], [`settings`], [`selection`] (which users),
//!   [`trials`] (test mails), [`access`] (who calls), [`audit`] (what they did).
//! - [`outbox`]: the queue of messages. [`mail`]: a message and the wire. [`guessing`]: tries at secrets.
//! - [`http`]: the kit of every handler. [`state`]: what every handler may use.
//! - [`db`] and [`schema`]: Postgres. [`secrets`]: keys, PINs, tokens, hashes. [`model`]: the words that all share.
//! - [`metrics`], [`telemetry`], [`clock`].
//!
//! # The import rule
//! A file imports from its own room and from lower ones, and no two files import each other. A file whose header says
//! `Pure.` decides or renders: it imports no diesel, actix, lettre or tokio, and only files that are pure themselves.
//! `tests/architecture/` has the ranked list of rooms and holds the rule for every file.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod access;
pub mod audit;
pub mod batches;
pub mod bounces;
pub mod clock;
pub mod config;
pub mod db;
pub mod devices;
pub mod embedded;
pub mod enrollments;
pub mod groups;
pub mod guessing;
pub mod http;
pub mod invitations;
pub mod mail;
pub mod metrics;
pub mod model;
pub mod outbox;
pub mod reminders;
pub mod retention;
pub mod schema;
pub mod secrets;
pub mod selection;
pub mod server;
pub mod settings;
pub mod state;
pub mod telemetry;
pub mod trials;
pub mod users;
