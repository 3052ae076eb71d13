//! The headers of real files, by language and by the system that they come from.

use super::{became, beside, parts};

#[test]
fn every_language_is_known() {
    for (language, headers) in [
        (
            "English",
            "User ID=username, Login Name=username, E-mail Address=email, Work Email=email, Given Name=first_name, \
             Surname=last_name, Family-Name=last_name, Full name=display_name, Preferred Language=locale, \
             Timezone=time_zone, Managed Apple ID=managed_apple_account, Active=enabled, Group Names=groups",
        ),
        (
            "French",
            "Nom d'utilisateur=username, Nom d’utilisateur=username, IDENTIFIANT=username, Courriel=email, \
             Adresse e-mail=email, adresse électronique=email, Mél.=email, Prénom=first_name, PRENOM=first_name, \
             Nom de famille=last_name, Nom complet=display_name, Langue=locale, Fuseau horaire=time_zone, \
             Identifiant Apple géré=managed_apple_account, Compte activé=enabled, Groupes=groups",
        ),
        (
            "German",
            "Benutzername=username, Anmeldename=username, E-Mail-Adresse=email, E-Mail (geschäftlich)=email, \
             Dienstliche E-Mail=email, Vorname=first_name, VORNAME=first_name, Rufname=first_name, \
             Nachname=last_name, Familienname=last_name, Anzeigename=display_name, Vollständiger Name=display_name, \
             Sprache=locale, Zeitzone=time_zone, Verwaltete Apple-ID=managed_apple_account, Konto aktiv=enabled, \
             Gruppen=groups",
        ),
        (
            "Spanish",
            "Nombre de usuario=username, Usuario=username, Correo electrónico=email, CORREO ELECTRONICO=email, \
             Dirección de correo=email, Nombre de pila=first_name, Nombres=first_name, Apellidos=last_name, \
             Primer apellido=last_name, Nombre completo=display_name, Idioma=locale, Zona horaria=time_zone, \
             Habilitado=enabled, Grupos=groups",
        ),
        (
            "Italian",
            "Nome utente=username, Indirizzo e-mail=email, Posta elettronica=email, E-mail aziendale=email, \
             Nome di battesimo=first_name, Cognome=last_name, COGNOME=last_name, Nome completo=display_name, \
             Nominativo=display_name, Lingua=locale, Fuso orario=time_zone, Abilitato=enabled, Gruppi=groups",
        ),
        (
            "Portuguese",
            "Nome de usuário=username, Nome de utilizador=username, Endereço de e-mail=email, \
             Correio eletrónico=email, E-mail profissional=email, Primeiro nome=first_name, Nome próprio=first_name, \
             Sobrenome=last_name, Nome de exibição=display_name, Língua=locale, \
             Fuso horário=time_zone, Ativo=enabled, Grupos=groups",
        ),
        (
            "Dutch",
            "Gebruikersnaam=username, Inlognaam=username, E-mailadres=email, Zakelijk e-mailadres=email, \
             Voornaam=first_name, Roepnaam=first_name, Achternaam=last_name, Familienaam=last_name, \
             Weergavenaam=display_name, Taal=locale, Tijdzone=time_zone, Beheerde Apple ID=managed_apple_account, \
             Ingeschakeld=enabled, Groepen=groups",
        ),
        (
            "Japanese",
            "ユーザー名=username, ログインＩＤ=username, メールアドレス=email, ﾒｰﾙｱﾄﾞﾚｽ=email, 電子メール=email, \
             名=first_name, 姓=last_name, 苗字=last_name, 氏名=display_name, 氏名（漢字）=display_name, \
             表示名=display_name, 言語=locale, タイムゾーン=time_zone, 管理対象Apple ID=managed_apple_account, \
             有効=enabled, グループ=groups",
        ),
    ] {
        let headers: Vec<&str> = headers.split(", ").collect();
        assert!(headers.len() >= 10, "{language}");
        for pair in headers {
            let (name, field) = pair.split_once('=').unwrap();
            assert_eq!(beside(name, field), field, "{language}: {name}");
        }
    }
}

