//! Groups of users: they are filtered by, and invited together.

pub mod change;
pub mod create;
pub mod domain;
pub mod http;
pub mod queries;
