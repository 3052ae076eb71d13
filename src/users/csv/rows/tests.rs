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
        ("email,Email\n", "ambiguous_columns"),
        ("email,email\n", "repeated_column"),
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

/// A quote that is closed in another record takes nobody with it.
#[test]
fn records_in_a_cell_are_a_fault_where_the_quote_begins() {
    for (text, line) in [
        (
            "email,notes,screen\na@x.yz,\"tall,15\nb@x.yz,Bob,15\"\nc@x.yz,x,1\n",
            2,
        ),
        (
            "email,remark,x\na@x.yz,\"13 inch,1\nb@x.yz,Bob,2\nc@x.yz,tall 15\",3\n",
            2,
        ),
        (
            "email,remark\na@x.yz,\"see below\nb@x.yz,ok\nc@x.yz,ok\nd@x.yz,15\"\n",
            2,
        ),
        ("email,remark\na@x.yz,\",1\nb@x.yz,\",2\n", 2),
        (
            "email;remark\r\na@x.yz;\"tall\r\nb@x.yz;Bob\r\nc@x.yz;15\"\r\n",
            2,
        ),
        (
            "email\tremark\ra@x.yz\t\"tall\rb@x.yz\tBob\rc@x.yz\t15\"\r",
            2,
        ),
        ("name,email,remark\nA,a@x.yz,\"tall\nB,b@x.yz,\"\n", 2),
        ("remark,email\n\"tall,a@x.yz\n15\",b@x.yz\n", 2),
        (
            "remark,email\n\"tall,a@x.yz\nsmall,c@x.yz\n15\",b@x.yz\n",
            2,
        ),
        ("email,one,two\na@x.yz,\"1\n2\",\"tall\nb@x.yz,3,15\"\n", 3),
        ("username,remark,x\nada,\"tall,1\nbob,small 15\",2\n", 2),
        ("username,remark\nada,\"tall\nbob,fine\ncy,15\"\n", 2),
        ("email,a\nz@x.yz,1\n\na@x.yz,\"\nb@x.yz,\"\n", 4),
    ] {
        let faults: Vec<_> = lines(text)
            .into_iter()
            .filter_map(|line| match line {
                Line::Faulty(faults) => Some(faults),
                Line::User(_) => None,
            })
            .collect();
        assert_eq!(faults.len(), 1, "{text:?}: {faults:?}");
        assert_eq!(
            codes(&faults[0]),
            [(line, None, "record_in_quotes")],
            "{text:?}"
        );
    }
    let detail = match lines("email,remark\na@x.yz,\"1\nb@x.yz,15\n\"\n").remove(0) {
        Line::Faulty(faults) => faults[0].detail.clone(),
        Line::User(row) => panic!("{row:?}"),
    };
    assert!(
        detail.contains("closed on line 4, but line 3 reads"),
        "{detail}"
    );
}

#[test]
fn cells_of_several_lines_are_taken() {
    for cell in [
        "two\nlines",
        "Ask Bob,\nb@x.yz, or his boss",
        "Ask\nb@x.yz",
        "b@x.yz\nc@x.yz",
        "Bob <b@x.yz>,\nCy <c@x.yz>",
        "12 Main Street\nSpringfield, IL 62704\nUSA",
        "Budget:\n1,000,000",
        "Größe:\n1,5 m",
        "one;two\nthree;four",
        "\n\n",
        ",\n,",
        "first, second\nthird, fourth",
    ] {
        for text in [
            format!("email,remark,floor\na@x.yz,\"{cell}\",2\n"),
            format!("email,remark\na@x.yz,\"{cell}\"\n"),
            format!("remark,email\n\"{cell}\",a@x.yz\n"),
            format!("username,one,remark,two\na@x.yz,,\"{cell}\",\n"),
        ] {
            assert_eq!(row(&text).username(), "a@x.yz", "{text:?}");
        }
    }
    // A program quotes an export.
    let status =
        "id,source,has_password,invite_status,last_invited_at,device_count,created_at,updated_at";
    let text = format!("username,email,{status},note\na,a@x.yz,,,,,,,,,\"1\nb,b@x.yz,x\"\n");
    assert_eq!(row(&text).username(), "a");
}

