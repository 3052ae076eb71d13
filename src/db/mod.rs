//! The database: its connections, what it answers, and its migrations.

mod connection;
mod errors;
pub mod keyset;
mod migrations;
mod pool;
pub mod prepared;
mod statements;
pub mod text;
mod url;

pub use self::{
    errors::{DbError, fitting, stored},
    migrations::{Schema, migrate, revert_all},
    pool::Db,
    statements::{CUSTOM_PLAN, OUTBOX_CHANNEL, WAKE_WORKERS},
    url::connect,
};
