//! What invitations to many have in common: rendered once, with gaps for what is each recipient's own. Pure.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::{Value, context};

use super::{
    catalogue::Lang,
    stencil::{Stencil, gap},
};

/// More than that are not kept: an organisation sends a few kinds, each with a note or two.
const MOST: usize = 64;

/// What invitations to many have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    pub template: &'static str,
    /// What the template takes for its base, if it takes any.
    pub base: &'static str,
    pub lang: Lang,
    pub note: Vec<String>,
    /// In CSS pixels.
    pub pin_size: u8,
    pub code: &'static str,
    /// In CSS pixels.
    pub qr_width: u32,
}

/// What is each recipient's own: the name, the username, where to enroll and until when, then the PIN, or the link
/// and the id of its picture.
pub type Own<'a> = [Cow<'a, str>; 7];

/// An invitation of a shape: as text, and as HTML.
pub struct Form {
    pub text: Stencil,
    pub html: Stencil,
}

impl Shape {
    /// What the templates are given.
    pub fn values(&self, own: Own<'_>) -> Value {
        let [name, username, enroll_url, until, pin, qr_link, qr] = own;
        context! {
            lang => self.lang.as_str(),
            note => &self.note,
            base => self.base,
            pin_size => self.pin_size,
            code => self.code,
            qr_width => self.qr_width,
            name, username, enroll_url, until, pin, qr_link, qr,
        }
    }
}

/// The forms that were filled last.
#[derive(Default)]
pub struct Forms(Mutex<HashMap<Shape, Arc<Form>>>);

impl Forms {
    /// The form of a shape; made when it is first asked for, of what `words` gives as text and as HTML.
    ///
    /// # Errors
    /// What `words` gives.
    pub fn form<E>(
        &self,
        shape: Shape,
        words: impl FnOnce(&Shape, Own<'_>) -> Result<(String, String), E>,
    ) -> Result<Arc<Form>, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(form) = lock().get(&shape) {
            return Ok(Arc::clone(form));
        }
        let marks = std::array::from_fn(|position| gap(position).to_string().into());
        let (text, html) = words(&shape, marks)?;
        let form = Arc::new(Form {
            text: Stencil::cut(&text),
            html: Stencil::cut(&html),
        });
        let mut forms = lock();
        if forms.len() >= MOST {
            forms.clear();
        }
        forms.insert(shape, Arc::clone(&form));
        Ok(form)
    }
}
