//! Who a user is: names, addresses, languages and zones, each checked when it is read. Pure.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::wire::{Flaw, line};
use crate::{checked_text, string_enum};

checked_text!(
    /// What a user signs in with: one line of 1 to 254 characters.
    Username,
    |text| line(text, 254)
);

checked_text!(
    /// A first or last name: one line of up to 200 characters.
    PersonName,
    |text| if text.trim().is_empty() { Ok(String::new()) } else { line(text, 200) }
);

checked_text!(
    /// The name that lists and mails show: one line of 1 to 200 characters.
    DisplayName,
    |text| line(text, 200)
);

checked_text!(
    /// A managed Apple account: one line of 1 to 254 characters.
    AppleAccount,
    |text| line(text, 254)
);

checked_text!(
    /// One mailbox (RFC 5321): no display name, no address literal, at most 254 characters.
    Email,
    parse_email
);

checked_text!(
    /// A language tag (BCP 47), in its usual case: `fr`, `fr-CA`, `zh-Hant-TW`.
    LocaleTag,
    |text| text
        .parse::<unic_langid::LanguageIdentifier>()
        .ok()
        .filter(|_| (2..=35).contains(&text.len()))
        .map(|tag| tag.to_string())
        .ok_or_else(|| Flaw::new("invalid_locale", "must be a language tag, such as fr or fr-CA"))
);

checked_text!(
    /// A time zone of the IANA database: `Europe/Paris`.
    TimeZone,
    |text| text
        .parse::<chrono_tz::Tz>()
        .map(|zone| zone.name().to_owned())
        .map_err(|_| Flaw::new("invalid_time_zone", "must be an IANA time zone, such as Europe/Paris"))
);

fn parse_email(text: &str) -> Result<String, Flaw> {
    let address = line(text, 254)?;
    let options = email_address::Options::default()
        .without_display_text()
        .without_domain_literal();
    email_address::EmailAddress::parse_with_options(&address, options).map_err(|_| {
        Flaw::new(
            "invalid_email",
            "must be one e-mail address, such as ada@example.com",
        )
    })?;
    // A quoted local part may hold spaces and more; no directory has one, many mail systems break on
    // it. One beyond ASCII needs SMTPUTF8 all the way (RFC 6531), which few servers have.
    let (local, domain) = address.rsplit_once('@').unwrap_or_default();
    let is_plain = local.is_ascii() && !local.contains(['"', '<', '>', ' ', '\\', ',', ';']);
    let is_domain = domain
        .chars()
        .all(|c| c.is_alphabetic() || c.is_ascii_digit() || c == '-' || c == '.')
        && matches!(url::Host::parse(domain), Ok(url::Host::Domain(_)));
    if !is_plain || !is_domain {
        return Err(Flaw::new(
            "invalid_email",
            "must be one plain e-mail address, such as ada@example.com",
        ));
    }
    Ok(address)
}

string_enum! {
    /// Where a user came from.
    Source {
        /// Made here, or imported.
        Local = "local",
        /// Kept in step with a directory.
        Ldap = "ldap",
        /// Provisioned through SCIM 2.0.
        Scim = "scim",
    }
}

/// A group, as a user shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GroupRef {
    pub id: Uuid,
    pub name: String,
}
