//! The wire format: multipart/alternative with a real text part, pictures inline (RFC 2387). All
//! ASCII, so that no relay on the way has to be asked for more.

use chrono::{DateTime, Utc};
use lettre::{
    Address, Message,
    address::AddressError,
    message::{
        Attachment, Body, Mailbox, MultiPart, SinglePart,
        header::{ContentType, ContentTypeErr, HeaderName, HeaderValue},
    },
};
use url::Host;

use super::{catalogue::Lang, message::Rendered};

/// Who a mail is from and to, and what tells it from others.
pub struct Headers<'a> {
    pub from: &'a Mailbox,
    pub reply_to: Option<&'a Mailbox>,
    /// The address.
    pub to: &'a str,
    /// The recipient's name.
    pub to_name: &'a str,
    /// Without its angle brackets; the same on every try of one message.
    pub message_id: &'a str,
    /// The id of the message that this one belongs below.
    pub follows: Option<&'a str>,
    pub date: DateTime<Utc>,
    pub lang: Lang,
}

/// Why there is no mail. Holds no address: errors are logged.
#[derive(Debug, thiserror::Error)]
pub enum MimeError {
    #[error("the e-mail address cannot stand in a mail: {0}")]
    Address(#[from] AddressError),
    #[error("the message id is none")]
    MessageId,
    #[error("the mail cannot be put together: {0}")]
    Build(#[from] lettre::error::Error),
    #[error("a content type is none: {0}")]
    ContentType(#[from] ContentTypeErr),
}

/// The headers beside From, To, Subject, Date and Message-ID. Nobody's out-of-office notice should
/// answer a machine (RFC 3834 §5; the second header is for Exchange).
pub fn extra_headers(lang: Lang) -> Vec<(&'static str, String)> {
    vec![
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("Content-Language", lang.as_str().to_owned()),
    ]
}

/// Puts a mail together; [`Message::formatted`] gives its bytes.
///
/// # Errors
/// [`MimeError`], when an address or the message id cannot stand in a mail.
pub fn build(headers: &Headers<'_>, rendered: &Rendered) -> Result<Message, MimeError> {
    if ![Some(headers.message_id), headers.follows]
        .into_iter()
        .flatten()
        .all(is_message_id)
    {
        return Err(MimeError::MessageId);
    }
    let mut builder = Message::builder()
        .from(mailbox(headers.from.name.as_deref(), &headers.from.email)?)
        .to(mailbox(Some(headers.to_name), &headers.to.parse()?)?)
        .subject(one_line(&rendered.subject))
        .date(headers.date.into())
        .message_id(Some(format!("<{}>", headers.message_id)));
    if let Some(reply_to) = headers.reply_to {
        builder = builder.reply_to(mailbox(reply_to.name.as_deref(), &reply_to.email)?);
    }
    if let Some(follows) = headers.follows {
        builder = builder
            .in_reply_to(format!("<{follows}>"))
            .references(format!("<{follows}>"));
    }
    for (name, value) in extra_headers(headers.lang) {
        let name = HeaderName::new_from_ascii_str(name);
        builder = builder.raw_header(HeaderValue::new(name, value));
    }
    let html = part(ContentType::TEXT_HTML, &rendered.html);
    let alternative =
        MultiPart::alternative().singlepart(part(ContentType::TEXT_PLAIN, &rendered.text));
    let body = if rendered.inline.is_empty() {
        alternative.singlepart(html)
    } else {
        let mut related = MultiPart::related().singlepart(html);
        for picture in &rendered.inline {
            let id = picture.content_id.clone();
            let attachment = Attachment::new_inline_with_name(id, picture.filename.clone());
            let content_type = ContentType::parse(picture.content_type)?;
            related = related
                .singlepart(attachment.body(Body::new(picture.bytes.to_vec()), content_type));
        }
        alternative.multipart(related)
    };
    Ok(builder.multipart(body)?)
}

/// A text part in what is shortest: as it is, quoted-printable or base64.
fn part(content_type: ContentType, text: &str) -> SinglePart {
    SinglePart::builder()
        .header(content_type)
        // lettre would put in one carriage return after the other, and move all that is behind it each time.
        .body(Body::new(text.replace('\n', "\r\n")))
}

/// An address with a name, if that says more.
fn mailbox(name: Option<&str>, address: &Address) -> Result<Mailbox, MimeError> {
    let name = name
        .map(one_line)
        .filter(|name| !name.is_empty() && *name != address.to_string());
    Ok(Mailbox::new(name, ascii(address)?))
}

/// An address with its domain as ASCII (IDNA). What stands before the @ has no such form: beyond
/// ASCII it makes the one mail that needs SMTPUTF8 (RFC 6531).
fn ascii(address: &Address) -> Result<Address, AddressError> {
    if address.domain().is_ascii() {
        return Ok(address.clone());
    }
    let domain = Host::parse(address.domain()).map_err(|_| AddressError::InvalidDomain)?;
    Address::new(address.user(), domain.to_string())
}

/// The dot-atoms of RFC 5322 §3.6.4, within what fits a line.
fn is_message_id(id: &str) -> bool {
    let is_atom = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    id.len() <= 250
        && id
            .split_once('@')
            .is_some_and(|(left, right)| is_atom(left) && is_atom(right))
}

/// Without anything that could end a header, and short enough for its lines (RFC 5322 §2.1.1),
/// whatever was stored.
fn one_line(text: &str) -> String {
    const CHARACTERS: usize = 250;
    let line: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(CHARACTERS)
        .collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use mailparse::{DispositionType, MailHeaderMap, ParsedMail};
    use proptest::prelude::*;

    use super::*;
    use crate::mail::{
        branding::{Branding, Logo},
        invitation::{Code, Credential, InvitationMail},
        message::Renderer,
        qr::tests::scan_png,
    };

    const LINK: &str = "https://enroll.example.com/enroll/AQAB3mC0lJtL9Q1xZ0vYw7p2a8Uu4KfR";

    fn rendered(tag: &str, credential: Credential<'_>, logo: bool) -> Rendered {
        let until = DateTime::from_timestamp(1_795_527_120, 0).unwrap();
        Renderer::new(Branding {
            org_name: "Société Générique".to_owned(),
            support: Some("aide@example.com".to_owned()),
            logo: logo.then(|| Logo::parse(b"GIF89a and so on".to_vec()).unwrap()),
        })
        .unwrap()
        .invitation(&InvitationMail {
            lang: Lang::parse(tag).unwrap(),
            display_name: "Zoë",
            username: "zoe@example.com",
            credential,
            enroll_url: "https://enroll.example.com/enroll",
            valid_until: until.with_timezone(&chrono_tz::Tz::Europe__Paris),
            note: Some("À bientôt !"),
        })
        .unwrap()
    }

    fn with<'a>(from: &'a Mailbox, to: &'a str, to_name: &'a str) -> Headers<'a> {
        Headers {
            from,
            reply_to: None,
            to,
            to_name,
            message_id: "0199f0a2-7c1e@example.com",
            follows: None,
            date: DateTime::from_timestamp(1_795_527_120, 0).unwrap(),
            lang: Lang::parse("fr").unwrap(),
        }
    }

    fn sender() -> Mailbox {
        "\"Müller, IT\" <it@example.com>".parse().unwrap()
    }

    /// The bytes, which are what may go over any wire.
    fn bytes(headers: &Headers<'_>, rendered: &Rendered) -> Vec<u8> {
        let bytes = build(headers, rendered).unwrap().formatted();
        assert!(bytes.is_ascii());
        for line in bytes.split(|byte| *byte == b'\n') {
            assert!(line.len() <= 999, "{}", String::from_utf8_lossy(line));
            assert!(line.is_empty() || line.ends_with(b"\r"));
        }
        bytes
    }

    fn types(mail: &ParsedMail<'_>) -> Vec<String> {
        mail.parts()
            .map(|part| part.ctype.mimetype.clone())
            .collect()
    }

    fn names(mail: &ParsedMail<'_>) -> Vec<String> {
        mail.headers.iter().map(|header| header.get_key()).collect()
    }

    #[test]
    fn a_pin_mail_is_text_and_html() {
        let rendered = rendered("fr", Credential::Pin("48217730"), false);
        let from = sender();
        let mut headers = with(&from, "zoe@example.com", "Zoë Durand");
        headers.reply_to = Some(&from);
        let bytes = bytes(&headers, &rendered);
        let mail = mailparse::parse_mail(&bytes).unwrap();
        assert_eq!(
            types(&mail),
            ["multipart/alternative", "text/plain", "text/html"]
        );
        let read = |part: &ParsedMail<'_>| part.get_body().unwrap().replace("\r\n", "\n");
        assert_eq!(read(&mail.subparts[0]).trim(), rendered.text.trim());
        assert_eq!(read(&mail.subparts[1]).trim(), rendered.html.trim());
        for part in &mail.subparts {
            assert_eq!(part.ctype.charset, "utf-8");
        }
        let mut expected = extra_headers(headers.lang);
        expected.extend([
            ("From", "\"Müller, IT\" <it@example.com>".to_owned()),
            ("Reply-To", "\"Müller, IT\" <it@example.com>".to_owned()),
            ("To", "Zoë Durand <zoe@example.com>".to_owned()),
            ("Subject", rendered.subject),
            ("Date", "Tue, 24 Nov 2026 13:32:00 +0000".to_owned()),
            ("Message-ID", "<0199f0a2-7c1e@example.com>".to_owned()),
        ]);
        for (name, value) in &expected {
            let given = mail.headers.get_all_values(name);
            assert_eq!(given.len(), 1, "{name}");
            assert_eq!(given[0].replace('"', ""), value.replace('"', ""), "{name}");
        }
        // Nothing beside them but what describes the body.
        assert_eq!(names(&mail).len(), expected.len() + 2, "{:?}", names(&mail));
    }

    #[test]
    fn a_qr_mail_holds_its_pictures_and_the_code_is_the_link() {
        for (logo, pictures) in [(false, 1), (true, 2)] {
            let rendered = rendered(
                "fr",
                Credential::Qr {
                    link: LINK,
                    says: LINK,
                    code: Code::Page,
                },
                logo,
            );
            let from = sender();
            let bytes = bytes(&with(&from, "zoe@example.com", "Zoë"), &rendered);
            let mail = mailparse::parse_mail(&bytes).unwrap();
            assert_eq!(
                types(&mail)[..4],
                [
                    "multipart/alternative",
                    "text/plain",
                    "multipart/related",
                    "text/html"
                ]
            );
            let text = mail.subparts[0].get_body().unwrap();
            assert!(text.lines().any(|line| line == LINK), "{text}");
            let related = &mail.subparts[1].subparts;
            let html = related[0].get_body().unwrap();
            assert_eq!(related.len(), 1 + pictures);
            assert_eq!(html.matches("cid:").count(), pictures);
            for picture in &related[1..] {
                let id = picture.headers.get_first_value("Content-ID").unwrap();
                let id = id.strip_prefix('<').unwrap().strip_suffix('>').unwrap();
                assert!(html.contains(&format!("src=\"cid:{id}\"")), "{id}");
                let disposition = picture.get_content_disposition();
                assert_eq!(disposition.disposition, DispositionType::Inline);
                assert!(disposition.params.contains_key("filename"));
            }
            let code = related.last().unwrap();
            assert_eq!(code.ctype.mimetype, "image/png");
            assert_eq!(scan_png(&code.get_body_raw().unwrap()), LINK);
        }
    }

    fn to_header(name: &str) -> (Option<String>, String) {
        let from = sender();
        let rendered = rendered("en", Credential::Password, false);
        let bytes = bytes(&with(&from, "zoe@example.com", name), &rendered);
        let mail = mailparse::parse_mail(&bytes).unwrap();
        let header = mail.headers.get_first_header("To").unwrap();
        let parsed = mailparse::addrparse_header(header).unwrap();
        let single = parsed.extract_single_info().unwrap();
        (single.display_name, single.addr)
    }

    #[test]
    fn names_are_encoded_and_read_back() {
        let long = "Wolfeschlegelsteinhausenbergerdorff ".repeat(6);
        let solid = "x".repeat(249);
        let wide = "山田太郎".repeat(60);
        for name in [
            "Zoë",
            "Durand, Zoë \"Zo\"",
            "O'Hara \\ Sons",
            "a@b <c@d>; (e)",
            "=?utf-8?q?x?=",
            "علي 😀",
            long.trim(),
            &solid,
            &wide,
        ] {
            let address = "zoe@example.com".to_owned();
            assert_eq!(to_header(name), (Some(name.to_owned()), address));
        }
        for nothing in ["", " ", "zoe@example.com"] {
            assert_eq!(to_header(nothing).0, None);
        }
        assert_eq!(to_header(&"y".repeat(9_999)).0.unwrap().len(), 250);
    }

    #[test]
    fn a_domain_beyond_ascii_is_sent_as_its_ascii_form() {
        let from = sender();
        let rendered = rendered("en", Credential::Password, false);
        let headers = with(&from, "zoe@exämple.com", "Zoë");
        let message = build(&headers, &rendered).unwrap();
        let to: Vec<&str> = message.envelope().to().iter().map(AsRef::as_ref).collect();
        assert_eq!(to, ["zoe@xn--exmple-cua.com"]);
        assert!(message.formatted().is_ascii());
    }

    #[test]
    fn bad_addresses_and_ids_are_errors() {
        let from = sender();
        let rendered = rendered("en", Credential::Password, false);
        for to in ["", "zoe", "zoe@", "zoe@example.com\r\nBcc: x@example.com"] {
            let error = build(&with(&from, to, "Zoë"), &rendered).unwrap_err();
            assert!(matches!(error, MimeError::Address(_)), "{to:?}");
            assert!(!error.to_string().contains("zoe"));
        }
        for id in ["", "x", "x@", "<x@y>", "x@y\r\nBcc: z@example.com", "x y@z"] {
            let mut headers = with(&from, "zoe@example.com", "Zoë");
            headers.message_id = id;
            let error = build(&headers, &rendered).unwrap_err();
            assert!(matches!(error, MimeError::MessageId), "{id:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever stands in them, names and the subject make no header and no part.
        #[test]
        fn nothing_makes_a_header(
            before in "\\PC{0,20}",
            line_break in "\r\n|\r|\n|\r\n\r\n|\u{0}|\u{85}|\u{2028}",
            after in "(Bcc: x@example.com|Subject: y|--)\\PC{0,20}",
        ) {
            let evil = format!("{before}{line_break}{after}");
            let from = Mailbox::new(Some(evil.clone()), "it@example.com".parse().unwrap());
            let clean = Mailbox::new(None, "it@example.com".parse().unwrap());
            let mut good = rendered("en", Credential::Password, false);
            let usual = build(&with(&clean, "zoe@example.com", "Zoë"), &good).unwrap().formatted();
            good.subject.clone_from(&evil);
            let bytes = bytes(&with(&from, "zoe@example.com", &evil), &good);
            let (usual, mail) =
                (mailparse::parse_mail(&usual).unwrap(), mailparse::parse_mail(&bytes).unwrap());
            prop_assert_eq!(names(&mail), names(&usual));
            prop_assert_eq!(types(&mail), types(&usual));
        }
    }
}
