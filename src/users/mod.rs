//! The people who are invited.

pub mod attributes;
pub mod change;
pub mod create;
pub mod csv;
pub mod domain;
pub mod export;
pub mod held;
pub mod http;
pub mod import;
pub mod name_keys;
mod names;
pub mod profile;
pub mod queries;
