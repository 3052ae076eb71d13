//! The wire format: multipart/alternative with a real text part, pictures inline (RFC 2387). All
//! ASCII, so that no relay on the way has to be asked for more; but for a recipient's address with other letters before the
//! @, which has no other form and makes the mail one for SMTPUTF8 (RFC 6531).

mod fields;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use lettre::{
    Address, Message,
    address::{AddressError, Envelope},
    message::{
        Attachment, Body, Mailbox, MultiPart, SinglePart,
        header::{ContentType, ContentTypeErr, HeaderName, HeaderValue},
    },
};

use super::{catalogue::Lang, message::Rendered};
use crate::model::identity::in_ascii_domain;

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
    /// The id that all messages of one conversation refer to, so that they are shown together even where a relay on the way
    /// gives them other ids.
    pub thread: Option<&'a str>,
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
/// answer a machine (RFC 3834 §5; the second header is for Exchange: no read receipts, no replies. `NDR`, which is in `All`, would
/// suppress the reports that a mail could not be delivered, and `DR` others of its transport: [MS-OXCMAIL] §2.1.3.2.20).
pub fn extra_headers(lang: Lang) -> Vec<(&'static str, String)> {
    vec![
        ("Auto-Submitted", "auto-generated".to_owned()),
        (
            "X-Auto-Response-Suppress",
            "RN, NRN, OOF, AutoReply".to_owned(),
        ),
        ("Content-Language", lang.as_str().to_owned()),
    ]
}

/// Puts a mail together; [`Message::formatted`] gives its bytes. They are ASCII if the recipient's address is, as the
/// envelope has it.
///
/// # Errors
/// [`MimeError`], when an address or the message id cannot stand in a mail.
pub fn build(headers: &Headers<'_>, rendered: &Rendered) -> Result<Message, MimeError> {
    if ![Some(headers.message_id), headers.thread, headers.follows]
        .into_iter()
        .flatten()
        .all(is_message_id)
    {
        return Err(MimeError::MessageId);
    }
    let from = mailbox(headers.from.name.as_deref(), &headers.from.email)?;
    let to = mailbox(Some(headers.to_name), &headers.to.parse()?)?;
    let subject = one_line(&rendered.subject);
    let folded = fields::text("Subject", &subject);
    let mut builder = Message::builder()
        .envelope(Envelope::new(
            Some(from.email.clone()),
            vec![to.email.clone()],
        )?)
        .raw_header(field("From", &from))
        .raw_header(field("To", &to))
        .raw_header(raw("Subject", subject, folded))
        .date(headers.date.into())
        .message_id(Some(format!("<{}>", headers.message_id)));
    if let Some(reply_to) = headers.reply_to {
        let reply_to = mailbox(reply_to.name.as_deref(), &reply_to.email)?;
        builder = builder.raw_header(field("Reply-To", &reply_to));
    }
    if let Some(follows) = headers.follows {
        builder = builder.in_reply_to(format!("<{follows}>"));
    }
    // The oldest first (RFC 5322 §3.6.4).
    let references: Vec<String> = [headers.thread, headers.follows]
        .into_iter()
        .flatten()
        .map(|id| format!("<{id}>"))
        .collect();
    if !references.is_empty() {
        builder = builder.references(references.join(" "));
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
        // What kind of part the first one is must be said (RFC 2387 §3.1).
        let boundary = related.boundary();
        let kind = format!("multipart/related; boundary=\"{boundary}\"; type=\"text/html\"");
        related.headers_mut().set(ContentType::parse(&kind)?);
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

/// A field with a mailbox, on lines of our own.
fn field(name: &'static str, mailbox: &Mailbox) -> HeaderValue {
    let address: &str = mailbox.email.as_ref();
    let folded = fields::mailbox(name, mailbox.name.as_deref(), address);
    raw(name, address.to_owned(), folded)
}

/// A field whose lines are made already. lettre would put an address behind an encoded-word whatever that makes of the line,
/// cut graphemes, and leave what only looks encoded as it is.
fn raw(name: &'static str, value: String, folded: String) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    HeaderValue::dangerous_new_pre_encoded(name, value, folded)
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
    in_ascii_domain(address.as_ref())
        .ok_or(AddressError::InvalidDomain)?
        .parse()
}

/// The dot-atoms of RFC 5322 §3.6.4, within what fits a line.
fn is_message_id(id: &str) -> bool {
    let is_atom = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    id.len() <= LONGEST_ID
        && id
            .split_once('@')
            .is_some_and(|(left, right)| is_atom(left) && is_atom(right))
}

/// A UUID, an @, and a domain of any length.
const LONGEST_ID: usize = 36 + 1 + 253;

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
