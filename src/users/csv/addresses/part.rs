//! Words of a list, and what they may be. Pure.

/// Words between commas.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) line: u32,
    pub(super) text: String,
    /// Without comments.
    pub(super) name: String,
    pub(super) field: Field,
}

/// What a table's header says that words are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    First,
    Last,
}

/// Words as they are written, with their commas.
pub(super) fn texts(parts: &[Part]) -> String {
    let texts: Vec<&str> = parts.iter().map(|part| &*part.text).collect();
    texts.join(", ")
}
