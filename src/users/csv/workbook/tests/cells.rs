//! Cells that the library would refuse, round, or leave empty; counts that it would believe.

use super::{book::Book, *};

/// What the second row of a sheet is read as, and whether its first cell says that it is text.
fn second(xml: &str, format: Option<&str>) -> (Vec<String>, bool) {
    let rows = format!("<row r=\"1\"/><row r=\"2\">{xml}</row>");
    let book = Book {
        formats: format.into_iter().collect(),
        strings: "<sst><si><t>4701</t></si></sst>",
        ..Book::of(&rows)
    };
    let found = read(&book.zipped());
    let [(2, Ok(cells))] = &found[..] else {
        panic!("{xml}: {found:?}");
    };
    let mut file = converted(&book.zipped()).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut records = Records::sheet(file);
    records.advance().unwrap();
    (cells.clone(), records.is_text(0))
}

#[test]
fn any_error_is_the_fault_of_its_cell() {
    for error in [
        "#N/A",
        "#REF!",
        "#GETTING_DATA",
        "#ERROR!",
        "#SPILL!",
        "#CALC!",
        "#FIELD!",
        "#BLOCKED!",
        "#CONNECT!",
        "#BUSY!",
        "#UNKNOWN!",
        "#PYTHON!",
        "Err:502",
        "#NAME? &amp; more",
    ] {
        let xml = format!(
            "<c r=\"A2\" t=\"e\"><f>X()</f><v>{error}</v></c><c t=\"e\"><v>#BAD!</v></c><c><v>7</v></c>"
        );
        let (cells, _) = second(&xml, None);
        let told = format!(
            "error_cell: A2 holds {}, which",
            error.replace("&amp;", "&")
        );
        assert!(cells[0].starts_with(&told), "{cells:?}");
        assert!(
            cells[1].starts_with("error_cell: B2 holds #BAD!"),
            "{cells:?}"
        );
        assert_eq!(cells[2], "7");
    }
}

#[test]
fn a_formula_without_a_value_is_no_empty_cell() {
    let told = "not_calculated: A2 holds a formula that was never calculated; open and save the workbook in a \
                spreadsheet program";
    for xml in [
        "<f>A1</f>",
        "<f>A1</f><v></v>",
        "<f>A1</f><v/>",
        "<f>A1</f><v> </v>",
        "<f/>",
        "<f t=\"shared\" si=\"0\"/>",
        "<f t=\"array\" ref=\"A2\">SUM(1)</f>",
        "<f>IF(A1&lt;1,\"v\",\"f\")</f>",
    ] {
        for kind in ["", " t=\"n\"", " t=\"b\"", " t=\"e\""] {
            let (cells, _) = second(&format!("<c r=\"A2\"{kind}>{xml}</c>"), None);
            assert_eq!(cells, [told], "{xml} {kind}");
        }
    }
    let (cells, _) = second("<c r=\"A2\" t=\"str\"><f>A1</f></c>", None);
    assert_eq!(cells, [told]);
    // The empty text is a value.
    for xml in [
        "<f>\"\"</f><v></v>",
        "<f>\"\"</f><v/>",
        "<v>x</v><f>A1</f>",
        "<f>A1</f><v>x</v>",
    ] {
        let xml = format!("<c r=\"A2\" t=\"str\">{xml}</c><c r=\"B2\"><f>1</f><v>2</v></c>");
        let (cells, _) = second(&xml, None);
        assert!(
            matches!(&*cells[0], "" | "x") && cells[1] == "2",
            "{cells:?}"
        );
    }
}

#[test]
fn long_numbers_keep_their_digits() {
    for (number, format, text) in [
        ("9007199254740993", None, "9007199254740993"),
        ("8949020000012345678", None, "8949020000012345678"),
        ("-9007199254740993", None, "-9007199254740993"),
        ("18446744073709551615", None, "18446744073709551615"),
        (
            "123456789012345678901234567890",
            None,
            "123456789012345678901234567890",
        ),
        ("9007199254740993.0", None, "9007199254740993"),
        ("8949020000012345678", Some("0"), "8949020000012345678"),
        ("8949020000012345678", Some("#,##0"), "8949020000012345678"),
        (
            "8949020000012345678",
            Some("00000000000000000000"),
            "08949020000012345678",
        ),
        ("9007199254740992", None, "9007199254740992"),
        ("1234567890123456", Some("yyyy-mm-dd"), "1234567890123456"),
        ("999999999999999", None, "999999999999999"),
        ("1E+18", None, "1000000000000000000"),
        ("0.10000000000000001", None, "0.1"),
    ] {
        for kind in ["", " t=\"n\""] {
            let (cells, is_text) = second(
                &format!("<c r=\"A2\" s=\"1\"{kind}><v>{number}</v></c>"),
                format.or(Some("General")),
            );
            assert_eq!(cells, [text], "{number} {format:?}");
            assert_eq!(
                is_text,
                text.starts_with('0') && !text.contains('.'),
                "{number}"
            );
        }
    }
}

