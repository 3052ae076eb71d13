//! What columns become where there is doubt, and what the caller's word changes.

mod headers;

use super::*;

fn assigned(names: &[&str], asked: &str) -> Result<Assigned, Vec<Placed>> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assign(&names, &names, &ColumnMap::parse(asked).unwrap())
}

fn became(names: &[&str]) -> Vec<String> {
    match assigned(names, "{}") {
        Ok(assigned) => assigned.columns.iter().map(Column::to_string).collect(),
        Err(flaws) => panic!("{names:?}: {flaws:?}"),
    }
}

/// What a column becomes beside one that the user is known by.
fn beside(name: &str, field: &str) -> String {
    let other = match field {
        "username" => "email",
        _ => "username",
    };
    became(&[name, other])[0].clone()
}

fn parts(row: &str) -> Vec<&str> {
    row.split(" | ").collect()
}

fn code(names: &[&str], asked: &str) -> &'static str {
    match assigned(names, asked) {
        Ok(assigned) => panic!("{:?}", assigned.columns),
        Err(flaws) => flaws[0].1.code,
    }
}

#[test]
fn an_own_name_wins_and_two_synonyms_are_in_doubt() {
    assert_eq!(
        became(&["Mail", "email", "UPN", "E-Mail-Adresse"])[..2],
        ["attributes.Mail", "email"]
    );
    assert_eq!(
        became(&["email", "Email [Required]"]),
        ["email", "attributes.Email [Required]"]
    );
    for (names, expected) in [
        ("Mail | Work email", "ambiguous_columns"),
        ("email | Vorname | Rufname", "ambiguous_columns"),
        ("sAMAccountName | userPrincipalName", "ambiguous_columns"),
        ("email | Nom | Name", "ambiguous_columns"),
        ("Mail | Mail", "repeated_column"),
        ("email | E-Mail", "ambiguous_columns"),
        ("Email | E-Mail | first_name", "ambiguous_columns"),
        ("email | email", "repeated_column"),
        ("E-Mail | Vorname | VORNAME", "ambiguous_columns"),
        ("email | floor | attributes.floor", "repeated_column"),
    ] {
        assert_eq!(code(&parts(names), "{}"), expected, "{names}");
    }
    let Err(flaws) = assigned(&["Mail", "Work email"], "{}") else {
        panic!("taken");
    };
    assert!(
        flaws[0].1.detail.contains(r#"({"Mail":"email"})"#),
        "{flaws:?}"
    );
    // What is told can be done.
    let Err(flaws) = assigned(&["Email", "E-Mail"], "{}") else {
        panic!("taken");
    };
    assert!(
        flaws[0].1.detail.contains(r#"({"Email":"email"})"#),
        "{flaws:?}"
    );
    let taken = assigned(&["Email", "E-Mail"], r#"{"Email":"email"}"#).unwrap();
    assert_eq!(
        taken.columns[1],
        Column::Attribute("E-Mail".to_owned()),
        "{:?}",
        taken.warnings
    );
}

#[test]
fn the_caller_has_the_last_word_but_not_on_passwords() {
    let told = |names: &[&str], asked: &str| {
        let assigned = assigned(names, asked).unwrap();
        let columns: Vec<String> = assigned.columns.iter().map(Column::to_string).collect();
        let codes: Vec<&str> = assigned
            .warnings
            .iter()
            .map(|warning| warning.code)
            .collect();
        (columns.join(" | "), codes.join(" "))
    };
    for (names, asked, columns, codes) in [
        (
            "email | Contact",
            r#"{"Contact":"email"}"#,
            "attributes.email | email",
            "looks_like no_name_column",
        ),
        (
            "email | Vorname",
            r#"{"vorname":null}"#,
            "email | ",
            "no_name_column",
        ),
        (
            "email | Vorname",
            r#"{"Vorname":"attributes.Vorname"}"#,
            "email | attributes.Vorname",
            "no_name_column",
        ),
        (
            "Wer | Name",
            r#"{"Wer":"username","Name":"last_name,first_name"}"#,
            "username | last_name,first_name",
            "",
        ),
        (
            "name | UPN | Kennwort",
            "{}",
            "display_name | username | ",
            "password_like_column",
        ),
        (
            "name | UPN | Kennwort",
            r#"{"Kennwort":"attributes.x"}"#,
            "display_name | username | ",
            "password_like_column",
        ),
        (
            "name | UPN | Kennwort",
            r#"{"Kennwort":null}"#,
            "display_name | username | ",
            "",
        ),
        (
            "name | UPN | Kennwort",
            r#"{"Kennwort":"password"}"#,
            "display_name | username | password",
            "",
        ),
        (
            "name | UPN | PASSWORD",
            "{}",
            "display_name | username | password",
            "",
        ),
        (
            "name | UPN | password | pwd",
            r#"{"pwd":"password"}"#,
            "display_name | username |  | password",
            "password_like_column",
        ),
        (
            "name | UPN | attributes.pwd",
            "{}",
            "display_name | username | ",
            "password_like_column",
        ),
    ] {
        let expected = (columns.to_owned(), codes.to_owned());
        assert_eq!(told(&parts(names), asked), expected, "{names} {asked}");
    }
    for (names, asked, expected) in [
        (&["email", "a"][..], r#"{"b":null}"#, "unknown_column"),
        (&["email", "A-1", "a 1"], r#"{"a1":null}"#, "unknown_column"),
        (
            &["email", "a", "b"],
            r#"{"a":"locale","b":"locale"}"#,
            "repeated_column",
        ),
        (&["email"], r#"{"email":null}"#, "missing_column"),
    ] {
        assert_eq!(code(names, asked), expected, "{names:?} {asked}");
    }
}

#[test]
fn what_only_looks_like_a_field_is_told() {
    for pair in parts(
        "frist_name=first_name | fisrt name=first_name | last_nme=last_name | surnmae=last_name | \
         time zon=time_zone | locales=locale | enabld=enabled | gropus=groups | e-mial=email | \
         usernaem=username | pasword=password | Vornahme=first_name | dispaly_naem=display_name",
    ) {
        let (name, field) = pair.split_once('=').unwrap();
        let names = ["username", "email", "first name last name", name];
        let assigned = assigned(&names, "{}").unwrap();
        assert_eq!(assigned.columns[3], Column::Attribute(name.to_owned()));
        let told = &assigned.warnings[0];
        assert_eq!(told.code, "looks_like", "{name}");
        let expected = format!("looks like `{field}`");
        assert!(told.detail.contains(&expected), "{}", told.detail);
    }
    for name in parts(
        "floor | Abteilung | department | title | phone | company | city | country | cost center | number | \
         passport | location | office | team | role | 部署",
    ) {
        let assigned = assigned(&["username", "email", "full name", name], "{}").unwrap();
        assert_eq!(assigned.warnings, [], "{name}");
    }
    let Err(flaws) = assigned(&["emial", "floor"], "{}") else {
        panic!("taken");
    };
    assert_eq!(flaws[0].1.code, "missing_column");
    assert!(
        flaws[0].1.detail.contains("`emial` looks like `email`"),
        "{flaws:?}"
    );
}

#[test]
fn what_stands_in_brackets_may_make_something_else_of_a_name() {
    for name in parts(
        "E-mail (supérieur hiérarchique) | メールアドレス（私用） | メールアドレス（プライベート） | E-Mail (Führungskraft) | \
         E-Mail (Chef) | Correo (jefe) | E-mail (chefe) | E-mail (gestor) | Email (capo) | Email (boss) | Correo (hogar) | \
         E-mail (residencial) | メール（携帯） | E-mail (secours) | E-Mail (Ersatz) | Email (reserva) | E-Mail (Eltern) | \
         Email (N+1) | Email [baas] | Email (work) [boss] | Email (2) | E-Mail (alt)",
    ) {
        let assigned = assigned(&["username", "full name", name], "{}").unwrap();
        assert_eq!(
            assigned.columns[2],
            Column::Attribute(name.to_owned()),
            "{name}"
        );
        let told = &assigned.warnings[0];
        assert!(told.detail.contains("looks like `email`"), "{name}: {told}");
        // Beside the person's own it says nothing new.
        let beside = self::assigned(&["email", "full name", name], "{}").unwrap();
        assert_eq!(
            beside.columns[2],
            Column::Attribute(name.to_owned()),
            "{name}"
        );
    }
    for (name, field) in [
        ("Vorname (Vater)", "first_name"),
        ("First name (father)", "first_name"),
        ("Nachname (Geburt)", "last_name"),
        ("Nom complet (entreprise)", "display_name"),
        ("Full name (company)", "display_name"),
        ("Benutzername (alt)", "username"),
        ("Gruppe (Blut)", "groups"),
    ] {
        let assigned = assigned(&["email", name], "{}").unwrap();
        assert_eq!(
            assigned.columns[1],
            Column::Attribute(name.to_owned()),
            "{name}"
        );
        let expected = format!("looks like `{field}`");
        assert!(assigned.warnings[0].detail.contains(&expected), "{name}");
    }
    for name in [
        "Name (Firma)",
        "Name (company)",
        "Nom (entreprise)",
        "Name (Geburt)",
        "Nombre (padre)",
    ] {
        for names in [&["email", name][..], &["email", "Vorname", name]] {
            let assigned = assigned(names, "{}").unwrap();
            let last = assigned.columns.last();
            assert_eq!(last, Some(&Column::Attribute(name.to_owned())), "{name}");
        }
    }
    for (name, field) in [
        ("E-Mail (Firma)", "email"),
        ("E-mail (entreprise)", "email"),
        ("Correo (trabajo)", "email"),
        ("メールアドレス（会社）", "email"),
        ("Email [Required]", "email"),
        ("Email (1)", "email"),
        ("Email (work) [Required]", "email"),
        ("E-Mail (dienstlich)", "email"),
        ("Email (username)", "email"),
        ("Username (email)", "username"),
        ("User name [userPrincipalName] Required", "username"),
        ("Vorname (Pflichtfeld)", "first_name"),
        ("Name [displayName] Required", "display_name"),
        ("Name (Vorname)", "first_name"),
        ("Aktiv (ja/nein)", "enabled"),
        ("Name (work)", "display_name"),
    ] {
        assert_eq!(beside(name, field), field, "{name}");
    }
}

#[test]
fn a_first_line_of_data_is_not_shown() {
    for names in [
        "ada | ada@example.com | Hotmail-forever",
        "ada | Username1",
        "ada | Hotmail-forever",
        "Name | ada@example.com | emial",
        "ada@example.com | Passwort | emial",
        "ada | a\u{0}b-secret",
    ] {
        let Err(flaws) = assigned(&parts(names), "{}") else {
            panic!("{names}");
        };
        assert_eq!(flaws.len(), 1, "{names}");
        assert_eq!(
            (flaws[0].0.as_deref(), flaws[0].1.detail.as_str()),
            (
                None,
                "the first line must name the columns, and one of them must be `username` or `email`"
            ),
            "{names}"
        );
    }
    let Err(flaws) = assigned(&["E-Mail Kontakt", "Abteilung"], "{}") else {
        panic!("taken");
    };
    assert!(
        flaws[0]
            .1
            .detail
            .contains("`E-Mail Kontakt` looks like `email`")
    );
}

#[test]
fn a_nickname_of_brazil_is_a_last_name_of_portugal() {
    for (names, expected) in [
        (
            "Nome completo | Apelido",
            "display_name | attributes.Apelido",
        ),
        (
            "Nome | Sobrenome | Apelido",
            "first_name | last_name | attributes.Apelido",
        ),
        ("Nome próprio | Apelido", "first_name | last_name"),
        ("Nome próprio | Apelidos", "first_name | last_name"),
        (
            "Utilizador | Nome | Apelido",
            "username | first_name | last_name",
        ),
        (
            "Nombre | Apellido Paterno | Apellido Materno",
            "first_name | last_name | attributes.Apellido Materno",
        ),
    ] {
        let names = format!("email | {names}");
        assert_eq!(became(&parts(&names))[1..], parts(expected), "{names}");
    }
    let told = assigned(&["email", "Nome completo", "Apelido"], "{}")
        .unwrap()
        .warnings;
    assert!(
        told[0].detail.contains("`Apelido` looks like `last_name`"),
        "{told:?}"
    );
    let told = assigned(&["email", "Full name", "Nickname"], "{}")
        .unwrap()
        .warnings;
    assert_eq!(told, [], "a nickname is no name of a field");
}
