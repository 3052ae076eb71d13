//! What a user is, and what may be said about one. Pure.

use chrono::{DateTime, Utc};
use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::Serialize;
use serde_json::Map;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    list_query,
    model::{
        identity::{
            AppleAccount, DisplayName, Email, GroupRef, LocaleTag, PersonName, Source, TimeZone,
            Username,
        },
        invitation::InviteStatus,
        named::Named,
        search::SearchText,
        secret_input::Password,
        wire::{Faults, Flaw, Patch, check_length, line},
    },
    selection::domain::UserFilter,
    string_enum,
};

/// Custom attributes, usable in templates: up to 50 names, each with a string, number or boolean.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Attributes(pub Map<String, serde_json::Value>);

/// A change of attributes: `null` takes one away (RFC 7396 works member by member).
#[derive(Debug)]
pub struct AttributesPatch(Map<String, serde_json::Value>);

/// As many attributes as a user may have.
pub const MOST_ATTRIBUTES: usize = 50;

/// Whether this can be an attribute.
///
/// # Errors
/// `wrong_type`, `too_long` or `control_character`.
pub fn check_attribute(value: &serde_json::Value) -> Result<(), Flaw> {
    match value {
        serde_json::Value::String(text) if text.contains('\0') => {
            Err(Flaw::new("control_character", "must not hold NUL"))
        }
        serde_json::Value::String(text) => check_length(text, 1_000),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Ok(()),
        _ => Err(Flaw::new(
            "wrong_type",
            "expected a string, a number or a boolean",
        )),
    }
}

/// The name of an attribute: one line of 1 to 100 characters.
///
/// # Errors
/// As [`line`], with words that fit.
pub fn attribute_name(name: &str) -> Result<String, Flaw> {
    line(name, 100)
        .map_err(|flaw| Flaw::new(flaw.code, format!("the attribute's name {}", flaw.detail)))
}

fn attributes<V: IntoValue>(
    value: Value<V>,
    location: ValuePointerRef,
    null_is_fine: bool,
) -> Result<Map<String, serde_json::Value>, Faults> {
    let members = <std::collections::BTreeMap<String, serde_json::Value> as Deserr<Faults>>::deserialize_from_value(
        value, location,
    )?;
    let mut faults = Faults::default();
    if members.len() > MOST_ATTRIBUTES {
        return Err(Faults::at(
            location,
            "too_many",
            format!("at most {MOST_ATTRIBUTES} attributes are allowed"),
        ));
    }
    let mut named = Map::new();
    for (name, value) in members {
        let place = location.push_key(&name);
        let checked = attribute_name(&name);
        let flaws = [
            checked.as_ref().err().cloned(),
            (!value.is_null() || !null_is_fine)
                .then(|| check_attribute(&value).err())
                .flatten(),
        ];
        for flaw in flaws.into_iter().flatten() {
            faults.0.extend(Faults::at(place, flaw.code, flaw.detail).0);
        }
        if let Ok(name) = checked {
            named.insert(name, value);
        }
    }
    if faults.0.is_empty() {
        Ok(named)
    } else {
        Err(faults)
    }
}

impl Deserr<Faults> for Attributes {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        attributes(value, location, false).map(Self)
    }
}

impl Deserr<Faults> for AttributesPatch {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        attributes(value, location, true).map(Self)
    }
}

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
    ListQuery("enabled",) {
        /// A part of the username, e-mail address or names, without regard to case and accents.
        #[param(value_type = Option<String>, max_length = 200)]
        #[deserr(default)]
        pub q: Option<SearchText>,
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
    /// The name that lists and mails show; first and last name, else the username, unless given.
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

/// What is stored about a user, beside the password.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    pub username: String,
    pub email: Option<String>,
    pub first_name: String,
    pub last_name: String,
    pub display_name: String,
    pub locale: Option<String>,
    pub time_zone: Option<String>,
    pub managed_apple_account: Option<String>,
    pub enabled: bool,
    pub attributes: Map<String, serde_json::Value>,
}

