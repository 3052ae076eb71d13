//! Enlist invites people to enroll their devices in MDM.
//!
//! # The rooms
//! - [`config`], [`startup`], [`telemetry`], [`clock`]: how the service is put together; [`retention`]: what it forgets.
//! - [`error`], [`wire`], [`etag`], [`paging`], [`keyset`], [`prepared`], [`idempotency`]: what all requests share.
//! - [`http`]: routes, middleware, the OpenAPI document. [`access`]: who calls; [`audit`]: what they did; [`proxies`]: from
//!   where; [`limits`]: how often. [`metrics`]: what is counted.
//! - [`users`], [`groups`], [`settings`], [`invitations`], [`enrollments`], [`devices`], [`reminders`], [`bounces`]: the features. [`secrets`]: PINs and tokens.
//! - [`mail`]: a message and the wire. [`outbox`]: the queue between the two.
//! - [`db`], [`schema`]: Postgres. [`embedded`]: what one machine alone needs.
//!
//! # The direction of imports
//! `main → startup → http → features' http, workers → use cases → queries, smtp → pure files →
//! error, wire, db, clock, schema, config`. Pure files import no diesel, actix, lettre or tokio; `mail`
//! knows no feature. `tests/architecture.rs` holds the rule.

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
pub mod users;
