//! Who calls, and what that role may do (API.md, Access). Pure.

use std::sync::Arc;

use uuid::Uuid;

use crate::string_enum;

string_enum! {
    /// What a caller may do (API.md, Access).
    Role {
        /// Everything.
        Admin = "admin",
        /// Users, groups, invitations and devices.
        Manager = "manager",
        /// Looks at users, groups, invitations, devices and settings, never at a secret.
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
    /// Look at users, groups, invitations, batches, devices and settings.
    Read,
    /// Look at live PINs or a QR code.
    ReadSecrets,
    /// Change users and groups; preview and send invitations; retire devices.
    Manage,
    /// Enroll devices, and say what they are.
    Enroll,
    /// Bring mails that came back.
    Bounce,
    /// Change settings.
    Configure,
    /// Keys, operators and the audit log.
    Administer,
    /// Look after one's own session: every operator, and no key, which has none.
    OwnSession,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::Admin,
        Self::Manager,
        Self::Reader,
        Self::Enroller,
        Self::Provisioner,
    ];

    /// Whether the role reaches so far.
    pub const fn may(self, permission: Permission) -> bool {
        match self {
            Self::Admin => true,
            Self::Manager => !matches!(permission, Permission::Configure | Permission::Administer),
            Self::Reader => matches!(permission, Permission::Read | Permission::OwnSession),
            Self::Enroller => matches!(
                permission,
                Permission::Enroll | Permission::Bounce | Permission::OwnSession
            ),
            Self::Provisioner => matches!(permission, Permission::OwnSession),
        }
    }
}

/// What a request is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// An API key.
    Key(Uuid),
    /// An operator in a session.
    Operator { id: Uuid, session: Uuid },
}

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub who: Who,
    /// The key's name or the operator's address.
    pub name: Arc<str>,
    pub role: Role,
}

impl Caller {
    /// The key's or the operator's id.
    pub fn id(&self) -> Uuid {
        match self.who {
            Who::Key(id) | Who::Operator { id, .. } => id,
        }
    }

    /// The session that an operator is in.
    pub fn session(&self) -> Option<Uuid> {
        match self.who {
            Who::Key(_) => None,
            Who::Operator { session, .. } => Some(session),
        }
    }

    /// As it is kept with what the caller did: `api_key:<id>` or `operator:<id>`.
    pub fn label(&self) -> String {
        match self.who {
            Who::Key(id) => format!("api_key:{id}"),
            Who::Operator { id, .. } => format!("operator:{id}"),
        }
    }

    /// Whether the role reaches; a key has no session to look after.
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
            && (permission != Permission::OwnSession || self.session().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Permission::{
        Administer, Bounce, Configure, Enroll, Manage, OwnSession, Read, ReadSecrets,
    };

    #[test]
    fn roles_reach_as_far_as_the_contract_says() {
        for role in Role::ALL {
            assert!(role.may(OwnSession));
            for permission in [
                Read,
                ReadSecrets,
                Manage,
                Enroll,
                Bounce,
                Configure,
                Administer,
            ] {
                let expected = match role {
                    Role::Admin => true,
                    Role::Manager => {
                        matches!(permission, Read | ReadSecrets | Manage | Enroll | Bounce)
                    }
                    Role::Reader => permission == Read,
                    Role::Enroller => matches!(permission, Enroll | Bounce),
                    Role::Provisioner => false,
                };
                assert_eq!(role.may(permission), expected, "{role} {permission:?}");
            }
        }
    }
}
