//! A test mail, as the API takes and tells it. Pure.

use deserr::Deserr;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{identity::Email, wire::Faults};

/// The body of `POST /mail/test`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct TestMailRequest {
    /// Whom the test mail goes to.
    #[schema(value_type = String, format = "email", max_length = 254, examples("it@example.com"))]
    pub to: Email,
}

/// One stage on the way of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TestedStage {
    /// `connect`, `greeting`, `tls`, `sign_in`, `sender`, `recipient`, `message`; `check`: before the server is asked.
    #[schema(value_type = String, examples("connect"))]
    pub stage: &'static str,
    /// Whether it was passed. The one that was not is the last.
    pub ok: bool,
    /// What was found there; what has the shape of a secret is `***`.
    pub detail: String,
}

/// What became of a test mail.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct TestedMail {
    /// Whether the mail server took it. A report that it could not be delivered may still come.
    pub accepted: bool,
    /// In their order. `greeting` comes again once the connection is encrypted.
    pub stages: Vec<TestedStage>,
    /// What went wrong.
    #[schema(required)]
    pub reason: Option<String>,
    /// The reply code of the refusal.
    #[schema(required)]
    pub smtp_code: Option<u16>,
    /// Its enhanced status code (RFC 3463).
    #[schema(required)]
    pub enhanced_status: Option<String>,
    /// What to do about it.
    #[schema(required, value_type = Option<String>)]
    pub remedy: Option<&'static str>,
}
