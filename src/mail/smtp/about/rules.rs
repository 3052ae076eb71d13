//! The rules, each with where it is from: RFCs, the registry of enhanced status codes, and what vendors document of their
//! servers. Pure.

use std::ops::RangeInclusive;

use super::{
    super::fault::Stage,
    phrases::{CONTENT, NO_RELAY, NOBODY, PACE, QUOTA, RESTRICTED, WHO_WE_ARE},
    whom::About,
};

/// At which stages a rule holds.
pub(super) type Stages = &'static [Stage];

pub(super) const ANY: Stages = &[];
/// Before any message.
const COMING_IN: Stages = &[
    Stage::Connect,
    Stage::Tls,
    Stage::Hello,
    Stage::StartTls,
    Stage::Auth,
];
const MAIL: Stages = &[Stage::Mail];
const RCPT: Stages = &[Stage::Rcpt];
/// Where a recipient can be meant.
const TO_WHOM: Stages = &[Stage::Rcpt, Stage::Data, Stage::Body, Stage::FinalDot];
const CONTENT_SENT: Stages = &[Stage::Data, Stage::Body, Stage::FinalDot];
/// Where nothing but the size is known of the message.
const SIZE: Stages = &[Stage::Mail, Stage::Data, Stage::Body, Stage::FinalDot];

/// What a rule looks at. All of it has to fit; a rule says one thing of it, rarely two.
pub(super) struct Rule<T> {
    pub(super) at: Stages,
    /// The first digit: 4 or 5, or 0 for both.
    pub(super) class: u16,
    /// Reply codes; none: any.
    pub(super) code: &'static [u16],
    /// Subject and details of the enhanced status (RFC 3463), whatever its class.
    pub(super) status: Option<(u16, RangeInclusive<u16>)>,
    /// One of these is in the text, in small letters; none: any text.
    pub(super) words: &'static [&'static str],
    /// What follows from it.
    pub(super) then: T,
}

pub(super) const fn rule<T: Copy>(at: Stages, class: u16, then: T) -> Rule<T> {
    Rule {
        at,
        class,
        code: &[],
        status: None,
        words: &[],
        then,
    }
}

pub(super) const fn code<T: Copy>(at: Stages, code: &'static [u16], then: T) -> Rule<T> {
    Rule {
        code,
        ..rule(at, 0, then)
    }
}

pub(super) const fn status<T: Copy>(
    at: Stages,
    class: u16,
    subject: u16,
    details: RangeInclusive<u16>,
    then: T,
) -> Rule<T> {
    Rule {
        status: Some((subject, details)),
        ..rule(at, class, then)
    }
}

pub(super) const fn words<T: Copy>(class: u16, words: &'static [&'static str], then: T) -> Rule<T> {
    Rule {
        words,
        ..rule(ANY, class, then)
    }
}

pub(super) const ALL: RangeInclusive<u16> = 0..=999;

