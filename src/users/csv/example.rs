//! The line that a file to fill in has below its header, to show how one is written. Nobody has its address: the domain
//! is reserved for examples (RFC 2606). An import passes over it. Pure.

use super::columns::{Column, Columns, Known, PASSWORD, PROFILE};

/// The columns of the file, with what the line has there.
pub(super) const EXAMPLE: [(&str, &str); 11] = [
    (PROFILE[0], "example.person"),
    (PROFILE[1], "example.person@example.com"),
    (PROFILE[2], "Example"),
    (PROFILE[3], "Person"),
    (PROFILE[4], "Example Person"),
    (PROFILE[5], "en"),
    (PROFILE[6], "Europe/London"),
    (PROFILE[7], ""),
    (PROFILE[8], "true"),
    (PROFILE[9], "Sales;Head office"),
    (PASSWORD, ""),
];

/// Whether a record is that line: the address, and where there are such columns the names. The others do not matter,
/// since a spreadsheet writes some in its own way.
pub(super) fn is_example(columns: &Columns, fields: &[&[u8]]) -> bool {
    let mut has_address = false;
    for ((column, _), field) in columns.named().zip(fields) {
        let place = match column {
            Column::Known(Known::Username) => 0,
            Column::Known(Known::Email) => 1,
            Column::Known(Known::FirstName) => 2,
            Column::Known(Known::LastName) => 3,
            _ => continue,
        };
        if !field
            .trim_ascii()
            .eq_ignore_ascii_case(EXAMPLE[place].1.as_bytes())
        {
            return false;
        }
        has_address |= place == 1;
    }
    has_address
}
