//! Workbooks as programs and people really make them, and what only looks like one.

use serde_json::json;

use super::{SHEET, users, workbook::workbook};
use crate::{
    support::app::TestApp,
    transfer::{counts, fault, faults},
};

#[tokio::test]
async fn a_cell_without_a_value_is_its_own_fault() {
    let app = TestApp::start().await;
    let error = |what: &str| format!("<c t=\"e\"><v>{what}</v></c>");
    let formula = "<c><f>PROPER(\"al\")</f><v/></c>";
    let (spill, missing) = (error("#SPILL!"), error("#N/A"));
    let book = workbook(&[
        &["email", "first_name", "Helper"],
        &["a@x.yz", "Al", &spill],
        &["b@x.yz", &missing, "x"],
        &["c@x.yz", formula, "x"],
        &["d@x.yz", "Dee", formula],
        &["", "", &missing],
    ]);
    let report = app
        .import_as("?dry_run=true&atomic=true", SHEET, book.clone())
        .await
        .json;
    assert_eq!(counts(&report), (0, 0, 0, 5), "{report}");
    let without = "?columns=%7B%22Helper%22%3Anull%7D";
    let left = app.import_as(without, SHEET, book.clone()).await.json;
    assert_eq!(counts(&left), (2, 0, 0, 2), "{left}");
    assert_eq!(
        faults(&left),
        [
            fault(3, "first_name", "error_cell"),
            fault(4, "first_name", "not_calculated")
        ]
    );
    let report = app.import_as("", SHEET, book).await.json;
    assert_eq!(counts(&report), (0, 0, 0, 5), "{report}");
    assert_eq!(
        faults(&report),
        [
            fault(2, "Helper", "error_cell"),
            fault(3, "first_name", "error_cell"),
            fault(4, "first_name", "not_calculated"),
            fault(5, "Helper", "not_calculated"),
            fault(6, "Helper", "error_cell"),
        ]
    );
    let text = report.to_string();
    for words in [
        "C2 holds #SPILL!",
        "B3 holds #N/A",
        "B4 holds a formula that was never calculated; open and save",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let users = users(&app).await;
    assert_eq!(users[0]["attributes"], json!({}));
    assert_eq!(users[1]["first_name"], "Dee");

    let unnamed = workbook(&[&["email", &missing], &["g@x.yz", "x"]]);
    let report = app.import_as("", SHEET, unnamed).await.json;
    assert_eq!(counts(&report), (1, 0, 0, 0), "{report}");
    assert_eq!(report["columns"][1]["becomes"], json!(null));
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("B1 holds #N/A"), "{warnings}");
}

#[tokio::test]
async fn digits_and_texts_come_as_they_are() {
    let app = TestApp::start().await;
    let book = workbook(&[
        &["email", "iccid", "badge", "floor", "remote"],
        &[
            "a@x.yz",
            "<c><v>8949020000012345678</v></c>",
            "4701",
            "<c><v>4701</v></c>",
            "<c t=\"b\"><v>1</v></c>",
        ],
        &[
            "b@x.yz",
            "<c><v>9007199254740993</v></c>",
            "0047",
            "<c s=\"1\"><v>4701</v></c>",
            "true",
        ],
        &[
            "4701@x.yz",
            "<c><v>-9007199254740993</v></c>",
            "\"4701\"",
            "4701.5",
            "<c t=\"b\"><v>0</v></c>",
        ],
    ]);
    let report = app.import_as("", SHEET, book).await.json;
    assert_eq!(counts(&report), (3, 0, 0, 0), "{report}");
    let users = users(&app).await;
    let attributes: Vec<_> = users
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["attributes"].clone())
        .collect();
    assert_eq!(
        attributes,
        [
            json!({"iccid": "-9007199254740993", "badge": "4701", "floor": "4701.5", "remote": false}),
            json!({"iccid": "8949020000012345678", "badge": "4701", "floor": 4701, "remote": true}),
            json!({"iccid": "9007199254740993", "badge": "0047", "floor": "04701", "remote": "true"}),
        ]
    );
    // An export of them changes nothing.
    let export = app.get("/users/export").await.text;
    let again = app.import("?on_conflict=update", export).await;
    assert_eq!(counts(&again), (0, 0, 3, 0), "{again}");
}

#[tokio::test]
async fn what_only_looks_like_a_workbook_is_named() {
    let app = TestApp::start().await;
    let excel = "application/vnd.ms-excel";
    for (media_type, body, word) in [
        (
            "text/csv",
            "<html><table><tr><td>email</td></tr></table></html>",
            "web page (HTML)",
        ),
        (
            excel,
            "\u{FEFF}<html xmlns:x=\"urn:schemas-microsoft-com:office:excel\">\n<table>",
            "web page (HTML)",
        ),
        (
            excel,
            "<?xml version=\"1.0\"?><Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\">email",
            "Excel 2003",
        ),
        (
            excel,
            "ID;PWXL;N;E\nP;PGeneral\nC;Y1;X1;K\"email\"\n",
            "SYLK",
        ),
        (
            SHEET,
            "<table><tr><th>email</th></tr></table>",
            "web page (HTML)",
        ),
        (
            "text/plain",
            "<!DOCTYPE html><a href=\"mailto:a@x.yz\">",
            "web page (HTML)",
        ),
    ] {
        let answer = app.import_as("", media_type, body).await;
        answer.is_problem(422, "unsupported_workbook");
        assert!(answer.text.contains(word), "{}", answer.text);
    }
    let titled = workbook(&[&["Staff 2026"], &["email", "floor"], &["a@x.yz", "1"]]);
    let answer = app.import_as("", SHEET, titled).await;
    for words in [
        "the sheet `A` was read",
        "the first line is `Staff 2026`",
        "line 2 looks like the header",
    ] {
        assert!(
            answer.status == 422 && answer.text.contains(words),
            "{}",
            answer.text
        );
    }
    let wide = workbook(&[&["email", "floor"], &["a@x.yz", "1", "", "a note"]]);
    let report = app.import_as("", SHEET, wide).await.json;
    assert_eq!(faults(&report), [fault(2, "-", "wrong_column_count")]);
    let detail = report["errors"][0]["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("D2 holds something") && !detail.contains("separator"),
        "{detail}"
    );
}
