//! A workbook, made here.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

/// A workbook with one sheet; cells are texts, or XML where they begin with `<`.
pub fn workbook(rows: &[&[&str]]) -> Vec<u8> {
    let mut data = String::new();
    for row in rows {
        data += "<row>";
        for cell in *row {
            data += &match cell.strip_prefix('<') {
                Some(_) => (*cell).to_owned(),
                None => format!("<c t=\"inlineStr\"><is><t>{cell}</t></is></c>"),
            };
        }
        data += "</row>";
    }
    let spread = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let related = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let relation = |kind: &str, target: &str| {
        format!(
            "<Relationships><Relationship Id=\"r1\" Type=\"{related}/{kind}\" Target=\"{target}\"/></Relationships>"
        )
    };
    let styles = "<numFmts><numFmt numFmtId=\"164\" formatCode=\"00000\"/></numFmts><cellXfs><xf numFmtId=\"0\"/>\
                  <xf numFmtId=\"164\"/><xf numFmtId=\"14\"/></cellXfs>";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [
        ("_rels/.rels", relation("officeDocument", "xl/workbook.xml")),
        (
            "xl/_rels/workbook.xml.rels",
            relation("worksheet", "worksheets/sheet1.xml"),
        ),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns:r=\"{related}\"><sheets><sheet name=\"A\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/styles.xml",
            format!("<styleSheet>{styles}</styleSheet>"),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!("<worksheet xmlns=\"{spread}\"><sheetData>{data}</sheetData></worksheet>"),
        ),
    ] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
