//! The variables that a command is given: what is mistyped, unknown or broken is told, and what a start does without them.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Stdio},
};

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    support::{
        app::{KEYS, Setup, TestApp},
        db::TestDb,
        smtp::SmtpSink,
    },
    trials::{has, shell},
};

/// What a command prints and how it ends, in this folder and with these variables.
pub fn run(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_enlist"))
        .current_dir(folder)
        .env_remove("DATABASE_URL")
        .envs(variables.iter().copied())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&told).into_owned(),
    )
}

#[test]
fn a_mistyped_variable_stops_every_command_with_the_one_that_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (args, code) in [
        (&["serve"][..], 1),
        (&["dev"], 1),
        (&["migrate"], 1),
        (&["openapi"], 1),
        (&["database", "roles"], 1),
        (&["mail", "test", "--to", "ada@example.com"], 1),
        (&["users", "import", "-"], 1),
        // Its mail server is to keep the report.
        (&["bounce"], 75),
        (&["audit", "verify"], 2),
    ] {
        let variables = [
            ("ENLIST_SMTP_ULR", "smtp://u:M4RK@h"),
            ("DATABSE_URL", "postgres://u:M4RK@h/x"),
        ];
        let (ended, told) = run(folder.path(), args, &variables);
        assert_eq!(ended, code, "{args:?}: {told}");
        let meant = "enlist: DATABSE_URL is no setting: did you mean DATABASE_URL? Rename it or unset it\n\
                     ENLIST_SMTP_ULR is no setting: did you mean ENLIST_SMTP_URL? Rename it or unset it\n";
        assert_eq!(told, meant, "{args:?}");
    }
    // Nothing was begun, and asking for help is always possible.
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    let (ended, told) = run(
        folder.path(),
        &["help", "serve"],
        &[("ENLIST_SMTP_ULR", "x")],
    );
    assert!(ended == 0 && told.contains("ENLIST_SMTP_URL"), "{told}");
    // As is what `.env` has.
    fs::write(folder.path().join(".env"), "ENLIST_PUBLIC_URI=https://x\n").unwrap();
    let (ended, told) = run(folder.path(), &["openapi"], &[]);
    assert_eq!(ended, 1);
    has(
        &told,
        &["ENLIST_PUBLIC_URI", "did you mean ENLIST_PUBLIC_URL?"],
    );
}

