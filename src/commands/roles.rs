//! `enlist database roles`: the SQL for an owner of the schema and a lesser role for the service.

use clap::{Args, Subcommand};
use enlist::db;

use super::out::print;

/// What can be done about the database itself.
#[derive(Subcommand)]
pub enum Database {
    /// Print the SQL that makes two roles, one that owns the schema and one for the service: for a superuser's psql
    Roles(RolesArgs),
}

/// What `database roles` takes.
#[derive(Args)]
pub struct RolesArgs {
    /// Who owns the schema; where tables are there already, whoever owns them
    #[arg(long, default_value = "enlist_owner", value_parser = name)]
    owner: String,
    /// Who the service is
    #[arg(long, default_value = "enlist_service", value_parser = name)]
    service: String,
}

impl Database {
    /// Does what the command is for.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Roles(RolesArgs { owner, service }) if owner == service => anyhow::bail!(
                "--owner and --service are both {owner}; the service's role is to own nothing"
            ),
            Self::Roles(RolesArgs { owner, service }) => print(&db::roles_sql(&owner, &service)),
        }
    }
}

/// A name that is the same with and without quotes.
fn name(text: &str) -> Result<String, &'static str> {
    let is_plain = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_plain && text.len() <= 63 {
        Ok(text.to_owned())
    } else {
        Err("has 1 to 63 lower-case letters, digits and `_`, and does not begin with a digit")
    }
}
