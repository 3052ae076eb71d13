//! What is odd about records is told, and they are taken.

use super::*;

#[tokio::test]
async fn a_report_warns_of_odd_records_and_takes_them() {
    let app = TestApp::start().await;
    let csv = "username;Name;Sprache;Gruppen\nada;Groß, Ida;Deutsch;A, B\nаda;Madonna;Französisch;\nbob;;fra;[\"C\",\"D\"]\n";
    for query in [
        "?dry_run=true",
        "?on_conflict=skip",
        "?atomic=true&on_conflict=update",
    ] {
        let report = app.import(query, csv).await;
        assert_eq!(report["failed"], 0, "{report}");
        let told = warnings(&report, "names_look_alike");
        assert!(
            told.len() == 1 && told[0].contains("`аda` (line 3) and the one in line 2"),
            "{report}"
        );
        let told = warnings(&report, "name_has_comma");
        assert!(
            told.len() == 1 && told[0].contains(r#"({"Name":"last_name,first_name"})"#),
            "{report}"
        );
        let told = warnings(&report, "group_looks_like_list");
        assert!(
            told.len() == 1 && told[0].contains("`A, B` (line 2)"),
            "{report}"
        );
    }
    let users = app.get("/users?sort=username").await;
    let locales: Vec<&str> = users.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["locale"].as_str().unwrap())
        .collect();
    assert_eq!(locales, ["de", "fr", "fr"], "{}", users.text);
    let groups = app.get("/groups").await;
    assert_eq!(
        groups.json["data"].as_array().unwrap().len(),
        3,
        "{}",
        groups.text
    );
    let report = app
        .import("?dry_run=true", "email,Sprache\na@x.yz,Klingonisch\n")
        .await;
    assert!(
        report["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("`Klingonisch`"),
        "{report}"
    );
}
