//! Events as they are stored, for those who link and verify them.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    sql_types::{Bytea, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    domain::ActorKind,
    signature::{Content, Found, WhoOf, salted},
};
use crate::{schema::audit_events, secrets::keys::KeyRing};

/// An event as it is stored, without its details. Kinds are text: the signature is of what stands there, whether or not this
/// version knows it.
#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = audit_events, check_for_backend(Pg))]
pub(super) struct EventRow {
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub(super) at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    pub(super) actor_kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(super) actor_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) actor_name: Option<String>,
    #[diesel(sql_type = Text)]
    pub(super) action: String,
    #[diesel(sql_type = Text)]
    pub(super) subject_kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(super) subject_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) request_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) address: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(super) person_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Bytea>)]
    pub(super) details_hash: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    key_id: Option<String>,
    #[diesel(sql_type = Nullable<Bytea>)]
    pub(super) mac: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Bytea>)]
    who_salt: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Bytea>)]
    who_hash: Option<Vec<u8>>,
}

/// What an event's signature says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Authenticity<'a> {
    Genuine,
    /// A shell without keys wrote it, or an older version.
    Unsigned,
    /// Signed with a key that is not known here.
    Unchecked(&'a str),
    /// It is not what its writer wrote.
    Changed,
}

/// What is left of the name of whoever did it, and of the address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Who {
    AsWritten,
    /// Gone, as those of an erased operator.
    Erased,
    Changed,
}

impl EventRow {
    /// What is signed.
    pub(super) fn content(&self) -> Content<'_> {
        match self.who_hash.as_deref() {
            Some(hash) => self.content_with(WhoOf::Hashed(hash)),
            None => self.content_as_before(),
        }
    }

    /// What the links of older versions cover.
    pub(super) fn content_as_before(&self) -> Content<'_> {
        self.content_with(WhoOf::Plain {
            name: self.actor_name.as_deref(),
            address: self.address.as_deref(),
        })
    }

    fn content_with<'a>(&'a self, who: WhoOf<'a>) -> Content<'a> {
        Content {
            id: self.id,
            at: self.at,
            actor_kind: &self.actor_kind,
            actor_id: self.actor_id,
            action: &self.action,
            subject_kind: &self.subject_kind,
            subject_id: self.subject_id,
            request_id: self.request_id.as_deref(),
            person_id: self.person_id,
            who,
            details_hash: self.details_hash.as_deref(),
        }
    }

    /// Another one has its id: neither is the one that was written.
    pub(super) fn is_not_alone(&mut self) {
        (self.key_id, self.mac) = (None, Some(Vec::new()));
    }

    pub(super) fn authenticity<'a>(&'a self, keys: &KeyRing) -> Authenticity<'a> {
        let (Some(id), Some(mac)) = (&self.key_id, &self.mac) else {
            return if self.key_id.is_none() && self.mac.is_none() {
                Authenticity::Unsigned
            } else {
                Authenticity::Changed
            };
        };
        let Some(key) = keys.get(id) else {
            return Authenticity::Unchecked(id);
        };
        let expected = self.content().mac(key);
        if bool::from(subtle::ConstantTimeEq::ct_eq(&expected[..], mac.as_slice())) {
            Authenticity::Genuine
        } else {
            Authenticity::Changed
        }
    }

    /// The same, as a link says it.
    pub(super) fn found(&self, keys: &KeyRing) -> Found {
        match self.authenticity(keys) {
            Authenticity::Genuine => Found::Genuine,
            Authenticity::Unsigned => Found::Unsigned,
            Authenticity::Unchecked(_) => Found::Unknown,
            Authenticity::Changed => Found::Changed,
        }
    }

    pub(super) fn who(&self) -> Who {
        let (name, address) = (self.actor_name.as_deref(), self.address.as_deref());
        match (&self.who_hash, &self.who_salt) {
            (Some(hash), Some(salt)) if salted(salt, name, address)[..] == hash[..] => {
                Who::AsWritten
            }
            (Some(_), None) if name.is_none() && address.is_none() => Who::Erased,
            // An older version wrote it, whose link covers the name.
            (None, None) => Who::AsWritten,
            _ => Who::Changed,
        }
    }

    /// Whether it may be unsigned: whoever is at the shell may have no keys.
    pub(super) fn is_from_a_shell(&self) -> bool {
        self.actor_kind == ActorKind::Shell.as_str()
    }
}
