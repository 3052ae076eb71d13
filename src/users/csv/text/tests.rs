//! What CSV of every kind is read as.

use super::*;
use crate::users::csv::delimiter::begin;
use proptest::prelude::*;

/// Gives a few bytes at a time, so that everything goes over an edge.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(3);
        self.0.read(&mut buffer[..length])
    }
}

/// Line, outcome and fields of every record.
fn all(text: &[u8]) -> Vec<(u32, Outcome, Vec<String>)> {
    all_of(TextRecords::open(text, begin).unwrap())
}

fn all_of<R: Read>(mut records: TextRecords<R>) -> Vec<(u32, Outcome, Vec<String>)> {
    let mut found = Vec::new();
    while let Some(outcome) = records.advance().unwrap() {
        let (output, ends) = records.cells();
        let mut from = 0;
        let mut fields = Vec::new();
        for end in ends {
            fields.push(String::from_utf8_lossy(&output[from..*end]).into_owned());
            from = *end;
        }
        found.push((records.line(), outcome, fields));
    }
    found
}

fn fields(text: &str) -> Vec<Vec<String>> {
    all(text.as_bytes())
        .into_iter()
        .map(|(_, _, fields)| fields)
        .collect()
}

#[test]
fn the_delimiter_is_found() {
    for text in [
        "a,b\n1,2",
        "a;b\r\n1;2\r\n",
        "\u{FEFF}a\tb\n1\t2\n",
        "a|b\n1|2\n",
        "\"a\",b\r1,2",
        "\na;b\n1;2",
        "\r\n\r\na\tb\n1\t2",
        "sep=;\na;b\n1;2",
        "sep=;\r\na;b\r\n1;2\r\n",
        "\u{FEFF}SEP=,\r\na,b\r\n1,2\r\n",
        "\"sep=;\"\r\na;b\r\n1;2\r\n",
        "sep=\t\ra\tb\r1\t2",
        "sep=|\n\na|b\n1|2",
        "sep=:\na:b\n1:2",
        "sep=\\t\na\tb\n1\t2",
        "Sep = ;\na;b\n1;2",
        "SEP =;\r\na;b\r\n1;2",
        "\"sep = ;\"\na;b\n1;2",
        "sep=,\na;b\n1;2",
        "#TYPE Selected.Microsoft.ActiveDirectory.Management.ADUser\r\na,b\r\n1,2",
        "\u{FEFF}#TYPE System.Object, mscorlib\na;b\n1;2",
    ] {
        assert_eq!(fields(text), [["a", "b"], ["1", "2"]], "{text:?}");
    }
    assert_eq!(fields("\"a;;;\",b\n"), [["a;;;", "b"]]);
    assert_eq!(fields("email\nx;y"), [["email"], ["x;y"]]);
    assert_eq!(
        fields("sep=;,\nx"),
        [vec!["sep=;", ""], vec!["x"]],
        "a column of that name"
    );
    assert_eq!(all(b"sep=;\na;b\n1;2")[1].0, 3);
    assert_eq!(all(b"#TYPE x\r\na;b\r\n1;2")[1].0, 3);
    assert_eq!(
        fields("#TYPE\nx"),
        [["#TYPE"], ["x"]],
        "a column of that name"
    );
    assert_eq!(fields("seppe=;\nx")[0].len(), 2, "a column of that name");
}

/// Names of columns hold commas and other marks, too.
#[test]
fn the_delimiter_is_what_the_header_is_understood_by() {
    for (header, cells) in [
        ("Nachname, Vorname;E-Mail", ["Nachname, Vorname", "E-Mail"]),
        ("E-Mail;Nachname, Vorname", ["E-Mail", "Nachname, Vorname"]),
        ("E-Mail;Name, Vorname", ["E-Mail", "Name, Vorname"]),
        (
            "E-Mail;Abteilung, Standort",
            ["E-Mail", "Abteilung, Standort"],
        ),
        (
            "E-Mail;Abteilung,Standort,Haus",
            ["E-Mail", "Abteilung,Standort,Haus"],
        ),
        (
            "Last name, First name\tEmail",
            ["Last name, First name", "Email"],
        ),
        (
            "Email|Last, First, Middle",
            ["Email", "Last, First, Middle"],
        ),
        (
            "email,Team | Site | Floor",
            ["email", "Team | Site | Floor"],
        ),
        (
            "\"Nachname, Vorname\",E-Mail",
            ["Nachname, Vorname", "E-Mail"],
        ),
        ("Work;Last, First", ["Work", "Last, First"]),
        ("email, first_name", ["email", " first_name"]),
        ("one, two", ["one", " two"]),
        (";;\r\nE-Mail;Straße, Ort", ["E-Mail", "Straße, Ort"]),
    ] {
        let found = all(format!("{header}\nx").as_bytes());
        let read = found.iter().find(|(_, _, cells)| !cells[0].is_empty());
        assert_eq!(read.unwrap().2, cells, "{header}");
    }
}

