//! Creating a user, and inviting the user at once where that is asked for.

use std::sync::Arc;

use diesel::PgConnection;
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{domain::User, profile::Profile, queries};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::error::ApiError,
    invitations::{
        domain::Overrides,
        plan::MailsADay,
        send::{self, BatchResult},
    },
    model::wire::Fault,
    secrets::keys::KeyRing,
    selection::domain::{Ids, Selection},
};

/// Who is to be created.
pub struct NewUser {
    pub profile: Profile,
    pub password_hash: Option<SecretString>,
    /// Groups that the user joins.
    pub group_ids: Vec<Uuid>,
    /// The keys that an invitation's secrets derive from, if the user is to be invited at once.
    pub invite: Option<Arc<KeyRing>>,
}

/// The answer of `POST /users`.
#[derive(Serialize, ToSchema)]
pub struct CreatedUser {
    #[serde(flatten)]
    pub user: User,
    /// What came of `invite: true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation: Option<BatchResult>,
}

/// Creates a user. One who cannot be invited is created all the same. Runs inside a transaction.
///
/// # Errors
/// 409 when another user has the username or address; 422 for groups that are not there.
pub fn create(
    connection: &mut PgConnection,
    trail: &Trail,
    new: NewUser,
) -> Result<CreatedUser, ApiError> {
    let (id, now) = (trail.clock.new_id(), trail.clock.now());
    let (profile, hash) = (new.profile, new.password_hash);
    let is_stored = queries::insert(connection, id, &profile, hash.as_ref(), now)?;
    match queries::taken(connection, id, &profile)?[..] {
        [] if is_stored => {}
        // Whoever had it was deleted just now.
        [] => return Err(ApiError::unavailable(1, "the name became free meanwhile")),
        ref fields => return Err(queries::already_taken(fields)),
    }
    let unknown = queries::join_groups(connection, id, &new.group_ids)?;
    refuse_unknown_groups(&new.group_ids, &unknown)?;
    let event = Event::new(Action::UserCreated, SubjectKind::User, id);
    trail.record(connection, &event.after(&profile).about(id))?;
    let invitation = match &new.invite {
        Some(keys) => {
            let selection = Selection {
                user_ids: Some(Ids(vec![id])),
                ..Selection::default()
            };
            let overrides = Overrides::default();
            let mut sent = send::send(
                connection,
                trail,
                keys,
                &selection,
                &overrides,
                // Who is new was mailed nothing yet.
                MailsADay::default(),
            )?;
            sent.results.pop()
        }
        None => None,
    };
    let user = if new.invite.is_some() || !new.group_ids.is_empty() {
        queries::get(connection, id, now)?.ok_or_else(|| ApiError::internal("gone"))?
    } else {
        profile.into_new_user(id, hash.is_some(), now)
    };
    Ok(CreatedUser { user, invitation })
}

fn refuse_unknown_groups(given: &[Uuid], unknown: &[Uuid]) -> Result<(), ApiError> {
    let faults: Vec<Fault> = given
        .iter()
        .enumerate()
        .filter(|(_, id)| unknown.contains(id))
        .map(|(index, _)| {
            Fault::new(
                format!("/group_ids/{index}"),
                "unknown_id",
                "there is no group with this id",
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.into())
    }
}
