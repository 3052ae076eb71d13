//! The words of mails, by language: every `locales/*.ftl` is one, so a language is a file. Pure.
//!
//! A message that is missing, or lacks a variable, is an error: a key or an empty place in
//! somebody's mail would be worse than no mail.

use std::sync::LazyLock;

use chrono::{
    DateTime, Locale,
    format::{Item, StrftimeItems},
};
use chrono_tz::Tz;
use fluent_bundle::{FluentArgs, FluentResource, concurrent::FluentBundle};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "src/mail/locales"]
struct Files;

/// A language that mails can be written in: an index into those that the binary holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lang(u8);

/// Why a message cannot be given. Names messages and variables, never what stands in them.
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
    /// The file is not one that a language can be read from.
    #[error("language file `{file}`: {problem}")]
    File { file: String, problem: String },
}

struct Language {
    tag: &'static str,
    bundle: FluentBundle<FluentResource>,
    /// For the names of months and days.
    locale: Locale,
    date_time: Vec<Item<'static>>,
}

/// English first, the others by their tags.
static LANGUAGES: LazyLock<Vec<Language>> = LazyLock::new(|| {
    let mut files: Vec<_> = Files::iter().collect();
    files.sort_by_key(|file| (file != "en.ftl", file.clone()));
    files
        .iter()
        .map(|file| load(file).unwrap_or_else(|error| panic!("{error}")))
        .collect()
});

/// Reads one file of the binary. Its failure is a broken build, which the tests do not let out.
fn load(file: &str) -> Result<Language, CatalogueError> {
    let broken = |problem: &dyn std::fmt::Display| CatalogueError::File {
        file: file.to_owned(),
        problem: problem.to_string(),
    };
    let tag = file
        .strip_suffix(".ftl")
        .ok_or_else(|| broken(&"is no .ftl file"))?;
    let id = tag.parse().map_err(|error| broken(&error))?;
    let bytes = Files::get(file).ok_or_else(|| broken(&"is gone"))?.data;
    let source = String::from_utf8(bytes.into_owned()).map_err(|error| broken(&error))?;
    let resource = FluentResource::try_new(source).map_err(|(_, errors)| broken(&list(&errors)))?;
    let mut bundle = FluentBundle::new_concurrent(vec![id]);
    // Isolation marks would be copied along with a PIN or a link.
    bundle.set_use_isolating(false);
    bundle
        .add_resource(resource)
        .map_err(|errors| broken(&list(&errors)))?;
    let mut language = Language {
        // A handful of short strings, once for the life of the process.
        tag: tag.to_owned().leak(),
        bundle,
        locale: Locale::POSIX,
        date_time: Vec::new(),
    };
    language.locale = format(&language, "posix-locale", None)?
        .parse()
        .map_err(|_| broken(&"`posix-locale` names no locale, such as en_GB"))?;
    // Read into items here, so that a bad pattern cannot fail later, in the middle of a mail.
    let pattern = format(&language, "date-time", None)?;
    language.date_time = StrftimeItems::new_with_locale(&pattern, language.locale)
        .parse_to_owned()
        .map_err(|error| broken(&error))?;
    Ok(language)
}

fn list<E: std::fmt::Display>(errors: &[E]) -> String {
    let errors: Vec<String> = errors.iter().map(E::to_string).collect();
    errors.join("; ")
}

impl Lang {
    /// The service's own language, English.
    pub const DEFAULT: Self = Self(0);