impl CreateUser {
    /// The profile, its defaults filled in, beside what is not part of it.
    ///
    /// # Errors
    /// When there is neither an address nor a username.
    pub fn profile(&mut self) -> Result<Profile, Faults> {
        let email = self.email.take().map(Email::into_string);
        let username = self
            .username
            .take()
            .map(Username::into_string)
            .or_else(|| email.clone())
            .ok_or_else(|| {
                let mut faults = Faults::default();
                faults.push(
                    "/email",
                    "required",
                    "an e-mail address or a username is needed",
                );
                faults
            })?;
        let first_name = self
            .first_name
            .take()
            .map(PersonName::into_string)
            .unwrap_or_default();
        let last_name = self
            .last_name
            .take()
            .map(PersonName::into_string)
            .unwrap_or_default();
        Ok(Profile {
            display_name: self.display_name.take().map_or_else(
                || default_display_name(&first_name, &last_name, &username),
                DisplayName::into_string,
            ),
            username,
            email,
            first_name,
            last_name,
            locale: self.locale.take().map(LocaleTag::into_string),
            time_zone: self.time_zone.take().map(TimeZone::into_string),
            managed_apple_account: self
                .managed_apple_account
                .take()
                .map(AppleAccount::into_string),
            enabled: self.enabled.unwrap_or(true),
            attributes: self.attributes.take().unwrap_or_default().0,
        })
    }
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

/// First and last name as far as they are known, else the username.
fn default_display_name(first: &str, last: &str, username: &str) -> String {
    let full = format!("{first} {last}");
    let name = if full.trim().is_empty() {
        username
    } else {
        full.trim()
    };
    name.chars().take(200).collect()
}

impl Profile {
    /// Applies a merge patch: `null` takes a value away, or back to its default.
    ///
    /// # Errors
    /// When the result would be no valid user.
    pub fn apply(&mut self, patch: PatchUser) -> Result<(), Faults> {
        let mut faults = Faults::default();
        let name_was_default = self.display_name
            == default_display_name(&self.first_name, &self.last_name, &self.username);
        set_optional(&mut self.email, patch.email, Email::into_string);
        set_optional(&mut self.locale, patch.locale, LocaleTag::into_string);
        set_optional(&mut self.time_zone, patch.time_zone, TimeZone::into_string);
        set_optional(
            &mut self.managed_apple_account,
            patch.managed_apple_account,
            AppleAccount::into_string,
        );
        set_or(
            &mut self.first_name,
            patch.first_name,
            PersonName::into_string,
            String::new,
        );
        set_or(
            &mut self.last_name,
            patch.last_name,
            PersonName::into_string,
            String::new,
        );
        match patch.username {
            Patch::Keep => {}
            Patch::Set(username) => self.username = username.into_string(),
            Patch::Clear => match &self.email {
                Some(email) => self.username.clone_from(email),
                None => faults.push(
                    "/username",
                    "required",
                    "a user without an e-mail address needs a username",
                ),
            },
        }
        match patch.display_name {
            Patch::Set(name) => self.display_name = name.into_string(),
            Patch::Keep if !name_was_default => {}
            Patch::Keep | Patch::Clear => {
                self.display_name =
                    default_display_name(&self.first_name, &self.last_name, &self.username);
            }
        }
        set_or(&mut self.enabled, patch.enabled, |enabled| enabled, || true);
        match patch.attributes {
            Patch::Keep => {}
            Patch::Clear => self.attributes.clear(),
            Patch::Set(AttributesPatch(changes)) => {
                for (name, value) in changes {
                    if value.is_null() {
                        self.attributes.remove(&name);
                    } else {
                        self.attributes.insert(name, value);
                    }
                }
                if self.attributes.len() > MOST_ATTRIBUTES {
                    faults.push(
                        "/attributes",
                        "too_many",
                        format!("at most {MOST_ATTRIBUTES} attributes are allowed"),
                    );
                }
            }
        }
        if faults.0.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }
}

fn set_optional<T>(field: &mut Option<String>, patch: Patch<T>, text: fn(T) -> String) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *field = None,
        Patch::Set(value) => *field = Some(text(value)),
    }
}

