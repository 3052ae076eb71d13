//! Mails as others read them, whatever stands in their headers.

use mailparse::{DispositionType, MailHeaderMap, ParsedMail};
use proptest::prelude::*;
use scraper::{ElementRef, Html, Selector};

use super::*;
use crate::mail::{
    branding::{Branding, Logo},
    invitation::{Code, Credential, InvitationMail},
    message::Renderer,
    qr::tests::scan_png,
};

const LINK: &str = "https://enroll.example.com/enroll/AQAB3mC0lJtL9Q1xZ0vYw7p2a8Uu4KfR";

fn rendered(tag: &str, credential: Credential<'_>, logo: bool) -> Rendered {
    let until = DateTime::from_timestamp(1_795_527_120, 0).unwrap();
    Renderer::new(Branding {
        org_name: "Société Générique".to_owned(),
        support: Some("aide@example.com".to_owned()),
        logo: logo.then(|| Logo::parse(b"GIF89a and so on".to_vec()).unwrap()),
    })
    .unwrap()
    .invitation(&InvitationMail {
        lang: Lang::parse(tag).unwrap(),
        display_name: "Zoë",
        username: "zoe@example.com",
        credential,
        enroll_url: "https://enroll.example.com/enroll",
        valid_until: until.with_timezone(&chrono_tz::Tz::Europe__Paris),
        note: Some("À bientôt !"),
    })
    .unwrap()
}

fn with<'a>(from: &'a Mailbox, to: &'a str, to_name: &'a str) -> Headers<'a> {
    Headers {
        from,
        reply_to: None,
        to,
        to_name,
        message_id: "0199f0a2-7c1e@example.com",
        thread: None,
        follows: None,
        date: DateTime::from_timestamp(1_795_527_120, 0).unwrap(),
        lang: Lang::parse("fr").unwrap(),
    }
}

fn sender() -> Mailbox {
    "\"Müller, IT\" <it@example.com>".parse().unwrap()
}

/// The bytes, which are what may go over any wire.
fn bytes(headers: &Headers<'_>, rendered: &Rendered) -> Vec<u8> {
    let bytes = build(headers, rendered).unwrap().formatted();
    assert!(bytes.is_ascii());
    for line in bytes.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 999, "{}", String::from_utf8_lossy(line));
        assert!(line.is_empty() || line.ends_with(b"\r"));
    }
    let text = str::from_utf8(&bytes).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    for line in head.split("\r\n") {
        // RFC 2047 §2, RFC 5322 §2.1.1.
        let longest = if line.contains("=?") { 76 } else { 78 };
        assert!(line.len() <= longest, "{line}");
    }
    bytes
}

fn types(mail: &ParsedMail<'_>) -> Vec<String> {
    mail.parts()
        .map(|part| part.ctype.mimetype.clone())
        .collect()
}

fn names(mail: &ParsedMail<'_>) -> Vec<String> {
    mail.headers.iter().map(|header| header.get_key()).collect()
}

#[test]
fn a_pin_mail_is_text_and_html() {
    let rendered = rendered("fr", Credential::Pin("48217730"), false);
    let from = sender();
    let mut headers = with(&from, "zoe@example.com", "Zoë Durand");
    headers.reply_to = Some(&from);
    let bytes = bytes(&headers, &rendered);
    let mail = mailparse::parse_mail(&bytes).unwrap();
    assert_eq!(
        types(&mail),
        ["multipart/alternative", "text/plain", "text/html"]
    );
    let read = |part: &ParsedMail<'_>| part.get_body().unwrap().replace("\r\n", "\n");
    assert_eq!(read(&mail.subparts[0]).trim(), rendered.text.trim());
    assert_eq!(read(&mail.subparts[1]).trim(), rendered.html.trim());
    for part in &mail.subparts {
        assert_eq!(part.ctype.charset, "utf-8");
    }
    let mut expected = extra_headers(headers.lang);
    expected.extend([
        ("From", "\"Müller, IT\" <it@example.com>".to_owned()),
        ("Reply-To", "\"Müller, IT\" <it@example.com>".to_owned()),
        ("To", "Zoë Durand <zoe@example.com>".to_owned()),
        ("Subject", rendered.subject),
        ("Date", "Tue, 24 Nov 2026 13:32:00 +0000".to_owned()),
        ("Message-ID", "<0199f0a2-7c1e@example.com>".to_owned()),
    ]);
    for (name, value) in &expected {
        let given = mail.headers.get_all_values(name);
        assert_eq!(given.len(), 1, "{name}");
        assert_eq!(given[0].replace('"', ""), value.replace('"', ""), "{name}");
    }
    // Nothing beside them but what describes the body.
    assert_eq!(names(&mail).len(), expected.len() + 2, "{:?}", names(&mail));
}

