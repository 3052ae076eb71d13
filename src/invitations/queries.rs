//! Invitations and batches in the database.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::exists,
    pg::Pg,
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    domain::{
        DeliveryState, Invitation, ListQuery, Message, MessageKind, MessageState, Method,
        Ownership, State,
    },
    letter, ownership,
    plan::SkipReason,
    send::{BatchResult, SendOutcome},
};
use crate::{
    db::{DbError, stored},
    enrollments::guessing,
    schema::{batches, invitations, messages, secret_keys},
    string_enum,
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
    method: String,
    state: String,
    device_ownership: String,
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
    /// Right to the second, whether or not anything has marked it yet.
    fn state(&self, now: DateTime<Utc>) -> Result<State, DbError> {
        let state = stored(&self.state, State::from_name)?;
        Ok(if state == State::Pending && self.expires_at <= now {
            State::Expired
        } else {
            state
        })
    }

    fn method(&self) -> Result<Method, DbError> {
        stored(&self.method, Method::from_name)
    }

    /// When the PIN stops working; unknown until its life has begun.
    fn pin_expires_at(&self) -> Result<Option<DateTime<Utc>>, DbError> {
        Ok(letter::pin_expires_at(
            self.method()?,
            self.pin_issued_at,
            self.pin_lifetime_days,
            self.expires_at,
        ))
    }

    fn derivation(self, now: DateTime<Utc>) -> Result<Derivation, DbError> {
        Ok(Derivation {
            id: self.id,
            method: self.method()?,
            state: self.state(now)?,
            valid_until: self.pin_expires_at()?,
            counter: u32::try_from(self.counter).unwrap_or(0),
            pin_length: u8::try_from(self.pin_length).unwrap_or(8),
            expires_at: self.expires_at,
            is_used_up: guessing::is_used_up(self.pin_length, self.pin_tries),
            key_id: self.key_id,
            registration_id: self.registration_id,
        })
    }

    fn shown(self, now: DateTime<Utc>, messages: Vec<Message>) -> Result<Invitation, DbError> {
        let method = self.method()?;
        let requested = stored(&self.device_ownership, Ownership::from_name)?;
        let newest = messages
            .iter()
            .rev()
            .find(|message| message.kind == MessageKind::Invitation);
        Ok(Invitation {
            id: self.id,
            user_id: self.user_id,
            batch_id: self.batch_id,
            method,
            state: self.state(now)?,
            device_ownership: ownership::shown(method, requested),
            pin_expires_at: self.pin_expires_at()?,
            locale: self.locale,
            created_at: self.created_at,
            expires_at: self.expires_at,
            resend_count: self.resend_count,
            last_sent_at: self.last_sent_at,
            delivery: match newest {
                Some(message) => stored(message.state.as_str(), DeliveryState::from_name)?,
                None => DeliveryState::None,
            },
            messages,
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = messages, check_for_backend(Pg))]
struct MessageRow {
    id: Uuid,
    kind: String,
    invitation_id: Option<Uuid>,
    state: String,
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
                kind: stored(&row.kind, MessageKind::from_name)?,
                state: stored(&row.state, MessageState::from_name)?,
                attempts: row.attempts,
                last_attempt_at: row.last_attempt_at,
                smtp_code: row.smtp_code,
                enhanced_status: row.enhanced_status,
                reason: row.reason,
            });
    }
    rows.into_iter()
        .map(|row| {
            let messages = by_invitation.remove(&row.id).unwrap_or_default();
            row.shown(now, messages)
        })
        .collect()
}