#[test]
fn lines_that_are_quoted_as_a_whole_are_unfolded_or_told() {
    for text in [
        "\"email,first_name,floor\"\n\"a@x.yz,Ada,1\"\n",
        "\"email,first_name,floor\"\r\n\"a@x.yz,\"\"Ada\"\",1\"\r\n",
        "\"email;first_name;floor\",,\n\"a@x.yz;Ada;1\",,\n",
        "\"email;first_name;floor\"\na@x.yz;Ada;1\n",
        "\"email,first_name,floor\"\n\"email,first_name,floor\"\n\"a@x.yz,\"\"Ada\"\"\"\n",
    ] {
        let row = row(text);
        assert_eq!(row.username(), "a@x.yz", "{text:?}");
        assert_eq!(row.user.first_name.unwrap().as_str(), "Ada", "{text:?}");
    }
    for record in [
        "\"a@x.yz,Ada,1\"",
        "\"a@x.yz,\"\"Ada\"\",1\"",
        "\"a@x.yz,\"\"Lind, Asa\"\",1\"",
        "\"bitte ab 9 Uhr\"\",05.05.2019,2500\"",
        "\"a@x.yz,Ada,1\",,",
        "\"Ada\"\"\"",
    ] {
        let text = format!("email,first_name,floor\n{record}\n");
        let Some(Line::Faulty(faults)) = lines(&text).pop() else {
            panic!("{text:?} was taken");
        };
        assert_eq!(codes(&faults), [(2, None, "line_in_quotes")], "{text:?}");
    }
    assert_eq!(
        row("username,floor\n\"Lind, Asa\"\n").username(),
        "Lind, Asa"
    );
    for text in [
        "email^first_name\n",
        "email；first_name\n",
        "\"a@x.yz,Hotmail-forever\"\n",
    ] {
        let faults = open(text).err().unwrap();
        assert_eq!(codes(&faults), [(1, None, "missing_column")], "{text:?}");
        assert!(!faults[0].detail.contains("looks like"), "{faults:?}");
    }
}

#[test]
fn what_keeps_a_spreadsheet_from_counting_is_no_part_of_a_cell() {
    let row = row("username,email,first_name,badge,zip,formula\n\
         \"=\"\"007\"\"\",\"=\"\"a@x.yz\"\"\",=\"Bo\",\"=\"\"4711\"\"\",=\"00123\",\"'=\"\"x\"\"\"\n");
    assert_eq!((row.username(), row.email()), ("007", Some("a@x.yz")));
    assert_eq!(row.user.first_name.unwrap().as_str(), "Bo");
    assert_eq!(
        json!(row.user.attributes.unwrap().0),
        json!({"badge": "4711", "zip": "00123", "formula": "=\"x\""})
    );
}

#[test]
fn faults_quote_the_value_but_not_beside_passwords() {
    for (column, cell) in [
        ("email", "ada at example.com"),
        ("locale", "xx-$$"),
        ("time_zone", "Berlin"),
        ("enabled", "perhaps"),
    ] {
        for (more, is_shown) in [
            ("floor", true),
            ("password", false),
            ("Passwort", false),
            ("attributes.Kennwort", false),
        ] {
            let text = format!("username,{column},{more}\nada,{cell},\n");
            let Some(Line::Faulty(faults)) = lines(&text).pop() else {
                panic!("{text:?} was taken");
            };
            let detail = &faults[0].detail;
            assert_eq!(
                detail.starts_with(&format!("`{cell}` ")),
                is_shown,
                "{detail}"
            );
            assert_eq!(detail.contains(cell), is_shown, "{detail}");
        }
    }
    let text = format!("email\n{}\n", "ü".repeat(100));
    let Some(Line::Faulty(faults)) = lines(&text).pop() else {
        panic!("taken");
    };
    let shown = format!("`{}…` has no @", "ü".repeat(60));
    assert!(faults[0].detail.starts_with(&shown), "{faults:?}");
}

#[test]
fn columns_without_a_name_are_one_warning() {
    for (text, expected) in [
        (
            ",email\n0,a@x.yz\n1,b@x.yz\n",
            Some("column 1, first on line 2"),
        ),
        (
            "email,,floor\na@x.yz,,1\nb@x.yz,x,1\n",
            Some("column 2, first on line 3"),
        ),
        (
            "email,floor,,\na@x.yz,1,,y\nb@x.yz,1,x\n",
            Some("column 3, 4, first on line 2"),
        ),
        ("email,,\na@x.yz,, \nb@x.yz\n", None),
    ] {
        let mut records = open(text).unwrap();
        while records.pass().unwrap() {}
        let told = records.warnings();
        let told = told
            .iter()
            .find(|warning| warning.code == "nameless_column");
        assert_eq!(told.is_some(), expected.is_some(), "{text:?}");
        if let Some((warning, words)) = told.zip(expected) {
            assert!(warning.detail.contains(words), "{warning}");
        }
        assert!(lines(text).iter().all(|line| matches!(line, Line::User(_))));
    }
}
