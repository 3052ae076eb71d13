//! What a program of Postgres said before it ended, cut down to one line.
//!
//! Pure.

/// The last lines that matter, joined into one.
pub(super) fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let tells = |line: &&str| {
        ["FATAL", "PANIC", "rror:", "HINT"]
            .iter()
            .any(|word| line.contains(word))
    };
    let mut lines: Vec<&str> = said.lines().filter(tells).collect();
    if lines.is_empty() {
        lines = said.lines().collect();
    }
    one_line(&lines[lines.len().saturating_sub(2)..].join("\n"))
}

pub(super) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
