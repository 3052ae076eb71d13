//! Who may do what (API.md, Access): one line a route. Pure.
//!
//! The gate, the OpenAPI document and the audit read this table; a route that is not in it does not start.

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

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing, and it is not counted: a probe must not fail because others call too often.
    Uncounted,
    /// Nothing.
    Nothing,
    /// Nothing; what is sent is a secret, or a guess at one: counted for each client address.
    Secret,
    /// The same without a token; whoever sends one needs the permission, and is counted by it.
    SecretOr(Permission),
    /// A token whose role has the permission.
    Token(Permission),
    /// Any token, also while the database is away: to watch the service itself.
    AnyToken,
}

/// A route and what holds for it.
#[derive(Debug)]
pub struct Rule {
    /// The HTTP method.
    pub method: &'static str,
    /// The path's pattern, as in the OpenAPI document.
    pub path: &'static str,
    /// Who may call it.
    pub needs: Needs,
}

const fn rule(method: &'static str, path: &'static str, needs: Needs) -> Rule {
    Rule {
        method,
        path,
        needs,
    }
}

const fn open(method: &'static str, path: &'static str) -> Rule {
    rule(method, path, Needs::Nothing)
}

const fn token(method: &'static str, path: &'static str, permission: Permission) -> Rule {
    rule(method, path, Needs::Token(permission))
}

use Permission::{Administer, Bounce, Configure, Enroll, Manage, OwnSession, Read, ReadSecrets};

/// Every route.
pub const ROUTES: &[Rule] = &[
    rule("GET", "/healthz", Needs::Uncounted),
    rule("GET", "/readyz", Needs::Uncounted),
    open("GET", "/openapi.json"),
    rule("GET", "/metrics", Needs::AnyToken),
    open("GET", "/enroll"),
    open("GET", "/enroll/{token}"),
    rule("POST", "/sessions", Needs::Secret),
    token("GET", "/sessions/current", OwnSession),
    token("DELETE", "/sessions/current", OwnSession),
    token("DELETE", "/sessions", OwnSession),
    token("GET", "/operators", Administer),
    token("POST", "/operators", Administer),
    token("GET", "/operators/{id}", Administer),
    token("PATCH", "/operators/{id}", Administer),
    token("DELETE", "/operators/{id}", Administer),
    token("PUT", "/operators/{id}/password", Administer),
    token("PUT", "/operators/current/password", OwnSession),
    token("DELETE", "/operators/{id}/sessions", Administer),
    token("GET", "/audit-events", Administer),
    token("GET", "/api-keys", Administer),
    token("POST", "/api-keys", Administer),
    token("GET", "/api-keys/{id}", Administer),
    token("PATCH", "/api-keys/{id}", Administer),
    token("DELETE", "/api-keys/{id}", Administer),
    rule("POST", "/enrollments", Needs::SecretOr(Enroll)),
    rule("POST", "/enrollments/pin-requests", Needs::SecretOr(Enroll)),
    token("GET", "/users", Read),
    token("POST", "/users", Manage),
    token("GET", "/users/{id}", Read),
    token("PATCH", "/users/{id}", Manage),
    token("DELETE", "/users/{id}", Manage),
    token("PUT", "/users/{id}/password", Manage),
    token("GET", "/users/{id}/settings", Read),
    token("GET", "/users/export", Read),
    token("POST", "/users/import", Manage),
    token("GET", "/users/import/template", Read),
    token("GET", "/groups", Read),
    token("POST", "/groups", Manage),
    token("GET", "/groups/{id}", Read),
    token("PATCH", "/groups/{id}", Manage),
    token("DELETE", "/groups/{id}", Manage),
    token("POST", "/groups/{id}/members", Manage),
    token("GET", "/settings/registration", Read),
    token("POST", "/settings/registration", Configure),
    token("GET", "/settings/registration/{id}", Read),
    token("PUT", "/settings/registration/{id}", Configure),
    token("DELETE", "/settings/registration/{id}", Configure),
    token("GET", "/settings/reminder", Read),
    token("POST", "/settings/reminder", Configure),
    token("GET", "/settings/reminder/{id}", Read),
    token("PUT", "/settings/reminder/{id}", Configure),
    token("DELETE", "/settings/reminder/{id}", Configure),
    token("GET", "/settings/confirmation", Read),
    token("POST", "/settings/confirmation", Configure),
    token("GET", "/settings/confirmation/{id}", Read),
    token("PUT", "/settings/confirmation/{id}", Configure),
    token("DELETE", "/settings/confirmation/{id}", Configure),
    token("POST", "/invitations/preview", Manage),
    token("POST", "/invitations/send", Manage),
    token("POST", "/invitations/pins", ReadSecrets),
    token("POST", "/invitations/resend", Manage),
    token("POST", "/invitations/revoke", Manage),
    token("GET", "/invitations", Read),
    token("GET", "/invitations/{id}", Read),
    token("POST", "/invitations/{id}/resend", Manage),
    token("POST", "/invitations/{id}/revoke", Manage),
    token("GET", "/invitations/{id}/pin", ReadSecrets),
    token("GET", "/invitations/{id}/qr.png", ReadSecrets),
    token("GET", "/invitations/{id}/qr.svg", ReadSecrets),
    token("GET", "/batches/{id}", Read),
    token("GET", "/batches/{id}/results", Read),
    token("GET", "/batches/{id}/events", Read),
    token("POST", "/batches/{id}/cancel", Manage),
    token("POST", "/mail/bounces", Bounce),
    token("GET", "/suppressions", Read),
    token("GET", "/suppressions/{id}", Read),
    token("DELETE", "/suppressions/{id}", Manage),
    token("GET", "/devices", Read),
    token("GET", "/devices/{id}", Read),
    token("DELETE", "/devices/{id}", Manage),
];

/// What the table says of a route.
pub fn rule_of(method: &str, path: &str) -> Option<&'static Rule> {
    ROUTES
        .iter()
        .find(|rule| rule.method == method && rule.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn no_route_is_there_twice() {
        for (index, rule) in ROUTES.iter().enumerate() {
            let others = &ROUTES[..index];
            let twice = |other: &Rule| other.method == rule.method && other.path == rule.path;
            assert!(!others.iter().any(twice), "{} {}", rule.method, rule.path);
        }
    }
}
