//! A mail taken apart, with its encodings taken off. Pure.

use mailparse::{MailHeader, MailHeaderMap, ParsedContentType};

/// Parts within parts that are looked into: a report has two, and each relay that wraps it adds one or two.
const DEEPEST: usize = 8;
/// Parts that are looked at.
const MOST: usize = 100;

/// What a mail consists of.
#[derive(Debug, Default)]
pub struct Parts {
    /// What has no parts itself, in order.
    pub leaves: Vec<Leaf>,
    /// Whole mails that stood in an encoding.
    unwrapped: Vec<Vec<u8>>,
    looked_at: usize,
}

/// A part without parts.
#[derive(Debug)]
pub struct Leaf {
    /// Such as `text/plain`.
    pub kind: String,
    /// Whether the mail says it itself, rather than a mail within it.
    pub is_own: bool,
    /// Without its encoding; text as UTF-8.
    pub content: Vec<u8>,
}

impl Parts {
    /// Takes a mail apart. Walks by itself, since the library would follow parts within parts for as long as there are
    /// any.
    pub fn of(mail: &[u8]) -> Self {
        let mut parts = Self::default();
        parts.visit(mail, 0, true);
        parts
    }

    /// Everything that is readable only without its encoding, and more.
    pub fn decoded(&self) -> impl Iterator<Item = &[u8]> {
        let leaves = self.leaves.iter().map(|leaf| leaf.content.as_slice());
        leaves.chain(self.unwrapped.iter().map(Vec::as_slice))
    }

    fn visit(&mut self, part: &[u8], depth: usize, is_own: bool) {
        self.looked_at += 1;
        if depth > DEEPEST || self.looked_at > MOST {
            return;
        }
        let Ok((headers, start)) = mailparse::parse_headers(part) else {
            return;
        };
        let kind = content_type(&headers);
        let content = part.get(start..).unwrap_or_default();
        match kind.mimetype.as_str() {
            "message/rfc822" | "message/global" if is_encoded(&headers) => {
                let Some(mail) = decoded(part) else { return };
                self.visit(&mail, depth + 1, false);
                self.unwrapped.push(mail);
            }
            "message/rfc822" | "message/global" => self.visit(content, depth + 1, false),
            multipart if multipart.starts_with("multipart/") => {
                let Some(boundary) = kind.params.get("boundary") else {
                    return;
                };
                for part in between(content, boundary) {
                    self.visit(part, depth + 1, is_own);
                }
            }
            text if text.starts_with("text/") => {
                let read = mailparse::parse_mail(part).and_then(|part| part.get_body());
                let content = read.map_or_else(|_| content.to_vec(), String::into_bytes);
                self.add(kind.mimetype, is_own, content);
            }
            _ => {
                let content = decoded(part).unwrap_or_else(|| content.to_vec());
                self.add(kind.mimetype, is_own, content);
            }
        }
    }

    fn add(&mut self, kind: String, is_own: bool, content: Vec<u8>) {
        self.leaves.push(Leaf {
            kind,
            is_own,
            content,
        });
    }
}

/// Of what is no part of others the library only takes off the encoding.
fn decoded(part: &[u8]) -> Option<Vec<u8>> {
    mailparse::parse_mail(part).ok()?.get_body_raw().ok()
}

fn is_encoded(headers: &[MailHeader<'_>]) -> bool {
    let encoding = headers.get_first_value("Content-Transfer-Encoding");
    let encoding = encoding.unwrap_or_default().trim().to_ascii_lowercase();
    matches!(encoding.as_str(), "base64" | "quoted-printable")
}

fn content_type(headers: &[MailHeader<'_>]) -> ParsedContentType {
    // Plain text is what says nothing of itself (RFC 2045 §5.2).
    headers
        .get_first_value("Content-Type")
        .map_or_else(ParsedContentType::default, |value| {
            mailparse::parse_content_type(&value)
        })
}

/// What stands between the lines with the boundary (RFC 2046 §5.1.1). The end may have been cut off.
fn between<'a>(content: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let boundary = format!("--{boundary}");
    let (mut parts, mut begun, mut at) = (Vec::new(), None, 0);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        if let Some(rest) = text.strip_prefix(boundary.as_bytes())
            && matches!(rest, b"" | b"--")
        {
            if let Some(begun) = begun {
                parts.push(&content[begun..at]);
            }
            begun = rest.is_empty().then_some(at + line.len());
        }
        at += line.len();
        if parts.len() > MOST {
            return parts;
        }
    }
    if let Some(begun) = begun {
        parts.push(&content[begun..]);
    }
    parts
}
