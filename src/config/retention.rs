//! How long things are kept.

use chrono::TimeDelta;
use clap::Args;

use super::errors::ConfigErrors;
use crate::retention::Keep;

const KEEP_MESSAGES: &str = "ENLIST_KEEP_MESSAGES";
const KEEP_INVITATIONS: &str = "ENLIST_KEEP_INVITATIONS";
/// The variable with how long audit events are kept.
pub const KEEP_AUDIT: &str = "ENLIST_KEEP_AUDIT";
const DEFAULT_KEEP_MESSAGES: &str = "90";
const DEFAULT_KEEP_INVITATIONS: &str = "400";
const FOREVER: &str = "forever";
/// A century, in days: more is for ever.
const MOST_DAYS: i64 = 36_500;
/// Days that an invitation can live (PRODUCT §3).
const LONGEST_INVITATION: i64 = 30;

/// How long things are kept.
#[derive(Debug, Clone, Args)]
pub struct RetentionArgs {
    /// Days after which what mail servers said about messages is forgotten, or forever
    #[arg(long, env = KEEP_MESSAGES, default_value = DEFAULT_KEEP_MESSAGES)]
    pub keep_messages: String,
    /// Days after which batches of old invitations are forgotten, or forever
    #[arg(long, env = KEEP_INVITATIONS, default_value = DEFAULT_KEEP_INVITATIONS)]
    pub keep_invitations: String,
    /// Days after which audit events are forgotten, or forever
    #[arg(long, env = KEEP_AUDIT, default_value = FOREVER)]
    pub keep_audit: String,
}

impl Default for RetentionArgs {
    fn default() -> Self {
        Self {
            keep_messages: DEFAULT_KEEP_MESSAGES.to_owned(),
            keep_invitations: DEFAULT_KEEP_INVITATIONS.to_owned(),
            keep_audit: FOREVER.to_owned(),
        }
    }
}

impl RetentionArgs {
    pub(super) fn check(&self, wrong: &mut ConfigErrors) -> Option<Keep> {
        let messages = wrong.take(KEEP_MESSAGES, kept(&self.keep_messages, 1));
        let invitations = kept(&self.keep_invitations, LONGEST_INVITATION);
        let invitations = wrong.take(KEEP_INVITATIONS, invitations);
        let audit = wrong.take(KEEP_AUDIT, kept(&self.keep_audit, 1));
        Some(Keep {
            messages: messages?,
            invitations: invitations?,
            audit: audit?,
        })
    }
}

/// How long audit events are kept; `None`: for ever.
///
/// # Errors
/// When it is neither a number of days nor `forever`.
pub fn kept_audit(text: &str) -> Result<Option<TimeDelta>, ConfigErrors> {
    kept(text, 1).map_err(|wrong| ConfigErrors::one(KEEP_AUDIT, wrong))
}

/// So many days, or for ever.
fn kept(text: &str, least: i64) -> Result<Option<TimeDelta>, String> {
    if text == FOREVER {
        return Ok(None);
    }
    match text.parse() {
        Ok(days) if (least..=MOST_DAYS).contains(&days) => Ok(Some(TimeDelta::days(days))),
        _ => Err(format!(
            "`{text}` is neither a number of days from {least} to {MOST_DAYS} nor `{FOREVER}`"
        )),
    }
}
