//! The token in a QR code or link: says which invitation it is for, and proves it without the database. Pure.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::keys::{Key, KeyRing, Purpose};

/// What a preview shows in a token's place: as long as a real one, and it enrolls nothing.
pub const SAMPLE: &str = "sample-token-this-one-does-not-enroll-any-device";

const ID: usize = 16;
const COUNTER: usize = 4;
const MAC: usize = 16;

/// What a genuine token says.
#[derive(Debug, PartialEq, Eq)]
pub struct Claims {
    /// The invitation that it is for.
    pub invitation: Uuid,
    /// The counter that it was made with: a later one ends it.
    pub counter: u32,
    /// The key that it was made with.
    pub key_id: String,
}

/// The token is not ours: changed, cut, made up, or of a key that is no longer configured.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a genuine token")]
pub struct Forged;

/// Makes a token: invitation id, counter, 128-bit MAC and key id, in URL-safe base64
/// (51 characters with a key id of two).
pub fn mint(key: &Key, invitation: Uuid, counter: u32) -> String {
    let mut bytes = Vec::with_capacity(ID + COUNTER + MAC + key.id().len());
    bytes.extend_from_slice(invitation.as_bytes());
    bytes.extend_from_slice(&counter.to_be_bytes());
    bytes.extend_from_slice(&mac(key, invitation, counter));
    bytes.extend_from_slice(key.id().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token back, in constant time where it matters.
///
/// # Errors
/// [`Forged`] for anything that [`mint`] did not make with one of these keys.
pub fn verify(keys: &KeyRing, token: &str) -> Result<Claims, Forged> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Forged)?;
    let (id, rest) = bytes.split_first_chunk::<ID>().ok_or(Forged)?;
    let (counter, rest) = rest.split_first_chunk::<COUNTER>().ok_or(Forged)?;
    let (given, key_id) = rest.split_first_chunk::<MAC>().ok_or(Forged)?;
    let key_id = std::str::from_utf8(key_id).map_err(|_| Forged)?;
    let key = keys.get(key_id).ok_or(Forged)?;
    let (invitation, counter) = (Uuid::from_bytes(*id), u32::from_be_bytes(*counter));
    if bool::from(mac(key, invitation, counter).ct_eq(given)) {
        Ok(Claims {
            invitation,
            counter,
            key_id: key_id.to_owned(),
        })
    } else {
        Err(Forged)
    }
}

fn mac(key: &Key, invitation: Uuid, counter: u32) -> [u8; MAC] {
    let full = key.mac(
        Purpose::Token,
        &[
            invitation.as_bytes(),
            &counter.to_be_bytes(),
            key.id().as_bytes(),
        ],
    );
    std::array::from_fn(|index| full[index])
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
    fn tokens_never_change_and_read_back() {
        let ring = ring("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let id = Uuid::parse_str("0192d3a0-1234-7abc-8def-0123456789ab").unwrap();
        let token = mint(ring.signing(), id, 1);
        assert_eq!(token, "AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQLXIH2M3u8uDtYwHPazE");
        let claims = verify(&ring, &token).unwrap();
        assert_eq!(
            (claims.invitation, claims.counter, claims.key_id.as_str()),
            (id, 1, "k1")
        );
        assert_eq!(verify(&ring, SAMPLE), Err(Forged));
    }

    #[test]
    fn an_old_key_still_verifies_and_a_removed_one_does_not() {
        let (both, new) = (ring(KEYS), ring(KEYS.split(',').next().unwrap()));
        let token = mint(both.get("k0").unwrap(), Uuid::nil(), 0);
        assert!(verify(&both, &token).is_ok());
        assert_eq!(verify(&new, &token), Err(Forged));
    }

    proptest! {
        #[test]
        fn a_changed_token_is_forged(id: u128, counter: u32, at: prop::sample::Index, to in "[A-Za-z0-9_-]") {
            let ring = ring(KEYS);
            let token = mint(ring.signing(), Uuid::from_u128(id), counter);
            let at = at.index(token.len());
            let mut changed = token.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != token);
            prop_assert_eq!(verify(&ring, &changed), Err(Forged));
        }

        #[test]
        fn anything_else_is_forged(text in "\\PC*") {
            prop_assert_eq!(verify(&ring(KEYS), &text), Err(Forged));
        }
    }
}
