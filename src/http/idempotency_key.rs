//! What an `Idempotency-Key` may be, and how it is written: `"key"`, a string of RFC 8941 as the draft for this header has
//! it, and `key` are one. Pure.

/// The longest key.
const LONGEST: usize = 255;

/// The key that a header's value gives.
pub fn read(value: &str) -> Option<String> {
    let value = value.trim_matches([' ', '\t']);
    let key = if value.starts_with('"') || value.ends_with('"') {
        let item: sfv::Item = sfv::Parser::new(value).parse().ok()?;
        // A space may be in a string; at its ends it is a slip.
        item.bare_item
            .as_string()
            .map(|text| text.as_str().to_owned())
            .filter(|text| text.trim() == text)?
    } else if value.bytes().all(|b| b.is_ascii_graphic()) {
        value.to_owned()
    } else {
        return None;
    };
    (1..=LONGEST).contains(&key.len()).then_some(key)
}

/// As a string of RFC 8941.
pub fn quoted(key: &str) -> String {
    format!("\"{}\"", key.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_with_quotes_and_without() {
        let long = "x".repeat(LONGEST);
        for (given, expected) in [
            ("b43", "b43"),
            ("\"b43\"", "b43"),
            (" \"b43\" ", "b43"),
            ("\"b43\";v=1", "b43"),
            (r#""a\"b""#, "a\"b"),
            (r#""a\\b""#, r"a\b"),
            (r"a\b", r"a\b"),
            ("a\"b", "a\"b"),
            ("\"send 12\"", "send 12"),
            ("b43;v=1", "b43;v=1"),
            ("'b43'", "'b43'"),
            ("?1", "?1"),
            (&long, &long),
            (&quoted(&long), &long),
        ] {
            assert_eq!(read(given).as_deref(), Some(expected), "{given}");
        }
        for (plain, string) in [("b43", "\"b43\""), (r#"a"\b"#, r#""a\"\\b""#)] {
            assert_eq!(quoted(plain), string);
            assert_eq!(read(string).as_deref(), Some(plain));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "x".repeat(LONGEST + 1);
        for given in [
            "",
            " ",
            "\"",
            "\"\"",
            "\"b43",
            "b43\"",
            "\"b43\"x",
            "\"b\"43\"",
            r#""b43\""#,
            r#""b\43""#,
            "\"b43\", \"b44\"",
            "\" b43\"",
            "b 43",
            "b\t43",
            "b43é",
            "\"b43é\"",
            &long,
            &quoted(&long),
        ] {
            assert_eq!(read(given), None, "{given}");
        }
    }
}
