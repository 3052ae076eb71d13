//! Whatever is quoted, and however, no secret can be read in what is left.

use proptest::prelude::*;
use uuid::Uuid;

use crate::model::{
    characters::digit,
    said::{
        LONGEST, TOKEN, for_log, masked,
        readings::{Unit, readings},
    },
};

/// Where a secret stands in what is said.
const PLACES: &[&str] = &[
    "{}",
    "{} is refused",
    "554 5.7.1 We do not like {}",
    "550 {} refused",
    "550-{}",
    "PIN: {}",
    "RCPT TO: 550 5.1.1 no <{}> here",
    "end of message: 554 {}",
    "connecting to mx.example:25: 421 4.3.2 {}",
    "smtp; 550 5.1.1 <ada@example.com> ({}), x",
    "?pin={}&x=y",
    "said 5.7.26 {} 5.7.26 said",
    "[192.0.2.1]: {}; x",
];

/// What stands between digits; between `</b>` and `<b>` there is markup.
const BETWEEN: &[&str] = &[
    "",
    " ",
    "-",
    ".",
    "/",
    "_",
    ", ",
    "\t",
    "\r\n ",
    "\u{A0}",
    "\u{200B}",
    "\u{AD}",
    "\u{2013}",
    "\u{B7}",
    "*",
    "**",
    "|",
    "+",
    "~",
    "=\r\n",
    "=\r\n> ",
    "=0D=0A",
    "&nbsp;",
    "&#8203;",
    "&#xAD;",
    "&shy;",
    "%20",
    "=20",
    "=C2=A0",
    "</b><b>",
    "<br/>\r\n",
    "</td><td class=\"x\">",
];

/// How a digit is written.
fn written(value: u8, dress: usize) -> String {
    let of = |zero: u32| char::from_u32(zero + u32::from(value)).unwrap();
    let encoded = |c: char, sign: &str| {
        let bytes = c.to_string().into_bytes();
        bytes
            .iter()
            .map(|byte| format!("{sign}{byte:02X}"))
            .collect::<String>()
    };
    match dress {
        0 => of(0x30).to_string(),
        1 => of(0x660).to_string(),
        2 => of(0x966).to_string(),
        3 => of(0xFF10).to_string(),
        4 => of(0x1D7CE).to_string(),
        5 => format!("{}\u{FE0F}\u{20E3}", of(0x30)),
        6 if value > 0 => of(0x245F).to_string(),
        7 => encoded(of(0x30), "%"),
        8 => encoded(of(0x30), "="),
        9 => encoded(of(0x660), "%"),
        10 => encoded(of(0x660), "="),
        11 => encoded(of(0x660), "%").to_lowercase(),
        12 => encoded(of(0x30), "%25"),
        13 => format!("&#{};", 0x30 + value),
        14 => format!("&#x{:X};", 0x30 + value),
        15 => format!("&#{};", 0x660 + u32::from(value)),
        16 => format!("&amp;#x{:x};", 0x30 + value),
        17 => format!("=26=23x{:x}=3B", 0x30 + value),
        _ => of(0x30).to_string(),
    }
}

/// Digits that anybody can read, however they are encoded.
fn digits(text: &str) -> usize {
    let count = |units: &Vec<_>| {
        units
            .iter()
            .filter(|unit: &&Unit| digit(unit.c).is_some())
            .count()
    };
    readings(text).iter().map(count).max().unwrap()
}

/// Whether 20 characters of a token can be read, whatever stands between them.
fn shows(text: &str, token: &str) -> bool {
    let token: Vec<char> = token.to_lowercase().chars().collect();
    readings(text).iter().any(|units| {
        let is_of_token = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
        let read: String = units
            .iter()
            .map(|unit| unit.c.to_ascii_lowercase())
            .filter(is_of_token)
            .collect();
        token
            .windows(TOKEN)
            .any(|part| read.contains(&part.iter().collect::<String>()))
    })
}

fn check(said: &str) -> Result<String, TestCaseError> {
    let left = masked(said);
    prop_assert_eq!(masked(&left), left.clone(), "{}", said);
    prop_assert!(left.chars().count() <= LONGEST);
    Ok(left)
}

proptest! {
    #[test]
    fn no_pin_can_be_read(
        pin in proptest::collection::vec(0..10_u8, 4..=12), place in 0..PLACES.len(), between in 0..BETWEEN.len(),
        group in 1..5_usize, dress in 0..18_usize,
    ) {
        // A bare `=` is never in what is quoted-printable.
        prop_assume!(!(PLACES[place].contains("={}") && BETWEEN[between].starts_with('=')));
        let groups: Vec<String> = pin.chunks(group)
            .map(|group| group.iter().map(|value| written(*value, dress)).collect())
            .collect();
        let said = PLACES[place].replace("{}", &groups.join(BETWEEN[between]));
        let left = check(&said)?;
        prop_assert!(digits(&left) < digits(&PLACES[place].replace("{}", "")) + 4, "{said} -> {left}");
    }

    #[test]
    fn no_token_can_be_read(
        id: u128, mac in "[A-Za-z0-9_-]{26}", dress in 0..16_usize, place in 0..PLACES.len(), at in 20..28_usize, cut in 0..30_usize,
        is_link: bool,
    ) {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let token = format!("{}{mac}", URL_SAFE_NO_PAD.encode(Uuid::from_u128(id).as_bytes()));
        let whole = if is_link { format!("https://e.example.com/enroll/{token}") } else { token.clone() };
        let broken = |by: &str| format!("{}{by}{}", &whole[..at], &whole[at..]);
        let each = |form: fn(char) -> String| whole.chars().map(form).collect::<String>();
        let written = match dress {
            0 => whole.to_uppercase(),
            1 => whole.to_lowercase(),
            2 => broken("=\r\n"),
            3 => broken("=\n> "),
            4 => broken("\u{200B}"),
            5 => broken("<wbr>"),
            6 => broken("&shy;"),
            7 => broken("=0D=0A"),
            8 => broken("\r\n "),
            9 => each(|c| format!("%{:02X}", u32::from(c))),
            10 => each(|c| format!("={:02x}", u32::from(c))),
            11 => each(|c| format!("&#{};", u32::from(c))),
            12 => each(|c| format!("{c}\u{AD}")),
            13 => each(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("%{:02X}", u32::from(c)) }),
            14 => each(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("&#x{:02x};", u32::from(c)) }),
            _ => whole.clone(),
        };
        let said = PLACES[place].replace("{}", &written);
        let kept = said.chars().count().saturating_sub(cut);
        for said in [said.clone(), said.chars().take(kept).collect(), said.chars().skip(cut).collect()] {
            let left = check(&said)?;
            prop_assert!(!shows(&left, &token), "{said} -> {left}");
        }
    }

    #[test]
    fn anything_can_be_said(said in any::<String>()) {
        check(&said)?;
        for_log(&said);
    }

    #[test]
    fn anything_that_looks_encoded_can_be_said(said in "([=%&#;x0-9a-f<>/@*: .-]|/enroll/|550 |5\\.1\\.1|é|[A-Z][a-z]{3}){0,300}") {
        check(&said)?;
        for_log(&said);
    }
}
