//! Files of users and lists of addresses: each record gives a user or a fault, and the end is reached.
#![no_main]

use enlist::users::csv::{addresses::Addresses, cells, columns::UserRecords};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Ok(mut records)) = UserRecords::open(data) {
        let mut seen = 0;
        while let Ok(Some(_)) = records.advance() {
            seen += 1;
            assert!(seen <= data.len() + 1, "records without end");
        }
    }
    let mut addresses = Addresses::open(data);
    let mut seen = 0;
    while let Ok(Some(_)) = addresses.advance() {
        seen += 1;
        assert!(seen <= data.len() + 1, "addresses without end");
    }
    if let Ok(cell) = std::str::from_utf8(data) {
        assert_eq!(cells::unescaped(&cells::escaped(cell)), cell);
    }
});
