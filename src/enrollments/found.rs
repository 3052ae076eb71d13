//! Whom and what a name or a token is about, as the database has it.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Bool, Int2, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use secrecy::SecretString;
use uuid::Uuid;

use super::{domain::EnrolledUser, verdict::Invited};
use crate::{
    db::DbError,
    guessing::policy,
    model::{
        invitation::{Method, State, pin_expires_at},
        ownership::Ownership,
    },
};

/// Somebody whose name was given, as far as enrolling goes.
#[derive(Debug, Clone)]
pub struct Person {
    pub user: EnrolledUser,
    pub enabled: bool,
    pub password_hash: Option<SecretString>,
}

/// An invitation with what derives its PIN again, and how often that was guessed before this try.
#[derive(Debug, Clone)]
pub struct Guarded {
    pub invited: Invited,
    pub key_id: String,
    pub counter: u32,
    pub pin_length: u8,
    /// The registration setting that it was sent with.
    pub registration_id: Option<Uuid>,
    /// How often the PIN was guessed before this try, under all names of the user,
    pub tries: i32,
    /// and until when one of the names was paused for it: to be shown, not to decide by.
    pub locked_until: Option<DateTime<Utc>>,
}

impl Guarded {
    /// Whether the PIN was guessed at so often that it is right no more.
    pub fn is_used_up(&self) -> bool {
        self.tries >= policy::most_pins(self.pin_length)
    }
}

/// What there is to a name or a token.
#[derive(Debug, Default)]
pub struct Found {
    pub person: Option<Person>,
    pub newest: Option<Guarded>,
}

#[derive(QueryableByName)]
pub(super) struct FoundRow {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    username: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
    #[diesel(sql_type = Nullable<Bool>)]
    enabled: Option<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    password_hash: Option<String>,
    #[diesel(embed)]
    newest: NewestRow,
}

#[derive(QueryableByName)]
pub(super) struct NewestRow {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    invitation_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    method: Option<Method>,
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<State>,
    #[diesel(sql_type = Nullable<Text>)]
    device_ownership: Option<Ownership>,
    #[diesel(sql_type = Nullable<Text>)]
    locale: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    key_id: Option<String>,
    #[diesel(sql_type = Nullable<Int4>)]
    counter: Option<i32>,
    #[diesel(sql_type = Nullable<Int2>)]
    pin_length: Option<i16>,
    #[diesel(sql_type = Nullable<Int2>)]
    pin_lifetime_days: Option<i16>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pin_issued_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    registration_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Int4>)]
    pin_tries: Option<i32>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pin_locked_until: Option<DateTime<Utc>>,
}

impl NewestRow {
    pub(super) fn guarded(self) -> Result<Option<Guarded>, DbError> {
        let Some(id) = self.invitation_id else {
            return Ok(None);
        };
        let missing = || DbError::Stored("invitations".into());
        let method = self.method.ok_or_else(missing)?;
        let expires_at = self.expires_at.ok_or_else(missing)?;
        let days = self.pin_lifetime_days.ok_or_else(missing)?;
        Ok(Some(Guarded {
            invited: Invited {
                id,
                method,
                state: self.state.ok_or_else(missing)?,
                expires_at,
                pin_expires_at: pin_expires_at(method, self.pin_issued_at, days, expires_at),
                device_ownership: self.device_ownership.ok_or_else(missing)?,
                locale: self.locale.ok_or_else(missing)?,
            },
            key_id: self.key_id.ok_or_else(missing)?,
            counter: u32::try_from(self.counter.ok_or_else(missing)?).map_err(|_| missing())?,
            pin_length: u8::try_from(self.pin_length.ok_or_else(missing)?)
                .map_err(|_| missing())?,
            registration_id: self.registration_id,
            tries: self.pin_tries.ok_or_else(missing)?,
            locked_until: self.pin_locked_until,
        }))
    }
}

impl FoundRow {
    pub(super) fn found(self) -> Result<Found, DbError> {
        let missing = || DbError::Stored("users".into());
        let person = match self.user_id {
            Some(id) => Some(Person {
                user: EnrolledUser {
                    id,
                    username: self.username.ok_or_else(missing)?,
                    email: self.email,
                    display_name: self.display_name.ok_or_else(missing)?,
                },
                enabled: self.enabled.ok_or_else(missing)?,
                password_hash: self.password_hash.map(SecretString::from),
            }),
            None => None,
        };
        Ok(Found {
            person,
            newest: self.newest.guarded()?,
        })
    }
}
