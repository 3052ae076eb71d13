//! The corpus of reports in `tests/reports/`, each brought to the service about a mail of its own.

use std::{fs, path::Path};

use enlist::{
    bounces::report::{Parts, Report, Verdict},
    model::said::masked,
};
use serde_json::{Value, json};

use crate::{
    bounces::{bring, delivery, started},
    support::app::TestApp,
};

/// A line of `verdicts.tsv`.
struct Case<'a> {
    file: &'a str,
    address: &'a str,
    outcome: &'a str,
    state: &'a str,
    suppressed: &'a str,
    /// Status, code and words; `=` where they stay as they were.
    shown: [String; 3],
}

impl<'a> Case<'a> {
    fn of(line: &'a str) -> Self {
        let columns: Vec<&str> = line.split('\t').collect();
        let [
            file,
            address,
            outcome,
            state,
            suppressed,
            status,
            code,
            words,
            _,
            _,
        ] = columns[..]
        else {
            panic!("{line}");
        };
        let shown = [status, code, words].map(|text| text.replace("@ADDRESS@", address));
        Self {
            file,
            address,
            outcome,
            state,
            suppressed,
            shown,
        }
    }

    fn mail(&self, token: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/reports")
            .join(self.file);
        filled(&fs::read_to_string(path).unwrap(), token, self.address)
    }
}

/// Puts token and address into a mail, and in their encodings the parts that are marked so.
fn filled(mail: &str, token: &str, address: &str) -> String {
    let mail = mail.replace("@TOKEN@", token).replace("@ADDRESS@", address);
    let (mut whole, mut rest) = (String::new(), mail.as_str());
    while let Some((before, after)) = rest.split_once("@BASE64@\n") {
        let (part, behind) = after.split_once("@END@").unwrap();
        let encoded = data_encoding::BASE64.encode(part.as_bytes());
        whole += before;
        for line in encoded.as_bytes().chunks(76) {
            whole += &format!("{}\n", std::str::from_utf8(line).unwrap());
        }
        rest = behind;
    }
    let (mail, mut whole) = (whole + rest, String::new());
    let mut rest = mail.as_str();
    while let Some((before, after)) = rest.split_once("@QP@\n") {
        let (part, behind) = after.split_once("@END@").unwrap();
        whole += before;
        for line in part.lines() {
            let line = line.replace('=', "=3D");
            // Ends the line in the middle of what is long.
            let mut at = 0;
            for letter in line.chars() {
                if at == 40 {
                    whole += "=\n";
                    at = 0;
                }
                whole.push(letter);
                at += 1;
            }
            whole.push('\n');
        }
        rest = behind;
    }
    whole + rest
}

async fn came_of(app: &TestApp, case: &Case<'_>) -> (Value, Value, Value) {
    let user = app.user(json!({"email": case.address})).await;
    let sent = app.invite(json!({"user_ids": [user]})).await;
    app.worker.deliver_due().await.unwrap();
    let invitation = sent["results"][0]["invitation_id"].as_str().unwrap();
    let from = app.sink.messages().last().unwrap().from.clone();
    let token = from
        .strip_prefix("bounces+")
        .unwrap()
        .split('@')
        .next()
        .unwrap();
    let before = delivery(app, invitation).await["messages"][0].clone();
    let taken = bring(app, &case.mail(token)).await.json;
    (
        taken,
        before,
        delivery(app, invitation).await["messages"][0].clone(),
    )
}

#[tokio::test]
async fn each_report_of_the_corpus_has_its_verdict() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports/verdicts.tsv");
    let table = fs::read_to_string(table).unwrap();
    let cases: Vec<Case<'_>> = table.lines().skip(1).map(Case::of).collect();
    let app = started().await;
    let mut wrong = Vec::new();
    for case in &cases {
        let text = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let shown = |message: &Value| {
            ["enhanced_status", "smtp_code", "reason"].map(|field| text(&message[field]))
        };
        let right = [case.outcome, case.state].map(str::to_owned);
        if !case.address.split('@').next().unwrap().is_ascii() {
            // The relay of these tests takes no such address; what is read is the same.
            let mail = case.mail("x");
            let report = Report::read(mail.as_bytes(), &Parts::of(mail.as_bytes())).unwrap();
            let verdict = Verdict::of(&report, Some(case.address));
            let Verdict::Bounced {
                words,
                is_hard: true,
                is_about_the_address: true,
            } = verdict
            else {
                panic!("{}: {verdict:?}", case.file);
            };
            assert_eq!(words.reason, Some(masked(&case.shown[2])), "{}", case.file);
            continue;
        }
        let (taken, before, after) = came_of(&app, case).await;
        let found = [&taken["outcome"], &after["state"]].map(text);
        let expected = match case.shown.iter().all(|text| text == "=") {
            true => shown(&before),
            // Numbers such as addresses of machines may be lost to the mask (`said`).
            false => case.shown.clone().map(|shown| masked(&shown)),
        };
        let listed = app
            .get(&format!("/suppressions?email={}", case.address))
            .await
            .json["data"][0]
            .clone();
        let (is_suppressed, why) = match case.suppressed {
            "-" => (false, Value::Null),
            "complained" => (true, json!("complained")),
            _ => (true, after["reason"].clone()),
        };
        if (&found, shown(&after)) != (&right, expected.clone())
            || taken["suppressed"] != is_suppressed
            || listed.is_null() == is_suppressed
            || listed["reason"] != why
        {
            wrong.push(format!(
                "{}\n  right {right:?} {expected:?} {is_suppressed} {why}\n  found {found:?} {:?} {listed}",
                case.file,
                shown(&after)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
