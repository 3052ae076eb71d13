//! The invitation behind a token, in one statement.

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use uuid::Uuid;

use super::facts::Facts;
use crate::{
    db::{DbError, fitting},
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
    /// Gone with a deleted user.
    pub user: Option<Reader>,
}

/// For whom an invitation is.
#[derive(Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(Pg))]
pub struct Reader {
    pub display_name: String,
    pub username: String,
    pub time_zone: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = invitations, check_for_backend(Pg))]
struct Row {
    state: State,
    method: Method,
    locale: String,
    counter: i32,
    pin_issued_at: Option<DateTime<Utc>>,
    pin_lifetime_days: i16,
    expires_at: DateTime<Utc>,
    registration_id: Option<Uuid>,
}

/// What the page needs to know of an invitation.
///
/// # Errors
/// When the database is away.
pub fn find(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Found>, DbError> {
    let found: Option<(Row, Option<Reader>)> = invitations::table
        .find(id)
        .left_join(users::table)
        .select((Row::as_select(), Option::<Reader>::as_select()))
        .first(connection)
        .optional()?;
    let Some((row, user)) = found else {
        return Ok(None);
    };
    Ok(Some(Found {
        facts: Facts {
            state: row.state.at(row.expires_at, now),
            method: row.method,
            counter: fitting(row.counter)?,
            pin_expires_at: pin_expires_at(
                row.method,
                row.pin_issued_at,
                row.pin_lifetime_days,
                row.expires_at,
            ),
        },
        lang: Lang::negotiate(Some(&row.locale)),
        expires_at: row.expires_at,
        registration_id: row.registration_id,
        user,
    }))
}
