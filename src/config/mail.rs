//! The mail server, and the addresses that mails carry.

mod tls;

use std::path::PathBuf;

use clap::Args;
use lettre::{Address, message::Mailbox, transport::smtp::extension::ClientId};
use secrecy::{ExposeSecret, SecretString};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{errors::ConfigErrors, oauth::OauthArgs};
use crate::{
    mail::smtp::{SmtpUrl, oauth::OauthSettings},
    model::identity::{Email, LONGEST, in_ascii_domain},
    secrets::return_path,
};

const SMTP_URL: &str = "ENLIST_SMTP_URL";
const SMTP_HELO: &str = "ENLIST_SMTP_HELO";
const SMTP_CA: &str = "ENLIST_SMTP_CA";
const MAIL_FROM: &str = "ENLIST_MAIL_FROM";
const MAIL_REPLY_TO: &str = "ENLIST_MAIL_REPLY_TO";
const MAIL_BOUNCES: &str = "ENLIST_MAIL_BOUNCES";

/// Through which server mails go, and who they are from.
#[derive(Debug, Clone, Default, Args)]
pub struct MailArgs {
    /// The mail server: smtp://user:password@host:587?tls=required, smtps://…, smtp://127.0.0.1:1025
    #[arg(long, env = SMTP_URL, hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// What this machine is called to the mail server: a host name or [192.0.2.1] [default: its own full name, else the sender's domain]
    #[arg(long, env = SMTP_HELO)]
    pub smtp_helo: Option<String>,
    /// A PEM file of authorities that may vouch for the mail server, besides the machine's own
    #[arg(long, env = SMTP_CA)]
    pub smtp_ca: Option<PathBuf>,
    /// Who mails are from: Example IT <it@example.com> [default: <org name> <enlist@localhost>]
    #[arg(long, env = MAIL_FROM)]
    pub mail_from: Option<String>,
    /// Where answers to mails go
    #[arg(long, env = MAIL_REPLY_TO)]
    pub mail_reply_to: Option<String>,
    /// Where mails come back to: bounces@example.com gets them as bounces+…@example.com [default: who they are from]
    #[arg(long, env = MAIL_BOUNCES)]
    pub mail_bounces: Option<String>,
    /// Where access tokens for the mail server come from.
    #[command(flatten)]
    pub oauth: OauthArgs,
}

/// Through which server mails go, and who they are from, checked.
pub struct Mail {
    /// The mail server.
    pub smtp: SmtpUrl,
    /// What this machine is called there.
    pub hello: ClientId,
    /// Who may vouch for the mail server besides the authorities that the machine knows.
    pub authorities: Vec<CertificateDer<'static>>,
    /// What is taken, and should be said at the start.
    pub warnings: Vec<String>,
    /// Who mails are from, as people read it.
    pub from: Mailbox,
    /// Where answers go, as people read it. `None`: to the sender.
    pub reply_to: Option<Mailbox>,
    /// Where mails come back to, as mail servers read it. `None`: to the sender.
    pub bounces: Option<Address>,
    /// Where access tokens for the mail server come from. `None`: it wants a password or nothing.
    pub oauth: Option<OauthSettings>,
}

impl Mail {
    /// Whether it was said who mails are from.
    pub fn has_sender(&self) -> bool {
        AsRef::<str>::as_ref(&self.from.email) != NOBODY
    }
}

/// Who mails are from where nothing is said.
const NOBODY: &str = "enlist@localhost";

impl MailArgs {
    pub(super) fn check(&self, org_name: &str, wrong: &mut ConfigErrors) -> Option<Mail> {
        let smtp = wrong.take(SMTP_URL, self.smtp());
        let authorities = self.smtp_ca.as_deref().map(tls::authorities).transpose();
        let authorities = authorities.and_then(|given| match (&smtp, given) {
            (Some(smtp), Some(_)) if !smtp.checks_certificate() => Err(UNCHECKED.to_owned()),
            (_, given) => Ok(given.unwrap_or_default()),
        });
        let authorities = wrong.take(SMTP_CA, authorities);
        let from = wrong.take(MAIL_FROM, self.from(org_name));
        let hello = self.smtp_helo.as_deref().map(hello).transpose();
        let hello = wrong.take(SMTP_HELO, hello);
        let reply_to = self.mail_reply_to.as_deref().map(mailbox).transpose();
        let reply_to = wrong.take(MAIL_REPLY_TO, reply_to);
        let bounces = self.mail_bounces.as_deref().map(return_address).transpose();
        let bounces = wrong.take(MAIL_BOUNCES, bounces);
        let oauth = self.oauth.check(wrong);
        let (from, authorities) = (from?, authorities?);
        Some(Mail {
            smtp: smtp?,
            hello: hello?.unwrap_or_else(|| own_name(ClientId::default(), &from)),
            warnings: tls::surprises(&authorities)
                .into_iter()
                .map(|surprise| format!("{SMTP_CA}: {surprise}"))
                .collect(),
            authorities,
            from,
            reply_to: reply_to?,
            bounces: bounces?,
            oauth: oauth?,
        })
    }

