//! The mail after an enrollment: what was enrolled, when, whose it is, and whom to tell if it was
//! somebody else. Holds no secret. Pure.

use chrono::DateTime;
use chrono_tz::Tz;
use minijinja::context;

use super::{
    catalogue::{self, Lang},
    engine::{RenderError, one_line},
    message::{Rendered, Renderer},
};

/// Whose a device is, to its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Nobody said.
    Undefined,
    User,
    Company,
}

impl Owner {
    /// The key of what is said about it.
    const fn key(self) -> &'static str {
        match self {
            Self::Undefined => "",
            Self::User => "confirmation-user-owned",
            Self::Company => "confirmation-company-owned",
        }
    }
}

/// A confirmation that a device was enrolled.
#[derive(Debug, Clone, Copy)]
pub struct ConfirmationMail<'a> {
    pub lang: Lang,
    pub display_name: &'a str,
    pub username: &'a str,
    /// What a person calls it: the model, else the platform. Empty where neither is known.
    pub device: &'a str,
    /// The serial number, else the id that the MDM server knows it by.
    pub number: &'a str,
    /// In the recipient's zone.
    pub enrolled_at: DateTime<Tz>,
    pub owner: Owner,
}

impl Renderer {
    /// Renders a confirmation.
    ///
    /// # Errors
    /// [`RenderError`]: a broken template or catalogue.
    pub fn confirmation(&self, mail: &ConfirmationMail<'_>) -> Result<Rendered, RenderError> {
        let values = context! {
            lang => mail.lang.as_str(),
            name => one_line(mail.display_name),
            username => one_line(mail.username),
            device => one_line(mail.device),
            number => one_line(mail.number),
            at => catalogue::date_time(mail.lang, mail.enrolled_at),
            owner => mail.owner.key(),
            note => Vec::<String>::new(),
        };
        self.render(
            "confirmation",
            mail.lang,
            "confirmation-subject",
            &values,
            self.logo(),
        )
    }
}

#[cfg(test)]
mod tests {
    use scraper::{Html, Selector};

    use super::*;
    use crate::mail::branding::Branding;

    fn renderer(support: Option<&str>) -> Renderer {
        Renderer::new(Branding {
            org_name: "Example & Söhne".to_owned(),
            support: support.map(str::to_owned),
            logo: None,
        })
        .unwrap()
    }

    fn mail(lang: Lang, owner: Owner) -> ConfirmationMail<'static> {
        let at = DateTime::from_timestamp(1_795_527_120, 0).unwrap();
        ConfirmationMail {
            lang,
            display_name: "Ada Lovelace",
            username: "ada@example.com",
            device: "iPhone 17",
            number: "C02XK0AAJG5H",
            enrolled_at: at.with_timezone(&Tz::Europe__Paris),
            owner,
        }
    }

    #[test]
    fn every_confirmation_in_every_language() {
        let renderer = renderer(Some("help@example.com"));
        for lang in Lang::all() {
            let mail = renderer.confirmation(&mail(lang, Owner::Company)).unwrap();
            let text = format!("{}\n\n{}", mail.subject, mail.text);
            insta::assert_snapshot!(format!("confirmation.{}.txt", lang.as_str()), text);
            insta::assert_snapshot!(format!("confirmation.{}.html", lang.as_str()), mail.html);
        }
    }

    #[test]
    fn both_parts_say_what_when_whose_and_whom_to_tell() {
        for lang in Lang::all() {
            let mut owners = Vec::new();
            for owner in [Owner::Undefined, Owner::User, Owner::Company] {
                let mail = renderer(Some("help@example.com"))
                    .confirmation(&mail(lang, owner))
                    .unwrap();
                let page = Html::parse_document(&mail.html);
                let body = page
                    .select(&Selector::parse("body").unwrap())
                    .next()
                    .unwrap();
                let seen: String = body.text().collect();
                for part in [&seen, &mail.text] {
                    for needed in [
                        "Ada Lovelace",
                        "ada@example.com",
                        "iPhone 17",
                        "C02XK0AAJG5H",
                        "14:32 (UTC+01:00)",
                        "Example & Söhne",
                        "help@example.com",
                    ] {
                        assert!(part.contains(needed), "{needed} in {part}");
                    }
                }
                owners.push(mail.text);
            }
            assert!(owners[0] != owners[1] && owners[1] != owners[2]);
        }
    }

    #[test]
    fn what_is_not_known_leaves_nothing() {
        let mut unknown = mail(Lang::DEFAULT, Owner::Undefined);
        (unknown.device, unknown.number) = ("", "<b>S\r\nX: y</b>");
        let mail = renderer(None).confirmation(&unknown).unwrap();
        assert!(
            !mail.text.contains("Device:") && !mail.text.contains("Owner:"),
            "{}",
            mail.text
        );
        assert!(mail.text.contains("<b>S X: y</b>"));
        assert!(mail.html.contains("&lt;b&gt;S X: y&lt;/b&gt;"));
        // Without a contact, it is the administrator who is told.
        assert!(mail.text.contains("administrator"));
    }
}
