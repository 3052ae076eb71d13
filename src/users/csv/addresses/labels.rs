//! What stands in front of a colon: words that only say what follows, a group's name, or somebody's name. Pure.

use super::{
    super::{
        folded::{Folded, key},
        synonyms::{field_of, is_bare_name},
    },
    entry::Entry,
    part::Part,
};

/// What mail programs write in front of addresses, [folded](key).
const HEADINGS: &str = "to cc bcc from sender replyto recipients an kopie blindkopie von empfanger absender a pour de cci \
    destinataires para cco per da ccn destinatari aan van ontvangers 宛先 差出人 送信者 受信者";

/// Whether a text names no group and nobody: `To`, `E-Mail`.
pub(super) fn says_what_follows(text: &str) -> bool {
    let folded = Folded::of(text);
    let is_address = text.contains(['@', '＠']);
    let is_known = field_of(&folded).is_some()
        || is_bare_name(folded.bare())
        || HEADINGS.split(' ').any(|heading| heading == key(text));
    is_known && !is_address
}

/// What stands behind a label: with one bare address, the label is its name.
pub(super) struct Group {
    pub(super) label: Vec<Part>,
    pub(super) first: Option<Entry>,
    /// The label has a line of its own.
    pub(super) is_heading: bool,
}

impl Group {
    pub(super) fn of(label: Vec<Part>) -> Self {
        Self {
            label,
            first: None,
            is_heading: false,
        }
    }
}
