//! Secrets as people type them: passwords that are set, and passwords, PINs and tokens that are tried. Pure.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use secrecy::SecretString;
use unicode_normalization::UnicodeNormalization;
use utoipa::ToSchema;

use super::{
    characters::{digit, is_blank, is_dash, is_invisible},
    wire::{Faults, Flaw, check_length, parse_text},
};

/// A password: 8 to 128 characters, any characters, no composition rules (NIST SP 800-63B §3.1.1).
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// # Errors
    /// When it is too short or too long.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        // Composed, as NIST SP 800-63B §3.1.1.2 advises: another keyboard may type the same in parts.
        let composed: String = text.nfc().collect();
        if composed.chars().count() < 8 {
            return Err(Flaw::new("too_short", "must have at least 8 characters"));
        }
        check_length(&composed, 128)?;
        Ok(Self(composed.into()))
    }

    /// The password, for the hasher.
    pub fn into_secret(self) -> SecretString {
        self.0
    }
}

impl Deserr<Faults> for Password {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        parse_text(value, location, Self::parse)
    }
}

/// The body of `PUT /users/{id}/password`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// 8 to 128 characters, no composition rules.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 128, write_only)]
    pub password: Password,
}

/// What ends a sentence, in the scripts whose digits are taken.
const FULL_STOPS: [char; 6] = ['.', '．', '。', '｡', '۔', '।'];
/// A Japanese keyboard writes these for `-`.
const LONG_VOWELS: [char; 2] = ['ー', 'ｰ'];

/// A secret as somebody typed it: it may be anything, and is right or wrong.
#[derive(Debug, Clone)]
pub struct Given(SecretString);

impl Given {
    /// # Errors
    /// When it is empty or longer than any secret.
    fn parse(text: String) -> Result<Self, Flaw> {
        if text.is_empty() {
            return Err(Flaw::new("empty", "must not be empty"));
        }
        check_length(&text, 256)?;
        Ok(Self(text.into()))
    }

    /// A PIN is its digits: of any script, by their value. Blanks, dashes, invisible characters and a full stop at the end
    /// are dropped. Four to twelve digits are a PIN, whatever the invitation's length.
    ///
    /// # Errors
    /// `invalid_pin` for anything else, which is no try: it can be no PIN, whoever types it.
    fn pin(text: &str) -> Result<Self, Flaw> {
        let invalid = || {
            Flaw::new(
                "invalid_pin",
                "must be the 4 to 12 digits of a PIN; blanks and dashes between them do no harm",
            )
        };
        check_length(text, 256)?;
        let typed = text.trim_end_matches(|c: char| is_blank(c) || is_invisible(c));
        let typed = typed.strip_suffix(FULL_STOPS).unwrap_or(typed);
        let digits: String = typed
            .chars()
            .filter(|c| {
                !is_blank(*c) && !is_dash(*c) && !is_invisible(*c) && !LONG_VOWELS.contains(c)
            })
            .map(|c| digit(c).map(|value| char::from(b'0' + value)))
            .collect::<Option<_>>()
            .ok_or_else(invalid)?;
        if !(4..=12).contains(&digits.len()) {
            return Err(invalid());
        }
        Self::parse(digits)
    }

    /// A password, composed as it was when it was set.
    ///
    /// # Errors
    /// As [`Given::parse`].
    fn password(text: &str) -> Result<Self, Flaw> {
        check_length(text, 256)?;
        Self::parse(text.nfc().collect())
    }

    /// What was typed, for the comparison.
    pub fn expose(&self) -> &SecretString {
        &self.0
    }
}

/// Declares a field that holds a secret, read in its own way.
macro_rules! given {
    ($(#[$meta:meta])* $name:ident, $parse:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name(pub Given);

        impl Deserr<Faults> for $name {
            fn deserialize_from_value<V: IntoValue>(
                value: Value<V>,
                location: ValuePointerRef,
            ) -> Result<Self, Faults> {
                parse_text(value, location, $parse).map(Self)
            }
        }
    };
}

given!(
    /// A PIN as it was typed.
    GivenPin,
    Given::pin
);

given!(
    /// A password as it was typed.
    GivenPassword,
    Given::password
);

given!(
    /// The token of a QR code, as it was read.
    GivenToken,
    |text: &str| Given::parse(text.trim().to_owned())
);

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_pin_is_its_digits() {
        for typed in [
            "48217730",
            "4821 7730",
            "4821-7730",
            "48 21 77 30",
            "4821\u{2013}7730",
            "4821\u{2212}7730",
            "4821\u{A0}7730\u{200B}",
            "\u{FEFF}48217730.",
            "48217730. ",
            "٤٨٢١٧٧٣٠",
            "۴۸۲۱۷۷۳۰",
            "４８２１－７７３０",
            "४८२१७७३०",
            "4821\t7730\r\n",
            "4821\u{3000}7730",
            "４８２１７７３０。",
            "48217730．",
            "48217730｡ ",
            "٤٨٢١٧٧٣٠۔",
            "४८२१७७३०।",
            "４８２１ー７７３０",
            "4821ｰ7730",
        ] {
            let pin = Given::pin(typed).unwrap();
            assert_eq!(pin.expose().expose_secret(), "48217730", "{typed:?}");
        }
        for typed in [
            "",
            "123",
            "1234567890123",
            "4821773O",
            "4821,7730",
            "4821.7730",
            "pin 4821",
            "½½½½",
            "..",
            "48217730..",
            "48217730。。",
            "4821。7730",
        ] {
            assert_eq!(
                Given::pin(typed).unwrap_err().code,
                "invalid_pin",
                "{typed:?}"
            );
        }
    }
}
