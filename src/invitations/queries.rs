//! Invitations and batches in the database.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{exists, not},
    pg::Pg,
    prelude::*,
};
use uuid::Uuid;

use super::domain::{Invitation, ListQuery, Message};
use crate::{
    db::{DbError, fitting},
    guessing::policy,
    model::{
        invitation::{DeliveryState, MessageKind, MessageState, Method, State, pin_expires_at},
        ownership::{self, Ownership},
        said::masked,
    },
    schema::{invitations, messages},
};

/// What it takes to derive an invitation's secrets again.
pub struct Derivation {
    pub id: Uuid,
    pub method: Method,
    pub state: State,
    pub key_id: String,
    pub counter: u32,
    pub pin_length: u8,
    pub valid_until: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    /// Its PIN was guessed at so often that it is no longer looked at.
    pub is_used_up: bool,
    /// The version of the registration setting that it was sent with.
    pub registration_id: Option<Uuid>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = invitations, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    user_id: Option<Uuid>,
    batch_id: Uuid,
    method: Method,
    state: State,
    device_ownership: Ownership,
    locale: String,
    key_id: String,
    counter: i32,
    pin_length: i16,
    pin_lifetime_days: i16,
    pin_issued_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    resend_count: i32,
    last_sent_at: Option<DateTime<Utc>>,
    pin_tries: i32,
    registration_id: Option<Uuid>,
}

impl Row {
    /// When the PIN stops working; unknown until its life has begun.
    fn pin_expires_at(&self) -> Option<DateTime<Utc>> {
        pin_expires_at(
            self.method,
            self.pin_issued_at,
            self.pin_lifetime_days,
            self.expires_at,
        )
    }

    fn derivation(self, now: DateTime<Utc>) -> Result<Derivation, DbError> {
        Ok(Derivation {
            id: self.id,
            method: self.method,
            state: self.state.at(self.expires_at, now),
            valid_until: self.pin_expires_at(),
            counter: fitting(self.counter)?,
            pin_length: fitting(self.pin_length)?,
            expires_at: self.expires_at,
            is_used_up: policy::is_used_up(self.pin_length, self.pin_tries),
            key_id: self.key_id,
            registration_id: self.registration_id,
        })
    }

    fn shown(self, now: DateTime<Utc>, messages: Vec<Message>) -> Invitation {
        let newest = messages
            .iter()
            .rev()
            .find(|message| message.kind == MessageKind::Invitation);
        Invitation {
            id: self.id,
            user_id: self.user_id,
            batch_id: self.batch_id,
            method: self.method,
            state: self.state.at(self.expires_at, now),
            device_ownership: ownership::shown(self.method, self.device_ownership),
            pin_expires_at: self.pin_expires_at(),
            locale: self.locale,
            created_at: self.created_at,
            expires_at: self.expires_at,
            resend_count: self.resend_count,
            last_sent_at: self.last_sent_at,
            delivery: newest.map_or(DeliveryState::None, |message| message.state.into()),
            messages,
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = messages, check_for_backend(Pg))]
struct MessageRow {
    id: Uuid,
    kind: MessageKind,
    invitation_id: Option<Uuid>,
    state: MessageState,
    attempts: i32,
    last_attempt_at: Option<DateTime<Utc>>,
    smtp_code: Option<i16>,
    enhanced_status: Option<String>,
    reason: Option<String>,
}

fn with_messages(
    connection: &mut PgConnection,
    rows: Vec<Row>,
    now: DateTime<Utc>,
) -> Result<Vec<Invitation>, DbError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut by_invitation: HashMap<Uuid, Vec<Message>> = HashMap::new();
    let found: Vec<MessageRow> = messages::table
        .filter(messages::invitation_id.eq_any(ids))
        .order(messages::id)
        .select(MessageRow::as_select())
        .load(connection)?;
    for row in found {
        by_invitation
            .entry(row.invitation_id.unwrap_or_default())
            .or_default()
            .push(Message {
                id: row.id,
                kind: row.kind,
                state: row.state,
                attempts: row.attempts,
                last_attempt_at: row.last_attempt_at,
                smtp_code: row.smtp_code,
                enhanced_status: row.enhanced_status,
                // What was stored before words were masked may not be rewritten yet.
                reason: row.reason.as_deref().map(masked),
            });
    }
    let shown = rows.into_iter().map(|row| {
        let messages = by_invitation.remove(&row.id).unwrap_or_default();
        row.shown(now, messages)
    });
    Ok(shown.collect())
}

