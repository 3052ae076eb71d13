//! Files that are text and no table, and that programs name `.xls` or `.csv`. Pure.

use crate::model::wire::Flaw;

/// What a file is that begins so.
const STARTS: [(&str, &str); 14] = [
    ("<!doctype html", PAGE),
    ("<html", PAGE),
    ("<head", PAGE),
    ("<meta", PAGE),
    ("<style", PAGE),
    ("<body", PAGE),
    ("<div", PAGE),
    ("<table", PAGE),
    ("<!--", PAGE),
    ("<?xml", "XML"),
    ("<workbook", "an XML spreadsheet of Excel 2003"),
    ("mime-version:", "a web archive (MHTML)"),
    ("{\\rtf", "a text in RTF"),
    ("begin:vcard", "a list of contacts (vCard)"),
];
const PAGE: &str = "a web page (HTML)";
/// What an XML document is that says this.
const DOCUMENTS: [(&str, &str); 4] = [
    (
        "urn:schemas-microsoft-com:office:spreadsheet",
        "an XML spreadsheet of Excel 2003",
    ),
    ("progid=\"excel.sheet\"", "an XML spreadsheet of Excel 2003"),
    (
        "urn:oasis:names:tc:opendocument",
        "an OpenDocument file (.fods)",
    ),
    ("<html", PAGE),
];
/// How the second line of SYLK may begin; a table may begin with `ID;P`, too.
const SYLK: [&str; 8] = ["P;P", "P;E", "P;F", "F;", "B;Y", "B;X", "C;Y", "C;X"];

/// Names a file that is another kind of text, by how it begins.
pub(super) fn foreign(start: &[u8]) -> Option<Flaw> {
    // The same in UTF-16, with a mark or without.
    let text = start
        .iter()
        .filter(|byte| !matches!(byte, 0 | 0xEF | 0xBB | 0xBF | 0xFE | 0xFF));
    let text: Vec<u8> = text.copied().collect();
    let text = String::from_utf8_lossy(text.trim_ascii_start());
    let small = text.to_ascii_lowercase();
    let what = match STARTS.iter().find(|(start, _)| begins(&small, start)) {
        Some((_, "XML")) => {
            let known = DOCUMENTS.iter().find(|(word, _)| small.contains(word));
            known.map_or("an XML file", |(_, what)| what)
        }
        Some((_, what)) => what,
        None if is_sylk(&text) => "a SYLK file (.slk)",
        None if is_dif(&text) => "a DIF file",
        None => return None,
    };
    Some(Flaw::new(
        "unsupported_workbook",
        format!(
            "the file is {what}, whatever its name says; open it in a spreadsheet program, and save it as .xlsx or as \
             CSV UTF-8"
        ),
    ))
}

/// Whether a text begins so, and the word ends there: `<header>` may be somebody's column.
fn begins(text: &str, start: &str) -> bool {
    let is_word = start.starts_with('<') && start.ends_with(|c: char| c.is_ascii_alphabetic());
    text.strip_prefix(start).is_some_and(|rest| {
        !(is_word && rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

fn is_dif(text: &str) -> bool {
    text.strip_prefix("TABLE")
        .is_some_and(|rest| rest.trim_start().starts_with("0,1"))
}

fn is_sylk(text: &str) -> bool {
    let mut lines = text.lines();
    let is_first = lines.next().is_some_and(|line| line.starts_with("ID;P"));
    is_first
        && lines
            .next()
            .is_some_and(|line| SYLK.iter().any(|start| line.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_named() {
        let utf16 = |text: &str| -> Vec<u8> {
            let text = format!("\u{FEFF}{text}");
            text.encode_utf16().flat_map(u16::to_le_bytes).collect()
        };
        let html = "<html xmlns:x=\"urn:schemas-microsoft-com:office:excel\"><table>";
        for (start, word) in [
            (b"<html><table><tr><td>email</td></tr></table></html>".to_vec(), "HTML"),
            (html.into(), "HTML"),
            (utf16(html), "HTML"),
            (b"\xEF\xBB\xBF\r\n <!DOCTYPE html>\r\n<html>".to_vec(), "HTML"),
            (b"<TABLE border=1><tr><td>email".to_vec(), "HTML"),
            (b"<meta charset=utf-8><table>".to_vec(), "HTML"),
            (b"<style>td{}</style><table>".to_vec(), "HTML"),
            (b"<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\">".to_vec(), "HTML"),
            (b"<?xml version=\"1.0\"?>\n<?mso-application progid=\"Excel.Sheet\"?>\n<Workbook>".to_vec(), "2003"),
            (b"<?xml version=\"1.0\"?><Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\">".to_vec(), "2003"),
            (b"<Workbook xmlns=\"x\">".to_vec(), "2003"),
            (utf16("<?xml version=\"1.0\"?><users><email/></users>"), "an XML file"),
            (b"<?xml version=\"1.0\"?><office:document xmlns:office=\"urn:oasis:names:tc:opendocument:xmlns:office:1.0\">".to_vec(), ".fods"),
            (b"MIME-Version: 1.0\r\nContent-Type: multipart/related".to_vec(), "MHTML"),
            (b"ID;PWXL;N;E\r\nP;PGeneral\r\nC;Y1;X1;K\"email\"".to_vec(), "SYLK"),
            (b"ID;PCALCOOO32\nB;Y2;X1\nC;X1;Y1;K\"email\"".to_vec(), "SYLK"),
            (b"ID;P\nC;Y1;X1;K\"email\"\nE".to_vec(), "SYLK"),
            (b"TABLE\r\n0,1\r\n\"EXCEL\"".to_vec(), "DIF"),
            (b"{\\rtf1\\ansi".to_vec(), "RTF"),
            (b"BEGIN:VCARD\r\nVERSION:3.0".to_vec(), "vCard"),
        ] {
            let shown = String::from_utf8_lossy(&start).into_owned();
            let flaw = foreign(&start).expect(&shown);
            assert_eq!(flaw.code, "unsupported_workbook", "{shown}");
            assert!(flaw.detail.contains(word), "{shown}: {}", flaw.detail);
        }
    }

    #[test]
    fn tables_and_lists_are_not() {
        for start in [
            "email,first_name\n",
            "ID;Personalnummer;E-Mail\n1;2;a@x.yz\n",
            "ID;Personalnummer\nC4;12\n",
            "ID;P\nF1;x\n",
            "TABLE,email\n1,a@x.yz",
            "<email>,<first name>\n",
            "<header 1>,email",
            "<tables>,email",
            "<table_id>;email",
            "<a@x.yz>, <b@x.yz>",
            "Ada <a@x.yz>",
            "",
            "\u{FEFF}email",
            "{x},email",
        ] {
            let flaw = foreign(start.as_bytes());
            assert!(flaw.is_none(), "{start}: {flaw:?}");
        }
    }
}
