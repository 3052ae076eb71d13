//! The `enlist` program: reads the command line, runs the command, and tells in its exit code how that ended.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod commands;

use clap::{CommandFactory, Parser};

use crate::commands::{
    Cli,
    out::{UNREAD, Unread, end, hint},
    variables::{names, read_dotenv},
};

fn main() {
    end(code())
}

/// Does what the command line says. Gives what the process exits with.
fn code() -> u8 {
    if let Err(problem) = read_dotenv() {
        hint(format_args!("enlist: {problem}"));
        // As for a command line that is wrong.
        return 2;
    }
    let names = names(&Cli::command());
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        // It would speak of flags that nobody gave.
        Err(error) if error.use_stderr() && !names.mistyped.is_empty() => {
            for line in names.mistyped {
                hint(format_args!("enlist: {line}"));
            }
            return 2;
        }
        Err(error) => error.exit(),
    };
    let code_of_failure = command.code_of_failure();
    match command.run(names) {
        Ok(code) => code,
        Err(error) if error.is::<Unread>() => UNREAD,
        Err(error) => {
            // Some have a line for each of several faults.
            for line in format!("enlist: {error:#}").lines() {
                hint(line);
            }
            code_of_failure
        }
    }
}
