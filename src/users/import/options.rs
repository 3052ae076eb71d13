//! What is wanted of an import, and what it works with.

use std::sync::Arc;

use crate::{
    audit::Trail,
    db::Db,
    http::idempotent::Lease,
    secrets::{keys::KeyRing, password::Hasher},
    string_enum,
};

string_enum! {
    /// What to do with a record whose username or e-mail address a user has already.
    OnConflict {
        /// Report it as a fault.
        Fail = "fail",
        /// Leave the user as it is.
        Skip = "skip",
        /// Change what the record says.
        Update = "update",
    }
}

/// What is wanted of an import.
#[derive(Clone)]
pub struct Options {
    pub on_conflict: OnConflict,
    /// Store nothing, only say what would come of it.
    pub dry_run: bool,
    /// All or nothing.
    pub atomic: bool,
    /// Invite whom it creates, with secrets derived by these keys.
    pub invite: Option<Arc<KeyRing>>,
    /// Who does it, and by which clock.
    pub trail: Trail,
    /// The idempotency key that it is done under: nothing is stored once somebody else has it, and the
    /// report is stored with the last users.
    pub lease: Option<Arc<Lease>>,
}

/// What an import works with.
#[derive(Clone)]
pub struct Tools {
    pub db: Db,
    pub hasher: Hasher,
}
