//! Mails that come back after a server had taken them, and the addresses to which nothing is sent because of it.
//!
//! A report is believed only with the token of our envelope address or envelope id
//! ([`return_path`](crate::secrets::return_path)): anybody may send us mail, and a forged report changes nothing.

pub mod domain;
pub mod http;
pub mod masking;
pub mod queries;
pub mod report;
pub mod suppressions;

use diesel::PgConnection;

use crate::{
    audit::Trail,
    db::DbError,
    secrets::{keys::KeyRing, return_path},
};
use domain::Taken;
use report::{Parts, Report};

/// Bytes of a report that are looked at: it begins with what counts, and ends with the mail that came back.
pub const LARGEST: usize = 1024 * 1024;

/// Takes a mail that may be a report, and does what it says. Runs inside a transaction.
///
/// # Errors
/// When the database is away: the same report may be brought again.
pub fn take(
    connection: &mut PgConnection,
    keys: &KeyRing,
    trail: &Trail,
    mail: &[u8],
) -> Result<Taken, DbError> {
    let parts = Parts::of(mail);
    let returned = return_path::find(keys, mail).or_else(|| {
        parts
            .decoded()
            .find_map(|part| return_path::find(keys, part))
    });
    let report = returned.and_then(|_| Report::read(mail, &parts));
    queries::apply(connection, keys, trail, returned, report.as_ref())
}

impl Taken {
    /// Writes the outcome into the log, once it is committed.
    pub fn log(&self) {
        tracing::info!(
            outcome = %self.outcome,
            message_id = self.message_id.map(tracing::field::display),
            invitation_id = self.invitation_id.map(tracing::field::display),
            suppressed = self.is_suppressed,
            "a delivery status report"
        );
    }
}
