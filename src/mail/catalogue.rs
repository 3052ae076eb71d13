//! The words of mails, by language: every `locales/*.ftl` is one. Pure.

use std::sync::LazyLock;

use chrono::DateTime;
use chrono_tz::Tz;
use fluent_bundle::{FluentArgs, FluentResource, concurrent::FluentBundle};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "src/mail/locales"]
struct Files;

/// A language that mails can be written in: an index into those that the binary holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lang(u8);

/// A message that cannot be given: never a key or an empty string in somebody's mail.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The language has no such message.
    #[error("`{lang}` has no message `{key}`")]
    Missing { lang: &'static str, key: String },
    /// The message could not be formatted, for a missing variable say.
    #[error("message `{key}` of `{lang}`: {problem}")]
    Broken {
        lang: &'static str,
        key: String,
        problem: String,
    },
}

struct Language {
    tag: &'static str,
    locale: chrono::Locale,
    bundle: FluentBundle<FluentResource>,
}

/// English first, the others by their tags.
static LANGUAGES: LazyLock<Vec<Language>> = LazyLock::new(|| {
    let mut names: Vec<String> = Files::iter().map(|name| name.into_owned()).collect();
    names.sort_by_key(|name| (name != "en.ftl", name.clone()));
    names.iter().filter_map(|name| load(name)).collect()
});

/// A file that does not parse is left out; the test `every_file_is_a_language` keeps that from happening.
fn load(name: &str) -> Option<Language> {
    let file = Files::get(name)?;
    let source = String::from_utf8(file.data.into_owned()).ok()?;
    let tag: &'static str = name.strip_suffix(".ftl")?.to_owned().leak();
    let mut bundle = FluentBundle::new_concurrent(vec![tag.parse().ok()?]);
    // Isolation marks would be copied along with a PIN.
    bundle.set_use_isolating(false);
    bundle
        .add_resource(FluentResource::try_new(source).ok()?)
        .ok()?;
    let mut language = Language {
        tag,
        locale: chrono::Locale::POSIX,
        bundle,
    };
    let posix = format(&language, "posix-locale", &FluentArgs::new()).ok()?;
    language.locale = posix.as_str().try_into().ok()?;
    Some(language)
}

impl Lang {
    /// The service's own language.
    pub const DEFAULT: Self = Self(0);

    /// All that there are.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..LANGUAGES.len()).filter_map(|index| u8::try_from(index).ok().map(Self))
    }

    /// The tag, such as `fr`.
    pub fn as_str(self) -> &'static str {
        self.language().tag
    }

    /// The best language for a wanted tag (BCP 47): the tag itself, else its beginnings
    /// (`fr-CA` → `fr`, RFC 4647 §3.4), else the service's own.
    pub fn negotiate(wanted: Option<&str>) -> Self {
        let mut tag = wanted.unwrap_or_default();
        loop {
            if let Some(found) = Self::all().find(|lang| lang.as_str().eq_ignore_ascii_case(tag)) {
                return found;
            }
            match tag.rfind(['-', '_']) {
                Some(end) => tag = &tag[..end],
                None => return Self::DEFAULT,
            }
        }
    }

    fn language(self) -> &'static Language {
        &LANGUAGES[usize::from(self.0)]
    }
}

/// A message in a language.
///
/// # Errors
/// [`CatalogueError`] when the message or one of its variables is missing.
pub fn text(lang: Lang, key: &str, args: &FluentArgs<'_>) -> Result<String, CatalogueError> {
    format(lang.language(), key, args)
}

fn format(language: &Language, key: &str, args: &FluentArgs<'_>) -> Result<String, CatalogueError> {
    let pattern = language
        .bundle
        .get_message(key)
        .and_then(|message| message.value())
        .ok_or_else(|| CatalogueError::Missing {
            lang: language.tag,
            key: key.to_owned(),
        })?;
    let mut problems = Vec::new();
    let text = language
        .bundle
        .format_pattern(pattern, Some(args), &mut problems);
    match problems.first() {
        None => Ok(text.into_owned()),
        Some(problem) => Err(CatalogueError::Broken {
            lang: language.tag,
            key: key.to_owned(),
            problem: problem.to_string(),
        }),
    }
}

/// A time as the language writes it, with its offset: `Tuesday, 24 November 2026, 14:32 (UTC+01:00)`.
///
/// # Errors
/// When the language lacks the pattern.
pub fn date_time(lang: Lang, at: DateTime<Tz>) -> Result<String, CatalogueError> {
    let language = lang.language();
    let pattern = format(language, "date-time", &FluentArgs::new())?;
    let written = at.format_localized(&pattern, language.locale).to_string();
    Ok(format!("{written} (UTC{})", at.format("%:z")))
}

/// Every message and the variables that it uses, for the comparison of languages.
#[cfg(test)]
fn messages(name: &str) -> std::collections::HashMap<String, std::collections::BTreeSet<String>> {
    let file = Files::get(name).unwrap();
    let source = String::from_utf8(file.data.into_owned()).unwrap();
    let mut found = std::collections::HashMap::<String, std::collections::BTreeSet<String>>::new();
    let mut key = String::new();
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once(" =")
            && !line.starts_with(' ')
        {
            key = name.to_owned();
            found.entry(key.clone()).or_default();
        }
        let variables = line
            .split("{ $")
            .skip(1)
            .filter_map(|rest| rest.split([' ', '}']).next());
        found
            .entry(key.clone())
            .or_default()
            .extend(variables.map(str::to_owned));
    }
    found.remove("");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_language_with_the_same_messages_and_variables() {
        assert_eq!(Lang::all().count(), Files::iter().count());
        assert_eq!(Lang::DEFAULT.as_str(), "en");
        let english = messages("en.ftl");
        assert!(english.len() > 10);
        for name in Files::iter() {
            let mut other = messages(&name);
            let mut english = english.clone();
            for own in ["posix-locale", "date-time"] {
                other.remove(own);
                english.remove(own);
            }
            assert_eq!(other, english, "{name}");
        }
    }

    #[test]
    fn the_best_language_is_found() {
        for (wanted, found) in [
            (None, "en"),
            (Some(""), "en"),
            (Some("fr"), "fr"),
            (Some("FR-ca"), "fr"),
            (Some("fr_CH"), "fr"),
            (Some("en-GB-oxendict"), "en"),
            (Some("frr"), "en"),
            (Some("tlh"), "en"),
        ] {
            assert_eq!(Lang::negotiate(wanted).as_str(), found, "{wanted:?}");
        }
    }

    #[test]
    fn times_are_written_as_the_language_writes_them() {
        let at = DateTime::from_timestamp(1_795_527_120, 0).unwrap();
        let paris = at.with_timezone(&Tz::Europe__Paris);
        assert_eq!(
            date_time(Lang::negotiate(Some("en")), paris).unwrap(),
            "Tuesday, 24 November 2026, 14:32 (UTC+01:00)"
        );
        assert_eq!(
            date_time(Lang::negotiate(Some("fr")), paris).unwrap(),
            "mardi 24 novembre 2026 à 14:32 (UTC+01:00)"
        );
        assert!(
            date_time(Lang::DEFAULT, at.with_timezone(&Tz::UTC))
                .unwrap()
                .ends_with("(UTC+00:00)")
        );
    }

    #[test]
    fn a_missing_message_or_variable_is_an_error() {
        assert!(text(Lang::DEFAULT, "no-such-message", &FluentArgs::new()).is_err());
        assert!(text(Lang::DEFAULT, "greeting", &FluentArgs::new()).is_err());
    }
}