    /// All that there are, the default first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).take(LANGUAGES.len()).map(Self)
    }

    /// The tag (BCP 47), such as `fr`.
    pub fn as_str(self) -> &'static str {
        self.language().tag
    }

    /// The language of exactly this tag, without regard to case.
    pub fn parse(tag: &str) -> Option<Self> {
        Self::all().find(|lang| lang.as_str().eq_ignore_ascii_case(tag))
    }

    /// The best language for a wanted tag: the tag itself, else its beginnings (`fr-CA` → `fr`;
    /// RFC 4647 §3.4), else the service's own. Allocates nothing.
    pub fn negotiate(wanted: Option<&str>) -> Self {
        wanted.and_then(Self::lookup).unwrap_or(Self::DEFAULT)
    }

    /// The best language for a wanted tag, if there is any.
    pub fn lookup(mut tag: &str) -> Option<Self> {
        loop {
            if let Some(found) = Self::parse(tag) {
                return Some(found);
            }
            tag = &tag[..tag.rfind(['-', '_'])?];
        }
    }

    /// The best language for an `Accept-Language` (RFC 9110 §12.5.4): of those that there are, the one
    /// that is wanted most, the first of equals.
    pub fn accepted(header: &str) -> Self {
        let mut best = (0.0, Self::DEFAULT);
        // More ranges than anybody has languages are not read.
        for range in header.split(',').take(50) {
            let mut parts = range.split(';').map(str::trim);
            let found = parts.next().and_then(Self::lookup);
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0, |quality| quality.parse::<f32>().unwrap_or(0.0));
            match found {
                Some(lang) if quality > best.0 && quality <= 1.0 => best = (quality, lang),
                _ => {}
            }
        }
        best.1
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
    format(lang.language(), key, Some(args))
}

fn format(
    language: &Language,
    key: &str,
    args: Option<&FluentArgs<'_>>,
) -> Result<String, CatalogueError> {
    let pattern = language
        .bundle
        .get_message(key)
        .and_then(|message| message.value())
        .ok_or_else(|| CatalogueError::Missing {
            lang: language.tag,
            key: key.to_owned(),
        })?;
    let mut problems = Vec::new();
    let text = language.bundle.format_pattern(pattern, args, &mut problems);
    if problems.is_empty() {
        Ok(text.into_owned())
    } else {
        Err(CatalogueError::Broken {
            lang: language.tag,
            key: key.to_owned(),
            problem: list(&problems),
        })
    }
}

