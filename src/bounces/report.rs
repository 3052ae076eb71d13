//! What a delivery status report says (RFC 3464). Pure, and made for bytes from anybody: any of them give an answer.

use mailparse::{MailHeader, MailHeaderMap, ParsedContentType};

/// Parts within parts that are looked into: a report has two, and each relay that wraps it adds one or two.
const DEEPEST: usize = 8;
/// Parts that are looked at.
const MOST_PARTS: usize = 100;
/// Recipients that a report may be about; ours are each about one.
const MOST_RECIPIENTS: usize = 100;

/// What became of a mail after a server had taken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It will not arrive, and the next one would not either.
    Hard(Words),
    /// It is late, or did not arrive for a reason that may pass.
    Soft(Words),
    /// It arrived, or went on to where nobody reports from.
    Delivered,
}

/// What the reporting server said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// RFC 3463, such as `5.1.1`.
    pub status: Option<String>,
    /// In words, on one line.
    pub reason: Option<String>,
}

impl Words {
    /// Whether it is the address that mails do not reach, rather than that a mailbox was full, or that this mail was
    /// too large, held something or was unwelcome (RFC 3463 §3.3, §3.4, §3.7, §3.8).
    pub fn is_about_the_address(&self) -> bool {
        let mut parts = self.status.as_deref().unwrap_or_default().splitn(3, '.');
        let (subject, detail) = (parts.nth(1).unwrap_or_default(), parts.next());
        !matches!(
            (subject, detail.unwrap_or_default()),
            ("2", "2" | "3") | ("3", "4") | ("6" | "7", _)
        )
    }
}

/// Reads a report: a mail with a part `message/delivery-status`, also one that was sent on inside of another mail.
/// `None` if there is none, or it says nothing of a recipient.
pub fn read(mail: &[u8]) -> Option<Verdict> {
    let mut looked_at = 0;
    let status = delivery_status(mail, 0, &mut looked_at)?;
    verdict(&status)
}

/// The content of the first part that is a report. Walks by itself, since the library would follow parts within parts
/// for as long as there are any.
fn delivery_status(part: &[u8], depth: usize, looked_at: &mut usize) -> Option<Vec<u8>> {
    *looked_at += 1;
    if depth > DEEPEST || *looked_at > MOST_PARTS {
        return None;
    }
    let (headers, content) = mailparse::parse_headers(part).ok()?;
    let kind = content_type(&headers);
    match kind.mimetype.as_str() {
        "message/delivery-status" | "message/global-delivery-status" => {
            // No part of others: the library only takes off the encoding.
            mailparse::parse_mail(part).ok()?.get_body_raw().ok()
        }
        "message/rfc822" | "message/global" => {
            delivery_status(part.get(content..)?, depth + 1, looked_at)
        }
        multipart if multipart.starts_with("multipart/") => {
            let boundary = kind.params.get("boundary")?;
            parts(part.get(content..)?, boundary)
                .into_iter()
                .find_map(|part| delivery_status(part, depth + 1, looked_at))
        }
        _ => None,
    }
}

fn content_type(headers: &[MailHeader<'_>]) -> ParsedContentType {
    let value = headers.get_first_value("Content-Type").unwrap_or_default();
    mailparse::parse_content_type(&value)
}

/// What stands between the lines with the boundary (RFC 2046 §5.1.1). The end may have been cut off.
fn parts<'a>(content: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
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
        if parts.len() > MOST_PARTS {
            return parts;
        }
    }
    if let Some(begun) = begun {
        parts.push(&content[begun..]);
    }
    parts
}

/// The fields about the message, then those about each recipient (RFC 3464 §2.1). A mail that reached anybody, as where
/// an address is a list, is not one that came back.
fn verdict(status: &[u8]) -> Option<Verdict> {
    let mut rest = status;
    let (mut hard, mut soft, mut delivered) = (None, None, false);
    for _ in 0..=MOST_RECIPIENTS {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            break;
        }
        let Ok((fields, end)) = mailparse::parse_headers(rest) else {
            break;
        };
        let words = Words {
            status: field(&fields, "Status").as_deref().and_then(status_code),
            reason: field(&fields, "Diagnostic-Code").map(|text| reason(&text)),
        };
        let action = field(&fields, "Action").map(|action| action.to_ascii_lowercase());
        match action.as_deref() {
            Some("failed") if is_permanent(words.status.as_deref()) => {
                hard.get_or_insert(words);
            }
            Some("failed" | "delayed") => {
                soft.get_or_insert(words);
            }
            Some("delivered" | "relayed" | "expanded") => delivered = true,
            _ => {}
        }
        rest = rest.get(end.max(1)..).unwrap_or_default();
    }
    match (delivered, hard, soft) {
        (true, ..) => Some(Verdict::Delivered),
        (_, Some(words), _) => Some(Verdict::Hard(words)),
        (_, None, Some(words)) => Some(Verdict::Soft(words)),
        (false, None, None) => None,
    }
}

