//! The variables that a command is given: those of the process, and those of `.env` in the working directory.

use std::{collections::BTreeSet, env, fs, io::ErrorKind, path::Path};

use enlist::config::Names;

const DOTENV: &str = ".env";

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
    if is_readable(text) && dotenvy::from_read(text).is_ok() {
        return Ok(());
    }
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let good = (0..lines.len())
        .rev()
        .find(|good| is_readable(&lines[..*good].concat()));
    Err(format!(
        "{} line {}: it is not NAME=value; single quotes belong around a value with blanks, quotes, $, # or \\",
        shown.display(),
        good.unwrap_or_default() + 1
    ))
}

fn is_readable(text: &[u8]) -> bool {
    // No variable holds a NUL.
    !text.contains(&0) && dotenvy::from_read_iter(text).all(|line| line.is_ok())
}

/// What is odd about their names: known is what any command of this program takes.
pub fn names(program: &clap::Command) -> Names {
    let mut known = BTreeSet::new();
    collect(program, &mut known);
    let given = env::vars_os().filter_map(|(name, value)| {
        Some((
            name.into_string().ok()?,
            value.to_string_lossy().into_owned(),
        ))
    });
    Names::look(&known, given)
}

fn collect(command: &clap::Command, known: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(clap::Arg::get_env);
    known.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    for command in command.get_subcommands() {
        collect(command, known);
    }
}
