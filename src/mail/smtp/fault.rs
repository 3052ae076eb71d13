//! What went wrong where, and how answers are read.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use lettre::transport::smtp::Error as LettreError;
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

use crate::model::said::LONGEST;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Check,
    Connect,
    Tls,
    Hello,
    StartTls,
    Auth,
    Reset,
    Mail,
    Rcpt,
    Data,
    Body,
    FinalDot,
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

pub(super) enum Fault {
    /// The server said no, in step.
    Reply { code: u16, text: String },
    /// It did not answer in time.
    Timeout(Duration),
    /// I/O, TLS, end of connection, or an answer that makes no sense here.
    Broken(String),
    /// Ours: this message cannot be sent to this server.
    Local(&'static str),
}

impl Fault {
    /// Whether the connection can take another message.
    ///
    /// 421 announces its end (RFC 5321, section 3.8). 503 and 530 are about the session, which
    /// must begin anew.
    pub(super) fn leaves_in_step(&self) -> bool {
        match self {
            Self::Reply { code, .. } => !matches!(code, 421 | 503 | 530),
            Self::Local(_) => true,
            Self::Timeout(_) | Self::Broken(_) => false,
        }
    }

    /// Whether trying again is useless, once a session stands.
    ///
    /// "Bad sequence of commands" (503) and "authentication or STARTTLS required" (530, RFC 4954
    /// and RFC 3207) come as permanent codes, but fault the configuration and not the message.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Reply { code, .. } => *code >= 500 && !matches!(code, 503 | 530),
            Self::Local(_) => true,
            Self::Timeout(_) | Self::Broken(_) => false,
        }
    }

    /// Whether the server may have decided otherwise without our knowing.
    pub(super) fn leaves_unknown(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Broken(_))
    }
}

impl From<LettreError> for Fault {
    fn from(error: LettreError) -> Self {
        // Its own words repeat "transient error (450)" and the like; the source is the text of the
        // reply, all lines joined, or the error of the socket.
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            text = inner.to_string();
            source = inner.source();
        }
        match error.status() {
            Some(code) => Self::Reply {
                code: code.into(),
                // An empty reply's source is the empty string.
                text,
            },
            None if error.is_response() => Self::Broken(format!("no valid SMTP answer ({text})")),
            None => Self::Broken(text),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

pub(super) async fn in_time<T, E>(
    limit: Duration,
    stage: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault>
where
    Fault: From<E>,
{
    match timeout(limit, stage).await {
        Ok(result) => result.map_err(Fault::from),
        Err(_) => Err(Fault::Timeout(limit)),
    }
}

/// Refuses a positive reply that does not belong to the command: the two sides are out of step.
pub(super) fn expect(reply: &Response, belongs: impl Fn(u16) -> bool) -> Result<(), Fault> {
    let code = u16::from(reply.code());
    if belongs(code) {
        Ok(())
    } else {
        Err(Fault::Broken(format!(
            "out of step: unexpected reply {code}"
        )))
    }
}

/// The lines of a reply in one; an enhanced status repeated on each line is kept once.
pub(super) fn join_lines(reply: &Response) -> String {
    let code = u16::from(reply.code());
    let mut lines = reply.message();
    let mut joined = lines.next().unwrap_or_default().to_owned();
    let (first_status, _) = split_status(code, &joined);
    for line in lines {
        let (status, rest) = split_status(code, line);
        joined.push(' ');
        joined.push_str(if status == first_status { &rest } else { line });
    }
    joined
}

/// Splits the enhanced status code off the beginning of a reply's text. Its class must agree with
/// the reply code, else it is mere text (RFC 2034, section 4).
pub(super) fn split_status(code: u16, text: &str) -> (Option<String>, String) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = word.split('.');
    let class = parts.next().unwrap_or_default();
    let is_number =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let numbers = [parts.next(), parts.next()].map(|part| part.is_some_and(is_number));
    if class == (code / 100).to_string() && numbers == [true, true] && parts.next().is_none() {
        (Some(word.to_owned()), rest.trim_start().to_owned())
    } else {
        (None, text.to_owned())
    }
}

/// Text from outside as one short line without control characters.
pub(super) fn one_line(text: &str) -> String {
    let printable = text.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<&str> = printable.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LONGEST).collect()
}
