//! Inviting whom an import created.

use std::collections::BTreeMap;

use diesel::{PgConnection, dsl::count_star, prelude::*};
use uuid::Uuid;

use super::{error::ImportError, options::Options, report::Report, store::Done};
use crate::{
    invitations::{domain::Overrides, plan::SkipReason, send},
    schema::batch_skips,
    selection::domain::{Ids, Selection},
};

/// Invites whom the transaction created, if that is wanted.
pub(super) fn invite(
    connection: &mut PgConnection,
    options: &Options,
    done: &mut Done,
) -> Result<(), ImportError> {
    let Some(keys) = options.invite.as_ref().filter(|_| !done.created.is_empty()) else {
        return Ok(());
    };
    let selection = Selection {
        user_ids: Some(Ids(std::mem::take(&mut done.created))),
        ..Selection::default()
    };
    let sent = send::send(
        connection,
        &options.trail,
        keys.signing(),
        &selection,
        &Overrides::default(),
    )?;
    done.report.batch_ids.push(sent.batch_id);
    done.report.invited = sent.accepted_count;
    if sent.skipped_count > 0 {
        done.report.add(Report {
            not_invited: skipped(connection, sent.batch_id)?,
            ..Report::default()
        });
    }
    Ok(())
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
