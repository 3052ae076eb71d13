//! Settings: what applies to a user, and why (PRODUCT §5).

pub mod cache;
pub mod domain;
pub mod queries;

pub use domain::{Applied, Registration};
