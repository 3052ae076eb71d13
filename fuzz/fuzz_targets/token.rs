//! The tokens of QR codes and envelope addresses: whatever comes, and what is ours with something changed.
#![no_main]

use std::sync::LazyLock;

use enlist::secrets::{keys::KeyRing, return_path, token};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

static KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::parse("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a key")
});
// With this one nothing is ever made: the fuzzer sees what the target compares, and would give back a genuine token.
static OTHERS: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::parse("k1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=").expect("a key")
});

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(token::verify(&OTHERS, text).is_err());
    }
    assert!(return_path::find(&OTHERS, data).is_none());
    let Some((id, rest)) = data.split_first_chunk::<16>() else {
        return;
    };
    let id = Uuid::from_bytes(*id);
    let genuine = token::mint(KEYS.signing(), id, u32::from(rest.first().copied().unwrap_or(0)));
    assert_eq!(token::verify(&KEYS, &genuine).expect("ours").invitation, id);
    let [at, to, ..] = *rest else { return };
    let mut bytes = genuine.clone().into_bytes();
    let at = usize::from(at) % bytes.len();
    bytes[at] = to;
    if let Ok(changed) = String::from_utf8(bytes)
        && changed != genuine
    {
        assert!(token::verify(&KEYS, &changed).is_err());
    }
});
