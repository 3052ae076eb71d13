//! What is said of a first line that names no columns.

use std::io::{Seek, SeekFrom};

use super::*;
use crate::users::csv::{
    rows::UserRecords,
    sheet::{Kind, Row, SheetWriter},
};

/// The words of the first fault of a sheet.
fn of_sheet(others: usize, rows: &[&[(Kind, &str)]]) -> Result<Vec<Warning>, Vec<LineFault>> {
    let mut writer = SheetWriter::new(tempfile::tempfile().unwrap());
    writer.begin("Tab1", others).unwrap();
    for (line, cells) in (1..).zip(rows) {
        let mut row = Row::new();
        for (column, (kind, text)) in (0..).zip(*cells) {
            row.put(column, *kind, text);
        }
        writer.row(line, &row).unwrap();
    }
    let mut file = writer.finish().unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    UserRecords::open(Records::sheet(file), &ColumnMap::default())
        .unwrap()
        .map(|records| records.warnings().to_vec())
}

fn of_text(text: &str) -> String {
    let records = Records::text(text.as_bytes()).unwrap();
    let Err(faults) = UserRecords::open(records, &ColumnMap::default()).unwrap() else {
        panic!("{text}");
    };
    faults[0].detail.clone()
}

const BARE: &str =
    "the first line must name the columns, and one of them must be `username` or `email`";

#[test]
fn the_line_that_may_be_the_header_is_named() {
    for (text, told) in [
        (
            "Staff 2026\nemail,floor\na@x.yz,1\n",
            "; the first line is `Staff 2026`; line 2 looks like the header: delete the lines above it",
        ),
        (
            "Staff 2026,,\n\nas of,today,\nemail,floor,\n",
            "; the first line is `Staff 2026`; line 4 looks like the header: delete the lines above it",
        ),
        ("a,b\nE-Mail;Vorname\n", ""),
        (
            "Liste;\nE-Mail;Vorname\n",
            "; the first line is `Liste`; line 2 looks like the header: delete the lines above it",
        ),
        ("Ada,Lovelace,geheim\nBob,Babbage,geheim\n", ""),
        ("Ada\nBob\n", "; the first line is `Ada`"),
        ("a@x.yz\nb@x.yz\n", ""),
    ] {
        assert_eq!(of_text(text), format!("{BARE}{told}"), "{text}");
    }
}

#[test]
fn the_sheet_is_named() {
    let text = |text: &'static str| (Kind::Text, text);
    let detail =
        |others, rows: &[&[(Kind, &str)]]| of_sheet(others, rows).unwrap_err()[0].detail.clone();
    let title: &[(Kind, &str)] = &[text("Readme")];
    let header: &[(Kind, &str)] = &[text("email"), text("floor")];
    assert_eq!(
        detail(0, &[title]),
        format!("{BARE}; the sheet `Tab1` was read; the first line is `Readme`")
    );
    let told = detail(2, &[title, header]);
    for word in [
        "only the first visible sheet, `Tab1`, was read",
        "(3 in all)",
        "`Readme`",
        "line 2 looks like the header",
    ] {
        assert!(told.contains(word), "{told}");
    }
    let told = detail(1, &[]);
    assert!(
        told.starts_with("the file is empty") && told.contains("`Tab1`"),
        "{told}"
    );
    let warnings = of_sheet(2, &[header]).unwrap();
    let other = warnings
        .iter()
        .find(|warning| warning.code == "other_sheets");
    assert_eq!(
        other.unwrap().detail,
        "the workbook has 3 visible sheets, and only the first one, `Tab1`, was read"
    );
}

#[test]
fn a_column_whose_name_is_an_error_is_left_out() {
    let header: &[(Kind, &str)] = &[
        (Kind::Text, "email"),
        (Kind::Error, "#REF!"),
        (Kind::NotCalculated, ""),
    ];
    let warnings = of_sheet(0, &[header]).unwrap();
    let told: Vec<(&str, &str)> = warnings
        .iter()
        .map(|warning| (warning.code, &warning.detail[..2]))
        .collect();
    assert_eq!(
        told,
        [
            ("no_name_column", "no"),
            ("error_cell", "B1"),
            ("not_calculated", "C1")
        ]
    );
    assert!(
        warnings[1].detail.ends_with("; its column is left out"),
        "{warnings:?}"
    );
    let faults = of_sheet(0, &[&header[1..]]).unwrap_err();
    let codes: Vec<&str> = faults.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["missing_column", "error_cell", "not_calculated"]);
}
