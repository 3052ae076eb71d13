//! What became of it: the results.

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server has taken responsibility for it (RFC 5321, section 4.2.5).
    Accepted(Reply),
    /// Not this time; the same message may pass later.
    Retry(Failure),
    /// Never: the server, or the protocol, refuses this very message or recipient.
    GiveUp(Failure),
}

/// The server's answer to the final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reply code, 2yz (RFC 5321, section 4.2).
    pub code: u16,
    /// The enhanced status code at the beginning of the text, such as `2.0.0` (RFC 3463).
    pub enhanced_status: Option<String>,
    /// All lines of the text in one, at most 400 characters, without the enhanced status.
    pub text: String,
}

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reply code, where the server gave one.
    pub code: Option<u16>,
    /// The enhanced status code of that reply, such as `5.1.1` (RFC 3463).
    pub enhanced_status: Option<String>,
    /// What failed, in one line of at most 400 characters, without control characters and
    /// credentials. A server's words may name addresses.
    pub reason: String,
    /// Whether the final dot may have reached the server and its answer is not known: the message
    /// may have been taken, and a further try may deliver it twice (RFC 1047).
    pub handed_over: bool,
    /// What it says of the server, whatever the message was.
    pub server: ServerState,
}

/// What a failure says of the server as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Nothing: it was about this message.
    Fine,
    /// It asks for fewer messages: an enhanced status of 4.7.z, security or policy (RFC 3463, section 3.8).
    WantsLess,
    /// It closes its service for now: 421 (RFC 5321, section 3.8).
    Closing,
    /// It cannot be reached, or does not let us in.
    Away,
}
