//! A typed mail becomes subject, text and HTML. Pure.

use std::{fmt::Write, sync::Arc};

use chrono::DateTime;
use chrono_tz::Tz;
use fluent_bundle::FluentArgs;
use minijinja::{
    AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter,
    syntax::SyntaxConfig,
    value::{Kwargs, Rest, Serde},
};
use rust_embed::RustEmbed;
use serde::Serialize;

use super::{
    catalogue::{self, CatalogueError, Lang},
    qr::{self, QrError},
};

#[derive(RustEmbed)]
#[folder = "src/mail/templates"]
struct Templates;

/// Who mails are from, to the eye.
#[derive(Debug, Clone)]
pub struct Branding {
    /// The organisation's name.
    pub org_name: String,
    /// Whom to ask: an e-mail address or a URL.
    pub support: Option<String>,
    /// The organisation's picture.
    pub logo: Option<Logo>,
}

/// A picture that mail programs show: PNG, JPEG or GIF, at most 256 KiB.
#[derive(Debug, Clone)]
pub struct Logo {
    content_type: &'static str,
    bytes: Arc<[u8]>,
}

/// Why a logo was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogoError {
    #[error("is no PNG, JPEG or GIF, which are what mail programs show")]
    Unknown,
    #[error("has {0} bytes; it goes into every mail, so at most {max} are taken", max = Logo::LARGEST)]
    TooLarge(usize),
}

impl Logo {
    /// Bytes.
    const LARGEST: usize = 256 * 1024;

    /// Reads a picture file by its first bytes.
    ///
    /// # Errors
    /// [`LogoError`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, LogoError> {
        let content_type = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'G', b'I', b'F', b'8', ..] => "image/gif",
            _ => return Err(LogoError::Unknown),
        };
        if bytes.len() > Self::LARGEST {
            return Err(LogoError::TooLarge(bytes.len()));
        }
        Ok(Self {
            content_type,
            bytes: bytes.into(),
        })
    }
}

/// What the user enrolls with. `Debug` would show it, so there is none.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    Pin(&'a str),
    Password,
    PinAndPassword(&'a str),
    Qr { link: &'a str },
}

impl Credential<'_> {
    const fn template(&self) -> &'static str {
        match self {
            Self::Pin(_) => "invitation_pin",
            Self::Password => "invitation_password",
            Self::PinAndPassword(_) => "invitation_pin_and_password",
            Self::Qr { .. } => "invitation_qr",
        }
    }
}

/// An invitation to enroll a device.
pub struct InvitationMail<'a> {
    pub lang: Lang,
    pub display_name: &'a str,
    pub username: &'a str,
    pub credential: Credential<'a>,
    /// The page on which a device is enrolled.
    pub enroll_url: &'a str,
    /// When what the mail carries stops working, in the recipient's zone.
    pub valid_until: DateTime<Tz>,
    /// The administrator's own words: plain text, lines kept.
    pub note: Option<&'a str>,
}

/// A mail, ready to be put into its wire format.
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Pictures that the HTML shows through `cid:`.
    pub inline: Vec<InlinePart>,
}

/// One picture inside a mail.
pub struct InlinePart {
    pub content_id: String,
    pub filename: String,
    pub content_type: &'static str,
    pub bytes: Arc<[u8]>,
}

/// Why a mail could not be rendered. Holds names of templates and messages, never what goes in.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("template: {0}")]
    Template(String),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Qr(#[from] QrError),
}

impl From<minijinja::Error> for RenderError {
    fn from(error: minijinja::Error) -> Self {
        // Kind and place only: a detail could quote a value.
        let place = error.name().unwrap_or("?");
        let line = error.line().unwrap_or(0);
        let detail = match std::error::Error::source(&error) {
            Some(source) => format!(" ({source})"),
            None => String::new(),
        };
        Self::Template(format!("{place}:{line}: {}{detail}", error.kind()))
    }
}

/// Content ids of the pictures.
const QR_ID: &str = "qr@enlist";
const LOGO_ID: &str = "logo@enlist";

/// What templates see. The variables are documented in `docs/mails.md`.
#[derive(Serialize)]
struct Context<'a> {
    lang: &'a str,
    org: &'a str,
    support: Option<&'a str>,
    support_href: Option<String>,
    logo: Option<&'a str>,
    name: &'a str,
    username: &'a str,
    pin: Option<&'a str>,
    link: Option<&'a str>,
    qr: Option<&'a str>,
    enroll_url: &'a str,
    until: &'a str,
    note: Option<&'a str>,
}

/// Turns mails into text and HTML: templates are parsed once.
pub struct Renderer {
    templates: Environment<'static>,
    branding: Branding,
    support_href: Option<String>,
}

