//! Whom a reply is about: this recipient, this message, the sender or the relay, this connection. Pure.
//!
//! The first of the [`rules`] that fits decides. What an operator does about it is found in the same way, by rules of
//! its own ([`remedy`]).

mod phrases;
mod reading;
mod remedy;
mod rules;
#[cfg(test)]
mod tests;
mod whom;

use super::fault::{Fault, Stage};
use reading::{status_of, words_of};
pub(super) use remedy::remedy;
use rules::RULES;
pub use whom::About;

/// Whom a fault is about.
pub(super) fn about(stage: Stage, fault: &Fault) -> About {
    match fault {
        Fault::Local(_) | Fault::TooLarge { .. } => About::Message,
        Fault::Reply(reply) => {
            let (status, text) = (status_of(reply), words_of(reply));
            let rule = RULES
                .iter()
                .find(|rule| rule.fits(stage, reply, status, &text));
            rule.map_or(About::Message, |rule| rule.then)
        }
        Fault::Timeout(_) | Fault::Broken(_) if stage.is_connecting() => About::Away,
        Fault::Timeout(_) | Fault::Broken(_) => About::Connection,
    }
}

/// Whether trying again is useless: the server, or the protocol, refuses this very recipient or message.
pub(super) fn is_permanent(stage: Stage, fault: &Fault) -> bool {
    match fault {
        Fault::Local(_) | Fault::TooLarge { .. } => true,
        Fault::Reply(reply) => {
            reply.code >= 500 && matches!(about(stage, fault), About::Recipient | About::Message)
        }
        Fault::Timeout(_) | Fault::Broken(_) => false,
    }
}
