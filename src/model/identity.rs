//! Who a user is: names, addresses, languages and zones, each checked when it is read. Pure.

use chrono_tz::Tz;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use windows_timezones::WindowsTimezone;

use super::{
    characters::{is_mark, trimmed},
    languages,
    wire::{Flaw, line},
};
use crate::{checked_text, string_enum};

checked_text!(
    /// What a user signs in with: one line of 1 to 254 characters. Of one that is an address, the domain is written in
    /// letters.
    Username,
    |text| line(text, 254).map(in_letters)
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
    /// One mailbox (RFC 5321, RFC 6531): no display name, no address literal, at most 254 characters, its domain written in
    /// letters.
    Email,
    parse_email
);

checked_text!(
    /// A language tag (BCP 47), in its usual form: `fr`, `fr-CA`, `zh-Hant-TW`. The spelling of
    /// POSIX (`fr_CA.UTF-8`), codes of three letters (`fra`) and the names of the mails' languages (`Französisch`) are read too.
    LocaleTag,
    parse_locale
);

checked_text!(
    /// A time zone of the IANA database: `Europe/Paris`. Other cases, blanks for underscores and the names of Windows
    /// (`W. Europe Standard Time`) are read too.
    TimeZone,
    parse_zone
);

fn parse_locale(text: &str) -> Result<String, Flaw> {
    languages::tag(text).ok_or_else(|| {
        Flaw::new(
            "invalid_locale",
            "is no language that is known here; it must be a language tag, such as fr or fr-CA",
        )
    })
}

fn parse_zone(text: &str) -> Result<String, Flaw> {
    let given = trimmed(text);
    let name = given.replace(' ', "_");
    let iana = chrono_tz::TZ_VARIANTS
        .iter()
        .find(|zone| zone.name().eq_ignore_ascii_case(&name));
    if let Some(zone) = iana {
        return Ok(zone.name().to_owned());
    }
    let is_given = |zone: &Tz| {
        WindowsTimezone::try_from(*zone).is_ok_and(|zone| zone.name().eq_ignore_ascii_case(given))
    };
    let windows = given
        .parse::<WindowsTimezone>()
        .ok()
        .or_else(|| {
            let zone = chrono_tz::TZ_VARIANTS.iter().copied().find(is_given)?;
            WindowsTimezone::try_from(zone).ok()
        })
        .ok_or_else(|| {
            Flaw::new(
                "invalid_time_zone",
                "must be a time zone of the IANA database, such as Europe/Paris, or one of Windows, such as W. Europe Standard Time",
            )
        })?;
    Ok(Tz::from(windows).name().to_owned())
}

/// An address as mail servers that know no other letters take it: its domain in A-labels (RFC 5891 §4). `None`: its domain
/// has none.
pub fn in_ascii_domain(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    if domain.is_ascii() {
        return Some(address.to_owned());
    }
    let ascii = idna::domain_to_ascii(domain).ok()?;
    Some(format!("{local}@{ascii}"))
}

/// An address whose domain is written in A-labels (`xn--bcher-kva.example`) or in other forms of its letters, with the
/// U-labels of IDNA 2008: the two are one domain (RFC 5890 §2.3.2.4). Anything else stays as it is.
fn in_letters(name: String) -> String {
    let Some((local, domain)) = name.rsplit_once('@') else {
        return name;
    };
    let has_label = domain.split('.').any(|label| {
        label
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
    });
    if domain.is_ascii() && !has_label {
        return name;
    }
    let Ok(ascii) = idna::domain_to_ascii(domain) else {
        return name;
    };
    match idna::domain_to_unicode(&ascii) {
        (letters, Ok(())) => format!("{local}@{letters}"),
        _ => name,
    }
}

fn parse_email(text: &str) -> Result<String, Flaw> {
    let address = in_letters(line(undressed(text), 254)?);
    check_address(&address).map_err(|what| {
        Flaw::new(
            "invalid_email",
            format!("{what}must be one e-mail address, such as ada@example.com"),
        )
    })?;
    Ok(address)
}

/// An address without what programs put around one: `<ada@example.com>`, `mailto:`, a full stop or a comma at its end.
fn undressed(text: &str) -> &str {
    let bare = trimmed(text).trim_end_matches([';', ',', '.']);
    let bare = bare
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(bare);
    match bare.get(..SCHEME.len()) {
        Some(start) if start.eq_ignore_ascii_case(SCHEME) => &bare[SCHEME.len()..],
        _ => bare,
    }
}

