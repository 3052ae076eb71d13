//! The first visible sheet of a workbook (`.xlsx`), as rows of texts.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufReader, Seek, SeekFrom},
    panic::{self, AssertUnwindSafe},
};

use calamine::{DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Style, Xlsx, XlsxError};

use super::{
    archive::repack,
    parts::Mark,
    sheet::{Kind, Row, SheetWriter},
    stop::Stop,
};
use crate::model::wire::Flaw;

/// As much as a sheet may be in texts: one that many cells share is there for each.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// Reads a workbook and writes its sheet as [`super::records::Records::sheet`] reads it.
///
/// # Errors
/// When the file cannot be read, or there is no room for another; inside, what is wrong with it.
pub fn convert(mut source: File) -> io::Result<Result<File, Flaw>> {
    let done = repack(&mut source).and_then(|mut source| {
        source.seek(SeekFrom::Start(0))?;
        let writer = SheetWriter::new(tempfile::tempfile()?);
        // A number that the library adds up too far is a fault of the file, not of the service.
        panic::catch_unwind(AssertUnwindSafe(|| rows(source, writer)))
            .unwrap_or_else(|_| Err(Stop::damaged("a number in it is out of reach")))
    });
    match done {
        Ok(file) => Ok(Ok(file)),
        Err(Stop::Flaw(flaw)) => Ok(Err(flaw)),
        Err(Stop::Io(error)) => Err(error),
    }
}

impl From<XlsxError> for Stop {
    fn from(error: XlsxError) -> Self {
        Self::damaged(&error.to_string())
    }
}

fn rows(source: File, mut writer: SheetWriter<File>) -> Result<File, Stop> {
    let mut book = Xlsx::new(BufReader::new(source))?;
    let mut sheets = book.sheets_metadata().iter().filter(|sheet| {
        sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet
    });
    let Some(sheet) = sheets.next().map(|sheet| sheet.name.clone()) else {
        return Err(Stop::Flaw(Flaw::new(
            "no_sheet",
            "the workbook has no visible sheet; show the one with the users, or save it as CSV UTF-8",
        )));
    };
    writer.begin(&sheet, sheets.count())?;
    let mut cells = book.worksheet_cells_reader(&sheet)?;
    let digits: Vec<usize> = cells.styles().iter().map(digits).collect();
    let (mut row, mut at, mut seen) = (Row::new(), 0, 0);
    while let Some((cell, style)) = cells.next_cell_with_style_id()? {
        let (line, column) = cell.get_position();
        if line != at {
            if !row.is_empty() {
                writer.row(at.saturating_add(1), &row)?;
            }
            (row, at) = (Row::new(), line);
        }
        let (kind, text) = read(cell.get_value(), digits.get(style).copied().unwrap_or(0));
        // Cells that are not kept were read, too.
        seen += text.len();
        if seen > MOST_BYTES {
            return Err(Stop::Flaw(Flaw::new(
                "workbook_too_large",
                "the sheet holds more text than can be taken; save it as CSV UTF-8, in parts",
            )));
        }
        row.put(column, kind, &text);
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

/// What a cell is, and the text of it.
fn read<'a>(value: &'a DataRef<'a>, digits: usize) -> (Kind, Cow<'a, str>) {
    match value {
        DataRef::Empty => (Kind::Value, "".into()),
        DataRef::String(text) => match Mark::of(text) {
            Some((Mark::Error, what)) => (Kind::Error, what.into()),
            Some((Mark::NotCalculated, _)) => (Kind::NotCalculated, "".into()),
            Some((Mark::Number, text)) => padded(text, digits),
            None => (Kind::Text, text.into()),
        },
        DataRef::SharedString(text) => (Kind::Text, Cow::Borrowed(text)),
        DataRef::DurationIso(text) => (Kind::Value, text.into()),
        DataRef::Bool(value) => (Kind::Value, value.to_string().into()),
        DataRef::Int(value) => padded(&value.to_string(), digits),
        DataRef::Float(value) => padded(&number(*value), digits),
        DataRef::DateTime(time) => (Kind::Value, date(time).into()),
        DataRef::DateTimeIso(text) => (Kind::Value, text.trim_end_matches("T00:00:00").into()),
        DataRef::Error(error) => (Kind::Error, error.to_string().into()),
    }
}

/// A number with as many digits as its format wants; then it is a number like `00042`, which nobody adds up.
fn padded(number: &str, digits: usize) -> (Kind, Cow<'static, str>) {
    let (sign, whole) = match number.strip_prefix('-') {
        Some(whole) => ("-", whole),
        None => ("", number),
    };
    let kind = if digits > 1 { Kind::Text } else { Kind::Value };
    if whole.contains('.') {
        (kind, number.to_owned().into())
    } else {
        (kind, format!("{sign}{whole:0>digits$}").into())
    }
}

fn number(value: f64) -> String {
    // Also the zero below zero.
    if value == 0.0 {
        "0".to_owned()
    } else {
        value.to_string()
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
        return number(value);
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

#[cfg(test)]
mod tests;
