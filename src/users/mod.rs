//! The people who are invited.

pub mod change;
pub mod create;
pub mod csv;
pub mod domain;
pub mod export;
pub mod http;
pub mod import;
pub mod queries;