const SCHEME: &str = "mailto:";

/// Octets of an address (RFC 5321 §4.5.3.1.3, less the angle brackets).
pub const LONGEST: usize = 254;

/// Says what is wrong with an address, in front of `must be one`.
fn check_address(address: &str) -> Result<(), String> {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Err("has no @; it ".to_owned());
    };
    let is_letter =
        |c: char| c.is_alphanumeric() || is_mark(c) || matches!(c, '\u{200C}' | '\u{200D}');
    // A quoted local part may hold spaces and more; no directory has one, many mail systems break on
    // it. Letters beyond ASCII go by SMTPUTF8 (RFC 6531 §3.3).
    let is_plain = |c: &char| match c.is_ascii() {
        true => !"\"<>()[]:@ \\,;".contains(*c),
        false => is_letter(*c),
    };
    if let Some(c) = local.chars().find(|c| !is_plain(c)) {
        return Err(match c {
            '@' => "has more than one @; it ".to_owned(),
            ' ' => "holds a blank; it ".to_owned(),
            '’' | '‘' | '´' | '＇' => {
                format!("holds `{c}` before the @, where `'` is usual; it ")
            }
            c => format!("holds `{c}` before the @; it "),
        });
    }
    let belongs = |c: &char| is_letter(*c) || matches!(c, '-' | '.');
    match domain.chars().find(|c| !belongs(c)) {
        Some(' ') => return Err("holds a blank; it ".to_owned()),
        Some(c) => return Err(format!("holds `{c}` behind the @; it ")),
        None => {}
    }
    let ascii = idna::domain_to_ascii(domain).unwrap_or_default();
    if !matches!(url::Host::parse(&ascii), Ok(url::Host::Domain(_))) {
        return Err("has no name of a mail server behind the @; it ".to_owned());
    }
    let options = email_address::Options::default()
        .without_display_text()
        .without_domain_literal();
    let plain = format!("{local}@{ascii}");
    if plain.len() > LONGEST {
        return Err("is longer in A-labels than mail servers take; it ".to_owned());
    }
    email_address::EmailAddress::parse_with_options(&plain, options)
        .map(drop)
        .map_err(|_| String::new())
}

