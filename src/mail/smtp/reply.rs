//! What a server answers, as it really comes: without text, in several lines, in bytes of any encoding, without end.
//! Pure.

use encoding_rs::WINDOWS_1252;

/// Bytes of a line that are kept. RFC 5321 §4.5.3.1.5 allows 512; servers explain themselves in more.
const KEPT_OF_A_LINE: usize = 2 * 1024;
/// Lines whose text is kept.
const KEPT_LINES: usize = 64;
/// Bytes of a whole reply. Past it there is no reply any more.
const LONGEST: usize = 256 * 1024;

/// A whole reply (RFC 5321 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) lines: Vec<String>,
}

/// Why what came is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoReply {
    #[error("no valid SMTP answer (it has no code)")]
    NoCode,
    #[error("no valid SMTP answer (its lines have codes of different kinds)")]
    CodesDiffer,
    #[error("no valid SMTP answer (it has no end)")]
    Endless,
}

/// Puts a reply together from bytes as they arrive.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    taken: usize,
    code: Option<u16>,
    lines: Vec<String>,
}

impl Reader {
    /// Takes bytes up to the end of a line; gives how many were taken, and the reply when this ends it.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Reply>), NoReply> {
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        self.taken += taken;
        if self.taken > LONGEST {
            return Err(NoReply::Endless);
        }
        let room = KEPT_OF_A_LINE.saturating_sub(self.line.len());
        let line = &bytes[..end.unwrap_or(taken)];
        self.line.extend_from_slice(&line[..line.len().min(room)]);
        if end.is_none() {
            return Ok((taken, None));
        }
        let line = std::mem::take(&mut self.line);
        let (code, is_last, text) = parse(line.trim_ascii_end()).ok_or(NoReply::NoCode)?;
        // One code for all lines (RFC 5321 §4.2.1), of which the last counts: postscreen greets and then says no.
        let is_change = self.code.is_some_and(|before| before / 100 != code / 100);
        if is_change && code < 400 {
            return Err(NoReply::CodesDiffer);
        }
        self.code = Some(code);
        if self.lines.len() < KEPT_LINES {
            self.lines.push(text);
        }
        let lines = is_last.then(|| std::mem::take(&mut self.lines));
        Ok((taken, lines.map(|lines| Reply { code, lines })))
    }
}

/// Code, whether it is the last line, and the text, which may be missing with the blank before it.
fn parse(line: &[u8]) -> Option<(u16, bool, String)> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let (is_last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ' | b'\t', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    // RFC 6531 allows UTF-8; what is not is one of the old encodings, of which this one has a meaning for every byte.
    let text = match str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252
            .decode_without_bom_handling(text)
            .0
            .into_owned(),
    };
    Some((code, is_last, text))
}

impl Reply {
    /// The text in one line, and the enhanced status at its beginning; one that is repeated on each line is kept once.
    pub(super) fn split(&self) -> (Option<String>, String) {
        let mut lines = self.lines.iter();
        let first = lines.next().map(String::as_str).unwrap_or_default();
        let (status, mut joined) = split_status(self.code, first);
        for line in lines {
            let (again, rest) = split_status(self.code, line);
            joined.push(' ');
            joined.push_str(if again == status { &rest } else { line });
        }
        (status, one_line(&joined))
    }

    /// The whole in one line, with code and status.
    pub(super) fn shown(&self) -> String {
        let (status, text) = self.split();
        let mut shown = self.code.to_string();
        for part in [status.as_deref().unwrap_or_default(), &text] {
            if !part.is_empty() {
                shown.push(' ');
                shown.push_str(part);
            }
        }
        shown
    }
}

/// Splits the enhanced status code off the beginning of a reply's text. Its class must agree with
/// the reply code, else it is mere text (RFC 2034, section 4).
fn split_status(code: u16, text: &str) -> (Option<String>, String) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let mut parts = word.split('.');
    let class = parts.next().unwrap_or_default();
    let is_number =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let numbers = [parts.next(), parts.next()].map(|part| part.is_some_and(is_number));
    if class == (code / 100).to_string() && numbers == [true, true] && parts.next().is_none() {
        (Some(word.to_owned()), rest.trim_start().to_owned())
    } else {
        (None, text.to_owned())
    }
}