/// What old programs write behind the end is no record, and no part of one.
#[test]
fn what_stands_behind_the_end_is_dropped() {
    for padding in ["\x1A", "\0", &"\0".repeat(512), "\x1A\0\0", ""] {
        for end in ["", "\n", "\r\n"] {
            for last in ["1,2", "1,\"2\""] {
                let text = format!("a,b\n{last}{end}{padding}");
                assert_eq!(fields(&text), [["a", "b"], ["1", "2"]], "{text:?}");
            }
        }
    }
    assert_eq!(
        fields("a,b\n1,2\0\n3,4"),
        [["a", "b"], ["1", "2\0"], ["3", "4"]]
    );
    assert_eq!(fields("a,b\n1,\x1A\n"), [["a", "b"], ["1", "\x1A"]]);
}

#[test]
fn lines_are_where_an_editor_shows_them() {
    let lines = |text: &str| {
        all(text.as_bytes())
            .iter()
            .map(|(line, ..)| *line)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines("a,b\n\n\n\"1\n2\",3\nx,y\n\n\n\nz,z"), [1, 4, 6, 10]);
    assert_eq!(lines("a,b\r\n\"1\r\n2\",3\r\nx,y\r\n"), [1, 2, 4]);
    assert_eq!(lines("a,b\r\"1\r2\",3\rx,y"), [1, 2, 4]);
    assert_eq!(lines("a,b\r\n\"1\r\"\n\"2\n\"\r\n3"), [1, 2, 4, 6]);
}

/// A quote that is never closed takes nothing with it.
#[test]
fn what_is_never_closed_is_one_fault_where_it_begins() {
    let header = "email,remark\nfirst@x.yz,fine\n";
    for (text, line) in [
        ("a@x.yz,\"opened here\nb@x.yz,lost\nc@x.yz,lost too\n", 3),
        ("a@x.yz,\"", 3),
        ("a@x.yz,\"\n", 3),
        ("\"a@x.yz,opened\nb@x.yz,lost\n", 3),
        ("a@x.yz,\"two\nlines\",\"opened\nb@x.yz,lost\n", 4),
        ("a@x.yz, \"opened behind a blank\nb@x.yz,lost", 3),
        ("a@x.yz,\"opened\nb@x.yz,\"\"\nc@x.yz,lost\n", 3),
        ("a@x.yz,\"with \"\" inside\nb@x.yz,lost\n", 3),
        ("a@x.yz,\"opened\r\nb@x.yz,lost\r\n", 3),
        ("a@x.yz,\"opened\rb@x.yz,lost\r", 3),
        ("a@x.yz,\u{FEFF}\"opened behind a mark\n", 3),
        ("a@x.yz,fine\n\n\"", 5),
        ("\"a\" text,\"opened\nb@x.yz,lost", 3),
    ] {
        let found = all(format!("{header}{text}").as_bytes());
        let (at, outcome, fields) = found.last().unwrap();
        assert_eq!((*at, outcome), (line, &Outcome::Unclosed), "{text:?}");
        assert!(fields.is_empty(), "{text:?}");
        let read = found
            .iter()
            .filter(|(_, outcome, _)| *outcome == Outcome::Read);
        assert!(
            read.flat_map(|(_, _, fields)| fields)
                .all(|cell| !cell.contains("lost")),
            "{found:?}"
        );
    }
}

