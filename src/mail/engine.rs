//! The template engine of mails and pages: strict, and it escapes all that people enter. Pure.
//!
//! Words come from the catalogue alone, through `t("key", name=value)`.

use std::{borrow::Cow, fmt};

use fluent_bundle::FluentArgs;
use minijinja::{
    AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter,
    syntax::SyntaxConfig, value::Kwargs,
};
use rust_embed::RustEmbed;

use super::{
    branding::Branding,
    catalogue::{self, CatalogueError, Lang},
    qr::QrError,
    stencil::GAPS,
};

/// Why a mail or a page could not be rendered. Holds names of templates, messages and variables, never what
/// stands in them.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("template {place}: {problem}")]
    Template { place: String, problem: String },
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Qr(#[from] QrError),
}

impl From<minijinja::Error> for RenderError {
    fn from(error: minijinja::Error) -> Self {
        // Only the kind: the detail could quote a value, which could be a PIN. An error of the
        // catalogue may be told, it holds none.
        let source = std::error::Error::source(&error);
        let problem = source
            .and_then(|source| source.downcast_ref::<CatalogueError>())
            .map_or_else(|| error.kind().to_string(), CatalogueError::to_string);
        Self::Template {
            place: format!(
                "{}:{}",
                error.name().unwrap_or("?"),
                error.line().unwrap_or_default()
            ),
            problem,
        }
    }
}

/// Parses every template of a folder. They all know `t`, and the organisation as `org`, `support` and
/// `support_href`.
///
/// # Errors
/// When one of them is broken.
pub fn environment<T: RustEmbed>(branding: &Branding) -> Result<Environment<'static>, RenderError> {
    let mut templates = Environment::new();
    // Debug information would quote values.
    templates.set_debug(false);
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    templates.set_auto_escape_callback(|name| {
        if name.ends_with(".html") {
            AutoEscape::Html
        } else {
            AutoEscape::None
        }
    });
    templates.set_formatter(write_value);
    templates.add_function("t", translate);
    for name in T::iter() {
        let bytes = T::get(&name).map(|file| file.data.into_owned());
        let source = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let source = source.ok_or_else(|| RenderError::Template {
            place: name.to_string(),
            problem: "is not UTF-8".to_owned(),
        })?;
        templates.add_template_owned(name.into_owned(), source)?;
    }
    templates.add_global("org", one_line(&branding.org_name));
    templates.add_global("support", branding.support.as_deref());
    templates.add_global("support_href", branding.support.as_deref().map(href));
    Ok(templates)
}

/// Where a click on the support contact leads.
fn href(support: &str) -> String {
    if support.starts_with("https://") || support.starts_with("http://") {
        support.to_owned()
    } else {
        format!("mailto:{support}")
    }
}

/// Marks where a piece of HTML belongs in a message that is still to be escaped: noncharacters,
/// which [`is_unwanted`] keeps out of what people enter.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fddf}';

/// `t("key", name=value)`: a message in the mail's language. In HTML it is escaped, and what a macro
/// gives for a variable, such as a link, stands in it as it is.
fn translate(state: &State, key: &str, args: Kwargs) -> Result<Value, minijinja::Error> {
    let wrong = |what: &'static str| minijinja::Error::new(ErrorKind::InvalidOperation, what);
    let lang = state.lookup("lang");
    let lang = lang
        .as_ref()
        .and_then(|lang| Lang::parse(lang.as_str()?))
        .ok_or_else(|| wrong("no language"))?;
    let is_html = *state.auto_escape() == AutoEscape::Html;
    let values = args
        .args()
        .map(|name| Ok((name, args.get::<Value>(name)?)))
        .collect::<Result<Vec<_>, minijinja::Error>>()?;
    let mut given = FluentArgs::with_capacity(values.len());
    let mut pieces = Vec::new();
    for ((name, value), mark) in values.iter().zip(MARKS) {
        let text = value.as_str().ok_or_else(|| wrong("not a string"))?;
        if is_html && value.is_safe() {
            given.set(*name, mark.to_string());
            pieces.push((mark, text));
        } else {
            given.set(*name, text);
        }
    }
    let text = catalogue::text(lang, key, &given).map_err(|error| wrong("").with_source(error))?;
    if !is_html {
        return Ok(Value::from(text));
    }
    let mut html = String::with_capacity(text.len() + 256);
    let mut rest = text.as_str();
    while let Some(at) = rest.find(|character| MARKS.contains(&character)) {
        let (before, from) = rest.split_at(at);
        escape(&mut html, before)?;
        let mut characters = from.chars();
        let mark = characters.next();
        if let Some((_, piece)) = pieces.iter().find(|(of, _)| Some(*of) == mark) {
            html.push_str(piece);
        }
        rest = characters.as_str();
    }
    escape(&mut html, rest)?;
    Ok(Value::from_safe_string(html))
}

/// Escapes strings for HTML as usual, but leaves `/` alone: links stay legible in the source.
fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    match value.as_str() {
        Some(text) if !value.is_safe() && *state.auto_escape() == AutoEscape::Html => {
            Ok(escape(out, text)?)
        }
        _ => escape_formatter(out, state, value),
    }
}

/// Text as HTML shows it, in an element or a quoted attribute.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut html = String::with_capacity(text.len() + 32);
    // Writing to a String cannot fail.
    let _ = escape(&mut html, text);
    Cow::Owned(html)
}

fn escape(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        out.write_str(&rest[..at])?;
        out.write_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        })?;
        rest = &rest[at + 1..];
    }
    out.write_str(rest)
}

/// What has no place in what people enter: controls, noncharacters, and the marks that turn the
/// direction of all text behind them (UAX #9), with which a name could rewrite the sentence around it.
pub fn is_unwanted(character: char) -> bool {
    character.is_control()
        || MARKS.contains(&character)
        || GAPS.contains(&character)
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name on one line: what breaks lines becomes a space.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let breaks = |character| matches!(character, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}');
    let text = text.trim();
    if !text.contains(|character| is_unwanted(character) || breaks(character)) {
        return Cow::Borrowed(text);
    }
    let words = text
        .split(breaks)
        .map(|word| word.replace(is_unwanted, ""))
        .filter(|word| !word.is_empty());
    Cow::Owned(words.collect::<Vec<_>>().join(" "))
}
