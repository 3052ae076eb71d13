//! Whom a failure can be about. Pure.

/// Whom a failure is about, and so what becomes of the other messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// This recipient; others are not concerned.
    Recipient,
    /// This message; others are not concerned.
    Message,
    /// The sender or the relay: it takes nothing more from us for now, whoever it is for.
    Sender,
    /// How much or how fast we send: it wants fewer connections, or fewer messages.
    Pace,
    /// Either this recipient, as one that is greylisted, or our pace: the next ones will tell.
    Unsure,
    /// This connection: another one may do.
    Connection,
    /// The relay cannot be reached, or does not let us in.
    Away,
}

impl About {
    /// In one word, for metrics and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Message => "message",
            Self::Sender => "sender",
            Self::Pace => "pace",
            Self::Unsure => "unsure",
            Self::Connection => "connection",
            Self::Away => "away",
        }
    }
}
