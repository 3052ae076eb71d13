//! What the columns of a setting mean: each is read in one way, for lists as for users.

use uuid::Uuid;

use super::{
    domain::{Content, read_stored},
    resource::SettingId,
};
use crate::db::DbError;

/// `body`: what the setting says.
///
/// # Errors
/// When it is not what this version writes.
pub(super) fn read<C: Content>(body: serde_json::Value) -> Result<C, DbError> {
    read_stored(body).map_err(DbError::Stored)
}

/// `is_default` and `id`: the default is known by no other id than its own.
pub(super) fn shown_id(is_default: bool, id: Uuid) -> SettingId {
    if is_default {
        SettingId::Default
    } else {
        SettingId::Custom(id)
    }
}

/// `priority`, which the default has none of.
pub(super) fn shown_priority(priority: Option<i32>) -> Option<u32> {
    priority.and_then(|priority| u32::try_from(priority).ok())
}