    fn smtp(&self) -> Result<SmtpUrl, String> {
        let url = self
            .smtp_url
            .as_ref()
            .map(ExposeSecret::expose_secret)
            .filter(|url| !url.is_empty())
            .ok_or(
                "is not set; give the mail server, as smtp://user:password@host:587?tls=required",
            )?;
        let url = if self.oauth.is_given() {
            SmtpUrl::with_token(url)
        } else {
            url.parse()
        };
        url.map_err(|error| error.to_string())
    }

    fn from(&self, org_name: &str) -> Result<Mailbox, String> {
        match self.mail_from.as_deref() {
            Some(text) => mailbox(text),
            None => Ok(Mailbox {
                name: Some(org_name.trim().to_owned()),
                ..mailbox(NOBODY)?
            }),
        }
    }
}

const UNCHECKED: &str = "does nothing: with this ENLIST_SMTP_URL the mail server's certificate is not checked; add ?tls=required \
     to the URL, or leave this out";

/// A mailbox of ours, its address in letters.
fn mailbox(text: &str) -> Result<Mailbox, String> {
    let mailbox: Mailbox = text.parse().map_err(|error| {
        format!(
            "`{text}` is not a mailbox ({error}); expected one such as: Example IT <it@example.com>"
        )
    })?;
    let address = own(mailbox.email.as_ref())?;
    Ok(Mailbox {
        email: address
            .parse()
            .map_err(|error| format!("`{address}`: {error}"))?,
        ..mailbox
    })
}

/// An address that every mail server can take, in letters: ASCII before the @, and behind it what has a form in ASCII.
fn own(text: &str) -> Result<String, String> {
    let address = Email::parse(text).map_err(|flaw| format!("`{text}` {}", flaw.detail))?;
    let local = address.as_str().rsplit('@').next_back().unwrap_or_default();
    match local.chars().find(|c| !c.is_ascii()) {
        None => Ok(address.as_str().to_owned()),
        Some(c) => Err(format!(
            "`{text}` holds `{c}` before the @: mail servers without SMTPUTF8 would refuse every mail; give an address with \
             nothing but ASCII there, such as it@example.com"
        )),
    }
}

/// An address whose local part has room for a token behind a plus sign (RFC 5321 §4.5.3.1.1).
fn return_address(text: &str) -> Result<Address, String> {
    const TOKEN: usize = 1 + return_path::LENGTH;
    const ROOM: usize = 64 - TOKEN;
    let address = own(text)?;
    let address = in_ascii_domain(&address)
        .ok_or_else(|| format!("`{text}` has no name of a mail server behind the @"))?;
    let address: Address = address.parse().map_err(|error| {
        format!("`{text}` is not an address ({error}); expected one such as bounces@example.com")
    })?;
    if address.user().len() > ROOM {
        return Err(format!(
            "`{text}` has to have at most {ROOM} characters before the @: a token comes behind them"
        ));
    }
    if AsRef::<str>::as_ref(&address).len() > LONGEST - TOKEN {
        return Err(format!(
            "`{text}` has to have at most {} characters in A-labels: a token comes before the @",
            LONGEST - TOKEN
        ));
    }
    Ok(address)
}

/// What is said in EHLO: a host name, or an address in brackets (RFC 5321 §4.1.1.1, §4.1.3).
fn hello(text: &str) -> Result<ClientId, String> {
    let text = text.trim();
    let literal = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let told = match literal {
        None => host_name(text).map(ClientId::Domain),
        Some(address) => match address.split_at_checked(IPV6.len()) {
            Some((tag, address)) if tag.eq_ignore_ascii_case(IPV6) => {
                address.parse().ok().map(ClientId::Ipv6)
            }
            _ => address.parse().ok().map(ClientId::Ipv4),
        },
    };
    told.ok_or_else(|| {
        format!(
            "`{text}` must be this machine's host name, such as enlist.example.com, or its address in brackets: [192.0.2.1] or \
             [IPv6:2001:db8::1]"
        )
    })
}

const IPV6: &str = "IPv6:";

/// A host name in A-labels: letters, digits and hyphens (RFC 5321 §2.3.5), and no address.
fn host_name(text: &str) -> Option<String> {
    let name = idna::domain_to_ascii_strict(text.strip_suffix('.').unwrap_or(text)).ok()?;
    matches!(url::Host::parse(&name), Ok(url::Host::Domain(_))).then_some(name)
}

/// What is said where nothing else is asked for: the machine's name if others may know it, else the sender's domain.
fn own_name(machine: ClientId, from: &Mailbox) -> ClientId {
    let of_machine = match machine {
        ClientId::Domain(name) => host_name(&name),
        _ => None,
    };
    let is_known = |name: &String| {
        // What distributions call a machine that was given no name.
        name.contains('.') && !name.starts_with("localhost.") && !name.ends_with(".localdomain")
    };
    let name = of_machine
        .filter(is_known)
        .or_else(|| host_name(from.email.domain()))
        .unwrap_or_else(|| "localhost".to_owned());
    ClientId::Domain(name)
}

#[cfg(test)]
mod tests;
