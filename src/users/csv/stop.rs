//! Why a workbook is not read.

use std::io;

use zip::result::ZipError;

use crate::model::wire::Flaw;

/// As much as a workbook may unfold to.
pub(super) const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Why a workbook is not read.
pub(super) enum Stop {
    Flaw(Flaw),
    Io(io::Error),
}

impl Stop {
    pub(super) fn damaged(why: &str) -> Self {
        let why: String = why.chars().take(200).collect();
        Self::Flaw(Flaw::new(
            "damaged_workbook",
            format!(
                "the workbook cannot be read ({why}); open it, save it again as .xlsx, or save it as CSV UTF-8"
            ),
        ))
    }

    pub(super) fn much(what: &str) -> Self {
        Self::Flaw(Flaw::new(
            "workbook_too_large",
            format!(
                "the workbook {what}; {} MiB is the most that it may unfold to. Save its first sheet as CSV UTF-8",
                MOST_BYTES / 1024 / 1024
            ),
        ))
    }
}

/// What is read is the archive, and wrong as such.
impl From<ZipError> for Stop {
    fn from(error: ZipError) -> Self {
        Self::damaged(&error.to_string())
    }
}

impl From<quick_xml::Error> for Stop {
    fn from(error: quick_xml::Error) -> Self {
        Self::damaged(&error.to_string())
    }
}

/// What is written is ours.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
