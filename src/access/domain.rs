//! Keys, operators and their sessions, as the API shows and takes them. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use deserr::Deserr;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    checked_text, list_query,
    model::{
        caller::Role,
        identity::{Email, Username},
        named::Named,
        secret_input::{GivenPassword, Password},
        time::Time,
        wire::{Faults, Patch, line},
    },
};

/// A session ends when it is not used for this long,
pub const IDLE: TimeDelta = TimeDelta::hours(8);
/// and this long after the sign-in, however much it is used.
pub const LONGEST: TimeDelta = TimeDelta::hours(24);

checked_text!(
    /// What a key is for: one line of 1 to 200 characters.
    KeyName,
    |text| line(text, 200)
);

list_query!(
    /// The query of the lists here.
    PageQuery() {}
);

impl Named for ApiKey {
    const NAME: &'static str = "API key";
}

/// An API key without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApiKey {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    pub created_at: DateTime<Utc>,
    /// From when on it is refused; `null`: never.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    #[schema(required)]
    pub last_used_at: Option<DateTime<Utc>>,
}

/// An API key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewApiKey {
    #[serde(flatten)]
    pub about: ApiKey,
    /// The key itself, shown here and never again: `enl_…`.
    #[schema(min_length = 47, max_length = 47)]
    pub key: String,
}

/// The body of `POST /api-keys`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What it is for.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    pub name: KeyName,
    pub role: Role,
    /// From when on it is refused; without it, or with `null`, never.
    #[schema(value_type = Option<DateTime<Utc>>)]
    #[deserr(default)]
    pub expires_at: Option<Time>,
}

/// The body of `PATCH /api-keys/{id}`: a JSON merge patch (RFC 7396).
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct PatchApiKey {
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[deserr(default)]
    pub name: Patch<KeyName>,
}

impl PatchApiKey {
    /// The new name, if there is to be one.
    ///
    /// # Errors
    /// For `null`: a key has a name.
    pub fn name(self) -> Result<Option<KeyName>, Faults> {
        match self.name {
            Patch::Keep => Ok(None),
            Patch::Set(name) => Ok(Some(name)),
            Patch::Clear => {
                let mut faults = Faults::default();
                faults.push("/name", "required", "a key needs a name");
                Err(faults)
            }
        }
    }
}

impl Named for Operator {
    const NAME: &'static str = "operator";
}

/// Somebody who uses the frontend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Operator {
    pub id: Uuid,
    pub email: String,
    pub role: Role,
    /// Whether the operator may sign in.
    pub enabled: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    #[schema(required)]
    pub last_sign_in_at: Option<DateTime<Utc>>,
}

impl Operator {
    /// Whether it is one of those without whom nobody could let anybody in any more.
    pub fn is_active_admin(&self) -> bool {
        self.enabled && self.role == Role::Admin
    }
}

/// The body of `POST /operators`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct CreateOperator {
    /// What the operator signs in with; unique, upper and lower case are the same.
    #[schema(value_type = String, format = "email", max_length = 254)]
    pub email: Email,
    pub role: Role,
    /// 8 to 128 characters, no composition rules.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 128, write_only)]
    pub password: Password,
}

/// The body of `PATCH /operators/{id}`: a JSON merge patch (RFC 7396).
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct PatchOperator {
    #[schema(value_type = String, required = false, format = "email", max_length = 254)]
    #[deserr(default)]
    pub email: Patch<Email>,
    #[schema(value_type = Role, required = false)]
    #[deserr(default)]
    pub role: Patch<Role>,
    #[schema(value_type = bool, required = false)]
    #[deserr(default)]
    pub enabled: Patch<bool>,
}

impl PatchOperator {
    /// The operator with the changes made.
    ///
    /// # Errors
    /// For every `null`: an operator has all of these.
    pub fn onto(self, operator: &Operator) -> Result<Operator, Faults> {
        let mut faults = Faults::default();
        let changed = Operator {
            email: kept_or_set(
                match self.email {
                    Patch::Keep => Patch::Keep,
                    Patch::Clear => Patch::Clear,
                    Patch::Set(email) => Patch::Set(email.into_string()),
                },
                &operator.email,
                "/email",
                &mut faults,
            ),
            role: kept_or_set(self.role, &operator.role, "/role", &mut faults),
            enabled: kept_or_set(self.enabled, &operator.enabled, "/enabled", &mut faults),
            ..operator.clone()
        };
        if faults.0.is_empty() {
            Ok(changed)
        } else {
            Err(faults)
        }
    }
}

fn kept_or_set<T: Clone>(patch: Patch<T>, now: &T, pointer: &str, faults: &mut Faults) -> T {
    match patch {
        Patch::Set(value) => return value,
        Patch::Keep => {}
        Patch::Clear => faults.push(pointer, "required", "an operator needs it"),
    }
    now.clone()
}

/// The body of `PUT /operators/current/password`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The one of before.
    #[schema(value_type = String, format = "password", min_length = 1, max_length = 256, write_only)]
    pub current_password: GivenPassword,
    /// 8 to 128 characters, no composition rules.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 128, write_only)]
    pub password: Password,
}

/// The body of `POST /sessions`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The operator's address.
    #[schema(value_type = String, min_length = 1, max_length = 254)]
    pub email: Username,
    #[schema(value_type = String, format = "password", min_length = 1, max_length = 256, write_only)]
    pub password: GivenPassword,
}

/// A sign-in that worked.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedIn {
    /// Shown here and never again: `ens_…`.
    #[schema(min_length = 47, max_length = 47)]
    pub token: String,
    /// When the session ends at the latest; 8 hours without a request end it sooner.
    pub expires_at: DateTime<Utc>,
    pub operator: Operator,
}

/// The session that a request comes in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    pub created_at: DateTime<Utc>,
    /// When it ends at the latest; 8 hours without a request end it sooner.
    pub expires_at: DateTime<Utc>,
    pub operator: Operator,
}
