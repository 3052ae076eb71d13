//! From a configuration to a running service, and what happens around every request.

pub mod addresses;
pub mod api;
pub mod check;
mod check_role;
pub mod draining;
pub mod failover;
mod findings;
pub mod gate;
pub mod headers;
pub mod health;
pub mod keys;
pub mod observe;
pub mod openapi;
pub mod outgoing;
pub mod request_log;
pub mod router;
pub mod schema;
pub mod startup;
pub mod timekeeping;
mod vanished;
