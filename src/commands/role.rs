//! `--role`: what somebody may do.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use enlist::model::caller::Role;

/// Takes the name of a role.
pub fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::NAMES)
        .try_map(|name| Role::from_name(&name).ok_or("unknown role"))
}
