use proptest::prelude::*;

use super::{
    forms::{ADA, FAMILY, FORMS, PLAIN},
    pasted::PASTED,
    *,
};
use crate::model::identity::DisplayName;

fn all(bytes: &[u8]) -> Vec<Line> {
    // A tiny buffer, so that words go over its edge.
    in_pieces(bytes, 7)
}

fn in_pieces(bytes: &[u8], size: usize) -> Vec<Line> {
    let source = io::BufReader::with_capacity(size, io::Cursor::new(bytes));
    let mut addresses = Addresses::open(source).unwrap();
    std::iter::from_fn(|| addresses.advance().unwrap()).collect()
}

/// Every user as `first|last|display name|address`, as they would be stored; every fault as `line: what`.
fn read(text: &str) -> Vec<String> {
    shown(all(text.as_bytes()))
}

/// All that is said of a list: users, and faults in full.
fn told(text: &str) -> String {
    let faults = all(text.as_bytes())
        .into_iter()
        .filter_map(|line| match line {
            Line::Faulty(faults) => Some(faults[0].detail.clone()),
            Line::User(_) => None,
        });
    faults.chain(read(text)).collect::<Vec<_>>().join("\n")
}

fn shown(lines: Vec<Line>) -> Vec<String> {
    let entries = lines.into_iter().map(|line| match line {
        Line::User(mut row) => {
            let user = row.user.profile().unwrap();
            let (first, last) = (user.first_name, user.last_name);
            format!(
                "{first}|{last}|{}|{}",
                user.display_name,
                user.email.unwrap()
            )
        }
        Line::Faulty(faults) => {
            let detail = &faults[0].detail;
            let quoted = detail.split('`').nth(1).unwrap_or(detail);
            format!("{}: {quoted}", faults[0].line)
        }
    });
    entries.collect()
}

