//! Each statement that stands in a file of its own is one that the database takes.

use std::{fs, path::Path};

use diesel::{
    QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_types::{Array, Text},
};
use enlist::model::identity::{Username, name_key};

use crate::support::db::TestDb;

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "sql") {
            found.push((
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            ));
        }
    }
}

#[test]
fn every_one_can_be_prepared_and_says_what_it_is_for() {
    let mut found = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    // Not a statement, but what `enlist database roles` prints.
    found.retain(|(path, _)| !path.ends_with("db/roles.sql"));
    assert!(found.len() > 100, "{}", found.len());
    let database = TestDb::migrated();
    let mut connection = database.connect();
    for (path, sql) in &found {
        assert!(sql.starts_with("-- "), "{path} does not say what it is for");
        assert!(
            !sql.trim_end().ends_with(';'),
            "{path} ends with a semicolon"
        );
        let prepared = format!("PREPARE statement AS {sql}; DEALLOCATE statement");
        connection
            .batch_execute(&prepared)
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// The five ways in which invitations end choose others and give other things back; what ending is stands in each of them.
#[test]
fn whichever_way_an_invitation_ends_is_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/invitations/sql");
    let ways = [
        "end_of_users",
        "revoke_of_users",
        "revoke_under",
        "revoke",
        "sweep",
    ];
    let parts: Vec<String> = ways
        .iter()
        .map(|way| {
            let sql = fs::read_to_string(folder.join(format!("{way}.sql"))).unwrap();
            let from = sql.find("), ended AS (").unwrap();
            let to = sql.rfind("SELECT").unwrap();
            sql[from..to].to_owned()
        })
        .collect();
    for (way, part) in ways.iter().zip(&parts) {
        assert!(part.contains("kept AS"), "{way}");
        assert_eq!(part, &parts[0], "{way}");
    }
}

/// Scripts with upper and lower case, and some without. Letters that came after Unicode 10 are left out: what is upper case of them
/// (Georgian of 2018) an old ICU does not know.
const LETTERS: [std::ops::RangeInclusive<u32>; 15] = [
    0x21..=0x7e,
    0xa1..=0x24f,
    0x370..=0x3ff,
    0x400..=0x52f,
    0x531..=0x586,
    0x10a0..=0x10ff,
    0x13a0..=0x13fd,
    0x1e00..=0x1fff,
    0x2c00..=0x2c2e,
    0xa640..=0xa69f,
    0xa722..=0xa7b7,
    0x4e00..=0x4e40,
    0xff21..=0xff5a,
    0x10400..=0x1044f,
    0x1e900..=0x1e943,
];

/// How names are compared is said twice, in Rust and in SQL.
#[test]
fn a_name_has_the_same_key_in_rust_and_in_the_database() {
    let mut seed = 20_261_128_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut names: Vec<String> = [
        "ΟΔΥΣΣΕΥΣ",
        "İstanbul",
        "I\u{307}",
        "ẞ",
        "Σ",
        "ΑΣ.Σ",
        "ǅ",
        "K",
        "Å",
    ]
    .map(str::to_owned)
    .into();
    while names.len() < 10_000 {
        let script = &LETTERS[random(15) as usize];
        let length = 1 + random(20);
        let letters = (0..length).filter_map(|_| {
            let script = if random(8) == 0 { &LETTERS[0] } else { script };
            let from = *script.start();
            char::from_u32(from + random(u64::from(script.end() - from + 1)) as u32)
        });
        let name: String = letters.collect();
        // As it is stored: those that nobody can have are no names.
        names.extend(Username::parse(&name).map(|name| name.as_str().to_owned()));
    }
    let database = TestDb::migrated();
    let keys: Vec<Key> = diesel::sql_query(
        "SELECT enlist_name_key(name) AS key FROM unnest($1) WITH ORDINALITY AS n (name, place) ORDER BY place",
    )
    .bind::<Array<Text>, _>(&names)
    .load(&mut database.connect())
    .unwrap();
    for (name, Key { key }) in names.iter().zip(keys) {
        assert_eq!(name_key(name), key, "{name:?}");
    }
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    key: String,
}
