//! Cursors: whatever comes, and what is ours for another list.
#![no_main]

use std::sync::LazyLock;

use enlist::{http::paging::{self, Position}, secrets::keys::KeyRing};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

static KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::parse("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a key")
});
// With this one nothing is ever made: the fuzzer sees what the target compares, and would give back a genuine cursor.
static OTHERS: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::parse("k1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=").expect("a key")
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    assert!(paging::open(&OTHERS, "users", text).is_err());
    let (query, key) = text.split_once('\n').unwrap_or((text, ""));
    let position = Position {
        key: key.to_owned(),
        id: Uuid::nil(),
    };
    let cursor = paging::seal(&KEYS, query, &position);
    let opened = paging::open(&KEYS, query, &cursor).expect("ours");
    assert_eq!((opened.key.as_str(), opened.id), (key, Uuid::nil()));
    assert!(paging::open(&KEYS, &format!("{query} "), &cursor).is_err());
});
