//! Users in the database.

mod read;
mod write;

pub use read::{ProfileRow, attribute_names, count, get, list, position};
pub use write::{
    Taken, already_taken, delete, insert, join_groups, lock, set_password, stored_or_taken, taken,
    update,
};
