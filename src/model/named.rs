//! The words for things, as people are told of them. Pure.

/// What has an id in a path, and a word that people know it by.
pub trait Named {
    /// The word for it in "There is no such …".
    const NAME: &'static str;
}