/// Adds the filters of `GET /invitations`.
macro_rules! filtered {
    ($query:expr, $asked:expr, $now:expr) => {{
        let (mut query, asked, now) = ($query, $asked, $now);
        if let Some(user) = asked.user_id {
            query = query.filter(invitations::user_id.eq(user));
        }
        if let Some(batch) = asked.batch_id {
            query = query.filter(invitations::batch_id.eq(batch));
        }
        if let Some(method) = asked.method {
            query = query.filter(invitations::method.eq(method.as_str()));
        }
        query = match asked.state {
            None => query,
            Some(State::Pending) => query
                .filter(invitations::state.eq("pending"))
                .filter(invitations::expires_at.gt(now)),
            Some(State::Expired) => query.filter(
                invitations::state.eq("expired").or(invitations::state
                    .eq("pending")
                    .and(invitations::expires_at.le(now))),
            ),
            Some(state) => query.filter(invitations::state.eq(state.as_str())),
        };
        match asked.delivery {
            None => query,
            Some(DeliveryState::None) => query.filter(diesel::dsl::not(exists(
                messages::table
                    .filter(messages::invitation_id.eq(invitations::id.nullable()))
                    .filter(messages::kind.eq("invitation")),
            ))),
            Some(delivery) => {
                let newest = messages::table
                    .filter(messages::invitation_id.eq(invitations::id.nullable()))
                    .filter(messages::kind.eq("invitation"))
                    .order(messages::id.desc())
                    .limit(1)
                    .select(messages::state)
                    .single_value();
                query.filter(newest.eq(delivery.as_str()))
            }
        }
    }};
}

/// One page, newest first, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    asked: &ListQuery,
    after: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<Vec<Invitation>, DbError> {
    let mut query = filtered!(
        invitations::table
            .select(Row::as_select())
            .into_boxed::<Pg>(),
        asked,
        now
    );
    if let Some(id) = after {
        query = query.filter(invitations::id.lt(id));
    }
    let rows = query
        .order(invitations::id.desc())
        .limit(asked.limit.probe())
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
    let query = invitations::table
        .select(diesel::dsl::count_star())
        .into_boxed::<Pg>();
    Ok(filtered!(query, asked, now).get_result(connection)?)
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
        .filter(invitations::state.eq("pending"))
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

/// Ids of the keys that pending invitations were made with.
///
/// # Errors
/// When the database is away.
pub fn keys_in_use(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    Ok(invitations::table
        .filter(invitations::state.eq("pending"))
        .filter(invitations::expires_at.gt(now))
        .select(invitations::key_id)
        .distinct()
        .order(invitations::key_id)
        .load(connection)?)
}

/// Writes down which key stands behind each id. Gives the ids behind which another key stood, and
/// still does for pending invitations.
///
/// # Errors
/// When the database is away.
pub fn identify_keys(
    connection: &mut PgConnection,
    keys: &[(String, String)],
    in_use: &[String],
) -> Result<Vec<String>, DbError> {
    let mut wrong = Vec::new();
    for (id, fingerprint) in keys {
        let known: Option<String> = secret_keys::table
            .find(id)
            .select(secret_keys::fingerprint)
            .first(connection)
            .optional()?;
        if known.is_some_and(|known| known != *fingerprint) && in_use.contains(id) {
            wrong.push(id.clone());
            continue;
        }
        diesel::insert_into(secret_keys::table)
            .values((
                secret_keys::id.eq(id),
                secret_keys::fingerprint.eq(fingerprint),
            ))
            .on_conflict(secret_keys::id)
            .do_update()
            .set(secret_keys::fingerprint.eq(fingerprint))
            .execute(connection)?;
    }
    Ok(wrong)
}

string_enum! {
    /// How far a batch got.
    BatchState {
        /// Something is still to be sent.
        Sending = "sending",
        /// Nothing is queued or deferred any more.
        Done = "done",
        /// Canceled: what no server had accepted was not sent.
        Canceled = "canceled",
    }
}

/// How many of a batch's recipients are where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct BatchCounts {
    pub recipients: i64,
    pub skipped: i64,
    /// Queued, or being sent right now.
    pub queued: i64,
    pub accepted: i64,
    pub deferred: i64,
    pub failed: i64,
    pub bounced: i64,
    pub suppressed: i64,
}

/// A batch, as the API shows one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Batch {
    pub id: Uuid,
    pub state: BatchState,
    pub counts: BatchCounts,
    pub created_at: DateTime<Utc>,
    /// Who sent it: `api_key:<id>`.
    pub created_by: String,
    #[schema(required)]
    pub canceled_at: Option<DateTime<Utc>>,
}

