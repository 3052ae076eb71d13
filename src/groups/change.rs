//! Changing a group: its name and its members, and deleting it. Each runs inside a transaction.

use diesel::PgConnection;
use serde_json::json;
use uuid::Uuid;

use super::{
    domain::{ChangeMembers, Group, GroupDeleted, GroupName, MembersChanged},
    queries,
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::{error::ApiError, resource::Expected},
    selection::queries::hold_users,
    settings::store,
};

/// The group as it is now, held until the end of the transaction.
fn held(connection: &mut PgConnection, id: Uuid, expected: &Expected) -> Result<Group, ApiError> {
    let group = match queries::lock(connection, id)? {
        true => queries::get(connection, id)?,
        false => None,
    };
    expected.of(group)
}

/// Gives a group another name; `None` leaves it as it is.
///
/// # Errors
/// 404, 412; 409 when another group has the name.
pub fn rename(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
    name: Option<GroupName>,
) -> Result<Group, ApiError> {
    let group = held(connection, id, expected)?;
    let Some(name) = name.filter(|name| name.as_str() != group.name) else {
        return Ok(group);
    };
    let now = trail.clock.now();
    queries::rename(connection, id, &name, now).map_err(queries::stored_or_taken)?;
    let event = Event::new(Action::GroupChanged, SubjectKind::Group, id)
        .before(&json!({"name": group.name}))
        .after(&json!({"name": name.as_str()}));
    trail.record(connection, &event)?;
    Ok(Group {
        name: name.into_string(),
        updated_at: now,
        ..group
    })
}

/// Deletes a group, and says which settings were distributed to it; with `dry_run` only says so.
///
/// # Errors
/// 404, 412.
pub fn delete(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
    dry_run: bool,
) -> Result<GroupDeleted, ApiError> {
    // No setting may be distributed to it any more before it is gone: a weaker lock would let one.
    queries::lock_for_deletion(connection, id)?;
    let group = held(connection, id, expected)?;
    let settings = store::distributed_to(connection, id)?;
    if !dry_run {
        queries::delete(connection, id)?;
        let event = Event::new(Action::GroupDeleted, SubjectKind::Group, id)
            .before(&json!({"name": group.name, "member_count": group.member_count}));
        trail.record(connection, &event)?;
    }
    Ok(GroupDeleted { settings })
}

/// Adds and removes members, all or none.
///
/// # Errors
/// 404, 412; 422 with every id that no user has.
pub fn members(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
    change: &ChangeMembers,
) -> Result<MembersChanged, ApiError> {
    held(connection, id, expected)?;
    let unknown = change.unknown(&hold_users(connection, change.users())?);
    if !unknown.is_empty() {
        return Err(unknown.into());
    }
    let removed = queries::remove(connection, id, &change.remove)?;
    let added = queries::add(connection, id, &change.add)?;
    let group = queries::get(connection, id)?.ok_or_else(|| ApiError::internal("gone"))?;
    let event = Event::new(Action::GroupMembersChanged, SubjectKind::Group, id)
        .after(&json!({"added": added, "removed": removed}));
    trail.record(connection, &event)?;
    Ok(MembersChanged {
        added,
        removed,
        member_count: group.member_count,
    })
}