#[test]
fn text_behind_a_quote_is_a_fault_on_its_line() {
    for text in [
        "a@x.yz,\"13\" screen\n",
        "a@x.yz,\"13\" screen, \"wide\"\n",
        "\"a\"b,c\n",
        "\"a\" b,c\n",
        "x,\"a\"\"\"b\n",
        "x,\"\"a\n",
        "x,\"a\" \"b\"\n",
        "x, \"a\" b\n",
        "x,\"a\"b",
        "x,\"two\nlines\" more\n",
        "x,\"a\"b,\"c\"\n",
        "x,\"opened here\ny,\"fine\"\n",
    ] {
        let found = all(format!("email,remark\n{text}\nlast,one\n").as_bytes());
        assert_eq!(found[1].0, 2, "{text:?}");
        assert_eq!(found[1].1, Outcome::BehindQuote, "{text:?}");
        assert_eq!(found.len(), 3, "{text:?}");
        assert_eq!(found[2].2, ["last", "one"], "{text:?}");
    }
}

#[test]
fn quotes_that_are_clear_are_taken() {
    for (text, cells) in [
        ("a,\"b\"", ["a", "b"]),
        ("a, \"b\"", ["a", "b"]),
        ("a,\"b\" ", ["a", "b"]),
        ("a,\t\"b\"\t", ["a", "b"]),
        ("\"a\" , \"b,c\"", ["a", "b,c"]),
        ("a,5\" screen", ["a", "5\" screen"]),
        ("a,the \"one\"", ["a", "the \"one\""]),
        ("a,\"the \"\"one\"\"\"", ["a", "the \"one\""]),
        ("a,\"\"\"\"", ["a", "\""]),
        ("\"\",\"\"", ["", ""]),
        ("a,\" b \"", ["a", " b "]),
        ("a, b ", ["a", " b "]),
        ("a,\"1\n2\"", ["a", "1\n2"]),
    ] {
        let text = format!("one,two\n{text}\n");
        let expected = vec![(1, Outcome::Read, vec!["one".to_owned(), "two".to_owned()])]
            .into_iter()
            .chain([(2, Outcome::Read, cells.map(str::to_owned).to_vec())]);
        assert!(all(text.as_bytes()).into_iter().eq(expected), "{text:?}");
    }
}

#[test]
fn what_is_too_big_is_passed_over() {
    let text = format!(
        "a,b\n1,2\n{},x\n3,4\n{}\n5,6\n\"{}\n",
        "x".repeat(50_000_000),
        ",".repeat(1_000),
        "x".repeat(5_000_000),
    );
    let found = all(text.as_bytes());
    let outcomes: Vec<_> = found
        .iter()
        .map(|(line, outcome, _)| (*line, outcome))
        .collect();
    use Outcome::{Read, TooLong, TooManyFields, Unclosed};
    assert_eq!(
        outcomes,
        [
            (1, &Read),
            (2, &Read),
            (3, &TooLong),
            (4, &Read),
            (5, &TooManyFields),
            (6, &Read),
            (7, &Unclosed),
        ]
    );
    assert_eq!(found[3].2, ["3", "4"]);
    assert_eq!(found[5].2, ["5", "6"]);
}

#[test]
fn nothing_has_no_records() {
    assert!(all(b"").is_empty());
    assert!(all(b"\n\r\n").is_empty());
    assert!(all("\u{FEFF}".as_bytes()).is_empty());
    assert!(all(b"sep=;").is_empty());
}

proptest! {
    #[test]
    fn what_a_csv_library_writes_is_read_back(
        rows in proptest::collection::vec(proptest::collection::vec("[a-z,;\"\n\r\té ]{0,9}", 3), 1..40),
        windows: bool,
    ) {
        let terminator = if windows { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        writer.write_record(["one", "two", "three"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let read = fields(&text);
        prop_assert_eq!(&read[1..], &rows[..]);
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, pieces in "[ab,;\"\r\n \u{FEFF}]{0,40}") {
        for bytes in [&bytes[..], pieces.as_bytes()] {
            let slow = all_of(TextRecords::open(Slow(bytes), begin).unwrap());
            prop_assert_eq!(all(bytes), slow);
        }
    }
}
