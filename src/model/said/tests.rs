use super::{for_log, masked};

mod unreadable;

/// What servers say, after the public descriptions of their makers, and what is left of it.
const SAID: &[(&str, &str)] = &[
    // Postfix: a reply, a result, and what another server said to it.
    (
        "2.0.0 Ok: queued as 4F1B2C3D4E",
        "2.0.0 Ok: queued as 4F1B2C3D4E",
    ),
    (
        "RCPT TO: 550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
        "RCPT TO: 550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
    ),
    (
        "RCPT TO: 450 4.2.0 <ada@example.com>: Recipient address rejected: Greylisted, see http://postgrey.example/help/example.com.html",
        "RCPT TO: 450 4.2.0 <ada@example.com>: Recipient address rejected: Greylisted, see http://postgrey.example/help/example.com.html",
    ),
    (
        "host mx.example.com[192.0.2.26] said: 550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the address. 550 5.1.1 https://support.example.com/mail/?p=NoSuchUser d2e1a72fcca58-7a9b0c1d2e3si1234567b3a.45 - gsmtp (in reply to RCPT TO command)",
        "host mx.example.com[***] said: 550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the address. 550 5.1.1 https://support.example.com/mail/?p=***.45 - gsmtp (in reply to RCPT TO command)",
    ),
    (
        "connect to mx.example.com[192.0.2.1]:25: Connection timed out",
        "connect to mx.example.com[***: Connection timed out",
    ),
    // Exim.
    (
        "SMTP error from remote mail server after RCPT TO:<ada@example.com>: host mx.example.com [192.0.2.1]: 550 No such user here",
        "SMTP error from remote mail server after RCPT TO:<ada@example.com>: host mx.example.com [***]: 550 No such user here",
    ),
    (
        "451 Temporary local problem - please try later",
        "451 Temporary local problem - please try later",
    ),
    ("OK id=1tGxyz-00000001abc-2def", "OK id=***"),
    // Exchange, on-premises and online.
    (
        "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ada@example.com not found by SMTP address lookup",
        "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ada@example.com not found by SMTP address lookup",
    ),
    (
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [AM6EUR05FT057.eop-eur05.prod.protection.outlook.com 2026-11-23T08:00:00.123Z 08DD0000]",
        "550 5.4.1 Recipient address rejected: Access denied. AS(***) [***.prod.protection.outlook.com ***T***Z 08DD***]",
    ),
    (
        "end of message: 554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
        "end of message: 554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
    ),
    (
        "#< #5.7.133 smtp;550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required>",
        "#< #5.7.133 smtp;550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required>",
    ),
    (
        "MAIL FROM: 550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        "MAIL FROM: 550 5.7.60 SMTP; Client does not have permissions to send as this sender",
    ),
    (
        "550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification",
        "550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification",
    ),
    (
        "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
        "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
    ),
    (
        "AUTH: 535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        "AUTH: 535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
    ),
    // Gmail.
    (
        "OK  1732349000 5b1f17b1804b1-4349e10 - gsmtp",
        "OK *** - gsmtp",
    ),
    (
        "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail. 421 4.7.28 See https://support.example.com/a",
        "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail. 421 4.7.28 See https://support.example.com/a",
    ),
    (
        "550-5.4.5 Daily user sending limit exceeded.",
        "550-5.4.5 Daily user sending limit exceeded.",
    ),
    // Amazon SES, Sendmail, qmail, iCloud, Yahoo.
    (
        "454 Throttling failure: Daily message quota exceeded.",
        "454 Throttling failure: Daily message quota exceeded.",
    ),
    (
        "Ok 0102019358f1a2b3-4c5d6e7f-8a9b-0c1d-2e3f-4a5b6c7d8e9f-000000",
        "Ok ***",
    ),
    (
        "553 5.1.8 <it@example.com>... Domain of sender address it@example.com does not exist",
        "553 5.1.8 <it@example.com>... Domain of sender address it@example.com does not exist",
    ),
    (
        "Sorry, no mailbox here by that name. (#5.1.1)",
        "Sorry, no mailbox here by that name. (#5.1.1)",
    ),
    (
        "552 5.2.2 <ada@example.com>: user is over quota",
        "552 5.2.2 <ada@example.com>: user is over quota",
    ),
    (
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints - 4.16.55.1",
        "421 4.7.0 [TSS04] Messages from *** temporarily deferred due to user complaints - ***",
    ),
    // Proofpoint, Mimecast, Barracuda, IronPort.
    (
        "554 5.7.0 Blocked - see https://ipcheck.example.com/?ip=192.0.2.1",
        "554 5.7.0 Blocked - see https://ipcheck.example.com/?ip=***",
    ),
    (
        "550 #5.1.0 Address rejected.",
        "550 #5.1.0 Address rejected.",
    ),
    (
        "550 Rejected by header based policy - https://community.example.com/docs/DOC-1369#550 [abcDEF12ghIJkl34]",
        "550 Rejected by header based policy - https://community.example.com/docs/DOC-*** [abcDEF12ghIJkl34]",
    ),
    (
        "550 permanent failure for one or more recipients (ada@example.com:blocked)",
        "550 permanent failure for one or more recipients (ada@example.com:blocked)",
    ),
    (
        "550 5 recipients are too many (#5.5.3)",
        "550 *** recipients are too many (#5.5.3)",
    ),
    (
        "4.4.7 Message expired (4.7.1), tried 12 times",
        "4.4.7 Message expired (4.7.1), tried 12 times",
    ),
    // Ours.
    (
        "connecting to smtp.example.com:2525: 421 4.3.2 too many",
        "connecting to smtp.example.com:2525: 421 4.3.2 too many",
    ),
    (
        "connecting to 192.0.2.1:2525: Connection refused (os error 111)",
        "connecting to 192.0.2.1:2525: Connection refused (os error 111)",
    ),
    (
        "the message could not be made; the log has more",
        "the message could not be made; the log has more",
    ),
];

