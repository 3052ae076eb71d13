//! From an invitation to a mail: the one path that preview and delivery share.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use lettre::message::Mailbox;
use uuid::Uuid;

use super::{
    branding::Branding,
    catalogue::Lang,
    confirmation::{ConfirmationMail, Owner},
    invitation::{Code, Credential, InvitationMail},
    message::{RenderError, Rendered, Renderer},
    mime::{self, Headers, MimeError},
};
use crate::{
    model::{
        identity::in_ascii_domain, invitation::Method, ownership::Ownership, qr_payload::QrPayload,
    },
    secrets::{keys::Key, pin::Pin, token},
};

/// Who a letter is to.
#[derive(Debug, Clone)]
pub struct Addressee {
    pub display_name: String,
    pub username: String,
    pub email: String,
    /// IANA name; UTC where it is unknown.
    pub time_zone: Option<String>,
    pub lang: Lang,
}

impl Addressee {
    fn zone(&self) -> Tz {
        self.time_zone
            .as_deref()
            .and_then(|name| name.parse().ok())
            .unwrap_or(Tz::UTC)
    }
}

/// What the user enrolls with. `Debug` would show it, so there is none.
pub struct Secrets {
    pin: Pin,
    token: String,
}

impl Secrets {
    /// The live secrets of an invitation.
    pub fn derive(key: &Key, invitation: Uuid, counter: u32, pin_length: u8) -> Self {
        Self {
            pin: Pin::derive(key, invitation, counter, pin_length),
            token: token::mint(key, invitation, counter),
        }
    }

    /// What a preview shows in their place.
    pub fn placeholder(pin_length: u8) -> Self {
        Self {
            pin: Pin::placeholder(pin_length),
            token: token::SAMPLE.to_owned(),
        }
    }
}

/// What an invitation, or a reminder of it, is made of.
#[derive(Clone, Copy)]
pub struct Letter<'a> {
    pub to: &'a Addressee,
    pub method: Method,
    pub secrets: &'a Secrets,
    /// When what it carries stops working.
    pub until: DateTime<Utc>,
    /// The administrator's own words.
    pub note: Option<&'a str>,
    /// What a QR code says.
    pub payload: &'a QrPayload,
}

/// Which conversation a mail belongs to.
#[derive(Clone, Copy, Default)]
pub struct Thread {
    /// The invitation that all mails of the conversation are about.
    pub invitation: Option<Uuid>,
    /// The message below which mail programs show it.
    pub follows: Option<Uuid>,
}

/// Writes letters in the organisation's name.
pub struct Writer {
    renderer: Renderer,
    from: Mailbox,
    /// Of the ids of messages: the sender's domain, in ASCII.
    domain: String,
    reply_to: Option<Mailbox>,
    public_url: String,
}

impl Writer {
    /// `public_url` is the base of all links, without a slash at its end.
    ///
    /// # Errors
    /// When a template or a catalogue inside the binary is broken.
    pub fn new(
        branding: Branding,
        from: Mailbox,
        reply_to: Option<Mailbox>,
        public_url: String,
    ) -> Result<Self, RenderError> {
        let address = in_ascii_domain(from.email.as_ref());
        let domain = match address
            .as_deref()
            .and_then(|address| address.rsplit_once('@'))
        {
            Some((_, domain)) => domain.to_owned(),
            None => from.email.domain().to_owned(),
        };
        Ok(Self {
            renderer: Renderer::new(branding)?,
            from,
            domain,
            reply_to,
            public_url,
        })
    }

    /// Who the mails are from, as people read it.
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// Where answers go, as people read it.
    pub fn reply_to(&self) -> Option<&Mailbox> {
        self.reply_to.as_ref()
    }

    /// The page on which devices are enrolled.
    pub fn enroll_url(&self) -> String {
        format!("{}/enroll", self.public_url)
    }

    /// The link in a QR code.
    pub fn link(&self, token: &str) -> String {
        format!("{}/enroll/{token}", self.public_url)
    }

