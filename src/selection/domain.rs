//! Which users: ids, groups and filters, as lists, previews and sends take them. Pure.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::model::{
    identity::Source,
    invitation::InviteStatus,
    search::{SearchText, SearchWords},
    wire::Faults,
};

/// Which users: the filters of `GET /users`, and of `filter` in a selection. All must hold.
#[derive(Debug, Clone, Default, Serialize, Deserr, ToSchema, IntoParams)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserFilter {
    /// Up to eight words in up to 200 characters. Each must be found, in any order, as a part of the username, the e-mail
    /// address or one of the names, without regard to case and accents; `"…"` keeps a phrase together.
    #[schema(value_type = Option<String>, max_length = 200)]
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
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    #[deserr(default)]
    pub locale: Option<SearchText>,
    /// `true`: users whose username or address an older user has. `false`: all others.
    #[deserr(default)]
    // A cursor from before knows no such filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_clash: Option<bool>,
}

impl UserFilter {
    /// Whether the best way to find the users depends on the values: on how many hold a word, are in a
    /// group or were invited. The other filters have no index, so every value is looked for alike.
    pub fn is_selective(&self) -> bool {
        self.q.is_some() || self.group.is_some() || self.invite_status.is_some()
    }
}

/// The most recipients of one request.
pub const MOST_RECIPIENTS: usize = 100_000;

/// Ids of a selection: up to 100,000, repeats count once.
#[derive(Debug, Default)]
pub struct Ids(pub Vec<Uuid>);

impl Deserr<Faults> for Ids {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        let ids = <Vec<Uuid> as Deserr<Faults>>::deserialize_from_value(value, location)?;
        if ids.len() > MOST_RECIPIENTS {
            return Err(Faults::at(
                location,
                "too_many",
                format!(
                    "holds {} ids; at most {MOST_RECIPIENTS} are taken at once",
                    ids.len()
                ),
            ));
        }
        Ok(Self(ids))
    }
}

/// Which users: the union of all that is given, each user once. By itself the body of
/// `POST /invitations/pins`.
#[derive(Debug, Default, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// These users.
    #[schema(value_type = Option<Vec<Uuid>>, max_items = 100_000)]
    #[deserr(default)]
    pub user_ids: Option<Ids>,
    /// The members of these groups.
    #[schema(value_type = Option<Vec<Uuid>>, max_items = 100_000)]
    #[deserr(default)]
    pub group_ids: Option<Ids>,
    /// All who match; `{}` matches every user.
    #[deserr(default)]
    pub filter: Option<UserFilter>,
}

/// So many users are many.
const MANY: usize = 10_000;

impl Selection {
    /// Whether it may be of more users than are read and written in a moment.
    pub fn may_be_large(&self) -> bool {
        let ids = self.user_ids.as_ref().map_or(0, |ids| ids.0.len());
        ids > MANY || self.group_ids.is_some() || self.filter.is_some()
    }

    /// Whether nothing was given to select by.
    pub fn is_empty(&self) -> bool {
        let none = |ids: &Option<Ids>| ids.as_ref().is_none_or(|ids| ids.0.is_empty());
        none(&self.user_ids) && none(&self.group_ids) && self.filter.is_none()
    }
}