#[test]
fn a_variable_that_nobody_knows_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = [
        ("ENLIST_COLOUR", "M4RK"),
        ("ENLIST_SERVICE_HOST", "10.0.0.1"),
    ];
    let (ended, told) = run(folder.path(), &["database", "roles"], &unknown);
    assert_eq!(ended, 0);
    let lines: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("no setting"))
        .collect();
    assert_eq!(lines, ["ENLIST_COLOUR is no setting, and changes nothing"]);
    // Who keeps a log says it there.
    let db = TestDb::migrated();
    let known = [
        ("DATABASE_URL", db.url.as_str()),
        ("ENLIST_LOG_FORMAT", "json"),
    ];
    let given = [&known[..], &unknown].concat();
    let (ended, told) = run(folder.path(), &["migrate"], &given);
    assert_eq!(ended, 0, "{told}");
    let line = told.lines().find(|line| line.contains("ENLIST_COLOUR"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(line["level"], "WARN");
    assert!(
        !told.contains("M4RK") && !told.contains("SERVICE_HOST"),
        "{told}"
    );
}

/// The table of `docs/operating.md` and the commands know the same settings.
#[test]
fn every_variable_is_in_the_docs_and_every_one_in_the_docs_is_known() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let docs = fs::read_to_string(docs).unwrap();
    let mut told = BTreeSet::new();
    for row in docs.lines().filter(|line| line.starts_with("| `")) {
        let names = row
            .split('|')
            .nth(1)
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2);
        let mut whole = "";
        for name in names {
            // `ENLIST_A_B`, `_C` stands for ENLIST_A_C.
            let end = whole.find("_TOKEN_URL").unwrap_or_default();
            let name = match name.strip_prefix('_') {
                Some(rest) => format!("{}_{rest}", &whole[..end]),
                None => name.to_owned(),
            };
            if name == "DATABASE_URL" || name.starts_with("ENLIST_") && !name.contains(' ') {
                told.insert(name);
            }
            whole = row.split('`').nth(1).unwrap_or_default();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut known = BTreeSet::new();
    for command in ["serve", "dev", "migrate", "check"] {
        let (_, help) = run(folder.path(), &["help", command], &[]);
        known.extend(help.split("[env: ").skip(1).map(|rest| {
            let end = rest.find([']', '=']).unwrap();
            rest[..end].to_owned()
        }));
    }
    assert!(known.len() > 30, "{known:?}");
    assert_eq!(told, known);
}

#[test]
fn only_a_whole_dotenv_of_the_working_directory_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let unknown = "ENLIST_COLOUR is no setting";
    let look = |text: &[u8]| {
        fs::write(inside.join(".env"), text).unwrap();
        run(&inside, &["database", "roles"], &[])
    };
    // A parent's is somebody else's.
    fs::write(folder.path().join(".env"), "ENLIST_COLOUR=red\nbroken").unwrap();
    let (ended, told) = run(&inside, &["database", "roles"], &[]);
    assert!(ended == 0 && !told.contains(unknown), "{told}");

    for good in [
        &b"ENLIST_COLOUR=red"[..],
        b"\xEF\xBB\xBFENLIST_COLOUR=red\r\n",
        b"# a remark's quote\n\nexport ENLIST_COLOUR='two\nlines' # red\n",
        b"ENLIST_COLOUR=red \t",
        b"OTHER=1\nENLIST_COLOUR=",
        b"A='a$b'\nB=a\\$b\nC=\"a\\$b\"\nD='a\\$b'\nENLIST_COLOUR=red",
    ] {
        let (ended, told) = look(good);
        let shown = String::from_utf8_lossy(good);
        assert!(ended == 0 && told.contains(unknown), "{shown}: {told}");
    }
    for (bad, line) in [
        (&b"M4RK"[..], 1),
        (b"A=1\n\n# a remark\nM4RK two\nB=2\n", 4),
        (b"A=M4RK two\n", 1),
        (b"A=1\r\nB=\"M4RK\r\nC=3\r\n", 2),
        (b"A=1\n=M4RK\n", 2),
        (b"A=1\nB='two\nlines'\nM4RK-C=3\n", 4),
        (b"A=1\nB=M4RK\xFF\n", 2),
        (b"A=1\nB=M4RK\0\n", 2),
        (b"\xFF\xFEA\0=\0M4RK", 1),
    ] {
        let (ended, told) = look(bad);
        let shown = String::from_utf8_lossy(bad);
        assert_eq!(ended, 2, "{shown}: {told}");
        let file = inside.canonicalize().unwrap().join(".env");
        let begin = format!(
            "enlist: {} line {line}: it is not NAME=value;",
            file.display()
        );
        assert!(told.starts_with(&begin), "{shown}: {told}");
        assert!(
            !told.contains("M4RK") && told.lines().count() == 1,
            "{told}"
        );
    }
    for (bad, told) in [
        (&b"A=M4RK$B\n"[..], "A has a $"),
        (b"A=M4RK\nB=\"${A}\"\n", "B has a $"),
        (b"C=M4RK\nA=1\nC=M4RK\n", "C is there twice"),
    ] {
        let (ended, said) = look(bad);
        assert!(ended == 2 && !said.contains("M4RK"), "{said}");
        has(&said, &[told]);
    }
    for hinder in [
        |path: &Path| fs::create_dir(path).unwrap(),
        |path: &Path| std::os::unix::fs::symlink("/does/not/exist", path).unwrap(),
    ] {
        let place = tempfile::tempdir().unwrap();
        hinder(&place.path().join(".env"));
        let (ended, told) = run(place.path(), &["database", "roles"], &[]);
        assert_eq!(ended, 2, "{told}");
        has(&told, &[".env cannot be read: "]);
    }
}

