//! What goes over the wire after DATA. Pure.

use memchr::memchr_iter;

/// A message as the wire wants it: lines that begin with a dot have one more (RFC 5321, section 4.5.2), and a line
/// with a dot alone ends it.
pub(super) struct Content(String);

impl Content {
    /// # Errors
    /// What must hold before a connection is worth opening, and does not.
    pub(super) fn of(message: &[u8]) -> Result<Self, &'static str> {
        let Ok(message) = str::from_utf8(message) else {
            return Err("the message is neither ASCII nor UTF-8: its parts must be encoded");
        };
        let bytes = message.as_bytes();
        let line_feeds = memchr_iter(b'\n', bytes);
        let is_crlf = |at: usize| at > 0 && bytes[at - 1] == b'\r';
        if !line_feeds.clone().all(is_crlf)
            || memchr_iter(b'\r', bytes).count() != line_feeds.clone().count()
        {
            // Servers disagree about where such lines end, which lets a message hide a second one
            // (RFC 5321, section 2.3.8).
            return Err("the message has a line end other than CRLF");
        }
        let mut content = String::with_capacity(message.len() + 64);
        let mut written = 0;
        for start in std::iter::once(0).chain(line_feeds.map(|at| at + 1)) {
            if bytes.get(start) == Some(&b'.') {
                content.push_str(&message[written..start]);
                content.push('.');
                written = start;
            }
        }
        content.push_str(&message[written..]);
        if !content.ends_with("\r\n") {
            content.push_str("\r\n");
        }
        content.push_str(".\r\n");
        Ok(Self(content))
    }
}

impl Content {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes of the message as RFC 1870 §5 counts them: without the final dot. The dots that are doubled count, a few
    /// too many rather than too few.
    pub(super) fn size(&self) -> usize {
        self.0.len() - ".\r\n".len()
    }

    /// Whether a server without SMTPUTF8 can take it (RFC 6531): only an address beyond ASCII is in a header as it is.
    pub(super) fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As a server reads it (RFC 5321, section 4.5.2).
    fn received(content: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut rest = content.split_inclusive("\r\n");
        for line in rest.by_ref() {
            if line == ".\r\n" {
                break;
            }
            lines.push(line.strip_prefix('.').unwrap_or(line).to_owned());
        }
        assert_eq!(rest.next(), None, "nothing behind the dot");
        lines
    }

    #[test]
    fn a_last_line_without_an_end_gets_one() {
        for (message, content) in [
            ("", "\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a\r\n.\r\n", "a\r\n..\r\n.\r\n"),
        ] {
            assert_eq!(Content::of(message.as_bytes()).unwrap().0, content);
        }
    }

    #[test]
    fn line_ends_that_can_be_read_in_two_ways_are_refused() {
        for message in [
            "\n",
            "a\nb",
            "a\rb",
            "a\r",
            "\r\r\n",
            "a\r\n\n",
            "\n\r",
            "a\r\nb\n\rc",
        ] {
            assert!(Content::of(message.as_bytes()).is_err(), "{message:?}");
        }
        assert!(Content::of(b"\xff").is_err());
    }

    #[test]
    fn what_it_takes_of_the_server_is_known_before() {
        for (message, size, is_ascii) in [("a\r\n", 3, true), ("é\r\n", 4, false), ("", 2, true)] {
            let content = Content::of(message.as_bytes()).unwrap();
            assert_eq!(
                (content.size(), content.is_ascii()),
                (size, is_ascii),
                "{message:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_server_reads_what_was_written(lines in prop::collection::vec("[.a\t ]{0,4}", 1..8)) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let content = Content::of(message.as_bytes()).unwrap().0;
            prop_assert_eq!(received(&content).concat(), message);
        }
    }
}
