//! The names of columns that hold passwords. None of them is ever an attribute: attributes are shown, exported and logged. Pure.

use std::sync::LazyLock;

use super::folded::{Folded, key};
use crate::model::wire::Flaw;

/// What is a password's wherever it stands in a name.
pub const ANYWHERE: &str = "password | passwd | paswd | passphrase | passcode | Passwort | Passwörter | Paßwort | Kennwort | \
    Kennwörter | mot de passe | mots de passe | phrase de passe | contraseña | frase de acceso | parola d'ordine | \
    parola d'accesso | parola chiave | parola segreta | palavra-passe | palavras-passe | frase secreta | phrase secrète | \
    wachtwoord | paswoord | wachtzin | パスワード | ぱすわーど | パスフレーズ | 暗証番号";

/// What is a password's where it is a word of a name: `Initial PW`, `user_pwd`, `Senha do e-mail`.
pub const AS_A_WORD: &str =
    "pw | pws | pwd | pwds | pswd | psw | passw | pword | Kennw | mdp | senha | senhas";

/// What is a password's as a whole name, but not beside other words: a boarding pass is none.
pub const WHOLE: &str = "pass | user pass | userpass | login pass | AD pass | Windows pass | mail pass | email pass | \
    initial pass | init pass | temp pass | new pass | old pass | userpwd | userpw | initpw | temppw | \
    secret | Zugangscode | clave | claves | clave de acceso | clave inicial | clave temporal | clave de usuario | \
    chiave di accesso | código de acesso | toegangscode | initial secret";

/// What says of a name with such a word that it is not the password itself.
pub const OTHERWISE: &str = "passwordless | password last set | last password set | last password change | password last changed | \
    password changed | password change date | password change required | password set on | password age | \
    password never expires | password doesn't expire | password expires | password expiry | password expiration | \
    password expired | password not required | strong password required | change password at | must change password | \
    force change password | cannot change password | password policy | password policies | password hash function | \
    password manager | password reset required | bad password | bad pwd | pwd last set | pwd changed | has password | \
    mot de passe modifié le | changement du mot de passe | changement de mot de passe | expiration du mot de passe | \
    mot de passe n'expire jamais | politique de mot de passe | gestionnaire de mots de passe | \
    Passwort geändert | Passwort zuletzt geändert | Passwortänderung | Passwortwechsel | Passwort läuft | Passwortablauf | \
    Passwort gültig bis | Passwortrichtlinie | Passwortmanager | passwortlos | Kennwort geändert | Kennwort zuletzt geändert | \
    Kennwortänderung | Kennwortwechsel | Kennwort läuft | Kennwortablauf | Kennwort gültig bis | Kennwortrichtlinie | kennwortlos | \
    cambio de contraseña | contraseña modificada | contraseña nunca caduca | contraseña caduca | caducidad de la contraseña | \
    cambio password | scadenza password | password scade | gestore di password | \
    alteração da senha | alteração de senha | senha nunca expira | senha expira | expiração da senha | \
    alteração da palavra-passe | palavra-passe nunca expira | wachtwoord gewijzigd | wachtwoordwijziging | \
    wachtwoord verloopt | wachtwoordbeleid | パスワード変更日 | パスワード有効期限 | パスワード無期限 | 最終パスワード変更";

/// Words of at least so many letters are known also where an encoding that was not the file's took some of them away.
const ENOUGH: usize = 6;

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let keys = |words: &str| words.split(" | ").map(key).collect();
    let damaged = ANYWHERE.split(" | ").filter(|word| !word.is_ascii());
    Keys {
        anywhere: keys(ANYWHERE),
        damaged: damaged
            .map(ascii)
            .filter(|word| word.len() >= ENOUGH)
            .collect(),
        as_a_word: keys(AS_A_WORD),
        whole: keys(WHOLE),
        otherwise: keys(OTHERWISE),
    }
});

/// The lists, as names are compared.
struct Keys {
    anywhere: Vec<String>,
    damaged: Vec<String>,
    as_a_word: Vec<String>,
    whole: Vec<String>,
    otherwise: Vec<String>,
}

/// Whether a column or an attribute is named like a password.
pub(super) fn is_password(name: &str) -> bool {
    let keys = &*KEYS;
    let folded = Folded::of(name);
    // What stands in brackets may be said of a password, and numbers tell several of them apart.
    let around = folded.around.as_str();
    if keys.otherwise.iter().any(|other| around.contains(other)) {
        return false;
    }
    let mut parts = folded.inside.iter().map(String::as_str);
    let is_whole = |part: &str| {
        let part = unprefixed(part).trim_matches(|c: char| c.is_ascii_digit());
        keys.whole.iter().any(|whole| whole == part)
    };
    let plain = ascii(name);
    keys.anywhere.iter().any(|word| folded.whole.contains(word))
        || keys.damaged.iter().any(|word| plain.contains(word))
        || words(name).any(|word| keys.as_a_word.contains(&word))
        || is_whole(&folded.whole)
        || is_whole(folded.outside())
        || parts.any(is_whole)
}

/// Without what an export writes in front of attributes, however often.
fn unprefixed(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix("attributes") {
        name = rest;
    }
    name
}

/// The letters and digits that every encoding has, in lower case.
fn ascii(name: &str) -> String {
    let plain = name.chars().filter(char::is_ascii_alphanumeric);
    plain.map(|c| c.to_ascii_lowercase()).collect()
}

/// The words of a name, [folded](key): between other characters, between scripts, and as `camelCase` parts them. Numbers
/// are none.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let is_new = !c.is_alphabetic()
            || (before.is_lowercase() && c.is_uppercase())
            || is_of_syllables(before) != is_of_syllables(c);
        if is_new {
            words.push(String::new());
        }
        if c.is_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.push(c);
        }
        before = c;
    }
    words.into_iter().map(|word| key(&word))
}

/// Whether it is of a script that puts no blanks between words: kana and kanji.
fn is_of_syllables(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{FF66}'..='\u{FF9D}')
}

/// Refuses a name that passwords have.
///
/// # Errors
/// `password_like_attribute`.
pub fn check_name(name: &str) -> Result<(), Flaw> {
    if is_password(name) {
        return Err(Flaw::new(
            "password_like_attribute",
            "is named like a password, and attributes are shown, exported and logged; a password goes into \
             `password`, anything else needs another name",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
