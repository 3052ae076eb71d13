//! Words of a list, and what they may be. Pure.

/// Words between commas.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) line: u32,
    pub(super) text: String,
    /// Without comments.
    pub(super) name: String,
}

/// Words as they are written, with their commas.
pub(super) fn texts(parts: &[Part]) -> String {
    let texts: Vec<&str> = parts.iter().map(|part| &*part.text).collect();
    texts.join(", ")
}
