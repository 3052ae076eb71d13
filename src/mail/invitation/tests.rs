//! What invitations and reminders look like, and what they never show.

use proptest::prelude::*;
use scraper::{Html, Selector};

use super::*;
use crate::mail::branding::{Branding, Logo};

const PIN: &str = "48217730";
const LINK: &str = "https://enroll.example.com/enroll/AQAB3mC0lJtL9Q1xZ0vYw7p2a8Uu4KfRkSdH6nTg";
const METHODS: [(&str, Credential<'static>); 6] = [
    ("pin", Credential::Pin(PIN)),
    ("password", Credential::Password),
    ("pin_and_password", Credential::PinAndPassword(PIN)),
    ("qr", qr(LINK)),
    (
        "qr_set_up",
        Credential::Qr {
            link: LINK,
            says: "{\"android.app.extra.PROVISIONING_SKIP_ENCRYPTION\":true}",
            code: Code::SetUp,
        },
    ),
    (
        "qr_profile",
        Credential::Qr {
            link: LINK,
            says: "https://mdm.example.com/profile",
            code: Code::Profile,
        },
    ),
];

const fn qr(link: &str) -> Credential<'_> {
    Credential::Qr {
        link,
        says: link,
        code: Code::Page,
    }
}

fn branding() -> Branding {
    Branding {
        org_name: "Example & Söhne".to_owned(),
        support: Some("help@example.com".to_owned()),
        logo: None,
    }
}

fn mail<'a>(tag: &str, credential: Credential<'a>) -> InvitationMail<'a> {
    let until = DateTime::from_timestamp(1_795_527_120, 0).unwrap();
    InvitationMail {
        lang: Lang::parse(tag).unwrap(),
        display_name: "Ada Lovelace",
        username: "ada@example.com",
        credential,
        enroll_url: "https://enroll.example.com/enroll",
        valid_until: until.with_timezone(&Tz::Europe__Paris),
        note: Some("Please do it before Friday.\r\nThank you!"),
    }
}

#[test]
fn every_reminder_in_every_language() {
    let renderer = Renderer::new(branding()).unwrap();
    for lang in Lang::all() {
        for (method, credential) in METHODS {
            let mail = renderer.reminder(&mail(lang.as_str(), credential)).unwrap();
            let name = format!("reminder_{method}.{}", lang.as_str());
            let text = format!("{}\n\n{}", mail.subject, mail.text);
            insta::assert_snapshot!(format!("{name}.txt"), text);
            insta::assert_snapshot!(format!("{name}.html"), mail.html);
        }
    }
}

/// What the user enrolls with, and how, is as in the invitation; the words around it are not.
#[test]
fn a_reminder_brings_what_the_invitation_brought() {
    let renderer = Renderer::new(branding()).unwrap();
    for lang in Lang::all() {
        for (method, credential) in METHODS {
            let mail = mail(lang.as_str(), credential);
            let first = renderer.invitation(&mail).unwrap();
            let again = renderer.reminder(&mail).unwrap();
            assert_ne!(first.subject, again.subject);
            assert!(again.subject.contains("Example & Söhne"));
            let ids = |mail: &Rendered| -> Vec<String> {
                let parts = mail.inline.iter();
                parts.map(|part| part.content_id.clone()).collect()
            };
            assert_eq!(ids(&first), ids(&again));
            let (first_page, page) = (
                Html::parse_document(&first.html),
                Html::parse_document(&again.html),
            );
            for place in ["#pin", ".box", "h2", ".quote", "a"] {
                assert_eq!(texts(&first_page, place), texts(&page, place), "{method}");
            }
            assert_eq!(
                attributes(&first_page, "a[href]", "href"),
                attributes(&page, "a[href]", "href")
            );
            for place in ["h1", "title"] {
                assert_ne!(texts(&first_page, place), texts(&page, place), "{method}");
            }
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
            let new = lines(&again.text);
            let gone = lines(&first.text)
                .into_iter()
                .filter(|line| !new.contains(line));
            assert_eq!(gone.count(), 2, "the introduction and why it was sent");
        }
    }
}

fn rendered(branding: Branding, mail: &InvitationMail<'_>) -> Rendered {
    Renderer::new(branding).unwrap().invitation(mail).unwrap()
}

fn texts(page: &Html, selector: &str) -> Vec<String> {
    page.select(&Selector::parse(selector).unwrap())
        .map(|found| found.text().collect())
        .collect()
}

fn attributes(page: &Html, selector: &str, name: &str) -> Vec<String> {
    page.select(&Selector::parse(selector).unwrap())
        .filter_map(|found| found.attr(name).map(str::to_owned))
        .collect()
}

