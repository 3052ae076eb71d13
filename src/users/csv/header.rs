//! The first line of a table: what its columns are, and what to say where it names none.

use std::io::{self, Read};

use super::{
    LineFault,
    assign::NO_PEOPLE,
    columns::Columns,
    mapping::ColumnMap,
    records::{Outcome, Records},
    told::Warning,
};

/// Lines below the first one in which a header is looked for.
const NEAR: usize = 10;

/// Reads the columns. One whose name is an error is left out, with a warning.
pub(super) fn read<R: Read>(
    records: &Records<R>,
    asked: &ColumnMap,
) -> Result<(Columns, Vec<Warning>), Vec<LineFault>> {
    let mut nameless = Vec::new();
    let fields =
        records
            .fields()
            .enumerate()
            .map(|(index, field)| match records.no_value(index, field) {
                Some(flaw) => {
                    nameless.push((index, flaw));
                    &b""[..]
                }
                None => field,
            });
    let fields: Vec<&[u8]> = fields.collect();
    let line = records.line();
    let mut columns = match Columns::parse(line, fields.into_iter(), asked) {
        Ok(columns) => columns,
        Err(mut faults) => {
            let flaws = nameless.into_iter().map(|(_, flaw)| flaw);
            faults.extend(flaws.map(|flaw| LineFault::of_record(line, flaw)));
            return Err(faults);
        }
    };
    let mut warnings = columns.warnings().to_vec();
    for (index, flaw) in nameless {
        columns.leave(index);
        let detail = format!("{}; its column is left out", flaw.detail);
        warnings.push(Warning::new(flaw.code, detail));
    }
    if let Some(sheet) = records.of_sheet()
        && sheet.others > 0
    {
        let detail = format!(
            "the workbook has {} visible sheets, and only the first one, `{}`, was read",
            sheet.others + 1,
            shown(&sheet.name)
        );
        warnings.push(Warning::new("other_sheets", detail));
    }
    Ok((columns, warnings))
}

/// Adds to what is wrong with a first line that names no columns: which one it is, and which one may be the header.
pub(super) fn explain<R: Read>(
    faults: &mut [LineFault],
    records: &mut Records<R>,
    asked: &ColumnMap,
) -> io::Result<()> {
    let is_it = |fault: &&mut LineFault| matches!(fault.code, "missing_column" | "empty_file");
    let Some(fault) = faults.iter_mut().find(is_it) else {
        return Ok(());
    };
    let is_one_cell = fault.code == "missing_column"
        && asked.is_empty()
        && records.delimiter().is_some()
        && records.fields().count() == 1;
    let may_be_parted = |field: &[u8]| {
        let text = String::from_utf8_lossy(field);
        text.contains([',', ';', ':', '^', '"', '，', '；', '、'])
    };
    let is_one_line = is_one_cell && records.fields().any(may_be_parted);
    if is_one_cell {
        // A whole record may stand in it: nothing of it is taken for a column's name.
        fault.detail = NO_PEOPLE.to_owned();
    }
    if let Some(sheet) = records.of_sheet() {
        let name = shown(&sheet.name);
        fault.detail += &match sheet.others {
            0 => format!("; the sheet `{name}` was read"),
            others => format!(
                "; only the first visible sheet, `{name}`, was read: if the users are in another one, move that to the \
                 front ({} in all)",
                others + 1
            ),
        };
    }
    if let Some(title) = title(records) {
        fault.detail += &format!("; the first line is `{title}`");
    }
    for _ in 0..NEAR {
        match records.advance()? {
            None => break,
            Some(Outcome::Read) if read(records, asked).is_ok() => {
                fault.detail += &format!(
                    "; line {} looks like the header: delete the lines above it",
                    records.line()
                );
                return Ok(());
            }
            Some(_) => {}
        }
    }
    if is_one_line {
        fault.detail += "; it is one cell as it is: separate cells by `,`, `;`, a tab or `|`, and quote each by itself";
    }
    Ok(())
}

/// The first line where it is a title: alone in it, and nobody's name or secret beside one.
fn title<R: Read>(records: &Records<R>) -> Option<String> {
    let mut fields = records
        .fields()
        .filter(|field| !field.trim_ascii().is_empty());
    let only = str::from_utf8(fields.next()?).ok()?;
    (fields.next().is_none() && !only.contains('@')).then(|| shown(only.trim()))
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
