//! The organisation that invites: its name, its logo, and whom to ask for help.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use url::Url;

use super::errors::ConfigErrors;
use crate::{
    mail::branding::{Branding, Logo},
    model::wire,
};

/// The variable with the organisation's name.
pub const ORG_NAME: &str = "ENLIST_ORG_NAME";
const LOGO: &str = "ENLIST_LOGO";
const SUPPORT: &str = "ENLIST_SUPPORT";

/// What mails and pages say about the organisation.
#[derive(Debug, Clone, Args)]
pub struct OrganisationArgs {
    /// The organisation's name, in every mail and page
    #[arg(long, env = ORG_NAME, default_value = "Enlist")]
    pub org_name: String,
    /// A picture file with the organisation's logo: PNG, JPEG or GIF
    #[arg(long, env = LOGO)]
    pub logo: Option<PathBuf>,
    /// Whom to ask for help: an e-mail address or a URL
    #[arg(long, env = SUPPORT)]
    pub support: Option<String>,
}

impl OrganisationArgs {
    pub(super) fn check(&self, wrong: &mut ConfigErrors) -> Option<Branding> {
        let org_name = wire::line(&self.org_name, 200).map_err(|flaw| flaw.detail);
        let org_name = wrong.take(ORG_NAME, org_name);
        let logo = self.logo.as_deref().map(picture).transpose();
        let logo = wrong.take(LOGO, logo);
        let support = self.support.as_deref().map(support).transpose();
        let support = wrong.take(SUPPORT, support);
        Some(Branding {
            org_name: org_name?,
            support: support?,
            logo: logo?,
        })
    }
}

fn picture(path: &Path) -> Result<Logo, String> {
    fs::read(path)
        .map_err(|error| error.to_string())
        .and_then(|bytes| Logo::parse(bytes).map_err(|error| error.to_string()))
        .map_err(|problem| format!("{}: {problem}", path.display()))
}

fn support(text: &str) -> Result<String, String> {
    let is_url = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_url || email_address::EmailAddress::is_valid(text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is neither an e-mail address nor an http(s) URL"
        ))
    }
}