fn set_or<F, T>(field: &mut F, patch: Patch<T>, set: fn(T) -> F, cleared: fn() -> F) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *field = cleared(),
        Patch::Set(value) => *field = set(value),
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

impl Profile {
    /// The user who was just made of it, in no group and not invited.
    pub fn into_new_user(self, id: Uuid, has_password: bool, now: DateTime<Utc>) -> User {
        User {
            id,
            username: self.username,
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            display_name: self.display_name,
            locale: self.locale,
            time_zone: self.time_zone,
            managed_apple_account: self.managed_apple_account,
            enabled: self.enabled,
            source: Source::Local,
            groups: Vec::new(),
            attributes: self.attributes,
            has_password,
            invite_status: InviteStatus::NotInvited,
            last_invited_at: None,
            pin_status: None,
            pin_issued_at: None,
            pin_expires_at: None,
            device_count: 0,
            created_at: now,
            updated_at: now,
        }
    }
}

impl User {
    /// What a change starts from.
    pub fn profile(&self) -> Profile {
        Profile {
            username: self.username.clone(),
            email: self.email.clone(),
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            display_name: self.display_name.clone(),
            locale: self.locale.clone(),
            time_zone: self.time_zone.clone(),
            managed_apple_account: self.managed_apple_account.clone(),
            enabled: self.enabled,
            attributes: self.attributes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn profile(body: serde_json::Value) -> Profile {
        crate::model::wire::parse::<CreateUser>(body)
            .unwrap()
            .profile()
            .unwrap()
    }

    fn patched(mut profile: Profile, body: serde_json::Value) -> Profile {
        profile
            .apply(crate::model::wire::parse(body).unwrap())
            .unwrap();
        profile
    }

    #[test]
    fn defaults_follow_from_what_is_given() {
        let ada = profile(
            json!({"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"}),
        );
        assert_eq!(
            (ada.username.as_str(), ada.display_name.as_str()),
            ("ada@example.com", "Ada Lovelace")
        );
        assert!(ada.enabled);
        assert_eq!(profile(json!({"username": "kiosk"})).display_name, "kiosk");
        let mut nobody = crate::model::wire::parse::<CreateUser>(json!({})).unwrap();
        assert_eq!(nobody.profile().unwrap_err().0[0].pointer, "/email");
    }

    #[test]
    fn a_merge_patch_changes_what_it_names_and_null_takes_away() {
        let ada = profile(json!({
            "email": "ada@example.com", "first_name": "Ada", "locale": "fr",
            "attributes": {"floor": 3, "desk": "b"}
        }));
        let patched_ada = patched(
            ada.clone(),
            json!({
                "last_name": "King", "locale": null, "attributes": {"floor": null, "team": "math"}
            }),
        );
        assert_eq!(
            patched_ada.display_name, "Ada King",
            "a default name follows the names"
        );
        assert_eq!(patched_ada.locale, None);
        assert_eq!(
            serde_json::Value::Object(patched_ada.attributes),
            json!({"desk": "b", "team": "math"})
        );
        let named = patched(ada, json!({"display_name": "The Countess"}));
        assert_eq!(
            patched(named.clone(), json!({"first_name": "A."})).display_name,
            "The Countess"
        );
        assert_eq!(
            patched(named, json!({"display_name": null})).display_name,
            "Ada"
        );
    }

    #[test]
    fn bad_values_are_refused_where_they_are() {
        let faults = crate::model::wire::parse::<CreateUser>(json!({
            "email": "ada@example.com\r\nBcc: all@example.com", "username": "a\u{0}b", "first_name": "x".repeat(201),
            "locale": "français", "time_zone": "Mars/Olympus", "password": "s3cr3t!", "attributes": {"a": [1]},
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
            "zoë@x.y",
            "a@⒈com.org",
            "a@١.com",
            "a@127.0.0.1",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }
}