/// All that is read, spaces evened out.
fn seen(page: &Html) -> String {
    let text = texts(page, "body").concat();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_mail_in_every_language() {
    for lang in Lang::all() {
        for (method, credential) in METHODS {
            let mail = rendered(branding(), &mail(lang.as_str(), credential));
            let name = format!("{method}.{}", lang.as_str());
            let text = format!("{}\n\n{}", mail.subject, mail.text);
            insta::assert_snapshot!(format!("{name}.txt"), text);
            insta::assert_snapshot!(format!("{name}.html"), mail.html);
        }
    }
}

#[test]
fn every_mail_says_what_is_needed_in_both_parts() {
    for lang in Lang::all() {
        for (method, credential) in METHODS {
            let mail = rendered(branding(), &mail(lang.as_str(), credential));
            assert!(mail.html.starts_with("<!DOCTYPE html>"));
            assert!(mail.subject.contains("Example & Söhne"));
            let page = Html::parse_document(&mail.html);
            let mut needed = vec![
                "Example & Söhne",
                "Ada Lovelace",
                "ada@example.com",
                "2026",
                "14:32 (UTC+01:00)",
                "Please do it before Friday.",
                "help@example.com",
            ];
            needed.extend(match credential {
                Credential::Pin(_) | Credential::PinAndPassword(_) => {
                    vec![PIN, "https://enroll.example.com/enroll"]
                }
                Credential::Password => vec!["https://enroll.example.com/enroll"],
                Credential::Qr { link, .. } => vec![link],
            });
            for part in [&seen(&page), &mail.text] {
                for needed in &needed {
                    assert!(part.contains(needed), "{method}: {needed} in {part}");
                }
            }
            let html = Selector::parse("html").unwrap();
            let html = page.select(&html).next().unwrap();
            assert_eq!(html.attr("lang"), Some(lang.as_str()));
            assert_eq!(html.attr("dir"), Some("ltr"));
            for role in attributes(&page, "table", "role") {
                assert_eq!(role, "presentation");
            }
            let links = attributes(&page, "a[href]", "href");
            assert!(links.contains(&"mailto:help@example.com".to_owned()));
            let button = attributes(&page, "a.button", "href");
            let target = match credential {
                // The code is for another screen than this one.
                Credential::Qr {
                    code: Code::SetUp, ..
                } => None,
                Credential::Qr { link, .. } => Some(link),
                _ => Some("https://enroll.example.com/enroll"),
            };
            assert_eq!(button, Vec::from_iter(target));
        }
    }
}

#[test]
fn secrets_stand_alone_on_their_lines_and_are_copied_as_they_are() {
    for (_, credential) in METHODS {
        let mail = rendered(branding(), &mail("en", credential));
        let page = Html::parse_document(&mail.html);
        let (secret, shown) = match credential {
            Credential::Pin(pin) | Credential::PinAndPassword(pin) => (pin, texts(&page, "#pin")),
            Credential::Qr { link, .. } => (link, texts(&page, "a.link[href*='/enroll/']")),
            Credential::Password => continue,
        };
        assert_eq!(shown, [secret]);
        assert!(mail.text.lines().any(|line| line.trim() == secret));
    }
}

/// What a locked screen shows is the subject and the hidden first line.
#[test]
fn the_lock_screen_shows_no_secret() {
    for lang in Lang::all() {
        for (_, credential) in METHODS {
            let mail = rendered(branding(), &mail(lang.as_str(), credential));
            let page = Html::parse_document(&mail.html);
            let hidden = texts(&page, "body > div").concat();
            assert!(hidden.contains("14:32"));
            assert!(hidden.chars().count() > 200);
            for place in [&mail.subject, &hidden, &texts(&page, "title").concat()] {
                assert!(!place.contains(PIN) && !place.contains(LINK));
            }
        }
    }
}

#[test]
fn what_people_write_stays_text() {
    let mut hostile = mail("en", Credential::Pin(PIN));
    hostile.display_name = "<script>alert('x')</script> {{ 7*7 }} \u{1F600} علي";
    hostile.username = "a\"b&c";
    hostile.note = Some("</td><img src=x onerror=alert(1)>\n{{ 7*7 }}{% raw %}\n\nO'Hara");
    let branding = Branding {
        org_name: "A<b>B\r\nBcc: \u{202e}x\u{fdd0}".to_owned(),
        support: None,
        logo: None,
    };
    let mail = rendered(branding, &hostile);
    assert_eq!(
        mail.subject,
        "A<b>B Bcc: x invites you to enroll your device"
    );
    let page = Html::parse_document(&mail.html);
    for tag in ["script", "img", "b"] {
        assert!(texts(&page, tag).is_empty(), "{tag}");
    }
    let seen = seen(&page);
    for text in [
        hostile.display_name,
        hostile.username,
        "A<b>B Bcc: x",
        "</td><img src=x onerror=alert(1)>",
        "{{ 7*7 }}{% raw %}",
        "O'Hara",
    ] {
        assert!(seen.contains(text), "{text} in {seen}");
        assert!(mail.text.contains(text), "{text} in {}", mail.text);
    }
    assert!(mail.html.contains("{% raw %}<br><br>O&#39;Hara</p>"));
    assert!(!mail.html.contains('\u{202e}') && !mail.text.contains('\u{202e}'));
}

#[test]
fn an_empty_note_leaves_nothing() {
    let without = mail("en", Credential::Password);
    for note in [None, Some(""), Some(" \r\n ")] {
        let mail = rendered(branding(), &InvitationMail { note, ..without });
        assert!(!mail.html.contains("A note") && !mail.text.contains("A note"));
    }
}

#[test]
fn pictures_are_those_that_the_html_shows() {
    let logo = Logo::parse(b"\x89PNG\r\n\x1a\nrest".to_vec()).unwrap();
    let branding = Branding {
        logo: Some(logo),
        support: Some("https://help.example.com/?a=1&b=2".to_owned()),
        ..branding()
    };
    let renderer = Renderer::new(branding).unwrap();
    let one = renderer.invitation(&mail("fr", METHODS[3].1)).unwrap();
    let link = LINK.replace("AQAB", "AQAC");
    let other = qr(&link);
    let other = renderer.invitation(&mail("fr", other)).unwrap();
    let page = Html::parse_document(&one.html);
    let ids: Vec<_> = one.inline.iter().map(|part| &part.content_id).collect();
    let shown: Vec<_> = ids.iter().map(|id| format!("cid:{id}")).collect();
    assert_eq!(attributes(&page, "img", "src"), shown);
    assert_eq!(attributes(&page, "img", "alt").len(), 2);
    assert!(
        attributes(&page, "a", "href").contains(&"https://help.example.com/?a=1&b=2".to_owned())
    );
    assert_eq!(*ids[0], other.inline[0].content_id, "the logo");
    assert_ne!(*ids[1], other.inline[1].content_id, "the code");
}

#[test]
fn errors_hold_no_secret() {
    for template in [
        "{{ pin.no.such }}",
        "{{ pin|int(wrong=pin) }}",
        "{{ no_such }}",
        "{{ t('no-such') }}",
        "{{ t('greeting', wrong=pin) }}",
        "{{ t(pin, 1) }}",
        "{{ t('greeting', name=[pin]) }}",
        "{% include pin %}",
    ] {
        let mut renderer = Renderer::new(branding()).unwrap();
        renderer
            .templates
            .add_template("invitation_pin.html", template)
            .unwrap();
        let error = renderer.invitation(&mail("en", Credential::Pin(PIN)));
        let error = error.err().unwrap();
        let told = format!("{error} {error:?}");
        assert!(told.contains("invitation_pin.html:1"), "{told}");
        assert!(!told.contains("4821"), "{told}");
    }
    let link = LINK.repeat(40);
    let error = Renderer::new(branding())
        .unwrap()
        .invitation(&mail("en", qr(&link)))
        .err()
        .unwrap();
    assert!(!format!("{error} {error:?}").contains("AQAB"), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A form that is filled is what the templates make of the values themselves.
    #[test]
    fn a_form_is_filled_as_if_it_were_rendered(
        name in any::<String>(),
        username in "\\PC{1,40}|<&>\"'|[\u{fdd0}-\u{fdef}x]{1,5}",
        note in prop::option::of("[a-z<\n \u{fde0}\u{fdd0}]{0,60}"),
        pin in "[0-9]{6,12}",
        which in 0..METHODS.len(),
        is_reminder in any::<bool>(),
        tag in prop::sample::select(vec!["en", "fr"]),
    ) {
        let renderer = Renderer::new(branding()).unwrap();
        let credential = match METHODS[which].1 {
            Credential::Pin(_) => Credential::Pin(&pin),
            Credential::PinAndPassword(_) => Credential::PinAndPassword(&pin),
            other => other,
        };
        let first = InvitationMail { note: note.as_deref(), ..mail(tag, credential) };
        let mail = InvitationMail { display_name: &name, username: &username, ..first };
        let over = is_reminder.then_some("reminder");
        // The form is another's first.
        renderer.invite(&first, over, "subject").unwrap();
        let filled = renderer.invite(&mail, over, "subject").unwrap();
        let (shape, own, _) = renderer.shaped(&mail, over).unwrap();
        let (text, html) = renderer.words(shape.template, &shape.values(own)).unwrap();
        prop_assert_eq!(filled.html, html);
        prop_assert_eq!(filled.text, tidied(&text));
    }

    #[test]
    fn any_text_is_rendered_and_makes_no_markup(
        name in any::<String>(),
        username in any::<String>(),
        note in any::<String>(),
    ) {
        let mail = InvitationMail {
            display_name: &name,
            username: &username,
            note: Some(&note),
            ..mail("fr", Credential::Pin(PIN))
        };
        let plain = InvitationMail {
            display_name: "x",
            username: "x",
            note: Some("x"),
            ..mail
        };
        let count = |mail: &InvitationMail<'_>| {
            let html = rendered(branding(), mail).html;
            Html::parse_document(&html).tree.nodes()
                .filter(|node| node.value().as_element().is_some_and(|element| element.name() != "br"))
                .count()
        };
        let note_is_empty = lines(&note).is_empty();
        let without = InvitationMail { note: None, ..plain };
        prop_assert_eq!(count(&mail), count(if note_is_empty { &without } else { &plain }));
    }
}
