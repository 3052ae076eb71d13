//! Normal forms: of a name, an address, a language, a zone, a serial number and a PIN. What is normal stays as it is,
//! and nothing invisible is left at its ends.
#![no_main]

use deserr::deserialize;
use enlist::{
    groups::domain::GroupName,
    model::{
        characters::trimmed,
        device::SerialNumber,
        identity::{
            AppleAccount, DisplayName, Email, LocaleTag, PersonName, TimeZone, Username,
        },
        secret_input::GivenPin,
        wire::Faults,
    },
};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;

fn pin(text: &str) -> Option<String> {
    let given: Result<GivenPin, Faults> = deserialize(serde_json::Value::from(text));
    Some(given.ok()?.0.expose().expose_secret().to_owned())
}

macro_rules! stays {
    ($text:expr, $($kind:ty),+) => {
        $(if let Ok(normal) = <$kind>::parse($text) {
            let again = <$kind>::parse(normal.as_str()).expect(stringify!($kind));
            assert_eq!(again.as_str(), normal.as_str(), "{}", stringify!($kind));
            assert_eq!(trimmed(normal.as_str()), normal.as_str(), "{}", stringify!($kind));
        })+
    };
}

fuzz_target!(|text: &str| {
    stays!(
        text,
        Username,
        Email,
        PersonName,
        DisplayName,
        AppleAccount,
        LocaleTag,
        TimeZone,
        GroupName,
        SerialNumber
    );
    if let Ok(email) = Email::parse(text) {
        let name = Username::parse(email.as_str()).expect("an address may be a username");
        assert_eq!(name.as_str(), email.as_str(), "one mailbox is one name");
    }
    if let Some(digits) = pin(text) {
        assert!((4..=12).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit()));
        assert_eq!(pin(&digits).as_deref(), Some(&*digits));
    }
});
