//! Files as programs and people really make them: quotes, encodings, workbooks, forms.

mod sheets;
mod workbook;

use reqwest::Method;
use serde_json::{Value, json};

use self::workbook::workbook;
use crate::{
    support::app::{Answer, TestApp},
    transfer::{counts, fault, faults},
};

const SHEET: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// One of the files in `tests/cases/`.
fn case(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/cases/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A form with fields: the header lines of each, and what it holds.
fn form(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in fields {
        body.extend(format!("--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n").bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    body
}

async fn users(app: &TestApp) -> Value {
    app.get("/users?sort=email").await.json["data"].clone()
}

/// Numbers that other readers of JSON would round come back digit for digit.
#[tokio::test]
async fn long_numbers_are_text() {
    let app = TestApp::start().await;
    let csv = String::from_utf8(case("B12.csv")).unwrap();
    let more = "exact@x.yz,9007199254740991\nbelow@x.yz,-9007199254740992\nfar@x.yz,1e300\n";
    let report = app.import("", format!("{}\n{more}", csv.trim_end())).await;
    assert_eq!(counts(&report), (5, 0, 0, 0), "{report}");
    let users = users(&app).await;
    let badge = |email: &str| {
        let all = users.as_array().unwrap();
        let user = all.iter().find(|user| user["email"] == email);
        user.unwrap()["attributes"]["badge"].clone()
    };
    for (email, kept) in [
        ("long.one@fail.example", json!("9007199254740993")),
        ("long.two@fail.example", json!("18446744073709551615")),
        ("exact@x.yz", json!(9_007_199_254_740_991_i64)),
        ("below@x.yz", json!("-9007199254740992")),
        ("far@x.yz", json!("1e300")),
    ] {
        assert_eq!(badge(email), kept, "{email}");
    }
    let export = app.get("/users/export").await.text;
    let again = app.import("?on_conflict=update", export).await;
    assert_eq!(counts(&again), (0, 0, 5, 0), "{again}");
}

#[tokio::test]
async fn quotes_and_short_records_of_people() {
    let app = TestApp::start().await;
    let report = app.import("", case("B01.csv")).await;
    assert_eq!(counts(&report), (2, 0, 0, 0), "{report}");
    let report = app.import("", case("B04-unclosed.csv")).await;
    assert_eq!(counts(&report), (0, 0, 0, 1), "{report}");
    assert_eq!(faults(&report), [fault(2, "-", "unclosed_quote")]);
    let detail = report["errors"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("a quote is opened and not closed"),
        "{detail}"
    );
    let report = app.import("", case("B04-text-behind-quote.csv")).await;
    assert_eq!(counts(&report), (0, 0, 0, 1), "{report}");
    assert_eq!(faults(&report), [fault(2, "-", "text_behind_quote")]);
    assert_eq!(app.count("users"), 2);
    let csv =
        "sep=;\r\nemail;floor;;\r\na@x.yz;1;;\r\nemail;floor;;\r\nb@x.yz\r\nc@x.yz;3;more;\r\n";
    let report = app.import("", csv).await;
    assert_eq!(counts(&report), (3, 0, 0, 1), "{report}");
    assert_eq!(faults(&report), [fault(4, "-", "repeated_header")]);
    assert_eq!(report["warnings"][1]["code"], "nameless_column");
}

#[tokio::test]
async fn the_encoding_is_seen_or_said() {
    let app = TestApp::start().await;
    let report = app.import("", case("B08-utf16le-no-bom.csv")).await;
    assert_eq!(counts(&report), (1, 0, 0, 0), "{report}");
    assert_eq!(report["encoding"], "utf-16le");
    assert_eq!(users(&app).await[0]["first_name"], "One");

    let latin = b"email;first_name;last_name;password\na@x.yz;J\xFCrgen;M\xFCller;geheim-\xFC-geheim\n\
                  b@x.yz;Ren\xE9e;Lef\xE8vre;\nc@x.yz;Plain;One;\nd@x.yz;S\xF6ren;\xD8sterg\xE5rd;\ne@x.yz;Zo\xEB;Last;\n";
    for (query, said) in [
        ("", "text/csv"),
        ("?atomic=true", "text/csv; charset=utf-8"),
        ("?dry_run=true", "text/csv"),
    ] {
        let answer = app.import_as(query, said, latin).await;
        answer.is_problem(422, "encoding_detected");
        let detail = answer.json["detail"].as_str().unwrap();
        for word in [
            "charset=windows-1252",
            "`Jürgen Müller`, `Renée Lefèvre`, `Søren Østergård`.",
        ] {
            let word = word.replace("Søren", "Sören");
            assert!(detail.contains(&word), "{detail}");
        }
        assert!(
            !detail.contains("geheim") && !detail.contains("Zoë"),
            "{detail}"
        );
    }
    assert_eq!(app.count("users"), 1);
    let answer = app
        .import_as("", "text/csv; charset=windows-1252", latin)
        .await;
    assert_eq!(counts(&answer.json), (5, 0, 0, 0), "{}", answer.text);
    assert_eq!(answer.json["encoding"], "windows-1252");
    assert_eq!(users(&app).await[0]["last_name"], "Müller");

    // Some bad cells are faults of their own, and the rest is taken.
    let mixed = b"email,last_name\nf@x.yz,M\xC3\xBCller\ng@x.yz,M\xFCller\n";
    let report = app.import("", mixed).await;
    assert_eq!(counts(&report), (1, 0, 0, 1), "{report}");
    assert_eq!(faults(&report), [fault(3, "last_name", "not_utf8")]);
    assert_eq!(report["encoding"], "utf-8");

    for (media_type, body, status, code) in [
        (
            "text/csv; charset=ebcdic",
            &latin[..],
            415,
            "unknown_charset",
        ),
        ("text/csv; charset=shift_jis", latin, 422, "wrong_charset"),
        ("text/csv; charset=latin1", mixed, 200, ""),
        (
            "text/csv; charset=latin1",
            "email,last_name\nh@x.yz,Müller\n".as_bytes(),
            422,
            "encoding_detected",
        ),
        (
            "text/plain",
            b"J\xFCrgen <h@x.yz>",
            422,
            "encoding_detected",
        ),
        (
            "text/csv",
            b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
            422,
            "unsupported_workbook",
        ),
        ("text/csv", b"%PDF-1.7\n", 422, "not_a_table"),
    ] {
        let answer = app.import_as("?dry_run=true", media_type, body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status != 200 {
            answer.is_problem(status, code);
        }
    }
}

#[tokio::test]
async fn an_idempotent_repeat_has_the_encoding_too() {
    let app = TestApp::start().await;
    for (query, file) in [
        ("", "email\n"),
        ("", "email\na@x.yz\n"),
        ("?atomic=true", "email\nb@x.yz\n"),
        ("?atomic=true", "email\nno\n"),
    ] {
        let mut answers = Vec::new();
        for _ in 0..2 {
            let request = app
                .request(Method::POST, &format!("/users/import{query}"))
                .header("content-type", "text/csv; charset=utf-16")
                .header(
                    "idempotency-key",
                    format!("{}", file.len() * 10 + query.len()),
                )
                .body(
                    file.encode_utf16()
                        .flat_map(u16::to_be_bytes)
                        .collect::<Vec<u8>>(),
                );
            answers.push(Answer::of(request.send().await.unwrap()).await.text);
        }
        assert_eq!(answers[0], answers[1]);
        assert!(
            answers[0].contains("\"encoding\":\"utf-16be\""),
            "{answers:?}"
        );
    }
}

#[tokio::test]
async fn a_workbook_is_a_table_too() {
    let app = TestApp::start().await;
    let book = workbook(&[
        &["email", "first_name", "badge", "since", "enabled", "floor"],
        &[
            "a@x.yz",
            "Zoë",
            "<c s=\"1\"><v>42</v></c>",
            "<c s=\"2\"><v>45943</v></c>",
            "<c t=\"b\"><v>0</v></c>",
            "<c><f>1+3</f><v>4</v></c>",
        ],
        &["b@x.yz", "Bob", "<c t=\"e\"><v>#N/A</v></c>"],
        &["email", "first_name", "badge", "since", "enabled", "floor"],
        &[],
        &["nobody"],
        &["c@x.yz"],
    ]);
    for (query, media_type) in [
        ("?dry_run=true", SHEET),
        ("", "text/csv"),
        ("?on_conflict=skip", "application/vnd.ms-excel"),
    ] {
        let answer = app.import_as(query, media_type, book.clone()).await;
        let (created, updated, skipped, failed) = counts(&answer.json);
        assert_eq!(
            (created + skipped, updated, failed),
            (2, 0, 3),
            "{}",
            answer.text
        );
        assert_eq!(answer.json["encoding"], "xlsx");
        assert_eq!(
            faults(&answer.json),
            [
                fault(3, "badge", "error_cell"),
                fault(4, "-", "repeated_header"),
                fault(6, "email", "invalid_email")
            ]
        );
        assert!(answer.text.contains("C3 holds #N/A"), "{}", answer.text);
    }
    let ada = &users(&app).await[0];
    assert_eq!(ada["first_name"], "Zoë");
    assert_eq!(ada["enabled"], false);
    assert_eq!(
        ada["attributes"],
        json!({"badge": "00042", "since": "2025-10-13", "floor": 4})
    );

    let bomb = workbook(&[&["email"], &[&" ".repeat(20_000_000)]]);
    assert!(bomb.len() < 50_000);
    app.import_as("", SHEET, bomb)
        .await
        .is_problem(422, "workbook_too_large");
    app.import_as("", SHEET, "PK\u{3}\u{4}")
        .await
        .is_problem(422, "damaged_workbook");
}

#[tokio::test]
async fn a_form_brings_one_file() {
    let app = TestApp::start().await;
    let named = "name=\"file\"; filename=\"people.csv\"";
    let csv = b"email\na@x.yz\n";
    let kind = |kind: &str| format!("{named}\r\nContent-Type: {kind}");
    let latin = b"email,last_name\na@x.yz,M\xFCller\n";
    let book = workbook(&[&["email"], &["a@x.yz"]]);
    for (head, content) in [
        (kind("text/csv"), &csv[..]),
        (kind("application/vnd.ms-excel"), csv),
        (kind("application/octet-stream"), csv),
        (kind("text/plain"), csv),
        (named.to_owned(), csv),
        (kind("text/csv; charset=windows-1252"), latin),
        (
            format!("name=\"f\"; filename=\"book.xlsx\"\r\nContent-Type: {SHEET}"),
            &book,
        ),
        (
            "name=\"f\"; filename=\"list.txt\"\r\nContent-Type: text/plain".to_owned(),
            b"Ada <a@x.yz>\r\n",
        ),
    ] {
        let body = form(&[(&head, content)]);
        let answer = app
            .import_as("?dry_run=true", "multipart/form-data; boundary=edge", body)
            .await;
        assert_eq!(answer.status, 200, "{head}: {}", answer.text);
        assert_eq!(
            counts(&answer.json),
            (1, 0, 0, 0),
            "{head}: {}",
            answer.text
        );
    }
    let whole = form(&[(named, csv)]);
    for (body, status, code) in [
        (form(&[(named, csv), (named, csv)]), 422, "not_one_file"),
        (form(&[]), 422, "not_one_file"),
        (
            form(&[("name=\"file\"; filename=\"\"", b"")]),
            422,
            "not_one_file",
        ),
        (
            form(&[("name=\"dry_run\"", b"true"), (named, csv)]),
            422,
            "unexpected_field",
        ),
        (
            form(&[(
                "name=\"f\"; filename=\"a.pdf\"\r\nContent-Type: application/pdf",
                b"x",
            )]),
            415,
            "unsupported_media_type",
        ),
        (whole[..whole.len() - 12].to_vec(), 400, "malformed_body"),
        (b"nonsense".to_vec(), 400, "malformed_body"),
    ] {
        let answer = app
            .import_as("", "multipart/form-data; boundary=edge", body)
            .await;
        answer.is_problem(status, code);
    }
    app.import_as("", "multipart/form-data", whole.clone())
        .await
        .is_problem(400, "malformed_body");
    assert_eq!(app.count("users"), 0);
    // A repeat is the same file, whatever the browser puts around it.
    for edge in ["edge", "another"] {
        let text = String::from_utf8(whole.clone())
            .unwrap()
            .replace("edge", edge);
        let request = app
            .request(Method::POST, "/users/import")
            .header(
                "content-type",
                format!("multipart/form-data; boundary={edge}"),
            )
            .header("idempotency-key", "k")
            .body(text);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(counts(&answer.json), (1, 0, 0, 0), "{}", answer.text);
    }
}

#[tokio::test]
async fn the_shell_reads_the_same() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_enlist"))
            .current_dir(folder.path())
            .env("DATABASE_URL", &app.db.url)
            .args(["users", "import"])
            .args(args)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout) + &text(output.stderr),
        )
    };
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write(
        "latin.csv",
        b"email,last_name\na@x.yz,M\xFCller\nb@x.yz,Lef\xE8vre\n",
    );
    write("book.xlsx", &workbook(&[&["email"], &["c@x.yz"]]));
    write("old.xls", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1");
    let (is_well, told) = run(&["latin.csv"]);
    assert!(
        !is_well && told.contains("`Müller`, `Lefèvre`") && told.contains("--charset windows-1252"),
        "{told}"
    );
    let (is_well, told) = run(&["latin.csv", "--charset", "windows-1252"]);
    assert!(is_well && told.contains("2 created"), "{told}");
    let (is_well, told) = run(&["book.xlsx"]);
    assert!(is_well && told.contains("1 created"), "{told}");
    let (is_well, told) = run(&["old.xls"]);
    assert!(!is_well && told.contains(".xls)"), "{told}");
    let (is_well, told) = run(&["latin.csv", "--charset", "ebcdic"]);
    assert!(!is_well && told.contains("known are utf-8"), "{told}");
}
