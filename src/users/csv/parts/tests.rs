//! What the parts of a workbook become.

use super::*;

fn rewritten(name: &str, text: impl AsRef<[u8]>) -> Result<String, &'static str> {
    let mut sink = Vec::new();
    match rewrite(name, text.as_ref(), &mut sink) {
        Ok(()) => Ok(String::from_utf8(sink).unwrap()),
        Err(Stop::Flaw(flaw)) => Err(flaw.code),
        Err(Stop::Io(error)) => panic!("{error}"),
    }
}

#[test]
fn only_what_is_wanted_is_kept() {
    let wide: Vec<u8> =
        "\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-16\"?><sst><si><t>é</t></si></sst>"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
    for (text, kept) in [
        (&b"<theme><a/></theme>"[..], ""),
        (b"<c:chart><c/></c:chart>", ""),
        (b"", ""),
        (b"<!-- x --><?x y?><workbook a=\"b\"><sheets/><!-- y --></workbook>", "<workbook a=\"b\"><sheets/></workbook>"),
        (b"\xEF\xBB\xBF<sst count=\"9\"/>", "<sst/>"),
        (&wide, "<sst><si><t>é</t></si></sst>"),
        (
            b"<x:worksheet xmlns:x=\"y\"><x:dimension ref=\"?\"/><x:sheetData><x:row r=\"2\"><x:c r=\"A2\"/></x:row></x:sheetData><x:drawing/>",
            "<worksheet><x:sheetData><x:row r=\"2\"><x:c r=\"A2\"/></x:row></x:sheetData></worksheet>",
        ),
        (b"<worksheet><c/><row/><sheetData/><c/></worksheet>", "<worksheet><sheetData/></worksheet>"),
        (
            b"<worksheet><sheetData><c r=\"A1\" cm=\"1\" s=\"2\" t=\"str\"><v>a<![CDATA[<b]]>&amp;</v><extLst><v>1</v></extLst></c></sheetData>",
            "<worksheet><sheetData><c r=\"A1\" s=\"2\" t=\"str\"><v>a&lt;b&amp;</v></c></sheetData></worksheet>",
        ),
    ] {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(rewritten("xl/x.xml", text).as_deref(), Ok(kept), "{shown}");
    }
    assert_eq!(
        rewritten("x", b"<sst><si><t>\xFF</t></si></sst>"),
        Err("damaged_workbook")
    );
}

#[test]
fn targets_are_from_the_root() {
    for (name, target, found) in [
        (
            "xl/_rels/workbook.xml.rels",
            "worksheets/a.xml",
            "/xl/worksheets/a.xml",
        ),
        (
            "xl/_rels/workbook.xml.rels",
            "../xl/worksheets/a.xml",
            "/xl/worksheets/a.xml",
        ),
        ("xl/_rels/workbook.xml.rels", "/a.xml", "/a.xml"),
        ("_rels/.rels", "xl/workbook.xml", "/xl/workbook.xml"),
        ("_rels/.rels", "./xl//workbook.xml", "/xl/workbook.xml"),
        ("_rels/.rels", "../../xl/workbook.xml", "/xl/workbook.xml"),
    ] {
        let text =
            format!("<Relationships><Relationship Id='r' Target=\"{target}\"/></Relationships>");
        let kept =
            format!("<Relationships><Relationship Id=\"r\" Target=\"{found}\"/></Relationships>");
        assert_eq!(rewritten(name, text), Ok(kept), "{target}");
    }
}

#[test]
fn formats_are_bounded() {
    let styles = |format: usize, count: usize| {
        let format = format!("<numFmt formatCode=\"{}\"/>", "y".repeat(format));
        format!("<styleSheet>{format}{}</styleSheet>", "<xf/>".repeat(count))
    };
    for (format, count, code) in [
        (20, 60_000, None),
        (60_000, 60_000, Some("workbook_too_large")),
        (20, 250_001, Some("workbook_too_large")),
        (9_000_000, 1, Some("workbook_too_large")),
    ] {
        let found = rewritten("xl/styles.xml", styles(format, count)).err();
        assert_eq!(found, code, "{format} {count}");
    }
}
