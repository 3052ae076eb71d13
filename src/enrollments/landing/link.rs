//! Which page a link leads to, whatever mail programs, proxies and people made of it. Pure.
//!
//! Slashes come twice, or stand at the end; brackets, quotes, dots and blanks of the text around a link become part of it;
//! an address in capitals is typed from paper. A token is written in the letters of URL-safe base64, so whatever else stands
//! before or behind it does not belong to it. Opening a page uses nothing up, so it may be found generously.

use percent_encoding::percent_decode_str;

/// The first segment of every page's path.
const ENROLL: &str = "enroll";
/// How often a path may have been percent-encoded on its way.
const ROUNDS: usize = 3;

/// The path of the page that is meant, where `path` (as it was asked for) is not that already. `base` is the path of the public
/// URL, which some proxies leave there and some links have twice.
pub fn page_meant(path: &str, base: &str) -> Option<String> {
    let is_near = |window: &[u8]| window.eq_ignore_ascii_case(ENROLL.as_bytes());
    if !path.as_bytes().windows(ENROLL.len()).any(is_near) {
        return None;
    }
    let path_meant = meant(&decoded(path), base)?;
    (path_meant != path).then_some(path_meant)
}

fn meant(path: &str, base: &str) -> Option<String> {
    // An encoded question mark is no part of a path either.
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut rest: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.trim().is_empty())
        .collect();
    let base: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    let begins_with_base = |rest: &[&str]| {
        let pairs = rest.iter().zip(&base);
        rest.len() > base.len()
            && pairs
                .clone()
                .all(|(segment, part)| segment.eq_ignore_ascii_case(part))
    };
    let mut found = 0;
    loop {
        if rest.first().is_some_and(|first| is_enroll(first)) {
            rest.remove(0);
            found += 1;
        } else if !base.is_empty() && begins_with_base(&rest) {
            rest.drain(..base.len());
        } else {
            break;
        }
    }
    if found == 0 {
        return None;
    }
    let mut tokens = rest.iter().filter_map(|segment| token(segment));
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Some(format!("/{ENROLL}/{token}")),
        (None, _) if rest.is_empty() => Some(format!("/{ENROLL}")),
        _ => None,
    }
}

fn is_enroll(segment: &str) -> bool {
    token(segment).is_some_and(|word| word.eq_ignore_ascii_case(ENROLL))
}

/// The first run of letters that a token may have.
fn token(segment: &str) -> Option<&str> {
    segment
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
        .find(|run| !run.is_empty())
}

fn decoded(path: &str) -> String {
    let mut path = path.to_owned();
    for _ in 0..ROUNDS {
        let next = percent_decode_str(&path).decode_utf8_lossy();
        if next == path {
            break;
        }
        path = next.into_owned();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQ-XIH2M3u8_DtYwHPazE";

    #[test]
    fn a_mangled_link_leads_to_its_page() {
        for mangled in [
            "//enroll/TOKEN",
            "/enroll//TOKEN",
            "/enroll/TOKEN/",
            "/enroll/TOKEN//",
            "/enroll/TOKEN.",
            "/enroll/TOKEN)",
            "/enroll/TOKEN%29.",
            "/enroll/TOKEN>",
            "/enroll/TOKEN%3E",
            "/enroll/TOKEN,",
            "/enroll/TOKEN;",
            "/enroll/TOKEN%20",
            "/enroll/TOKEN%2520",
            "/enroll/TOKEN%0D%0A",
            "/enroll/TOKEN\"",
            "/enroll/TOKEN%22",
            "/enroll/TOKEN'",
            "/enroll/TOKEN%E2%80%8B",
            "/enroll/TOKEN%E2%80%9D",
            "/enroll/TOKEN%C2%A0",
            "/enroll/TOKEN%EF%BB%BF",
            "/enroll/TOKEN=",
            "/enroll/TOKEN*",
            "/enroll/TOKEN%5D(https:",
            "/enroll/TOKEN%3Futm_source=mail",
            "/enroll/TOKEN&utm_source=mail",
            "/enroll/TOKEN%23top",
            "/enroll/TOKEN/%20",
            "/enroll/TOKEN/.",
            "/enroll/%20TOKEN",
            "/enroll/<TOKEN>",
            "/enroll/%3CTOKEN%3E",
            "/enroll/%E2%80%8BTOKEN",
            "/Enroll/TOKEN",
            "/ENROLL/TOKEN",
            "/enroll%2FTOKEN",
            "/enroll/enroll/TOKEN",
            "/base/enroll/TOKEN",
            "/base/base/enroll/TOKEN",
            "/Base//Enroll//TOKEN.",
            "/enroll/base/enroll/TOKEN",
        ] {
            let path = mangled.replace("TOKEN", TOKEN);
            assert_eq!(
                page_meant(&path, "/base"),
                Some(format!("/enroll/{TOKEN}")),
                "{mangled}"
            );
        }
        for mangled in [
            "/enroll/",
            "//enroll",
            "/Enroll",
            "/enroll.",
            "/enroll)",
            "/base/enroll",
            "/enroll%20",
        ] {
            assert_eq!(
                page_meant(mangled, "/base").as_deref(),
                Some("/enroll"),
                "{mangled}"
            );
        }
        let whole = format!("/it/v1.0/enroll/{TOKEN}");
        assert_eq!(
            page_meant(&whole, "/it/v1.0"),
            Some(format!("/enroll/{TOKEN}"))
        );
    }

    #[test]
    fn what_is_right_or_another_path_stays() {
        let right = format!("/enroll/{TOKEN}");
        for path in [
            right.as_str(),
            "/enroll",
            "/",
            "",
            "/enrollments",
            "/enrollments/pin-requests",
            "/Enrollments/",
            "/users/enroll",
            "/other/enroll/x",
            "/enroll/x/y",
            "/enroll/%00",
            "/enroll/%ff",
            "/enroll/)",
            "/basement/enroll/x",
            "/base/users",
        ] {
            assert_eq!(page_meant(path, "/base"), None, "{path}");
        }
        assert_eq!(page_meant("/base/enroll/x", ""), None);
    }
}
