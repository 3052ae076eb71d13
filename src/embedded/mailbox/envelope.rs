//! The envelope of a mail, and how it is kept in the mail's file.
//!
//! Pure.

use serde::Serialize;

/// What stands before the mail in its file: a line for each recipient, then the sender's, which ends
/// them.
const ENVELOPE_TO: &str = "X-Envelope-To: ";
const ENVELOPE_FROM: &str = "X-Envelope-From: ";

/// Who a mail came from and went to, as the mail server was told. Its headers may say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// The sender; empty where reports about the mail are not wanted.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
}

/// The file of a mail: the envelope as headers, then the mail itself, so that mail programs open it.
pub(super) fn with_envelope(envelope: &Envelope, message: &[u8]) -> Vec<u8> {
    let mut stored = String::new();
    let recipients = envelope.to.iter().map(|address| (ENVELOPE_TO, address));
    for (name, address) in recipients.chain([(ENVELOPE_FROM, &envelope.from)]) {
        let address = address.replace(char::is_control, "");
        stored.push_str(&format!("{name}<{address}>\r\n"));
    }
    let mut stored = stored.into_bytes();
    stored.extend_from_slice(message);
    stored
}

/// Undoes [`with_envelope`]. There is no envelope if the file is from elsewhere.
pub(super) fn without_envelope(stored: &[u8]) -> (Option<Envelope>, &[u8]) {
    let mut envelope = Envelope::default();
    let mut rest = stored;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let Ok(line) = std::str::from_utf8(&rest[..end]) else {
            break;
        };
        rest = &rest[end + 2..];
        let address = |value: &str| value.trim_matches(['<', '>']).to_owned();
        if let Some(value) = line.strip_prefix(ENVELOPE_TO) {
            envelope.to.push(address(value));
        } else if let Some(value) = line.strip_prefix(ENVELOPE_FROM) {
            envelope.from = address(value);
            return (Some(envelope), rest);
        } else {
            break;
        }
    }
    (None, stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_read_back_and_never_taken_from_the_mail() {
        let envelope = Envelope {
            from: "it@example.com".to_owned(),
            to: vec!["zoë@example.com".to_owned(), "\"a, b\"@c".to_owned()],
        };
        let message = b"X-Envelope-To: <evil@example.com>\r\nSubject: Hi\r\n\r\n.\r\n";
        let stored = with_envelope(&envelope, message);
        assert_eq!(without_envelope(&stored), (Some(envelope), &message[..]));
        assert_eq!(without_envelope(message), (None, &message[..]));
        assert_eq!(without_envelope(b""), (None, &b""[..]));
    }
}
