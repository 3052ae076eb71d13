//! What became of it: the results.

use super::{about::About, fault::Stage};
use crate::model::said::masked;

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server has taken responsibility for it (RFC 5321, section 4.2.5).
    Accepted(Acceptance),
    /// Not this time; the same message may pass later.
    Retry(Failure),
    /// Never: the server, or the protocol, refuses this very message or recipient.
    GiveUp(Failure),
}

/// The server's answer to the final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// The reply code, 2yz (RFC 5321, section 4.2).
    pub code: u16,
    /// The enhanced status code at the beginning of the text, such as `2.0.0` (RFC 3463).
    pub enhanced_status: Option<String>,
    /// All lines of the text in one, without the enhanced status.
    pub text: String,
}

/// The enhanced status of a message that is larger than the server takes (RFC 3463 §3.4), also where it was not asked.
pub const TOO_LARGE: &str = "5.3.4";

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reply code, where the server gave one.
    pub code: Option<u16>,
    /// The enhanced status code of that reply, such as `5.1.1` (RFC 3463).
    pub enhanced_status: Option<String>,
    /// What failed and at which stage, in one line without control characters and credentials. A server's words may
    /// name addresses, and quote the mail.
    pub reason: String,
    /// Whether the final dot may have reached the server and its answer is not known: the message
    /// may have been taken, and a further try may deliver it twice (RFC 1047).
    pub handed_over: bool,
    /// Whom it is about, and so what becomes of the other messages.
    pub about: About,
    /// Where it happened.
    pub stage: Stage,
    /// What an operator does about it.
    pub remedy: &'static str,
}

impl Failure {
    /// The reason for people: what has the shape of a secret is masked in a server's words. Our own have none.
    pub fn shown(&self) -> String {
        match self.code {
            Some(_) => masked(&self.reason),
            None => self.reason.clone(),
        }
    }
}
