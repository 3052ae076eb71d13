//! All that is held of one person, as one JSON object: page by page, so that memory does not grow with it, and no
//! connection waits for whoever reads slowly.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Jsonb, Uuid as SqlUuid},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{domain::User, queries};
use crate::{
    audit::{
        self, Trail,
        domain::{Action, Event, SubjectKind},
        person::EventAboutPerson,
    },
    bounces::{
        domain::{Filter, Suppression},
        suppressions,
    },
    db::{Db, DbError},
    devices::{self, domain::Device},
    http::{error::ApiError, paging::Limit},
    invitations::{
        self,
        domain::{Invitation, ListQuery},
    },
    model::{named::Named, said::masked},
    schema::batches,
    secrets::keys::KeyRing,
    settings::{self, domain::Content, reach::UserSettings},
};

/// Rows of a list that are read at a time.
const PAGE: i64 = 100;

/// The answer of `GET /users/{id}/export`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: it is written in parts")]
pub struct HeldOfPerson {
    exported_at: DateTime<Utc>,
    user: User,
    /// Those that apply, without secrets.
    settings: UserSettings,
    /// Each with its messages, and with the `note` that was written to its recipients.
    invitations: Vec<Invitation>,
    /// Each with what became of its confirmation.
    #[schema(value_type = Vec<Object>)]
    enrollments: Vec<Value>,
    devices: Vec<Device>,
    suppressions: Vec<Suppression>,
    /// When the user asked for the PIN again, within the last 24 hours.
    #[schema(value_type = Vec<Object>)]
    pin_requests: Vec<Value>,
    /// Batches that passed the user over, and why.
    #[schema(value_type = Vec<Object>)]
    skipped: Vec<Value>,
    audit_events: Vec<EventAboutPerson>,
}

/// The next rows of a list of this user's, each with what it goes on after.
type Read = fn(&mut PgConnection, Uuid, Option<Uuid>, DateTime<Utc>) -> Result<Rows, DbError>;
type Rows = Vec<(Uuid, Value)>;

const LISTS: [(&str, Read); 7] = [
    ("invitations", invitations),
    ("enrollments", enrollments),
    ("devices", held_devices),
    ("suppressions", held_suppressions),
    ("pin_requests", pin_requests),
    ("skipped", skipped),
    ("audit_events", audit_events),
];

/// An export under way.
pub struct Export {
    db: Db,
    user: Uuid,
    now: DateTime<Utc>,
    list: usize,
    after: Option<Uuid>,
}

impl Export {
    /// Begins, and writes that down, before anything is given away: then gives the user and the settings.
    ///
    /// # Errors
    /// 404; 503 when the database is away.
    pub async fn begin(
        db: Db,
        trail: Trail,
        keys: Arc<KeyRing>,
        user: Uuid,
    ) -> Result<(Self, Vec<u8>), ApiError> {
        let now = trail.clock.now();
        let (shown, mut settings) = db
            .transaction(move |connection| {
                let shown = queries::get(connection, user, now)?;
                let settings = settings::queries::with_sources(connection, &keys, user)?;
                let found = shown.zip(settings);
                let found = found.ok_or_else(|| ApiError::not_found(User::NAME))?;
                let event = Event::new(Action::UserExported, SubjectKind::User, user);
                trail.record(connection, &event)?;
                Ok::<_, ApiError>(found)
            })
            .await?;
        settings.registration.content.hide_secrets();
        let head = json!({"exported_at": now, "user": shown, "settings": settings});
        let mut text = head.to_string();
        // The lists follow.
        text.pop();
        let export = Self {
            db,
            user,
            now,
            list: 0,
            after: None,
        };
        Ok((export, text.into_bytes()))
    }

    /// What comes next; `None` after the end.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn advance(&mut self) -> Result<Option<Vec<u8>>, DbError> {
        let Some((name, read)) = LISTS.get(self.list) else {
            return Ok(None);
        };
        let (user, after, now) = (self.user, self.after, self.now);
        let rows = self
            .db
            .read(move |connection| read(connection, user, after, now))
            .await?;
        let mut text = match after {
            None => format!(",\"{name}\":["),
            Some(_) => String::new(),
        };
        for (number, (_, row)) in rows.iter().enumerate() {
            if number > 0 || after.is_some() {
                text.push(',');
            }
            text.push_str(&row.to_string());
        }
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == PAGE);
        self.after = rows.last().filter(|_| is_full).map(|(id, _)| *id);
        if self.after.is_none() {
            self.list += 1;
            text.push_str(if self.list == LISTS.len() { "]}" } else { "]" });
        }
        Ok(Some(text.into_bytes()))
    }
}

