//! What a group is, and how its members change. Pure.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use deserr::Deserr;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    checked_text, list_query,
    model::{
        named::Named,
        search::SearchText,
        wire::{Fault, Faults, Patch, QueryTypes, line},
    },
    settings::reach::LostGroup,
    string_enum,
};

/// The most users of one change of members.
pub const MOST_CHANGES: usize = 10_000;

/// More faults than anybody reads.
const MOST_FAULTS: usize = 100;

checked_text!(
    /// A group's name: one line of 1 to 200 characters.
    GroupName,
    |text| line(text, 200)
);

string_enum! {
    /// The order of `GET /groups`; `-` in front turns it around.
    Sort {
        Name = "name",
        NameDescending = "-name",
    }
}

list_query!(
    /// The query of `GET /groups`.
    ListQuery() {
        /// A part of the name, without regard to case and accents.
        #[param(value_type = Option<String>, max_length = 200)]
        #[deserr(default)]
        pub q: Option<SearchText>,
        /// The order.
        #[param(inline)]
        #[deserr(default)]
        pub sort: Option<Sort>,
    }
);

/// The query of `DELETE /groups/{id}`.
#[derive(Debug, Clone, Copy, Deserr, IntoParams)]
#[deserr(error = Faults, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// Only say what would change.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    pub dry_run: bool,
}

impl QueryTypes for DeleteQuery {
    const FLAGS: &'static [&'static str] = &["dry_run"];
}

/// What the deletion of a group changes beside it.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupDeleted {
    /// The settings that were distributed to it, in the order of application.
    pub settings: Vec<LostGroup>,
}

/// The body of `POST /groups`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct CreateGroup {
    /// Unique; upper and lower case are the same.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    pub name: GroupName,
}

/// The body of `PATCH /groups/{id}`: a JSON merge patch (RFC 7396).
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct PatchGroup {
    /// Unique; upper and lower case are the same.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[deserr(default)]
    pub name: Patch<GroupName>,
}

impl PatchGroup {
    /// The new name, if there is to be one.
    ///
    /// # Errors
    /// For `null`: a group has a name, and no default one.
    pub fn name(self) -> Result<Option<GroupName>, Faults> {
        match self.name {
            Patch::Keep => Ok(None),
            Patch::Set(name) => Ok(Some(name)),
            Patch::Clear => {
                let mut faults = Faults::default();
                faults.push("/name", "required", "a group needs a name");
                Err(faults)
            }
        }
    }
}

/// The body of `POST /groups/{id}/members`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct ChangeMembers {
    /// Users who join; who is a member already stays one.
    #[schema(value_type = Vec<Uuid>, required = false, max_items = 10_000)]
    #[deserr(default)]
    pub add: Vec<Uuid>,
    /// Users who leave; who is no member is let be.
    #[schema(value_type = Vec<Uuid>, required = false, max_items = 10_000)]
    #[deserr(default)]
    pub remove: Vec<Uuid>,
}

impl ChangeMembers {
    /// Whether the change is one that can be made. A repeat inside a list counts once when it is
    /// made, and each time against the limit.
    ///
    /// # Errors
    /// More than 10,000 ids, or the same id in both lists.
    pub fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::default();
        let given = self.add.len() + self.remove.len();
        if given > MOST_CHANGES {
            let place = match (self.add.as_slice(), self.remove.as_slice()) {
                (_, []) => "/add",
                ([], _) => "/remove",
                _ => "",
            };
            faults.push(
                place,
                "too_many",
                format!("holds {given} ids; at most {MOST_CHANGES} are taken at once"),
            );
            return Err(faults);
        }
        let added: HashSet<&Uuid> = self.add.iter().collect();
        let in_both = self
            .remove
            .iter()
            .enumerate()
            .filter(|(_, id)| added.contains(id));
        for (index, _) in in_both.take(MOST_FAULTS) {
            faults.push(
                &format!("/remove/{index}"),
                "in_both_lists",
                "the same user is in `add`",
            );
        }
        if faults.0.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// Every user who is named.
    pub fn users(&self) -> impl Iterator<Item = Uuid> {
        self.add.iter().chain(&self.remove).copied()
    }

