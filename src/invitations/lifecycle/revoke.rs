//! Taking invitations back.

use diesel::{connection::SimpleConnection, prelude::*};
use serde_json::json;
use uuid::Uuid;

use super::{
    candidates::lock,
    results::{LifecycleOutcome, LifecycleSkip, Results, skipped, tell},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::{CUSTOM_PLAN, DbError},
    invitations::{domain::Invitation, ending, queries},
    model::invitation::State,
    selection::{
        domain::Selection,
        queries::{SelectionError, user_ids},
    },
};

/// What became of revoking one invitation.
#[derive(Debug)]
pub enum Revoked {
    /// It does not work any more: revoked now or before, or ended otherwise.
    Ended(Box<Invitation>),
    NotFound,
    /// A device was enrolled with it.
    Completed,
}

/// Revokes one invitation. Runs inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn revoke(connection: &mut PgConnection, trail: &Trail, id: Uuid) -> Result<Revoked, DbError> {
    let now = trail.clock.now();
    let Some(found) = lock(connection, id)? else {
        return Ok(Revoked::NotFound);
    };
    if found.state(now) == State::Completed {
        return Ok(Revoked::Completed);
    }
    ending::revoke(connection, &[id], now)?;
    let event = Event::new(Action::InvitationsRevoked, SubjectKind::Invitation, id);
    trail.record(connection, &event)?;
    Ok(
        queries::get(connection, id, now)?.map_or(Revoked::NotFound, |invitation| {
            Revoked::Ended(Box::new(invitation))
        }),
    )
}

/// Revokes the pending invitations of everybody who is selected. Runs inside a transaction.
///
/// # Errors
/// [`SelectionError`]; then nothing may be kept.
pub fn revoke_many(
    connection: &mut PgConnection,
    trail: &Trail,
    selection: &Selection,
) -> Result<Results, SelectionError> {
    connection.batch_execute(CUSTOM_PLAN)?;
    let now = trail.clock.now();
    let users = user_ids(connection, selection, now)?;
    let mut ended = ending::revoke_of(connection, &users, now)?;
    // What had expired by itself was not pending any more.
    ended.retain(|ended| ended.state == State::Revoked);
    ended.sort_unstable_by_key(|ended| ended.user_id);
    let done = tell(&users, ended.len(), |user| {
        match ended.binary_search_by_key(&Some(user), |ended| ended.user_id) {
            Ok(at) => (LifecycleOutcome::Revoked, Some(ended[at].id), None),
            Err(_) => skipped(LifecycleSkip::NoPendingInvitation, None),
        }
    });
    let event = Event::new(Action::InvitationsRevoked, SubjectKind::Invitation, None).after(
        &json!({"accepted_count": done.accepted_count, "skipped_count": done.skipped_count}),
    );
    trail.record(connection, &event)?;
    Ok(done)
}
