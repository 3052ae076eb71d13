//! Reports for people alone: from qmail, Exim before 4.85 and others that write no fields for programs. Pure.

use mailparse::{MailHeader, MailHeaderMap};

use super::{
    codes::{Enhanced, reply_code},
    fields::{Action, Recipient},
    parts::Parts,
};

/// How a report of qmail begins (QSBMF §2).
const QMAIL: &str = "Hi. This is the";

/// With what other reports say that a mail did not arrive, in the languages of common servers.
const FAILED: [&str; 39] = [
    "undeliver",
    "not delivered",
    "not been delivered",
    "not yet been delivered",
    "not be delivered",
    "unable to deliver",
    "could not deliver",
    "couldn't deliver",
    "couldn't be delivered",
    "delivery failed",
    "delivery failure",
    "delivery has failed",
    "delivery error",
    "failed permanently",
    "failure notice",
    "delivery status notification",
    "returned mail",
    "returned to sender",
    "unzustellbar",
    "nicht zugestellt",
    "zustellung fehlgeschlagen",
    "échec de la remise",
    "pas pu être remis",
    "non remis",
    "no se pudo entregar",
    "no se ha podido entregar",
    "no entregado",
    "mancato recapito",
    "non è stato possibile recapitare",
    "onbestelbaar",
    "niet bezorgd",
    "niet worden bezorgd",
    "não foi entregue",
    "não pôde ser entregue",
    "не доставлено",
    "не удалось доставить",
    "配信できません",
    "无法送达",
    "nie dostarczono",
];

/// With what subjects say that a mail is only late.
const LATE: [&str; 7] = [
    "delay",
    "warning",
    "verzögert",
    "retard",
    "retraso",
    "ritard",
    "vertraagd",
];

/// Reads a mail that tells people that a mail did not arrive; `None` if it is anything else, such as an automatic reply.
/// It names nobody in a form to rely on.
pub fn read(mail: &[u8], parts: &Parts) -> Option<Recipient> {
    let (headers, _) = mailparse::parse_headers(mail).ok()?;
    if !is_from_a_server(&headers) {
        return None;
    }
    let subject = headers.get_first_value("Subject").unwrap_or_default();
    let text = text(parts);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !begins_copy(line))
        .collect();
    let said = lines.join("\n");
    let all = format!("{subject}\n{said}")
        .to_lowercase()
        .replace('’', "'");
    let is_qmail = said.trim_start().starts_with(QMAIL);
    if !is_qmail && !FAILED.iter().any(|words| all.contains(words)) {
        return None;
    }
    let title = subject.to_lowercase();
    let is_late =
        LATE.iter().any(|words| title.contains(words)) || all.contains("not yet been delivered");
    Some(Recipient {
        last: None,
        first: None,
        action: if is_late {
            Action::Delayed
        } else {
            Action::Failed
        },
        status: None,
        words: Some(reason(&lines).unwrap_or(subject)),
    })
}

/// What a report for programs tells people of an address: behind the address and a colon on one line, as OpenSMTPD writes
/// it, or in the rest of the paragraph behind a line with the address alone, as Exim does. OpenSMTPD gives programs no words at all,
/// and Exim none where no server said any.
pub fn about(address: &str, parts: &Parts) -> Option<String> {
    let text = text(parts);
    let mut lines = text.lines().map(str::trim);
    let behind = |line: &str| {
        let (named, rest) = line.split_at_checked(address.len())?;
        let is_named = named.eq_ignore_ascii_case(address);
        (is_named && (rest.is_empty() || rest.starts_with(':'))).then(|| rest.to_owned())
    };
    let first = lines.find_map(behind)?;
    let paragraph = lines.take_while(|line| !line.is_empty());
    let said = paragraph.fold(
        first.trim_start_matches(':').trim().to_owned(),
        |said, line| {
            if said.is_empty() {
                line.to_owned()
            } else {
                said + " " + line
            }
        },
    );
    (!said.is_empty()).then_some(said)
}

/// Servers write with the null return path (RFC 5321 §4.5.5) or as MAILER-DAEMON. So do some that answer for people;
/// these say so (RFC 3834 §5), but Exim and Exchange say it of their reports, too.
fn is_from_a_server(headers: &[MailHeader<'_>]) -> bool {
    let value = |name| {
        headers
            .get_first_value(name)
            .unwrap_or_default()
            .trim()
            .to_lowercase()
    };
    let has = |name| headers.get_first_header(name).is_some();
    if has("List-Id") || value("Precedence") == "list" {
        return false;
    }
    let (from, path) = (value("From"), value("Return-Path"));
    let is_daemon = from.contains("mailer-daemon") || has("X-Failed-Recipients");
    let is_reply = value("Auto-Submitted").starts_with("auto-replied")
        || has("X-Autoreply")
        || has("X-Autorespond")
        || value("Precedence") == "auto_reply";
    let is_master = from.contains("postmaster@") && path.is_empty();
    is_daemon || !is_reply && (is_master || path == "<>" || path.contains("mailer-daemon"))
}

/// What the mail says itself, as plain text if it has that.
fn text(parts: &Parts) -> String {
    let of = |kind| {
        let mut own = parts
            .leaves
            .iter()
            .filter(|leaf| leaf.is_own && leaf.kind == kind);
        let found = own.find(|leaf| !leaf.content.trim_ascii().is_empty());
        found.map(|leaf| String::from_utf8_lossy(&leaf.content).into_owned())
    };
    let html = || of("text/html").map(|html| without_tags(&html));
    of("text/plain").or_else(html).unwrap_or_default()
}

/// Whether the mail that came back begins here.
fn begins_copy(line: &str) -> bool {
    let line = line.to_lowercase();
    let names_it = [
        "copy of the",
        "original message",
        "unsent message",
        "header",
    ];
    (line.starts_with('-') || line.starts_with("below"))
        && names_it.iter().any(|name| line.contains(name))
}

/// From the first line with a code to the end of its paragraph.
fn reason(lines: &[&str]) -> Option<String> {
    let has_code = |line: &&str| {
        reply_code(line).is_some() || Enhanced::find(line).is_some_and(|code| code.class != 2)
    };
    let first = lines.iter().position(has_code)?;
    let paragraph = lines[first..].iter().take_while(|line| !line.is_empty());
    Some(paragraph.copied().collect::<Vec<_>>().join(" "))
}

/// Tags that do not end a line.
const INLINE: [&str; 9] = ["a", "b", "code", "em", "font", "i", "span", "strong", "u"];

/// The text of HTML, good enough to look for words in it.
fn without_tags(html: &str) -> String {
    let (mut text, mut is_hidden) = (String::new(), false);
    for piece in html.split('<') {
        let (tag, rest) = piece.split_once('>').unwrap_or(("", piece));
        let name = tag
            .trim_start_matches('/')
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next();
        let name = name.unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "style" | "script" => is_hidden = !tag.starts_with('/'),
            inline if INLINE.contains(&inline) => {}
            _ => text.push('\n'),
        }
        if !is_hidden {
            text.push_str(rest);
        }
    }
    [
        ("&nbsp;", " "),
        ("&#160;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text, |text, (name, letter)| text.replace(name, letter))
}
