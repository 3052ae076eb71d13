//! All that is held of one person, as one JSON object: page by page, so that memory does not grow with it, and no
//! connection waits for whoever reads slowly.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Jsonb, Text, Uuid as SqlUuid},
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
    /// Each with its messages, and with the `note` that was written to this person alone; of one that others were written,
    /// too, it says only that there was one (`note_is_shared`).
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
    /// What was done to the person, or to invitations and devices of theirs, also together with others (PINs that were looked
    /// at). `before` and `after` are told where they are about this person alone.
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

#[derive(QueryableByName)]
struct Note {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    note: String,
    #[diesel(sql_type = Bool)]
    is_shared: bool,
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
    // What was written to others as well may be about them.
    let notes: Vec<Note> = diesel::sql_query(include_str!("sql/notes.sql"))
        .bind::<Array<SqlUuid>, _>(&of)
        .bind::<SqlUuid, _>(user)
        .load(connection)?;
    let mut rows = shown(found, |invitation| invitation.id)?;
    for ((_, row), batch) in rows.iter_mut().zip(of) {
        let note = notes.iter().find(|note| note.id == batch);
        let is_shared = note.is_some_and(|note| note.is_shared);
        let own = note.filter(|note| !note.is_shared);
        row["note"] = json!(own.map(|note| &note.note));
        row["note_is_shared"] = json!(is_shared);
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
    #[derive(QueryableByName)]
    struct Thing {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let things: Vec<Thing> = diesel::sql_query(include_str!("sql/things.sql"))
        .bind::<SqlUuid, _>(user)
        .load(connection)?;
    let things: Vec<Uuid> = things.into_iter().map(|thing| thing.id).collect();
    let after = after.unwrap_or_default();
    let found = audit::person::about(connection, user, &things, after, PAGE)?;
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
    let rows = found.into_iter().map(|mut row| {
        write_times_as_elsewhere(&mut row.row);
        (row.id, row.row)
    });
    Ok(rows.collect())
}

/// Postgres writes another offset for the same zone.
fn write_times_as_elsewhere(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(write_times_as_elsewhere),
        Value::String(text) if text.ends_with("+00:00") => {
            if let Ok(time) = DateTime::parse_from_rfc3339(text) {
                *value = json!(time.to_utc());
            }
        }
        _ => {}
    }
}

fn enrollments(
    connection: &mut PgConnection,
    user: Uuid,
    after: Option<Uuid>,
    _now: DateTime<Utc>,
) -> Result<Rows, DbError> {
    let statement = include_str!("sql/enrollments.sql");
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
    let statement = include_str!("sql/pin_requests.sql");
    rows(connection, statement, user, after)
}

fn skipped(
    connection: &mut PgConnection,
    user: Uuid,
    after: Option<Uuid>,
    _now: DateTime<Utc>,
) -> Result<Rows, DbError> {
    let statement = include_str!("sql/skipped.sql");
    rows(connection, statement, user, after)
}
