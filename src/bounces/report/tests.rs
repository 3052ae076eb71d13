//! Reports one by one. `tests/api/reports.rs` brings the corpus of `tests/reports/` to the service.

use proptest::prelude::*;

use super::*;

fn read(mail: &[u8]) -> Option<Verdict> {
    let report = Report::read(mail, &Parts::of(mail))?;
    Some(Verdict::of(&report, Some("ada@example.com")))
}

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

fn words(status: &str, code: Option<i16>, reason: &str) -> Words {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Words {
        status: some(status),
        code,
        reason: some(reason),
    }
}

fn bounced(words: Words, is_hard: bool, is_about_the_address: bool) -> Option<Verdict> {
    Some(Verdict::Bounced {
        words,
        is_hard,
        is_about_the_address,
    })
}

const GONE: &str = "Final-Recipient: rfc822; ada@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\
                    Diagnostic-Code: smtp; 550 5.1.1 no\r\n such  user\r\n";

#[test]
fn what_is_said_of_a_recipient_is_read() {
    let ours = "Final-Recipient: rfc822; ada@example.com\r\n";
    for (fields, expected) in [
        (GONE.to_owned(), bounced(words("5.1.1", Some(550), "550 5.1.1 no such user"), true, true)),
        // Nobody is named.
        (GONE.replace(ours, ""), bounced(words("5.1.1", Some(550), "550 5.1.1 no such user"), true, false)),
        (
            format!("{ours}action: FAILED\r\nstatus: 5.0.0 (permanent failure)\r\n"),
            bounced(words("5.0.0", None, ""), true, false),
        ),
        (format!("{ours}Action: failed\r\n"), bounced(Words::default(), false, false)),
        (
            "Action: delayed\r\nStatus: 4.4.1\r\nDiagnostic-Code: x-unix; away\r\n".to_owned(),
            Some(Verdict::Late(words("4.4.1", None, "away"))),
        ),
        (
            format!("{ours}Action: failed\r\nStatus: 4.4.7\r\nDiagnostic-Code: smtp;too late\r\n"),
            bounced(words("4.4.7", None, "too late"), false, false),
        ),
        (
            format!("{ours}Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 450 user unknown for now\r\n"),
            bounced(words("", Some(450), "450 user unknown for now"), false, false),
        ),
        ("Action: relayed\r\nStatus: 2.0.0\r\n".to_owned(), Some(Verdict::Delivered)),
        (
            "Action: failed\r\nStatus: 5.1.1\r\n\r\nAction: delivered\r\nStatus: 2.0.0\r\n".to_owned(),
            Some(Verdict::Delivered),
        ),
        (
            "Action: delayed\r\nStatus: 4.0.0\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; no\r\n"
                .to_owned(),
            bounced(words("5.1.1", None, "no"), true, false),
        ),
        ("Status: 5.1.1\r\n".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(read(report(&fields).as_bytes()), expected, "{fields}");
        let with_lf = report(&fields).replace("\r\n", "\n");
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
    let is_hard = |mail: &[u8]| matches!(read(mail), Some(Verdict::Bounced { is_hard: true, .. }));
    assert!(is_hard(mail.as_bytes()));
    // Cut off after the report.
    let end = mail.find("what was sent").unwrap();
    assert!(is_hard(&mail.as_bytes()[..end]));
}

#[test]
fn an_encoded_report_is_read() {
    let encoded =
        data_encoding::BASE64.encode(format!("Reporting-MTA: dns; x\r\n\r\n{GONE}").as_bytes());
    let mail = format!(
        "Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n"
    );
    assert!(matches!(
        read(mail.as_bytes()),
        Some(Verdict::Bounced { .. })
    ));
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
    // Each within the encoding of the next.
    let mut mail = report(GONE);
    for _ in 0..9 {
        mail = format!(
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            data_encoding::BASE64.encode(mail.as_bytes())
        );
    }
    assert_eq!(read(mail.as_bytes()), None);
}

/// What has letters beyond ASCII on both sides of the @, as UTF-8 and spelt in ASCII.
#[test]
fn an_international_report_is_about_its_address() {
    for mail in [
        include_str!("../../../tests/reports/postfix-global.eml"),
        include_str!("../../../tests/reports/global-escaped.eml"),
    ] {
        let address = "rené@bücher.example";
        let mail = mail.replace("@ADDRESS@", address);
        let report = Report::read(mail.as_bytes(), &Parts::of(mail.as_bytes())).unwrap();
        for (to, expected) in [(address, true), ("rene@bücher.example", false)] {
            let Verdict::Bounced {
                is_about_the_address,
                ..
            } = Verdict::of(&report, Some(to))
            else {
                panic!("{mail}");
            };
            assert_eq!(is_about_the_address, expected, "{to}");
        }
    }
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

    #[test]
    fn any_text_for_people_gives_an_answer(subject in "\\PC{0,40}", text in "[ -~\n<>&;ö]{0,400}") {
        for kind in ["plain", "html"] {
            let mail = format!("Return-Path: <>\nSubject: {subject} undelivered\nContent-Type: text/{kind}\n\n{text}");
            read(mail.as_bytes());
        }
    }
}
