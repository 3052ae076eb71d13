//! A mail taken apart, as the page shows it.
//!
//! Pure.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use mailparse::{DispositionType, MailAddr, MailHeaderMap, ParsedMail};
use serde::{Serialize, Serializer};

/// How much of a subject, a name or an address the index holds, in characters.
pub(super) const SHOWN: usize = 250;
/// How large a mail's HTML may become with the pictures that are put into it, in bytes.
const LARGEST_HTML: usize = 32 * 1024 * 1024;

/// A person as a header names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Person {
    pub(super) name: Option<String>,
    pub(super) address: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Serialize)]
pub(super) struct Attachment {
    filename: Option<String>,
    content_type: String,
    content_id: Option<String>,
    /// Shown inside the HTML.
    inline: bool,
    /// The picture that a phone scans.
    pub(super) is_qr: bool,
    size: usize,
    /// Shown in base64.
    #[serde(serialize_with = "base64_text")]
    data: Vec<u8>,
}

fn base64_text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

/// A mail taken apart. What cannot be read is empty: its source can always be shown.
#[derive(Default, Serialize)]
pub(super) struct Mail {
    pub(super) subject: String,
    from: Vec<Person>,
    pub(super) to: Vec<Person>,
    headers: Vec<Header>,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) attachments: Vec<Attachment>,
}

impl Mail {
    pub(super) fn read(message: &[u8]) -> Self {
        let Ok(parsed) = mailparse::parse_mail(message) else {
            return Self::default();
        };
        let mut mail = Self {
            subject: parsed
                .headers
                .get_first_value("Subject")
                .unwrap_or_default(),
            from: people(&parsed, "From"),
            to: people(&parsed, "To"),
            headers: parsed
                .headers
                .iter()
                .map(|header| Header {
                    name: header.get_key(),
                    value: header.get_value(),
                })
                .collect(),
            ..Self::default()
        };
        for part in parsed.parts().filter(|part| part.subparts.is_empty()) {
            mail.take(part);
        }
        mail
    }

    fn take(&mut self, part: &ParsedMail<'_>) {
        let disposition = part.get_content_disposition();
        let is_body = disposition.disposition != DispositionType::Attachment;
        let place = match part.ctype.mimetype.as_str() {
            "text/plain" => &mut self.text,
            "text/html" => &mut self.html,
            _ => return self.attachments.extend(attachment(part)),
        };
        if is_body && place.is_none() {
            *place = part.get_body().ok().map(|text| text.replace("\r\n", "\n"));
        } else {
            self.attachments.extend(attachment(part));
        }
    }

    /// The same mail, with every picture that the HTML names by its content id (RFC 2392) put into it.
    pub(super) fn with_pictures(mut self) -> Self {
        let Some(mut html) = self.html.take() else {
            return self;
        };
        let pictures = self
            .attachments
            .iter()
            .filter(|attachment| attachment.content_type.starts_with("image/"));
        for picture in pictures {
            let Some(id) = &picture.content_id else {
                continue;
            };
            let name = format!("cid:{id}");
            let data = format!(
                "data:{};base64,{}",
                picture.content_type,
                BASE64_STANDARD.encode(&picture.data)
            );
            if html.len() + html.matches(&name).count() * data.len() <= LARGEST_HTML {
                html = html.replace(&name, &data);
            }
        }
        self.html = Some(html);
        self
    }
}

impl Person {
    /// A person of whom only the address is known.
    pub(super) fn nameless(address: &str) -> Self {
        Self {
            name: None,
            address: first(address, SHOWN),
        }
    }

    /// The same person, cut down to what the index holds.
    pub(super) fn brief(&self) -> Self {
        Self {
            name: self.name.as_ref().map(|name| first(name, SHOWN)),
            address: first(&self.address, SHOWN),
        }
    }
}

fn people(mail: &ParsedMail<'_>, header: &str) -> Vec<Person> {
    let Some(header) = mail.headers.get_first_header(header) else {
        return Vec::new();
    };
    let Ok(addresses) = mailparse::addrparse_header(header) else {
        return vec![Person::nameless(&header.get_value())];
    };
    let singles = addresses.iter().flat_map(|address| match address {
        MailAddr::Single(single) => std::slice::from_ref(single),
        MailAddr::Group(group) => &group.addrs,
    });
    singles
        .map(|single| Person {
            name: single.display_name.clone(),
            address: single.addr.clone(),
        })
        .collect()
}

fn attachment(part: &ParsedMail<'_>) -> Option<Attachment> {
    let bytes = part.get_body_raw().ok()?;
    let disposition = part.get_content_disposition();
    let filename = disposition
        .params
        .get("filename")
        .or_else(|| part.ctype.params.get("name"))
        .cloned();
    let content_type = part.ctype.mimetype.clone();
    let content_id = part
        .headers
        .get_first_value("Content-ID")
        .map(|id| id.trim().trim_matches(['<', '>']).to_owned())
        .filter(|id| !id.is_empty());
    Some(Attachment {
        inline: content_id.is_some() && disposition.disposition == DispositionType::Inline,
        is_qr: content_type.starts_with("image/")
            && filename
                .as_ref()
                .is_some_and(|name| name.starts_with("qr.")),
        size: bytes.len(),
        data: bytes,
        filename,
        content_type,
        content_id,
    })
}

/// The first characters of a text.
pub(super) fn first(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}
