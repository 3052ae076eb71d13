//! Inviting whom an import created, and what would come of that.

use std::collections::{BTreeMap, HashSet};

use diesel::{PgConnection, dsl::count_star, prelude::*};
use uuid::Uuid;

use super::{error::ImportError, options::Options, report::Report};
use crate::{
    db::DbError,
    invitations::{
        domain::Overrides,
        plan::{Decision, MailsADay, Plan, Recipient, SkipReason},
        send,
    },
    model::identity::name_key,
    schema::{batch_skips, suppressions},
    secrets::keys::KeyRing,
    selection::domain::{Ids, Selection},
    settings,
};

/// Invites whom the transaction created, if that is wanted. Gives what the report says of it.
pub(super) fn invite(
    connection: &mut PgConnection,
    options: &Options,
    created: Vec<Uuid>,
) -> Result<Report, ImportError> {
    let Some(keys) = options.invite.as_ref().filter(|_| !created.is_empty()) else {
        return Ok(Report::default());
    };
    let selection = Selection {
        user_ids: Some(Ids(created)),
        ..Selection::default()
    };
    let sent = send::send(
        connection,
        &options.trail,
        keys,
        &selection,
        &Overrides::default(),
        // Who is new was mailed nothing yet.
        MailsADay::default(),
    )?;
    Ok(Report {
        batch_ids: vec![sent.batch_id],
        invited: sent.accepted_count,
        not_invited: match sent.skipped_count {
            0 => BTreeMap::new(),
            _ => skipped(connection, sent.batch_id)?,
        },
        ..Report::default()
    })
}

/// How many of a batch were not invited, and why.
fn skipped(
    connection: &mut PgConnection,
    batch: Uuid,
) -> Result<BTreeMap<SkipReason, usize>, ImportError> {
    let counts: Vec<(String, i64)> = batch_skips::table
        .filter(batch_skips::batch_id.eq(batch))
        .group_by(batch_skips::reason)
        .select((batch_skips::reason, count_star()))
        .load(connection)?;
    let counts = counts.into_iter();
    Ok(counts
        .filter_map(|(reason, count)| {
            let count = usize::try_from(count).unwrap_or_default();
            Some((SkipReason::from_name(&reason)?, count))
        })
        .collect())
}

/// Somebody who would be created.
pub(super) struct Newcomer {
    pub(super) id: Uuid,
    pub(super) email: Option<String>,
    pub(super) enabled: bool,
    pub(super) has_password: bool,
    /// The names of the groups that the user would be in.
    pub(super) groups: Vec<String>,
}

/// How many of these nobody could invite, and why: decided as when sending, in four statements whatever their number.
///
/// # Errors
/// When the database is away.
pub(super) fn uninvited(
    connection: &mut PgConnection,
    keys: &KeyRing,
    newcomers: &[Newcomer],
) -> Result<BTreeMap<SkipReason, usize>, DbError> {
    let rules = settings::queries::rules(connection, keys)?;
    let plan = Plan::of(&rules, &Overrides::default(), MailsADay::default());
    let mut groups: Vec<String> = newcomers
        .iter()
        .flat_map(|new| new.groups.clone())
        .collect();
    groups.sort_unstable();
    groups.dedup();
    let by_group = settings::queries::which_by_group(connection, &rules, &groups)?;
    let addresses: Vec<String> = newcomers
        .iter()
        .filter_map(|new| Some(name_key(new.email.as_ref()?)))
        .collect();
    let suppressed: HashSet<String> = suppressions::table
        .filter(suppressions::email.eq_any(addresses))
        .select(suppressions::email)
        .load(connection)?
        .into_iter()
        .collect();
    let mut counts = BTreeMap::new();
    for new in newcomers {
        let groups = new.groups.iter().filter_map(|name| by_group.get(name));
        let recipient = Recipient {
            user_id: new.id,
            has_email: new.email.is_some(),
            is_suppressed: new
                .email
                .as_ref()
                .is_some_and(|email| suppressed.contains(&name_key(email))),
            is_mailed_too_often: false,
            enabled: new.enabled,
            has_password: new.has_password,
            lang: plan.lang_for(None),
            which: groups.fold(rules.defaults(), |which, other| which.min(*other)),
            devices: 0,
        };
        if let Decision::Skip(reason) = plan.decide(&recipient) {
            *counts.entry(reason).or_default() += 1;
        }
    }
    Ok(counts)
}
