//! Exports in the hands of other programs.

use serde_json::json;

use crate::support::app::TestApp;

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
    let back = app
        .request(reqwest::Method::POST, "/users/import?on_conflict=update")
        .header("content-type", "text/csv")
        .body(export);
    let back = crate::support::app::Answer::of(back.send().await.unwrap()).await;
    assert_eq!(back.json["skipped"], 1, "{}", back.text);
    assert_eq!(app.get("/users").await.json["data"][0], before);
}
