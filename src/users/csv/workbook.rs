//! The first visible sheet of a workbook (`.xlsx`), as rows of texts.

use std::{
    fs::File,
    io::{self, BufReader, Seek, SeekFrom},
    panic::{self, AssertUnwindSafe},
};

use calamine::{
    CellErrorType, DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Style, Xlsx, XlsxError,
};

use super::{
    archive::{check, damaged},
    sheet::{Row, SheetWriter},
};
use crate::model::wire::Flaw;

/// As much as a sheet may be in texts: one that many cells share is there for each.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// Reads a workbook and writes its sheet as [`super::records::Records::sheet`] reads it.
///
/// # Errors
/// When the file cannot be read, or there is no room for another; inside, what is wrong with it.
pub fn convert(mut source: File) -> io::Result<Result<File, Flaw>> {
    if let Err(flaw) = check(&mut source)? {
        return Ok(Err(flaw));
    }
    source.seek(SeekFrom::Start(0))?;
    let writer = SheetWriter::new(tempfile::tempfile()?);
    // A number that the library adds up too far is a fault of the file, not of the service.
    let done = panic::catch_unwind(AssertUnwindSafe(|| rows(source, writer)));
    match done {
        Err(_) => Ok(Err(damaged("a number in it is out of reach"))),
        Ok(Ok(file)) => Ok(Ok(file)),
        Ok(Err(Stop::Flaw(flaw))) => Ok(Err(flaw)),
        Ok(Err(Stop::Io(error))) => Err(error),
    }
}

enum Stop {
    Flaw(Flaw),
    Io(io::Error),
}

impl From<XlsxError> for Stop {
    fn from(error: XlsxError) -> Self {
        Self::Flaw(damaged(&error.to_string()))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn rows(source: File, mut writer: SheetWriter<File>) -> Result<File, Stop> {
    let mut book = Xlsx::new(BufReader::new(source))?;
    let sheet = book
        .sheets_metadata()
        .iter()
        .find(|sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet)
        .map(|sheet| sheet.name.clone());
    let Some(sheet) = sheet else {
        return Err(Stop::Flaw(Flaw::new(
            "no_sheet",
            "the workbook has no visible sheet; show the one with the users, or save it as CSV UTF-8",
        )));
    };
    let mut cells = book.worksheet_cells_reader(&sheet)?;
    let digits: Vec<usize> = cells.styles().iter().map(digits).collect();
    let (mut row, mut at, mut written) = (Row::new(), 0, 0);
    while let Some((cell, style)) = cells.next_cell_with_style_id()? {
        let (line, column) = cell.get_position();
        if line != at {
            if !row.is_empty() {
                written += writer.row(at.saturating_add(1), &row)?;
            }
            (row, at) = (Row::new(), line);
        }
        if written > MOST_BYTES {
            return Err(Stop::Flaw(Flaw::new(
                "workbook_too_large",
                "the sheet holds more text than can be taken; save it as CSV UTF-8, in parts",
            )));
        }
        match text(cell.get_value(), digits.get(style).copied().unwrap_or(0)) {
            Ok(text) => row.put(column, text),
            Err(error) => row.fail(format!("{} holds {error}", name(line, column))),
        }
    }
    if !row.is_empty() {
        writer.row(at.saturating_add(1), &row)?;
    }
    Ok(writer.finish()?)
}

/// As many digits as a format of zeros alone wants, `00000`; else none.
fn digits(style: &Style) -> usize {
    let code = style
        .number_format
        .as_ref()
        .map(|format| format.format_code.as_str());
    code.filter(|code| code.len() <= 32 && code.bytes().all(|byte| byte == b'0'))
        .map_or(0, str::len)
}

fn text(value: &DataRef, digits: usize) -> Result<String, CellErrorType> {
    Ok(match value {
        DataRef::Empty => String::new(),
        DataRef::String(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::Int(value) => number(*value as f64, digits),
        DataRef::Float(value) => number(*value, digits),
        DataRef::DateTime(time) => date(time),
        DataRef::DateTimeIso(text) => text.trim_end_matches("T00:00:00").to_owned(),
        DataRef::Error(error) => return Err(error.clone()),
    })
}

fn number(value: f64, digits: usize) -> String {
    if value == 0.0 {
        // Also the zero below zero.
        return "0".repeat(digits.max(1));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    if value.fract() == 0.0 {
        format!("{sign}{value:0digits$}")
    } else {
        format!("{sign}{value}")
    }
}

/// ISO 8601: a date, a time, or both.
fn date(time: &ExcelDateTime) -> String {
    let value = time.as_f64();
    if time.is_duration() {
        let seconds = (value.abs() * 86_400.0).round();
        let (hours, rest) = ((seconds / 3_600.0).floor(), seconds % 3_600.0);
        let sign = if value < 0.0 { "-" } else { "" };
        return format!(
            "{sign}{hours:02}:{:02}:{:02}",
            (rest / 60.0).floor(),
            rest % 60.0
        );
    }
    // What no calendar has stays the number that it is.
    if !(0.0..2_958_466.0).contains(&value) {
        return number(value, 0);
    }
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let mut clock = format!("{hour:02}:{minute:02}:{second:02}");
    if milli > 0 {
        clock.push_str(&format!(".{milli:03}"));
    }
    match (value < 1.0, value.fract() == 0.0) {
        (true, _) => clock,
        (_, true) => date,
        _ => format!("{date}T{clock}"),
    }
}

/// `C5`, as a spreadsheet names the cell.
fn name(row: u32, column: u32) -> String {
    let mut letters = Vec::new();
    let mut left = u64::from(column) + 1;
    while left > 0 {
        letters.push(char::from(b'A' + ((left - 1) % 26) as u8));
        left = (left - 1) / 26;
    }
    let letters: String = letters.iter().rev().collect();
    format!("{letters}{}", u64::from(row) + 1)
}

#[cfg(test)]
mod tests;