/// Text from outside as one line without control characters.
pub(super) fn one_line(text: &str) -> String {
    let printable = text.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<&str> = printable.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes of bytes that arrive in pieces, and what is left of them.
    fn read(bytes: &[u8], piece: usize) -> (Result<Option<Reply>, NoReply>, usize) {
        let (mut reader, mut at) = (Reader::default(), 0);
        while at < bytes.len() {
            let end = bytes.len().min(at + piece.max(1));
            match reader.take(&bytes[at..end]) {
                Ok((taken, None)) => at += taken,
                Ok((taken, Some(reply))) => return (Ok(Some(reply)), bytes.len() - at - taken),
                Err(error) => return (Err(error), 0),
            }
        }
        (Ok(None), 0)
    }

    #[test]
    fn replies_are_read_as_they_come() {
        let reply = |code, lines: &[&str]| {
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            Ok(Some(Reply { code, lines }))
        };
        for (bytes, expected) in [
            (&b"250 2.0.0 Ok\r\n"[..], reply(250, &["2.0.0 Ok"])),
            (b"250\r\n", reply(250, &[""])),
            (b"250 \r\n", reply(250, &[""])),
            (b"250\n", reply(250, &[""])),
            (b"250-\r\n250\r\n", reply(250, &["", ""])),
            (b"250-a\r\n250-\r\n250 c\r\n", reply(250, &["a", "", "c"])),
            (b"250\tOk\r\n", reply(250, &["Ok"])),
            (b"250 Ok \r\r\n", reply(250, &["Ok"])),
            (b"250-a\r\n251 b\r\n", reply(251, &["a", "b"])),
            (
                b"550 Bo\xeete pleine\r\n",
                reply(550, &["Bo\u{ee}te pleine"]),
            ),
            (
                "550 Boîte pleine\r\n".as_bytes(),
                reply(550, &["Boîte pleine"]),
            ),
            (b"220-a\r\n521 b\r\n", reply(521, &["a", "b"])),
            (b"550-a\r\n250 b\r\n", Err(NoReply::CodesDiffer)),
            (b"what?\r\n", Err(NoReply::NoCode)),
            (b"25\r\n", Err(NoReply::NoCode)),
            (b"\0\r\n", Err(NoReply::NoCode)),
            (b"\r\n", Err(NoReply::NoCode)),
            (b"2500 Ok\r\n", Err(NoReply::NoCode)),
            (b"150 Wait\r\n", Err(NoReply::NoCode)),
            (b"650 No\r\n", Err(NoReply::NoCode)),
            (b"250 Ok", Ok(None)),
        ] {
            for piece in [1, 3, 4096] {
                assert_eq!(read(bytes, piece).0, expected, "{bytes:?}");
            }
        }
        assert_eq!(read(b"250 a\r\n550 b\r\n", 4096).1, b"550 b\r\n".len());
    }

    #[test]
    fn what_has_no_end_is_cut() {
        let long = format!("550 {}\r\n", "x".repeat(20_000));
        let (reply, _) = read(long.as_bytes(), 4096);
        assert_eq!(reply.unwrap().unwrap().lines[0].len(), KEPT_OF_A_LINE - 4);
        let many = "250-x\r\n".repeat(1_000) + "250 x\r\n";
        let (reply, _) = read(many.as_bytes(), 4096);
        assert_eq!(reply.unwrap().unwrap().lines.len(), KEPT_LINES);
        for endless in ["x".repeat(LONGEST + 1), "250-x\r\n".repeat(LONGEST / 7 + 1)] {
            let mut reader = Reader::default();
            let mut result = Ok(());
            for piece in endless.as_bytes().chunks(100) {
                let mut rest = piece;
                while !rest.is_empty() && result.is_ok() {
                    match reader.take(rest) {
                        Ok((taken, _)) => rest = &rest[taken..],
                        Err(error) => result = Err(error),
                    }
                }
                assert!(reader.line.capacity() <= 2 * KEPT_OF_A_LINE);
            }
            assert_eq!(result, Err(NoReply::Endless));
        }
    }

    #[test]
    fn the_status_is_told_from_the_text() {
        for (code, lines, status, text) in [
            (
                550,
                &["5.1.1 No such user"][..],
                Some("5.1.1"),
                "No such user",
            ),
            (550, &["5.1.1"], Some("5.1.1"), ""),
            (554, &["4.7.1 Spam"], None, "4.7.1 Spam"),
            (554, &["5.7.1.2 Spam"], None, "5.7.1.2 Spam"),
            (550, &["5.1.1: no"], None, "5.1.1: no"),
            (
                550,
                &["5.7.25 The address", "5.7.25 has no name"],
                Some("5.7.25"),
                "The address has no name",
            ),
            (
                250,
                &["2.6.0 Queued", "at\tonce"],
                Some("2.6.0"),
                "Queued at once",
            ),
            (250, &[""], None, ""),
        ] {
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            let reply = Reply { code, lines };
            assert_eq!(reply.split(), (status.map(str::to_owned), text.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same(bytes: Vec<u8>, piece in 1_usize..20) {
            prop_assert_eq!(read(&bytes, piece).0, read(&bytes, usize::MAX / 2).0);
        }
    }
}