#[test]
fn every_form_gives_exactly_who_is_in_it() {
    let wrong = FORMS.iter().chain(PASTED).filter_map(|(text, expected)| {
        let found = read(text);
        (found != *expected).then(|| format!("{text}\ngives {found:#?}\nnot {expected:#?}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_is_meant_is_told() {
    for (text, meant) in [
        ("ada at example.com", "ada@example.com"),
        ("ada (at) mail (dot) example.com", "ada@mail.example.com"),
        ("ada [at] example [dot] com", "ada@example.com"),
        ("ada @ example.com", "ada@example.com"),
        ("ada{at}example.com", "ada@example.com"),
        ("Write to ada AT example DOT com today", "ada@example.com"),
    ] {
        let Some(Line::Faulty(faults)) = all(text.as_bytes()).pop() else {
            panic!("{text} is no address");
        };
        let told = format!("if `{meant}` is meant, write that");
        assert!(faults[0].detail.contains(&told), "{faults:?}");
        assert!(
            faults[0].detail.starts_with(&format!("`{text}`")),
            "{faults:?}"
        );
    }
}

/// However long a list is on one line, and however much of it is no address.
#[test]
fn a_line_may_be_long() {
    let list = "Lovelace, Ada <ada@x.yz>; ".repeat(3_000);
    assert!(read(&list).iter().all(|user| user == FAMILY));
    assert_eq!(read(&list).len(), 3_000);
    let words = read(&format!("{}<ada@x.yz>", "word ".repeat(3_000)));
    assert!(words.len() < 12);
    assert!(
        words
            .last()
            .is_some_and(|last| last.starts_with("1: word") && last.ends_with("<ada@x.yz>")),
        "a name that is cut is none: {words:?}"
    );
    let words = read(&format!("{}ada@x.yz", "word ".repeat(3_000)));
    assert_eq!(words.last().unwrap(), PLAIN, "they are not its name");
    let quote = format!("\"{}\n", "ada@x.yz, ".repeat(3_000));
    assert_eq!(
        read(&quote),
        vec![PLAIN; 3_000],
        "a quote that nothing closes"
    );
}

#[test]
fn people_paste_all_sorts_of_lists() {
    let text = "\u{FEFF}ada@example.com, bob@example.com;cy@example.com\r\n\n\
        dee@example.com eve@example.com\tfay@example.com\n\
        Gus Gray <gus@example.com>; \"Hall, Ida\" <ida@example.com>,";
    let found: Vec<_> = all(text.as_bytes())
        .into_iter()
        .map(|line| match line {
            Line::User(row) => (
                row.line,
                row.email().unwrap().split('@').next().unwrap().to_owned(),
                row.user.display_name.map(DisplayName::into_string),
            ),
            Line::Faulty(faults) => panic!("{faults:?}"),
        })
        .collect();
    let expected = [
        (1, "ada", None),
        (1, "bob", None),
        (1, "cy", None),
        (3, "dee", None),
        (3, "eve", None),
        (3, "fay", None),
        (4, "gus", Some("Gus Gray")),
        (4, "ida", Some("Hall, Ida")),
    ]
    .map(|(line, name, shown)| (line, name.to_owned(), shown.map(str::to_owned)));
    assert_eq!(found, expected);
}

#[test]
fn nobody_vanishes() {
    let text = "Ada <ada1@x.yz> Bob <bob1@x.yz>\nAda \"the first <ada2@x.yz>, bob2@x.yz\n\
        <c1@x.yz> c2@x.yz\nd1@x.yz Dee <d2@x.yz>\n\"e1@x.yz, e2@x.yz";
    let found: Vec<_> = all(text.as_bytes())
        .into_iter()
        .map(|line| match line {
            Line::User(row) => row.email().unwrap().split('@').next().unwrap().to_owned(),
            Line::Faulty(faults) => faults[0].code.to_owned(),
        })
        .collect();
    assert_eq!(
        found,
        [
            "ada1", "bob1", "ada2", "bob2", "c1", "c2", "d1", "d2", "e1", "e2"
        ]
    );
}

/// A name is taken whole or not at all.
#[test]
fn no_name_is_cut_or_left_out() {
    for (length, is_taken) in [(200, true), (201, false), (3_000, false)] {
        let name = "é".repeat(length);
        for list in [
            format!("{name} <ada@x.yz>"),
            format!("{name}: ada@x.yz"),
            format!("ada@x.yz ({name})"),
            format!("{name}\tada@x.yz"),
            format!("{} {name} <ada@x.yz>", "word ".repeat(length / 1_000 * 500)),
        ] {
            let found = read(&list);
            let last = found.last().unwrap();
            let is_whole = *last == format!("||{name}|ada@x.yz");
            assert_eq!(is_whole, is_taken && !list.starts_with("word"), "{found:?}");
            assert!(is_whole || found.join("").contains("ada@x.yz"), "{found:?}");
        }
    }
    let long = format!("Lovelace, {} <ada@x.yz>", "Ada".repeat(100));
    let Some(Line::Faulty(faults)) = all(long.as_bytes()).pop() else {
        panic!("it is too long");
    };
    assert_eq!((faults[0].line, faults[0].code), (1, "invalid_name"));
    assert!(faults[0].detail.contains("at most 200"), "{faults:?}");
}

/// What is in doubt is one fault, which says what to do.
#[test]
fn a_doubt_is_told() {
    let Some(Line::Faulty(faults)) =
        all("cy@x.yz,\nBob, Ada Lovelace <ada@x.yz>, dee@x.yz".as_bytes())
            .into_iter()
            .nth(1)
    else {
        panic!("it is in doubt");
    };
    assert_eq!((faults[0].line, faults[0].code), (2, "ambiguous_entry"));
    assert_eq!(
        faults[0].detail,
        "`Bob, Ada Lovelace <ada@x.yz>` may be one person or several; if that is one name, write it in quotes: \
         \"Bob, Ada Lovelace\" <…>; if not, write an address behind each person"
    );
    let quoted = read("cy@x.yz, \"Bob, Ada Lovelace\" <ada@x.yz>");
    assert_eq!(quoted[1], "Ada Lovelace|Bob|Bob, Ada Lovelace|ada@x.yz");
}

fn warnings(list: &str) -> Vec<String> {
    let mut addresses = Addresses::open(io::Cursor::new(list)).unwrap();
    while addresses.advance().unwrap().is_some() {}
    let warnings = addresses.warnings();
    warnings
        .into_iter()
        .map(|warning| format!("{}: {}", warning.code, warning.detail))
        .collect()
}

#[test]
fn cells_that_are_passed_over_are_told_once() {
    let rows = "Ada Lovelace\tada@x.yz\tResearch\t4711\n";
    let told = warnings(&format!("{rows}{}", rows.repeat(2)));
    assert_eq!(
        told,
        [
            "cells_passed_over: cells beside an address that are not its name were passed over (6 in all, the \
             first in line 1); to keep what they say, write a header above the rows, such as Name, E-mail, Department"
        ]
    );
    let told = warnings("1\tAda\tLovelace\tada@x.yz\n2\tBob\tBy\tbob@x.yz\n");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("cells_joined: ")
            && told[0].contains("(2 in all, the first `Ada Lovelace` in line 1)"),
        "{told:?}"
    );
    for list in [
        "1\tAda Lovelace\tada@x.yz",
        "ada@x.yz\tAda Lovelace",
        "To:\tAda <ada@x.yz>",
    ] {
        assert_eq!(warnings(list), [""; 0], "{list}");
    }
    assert_eq!(read(rows), [ADA]);
}

#[test]
fn what_is_no_address_is_told() {
    let text = [
        b"ada@example.com\nnobody\n".as_slice(),
        &[b'x'; 9_000],
        b"\n\xFF\n",
    ]
    .concat();
    let faults: Vec<_> = all(&text)
        .into_iter()
        .filter_map(|line| match line {
            Line::Faulty(faults) => Some((faults[0].line, faults[0].code)),
            Line::User(_) => None,
        })
        .collect();
    assert_eq!(
        faults,
        [(2, "invalid_email"), (3, "too_long"), (4, "not_utf8")]
    );
    let Some(Line::Faulty(faults)) = all(b"ada@x.yz, Ida ida@x.yz").into_iter().nth(1) else {
        panic!("a name without brackets is no address");
    };
    assert!(faults[0].detail.starts_with("`Ida` must be"), "{faults:?}");
}

#[test]
fn lines_are_where_an_editor_shows_them() {
    for end in ["\n", "\r", "\r\n"] {
        let text = format!("a1@x.yz, {end}a2@x.yz{end}{end},a4@x.yz;{end}nobody");
        let lines: Vec<u32> = all(text.as_bytes())
            .into_iter()
            .map(|line| match line {
                Line::User(row) => row.line,
                Line::Faulty(faults) => faults[0].line,
            })
            .collect();
        assert_eq!(lines, [1, 2, 4, 5], "{end:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        all(&bytes);
    }

    /// Whatever stands around them, and whatever the marks do: who has an address is there, or is told.
    #[test]
    fn nobody_is_lost(pieces in proptest::collection::vec(prop_oneof![
        4 => "[ \\t\r\n,;:<>()\"'@.•*1|?=-]{0,4}",
        2 => "(who[1-9]@x\\.yz|<who[1-9]@x\\.yz>|who[1-9]@x\\.yz,|\\(who[1-9]@x\\.yz\\)|\"who[1-9]@x\\.yz\")",
        1 => proptest::sample::select(vec![
            "Lind, Asa", " at ", "Bob ", "nobody", "Team:", "<li>", "<td>", "](mailto:", "[", "mailto:", "a href=\"",
            "title=", "</a>", "\tName\tE-Mail\tBoss\n", "\t", "\n\t", "(at)", "?cc=", "wordwordwordwordwordword wordwordword ",
        ]).prop_map(str::to_owned),
    ], 0..16)) {
        let text = pieces.concat();
        let [slowly, at_once] = [1, 1 << 16].map(|size| shown(in_pieces(text.as_bytes(), size)));
        prop_assert_eq!(slowly, at_once);
        let told = told(&text);
        for number in 1..10 {
            let address = format!("who{number}@x.yz");
            prop_assert!(!text.contains(&address) || told.contains(&address), "{:?} gives {}", text, told);
        }
    }
}