/// The invitations that are asked for.
fn matching(asked: &ListQuery, now: DateTime<Utc>) -> invitations::BoxedQuery<'static, Pg> {
    let mut query = invitations::table.into_boxed();
    if let Some(user) = asked.user_id {
        query = query.filter(invitations::user_id.eq(user));
    }
    if let Some(batch) = asked.batch_id {
        query = query.filter(invitations::batch_id.eq(batch));
    }
    if let Some(method) = asked.method {
        query = query.filter(invitations::method.eq(method));
    }
    query = match asked.state {
        None => query,
        // As `State::at` has it.
        Some(State::Pending) => query
            .filter(invitations::state.eq(State::Pending))
            .filter(invitations::expires_at.gt(now)),
        Some(State::Expired) => query.filter(
            invitations::state.eq(State::Expired).or(invitations::state
                .eq(State::Pending)
                .and(invitations::expires_at.le(now))),
        ),
        Some(state) => query.filter(invitations::state.eq(state)),
    };
    let mails = messages::table
        .filter(messages::invitation_id.eq(invitations::id.nullable()))
        .filter(messages::kind.eq(MessageKind::Invitation));
    match asked.delivery {
        None => query,
        Some(DeliveryState::None) => query.filter(not(exists(mails))),
        Some(delivery) => {
            let newest = mails
                .order(messages::id.desc())
                .limit(1)
                .select(messages::state)
                .single_value();
            query.filter(newest.eq(delivery))
        }
    }
}

/// One page, newest first, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    asked: &ListQuery,
    after: Option<Uuid>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Invitation>, DbError> {
    let mut query = matching(asked, now).select(Row::as_select());
    if let Some(id) = after {
        query = query.filter(invitations::id.lt(id));
    }
    let rows = query
        .order(invitations::id.desc())
        .limit(limit)
        .load(connection)?;
    with_messages(connection, rows, now)
}

/// How many invitations match.
///
/// # Errors
/// When the database is away.
pub fn count(
    connection: &mut PgConnection,
    asked: &ListQuery,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    Ok(matching(asked, now).count().get_result(connection)?)
}

fn row(connection: &mut PgConnection, id: Uuid) -> Result<Option<Row>, DbError> {
    Ok(invitations::table
        .find(id)
        .select(Row::as_select())
        .first(connection)
        .optional()?)
}

/// One invitation.
///
/// # Errors
/// When the database is away.
pub fn get(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Invitation>, DbError> {
    let Some(row) = row(connection, id)? else {
        return Ok(None);
    };
    Ok(with_messages(connection, vec![row], now)?.pop())
}

/// What derives an invitation's secrets.
///
/// # Errors
/// When the database is away.
pub fn derivation(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Derivation>, DbError> {
    row(connection, id)?
        .map(|row| row.derivation(now))
        .transpose()
}

/// What derives the PINs of these users' pending invitations, by user: at most one each.
///
/// # Errors
/// When the database is away.
pub fn pending_pins(
    connection: &mut PgConnection,
    users: &[Uuid],
    now: DateTime<Utc>,
) -> Result<HashMap<Uuid, Derivation>, DbError> {
    let rows: Vec<Row> = invitations::table
        .filter(invitations::user_id.eq_any(users))
        .filter(invitations::state.eq(State::Pending))
        .filter(invitations::expires_at.gt(now))
        .select(Row::as_select())
        .load(connection)?;
    let mut by_user = HashMap::new();
    for row in rows {
        let user = row.user_id;
        let derivation = row.derivation(now)?;
        if let Some(user) = user.filter(|_| derivation.method.has_pin()) {
            by_user.insert(user, derivation);
        }
    }
    Ok(by_user)
}
