//! What other systems and other languages call the fields of a user. `docs/columns.md` lists the same. Pure.

use std::{collections::HashMap, sync::LazyLock};

use super::{
    folded::{Folded, is_harmless_of_address, key},
    known::Known,
};

/// For each field and each language or kind of system the names, separated by `|`. Passwords have a list of their own.
#[rustfmt::skip]
pub const SYNONYMS: &[(Known, &[(&str, &str)])] = &[
    (Known::Username, &[
        ("English", "user id | login | login name | login id | user login | sign-in name | logon name | account name | user account"),
        ("French", "nom d'utilisateur | utilisateur | identifiant | identifiant de connexion | nom de connexion | nom de compte"),
        ("German", "Benutzername | Benutzer | Benutzerkennung | Benutzer-ID | Anmeldename | Nutzername | Kontoname"),
        ("Spanish", "nombre de usuario | usuario | id de usuario | nombre de cuenta | nombre de inicio de sesión"),
        ("Italian", "nome utente | utente | id utente | nome account | nome di accesso"),
        ("Portuguese", "nome de usuário | nome de utilizador | nome do usuário | usuário | utilizador | nome da conta"),
        ("Dutch", "gebruikersnaam | gebruiker | gebruikers-id | inlognaam | aanmeldnaam | loginnaam | accountnaam"),
        ("Japanese", "ユーザー名 | ユーザ名 | ユーザーID | ユーザID | ログイン名 | ログインID | アカウント名 | サインイン名"),
        ("Okta", "profile.login"),
        ("Entra ID and Microsoft 365", "userPrincipalName | UPN"),
        ("LDAP", "uid | sAMAccountName"),
    ]),
    (Known::Email, &[
        ("English", "email address | mail | mail address | work email | work email address | email work | work mail | business email | business email address | company email | company email address | corporate email | office email | official email | primary email | primary email address"),
        ("French", "courriel | adresse courriel | adresse e-mail | adresse mail | adresse électronique | adresse de messagerie | courrier électronique | mél | e-mail professionnel | courriel professionnel | mail professionnel | adresse e-mail professionnelle | mail pro | email pro"),
        ("German", "E-Mail-Adresse | Mailadresse | geschäftliche E-Mail | geschäftliche E-Mail-Adresse | E-Mail geschäftlich | dienstliche E-Mail | dienstliche E-Mail-Adresse | E-Mail dienstlich | berufliche E-Mail | berufliche E-Mail-Adresse | Firmen-E-Mail | Dienst-E-Mail | Geschäfts-E-Mail"),
        ("Spanish", "correo | correo electrónico | dirección de correo | dirección de correo electrónico | dirección de email | correo corporativo | correo electrónico corporativo | correo de trabajo | correo electrónico de trabajo | correo laboral | correo electrónico laboral | email corporativo"),
        ("Italian", "posta elettronica | indirizzo email | indirizzo mail | indirizzo di posta elettronica | email aziendale | mail aziendale | indirizzo email aziendale | email di lavoro | email lavoro"),
        ("Portuguese", "correio eletrónico | endereço de e-mail | endereço de correio eletrónico | endereço eletrônico | e-mail corporativo | e-mail de trabalho | e-mail profissional"),
        ("Dutch", "e-mailadres | mailadres | zakelijke e-mail | zakelijk e-mailadres | werk e-mail | e-mail werk | werkmail"),
        ("Japanese", "メール | メールアドレス | 電子メール | 電子メールアドレス | Eメール | Eメールアドレス | 会社メール | 会社メールアドレス | 勤務先メールアドレス | 業務用メールアドレス | 仕事用メールアドレス"),
        ("Google Workspace", "E-mail 1 - Value"),
        ("Okta", "user.email | profile.email"),
        ("Entra ID and Microsoft 365", "primary SMTP address | WindowsEmailAddress"),
        ("LDAP", "rfc822Mailbox"),
        ("SCIM", "emails | emails.value | emails.work.value"),
        ("HR systems", "email - work | email - primary work | primary work email | work contact: work email"),
    ]),
    (Known::FirstName, &[
        ("English", "given name | given names | first names | forename | forenames | christian name | fname"),
        ("French", "prénom | prénoms | prénom usuel | prénom d'usage"),
        ("German", "Vorname | Vornamen | Rufname"),
        ("Spanish", "nombres | nombre de pila | primer nombre"),
        ("Italian", "nome di battesimo | primo nome | nome proprio"),
        ("Portuguese", "primeiro nome | nome próprio | prenome"),
        ("Dutch", "voornaam | voornamen | roepnaam"),
        ("Japanese", "名 | 下の名前 | ファーストネーム"),
        ("Okta", "user.firstName | profile.firstName"),
        ("SCIM", "name.givenName"),
        ("HR systems", "legal first name | preferred first name"),
    ]),
    (Known::LastName, &[
        ("English", "surname | family name | last names | lname"),
        ("French", "nom de famille | nom usuel | nom d'usage | nom patronymique"),
        ("German", "Nachname | Familienname | Zuname"),
        ("Spanish", "apellido | apellidos | primer apellido | apellido paterno"),
        ("Italian", "cognome | cognomi"),
        ("Portuguese", "sobrenome | último nome | nome de família"),
        ("Dutch", "achternaam | familienaam"),
        ("Japanese", "姓 | 氏 | 苗字 | 名字 | ラストネーム"),
        ("Okta", "user.lastName | profile.lastName"),
        ("LDAP", "sn"),
        ("SCIM", "name.familyName"),
        ("HR systems", "legal last name | preferred last name"),
    ]),
    (Known::DisplayName, &[
        ("English", "full name | complete name | employee name | first and last name | first name last name"),
        ("French", "nom complet | nom affiché | nom d'affichage | nom à afficher | prénom et nom | prénom nom | nom et prénom"),
        ("German", "Anzeigename | vollständiger Name | Vollname | kompletter Name | Vor- und Nachname | Vorname Nachname"),
        ("Spanish", "nombre completo | nombre para mostrar | nombre visible | nombre y apellidos"),
        ("Italian", "nome completo | nome visualizzato | nome da visualizzare | nome e cognome | nominativo"),
        ("Portuguese", "nome completo | nome de exibição | nome para exibição | nome a apresentar | nome e sobrenome"),
        ("Dutch", "volledige naam | weergavenaam | voor- en achternaam"),
        ("Japanese", "表示名 | 氏名 | 姓名 | フルネーム"),
        ("Okta", "user.displayName | profile.displayName"),
        ("LDAP", "cn | common name"),
        ("SCIM", "name.formatted"),
    ]),
    (Known::Locale, &[
        ("English", "language | preferred language | language preference | language code | language tag | lang | locale code | default locale"),
        ("French", "langue | langue préférée | langue de préférence | langue de correspondance | code langue"),
        ("German", "Sprache | bevorzugte Sprache | Korrespondenzsprache | Sprachcode | Gebietsschema"),
        ("Spanish", "idioma | idioma preferido | código de idioma | configuración regional"),
        ("Italian", "lingua | lingua preferita | codice lingua"),
        ("Portuguese", "idioma preferencial | língua | língua preferida | língua preferencial | código do idioma"),
        ("Dutch", "taal | voorkeurstaal | taalcode | landinstelling"),
        ("Japanese", "言語 | 使用言語 | 優先言語 | 希望言語 | 言語コード | ロケール"),
        ("Okta", "profile.locale | profile.preferredLanguage"),
    ]),
    (Known::TimeZone, &[
        ("English", "time zone id | IANA time zone | zoneinfo | tz"),
        ("French", "fuseau horaire | fuseau"),
        ("German", "Zeitzone"),
        ("Spanish", "zona horaria | huso horario"),
        ("Italian", "fuso orario"),
        ("Portuguese", "fuso horário | zona horária"),
        ("Dutch", "tijdzone"),
        ("Japanese", "タイムゾーン | 時間帯"),
        ("Okta", "profile.timezone"),
    ]),
    (Known::AppleAccount, &[
        ("English", "managed apple id | managed apple account id"),
        ("French", "identifiant Apple géré | compte Apple géré"),
        ("German", "verwaltete Apple-ID | verwalteter Apple Account | verwaltetes Apple-Konto"),
        ("Spanish", "Apple ID gestionado | ID de Apple gestionado | cuenta de Apple gestionada | Apple ID administrado"),
        ("Italian", "Apple ID gestito | ID Apple gestito | account Apple gestito"),
        ("Portuguese", "ID Apple gerido | ID Apple gerenciado | conta Apple gerida | conta Apple gerenciada"),
        ("Dutch", "beheerde Apple ID | beheerd Apple Account"),
        ("Japanese", "管理対象Apple ID | 管理対象Apple Account | 管理対象Appleアカウント"),
    ]),
    (Known::Enabled, &[
        ("English", "active | is active | is enabled | user enabled | account active | account status"),
        ("French", "actif | activé | compte actif | compte activé"),
        ("German", "aktiv | aktiviert | Konto aktiv | Konto aktiviert | Kontostatus"),
        ("Spanish", "activo | habilitado | cuenta activa | cuenta habilitada"),
        ("Italian", "attivo | abilitato | account attivo | account abilitato"),
        ("Portuguese", "ativo | ativado | conta ativa | conta habilitada"),
        ("Dutch", "actief | ingeschakeld | account actief | account ingeschakeld"),
        ("Japanese", "有効 | アカウント有効 | 有効フラグ"),
        ("Google Workspace", "Status [READ ONLY]"),
        ("Entra ID and Microsoft 365", "accountEnabled"),
    ]),
    (Known::Groups, &[
        ("English", "group | group name | group names | group membership | group memberships | user groups"),
        ("French", "groupe | groupes | nom du groupe | groupes d'utilisateurs"),
        ("German", "Gruppe | Gruppen | Gruppenname | Benutzergruppe | Benutzergruppen"),
        ("Spanish", "grupo | grupos | nombre del grupo | grupos de usuarios"),
        ("Italian", "gruppo | gruppi | nome gruppo | gruppi di utenti"),
        ("Portuguese", "nome do grupo | grupos de usuários | grupos de utilizadores"),
        ("Dutch", "groep | groepen | groepsnaam | gebruikersgroepen"),
        ("Japanese", "グループ | グループ名 | 所属グループ | ユーザーグループ"),
    ]),
];

