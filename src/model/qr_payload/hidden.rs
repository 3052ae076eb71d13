//! What of a setting not everybody may see, and what stands for it. Pure.

use crate::model::wire::Flaw;

/// What stands in a configured link or extra for the invitation's own token.
pub const TOKEN: &str = "{token}";

/// What stands in an answer for what is not shown.
const HIDDEN: &str = "***";

/// The longest part of an address that is shown, if it has only letters; and the longest one that may have digits.
const LONGEST_WORD: usize = 19;
const LONGEST_SHORT: usize = 3;

/// A text that not everybody may see, at its place in a body.
pub struct Secret<'a> {
    /// Its JSON pointer.
    pub place: String,
    pub(super) text: &'a mut String,
    pub(super) shown: fn(&str) -> String,
}

impl Secret<'_> {
    /// Puts in its place what everybody may see.
    pub fn hide(self) {
        *self.text = (self.shown)(self.text);
    }

    /// Puts the stored text back if this is what was shown of it.
    ///
    /// # Errors
    /// When it holds something that was not shown, and is not what was shown of the stored one.
    pub fn keep(self, stored: Option<&Self>) -> Result<(), Flaw> {
        let stored = stored.map(|stored| stored.text.as_str());
        if stored == Some(self.text.as_str()) || !self.text.contains(HIDDEN) {
            return Ok(());
        }
        match stored.filter(|stored| (self.shown)(stored) == *self.text) {
            Some(stored) => *self.text = stored.to_owned(),
            None => {
                return Err(Flaw::new(
                    "hidden_value",
                    "holds ***, which stands for what is not shown; give the value itself, or send it back as it was shown to \
                     keep what is stored",
                ));
            }
        }
        Ok(())
    }
}

/// A text of which nothing is shown but where the invitation's token goes.
pub(super) fn shown_text(text: &str) -> String {
    let parts = text.split(TOKEN);
    let parts = parts.map(|part| if part.is_empty() { "" } else { HIDDEN });
    parts.collect::<Vec<_>>().join(TOKEN)
}

/// An address of which the host is shown, parts of the path and names of parameters that are mere words, values that are too
/// short to be a key, and where the invitation's token goes. Whatever else may be a key is not.
pub(super) fn shown_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return shown_text(text);
    };
    let (rest, fragment) = split(rest, '#');
    let (rest, query) = split(rest, '?');
    let (host, path) = split(rest, '/');
    let list = |list: &str, by: char, shown: fn(&str) -> String| {
        let parts: Vec<String> = list.split(by).map(shown).collect();
        parts.join(&by.to_string())
    };
    let path = path.map(|path| format!("/{}", list(path, '/', shown_part)));
    let query = query.map(|query| format!("?{}", list(query, '&', shown_parameter)));
    let fragment = fragment.map(|fragment| format!("#{}", list(fragment, '&', shown_parameter)));
    let behind = [path, query, fragment].into_iter().flatten();
    format!("{scheme}://{host}{}", behind.collect::<String>())
}

fn split(text: &str, by: char) -> (&str, Option<&str>) {
    text.split_once(by)
        .map_or((text, None), |(before, behind)| (before, Some(behind)))
}

fn shown_part(part: &str) -> String {
    if part.split(TOKEN).all(is_word) {
        part.to_owned()
    } else {
        shown_text(part)
    }
}

/// A name and a value. What has no value may be a key itself, also one in base64, which ends in `=`.
fn shown_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, value)) if is_word(name) && is_short(value) => parameter.to_owned(),
        Some((name, value)) if is_word(name) && !value.is_empty() && !value.contains('=') => {
            format!("{name}={}", shown_text(value))
        }
        _ => shown_text(parameter),
    }
}

fn is_word(text: &str) -> bool {
    let is_of_a_word = |byte: u8| byte.is_ascii_alphabetic() || b"-_.".contains(&byte);
    is_short(text) || text.len() <= LONGEST_WORD && text.bytes().all(is_of_a_word)
}

/// Too short to be a key, and there.
fn is_short(text: &str) -> bool {
    let is_of_a_number = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST_SHORT).contains(&text.len()) && text.bytes().all(is_of_a_number)
}