#[test]
fn a_qr_mail_holds_its_pictures_and_the_code_is_the_link() {
    for (logo, pictures) in [(false, 1), (true, 2)] {
        let rendered = rendered(
            "fr",
            Credential::Qr {
                link: LINK,
                says: LINK,
                code: Code::Page,
            },
            logo,
        );
        let from = sender();
        let bytes = bytes(&with(&from, "zoe@example.com", "Zoë"), &rendered);
        let mail = mailparse::parse_mail(&bytes).unwrap();
        assert_eq!(
            types(&mail)[..4],
            [
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html"
            ]
        );
        let text = mail.subparts[0].get_body().unwrap();
        assert!(text.lines().any(|line| line == LINK), "{text}");
        // RFC 2387 §3.1.
        let kind = &mail.subparts[1].ctype.params["type"];
        assert_eq!(kind, "text/html");
        let related = &mail.subparts[1].subparts;
        let html = related[0].get_body().unwrap();
        assert_eq!(related.len(), 1 + pictures);
        assert_eq!(html.matches("cid:").count(), pictures);
        for picture in &related[1..] {
            let id = picture.headers.get_first_value("Content-ID").unwrap();
            let id = id.strip_prefix('<').unwrap().strip_suffix('>').unwrap();
            assert!(html.contains(&format!("src=\"cid:{id}\"")), "{id}");
            let disposition = picture.get_content_disposition();
            assert_eq!(disposition.disposition, DispositionType::Inline);
            assert!(disposition.params.contains_key("filename"));
        }
        let code = related.last().unwrap();
        assert_eq!(code.ctype.mimetype, "image/png");
        assert_eq!(scan_png(&code.get_body_raw().unwrap()), LINK);
    }
}

fn to_header(name: &str) -> (Option<String>, String) {
    let from = sender();
    let rendered = rendered("en", Credential::Password, false);
    let bytes = bytes(&with(&from, "zoe@example.com", name), &rendered);
    let mail = mailparse::parse_mail(&bytes).unwrap();
    let header = mail.headers.get_first_header("To").unwrap();
    let parsed = mailparse::addrparse_header(header).unwrap();
    let single = parsed.extract_single_info().unwrap();
    (single.display_name, single.addr)
}

#[test]
fn names_are_encoded_and_read_back() {
    let long = "Wolfeschlegelsteinhausenbergerdorff ".repeat(6);
    let solid = "x".repeat(249);
    let wide = "山田太郎".repeat(60);
    for name in [
        "Zoë",
        "Durand, Zoë \"Zo\"",
        "O'Hara \\ Sons",
        "a@b <c@d>; (e)",
        "=?utf-8?q?x?=",
        "علي 😀",
        long.trim(),
        &solid,
        &wide,
    ] {
        let address = "zoe@example.com".to_owned();
        assert_eq!(to_header(name), (Some(name.to_owned()), address));
    }
    for nothing in ["", " ", "zoe@example.com"] {
        assert_eq!(to_header(nothing).0, None);
    }
    assert_eq!(to_header(&"y".repeat(9_999)).0.unwrap().len(), 250);
}

