//! The parts of a workbook, written again so that the library that reads it loses nothing: in UTF-8, with targets from
//! the root, without counts that it would believe, and with marks in the cells that it would refuse, round or leave empty.

mod cells;

use std::io::{BufRead, Write};

use quick_xml::{
    Reader, Writer,
    encoding::DecodingReader,
    events::{BytesStart, Event},
};

pub(super) use self::cells::Mark;
use self::cells::{Sheet, attributes};
use super::stop::Stop;

/// The part with the formats of cells; each costs some hundred bytes in memory, and takes its own copies of names.
const MOST_STYLE_BYTES: u64 = 8 * 1024 * 1024;
const MOST_STYLES: usize = 250_000;
const MOST_NAME_BYTES: usize = 256 * 1024 * 1024;

/// Writes a part again, if it is one that a reader wants; else nothing.
///
/// # Errors
/// When it is no XML, would take too much memory, or cannot be written.
pub(super) fn rewrite(name: &str, source: impl BufRead, sink: &mut impl Write) -> Result<(), Stop> {
    let mut reader = Reader::from_reader(DecodingReader::new(source));
    // As lax as the library is.
    reader.config_mut().check_end_names = false;
    let mut writer = Writer::new(sink);
    let mut buffer = Vec::new();
    let (root, is_empty) = loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer)? {
            Event::Start(root) => break (root, false),
            Event::Empty(root) => break (root, true),
            Event::Eof => return Ok(()),
            _ => {}
        }
    };
    if root.local_name().as_ref() == "worksheet" {
        return Sheet { reader, writer }.rewrite();
    }
    let mut kind = match root.local_name().as_ref() {
        "Relationships" => Kind::Relations(folder(name)),
        "sst" => Kind::Texts,
        "styleSheet" => Kind::Styles(Styles::default()),
        "workbook" => Kind::Book,
        _ => return Ok(()),
    };
    let root = kind.changed(root);
    if is_empty {
        return Ok(writer.write_event(Event::Empty(root))?);
    }
    writer.write_event(Event::Start(root))?;
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer)? {
            Event::Eof => return Ok(()),
            Event::Start(tag) => writer.write_event(Event::Start(kind.changed(tag)))?,
            Event::Empty(tag) => writer.write_event(Event::Empty(kind.changed(tag)))?,
            Event::Comment(_) | Event::DocType(_) | Event::PI(_) | Event::Decl(_) => {}
            event => writer.write_event(event)?,
        }
        if kind.is_too_much(reader.buffer_position()) {
            return Err(Stop::much("has too many formats"));
        }
    }
}

/// What is changed in a part.
enum Kind {
    /// Targets beside a folder.
    Relations(String),
    Texts,
    Styles(Styles),
    Book,
}

impl Kind {
    fn changed<'a>(&mut self, mut tag: BytesStart<'a>) -> BytesStart<'a> {
        let is = |name: &str| tag.local_name().as_ref() == name;
        match self {
            Self::Relations(folder) if is("Relationship") => targeted(folder, &tag),
            // Room would be made for as many texts as it says.
            Self::Texts if is("sst") => {
                tag.clear_attributes();
                tag
            }
            Self::Styles(styles) => {
                styles.count += usize::from(is("xf"));
                styles.longest = styles.longest.max(tag.len());
                tag
            }
            _ => tag,
        }
    }

    fn is_too_much(&self, bytes: u64) -> bool {
        match self {
            Self::Styles(styles) => {
                bytes > MOST_STYLE_BYTES
                    || styles.count > MOST_STYLES
                    || styles.count.saturating_mul(styles.longest) > MOST_NAME_BYTES
            }
            _ => false,
        }
    }
}

#[derive(Default)]
struct Styles {
    count: usize,
    longest: usize,
}

/// Beside what a part of relationships is: `xl/` for `xl/_rels/workbook.xml.rels`.
fn folder(name: &str) -> String {
    let (folder, _) = name.rsplit_once("_rels/").unwrap_or_default();
    folder.to_owned()
}

/// A relationship with its target from the root, as `/xl/worksheets/sheet1.xml`.
fn targeted<'a>(folder: &str, tag: &BytesStart<'a>) -> BytesStart<'a> {
    let mut changed = BytesStart::new(tag.local_name().as_ref().to_owned());
    for attribute in attributes(tag) {
        if attribute.key.as_ref() == "Target" {
            let target = resolved(folder, &attribute.value);
            changed.push_attribute(("Target", target.as_str()));
        } else {
            changed.push_attribute(attribute);
        }
    }
    changed
}

fn resolved(folder: &str, target: &str) -> String {
    let whole = match target.strip_prefix('/') {
        Some(whole) => whole.to_owned(),
        None => format!("{folder}{target}"),
    };
    let mut steps = Vec::new();
    for step in whole.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

#[cfg(test)]
mod tests;
