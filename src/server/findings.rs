//! What is found when the service's settings are looked at, a line each.

use std::fmt;

/// How it stands with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// It works, and something should be known or done.
    Warning,
    /// It does not work.
    Failed,
}

/// What was looked at, and what was found. `Display` is one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    about: &'static str,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
        };
        write!(f, "{verdict:<7}  {}: {}", self.about, self.text)
    }
}

/// Says what is found of one thing after the other.
pub(super) struct Findings<'a> {
    pub(super) about: &'static str,
    pub(super) told: &'a mut dyn FnMut(Finding),
}

impl Findings<'_> {
    pub(super) fn about(&mut self, about: &'static str) -> &mut Self {
        self.about = about;
        self
    }

    pub(super) fn say(&mut self, verdict: Verdict, text: impl Into<String>) {
        (self.told)(Finding {
            verdict,
            about: self.about,
            text: text.into(),
        });
    }
}
