//! The path of the address that people reach the service by, such as `/base` of `https://it.example.com/base`: a proxy takes it
//! off requests, and answers put it back where they say where something is. Pure.

use url::Url;

/// Such a path, without a slash at its end: empty where the address has none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// The path of this address.
    pub fn of(public_url: &str) -> Self {
        let path = Url::parse(public_url).map(|url| url.path().trim_end_matches('/').to_owned());
        Self(path.unwrap_or_default())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What `Location` has to say in place of a path of ours. `None`: as it stands.
    pub fn location(&self, value: &str) -> Option<String> {
        let is_ours = value.starts_with('/') && !value.starts_with("//");
        (is_ours && !self.0.is_empty()).then(|| format!("{}{value}", self.0))
    }

    /// The same for `Link`, which has its target in angle brackets.
    pub fn link(&self, value: &str) -> Option<String> {
        self.location(value.strip_prefix('<')?)
            .map(|target| format!("<{target}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_ours_begin_as_the_public_url_does() {
        for (public_url, location, expected) in [
            ("https://x.example/base", "/users/1", Some("/base/users/1")),
            ("https://x.example/base/", "/users/1", Some("/base/users/1")),
            ("https://x.example/a/b", "/docs/", Some("/a/b/docs/")),
            ("https://x.example/base", "//elsewhere.example/", None),
            (
                "https://x.example/base",
                "https://elsewhere.example/users",
                None,
            ),
            ("https://x.example", "/users/1", None),
            ("https://x.example/", "/users/1", None),
            ("http://127.0.0.1:8080", "/users/1", None),
            ("no url", "/users/1", None),
        ] {
            let base = BasePath::of(public_url);
            assert_eq!(
                base.location(location).as_deref(),
                expected,
                "{public_url} {location}"
            );
            let link = format!("<{location}>; rel=\"next\"");
            let expected = expected.map(|expected| format!("<{expected}>; rel=\"next\""));
            assert_eq!(base.link(&link), expected, "{public_url} {link}");
        }
        assert_eq!(BasePath::of("https://x.example/base").link("/users"), None);
    }
}
