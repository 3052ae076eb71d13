//! Pasted lists: the end is reached, a line of the list is named for each entry, who was read is read back from a list
//! of the addresses alone, and how the bytes arrive does not matter.
#![no_main]

use std::io::{BufRead, BufReader, Cursor, Seek};

use enlist::users::csv::{Line, addresses::Addresses};
use libfuzzer_sys::fuzz_target;

/// What is read: an address, or why there is none.
fn entries(source: impl BufRead + Seek, most: usize) -> Vec<Result<String, String>> {
    let mut addresses = Addresses::open(source).expect("it is in memory");
    let mut found = Vec::new();
    while let Ok(Some(line)) = addresses.advance() {
        found.push(match line {
            Line::User(row) => Ok(row.email().unwrap_or_default().to_owned()),
            Line::Faulty(faults) => Err(faults[0].to_string()),
        });
        assert!(found.len() <= most, "entries without end");
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let found = entries(Cursor::new(data), data.len() + 1);
    let slowly = entries(BufReader::with_capacity(3, Cursor::new(data)), data.len() + 1);
    assert_eq!(found, slowly);
    let users: Vec<String> = found.into_iter().flatten().collect();
    let again = entries(Cursor::new(users.join("\n")), users.len());
    assert_eq!(again, users.into_iter().map(Ok).collect::<Vec<_>>());
});
