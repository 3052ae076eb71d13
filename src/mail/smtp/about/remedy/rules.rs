//! What to do about what a server says, each rule with where it is from. Pure.

use super::{
    super::{
        super::fault::Stage,
        phrases::{NO_RELAY, PACE, QUOTA},
        rules::{ALL, ANY, Rule, Stages, code, rule, status, words},
    },
    words::*,
};

const HELLO: Stages = &[Stage::Hello];
const STARTTLS: Stages = &[Stage::StartTls];
const AUTH: Stages = &[Stage::Auth];
const MAIL: Stages = &[Stage::Mail];
const RCPT: Stages = &[Stage::Rcpt];
/// The server has heard who it is for, or all of it.
const ADDRESSED: Stages = &[Stage::Rcpt, Stage::Data, Stage::FinalDot];
const CONTENT: Stages = &[Stage::Data, Stage::Body, Stage::FinalDot];

pub(super) const fn said(
    at: Stages,
    words: &'static [&'static str],
    then: &'static str,
) -> Rule<&'static str> {
    Rule {
        words,
        ..rule(at, 0, then)
    }
}

/// RFCs, IANA's registry and the vendors' pages as in `about/rules.rs`; Microsoft's on SMTP AUTH and on non-delivery reports,
/// Google's on SMTP errors and app passwords, Amazon's on SMTP responses.
pub(super) static SAID: &[Rule<&str>] = &[
    rule(STARTTLS, 0, TLS_BROKEN),
    // Exchange Online, 5.7.139.
    said(
        AUTH,
        &[
            "smtpclientauthentication is disabled",
            "smtp client authentication is disabled",
        ],
        "allow authenticated SMTP for the mailbox in Microsoft 365 (and for the tenant), and sign in with access tokens: \
         ENLIST_SMTP_OAUTH_TOKEN_URL and its companions",
    ),
    said(
        AUTH,
        &[
            "basic authentication is disabled",
            "basic auth",
            "security defaults",
        ],
        TOKEN,
    ),
    said(
        AUTH,
        &["conditional access", "locked by your organization"],
        "a policy of the organisation forbids it: exempt the mailbox or this machine's network, and sign in with access \
         tokens (ENLIST_SMTP_OAUTH_TOKEN_URL)",
    ),
    // Gmail: 534 5.7.9, 534 5.7.14, 535 5.7.8 with its own words.
    said(
        AUTH,
        &[
            "application-specific password",
            "username and password not accepted",
            "log in via your web browser",
            "web login required",
        ],
        APP_PASSWORD,
    ),
    code(AUTH, &[530, 538], ENCRYPT),
    said(
        AUTH,
        &["must issue a starttls", "encryption required"],
        ENCRYPT,
    ),
    code(AUTH, &[421, 432], SLOWER),
    rule(
        AUTH,
        4,
        "the mail server cannot check who signs in just now: look into its log if it stays like this",
    ),
    rule(AUTH, 5, CREDENTIALS),
    status(ANY, 5, 3, 4..=4, LARGE),
    status(ANY, 5, 2, 3..=3, LARGE),
    // RFC 6531 §3.5, RFC 6533: addresses beyond ASCII.
    status(ANY, 5, 6, 7..=7, LETTERS),
    words(
        0,
        &[
            "greylist",
            "graylist",
            "grey-list",
            "gray-list",
            "grey list",
            "gray list",
        ],
        GREY,
    ),
    // Limits of the sender, as in `about/rules.rs`.
    words(0, QUOTA, QUOTED),
    status(ANY, 0, 1, 90..=90, QUOTED),
    status(ANY, 0, 4, 5..=5, QUOTED),
    status(ANY, 0, 7, 232..=236, QUOTED),
    // The mailbox: RFC 3463 §3.3, Gmail, Postfix, chkuser.
    status(ADDRESSED, 0, 2, 1..=2, FULL),
    said(
        ADDRESSED,
        &[
            "mailbox full",
            "mailbox is full",
            "over quota",
            "quota exceeded",
        ],
        FULL,
    ),
    words(0, PACE, SLOWER),
    // Exchange Online 5.7.64; the NDR page: a connector is missing or wrong.
    status(ANY, 5, 7, 64..=64, CONNECTOR),
    words(5, &["tenantattribution"], CONNECTOR),
    // RFC 4954 §6, Exchange 5.7.57; RFC 3207 §4.
    words(
        0,
        &[
            "must issue a starttls",
            "requires starttls",
            "encryption required",
        ],
        ENCRYPT,
    ),
    status(ANY, 5, 7, 57..=57, SIGN_IN),
    words(
        0,
        &[
            "authentication required",
            "authentication is required",
            "must authenticate",
            "not authenticated",
            "client was not authenticated",
        ],
        SIGN_IN,
    ),
    code(ANY, &[530, 534, 535, 538], SIGN_IN),
    words(0, NO_RELAY, RELAY),
    // Exchange Online 5.7.60 and 5.2.252, 5.7.68; Postfix, Gmail, Zoho: who may send as whom.
    status(ANY, 5, 7, 60..=60, FROM),
    status(ANY, 5, 7, 68..=68, FROM),
    status(ANY, 5, 2, 252..=252, FROM),
    words(
        0,
        &[
            "sendasdenied",
            "send as this sender",
            "not owned by",
            "not allowed to send",
            "not authorized to send",
            "not permitted to send",
            "from address is not",
            "from address does not",
        ],
        FROM,
    ),
    words(
        0,
        &[
            "email address is not verified",
            "domain is not verified",
            "verified sender",
        ],
        VERIFY,
    ),
    // RFC 3463 §3.2: the sender's system; Postfix reject_unknown_sender_domain.
    words(
        0,
        &[
            "sender address rejected: domain not found",
            "sender verify failed",
            "domain of sender address",
        ],
        SENDER_DOMAIN,
    ),
    // Exchange Online 5.1.8 "bad outbound sender", 5.7.501–503, 705–708, 750; SES.
    status(ANY, 5, 1, 8..=8, RESTRICTED),
    status(ANY, 5, 7, 501..=503, RESTRICTED),
    status(ANY, 5, 7, 705..=708, RESTRICTED),
    status(ANY, 5, 7, 750..=750, RESTRICTED),
    words(
        0,
        &[
            "sending paused",
            "your account",
            "suspicious activity",
            "spam abuse",
        ],
        RESTRICTED,
    ),
    status(ANY, 0, 1, 7..=7, FROM),
    words(
        0,
        &[
            "sender address rejected",
            "sender rejected",
            "sender denied",
        ],
        FROM,
    ),
    // IANA's registry: 20–24, 26 and 29 DKIM, SPF, DMARC; 25 reverse DNS; 27 a sender whose domain takes no mail.
    status(ANY, 0, 7, 25..=25, REVERSE),
    words(
        0,
        &[
            "ptr record",
            "reverse dns",
            "reverse hostname",
            "cannot find your hostname",
            "cannot find your reverse",
        ],
        REVERSE,
    ),
    status(ANY, 0, 7, 27..=27, SENDER_DOMAIN),
    status(ANY, 0, 7, 20..=29, POLICY),
    words(
        0,
        &[
            "spf",
            "dkim",
            "dmarc",
            "unauthenticated email",
            "unauthenticated mail",
            "not pass authentication",
        ],
        POLICY,
    ),
    // Exchange Online 5.7.506 and Postfix's helo restrictions.
    status(ANY, 5, 7, 506..=506, HELO),
    words(
        0,
        &[
            "helo command rejected",
            "bad helo",
            "need fully-qualified hostname",
            "invalid helo",
        ],
        HELO,
    ),
    // Block lists: Postfix "blocked using", Spamhaus; Exchange Online 5.7.511 and 606–649.
    status(ANY, 5, 7, 511..=511, LISTED),
    status(ANY, 5, 7, 606..=649, LISTED),
    words(
        0,
        &[
            "blocked using",
            "blocked by",
            "block list",
            "blocklist",
            "blacklist",
            "dnsbl",
            "rbl",
            "is listed",
            "listed at",
            "listed in",
            "listed on",
            "reputation",
        ],
        LISTED,
    ),
    // Exchange Online 5.7.12, 124, 133–136.
    status(RCPT, 5, 7, 12..=12, STRANGERS),
    status(RCPT, 5, 7, 124..=124, STRANGERS),
    status(RCPT, 5, 7, 133..=136, STRANGERS),
    // RFC 3463 §3.2, §3.5: the address, its system, the way to it.
    status(ADDRESSED, 0, 1, 2..=2, NO_DOMAIN),
    status(ADDRESSED, 0, 1, 10..=10, NO_DOMAIN),
    status(ADDRESSED, 0, 4, 4..=4, NO_DOMAIN),
    said(
        RCPT,
        &[
            "domain not found",
            "host not found",
            "no such domain",
            "unrouteable address",
        ],
        NO_DOMAIN,
    ),
    status(RCPT, 5, 1, ALL, NOBODY),
    said(
        RCPT,
        &[
            "user unknown",
            "unknown user",
            "no such user",
            "no such mailbox",
            "mailbox unavailable",
            "does not exist",
        ],
        NOBODY,
    ),
    // RFC 5321 §3.8 and RFC 3463 §3.4.
    code(ANY, &[421], SLOWER),
    status(ANY, 0, 3, ALL, BROKEN),
    code(HELLO, &[500, 501, 504, 550], HELO),
    rule(HELLO, 0, HUNG_UP),
    code(MAIL, &[552], LARGE),
    rule(MAIL, 5, FROM),
    code(CONTENT, &[552], LARGE),
    rule(CONTENT, 5, FILTERED),
];
