//! What went wrong where. Pure.

use std::fmt;
use std::io;
use std::time::Duration;

use super::reply::Reply;

/// Where in a conversation something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before a server is asked.
    Check,
    /// The name is looked up, and a connection opened.
    Connect,
    /// TLS from the first byte.
    Tls,
    /// Greeting and EHLO.
    Hello,
    /// TLS in the middle.
    StartTls,
    /// Signing in.
    Auth,
    /// A message of before is forgotten.
    Reset,
    /// The sender.
    Mail,
    /// The recipient.
    Rcpt,
    /// The question whether the content may come.
    Data,
    /// The content.
    Body,
    /// The end of the content, at which a server decides.
    FinalDot,
}

impl Stage {
    /// In one word, for people who do not speak SMTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Connect => "connect",
            Self::Hello => "greeting",
            Self::Tls | Self::StartTls => "tls",
            Self::Auth => "sign_in",
            Self::Reset | Self::Mail => "sender",
            Self::Rcpt => "recipient",
            Self::Data | Self::Body | Self::FinalDot => "message",
        }
    }

    /// Whether it comes before any message is spoken of.
    pub(super) fn is_connecting(self) -> bool {
        matches!(
            self,
            Self::Connect | Self::Tls | Self::Hello | Self::StartTls | Self::Auth
        )
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Check => "before sending",
            Self::Connect => "connecting to",
            Self::Tls => "TLS handshake",
            Self::Hello => "greeting and EHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Reset => "RSET",
            Self::Mail => "MAIL FROM",
            Self::Rcpt => "RCPT TO",
            Self::Data => "DATA",
            Self::Body => "message content",
            Self::FinalDot => "end of message",
        })
    }
}

#[derive(Debug)]
pub(super) enum Fault {
    /// The server said no, in step.
    Reply(Reply),
    /// It did not answer in time.
    Timeout(Duration),
    /// I/O, TLS, end of connection, or an answer that makes no sense here.
    Broken(String),
    /// Ours: this message cannot be sent to this server.
    Local(String),
    /// The message is larger than the server said that it takes, both in bytes.
    TooLarge { size: usize, most: usize },
}

impl Fault {
    /// Whether the connection can take another message.
    ///
    /// 421 announces its end (RFC 5321, section 3.8). 530 is about the session, which must begin anew.
    pub(super) fn leaves_in_step(&self) -> bool {
        match self {
            Self::Reply(reply) => !matches!(reply.code, 421 | 530),
            Self::Local(_) | Self::TooLarge { .. } => true,
            Self::Timeout(_) | Self::Broken(_) => false,
        }
    }

    /// Whether the server may have decided otherwise without our knowing.
    pub(super) fn leaves_unknown(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Broken(_))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Whether a reply is the one that a command hopes for. A refusal is told as it is; another positive reply means that
/// the two sides are out of step.
pub(super) fn expect(reply: Reply, belongs: impl Fn(u16) -> bool) -> Result<Reply, Fault> {
    match reply.code {
        code if belongs(code) => Ok(reply),
        400.. => Err(Fault::Reply(reply)),
        code => Err(Fault::Broken(format!(
            "out of step: unexpected reply {code}"
        ))),
    }
}

/// A command is done (RFC 5321 §4.2.1).
pub(super) fn is_done(code: u16) -> bool {
    (200..300).contains(&code)
}

/// That a mail is too large: in units, because runs of four digits are masked where it is shown (`said`).
pub(super) fn too_large(size: usize, most: usize) -> String {
    let rough = |bytes: usize, kib: usize, mib: usize| match (bytes, kib) {
        (..1000, _) => format!("{bytes} bytes"),
        (_, ..1000) => format!("{kib} KiB"),
        _ => format!("{mib} MiB"),
    };
    format!(
        "the mail has {}, and the mail server takes at most {} (SIZE)",
        rough(size, size.div_ceil(1 << 10), size.div_ceil(1 << 20)),
        rough(most, most >> 10, most >> 20),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::said::masked;

    #[test]
    fn sizes_are_told_in_words_that_are_not_masked() {
        for (size, most, told) in [
            (
                12_576,
                12_575,
                "the mail has 13 KiB, and the mail server takes at most 12 KiB (SIZE)",
            ),
            (
                1_000,
                999,
                "the mail has 1 KiB, and the mail server takes at most 999 bytes (SIZE)",
            ),
            (
                1_200_000,
                900_000,
                "the mail has 2 MiB, and the mail server takes at most 878 KiB (SIZE)",
            ),
            (
                35_882_578,
                35_882_577,
                "the mail has 35 MiB, and the mail server takes at most 34 MiB (SIZE)",
            ),
        ] {
            let reason = too_large(size, most);
            assert_eq!(reason, told);
            assert_eq!(
                masked(&format!("before sending: {reason}")),
                format!("before sending: {told}")
            );
        }
    }
}
