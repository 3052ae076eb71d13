//! What `enlist mail test` can be told: of the service's settings those that a mail needs.

use clap::Args;

use super::{
    errors::ConfigErrors,
    mail::{Mail, MailArgs},
    organisation::OrganisationArgs,
};
use crate::{mail::branding::Branding, model::identity::Email};

/// What `mail test` takes.
#[derive(Debug, Clone, Args)]
pub struct MailTestArgs {
    /// The address that the test mail goes to
    #[arg(long, value_name = "ADDRESS")]
    pub to: String,
    /// Through which server mails go, and who they are from.
    #[command(flatten)]
    pub mail: MailArgs,
    /// What mails say about the organisation.
    #[command(flatten)]
    pub organisation: OrganisationArgs,
}

/// What a test mail needs, checked.
pub struct MailTest {
    /// Whom it goes to.
    pub to: Email,
    /// Through which server, and from whom.
    pub mail: Mail,
    /// What it says about the organisation.
    pub branding: Branding,
}

impl MailTestArgs {
    /// Checks every setting.
    ///
    /// # Errors
    /// All that are wrong, each with its variable's name.
    pub fn check(&self) -> Result<MailTest, ConfigErrors> {
        let mut wrong = ConfigErrors::default();
        let to = Email::parse(&self.to).map_err(|flaw| flaw.detail);
        let to = wrong.take("--to", to);
        let mail = self.mail.check(&self.organisation.org_name, &mut wrong);
        let branding = self.organisation.check(&mut wrong);
        let test = || {
            Some(MailTest {
                to: to?,
                mail: mail?,
                branding: branding?,
            })
        };
        test().ok_or(wrong)
    }
}
