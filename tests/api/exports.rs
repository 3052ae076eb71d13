//! Exports in the hands of other programs.

use serde_json::json;

use crate::{support::app::TestApp, transfer::counts};

/// A program may open the file with another separator than the comma: no cell that it finds is a formula.
#[tokio::test]
async fn no_separator_makes_a_formula_of_an_export() {
    let app = TestApp::start().await;
    let bad = "a;=1+1;\"=2\"\t=3\r\n+4\n@5;'-6;,=7";
    app.user(json!({
        "username": "=cmd;=cmd", "email": "ada@example.com", "first_name": "x;-1", "display_name": "y;\"@z",
        "attributes": {"note": bad, "a;=b": "c"}
    }))
    .await;
    let group = app.post("/groups", json!({"name": "=Sales"})).await;
    let id = app.get("/users").await.json["data"][0]["id"].clone();
    let path = format!("/groups/{}/members", group.json["id"].as_str().unwrap());
    app.post(&path, json!({"add": [id]})).await;
    let group = app.post("/groups", json!({"name": "A"})).await;
    let path = format!("/groups/{}/members", group.json["id"].as_str().unwrap());
    app.post(&path, json!({"add": [id]})).await;

    let export = app.get("/users/export").await.text;
    for separator in [b',', b';', b'\t'] {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(false)
            .flexible(true)
            .from_reader(export.as_bytes());
        for record in reader.records() {
            for cell in &record.unwrap() {
                let begins = cell.trim_start_matches('"');
                assert!(
                    !begins.starts_with(['=', '+', '-', '@']),
                    "with {:?}: {cell:?} of {export}",
                    char::from(separator)
                );
            }
        }
    }
    let before = app.get("/users").await.json["data"][0].clone();
    let back = app.import("?on_conflict=update", export).await;
    assert_eq!(counts(&back), (0, 0, 1, 0), "{back}");
    assert_eq!(app.get("/users").await.json["data"][0], before);
}

/// A user may have fifty attributes, and all together more than a file has columns.
#[tokio::test]
async fn an_export_is_never_wider_than_an_import() {
    let app = TestApp::start().await;
    let wide = |from: usize, to: usize| {
        let names: Vec<String> = (from..to).map(|n| format!("a;b;c;{n}")).collect();
        let mut csv = format!("email,\"{}\"\n", names.join("\",\""));
        for (row, names) in names.chunks(49).enumerate() {
            let before = ",".repeat(row * 49);
            let values = vec!["x"; names.len()].join(",");
            let after = ",".repeat(to - from - row * 49 - names.len());
            csv.push_str(&format!("u{from}-{row}@x.yz,{before}{values}{after}\n"));
        }
        csv
    };
    let report = app.import("", wide(0, 482)).await;
    assert_eq!(counts(&report), (10, 0, 0, 0), "{report}");
    let export = app.get("/users/export").await;
    assert_eq!(export.status, 200);
    let again = app.import("?on_conflict=update", export.text).await;
    assert_eq!(counts(&again), (0, 0, 10, 0), "{again}");

    app.import("", wide(482, 483)).await;
    let refused = app.get("/users/export").await;
    refused.is_problem(422, "too_many_columns");
    assert!(
        refused.text.contains("483") && refused.text.contains("482"),
        "{}",
        refused.text
    );
    let one = app.get("/users/export?q=u482-0").await;
    assert_eq!((one.status.as_u16(), one.text.lines().count()), (200, 2));
}
