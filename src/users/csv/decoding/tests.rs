//! Encodings, each with several files.

mod doubtful;

use std::io::Cursor;

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, IBM866, ISO_8859_2, SHIFT_JIS, WINDOWS_1250, WINDOWS_1251,
    WINDOWS_1252, WINDOWS_1253,
};
use proptest::prelude::*;

use super::*;

fn content(bytes: &[u8], said: Option<&str>) -> Content {
    let said = said.map(|name| Charset::named(name).unwrap());
    look(&mut Cursor::new(bytes), said).unwrap()
}

fn decoded(bytes: &[u8], charset: Charset) -> (Vec<u8>, Transcoded) {
    let mut text = Vec::new();
    let done = transcode(&mut &bytes[..], charset, &mut text).unwrap();
    (text, done)
}

fn encoded(text: &str, encoding: &'static Encoding) -> Vec<u8> {
    let (bytes, _, is_lossy) = encoding.encode(text);
    assert!(!is_lossy, "{text}");
    bytes.into_owned()
}

fn utf16be(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn utf32(text: &str, bytes: fn(u32) -> [u8; 4]) -> Vec<u8> {
    text.chars().flat_map(|c| bytes(u32::from(c))).collect()
}

#[test]
fn utf16_is_known_with_a_mark_or_without() {
    for text in [
        "email\tfirst_name\r\na@x.yz\tOne\r\n",
        "email,first_name\na@x.yz,Zoë\n",
        "email;first_name\r\na@x.yz;山田\r\nb@x.yz;佐藤\r\n",
        "e-mail\t氏名\r\na@x.yz\t山田太郎\r\n",
        "email\n",
    ] {
        let (le, be) = (Charset::of(UTF_16LE), Charset::of(UTF_16BE));
        for (mark, bytes, charset) in [
            (&[0xFF, 0xFE][..], utf16le(text), le),
            (&[], utf16le(text), le),
            (&[0xFE, 0xFF], utf16be(text), be),
            (&[], utf16be(text), be),
        ] {
            let bytes = [mark, &bytes].concat();
            for said in [None, Some("utf-16"), Some("utf-8"), Some("windows-1252")] {
                assert_eq!(content(&bytes, said), Content::Encoded(charset), "{text:?}");
            }
            let (read, done) = decoded(&bytes, charset);
            assert_eq!((str::from_utf8(&read), done.bad), (Ok(text), 0));
        }
    }
    // Half a letter at the end is the fault of its record.
    let (read, done) = decoded(&utf16le("email\na")[..13], Charset::of(UTF_16LE));
    assert_eq!((&read[..], done.bad), (&b"email\n\xFF"[..], 1));
}

#[test]
fn utf8_stays_utf8() {
    for bytes in [
        &b""[..],
        b"email\na@x.yz\n",
        "email,last_name\na@x.yz,Müller\n".as_bytes(),
        "\u{FEFF}email\na@x.yz\n".as_bytes(),
        "email,名前\na@x.yz,山田\n".as_bytes(),
        // Some bad cells.
        b"email,last_name\na@x.yz,M\xC3\xBCller\nb@x.yz,M\xFCller\n",
        b"email,last_name\na@x.yz,M\xC3\xBCller\nb@x.yz,M\xFCller\nc@x.yz,J\xE9r\xF4me\nd@x.yz,\xC5sa\n",
        b"\xEF\xBB\xBFemail,last_name\nb@x.yz,M\xFCller\n",
        // Zeros that are none of UTF-16.
        b"email,a\0b",
        b"email,floor\na@x.yz,1\0\nb@x.yz,2\n",
        b"email,floor\n\0\0\0\0\n",
    ] {
        for said in [None, Some("utf-8"), Some("us-ascii")] {
            assert_eq!(content(bytes, said), Content::Utf8, "{bytes:?}");
        }
    }
}

#[test]
fn other_encodings_are_guessed_where_nobody_said_them() {
    for (encoding, text) in [
        (
            WINDOWS_1252,
            "email;last_name\na@x.yz;Müller\nb@x.yz;Jérôme Lefèvre\nc@x.yz;Åsa Öberg\n",
        ),
        (
            WINDOWS_1252,
            "email,first_name\na@x.yz,François\nb@x.yz,Chloé\nc@x.yz,Noël\n",
        ),
        (
            WINDOWS_1252,
            "email,last_name\na@x.yz,Núñez\nb@x.yz,Peña\nc@x.yz,Íñigo\n",
        ),
        (
            WINDOWS_1250,
            "email,last_name\na@x.yz,Dvořák\nb@x.yz,Žižka\nc@x.yz,Šťastný\nd@x.yz,Růžička\n",
        ),
        (
            WINDOWS_1251,
            "email,last_name\na@x.yz,Иванов\nb@x.yz,Смирнова\nc@x.yz,Кузнецов\n",
        ),
        (
            WINDOWS_1253,
            "email,last_name\na@x.yz,Παπαδόπουλος\nb@x.yz,Γεωργίου\nc@x.yz,Νικολάου\n",
        ),
        (
            SHIFT_JIS,
            "メール,氏名\na@x.yz,山田太郎\nb@x.yz,佐藤花子\nc@x.yz,すずき\n",
        ),
        (
            EUC_JP,
            "メール,氏名\na@x.yz,山田太郎\nb@x.yz,佐藤花子\nc@x.yz,すずき\n",
        ),
        (
            EUC_KR,
            "이메일,이름\na@x.yz,김철수\nb@x.yz,이영희\nc@x.yz,박지성\n",
        ),
        (
            GBK,
            "邮箱,姓名\na@x.yz,张伟\nb@x.yz,王芳\nc@x.yz,李娜的同事们都在这里\n",
        ),
        (
            BIG5,
            "電子郵件,姓名\na@x.yz,陳大文\nb@x.yz,林美麗\nc@x.yz,黃小明\n",
        ),
    ] {
        let bytes = encoded(text, encoding);
        for said in [None, Some("utf-8")] {
            assert_eq!(
                content(&bytes, said),
                Content::Guessed(Charset::of(encoding)),
                "{text}"
            );
        }
        let name = encoding.name();
        assert_eq!(
            content(&bytes, Some(name)),
            Content::Encoded(Charset::of(encoding)),
            "{text}"
        );
        let (read, done) = decoded(&bytes, Charset::of(encoding));
        assert_eq!((str::from_utf8(&read), done.bad), (Ok(text), 0));
    }
    let escaped = b"email,name\na@x.yz,\x1B$B;3ED\x1B(B\n";
    assert_eq!(
        content(escaped, None),
        Content::Guessed(Charset::of(ISO_2022_JP))
    );
    assert_eq!(
        decoded(escaped, Charset::of(ISO_2022_JP)).0,
        "email,name\na@x.yz,山田\n".as_bytes()
    );
}

#[test]
fn what_is_said_counts() {
    let polish = "email,last_name\na@x.yz,Wałęsa\n";
    for name in ["iso-8859-2", "ISO-8859-2", "latin2", " iso8859-2 "] {
        let charset = Charset::named(name).unwrap();
        assert_eq!(
            content(&encoded(polish, ISO_8859_2), Some(name)),
            Content::Encoded(charset)
        );
    }
    // But not for what is UTF-8 throughout.
    for (text, expected) in [
        (polish, Content::Guessed(Charset::of(UTF_8))),
        ("email\na@x.yz\n", Content::Encoded(Charset::of(ISO_8859_2))),
        ("\u{FEFF}email\n", Content::Utf8),
    ] {
        assert_eq!(content(text.as_bytes(), Some("iso-8859-2")), expected);
    }
    let japanese = "email,name\na@x.yz,山田太郎\n".as_bytes();
    assert_eq!(
        content(japanese, Some("gbk")),
        Content::Guessed(Charset::of(UTF_8))
    );
    for name in [
        "utf-7",
        "x-user-defined",
        "iso-2022-kr",
        "ebcdic",
        "",
        "none",
    ] {
        assert_eq!(Charset::named(name), None, "{name}");
    }
    let is_name = |word: &&str| word.contains('-') || word.starts_with("ibm");
    for name in KNOWN.split([',', ' ']).filter(is_name) {
        assert!(Charset::named(name).is_some(), "{name}");
    }
    assert_eq!(Charset::named("latin1").unwrap().name(), "windows-1252");
}

#[test]
fn a_file_in_another_encoding_altogether_is_one_fault() {
    let text = "email,last_name\na@x.yz,Müller\nb@x.yz,Åsa\n";
    for (bytes, said, is_refused) in [
        (encoded(text, WINDOWS_1252), "euc-kr", true),
        (encoded(text, WINDOWS_1252), "shift_jis", true),
        (encoded(text, WINDOWS_1252), "windows-1252", false),
        (
            encoded("email,name\na@x.yz,山田\n", SHIFT_JIS),
            "shift_jis",
            false,
        ),
        (
            [encoded("email,name\na@x.yz,山田\n", SHIFT_JIS), vec![0xFF]].concat(),
            "shift_jis",
            false,
        ),
    ] {
        let charset = Charset::named(said).unwrap();
        let (_, done) = decoded(&bytes, charset);
        let flaw = done.refusal(charset);
        assert_eq!(
            flaw.map(|flaw| flaw.code),
            is_refused.then_some("wrong_charset"),
            "{said}"
        );
    }
}

#[test]
fn what_is_no_text_is_named() {
    let encrypted = [
        &[0xD0, 0xCF, 0x11, 0xE0][..],
        &[7; 70_000],
        &utf16le("EncryptedPackage"),
    ]
    .concat();
    for (bytes, code) in [
        (
            &b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1rest"[..],
            "unsupported_workbook",
        ),
        (&encrypted, "encrypted_workbook"),
        (b"%PDF-1.7", "not_a_table"),
        (b"\x1F\x8B\x08rest", "not_a_table"),
        (b"\x89PNG\r\n\x1A\n", "not_a_table"),
        (b"\xFF\xD8\xFF\0\0\0\x10\0\0", "not_a_table"),
        (
            b"<html><table><tr><td>email</td></tr></table></html>",
            "unsupported_workbook",
        ),
        (b"\xEF\xBB\xBF\r\n <!DOCTYPE html>", "unsupported_workbook"),
        (
            b"<?xml version=\"1.0\"?><?mso-application progid=\"Excel.Sheet\"?>",
            "unsupported_workbook",
        ),
        (b"<table border=1>", "unsupported_workbook"),
        (b"{\\rtf1\\ansi email}", "unsupported_workbook"),
        (
            &utf32("email\na@x.yz\n", u32::to_le_bytes),
            "unsupported_encoding",
        ),
        (
            &utf32("email\na@x.yz\n", u32::to_be_bytes),
            "unsupported_encoding",
        ),
        (
            &utf32("\u{FEFF}email\n山\n", u32::to_le_bytes),
            "unsupported_encoding",
        ),
        (
            &utf32("\u{FEFF}email\n山\n", u32::to_be_bytes),
            "unsupported_encoding",
        ),
        (b"email,name\na@x.yz,J\xC3", "cut_off"),
        (b"email,name\na@x.yz,\xE5\xB1", "cut_off"),
        (
            b"name\n\xED\xA0\xBD\xED\xB8\x80 Ada\n",
            "unsupported_encoding",
        ),
        (
            b"name\n\xC3\xBC \xED\xA0\xBD\xED\xB8\x80\n",
            "unsupported_encoding",
        ),
    ] {
        for said in [None, Some("utf-8"), Some("latin1"), Some("gbk")]
            .into_iter()
            .take(if code.ends_with("workbook") { 4 } else { 1 })
        {
            let Content::Refused(flaw) = content(bytes, said) else {
                panic!("{bytes:?}");
            };
            assert_eq!(flaw.code, code);
        }
    }
    assert_eq!(content(b"PK\x03\x04rest", Some("gbk")), Content::Zip);
    // A letter of an older encoding at the end is none that was cut.
    for bytes in [
        &b"email,name\na@x.yz,Andr\xE9"[..],
        b"name\nJOS\xC9",
        b"name\nL\xFC",
    ] {
        assert!(
            matches!(content(bytes, None), Content::Guessed(_)),
            "{bytes:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, said in 0..5usize) {
        let said = [None, Some("gbk"), Some("utf-16"), Some("iso-2022-jp"), Some("windows-1255")][said];
        if let Content::Encoded(charset) | Content::Guessed(charset) = content(&bytes, said) {
            decoded(&bytes, charset);
        }
    }

    #[test]
    fn edges_of_buffers_change_nothing(text in "[aé山\u{1F600}]{0,60}", at in 0..64usize) {
        let bytes = text.as_bytes();
        let mut whole = Scan::default();
        whole.take(bytes, true);
        let (first, second) = bytes.split_at(at.min(bytes.len()));
        let mut parts = Scan::default();
        let kept = parts.take(first, false);
        parts.take(&[&first[first.len() - kept..], second].concat(), true);
        prop_assert_eq!(whole, parts);
    }
}
