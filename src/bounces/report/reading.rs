//! Finds out what kind of report a mail is. Pure.

use super::{
    fields::{self, Recipient},
    parts::Parts,
    told,
};

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// What became of a mail, for each recipient of whom it says something.
    Status(Vec<Recipient>),
    /// Somebody does not want the mail: who, if it says so.
    Complaint(Vec<String>),
}

impl Report {
    /// Reads a mail and its parts. The first part that is a report counts, also one that was sent on inside of another
    /// mail. `None` if there is none: of mails for people only those from servers count that say that a mail did not
    /// arrive, so no automatic reply, no receipt (RFC 8098), and nothing from a list.
    pub fn read(mail: &[u8], parts: &Parts) -> Option<Self> {
        for leaf in &parts.leaves {
            match leaf.kind.as_str() {
                "message/delivery-status" | "message/global-delivery-status" => {
                    let mut recipients = fields::recipients(&leaf.content);
                    for one in recipients.iter_mut().filter(|one| one.words.is_none()) {
                        let address = one.last.as_deref().or(one.first.as_deref());
                        one.words = address.and_then(|address| told::about(address, parts));
                    }
                    return (!recipients.is_empty()).then_some(Self::Status(recipients));
                }
                "message/feedback-report" => {
                    return fields::complaint(&leaf.content).map(Self::Complaint);
                }
                "message/disposition-notification" | "message/global-disposition-notification" => {
                    return None;
                }
                _ => {}
            }
        }
        told::read(mail, parts).map(|recipient| Self::Status(vec![recipient]))
    }
}
