//! A setting as a resource: what requests say of one, and what answers show. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::{Distribution, Priority, SettingName};
use crate::{
    list_query,
    model::{named::Named, wire::Faults},
};

/// The priority of a custom setting whose request names none.
pub const USUAL_PRIORITY: u32 = 100;

/// The most users whom one setting names; a group holds any number.
pub const MOST_USERS: usize = 10_000;

/// The most groups that one setting is distributed to.
pub const MOST_GROUPS: usize = 1_000;

/// What every default is called.
pub const DEFAULT_NAME: &str = "Default";

list_query!(
    /// The query of `GET /settings/{kind}`.
    ListQuery() {
    }
);

/// What every kind of setting has, as a body says it.
#[derive(Debug, Default)]
pub struct Common {
    pub name: Option<SettingName>,
    pub priority: Option<Priority>,
    pub distribution: Option<Distribution>,
    /// As an answer showed it.
    pub id: Option<String>,
    /// Which of the fields that only answers have is given.
    pub times: Vec<&'static str>,
}

/// What makes a setting a custom one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    pub name: SettingName,
    pub priority: u32,
    /// Sorted, each once.
    pub distribution: Distribution,
}

impl Common {
    /// What is said of a new custom setting.
    pub fn created(self, faults: &mut Faults) -> Option<Custom> {
        let given = self.id.as_ref().map(|_| "id");
        for field in given.into_iter().chain(self.times.iter().copied()) {
            let place = format!("/{field}");
            faults.push(
                &place,
                "read_only",
                "is not chosen by who creates a setting",
            );
        }
        self.custom(faults)
    }

    /// What is said of the setting with this id; `None` for the default, of which there is nothing to say.
    pub fn changed(self, id: SettingId, faults: &mut Faults) -> Option<Custom> {
        if self
            .id
            .as_ref()
            .is_some_and(|given| *given != id.to_string())
        {
            faults.push(
                "/id",
                "read_only",
                "is not the id in the path, and cannot be changed",
            );
        }
        match id {
            SettingId::Default => {
                self.default(faults);
                None
            }
            SettingId::Custom(_) => self.custom(faults),
        }
    }

    fn custom(self, faults: &mut Faults) -> Option<Custom> {
        if self.name.is_none() {
            faults.push("/name", "required", "a custom setting needs a name");
        }
        let mut distribution = self.distribution.unwrap_or_default();
        for (place, ids, most) in [
            (
                "/distribution/group_ids",
                &mut distribution.group_ids,
                MOST_GROUPS,
            ),
            (
                "/distribution/user_ids",
                &mut distribution.user_ids,
                MOST_USERS,
            ),
        ] {
            if ids.len() > most {
                let detail = format!("holds {} ids; at most {most} are taken", ids.len());
                faults.push(place, "too_many", detail);
            }
        }
        for ids in [&mut distribution.group_ids, &mut distribution.user_ids] {
            ids.sort_unstable();
            ids.dedup();
        }
        Some(Custom {
            name: self.name?,
            priority: self.priority.map_or(USUAL_PRIORITY, Priority::get),
            distribution,
        })
    }

    fn default(self, faults: &mut Faults) {
        let is_other = |name: SettingName| name.as_str() != DEFAULT_NAME;
        if self.name.is_some_and(is_other) {
            faults.push(
                "/name",
                "not_changeable",
                "the default's name cannot be changed",
            );
        }
        if self.priority.is_some() {
            faults.push(
                "/priority",
                "not_changeable",
                "the default has no priority: it applies to whom no custom setting does",
            );
        }
        if self
            .distribution
            .is_some_and(|distribution| !distribution.is_empty())
        {
            faults.push(
                "/distribution",
                "not_changeable",
                "the default has no distribution: it applies to whom no custom setting does",
            );
        }
    }
}

/// Which setting of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingId {
    /// The one for everybody to whom no custom one applies.
    Default,
    Custom(Uuid),
}

impl SettingId {
    /// The id of a custom one.
    pub fn custom(self) -> Option<Uuid> {
        match self {
            Self::Default => None,
            Self::Custom(id) => Some(id),
        }
    }

    /// As it stands in a path.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "default" => Some(Self::Default),
            text => Uuid::try_parse(text).ok().map(Self::Custom),
        }
    }
}

impl std::fmt::Display for SettingId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Custom(id) => id.fmt(f),
        }
    }
}

impl Serialize for SettingId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<C> Named for Setting<C> {
    const NAME: &'static str = "setting";
}

/// A setting, as the API shows one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Setting<C> {
    /// A UUID; the default's is `default`.
    #[schema(value_type = String, examples("default"))]
    pub id: SettingId,
    pub name: String,
    /// The lower number applies first; the default has none and comes last.
    #[schema(required)]
    pub priority: Option<u32>,
    /// To whom it applies; `null` for the default: everybody to whom no custom one does.
    #[schema(required)]
    pub distribution: Option<Distribution>,
    #[serde(flatten)]
    pub content: C,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}
