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

/// Whole names that systems and people use in eight languages.
#[test]
fn a_password_is_known_in_any_dress() {
    for names in [
        "password; passwd; pass; pwd; pw; passcode; passphrase; initial password",
        "first password; start password; starting password; temporary password; temp password; default password; one-time password; new password",
        "old password; current password; login password; account password; plain password; plain text password; clear text password; generated password",
        "password confirmation; confirm password; repeat password; password hash; hashed password; encrypted password; initial pwd; temp pwd",
        "user pwd; mot de passe; mot de passe initial; mot de passe temporaire; mot de passe provisoire; mot de passe par défaut; mot de passe utilisateur; nouveau mot de passe",
        "confirmation du mot de passe; mdp; mdp initial; phrase de passe; phrase secrète; Passwort; Kennwort; Initialpasswort",
        "Initialkennwort; initiales Passwort; initiales Kennwort; Erstpasswort; Erstkennwort; Startpasswort; Startkennwort; Anfangspasswort",
        "Anfangskennwort; Einmalpasswort; Einmalkennwort; temporäres Passwort; temporäres Kennwort; vorläufiges Passwort; vorläufiges Kennwort; Standardpasswort",
        "Standardkennwort; Benutzerpasswort; Benutzerkennwort; neues Passwort; neues Kennwort; Passwort wiederholen; Kennwort wiederholen; Passwort-Hash",
        "PW initial; contraseña; contraseña inicial; contraseña temporal; contraseña provisional; contraseña predeterminada; contraseña de usuario; nueva contraseña",
        "confirmar contraseña; clave; clave de acceso; clave inicial; frase de contraseña; password iniziale; password temporanea; password provvisoria",
        "password predefinita; password utente; nuova password; conferma password; parola d'ordine; parola d'accesso; chiave di accesso; senha",
        "senha inicial; senha temporária; senha provisória; senha padrão; senha do usuário; senha de acesso; nova senha; confirmar senha",
        "palavra-passe; palavra-passe inicial; palavra-passe temporária; palavra-passe provisória; nova palavra-passe; frase secreta; wachtwoord; paswoord",
        "beginwachtwoord; startwachtwoord; initieel wachtwoord; eerste wachtwoord; tijdelijk wachtwoord; eenmalig wachtwoord; standaardwachtwoord; gebruikerswachtwoord",
        "nieuw wachtwoord; bevestig wachtwoord; wachtwoordzin; パスワード; 初期パスワード; 仮パスワード; 一時パスワード; 新しいパスワード",
        "新パスワード; ログインパスワード; ユーザーパスワード; ワンタイムパスワード; パスワード確認; パスフレーズ; 暗証番号; userPassword",
        "unicodePwd; passwordProfile; passwordProfile.password; credentials.password; credentials.password.value; profile.password; sambaNTPassword; sambaLMPassword",
        "password_digest",
        // With words around it.
        "AD-Passwort; Windows-Kennwort; Initial-PW; Start-PW; Pwd neu; Passwort Office 365; WLAN-Passwort; Kennwort Windows",
        "Zugangskennwort; Login/Passwort; Erstes Passwort; Temp. Passwort; SAP Passwort; Passw.; Kennw.; 初期PW; 初期pw",
        "Passwort bei Erstanmeldung; user_pass; ad_password; login_pwd; Initial PW; Init-PW; Temp PW; password_plain",
        "passwords; Passwörter; Email password; Kennwort neu; 1. Passwort; ぱすわーど; Parola chiave; Pwd Hash; PW1; pw 2",
        "Passwort Windows; Windows password; Wi-Fi password; E-mail password; Portal-Passwort; Your password",
        "Mot de passe Windows; Senha do e-mail; Zugangscode; Secret; userPwd; UserPW; unicodePwd; Paßwort; MDP messagerie",
        "Nieuw wachtwoord (eenmalig); Wachtwoord Office; Contraseña del correo; Clave 1; ログインパスワード（初回）",
        "Password (please change); Passwort (bitte ändern); Password (expires 1 May); Password [must change password]",
        "Your_initial_password_2; PASSWORT; P a s s w o r d",
        // As an attribute.
        "attributes.password; Attributes.Password; attributes.attributes.pwd; ATTRIBUTES_pass; attributes.clave",
        // In an encoding that was not the file's.
        "Contrase¤a; Contrase–a; Contrase\u{FFFD}a; ContraseÃ±a; Contrase?a; CONTRASE—A; Nueva contrase\u{96}a",
        "Passw\u{FFFD}rter; PasswÃ¶rter; Pa\u{E1}wort; Vorl„ufiges Passwort; Kennw”rter",
    ] {
        for name in names.split("; ") {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
    for names in [
        "Last password change time stamp; lastPasswordChangeDateTime; PasswordLastSet; pwdLastSet; badPwdCount",
        "PasswordExpired; PasswordNeverExpires; PasswordNotRequired; CannotChangePassword; passwordPolicies",
        "Change Password at Next Sign-In; forceChangePasswordNextSignIn; passwordless; Passwordless sign-in",
        "Passwort geändert am; Passwort zuletzt geändert; Letzte Passwortänderung; Kennwort läuft nie ab; Passwortlos",
        "Date de changement du mot de passe; Último cambio de contraseña; Scadenza password; Senha nunca expira",
        "Wachtwoord gewijzigd op; パスワード変更日; Attributes.Password never expires; Password Expiry (UTC)",
        "Boarding pass; Reisepass; Pass number; Passfoto; Clave de empleado; Clave producto; desenhador; keyword",
        "PWR; Spawn; Apple PWx; passport; compass; Schlüsselwort; Codeword; PIN code; Zugang; Secretary; パス; 番号",
    ] {
        for name in names.split("; ") {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_name_panics(name: String) {
        let _ = check_name(&name);
    }
}
