//! The marks that part, enclose and decorate the entries of a list, in the spellings that people paste. Pure.

/// More bytes than a name and an address have; no quote or bracket reaches further.
pub(super) const LONGEST: usize = 2_000;

/// What stands where bytes were no UTF-8.
pub(super) const BROKEN: char = char::REPLACEMENT_CHARACTER;

pub(super) fn is_line_end(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

pub(super) fn is_comma(c: char) -> bool {
    matches!(c, ',' | '，' | '、' | '﹐' | '､' | '،')
}

pub(super) fn is_semicolon(c: char) -> bool {
    matches!(c, ';' | '；' | '﹔' | '؛')
}

pub(super) fn is_opening_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '‟' | '«' | '＂')
}

pub(super) fn is_closing_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '»' | '＂')
}

/// Seen by nobody, and pasted with what is: joiners and marks of direction or order.
pub(super) fn is_invisible(c: char) -> bool {
    is_joiner(c)
        || matches!(
            c,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}'
                | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
        )
}

/// Which some scripts need inside of words.
pub(super) fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

/// What is passed over where a line begins, and between words.
pub(super) fn is_margin(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

pub(super) fn ends_word(c: char) -> bool {
    c.is_whitespace()
        || is_comma(c)
        || is_semicolon(c)
        || is_opening_quote(c)
        || is_closing_quote(c)
        || matches!(c, '<' | '>' | '(' | ')' | '＜' | '＞' | '（' | '）')
}

/// `at` or `dot`, as in `ada (at) example.com`.
pub(super) fn is_spelt_mark(text: &str) -> bool {
    spelt_mark(text).is_some()
}

pub(super) fn spelt_mark(text: &str) -> Option<char> {
    match text.to_lowercase().as_str() {
        "at" | "@" => Some('@'),
        "dot" | "punkt" | "point" | "." => Some('.'),
        _ => None,
    }
}

/// As much of a text as is looked at.
pub(super) fn near(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// Without the first and the last character.
pub(super) fn inside(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.next_back();
    chars.as_str()
}

/// What a character does to what is enclosed.
enum Step {
    On,
    End,
    /// It is not closed, or too much is inside: marks that stand close together are none, and looking for the end of
    /// each would take long.
    Fail,
}

/// The length up to an end; a line may end in between only where the next one is indented (RFC 5322 §2.2.3), and no
/// address came before.
fn enclosed(text: &str, mut step: impl FnMut(char) -> Step) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    let mut has_address = false;
    while let Some((at, c)) = chars.next() {
        if at > LONGEST {
            return None;
        }
        let next = chars.peek().map(|(_, next)| *next);
        match c {
            '\\' if next.is_some_and(|next| !is_line_end(next)) => {
                chars.next();
            }
            '\r' if next == Some('\n') => {}
            '\n' if matches!(next, Some(' ' | '\t')) && !has_address => {}
            c if is_line_end(c) => return None,
            c => match step(c) {
                Step::On => has_address |= matches!(c, '@' | '＠'),
                Step::End => return Some(at + c.len_utf8()),
                Step::Fail => return None,
            },
        }
    }
    None
}

/// The length of a text in quotes, with them.
pub(super) fn closing_quote(text: &str) -> Option<usize> {
    enclosed(text, |c| match c {
        c if is_closing_quote(c) => Step::End,
        c if is_opening_quote(c) => Step::Fail,
        _ => Step::On,
    })
}

/// The length of a text in round brackets, with them and with those inside.
pub(super) fn closing_bracket(text: &str) -> Option<usize> {
    let mut depth = 1_u32;
    enclosed(text, |c| {
        match c {
            '(' | '（' => depth += 1,
            ')' | '）' => depth -= 1,
            _ => {}
        }
        match depth {
            0 => Step::End,
            1..8 => Step::On,
            _ => Step::Fail,
        }
    })
}

/// What is in angle brackets on one line, and the length with them.
pub(super) fn closed_angle(text: &str) -> Option<(&str, usize)> {
    let open = text.chars().next()?.len_utf8();
    let inner = near(&text[open..]);
    let end = inner.find(|c| matches!(c, '<' | '>' | '＜' | '＞') || is_line_end(c))?;
    let close = inner[end..].chars().next()?;
    matches!(close, '>' | '＞').then(|| (&inner[..end], open + end + close.len_utf8()))
}

pub(super) enum Tag {
    Line,
    Cell,
    Other,
}

/// A tag of HTML; one with an address inside is none that may be passed over. A cell is where it begins.
pub(super) fn tag(content: &str) -> Option<Tag> {
    if content.contains(['@', '＠']) {
        return None;
    }
    let is_end = content.starts_with('/');
    let name = content.trim_start_matches('/').trim_end_matches('/');
    let name = name.split_whitespace().next().unwrap_or_default();
    Some(match name.to_ascii_lowercase().as_str() {
        "br" | "p" | "div" | "li" | "ul" | "ol" | "tr" | "table" | "tbody" | "thead" | "o:p" => {
            Tag::Line
        }
        "td" | "th" if !is_end => Tag::Cell,
        "" | "td" | "th" | "a" | "b" | "i" | "u" | "em" | "strong" | "span" | "font" | "html"
        | "body" | "!--" => Tag::Other,
        _ => return None,
    })
}

/// Whether what is in angle brackets may say an address twice.
pub(super) fn is_link(content: &str) -> bool {
    content.contains('|') || link_target(content).is_some()
}

/// Where a link of HTML leads, if to an address.
pub(super) fn link_target(content: &str) -> Option<&str> {
    let attributes = content
        .strip_prefix(['a', 'A'])
        .filter(|rest| rest.starts_with(char::is_whitespace))?;
    let at = attributes.to_ascii_lowercase().find("href")?;
    let value = attributes[at + 4..].trim_start().strip_prefix('=')?;
    let value = value.trim_start();
    let target = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split(char::is_whitespace).next()?,
    };
    target.contains('@').then_some(target)
}

