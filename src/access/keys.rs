//! API keys: 256 random bits behind `enl_`, of which only the SHA-256 is stored.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Role;
use crate::{
    clock,
    db::{DbError, stored},
    schema::api_keys,
};

const PREFIX: &str = "enl_";

/// The SHA-256 of a key.
pub type KeyHash = [u8; 32];

/// A key as it is stored.
#[derive(Debug, Clone)]
pub struct KeyRecord {
    /// The key's id.
    pub id: Uuid,
    /// What it may do.
    pub role: Role,
    /// The SHA-256 of the key.
    pub hash: KeyHash,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The hash to look a key up by; `None` for what cannot be one of our keys.
pub fn hash_of(token: &str) -> Option<KeyHash> {
    let encoded = token.strip_prefix(PREFIX)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    (bytes.len() == 32).then(|| Sha256::digest(token.as_bytes()).into())
}

/// A key that works: known and not revoked.
///
/// # Errors
/// When the database cannot be asked.
pub fn find(connection: &mut PgConnection, hash: &KeyHash) -> Result<Option<KeyRecord>, DbError> {
    type Row = (Uuid, String, Vec<u8>, Option<DateTime<Utc>>);
    let row: Option<Row> = api_keys::table
        .filter(api_keys::key_hash.eq(hash.as_slice()))
        .filter(api_keys::revoked_at.is_null())
        .select((
            api_keys::id,
            api_keys::role,
            api_keys::key_hash,
            api_keys::expires_at,
        ))
        .first(connection)
        .optional()?;
    row.map(|(id, role, hash, expires_at)| {
        Ok(KeyRecord {
            id,
            role: stored(&role, Role::from_name)?,
            hash: hash
                .try_into()
                .map_err(|_| DbError::Stored("api_keys.key_hash".into()))?,
            expires_at,
        })
    })
    .transpose()
}

/// Makes a key. It is shown once, here; the database only learns its hash.
///
/// # Errors
/// When the database or the operating system's randomness is away.
pub fn create(
    connection: &mut PgConnection,
    id: Uuid,
    name: &str,
    role: Role,
    now: DateTime<Utc>,
) -> Result<SecretString, DbError> {
    let bytes = clock::random_bytes::<32>()
        .map_err(|error| DbError::Unavailable(format!("no randomness: {error}")))?;
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash: KeyHash = Sha256::digest(key.as_bytes()).into();
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(id),
            api_keys::name.eq(name),
            api_keys::role.eq(role.as_str()),
            api_keys::key_hash.eq(hash.as_slice()),
            api_keys::created_at.eq(now),
        ))
        .execute(connection)?;
    Ok(key.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_a_key_is_looked_up() {
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([7; 32]));
        assert!(hash_of(&key).is_some());
        for other in [
            "",
            "enl_",
            "enl_!",
            "ens_x",
            &key[4..],
            &key[..40],
            &format!("{key}AA"),
        ] {
            assert!(hash_of(other).is_none(), "{other}");
        }
    }
}
