//! Each statement that stands in a file of its own is one that the database takes.

use std::{fs, path::Path};

use diesel::connection::SimpleConnection;

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
    assert!(found.len() > 3, "{}", found.len());
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
