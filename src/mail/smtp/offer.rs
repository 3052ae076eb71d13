//! What a server offers in its answer to EHLO. Pure.

use std::fmt;

use super::reply::Reply;
use crate::model::said::masked;

/// Ways to sign in that are noted; there are not that many.
const MOST_WAYS: usize = 32;

/// The extensions of a server that change how it is spoken to (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) starttls: bool,
    /// Takes several commands at once (RFC 2920).
    pub(super) pipelining: bool,
    /// Keeps envelope ids for its reports, and can leave the mail out of them (RFC 3461).
    pub(super) dsn: bool,
    /// Takes addresses and headers beyond ASCII (RFC 6531).
    pub(super) smtputf8: bool,
    /// The largest mail in bytes, where it says so (RFC 1870).
    pub(super) size: Option<usize>,
    /// Whether it wants to be told the size.
    pub(super) asks_size: bool,
    /// The ways to sign in, in capitals (RFC 4954).
    pub(super) auth: Vec<String>,
}

impl Offer {
    pub(super) fn of(answer: &Reply) -> Self {
        let mut offer = Self::default();
        for line in answer.lines.iter().skip(1) {
            // `AUTH=LOGIN` is how it was written before it was a standard, and some write both.
            let line = line.to_ascii_uppercase().replacen("AUTH=", "AUTH ", 1);
            let mut words = line.split_whitespace();
            match words.next() {
                Some("STARTTLS") => offer.starttls = true,
                Some("PIPELINING") => offer.pipelining = true,
                Some("DSN") => offer.dsn = true,
                Some("SMTPUTF8") => offer.smtputf8 = true,
                Some("SIZE") => {
                    offer.asks_size = true;
                    // 0 means: no fixed limit (RFC 1870 §3).
                    let most = words.next().and_then(|number| number.parse().ok());
                    offer.size = most.filter(|bytes| *bytes > 0);
                }
                Some("AUTH") => {
                    for way in words {
                        if offer.auth.len() < MOST_WAYS
                            && !offer.auth.iter().any(|known| known == way)
                        {
                            offer.auth.push(way.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        offer
    }

    /// Whether it offers a way to sign in.
    pub(super) fn takes(&self, way: &str) -> bool {
        self.auth.iter().any(|offered| offered == way)
    }
}

/// What counts of it, in the words of the protocol. Those of the server are masked.
impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.starttls, "STARTTLS"),
            (self.pipelining, "PIPELINING"),
            (self.dsn, "DSN"),
            (self.smtputf8, "SMTPUTF8"),
        ];
        let flags = flags.iter().filter(|(is_there, _)| *is_there);
        let mut words: Vec<String> = flags.map(|(_, word)| (*word).to_owned()).collect();
        words.extend(self.size.map(|most| format!("SIZE {most}")));
        if !self.auth.is_empty() {
            words.push(format!("AUTH {}", masked(&self.auth.join(" "))));
        }
        match words.as_slice() {
            [] => f.write_str("nothing more"),
            words => f.write_str(&words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(lines: &[&str]) -> Offer {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Offer::of(&Reply { code: 250, lines })
    }

    #[test]
    fn what_is_offered_is_read_however_it_is_written() {
        let all = offer(&[
            "mx.example STARTTLS",
            "Pipelining",
            "size 1000",
            "AUTH LOGIN plain",
            "AUTH=LOGIN XOAUTH2",
            "dsn",
            "SMTPUTF8",
            "8BITMIME",
            "",
        ]);
        let expected = Offer {
            starttls: false,
            pipelining: true,
            dsn: true,
            smtputf8: true,
            size: Some(1000),
            asks_size: true,
            auth: ["LOGIN", "PLAIN", "XOAUTH2"].map(str::to_owned).to_vec(),
        };
        assert_eq!(all, expected);
        assert!(all.takes("PLAIN") && !all.takes("NTLM"));
        assert_eq!(
            all.to_string(),
            "PIPELINING, DSN, SMTPUTF8, SIZE 1000, AUTH LOGIN PLAIN XOAUTH2"
        );
        assert_eq!(Offer::default().to_string(), "nothing more");
        for (line, size) in [
            ("SIZE", None),
            ("SIZE 0", None),
            ("SIZE 99999999999999999999999", None),
            ("SIZE 35882577", Some(35_882_577)),
        ] {
            let offer = offer(&["x", line]);
            assert_eq!((offer.asks_size, offer.size), (true, size), "{line}");
        }
        // The answer to HELO, or to nobody.
        assert_eq!(offer(&["mx.example"]), Offer::default());
        assert_eq!(offer(&[]), Offer::default());
    }
}
