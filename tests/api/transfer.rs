//! Importing and exporting users.

use std::collections::HashMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};

impl TestApp {
    pub async fn import_as(
        &self,
        query: &str,
        media_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let request = self
            .request(Method::POST, &format!("/users/import{query}"))
            .header("content-type", media_type)
            .body(body.into());
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn import(&self, query: &str, csv: impl Into<Vec<u8>>) -> Value {
        let answer = self.import_as(query, "text/csv", csv).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json
    }

    pub fn count(&self, table: &str) -> i64 {
        self.db.number(&format!("SELECT count(*) FROM {table}"))
    }

    /// Everything about users and groups but ids and times, in an order of its own.
    pub async fn picture(&self) -> String {
        let answer = self.get("/users?limit=200").await;
        let mut users: Vec<String> = answer.json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| {
                let mut user = user.clone();
                for passing in ["id", "created_at", "updated_at"] {
                    user.as_object_mut().unwrap().remove(passing);
                }
                for group in user["groups"].as_array_mut().unwrap() {
                    group.as_object_mut().unwrap().remove("id");
                }
                user.to_string()
            })
            .collect();
        users.sort();
        users.join("\n")
    }
}

pub fn counts(report: &Value) -> (u64, u64, u64, u64) {
    let number = |name| report[name].as_u64().unwrap();
    (
        number("created"),
        number("updated"),
        number("skipped"),
        number("failed"),
    )
}

