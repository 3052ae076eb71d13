//! The rows and cells of a sheet, with marks where the library would lose something.

use std::{
    fmt,
    io::{BufRead, Write},
};

use quick_xml::{
    Reader, Writer,
    escape::escape,
    events::{BytesStart, Event, attributes::Attribute},
};

use super::super::stop::Stop;

/// What a cell is that is written as a text with a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Mark {
    /// An error: the text is its name.
    Error,
    /// A formula without a value.
    NotCalculated,
    /// A number with more digits than the library keeps.
    Number,
}

/// No XML may have it.
const MARK: char = '\u{FFFF}';

impl Mark {
    const ALL: [Self; 3] = [Self::Error, Self::NotCalculated, Self::Number];

    fn letter(self) -> char {
        match self {
            Self::Error => 'e',
            Self::NotCalculated => 'f',
            Self::Number => 'n',
        }
    }

    /// The mark of a text, and what is behind it.
    pub(in super::super) fn of(text: &str) -> Option<(Self, &str)> {
        let mut chars = text.strip_prefix(MARK)?.chars();
        let letter = chars.next()?;
        let mark = Self::ALL.into_iter().find(|mark| mark.letter() == letter)?;
        Some((mark, chars.as_str()))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{}", self.letter())
    }
}

/// A sheet: only its rows and cells.
pub(super) struct Sheet<R, W: Write> {
    pub(super) reader: Reader<R>,
    pub(super) writer: Writer<W>,
}

impl<R: BufRead, W: Write> Sheet<R, W> {
    pub(super) fn rewrite(mut self) -> Result<(), Stop> {
        let bare = BytesStart::new("worksheet");
        self.writer.write_event(Event::Start(bare.borrow()))?;
        let (mut buffer, mut cell) = (Vec::new(), Cell::default());
        let mut is_inside = false;
        loop {
            buffer.clear();
            match self.reader.read_event_into(&mut buffer)? {
                Event::Start(tag) => match tag.local_name().as_ref() {
                    "sheetData" => {
                        is_inside = true;
                        self.writer.write_event(Event::Start(tag))?;
                    }
                    "row" if is_inside => self.writer.write_event(Event::Start(tag))?,
                    "c" if is_inside => {
                        cell.read(&mut self.reader)?;
                        cell.write(&tag, &mut self.writer)?;
                    }
                    _ => {}
                },
                Event::Empty(tag) => match tag.local_name().as_ref() {
                    "sheetData" => {
                        self.writer.write_event(Event::Empty(tag))?;
                        break;
                    }
                    "row" | "c" if is_inside => self.writer.write_event(Event::Empty(tag))?,
                    _ => {}
                },
                Event::End(tag) => match tag.local_name().as_ref() {
                    "sheetData" => {
                        self.writer.write_event(Event::End(tag))?;
                        break;
                    }
                    "row" if is_inside => self.writer.write_event(Event::End(tag))?,
                    _ => {}
                },
                Event::Eof => return Ok(()),
                _ => {}
            }
        }
        Ok(self.writer.write_event(Event::End(bare.to_end()))?)
    }
}

/// What stands in a cell.
struct Cell {
    has_formula: bool,
    has_value: bool,
    /// As it stands in XML.
    value: String,
    /// A text of its own, `<is>`.
    text: Writer<Vec<u8>>,
    buffer: Vec<u8>,
    inner: Vec<u8>,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            has_formula: false,
            has_value: false,
            value: String::new(),
            text: Writer::new(Vec::new()),
            buffer: Vec::new(),
            inner: Vec::new(),
        }
    }
}