/// A mail in which every name is as long as names may be, without a blank.
fn with_long_names(name: &str, username: &str, credential: Credential<'_>) -> [Rendered; 2] {
    let mail = InvitationMail {
        lang: Lang::parse("en").unwrap(),
        display_name: name,
        username,
        credential,
        enroll_url: "https://enroll.example.com/enroll",
        valid_until: DateTime::UNIX_EPOCH.with_timezone(&chrono_tz::Tz::UTC),
        note: None,
    };
    let renderer = Renderer::new(Branding {
        org_name: name.to_owned(),
        support: None,
        logo: None,
    })
    .unwrap();
    [
        renderer.invitation(&mail).unwrap(),
        renderer.reminder(&mail).unwrap(),
    ]
}

#[test]
fn the_longest_names_make_no_line_that_is_too_long() {
    for letter in ["W", "ü", "山", "𐐷", "&"] {
        let (name, username) = (letter.repeat(200), letter.repeat(254));
        for credential in [Credential::Pin("48217730"), Credential::Password] {
            for rendered in with_long_names(&name, &username, credential) {
                let from = Mailbox::new(Some(name.clone()), "it@example.com".parse().unwrap());
                // Which holds that the lines are short enough.
                let bytes = bytes(&with(&from, "zoe@example.com", &name), &rendered);
                let read = mailparse::parse_mail(&bytes).unwrap();
                let text = read.subparts[0].get_body().unwrap();
                assert!(text.contains(&name) && text.contains(&username), "{text}");
                let subject = read.headers.get_first_value("Subject").unwrap();
                assert!(subject.contains(&name), "{subject}");
            }
        }
    }
}

/// Else a name without a blank makes the page wider than a phone.
#[test]
fn long_names_are_broken_wherever_they_stand() {
    let long = "W".repeat(200);
    let everything = Selector::parse("body *").unwrap();
    for credential in [
        Credential::PinAndPassword("48217730"),
        Credential::Qr {
            link: LINK,
            says: LINK,
            code: Code::Page,
        },
    ] {
        for rendered in with_long_names(&long, &long, credential) {
            let page = Html::parse_document(&rendered.html);
            let places: Vec<_> = page
                .select(&everything)
                .filter(|place| {
                    let mut own = place.children().filter_map(|child| child.value().as_text());
                    own.any(|text| text.contains(&long))
                })
                .collect();
            assert!(places.len() > 3);
            for place in places {
                let around = place.ancestors().filter_map(ElementRef::wrap);
                let is_broken_or_hidden = std::iter::once(place).chain(around).any(|element| {
                    let style = element.attr("style").unwrap_or_default();
                    style.contains("overflow-wrap:anywhere") || style.contains("display:none")
                });
                assert!(is_broken_or_hidden, "{}", place.html());
            }
        }
    }
}

#[test]
fn a_domain_beyond_ascii_is_sent_as_its_ascii_form() {
    let from = sender();
    let rendered = rendered("en", Credential::Password, false);
    let headers = with(&from, "zoe@exämple.com", "Zoë");
    let message = build(&headers, &rendered).unwrap();
    let to: Vec<&str> = message.envelope().to().iter().map(AsRef::as_ref).collect();
    assert_eq!(to, ["zoe@xn--exmple-cua.com"]);
    assert!(message.formatted().is_ascii());
}

#[test]
fn senders_beyond_ascii_are_sent_as_their_ascii_form() {
    let from: Mailbox = "IT <it@bücher.example>".parse().unwrap();
    let rendered = rendered("en", Credential::Password, false);
    let mut headers = with(&from, "zoe@example.com", "Zoë");
    headers.reply_to = Some(&from);
    let message = build(&headers, &rendered).unwrap();
    let sender = message.envelope().from().unwrap().to_string();
    assert_eq!(sender, "it@xn--bcher-kva.example");
    let text = String::from_utf8(bytes(&headers, &rendered)).unwrap();
    for field in ["From", "Reply-To"] {
        let line = format!("{field}: IT <it@xn--bcher-kva.example>\r\n");
        assert!(text.contains(&line), "{text}");
    }
}