#[test]
fn serve_without_a_database_says_what_it_takes_instead() {
    let folder = tempfile::tempdir().unwrap();
    let mut variables = vec![
        ("ENLIST_POSTGRES_BIN", "/nowhere"),
        ("ENLIST_SMTP_URL", "smtp://127.0.0.1:1"),
    ];
    let (ended, told) = run(folder.path(), &["serve"], &variables);
    assert_eq!(ended, 1);
    let data = folder.path().canonicalize().unwrap().join(".enlist");
    let used = format!(
        "DATABASE_URL is not set: the embedded database in {} is used, which is for trying Enlist and for one small \
         instance; ",
        data.display()
    );
    has(
        &told,
        &["WARN", &used, "set DATABASE_URL=postgres://", "/nowhere"],
    );
    // What else is wrong is said before a database is made.
    for (wrong, said) in [
        (("ENLIST_LISTEN", "nowhere"), "ENLIST_LISTEN "),
        (
            ("ENLIST_MIGRATE_URL", "postgres://owner@db/enlist"),
            "ENLIST_MIGRATE_URL is set, and DATABASE_URL is not: ",
        ),
    ] {
        variables.push(wrong);
        let (ended, told) = run(folder.path(), &["serve"], &variables);
        assert!(ended == 1 && !told.contains("/nowhere"), "{told}");
        has(&told, &[said]);
        variables.pop();
    }
}

#[test]
fn what_no_setting_can_be_is_told_by_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value, told) in [
        ("DATABASE_URL", "", "is empty: give it a value, or unset it"),
        ("ENLIST_LOGO", "", "is empty: give it a value, or unset it"),
        (
            "ENLIST_ORG_NAME",
            "\"Example Ltd\"",
            "stands in quotes, which are part of its value: take them away",
        ),
        (
            "ENLIST_LOG_FORMAT",
            "JSON",
            "is `JSON`, and can be: human, json",
        ),
        (
            "ENLIST_PROXY_HEADER",
            "X-Real-IP",
            "is `X-Real-IP`, and can be: ",
        ),
    ] {
        for command in ["serve", "check"] {
            let (ended, out) = run(folder.path(), &[command], &[(name, value)]);
            assert_ne!(ended, 0, "{out}");
            has(&out, &[&format!("{name} {told}")]);
        }
    }
    let output = Command::new(env!("CARGO_BIN_EXE_enlist"))
        .current_dir(folder.path())
        .env("ENLIST_ORG_NAME", OsStr::from_bytes(b"\xff"))
        .arg("serve")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    has(&told, &["enlist: ENLIST_ORG_NAME is not UTF-8"]);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn serve_says_that_mails_lead_nowhere_and_come_from_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let db = TestDb::migrated();
    let mut variables = vec![
        ("DATABASE_URL", db.url.as_str()),
        ("ENLIST_SMTP_URL", "smtp://127.0.0.1:1"),
        ("ENLIST_SECRET_KEYS", KEYS),
        ("ENLIST_LISTEN", "127.0.0.1:0"),
        // It ends the start after all was said.
        ("ENLIST_AUDIT_HEADS", "/does/not/exist"),
    ];
    let warnings = [
        "ENLIST_PUBLIC_URL is not set: ",
        "ENLIST_MAIL_FROM is not set: ",
    ];
    let (ended, told) = run(folder.path(), &["serve"], &variables);
    assert_eq!(ended, 1);
    has(&told, &warnings);
    assert_eq!(told.matches("WARN").count(), 2, "{told}");
    variables.extend([
        ("ENLIST_PUBLIC_URL", "http://localhost:8080"),
        ("ENLIST_MAIL_FROM", "it@localhost"),
    ]);
    let (_, told) = run(folder.path(), &["serve"], &variables);
    assert!(!told.contains("WARN"), "{told}");
    // Only of use on this machine, and mails leave it.
    variables.push(("ENLIST_SMTP_URL", "smtp://mail.invalid"));
    let (_, told) = run(folder.path(), &["serve"], &variables);
    has(
        &told,
        &[
            "ENLIST_PUBLIC_URL is this machine alone (http://localhost:8080)",
            "ENLIST_MAIL_FROM is it@localhost, which no other machine knows",
        ],
    );
}