    /// A fault for every id that is not among `known`, up to a hundred.
    pub fn unknown(&self, known: &HashSet<Uuid>) -> Vec<Fault> {
        [("add", &self.add), ("remove", &self.remove)]
            .into_iter()
            .flat_map(|(list, ids)| ids.iter().enumerate().map(move |(at, id)| (list, at, id)))
            .filter(|(_, _, id)| !known.contains(id))
            .take(MOST_FAULTS)
            .map(|(list, index, _)| {
                Fault::new(
                    format!("/{list}/{index}"),
                    "unknown_id",
                    "there is no user with this id",
                )
            })
            .collect()
    }
}

/// The answer of `POST /groups/{id}/members`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MembersChanged {
    /// How many became members who were none before.
    pub added: usize,
    /// How many were members and are no more.
    pub removed: usize,
    /// How many members there are now.
    pub member_count: i64,
}

impl Named for Group {
    const NAME: &'static str = "group";
}

/// A group, as the API shows one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Group {
    pub id: Uuid,
    pub name: String,
    pub member_count: i64,
    pub created_at: DateTime<Utc>,
    /// When the name last changed; a change of members is none of the group itself.
    pub updated_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(add: &[u128], remove: &[u128]) -> ChangeMembers {
        let ids = |numbers: &[u128]| numbers.iter().copied().map(Uuid::from_u128).collect();
        ChangeMembers {
            add: ids(add),
            remove: ids(remove),
        }
    }

    fn places(faults: Faults) -> Vec<(String, &'static str)> {
        let faults = faults.0.into_iter();
        faults.map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn nobody_joins_and_leaves_at_once() {
        assert!(change(&[], &[]).check().is_ok());
        assert!(change(&[1, 1, 2], &[3, 3]).check().is_ok());
        let refused = change(&[1, 2], &[3, 2, 1, 2]).check().unwrap_err();
        assert_eq!(
            places(refused),
            [1, 2, 3].map(|index| (format!("/remove/{index}"), "in_both_lists"))
        );
        let all: Vec<u128> = (0..5_000).collect();
        assert_eq!(change(&all, &all).check().unwrap_err().0.len(), MOST_FAULTS);
    }

    #[test]
    fn ten_thousand_are_taken_and_no_more() {
        let ids: Vec<u128> = (0..=MOST_CHANGES as u128).collect();
        let (most, one_more) = (&ids[1..], &ids[..]);
        assert!(change(most, &[]).check().is_ok());
        assert!(change(&[], most).check().is_ok());
        for (refused, place) in [
            (change(one_more, &[]), "/add"),
            (change(&[], one_more), "/remove"),
            (change(most, &ids[..1]), ""),
        ] {
            let faults = places(refused.check().unwrap_err());
            assert_eq!(faults, [(place.to_owned(), "too_many")]);
        }
    }

    #[test]
    fn unknown_users_are_named_where_they_stand() {
        let known: HashSet<Uuid> = [1, 2].map(Uuid::from_u128).into();
        let faults = change(&[1, 7, 2], &[2, 8]).unknown(&known);
        let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/add/1", "/remove/1"]);
    }

    #[test]
    fn a_name_is_kept_set_and_never_taken_away() {
        let patch = |body| {
            crate::model::wire::parse::<PatchGroup>(body)
                .unwrap()
                .name()
        };
        assert_eq!(patch(json!({})).unwrap(), None);
        let set = patch(json!({"name": " Zoe\u{308} "})).unwrap().unwrap();
        assert_eq!(set.as_str(), "Zoë");
        assert_eq!(
            places(patch(json!({"name": null})).unwrap_err()),
            [("/name".to_owned(), "required")]
        );
    }
}
