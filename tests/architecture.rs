//! The rooms may only look one way: what `src/lib.rs` says about imports is held here.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Files that decide and render, and touch nothing.
const PURE: &[&str] = &[
    "wire.rs",
    "etag.rs",
    "error.rs",
    "access/roles.rs",
    "secrets/keys.rs",
    "secrets/pin.rs",
    "secrets/token.rs",
    "secrets/return_path.rs",
    "bounces/domain.rs",
    "bounces/report.rs",
    "users/domain.rs",
    "users/csv/mod.rs",
    "users/csv/addresses.rs",
    "users/csv/cells.rs",
    "users/csv/columns.rs",
    "users/csv/records.rs",
    "users/csv/table.rs",
    "audit/domain.rs",
    "groups/domain.rs",
    "settings/domain.rs",
    "settings/fields.rs",
    "settings/resource.rs",
    "settings/rules.rs",
    "devices/domain.rs",
    "enrollments/domain.rs",
    "enrollments/guessing.rs",
    "enrollments/verdict.rs",
    "invitations/domain.rs",
    "invitations/ownership.rs",
    "invitations/plan.rs",
    "enrollments/landing/page.rs",
    "enrollments/landing/render.rs",
    "enrollments/payload/mod.rs",
    "enrollments/payload/fields.rs",
    "mail/catalogue.rs",
    "mail/engine.rs",
    "mail/confirmation.rs",
    "mail/invitation.rs",
    "mail/message.rs",
    "mail/stencil.rs",
    "mail/qr/mask.rs",
    "mail/qr/mod.rs",
    "outbox/backoff.rs",
    "reminders/due.rs",
];

/// (rooms, what they must not use)
const RULES: &[(&str, &[&str])] = &[
    (
        "mail/",
        &[
            "crate::users",
            "crate::invitations",
            "crate::outbox",
            "crate::db",
            "crate::http",
            "diesel",
        ],
    ),
    (
        "secrets/",
        &[
            "crate::users",
            "crate::invitations",
            "crate::mail",
            "crate::db",
            "crate::http",
        ],
    ),
    (
        "settings/queries.rs",
        &["crate::http", "actix_web", "lettre"],
    ),
    ("settings/", &["crate::mail", "crate::outbox", "lettre"]),
    ("outbox/", &["crate::http", "crate::users", "actix_web"]),
    (
        "users/queries.rs",
        &["crate::http", "actix_web", "crate::mail", "lettre"],
    ),
    ("users/import/", &["crate::http", "actix_web", "lettre"]),
    (
        "users/import/queries.rs",
        &["crate::http", "actix_web", "crate::mail", "lettre"],
    ),
    ("users/export.rs", &["crate::http", "actix_web", "lettre"]),
    (
        "groups/",
        &[
            "crate::invitations",
            "crate::mail",
            "crate::outbox",
            "lettre",
        ],
    ),
    ("groups/queries.rs", &["crate::http", "actix_web"]),
    (
        "devices/",
        &[
            "crate::enrollments",
            "crate::mail",
            "crate::outbox",
            "lettre",
        ],
    ),
    ("devices/queries.rs", &["crate::http", "actix_web"]),
    (
        "enrollments/queries.rs",
        &["crate::http", "actix_web", "crate::mail", "lettre"],
    ),
    (
        "enrollments/tries.rs",
        &["crate::http", "actix_web", "crate::mail", "lettre"],
    ),
    (
        "enrollments/pin_requests.rs",
        &["crate::http", "actix_web", "crate::mail", "lettre"],
    ),
    (
        "enrollments/enroll.rs",
        &["crate::http", "actix_web", "lettre", "crate::outbox"],
    ),
    (
        "bounces/",
        &[
            "crate::outbox",
            "crate::invitations",
            "crate::mail",
            "lettre",
        ],
    ),
    ("bounces/queries.rs", &["crate::http", "actix_web"]),
    (
        "reminders/",
        &["crate::http", "actix_web", "crate::mail", "lettre"],
    ),
    (
        "limits.rs",
        &["crate::http", "actix_web", "crate::db", "diesel"],
    ),
    (
        "invitations/queries.rs",
        &["crate::http", "actix_web", "lettre"],
    ),
    (
        "invitations/send.rs",
        &["crate::http", "actix_web", "lettre", "crate::outbox"],
    ),
    (
        "invitations/preview.rs",
        &["crate::http", "actix_web", "lettre", "crate::outbox"],
    ),
    (
        "invitations/pins.rs",
        &["crate::http", "actix_web", "lettre", "crate::outbox"],
    ),
    (
        "invitations/selection.rs",
        &["crate::http", "actix_web", "lettre"],
    ),
    (
        "invitations/letter.rs",
        &["crate::http", "actix_web", "diesel", "crate::db"],
    ),
    (
        "db.rs",
        &[
            "crate::http",
            "actix_web",
            "crate::users",
            "crate::invitations",
            "crate::error",
        ],
    ),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without its tests, whose `use crate::{…}` trees are written out path by path.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap()
        .to_owned();
    let mut out = String::new();
    for line in code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        out.push_str(line);
        out.push('\n');
    }
    let Some(start) = out.find("use crate::{") else {
        return out;
    };
    let Some(length) = out[start..].find("};") else {
        return out;
    };
    let tree = out[start + "use crate::{".len()..start + length].to_owned();
    let (mut depth, mut paths, mut name) = (0, Vec::new(), String::new());
    for c in tree.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => paths.push(std::mem::take(&mut name)),
            c if depth == 0 && !c.is_whitespace() => name.push(c),
            _ => {}
        }
    }
    paths.push(name);
    for path in paths {
        out.push_str(&format!("crate::{path}\n"));
    }
    out
}

