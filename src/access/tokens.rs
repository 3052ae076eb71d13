//! What a bearer token is: 256 random bits behind a prefix that says what kind it is. Only its SHA-256 is stored;
//! there is nothing to guess at, so a fast hash is enough.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    pg::{Pg, PgValue},
    sql_types::Bytea,
};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::{clock, db::DbError};

/// The SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// The same, as it is read.
#[derive(FromSqlRow)]
pub struct StoredHash(TokenHash);

impl FromSql<Bytea, Pg> for StoredHash {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let bytes = <Vec<u8> as FromSql<Bytea, Pg>>::from_sql(value)?;
        let hash = bytes.try_into().map_err(|_| "a hash has 32 bytes")?;
        Ok(Self(hash))
    }
}

impl From<StoredHash> for TokenHash {
    fn from(hash: StoredHash) -> Self {
        hash.0
    }
}

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An API key, `enl_…`.
    Key,
    /// An operator's session, `ens_…`.
    Session,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Key => "enl_",
            Self::Session => "ens_",
        }
    }
}

/// The kind and hash to look a token up by; `None` for what cannot be one of ours.
pub fn read(token: &str) -> Option<(Kind, TokenHash)> {
    let kind = [Kind::Key, Kind::Session]
        .into_iter()
        .find(|kind| token.starts_with(kind.prefix()))?;
    let bytes = URL_SAFE_NO_PAD
        .decode(token.strip_prefix(kind.prefix())?)
        .ok()?;
    (bytes.len() == 32).then(|| (kind, hash_of(token)))
}

/// A new token, and the hash that is stored.
///
/// # Errors
/// When the operating system has no randomness.
pub fn make(kind: Kind) -> Result<(SecretString, TokenHash), DbError> {
    let bytes = clock::random_bytes::<32>()
        .map_err(|error| DbError::Unavailable(format!("no randomness: {error}")))?;
    let token = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes));
    let hash = hash_of(&token);
    Ok((token.into(), hash))
}

fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn only_what_could_be_a_token_is_looked_up() {
        for kind in [Kind::Key, Kind::Session] {
            let (token, hash) = make(kind).unwrap();
            let token = token.expose_secret();
            assert_eq!(read(token), Some((kind, hash)));
            for other in [
                "",
                kind.prefix(),
                "enx_AAAA",
                &token[4..],
                &token[..40],
                &format!("{token}AA"),
                &format!("{token}="),
            ] {
                assert!(read(other).is_none(), "{other}");
            }
        }
    }
}