/// A time as the language writes it, with its offset, since a zone's name says little to its people
/// and nothing to others: `Tuesday, 24 November 2026, 14:32 (UTC+01:00)`.
pub fn date_time(lang: Lang, at: DateTime<Tz>) -> String {
    let language = lang.language();
    let written = at.format_localized_with_items(language.date_time.iter(), language.locale);
    format!("{written} (UTC{})", at.format("%:z"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// What says how a language is written: each its own, without variables.
    const MANNERS: [&str; 3] = ["direction", "posix-locale", "date-time"];

    /// Every message of a file, and the variables in it.
    fn messages(lang: Lang) -> BTreeMap<String, BTreeSet<String>> {
        let file = Files::get(&format!("{}.ftl", lang.as_str())).unwrap();
        let source = String::from_utf8(file.data.into_owned()).unwrap();
        let mut found = BTreeMap::<String, BTreeSet<String>>::new();
        let mut key = String::new();
        for line in source.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with(|first: char| first.is_ascii_lowercase()) {
                key = line.split_once('=').unwrap().0.trim().to_owned();
                found.insert(key.clone(), BTreeSet::new());
            }
            for rest in line.split('$').skip(1) {
                let name = rest.split([' ', '}']).next().unwrap();
                found.get_mut(&key).unwrap().insert(name.to_owned());
            }
        }
        found
    }

    fn args<'a>(names: impl IntoIterator<Item = &'a String>) -> FluentArgs<'a> {
        names.into_iter().map(|name| (name.as_str(), "x")).collect()
    }

    #[test]
    fn every_language_has_the_messages_and_variables_of_english() {
        let english = messages(Lang::DEFAULT);
        assert!(english.len() > 20);
        for manner in MANNERS {
            assert!(english[manner].is_empty());
        }
        for lang in Lang::all() {
            assert_eq!(messages(lang), english, "{}", lang.as_str());
        }
    }

    #[test]
    fn every_message_can_be_said_and_none_without_its_variables() {
        for lang in Lang::all() {
            for (key, variables) in messages(lang) {
                assert!(!text(lang, &key, &args(&variables)).unwrap().is_empty());
                for left_out in &variables {
                    let others = variables.iter().filter(|name| *name != left_out);
                    let error = text(lang, &key, &args(others)).unwrap_err();
                    assert!(error.to_string().contains(left_out.as_str()), "{error}");
                }
            }
        }
    }

    #[test]
    fn every_file_is_a_language_and_english_is_the_default() {
        assert_eq!(Lang::all().count(), Files::iter().count());
        assert_eq!(Lang::DEFAULT.as_str(), "en");
        for lang in Lang::all() {
            assert_eq!(Lang::parse(lang.as_str()), Some(lang));
            let direction = text(lang, "direction", &FluentArgs::new()).unwrap();
            assert!(["ltr", "rtl"].contains(&direction.as_str()));
        }
        assert_eq!(Lang::parse("fr-CA"), None);
    }

    #[test]
    fn the_best_language_is_found() {
        for (wanted, found) in [
            (None, "en"),
            (Some(""), "en"),
            (Some("fr"), "fr"),
            (Some("fr-CA"), "fr"),
            (Some("FR-ca"), "fr"),
            (Some("fr_CH"), "fr"),
            (Some("fr-Latn-CA-x-twain"), "fr"),
            (Some("en-GB-oxendict"), "en"),
            (Some("frr"), "en"),
            (Some("tlh"), "en"),
            (Some("-"), "en"),
            (Some("日本語-fr"), "en"),
        ] {
            assert_eq!(Lang::negotiate(wanted).as_str(), found, "{wanted:?}");
        }
    }

    #[test]
    fn the_reader_s_browser_says_which_languages_it_wants() {
        for (header, found) in [
            ("", "en"),
            ("fr", "fr"),
            ("fr-CA,fr;q=0.9,en;q=0.8", "fr"),
            ("de-DE, de;q=0.9, fr;q=0.5, en;q=0.4", "fr"),
            ("en;q=0.3, fr ; q=0.7", "fr"),
            ("en, fr", "en"),
            ("fr;q=0, en;q=0.1", "en"),
            ("fr;q=0", "en"),
            ("tlh, *", "en"),
            ("fr;q=x, en;q=0.1", "en"),
            ("fr;q=2", "en"),
            (";;,,fr;q=1.0;x", "fr"),
        ] {
            assert_eq!(Lang::accepted(header).as_str(), found, "{header}");
        }
    }

    #[test]
    fn times_are_written_as_the_language_writes_them() {
        let at = DateTime::from_timestamp(1_795_527_120, 0).unwrap();
        let in_zone = |tag, zone| date_time(Lang::parse(tag).unwrap(), at.with_timezone(&zone));
        assert_eq!(
            in_zone("en", Tz::Europe__Paris),
            "Tuesday, 24 November 2026, 14:32 (UTC+01:00)"
        );
        assert_eq!(
            in_zone("fr", Tz::Europe__Paris),
            "mardi 24 novembre 2026 à 14:32 (UTC+01:00)"
        );
        assert_eq!(
            in_zone("en", Tz::UTC),
            "Tuesday, 24 November 2026, 13:32 (UTC+00:00)"
        );
        assert_eq!(
            in_zone("fr", Tz::America__St_Johns),
            "mardi 24 novembre 2026 à 10:02 (UTC-03:30)"
        );
    }

    #[test]
    fn a_missing_message_or_variable_is_an_error_that_quotes_no_value() {
        let secret: FluentArgs = [("secret", "48217730")].into_iter().collect();
        for key in ["no-such-message", "greeting"] {
            let error = text(Lang::DEFAULT, key, &secret).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
            assert!(!format!("{error:?}").contains("48217730"));
        }
    }

    #[test]
    fn no_isolation_marks() {
        let args: FluentArgs = [("name", "Ada")].into_iter().collect();
        assert_eq!(
            text(Lang::DEFAULT, "greeting", &args).unwrap(),
            "Hello Ada,"
        );
    }

    /// French sets a space that does not break before `: ; ? !` and inside « », and a curly apostrophe.
    #[test]
    fn french_is_set_as_french_is() {
        let file = Files::get("fr.ftl").unwrap();
        let source = String::from_utf8(file.data.into_owned()).unwrap();
        for line in source.lines().filter(|line| !line.starts_with('#')) {
            for wrong in [" :", " ;", " ?", " !", "« ", " »", "'"] {
                assert!(!line.contains(wrong), "{wrong:?} in {line}");
            }
        }
    }
}