impl Renderer {
    /// Parses every template.
    ///
    /// # Errors
    /// When one of them is broken.
    pub fn new(branding: Branding) -> Result<Self, RenderError> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()?,
        );
        templates.set_auto_escape_callback(|name| {
            if name.ends_with(".html") {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        templates.set_formatter(write_value);
        templates.add_function("t", translate);
        for name in Templates::iter() {
            let source = Templates::get(&name)
                .and_then(|file| String::from_utf8(file.data.into_owned()).ok())
                .ok_or_else(|| RenderError::Template(format!("{name} is not UTF-8")))?;
            templates.add_template_owned(name.into_owned(), source)?;
        }
        let support_href = branding.support.as_ref().map(|support| {
            if support.starts_with("http") {
                support.clone()
            } else {
                format!("mailto:{support}")
            }
        });
        Ok(Self {
            templates,
            branding,
            support_href,
        })
    }

    /// Renders an invitation.
    ///
    /// # Errors
    /// [`RenderError`]: a broken template or catalogue, or a link too long for a QR code.
    pub fn invitation(&self, mail: &InvitationMail<'_>) -> Result<Rendered, RenderError> {
        let mut inline = Vec::new();
        if let Some(logo) = &self.branding.logo {
            let extension = logo.content_type.trim_start_matches("image/");
            inline.push(InlinePart {
                content_id: LOGO_ID.to_owned(),
                filename: format!("logo.{extension}"),
                content_type: logo.content_type,
                bytes: Arc::clone(&logo.bytes),
            });
        }
        let (pin, link) = match mail.credential {
            Credential::Pin(pin) | Credential::PinAndPassword(pin) => (Some(pin), None),
            Credential::Password => (None, None),
            Credential::Qr { link } => {
                inline.push(InlinePart {
                    content_id: QR_ID.to_owned(),
                    filename: "qr.png".to_owned(),
                    content_type: "image/png",
                    bytes: qr::png(link)?.bytes.into(),
                });
                (None, Some(link))
            }
        };
        let until = catalogue::date_time(mail.lang, mail.valid_until)?;
        let context = Context {
            lang: mail.lang.as_str(),
            org: &self.branding.org_name,
            support: self.branding.support.as_deref(),
            support_href: self.support_href.clone(),
            logo: self.branding.logo.as_ref().map(|_| LOGO_ID),
            name: mail.display_name,
            username: mail.username,
            pin,
            link,
            qr: link.map(|_| QR_ID),
            enroll_url: mail.enroll_url,
            until: &until,
            note: mail.note,
        };
        let values = Value::from(Serde(&context));
        let template = mail.credential.template();
        let render = |extension: &str| {
            self.templates
                .get_template(&format!("{template}.{extension}"))?
                .render(&values)
        };
        let mut args = FluentArgs::new();
        args.set("org", self.branding.org_name.as_str());
        Ok(Rendered {
            subject: catalogue::text(mail.lang, "subject", &args)?,
            text: render("txt")?,
            html: render("html")?,
            inline,
        })
    }
}

/// Writes a value, escaped where the template is HTML. The engine's own way would also escape the
/// slashes of every link, which makes a mail's source hard to read and its links hard to check.
fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    if value.is_undefined() || *state.auto_escape() == AutoEscape::None || value.is_safe() {
        return escape_formatter(out, state, value);
    }
    for c in value.to_string().chars() {
        match c {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            c => out.write_char(c),
        }?;
    }
    Ok(())
}

