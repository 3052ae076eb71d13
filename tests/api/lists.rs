//! Pasted lists of people, as they are imported.

use serde_json::{Value, json};

use crate::{support::app::TestApp, transfer::counts};

/// First, last and display name of everybody, in the order of their addresses.
async fn names(app: &TestApp) -> Vec<[String; 3]> {
    let users = app.get("/users?sort=email").await.json;
    let users = users["data"].as_array().unwrap().clone();
    let name = |user: &Value, field: &str| user[field].as_str().unwrap().to_owned();
    users
        .iter()
        .map(|user| ["first_name", "last_name", "display_name"].map(|field| name(user, field)))
        .collect()
}

/// What a spreadsheet has beside names and addresses is passed over and told, and refuses nothing.
#[tokio::test]
async fn rows_of_a_spreadsheet_are_taken_as_a_whole() {
    for (list, expected, warned) in [(
        "Ada Lovelace\tada@x.yz\tResearch\t17\r\nBob By\tbob@x.yz\tSales\t4\r\n",
        [["", "", "Ada Lovelace"], ["", "", "Bob By"]],
        json!("cells_passed_over"),
    )] {
        let app = TestApp::start().await;
        for query in ["?dry_run=true", "?atomic=true"] {
            let answer = app.import_as(query, "text/plain", list).await;
            assert_eq!(counts(&answer.json), (2, 0, 0, 0), "{}", answer.text);
            assert_eq!(answer.json["errors"], json!([]));
            assert_eq!(answer.json["warnings"][0]["code"], warned);
            assert_eq!(answer.json["warnings"][1], json!(null));
        }
        assert_eq!(names(&app).await, expected, "{list}");
    }
}

/// What may be one person or two is refused with what to write, and then taken.
#[tokio::test]
async fn doubts_in_a_list_are_told() {
    let app = TestApp::start().await;
    let list = "Bob, Ada Lovelace <ada@x.yz>, Cy Dee <cy@x.yz>";
    let answer = app.import_as("?atomic=true", "text/plain", list).await;
    assert_eq!(counts(&answer.json), (0, 0, 0, 1), "{}", answer.text);
    let fault = &answer.json["errors"][0];
    assert_eq!(
        (&fault["line"], &fault["column"], &fault["code"]),
        (&json!(1), &json!("email"), &json!("ambiguous_entry"))
    );
    let detail = fault["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("`Bob, Ada Lovelace <ada@x.yz>` may be"),
        "{detail}"
    );
    let list = "Bob <bob@x.yz>, Ada Lovelace <ada@x.yz>, Cy Dee: cy@x.yz";
    let answer = app.import_as("?atomic=true", "text/plain", list).await;
    assert_eq!(counts(&answer.json), (3, 0, 0, 0), "{}", answer.text);
    assert_eq!(
        names(&app).await,
        [
            ["", "", "Ada Lovelace"],
            ["", "", "Bob"],
            ["", "", "Cy Dee"]
        ]
    );
    let long = format!("Ada {} <long@x.yz>", "x".repeat(200));
    let answer = app.import_as("", "text/plain", long).await;
    assert_eq!(answer.json["errors"][0]["code"], "invalid_name");
    assert_eq!(app.count("users"), 3);
}

/// A text with a header is a table, also where it is sent as a list: what Excel saves as Unicode text, or somebody copied.
#[tokio::test]
async fn a_list_with_a_header_is_a_table() {
    let app = TestApp::start().await;
    let utf_16 = |text: &str| -> Vec<u8> {
        let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    };
    for (index, (header, line)) in [
        ("Name\tE-Mail\tTeam", "Ada Lovelace\tada{}@x.yz\tDev"),
        (
            "E-Mail;Abteilung;Vorname;Nachname",
            "ada{}@x.yz;Dev;Ada;Lovelace",
        ),
        ("email,display_name,Team", "ada{}@x.yz,Ada Lovelace,Dev"),
        (
            "Personalnummer\tE-Mail\tVorname\tNachname\tPasswort",
            "0042\tada{}@x.yz\tAda\tLovelace\tHunter2-Zq9x",
        ),
        (
            "E-Mail\tPasswort\tManager",
            "ada{}@x.yz\tHunter2-Zq9x\tboss@x.yz",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!("{header}\r\n{line}\r\n");
        for (turn, body) in [
            text.replace("{}", &format!("{index}a")).into_bytes(),
            utf_16(&text.replace("{}", &format!("{index}b"))),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = app.import_as("?atomic=true", "text/plain", body).await;
            assert_eq!(
                counts(&answer.json),
                (1, 0, 0, 0),
                "{header} {turn}: {}",
                answer.text
            );
            assert!(!answer.text.contains("Hunter2"), "{}", answer.text);
            let columns = answer.json["columns"].as_array().unwrap();
            assert_eq!(columns.len(), header.split(['\t', ';', ',']).count());
        }
    }
    let all = app.get("/users?limit=50").await;
    assert!(!all.text.contains("Hunter2"), "{}", all.text);
    for user in all.json["data"].as_array().unwrap() {
        let is_named = user["display_name"] == "Ada Lovelace";
        assert!(
            is_named || user["attributes"]["Manager"] == "boss@x.yz",
            "{user}"
        );
    }
    // Words in front of addresses are no header.
    for list in [
        "Dear all, e-mail follows\nada@x.yz",
        "E-Mail: ada@x.yz, bob@x.yz",
    ] {
        let answer = app.import_as("?dry_run=true", "text/plain", list).await;
        assert_eq!(answer.json["columns"], json!([]), "{list}: {}", answer.text);
    }
}