/// What a link of HTML shows, and the length with its end.
pub(super) fn link_text(text: &str) -> Option<(&str, usize)> {
    let text = near(text);
    let end = text.find("</")?;
    let close = text[end + 2..].get(..2)?;
    (close.eq_ignore_ascii_case("a>") && !text[..end].contains(is_line_end))
        .then(|| (&text[..end], end + 4))
}

/// What a link of Markdown shows, where it leads if to an address, and its length.
pub(super) fn markdown_link(text: &str) -> Option<(&str, &str, usize)> {
    let line = &text[..text.find(is_line_end).unwrap_or(text.len())];
    let middle = line.find("](")?;
    let end = middle + line[middle..].find(')')?;
    let (shown, target) = (&line[1..middle], &line[middle + 2..end]);
    (end <= LONGEST && target.contains('@') && !shown.contains('[')).then_some((
        shown,
        target,
        end + 1,
    ))
}

/// The length of a word's part that only says what follows: `Team:`, `E-mail:` in `E-mail:ada@example.com`. The scheme
/// of a link is none.
pub(super) fn label(word: &str) -> Option<usize> {
    if let Some(label) = word.strip_suffix([':', '：']) {
        return (!label.contains(['@', '＠'])).then_some(word.len());
    }
    let address = word.find(['@', '＠'])?;
    let colon = word[..address].rfind([':', '：'])?;
    let length = word[colon..].chars().next()?.len_utf8();
    let (scheme, behind) = (&word[..colon], &word[colon + length..]);
    (!is_scheme(scheme) && !behind.starts_with("//")).then_some(colon + length)
}

/// What links and directories have in front of an address and a colon.
pub(super) fn is_scheme(text: &str) -> bool {
    let schemes = ["mailto", "smtp", "sip"];
    schemes
        .iter()
        .any(|scheme| text.eq_ignore_ascii_case(scheme))
}

/// A line without the bullets, boxes and numbers that it begins with.
pub(super) fn without_bullets(line: &str) -> &str {
    let mut rest = line;
    while let Some(bare) = without_bullet(rest) {
        rest = bare.trim_start_matches(|c: char| !is_line_end(c) && is_margin(c));
    }
    rest
}

fn without_bullet(text: &str) -> Option<&str> {
    for bullet in ["[ ]", "[x]", "[X]", ">"] {
        if let Some(rest) = text.strip_prefix(bullet) {
            return Some(rest);
        }
    }
    let first = text.chars().next()?;
    let rest = &text[first.len_utf8()..];
    let is_apart = rest.starts_with(char::is_whitespace);
    let is_sign = !first.is_ascii() && !first.is_alphanumeric() && !ends_word(first);
    let is_circled = matches!(first, '\u{2460}'..='\u{24FF}' | '\u{2776}'..='\u{2793}');
    if (is_sign && first != BROKEN) || is_circled {
        return Some(rest);
    }
    if (matches!(first, '-' | '*' | '+') && is_apart) || (first == 'o' && rest.starts_with('\t')) {
        return Some(rest);
    }
    if first.is_alphabetic() {
        // Word parts `a.` from its text with a tab.
        let is_lettered = rest.starts_with(".\t");
        return rest
            .strip_prefix([')', '）'])
            .or(rest.strip_prefix('.').filter(|_| is_lettered));
    }
    let number = text.strip_prefix(['(', '（']).unwrap_or(text);
    let behind = number.trim_start_matches(char::is_numeric);
    let digits = number.len() - behind.len();
    if digits == 0 || digits > 12 {
        return None;
    }
    match behind.strip_prefix([')', '）', '、', '．']) {
        Some(rest) => Some(rest),
        // `1.ada@example.com` is an address.
        None => behind
            .strip_prefix('.')
            .filter(|rest| rest.starts_with(char::is_whitespace)),
    }
}
