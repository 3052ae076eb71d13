//! The service's keys, by id: the first one signs, all of them still verify. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
use uuid::Uuid;

/// What a MAC is for. Nothing made for one purpose can pass for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A user's PIN.
    Pin,
    /// The token in a QR code or link.
    Token,
    /// A list's cursor.
    Cursor,
    /// The fingerprint of a body that came with an `Idempotency-Key`.
    Fingerprint,
    /// What tells this key from another one under the same id.
    Identity,
    /// The row that counts guesses at a name.
    Guess,
    /// A link of the audit log's chain, as older versions made it.
    Audit,
    /// An event of the audit log, signed by its writer.
    AuditEvent,
    /// A link of the audit log's chain.
    AuditLink,
    /// Where the audit log's chain begins, or ended.
    AuditHead,
    /// The token in an envelope address, which a mail that comes back brings along.
    Bounce,
    /// A network that an operator signed in from.
    Network,
    /// The key that seals what must be readable again.
    Seal,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Pin => b"enlist/pin/v1\0",
            Self::Token => b"enlist/token/v1\0",
            Self::Cursor => b"enlist/cursor/v1\0",
            Self::Fingerprint => b"enlist/fingerprint/v1\0",
            Self::Identity => b"enlist/identity/v1\0",
            // As it was called when only names that nobody had were counted so.
            Self::Guess => b"enlist/nobody/v1\0",
            Self::Audit => b"enlist/audit/v1\0",
            Self::AuditEvent => b"enlist/audit-event/v1\0",
            Self::AuditLink => b"enlist/audit-link/v1\0",
            Self::AuditHead => b"enlist/audit-head/v1\0",
            Self::Bounce => b"enlist/bounce/v1\0",
            Self::Network => b"enlist/network/v1\0",
            Self::Seal => b"enlist/seal/v1\0",
        }
    }
}

/// One key and its name.
pub struct Key {
    id: String,
    secret: SecretSlice<u8>,
}

impl Key {
    /// Kept with every invitation, so that it is derived with the same key for as long as it lives.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Tells this key from another one under the same id, and says nothing about it.
    pub fn identity(&self) -> String {
        STANDARD.encode(&self.mac(Purpose::Identity, &[])[..16])
    }

    /// HMAC-SHA-256 (RFC 2104) over the purpose and the parts. The parts must be of fixed length,
    /// or the last one alone may vary: otherwise two lists of parts could give the same bytes.
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose_secret())
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of every length (RFC 2104 §3)"));
        mac.update(purpose.label());
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The first half of a MAC, as what a row is found by.
    pub fn short_mac(&self, purpose: Purpose, parts: &[&[u8]]) -> Uuid {
        let mac = self.mac(purpose, parts);
        Uuid::from_bytes(std::array::from_fn(|index| mac[index]))
    }
}

/// All the keys of the service, in the order in which they were given.
pub struct KeyRing(Vec<Key>);

/// Why `ENLIST_SECRET_KEYS` was refused. Never holds a part of a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    #[error("holds no key; expected id:base64, several separated by commas")]
    Empty,
    #[error("entry {0} has no `:` between the key's id and its base64")]
    NoId(usize),
    #[error("entry {0} has a bad id: 1 to 16 letters, digits, `-` or `_`")]
    BadId(usize),
    #[error("key `{0}` is not base64")]
    NotBase64(String),
    #[error(
        "key `{0}` has {1} bytes; 32 or more are needed (make one with: openssl rand -base64 32)"
    )]
    TooShort(String, usize),
    #[error("key id `{0}` is there twice")]
    Twice(String),
}

/// Something that is stored was made with a key that is not among ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the secret key `{0}` is not configured")]
pub struct MissingKey(String);

impl KeyRing {
    /// Reads `id:base64,id:base64`: 32 bytes or more each, the first one signs.
    ///
    /// # Errors
    /// [`KeyError`], which names the entry and never shows a key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys: Vec<Key> = Vec::new();
        let entries = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        for (index, entry) in entries.enumerate() {
            let (id, encoded) = entry.split_once(':').ok_or(KeyError::NoId(index + 1))?;
            let id_is_sane = (1..=16).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !id_is_sane {
                return Err(KeyError::BadId(index + 1));
            }
            let secret = STANDARD
                .decode(encoded)
                .map_err(|_| KeyError::NotBase64(id.to_owned()))?;
            if secret.len() < 32 {
                return Err(KeyError::TooShort(id.to_owned(), secret.len()));
            }
            if keys.iter().any(|key| key.id == id) {
                return Err(KeyError::Twice(id.to_owned()));
            }
            keys.push(Key {
                id: id.to_owned(),
                secret: secret.into(),
            });
        }
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self(keys))
    }

    /// The key that signs what is new.
    pub fn signing(&self) -> &Key {
        &self.0[0]
    }

    /// The same keys, with this one to sign; `None` if it is not among them.
    pub fn signing_with(mut self, id: &str) -> Option<Self> {
        let at = self.0.iter().position(|key| key.id == id)?;
        self.0[..=at].rotate_right(1);
        Some(self)
    }

    /// The key with this id, if it is still configured.
    pub fn get(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The key with this id, which something that is stored was made with.
    ///
    /// # Errors
    /// When there is none.
    pub fn require(&self, id: &str) -> Result<&Key, MissingKey> {
        self.get(id).ok_or_else(|| MissingKey(id.to_owned()))
    }

    /// Every key, the signing one first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn keys_are_read_in_order_and_found_by_id() {
        let ring = KeyRing::parse(&format!("new:{ONE}, old:{ONE}")).unwrap();
        assert_eq!(ring.signing().id(), "new");
        assert_eq!(ring.get("old").map(Key::id), Some("old"));
        assert!(ring.get("gone").is_none());
    }

    #[test]
    fn bad_keys_are_named_but_not_shown() {
        for (text, expected) in [
            ("", KeyError::Empty),
            (" , ", KeyError::Empty),
            (ONE, KeyError::NoId(1)),
            (":x", KeyError::BadId(1)),
            ("a b:x", KeyError::BadId(1)),
            ("k1:%%", KeyError::NotBase64("k1".into())),
            ("k1:AAAA", KeyError::TooShort("k1".into(), 3)),
            (&format!("a:{ONE},a:{ONE}"), KeyError::Twice("a".into())),
        ] {
            assert_eq!(KeyRing::parse(text).err(), Some(expected), "{text}");
        }
    }

    #[test]
    fn purposes_do_not_meet() {
        let ring = KeyRing::parse(&format!("k1:{ONE}")).unwrap();
        let macs = [
            Purpose::Pin,
            Purpose::Token,
            Purpose::Cursor,
            Purpose::Fingerprint,
            Purpose::Identity,
            Purpose::Guess,
            Purpose::Audit,
            Purpose::AuditEvent,
            Purpose::AuditLink,
            Purpose::AuditHead,
            Purpose::Bounce,
            Purpose::Network,
            Purpose::Seal,
        ]
        .map(|purpose| ring.signing().mac(purpose, &[b"same"]));
        for (index, mac) in macs.iter().enumerate() {
            assert!(!macs[..index].contains(mac));
        }
    }
}