impl Batch {
    /// Whether nothing is queued, being sent or deferred any more.
    pub fn is_over(&self) -> bool {
        self.counts.queued + self.counts.deferred == 0
    }
}

/// One batch, counted now.
///
/// # Errors
/// When the database is away.
pub fn batch(connection: &mut PgConnection, id: Uuid) -> Result<Option<Batch>, DbError> {
    type Row = (DateTime<Utc>, String, i32, i32, Option<DateTime<Utc>>);
    let found: Option<Row> = batches::table
        .find(id)
        .select((
            batches::created_at,
            batches::created_by,
            batches::recipient_count,
            batches::skipped_count,
            batches::canceled_at,
        ))
        .first(connection)
        .optional()?;
    let Some((created_at, created_by, recipients, skipped, canceled_at)) = found else {
        return Ok(None);
    };
    let mut counts = BatchCounts {
        recipients: recipients.into(),
        skipped: skipped.into(),
        ..BatchCounts::default()
    };
    let by_state: Vec<(String, i64)> = messages::table
        .filter(messages::batch_id.eq(id))
        .group_by(messages::state)
        .select((messages::state, diesel::dsl::count_star()))
        .load(connection)?;
    for (state, number) in by_state {
        match stored(&state, MessageState::from_name)? {
            MessageState::Queued | MessageState::Sending => counts.queued += number,
            MessageState::Accepted => counts.accepted += number,
            MessageState::Deferred => counts.deferred += number,
            MessageState::Failed => counts.failed += number,
            MessageState::Bounced => counts.bounced += number,
            MessageState::Suppressed => counts.suppressed += number,
        }
    }
    let state = if canceled_at.is_some() {
        BatchState::Canceled
    } else if counts.queued + counts.deferred > 0 {
        BatchState::Sending
    } else {
        BatchState::Done
    };
    Ok(Some(Batch {
        id,
        state,
        counts,
        created_at,
        created_by,
        canceled_at,
    }))
}

#[derive(QueryableByName)]
struct ResultRow {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    sort_id: Uuid,
    #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
    invitation_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

/// One page of what happened to a batch's recipients, and one row more, each with its sort id:
/// the invitations in the order in which they were made, then who was skipped.
///
/// # Errors
/// When the database is away.
pub fn results(
    connection: &mut PgConnection,
    batch: Uuid,
    after: Option<(bool, Uuid)>,
    limit: i64,
) -> Result<Vec<(bool, Uuid, BatchResult)>, DbError> {
    let (in_skips, after) = after.unwrap_or((false, Uuid::nil()));
    let rows: Vec<ResultRow> = diesel::sql_query(
        "SELECT * FROM (
         (SELECT id AS sort_id, user_id, id AS invitation_id, NULL::text AS reason FROM invitations
          WHERE batch_id = $1 AND NOT $2 AND id > $3 ORDER BY id LIMIT $4)
         UNION ALL
         (SELECT user_id, user_id, NULL, reason FROM batch_skips
          WHERE batch_id = $1 AND (NOT $2 OR user_id > $3) ORDER BY user_id LIMIT $4)) page
         ORDER BY reason IS NOT NULL, sort_id LIMIT $4",
    )
    .bind::<diesel::sql_types::Uuid, _>(batch)
    .bind::<diesel::sql_types::Bool, _>(in_skips)
    .bind::<diesel::sql_types::Uuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(connection)?;
    rows.into_iter()
        .map(|row| {
            let reason = row
                .reason
                .map(|reason| stored(&reason, SkipReason::from_name))
                .transpose()?;
            let outcome = if reason.is_some() {
                SendOutcome::Skipped
            } else {
                SendOutcome::Created
            };
            let result = BatchResult {
                user_id: row.user_id,
                outcome,
                invitation_id: row.invitation_id,
                reason,
            };
            Ok((outcome == SendOutcome::Skipped, row.sort_id, result))
        })
        .collect()
}
