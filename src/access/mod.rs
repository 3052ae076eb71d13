//! Who calls, and what that role may do.

pub mod keys;

use std::time::Duration;

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::Method};
use chrono::{DateTime, Utc};
use moka::future::Cache;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{db::Db, error::ApiError, string_enum};
use keys::{KeyHash, KeyRecord};

/// How long a key that was looked up is believed. A revocation ends it within a second everywhere.
const BELIEVED_FOR: Duration = Duration::from_millis(500);

string_enum! {
    /// What a caller may do (API.md, Access).
    Role {
        /// Everything.
        Admin = "admin",
        /// Users, groups, invitations and devices.
        Manager = "manager",
        /// Looks at users, groups, invitations and devices, never at a secret.
        Reader = "reader",
        /// An MDM server that enrolls devices.
        Enroller = "enroller",
        /// SCIM provisioning only.
        Provisioner = "provisioner",
    }
}

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Look at users, groups, invitations, batches and devices.
    Read,
    /// Look at live PINs or a QR code.
    ReadSecrets,
    /// Change users and groups; preview and send invitations; retire devices.
    Manage,
    /// Enroll devices, and say what they are.
    Enroll,
    /// Change settings.
    Configure,
}

impl Permission {
    /// What a request needs: known before its body is read.
    pub fn for_route(method: &Method, path: &str) -> Self {
        if path == "/enrollments" || path.starts_with("/enrollments/") {
            return Self::Enroll;
        }
        match path.rsplit('/').next() {
            Some("pin" | "pins" | "qr.png" | "qr.svg") => Self::ReadSecrets,
            _ if method == Method::GET => Self::Read,
            _ if path.starts_with("/settings/") => Self::Configure,
            _ => Self::Manage,
        }
    }
}

impl Role {
    const fn may(self, permission: Permission) -> bool {
        match self {
            Self::Admin => true,
            Self::Manager => !matches!(permission, Permission::Configure),
            Self::Reader => matches!(permission, Permission::Read),
            Self::Enroller => matches!(permission, Permission::Enroll),
            Self::Provisioner => false,
        }
    }
}

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Caller {
    id: Uuid,
    role: Role,
}

impl Caller {
    /// The key's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// As it is kept with what the caller did: `api_key:<id>`.
    pub fn label(&self) -> String {
        format!("api_key:{}", self.id)
    }

    /// Whether the role reaches.
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// # Errors
    /// 403 when the role does not reach.
    pub fn require(&self, permission: Permission) -> Result<(), ApiError> {
        if self.role.may(permission) {
            Ok(())
        } else {
            Err(ApiError::new(
                403,
                "forbidden",
                format!("A key with the role `{}` may not do this.", self.role),
            ))
        }
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        // The gate put it there; a route without the gate is a mistake of ours.
        let caller = request.extensions().get::<Self>().cloned();
        std::future::ready(
            caller.ok_or_else(|| {
                ApiError::internal("a protected route was reached without a caller")
            }),
        )
    }
}

/// Knows every key that was used lately.
pub struct Access {
    db: Db,
    seen: Cache<KeyHash, KeyRecord>,
}

impl Access {
    /// Looks keys up in `db`.
    pub fn new(db: Db) -> Self {
        Self {
            db,
            seen: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(BELIEVED_FOR)
                .build(),
        }
    }

    /// Who holds this bearer token.
    ///
    /// # Errors
    /// 401 without a token, or with one that is unknown, revoked or expired: all the same to the caller.
    pub async fn authenticate(
        &self,
        token: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Caller, ApiError> {
        let refused = |detail| ApiError::new(401, "unauthorized", detail);
        let token = token.ok_or_else(|| {
            refused("Send an API key as `Authorization: Bearer enl_…`; `enlist api-keys create` makes one.")
        })?;
        let unknown = || refused("This key is not known, or no longer valid.");
        let hash = keys::hash_of(token).ok_or_else(unknown)?;
        let record = match self.seen.get(&hash).await {
            Some(record) => record,
            None => {
                let found = self
                    .db
                    .read(move |connection| keys::find(connection, &hash))
                    .await?;
                let record = found
                    .filter(|record| bool::from(record.hash.ct_eq(&hash)))
                    .ok_or_else(unknown)?;
                self.seen.insert(hash, record.clone()).await;
                record
            }
        };
        if record.expires_at.is_some_and(|end| end <= now) {
            return Err(unknown());
        }
        Ok(Caller {
            id: record.id,
            role: record.role,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_no_secret_an_enroller_only_enrolls_and_settings_are_the_admins() {
        use Permission::{Configure, Enroll, Manage, Read, ReadSecrets};
        for permission in [Read, ReadSecrets, Manage, Enroll, Configure] {
            assert!(Role::Admin.may(permission));
            assert_eq!(Role::Manager.may(permission), permission != Configure);
            assert_eq!(Role::Enroller.may(permission), permission == Enroll);
            assert!(!Role::Provisioner.may(permission));
        }
        assert!(!Role::Reader.may(Enroll) && !Role::Reader.may(Configure));
        assert!(
            Role::Reader.may(Read) && !Role::Reader.may(ReadSecrets) && !Role::Reader.may(Manage)
        );
    }
}
