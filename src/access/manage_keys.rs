//! Looking after API keys: making, renaming and revoking one. Each runs inside a transaction.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::{
    domain::{ApiKey, KeyName, NewApiKey},
    keys,
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::DbError,
    http::{error::ApiError, resource::Expected},
    model::caller::Role,
};

/// Makes a key. What is returned holds it, this once.
///
/// # Errors
/// When the database or the operating system's randomness is not available.
pub fn make(
    connection: &mut PgConnection,
    trail: &Trail,
    name: KeyName,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
) -> Result<NewApiKey, DbError> {
    let about = ApiKey {
        id: trail.clock.new_id(),
        name: name.into_string(),
        role,
        created_at: trail.clock.now(),
        expires_at,
        last_used_at: None,
    };
    let (id, now) = (about.id, about.created_at);
    let key = keys::create(connection, id, &about.name, role, expires_at, now)?;
    let event = Event::new(Action::ApiKeyCreated, SubjectKind::ApiKey, about.id);
    trail.record(connection, &event.after(&about))?;
    Ok(NewApiKey {
        about,
        key: key.expose_secret().to_owned(),
    })
}

/// Gives a key another name; `None` leaves it as it is.
///
/// # Errors
/// 404, 412.
pub fn rename(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
    name: Option<KeyName>,
) -> Result<ApiKey, ApiError> {
    let key = expected.of(keys::lock(connection, id)?)?;
    let Some(name) = name else {
        return Ok(key);
    };
    keys::rename(connection, id, &name)?;
    let event = Event::new(Action::ApiKeyRenamed, SubjectKind::ApiKey, id)
        .before(&json!({"name": key.name}))
        .after(&json!({"name": name.as_str()}));
    trail.record(connection, &event)?;
    Ok(ApiKey {
        name: name.into_string(),
        ..key
    })
}

/// Ends a key for good.
///
/// # Errors
/// 404, 412.
pub fn revoke(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
) -> Result<(), ApiError> {
    let key = expected.of(keys::lock(connection, id)?)?;
    keys::revoke(connection, id, trail.clock.now())?;
    let event = Event::new(Action::ApiKeyRevoked, SubjectKind::ApiKey, id);
    Ok(trail.record(connection, &event.before(&key))?)
}