/// Rows as they are shown elsewhere.
fn shown<T: Serialize>(rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Result<Rows, DbError> {
    rows.into_iter()
        .map(|row| {
            let shown = serde_json::to_value(&row);
            let shown = shown.map_err(|error| DbError::Stored(error.to_string()))?;
            Ok((id(&row), shown))
        })
        .collect()
}

fn invitations(
    connection: &mut PgConnection,
    user: Uuid,
    after: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<Rows, DbError> {
    let asked = ListQuery {
        user_id: Some(user),
        batch_id: None,
        state: None,
        delivery: None,
        method: None,
        limit: Limit::default(),
        cursor: None,
        count: false,
    };
    let found = invitations::queries::list(connection, &asked, after, PAGE, now)?;
    let of: Vec<Uuid> = found.iter().map(|invitation| invitation.batch_id).collect();
    let notes: Vec<(Uuid, Option<String>)> = batches::table
        .filter(batches::id.eq_any(&of))
        .select((batches::id, batches::note))
        .load(connection)?;
    let mut rows = shown(found, |invitation| invitation.id)?;
    for ((_, row), batch) in rows.iter_mut().zip(of) {
        let note = notes.iter().find(|(id, _)| *id == batch);
        row["note"] = json!(note.and_then(|(_, note)| note.as_deref()));
    }
    Ok(rows)
}

fn held_devices(
    connection: &mut PgConnection,
    user: Uuid,
    after: Option<Uuid>,
    _now: DateTime<Utc>,
) -> Result<Rows, DbError> {
    let found = devices::queries::of_user(connection, user, after.unwrap_or_default(), PAGE)?;
    shown(found, |device| device.id)
}

fn held_suppressions(
    connection: &mut PgConnection,
    user: Uuid,
    after: Option<Uuid>,
    _now: DateTime<Utc>,
) -> Result<Rows, DbError> {
    let filter = Filter {
        user_id: Some(user),
        ..Filter::default()
    };
    let found = suppressions::list(connection, &filter, after, PAGE)?;
    shown(found, |suppression| suppression.id)
}

fn audit_events(
    connection: &mut PgConnection,
    user: Uuid,
    after: Option<Uuid>,
    _now: DateTime<Utc>,
) -> Result<Rows, DbError> {
    let found = audit::person::about(connection, user, after.unwrap_or_default(), PAGE)?;
    shown(found, |event| event.id)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Jsonb)]
    row: Value,
}

/// The rows of a statement that takes the user, what to go on after, and how many.
fn rows(
    connection: &mut PgConnection,
    statement: &str,
    user: Uuid,
    after: Option<Uuid>,
) -> Result<Rows, DbError> {
    let found: Vec<Row> = diesel::sql_query(statement)
        .bind::<SqlUuid, _>(user)
        .bind::<SqlUuid, _>(after.unwrap_or_default())
        .bind::<BigInt, _>(PAGE)
        .load(connection)?;
    Ok(found.into_iter().map(|row| (row.id, row.row)).collect())
}

fn enrollments(
    connection: &mut PgConnection,
    user: Uuid,
    after: Option<Uuid>,
    _now: DateTime<Utc>,
) -> Result<Rows, DbError> {
    let statement = "SELECT e.id, to_jsonb(e) - 'user_id' || jsonb_build_object('confirmation', (
            SELECT jsonb_build_object('id', m.id, 'state', m.state, 'attempts', m.attempts, 'last_attempt_at', m.last_attempt_at,
                'smtp_code', m.smtp_code, 'enhanced_status', m.enhanced_status, 'reason', m.reason)
            FROM messages m WHERE m.enrollment_id = e.id AND m.kind = 'confirmation')) AS row
        FROM enrollments e WHERE e.user_id = $1 AND e.id > $2 ORDER BY e.id LIMIT $3";
    let mut found = rows(connection, statement, user, after)?;
    for (_, row) in &mut found {
        // What was stored before words were masked may not be rewritten yet.
        if let Some(Value::String(reason)) = row.pointer_mut("/confirmation/reason") {
            *reason = masked(reason);
        }
    }
    Ok(found)
}

fn pin_requests(
    connection: &mut PgConnection,
    user: Uuid,
    after: Option<Uuid>,
    _now: DateTime<Utc>,
) -> Result<Rows, DbError> {
    let statement = "SELECT id, jsonb_build_object('requested_at', requested_at) AS row
        FROM pin_requests WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    rows(connection, statement, user, after)
}

fn skipped(
    connection: &mut PgConnection,
    user: Uuid,
    after: Option<Uuid>,
    _now: DateTime<Utc>,
) -> Result<Rows, DbError> {
    let statement =
        "SELECT batch_id AS id, jsonb_build_object('batch_id', batch_id, 'reason', reason) AS row
        FROM batch_skips WHERE user_id = $1 AND batch_id > $2 ORDER BY batch_id LIMIT $3";
    rows(connection, statement, user, after)
}