/// Declares a checked text that not everybody may see: `Debug` shows what everybody may.
macro_rules! secret_text {
    ($(#[$meta:meta])* $name:ident, $parse:expr, $shown:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// What is wrong with the text.
            pub fn parse(text: &str) -> Result<Self, $crate::model::wire::Flaw> {
                let parse: fn(&str) -> Result<String, $crate::model::wire::Flaw> = $parse;
                parse(text).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text at its place.
            pub fn secret(&mut self, place: impl Into<String>) -> Secret<'_> {
                Secret {
                    place: place.into(),
                    text: &mut self.0,
                    shown: $shown,
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&($shown)(&self.0))
            }
        }

        impl deserr::Deserr<$crate::model::wire::Faults> for $name {
            fn deserialize_from_value<V: deserr::IntoValue>(
                value: deserr::Value<V>,
                location: deserr::ValuePointerRef,
            ) -> Result<Self, $crate::model::wire::Faults> {
                $crate::model::wire::parse_text(value, location, Self::parse)
            }
        }
    };
}
pub(super) use secret_text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_the_host_mere_words_and_the_place_of_the_token_are_shown() {
        for (url, shown) in [
            ("https://mdm.example.com", "https://mdm.example.com"),
            (
                "https://mdm.example.com:8443/",
                "https://mdm.example.com:8443/",
            ),
            (
                "https://m.example/start?t={token}",
                "https://m.example/start?t={token}",
            ),
            (
                "https://m.example/api/v2/{token}",
                "https://m.example/api/v2/{token}",
            ),
            (
                "https://m.example/p/{token}.mobileconfig",
                "https://m.example/p/{token}.mobileconfig",
            ),
            (
                "https://m.example/mdm/enroll_user.php#{token}",
                "https://m.example/mdm/enroll_user.php#{token}",
            ),
            (
                "https://m.example/e?t={token}&key=swordfish",
                "https://m.example/e?t={token}&key=***",
            ),
            (
                "https://m.example/e?t=x{token}y",
                "https://m.example/e?t=***{token}***",
            ),
            (
                "https://m.example/e?{token}&swordfish",
                "https://m.example/e?{token}&***",
            ),
            (
                "https://m.example/e?c3dvcmRmaXNo=&t={token}",
                "https://m.example/e?***&t={token}",
            ),
            (
                "https://m.example/e?c3dvcmRmaXNo==",
                "https://m.example/e?***",
            ),
            (
                "https://m.example/e?sk_live_51H8aXyZ={token}",
                "https://m.example/e?***{token}",
            ),
            (
                "https://m.example/hook/a1b2c3d4/{token}",
                "https://m.example/hook/***/{token}",
            ),
            (
                "https://m.example/hook/abcdefghijklmnopqrst/x",
                "https://m.example/hook/***/x",
            ),
            (
                "https://m.example/a;sid=q/{token}",
                "https://m.example/***/{token}",
            ),
            (
                "https://m.example/%73ecret?#top",
                "https://m.example/***?#***",
            ),
            (
                "https://m.example?v=1&os=ios",
                "https://m.example?v=1&os=ios",
            ),
            ("https://m.example?k=1234&k", "https://m.example?k=***&***"),
            ("https://m.example#k=1?x/y", "https://m.example#k=***"),
            ("https:m.example/key", "***"),
            ("https:m.example/{token}?key", "***{token}***"),
        ] {
            assert_eq!(shown_url(url), shown, "{url}");
            assert_eq!(
                shown_url(shown),
                shown,
                "hidden once, hidden for good: {url}"
            );
        }
    }

    #[test]
    fn of_a_text_the_place_of_the_token_is_shown() {
        for (text, shown) in [
            ("swordfish", "***"),
            ("{token}", "{token}"),
            ("user:{token}", "***{token}"),
            ("", ""),
        ] {
            assert_eq!(shown_text(text), shown, "{text}");
        }
    }

    #[test]
    fn what_comes_back_as_it_was_shown_is_what_was_stored() {
        let secret = |text: &'static str| text.to_owned();
        let stored = "https://m.example/e?t={token}&key=swordfish";
        for (given, stored, kept) in [
            (
                "https://m.example/e?t={token}&key=***",
                Some(stored),
                Some(stored),
            ),
            (stored, Some(stored), Some(stored)),
            (
                "https://m.example/new",
                Some(stored),
                Some("https://m.example/new"),
            ),
            ("https://m.example/new", None, Some("https://m.example/new")),
            ("https://m.example/f?t={token}&key=***", Some(stored), None),
            (
                "https://other.example/e?t={token}&key=***",
                Some(stored),
                None,
            ),
            ("https://m.example/e?t={token}&key=***", None, None),
            (
                "https://m.example/a***",
                Some("https://m.example/a***"),
                Some("https://m.example/a***"),
            ),
        ] {
            let (mut text, mut before) = (secret(given), stored.map(secret));
            let before = before.as_mut().map(|text| Secret {
                place: String::new(),
                text,
                shown: shown_url,
            });
            let secret = Secret {
                place: String::new(),
                text: &mut text,
                shown: shown_url,
            };
            let result = secret.keep(before.as_ref());
            assert_eq!(result.is_ok().then_some(text.as_str()), kept, "{given}");
            assert!(result.is_ok() || result.is_err_and(|flaw| flaw.code == "hidden_value"));
        }
    }
}
