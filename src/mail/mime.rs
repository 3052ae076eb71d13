//! The wire format: multipart/alternative with a real text part, pictures inline (RFC 2387).

use chrono::{DateTime, Utc};
use lettre::{
    Address, Message,
    message::{
        Attachment, Body, Mailbox, MultiPart, SinglePart,
        header::{self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};

use super::{catalogue::Lang, message::Rendered};

/// Who a mail is from and to, and what tells it from others.
pub struct Headers<'a> {
    pub from: &'a Mailbox,
    pub reply_to: Option<&'a Mailbox>,
    /// The address.
    pub to: &'a str,
    /// The recipient's name.
    pub to_name: &'a str,
    /// Without its angle brackets.
    pub message_id: &'a str,
    pub date: DateTime<Utc>,
    pub lang: Lang,
}

/// Why there is no mail.
#[derive(Debug, thiserror::Error)]
pub enum MimeError {
    #[error("the e-mail address cannot stand in a mail: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("the mail cannot be put together: {0}")]
    Build(#[from] lettre::error::Error),
    #[error("a content type is not one: {0}")]
    ContentType(#[from] header::ContentTypeErr),
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

/// Puts a mail together.
///
/// # Errors
/// [`MimeError`], when the address is none.
pub fn build(headers: &Headers<'_>, rendered: &Rendered) -> Result<Message, MimeError> {
    let address: Address = headers.to.parse()?;
    let name =
        Some(one_line(headers.to_name)).filter(|name| !name.is_empty() && *name != headers.to);
    let mut builder = Message::builder()
        .from(headers.from.clone())
        .to(Mailbox::new(name, address))
        .subject(one_line(&rendered.subject))
        .date(headers.date.into())
        .message_id(Some(format!("<{}>", headers.message_id)));
    if let Some(reply_to) = headers.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    let text = part(ContentType::TEXT_PLAIN, &rendered.text);
    let html = part(ContentType::TEXT_HTML, &rendered.html);
    let alternative = MultiPart::alternative().singlepart(text);
    let body = if rendered.inline.is_empty() {
        alternative.singlepart(html)
    } else {
        let mut related = MultiPart::related().singlepart(html);
        for picture in &rendered.inline {
            let attachment = Attachment::new_inline_with_name(
                picture.content_id.clone(),
                picture.filename.clone(),
            );
            related = related.singlepart(attachment.body(
                Body::new(picture.bytes.to_vec()),
                ContentType::parse(picture.content_type)?,
            ));
        }
        alternative.multipart(related)
    };
    let mut message = builder.multipart(body)?;
    for (name, value) in extra_headers(headers.lang) {
        let name = HeaderName::new_from_ascii_str(name);
        message
            .headers_mut()
            .insert_raw(HeaderValue::new(name, value));
    }
    Ok(message)
}

/// Nothing that could end a header, whatever was stored.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A text part in quoted-printable: all ASCII on the wire whatever the language, and readable in a log.
fn part(content_type: ContentType, text: &str) -> SinglePart {
    let body = Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::QuotedPrintable)
        .unwrap_or_else(Body::new);
    SinglePart::builder().header(content_type).body(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailparse::{MailHeaderMap, parse_mail};

    fn rendered() -> Rendered {
        Rendered {
            subject: "Hé".into(),
            text: "Grüße".into(),
            html: "<p>Grüße</p>".into(),
            inline: Vec::new(),
        }
    }

    fn mail(to_name: &str, subject: &str) -> Vec<u8> {
        let from = "\"Müller, IT\" <it@example.com>".parse().unwrap();
        let headers = Headers {
            from: &from,
            reply_to: Some(&from),
            to: "ada@example.com",
            to_name,
            message_id: "1@example.com",
            date: DateTime::from_timestamp(1_795_527_120, 0).unwrap(),
            lang: Lang::DEFAULT,
        };
        build(
            &headers,
            &Rendered {
                subject: subject.into(),
                ..rendered()
            },
        )
        .unwrap()
        .formatted()
    }

    #[test]
    fn names_are_encoded_and_read_back() {
        for name in [
            "Ada",
            "Ada \"The\" Lovelace, Countess",
            "Zoë 山田",
            "x@y (z) <a@b>",
            &"Łódź ".repeat(40),
        ] {
            let bytes = mail(name.trim(), "Bonjour Zoë");
            assert!(bytes.is_ascii());
            assert!(bytes.split(|b| *b == b'\n').all(|line| line.len() <= 999));
            let parsed = parse_mail(&bytes).unwrap();
            let to = mailparse::addrparse_header(parsed.headers.get_first_header("To").unwrap())
                .unwrap();
            let to = to.extract_single_info().unwrap();
            assert_eq!(
                (to.display_name.as_deref(), to.addr.as_str()),
                (Some(name.trim()), "ada@example.com")
            );
            assert_eq!(
                parsed.headers.get_first_value("Subject").unwrap(),
                "Bonjour Zoë"
            );
        }
    }

    #[test]
    fn a_line_break_makes_no_header() {
        for evil in [
            "a\r\nBcc: all@example.com",
            "a\nBcc: all@example.com",
            "a\rBcc: all@example.com",
        ] {
            for bytes in [mail(evil, "x"), mail("x", evil)] {
                let parsed = parse_mail(&bytes).unwrap();
                assert!(parsed.headers.get_first_header("Bcc").is_none());
            }
        }
    }
}
