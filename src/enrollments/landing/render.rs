//! The landing page as HTML. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::DateTime;
use chrono_tz::Tz;
use minijinja::{Environment, Value, context};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::page::Page;
use crate::mail::{
    branding::Branding,
    catalogue::{self, Lang},
    engine::{self, one_line},
    message::RenderError,
    qr,
};

#[derive(RustEmbed)]
#[folder = "src/enrollments/landing/templates"]
struct Templates;

const STYLE: &str = include_str!("style.css");

/// CSS pixels of a QR code's side: 4 a module where that is neither too small to aim at nor too wide.
const PICTURE: std::ops::RangeInclusive<usize> = 248..=450;
const MODULE: usize = 4;

/// For whom a page is, and until when what it is about works.
#[derive(Debug, Clone)]
pub struct Person<'a> {
    pub display_name: &'a str,
    pub username: &'a str,
    pub until: DateTime<Tz>,
}

/// Writes landing pages in the organisation's name.
pub struct Pages {
    templates: Environment<'static>,
    security_policy: String,
}

impl Pages {
    /// Parses the templates.
    ///
    /// # Errors
    /// When one of them is broken.
    pub fn new(branding: &Branding) -> Result<Self, RenderError> {
        let mut templates = engine::environment::<Templates>(branding)?;
        let logo = branding.logo.as_ref().map(|logo| logo.data_url());
        templates.add_global("logo", logo);
        templates.add_global("style", Value::from_safe_string(STYLE.to_owned()));
        // No script, no form, nothing from elsewhere: one style, which is known by its hash, and pictures
        // that stand in the page itself.
        let security_policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            STANDARD.encode(Sha256::digest(STYLE))
        );
        Ok(Self {
            templates,
            security_policy,
        })
    }

    /// The pages' `Content-Security-Policy`.
    pub fn security_policy(&self) -> &str {
        &self.security_policy
    }

    /// Renders a page. Its QR code takes some milliseconds of a core.
    ///
    /// # Errors
    /// [`RenderError`], which holds nothing of the page's link or token.
    pub fn render(
        &self,
        lang: Lang,
        page: &Page,
        person: Option<&Person<'_>>,
    ) -> Result<String, RenderError> {
        let picture = page.picture.as_deref().map(qr::svg).transpose()?;
        let values = context! {
            lang => lang.as_str(),
            page => context! {
                title => page.title,
                lead => page.lead,
                is_personal => page.is_personal,
                steps => page.steps.clone(),
                notes => page.notes.clone(),
                button => page.button.as_ref().map(|button| context! {
                    href => button.href.as_str(),
                    is_main => button.is_main,
                }),
            },
            name => person.map(|person| one_line(person.display_name)).unwrap_or_default(),
            username => person.map(|person| one_line(person.username)).unwrap_or_default(),
            until => person.map(|person| catalogue::date_time(lang, person.until)).unwrap_or_default(),
            qr => picture.as_ref().map(|picture| {
                format!("data:image/svg+xml;base64,{}", STANDARD.encode(&picture.text))
            }),
            qr_width => picture.as_ref().map(|picture| {
                (picture.modules * MODULE).clamp(*PICTURE.start(), *PICTURE.end())
            }),
        };
        Ok(self.templates.get_template("page.html")?.render(&values)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scraper::{Html, Selector};
    use serde_json::json;

    use super::*;
    use crate::{
        enrollments::landing::{
            facts::{Device, Ended, Ways},
            page,
        },
        mail::branding::Logo,
        model::{invitation::Method, qr_payload::TokenUrl, wire},
    };

    const TOKEN: &str = "AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQLXIH2M3u8uDtYwHPazE";
    const LINK: &str =
        "https://enroll.example.com/enroll/AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQLXIH2M3u8uDtYwHPazE";
    const MDM: &str = "https://mdm.example.com/e?t={token}&a=1";

    fn branding() -> Branding {
        Branding {
            org_name: "Example & Söhne".to_owned(),
            support: Some("help@example.com".to_owned()),
            logo: None,
        }
    }

    fn person<'a>() -> Person<'a> {
        let until = DateTime::from_timestamp(1_795_527_120, 0).unwrap();
        Person {
            display_name: "Ada Lovelace",
            username: "ada@example.com",
            until: until.with_timezone(&Tz::Europe__Paris),
        }
    }

    fn ways(payload: serde_json::Value, mdm_url: Option<&str>) -> Ways {
        Ways {
            mdm_url: mdm_url.map(|url| TokenUrl::parse(url).unwrap()),
            qr_payload: wire::parse(payload).unwrap(),
            allow_pin_request: true,
        }
    }

    /// Every state in which somebody may find a page.
    fn pages() -> Vec<(&'static str, Page)> {
        let link = json!({"kind": "enrollment_url"});
        let set_up = json!({"kind": "android_amapi", "enrollment_token": "ABC"});
        let profile = json!({"kind": "apple_url", "url": "https://mdm.example.com/p/{token}"});
        let live = |method, payload: &serde_json::Value, mdm, device| {
            page::live(method, &ways(payload.clone(), mdm), device, TOKEN, LINK)
        };
        let on_to = || Some("https://mdm.example.com/e".to_owned());
        let here = "https://enroll.example.com/enroll";
        vec![
            (
                "qr.apple",
                live(Method::Qr, &link, Some(MDM), Device::Apple),
            ),
            (
                "qr.android",
                live(Method::Qr, &link, Some(MDM), Device::Android),
            ),
            (
                "qr.other",
                live(Method::Qr, &link, Some(MDM), Device::Other),
            ),
            ("qr.no_mdm", live(Method::Qr, &link, None, Device::Apple)),
            (
                "pin.apple",
                live(Method::Pin, &link, Some(MDM), Device::Apple),
            ),
            (
                "pin.no_mdm",
                live(Method::Pin, &link, None, Device::Android),
            ),
            (
                "password.android",
                live(Method::Password, &link, Some(MDM), Device::Android),
            ),
            (
                "pin_and_password.apple",
                live(Method::PinAndPassword, &link, Some(MDM), Device::Apple),
            ),
            (
                "set_up.android",
                live(Method::Qr, &set_up, None, Device::Android),
            ),
            (
                "set_up.other",
                live(Method::Qr, &set_up, Some(MDM), Device::Other),
            ),
            (
                "profile.apple",
                live(Method::Qr, &profile, None, Device::Apple),
            ),
            (
                "profile.android",
                live(Method::Qr, &profile, None, Device::Android),
            ),
            (
                "profile.other",
                live(Method::Qr, &profile, None, Device::Other),
            ),
            ("general.apple", page::general(Device::Apple, on_to(), here)),
            (
                "general.android",
                page::general(Device::Android, None, here),
            ),
            ("general.other", page::general(Device::Other, on_to(), here)),
            ("expired", page::ended(Ended::Expired, true)),
            ("pin_expired", page::ended(Ended::PinExpired, true)),
            (
                "pin_expired.no_request",
                page::ended(Ended::PinExpired, false),
            ),
            ("completed", page::ended(Ended::Completed, true)),
            ("revoked", page::ended(Ended::Revoked, true)),
            ("superseded", page::ended(Ended::Superseded, true)),
            ("unknown", page::unknown()),
            ("later", page::later()),
        ]
    }

    fn rendered(lang: Lang, page: &Page) -> String {
        let pages = Pages::new(&branding()).unwrap();
        pages.render(lang, page, Some(&person())).unwrap()
    }

    fn select<'a>(page: &'a Html, selector: &str) -> Vec<scraper::ElementRef<'a>> {
        page.select(&Selector::parse(selector).unwrap()).collect()
    }

    #[test]
    fn every_page_in_every_language() {
        for lang in Lang::all() {
            for (name, page) in pages() {
                let html = rendered(lang, &page);
                // To be looked at: docs/accessibility.py.
                if let Some(folder) = std::env::var_os("ENLIST_PAGES") {
                    let file = format!("{name}.{}.html", lang.as_str());
                    std::fs::write(std::path::Path::new(&folder).join(file), &html).unwrap();
                }
                // The style is a file of its own, and the pictures are read back elsewhere.
                let html = html.replace(STYLE, "…");
                let html = match html.split_once("base64,") {
                    Some((before, rest)) => {
                        format!("{before}base64,…{}", &rest[rest.find('"').unwrap()..])
                    }
                    None => html,
                };
                insta::assert_snapshot!(format!("{name}.{}", lang.as_str()), html);
            }
        }
    }

    #[test]
    fn every_page_is_well_made() {
        for lang in Lang::all() {
            for (name, page) in pages() {
                let html = rendered(lang, &page);
                assert!(html.starts_with("<!DOCTYPE html>"), "{name}");
                let document = Html::parse_document(&html);
                assert!(document.errors.is_empty(), "{name}: {:?}", document.errors);
                let root = document.root_element();
                assert_eq!(root.attr("lang"), Some(lang.as_str()));
                assert_eq!(select(&document, "main").len(), 1);
                assert_eq!(select(&document, "h1").len(), 1);
                for forbidden in [
                    "script",
                    "form",
                    "iframe",
                    "link",
                    "[style]",
                    "[onclick]",
                    "object",
                ] {
                    assert!(
                        select(&document, forbidden).is_empty(),
                        "{name}: {forbidden}"
                    );
                }
                let robots = select(&document, "meta[name=robots]");
                assert_eq!(robots[0].attr("content"), Some("noindex, nofollow"));
                let text: String = root.text().collect();
                assert!(text.contains("Example & Söhne"), "{name}");
                assert!(select(&document, "a[href='mailto:help@example.com']").len() == 1);
                assert_eq!(text.contains("Ada Lovelace"), page.is_personal, "{name}");
                for picture in select(&document, "img.qr") {
                    assert!(picture.attr("alt").is_some_and(|alt| !alt.is_empty()));
                }
            }
        }
    }

    #[test]
    fn the_style_is_the_one_that_the_policy_knows() {
        let pages = Pages::new(&branding()).unwrap();
        let html = pages.render(Lang::DEFAULT, &page::unknown(), None).unwrap();
        let style = html.split("<style>").nth(1).unwrap();
        let style = style.split("</style>").next().unwrap();
        let hash = STANDARD.encode(Sha256::digest(style));
        assert!(
            pages
                .security_policy()
                .contains(&format!("'sha256-{hash}'"))
        );
        assert!(!pages.security_policy().contains("unsafe"));
    }

    #[test]
    fn the_picture_is_what_a_camera_reads() {
        for (name, page) in pages() {
            let html = rendered(Lang::DEFAULT, &page);
            let document = Html::parse_document(&html);
            let shown = select(&document, "img.qr");
            let Some(says) = &page.picture else {
                assert!(shown.is_empty(), "{name}");
                continue;
            };
            let source = shown[0].attr("src").unwrap();
            let svg = source.strip_prefix("data:image/svg+xml;base64,").unwrap();
            let svg = String::from_utf8(STANDARD.decode(svg).unwrap()).unwrap();
            let (side, dark) = qr::tests::svg_modules(&svg);
            let read = qr::tests::scan(side * 4, |x, y| dark[y / 4 * side + x / 4]);
            assert_eq!(&read, says, "{name}");
        }
    }

    #[test]
    fn what_people_write_stays_text() {
        let hostile = Branding {
            org_name: "A<b>B</b>\"'&\u{202e}".to_owned(),
            support: Some("https://help.example.com/?a=1&b=\"x\"".to_owned()),
            logo: Some(Logo::parse(b"GIF89a-not-really".to_vec()).unwrap()),
        };
        let pages = Pages::new(&hostile).unwrap();
        let mut ways = ways(json!({"kind": "enrollment_url"}), Some(MDM));
        let who = Person {
            display_name: "<script>alert('x')</script> {{ 7*7 }}",
            username: "</p><img src=x onerror=alert(1)>",
            ..person()
        };
        for mdm in [true, false] {
            if !mdm {
                ways.mdm_url = None;
            }
            let page = page::live(Method::Pin, &ways, Device::Apple, TOKEN, LINK);
            let html = pages.render(Lang::DEFAULT, &page, Some(&who)).unwrap();
            let document = Html::parse_document(&html);
            for tag in ["script", "b", "[onerror]"] {
                assert!(select(&document, tag).is_empty(), "{tag}");
            }
            assert_eq!(select(&document, "img").len(), 1, "the logo");
            let text: String = document.root_element().text().collect();
            for shown in [who.display_name, who.username, "A<b>B</b>\"'&"] {
                assert!(text.contains(shown), "{shown}");
            }
            assert!(!html.contains('\u{202e}'));
            let button = select(&document, "a.button");
            assert_eq!(button.len(), usize::from(mdm));
            if mdm {
                let href = format!("https://mdm.example.com/e?t={TOKEN}&a=1");
                assert_eq!(button[0].attr("href"), Some(href.as_str()));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_name_is_shown_and_makes_no_markup(name in any::<String>(), username in "\\PC+") {
            let ways = ways(json!({"kind": "enrollment_url"}), None);
            let page = page::live(Method::Pin, &ways, Device::Apple, TOKEN, LINK);
            let count = |display_name: &str, username: &str| {
                let who = Person { display_name, username, ..person() };
                let pages = Pages::new(&branding()).unwrap();
                let html = pages.render(Lang::DEFAULT, &page, Some(&who)).unwrap();
                select(&Html::parse_document(&html), "*:not(strong)").len()
            };
            prop_assert_eq!(count(&name, &username), count("x", "y"));
        }
    }
}