/// Line, column and code of every fault.
pub fn faults(report: &Value) -> Vec<(u64, String, String)> {
    report["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            (
                fault["line"].as_u64().unwrap(),
                fault["column"].as_str().unwrap_or("-").to_owned(),
                fault["code"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

pub fn fault(line: u64, column: &str, code: &str) -> (u64, String, String) {
    (line, column.to_owned(), code.to_owned())
}

#[tokio::test]
async fn good_lines_go_in_and_bad_ones_are_told() {
    let app = TestApp::start().await;
    app.user(json!({"email": "there@example.com", "first_name": "Old"}))
        .await;
    let csv = "\u{FEFF}username;email;first_name;groups;floor;password\r\n\
        ada;ada@example.com;Ada;\"Sales; Ops\\;EMEA\";4;correct horse\r\n\
        ;no-address;;;;\r\n\
        there;there@example.com;New;;;\r\n\
        ADA;other@example.com;;;;\r\n\
        x;y\r\n\
        \r\n\
        ;;;;;\r\n\
        ;bob@example.com;\"Bob\r\nBy\";;;short\r\n\
        ;cy@example.com;Cy;sales;\"=1\";\r\n";
    let report = app.import("", csv).await;
    assert_eq!(counts(&report), (2, 0, 0, 5), "{report}");
    assert_eq!(
        faults(&report),
        [
            fault(3, "email", "invalid_email"),
            fault(4, "email", "already_exists"),
            fault(5, "username", "repeated_in_file"),
            fault(6, "email", "invalid_email"),
            fault(9, "first_name", "control_character"),
            fault(9, "password", "too_short"),
        ]
    );
    assert!(!report.to_string().contains("correct horse"));
    let ada = &app.get("/users?q=ada").await.json["data"][0];
    assert_eq!(ada["attributes"], json!({"floor": 4}));
    assert_eq!(ada["has_password"], true);
    let names: Vec<&str> = ada["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Ops;EMEA", "Sales"]);
    let cy = &app.get("/users?q=cy@").await.json["data"][0];
    assert_eq!(cy["groups"][0]["name"], "Sales", "the same group");
    assert_eq!(app.count("groups"), 2);
}

#[tokio::test]
async fn on_conflict_says_what_becomes_of_known_users() {
    let app = TestApp::start().await;
    app.user(
        json!({"username": "ada", "email": "ada@example.com", "first_name": "Ada",
        "attributes": {"floor": 4, "room": "a"}}),
    )
    .await;
    app.user(json!({"username": "bob", "email": "bob@example.com"}))
        .await;
    let csv = "username,email,first_name,last_name,floor,groups\n\
        ADA,,,Lovelace,5,Sales\n\
        cy,Bob@Example.com,,,,\n\
        bob,ada@example.com,,,,\n\
        new,new@example.com,,,,\n";
    let skipped = app.import("?on_conflict=skip&dry_run=true", csv).await;
    assert_eq!(counts(&skipped), (1, 0, 3, 0), "{skipped}");
    assert_eq!(app.count("users"), 2, "a dry run stores nothing");
    assert_eq!(app.count("groups"), 0);

    let updated = app.import("?on_conflict=update", csv).await;
    assert_eq!(counts(&updated), (1, 2, 0, 1), "{updated}");
    assert_eq!(faults(&updated), [fault(4, "email", "already_exists")]);
    let ada = &app.get("/users?q=lovelace").await.json["data"][0];
    assert_eq!(ada["first_name"], "Ada", "an empty cell says nothing");
    assert_eq!(ada["username"], "ADA");
    assert_eq!(ada["attributes"], json!({"floor": 5, "room": "a"}));
    assert_eq!(ada["groups"][0]["name"], "Sales");
    let cy = &app.get("/users?q=bob@").await.json["data"][0];
    assert_eq!(cy["username"], "cy", "known by the address");

    // The same again changes nothing.
    let before = app.picture().await;
    let again = app
        .import(
            "?on_conflict=update",
            csv.replace("\nbob,ada@example.com,,,,", ""),
        )
        .await;
    assert_eq!(counts(&again), (0, 0, 3, 0), "{again}");
    assert_eq!(app.picture().await, before);
    // Two lines about one user, known by different things.
    let twice = app
        .import(
            "?on_conflict=update",
            "username,email\nADA,\nada2,ada@example.com\n",
        )
        .await;
    assert_eq!(faults(&twice), [fault(3, "-", "repeated_in_file")]);
}

#[tokio::test]
async fn disabling_by_import_revokes() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let id = app.user(json!({"email": "ada@example.com"})).await;
    app.invite(json!({"user_ids": [id]})).await;
    let report = app
        .import("?on_conflict=update", "email,enabled\nada@example.com,no\n")
        .await;
    assert_eq!(counts(&report), (0, 1, 0, 0));
    let user = app.get(&format!("/users/{id}")).await.json;
    assert_eq!(
        (&user["enabled"], &user["invite_status"]),
        (&json!(false), &json!("expired"))
    );
}

#[tokio::test]
async fn atomic_is_all_or_nothing() {
    let app = TestApp::start().await;
    let lines: String = (0..2_500)
        .map(|number| format!("user{number}@example.com,Sales\n"))
        .collect();
    let bad = format!("email,groups\n{lines}nobody,\n");
    let report = app.import("?atomic=true", bad).await;
    assert_eq!(counts(&report), (0, 0, 0, 1));
    assert_eq!(faults(&report), [fault(2_502, "email", "invalid_email")]);
    assert_eq!((app.count("users"), app.count("groups")), (0, 0));
    let good = format!("email,groups,password\n{}", lines.replace('\n', ",\n"));
    let good = good.replacen("Sales,", "Sales,correct horse", 2);
    let report = app.import("?atomic=true", good).await;
    assert_eq!(counts(&report), (2_500, 0, 0, 0));
    assert_eq!(app.count("users"), 2_500);
    assert_eq!(app.count("group_members"), 2_500);
    assert_eq!(app.count("users WHERE password_hash LIKE '$argon2id$%'"), 2);
    assert_eq!(app.count("user_activity"), 2_500);
}

#[tokio::test]
async fn invite_invites_whom_it_creates() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    app.user(json!({"email": "there@example.com"})).await;
    let lines: String = (0..1_500)
        .map(|number| format!("user{number}@example.com\n"))
        .collect();
    let csv = format!("email\n{lines}there@example.com\n");
    let report = app
        .import("?invite=true&on_conflict=skip", csv.clone())
        .await;
    assert_eq!(counts(&report), (1_500, 0, 1, 0));
    assert_eq!(
        report["batch_ids"].as_array().unwrap().len(),
        3,
        "a batch a chunk"
    );
    assert_eq!(app.count("invitations"), 1_500);
    // A repeat, as after a crash, invites nobody twice.
    let again = app.import("?invite=true&on_conflict=skip", csv).await;
    assert_eq!(counts(&again), (0, 0, 1_501, 0));
    assert_eq!(app.count("invitations"), 1_500);
    let dry = app
        .import("?invite=true&dry_run=true", "email\nnew@example.com")
        .await;
    assert_eq!(counts(&dry), (1, 0, 0, 0));
    assert_eq!(app.count("invitations"), 1_500);
}

