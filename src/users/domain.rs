//! What requests say of users, and what answers show. Pure.

use chrono::{DateTime, Utc};
use deserr::Deserr;
use serde::Serialize;
use serde_json::Map;
use utoipa::ToSchema;
use uuid::Uuid;

use super::attributes::{Attributes, AttributesPatch};
use crate::{
    list_query,
    model::{
        identity::{
            AppleAccount, DisplayName, Email, GroupRef, LocaleTag, PersonName, Source, TimeZone,
            Username,
        },
        invitation::InviteStatus,
        named::Named,
        search::{SearchText, SearchWords},
        secret_input::Password,
        wire::{Faults, Patch},
    },
    selection::domain::UserFilter,
    string_enum,
};

string_enum! {
    /// Whether the PIN of a user's pending invitation works.
    PinStatus {
        /// It works.
        Valid = "valid",
        /// Its life is over; the invitation's is not.
        Expired = "expired",
        /// It is refused after too many wrong ones: for a while, or until the invitation is sent again.
        Locked = "locked",
    }
}

/// A PIN that was issued, as far as a list may tell: never the PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinLife {
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub locked_until: Option<DateTime<Utc>>,
    /// It was guessed at so often that it is no longer looked at.
    pub is_used_up: bool,
}

impl PinLife {
    /// Right to the second. A PIN whose life is over is not locked any more: waiting would not help.
    pub fn status(self, now: DateTime<Utc>) -> PinStatus {
        if self.expires_at <= now {
            PinStatus::Expired
        } else if self.is_used_up || self.locked_until.is_some_and(|end| end > now) {
            PinStatus::Locked
        } else {
            PinStatus::Valid
        }
    }
}

string_enum! {
    /// The order of `GET /users`; `-` in front turns it around.
    Sort {
        DisplayName = "display_name",
        Username = "username",
        Email = "email",
        CreatedAt = "created_at",
        LastInvitedAt = "last_invited_at",
        DisplayNameDescending = "-display_name",
        UsernameDescending = "-username",
        EmailDescending = "-email",
        CreatedAtDescending = "-created_at",
        LastInvitedAtDescending = "-last_invited_at",
    }
}

list_query!(
    /// The query of `GET /users`.
    ListQuery("enabled", "name_clash",) {
        /// Up to eight words in up to 200 characters. Each must be found, in any order, as a part of the username, the e-mail
        /// address or one of the names, without regard to case and accents; `"…"` keeps a phrase together.
        #[param(value_type = Option<String>, max_length = 200)]
        #[deserr(default)]
        pub q: Option<SearchWords>,
        /// Members of this group.
        #[deserr(default)]
        pub group: Option<Uuid>,
        /// How far the newest invitation got.
        #[param(inline)]
        #[deserr(default)]
        pub invite_status: Option<InviteStatus>,
        /// Enabled users, or disabled ones.
        #[deserr(default)]
        pub enabled: Option<bool>,
        /// Where the user came from.
        #[param(inline)]
        #[deserr(default)]
        pub source: Option<Source>,
        /// The user's own language tag, exactly.
        #[param(value_type = Option<String>)]
        #[deserr(default)]
        pub locale: Option<SearchText>,
        /// `true`: users whose username or address an older user has. `false`: all others.
        #[deserr(default)]
        pub name_clash: Option<bool>,
        /// The order.
        #[param(inline)]
        #[deserr(default)]
        pub sort: Option<Sort>,
    }
);

impl ListQuery {
    /// The filters alone.
    pub fn filter(&self) -> UserFilter {
        UserFilter {
            q: self.q.clone(),
            group: self.group,
            invite_status: self.invite_status,
            enabled: self.enabled,
            source: self.source,
            locale: self.locale.clone(),
            name_clash: self.name_clash,
        }
    }
}

/// The body of `POST /users`.
#[derive(Debug, Default, Clone, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// What the user signs in with; the e-mail address unless given.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 254)]
    #[deserr(default)]
    pub username: Option<Username>,
    /// Where invitations go.
    #[schema(value_type = Option<String>, format = "email", max_length = 254)]
    #[deserr(default)]
    pub email: Option<Email>,
    #[schema(value_type = Option<String>, max_length = 200)]
    #[deserr(default)]
    pub first_name: Option<PersonName>,
    #[schema(value_type = Option<String>, max_length = 200)]
    #[deserr(default)]
    pub last_name: Option<PersonName>,
    /// The name that lists and mails show. Unless given it is first and last name, in the order that their script
    /// and the locale have, else the username.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    #[deserr(default)]
    pub display_name: Option<DisplayName>,
    /// The language of the user's mails; the service's own unless given.
    #[schema(value_type = Option<String>, examples("fr-CA"))]
    #[deserr(default)]
    pub locale: Option<LocaleTag>,
    /// The zone in which the user's mails tell times; UTC unless given.
    #[schema(value_type = Option<String>, examples("Europe/Paris"))]
    #[deserr(default)]
    pub time_zone: Option<TimeZone>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 254)]
    #[deserr(default)]
    pub managed_apple_account: Option<AppleAccount>,
    /// A disabled user is not invited.
    #[deserr(default)]
    pub enabled: Option<bool>,
    /// Own fields: up to 50 strings, numbers or booleans.
    #[schema(value_type = Option<Object>)]
    #[deserr(default)]
    pub attributes: Option<Attributes>,
    /// For the methods `password` and `pin_and_password`: 8 to 128 characters.
    #[schema(value_type = Option<String>, format = "password", min_length = 8, max_length = 128, write_only)]
    #[deserr(default)]
    pub password: Option<Password>,
    /// Groups that the user joins.
    #[deserr(default)]
    #[schema(value_type = Vec<Uuid>, required = false)]
    pub group_ids: Vec<Uuid>,
    /// Also send an invitation.
    #[deserr(default)]
    #[schema(value_type = bool, required = false, default = false)]
    pub invite: bool,
}