/// Whether the code names a crate or a room.
fn uses(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !is_word(before) && !is_word(after)
    })
}

#[test]
fn pure_files_touch_nothing() {
    for file in PURE {
        let code = code(&source().join(file));
        for name in [
            "diesel",
            "actix_web",
            "lettre",
            "tokio",
            "crate::db",
            "crate::http",
            "std::fs",
            "std::net",
        ] {
            assert!(!uses(&code, name), "{file} uses {name}");
        }
    }
}

#[test]
fn rooms_look_one_way() {
    let mut all = Vec::new();
    files(&source(), &mut all);
    assert!(all.len() > 40);
    for path in all {
        let name = path
            .strip_prefix(source())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let code = code(&path);
        for (room, forbidden) in RULES.iter().filter(|(room, _)| name.starts_with(room)) {
            for other in *forbidden {
                assert!(!uses(&code, other), "{name} ({room}) uses {other}");
            }
        }
        let is_top = matches!(name.as_str(), "main.rs" | "lib.rs" | "startup.rs");
        assert!(
            is_top || !uses(&code, "crate::startup"),
            "{name} uses startup"
        );
    }
}

/// Two of one name would be one in the OpenAPI document, and whoever comes last has the word.
#[test]
fn the_document_has_a_name_for_each_set_of_words() {
    let mut all = Vec::new();
    files(&source(), &mut all);
    let mut names: Vec<String> = Vec::new();
    for path in all {
        for set in code(&path).split("string_enum! {").skip(1) {
            let mut lines = set.lines().map(str::trim);
            let name = lines.find_map(|line| line.strip_suffix(" {")).unwrap();
            // The order of a list is a parameter, and stands where it is used.
            if name != "Sort" {
                assert!(
                    !names.iter().any(|other| other == name),
                    "{name} is there twice"
                );
                names.push(name.to_owned());
            }
        }
    }
    assert!(names.len() > 20, "{names:?}");
}

#[test]
fn the_rule_would_notice() {
    assert!(uses("crate::db\n", "crate::db") && uses("    diesel::copy_from(x)", "diesel"));
    assert!(!uses("crate::dbx", "crate::db") && !uses("my_diesel::x", "diesel"));
    let tree = code(&source().join("invitations/send.rs"));
    assert!(uses(&tree, "crate::db") && uses(&tree, "crate::mail::catalogue::Lang"));
}