impl Cell {
    /// Reads up to the end of the cell.
    fn read<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<(), Stop> {
        (self.has_formula, self.has_value) = (false, false);
        self.value.clear();
        self.text.get_mut().clear();
        loop {
            self.buffer.clear();
            let event = reader.read_event_into(&mut self.buffer)?;
            match &event {
                Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                    "f" => self.has_formula = true,
                    "v" => {
                        self.has_value = true;
                        self.value.clear();
                    }
                    "is" => self.text.get_mut().clear(),
                    _ => {}
                },
                Event::End(tag) if tag.local_name().as_ref() == "c" => return Ok(()),
                Event::Eof => return Err(Stop::damaged("a cell has no end")),
                _ => continue,
            }
            let Event::Start(tag) = event else { continue };
            let name = tag.local_name();
            let is_text = name.as_ref() == "is";
            if is_text {
                self.text.write_event(Event::Start(tag.borrow()))?;
            } else if name.as_ref() != "v" {
                reader.read_to_end_into(tag.name(), &mut self.inner)?;
                self.inner.clear();
                continue;
            }
            loop {
                self.inner.clear();
                let inner = reader.read_event_into(&mut self.inner)?;
                let is_end = match &inner {
                    Event::End(end) => end.name() == tag.name(),
                    Event::Eof => return Err(Stop::damaged("a cell has no end")),
                    _ => false,
                };
                if is_text {
                    self.text.write_event(inner)?;
                } else {
                    match inner {
                        Event::Text(text) => self.value.push_str(&text.into_inner()),
                        Event::GeneralRef(name) => {
                            self.value.push_str(&format!("&{};", name.into_inner()));
                        }
                        Event::CData(text) => {
                            self.value.push_str(&escape(text.into_inner()));
                        }
                        _ => {}
                    }
                }
                if is_end {
                    break;
                }
            }
        }
    }

    fn write<W: Write>(&self, tag: &BytesStart, writer: &mut Writer<W>) -> Result<(), Stop> {
        let kind = attributes(tag).find(|attribute| attribute.key.as_ref() == "t");
        let kind = kind.as_ref().map_or("n", |kind| &*kind.value);
        let (kind, mark, value) = self.kept(kind);
        let mut changed = BytesStart::new("c");
        for attribute in
            attributes(tag).filter(|attribute| matches!(attribute.key.as_ref(), "r" | "s"))
        {
            changed.push_attribute((attribute.key.as_ref(), &*attribute.value));
        }
        changed.push_attribute(("t", kind));
        writer.write_event(Event::Start(changed.borrow()))?;
        let out = writer.get_mut();
        match mark {
            Some(mark) => write!(out, "<v>{mark}{value}</v>")?,
            None if self.has_own_text() => out.write_all(self.text.get_ref())?,
            None => write!(out, "<v>{value}</v>")?,
        }
        Ok(writer.write_event(Event::End(changed.to_end()))?)
    }

    fn has_own_text(&self) -> bool {
        !self.text.get_ref().is_empty()
    }

    /// As what it is written: the type, a mark where the library would refuse or change it, and the value.
    fn kept<'a>(&'a self, kind: &'a str) -> (&'a str, Option<Mark>, &'a str) {
        if self.has_own_text() {
            return ("inlineStr", None, "");
        }
        let value = self.value.trim();
        if self.has_formula && !(self.has_value && (kind == "str" || !value.is_empty())) {
            return ("str", Some(Mark::NotCalculated), "");
        }
        let is_well = match kind {
            "e" => return ("str", Some(Mark::Error), value),
            "n" if let Some(digits) = long(value) => return ("str", Some(Mark::Number), digits),
            _ if value.is_empty() => true,
            "n" => value.parse().is_ok_and(f64::is_finite),
            "b" => matches!(value, "0" | "1" | "true" | "false"),
            "s" => value.parse::<usize>().is_ok(),
            "d" => true,
            _ => false,
        };
        if is_well {
            (kind, None, value)
        } else {
            // What is none of its kind is the text that it is.
            ("str", None, &self.value)
        }
    }
}

/// The digits of a whole number that has more of them than a floating point number keeps.
fn long(value: &str) -> Option<&str> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_long = digits.len() > 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_long && fraction.bytes().all(|byte| byte == b'0')).then_some(whole)
}

/// Those of a tag.
pub(super) fn attributes<'a>(tag: &'a BytesStart<'_>) -> impl Iterator<Item = Attribute<'a>> {
    let mut all = tag.attributes();
    // Each would be compared with all before it.
    all.with_checks(false);
    all.flatten()
}
