//! Rows of text as CSV.

use super::cells::escaped;

/// Writes rows (RFC 4180), each cell safe to open in a spreadsheet.
pub fn rows(fill: impl FnOnce(&mut dyn FnMut(Vec<String>))) -> Vec<u8> {
    let mut text = String::new();
    fill(&mut |row| {
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            write(&mut text, &escaped(cell));
        }
        text.push_str("\r\n");
    });
    text.into_bytes()
}

/// Quotes a cell with anything in it that a program may take for a separator: whoever guesses which one
/// the file has, as our import does, does not count what is in quotes.
fn write(text: &mut String, cell: &str) {
    if cell.contains([',', ';', '\t', '"', '\r', '\n']) {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(cell);
    }
}
