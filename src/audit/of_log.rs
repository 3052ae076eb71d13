//! Events of the log itself: what whoever links has to say of the links before.

use diesel::prelude::*;
use uuid::Uuid;

use super::{
    domain::{Action, Actor, ActorKind, Event, SubjectKind},
    proof::{Made, Proof},
    queries::{self, New},
    rows::EventRow,
    telling::End,
};
use crate::{
    clock::Clock,
    db::DbError,
    schema::{audit_events, audit_links},
    secrets::keys::KeyRing,
};

/// Writes down what is to be linked before anything else.
pub(super) fn events(
    connection: &mut PgConnection,
    keys: &KeyRing,
    clock: &Clock,
    end: &End,
    has_taken_over: bool,
) -> Result<Option<EventRow>, DbError> {
    if let Some(key) = &end.unknown_key {
        tracing::error!(
            key,
            end = %end.head,
            "the audit log goes on behind links that were made with this key, which is in no setting: nobody vouches for them"
        );
        let details = serde_json::json!({"key": key, "behind": end.head.to_string()});
        let continued = Event::new(Action::AuditContinued, SubjectKind::AuditLog, None);
        return written(connection, keys, clock, continued.after(&details)).map(Some);
    }
    if !has_taken_over && is_upgrade(connection, end)? {
        return seal_of_upgrade(connection, keys, clock).map(Some);
    }
    Ok(None)
}

/// Whether an older version looked after the log until now. Then what it left needs a link of ours that says so: from
/// there on events are signed.
fn is_upgrade(connection: &mut PgConnection, end: &End) -> Result<bool, DbError> {
    if !end.is_behind_older {
        return Ok(false);
    }
    let is_ours: bool = diesel::select(diesel::dsl::exists(
        audit_links::table
            .filter(audit_links::linked_at.is_not_null())
            .select(audit_links::position),
    ))
    .get_result(connection)?;
    Ok(!is_ours)
}

/// Writes the event of the upgrade down, which is linked at once.
fn seal_of_upgrade(
    connection: &mut PgConnection,
    keys: &KeyRing,
    clock: &Clock,
) -> Result<EventRow, DbError> {
    let untold = Proof::of(connection, keys, 0, clock.now())?.accounts_to_tell(connection)?;
    let untold = untold.iter().filter(|account| account.made == Made::Untold);
    let ids: Vec<Uuid> = untold.map(|account| account.id).collect();
    let event = Event::new(Action::AuditUpgraded, SubjectKind::AuditLog, None);
    written(
        connection,
        keys,
        clock,
        event.after(&serde_json::json!({"accounts": ids})),
    )
}

/// Writes an event of the log itself down, which is linked at once.
fn written(
    connection: &mut PgConnection,
    keys: &KeyRing,
    clock: &Clock,
    event: Event,
) -> Result<EventRow, DbError> {
    let id = clock.new_id();
    let new = New {
        id,
        at: clock.now(),
        actor: &Actor {
            kind: ActorKind::Service,
            id: None,
            name: None,
        },
        request_id: None,
        address: None,
        event: &event,
        key: Some(keys.signing()),
    };
    queries::insert(connection, &new)?;
    Ok(audit_events::table
        .find(id)
        .select(EventRow::as_select())
        .first(connection)?)
}
