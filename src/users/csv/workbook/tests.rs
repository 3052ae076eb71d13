//! What workbooks of every kind are read as.

mod book;
mod cells;

use std::io::Write;

use proptest::prelude::*;

use self::book::{Book, zipped};
use super::*;
use crate::users::csv::records::{Outcome, Records};

fn converted(bytes: &[u8]) -> Result<File, Flaw> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    convert(file).unwrap()
}

fn code(bytes: &[u8]) -> &'static str {
    converted(bytes).expect_err("a fault").code
}

type Read = Vec<(u32, Result<Vec<String>, Outcome>)>;

fn read(bytes: &[u8]) -> Read {
    let mut file = converted(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut records = Records::sheet(file);
    let mut found = Vec::new();
    while let Some(outcome) = records.advance().unwrap() {
        let fields = records.fields().enumerate().map(|(index, field)| {
            match records.no_value(index, field) {
                Some(flaw) => format!("{}: {}", flaw.code, flaw.detail),
                None => String::from_utf8(field.to_vec()).unwrap(),
            }
        });
        let row = match outcome {
            Outcome::Read => Ok(fields.collect()),
            outcome => Err(outcome),
        };
        found.push((records.line(), row));
    }
    found
}

/// The text of one cell, with a format of its own where one is given.
fn cell(xml: &str, format: Option<&str>) -> String {
    let rows =
        format!("<row r=\"1\"><c r=\"A1\" t=\"str\"><v>x</v></c></row><row r=\"2\">{xml}</row>");
    let book = Book {
        formats: format.into_iter().collect(),
        strings: "<sst uniqueCount=\"2\"><si><t>shared</t></si><si><r><t xml:space=\"preserve\">rich </t></r><r><t>text</t></r></si></sst>",
        ..Book::of(&rows)
    };
    match read(&book.zipped()).pop() {
        Some((2, Ok(mut cells))) => cells.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cell_is_what_a_person_sees() {
    for (xml, format, text) in [
        ("<c r=\"A2\" t=\"s\"><v>0</v></c>", None, "shared"),
        ("<c r=\"A2\" t=\"s\"><v>1</v></c>", None, "rich text"),
        (
            "<c r=\"A2\" t=\"inlineStr\"><is><t>in &amp; line</t></is></c>",
            None,
            "in & line",
        ),
        (
            "<c r=\"A2\" t=\"str\"><f>A1</f><v>by value</v></c>",
            None,
            "by value",
        ),
        ("<c r=\"A2\"><f>1+1</f><v>2</v></c>", None, "2"),
        ("<c r=\"A2\" t=\"b\"><v>1</v></c>", None, "true"),
        ("<c r=\"A2\" t=\"b\"><v>0</v></c>", None, "false"),
        ("<c r=\"A2\"><v>4711</v></c>", None, "4711"),
        ("<c r=\"A2\"><v>4711.0</v></c>", None, "4711"),
        ("<c r=\"A2\"><v>-4711</v></c>", None, "-4711"),
        ("<c r=\"A2\"><v>1.1000000000000001</v></c>", None, "1.1"),
        (
            "<c r=\"A2\"><v>1.23456789012E+11</v></c>",
            None,
            "123456789012",
        ),
        ("<c r=\"A2\" s=\"1\"><v>0</v></c>", Some("General"), "0"),
        ("<c r=\"A2\" s=\"1\"><v>42</v></c>", Some("00000"), "00042"),
        ("<c r=\"A2\" s=\"1\"><v>0</v></c>", Some("000"), "000"),
        (
            "<c r=\"A2\" s=\"1\"><v>123456</v></c>",
            Some("000"),
            "123456",
        ),
        (
            "<c r=\"A2\" s=\"1\"><v>-42</v></c>",
            Some("00000"),
            "-00042",
        ),
        ("<c r=\"A2\" s=\"1\"><v>1.5</v></c>", Some("00000"), "1.5"),
        ("<c r=\"A2\" s=\"1\"><v>42</v></c>", Some("0.00"), "42"),
        (
            "<c r=\"A2\" s=\"1\"><v>45943</v></c>",
            Some("yyyy-mm-dd"),
            "2025-10-13",
        ),
        (
            "<c r=\"A2\" s=\"1\"><v>45943</v></c>",
            Some("dd.mm.yyyy"),
            "2025-10-13",
        ),
        (
            "<c r=\"A2\" s=\"1\"><v>45943.354166666664</v></c>",
            Some("m/d/yy h:mm"),
            "2025-10-13T08:30:00",
        ),
        (
            "<c r=\"A2\" s=\"1\"><v>0.35416666666666669</v></c>",
            Some("h:mm"),
            "08:30:00",
        ),
        (
            "<c r=\"A2\" s=\"1\"><v>1.5</v></c>",
            Some("[h]:mm:ss"),
            "36:00:00",
        ),
        (
            "<c r=\"A2\" s=\"1\"><v>-3</v></c>",
            Some("yyyy-mm-dd"),
            "-3",
        ),
        (
            "<c r=\"A2\" t=\"d\"><v>2025-10-13T00:00:00</v></c>",
            None,
            "2025-10-13",
        ),
    ] {
        assert_eq!(cell(xml, format), text, "{xml} {format:?}");
    }
}

#[test]
fn the_other_calendar_counts() {
    let rows = "<row r=\"1\"><c r=\"A1\" s=\"1\"><v>44481</v></c></row>";
    let book = Book {
        formats: vec!["yyyy-mm-dd"],
        is_1904: true,
        ..Book::of(rows)
    };
    assert_eq!(
        read(&book.zipped()),
        [(1, Ok(vec!["2025-10-13".to_owned()]))]
    );
}

#[test]
fn rows_have_their_numbers_and_cells_their_columns() {
    let text =
        |r: &str, text: &str| format!("<c r=\"{r}\" t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let rows = [
        "<row r=\"2\"/>".to_owned(),
        format!(
            "<row r=\"3\">{}{}</row>",
            text("A3", "email"),
            text("C3", "floor")
        ),
        format!(
            "<row r=\"5\">{}</row>",
            text("B5", "two\nlines, \"quoted\"")
        ),
        format!(
            "<row r=\"7\">{}<c r=\"C7\" t=\"e\"><v>#N/A</v></c></row>",
            text("A7", "a@x.yz")
        ),
        format!("<row r=\"8\">{}</row>", text("ZZ8", "far out")),
        "<row r=\"9\"><c r=\"A9\"/><c r=\"B9\" s=\"1\"/></row>".to_owned(),
        format!("<row>{}</row>", "<c t=\"e\"><v>#DIV/0!</v></c>"),
    ]
    .concat();
    let found = read(&Book::of(&rows).zipped());
    let cells = |cells: &[&str]| Ok(cells.iter().map(|cell| (*cell).to_owned()).collect());
    let error = |cell: &str, what: &str| {
        format!(
            "error_cell: {cell} holds {what}, which is an error and no value; mend the formula or empty the cell"
        )
    };
    assert_eq!(
        found,
        [
            (3, cells(&["email", "", "floor"])),
            (5, cells(&["", "two\nlines, \"quoted\""])),
            (7, cells(&["a@x.yz", "", &error("C7", "#N/A")])),
            (8, Err(Outcome::TooManyFields)),
            (10, cells(&[&error("A10", "#DIV/0!")])),
        ]
    );
}

#[test]
fn the_first_visible_sheet_is_read() {
    let row = |text: &str| format!("<row r=\"1\"><c r=\"A1\" t=\"str\"><v>{text}</v></c></row>");
    let (first, second) = (row("first"), row("second"));
    for (states, seen) in [
        (["visible", "visible"], Some("first")),
        (["hidden", "visible"], Some("second")),
        (["veryHidden", "visible"], Some("second")),
        (["hidden", "veryHidden"], None),
    ] {
        let book = Book {
            sheets: vec![(states[0], &first), (states[1], &second)],
            ..Book::of("")
        };
        match seen {
            Some(seen) => assert_eq!(read(&book.zipped()), [(1, Ok(vec![seen.to_owned()]))]),
            None => assert_eq!(code(&book.zipped()), "no_sheet"),
        }
    }
}

#[test]
fn what_unfolds_too_far_is_refused_before_it_is_read() {
    let row = "<row><c t=\"str\"><v>x</v></c></row>";
    let many = row.repeat(3_000_000);
    let blank = format!(
        "<row><c t=\"str\"><v>{}</v></c></row>",
        " ".repeat(30_000_000)
    );
    let texts = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(40_000_000));
    let shared = format!("<sst><si><t>{}</t></si></sst>", "shared ".repeat(3_000));
    let copies = "<row><c t=\"s\"><v>0</v></c></row>".repeat(15_000);
    let format = "y".repeat(30_000);
    for (what, book, expected) in [
        ("much", Book::of(&many), "workbook_too_large"),
        ("a ratio", Book::of(&blank), "workbook_too_large"),
        (
            "texts",
            Book {
                strings: &texts,
                ..Book::of(row)
            },
            "workbook_too_large",
        ),
        (
            "one text often",
            Book {
                strings: &shared,
                ..Book::of(&copies)
            },
            "workbook_too_large",
        ),
        (
            "formats",
            Book {
                formats: vec![&format; 250],
                ..Book::of(row)
            },
            "workbook_too_large",
        ),
    ] {
        assert_eq!(code(&book.zipped()), expected, "{what}");
    }
    let many: Vec<(String, String)> = (0..10_001)
        .map(|part| (format!("{part}"), String::new()))
        .collect();
    assert_eq!(code(&zipped(&many)), "workbook_too_large");
}

#[test]
fn what_is_no_workbook_of_ours_is_named() {
    let part = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let ods = part("mimetype", "application/vnd.oasis.opendocument.spreadsheet");
    for (bytes, expected, word) in [
        (zipped(&[ods]), "unsupported_workbook", ".ods"),
        (
            zipped(&[part("xl/workbook.bin", "x")]),
            "unsupported_workbook",
            ".xlsb",
        ),
        (
            zipped(&[part("word/document.xml", "x")]),
            "unsupported_workbook",
            "zip archive",
        ),
        (zipped::<&str>(&[]), "unsupported_workbook", "zip archive"),
        (
            zipped(&[part("xl/workbook.xml", "x")]),
            "damaged_workbook",
            "cannot be read",
        ),
        (
            b"PK\x03\x04 and no more".to_vec(),
            "damaged_workbook",
            "cannot be read",
        ),
        (
            Book::of("<row><c t=\"s\"><v>9</v></c></row>").zipped(),
            "damaged_workbook",
            "cannot be read",
        ),
        (
            Book::of("<row><c><v>1</v>").zipped(),
            "damaged_workbook",
            "cannot be read",
        ),
        (
            Book::of("").zipped()[..900].to_vec(),
            "damaged_workbook",
            "cannot be read",
        ),
    ] {
        let flaw = converted(&bytes).expect_err("a fault");
        assert_eq!(flaw.code, expected, "{}", flaw.detail);
        assert!(flaw.detail.contains(word), "{}", flaw.detail);
    }
}

/// Where the library adds up too far, it stops in one build and goes on in another; the service goes on in both.
#[test]
fn numbers_out_of_reach_stop_nothing() {
    for reference in ["A4294967297", "ZZZZZZZZ1", "A0", "A", "1", ""] {
        let rows = format!("<row><c r=\"{reference}\"><v>1</v></c></row>");
        if let Err(flaw) = converted(&Book::of(&rows).zipped()) {
            assert_eq!(flaw.code, "damaged_workbook", "{reference}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6), xml in "[<>/=\"a-z0-9 &;]{0,60}") {
        let rows = format!("<row r=\"1\"><c r=\"A1\">{xml}<v>1</v></c></row>");
        let mut bytes = Book::of(&rows).zipped();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok(mut file) = converted(&bytes) {
            file.seek(SeekFrom::Start(0)).unwrap();
            let mut records = Records::sheet(file);
            while records.advance().unwrap().is_some() {}
        }
    }
}
