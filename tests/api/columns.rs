//! What becomes of the columns of a file: known by what others call them, left out, or kept as attributes.

mod odd;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    support::app::{Answer, TestApp},
    transfer::counts,
};

const CAMEL_CASE: &str = include_str!("../cases/B05b-camel-case.csv");
const PASSWORDS: &str = include_str!("../cases/B05e-passwords.csv");

impl TestApp {
    /// An import where the caller says what columns are.
    async fn import_columns(&self, columns: &str, csv: &str) -> Answer {
        self.import_as(&query(columns), "text/csv", csv).await
    }

    async fn only_user(&self, q: &str) -> Value {
        let found = self.get(&format!("/users?q={q}")).await;
        let users = found.json["data"].as_array().unwrap();
        assert_eq!(users.len(), 1, "{}", found.text);
        users[0].clone()
    }
}

/// The object as a client writes it into a URL.
fn query(columns: &str) -> String {
    let columns =
        percent_encoding::utf8_percent_encode(columns, percent_encoding::NON_ALPHANUMERIC);
    format!("?columns={columns}")
}

/// Each column's name, and what it became.
fn became(report: &Value) -> Vec<(&str, Option<&str>)> {
    let columns = report["columns"].as_array().unwrap().iter();
    columns
        .map(|column| (column["name"].as_str().unwrap(), column["becomes"].as_str()))
        .collect()
}