/// `t("key", name=value)`: a message in the mail's language. The result is text: it is escaped like
/// any other value.
fn translate(
    state: &State,
    key: &str,
    _rest: Rest<Value>,
    args: Kwargs,
) -> Result<String, minijinja::Error> {
    let wanted = state.lookup("lang").unwrap_or_default();
    let lang = Lang::negotiate(wanted.as_str());
    let mut given = FluentArgs::new();
    for name in args.args() {
        let value: String = args.get(name)?;
        given.set(name.to_owned(), value);
    }
    catalogue::text(lang, key, &given).map_err(|error| {
        minijinja::Error::new(ErrorKind::InvalidOperation, "message").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str =
        "https://enroll.example.com/enroll/AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQLXIH2M3u8uDtYwHPazE";

    fn branding() -> Branding {
        Branding {
            org_name: "Example & Söhne".into(),
            support: Some("help@example.com".into()),
            logo: None,
        }
    }

    fn mail<'a>(lang: &str, credential: Credential<'a>) -> InvitationMail<'a> {
        let until = DateTime::from_timestamp(1_795_527_120, 0).unwrap();
        InvitationMail {
            lang: Lang::negotiate(Some(lang)),
            display_name: "Ada Lovelace",
            username: "ada@example.com",
            credential,
            enroll_url: "https://enroll.example.com/enroll",
            valid_until: until.with_timezone(&Tz::Europe__Paris),
            note: Some("Please do it before Friday.\nThank you!"),
        }
    }

    fn rendered(branding: Branding, mail: &InvitationMail<'_>) -> Rendered {
        Renderer::new(branding).unwrap().invitation(mail).unwrap()
    }

    const KINDS: [(&str, Credential<'static>); 4] = [
        ("pin", Credential::Pin("92338400")),
        ("password", Credential::Password),
        ("pin_and_password", Credential::PinAndPassword("92338400")),
        ("qr", Credential::Qr { link: LINK }),
    ];

    /// Every kind in every language, as it is read.
    #[test]
    fn every_mail_in_every_language() {
        for lang in Lang::all() {
            for (kind, credential) in KINDS {
                let mail = rendered(branding(), &mail(lang.as_str(), credential));
                let name = format!("{kind}.{}", lang.as_str());
                insta::assert_snapshot!(
                    format!("{name}.txt"),
                    format!("{}\n\n{}", mail.subject, mail.text)
                );
                insta::assert_snapshot!(format!("{name}.html"), mail.html);
            }
        }
    }

    #[test]
    fn what_people_write_stays_text() {
        let mut hostile = mail("en", Credential::Pin("92338400"));
        hostile.display_name = "<script>alert('x')</script> {{ 7*7 }} \u{1F600}";
        hostile.username = "a\"b&c";
        hostile.note = Some("</td><img src=x onerror=alert(1)>\n{{ 7*7 }}{% raw %}");
        let mail = rendered(
            Branding {
                org_name: "A<b>B".into(),
                support: None,
                logo: None,
            },
            &hostile,
        );
        let page = scraper::Html::parse_document(&mail.html);
        let count = |selector: &str| {
            page.select(&scraper::Selector::parse(selector).unwrap())
                .count()
        };
        assert_eq!((count("script"), count("img"), count("b")), (0, 0, 0));
        let seen: String = page.root_element().text().collect();
        for text in [
            hostile.display_name,
            hostile.username,
            "</td><img src=x onerror=alert(1)>",
            "{{ 7*7 }}{% raw %}",
        ] {
            assert!(seen.contains(text), "{text}");
            assert!(mail.text.contains(text), "{text}");
        }
    }

    #[test]
    fn a_pin_is_not_in_the_preheader_and_is_copied_as_digits() {
        let html = rendered(branding(), &mail("en", Credential::Pin("92338400"))).html;
        assert_eq!(html.matches("92338400").count(), 1);
        let page = scraper::Html::parse_document(&html);
        let pin = page
            .select(&scraper::Selector::parse(".pin").unwrap())
            .next()
            .unwrap();
        assert_eq!(pin.text().collect::<String>(), "92338400");
    }

    #[test]
    fn a_logo_and_support_are_shown() {
        let logo = Logo::parse(b"\x89PNG\r\n\x1a\nrest".to_vec()).unwrap();
        let branding = Branding {
            logo: Some(logo),
            support: Some("https://help.example.com".into()),
            ..branding()
        };
        let mail = rendered(branding, &mail("fr", Credential::Qr { link: LINK }));
        let ids: Vec<&str> = mail
            .inline
            .iter()
            .map(|part| part.content_id.as_str())
            .collect();
        assert_eq!(ids, [LOGO_ID, QR_ID]);
        for id in ids {
            assert!(mail.html.contains(&format!("src=\"cid:{id}\"")));
        }
        assert!(mail.html.contains("href=\"https://help.example.com\""));
        assert_eq!(
            Logo::parse(b"<svg/>".to_vec()).unwrap_err(),
            LogoError::Unknown
        );
        let large = [&b"GIF89a"[..], &[0; 300_000]].concat();
        assert_eq!(
            Logo::parse(large).unwrap_err(),
            LogoError::TooLarge(300_006)
        );
    }

    #[test]
    fn errors_hold_no_secret() {
        let mut renderer = Renderer::new(branding()).unwrap();
        renderer
            .templates
            .add_template("invitation_pin.txt", "{{ pin.no.such }} {{ pin|fromjson }}")
            .unwrap_or(());
        renderer
            .templates
            .add_template("invitation_pin.html", "{{ missing }}")
            .unwrap();
        let error = renderer
            .invitation(&mail("en", Credential::Pin("92338400")))
            .err()
            .unwrap();
        assert!(!format!("{error} {error:?}").contains("92338400"));
    }
}
