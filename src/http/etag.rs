//! Entity tags (RFC 9110 §8.8.3): a strong one for every single resource, made from what it shows.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The tag of a representation, with its quotes.
pub fn of(representation: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(representation).unwrap_or_default();
    let digest = Sha256::digest(&bytes);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..12]))
}

/// What proxies that compress an answer write before or behind its tag, between the quotes or behind them: `-gzip` (Apache's
/// mod_deflate, Caddy, Go's handlers), `-br` (mod_brotli), `-zstd` (Caddy), `--gzip` (Jetty), `;gzip`, `gzip-`.
/// nginx, HAProxy, Varnish, IIS and Cloudflare make the tag weak.
const CODINGS: &[&str] = &[
    "gzip", "brotli", "br", "zstd", "deflate", "compress", "identity",
];
/// What stands between the tag and the name of a coding.
const BETWEEN: &[char] = &['-', ';', ':', '_', '.', '+', '/', '~'];

/// What an `If-Match` or `If-None-Match` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`: any version there is.
    Any,
    /// One of these.
    These(Vec<String>),
}

impl Tags {
    /// Reads the header's value.
    pub fn parse(header: &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        Self::These(
            header
                .split(',')
                .map(|tag| tag.trim().to_owned())
                .filter(|tag| !tag.is_empty())
                .collect(),
        )
    }

    /// Whether one of them is `tag`, also as a proxy has changed it. RFC 9110 §13.1.1 would have a weak tag never match a
    /// condition of a change; but ours are made of what is shown, so a tag that was made weak on its way is of the same
    /// version, and a client behind such a proxy has no other.
    pub fn has(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|given| is_of(given, tag.trim_matches('"'))),
        }
    }
}

/// Whether `given` is the tag `ours` (without its quotes) or what a proxy made of it.
fn is_of(given: &str, ours: &str) -> bool {
    let strong = given
        .strip_prefix("W/")
        .or_else(|| given.strip_prefix("w/"))
        .unwrap_or(given);
    let Some((before, behind)) = strong.split_once(ours) else {
        return false;
    };
    let (before, behind) = (before.trim_matches('"'), behind.trim_matches('"'));
    (before.is_empty() || before.ends_with(BETWEEN) && are_codings(before))
        && (behind.is_empty() || behind.starts_with(BETWEEN) && are_codings(behind))
}

/// Each proxy on the way may have added its own.
fn are_codings(text: &str) -> bool {
    let mut words = text
        .split(|c| BETWEEN.contains(&c) || c == '"')
        .filter(|word| !word.is_empty());
    words.all(|word| {
        CODINGS
            .iter()
            .any(|coding| coding.eq_ignore_ascii_case(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_again_as_proxies_write_it() {
        let tag = of(&"x");
        let bare = tag.trim_matches('"');
        let forms = [
            tag.clone(),
            format!("W/{tag}"),
            format!("w/{tag}"),
            format!("\"{bare}-gzip\""),
            format!("\"{bare}-br\""),
            format!("\"{bare}-zstd\""),
            format!("\"{bare}--gzip\""),
            format!("\"{bare};gzip\""),
            format!("\"{bare}:GZIP\""),
            format!("\"gzip-{bare}\""),
            format!("W/\"{bare}-gzip\""),
            format!("{tag}-gzip"),
            format!("\"{bare}-br-gzip\""),
            format!("\"{bare}-deflate\""),
            format!("\"other\", W/\"{bare}-gzip\""),
            bare.to_owned(),
            " * ".to_owned(),
        ];
        for form in &forms {
            assert!(Tags::parse(form).has(&tag), "{form}");
        }
        let other = of(&"y");
        let other = other.trim_matches('"');
        let shorter = &bare[1..];
        for form in [
            String::new(),
            "W/".to_owned(),
            "\"\"".to_owned(),
            "\"-gzip\"".to_owned(),
            "gzip".to_owned(),
            format!("\"{other}\""),
            format!("W/\"{other}-gzip\""),
            format!("\"{shorter}-gzip\""),
            format!("\"{bare}gzip\""),
            format!("\"{bare}-7z\""),
            format!("\"{bare}-gzip-{other}\""),
            format!("\"é{bare}\""),
            format!("\"{}\"", bare.to_lowercase()),
        ] {
            assert!(!Tags::parse(&form).has(&tag), "{form}");
        }
    }

    /// A tag that ends or begins as a coding does is still itself.
    #[test]
    fn a_tag_may_look_like_a_coding() {
        for tag in [
            "\"AAAAAAAAAAAA-gzip\"",
            "\"br-AAAAAAAAAAAA\"",
            "\"-AAAAAAAAAA_AAA-\"",
        ] {
            let bare = tag.trim_matches('"');
            for form in [
                tag.to_owned(),
                format!("W/{tag}"),
                format!("\"{bare}-gzip\""),
            ] {
                assert!(Tags::parse(&form).has(tag), "{form}");
            }
        }
    }
}
