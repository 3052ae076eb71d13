//! The people who are invited.

pub mod domain;
pub mod http;
pub mod password;
pub mod queries;
