//! The token in our envelope address and envelope id: says which message came back, and that it is one of ours.
//! Message id, a tag of the address that it went to, and a MAC, in lower-case base32: mail servers may change an
//! address's case, and a local part has room for 64 characters (RFC 5321 §4.5.3.1.1). Pure.

use data_encoding::{BASE32_NOPAD_NOCASE, Encoding};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::keys::{Key, KeyRing, Purpose};

const ID: usize = 16;
const TAG: usize = 4;
const MAC: usize = 10;
/// Characters of a token.
pub const LENGTH: usize = (ID + TAG + MAC) * 8 / 5;

const ALPHABET: Encoding = BASE32_NOPAD_NOCASE;

/// A message of ours that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// The message's id.
    pub message: Uuid,
    tag: [u8; TAG],
}

/// Makes the token of a message that goes to an address.
pub fn mint(key: &Key, message: Uuid, address: &str) -> String {
    let mut bytes = Vec::with_capacity(ID + TAG + MAC);
    bytes.extend_from_slice(message.as_bytes());
    bytes.extend_from_slice(&tag(key, address));
    let mac = mac(key, &bytes);
    bytes.extend_from_slice(&mac);
    ALPHABET.encode(&bytes).to_ascii_lowercase()
}

/// The first genuine token in a mail, wherever it stands: a MAC proves it, not its place.
pub fn find(keys: &KeyRing, mail: &[u8]) -> Option<Returned> {
    mail.split(|byte| !matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'2'..=b'7'))
        .filter(|word| word.len() == LENGTH)
        .find_map(|word| verify(keys, word))
}

fn verify(keys: &KeyRing, token: &[u8]) -> Option<Returned> {
    let bytes = ALPHABET.decode(token).ok()?;
    let (signed, given) = bytes.split_at_checked(ID + TAG)?;
    keys.iter()
        .any(|key| bool::from(mac(key, signed).ct_eq(given)))
        .then_some(())?;
    let (id, tag) = signed.split_first_chunk::<ID>()?;
    Some(Returned {
        message: Uuid::from_bytes(*id),
        tag: tag.try_into().ok()?,
    })
}

impl Returned {
    /// Whether the message went to this address: a user may have another one since.
    pub fn went_to(&self, keys: &KeyRing, address: &str) -> bool {
        keys.iter().any(|key| tag(key, address) == self.tag)
    }
}

/// The first part keeps the two kinds of MAC apart.
fn mac(key: &Key, signed: &[u8]) -> [u8; MAC] {
    first(key.mac(Purpose::Bounce, &[b"token", signed]))
}

fn tag(key: &Key, address: &str) -> [u8; TAG] {
    let address = address.to_lowercase();
    first(key.mac(Purpose::Bounce, &[b"email", address.as_bytes()]))
}

fn first<const N: usize>(full: [u8; 32]) -> [u8; N] {
    std::array::from_fn(|index| full[index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,k0:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

    fn ring() -> KeyRing {
        KeyRing::parse(KEYS).unwrap()
    }

    #[test]
    fn a_token_fits_a_local_part_and_is_found_wherever_it_stands() {
        let (ring, id) = (ring(), Uuid::from_u128(7));
        for key in ring.iter() {
            let token = mint(key, id, "Ada@Example.com");
            assert_eq!((token.len(), LENGTH), (48, 48));
            for place in [
                format!("To: bounces+{token}@example.com\r\n"),
                format!("Original-Envelope-Id: {}", token.to_uppercase()),
                format!("<p>{token}</p>"),
            ] {
                let found = find(&ring, place.as_bytes()).unwrap();
                assert_eq!(found.message, id);
                assert!(found.went_to(&ring, "ada@example.com"));
                assert!(!found.went_to(&ring, "ida@example.com"));
            }
            assert_eq!(find(&ring, format!("x{token}").as_bytes()), None);
        }
    }

    proptest! {
        #[test]
        fn a_changed_token_is_none_of_ours(id: u128, at in 0..LENGTH, to in "[a-z2-7]") {
            let ring = ring();
            let mut token = mint(ring.signing(), Uuid::from_u128(id), "a@b.example");
            prop_assume!(token[at..=at] != to);
            token.replace_range(at..=at, &to);
            prop_assert_eq!(find(&ring, token.as_bytes()), None);
        }

        #[test]
        fn nothing_is_found_in_anything(bytes: Vec<u8>) {
            prop_assert_eq!(find(&ring(), &bytes), None);
        }
    }
}
