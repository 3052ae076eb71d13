//! The names of columns that hold passwords. None of them is ever an attribute: attributes are shown, exported and logged. Pure.

use std::{collections::HashSet, sync::LazyLock};

use super::folded::{Folded, key};
use crate::model::wire::Flaw;

/// Whole names separated by `|`, under the language or the kind of system that uses them.
pub const PASSWORDS: &[(&str, &str)] = &[
    (
        "English",
        "password | passwd | pass | pwd | pw | passcode | passphrase | initial password | first password | \
         start password | starting password | temporary password | temp password | default password | \
         one-time password | new password | old password | current password | login password | \
         account password | plain password | plain text password | clear text password | \
         generated password | password confirmation | confirm password | repeat password | password hash | \
         hashed password | encrypted password | initial pwd | temp pwd | user pwd",
    ),
    (
        "French",
        "mot de passe | mot de passe initial | mot de passe temporaire | mot de passe provisoire | \
         mot de passe par défaut | mot de passe utilisateur | nouveau mot de passe | \
         confirmation du mot de passe | mdp | mdp initial | phrase de passe | phrase secrète",
    ),
    (
        "German",
        "Passwort | Kennwort | Initialpasswort | Initialkennwort | initiales Passwort | initiales Kennwort | \
         Erstpasswort | Erstkennwort | Startpasswort | Startkennwort | Anfangspasswort | Anfangskennwort | \
         Einmalpasswort | Einmalkennwort | temporäres Passwort | temporäres Kennwort | \
         vorläufiges Passwort | vorläufiges Kennwort | Standardpasswort | Standardkennwort | \
         Benutzerpasswort | Benutzerkennwort | neues Passwort | neues Kennwort | Passwort wiederholen | \
         Kennwort wiederholen | Passwort-Hash | PW initial",
    ),
    (
        "Spanish",
        "contraseña | contraseña inicial | contraseña temporal | contraseña provisional | \
         contraseña predeterminada | contraseña de usuario | nueva contraseña | confirmar contraseña | \
         clave | clave de acceso | clave inicial | frase de contraseña",
    ),
    (
        "Italian",
        "password iniziale | password temporanea | password provvisoria | password predefinita | \
         password utente | nuova password | conferma password | parola d'ordine | parola d'accesso | \
         chiave di accesso",
    ),
    (
        "Portuguese",
        "senha | senha inicial | senha temporária | senha provisória | senha padrão | senha do usuário | \
         senha de acesso | nova senha | confirmar senha | palavra-passe | palavra-passe inicial | \
         palavra-passe temporária | palavra-passe provisória | nova palavra-passe | frase secreta",
    ),
    (
        "Dutch",
        "wachtwoord | paswoord | beginwachtwoord | startwachtwoord | initieel wachtwoord | \
         eerste wachtwoord | tijdelijk wachtwoord | eenmalig wachtwoord | standaardwachtwoord | \
         gebruikerswachtwoord | nieuw wachtwoord | bevestig wachtwoord | wachtwoordzin",
    ),
    (
        "Japanese",
        "パスワード | 初期パスワード | 仮パスワード | 一時パスワード | 新しいパスワード | 新パスワード | ログインパスワード | ユーザーパスワード | ワンタイムパスワード | \
         パスワード確認 | パスフレーズ | 暗証番号",
    ),
    (
        "Systems",
        "userPassword | unicodePwd | passwordProfile | passwordProfile.password | \
         credentials.password | credentials.password.value | profile.password | sambaNTPassword | \
         sambaLMPassword | password_digest",
    ),
];

static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let words = PASSWORDS.iter().flat_map(|(_, words)| words.split(" | "));
    words.map(key).collect()
});

/// Whether a column or an attribute is named like a password. The whole name counts: a word in it does not.
pub(super) fn is_password(name: &Folded) -> bool {
    let is_one = |name: &str| {
        NAMES.contains(name) || NAMES.contains(name.trim_end_matches(|c: char| c.is_ascii_digit()))
    };
    is_one(&name.whole)
        || is_one(&name.outside)
        || name.inside.iter().any(|content| is_one(content))
}

/// Refuses a name that passwords have.
///
/// # Errors
/// `password_like_attribute`.
pub fn check_name(name: &str) -> Result<(), Flaw> {
    if is_password(&Folded::of(name)) {
        return Err(Flaw::new(
            "password_like_attribute",
            "is named like a password, and attributes are shown, exported and logged; a password goes into \
             `password`, anything else needs another name",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_as_passwords_are_is_known() {
        for name in [
            "Password",
            "PASS-WORD",
            "pass_word",
            "Initial password",
            "Passwort",
            "pwd",
            "Password [Required]",
            "Initial password [passwordProfile] Required",
            "Password (old)",
            "Password 2",
            "user.password",
            "Mot de passe",
            "MOT_DE_PASSE",
            "mot de passe (provisoire)",
            "Kennwort",
            "Initial-Passwort",
            "Vorlaufiges Passwort",
            "Contraseña",
            "contrasena",
            "CLAVE",
            "Parola d’ordine",
            "Password iniziale",
            "Senha",
            "Palavra-passe",
            "palavra passe",
            "Wachtwoord",
            "Tijdelijk wachtwoord",
            "パスワード",
            "ﾊﾟｽﾜｰﾄﾞ",
            "初期パスワード",
            "パスワード（確認）",
            "userPassword",
            "unicodePwd",
            "Login (password)",
            "credentials.password.value",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for name in [
            "Password never expires",
            "Last password change",
            "Password Hash Function [UPLOAD ONLY]",
            "Strong password required",
            "passport",
            "Passnummer",
            "Boarding pass",
            "has_password",
            "Schlüssel",
            "keyword",
            "",
            "floor",
        ] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }
}
