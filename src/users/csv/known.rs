//! What a column can be, and what that is called here. Pure.

use std::fmt;

use super::folded::key;

/// The columns of the template and the first ones of an export, in this order.
pub const PROFILE: [&str; 10] = [
    "username",
    "email",
    "first_name",
    "last_name",
    "display_name",
    "locale",
    "time_zone",
    "managed_apple_account",
    "enabled",
    "groups",
];
/// Only ever imported.
pub const PASSWORD: &str = "password";
/// Only ever exported: an import passes over them.
pub const STATUS: [&str; 8] = [
    "id",
    "source",
    "has_password",
    "invite_status",
    "last_invited_at",
    "device_count",
    "created_at",
    "updated_at",
];
/// In front of an attribute whose name is a column's own.
pub const ATTRIBUTE: &str = "attributes.";

/// A field of a user that a column can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Known {
    Username,
    Email,
    FirstName,
    LastName,
    DisplayName,
    Locale,
    TimeZone,
    AppleAccount,
    Enabled,
    Groups,
    Password,
}

impl Known {
    /// All, in the order of [`PROFILE`].
    pub const ALL: [Self; 11] = [
        Self::Username,
        Self::Email,
        Self::FirstName,
        Self::LastName,
        Self::DisplayName,
        Self::Locale,
        Self::TimeZone,
        Self::AppleAccount,
        Self::Enabled,
        Self::Groups,
        Self::Password,
    ];

    /// The field's own name.
    pub fn as_str(self) -> &'static str {
        PROFILE.get(self as usize).copied().unwrap_or(PASSWORD)
    }

    /// The field of exactly this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// The field whose name, [folded](key), this is.
    pub(super) fn of_key(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| key(known.as_str()) == name)
    }
}

/// What a column becomes.
#[derive(Debug, PartialEq, Eq, Hash, Clone)]
pub enum Column {
    Known(Known),
    Attribute(String),
    /// Last and first name in one cell, `Lind, Asa`.
    FamilyGiven,
    /// Nothing is taken from it.
    Left,
    /// Nobody says what its cells are, so nothing is taken from them.
    Nameless,
}

impl Column {
    /// The fields that it gives.
    pub(super) fn fields(&self) -> &[Known] {
        match self {
            Self::Known(known) => std::slice::from_ref(known),
            Self::FamilyGiven => &[Known::LastName, Known::FirstName],
            Self::Attribute(_) | Self::Left | Self::Nameless => &[],
        }
    }
}

/// As a report has it.
impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(known) => f.write_str(known.as_str()),
            Self::Attribute(name) => write!(f, "{ATTRIBUTE}{name}"),
            Self::FamilyGiven => f.write_str("last_name,first_name"),
            Self::Left | Self::Nameless => Ok(()),
        }
    }
}

/// Whether this, [folded](key), is a column that an import passes over.
pub(super) fn is_status(name: &str) -> bool {
    STATUS.iter().any(|status| key(status) == name)
}
