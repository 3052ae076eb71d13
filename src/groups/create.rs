//! Creating a group.

use diesel::PgConnection;
use serde_json::json;

use super::{
    domain::{Group, GroupName},
    queries,
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::error::ApiError,
};

/// Creates a group without members. Runs inside a transaction.
///
/// # Errors
/// 409 when another group has the name.
pub fn create(
    connection: &mut PgConnection,
    trail: &Trail,
    name: GroupName,
) -> Result<Group, ApiError> {
    let (id, now) = (trail.clock.new_id(), trail.clock.now());
    queries::insert(connection, id, &name, now).map_err(queries::stored_or_taken)?;
    let group = Group {
        id,
        name: name.into_string(),
        member_count: 0,
        created_at: now,
        updated_at: now,
    };
    let event = Event::new(Action::GroupCreated, SubjectKind::Group, id);
    trail.record(connection, &event.after(&json!({"name": group.name})))?;
    Ok(group)
}
