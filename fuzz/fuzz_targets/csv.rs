//! Files of users: each record gives a user or a fault, and the end is reached. A cell stays the same through a
//! spreadsheet's file.
#![no_main]

use std::io::{self, Cursor};

use enlist::{
    http::csv,
    users::csv::{
        decoding::{self, Content},
        mapping::ColumnMap,
        records::Records,
        rows::UserRecords,
    },
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let read = decoding::look(&mut Cursor::new(data), None);
    if let Ok(Content::Encoded(charset) | Content::Guessed(charset)) = read {
        let _ = decoding::transcode(&mut &data[..], charset, &mut io::sink());
    }
    let columns = ColumnMap::default();
    let records = Records::text(data).and_then(|records| UserRecords::open(records, &columns));
    if let Ok(Ok(mut records)) = records {
        let mut seen = 0;
        while let Ok(Some(_)) = records.advance() {
            seen += 1;
            assert!(seen <= data.len() + 1, "records without end");
        }
    }
    if let Ok(cell) = std::str::from_utf8(data) {
        assert_eq!(csv::unescaped(&csv::escaped(cell)), cell);
    }
});
