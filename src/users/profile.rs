//! What is stored about a user: made of what a request says, and changed by one. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Map;
use uuid::Uuid;

use super::{
    attributes::{AttributesPatch, MOST_ATTRIBUTES},
    domain::{CreateUser, PatchUser, User},
    names::{Parts, given_name_first, in_its_order},
};
use crate::model::{
    identity::{
        AppleAccount, DisplayName, Email, LocaleTag, PersonName, Source, TimeZone, Username,
    },
    invitation::InviteStatus,
    wire::{Faults, Patch},
};

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
        let mut profile = Profile {
            display_name: String::new(),
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
        };
        profile.display_name = self
            .display_name
            .take()
            .map_or_else(|| in_its_order(profile.parts()), DisplayName::into_string);
        Ok(profile)
    }
}

impl Profile {
    /// Applies a merge patch: `null` takes a value away, or back to its default.
    ///
    /// # Errors
    /// When the result would be no valid user.
    pub fn apply(&mut self, patch: PatchUser) -> Result<(), Faults> {
        let mut faults = Faults::default();
        // A name that was made in the other order, as all once were, follows its parts in that order.
        let made: Option<fn(Parts<'_>) -> String> = [in_its_order, given_name_first]
            .into_iter()
            .find(|make| make(self.parts()) == self.display_name);
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
            Patch::Keep => {
                if let Some(make) = made {
                    self.display_name = make(self.parts());
                }
            }
            Patch::Clear => self.display_name = in_its_order(self.parts()),
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

    fn parts(&self) -> Parts<'_> {
        Parts {
            first: &self.first_name,
            last: &self.last_name,
            username: &self.username,
            locale: self.locale.as_deref(),
        }
    }

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
            name_clash: false,
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
    fn a_default_name_follows_its_parts_in_the_order_that_it_has() {
        let nagy =
            json!({"username": "n", "first_name": "János", "last_name": "Nagy", "locale": "hu"});
        let before = Profile {
            display_name: "János Nagy".to_owned(),
            ..profile(nagy.clone())
        };
        let explicit = Profile {
            display_name: "Jani".to_owned(),
            ..profile(nagy.clone())
        };
        for (who, change, name) in [
            (
                profile(nagy.clone()),
                json!({"last_name": "Kis"}),
                "Kis János",
            ),
            (profile(nagy.clone()), json!({"locale": "de"}), "János Nagy"),
            (
                profile(nagy),
                json!({"first_name": "一郎", "last_name": "山田"}),
                "山田一郎",
            ),
            (before.clone(), json!({"enabled": false}), "János Nagy"),
            (before.clone(), json!({"last_name": "Kis"}), "János Kis"),
            (before, json!({"display_name": null}), "Nagy János"),
            (
                explicit,
                json!({"last_name": "Kis", "locale": "de"}),
                "Jani",
            ),
        ] {
            assert_eq!(patched(who, change.clone()).display_name, name, "{change}");
        }
    }
}
