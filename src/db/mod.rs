//! The database: its connections, what it answers, and its migrations.

mod blocked;
mod connection;
mod errors;
mod fitness;
mod held_up;
mod hosts;
pub mod keyset;
mod migrations;
mod path;
mod patience;
mod pool;
mod pools;
mod powers;
pub mod prepared;
mod privileges;
mod statements;
pub mod text;
pub mod text_enum;
mod url;
mod waiting;
mod watch;

pub use self::{
    errors::{DbError, fitting},
    fitness::unfit_pooler,
    held_up::of_kind,
    hosts::{connect, may_pass},
    migrations::{Readiness, Schema, migrate, migrate_for, revert_all, schema_at},
    path::looking_at_home,
    pool::Db,
    powers::{Excess, Powers},
    privileges::{TABLES, roles_sql},
    statements::{CUSTOM_PLAN, OUTBOX_CHANNEL, WAKE_WORKERS},
    url::usable,
};
