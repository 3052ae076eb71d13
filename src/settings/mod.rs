//! Settings: what applies to a user, and why (PRODUCT §5).

pub mod change;
mod columns;
pub mod domain;
pub mod fields;
pub mod http;
pub mod queries;
pub mod reach;
pub mod reminders;
pub mod resource;
pub mod rules;
pub mod sealing;
pub mod store;

pub use domain::Applied;
