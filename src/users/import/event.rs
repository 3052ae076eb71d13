//! What the audit log says of an import.

use diesel::PgConnection;
use serde_json::json;

use super::{options::Options, report::Report};
use crate::{
    audit::domain::{Action, Event, SubjectKind},
    db::DbError,
};

/// Writes down who imported how many, in the transaction that stores them: of what is cut off in the middle the log has what
/// is there. Where nobody was stored, nothing was done.
pub(super) fn record(
    connection: &mut PgConnection,
    options: &Options,
    report: &Report,
) -> Result<(), DbError> {
    if report.created + report.updated == 0 {
        return Ok(());
    }
    let event = Event::new(Action::UsersImported, SubjectKind::User, None).after(&json!({
        "created": report.created, "updated": report.updated, "skipped": report.skipped,
        "failed": report.failed, "invite": options.invite.is_some(),
    }));
    options.trail.record(connection, &event)
}