fn field(fields: &[MailHeader<'_>], name: &str) -> Option<String> {
    let value = fields.get_first_value(name)?;
    // Comments may follow (RFC 3464 §2.1.1).
    let value = value.split(" (").next().unwrap_or_default().trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Servers that leave the status out mean that it failed.
fn is_permanent(status: Option<&str>) -> bool {
    status.is_none_or(|status| status.starts_with('5'))
}

/// `class.subject.detail` (RFC 3463 §2), and nothing else.
fn status_code(text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?;
    let parts: Vec<&str> = word.split('.').collect();
    let is_number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let is_one =
        parts.len() == 3 && matches!(parts[0], "2" | "4" | "5") && parts.iter().all(is_number);
    is_one.then(|| word.to_owned())
}

/// `smtp; 550 no such user` without the kind (RFC 3464 §2.3.6), on one line.
fn reason(text: &str) -> String {
    let words = text.split_once(';').map_or(text, |(_, words)| words);
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars()
        .filter(|character| !character.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(fields: &str) -> String {
        format!(
            "From: MAILER-DAEMON@relay.example\r\nTo: bounces@example.com\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"b/1\"\r\n\r\n\
             preamble\r\n--b/1\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n\r\n--b/1\r\n\
             Content-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; relay.example\r\nOriginal-Envelope-Id: x\r\n\r\n{fields}\r\n\
             --b/1\r\nContent-Type: message/rfc822\r\n\r\nSubject: what was sent\r\n\r\nHello\r\n--b/1--\r\n"
        )
    }

    fn words(status: &str, reason: &str) -> Words {
        Words {
            status: Some(status.to_owned()),
            reason: Some(reason.to_owned()),
        }
    }

    const GONE: &str = "Final-Recipient: rfc822; ada@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\
                        Diagnostic-Code: smtp; 550 5.1.1 no\r\n such  user\r\n";

    #[test]
    fn what_is_said_of_a_recipient_is_read() {
        let hard = |status, reason| Some(Verdict::Hard(words(status, reason)));
        for (fields, expected) in [
            (GONE, hard("5.1.1", "550 5.1.1 no such user")),
            (
                "action: FAILED\r\nstatus: 5.0.0 (permanent failure)\r\n",
                Some(Verdict::Hard(Words {
                    status: Some("5.0.0".into()),
                    reason: None,
                })),
            ),
            ("Action: failed\r\n", Some(Verdict::Hard(Words::default()))),
            (
                "Action: delayed\r\nStatus: 4.4.1\r\nDiagnostic-Code: x-unix; away\r\n",
                Some(Verdict::Soft(words("4.4.1", "away"))),
            ),
            (
                "Action: failed\r\nStatus: 4.4.7\r\nDiagnostic-Code: smtp;too late\r\n",
                Some(Verdict::Soft(words("4.4.7", "too late"))),
            ),
            (
                "Action: relayed\r\nStatus: 2.0.0\r\n",
                Some(Verdict::Delivered),
            ),
            (
                "Action: failed\r\nStatus: 5.1.1\r\n\r\nAction: delivered\r\nStatus: 2.0.0\r\n",
                Some(Verdict::Delivered),
            ),
            (
                "Action: delayed\r\nStatus: 4.0.0\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; no\r\n",
                hard("5.1.1", "no"),
            ),
            ("Status: 5.1.1\r\n", None),
            ("", None),
        ] {
            assert_eq!(read(report(fields).as_bytes()), expected, "{fields}");
            let with_lf = report(fields).replace("\r\n", "\n");
            assert_eq!(read(with_lf.as_bytes()), expected, "{fields} with LF");
        }
    }

    #[test]
    fn a_report_inside_of_mails_is_found() {
        let mut mail = report(GONE);
        for boundary in ["one", "two", "three"] {
            mail = format!(
                "Subject: Fwd\r\nContent-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\
                 Content-Type: text/plain\r\n\r\nsee below\r\n--{boundary}\r\n\
                 Content-Type: message/rfc822\r\n\r\n{mail}\r\n--{boundary}--\r\n"
            );
        }
        assert!(matches!(read(mail.as_bytes()), Some(Verdict::Hard(_))));
        // Cut off after the report.
        let end = mail.find("what was sent").unwrap();
        assert!(matches!(
            read(&mail.as_bytes()[..end]),
            Some(Verdict::Hard(_))
        ));
    }

    #[test]
    fn an_encoded_report_is_read() {
        let encoded =
            data_encoding::BASE64.encode(format!("Reporting-MTA: dns; x\r\n\r\n{GONE}").as_bytes());
        let mail = format!(
            "Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n"
        );
        assert!(matches!(read(mail.as_bytes()), Some(Verdict::Hard(_))));
    }

    #[test]
    fn parts_without_end_are_followed_so_far() {
        let mut mail = String::new();
        for level in 0..20_000 {
            mail.push_str(&format!(
                "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
            ));
        }
        assert_eq!(read((mail + &report(GONE)).as_bytes()), None);
        let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(30_000);
        assert_eq!(read((nested + &report(GONE)).as_bytes()), None);
        let many = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned()
            + &"--b\r\n\r\n".repeat(100_000);
        assert_eq!(read(many.as_bytes()), None);
    }

    #[test]
    fn what_passes_or_is_about_the_mail_is_not_about_the_address() {
        for (status, expected) in [
            ("5.1.1", true),
            ("5.0.0", true),
            ("5.2.1", true),
            ("5.4.4", true),
            ("5.2.2", false),
            ("5.2.3", false),
            ("5.3.4", false),
            ("5.6.1", false),
            ("5.7.1", false),
        ] {
            assert_eq!(
                words(status, "").is_about_the_address(),
                expected,
                "{status}"
            );
        }
        assert!(Words::default().is_about_the_address());
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes: Vec<u8>) {
            read(&bytes);
        }

        #[test]
        fn any_changed_report_gives_an_answer(at: prop::sample::Index, with: Vec<u8>, cut: prop::sample::Index) {
            let mut bytes = report(GONE).into_bytes();
            let (from, to) = (at.index(bytes.len()), cut.index(bytes.len()));
            bytes.splice(from.min(to)..from.max(to), with);
            read(&bytes);
        }
    }
}