    /// Renders an invitation.
    ///
    /// # Errors
    /// When the message cannot be rendered; the error holds no secret.
    pub fn invitation(&self, letter: &Letter<'_>) -> Result<Rendered, RenderError> {
        self.with_mail(letter, |mail| self.renderer.invitation(mail))
    }

    /// Renders a reminder of an invitation.
    ///
    /// # Errors
    /// When the message cannot be rendered; the error holds no secret.
    pub fn reminder(&self, letter: &Letter<'_>) -> Result<Rendered, RenderError> {
        self.with_mail(letter, |mail| self.renderer.reminder(mail))
    }

    fn with_mail<T>(&self, letter: &Letter<'_>, then: impl FnOnce(&InvitationMail<'_>) -> T) -> T {
        let Letter {
            to,
            method,
            secrets,
            until,
            note,
            payload,
        } = *letter;
        let link = self.link(&secrets.token);
        let says = match method {
            Method::Qr => payload.says(&secrets.token, &link),
            _ => String::new(),
        };
        let enroll_url = self.enroll_url();
        then(&InvitationMail {
            lang: to.lang,
            display_name: &to.display_name,
            username: &to.username,
            credential: match method {
                Method::Pin => Credential::Pin(secrets.pin.expose()),
                Method::Password => Credential::Password,
                Method::PinAndPassword => Credential::PinAndPassword(secrets.pin.expose()),
                Method::Qr => Credential::Qr {
                    link: &link,
                    says: &says,
                    code: match payload {
                        QrPayload::EnrollmentUrl => Code::Page,
                        QrPayload::AndroidDpc(_) | QrPayload::AndroidAmapi(_) => Code::SetUp,
                        QrPayload::AppleUrl(_) => Code::Profile,
                    },
                },
            },
            enroll_url: &enroll_url,
            valid_until: until.with_timezone(&to.zone()),
            note,
        })
    }

    /// Renders the confirmation of an enrollment.
    ///
    /// # Errors
    /// When the message cannot be rendered.
    pub fn confirmation(
        &self,
        to: &Addressee,
        device: &str,
        number: &str,
        ownership: Ownership,
        enrolled_at: DateTime<Utc>,
    ) -> Result<Rendered, RenderError> {
        self.renderer.confirmation(&ConfirmationMail {
            lang: to.lang,
            display_name: &to.display_name,
            username: &to.username,
            device,
            number,
            enrolled_at: enrolled_at.with_timezone(&to.zone()),
            owner: match ownership {
                Ownership::Undefined => Owner::Undefined,
                Ownership::UserOwned => Owner::User,
                Ownership::CompanyOwned => Owner::Company,
            },
        })
    }

    /// The whole mail that tries the mail server out.
    ///
    /// # Errors
    /// Why it cannot be made, in words.
    pub fn test_mail(
        &self,
        to: &str,
        message: Uuid,
        date: DateTime<Utc>,
    ) -> Result<lettre::Message, String> {
        let rendered = self.renderer.test_mail();
        let rendered = rendered.map_err(|error| error.to_string())?;
        let to = Addressee {
            display_name: String::new(),
            username: String::new(),
            email: to.to_owned(),
            time_zone: None,
            lang: Lang::DEFAULT,
        };
        self.seal(&to, message, Thread::default(), date, &rendered)
            .map_err(|error| error.to_string())
    }

    /// The whole mail. The `Message-ID` comes from the message's id: the same on every try.
    ///
    /// # Errors
    /// When the address cannot stand in a mail.
    pub fn seal(
        &self,
        to: &Addressee,
        message: Uuid,
        thread: Thread,
        date: DateTime<Utc>,
        rendered: &Rendered,
    ) -> Result<lettre::Message, MimeError> {
        let id = |id: Uuid| format!("{id}@{}", self.domain);
        mime::build(
            &Headers {
                from: &self.from,
                reply_to: self.reply_to.as_ref(),
                to: &to.email,
                to_name: &to.display_name,
                message_id: &id(message),
                thread: thread.invitation.map(id).as_deref(),
                follows: thread.follows.map(id).as_deref(),
                date,
                lang: to.lang,
            },
            rendered,
        )
    }
}
