//! What a column may be that nobody calls so: told, never taken. Pure.

use super::{
    folded::{Folded, key},
    known::Known,
    synonyms::all,
};

/// What addresses are called in longer names.
const MAIL: [&str; 5] = ["mail", "email", "courriel", "correo", "メール"];

/// Whether a name speaks of mail. As long as it is not sure to be a name, and not somebody's data, it has to say so in a
/// word of its own.
pub(super) fn speaks_of_mail(name: &str, is_sure: bool) -> bool {
    if name.contains(|c: char| c == '@' || c.is_ascii_digit()) {
        return false;
    }
    if is_sure {
        let whole = key(name);
        return MAIL.iter().any(|word| whole.contains(word));
    }
    let mut words = name.split(|c: char| !c.is_alphanumeric()).map(key);
    words.any(|word| MAIL.contains(&word.as_str()))
}

/// The field that a name is off by a letter or two.
pub(super) fn near(name: &Folded) -> Option<Known> {
    let bare = name.bare();
    let length = bare.chars().count();
    let own = Known::ALL.map(|known| (key(known.as_str()), known));
    let own = own.iter().map(|(word, known)| (word.as_str(), *known));
    own.chain(all())
        .filter_map(|(word, known)| {
            let most = match word.chars().count() {
                // Words of syllables are too short to be off by one.
                _ if !word.is_ascii() => return None,
                0..5 => return None,
                // A passport is no password, and a nickname no Nachname.
                5..10 => 1,
                _ if known == Known::Password => 1,
                _ => 2,
            };
            if length.abs_diff(word.len()) > most {
                return None;
            }
            let distance = strsim::osa_distance(bare, word);
            (1..=most).contains(&distance).then_some((distance, known))
        })
        .min()
        .map(|(_, known)| known)
}