/// Names that are a first, a last or a whole name, by the company that they keep.
pub const BARE_NAMES: &str = "name | names | nom | nome | nombre | naam | 名前 | お名前";

/// In `Last, First` only.
const SHORT: [(&str, Known); 2] = [("first", Known::FirstName), ("last", Known::LastName)];

static FIELDS: LazyLock<HashMap<String, Known>> = LazyLock::new(|| {
    let fields = SYNONYMS.iter();
    fields
        .flat_map(|(field, kinds)| kinds.iter().map(move |(_, words)| (field, words)))
        .flat_map(|(field, words)| words.split(" | ").map(move |word| (key(word), *field)))
        .collect()
});

/// The field that a column is by a synonym, or by its own name with something harmless in brackets or `required` behind.
pub(super) fn field_of(name: &Folded) -> Option<Known> {
    let bare = name.bare();
    FIELDS
        .get(&name.whole)
        .or_else(|| FIELDS.get(bare))
        .copied()
        .or_else(|| Known::of_key(bare))
        .or_else(|| field_outside(name).filter(|known| fits(name, *known)))
        .or_else(|| name_inside(name))
        .filter(|known| *known != Known::Password)
}

/// The field that a name is without what stands in brackets, whatever that is.
pub(super) fn field_outside(name: &Folded) -> Option<Known> {
    let known = of_word(name.outside())?;
    (!name.inside.is_empty() && known != Known::Password).then_some(known)
}

