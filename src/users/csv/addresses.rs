//! A pasted list of addresses: apart by commas, semicolons, spaces or lines, with names or without.

use std::io::{self, BufRead};

use super::{Line, LineFault, Row};
use crate::{
    model::{
        identity::{DisplayName, Email},
        wire::Flaw,
    },
    users::domain::CreateUser,
};

/// More bytes than a name and an address have.
const LONGEST: usize = 2_000;

/// Reads addresses one by one.
pub struct Addresses<R> {
    source: R,
    line: u32,
    after_return: bool,
    is_first: bool,
    /// What is left of a piece without a name: addresses apart by spaces.
    waiting: std::vec::IntoIter<Line>,
}

impl<R: BufRead> Addresses<R> {
    /// Begins a list.
    pub fn open(source: R) -> Self {
        Self {
            source,
            line: 1,
            after_return: false,
            is_first: true,
            waiting: Vec::new().into_iter(),
        }
    }

    /// The next address.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn advance(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.waiting.next() {
                return Ok(Some(line));
            }
            let number = self.line;
            let Some(piece) = self.piece()? else {
                return Ok(None);
            };
            self.waiting = read(number, &piece).into_iter();
        }
    }

    /// Up to the next separator that is in no quotes.
    fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = Vec::new();
        let mut is_quoted = false;
        let mut is_any = false;
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                if is_quoted {
                    unquote(&mut piece);
                }
                return Ok(is_any.then_some(piece));
            }
            is_any = true;
            let end = buffer.iter().position(|byte| match byte {
                b'\n' | b'\r' => true,
                b'"' => {
                    is_quoted = !is_quoted;
                    false
                }
                b',' | b';' => !is_quoted,
                _ => false,
            });
            let taken = end.unwrap_or(buffer.len());
            // One byte more than allowed is enough to know.
            let room = (LONGEST + 1).saturating_sub(piece.len());
            piece.extend_from_slice(&buffer[..taken.min(room)]);
            let separator = end.map(|end| buffer[end]);
            self.source.consume(taken + usize::from(end.is_some()));
            if let Some(separator) = separator {
                // A line ends with LF, CR or both.
                let is_rest_of_end = separator == b'\n' && self.after_return && piece.is_empty();
                let is_end = matches!(separator, b'\r' | b'\n') && !is_rest_of_end;
                self.line = self.line.saturating_add(u32::from(is_end));
                self.after_return = separator == b'\r';
                // A quote that is not closed on its line was none: nobody may vanish behind it.
                if is_quoted {
                    unquote(&mut piece);
                }
                if std::mem::take(&mut self.is_first) && piece.starts_with("\u{FEFF}".as_bytes()) {
                    piece.drain(..3);
                }
                return Ok(Some(piece));
            }
        }
    }
}

fn unquote(piece: &mut [u8]) {
    for byte in piece.iter_mut().filter(|byte| **byte == b'"') {
        *byte = b' ';
    }
}

