//! Workbooks, made part by part.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

/// A sheet's `state`, and its XML between the tags of `sheetData`.
pub struct Book<'a> {
    pub sheets: Vec<(&'a str, &'a str)>,
    /// Codes of number formats; cells with `s="1"` have the first one.
    pub formats: Vec<&'a str>,
    pub strings: &'a str,
    pub is_1904: bool,
}

impl<'a> Book<'a> {
    pub fn of(rows: &'a str) -> Self {
        Self {
            sheets: vec![("visible", rows)],
            formats: Vec::new(),
            strings: "<sst/>",
            is_1904: false,
        }
    }

    pub fn zipped(&self) -> Vec<u8> {
        let spread = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        let related = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let (mut sheets, mut relations) = (String::new(), String::new());
        let mut parts = Vec::new();
        for (index, (state, rows)) in self.sheets.iter().enumerate() {
            let id = index + 1;
            sheets += &format!(
                "<sheet name=\"S{id}\" sheetId=\"{id}\" state=\"{state}\" r:id=\"r{id}\"/>"
            );
            relations += &format!(
                "<Relationship Id=\"r{id}\" Type=\"{related}/worksheet\" Target=\"worksheets/sheet{id}.xml\"/>"
            );
            let sheet =
                format!("<worksheet xmlns=\"{spread}\"><sheetData>{rows}</sheetData></worksheet>");
            parts.push((format!("xl/worksheets/sheet{id}.xml"), sheet));
        }
        let (mut codes, mut cells) = (String::new(), "<xf numFmtId=\"0\"/>".to_owned());
        for (index, code) in self.formats.iter().enumerate() {
            let id = 164 + index;
            codes += &format!("<numFmt numFmtId=\"{id}\" formatCode=\"{code}\"/>");
            cells += &format!("<xf numFmtId=\"{id}\"/>");
        }
        let calendar = if self.is_1904 {
            "<workbookPr date1904=\"1\"/>"
        } else {
            ""
        };
        parts.extend([
            ("[Content_Types].xml".to_owned(), "<Types/>".to_owned()),
            ("_rels/.rels".to_owned(), format!("<Relationships><Relationship Id=\"r1\" Type=\"{related}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>")),
            ("xl/workbook.xml".to_owned(), format!("<workbook xmlns=\"{spread}\" xmlns:r=\"{related}\">{calendar}<sheets>{sheets}</sheets></workbook>")),
            ("xl/_rels/workbook.xml.rels".to_owned(), format!("<Relationships>{relations}</Relationships>")),
            ("xl/styles.xml".to_owned(), format!("<styleSheet xmlns=\"{spread}\"><numFmts>{codes}</numFmts><cellXfs>{cells}</cellXfs></styleSheet>")),
            ("xl/sharedStrings.xml".to_owned(), self.strings.to_owned()),
        ]);
        zipped(&parts)
    }
}

/// A zip archive of parts with names.
pub fn zipped(parts: &[(String, String)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        writer
            .start_file(name.as_str(), SimpleFileOptions::default())
            .unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
