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
    /// In front of the sheets' targets.
    pub folder: &'a str,
    /// Whether the sheets are in UTF-16.
    pub is_wide: bool,
}

impl<'a> Book<'a> {
    pub fn of(rows: &'a str) -> Self {
        Self {
            sheets: vec![("visible", rows)],
            formats: Vec::new(),
            strings: "<sst/>",
            is_1904: false,
            folder: "worksheets/",
            is_wide: false,
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
                "<Relationship Id=\"r{id}\" Type=\"{related}/worksheet\" Target=\"{}sheet{id}.xml\"/>",
                self.folder
            );
            let sheet =
                format!("<worksheet xmlns=\"{spread}\"><sheetData>{rows}</sheetData></worksheet>");
            let sheet = match self.is_wide {
                true => "\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-16\"?>"
                    .chars()
                    .chain(sheet.chars())
                    .collect::<String>()
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes)
                    .collect(),
                false => sheet.into_bytes(),
            };
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
        let others = [
            ("[Content_Types].xml".to_owned(), "<Types/>".to_owned()),
            (
                "_rels/.rels".to_owned(),
                format!(
                    "<Relationships><Relationship Id=\"r1\" Type=\"{related}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/workbook.xml".to_owned(),
                format!(
                    "<workbook xmlns=\"{spread}\" xmlns:r=\"{related}\">{calendar}<sheets>{sheets}</sheets></workbook>"
                ),
            ),
            (
                "xl/_rels/workbook.xml.rels".to_owned(),
                format!("<Relationships>{relations}</Relationships>"),
            ),
            (
                "xl/styles.xml".to_owned(),
                format!(
                    "<styleSheet xmlns=\"{spread}\"><numFmts>{codes}</numFmts><cellXfs>{cells}</cellXfs></styleSheet>"
                ),
            ),
            ("xl/sharedStrings.xml".to_owned(), self.strings.to_owned()),
        ];
        parts.extend(others.map(|(name, text)| (name, text.into_bytes())));
        zipped(&parts)
    }
}

/// A zip archive of parts with names.
pub fn zipped<T: AsRef<[u8]>>(parts: &[(String, T)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        writer
            .start_file(name.as_str(), SimpleFileOptions::default())
            .unwrap();
        writer.write_all(text.as_ref()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