#[test]
fn what_servers_say_stays_understandable() {
    for (said, left) in SAID {
        assert_eq!(masked(said), *left, "{said}");
    }
}

#[test]
fn codes_stay_and_numbers_do_not() {
    for (said, left) in [
        // A code at the beginning, of any style; what follows it may be of the same number.
        ("554 4821 is bad", "554 *** is bad"),
        ("450 177 is bad", "450 *** is bad"),
        ("smtp; 550 4821", "smtp; 550 ***"),
        ("DATA: 451 4.3.0 4821", "DATA: 451 4.3.0 ***"),
        ("550 4.1.1 x", "550 *** x"),
        ("651 177 is bad", "*** is bad"),
        // A status elsewhere, where it can be no part of a number.
        ("see 5.7.1.", "see 5.7.1."),
        ("see (4.7.26), please", "see (4.7.26), please"),
        ("see 5.1.1 234", "see ***"),
        ("see 48 5.1.1", "see ***"),
        ("see 4.123.456", "see ***"),
        ("see 5.1.999", "see ***"),
        ("see 5.9.11", "see ***"),
        ("see 3.1.11", "see ***"),
        ("see 5.1.11.2", "see ***"),
        ("see 5.1.1-1", "see ***"),
        // Not a code.
        ("see 5501 5.1.11", "see ***"),
        ("see x550 5.1.11", "see x***"),
        // Nothing to hide.
        ("12 of 13 in 100 s", "12 of 13 in 100 s"),
        ("", ""),
        ("a\r\n\tb\0 c", "a b c"),
        ("/enroll/ and /enroll", "/enroll/ and /enroll"),
        ("------------------------ x", "------------------------ x"),
    ] {
        assert_eq!(masked(said), left, "{said}");
    }
}

#[test]
fn links_tokens_and_addresses() {
    for (said, left, logged) in [
        (
            "<https://e.example/x/enroll/ab> no",
            "<https://e.example/x/enroll/***> no",
            None,
        ),
        (
            "HTTPS://E.EXAMPLE/ENROLL/AB?c=d&e no",
            "HTTPS://E.EXAMPLE/ENROLL/*** no",
            None,
        ),
        ("to%20%2Fenroll%2Fabc no", "to%20%2Fenroll%2F*** no", None),
        (
            "href=3D\"https://e.example/enr=\r\noll/a=\r\n> b\"",
            "href=3D\"https://e.example/enr= oll/***\"",
            None,
        ),
        ("WW91ciBQSU4gaXMgNDgyMSA3NzMw no", "*** no", None),
        (
            "bounces+abcdefghijklmnopqrstuvwxyz234567@e.example",
            "bounces+***@e.example",
            Some("b***@e.example"),
        ),
        ("a@b.example", "a@b.example", Some("***@b.example")),
        (
            "\"ada l\"@b.example <ada.l+x=y@b.example>",
            "\"ada l\"@b.example <ada.l+x=y@b.example>",
            Some("\"***@b.example <a***@b.example>"),
        ),
        (
            "for ada%40b.example, ida=40b.example, eda&#64;b.example",
            "for ada%40b.example, ida=40b.example, eda&#64;b.example",
            Some("for a***%40b.example, i***=40b.example, e***&#64;b.example"),
        ),
        (
            "ada1815@b.example",
            "ada***@b.example",
            Some("a***@b.example"),
        ),
        ("@", "@", None),
    ] {
        assert_eq!(masked(said), left, "{said}");
        assert_eq!(for_log(said), logged.unwrap_or(left), "{said}");
    }
}