/// The body of `PATCH /users/{id}`: a JSON merge patch (RFC 7396).
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct PatchUser {
    #[deserr(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 254)]
    pub username: Patch<Username>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = "email", max_length = 254)]
    pub email: Patch<Email>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub first_name: Patch<PersonName>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub last_name: Patch<PersonName>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    pub display_name: Patch<DisplayName>,
    #[deserr(default)]
    #[schema(value_type = Option<String>)]
    pub locale: Patch<LocaleTag>,
    #[deserr(default)]
    #[schema(value_type = Option<String>)]
    pub time_zone: Patch<TimeZone>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 254)]
    pub managed_apple_account: Patch<AppleAccount>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    pub enabled: Patch<bool>,
    #[deserr(default)]
    #[schema(value_type = Option<Object>)]
    pub attributes: Patch<AttributesPatch>,
}

impl From<CreateUser> for PatchUser {
    /// What is given is set, what is not stays.
    fn from(given: CreateUser) -> Self {
        fn set<T>(value: Option<T>) -> Patch<T> {
            value.map_or(Patch::Keep, Patch::Set)
        }
        Self {
            username: set(given.username),
            email: set(given.email),
            first_name: set(given.first_name),
            last_name: set(given.last_name),
            display_name: set(given.display_name),
            locale: set(given.locale),
            time_zone: set(given.time_zone),
            managed_apple_account: set(given.managed_apple_account),
            enabled: set(given.enabled),
            attributes: set(given.attributes.map(|given| AttributesPatch(given.0))),
        }
    }
}

impl Named for User {
    const NAME: &'static str = "user";
}

/// A user, as the API shows one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct User {
    pub id: Uuid,
    pub username: String,
    #[schema(required)]
    pub email: Option<String>,
    pub first_name: String,
    pub last_name: String,
    pub display_name: String,
    /// The user's own language; `null`: the service's.
    #[schema(required)]
    pub locale: Option<String>,
    /// The user's own zone; `null`: UTC.
    #[schema(required)]
    pub time_zone: Option<String>,
    #[schema(required)]
    pub managed_apple_account: Option<String>,
    pub enabled: bool,
    /// Whether an older user has this username or address. This user is then not found by it when enrolling, until one of
    /// the two is given another.
    pub name_clash: bool,
    pub source: Source,
    pub groups: Vec<GroupRef>,
    #[schema(value_type = Object)]
    pub attributes: Map<String, serde_json::Value>,
    /// Whether a password is set; the password itself is never shown.
    pub has_password: bool,
    pub invite_status: InviteStatus,
    #[schema(required)]
    pub last_invited_at: Option<DateTime<Utc>>,
    /// `null`: no invitation with a PIN is pending, or its PIN was not issued yet.
    #[schema(required)]
    pub pin_status: Option<PinStatus>,
    /// When the life of the pending invitation's PIN began.
    #[schema(required)]
    pub pin_issued_at: Option<DateTime<Utc>>,
    /// When the pending invitation's PIN stops working.
    #[schema(required)]
    pub pin_expires_at: Option<DateTime<Utc>>,
    /// Devices that the user holds.
    pub device_count: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bad_values_are_refused_where_they_are() {
        let faults = crate::model::wire::parse::<CreateUser>(json!({
            "email": "ada@example.com\r\nBcc: all@example.com", "username": "a\u{0}b", "first_name": "x".repeat(201),
            "locale": "Klingonisch", "time_zone": "Mars/Olympus", "password": "s3cr3t!", "attributes": {"a": [1]},
            "enabled": "yes", "admin": true
        }))
        .unwrap_err();
        let mut places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        places.sort_unstable();
        assert_eq!(
            places,
            [
                "/admin",
                "/attributes/a",
                "/email",
                "/enabled",
                "/first_name",
                "/locale",
                "/password",
                "/time_zone",
                "/username"
            ]
        );
        assert!(
            !format!("{faults:?}").contains("s3cr3t!"),
            "a password is not repeated"
        );
    }

    #[test]
    fn addresses() {
        for good in [
            "ada@example.com",
            "a.b+c@sub.example.co.uk",
            "zoe@exämple.org",
            "zoë@x.y",
            " x@y.zz ",
        ] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@x.y",
            "a@",
            "a b@x.y",
            "Ada <a@x.y>",
            "\"a b\"@x.y",
            "a@[127.0.0.1]",
            "a@x.y, b@x.y",
            "a@⒈com.org",
            "a@١.com",
            "a@127.0.0.1",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }
}
