//! Files that could be in several encodings, and what those are called.

use super::*;

/// Pairs of bytes that are UTF-8 by chance do not make a file UTF-8.
#[test]
fn a_few_pairs_by_chance_are_not_utf8() {
    let names = "a@x.yz,Müller\nb@x.yz,Jérôme\nc@x.yz,Åsa\nd@x.yz,Löfgren\n";
    let western = encoded(
        &format!("email,name\n{names}e@x.yz,Groß–Gerau\n"),
        WINDOWS_1252,
    );
    let ukrainian = "Віктор Шевченко\nІванна Коваленко\nОлександр Бондаренко\n";
    for (bytes, guessed) in [
        (western.clone(), Some(WINDOWS_1252)),
        (
            encoded(&format!("email,name\n{names}x,STRAß“\n"), WINDOWS_1252),
            Some(WINDOWS_1252),
        ),
        (
            encoded(&format!("email\n{ukrainian}"), WINDOWS_1251),
            Some(WINDOWS_1251),
        ),
        (
            encoded(
                "email,name\na@x.yz,Смирнова\nb@x.yz,Иванова\nc@x.yz,Кузнецов\n",
                IBM866,
            ),
            Some(IBM866),
        ),
        (
            encoded("name\n张伟\n王伟\n李娜的同事们都在这里\n", GBK),
            Some(GBK),
        ),
        // Ten umlauts beside one that is right.
        (
            [b"name\nM\xC3\xBCller\n".to_vec(), b"M\xFCller\n".repeat(10)].concat(),
            Some(WINDOWS_1252),
        ),
        // Some bad cells of a file that is UTF-8.
        (
            [b"name\nM\xC3\xBCller\n".to_vec(), b"M\xFCller\n".repeat(9)].concat(),
            None,
        ),
        (
            [
                b"name\nAda \xE2\x80\x93 B\n".to_vec(),
                b"M\xFCller\n".repeat(3),
            ]
            .concat(),
            None,
        ),
        (
            [&b"M\xFCller\nJ\xE9r\n"[..], "Ольга\n".as_bytes()].concat(),
            None,
        ),
    ] {
        let expected = guessed.map_or(Content::Utf8, |guess| Content::Guessed(Charset::of(guess)));
        for said in [None, Some("utf-8"), Some("ansi")] {
            assert_eq!(
                content(&bytes, said),
                expected,
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
    // What is said counts, once there is no bad byte.
    for (text, said) in [
        ("name\nGroß–Gerau\n", "windows-1252"),
        ("name\nSTRAß“\n", "cp1252"),
        ("name\nGroß–Gerau, STRAß“\n", "latin-1"),
    ] {
        let bytes = encoded(text, WINDOWS_1252);
        assert_eq!(
            content(&bytes, Some(said)),
            Content::Encoded(Charset::of(WINDOWS_1252))
        );
    }
    assert_eq!(
        content(&western, Some("windows-1252")),
        Content::Encoded(Charset::of(WINDOWS_1252))
    );
    for text in [
        "name\nMüller\n",
        "name\nNuñez\n",
        "name\nAda – B\n",
        "name\nЮлия\n",
    ] {
        let expected = Content::Guessed(Charset::of(UTF_8));
        assert_eq!(
            content(text.as_bytes(), Some("windows-1252")),
            expected,
            "{text}"
        );
    }
}

/// Where some bytes are nothing in the charset that was said, and all are text in another one.
#[test]
fn what_is_said_wrongly_is_told() {
    let japanese =
        "メール,社員番号,氏名,部署\na@x.yz,1,山田　太郎,営業部\nb@x.yz,2,佐藤 花子,開発\n";
    for (encoding, said) in [
        (SHIFT_JIS, "windows-1252"),
        (SHIFT_JIS, "iso-8859-1"),
        (SHIFT_JIS, "iso-8859-2"),
        (SHIFT_JIS, "euc-jp"),
        (EUC_JP, "shift_jis"),
    ] {
        let bytes = encoded(japanese, encoding);
        let expected = Content::Guessed(Charset::of(encoding));
        assert_eq!(content(&bytes, Some(said)), expected, "{said}");
    }
    let bytes = encoded("name\nŠťastný\nŽižka\nDvořák\n", WINDOWS_1250);
    let charset = Charset::of(ISO_8859_2);
    assert_eq!(content(&bytes, Some("latin2")), Content::Encoded(charset));
    let flaw = decoded(&bytes, charset).1.refusal(charset);
    assert_eq!(flaw.map(|flaw| flaw.code), Some("wrong_charset"));
}

#[test]
fn charsets_have_the_names_that_systems_give_them() {
    for (said, name) in [
        ("cp932", "shift_jis"),
        ("MS932", "shift_jis"),
        ("windows-31j", "shift_jis"),
        ("cp936", "gbk"),
        ("ms949", "euc-kr"),
        ("cp950", "big5"),
        ("utf-8-sig", "utf-8"),
        ("UTF_8", "utf-8"),
        ("cp65001", "utf-8"),
        ("ansi", "utf-8"),
        ("latin-1", "windows-1252"),
        ("win1250", "windows-1250"),
        ("1252", "windows-1252"),
        ("windows1251", "windows-1251"),
        ("mac-roman", "macintosh"),
        ("cp10000", "macintosh"),
        ("cp866", "ibm866"),
        ("cp850", "ibm850"),
        ("IBM850", "ibm850"),
        ("ibm-437", "ibm437"),
        ("dos-852", "ibm852"),
        ("CP857", "ibm857"),
        ("utf-16-le", "utf-16le"),
    ] {
        let charset = Charset::named(said);
        assert_eq!(charset.map(Charset::name).as_deref(), Some(name), "{said}");
    }
    for said in [
        "cp",
        "cp1",
        "ibm99999999",
        "windows",
        "ebcdic-1",
        "cp037",
        "iso-8859-12",
    ] {
        assert_eq!(Charset::named(said), None, "{said}");
    }
}

#[test]
fn pages_of_dos_are_read() {
    for (said, bytes, text) in [
        (
            "ibm850",
            &b"J\x81rg Strau\xE1;Andr\x82"[..],
            "Jürg Strauß;André",
        ),
        ("ibm437", b"J\x94rg Mu\xA4oz", "Jörg Muñoz"),
        ("ibm852", b"Dvo\xFD\xA0k", "Dvořák"),
        ("ibm857", b"\x9Eahin", "Şahin"),
        ("ibm865", b"S\x9Bren", "Søren"),
    ] {
        let charset = Charset::named(said).unwrap();
        assert_eq!(content(bytes, Some(said)), Content::Encoded(charset));
        let (read, done) = decoded(bytes, charset);
        assert_eq!(
            (str::from_utf8(&read), done.no_text()),
            (Ok(text), 0),
            "{said}"
        );
    }
    // What the page has no letter for.
    let (read, done) = decoded(b"a\xE7b\xE7", Charset::named("cp857").unwrap());
    assert_eq!((&read[..], done.bad), (&b"a\xFFb\xFF"[..], 2));
    let long = b"\x81".repeat(100_000);
    let (read, _) = decoded(&long, Charset::named("cp850").unwrap());
    assert_eq!(read, "ü".repeat(100_000).as_bytes());
}
