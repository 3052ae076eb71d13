//! The values that settings are made of, each checked when it is read. Pure.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    checked_text,
    model::{
        qr_payload::{TOKEN, TokenUrl},
        wire::{Faults, Flaw, line, parse_text, whole_number},
    },
};

checked_text!(
    /// What administrators know a setting by: one line of 1 to 200 characters.
    SettingName,
    |text| line(text, 200)
);

/// A whole number from `LOW` to `HIGH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const LOW: u32, const HIGH: u32>(u32);

impl<const LOW: u32, const HIGH: u32> Whole<LOW, HIGH> {
    /// A number of ours, such as a default.
    pub(super) const fn of(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number where `HIGH` is below 256.
    pub(super) fn byte(self) -> u8 {
        u8::try_from(self.0).unwrap_or(u8::MAX)
    }
}

impl<const LOW: u32, const HIGH: u32> Deserr<Faults> for Whole<LOW, HIGH> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        whole_number(value, location, LOW..=HIGH).map(Self)
    }
}

/// A number of days, as lifetimes have them.
pub type Days = Whole<1, 30>;
/// The lower one applies first.
pub type Priority = Whole<0, 1_000_000>;

/// The MDM's address for a user, which holds `{token}`.
#[derive(Debug)]
pub struct MdmUrl(TokenUrl);

impl MdmUrl {
    pub(super) fn into_url(self) -> TokenUrl {
        self.0
    }
}

impl Deserr<Faults> for MdmUrl {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        parse_text(value, location, |text| {
            let url = TokenUrl::parse(text)?;
            if !url.as_str().contains(TOKEN) {
                return Err(Flaw::new(
                    "token_missing",
                    "must hold {token}, where the invitation's token goes",
                ));
            }
            Ok(Self(url))
        })
    }
}

/// To whom a custom setting applies: the members of the groups, and the users.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Groups, at most 1,000.
    #[schema(required = false, max_items = 1_000)]
    #[deserr(default)]
    pub group_ids: Vec<Uuid>,
    /// Single users, at most 10,000.
    #[schema(required = false, max_items = 10_000)]
    #[deserr(default)]
    pub user_ids: Vec<Uuid>,
}

impl Distribution {
    /// Whether it holds nobody.
    pub fn is_empty(&self) -> bool {
        self.group_ids.is_empty() && self.user_ids.is_empty()
    }
}
