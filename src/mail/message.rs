//! A typed mail becomes subject, text and HTML. Pure.
//!
//! A kind of mail is a struct such as `InvitationMail`, a method of [`Renderer`], and templates
//! over `base.html` and `base.txt`. Words come from the catalogue alone, through `t("key", name=value)`.

use std::sync::Arc;

use fluent_bundle::FluentArgs;
use minijinja::{Environment, Value};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

pub use super::engine::RenderError;
use super::{
    branding::Branding,
    catalogue::{self, Lang},
    engine::{self, one_line},
    form::Forms,
};

#[derive(RustEmbed)]
#[folder = "src/mail/templates"]
struct Templates;

/// A mail, ready to be put into its wire format.
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text, wrapped, lines ended by `\n`.
    pub text: String,
    pub html: String,
    /// Pictures that the HTML shows through `cid:`.
    pub inline: Vec<InlinePart>,
}

/// One picture inside a mail.
#[derive(Clone)]
pub struct InlinePart {
    /// Without angle brackets; the same picture has the same id, another one another, since some
    /// mail programs show what they kept under an id for later messages too.
    pub content_id: String,
    pub filename: String,
    pub content_type: &'static str,
    pub bytes: Arc<[u8]>,
}

impl InlinePart {
    pub(super) fn new(filename: &str, content_type: &'static str, bytes: Arc<[u8]>) -> Self {
        let digest = Sha256::digest(&bytes);
        let id = digest[..8]
            .iter()
            .fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
        Self {
            content_id: format!("{id:016x}@enlist.invalid"),
            filename: filename.to_owned(),
            content_type,
            bytes,
        }
    }
}

/// Turns mails into text and HTML. Templates are parsed once; any number of threads may render.
pub struct Renderer {
    pub(super) templates: Environment<'static>,
    org: String,
    logo: Option<InlinePart>,
    pub(super) forms: Forms,
}

impl Renderer {
    /// Parses every template.
    ///
    /// # Errors
    /// When one of them is broken.
    pub fn new(branding: Branding) -> Result<Self, RenderError> {
        let mut templates = engine::environment::<Templates>(&branding)?;
        templates.add_global("filler", Value::from_safe_string(FILLER.repeat(60)));
        let org = one_line(&branding.org_name).into_owned();
        let logo = branding
            .logo
            .map(|logo| InlinePart::new(logo.filename, logo.content_type, logo.bytes));
        templates.add_global("logo", logo.as_ref().map(|logo| logo.content_id.as_str()));
        Ok(Self {
            templates,
            org,
            logo,
            forms: Forms::default(),
        })
    }

    /// The organisation's name, on one line.
    pub(super) fn org(&self) -> &str {
        &self.org
    }

    /// The organisation's picture, where there is one: every mail shows it.
    pub(super) fn logo(&self) -> Vec<InlinePart> {
        self.logo.iter().cloned().collect()
    }

    /// From a template straight to a mail. The values join those that [`Renderer::new`] has given to all templates;
    /// `lang` is among them. `subject` is a message's key, with the organisation as its variable.
    pub(super) fn render(
        &self,
        template: &str,
        lang: Lang,
        subject: &str,
        values: &Value,
        inline: Vec<InlinePart>,
    ) -> Result<Rendered, RenderError> {
        let (text, html) = self.words(template, values)?;
        Ok(Rendered {
            subject: self.subject(lang, subject)?,
            text: tidied(&text),
            html,
            inline,
        })
    }

    pub(super) fn subject(&self, lang: Lang, key: &str) -> Result<String, RenderError> {
        let org: FluentArgs<'_> = [("org", self.org.as_str())].into_iter().collect();
        Ok(catalogue::text(lang, key, &org)?)
    }

    /// What a template gives as text, and as HTML.
    pub(super) fn words(
        &self,
        template: &str,
        values: &Value,
    ) -> Result<(String, String), RenderError> {
        let render = |name: &str| self.templates.get_template(name)?.render(values);
        Ok((
            render(&format!("{template}.txt"))?,
            render(&format!("{template}.html"))?,
        ))
    }
}

/// Invisible, behind the hidden line that mail programs show in their lists: without it they go on
/// with what follows, down to the PIN, on a locked screen.
const FILLER: &str = "&#847;&zwnj;&nbsp;";

/// Leaves one empty line where templates leave several. Long lines stay long: a hard break in the
/// middle of a sentence reads badly on a phone, and mail programs wrap by themselves.
pub(super) fn tidied(text: &str) -> String {
    let mut lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    lines.join("\n") + "\n"
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_no_wide_gaps() {
        assert_eq!(
            tidied("\n\n1. one  \n\n\n\n  two\nthree\n\n"),
            "1. one\n\n  two\nthree\n"
        );
    }

    /// The worst contrast of each pair that is read (WCAG 2.2, 1.4.3: at least 4.5).
    #[test]
    fn colours_are_legible() {
        let luminance = |hex: &str| -> f64 {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.040_45 {
                    value / 12.92
                } else {
                    ((value + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
        };
        let base = Templates::get("base.html").unwrap().data;
        let parts = Templates::get("parts.html").unwrap().data;
        let source = [base, parts].concat();
        let source = String::from_utf8(source).unwrap();
        for (ink, paper) in [
            ("1b2433", "f4f7fd"),
            ("566174", "f4f7fd"),
            ("14213f", "f4f7fd"),
            ("2352c8", "ffffff"),
            ("20428f", "e4ebfa"),
            ("e8ebf2", "222938"),
            ("a9b3c5", "222938"),
            ("a3c0ff", "222938"),
            ("0d1526", "a3c0ff"),
            ("d6e2ff", "2f3b57"),
        ] {
            assert!(source.contains(ink) && source.contains(paper));
            let (ink, paper) = (luminance(ink), luminance(paper));
            let contrast = (ink.max(paper) + 0.05) / (ink.min(paper) + 0.05);
            assert!(contrast >= 4.5, "{contrast}");
        }
    }
}
