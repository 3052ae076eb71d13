//! What mail servers and reports say is shown without the secrets that they quote.

use std::collections::HashMap;

use chrono::Duration;
use enlist::{
    bounces::masking,
    model::{caller::Role, characters::digit},
    secrets::{keys::KeyRing, token},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, KEYS, Setup, TestApp, api_key},
    log,
    smtp::Ending,
};

/// How a server may write what it quotes: as it stands, in parts, encoded, over two lines.
const DRESSES: [fn(&str) -> String; 7] = [
    str::to_owned,
    |secret| parted(secret, 4, "-"),
    |secret| each(secret, |c| format!("&#{};", u32::from(c))),
    |secret| each(secret, |c| format!("%{:02x}", u32::from(c))),
    |secret| each(secret, |c| format!("={:02X}", u32::from(c))),
    |secret| each(secret, |c| format!("{c}\u{200B}")),
    |secret| parted(secret, secret.len().div_ceil(2), "=\r\n"),
];

fn each(secret: &str, write: fn(char) -> String) -> String {
    secret.chars().map(write).collect()
}

fn parted(secret: &str, size: usize, by: &str) -> String {
    let bytes = secret.as_bytes().chunks(size);
    let parts: Vec<_> = bytes.map(String::from_utf8_lossy).collect();
    parts.join(by)
}

/// An invitation, and the secret that its mail has.
struct Invited {
    user: String,
    invitation: String,
    email: String,
    secret: String,
}

/// Invites somebody to each secret and dress, without sending the mails yet.
async fn invited(app: &TestApp, method: &str, count: usize) -> (Vec<Invited>, String) {
    let mut people = Vec::new();
    for n in 0..count {
        let email = format!(
            "{method}-{}@example.com",
            char::from(b'a' + u8::try_from(n).unwrap())
        );
        people.push((app.user(json!({"email": email})).await, email));
    }
    let ids: Vec<&str> = people.iter().map(|(user, _)| user.as_str()).collect();
    let sent = app.invite(json!({"user_ids": ids, "method": method})).await;
    let keys = KeyRing::parse(KEYS).unwrap();
    let mut all = Vec::new();
    for (user, email) in people {
        let results = sent["results"].as_array().unwrap();
        let result = results
            .iter()
            .find(|result| result["user_id"] == user.as_str())
            .unwrap();
        let invitation = result["invitation_id"].as_str().unwrap().to_owned();
        let secret = match method {
            "qr" => token::mint(keys.signing(), invitation.parse().unwrap(), 0),
            _ => {
                let shown = app
                    .get(&format!("/invitations/{invitation}/pin"))
                    .await
                    .json;
                shown["pin"].as_str().unwrap().to_owned()
            }
        };
        all.push(Invited {
            user,
            invitation,
            email,
            secret,
        });
    }
    (all, sent["batch_id"].as_str().unwrap().to_owned())
}

fn quoted(person: &Invited, dress: usize) -> String {
    let dressed = DRESSES[dress](&person.secret);
    match person.email.starts_with("qr") {
        true => format!("https://localhost/enroll/{dressed}"),
        false => dressed,
    }
}

/// All texts in an answer.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|value| texts(value, found)),
        Value::Object(all) => all.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// Fails where somebody's secret can be read in an answer.
fn gives_nothing_away(what: &str, answer: &Answer, people: &[Invited]) {
    assert!(answer.status.is_success(), "{what}: {}", answer.text);
    let mut all = Vec::new();
    texts(&answer.json, &mut all);
    if all.is_empty() {
        all.push(answer.text.clone());
    }
    for text in all {
        holds_none(what, &text, people);
    }
}

fn holds_none(what: &str, text: &str, people: &[Invited]) {
    let digits: String = text
        .chars()
        .filter_map(digit)
        .map(|value| value.to_string())
        .collect();
    let plain: String = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .collect();
    for person in people {
        assert!(!digits.contains(&person.secret), "{what}: {text}");
        assert!(!plain.contains(&person.secret), "{what}: {text}");
        for dress in DRESSES {
            assert!(!text.contains(&dress(&person.secret)), "{what}: {text}");
        }
    }
}

