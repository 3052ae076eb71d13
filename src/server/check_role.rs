//! What `enlist check` says of the service's role: whether it may do what the service needs, and no more.

use super::findings::{Findings, Verdict};
use crate::{
    config::{DATABASE_URL, MIGRATE_URL},
    db::{Db, Excess},
};

/// What is known of the roles before the service's own is looked at.
pub(super) struct Roles {
    /// Whether the owner has a URL of its own.
    pub(super) are_two: bool,
    /// Whether the next start grants what is missing, and takes what is more.
    pub(super) will_grant: bool,
    /// Whether the service made the role, and the server, for itself.
    pub(super) is_embedded: bool,
}

/// Says whether the service's role may do what the service needs, and no more. Gives whether nothing is missing.
pub(super) async fn role(db: &Db, roles: &Roles, found: &mut Findings<'_>) -> bool {
    let powers = match db.powers().await {
        Err(error) => {
            found.say(Verdict::Failed, error.to_string());
            return false;
        }
        Ok(powers) => powers,
    };
    if !roles.is_embedded {
        excess(&powers.excess, roles, found);
    }
    if powers.is_owner && roles.are_two {
        found.say(
            Verdict::Warning,
            format!("it owns the tables, though {MIGRATE_URL} is there: {DATABASE_URL} is to name a lesser one"),
        );
    } else if powers.is_owner {
        found.say(
            Verdict::Ok,
            "it owns the tables: whoever takes the service over may rewrite them, the audit log too; `enlist database \
             roles` prints the SQL for a lesser one",
        );
    } else if !powers.missing.is_empty() {
        let listed = listed(&powers.missing);
        let (verdict, text) = if roles.will_grant {
            (
                Verdict::Warning,
                format!("it may not {listed} yet; the next start grants it"),
            )
        } else {
            (
                Verdict::Failed,
                format!(
                    "it may not {listed}: run `enlist migrate` with this role in {DATABASE_URL} and the owner in {MIGRATE_URL}"
                ),
            )
        };
        found.say(verdict, text);
    } else if powers.excess.is_empty() {
        found.say(
            Verdict::Ok,
            "it owns nothing, and may do what the service needs and no more",
        );
    }
    powers.missing.is_empty()
}

/// What is too much, a line for each remedy.
fn excess(all: &[Excess], roles: &Roles, found: &mut Findings<'_>) {
    let mut rest: Vec<&Excess> = all.iter().collect();
    while let Some(remedy) = rest.first().map(|excess| &excess.remedy) {
        let (same, others): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|excess| excess.remedy == *remedy);
        let whats: Vec<String> = same.iter().map(|excess| excess.what.clone()).collect();
        let remedy = match remedy {
            Some(sql) => format!("have a superuser run `{sql}`"),
            None if roles.will_grant => "the next start takes it".to_owned(),
            None => format!("run `enlist migrate` with the owner in {MIGRATE_URL}, which takes it"),
        };
        let whats = listed(&whats);
        found.say(
            Verdict::Warning,
            format!("it may {whats}, which the service does not need: {remedy}"),
        );
        rest = others;
    }
}

/// The first few of many.
fn listed(all: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = all[..all.len().min(SHOWN)].join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
