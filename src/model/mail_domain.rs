//! The domain of addresses, by itself. Pure.

use super::{
    identity::Email,
    wire::{Flaw, line},
};
use crate::checked_text;

checked_text!(
    /// What stands behind the @ of addresses, as A-labels in lower case: `xn--bcher-kva.example`. Read however it is
    /// written, also with the @.
    Domain,
    parse_domain
);

impl Domain {
    /// The ways in which addresses have it: as A-labels, and in letters.
    pub fn spellings(&self) -> [String; 2] {
        let (letters, _) = idna::domain_to_unicode(&self.0);
        [self.0.clone(), letters]
    }
}

/// What may be the domain of an address is one.
fn parse_domain(text: &str) -> Result<String, Flaw> {
    let given = line(text, 254)?;
    let bare = given.strip_prefix('@').unwrap_or(&given);
    let address = Email::parse(&format!("x@{bare}")).ok();
    address
        .as_ref()
        .and_then(|address| address.as_str().strip_prefix("x@"))
        .and_then(|domain| idna::domain_to_ascii(domain).ok())
        .ok_or_else(|| {
            Flaw::new(
                "invalid_domain",
                "must be the domain of an address, such as example.com",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_read_however_it_is_written() {
        for given in [
            "bücher.example",
            "BÜCHER.Example",
            "bu\u{308}cher.example",
            "xn--bcher-kva.example",
            "XN--Bcher-KVA.example",
            "@bücher.example",
            " bücher.example. ",
        ] {
            let domain = Domain::parse(given).unwrap();
            assert_eq!(domain.as_str(), "xn--bcher-kva.example", "{given:?}");
            assert_eq!(
                domain.spellings(),
                ["xn--bcher-kva.example", "bücher.example"],
                "{given:?}"
            );
        }
        for (given, code) in [
            (" ", "empty"),
            ("@", "invalid_domain"),
            ("ada@example.com", "invalid_domain"),
            ("a b.example", "invalid_domain"),
            ("192.0.2.1", "invalid_domain"),
            ("*.example.com", "invalid_domain"),
            ("%", "invalid_domain"),
        ] {
            assert_eq!(Domain::parse(given).unwrap_err().code, code, "{given:?}");
        }
    }
}
