//! Enhanced status codes (RFC 3463) and reply codes (RFC 5321) in fields and in words, and what they are about. Pure.

use std::fmt;

/// `class.subject.detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced {
    /// 2, 4 or 5.
    pub class: u16,
    subject: u16,
    detail: u16,
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// The highest subject that there is (RFC 3463 §3). What is higher is a version or the like.
const HIGHEST_SUBJECT: u16 = 7;

impl Enhanced {
    /// The first one in a text: also `#5.1.1`, `550-5.1.1` and `4.2.2.`, but no part of an IP address.
    pub fn find(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let begins = |at: &usize| {
            let before = at.checked_sub(1).map(|before| bytes[before]);
            before.is_none_or(|before| !before.is_ascii_alphanumeric() && before != b'.')
        };
        (0..bytes.len())
            .filter(begins)
            .find_map(|at| Self::at(bytes.get(at..)?))
    }

    fn at(bytes: &[u8]) -> Option<Self> {
        let (class, rest) = number(bytes)?;
        let (subject, rest) = number(rest.strip_prefix(b".")?)?;
        let (detail, rest) = number(rest.strip_prefix(b".")?)?;
        let goes_on = match rest {
            [b'.', next, ..] => next.is_ascii_digit(),
            [next, ..] => next.is_ascii_alphanumeric(),
            [] => false,
        };
        let is_one = matches!(class, 2 | 4 | 5) && subject <= HIGHEST_SUBJECT && !goes_on;
        is_one.then_some(Self {
            class,
            subject,
            detail,
        })
    }

    /// Whether it leaves open what is wrong: then the words say it, if anything does (RFC 3463 §3.1). Of other subjects
    /// than the address and the mailbox it is enough to know the subject.
    pub fn is_vague(self) -> bool {
        self.subject == 0 || self.detail == 0 && matches!(self.subject, 1 | 2)
    }

    /// Whether it is vague about everything.
    pub fn is_empty(self) -> bool {
        self.subject == 0
    }

    /// Whether it is the address that mails do not reach, for good:
    ///
    /// - x.1.1: there is no such mailbox (RFC 3463 §3.2)
    /// - x.1.3: the address is none (§3.2)
    /// - x.1.6: its owner has moved and left no other (§3.2)
    /// - x.1.10: its domain takes no mail at all (RFC 7505 §4.2); of Exchange Online: there is no such recipient
    /// - x.2.1: the mailbox is closed (RFC 3463 §3.3)
    ///
    /// Not x.1.2: a domain that is not found may be back tomorrow, and with it everybody who has an address there. Not
    /// x.1.4 and x.1.9, where there may be a mailbox, nor x.1.7 and x.1.8, which are about the sender; nor full mailboxes
    /// (x.2.2) and lists (x.2.4), nor what systems (x.3), networks (x.4), protocols (x.5), contents (x.6) and policies
    /// (x.7) have against a mail.
    pub fn is_about_the_address(self) -> bool {
        self.class == 5 && matches!((self.subject, self.detail), (1, 1 | 3 | 6 | 10) | (2, 1))
    }
}

/// One to three digits.
fn number(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let end = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (digits, rest) = bytes.split_at(end);
    let value = digits.iter().fold(0, |sum: u16, digit| {
        sum.saturating_mul(10)
            .saturating_add(u16::from(digit - b'0'))
    });
    (1..=3).contains(&end).then_some((value, rest))
}

/// The reply code (4yz or 5yz) that words quote: where they begin, behind a colon or a quotation mark, or in front of an
/// enhanced code. Another number of three digits is a number.
pub fn reply_code(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    let start = bytes.iter().take_while(|b| b"#'\"(<> ".contains(b));
    let start = start.count();
    (0..bytes.len()).find_map(|at| {
        let (before, here) = bytes.split_at(at);
        let [
            class @ (b'4' | b'5'),
            second @ b'0'..=b'5',
            third @ b'0'..=b'9',
            rest @ ..,
        ] = here
        else {
            return None;
        };
        let is_whole = before
            .last()
            .is_none_or(|b| !b.is_ascii_alphanumeric() && !b".-@_".contains(b))
            && matches!(rest, [] | [b' ' | b'-', ..]);
        let leads = before.trim_ascii_end();
        let is_first = at <= start;
        let is_quoted = matches!(before.last(), Some(b'\'' | b'"'))
            || leads.len() < before.len() && matches!(leads.last(), Some(b':' | b'<'));
        let is_explained = || {
            let blanks = rest.iter().take_while(|b| b" -".contains(b)).count();
            rest.get(blanks..)
                .is_some_and(|rest| Enhanced::at(rest).is_some())
        };
        let is_one = is_whole && (is_first || is_quoted || is_explained());
        let value = |digit: &u8| u16::from(digit - b'0');
        is_one.then(|| value(class) * 100 + value(second) * 10 + value(third))
    })
}

/// What words are called that mean the address, in English, as most servers have them.
const NOUNS: [&str; 6] = [
    "user",
    "mailbox",
    "recipient",
    "account",
    "address",
    "person",
];

/// Whether words say that nobody has the address. They count where no code says what is wrong.
pub fn says_nobody(words: &str) -> bool {
    let words = words.to_lowercase().replace('’', "'");
    let nobody = |noun| {
        [
            "no such {}",
            "unknown {}",
            "invalid {}",
            "{} unknown",
            "{} not found",
            "{} does not exist",
            "{} doesn't exist",
        ]
        .iter()
        .any(|pattern| words.contains(&pattern.replace("{}", noun)))
    };
    NOUNS.into_iter().any(nobody)
        || [
            "no mailbox here by that name",
            "not listed in domino",
            "not listed in public name",
        ]
        .iter()
        .any(|phrase| words.contains(phrase))
}

