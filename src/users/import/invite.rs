//! Inviting whom an import created.

use diesel::PgConnection;

use super::{error::ImportError, options::Options, store::Done};
use crate::{
    invitations::{domain::Overrides, send},
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
    Ok(())
}
