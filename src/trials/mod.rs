//! Test mails: straight to the mail server, by the way that all mails take, told stage by stage.

pub mod domain;
pub mod http;
mod told;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use lettre::{Address, address::Envelope};
use uuid::Uuid;

use crate::{
    mail::{
        letter::Writer,
        smtp::{Acceptance, Failure, Passed, SmtpPool},
    },
    model::identity::Email,
    secrets::return_path,
};

/// How long all of it may take: somebody waits for the answer.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What it takes to send one.
pub struct Tester {
    pub writer: Arc<Writer>,
    pub smtp: SmtpPool,
    /// Where mails come back to; `None`: to whom they are from.
    pub bounces: Option<Address>,
}

/// Why there was no test mail, or nobody took it.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The mail cannot be made.
    #[error("the mail cannot be made: {0}")]
    Unmade(String),
    /// The mail server did not take it.
    #[error("{}", .0.shown())]
    Failed(Box<Failure>),
}

impl Tester {
    /// Sends a test mail. `told` hears of every stage that was passed.
    ///
    /// # Errors
    /// Where it ended, and why.
    pub async fn send(
        &self,
        to: &Email,
        id: Uuid,
        now: DateTime<Utc>,
        told: &mut (dyn FnMut(Passed) + Send),
    ) -> Result<Acceptance, TrialError> {
        let mail = self.writer.test_mail(to.as_str(), id, now);
        let mail = mail.map_err(TrialError::Unmade)?;
        let tag = tag();
        let envelope = self.envelope(mail.envelope(), &tag);
        let envelope = envelope.map_err(TrialError::Unmade)?;
        let bytes = mail.formatted();
        let sent = self.smtp.send_watched(&envelope, &tag, &bytes, LIMIT, told);
        sent.await
            .map_err(|failure| TrialError::Failed(Box::new(failure)))
    }

    /// Such a sender as other mails have, since a mail server may take one and not the other.
    fn envelope(&self, plain: &Envelope, tag: &str) -> Result<Envelope, String> {
        let Some(bounces) = &self.bounces else {
            return Ok(plain.clone());
        };
        let user = format!("{}+{tag}", bounces.user());
        let from = Address::new(user, bounces.domain()).map_err(|error| error.to_string())?;
        Envelope::new(Some(from), plain.to().to_vec()).map_err(|error| error.to_string())
    }
}

/// As long as the token of a message, and none.
fn tag() -> String {
    "test".chars().cycle().take(return_path::LENGTH).collect()
}