/// Looks wherever a reader can.
async fn read_everything(app: &TestApp, people: &[Invited], batches: &[String]) {
    let key = api_key(&app.db, Role::Reader);
    let mut paths: Vec<String> = [
        "/invitations",
        "/users",
        "/users/export",
        "/suppressions",
        "/devices",
    ]
    .map(str::to_owned)
    .to_vec();
    for batch in batches {
        paths.extend(["", "/results"].map(|more| format!("/batches/{batch}{more}")));
    }
    for person in people {
        paths.push(format!("/invitations/{}", person.invitation));
        paths.push(format!("/users/{}", person.user));
    }
    for path in paths {
        let request = app.anonymous(Method::GET, &path).bearer_auth(&key);
        let answer = Answer::of(request.send().await.unwrap()).await;
        gives_nothing_away(&path, &answer, people);
    }
    for batch in batches {
        let path = format!("/batches/{batch}/events");
        let request = app.anonymous(Method::GET, &path).bearer_auth(&key);
        let mut stream = request.send().await.unwrap();
        // It goes on for as long as mails wait.
        let first = stream.chunk().await.unwrap().unwrap();
        holds_none(&path, &String::from_utf8_lossy(&first), people);
    }
    gives_nothing_away(
        "/audit-events",
        &app.get("/audit-events?limit=200").await,
        people,
    );
}

