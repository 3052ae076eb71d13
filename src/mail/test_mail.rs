//! The mail that tries a mail server out: short, in every language, since nobody knows who reads it. Holds no secret. Pure.

use fluent_bundle::FluentArgs;
use minijinja::{Value, context};

use super::{
    catalogue::{self, CatalogueError, Lang},
    engine::RenderError,
    message::{Rendered, Renderer},
};

impl Renderer {
    /// Renders the test mail.
    ///
    /// # Errors
    /// [`RenderError`]: a broken template or catalogue.
    pub fn test_mail(&self) -> Result<Rendered, RenderError> {
        let org: FluentArgs<'_> = [("org", self.org())].into_iter().collect();
        let words = |lang: Lang| {
            let text = |key| catalogue::text(lang, key, &org);
            Ok::<_, CatalogueError>(context! {
                lang => lang.as_str(),
                direction => text("direction")?,
                title => text("test-title")?,
                text => text("test-text")?,
            })
        };
        let languages: Vec<Value> = Lang::all().map(words).collect::<Result<_, _>>()?;
        let values = context! { lang => Lang::DEFAULT.as_str(), languages };
        let logo = self.logo();
        self.render("test", Lang::DEFAULT, "test-subject", &values, logo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::branding::Branding;

    #[test]
    fn it_says_in_every_language_that_nothing_is_to_be_done() {
        let renderer = Renderer::new(Branding {
            org_name: "Example & Söhne".to_owned(),
            support: None,
            logo: None,
        });
        let mail = renderer.unwrap().test_mail().unwrap();
        let text = format!("{}\n\n{}", mail.subject, mail.text);
        insta::assert_snapshot!("test_mail.txt", text);
        insta::assert_snapshot!("test_mail.html", mail.html);
        for lang in Lang::all() {
            let title = catalogue::text(lang, "test-title", &FluentArgs::new()).unwrap();
            assert!(mail.text.contains(&title) && mail.html.contains(&title));
        }
    }
}