#[tokio::test]
async fn a_list_of_addresses_is_taken() {
    let app = TestApp::start().await;
    let list = "ada@example.com, Bob By <bob@example.com>;\ncy@example.com nobody\n";
    let answer = app.import_as("", "text/plain; charset=utf-8", list).await;
    assert_eq!(counts(&answer.json), (3, 0, 0, 1), "{}", answer.text);
    assert_eq!(faults(&answer.json), [fault(2, "email", "invalid_email")]);
    let bob = &app.get("/users?q=bob").await.json["data"][0];
    assert_eq!(bob["display_name"], "Bob By");
}

/// As Outlook gives it: family names first, and remarks in brackets.
#[tokio::test]
async fn a_list_from_a_mail_program_is_taken() {
    let list = include_str!("../cases/B14.txt");
    for query in ["", "?atomic=true"] {
        let app = TestApp::start().await;
        let answer = app.import_as(query, "text/plain", list).await;
        assert_eq!(counts(&answer.json), (2, 0, 0, 0), "{}", answer.text);
        assert_eq!(answer.json["errors"], json!([]));
        let users = app.get("/users?sort=display_name").await.json;
        let names: Vec<[&str; 3]> = users["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| {
                ["first_name", "last_name", "display_name"].map(|name| user[name].as_str().unwrap())
            })
            .collect();
        let expected = [
            ["Asa", "Lind", "Asa Lind"],
            ["Cian", "O Brien", "Cian O Brien"],
        ];
        assert_eq!(names, expected);
    }
    let app = TestApp::start().await;
    let list = "ada@x.yz\nbob at example.com\nADA@x.yz\n";
    let answer = app.import_as("", "text/plain", list).await;
    assert_eq!(counts(&answer.json), (1, 0, 0, 2), "{}", answer.text);
    assert_eq!(
        faults(&answer.json),
        [
            fault(2, "email", "invalid_email"),
            fault(3, "email", "repeated_in_file")
        ]
    );
    let detail = answer.json["errors"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("`bob at example.com`") && detail.contains("`bob@example.com`"),
        "{detail}"
    );
    let nobody = app.import_as("?atomic=true", "text/plain", list).await;
    assert_eq!(counts(&nobody.json), (0, 0, 0, 3), "{}", nobody.text);
}

#[tokio::test]
async fn files_that_are_none_are_refused() {
    let app = TestApp::start().await;
    for (body, pointer, code) in [
        (&b""[..], "", "empty_file"),
        (b"\xFF\xFEe\0m\0", "", "missing_column"),
        (b"first_name\nAda\n", "", "missing_column"),
        (b"email,email\na@x.yz,b@x.yz\n", "/email", "repeated_column"),
    ] {
        let answer = app.import_as("", "text/csv", body).await;
        answer.is_problem(422, "validation_failed");
        assert_eq!(answer.json["errors"][0]["code"], code, "{}", answer.text);
        assert_eq!(answer.pointers(), [pointer]);
    }
    let wide = format!("email{}\n", ",x".repeat(1_000));
    let answer = app.import_as("", "text/csv", wide).await;
    assert_eq!(answer.json["errors"][0]["code"], "too_many_columns");
    let report = app.import("", "email\n").await;
    assert_eq!(
        counts(&report),
        (0, 0, 0, 0),
        "a header alone is an empty list"
    );

    for media_type in ["application/json", "application/octet-stream", "nonsense"] {
        app.import_as("", media_type, "email\n")
            .await
            .is_problem(415, "unsupported_media_type");
    }
    let answer = app
        .import_as(
            "?on_conflict=replace&dryrun=true&atomic=maybe",
            "text/csv",
            "",
        )
        .await;
    answer.is_problem(422, "validation_failed");
    assert_eq!(answer.pointers(), ["/atomic", "/dryrun", "/on_conflict"]);
    let many: String = (0..100_001)
        .map(|number| format!("{number}@x.yz\n"))
        .collect();
    app.import_as("", "text/csv", format!("email\n{many}"))
        .await
        .is_problem(422, "too_many_rows");
    assert_eq!(app.count("users"), 0);
}