/// Whether words say that a mail was kept for as long as its server keeps one: those of Exim, which writes 5.0.0 to that, and of
/// OpenSMTPD, which says `delayed`. A code for it (4.4.7) is no such word: Exchange writes it while it still tries.
pub fn says_too_late(words: &str) -> bool {
    words.ends_with("retry timeout exceeded") || words == "Envelope expired"
}

/// Beginnings of words with which servers say that it is not the address: a list, a policy, a limit, a full mailbox, or
/// the sender. Some servers and relays write 5.1.1 all the same (Sendmail for every 550 without an enhanced code).
const OTHERWISE: [&str; 33] = [
    "authenticat",
    "authori",
    "banned",
    "blacklist",
    "block",
    "bulk",
    "content",
    "denied",
    "denylist",
    "dkim",
    "dmarc",
    "dnsbl",
    "exceed",
    "full",
    "graylist",
    "greylist",
    "limit",
    "malware",
    "polic",
    "prohibit",
    "quota",
    "rate",
    "rbl",
    "relaying",
    "reputation",
    "sender",
    "spam",
    "spf",
    "storage",
    "throttl",
    "unsolicited",
    "verification",
    "virus",
];

/// Whether words plainly say that something else than the address is wrong.
pub fn says_otherwise(words: &str) -> bool {
    let words = words.to_lowercase();
    let said: Vec<&str> = words
        .split_whitespace()
        .filter(|word| !word.contains("://"))
        .flat_map(|word| word.split(|c: char| !c.is_alphanumeric() && !"@._+-=".contains(c)))
        .filter(|word| !word.contains('@'))
        .flat_map(|word| word.split(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .collect();
    let begins = |word: &&str| OTHERWISE.iter().any(|stem| word.starts_with(stem));
    let relays = |pair: &[&str]| {
        matches!(
            pair,
            ["to" | "not" | "cannot" | "no", "relay"] | ["relay", "access" | "not"]
        )
    };
    said.iter().any(begins) || said.windows(2).any(relays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_words_and_numbers_are_not_taken_for_them() {
        for (text, enhanced, code) in [
            ("550 5.1.1 nobody", "5.1.1", 550),
            ("#550 5.1.1 RESOLVER; not found ##", "5.1.1", 550),
            ("550-5.1.1 one 550 5.1.1 two", "5.1.1", 550),
            ("550 (no such box) #5.1.1", "5.1.1", 550),
            ("4.2.2.", "4.2.2", 0),
            ("said: 452 full", "", 452),
            ("returned '550 5.1.10 x'", "5.1.10", 550),
            ("<<< 450 later", "", 450),
            ("host [192.0.2.1] 421-4.7.0 busy", "4.7.0", 421),
            ("host 5.9.1.2 and 4.96.1 refused port 443: no", "", 0),
            ("connect to mx[192.0.2.1]:443: refused", "", 0),
            ("after 450 minutes", "", 0),
            ("5.1.1a x5.1.1 5.1 5.1.1111 5.8.1", "", 0),
            ("250 2.0.0 ok", "2.0.0", 0),
            ("", "", 0),
        ] {
            let found = Enhanced::find(text).map_or_else(String::new, |found| found.to_string());
            assert_eq!(
                (found.as_str(), reply_code(text).unwrap_or(0)),
                (enhanced, code),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_about_the_address_is_known() {
        let about = ["5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"];
        let others = [
            "4.1.1", "5.0.0", "5.1.0", "5.1.2", "5.1.4", "5.1.5", "5.1.7", "5.1.8", "5.1.9",
            "5.2.0", "5.2.2", "5.2.3", "5.2.4", "5.3.0", "5.4.1", "5.5.0", "5.6.0", "5.7.1",
            "4.2.1",
        ];
        for text in about.iter().chain(&others) {
            let code = Enhanced::find(text).unwrap();
            assert_eq!(code.is_about_the_address(), about.contains(text), "{text}");
        }
    }

    #[test]
    fn words_say_whom_they_are_about() {
        for (words, nobody, otherwise) in [
            ("550 No such user here", true, false),
            (
                "552 1 Requested mail action aborted, mailbox not found",
                true,
                false,
            ),
            (
                "User Ada (spam@block.example) not listed in Domino Directory",
                true,
                false,
            ),
            (
                "<ada@quota.example>: User unknown in relay recipient table",
                true,
                false,
            ),
            (
                "550 Invalid Recipient - https://community.example/spam#550",
                true,
                false,
            ),
            (
                "550 permanent failure for one or more recipients (a@x.example:blocked)",
                false,
                true,
            ),
            ("550 unable to relay", false, true),
            ("554 5.7.1 relay access denied", false, true),
            ("550 Sender address does not exist", true, true),
            ("552 mailbox is full", false, true),
            (
                "554 5.2.2 STOREDRV.Deliver.Exception:QuotaExceededException",
                false,
                true,
            ),
            (
                "550 User unknown; or your rate is over the limit",
                true,
                true,
            ),
            ("550 mailbox unavailable", false, false),
        ] {
            assert_eq!(
                (says_nobody(words), says_otherwise(words)),
                (nobody, otherwise),
                "{words}"
            );
        }
    }
}