/// What a piece holds: `Ada Lovelace <ada@example.com>`, or addresses apart by spaces.
fn read(number: u32, piece: &[u8]) -> Vec<Line> {
    let refused = |flaw| Line::Faulty(vec![LineFault::of_cell(number, "email", flaw)]);
    let Ok(text) = std::str::from_utf8(piece) else {
        return vec![refused(Flaw::new("not_utf8", "is not UTF-8"))];
    };
    if piece.len() > LONGEST {
        return vec![refused(Flaw::new("too_long", "is longer than an address"))];
    }
    let text = text.trim_start_matches('\u{FEFF}').trim();
    let of = |name: &str, address: &str| match Email::parse(address) {
        Ok(email) => Line::User(Box::new(Row {
            line: number,
            user: CreateUser {
                email: Some(email),
                // A name that is none is no reason to leave the address out.
                display_name: DisplayName::parse(name).ok(),
                ..CreateUser::default()
            },
            groups: Vec::new(),
            password: None,
        })),
        // A line may hold hundreds: which one is it?
        Err(flaw) => {
            let shown: String = address.chars().take(60).collect();
            let detail = format!("`{shown}` {}", flaw.detail);
            refused(Flaw::new(flaw.code, detail))
        }
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('<') {
        let (address, behind) = after.split_once('>').unwrap_or((after, ""));
        let name = name.trim_matches([' ', '\t', ',', ';']);
        if name.starts_with('"') {
            lines.push(of(name.trim_matches('"'), address));
        } else {
            // An address in front belongs to somebody else, who has no name.
            let (others, name): (Vec<&str>, Vec<&str>) = name
                .split([' ', '\t', ',', ';'])
                .partition(|word| word.contains('@'));
            lines.extend(others.into_iter().map(|word| of("", word)));
            lines.push(of(name.join(" ").trim(), address));
        }
        rest = behind;
    }
    let single = rest.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    lines.extend(
        single
            .filter(|word| !word.is_empty())
            .map(|word| of("", word)),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Vec<Line> {
        // A tiny buffer, so that pieces go over its edge.
        let mut addresses = Addresses::open(io::BufReader::with_capacity(7, bytes));
        std::iter::from_fn(|| addresses.advance().unwrap()).collect()
    }

    #[test]
    fn people_paste_all_sorts_of_lists() {
        let text = "\u{FEFF}ada@example.com, bob@example.com;cy@example.com\r\n\n\
            dee@example.com eve@example.com\tfay@example.com\n\
            Gus Gray <gus@example.com>; \"Hall, Ida\" <ida@example.com>,";
        let found: Vec<_> = all(text.as_bytes())
            .into_iter()
            .map(|line| match line {
                Line::User(row) => (
                    row.line,
                    row.email().unwrap().split('@').next().unwrap().to_owned(),
                    row.user.display_name.map(DisplayName::into_string),
                ),
                Line::Faulty(faults) => panic!("{faults:?}"),
            })
            .collect();
        let expected = [
            (1, "ada", None),
            (1, "bob", None),
            (1, "cy", None),
            (3, "dee", None),
            (3, "eve", None),
            (3, "fay", None),
            (4, "gus", Some("Gus Gray")),
            (4, "ida", Some("Hall, Ida")),
        ]
        .map(|(line, name, shown)| (line, name.to_owned(), shown.map(str::to_owned)));
        assert_eq!(found, expected);
    }

    #[test]
    fn nobody_vanishes() {
        let text = "Ada <ada1@x.yz> Bob <bob1@x.yz>\nAda \"the first <ada2@x.yz>, bob2@x.yz\n\
            <c1@x.yz> c2@x.yz\nd1@x.yz Dee <d2@x.yz>\n\"e1@x.yz, e2@x.yz";
        let found: Vec<_> = all(text.as_bytes())
            .into_iter()
            .map(|line| match line {
                Line::User(row) => row.email().unwrap().split('@').next().unwrap().to_owned(),
                Line::Faulty(faults) => faults[0].code.to_owned(),
            })
            .collect();
        assert_eq!(
            found,
            [
                "ada1", "bob1", "ada2", "bob2", "c1", "c2", "d1", "d2", "e1", "e2"
            ]
        );
    }

    #[test]
    fn what_is_no_address_is_told() {
        let text = [
            b"ada@example.com\nnobody\n".as_slice(),
            &[b'x'; 9_000],
            b"\n\xFF\n",
        ]
        .concat();
        let faults: Vec<_> = all(&text)
            .into_iter()
            .filter_map(|line| match line {
                Line::Faulty(faults) => Some((faults[0].line, faults[0].code)),
                Line::User(_) => None,
            })
            .collect();
        assert_eq!(
            faults,
            [(2, "invalid_email"), (3, "too_long"), (4, "not_utf8")]
        );
        let Some(Line::Faulty(faults)) = all(b"ada@x.yz, Ida ida@x.yz").into_iter().nth(1) else {
            panic!("a name without brackets is no address");
        };
        assert!(faults[0].detail.starts_with("`Ida` must be"), "{faults:?}");
    }

    #[test]
    fn lines_are_where_an_editor_shows_them() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("a1@x.yz, {end}a2@x.yz{end}{end},a4@x.yz;{end}nobody");
            let lines: Vec<u32> = all(text.as_bytes())
                .into_iter()
                .map(|line| match line {
                    Line::User(row) => row.line,
                    Line::Faulty(faults) => faults[0].line,
                })
                .collect();
            assert_eq!(lines, [1, 2, 4, 5], "{end:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            all(&bytes);
        }
    }
}
