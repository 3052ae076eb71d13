//! What was sent with one request: how far it got, as a resource and as a stream, and calling it off.

pub mod cancel;
pub mod domain;
pub mod http;
pub mod places;
pub mod progress;
pub mod queries;