#[test]
fn a_cell_that_says_text_is_text() {
    for (xml, format, is_text) in [
        ("<c r=\"A2\" t=\"s\"><v>0</v></c>", None, true),
        ("<c r=\"A2\" t=\"str\"><v>4701</v></c>", None, true),
        ("<c r=\"A2\" t=\"str\"><f>A1</f><v>4701</v></c>", None, true),
        (
            "<c r=\"A2\" t=\"inlineStr\"><is><t>4701</t></is></c>",
            None,
            true,
        ),
        (
            "<c r=\"A2\" t=\"inlineStr\"><is><r><t>47</t></r><r><t>01</t></r></is></c>",
            None,
            true,
        ),
        ("<c r=\"A2\" s=\"1\"><v>4701</v></c>", Some("0000"), true),
        ("<c r=\"A2\" s=\"1\"><v>4701</v></c>", Some("0"), false),
        ("<c r=\"A2\"><v>4701</v></c>", None, false),
        ("<c r=\"A2\" t=\"n\"><v> 4701 </v></c>", None, false),
    ] {
        assert_eq!(
            second(xml, format),
            (vec!["4701".to_owned()], is_text),
            "{xml}"
        );
    }
    // What is none of its kind is text, and no other cell is lost for it.
    for (kind, value) in [
        ("n", "4,701"),
        ("n", "inf"),
        ("n", "12.10.2025"),
        ("b", "banana"),
        ("s", "-1"),
        ("s", "x"),
        ("x", "y"),
        ("inlineStr", "z"),
    ] {
        let xml = format!("<c r=\"A2\" t=\"{kind}\"><v>{value}</v></c><c r=\"B2\"><v>1</v></c>");
        let (cells, is_text) = second(&xml, None);
        assert!(
            is_text && cells == [value, "1"],
            "{kind} {value}: {cells:?}"
        );
    }
}

#[test]
fn counts_are_not_believed() {
    let row = "<row><c t=\"s\"><v>0</v></c></row>";
    let often = format!(
        "<sst><si><t>a</t></si><si><t>{}</t></si></sst>",
        "uniqueCount".repeat(90_000)
    );
    for strings in [
        "<sst uniqueCount=\"99999999999\"><si><t>a</t></si></sst>",
        "<sst uniqueCount = '4000000000'><si><t>a</t></si></sst>",
        "<sst uniqueCount\n=\n'1000'><si><t>a</t></si></sst>",
        "<sst count=\"900\" uniqueCount=\"100\"><si><t>a</t></si></sst>",
        "<sst uniqueCount=\"\"><si><t>a</t></si></sst>",
        "<sst a=\"uniqueCount\" uniqueCount=\"4000000\"><si><t>a</t></si></sst>",
        "<sst uniqueCou\u{0}nt=\"99999999\"><si><t>a</t></si></sst>",
        "<?xml version=\"1.0\" encoding=\"utf-7\"?><x:sst uniqueCount=\"99999999999\"><si><t>a</t></si></x:sst>",
        "<sst><si><t>a</t></si><si><t>uniqueCount: 4915112345678</t></si></sst>",
        &often,
    ] {
        let book = Book {
            strings,
            ..Book::of(row)
        };
        let shown: String = strings.chars().take(80).collect();
        assert_eq!(
            read(&book.zipped()),
            [(1, Ok(vec!["a".to_owned()]))],
            "{shown}"
        );
    }
}

/// A text that many cells share is there for each, whether it is kept or not.
#[test]
fn a_long_text_is_not_copied_for_each_cell() {
    let mut seed = 1_u32;
    let mut letter = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + ((seed >> 24) % 26) as u8)
    };
    let long: String = (0..5_000_000).map(|_| letter()).collect();
    let strings = format!("<sst><si><t>{long}</t></si></sst>");
    for rows in [
        format!("<row>{}</row>", "<c t=\"s\"><v>0</v></c>".repeat(40_000)),
        "<row><c t=\"s\"><v>0</v></c></row>".repeat(30_000),
        format!(
            "<row>{}</row>",
            "<c r=\"ZZ1\" t=\"s\"><v>0</v></c>".repeat(30_000)
        ),
    ] {
        let book = Book {
            strings: &strings,
            ..Book::of(&rows)
        };
        assert_eq!(code(&book.zipped()), "workbook_too_large");
    }
}

#[test]
fn sheets_are_found_wherever_their_targets_lead() {
    let rows = "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>Grüße 日本</t></is></c></row>";
    for folder in [
        "worksheets/",
        "/xl/worksheets/",
        "../xl/worksheets/",
        "./worksheets/",
        "x/../worksheets/",
        "../../xl/worksheets/",
        "worksheets/../worksheets/",
        "/xl/./worksheets/",
    ] {
        for is_wide in [false, true] {
            let book = Book {
                folder,
                is_wide,
                ..Book::of(rows)
            };
            assert_eq!(
                read(&book.zipped()),
                [(1, Ok(vec!["Grüße 日本".to_owned()]))],
                "{folder} {is_wide}"
            );
        }
    }
}