pub(super) const RULES: &[Rule<About>] = &[
    // Gmail 450 4.2.1, Exchange "recipient thread limit exceeded", iCloud: all mails to this recipient, not only ours.
    words(
        0,
        &[
            "receiving mail at a rate",
            "receiving mail too quickly",
            "recipient thread limit",
            "recipient is receiving",
            "deferred due to excessive volume",
        ],
        About::Recipient,
    ),
    // Postfix verify(8) quotes the server that it asked, which speaks of another sender.
    words(
        0,
        &["undeliverable address", "unverified address"],
        About::Recipient,
    ),
    // Postfix tells of the sender at RCPT (`smtpd_delay_reject`), also with a status that else is the recipient's.
    words(
        0,
        &["sender address rejected", "sender verify failed"],
        About::Sender,
    ),
    // IANA's registry of enhanced status codes: the address, the mailbox.
    status(RCPT, 5, 1, 1..=6, About::Recipient),
    status(RCPT, 5, 1, 10..=10, About::Recipient),
    status(RCPT, 5, 2, 0..=4, About::Recipient),
    status(RCPT, 4, 2, 2..=4, About::Recipient),
    // RFC 3463 §3.2: the sender's address, its system; Exchange Online 5.1.8 "bad outbound sender", 5.1.90 daily limit.
    status(ANY, 0, 1, 7..=8, About::Sender),
    status(ANY, 0, 1, 90..=90, About::Sender),
    Rule {
        at: TO_WHOM,
        ..words(5, NOBODY, About::Recipient)
    },
    // Exchange: this recipient takes no mail from strangers, whatever it says of authentication.
    status(ANY, 5, 7, 12..=12, About::Recipient),
    status(ANY, 5, 7, 124..=124, About::Recipient),
    status(ANY, 5, 7, 133..=136, About::Recipient),
    Rule {
        at: TO_WHOM,
        ..words(5, RESTRICTED, About::Recipient)
    },
    // Exim `smtp_accept_max_per_connection`, IONOS, Postfix `smtpd_hard_error_limit`, Gmail: another connection takes more.
    words(
        4,
        &[
            "messages in this connection",
            "messages per connection",
            "messages per session",
            "mails per session",
            "too many errors",
            "connection expired",
            "timeout",
        ],
        About::Connection,
    ),
    // RFC 3463 §3.5: the connection broke off.
    status(ANY, 4, 4, 2..=2, About::Connection),
    // OpenSMTPD `smtp limit max-mails`, 100 a session unless set.
    Rule {
        words: &["too many messages sent"],
        ..status(MAIL, 4, 5, 3..=3, About::Connection)
    },
    // RFC 6647: postgrey, milter-greylist, rspamd, Exim's and SQLgrey's words.
    words(
        4,
        &[
            "greylist",
            "graylist",
            "grey-list",
            "gray-list",
            "grey list",
            "gray list",
        ],
        About::Recipient,
    ),
    // RFC 3463 §3.3, §3.4 and RFC 1870 §6: too large, for the mailbox or the system.
    status(ANY, 5, 3, 4..=4, About::Message),
    status(ANY, 5, 2, 3..=3, About::Message),
    words(5, CONTENT, About::Message),
    // RFC 3463 §3.7: the content.
    status(ANY, 5, 6, ALL, About::Message),
    words(0, QUOTA, About::Sender),
    // As at RCPT, from servers that look at the recipient late; after the quotas, which Exchange Online tells as 5.2.2.
    status(CONTENT_SENT, 5, 1, 1..=6, About::Recipient),
    status(CONTENT_SENT, 5, 1, 10..=10, About::Recipient),
    status(CONTENT_SENT, 5, 2, 1..=2, About::Recipient),
    words(4, PACE, About::Pace),
    words(5, PACE, About::Sender),
    Rule {
        code: &[552],
        ..rule(SIZE, 5, About::Message)
    },
    // Before a message is spoken of. RFC 5321 §3.8: 421 closes for now, and 4.3.2 asks to come back later.
    code(COMING_IN, &[421, 432], About::Pace),
    status(COMING_IN, 4, 3, 2..=2, About::Pace),
    rule(COMING_IN, 0, About::Away),
    // RFC 3463 §3.5 and Gmail: congestion, daily limits.
    status(ANY, 0, 4, 5..=5, About::Sender),
    // Exchange Online 5.2.252 SendAsDenied.
    status(ANY, 5, 2, 252..=252, About::Sender),
    // IANA's registry of enhanced status codes: DKIM, SPF, reverse DNS, DMARC, null MX of the sender, mail flood.
    status(ANY, 0, 7, 20..=29, About::Sender),
    // Exchange Online: 57 not authenticated, 60 may not send as, 64 no such tenant, 68 not an allowed address.
    status(ANY, 5, 7, 57..=57, About::Sender),
    status(ANY, 5, 7, 60..=60, About::Sender),
    status(ANY, 5, 7, 64..=64, About::Sender),
    status(ANY, 5, 7, 68..=68, About::Sender),
    // Exchange Online: limits of the tenant.
    status(ANY, 0, 7, 232..=236, About::Sender),
    // Exchange Online: banned senders and addresses (504, 505, 507 and 512 are about the recipient or the message).
    status(ANY, 5, 7, 501..=503, About::Sender),
    status(ANY, 5, 7, 506..=506, About::Sender),
    status(ANY, 5, 7, 508..=511, About::Sender),
    status(ANY, 5, 7, 606..=649, About::Sender),
    status(ANY, 5, 7, 705..=708, About::Sender),
    status(ANY, 5, 7, 750..=750, About::Sender),
    words(0, NO_RELAY, About::Sender),
    words(0, WHO_WE_ARE, About::Sender),
    // RFC 4954 §6, RFC 3207 §4: sign in, encrypt first.
    code(ANY, &[530, 534, 535, 538], About::Sender),
    // Exchange Online: 432 4.3.2, sender thread limit.
    code(ANY, &[432], About::Pace),
    status(ANY, 4, 3, 2..=2, About::Pace),
    // 4.7.z: security or policy (RFC 3463 §3.8); before a recipient is named it cannot be one's greylisting.
    status(MAIL, 4, 7, ALL, About::Pace),
    Rule {
        code: &[421],
        ..status(ANY, 4, 7, ALL, About::Pace)
    },
    status(ANY, 4, 7, ALL, About::Unsure),
    // RFC 3463 §3.6: too many recipients, although there is one.
    status(ANY, 4, 5, 3..=3, About::Unsure),
    code(ANY, &[421], About::Connection),
    // RFC 3463 §3.4: the mail system.
    status(ANY, 0, 3, ALL, About::Sender),
    // RFC 5321 §4.2.4: not at this moment of the conversation, so the conversation begins anew.
    code(ANY, &[500, 502, 503], About::Connection),
    rule(MAIL, 0, About::Sender),
    rule(RCPT, 0, About::Recipient),
    rule(ANY, 0, About::Message),
];
