//! PINs in the manner of HOTP (RFC 4226), with SHA-256 and a wider truncation, so that 12 digits work. Pure.

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::keys::{Key, Purpose};

/// A user's PIN: digits only, leading zeros included. Not shown by `Debug`.
#[derive(Debug, Clone)]
pub struct Pin(SecretString);

impl Pin {
    /// Derives the PIN of an invitation: the same for the same key, invitation, counter and length.
    ///
    /// `digits` is 4 to 12, as the database holds it to.
    pub fn derive(key: &Key, invitation: Uuid, counter: u32, digits: u8) -> Self {
        let mac = key.mac(
            Purpose::Pin,
            &[invitation.as_bytes(), &u64::from(counter).to_be_bytes()],
        );
        // 63 bits, as RFC 4226 §5.3 takes 31: modulo 10^12 the bias is below one in nine million.
        let number = u64::from_be_bytes(truncate(&mac)) & (u64::MAX >> 1);
        let width = usize::from(digits);
        Self(format!("{:0width$}", number % 10_u64.pow(u32::from(digits))).into())
    }

    /// What a preview shows in its place: as long, and it enrolls nothing.
    pub fn placeholder(digits: u8) -> Self {
        Self("0".repeat(usize::from(digits)).into())
    }

    /// The digits, for a mail or for an administrator who asked.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Dynamic truncation (RFC 4226 §5.3): the low four bits of the last byte say where the `N` bytes
/// that are taken begin. The digest must have at least `15 + N` bytes.
fn truncate<const N: usize>(digest: &[u8]) -> [u8; N] {
    let offset = usize::from(digest[digest.len() - 1] & 0x0f);
    std::array::from_fn(|index| digest[offset + index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::keys::KeyRing;
    use proptest::prelude::*;

    fn ring() -> KeyRing {
        KeyRing::parse("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap()
    }

    /// RFC 4226 appendix D: the intermediate HMAC values and what its truncation makes of them.
    #[test]
    fn truncation_agrees_with_the_published_vectors() {
        let vectors = [
            (
                "cc93cf18508d94934c64b65d8ba7667fb7cde4b0",
                1_284_755_224,
                755_224,
            ),
            (
                "75a48a19d4cbe100644e8ac1397eea747a2d33ab",
                1_094_287_082,
                287_082,
            ),
            (
                "0bacb7fa082fef30782211938bc1c5e70416ff44",
                137_359_152,
                359_152,
            ),
            (
                "66c28227d03a2d5529262ff016a1e6ef76557ece",
                1_726_969_429,
                969_429,
            ),
            (
                "a904c900a64b35909874b33e61c5938a8e15ed1c",
                1_640_338_314,
                338_314,
            ),
            (
                "a37e783d7b7233c083d4f62926c7a25f238d0316",
                868_254_676,
                254_676,
            ),
            (
                "bc9cd28561042c83f219324d3c607256c03272ae",
                1_918_287_922,
                287_922,
            ),
            (
                "a4fb960c0bc06e1eabb804e5b397cdc4b45596fa",
                82_162_583,
                162_583,
            ),
            (
                "1b3c89f65e6c9e883012052823443f048b4332db",
                673_399_871,
                399_871,
            ),
            (
                "1637409809a679dc698207310c8c7fc07290d9e5",
                645_520_489,
                520_489,
            ),
        ];
        for (digest, number, code) in vectors {
            let digest: Vec<u8> = (0..digest.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&digest[at..at + 2], 16).unwrap())
                .collect();
            let truncated = u32::from_be_bytes(truncate(&digest)) & (u32::MAX >> 1);
            assert_eq!(truncated, number);
            assert_eq!(truncated % 1_000_000, code);
        }
    }

    /// Our own vectors, computed by another implementation: a change here would end every PIN that is out there.
    #[test]
    fn pins_never_change() {
        let ring = ring();
        let id = Uuid::parse_str("0192d3a0-1234-7abc-8def-0123456789ab").unwrap();
        let pins = [(0, 4), (0, 8), (0, 12), (1, 8), (7, 6)].map(|(counter, digits)| {
            Pin::derive(ring.signing(), id, counter, digits)
                .expose()
                .to_owned()
        });
        assert_eq!(pins.join(" "), "8400 92338400 082892338400 43100519 659302");
    }

    #[test]
    fn a_pin_hides_from_debug_and_a_placeholder_is_zeros() {
        let pin = Pin::derive(ring().signing(), Uuid::nil(), 0, 8);
        assert!(!format!("{pin:?}").contains(pin.expose()));
        assert_eq!(Pin::placeholder(6).expose(), "000000");
    }

    proptest! {
        #[test]
        fn pins_have_their_length_and_differ_by_counter(id: u128, counter: u32, digits in 4_u8..=12) {
            let ring = ring();
            let pin = |counter| Pin::derive(ring.signing(), Uuid::from_u128(id), counter, digits).expose().to_owned();
            let first = pin(counter);
            prop_assert_eq!(first.len(), usize::from(digits));
            prop_assert!(first.bytes().all(|b| b.is_ascii_digit()));
            prop_assert_eq!(&first, &pin(counter));
            if digits == 12 {
                prop_assert_ne!(first, pin(counter.wrapping_add(1)));
            }
        }
    }
}
