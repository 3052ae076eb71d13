//! The variables that a command is given: those of the process, and those of `.env` in the working directory.

use std::{collections::BTreeSet, env, fs, io::ErrorKind, path::Path};

use enlist::config::{Names, Settings};

const DOTENV: &str = ".env";
/// In the place of `$`, and of `\$`.
const DOLLAR: char = '\u{E000}';
const ESCAPED: char = '\u{E001}';

/// Takes what `.env` has and the process has not. A parent's is not looked for: it belongs to something else.
///
/// # Errors
/// Where it cannot be read, without what it holds.
pub fn read_dotenv() -> Result<(), String> {
    let path = Path::new(DOTENV);
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut text = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => return Ok(()),
        read => read.map_err(|error| format!("{} cannot be read: {error}", shown.display()))?,
    };
    // Blanks at the very end are a broken line to the library.
    text.push(b'\n');
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
    if !is_readable(text) {
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let good = (0..lines.len())
            .rev()
            .find(|good| is_readable(&lines[..*good].concat()));
        return Err(format!(
            "{} line {}: it is not NAME=value; single quotes belong around a value with blanks, quotes, $, # or \\",
            shown.display(),
            good.unwrap_or_default() + 1
        ));
    }
    if let Some(flaw) = flaw(text) {
        return Err(format!("{}: {flaw}", shown.display()));
    }
    dotenvy::from_read(text).map_err(|error| format!("{} cannot be read: {error}", shown.display()))
}

/// What reads well and is not what was meant: the library puts other variables in the place of `$NAME`, nothing where there
/// is none, and takes the first of two.
fn flaw(text: &[u8]) -> Option<String> {
    let values = |text: &[u8]| dotenvy::from_read_iter(text).flatten().collect::<Vec<_>>();
    let given = values(text);
    let mut names = BTreeSet::new();
    if let Some((name, _)) = given.iter().find(|(name, _)| !names.insert(name)) {
        return Some(format!("{name} is there twice: take one away"));
    }
    // As it would be if nothing were replaced: with signs that nobody writes.
    let text = String::from_utf8_lossy(text)
        .replace("\\$", &ESCAPED.to_string())
        .replace('$', &DOLLAR.to_string());
    let literal = values(text.as_bytes());
    let is_replaced = |((_, given), (_, literal)): (&(String, String), &(String, String))| {
        given.replace("\\$", "$") != literal.replace([ESCAPED, DOLLAR], "$")
    };
    let replaced = given
        .iter()
        .zip(&literal)
        .find(|pair| is_replaced(*pair))
        .map(|((name, _), _)| name);
    replaced.map(|name| {
        format!("{name} has a $, in whose place another variable would be put: put single quotes around the value")
    })
}

fn is_readable(text: &[u8]) -> bool {
    // No variable holds a NUL.
    !text.contains(&0) && dotenvy::from_read_iter(text).all(|line| line.is_ok())
}

/// What is odd about them: known is what any command of this program takes.
pub fn names(program: &clap::Command) -> Names {
    let mut known = Settings::new();
    collect(program, &mut known);
    let given = env::vars_os().filter_map(|(name, value)| {
        Some((
            name.into_string().ok()?,
            value.to_string_lossy().into_owned(),
        ))
    });
    let mut names = Names::look(&known, given);
    let unreadable = env::vars_os().filter(|(_, value)| value.to_str().is_none());
    for name in unreadable.filter_map(|(name, _)| name.into_string().ok()) {
        if known.contains_key(&name) {
            names.mistyped.push(format!("{name} is not UTF-8"));
        }
    }
    names
}

fn collect(command: &clap::Command, known: &mut Settings) {
    for argument in command.get_arguments() {
        if let Some(name) = argument.get_env() {
            let choices = argument.get_possible_values();
            let choices = choices.iter().map(|choice| choice.get_name().to_owned());
            known.insert(name.to_string_lossy().into_owned(), choices.collect());
        }
    }
    for command in command.get_subcommands() {
        collect(command, known);
    }
}
