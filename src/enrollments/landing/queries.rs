//! The invitation behind a token, in one statement.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::facts::Facts;
use crate::{
    db::{DbError, fitting, stored},
    mail::catalogue::Lang,
    model::invitation::{Method, State, pin_expires_at},
    schema::{invitations, users},
};

/// An invitation, and for whom it is.
pub struct Found {
    pub facts: Facts,
    pub lang: Lang,
    pub expires_at: DateTime<Utc>,
    /// The version of the registration setting that it was sent with.
    pub registration_id: Option<Uuid>,
    /// Display name, username, time zone; gone with a deleted user.
    pub user: Option<(String, String, Option<String>)>,
}

type Row = (
    (String, String, String, i32),
    (Option<DateTime<Utc>>, i16, DateTime<Utc>, Option<Uuid>),
    Option<(String, String, Option<String>)>,
);

/// What the page needs to know of an invitation.
///
/// # Errors
/// When the database is away.
pub fn find(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Found>, DbError> {
    let row: Option<Row> = invitations::table
        .find(id)
        .left_join(users::table)
        .select((
            (
                invitations::state,
                invitations::method,
                invitations::locale,
                invitations::counter,
            ),
            (
                invitations::pin_issued_at,
                invitations::pin_lifetime_days,
                invitations::expires_at,
                invitations::registration_id,
            ),
            (users::display_name, users::username, users::time_zone).nullable(),
        ))
        .first(connection)
        .optional()?;
    let Some(((state, method, locale, counter), (issued, days, expires_at, registration_id), user)) =
        row
    else {
        return Ok(None);
    };
    let method = stored(&method, Method::from_name)?;
    let state = match stored(&state, State::from_name)? {
        State::Pending if expires_at <= now => State::Expired,
        state => state,
    };
    Ok(Some(Found {
        facts: Facts {
            state,
            method,
            counter: fitting(counter)?,
            pin_expires_at: pin_expires_at(method, issued, days, expires_at),
        },
        lang: Lang::negotiate(Some(&locale)),
        expires_at,
        registration_id,
        user,
    }))
}