/// What names and addresses are compared by: upper and lower case are the same. In SQL it is `enlist_name_key`, and names of
/// groups and suppressed addresses are compared so, too; a test holds the two together.
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_one_however_it_is_written() {
        for (given, address) in [
            ("one@bücher.example", "one@bücher.example"),
            ("one@xn--bcher-kva.example", "one@bücher.example"),
            ("one@XN--BCHER-KVA.Example", "one@bücher.example"),
            ("one@BÜCHER.example", "one@bücher.example"),
            ("one@bu\u{308}cher.example", "one@bücher.example"),
            ("one@例え.テスト", "one@例え.テスト"),
            ("one@xn--r8jz45g.xn--zckzah", "one@例え.テスト"),
            ("one@Example.COM", "one@Example.COM"),
            ("One@example.com", "One@example.com"),
            ("\u{FEFF}one@example.com\u{200B}", "one@example.com"),
            ("one@xn--j2bd4cyah0f.example", "one@हिन्दी.example"),
            ("one@हिन्दी.example", "one@हिन्दी.example"),
            ("one@x.xn--xkc2dl3a5ee0h", "one@x.இந்தியா"),
            ("one@xn--o3cw4h.example", "one@ไทย.example"),
            // RFC 6531 §3.3: letters before the @, too.
            ("Jörg.Fuß@firma.example", "Jörg.Fuß@firma.example"),
            ("jo\u{308}rg@x.example", "jörg@x.example"),
            ("山田@例え.テスト", "山田@例え.テスト"),
        ] {
            assert_eq!(Email::parse(given).unwrap().as_str(), address, "{given:?}");
            assert_eq!(
                Username::parse(given).unwrap().as_str(),
                address,
                "{given:?}"
            );
        }
        for (given, code) in [
            ("one\u{200B}two@example.com", "invisible_character"),
            ("one@exa\u{AD}mple.com", "invisible_character"),
            ("one@-.example", "invalid_email"),
            ("one at example.com", "invalid_email"),
            ("one@☃.example", "invalid_email"),
            ("one@a_b.example", "invalid_email"),
        ] {
            assert_eq!(Email::parse(given).unwrap_err().code, code, "{given:?}");
        }
        assert_eq!(
            Username::parse("kiosk@lobby").unwrap().as_str(),
            "kiosk@lobby"
        );
    }

    #[test]
    fn a_refusal_says_what_is_wrong_with_an_address() {
        for (given, told) in [
            (
                "o’brien@x.example",
                "holds `’` before the @, where `'` is usual",
            ),
            ("☃@x.example", "holds `☃` before the @"),
            ("a@x.example;b@x.example", "more than one @"),
            ("a@x.example, b@x.example", "more than one @"),
            ("a@x.example b", "holds a blank"),
            ("a@b@x.example", "more than one @"),
            ("Ada <a@x.example>", "holds a blank"),
            ("Ada<a@x.example>", "holds `<`"),
            ("\"a b\"@x.example", "holds `\"`"),
            ("ada", "has no @"),
            ("a@x_y.example", "holds `_` behind the @"),
            ("a,b@x.example", "holds `,` before"),
            ("a@", "no name of a mail server"),
            ("a@192.0.2.1", "no name of a mail server"),
            ("@x.example", ""),
            (
                &format!("one@{}example", "山.".repeat(60)),
                "longer in A-labels",
            ),
        ] {
            let flaw = Email::parse(given).unwrap_err();
            assert_eq!(flaw.code, "invalid_email", "{given}");
            assert!(flaw.detail.contains(told), "{given}: {}", flaw.detail);
        }
        for given in [
            "<one@x.example>",
            "mailto:one@x.example",
            "<MAILTO:one@x.example>",
            "one@x.example.",
            "one@x.example;",
            "one@x.example, ",
            "<one@x.example>;",
        ] {
            assert_eq!(
                Email::parse(given).unwrap().as_str(),
                "one@x.example",
                "{given}"
            );
        }
    }

    #[test]
    fn languages_are_read_as_people_and_systems_write_them() {
        for (given, tag) in [
            ("fr", "fr"),
            ("en_US", "en-US"),
            ("EN-us", "en-US"),
            ("de_DE.UTF-8", "de-DE"),
            ("de_DE@euro", "de-DE"),
            ("zh_Hant_TW", "zh-Hant-TW"),
            ("zh-hant-tw", "zh-Hant-TW"),
            (" pt-BR ", "pt-BR"),
            ("\u{FEFF}ja", "ja"),
            ("sr-latn-rs", "sr-Latn-RS"),
            ("es-419", "es-419"),
        ] {
            assert_eq!(LocaleTag::parse(given).unwrap().as_str(), tag, "{given:?}");
        }
        for given in ["", "f", "french language", "123", "fr--CA", "ｆｒ"] {
            assert_eq!(
                LocaleTag::parse(given).unwrap_err().code,
                "invalid_locale",
                "{given:?}"
            );
        }
        let told = |given| LocaleTag::parse(given).unwrap_err().detail;
        assert_eq!(
            told("Klingonisch "),
            "is no language that is known here; it must be a language tag, such as fr or fr-CA"
        );
    }

    #[test]
    fn zones_are_read_as_people_and_systems_write_them() {
        for (given, zone) in [
            ("Europe/Paris", "Europe/Paris"),
            ("europe/paris", "Europe/Paris"),
            ("EUROPE/PARIS", "Europe/Paris"),
            ("America/New York", "America/New_York"),
            (
                "america/argentina/buenos_aires",
                "America/Argentina/Buenos_Aires",
            ),
            ("Europe/Kyiv", "Europe/Kyiv"),
            ("America/Ciudad_Juarez", "America/Ciudad_Juarez"),
            ("utc", "UTC"),
            ("W. Europe Standard Time", "Europe/Berlin"),
            ("w. europe standard time", "Europe/Berlin"),
            ("Tokyo Standard Time", "Asia/Tokyo"),
            ("Pacific Standard Time", "America/Los_Angeles"),
            ("E. South America Standard Time", "America/Sao_Paulo"),
            ("India Standard Time", "Asia/Calcutta"),
            (" Romance Standard Time\u{200B}", "Europe/Paris"),
        ] {
            assert_eq!(TimeZone::parse(given).unwrap().as_str(), zone, "{given:?}");
        }
        for given in ["", "Paris", "Europe/", "Berlin Standard Time", "+01:00"] {
            assert_eq!(
                TimeZone::parse(given).unwrap_err().code,
                "invalid_time_zone",
                "{given:?}"
            );
        }
    }
}
