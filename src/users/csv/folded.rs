//! A name with what people spell differently taken out: case, accents, separators, words in brackets. Pure.

use unicode_normalization::UnicodeNormalization;

/// Behind a name, these say how to fill it in, and not what it is.
const NOISE: &str = "required mandatory optional readonly uploadonly pflichtfeld erforderlich obligatoire obligatorio \
    obligatoria obbligatorio verplicht 必須 任意";

/// In brackets, these make something else of a name. First another address, then another person, then another way
/// to write a name.
const ANOTHER: &str = "private privat prive privado privada personal personnel perso personlich persoonlijk pessoal \
    particular home maison domicile casa thuis secondary second secund segund zweit tweede alternat other andere autre \
    otro altro outro backup recovery old former previous 個人 自宅 予備 副 \
    manager supervisor superior vorgesetzt responsable responsabile leidinggevende emergency notfall urgence \
    emergencia emergenza nood assistant spouse parent guardian 上司 緊急 \
    kana phonetic romaji カナ かな ガナ がな ローマ字 英字";

/// A name as names are compared.
#[derive(Debug, Clone)]
pub(super) struct Folded {
    /// All of it.
    pub(super) whole: String,
    /// Without what stands in brackets and without a word such as `required`, where that leaves something.
    pub(super) outside: String,
    /// What stands in brackets, each.
    pub(super) inside: Vec<String>,
}

impl Folded {
    pub(super) fn of(name: &str) -> Self {
        let (mut outside, mut inside) = (String::new(), Vec::new());
        let mut rest = name;
        while let Some((before, content, after)) = bracketed(rest) {
            outside.push_str(before);
            outside.push(' ');
            inside.push(key(content));
            rest = after;
        }
        outside.push_str(rest);
        let whole = key(name);
        let outside = match key(&outside) {
            empty if empty.is_empty() => whole.clone(),
            outside => without_noise(&outside).to_owned(),
        };
        Self {
            whole,
            outside,
            inside,
        }
    }

    /// Without what stands in brackets, unless that makes something else of it.
    pub(super) fn bare(&self) -> &str {
        let is_another = |content: &String| {
            ANOTHER.split(' ').any(|word| content.contains(word))
                || (content != "1" && content.chars().all(|c| c.is_ascii_digit()))
        };
        let mut contents = self.inside.iter().filter(|content| !content.is_empty());
        if contents.any(is_another) {
            &self.whole
        } else {
            &self.outside
        }
    }
}

/// Letters and digits alone, in lower case and without accents: `Prénom`, `PRENOM` and `pre-nom` are the same, and so
/// are `firstName` and `first_name`. Marks that make another letter of one, as in Japanese, stay.
pub(super) fn key(name: &str) -> String {
    let is_accent = |c: &char| matches!(c, '\u{300}'..='\u{36F}');
    let bare = name.nfkd().filter(|c| !is_accent(c)).nfc();
    let lower = bare.flat_map(char::to_lowercase);
    lower.filter(|c| c.is_alphanumeric()).collect()
}

fn without_noise(name: &str) -> &str {
    let mut words = NOISE.split(' ');
    words
        .find_map(|word| name.strip_suffix(word).filter(|rest| !rest.is_empty()))
        .unwrap_or(name)
}

/// The first brackets that are closed: what stands before, in and after them.
fn bracketed(text: &str) -> Option<(&str, &str, &str)> {
    let close = |open| match open {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        '（' => '）',
        '【' => '】',
        '［' => '］',
        _ => '」',
    };
    let (start, open) = text
        .char_indices()
        .find(|(_, c)| "([{<（【［「".contains(*c))?;
    let content = &text[start + open.len_utf8()..];
    let (content, after) = content.split_once(close(open))?;
    Some((&text[..start], content, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_however_they_are_spelt() {
        for (name, whole, bare) in [
            ("First Name", "firstname", "firstname"),
            ("firstName", "firstname", "firstname"),
            ("FIRST-NAME", "firstname", "firstname"),
            ("first.name", "firstname", "firstname"),
            ("first/name", "firstname", "firstname"),
            ("  First_Name * ", "firstname", "firstname"),
            ("Ｆｉｒｓｔ　Ｎａｍｅ", "firstname", "firstname"),
            ("Prénom", "prenom", "prenom"),
            ("PRE\u{301}NOM", "prenom", "prenom"),
            ("Contraseña", "contrasena", "contrasena"),
            ("Nom d’utilisateur", "nomdutilisateur", "nomdutilisateur"),
            ("İsim", "isim", "isim"),
            ("ﾒｰﾙ", "メール", "メール"),
            ("パスワード", "パスワード", "パスワード"),
            ("Password [Required]", "passwordrequired", "password"),
            ("Name (work)", "namework", "name"),
            ("Email Required", "emailrequired", "email"),
            ("氏名（漢字）", "氏名漢字", "氏名"),
            ("[email]", "email", "email"),
            ("E-Mail (privat)", "emailprivat", "emailprivat"),
            ("Email (2)", "email2", "email2"),
            ("Email (1)", "email1", "email"),
            ("氏名（カナ）", "氏名カナ", "氏名カナ"),
            ("Name (work", "namework", "namework"),
            ("required", "required", "required"),
            ("()", "", ""),
            ("", "", ""),
        ] {
            let folded = Folded::of(name);
            assert_eq!((&*folded.whole, folded.bare()), (whole, bare), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_panics(name: String) {
            let folded = Folded::of(&name);
            proptest::prop_assert_eq!(key(&folded.whole), folded.whole.as_str());
        }
    }
}