async fn reason(app: &TestApp, person: &Invited) -> String {
    let shown = app
        .get(&format!("/invitations/{}", person.invitation))
        .await
        .json;
    shown["messages"][0]["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_reply_that_quotes_the_mail_gives_nothing_away() {
    log::capture();
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let codes = ["554 5.7.1", "451 4.3.0", "250 2.0.0"];
    let (mut people, one) = invited(&app, "pin", codes.len() * DRESSES.len()).await;
    let (others, two) = invited(&app, "qr", codes.len() * DRESSES.len()).await;
    people.extend(others);
    let mut replies = HashMap::new();
    for (n, person) in people.iter().enumerate() {
        let code = codes[n / DRESSES.len() % codes.len()];
        let said = format!(
            "{code} We do not like {} here",
            quoted(person, n % DRESSES.len())
        );
        // The second line of a reply has the code as well (RFC 5321 §4.2.1).
        let said = match said.split_once("\r\n") {
            Some((first, second)) => format!("{}\r\n{code} {second}", first.replacen(' ', "-", 1)),
            None => said,
        };
        replies.insert(person.email.clone(), &*said.leak());
    }
    app.sink
        .on_final(move |received| Some(Ending::Reply(replies.get(&received.rcpt[0])?)));
    app.worker.deliver_due().await.unwrap();
    read_everything(&app, &people, &[one, two]).await;
    for (n, person) in people.iter().enumerate() {
        let reason = reason(&app, person).await;
        let (code, dress) = (codes[n / DRESSES.len() % codes.len()], n % DRESSES.len());
        if !code.starts_with('2') {
            assert!(
                reason.starts_with(&format!("end of message: {code} We do not like ")),
                "{reason}"
            );
        }
        assert!(
            reason.contains("We do not like ") && reason.contains("***"),
            "{reason}"
        );
        assert!(
            reason.ends_with(" here") || dress == DRESSES.len() - 1,
            "{reason}"
        );
    }
    for line in log::captured().lines() {
        if line.contains("We do not like") || line.contains("message_id") {
            for person in &people {
                for dress in DRESSES {
                    assert!(!line.contains(&dress(&person.secret)), "{line}");
                }
            }
        }
    }
}

async fn bring(app: &TestApp, mail: String) -> Value {
    let request = app
        .request(Method::POST, "/mail/bounces")
        .header("content-type", "message/rfc822")
        .body(mail);
    Answer::of(request.send().await.unwrap()).await.json
}

#[tokio::test]
async fn a_report_that_quotes_the_mail_gives_nothing_away() {
    log::capture();
    let setup = Setup {
        bounces: Some("bounces@example.com".parse().unwrap()),
        ..Setup::default()
    };
    let app = TestApp::start_with(setup).await;
    let (mut people, one) = invited(&app, "pin", 2 * DRESSES.len()).await;
    let (others, two) = invited(&app, "qr", 2 * DRESSES.len()).await;
    people.extend(others);
    app.worker.deliver_due().await.unwrap();
    let sent = app.sink.messages();
    for (n, person) in people.iter().enumerate() {
        let mail = sent
            .iter()
            .find(|mail| mail.rcpt[0] == person.email)
            .unwrap();
        let quoted = quoted(person, n % DRESSES.len()).replace("\r\n", "\r\n ");
        let is_hard = (n / DRESSES.len()).is_multiple_of(2);
        let (action, status) = if is_hard {
            ("failed", "5.1.1")
        } else {
            ("delayed", "4.4.1")
        };
        let report = format!(
            "From: <>\r\nTo: {}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
             --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n\
             Final-Recipient: rfc822; {}\r\nAction: {action}\r\nStatus: {status}\r\n\
             Diagnostic-Code: smtp; 550 {status} We do not like\r\n {quoted} here\r\n\r\n--b--\r\n",
            mail.from, person.email
        );
        let taken = bring(&app, report).await;
        assert_eq!(
            taken["outcome"],
            if is_hard { "hard" } else { "soft" },
            "{taken}"
        );
        let reason = reason(&app, person).await;
        assert!(
            reason.contains("We do not like ") && reason.contains("***"),
            "{reason}"
        );
    }
    read_everything(&app, &people, &[one, two]).await;
    let list = app.get("/suppressions?limit=100").await.json;
    let suppressed = list["data"].as_array().unwrap();
    assert_eq!(suppressed.len(), people.len() / 2);
    for suppression in suppressed {
        assert!(suppression["reason"].as_str().unwrap().contains("***"));
        let path = format!("/suppressions/{}", suppression["id"].as_str().unwrap());
        gives_nothing_away(&path, &app.get(&path).await, &people);
        app.request(Method::DELETE, &path).send().await.unwrap();
    }
    let events = app.get("/audit-events?limit=200").await;
    assert!(events.text.contains("suppression.lifted"));
    gives_nothing_away("/audit-events", &events, &people);
    for line in log::captured()
        .lines()
        .filter(|line| line.contains("delivery status report"))
    {
        holds_none("the log", line, &people);
    }
}

/// What was stored before words were masked is rewritten, in two passes, and nothing else is.
#[tokio::test]
async fn what_is_stored_already_is_masked_once() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let ids = app.users(3).await;
    app.invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    let (db, clock) = (&app.worker.db, &app.clock);
    let fill = || {
        app.db.execute(
            "INSERT INTO messages (id, kind, invitation_id, batch_id, state, attempts, due_at, created_at, reason)
             SELECT gen_random_uuid(), 'invitation', i.id, i.batch_id, 'failed', 1, now(), now(),
                 CASE n % 3 WHEN 0 THEN 'RCPT TO: 550 5.1.1 no such user' WHEN 1 THEN '554 5.7.1 We do not like 48 21 77 30' END
             FROM invitations i, generate_series(1, 1000) n;
             INSERT INTO suppressions (id, email, user_id, reason, created_at)
             SELECT gen_random_uuid(), gen_random_uuid()::text, u.id, '550 not https://e.example/enroll/abc', now()
             FROM users u, generate_series(1, 500)",
        );
    };
    let open = || {
        app.db.number(
            "SELECT (SELECT count(*) FROM messages WHERE reason LIKE '%21 77%') + (SELECT count(*) FROM suppressions WHERE reason LIKE '%abc%')",
        )
    };
    // The service itself has made the first pass, or it is made now.
    let again = masking::settle(db, clock).await.unwrap();
    assert_eq!(again, Some(clock.now() + Duration::hours(1)));
    fill();
    let before = open();
    assert!(before > 2_400, "{before}");
    masking::settle(db, clock).await.unwrap();
    assert_eq!(open(), before, "not before an hour is over");
    app.db
        .execute("CREATE TABLE rows_before AS SELECT id, xmin::text AS written_by FROM messages");
    app.clock.advance(Duration::hours(1));
    let ended = tokio::join!(
        masking::settle(db, clock),
        masking::settle(db, clock),
        masking::settle(db, clock)
    );
    for ended in [ended.0, ended.1, ended.2] {
        assert_eq!(ended.unwrap(), None);
    }
    assert_eq!(open(), 0);
    let written = app.db.number(
        "SELECT count(*) FROM messages m JOIN rows_before b USING (id) WHERE m.xmin::text <> b.written_by",
    );
    let changed = app
        .db
        .number("SELECT count(*) FROM messages WHERE reason = '554 5.7.1 We do not like ***'");
    assert_eq!((written, changed), (changed, 1002));
    let suppressed =
        "SELECT count(*) FROM suppressions WHERE reason = '550 not https://e.example/enroll/***'";
    assert_eq!(app.db.number(suppressed), 1500);
    // Once for each database.
    fill();
    assert_eq!(masking::settle(db, clock).await.unwrap(), None);
    assert!(open() > 0);
    // Stopped in the middle, it goes on from there.
    app.db.execute(
        "UPDATE masking SET passes_left = 1, begins_at = 'epoch', message_till = (SELECT id FROM messages ORDER BY id OFFSET 2000 LIMIT 1)",
    );
    assert_eq!(masking::settle(db, clock).await.unwrap(), None);
    let left = "SELECT count(*) FROM messages WHERE reason LIKE '%21 77%' AND id > (SELECT id FROM messages ORDER BY id OFFSET 2000 LIMIT 1)";
    assert_eq!(app.db.number(left), 0);
    assert!(open() > 0);
}
