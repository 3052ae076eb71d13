//! Devices: what was enrolled, and by whom.

pub mod domain;
pub mod http;
pub mod queries;
pub mod retire;
