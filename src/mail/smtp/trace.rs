//! What a conversation has come to, for whoever watches one. Pure.

use std::fmt;
use std::net::SocketAddr;

use super::{fault::Stage, offer::Offer, url::TlsMode};
use crate::model::said::masked;

/// A stage that is behind us, and what was found there. `Display` is for people; what a server says is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// This address took the connection. Whatever was passed before belongs to another connection.
    Connected(SocketAddr),
    /// The server has said what it offers. It may offer more once the connection is encrypted.
    Greeted {
        /// In the words of the protocol.
        offers: String,
    },
    /// From here on nobody reads along.
    Encrypted {
        /// Such as `TLS 1.3`.
        version: &'static str,
        /// Whether it is known who the server is.
        is_checked: bool,
    },
    /// It goes on readable by everybody on the way.
    Clear {
        /// Whether the URL forbids encryption; else the server has none.
        is_wanted: bool,
    },
    /// The server knows who we are.
    SignedIn {
        /// Who.
        user: String,
    },
    /// The sender may send.
    Sender,
    /// The recipient may get it.
    Recipient,
    /// The server has taken the mail.
    Accepted {
        /// What it said.
        words: String,
    },
}

impl Passed {
    /// The stage.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Connected(_) => Stage::Connect,
            Self::Greeted { .. } => Stage::Hello,
            Self::Encrypted { .. } | Self::Clear { .. } => Stage::Tls,
            Self::SignedIn { .. } => Stage::Auth,
            Self::Sender => Stage::Mail,
            Self::Recipient => Stage::Rcpt,
            Self::Accepted { .. } => Stage::FinalDot,
        }
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(address) => write!(f, "connected to {address}"),
            Self::Greeted { offers } => write!(f, "greeted; the server offers {offers}"),
            Self::Encrypted {
                version,
                is_checked: true,
            } => write!(f, "encrypted with {version}, its certificate was checked"),
            Self::Encrypted {
                version,
                is_checked: false,
            } => write!(
                f,
                "encrypted with {version}, its certificate was not checked"
            ),
            Self::Clear { is_wanted: true } => {
                f.write_str("not encrypted, as ENLIST_SMTP_URL says with tls=none")
            }
            Self::Clear { is_wanted: false } => {
                f.write_str("not encrypted: the server does not offer STARTTLS")
            }
            Self::SignedIn { user } => write!(f, "signed in as {user}"),
            Self::Sender => f.write_str("the sender was accepted"),
            Self::Recipient => f.write_str("the recipient was accepted"),
            Self::Accepted { words } => write!(f, "the mail was accepted: {words}"),
        }
    }
}

/// Who is told.
type Told<'a> = &'a mut (dyn FnMut(Passed) + Send);

/// Follows one conversation.
pub(super) struct Trace<'a> {
    told: Option<Told<'a>>,
    stage: Stage,
}

impl<'a> Trace<'a> {
    /// Nobody watches.
    pub(super) fn unwatched() -> Self {
        Self {
            told: None,
            stage: Stage::Check,
        }
    }

    pub(super) fn to(told: Told<'a>) -> Self {
        Self {
            told: Some(told),
            ..Self::unwatched()
        }
    }

    /// The stage that was begun last.
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn begin(&mut self, stage: Stage) {
        self.stage = stage;
    }

    fn passed(&mut self, passed: impl FnOnce() -> Passed) {
        if let Some(told) = &mut self.told {
            told(passed());
        }
    }

    pub(super) fn connected(&mut self, address: SocketAddr) {
        self.passed(|| Passed::Connected(address));
    }

    pub(super) fn greeted(&mut self, offer: &Offer) {
        self.passed(|| Passed::Greeted {
            offers: offer.to_string(),
        });
    }

    pub(super) fn encrypted(&mut self, version: &'static str, is_checked: bool) {
        self.passed(|| Passed::Encrypted {
            version,
            is_checked,
        });
    }

    pub(super) fn clear(&mut self, tls: TlsMode) {
        self.passed(|| Passed::Clear {
            is_wanted: tls == TlsMode::None,
        });
    }

    pub(super) fn signed_in(&mut self, user: &str) {
        self.passed(|| Passed::SignedIn {
            user: user.to_owned(),
        });
    }

    pub(super) fn sender(&mut self) {
        self.passed(|| Passed::Sender);
    }

    pub(super) fn recipient(&mut self) {
        self.passed(|| Passed::Recipient);
    }

    /// `words`: code, status and text.
    pub(super) fn accepted(&mut self, words: impl FnOnce() -> String) {
        self.passed(|| Passed::Accepted {
            words: masked(&words()),
        });
    }
}
