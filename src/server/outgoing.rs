//! The way out for mails, as it is configured.

use crate::{
    clock::Clock,
    config::Mail,
    mail::smtp::{
        SmtpLimits, SmtpPool,
        oauth::{OauthLimits, TokenSource},
        trusted_roots,
    },
};

/// Connections to the mail server, none of them open yet.
///
/// # Errors
/// When certificates are to be checked and there is nothing to check them against.
pub fn pool(mail: &Mail, connections: usize, clock: &Clock) -> anyhow::Result<SmtpPool> {
    let tokens = mail.oauth.clone().map(|settings| {
        // The authority of a relay of one's own does not vouch for the token server: that gets the client's secret.
        let roots = trusted_roots(&[])?;
        let (limits, clock) = (OauthLimits::default(), clock.clone());
        anyhow::Ok(TokenSource::new(settings, roots, limits, clock)?)
    });
    Ok(SmtpPool::with_tokens(
        mail.smtp.clone(),
        connections,
        mail.hello.clone(),
        SmtpLimits::default(),
        &mail.authorities,
        tokens.transpose()?,
    )?)
}