/// The kind of name that `Name [displayName]` says in brackets.
fn name_inside(name: &Folded) -> Option<Known> {
    let is_name = |known: &Known| {
        matches!(
            known,
            Known::FirstName | Known::LastName | Known::DisplayName
        )
    };
    match name.inside.as_slice() {
        [inside] if is_bare_name(name.outside()) => of_word(inside).filter(is_name),
        _ => None,
    }
}

fn of_word(word: &str) -> Option<Known> {
    FIELDS.get(word).copied().or_else(|| Known::of_key(word))
}

/// Whether what stands in brackets is the same field once more, or says no more of an address.
fn fits(name: &Folded, known: Known) -> bool {
    let is_address = |known| matches!(known, Known::Username | Known::Email);
    name.inside_is(|content| match of_word(content) {
        Some(inside) => inside == known || (is_address(inside) && is_address(known)),
        None => is_address(known) && is_harmless_of_address(content),
    })
}

pub(super) fn is_bare_name(name: &str) -> bool {
    BARE_NAMES.split(" | ").any(|bare| bare == name)
}

/// Whether the cells hold `Family, Given`, as `Last name, First name` and `Name (Last, First)` say.
pub(super) fn is_family_given(name: &str) -> bool {
    let inside = name
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    let of_pair = |pair: &str| {
        let mut parts = pair.split([',', '，', '、']);
        let (Some(family), Some(given), None) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let is = |part: &str, field| {
            let part = key(part);
            SHORT.contains(&(&*part, field)) || of_word(&part) == Some(field)
        };
        let is_bare = |part: &str| is_bare_name(&key(part));
        let (family_fits, given_fits) = (is(family, Known::LastName), is(given, Known::FirstName));
        (family_fits && (given_fits || is_bare(given))) || (is_bare(family) && given_fits)
    };
    of_pair(name) || inside.is_some_and(|(inside, _)| of_pair(inside))
}