/// RFC 6532 §3.2: the address alone is UTF-8, and only where it has no other form.
#[test]
fn a_mailbox_beyond_ascii_is_the_one_thing_that_is() {
    let from = sender();
    let rendered = rendered("fr", Credential::Password, false);
    for (to, wire) in [
        ("zoë@example.com", "zoë@example.com"),
        ("山田@例え.テスト", "山田@xn--r8jz45g.xn--zckzah"),
    ] {
        let message = build(&with(&from, to, "Zoë Durand"), &rendered).unwrap();
        assert_eq!(message.envelope().to()[0].to_string(), wire);
        let text = String::from_utf8(message.formatted()).unwrap();
        let line = format!("To: =?utf-8?b?Wm/DqyBEdXJhbmQ=?= <{wire}>\r\n");
        assert!(text.contains(&line), "{text}");
        assert!(text.replace(wire, "").is_ascii());
    }
}

#[test]
fn a_conversation_is_held_by_its_own_id() {
    let from = sender();
    let rendered = rendered("en", Credential::Password, false);
    let (thread, first) = ("0199f0a2-0001@example.com", "0199f0a2-0002@example.com");
    for (thread, follows, references, reply) in [
        (None, None, None, None),
        (Some(thread), None, Some(format!("<{thread}>")), None),
        (
            Some(thread),
            Some(first),
            Some(format!("<{thread}> <{first}>")),
            Some(format!("<{first}>")),
        ),
    ] {
        let mut headers = with(&from, "zoe@example.com", "Zoë");
        (headers.thread, headers.follows) = (thread, follows);
        let bytes = bytes(&headers, &rendered);
        let mail = mailparse::parse_mail(&bytes).unwrap();
        assert_eq!(mail.headers.get_first_value("References"), references);
        assert_eq!(mail.headers.get_first_value("In-Reply-To"), reply);
    }
    let mut headers = with(&from, "zoe@example.com", "Zoë");
    let long = format!("{}@{}", "a".repeat(36), "b".repeat(253));
    headers.message_id = &long;
    assert!(build(&headers, &rendered).is_ok());
}

#[test]
fn bad_addresses_and_ids_are_errors() {
    let from = sender();
    let rendered = rendered("en", Credential::Password, false);
    for to in ["", "zoe", "zoe@", "zoe@example.com\r\nBcc: x@example.com"] {
        let error = build(&with(&from, to, "Zoë"), &rendered).unwrap_err();
        assert!(matches!(error, MimeError::Address(_)), "{to:?}");
        assert!(!error.to_string().contains("zoe"));
    }
    for id in ["", "x", "x@", "<x@y>", "x@y\r\nBcc: z@example.com", "x y@z"] {
        let mut headers = with(&from, "zoe@example.com", "Zoë");
        headers.message_id = id;
        let error = build(&headers, &rendered).unwrap_err();
        assert!(matches!(error, MimeError::MessageId), "{id:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in them, names and the subject make no header and no part.
    #[test]
    fn nothing_makes_a_header(
        before in "\\PC{0,20}",
        line_break in "\r\n|\r|\n|\r\n\r\n|\u{0}|\u{85}|\u{2028}",
        after in "(Bcc: x@example.com|Subject: y|--)\\PC{0,20}",
    ) {
        let evil = format!("{before}{line_break}{after}");
        let from = Mailbox::new(Some(evil.clone()), "it@example.com".parse().unwrap());
        let clean = Mailbox::new(None, "it@example.com".parse().unwrap());
        let mut good = rendered("en", Credential::Password, false);
        let usual = build(&with(&clean, "zoe@example.com", "Zoë"), &good).unwrap().formatted();
        good.subject.clone_from(&evil);
        let bytes = bytes(&with(&from, "zoe@example.com", &evil), &good);
        let (usual, mail) =
            (mailparse::parse_mail(&usual).unwrap(), mailparse::parse_mail(&bytes).unwrap());
        prop_assert_eq!(names(&mail), names(&usual));
        prop_assert_eq!(types(&mail), types(&usual));
    }
}
