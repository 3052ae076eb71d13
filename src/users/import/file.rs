//! The file of an import: here in full, read chunk by chunk, each user known once in it.

use std::{
    fs::File,
    sync::{Arc, OnceLock},
};

use super::{
    error::{ImportError, MOST_ROWS},
    report::Report,
    seen::Seen,
    shape::Shape,
    table::{Format, Records, Table},
};
use crate::{
    http::error::ApiError,
    users::csv::{Line, Row, columns::Names, decoding::Charset, mapping::ColumnMap},
};

/// Users stored in one go: few enough to be held in memory and to commit in a blink, enough that the
/// statements' own cost does not count.
const CHUNK: usize = 500;

/// A file that is here in full.
pub struct Upload {
    file: File,
    format: Format,
    columns: ColumnMap,
    charset: Option<Charset>,
    /// The text or sheet in it, once somebody asked.
    table: OnceLock<Table>,
}

impl Upload {
    /// Takes a file, which nobody else may move about in meanwhile, and what is said of its encoding.
    pub fn new(file: File, format: Format, charset: Option<Charset>) -> Self {
        Self {
            file,
            format,
            columns: ColumnMap::default(),
            charset,
            table: OnceLock::new(),
        }
    }

    /// Says what columns are, whatever they are called.
    #[must_use]
    pub fn with_columns(self, columns: ColumnMap) -> Self {
        Self { columns, ..self }
    }

    /// Reads the header and counts the records.
    ///
    /// # Errors
    /// A file that is no table, a bad header, or too many records.
    pub fn look(&self) -> Result<Shape, ImportError> {
        let mut rows = 0;
        let mut records = self.records()?;
        while records.pass()? {
            rows += 1;
            if rows > MOST_ROWS {
                return Err(ImportError::TooManyRows);
            }
        }
        let (columns, warnings) = records.told();
        Ok(Shape {
            rows,
            columns,
            warnings,
            has_passwords: records.has_passwords(),
            encoding: self.table()?.encoding.clone(),
        })
    }

    /// The same, and the file back, without holding up whoever else is waited for.
    pub(super) async fn looked_at(self) -> Result<(Self, Shape), ImportError> {
        blocking(move || {
            let shape = self.look()?;
            Ok((self, shape))
        })
        .await
    }

    fn table(&self) -> Result<&Table, ImportError> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = Table::read(&self.file, self.format, self.charset, &self.columns)?;
        Ok(self.table.get_or_init(|| table))
    }

    fn records(&self) -> Result<Records, ImportError> {
        self.table()?.records(&self.columns)
    }
}

/// Some users of a file, each known once in it, and what was wrong with the records between them.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) rows: Vec<Row>,
    pub(super) names: Arc<Names>,
    pub(super) refused: Report,
    /// Records read, good and bad.
    pub(super) read: usize,
}

/// Reads a file chunk by chunk.
pub(super) struct Chunks {
    records: Records,
    names: Arc<Names>,
    seen: Seen,
}

impl Chunks {
    pub(super) fn of(upload: &Upload) -> Result<Self, ImportError> {
        let records = upload.records()?;
        Ok(Self {
            names: Arc::new(records.names()),
            records,
            seen: Seen::default(),
        })
    }

    /// The next chunk, and the rest of the file, without holding up whoever else is waited for.
    pub(super) async fn advanced(mut self) -> Result<(Self, Option<Chunk>), ImportError> {
        blocking(move || {
            let chunk = self.advance()?;
            Ok((self, chunk))
        })
        .await
    }

    /// The next chunk; `None` after the last one.
    pub(super) fn advance(&mut self) -> Result<Option<Chunk>, ImportError> {
        let mut chunk = Chunk {
            names: Arc::clone(&self.names),
            ..Chunk::default()
        };
        while chunk.read < CHUNK {
            let Some(line) = self.records.advance()? else {
                break;
            };
            chunk.read += 1;
            match line {
                Line::Faulty(faults) => chunk.refused.refuse(faults),
                Line::User(row) => match self.seen.repeats(&row, &self.names) {
                    Some(fault) => chunk.refused.refuse(vec![fault]),
                    None => {
                        let notes = &mut chunk.refused.notes;
                        notes.alike.extend(self.seen.alike(&row));
                        notes.look_at(&row, &self.names);
                        chunk.rows.push(*row);
                    }
                },
            }
        }
        Ok(if chunk.read > 0 { Some(chunk) } else { None })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(ApiError::internal)?
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn rows(text: &str, format: Format) -> (usize, usize) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let upload = Upload::new(file, format, None);
        // One after the other: they share the place in the file.
        let counted = upload.look().unwrap().rows;
        let mut chunks = Chunks::of(&upload).unwrap();
        let read = std::iter::from_fn(|| chunks.advance().unwrap()).map(|chunk| chunk.read);
        (counted, read.sum())
    }

    /// What is counted beforehand is what is read: spreadsheets leave empty records behind.
    #[test]
    fn blank_records_do_not_count() {
        let csv = "email,floor\na@x.yz,1\n,\n\n\" \",\nb@x.yz,2\nnobody\n,\n";
        assert_eq!(rows(csv, Format::Csv), (3, 3));
        assert_eq!(rows("email\n\n\n", Format::Csv), (0, 0));
        let list = ",;\na@x.yz,,\n\n b@x.yz nobody;\n";
        assert_eq!(rows(list, Format::Addresses), (3, 3));
    }
}
