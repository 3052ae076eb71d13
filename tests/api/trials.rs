//! Test mails over HTTP and from the shell, and what `enlist check` says.

use std::{process::Command, time::Duration};

use chrono::TimeDelta;
use enlist::{
    mail::smtp::{Passed, SmtpLimits, SmtpPool, Stage as At},
    model::caller::Role,
};
use lettre::{address::Envelope, transport::smtp::extension::ClientId};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    audit_attacks::linker,
    support::{
        app::{Answer, KEYS, Setup, TestApp, api_key},
        db::{TestDb, number_of_migrations},
        smtp::{Options, SmtpSink, Stage},
    },
};

const TO: &str = "ada@example.com";

async fn try_out(app: &TestApp) -> Value {
    // Nobody is held up by the limit.
    app.clock.advance(TimeDelta::minutes(1));
    let answer = app.post("/mail/test", json!({"to": TO})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

fn stages(tested: &Value) -> Vec<String> {
    let stages = tested["stages"].as_array().unwrap();
    let name = |stage: &Value| {
        let mark = if stage["ok"] == true { "" } else { "!" };
        format!("{mark}{}", stage["stage"].as_str().unwrap())
    };
    stages.iter().map(name).collect()
}

#[tokio::test]
async fn a_test_mail_goes_through_every_stage() {
    let setup = Setup {
        bounces: Some("bounces@example.com".parse().unwrap()),
        ..Setup::default()
    };
    let app = TestApp::start_with(setup).await;
    let tested = try_out(&app).await;
    assert_eq!(tested["accepted"], true);
    assert_eq!(
        stages(&tested),
        [
            "connect",
            "greeting",
            "tls",
            "sender",
            "recipient",
            "message"
        ]
    );
    for nothing in ["reason", "smtp_code", "enhanced_status", "remedy"] {
        assert_eq!(tested[nothing], json!(null));
    }
    let detail = |stage: usize| tested["stages"][stage]["detail"].as_str().unwrap();
    assert_eq!(
        detail(0),
        format!("connected to 127.0.0.1:{}", app.sink.port())
    );
    assert_eq!(detail(1), "greeted; the server offers PIPELINING");
    assert!(detail(5).contains("250 2.0.0 Ok: queued for"), "{tested}");

    let mail = &app.sink.messages()[0];
    assert_eq!(mail.rcpt, [TO]);
    // A sender such as other mails have, and no token.
    assert!(
        mail.from.starts_with("bounces+testtest") && mail.from.len() == 8 + 48 + 12,
        "{}",
        mail.from
    );
    let text = String::from_utf8_lossy(&mail.data).replace("=\r\n", "");
    for part in [
        "From: Example IT <it@example.com>",
        "To: ada@example.com",
        "There is nothing to do.",
        "rien =C3=A0 faire",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(app.count("messages"), 0);
    app.sink
        .wait_until("no connection", Duration::from_secs(5), |sink| {
            sink.open_connections() == 0
        })
        .await;

    let events = app.get("/audit-events?action=mail.tested").await.json;
    assert_eq!(events["data"][0]["after"], json!({"to": TO}));
    assert_eq!(
        events["data"][0]["subject"],
        json!({"kind": "mail", "id": null})
    );
}

#[tokio::test]
async fn a_failure_says_where_it_was_and_what_to_do() {
    let app = TestApp::start().await;
    let end = "message";
    for (stage, reply, reached, code, status, remedy) in [
        (
            Stage::Greeting,
            "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org",
            "greeting",
            554,
            Some("5.7.1"),
            "block list",
        ),
        (
            Stage::Greeting,
            "421 Too many connections",
            "greeting",
            421,
            None,
            "ENLIST_MAIL_CONNECTIONS",
        ),
        (
            Stage::Mail,
            "530 5.7.57 Client not authenticated to send mail",
            "sender",
            530,
            Some("5.7.57"),
            "sign in",
        ),
        (
            Stage::Mail,
            "550 5.4.5 Daily sending quota exceeded",
            "sender",
            550,
            Some("5.4.5"),
            "ENLIST_MAIL_RATE",
        ),
        (
            Stage::Rcpt,
            "554 5.7.1 <ada@example.com>: Relay access denied",
            "recipient",
            554,
            Some("5.7.1"),
            "mynetworks",
        ),
        (
            Stage::Rcpt,
            "450 4.2.0 Greylisted",
            "recipient",
            450,
            Some("4.2.0"),
            "nothing to do",
        ),
        (
            Stage::Rcpt,
            "550 5.1.1 No such user",
            "recipient",
            550,
            Some("5.1.1"),
            "no such mailbox",
        ),
        (
            Stage::Final,
            "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
            end,
            550,
            Some("5.7.60"),
            "ENLIST_MAIL_FROM",
        ),
        (
            Stage::Final,
            "550 5.7.26 Unauthenticated email is not accepted",
            end,
            550,
            Some("5.7.26"),
            "SPF",
        ),
        (
            Stage::Final,
            "552 5.3.4 Too big",
            end,
            552,
            Some("5.3.4"),
            "ENLIST_LOGO",
        ),
    ] {
        app.sink.next_replies(stage, [reply]);
        let tested = try_out(&app).await;
        assert_eq!(tested["accepted"], false, "{reply}");
        let stages = stages(&tested);
        let (last, before) = stages.split_last().unwrap();
        assert_eq!(*last, format!("!{reached}"), "{reply}");
        assert!(before.iter().all(|stage| !stage.starts_with('!')));
        assert_eq!(tested["smtp_code"], code);
        assert_eq!(tested["enhanced_status"], json!(status));
        let told = tested["remedy"].as_str().unwrap();
        assert!(told.contains(remedy), "{reply}: {told}");
        let reason = tested["reason"].as_str().unwrap();
        assert!(reason.contains(&code.to_string()), "{reason}");
    }
    // What looks like a secret is none of a reader's business.
    app.sink
        .next_replies(Stage::Final, ["554 Refused: Your PIN is 48151623"]);
    let tested = try_out(&app).await;
    assert_eq!(
        tested["reason"],
        "end of message: 554 Refused: Your PIN is ***"
    );
    app.sink
        .wait_until("no connection", Duration::from_secs(5), |sink| {
            sink.open_connections() == 0
        })
        .await;
}

#[tokio::test]
async fn test_mails_are_few_and_for_those_who_may_send() {
    let app = TestApp::start().await;
    let with = async |key: &str, body: Value, once: Option<&str>| {
        let request = app.anonymous(Method::POST, "/mail/test").bearer_auth(key);
        let request = match once {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        Answer::of(request.json(&body).send().await.unwrap()).await
    };
    let body = json!({"to": TO});
    let reader = api_key(&app.db, Role::Reader);
    with(&reader, body.clone(), None)
        .await
        .is_problem(403, "forbidden");
    for wrong in [json!({}), json!({"to": "x"}), json!({"to": TO, "cc": TO})] {
        with(&app.key, wrong, None)
            .await
            .is_problem(422, "validation_failed");
    }
    // Once for a key, however often; and not counted again.
    for replayed in ["", "true", "true"] {
        let answer = with(&app.key, body.clone(), Some("t1")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("idempotent-replayed"), replayed);
        assert_eq!(answer.json["accepted"], true);
    }
    with(&app.key, json!({"to": "other@example.com"}), Some("t1"))
        .await
        .is_problem(422, "idempotency_key_reused");
    assert_eq!(app.sink.messages().len(), 1);
    let managers = [1, 2].map(|_| api_key(&app.db, Role::Manager));
    for (key, taken) in [(&app.key, 4), (&managers[0], 5), (&managers[1], 0)] {
        for _ in 0..taken {
            assert_eq!(with(key, body.clone(), None).await.status, 200);
        }
        let refused = with(key, body.clone(), Some("t2")).await;
        assert_ne!(
            refused
                .is_problem(429, "rate_limited")
                .header("retry-after"),
            ""
        );
    }
    app.clock.advance(TimeDelta::minutes(1));
    // What was refused holds no key.
    let taken = with(&managers[1], body, Some("t2")).await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    assert_eq!(app.sink.messages().len(), 11);
}

#[tokio::test]
async fn a_probe_needs_no_place_in_the_pool_and_takes_its_time_and_no_more() {
    let sink = SmtpSink::start_with(Options {
        login: Some(("mailer", "s3cr3t")),
        ..Options::default()
    });
    let url = format!("smtp://mailer:s3cr3t@127.0.0.1:{}", sink.port());
    let hello = ClientId::Domain("enlist.test".to_owned());
    let pool = SmtpPool::new(url.parse().unwrap(), 1, hello, SmtpLimits::default()).unwrap();
    sink.hang_at(Stage::Final);
    let sending = tokio::spawn({
        let pool = pool.clone();
        async move {
            let address = || TO.parse().unwrap();
            let envelope = Envelope::new(Some(address()), vec![address()]).unwrap();
            pool.send(&envelope, b"Subject: x\r\n\r\nx\r\n").await
        }
    });
    sink.wait_until("a mail on the wire", Duration::from_secs(5), |sink| {
        sink.hung() == 1
    })
    .await;
    let mut passed = Vec::new();
    let limit = Duration::from_secs(30);
    pool.probe(limit, &mut |stage: Passed| passed.push(stage))
        .await
        .unwrap();
    let shown: Vec<String> = passed.iter().map(Passed::to_string).collect();
    assert_eq!(
        shown[1..],
        [
            "greeted; the server offers PIPELINING, AUTH PLAIN LOGIN",
            "not encrypted: the server does not offer STARTTLS",
            "signed in as mailer"
        ]
    );
    assert_eq!((sink.open_connections(), sink.count("MAIL")), (1, 1));
    sink.hang_at(Stage::Ehlo);
    let limit = Duration::from_millis(200);
    let failure = pool.probe(limit, &mut |_| ()).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.reason.as_str()),
        (At::Hello, "greeting and EHLO: no answer within 200ms")
    );
    sending.abort();
}

/// Runs a command as a person does: with these variables, and in a folder without a `.env`.
pub async fn shell(args: &[&str], variables: &[(&str, &str)]) -> (bool, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_enlist"));
    command
        .current_dir(folder.path())
        .env_remove("DATABASE_URL")
        .envs(variables.iter().copied())
        .args(args);
    // The mail server runs on this thread.
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let left: Vec<_> = folder.path().read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

pub fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[tokio::test]
async fn a_test_mail_from_the_shell_says_what_is_passed_and_what_to_do() {
    let sink = SmtpSink::start_with(Options {
        starttls: true,
        login: Some(("mailer", "s3cr3t")),
        ..Options::default()
    });
    let url = |user: &str, more: &str| format!("smtp://{user}localhost:{}{more}", sink.port());
    let send = async |url: &str, more: &[(&str, &str)]| {
        let variables = [
            &[
                ("ENLIST_SMTP_URL", url),
                ("ENLIST_ORG_NAME", "Example IT"),
                ("ENLIST_MAIL_FROM", "Example IT <it@example.com>"),
            ],
            more,
        ]
        .concat();
        shell(&["mail", "test", "--to", TO], &variables).await
    };
    let (well, out, err) = send(&url("mailer:s3cr3t@", ""), &[]).await;
    assert!(well, "{out}{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 8, "{out}");
    has(
        &out,
        &[
            "connected to 127.0.0.1:",
            "greeted; the server offers STARTTLS, PIPELINING\n",
            "encrypted with TLS 1.3, its certificate was not checked\n",
            "greeted; the server offers PIPELINING, AUTH PLAIN LOGIN\n",
            "signed in as mailer\n",
            "the sender was accepted\nthe recipient was accepted\nthe mail was accepted: 250 2.0.0 Ok: queued for",
        ],
    );
    let text = String::from_utf8_lossy(&sink.messages()[0].data).into_owned();
    has(&text, &["Subject: Test mail from Enlist (Example IT)"]);

    // The certificate is nobody's, and then this machine trusts it.
    let (well, out, err) = send(&url("mailer:s3cr3t@", "?tls=required"), &[]).await;
    assert!(!well && out.lines().count() == 2, "{out}{err}");
    has(
        &err,
        &[
            "enlist: not accepted: STARTTLS: invalid peer certificate",
            "\nwhat to do: ",
            "ENLIST_SMTP_CA",
        ],
    );
    for (user, remedy) in [
        ("mailer:wr0ngpass@", "check user and password"),
        ("", "sign in: give user and password"),
    ] {
        let (well, out, err) = send(&url(user, ""), &[]).await;
        assert!(!well, "{out}{err}");
        has(&err, &[remedy]);
        assert!(!err.contains("wr0ngpass"), "{err}");
    }
    let nobody = SmtpSink::start().port();
    let (well, _, err) = send(&format!("smtp://127.0.0.1:{nobody}"), &[]).await;
    assert!(!well);
    has(
        &err,
        &[
            &format!("connecting to 127.0.0.1:{nobody}: Connection refused"),
            "nothing listens there",
        ],
    );
    // All mistakes at once.
    let (well, _, err) = send("gopher://x", &[("ENLIST_SUPPORT", "call me")]).await;
    assert!(!well);
    has(&err, &["ENLIST_SMTP_URL", "ENLIST_SUPPORT"]);
    assert_eq!(sink.messages().len(), 1);
}

const OTHER: &str = "k2:IAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[tokio::test]
async fn a_check_says_what_works_and_changes_nothing() {
    let sink = SmtpSink::start_with(Options {
        login: Some(("mailer", "s3cr3t")),
        ..Options::default()
    });
    let url = format!("smtp://mailer:s3cr3t@127.0.0.1:{}", sink.port());
    let db = TestDb::migrated();
    let look = async |database: &str, smtp: &str, keys: &str, args: &[&str]| {
        let variables = [
            ("DATABASE_URL", database),
            ("ENLIST_SMTP_URL", smtp),
            ("ENLIST_SECRET_KEYS", keys),
        ];
        let args = [&["check"], args].concat();
        let (well, out, err) = shell(&args, &variables).await;
        for secret in ["s3cr3t", "AAECAwQF", "IAECAwQF"] {
            assert!(!out.contains(secret) && !err.contains(secret), "{out}{err}");
        }
        (well, out, err)
    };
    let (well, out, err) = look(&db.url, &url, KEYS, &[]).await;
    assert!(well, "{out}{err}");
    has(
        &out,
        &[
            "ok       configuration: ",
            "ok       database: Postgres ",
            "which may change the schema; the schema is up to date\n",
            "ok       keys: ",
            "ok       users: ",
            "ok       mail server: connected to 127.0.0.1:",
            "; signed in as mailer\n",
        ],
    );
    assert_eq!((sink.count("MAIL"), sink.open_connections()), (0, 0));
    assert_eq!(db.number("SELECT count(*) FROM secret_keys"), 0);

    // The file of the audit log's ends is not made only to look at it.
    let folder = tempfile::tempdir().unwrap();
    for (file, verdict) in [
        ("heads", "ok       audit heads: "),
        (
            "missing/heads",
            "FAILED   audit heads: ENLIST_AUDIT_HEADS: cannot write ",
        ),
    ] {
        let path = folder.path().join(file);
        let flag = format!("--audit-heads={}", path.display());
        let (_, out, _) = look(&db.url, &url, KEYS, &[&flag]).await;
        has(&out, &[verdict, &path.display().to_string()]);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    // What serve would refuse, and what still can be looked at.
    let (well, out, err) = look(&db.url, "smtp://127.0.0.1:1", "k1:AAAA", &[]).await;
    assert!(!well, "{out}");
    has(
        &out,
        &[
            "FAILED   configuration: ENLIST_SECRET_KEYS key `k1` has 3 bytes",
            "ok       database: ",
            "FAILED   mail server: connecting to 127.0.0.1:1: Connection refused",
            "; what to do: nothing listens there",
        ],
    );
    assert!(!out.contains(" keys: "), "{out}");
    has(&err, &["enlist: 2 things do not work"]);

    let bare = TestDb::bare();
    let pending = format!("{} migrations are pending", number_of_migrations());
    let (well, out, _) = look(&bare.url, &url, KEYS, &[]).await;
    assert!(well, "{out}");
    has(
        &out,
        &["warning  database: ", &pending, "the next start applies"],
    );
    let (well, out, _) = look(&bare.url, &url, KEYS, &["--no-migrate"]).await;
    assert!(!well, "{out}");
    has(&out, &["FAILED   database: ", "run `enlist migrate`"]);
    assert_eq!(
        bare.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        0
    );
    // It may look and do nothing: so the service would not work.
    let lesser = format!("{}&options=-c%20role%3Dpg_read_all_data", db.url);
    let (well, out, _) = look(&lesser, &url, KEYS, &[]).await;
    assert!(!well, "{out}");
    has(
        &out,
        &[
            "ok       database: ",
            "migrations need its owner; the schema is up to date",
            "FAILED   role: it may not INSERT ",
        ],
    );
    db.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
    let (well, out, _) = look(&db.url, &url, KEYS, &[]).await;
    assert!(well, "{out}");
    has(&out, &["warning  database: ", "newer than this version"]);
    let nowhere = "postgres://enlist:s3cr3t@127.0.0.1:1/enlist";
    let (well, out, _) = look(nowhere, &url, KEYS, &[]).await;
    assert!(!well, "{out}");
    has(
        &out,
        &["FAILED   database: DATABASE_URL: ", "Connection refused"],
    );
    assert!(!out.contains("s3cr3t"), "{out}");
    // Without one, nothing is started or made.
    let (well, out, err) = shell(&["check"], &[("ENLIST_SMTP_URL", &url)]).await;
    assert!(well && out.lines().count() == 6, "{out}{err}");
    has(
        &out,
        &[
            "ok       configuration: ",
            "warning  database: the embedded one is not running",
        ],
    );

    // Mails that leave this machine need names that others know.
    let (_, out, _) = look(&db.url, "smtp://mail.invalid", KEYS, &[]).await;
    has(
        &out,
        &[
            "FAILED   mail server: connecting to mail.invalid:25: ",
            "warning  sender: ENLIST_MAIL_FROM is not set",
            "warning  links: ENLIST_PUBLIC_URL is not set: links in mails begin with http://127.0.0.1:8080",
        ],
    );
}

#[tokio::test]
async fn a_check_knows_which_keys_are_needed_and_whose_names_clash() {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    let users = app.users(2).await;
    app.invite(json!({"user_ids": users})).await;
    linker(&app).link().await.unwrap();
    app.db.execute(
        "UPDATE invitations SET expires_at = now() + interval '1 day';
         UPDATE users SET name_clash = true WHERE username = 'user2@example.com'",
    );
    let sink = &app.sink;
    let smtp = sink.url();
    let look = async |keys: &str| {
        let variables = [
            ("DATABASE_URL", app.db.url.as_str()),
            ("ENLIST_SMTP_URL", &smtp),
            ("ENLIST_SECRET_KEYS", keys),
        ];
        shell(&["check"], &variables).await
    };
    let both = format!("{OTHER},{KEYS}");
    let (well, out, _) = look(&both).await;
    assert!(well, "{out}");
    has(
        &out,
        &[
            "ok       keys: those that pending invitations and sealed settings need are there; `k2` makes what is new\n",
            "warning  users: 1 with a name that an older user has",
            "GET /users?name_clash=true",
        ],
    );
    assert!(!out.contains("any more"), "{out}");
    has(
        &out,
        &["ok       keys: `k1` is needed still: pending invitations were made with it (2, until "],
    );
    for (keys, told) in [
        (OTHER.to_owned(), "the key `k1` is missing"),
        (OTHER.replace("k2", "k1"), "the key `k1` is not the one"),
    ] {
        let (well, out, _) = look(&keys).await;
        assert!(!well, "{out}");
        has(&out, &["FAILED   keys: ENLIST_SECRET_KEYS: ", told]);
    }
    // The service itself wrote down k1 at its start, and the check nothing.
    assert_eq!(app.db.number("SELECT count(*) FROM secret_keys"), 1);
    app.db
        .execute("UPDATE invitations SET expires_at = now() - interval '1 day'");
    let (well, out, _) = look(&both).await;
    assert!(well, "{out}");
    has(
        &out,
        &["warning  keys: no pending invitation needs `k1` any more"],
    );
    // One that is new is not told to go: it waits for its turn.
    let (_, out, _) = look(&format!("{KEYS},{OTHER}")).await;
    assert!(!out.contains("any more"), "{out}");
}
