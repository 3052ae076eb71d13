//! A name with what people spell differently taken out: case, accents, separators, harmless words in brackets. Pure.

pub(super) use crate::model::characters::folded as key;

/// Behind a name, these say how to fill it in, and not what it is.
const NOISE: &str = "required mandatory optional readonly uploadonly pflichtfeld erforderlich obligatoire obligatorio \
    obligatoria obbligatorio verplicht 必須 任意";

/// In brackets, these say no more than the name does; anything else may make another address, another person or another
/// spelling of it. Separated by `|`.
const HARMLESS: &str = "1|work|required|mandatory|optional|read only|upload only|primary|main|legal|full|official|text|yes/no|\
    true/false|ISO|ISO 639|ISO 639-1|BCP 47|IANA|Pflichtfeld|Pflicht|erforderlich|optional|ja/nein|dienstlich|geschäftlich|\
    beruflich|obligatoire|facultatif|oui/non|professionnel|professionnelle|obligatorio|opcional|sí/no|obbligatorio|facoltativo|\
    sì/no|obrigatório|sim/não|profissional|verplicht|optioneel|ja/nee|zakelijk|必須|任意|漢字|全角|半角|はい/いいえ";
/// Those that say whose an address is: the firm's. A name with such a word is the firm's own.
const OF_A_FIRM: &str = "business|company|corporate|office|professional|organization|organisation|job|Firma|Arbeit|Büro|Dienst|\
    Geschäft|entreprise|société|bureau|travail|pro|empresa|trabajo|laboral|oficina|corporativo|azienda|aziendale|lavoro|ufficio|\
    trabalho|escritório|werk|bedrijf|kantoor|会社|勤務先|業務用|仕事用|仕事";

/// A name as names are compared.
#[derive(Debug, Clone)]
pub(super) struct Folded {
    /// All of it.
    pub(super) whole: String,
    /// Without what stands in brackets, where that leaves something.
    pub(super) around: String,
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
        let around = match key(&outside) {
            empty if empty.is_empty() => whole.clone(),
            around => around,
        };
        Self {
            whole,
            around,
            inside,
        }
    }

    /// Without what stands in brackets and without a word such as `required`, where that leaves something.
    pub(super) fn outside(&self) -> &str {
        if self.around == self.whole && !self.inside.is_empty() {
            return &self.around;
        }
        without_noise(&self.around)
    }

    /// Without what stands in brackets, where that says no more.
    pub(super) fn bare(&self) -> &str {
        if self.inside_is(|content| is_in(HARMLESS, content)) {
            self.outside()
        } else {
            &self.whole
        }
    }

    /// Whether all that stands in brackets is such a word.
    pub(super) fn inside_is(&self, is_such: impl Fn(&str) -> bool) -> bool {
        let mut contents = self.inside.iter().filter(|content| !content.is_empty());
        contents.all(|content| is_such(content))
    }
}

/// Whether a word in brackets leaves an address the user's own.
pub(super) fn is_harmless_of_address(content: &str) -> bool {
    is_in(HARMLESS, content) || is_in(OF_A_FIRM, content)
}

fn is_in(words: &str, content: &str) -> bool {
    words.split('|').any(|word| key(word) == content)
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
            ("Name (Firma)", "namefirma", "namefirma"),
            ("Vorname (Vater)", "vornamevater", "vornamevater"),
            ("Name (Geburt)", "namegeburt", "namegeburt"),
            ("Aktiv (ja/nein)", "aktivjanein", "aktiv"),
            ("Email (work) [Required]", "emailworkrequired", "email"),
            ("Email (work) [boss]", "emailworkboss", "emailworkboss"),
            ("氏名（カナ）", "氏名カナ", "氏名カナ"),
            ("Name (work", "namework", "namework"),
            ("required", "required", "required"),
            ("()", "", ""),
            ("", "", ""),
            (
                "\u{16ff0} \u{1bc9e}",
                "\u{1bc9e}\u{16ff0}",
                "\u{1bc9e}\u{16ff0}",
            ),
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