#[tokio::test]
async fn one_enormous_line_holds_nobody_back() {
    let app = TestApp::start().await;
    let csv = format!(
        "email,floor\na@x.yz,1\nb@x.yz,{}\nc@x.yz,\"1\0\"\nd@x.yz,4\n",
        "x".repeat(50_000_000)
    );
    let report = app.import("", csv).await;
    assert_eq!(counts(&report), (2, 0, 0, 2), "{report}");
    assert_eq!(
        faults(&report),
        [
            fault(3, "-", "record_too_long"),
            fault(4, "floor", "control_character")
        ]
    );
}

/// The connection is cut half-way: nothing of the file is there.
#[tokio::test]
async fn a_cut_upload_imports_nothing() {
    use tokio::io::AsyncWriteExt;
    let app = TestApp::start().await;
    let address = app.base.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /users/import HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\n\
         content-length: 1000000\r\n\r\nemail\nada@example.com\nbob@example.com\n",
        app.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    drop(stream);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(app.count("users"), 0);
    // And its place is free again: there are two.
    for number in 0..3 {
        let report = app
            .import("", format!("email\n{number}@example.com\n"))
            .await;
        assert_eq!(counts(&report), (1, 0, 0, 0));
    }
}

#[tokio::test]
async fn an_idempotency_key_replays_the_report() {
    let app = TestApp::start().await;
    let import = async |query: &str, csv: &str| {
        let request = app
            .request(Method::POST, &format!("/users/import{query}"))
            .header("content-type", "text/csv")
            .header("idempotency-key", "file-1")
            .body(csv.to_owned());
        Answer::of(request.send().await.unwrap()).await
    };
    let first = import("", "email\nada@example.com\n").await;
    let second = import("", "email\nada@example.com\n").await;
    assert_eq!(second.text, first.text);
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(counts(&second.json), (1, 0, 0, 0));
    import("", "email\nbob@example.com\n")
        .await
        .is_problem(422, "idempotency_key_reused");
    import("?atomic=true", "email\nada@example.com\n")
        .await
        .is_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn two_imports_of_one_file_at_once_make_each_user_once() {
    let app = TestApp::start().await;
    let lines: String = (0..3_000)
        .map(|number| format!("user{number}@example.com,Group {}\n", number % 40))
        .collect();
    let csv = format!("email,groups\n{lines}");
    let (one, other) = tokio::join!(
        app.import("?on_conflict=update", csv.clone()),
        app.import("?on_conflict=update", csv.clone())
    );
    assert_eq!(app.count("users"), 3_000);
    assert_eq!(app.count("group_members"), 3_000);
    assert_eq!(app.count("groups"), 40);
    let created = counts(&one).0 + counts(&other).0;
    assert_eq!(created, 3_000, "{one} {other}");
}

#[tokio::test]
async fn what_is_exported_comes_back_unchanged() {
    let app = TestApp::start().await;
    for user in [
        json!({"username": "=cmd|' /C calc'!A0", "email": "ada@example.com", "display_name": "+Ada",
            "attributes": {"=x": "-1", "floor": 4, "code": "0042", "number": "4711", "flag": true, "email": "y",
                "note": "two\nlines, \"quoted\"", "blank": "", "quoted": "'tis", "pi": -3.5}}),
        json!({"username": "'bob", "first_name": "Bob; \"By\"", "locale": "fr-CA", "time_zone": "Europe/Paris",
            "managed_apple_account": "bob@appleid.example.com", "enabled": false}),
        json!({"email": "zoe@example.com", "last_name": "@Zoë"}),
    ] {
        app.user(user).await;
    }
    app.import(
        "?on_conflict=update",
        "email,groups\nada@example.com,\"Sales;=Ops\\;EMEA;back\\\\slash\"\n",
    )
    .await;
    let before = app.picture().await;
    let export = app.get("/users/export").await;
    assert_eq!(export.header("content-type"), "text/csv; charset=utf-8");
    assert!(export.header("content-disposition").contains("attachment"));

    // A reader that we did not write; no cell can be run by a spreadsheet.
    let mut reader = csv::Reader::from_reader(export.text.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert_eq!(
        header.iter().take(2).collect::<Vec<_>>(),
        ["username", "email"]
    );
    assert!(header.iter().any(|name| name == "attributes.email"));
    let mut rows = 0;
    for record in reader.records() {
        let record = record.unwrap();
        rows += 1;
        for cell in &record {
            assert!(
                !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']),
                "{cell}"
            );
        }
    }
    assert_eq!(rows, 3);

    let again = app.import("?on_conflict=update", export.text.clone()).await;
    assert_eq!(counts(&again), (0, 0, 3, 0), "{again}");
    assert_eq!(app.picture().await, before);

    let elsewhere = TestApp::start().await;
    let report = elsewhere.import("", export.text.clone()).await;
    assert_eq!(counts(&report), (3, 0, 0, 0), "{report}");
    assert_eq!(elsewhere.picture().await, before);
}

#[tokio::test]
async fn an_export_takes_the_filters_and_every_page() {
    let app = TestApp::start().await;
    let lines: String = (0..2_345)
        .map(|number| format!("user{number}@example.com,{}\n", ["fr", "en"][number % 2]))
        .collect();
    app.import("", format!("email,locale\n{lines}")).await;
    for (query, expected) in [("", 2_345), ("?locale=fr", 1_173), ("?q=nobody", 0)] {
        let export = app.get(&format!("/users/export{query}")).await;
        let mut reader = csv::Reader::from_reader(export.text.as_bytes());
        let mut seen: HashMap<String, u32> = HashMap::new();
        for record in reader.records() {
            *seen.entry(record.unwrap()[0].to_owned()).or_default() += 1;
        }
        assert_eq!(seen.len(), expected, "{query}");
        assert!(seen.values().all(|times| *times == 1));
    }
    app.get("/users/export?limit=5")
        .await
        .is_problem(422, "validation_failed");
}

#[tokio::test]
async fn the_template_is_a_file_that_is_taken() {
    let app = TestApp::start().await;
    let template = app.get("/users/import/template").await;
    assert!(
        template.text.starts_with("username,email,first_name"),
        "{}",
        template.text
    );
    assert_eq!(template.text.lines().count(), 2, "with an example");
    for query in ["", "?atomic=true", "?dry_run=true"] {
        let report = app.import(query, template.text.clone()).await;
        assert_eq!(counts(&report), (0, 0, 0, 0));
        assert_eq!(report["errors"], json!([]));
    }
    let filled = format!("{}ada,ada@x.yz,,,,,,,,,\r\n", template.text);
    assert_eq!(counts(&app.import("", filled).await), (1, 0, 0, 0));
    assert_eq!(app.count("users"), 1);
}

/// Excel takes a file for UTF-8 that begins with a mark.
#[tokio::test]
async fn a_file_for_excel_begins_with_a_mark() {
    let app = TestApp::start().await;
    app.user(json!({"email": "zoe@x.yz", "first_name": "Zoë"}))
        .await;
    for path in ["/users/export", "/users/import/template"] {
        let plain = app.get(path).await.text;
        let marked = app.get(&format!("{path}?bom=true")).await.text;
        assert_eq!(marked, format!("\u{FEFF}{plain}"));
        assert_eq!(app.get(&format!("{path}?bom=false")).await.text, plain);
        let refused = app.get(&format!("{path}?bom=perhaps&nothing=1")).await;
        refused.is_problem(422, "validation_failed");
        assert_eq!(refused.pointers(), ["/bom", "/nothing"]);
    }
    let export = app
        .get("/users/export?bom=true&enabled=true&q=zoe")
        .await
        .text;
    assert_eq!(export.lines().count(), 2);
    let again = app.import("?on_conflict=update", export).await;
    assert_eq!(counts(&again), (0, 0, 1, 0), "{again}");
}

/// `enlist users import` does the same, and says it in its exit status.
#[tokio::test]
async fn the_shell_imports_too() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.csv");
    std::fs::write(&file, "email,groups\nada@example.com,Sales\nnobody,\n").unwrap();
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_enlist"))
            .current_dir(folder.path())
            .env("DATABASE_URL", &app.db.url)
            .env("ENLIST_SECRET_KEYS", crate::support::app::KEYS)
            .args(["users", "import"])
            .args(args)
            .stdin(std::process::Stdio::from(
                std::fs::File::open(&file).unwrap(),
            ))
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (is_well, said, told) = run(&["users.csv", "--dry-run"]);
    assert!(
        !is_well && said.contains("Would be: 1 created") && told.contains("line 3, email:"),
        "{said}{told}"
    );
    assert_eq!(app.count("users"), 0);
    let (is_well, said, _) = run(&["-", "--invite"]);
    assert!(
        !is_well && said.contains("1 created, 0 updated, 0 skipped, 1 failed"),
        "{said}"
    );
    assert_eq!((app.count("users"), app.count("invitations")), (1, 1));
    std::fs::write(&file, "Ada <ada@example.com>\n").unwrap();
    let (is_well, said, told) = run(&["users.csv", "--addresses", "--on-conflict", "skip"]);
    assert!(is_well && said.contains("1 skipped"), "{said}{told}");
    let (is_well, _, told) = run(&["nowhere.csv"]);
    assert!(!is_well && told.contains("enlist: nowhere.csv: "), "{told}");
    std::fs::write(&file, "").unwrap();
    let (is_well, _, told) = run(&["users.csv"]);
    assert!(!is_well && told.contains("the file is empty"), "{told}");
}

#[tokio::test]
async fn passwords_are_taken_as_they_are() {
    let app = TestApp::start().await;
    app.user(json!({"email": "ada@example.com"})).await;
    let csv = "email,password\nada@example.com,'-234567\n";
    // A dry run hashes nothing, and still knows that something would change.
    let dry = app.import("?on_conflict=update&dry_run=true", csv).await;
    assert_eq!(counts(&dry), (0, 1, 0, 0), "{dry}");
    let report = app.import("?on_conflict=update", csv).await;
    assert_eq!(counts(&report), (0, 1, 0, 0), "{report}");
}

#[tokio::test]
async fn compressed_files_are_refused_in_words() {
    let app = TestApp::start().await;
    let request = app
        .request(Method::POST, "/users/import")
        .header("content-type", "text/csv")
        .header("content-encoding", "gzip")
        .body(vec![0x1F, 0x8B]);
    Answer::of(request.send().await.unwrap())
        .await
        .is_problem(415, "unsupported_content_encoding");
}

/// Somebody takes a name between the look and the write: all or nothing is tried again, not a 500.
#[tokio::test]
async fn a_crossed_atomic_import_is_tried_again() {
    use diesel::{Connection, RunQueryDsl, sql_query};
    let app = TestApp::start().await;
    for email in ["lock7@example.com", "lock8@example.com"] {
        app.user(json!({"email": email})).await;
    }
    let url = app.db.url.clone();
    let other = std::thread::spawn(move || {
        let mut connection = diesel::PgConnection::establish(&url).unwrap();
        connection
            .transaction(|connection| {
                sql_query("UPDATE users SET username = 'clash' WHERE email = 'lock7@example.com'")
                    .execute(connection)?;
                sql_query("SELECT pg_sleep(1)").execute(connection)
            })
            .unwrap();
    });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let csv = "username,email\nclash,lock8@example.com\n";
    let report = app.import("?on_conflict=update&atomic=true", csv).await;
    assert_eq!(
        faults(&report),
        [fault(2, "email", "already_exists")],
        "{report}"
    );
    other.join().unwrap();
}