/// Whole headers of exports: each column as `name=field`, those that stay attributes without a field, those that are left
/// out with nothing behind the `=`.
#[test]
fn files_of_other_systems_are_known() {
    for (system, header) in [
        (
            "Google Workspace",
            "First Name [Required]=first_name|Last Name [Required]=last_name|Email Address [Required]=email|\
             Password [Required]=|Password Hash Function [UPLOAD ONLY]|Org Unit Path [Required]|\
             New Primary Email [UPLOAD ONLY]|Status [READ ONLY]=enabled|Recovery Email|Home Secondary Email|\
             Work Secondary Email|Recovery Phone [MUST BE IN THE E.164 FORMAT]|Employee ID|Manager Email|Department",
        ),
        (
            "Okta",
            "login=username|firstName=first_name|lastName=last_name|middleName|email=email|title|\
             displayName=display_name|nickName|profileUrl|secondEmail|mobilePhone|preferredLanguage|locale=locale|\
             timezone=time_zone|userType|department|managerId|manager",
        ),
        (
            "Entra ID",
            "userPrincipalName=username|displayName=display_name|surname=last_name|mail=email|\
             givenName=first_name|id=|userType|jobTitle|department|accountEnabled=enabled|usageLocation|\
             alternateEmailAddress|consentProvidedForMinor|preferredLanguage=locale",
        ),
        (
            "Entra ID, to fill in",
            "Name [displayName] Required=display_name|User name [userPrincipalName] Required=username|\
             Initial password [passwordProfile] Required=|Block sign in (Yes/No) [accountEnabled] Required|\
             First name [givenName]=first_name|Last name [surname]=last_name|Job title [jobTitle]|\
             Department [department]|Usage location [usageLocation]|Manager [manager]",
        ),
        (
            "Microsoft 365",
            "Block credential|City|Country|Display name=display_name|Fax|First name=first_name|\
             Last name=last_name|Last password change time stamp|Password never expires|Preferred language=locale|\
             Proxy addresses|Strong password required|Title|User principal name=username|When created",
        ),
        (
            "LDAP",
            "dn|uid=username|cn=display_name|sn=last_name|givenName=first_name|mail=email|\
             preferredLanguage=locale|userPassword=|ou|employeeNumber|memberOf|manager",
        ),
        (
            "Active Directory",
            "DistinguishedName|sAMAccountName=username|GivenName=first_name|Surname=last_name|\
             DisplayName=display_name|Mail=email|Enabled=enabled|Department|ObjectGUID|Manager|unicodePwd=",
        ),
        (
            "BambooHR, Personio, SuccessFactors",
            "Employee #|First Name=first_name|Last Name=last_name|Preferred Name|Work Email=email|\
             Home Email|USERNAME=username|TIMEZONE=time_zone|DEFAULT_LOCALE=locale|Department|Supervisor|Hire Date",
        ),
        (
            "A German office",
            "Personalnummer|Name=last_name|Vorname=first_name|E-Mail=email|Private E-Mail|Abteilung|\
             Kostenstelle|Vorgesetzter|Sprache=locale|Initialpasswort=|Standort",
        ),
        (
            "A French office",
            "Matricule|Nom=last_name|Prénom=first_name|Courriel=email|Courriel personnel|Service|\
             Responsable|Langue=locale|Mot de passe=|Site",
        ),
        (
            "A Japanese office",
            "社員番号|姓=last_name|名=first_name|姓（カナ）|名（カナ）|氏名=display_name|メールアドレス=email|\
             個人メール|部署|言語=locale|初期パスワード=",
        ),
    ] {
        let columns: Vec<(&str, Option<&str>)> = header
            .split('|')
            .map(|column| match column.split_once('=') {
                Some((name, field)) => (name, Some(field)),
                None => (column, None),
            })
            .collect();
        assert!(columns.len() >= 10, "{system}");
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        for ((name, field), became) in columns.iter().zip(became(&names)) {
            let expected = field.map_or_else(|| format!("attributes.{name}"), str::to_owned);
            assert_eq!(became, expected, "{system}: {name}");
        }
    }
}

#[test]
fn other_addresses_and_other_people_are_not_the_user() {
    for name in parts(
        "Private E-Mail | E-Mail privat | E-Mail (privat) | Privatmail | Personal email | Email (personal) | \
         Email [Home] | Home Email | Secondary Email | Email 2 | Email (2) | Alternate email address | \
         Recovery Email | Backup e-mail | Other Email | Manager Email | Manager's Email | Email (Manager) | \
         Supervisor Email | Emergency contact email | Email (emergency contact) | Courriel personnel | \
         E-mail perso | Courriel (personnel) | E-Mail des Vorgesetzten | Notfallkontakt E-Mail | Zweite E-Mail | \
         Correo personal | Correo electrónico (personal) | Correo del jefe | Email personale | E-mail pessoal | \
         E-mail (pessoal) | Privé e-mail | E-mail (privé) | 個人メール | メール（個人） | 緊急連絡先メール | \
         First name (manager) | 氏名（カナ）",
    ) {
        let names = [name, "username"];
        assert_eq!(became(&names)[0], format!("attributes.{name}"));
    }
}

#[test]
fn a_name_is_what_the_file_has_no_other_column_for() {
    for (names, expected) in [
        ("Name | Vorname", "last_name | first_name"),
        ("Nom | Prénom", "last_name | first_name"),
        ("Naam | Voornaam", "last_name | first_name"),
        ("Nombre | Apellidos", "first_name | last_name"),
        ("Nome | Cognome", "first_name | last_name"),
        ("Nome | Sobrenome", "first_name | last_name"),
        ("Name", "display_name"),
        ("名前", "display_name"),
        (
            "Name | Vorname | Nachname",
            "display_name | first_name | last_name",
        ),
        ("Name | display_name", "attributes.Name | display_name"),
        ("Last name, First name", "last_name,first_name"),
        ("Nachname, Vorname", "last_name,first_name"),
        ("Name, Vorname", "last_name,first_name"),
        ("NOM, Prénom", "last_name,first_name"),
        ("Cognome, Nome", "last_name,first_name"),
        ("Apellidos, Nombre", "last_name,first_name"),
        ("Achternaam,Voornaam", "last_name,first_name"),
        ("Sobrenome, Nome", "last_name,first_name"),
        ("Name (Last, First)", "last_name,first_name"),
        ("Last, First", "last_name,first_name"),
        ("姓、名", "last_name,first_name"),
        (
            "Nachname, Vorname | Name",
            "last_name,first_name | display_name",
        ),
        (
            "Nachname, Vorname | Vorname",
            "attributes.Nachname, Vorname | first_name",
        ),
        ("Vorname, Stadt", "attributes.Vorname, Stadt"),
    ] {
        let names = format!("email | {names}");
        assert_eq!(became(&parts(&names))[1..], parts(expected), "{names:?}");
    }
}
