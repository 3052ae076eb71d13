//! What a client says that a file is: browsers and systems have many names for a table.

use actix_web::{
    http::header::{ContentDisposition, DispositionParam},
    mime::Mime,
};

use crate::{
    http::error::ApiError,
    users::{
        csv::decoding::{Charset, KNOWN},
        import::Format,
    },
};

/// Tables, whatever is in them: what is a workbook is seen by its first bytes. A browser on a machine with a
/// spreadsheet program calls CSV `application/vnd.ms-excel`.
const TABLES: &[&str] = &[
    "text/csv",
    "text/x-csv",
    "text/comma-separated-values",
    "text/x-comma-separated-values",
    "text/tab-separated-values",
    "application/csv",
    "application/x-csv",
    "application/vnd.ms-excel",
    "application/vnd.ms-excel.sheet.macroenabled.12",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
];
/// Endings of names that say as much. Some are of files that are refused, with what to do.
const ENDINGS: &[&str] = &["csv", "tsv", "tab", "xlsx", "xlsm", "xls", "xlsb", "ods"];

/// What is said of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) format: Format,
    pub(super) charset: Option<Charset>,
}

/// A media type as it is sent: with blanks around its `;` (RFC 9110 §5.6.6), and with parameters that say nothing.
pub(super) fn parsed(value: &str) -> Option<Mime> {
    let parts = value.split(';').map(str::trim);
    let parts: Vec<&str> = parts
        .filter(|part| !part.is_empty() && !part.ends_with('='))
        .collect();
    parts.join(";").parse().ok()
}

pub(super) fn unsupported() -> ApiError {
    ApiError::new(
        415,
        "unsupported_media_type",
        "Send the file as `Content-Type: text/csv`, a workbook (.xlsx) as \
         `application/vnd.openxmlformats-officedocument.spreadsheetml.sheet`, either as the one file of a \
         `multipart/form-data`, or a list of addresses as `text/plain`.",
    )
}

/// What a media type and a name say.
///
/// # Errors
/// 415 for what is no table and no text, and for a charset that nobody knows.
pub(super) fn said(
    media_type: &Mime,
    disposition: Option<&ContentDisposition>,
) -> Result<Said, ApiError> {
    let charset = match media_type.get_param("charset") {
        None => None,
        Some(name) => Some(Charset::named(name.as_str()).ok_or_else(|| {
            ApiError::new(
                415,
                "unknown_charset",
                format!("The charset of the file is not known. Known are {KNOWN}."),
            )
        })?),
    };
    let ending = disposition.and_then(name).and_then(|name| {
        let (_, ending) = name.rsplit_once('.')?;
        Some(ending.to_ascii_lowercase())
    });
    let ending = ending.as_deref();
    let is_table = ending.is_some_and(|ending| ENDINGS.contains(&ending));
    let format = match media_type.essence_str() {
        known if TABLES.contains(&known) => Format::Csv,
        // Systems that know no CSV say what they do know.
        _ if is_table => Format::Csv,
        "text/plain" => Format::Addresses,
        "application/octet-stream" if ending == Some("txt") => Format::Addresses,
        _ => return Err(unsupported()),
    };
    Ok(Said { format, charset })
}

/// What the client calls the file.
fn name(disposition: &ContentDisposition) -> Option<String> {
    disposition
        .parameters
        .iter()
        .find_map(|parameter| match parameter {
            DispositionParam::Filename(name) => Some(name.clone()),
            DispositionParam::FilenameExt(name) => {
                Some(String::from_utf8_lossy(&name.value).into_owned())
            }
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn of(media_type: &str, disposition: &str) -> Result<(Format, Option<String>), u16> {
        let disposition = HeaderValue::from_str(disposition).unwrap();
        let disposition = ContentDisposition::from_raw(&disposition).ok();
        said(&parsed(media_type).unwrap(), disposition.as_ref())
            .map(|said| (said.format, said.charset.map(Charset::name)))
            .map_err(|error| error.status)
    }

    #[test]
    fn what_browsers_say_of_a_table_is_understood() {
        let named = "attachment; filename=\"people.csv\"";
        for (media_type, disposition) in [
            ("text/csv", ""),
            ("TEXT/CSV", ""),
            ("text/csv; header=present", ""),
            ("text/csv;", ""),
            ("text/csv ; header=present ;", ""),
            ("text/csv; charset=", ""),
            ("text/x-csv", ""),
            ("application/csv", ""),
            ("application/x-csv", ""),
            ("application/vnd.ms-excel", ""),
            ("text/comma-separated-values", ""),
            ("text/tab-separated-values", ""),
            (
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "",
            ),
            ("application/octet-stream", named),
            (
                "application/octet-stream",
                "form-data; name=\"f\"; filename=\"Leute.CSV\"",
            ),
            (
                "application/octet-stream",
                "attachment; filename*=UTF-8''Gr%C3%B6%C3%9Fe.csv",
            ),
            ("application/octet-stream", "attachment; filename=book.xlsx"),
            ("application/zip", "attachment; filename=book.xlsx"),
            ("text/plain", named),
            ("application/x-download", named),
        ] {
            assert_eq!(
                of(media_type, disposition),
                Ok((Format::Csv, None)),
                "{media_type} {disposition}"
            );
        }
        for (media_type, disposition) in [
            ("text/plain", ""),
            ("text/plain", "attachment; filename=list.txt"),
            ("application/octet-stream", "attachment; filename=list.TXT"),
        ] {
            assert_eq!(of(media_type, disposition), Ok((Format::Addresses, None)));
        }
        for (media_type, disposition) in [
            ("application/json", ""),
            ("application/octet-stream", ""),
            ("application/octet-stream", "attachment; filename=csv"),
            ("application/pdf", "attachment; filename=people.pdf"),
            ("image/png", ""),
            ("text/csv; charset=ebcdic", ""),
        ] {
            assert_eq!(
                of(media_type, disposition),
                Err(415),
                "{media_type} {disposition}"
            );
        }
    }

    #[test]
    fn a_charset_has_many_names() {
        for (said, name) in [
            ("utf-8", "utf-8"),
            ("UTF8", "utf-8"),
            ("\"utf-8\"", "utf-8"),
            ("us-ascii", "utf-8"),
            ("windows-1252", "windows-1252"),
            ("CP1252", "windows-1252"),
            ("ISO-8859-1", "windows-1252"),
            ("latin1", "windows-1252"),
            ("iso-8859-15", "iso-8859-15"),
            ("Shift_JIS", "shift_jis"),
            ("euc-kr", "euc-kr"),
            ("gb2312", "gbk"),
            ("big5", "big5"),
            ("utf-16", "utf-16le"),
            ("utf-8-sig", "utf-8"),
            ("cp932", "shift_jis"),
            ("ms932", "shift_jis"),
            ("binary", "utf-8"),
            ("ansi", "utf-8"),
            ("cp850", "ibm850"),
            ("IBM437", "ibm437"),
        ] {
            let expected = Ok((Format::Csv, Some(name.to_owned())));
            for between in ["; ", ";", " ; ", "\t;\t"] {
                let media_type = format!("text/csv{between}charset={said}");
                assert_eq!(of(&media_type, ""), expected, "{media_type}");
            }
        }
    }
}
