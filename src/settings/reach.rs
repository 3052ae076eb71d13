//! Whom settings reach: what applies to a user and why, and what is lost with a group. Pure.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    domain::{Confirmation, Kind, Reminder},
    resource::SettingId,
};
use crate::{
    model::{identity::GroupRef, named::Named, registration::Registration},
    string_enum,
};

string_enum! {
    /// Why a setting applies to a user.
    SettingReason {
        /// No custom setting holds the user.
        Default = "default",
        /// Its distribution names the user.
        User = "user",
        /// Its distribution names a group that the user is in.
        Group = "group",
    }
}

/// Where what applies to a user comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SettingSource)]
pub struct Source {
    /// The setting's id; `default` for the default.
    #[schema(value_type = String, examples("default"))]
    pub id: SettingId,
    pub name: String,
    #[schema(required)]
    pub priority: Option<u32>,
    pub reason: SettingReason,
    /// The group by which it applies, where that is the reason; of several the first by name.
    #[schema(required)]
    pub group: Option<GroupRef>,
}

/// What applies to a user, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sourced<C> {
    #[serde(flatten)]
    pub content: C,
    pub source: Source,
}

/// They are those of a user, who is what may be missing.
impl Named for UserSettings {
    const NAME: &'static str = "user";
}

/// The answer of `GET /users/{id}/settings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UserSettings {
    pub registration: Sourced<Registration>,
    pub reminder: Sourced<Reminder>,
    pub confirmation: Sourced<Confirmation>,
}

/// A setting that a deleted group is no longer in the distribution of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LostGroup {
    pub kind: Kind,
    #[schema(value_type = Uuid)]
    pub id: SettingId,
    pub name: String,
    /// How many users it no longer holds: members of the group whom it names neither singly nor by another group.
    pub user_count: i64,
}