fn warnings<'a>(report: &'a Value, code: &str) -> Vec<&'a str> {
    let warnings = report["warnings"].as_array().unwrap().iter();
    warnings
        .filter(|warning| warning["code"] == code)
        .map(|warning| warning["detail"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn camel_case_is_known() {
    let app = TestApp::start().await;
    for query in ["?dry_run=true", ""] {
        let report = app.import(query, CAMEL_CASE).await;
        assert_eq!(counts(&report), (1, 0, 0, 0), "{report}");
        assert_eq!(
            became(&report),
            [
                ("email", Some("email")),
                ("firstName", Some("first_name")),
                ("lastName", Some("last_name")),
                ("displayName", Some("display_name")),
                ("timezone", Some("time_zone")),
            ]
        );
        assert_eq!(report["warnings"], json!([]));
    }
    let user = app.only_user("head.two").await;
    assert_eq!(
        (
            &user["first_name"],
            &user["last_name"],
            &user["display_name"]
        ),
        (&json!("Two"), &json!("Test"), &json!("Two Test"))
    );
    assert_eq!(user["time_zone"], "Europe/Paris");
    assert_eq!(user["attributes"], json!({}));
}

#[tokio::test]
async fn passwords_are_never_attributes() {
    let app = TestApp::start().await;
    let mapped = json!({"Passwort": "attributes.note", "pwd": "first_name"}).to_string();
    for columns in ["{}", &mapped] {
        let answer = app.import_columns(columns, PASSWORDS).await;
        assert_eq!(
            answer.json["columns"].as_array().unwrap().len(),
            5,
            "{}",
            answer.text
        );
        assert!(
            became(&answer.json)[1..]
                .iter()
                .all(|(_, becomes)| becomes.is_none()),
            "{}",
            answer.text
        );
        let told = warnings(&answer.json, "password_like_column");
        for name in [
            "`Initial password`",
            "`Passwort`",
            "`pwd`",
            "`Password [Required]`",
        ] {
            assert_eq!(
                told.iter().filter(|told| told.contains(name)).count(),
                1,
                "{told:?}"
            );
        }
        assert!(!answer.text.contains("not-a-real-one"), "{}", answer.text);
    }
    let user = app.only_user("head.four").await;
    assert_eq!(
        (&user["attributes"], &user["has_password"]),
        (&json!({}), &json!(false))
    );
    for path in ["/users/export", "/audit-events"] {
        let text = app.get(path).await.text;
        assert!(!text.contains("not-a-real-one"), "{text}");
    }
    let stored = "SELECT count(*) FROM users WHERE users::text LIKE '%not-a-real-one%'";
    assert_eq!(app.db.number(stored), 0);
    let columns = json!({"Passwort": "password"}).to_string();
    let csv = PASSWORDS.replace("head.four", "head.five");
    let answer = app.import_columns(&columns, &csv).await;
    assert_eq!(counts(&answer.json), (1, 0, 0, 0), "{}", answer.text);
    assert_eq!(app.only_user("head.five").await["has_password"], true);
}

#[tokio::test]
async fn attributes_are_not_called_as_passwords_are() {
    let app = TestApp::start().await;
    let body =
        json!({"email": "ada@example.com", "attributes": {"Passwort": "s3cr3t!", "floor": 4}});
    let answer = app.post("/users", body).await;
    answer.is_problem(422, "validation_failed");
    assert_eq!(answer.json["errors"][0]["code"], "password_like_attribute");
    assert_eq!(answer.pointers(), ["/attributes/Passwort"]);
    assert!(!answer.text.contains("s3cr3t!"));
    let id = app
        .user(json!({"email": "ada@example.com", "attributes": {"floor": 4}}))
        .await;
    let path = format!("/users/{id}");
    let body = json!({"attributes": {"mot de passe": "s3cr3t!"}});
    let answer = app.send(Method::PATCH, &path, body).await;
    assert_eq!(answer.json["errors"][0]["code"], "password_like_attribute");
    // One that is there from before can be taken away.
    app.db
        .execute("UPDATE users SET attributes = '{\"pwd\": \"old\"}'");
    let answer = app
        .send(Method::PATCH, &path, json!({"attributes": {"pwd": null}}))
        .await;
    assert_eq!(answer.json["attributes"], json!({}), "{}", answer.text);
}

#[tokio::test]
async fn two_columns_for_one_field_are_refused_with_what_to_say() {
    let app = TestApp::start().await;
    let csv = "Mail;Work e-mail;Vorname;Prénom\na@x.yz;b@x.yz;Asa;Cian\n";
    let answer = app.import_as("", "text/csv", csv).await;
    answer.is_problem(422, "ambiguous_columns");
    assert_eq!(answer.pointers(), ["/Mail", "/Vorname"]);
    let detail = answer.json["detail"].as_str().unwrap();
    let (_, after) = detail.split_once("columns=").unwrap();
    let hint = after.split(' ').next().unwrap();
    // Copied as it stands.
    let report = app.import(&format!("?columns={hint}"), csv).await;
    assert_eq!(
        became(&report),
        [
            ("Mail", Some("email")),
            ("Work e-mail", Some("attributes.Work e-mail")),
            ("Vorname", Some("first_name")),
            ("Prénom", Some("attributes.Prénom")),
        ]
    );
    assert_eq!(app.only_user("asa").await["email"], "a@x.yz");
    // A field's own name is not in doubt.
    let report = app
        .import("?dry_run=true", "email,Mail\nc@x.yz,d@x.yz\n")
        .await;
    assert_eq!(became(&report)[0].1, Some("email"));
    assert_eq!(warnings(&report, "looks_like").len(), 1, "{report}");
}

#[tokio::test]
async fn a_caller_says_what_columns_are() {
    let app = TestApp::start().await;
    let csv = "email,Contact,Abt,Notes,Person\nold@x.yz,new@x.yz,R&D,secret,\"Lind, Asa\"\n";
    let columns = json!({"Contact": "email", "Abt": "attributes.Abteilung", "Notes": null, "person": "last_name,first_name"});
    let answer = app.import_columns(&columns.to_string(), csv).await;
    assert_eq!(counts(&answer.json), (1, 0, 0, 0), "{}", answer.text);
    let user = app.only_user("new@x.yz").await;
    assert_eq!(
        user["attributes"],
        json!({"Abteilung": "R&D", "email": "old@x.yz"})
    );
    assert_eq!(user["display_name"], "Asa Lind");

    let answer = app
        .import_columns(
            r#"{"Abt":"division","Notes":3,"Contact":"attributes.pwd"}"#,
            csv,
        )
        .await;
    answer.is_problem(422, "validation_failed");
    let mut pointers = answer.pointers();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        ["/columns/Abt", "/columns/Contact", "/columns/Notes"]
    );
    assert!(
        answer.text.contains("managed_apple_account"),
        "{}",
        answer.text
    );
    let answer = app.import_columns(r#"{"Nodes":null}"#, csv).await;
    answer.is_problem(422, "validation_failed");
    assert_eq!(answer.json["errors"][0]["code"], "unknown_column");
    assert!(answer.text.contains("`Notes`"), "{}", answer.text);
    let answer = app.import_columns("[]", csv).await;
    assert_eq!(answer.pointers(), ["/columns"]);
    let answer = app
        .import_as(
            "?columns=%7B%22a%22:null%7D",
            "text/plain",
            "ada@example.com",
        )
        .await;
    assert_eq!(answer.pointers(), ["/columns"]);
    // A file without a header shows nobody's data.
    let answer = app
        .import_columns(r#"{"x":"email"}"#, "ada@example.com,correct horse\n")
        .await;
    assert!(!answer.text.contains("correct horse"), "{}", answer.text);
}

#[tokio::test]
async fn what_columns_are_belongs_to_an_idempotency_key() {
    let app = TestApp::start().await;
    let import = async |columns: &str| {
        let request = app
            .request(Method::POST, &format!("/users/import{}", query(columns)))
            .header("content-type", "text/csv")
            .header("idempotency-key", "k")
            .body("email,a,b\nada@example.com,x,y\n");
        Answer::of(request.send().await.unwrap()).await
    };
    let first = import(r#"{"a":null,"b":"first_name"}"#).await;
    let again = import(r#"{ "b": "first_name", "a": null }"#).await;
    assert_eq!(again.text, first.text);
    import(r#"{"a":"first_name","b":null}"#)
        .await
        .is_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_report_says_what_to_look_at_again() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let csv = "username,e-mail,frist_name,enabled\nada,ada@example.com,A,true\nbob,,B,\ncy,cy@example.com,C,nein\n";
    let dry = app.import("?invite=true&dry_run=true", csv).await;
    for report in [&dry, &app.import("?invite=true", csv).await] {
        assert_eq!(counts(report), (3, 0, 0, 0), "{report}");
        assert_eq!(report["invited"], 1, "{report}");
        let told = warnings(report, "not_invited");
        assert_eq!(
            told,
            ["2 of the created users are not invited: 1 user_disabled, 1 no_email"]
        );
        assert_eq!(warnings(report, "no_name_column").len(), 1);
        let told = warnings(report, "looks_like");
        assert!(
            told.len() == 1 && told[0].contains("`frist_name` looks like `first_name`"),
            "{told:?}"
        );
    }
    // Over several chunks, and in one transaction.
    for atomic in [false, true] {
        let lines: String = (0..1_200)
            .map(|n| format!("user{n}{atomic},Lind\n"))
            .collect();
        let query = format!("?invite=true&atomic={atomic}");
        let report = app.import(&query, format!("username,sn\n{lines}")).await;
        assert_eq!(
            (&report["created"], &report["invited"]),
            (&json!(1_200), &json!(0))
        );
        let told = warnings(&report, "not_invited");
        assert_eq!(
            told,
            ["1200 of the created users are not invited: 1200 no_email"]
        );
    }
    let report = app
        .import("?atomic=true", "email,Familienname\nnobody,x\n")
        .await;
    assert_eq!(became(&report)[1].1, Some("last_name"), "{report}");
}

#[tokio::test]
async fn attributes_that_are_called_as_fields_are_come_back() {
    let app = TestApp::start().await;
    let attributes = json!({
        "Vorname": "x", "E-Mail-Adresse": "y", "Name": "z", "Nachname, Vorname": "a", "Sprache": 7,
        "UPN": "b", "Email (work)": "c", "floor": 4, "Private E-Mail": "d", "メール": "e"
    });
    app.user(json!({"username": "ada", "attributes": attributes.clone()}))
        .await;
    let export = app.get("/users/export").await.text;
    let header = export.lines().next().unwrap();
    for name in [
        "attributes.Vorname",
        "attributes.Name",
        "attributes.UPN",
        "attributes.メール",
        ",floor",
    ] {
        assert!(header.contains(name), "{header}");
    }
    // Cut down to what a person keeps of it.
    let mut reader = csv::Reader::from_reader(export.as_bytes());
    let names = reader.headers().unwrap().clone();
    let kept: Vec<usize> = (0..names.len())
        .filter(|index| {
            names[*index].contains("attributes.")
                || names[*index] == *"username"
                || ["floor", "Private E-Mail"].contains(&&names[*index])
        })
        .collect();
    let mut cut = csv::Writer::from_writer(Vec::new());
    cut.write_record(kept.iter().map(|index| &names[*index]))
        .unwrap();
    let row = reader.records().next().unwrap().unwrap();
    cut.write_record(kept.iter().map(|index| &row[*index]))
        .unwrap();
    let elsewhere = TestApp::start().await;
    let report = elsewhere.import("", cut.into_inner().unwrap()).await;
    assert_eq!(counts(&report), (1, 0, 0, 0), "{report}");
    assert_eq!(elsewhere.only_user("ada").await["attributes"], attributes);
}

#[tokio::test]
async fn last_and_first_names_in_one_column_are_parted() {
    let app = TestApp::start().await;
    let csv = "E-Mail;\"Nachname, Vorname\"\na@x.yz;Lind, Asa\nb@x.yz;de la Cruz Jr., Ana María\nc@x.yz;Madonna\nd@x.yz;, Cian\n";
    let report = app.import("", csv).await;
    assert_eq!(became(&report)[1].1, Some("last_name,first_name"));
    assert_eq!(report["warnings"], json!([]));
    let names = |user: Value| {
        ["first_name", "last_name", "display_name"]
            .map(|name| user[name].as_str().unwrap().to_owned())
    };
    for (q, expected) in [
        ("a@x.yz", ["Asa", "Lind", "Asa Lind"]),
        (
            "b@x.yz",
            ["Ana María", "de la Cruz Jr.", "Ana María de la Cruz Jr."],
        ),
        ("c@x.yz", ["", "", "Madonna"]),
        ("d@x.yz", ["Cian", "", "Cian"]),
    ] {
        assert_eq!(names(app.only_user(q).await), expected, "{q}");
    }
}

/// A dry run knows whom nobody could invite, as the import then does: by the settings of the groups that are named, by
/// passwords in the file, and by addresses that mails came back from.
#[tokio::test]
async fn a_dry_run_counts_whom_nobody_could_invite() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let group = app.post("/groups", json!({"name": "Office"})).await.json["id"].clone();
    for (name, priority, method, groups) in [
        ("Passwords", 1, "password", json!([group])),
        ("Codes", 2, "qr", json!([])),
    ] {
        let body = json!({"name": name, "priority": priority, "method": method, "distribution": {"group_ids": groups}});
        let answer = app.post("/settings/registration", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    app.user(json!({"username": "before"})).await;
    app.db.execute(
        "INSERT INTO suppressions (id, email, user_id, reason, enhanced_status, created_at)
         SELECT gen_random_uuid(), 'gone@example.com', id, 'hard_bounce', '5.1.1', now() FROM users LIMIT 1",
    );
    let csv = "username,email,groups,enabled,password\n\
        ada,ada@example.com,OFFICE;New,,\n\
        bob,bob@example.com,Office,,correct horse battery\n\
        cy,cy@example.com,New,,\n\
        dora,,,,\n\
        eve,Gone@example.com,,,\n\
        fay,fay@example.com,,no,\n";
    let dry = app.import("?invite=true&dry_run=true", csv).await;
    let real = app.import("?invite=true", csv).await;
    for report in [&dry, &real] {
        assert_eq!(counts(report), (6, 0, 0, 0), "{report}");
        assert_eq!(report["invited"], 2, "{report}");
        assert_eq!(
            warnings(report, "not_invited"),
            [
                "4 of the created users are not invited: 1 user_disabled, 1 no_email, 1 email_suppressed, 1 no_password"
            ]
        );
    }
}