/// All names that mean a field, [folded](key), but for the fields' own.
pub(super) fn all<'a>() -> impl Iterator<Item = (&'a str, Known)> {
    FIELDS.iter().map(|(word, known)| (word.as_str(), *known))
}

/// In Brazil a nickname, in Portugal the last name.
pub(super) fn is_apelido(name: &str) -> bool {
    matches!(name, "apelido" | "apelidos")
}

/// Whether only the Portuguese of Portugal calls a column so.
pub(super) fn is_of_portugal(name: &str) -> bool {
    matches!(
        name,
        "nomeproprio" | "utilizador" | "nomedeutilizador" | "palavrapasse"
    )
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fmt::Write, fs, path::Path};

    use super::{
        super::passwords::{ANYWHERE, AS_A_WORD, OTHERWISE, WHOLE, is_password},
        *,
    };

    #[test]
    fn no_name_means_two_things() {
        let mut seen: HashMap<String, Known> = HashMap::new();
        for (field, kinds) in SYNONYMS {
            for (kind, words) in *kinds {
                let mut here = HashSet::new();
                for word in words.split(" | ") {
                    let key = key(word);
                    assert!(
                        !key.is_empty() && here.insert(key.clone()),
                        "{kind}: {word}"
                    );
                    assert_eq!(Known::of_key(&key), None, "{word} is a field's own name");
                    assert!(!is_bare_name(&key), "{word} is more than one thing");
                    assert_eq!(*seen.entry(key).or_insert(*field), *field, "{word}");
                }
            }
        }
        let all = SYNONYMS.iter().flat_map(|(_, kinds)| *kinds);
        for word in all.flat_map(|(_, words)| words.split(" | ")) {
            assert!(!is_password(word), "{word}");
        }
    }

    /// The list in the documentation is the one that files are read by. `BLESS=1` writes it anew.
    #[test]
    fn the_documentation_lists_the_same() {
        const BEGIN: &str = "<!-- names: made by a test -->\n";
        const END: &str = "<!-- end of names -->";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/columns.md");
        let page = fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (list, after) = rest.split_once(END).unwrap();
        let mut expected = String::new();
        let mut add = |field: &str, kinds: &[(&str, &str)]| {
            write!(expected, "\n### `{field}`\n\n| | |\n|---|---|\n").unwrap();
            for (kind, words) in kinds {
                writeln!(expected, "| {kind} | {} |", words.replace(" | ", ", ")).unwrap();
            }
        };
        for (field, kinds) in SYNONYMS {
            add(field.as_str(), kinds);
        }
        add(
            "password",
            &[
                ("Anywhere in a name", ANYWHERE),
                ("As a word of it", AS_A_WORD),
                ("As the whole name", WHOLE),
                ("Not with", OTHERWISE),
            ],
        );
        expected.push('\n');
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
            return;
        }
        assert_eq!(list, expected, "BLESS=1 writes docs/columns.md anew");
    }
}
