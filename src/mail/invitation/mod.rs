//! The mail that invites, and the one that reminds of it. Pure.

#[cfg(test)]
mod tests;

use chrono::DateTime;
use chrono_tz::Tz;

use super::{
    catalogue::{self, Lang},
    engine::{self, RenderError, is_unwanted, one_line},
    form::{Own, Shape},
    message::{InlinePart, Rendered, Renderer, tidied},
    qr,
};

/// What the user enrolls with. `Debug` would show it, so there is none.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    Pin(&'a str),
    Password,
    PinAndPassword(&'a str),
    /// The picture, and the link to the landing page as text beside it.
    Qr {
        link: &'a str,
        /// What the picture says.
        says: &'a str,
        code: Code,
    },
}

/// What scanning a QR code does, for the words around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Opens the landing page.
    Page,
    /// Sets up a device that is new or was reset; only its set-up assistant reads it.
    SetUp,
    /// Downloads a configuration profile.
    Profile,
}

impl Code {
    /// As the templates know it.
    const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::SetUp => "set_up",
            Self::Profile => "profile",
        }
    }
}

/// An invitation to enroll a device.
#[derive(Clone, Copy)]
pub struct InvitationMail<'a> {
    pub lang: Lang,
    pub display_name: &'a str,
    pub username: &'a str,
    pub credential: Credential<'a>,
    /// The page on which a device is enrolled.
    pub enroll_url: &'a str,
    /// When what the mail carries stops working, in the recipient's zone.
    pub valid_until: DateTime<Tz>,
    /// The administrator's own words: plain text, lines kept.
    pub note: Option<&'a str>,
}

impl Renderer {
    /// Renders an invitation.
    ///
    /// # Errors
    /// [`RenderError`]: a broken template or catalogue, or a link too long for a QR code.
    pub fn invitation(&self, mail: &InvitationMail<'_>) -> Result<Rendered, RenderError> {
        self.invite(mail, None, "subject")
    }

    /// Renders a reminder of an invitation: the same credential and steps, in other words.
    ///
    /// # Errors
    /// As [`Renderer::invitation`].
    pub fn reminder(&self, mail: &InvitationMail<'_>) -> Result<Rendered, RenderError> {
        self.invite(mail, Some("reminder"), "reminder-subject")
    }

    /// Through the invitation's own template, or one that takes it for its base.
    fn invite(
        &self,
        mail: &InvitationMail<'_>,
        over: Option<&'static str>,
        subject: &str,
    ) -> Result<Rendered, RenderError> {
        let (shape, own, inline) = self.shaped(mail, over)?;
        let form = self.forms.form(shape, |shape, own| {
            self.words(shape.template, &shape.values(own))
        })?;
        let escaped = own.each_ref().map(|value| engine::escaped(value));
        Ok(Rendered {
            subject: self.subject(mail.lang, subject)?,
            text: tidied(&form.text.fill(&own)),
            html: form.html.fill(&escaped),
            inline,
        })
    }

    /// What an invitation has in common with others, what is its own, and its pictures.
    fn shaped<'a>(
        &self,
        mail: &InvitationMail<'a>,
        over: Option<&'static str>,
    ) -> Result<(Shape, Own<'a>, Vec<InlinePart>), RenderError> {
        let (template, pin, qr_link, code) = match mail.credential {
            Credential::Pin(pin) => ("invitation_pin", pin, "", ""),
            Credential::Password => ("invitation_password", "", "", ""),
            Credential::PinAndPassword(pin) => ("invitation_pin_and_password", pin, "", ""),
            Credential::Qr { link, code, .. } => ("invitation_qr", "", link, code.name()),
        };
        let mut inline = self.logo();
        let mut qr_id = String::new();
        let mut qr_width = 0;
        if let Credential::Qr { says, .. } = mail.credential {
            let picture = qr::png(says)?;
            qr_width = shown_width(picture.width);
            let part = InlinePart::new("qr.png", "image/png", picture.bytes.into());
            qr_id.clone_from(&part.content_id);
            inline.push(part);
        }
        let shape = Shape {
            template: over.unwrap_or(template),
            base: template,
            lang: mail.lang,
            note: lines(mail.note.unwrap_or_default()),
            // The longest PIN fits a phone.
            pin_size: if pin.len() <= 8 { 40 } else { 28 },
            code,
            qr_width,
        };
        let own = [
            one_line(mail.display_name),
            one_line(mail.username),
            mail.enroll_url.into(),
            catalogue::date_time(mail.lang, mail.valid_until).into(),
            pin.into(),
            qr_link.into(),
            qr_id.into(),
        ];
        Ok((shape, own, inline))
    }
}

/// A note's lines, without empty ones at its ends.
fn lines(note: &str) -> Vec<String> {
    note.trim()
        .lines()
        .map(|line| line.trim_end().replace(is_unwanted, ""))
        .collect()
}

/// How wide a QR code is shown, in CSS pixels: 5 a module, as far as the card's width allows; a phone makes
/// it smaller.
fn shown_width(pixels: u32) -> u32 {
    (pixels / qr::MODULE_PX * 5).min(440)
}
