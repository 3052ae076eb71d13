//! What the columns of a setting mean: each is read in one way, for lists as for users.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    domain::{Content, SEALED, is_secret, read_stored},
    resource::SettingId,
};
use crate::{
    db::DbError,
    secrets::{keys::KeyRing, sealed},
};

/// The member of a stored body that holds the secret ones. An older version refuses it: better no mail than one with a wrong
/// address.
pub(super) const MEMBER: &str = "sealed";

/// `version_id` and `body`: what the setting says.
///
/// # Errors
/// When it is not what this version writes, or the key that it is sealed under is not configured.
pub(super) fn read<C: Content>(keys: &KeyRing, version: Uuid, body: Value) -> Result<C, DbError> {
    read_stored(opened(keys, version, body)?).map_err(DbError::Stored)
}

/// `body`: as it is stored under the key that signs, from what the setting says or an older body.
///
/// # Errors
/// As [`read`]; when the operating system has no randomness.
pub(super) fn written(keys: &KeyRing, version: Uuid, body: Value) -> Result<Value, DbError> {
    let Value::Object(mut body) = opened(keys, version, body)? else {
        return Err(DbError::Stored("a setting is an object".to_owned()));
    };
    let mut secret = Map::new();
    for name in SEALED {
        if let Some(value) = body.remove(name) {
            let members = if is_secret(&value) {
                &mut secret
            } else {
                &mut body
            };
            members.insert(name.to_owned(), value);
        }
    }
    if !secret.is_empty() {
        let text = Value::Object(secret).to_string();
        let sealed =
            sealed::seal(keys.signing(), &place(version), &text).map_err(DbError::Stored)?;
        body.insert(MEMBER.to_owned(), sealed.into());
    }
    Ok(Value::Object(body))
}

fn opened(keys: &KeyRing, version: Uuid, mut body: Value) -> Result<Value, DbError> {
    let Some(members) = body.as_object_mut() else {
        return Ok(body);
    };
    if let Some(Value::String(sealed)) = members.remove(MEMBER) {
        let text = sealed::open(keys, &place(version), &sealed)
            .map_err(|error| DbError::Stored(format!("setting version {version}: {error}")))?;
        let secret: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|_| DbError::Stored(format!("setting version {version}")))?;
        members.extend(secret);
    }
    Ok(body)
}

/// Where it is sealed: it opens in its own row alone.
fn place(version: Uuid) -> String {
    format!("setting_version/{version}")
}

/// `is_default` and `id`: the default is known by no other id than its own.
pub(super) fn shown_id(is_default: bool, id: Uuid) -> SettingId {
    if is_default {
        SettingId::Default
    } else {
        SettingId::Custom(id)
    }
}

/// `priority`, which the default has none of.
pub(super) fn shown_priority(priority: Option<i32>) -> Option<u32> {
    priority.and_then(|priority| u32::try_from(priority).ok())
}