#[tokio::test]
async fn a_preview_says_what_the_service_was_not_told() {
    let untold = Setup {
        public_url: String::new(),
        from: "Enlist <enlist@localhost>".to_owned(),
        ..Setup::default()
    };
    let app = TestApp::start_with(untold).await;
    let user = app.user(json!({"email": "ada@example.com"})).await;
    for (body, expected) in [
        (
            json!({"user_ids": [user]}),
            &["public_url_not_set", "sender_not_set"][..],
        ),
        (
            json!({"user_ids": [user], "delivery": "none"}),
            &["public_url_not_set"],
        ),
        (json!({"filter": {"q": "nobody"}}), &["nobody_matched"]),
    ] {
        let answer = app.post("/invitations/preview", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let notices = answer.json["notices"].as_array().unwrap();
        let codes: Vec<&str> = notices
            .iter()
            .map(|of| of["code"].as_str().unwrap())
            .collect();
        assert_eq!(codes, expected, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_check_tells_all_of_it() {
    let (db, sink) = (TestDb::migrated(), SmtpSink::start());
    let smtp = sink.url();
    let well = [
        ("DATABASE_URL", db.url.as_str()),
        ("ENLIST_SMTP_URL", &smtp),
        ("ENLIST_SECRET_KEYS", KEYS),
        ("ENLIST_DATABASE_CONNECTIONS", "6"),
    ];
    let (is_well, out, _) = shell(&["check"], &well).await;
    assert!(is_well, "{out}");
    has(
        &out,
        &[
            "ok       configuration: every setting can be used\n",
            "ok       database: an instance uses up to 6 connections at once (ENLIST_DATABASE_CONNECTIONS), and holds up to 20 open\n",
            "warning  sender: ENLIST_MAIL_FROM is not set: mails come from enlist@localhost, which real mail servers refuse\n",
            "warning  links: ENLIST_PUBLIC_URL is not set: links in mails begin with http://127.0.0.1:8080; ",
        ],
    );
    let odd = [
        ("ENLIST_COLOUR", "red"),
        ("ENLIST_MAIL_FORM", "it@example.com"),
        ("ENLIST_LOG", "inof"),
    ];
    let (is_well, out, err) = shell(&["check"], &[&well[..], &odd].concat()).await;
    assert!(!is_well, "{out}");
    has(
        &out,
        &[
            "FAILED   configuration: ENLIST_MAIL_FORM is no setting: did you mean ENLIST_MAIL_FROM? Rename it or unset it\n",
            "FAILED   configuration: ENLIST_LOG is not a log filter: `inof` is none of ",
            "warning  configuration: ENLIST_COLOUR is no setting, and changes nothing\n",
            "ok       database: ",
        ],
    );
    assert_eq!(err, "enlist: 2 things do not work\n");
    // The second way, and the third, are looked at as a start does.
    db.execute(
        "CREATE ROLE enlist_variables LOGIN CONNECTION LIMIT 1;
         GRANT SELECT ON __diesel_schema_migrations TO enlist_variables",
    );
    let narrow = db.url.replacen("user=postgres", "user=enlist_variables", 1);
    let (is_well, out, _) = shell(&["check"], &[("DATABASE_URL", &narrow), well[1], well[2]]).await;
    db.execute("DROP OWNED BY enlist_variables; DROP ROLE enlist_variables");
    assert!(!is_well, "{out}");
    has(
        &out,
        &[
            "FAILED   database: DATABASE_URL: ",
            "too many connections for role",
        ],
    );
    // No database at all is the embedded one.
    let (_, out, _) = shell(&["check"], &[well[1]]).await;
    has(
        &out,
        &["warning  database: DATABASE_URL is not set: the embedded database in "],
    );
}
