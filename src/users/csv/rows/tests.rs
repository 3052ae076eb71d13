use super::*;
use serde_json::json;

fn open(text: &str) -> Result<UserRecords<&[u8]>, Vec<LineFault>> {
    UserRecords::open(
        Records::text(text.as_bytes()).unwrap(),
        &ColumnMap::default(),
    )
    .unwrap()
}

fn lines(text: &str) -> Vec<Line> {
    let mut records = open(text).unwrap();
    std::iter::from_fn(|| records.advance().unwrap()).collect()
}

fn row(text: &str) -> Row {
    match lines(text).pop() {
        Some(Line::User(row)) => *row,
        Some(Line::Faulty(faults)) => panic!("{faults:?}"),
        None => panic!("no row"),
    }
}

fn codes(faults: &[LineFault]) -> Vec<(u32, Option<&str>, &str)> {
    faults
        .iter()
        .map(|fault| (fault.line, fault.column.as_deref(), fault.code))
        .collect()
}

#[test]
fn a_row_holds_what_its_cells_say() {
    let row = row(
        "\u{FEFF}E-Mail;First Name;groups;enabled;floor;password;created_at;attributes.source\r\n\
         ada@example.com;Ada; Sales ;FALSE;4;correct horse;whenever;x\r\n",
    );
    assert_eq!((row.line, row.username()), (2, "ada@example.com"));
    assert_eq!(row.groups, ["Sales"]);
    assert_eq!(row.user.enabled, Some(false));
    let attributes = row.user.attributes.unwrap().0;
    assert_eq!(json!(attributes), json!({"floor": 4, "source": "x"}));
    assert!(row.password.is_some());
}

#[test]
fn empty_cells_say_nothing() {
    let row = row("username,email,locale,enabled,floor\nada, ,,,\n,,,,\n");
    assert_eq!((row.username(), row.email()), ("ada", None));
    assert!(row.user.locale.is_none() && row.user.attributes.is_none());
}

#[test]
fn a_bad_header_is_refused() {
    for (text, code) in [
        ("", "empty_file"),
        ("first_name\nAda\n", "missing_column"),
        ("email,Email\n", "repeated_column"),
        ("email,floor,floor\n", "repeated_column"),
        ("ada@example.com\nbob@example.com", "missing_column"),
        ("email,a\u{0}b", "control_character"),
    ] {
        let Err(faults) = open(text) else {
            panic!("{text:?} was taken");
        };
        assert_eq!(faults[0].code, code, "{text:?}");
    }
    assert!(open(&format!("email{}", ",x".repeat(999))).is_err());
}

#[test]
fn cells_that_are_missing_at_the_end_are_empty() {
    for text in [
        "email,first_name,locale,groups\na@x.yz",
        "email,first_name,locale,groups\na@x.yz,Ada",
        "email,first_name,locale,groups\r\na@x.yz,Ada,fr\r\n",
        "email;first_name;;\na@x.yz;Ada\n",
        "email;first_name;;\na@x.yz;Ada;;;;\n",
        "email,first_name\na@x.yz,Ada,, ,\n",
        "email,,floor\na@x.yz,,\n",
        "email,,floor\na@x.yz, ,1\n",
        ",email\n,a@x.yz\n",
        "\"\",email,\u{FEFF}\n,a@x.yz,\n",
    ] {
        assert_eq!(row(text).username(), "a@x.yz", "{text:?}");
    }
    for (text, column, code) in [
        (
            "email,first_name\na@x.yz,Ada,more",
            None,
            "wrong_column_count",
        ),
        (
            "email,first_name\na@x.yz,Ada,,more",
            None,
            "wrong_column_count",
        ),
        (
            "email,,floor\na@x.yz,x,",
            Some("column 2"),
            "nameless_column",
        ),
        (
            "email,floor,\na@x.yz,1,x",
            Some("column 3"),
            "nameless_column",
        ),
    ] {
        let Some(Line::Faulty(faults)) = lines(text).pop() else {
            panic!("{text:?} was taken");
        };
        assert_eq!(codes(&faults), [(2, column, code)], "{text:?}");
    }
}

#[test]
fn every_fault_of_a_row_is_told() {
    let text = "email,locale,enabled,password,floor\n\
        nobody,xx-$$,perhaps,short,\"a\0\"\n\
        a@x.yz,fr,true,,1,2\n\
        ,fr,,,\n\
        b@x.yz,,,,\n";
    let lines = lines(text);
    let faulty: Vec<_> = lines
        .iter()
        .map(|line| match line {
            Line::Faulty(faults) => codes(faults),
            Line::User(_) => Vec::new(),
        })
        .collect();
    assert_eq!(
        faulty[0],
        [
            (2, Some("email"), "invalid_email"),
            (2, Some("locale"), "invalid_locale"),
            (2, Some("enabled"), "wrong_type"),
            (2, Some("password"), "too_short"),
            (2, Some("floor"), "control_character")
        ]
    );
    assert_eq!(faulty[1], [(3, None, "wrong_column_count")]);
    assert_eq!(faulty[2], [(4, None, "required")]);
    assert!(faulty[3].is_empty());
}

#[test]
fn what_is_not_utf8_is_told_where_it_is() {
    let text = &b"email,last_name\na@x.yz,M\xFCller\nb@x.yz,M\n"[..];
    let records = UserRecords::open(Records::text(text).unwrap(), &ColumnMap::default());
    let mut records = records.unwrap().unwrap();
    let Some(Line::Faulty(faults)) = records.advance().unwrap() else {
        panic!("taken");
    };
    assert_eq!(codes(&faults), [(2, Some("last_name"), "not_utf8")]);
    assert!(matches!(records.advance().unwrap(), Some(Line::User(_))));
}
