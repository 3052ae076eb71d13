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

    /// `If-Match` compares strongly: a weak tag never matches (RFC 9110 §13.1.1).
    pub fn match_strongly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|given| given == tag),
        }
    }

    /// `If-None-Match` compares weakly (RFC 9110 §13.1.2).
    pub fn match_weakly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags
                .iter()
                .any(|given| given.strip_prefix("W/").unwrap_or(given) == tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_is_strong_for_changes_and_weak_for_reads() {
        let tag = of(&"x");
        let given = |text: &str| Tags::parse(text);
        assert!(given(&format!("\"other\", {tag}")).match_strongly(&tag));
        assert!(!given(&format!("W/{tag}")).match_strongly(&tag));
        assert!(given(&format!("W/{tag}")).match_weakly(&tag));
        assert!(given(" * ").match_strongly(&tag) && given("*").match_weakly(&tag));
        assert!(!given("").match_strongly(&tag) && !given(&of(&"y")).match_weakly(&tag));
    }
}
