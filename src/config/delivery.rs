//! How fast mails go out.

use std::{num::NonZeroU32, time::Duration};

use clap::Args;

use super::{errors::ConfigErrors, values::number};
use crate::invitations::plan::MailsADay;

const MAIL_CONNECTIONS: &str = "ENLIST_MAIL_CONNECTIONS";
const MAIL_RATE: &str = "ENLIST_MAIL_RATE";
const MAIL_PER_USER_DAY: &str = "ENLIST_MAIL_PER_USER_DAY";
const DEFAULT_MAIL_CONNECTIONS: &str = "8";
const DEFAULT_MAIL_PER_USER_DAY: &str = "20";
const PROBE_EVERY: Duration = Duration::from_secs(60);
/// SMTP connections of one instance, however many are asked for.
const MOST_CONNECTIONS: u32 = 256;

/// How fast mails go out.
#[derive(Debug, Clone, Args)]
pub struct DeliveryArgs {
    /// SMTP connections of this instance
    #[arg(long, env = MAIL_CONNECTIONS, default_value = DEFAULT_MAIL_CONNECTIONS)]
    pub mail_connections: String,
    /// Mails a second over all instances [default: no limit]
    #[arg(long, env = MAIL_RATE)]
    pub mail_rate: Option<String>,
    /// Invitation mails that a user gets within 24 hours, over all sends and resends; PINs on request use up none of them
    #[arg(long, env = MAIL_PER_USER_DAY, default_value = DEFAULT_MAIL_PER_USER_DAY)]
    pub mail_per_user_day: String,
}

/// How fast mails go out, checked.
pub struct Delivery {
    /// SMTP connections of this instance.
    pub connections: usize,
    /// Messages a second over all instances. `None`: as many as there are.
    pub rate: Option<NonZeroU32>,
    /// Invitation mails that a user gets within 24 hours.
    pub mails_a_day: MailsADay,
    /// How often a mail server that refuses all is asked (PRODUCT §7). No setting: a test has no minute.
    pub probe_every: Duration,
}

impl Default for DeliveryArgs {
    fn default() -> Self {
        Self {
            mail_connections: DEFAULT_MAIL_CONNECTIONS.to_owned(),
            mail_rate: None,
            mail_per_user_day: DEFAULT_MAIL_PER_USER_DAY.to_owned(),
        }
    }
}

impl DeliveryArgs {
    pub(super) fn check(&self, wrong: &mut ConfigErrors) -> Option<Delivery> {
        let connections = wrong.take(MAIL_CONNECTIONS, number(&self.mail_connections));
        let rate = self.mail_rate.as_deref().map(number).transpose();
        let rate = wrong.take(MAIL_RATE, rate);
        let mails_a_day = wrong.take(MAIL_PER_USER_DAY, number(&self.mail_per_user_day));
        Some(Delivery {
            connections: connections?.get().min(MOST_CONNECTIONS) as usize,
            rate: rate?,
            mails_a_day: MailsADay(mails_a_day?),
            probe_every: PROBE_EVERY,
        })
    }
}
