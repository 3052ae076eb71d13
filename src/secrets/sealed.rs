//! What must be readable again, and is in no dump of the database: sealed with XChaCha20-Poly1305 under a service key, which
//! it names: `key id:base64(nonce, ciphertext, tag)`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    Key as CipherKey, XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};

use super::keys::{Key, KeyRing, MissingKey, Purpose};
use crate::clock;

/// Bytes of a nonce: so many that random ones never meet.
const NONCE: usize = 24;

/// Why something sealed cannot be opened. Never holds a part of it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Closed {
    #[error(transparent)]
    Key(#[from] MissingKey),
    #[error("it was not sealed here, or not for this place")]
    Forged,
}

/// Seals a text. `place` says what it is and whose: it cannot be opened in another one.
///
/// # Errors
/// When the operating system has no randomness for the nonce.
pub fn seal(key: &Key, place: &str, text: &str) -> Result<String, String> {
    let nonce: [u8; NONCE] = clock::random_bytes().map_err(|error| error.to_string())?;
    let payload = Payload {
        msg: text.as_bytes(),
        aad: place.as_bytes(),
    };
    let sealed = cipher(key)
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|error| error.to_string())?;
    let sealed = URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat());
    Ok(format!("{}:{sealed}", key.id()))
}

/// Opens what [`seal`] gave.
///
/// # Errors
/// When its key is not configured, or it is not what was sealed for this place.
pub fn open(keys: &KeyRing, place: &str, sealed: &str) -> Result<String, Closed> {
    let (id, sealed) = sealed.split_once(':').ok_or(Closed::Forged)?;
    let key = keys.require(id)?;
    let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Closed::Forged)?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(Closed::Forged)?;
    let payload = Payload {
        msg: sealed,
        aad: place.as_bytes(),
    };
    let text = cipher(key)
        .decrypt(&XNonce::from(*nonce), payload)
        .map_err(|_| Closed::Forged)?;
    String::from_utf8(text).map_err(|_| Closed::Forged)
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&CipherKey::from(key.mac(Purpose::Seal, &[])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,k0:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

    fn ring(keys: &str) -> KeyRing {
        KeyRing::parse(keys).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_at_its_place_alone() {
        let (both, new) = (ring(KEYS), ring(KEYS.split(',').next().unwrap()));
        let sealed = seal(both.get("k0").unwrap(), "setting 1", "s3cret").unwrap();
        assert!(sealed.starts_with("k0:") && !sealed.contains("s3cret"));
        assert_eq!(open(&both, "setting 1", &sealed).as_deref(), Ok("s3cret"));
        assert_eq!(open(&both, "setting 2", &sealed), Err(Closed::Forged));
        assert!(matches!(
            open(&new, "setting 1", &sealed),
            Err(Closed::Key(_))
        ));
        let renamed = sealed.replace("k0:", "k1:");
        assert_eq!(open(&both, "setting 1", &renamed), Err(Closed::Forged));
        let again = seal(both.get("k0").unwrap(), "setting 1", "s3cret").unwrap();
        assert_ne!(again, sealed, "a nonce is used once");
    }

    /// What an older version sealed; made by another program.
    #[test]
    fn the_form_never_changes() {
        let sealed = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXC0NoTZVMxSO4qs-LYSTG9O11sEA";
        assert_eq!(open(&ring(KEYS), "x", sealed).as_deref(), Ok("Zoë"));
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens(text in "\\PC*", place in "\\PC*") {
            let keys = ring(KEYS);
            let sealed = seal(keys.signing(), &place, &text).unwrap();
            prop_assert_eq!(open(&keys, &place, &sealed), Ok(text));
        }

        #[test]
        fn a_changed_one_is_forged(at: prop::sample::Index, to in "[A-Za-z0-9_-]") {
            let keys = ring(KEYS);
            let sealed = seal(keys.signing(), "x", "s3cret").unwrap();
            let at = 3 + at.index(sealed.len() - 3);
            let mut changed = sealed.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != sealed);
            prop_assert_eq!(open(&keys, "x", &changed), Err(Closed::Forged));
        }

        #[test]
        fn anything_else_is_closed(text in "\\PC*") {
            prop_assert!(open(&ring(KEYS), "x", &text).is_err());
        }
    }
}
