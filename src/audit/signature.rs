//! What is signed, and how: events by their writers, links and ends of the chain by whoever links. Pure.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::secrets::keys::{Key, Purpose};

/// All of an event. Of what may be erased one day there are salted hashes.
#[derive(Debug)]
pub struct Content<'a> {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor_kind: &'a str,
    pub actor_id: Option<Uuid>,
    pub action: &'a str,
    pub subject_kind: &'a str,
    pub subject_id: Option<Uuid>,
    pub request_id: Option<&'a str>,
    pub person_id: Option<Uuid>,
    pub who: WhoOf<'a>,
    pub details_hash: Option<&'a [u8]>,
}

/// Who did it, by what they are called and where the request came from.
#[derive(Debug)]
pub enum WhoOf<'a> {
    Hashed(&'a [u8]),
    /// As older versions wrote it: it cannot be erased without breaking the link.
    Plain {
        name: Option<&'a str>,
        address: Option<&'a str>,
    },
}

impl Content<'_> {
    /// As it is signed. JSON keeps the parts apart.
    fn text(&self) -> String {
        let at = self.at.timestamp_micros();
        match self.who {
            WhoOf::Hashed(who) => serde_json::json!([
                self.id,
                at,
                self.actor_kind,
                self.actor_id,
                who,
                self.action,
                self.subject_kind,
                self.subject_id,
                self.request_id,
                self.person_id,
                self.details_hash,
            ]),
            WhoOf::Plain { name, address } => serde_json::json!([
                self.id,
                at,
                self.actor_kind,
                self.actor_id,
                name,
                self.action,
                self.subject_kind,
                self.subject_id,
                self.request_id,
                address,
                self.person_id,
                self.details_hash,
            ]),
        }
        .to_string()
    }

    /// The writer's signature.
    pub fn mac(&self, key: &Key) -> [u8; 32] {
        key.mac(Purpose::AuditEvent, &[self.text().as_bytes()])
    }

    /// The hash of a link of an older version, which made none. It covers what that version's MAC covers, and the MAC.
    pub fn older_link(&self, link: &OlderLink<'_>) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"enlist/audit-older-link/v1\0");
        for part in [link.before, link.key_id.as_bytes(), link.mac] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(link.position.to_be_bytes());
        hash.update([u8::from(link.is_right), u8::from(link.signature.is_some())]);
        hash.update(Sha256::digest(link.signature.unwrap_or_default()));
        hash.update(self.text());
        hash.finalize().into()
    }

    /// The link of an older version behind another one.
    pub fn first_link(&self, key: &Key, before: &[u8], position: i64) -> [u8; 32] {
        let length = (before.len() as u64).to_be_bytes();
        let (position, text) = (position.to_be_bytes(), self.text());
        let parts = [&length[..], before, &position, text.as_bytes()];
        key.mac(Purpose::Audit, &parts)
    }

    /// The hash of the link of this event, with the signature that it had then, behind another one. It needs no key, and the
    /// MAC is of it: so whoever can check a later link has checked this one.
    pub fn link(&self, link: &Link<'_>) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"enlist/audit-link/v1\0");
        hash.update((link.before.len() as u64).to_be_bytes());
        hash.update(link.before);
        hash.update(link.position.to_be_bytes());
        hash.update(link.linked_at.timestamp_micros().to_be_bytes());
        hash.update([link.found as u8, u8::from(link.signature.is_some())]);
        hash.update(Sha256::digest(link.signature.unwrap_or_default()));
        hash.update(self.text());
        hash.finalize().into()
    }
}

/// Where in the chain an event is.
#[derive(Debug)]
pub struct Link<'a> {
    /// The hash of the link before.
    pub before: &'a [u8],
    pub position: i64,
    pub linked_at: DateTime<Utc>,
    /// The writer's signature of the event.
    pub signature: Option<&'a [u8]>,
    pub found: Found,
}

/// A link of an older version.
#[derive(Debug)]
pub struct OlderLink<'a> {
    /// The hash of the link before.
    pub before: &'a [u8],
    pub position: i64,
    pub key_id: &'a str,
    pub mac: &'a [u8],
    /// The writer's signature of the event, if a newer version wrote it.
    pub signature: Option<&'a [u8]>,
    /// Whether whoever linked behind it found it right.
    pub is_right: bool,
}

/// What whoever linked an event found of its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Found {
    Genuine = 1,
    /// There was none.
    Unsigned = 2,
    /// It was signed with a key that was not known there.
    Unknown = 3,
    /// It was not what its writer wrote.
    Changed = 4,
}

impl Found {
    /// As it is stored.
    pub fn stored(number: i16) -> Option<Self> {
        let all = [Self::Genuine, Self::Unsigned, Self::Unknown, Self::Changed];
        all.into_iter().find(|found| *found as i16 == number)
    }
}

/// The MAC of a link's hash.
pub fn mac_of_link(key: &Key, hash: &[u8]) -> [u8; 32] {
    key.mac(Purpose::AuditLink, &[hash])
}

/// The seal of a link that the chain begins behind: all before it was forgotten, and is from before `until`. Older versions
/// told no time.
pub fn seal_of_beginning(
    key: &Key,
    position: i64,
    mac: &[u8],
    until: Option<DateTime<Utc>>,
) -> [u8; 32] {
    let position = position.to_be_bytes();
    match until {
        // No link is made of these: an event's begins with a length of its own.
        None => key.mac(Purpose::Audit, &[b"begins at", &position, mac]),
        Some(until) => {
            let until = until.timestamp_micros().to_be_bytes();
            key.mac(Purpose::AuditHead, &[b"begins", &position, &until, mac])
        }
    }
}

/// The seal of a link that the chain ended at.
pub fn seal_of_head(key: &Key, position: i64, mac: &[u8]) -> [u8; 32] {
    key.mac(
        Purpose::AuditHead,
        &[b"ended.", &position.to_be_bytes(), mac],
    )
}

/// The salted hash of two texts that may be erased: it stays when they go, and gives nothing of them away.
pub fn salted(salt: &[u8], one: Option<&str>, other: Option<&str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(salt);
    for part in [one, other] {
        let part = part.map(str::as_bytes);
        hash.update([u8::from(part.is_some())]);
        hash.update((part.map_or(0, <[u8]>::len) as u64).to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    hash.finalize().into()
}
