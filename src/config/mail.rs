//! The mail server, and the addresses that mails carry.

use clap::Args;
use lettre::{Address, message::Mailbox};
use secrecy::{ExposeSecret, SecretString};

use super::errors::ConfigErrors;
use crate::{mail::smtp::SmtpUrl, secrets::return_path};

const SMTP_URL: &str = "ENLIST_SMTP_URL";
const MAIL_FROM: &str = "ENLIST_MAIL_FROM";
const MAIL_REPLY_TO: &str = "ENLIST_MAIL_REPLY_TO";
const MAIL_BOUNCES: &str = "ENLIST_MAIL_BOUNCES";

/// Through which server mails go, and who they are from.
#[derive(Debug, Clone, Default, Args)]
pub struct MailArgs {
    /// The mail server: smtp://user:password@host:587?tls=required, smtps://…, smtp://127.0.0.1:1025
    #[arg(long, env = SMTP_URL, hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// Who mails are from: Example IT <it@example.com> [default: <org name> <enlist@localhost>]
    #[arg(long, env = MAIL_FROM)]
    pub mail_from: Option<String>,
    /// Where answers to mails go
    #[arg(long, env = MAIL_REPLY_TO)]
    pub mail_reply_to: Option<String>,
    /// Where mails come back to: bounces@example.com gets them as bounces+…@example.com [default: who they are from]
    #[arg(long, env = MAIL_BOUNCES)]
    pub mail_bounces: Option<String>,
}

/// Through which server mails go, and who they are from, checked.
pub struct Mail {
    /// The mail server.
    pub smtp: SmtpUrl,
    /// Who mails are from.
    pub from: Mailbox,
    /// Where answers go. `None`: to the sender.
    pub reply_to: Option<Mailbox>,
    /// Where mails come back to. `None`: to the sender.
    pub bounces: Option<Address>,
}

impl MailArgs {
    pub(super) fn check(&self, org_name: &str, wrong: &mut ConfigErrors) -> Option<Mail> {
        let smtp = wrong.take(SMTP_URL, self.smtp());
        let from = wrong.take(MAIL_FROM, self.from(org_name));
        let reply_to = self.mail_reply_to.as_deref().map(mailbox).transpose();
        let reply_to = wrong.take(MAIL_REPLY_TO, reply_to);
        let bounces = self.mail_bounces.as_deref().map(return_address).transpose();
        let bounces = wrong.take(MAIL_BOUNCES, bounces);
        Some(Mail {
            smtp: smtp?,
            from: from?,
            reply_to: reply_to?,
            bounces: bounces?,
        })
    }

    fn smtp(&self) -> Result<SmtpUrl, String> {
        self.smtp_url
            .as_ref()
            .map(ExposeSecret::expose_secret)
            .filter(|url| !url.is_empty())
            .ok_or(
                "is not set; give the mail server, as smtp://user:password@host:587?tls=required",
            )?
            .parse::<SmtpUrl>()
            .map_err(|error| error.to_string())
    }

    fn from(&self, org_name: &str) -> Result<Mailbox, String> {
        match self.mail_from.as_deref() {
            Some(text) => mailbox(text),
            None => Ok(Mailbox {
                name: Some(org_name.trim().to_owned()),
                ..mailbox("enlist@localhost")?
            }),
        }
    }
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error| {
        format!(
            "`{text}` is not a mailbox ({error}); expected one such as: Example IT <it@example.com>"
        )
    })
}

/// An address whose local part has room for a token behind a plus sign (RFC 5321 §4.5.3.1.1).
fn return_address(text: &str) -> Result<Address, String> {
    const ROOM: usize = 64 - 1 - return_path::LENGTH;
    let address: Address = text.parse().map_err(|error| {
        format!("`{text}` is not an address ({error}); expected one such as bounces@example.com")
    })?;
    if address.user().len() > ROOM || !text.is_ascii() {
        return Err(format!(
            "`{text}` has to have at most {ROOM} characters before the @, all of them ASCII: a token comes behind them"
        ));
    }
    Ok(address)
}
