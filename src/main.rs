//! The `enlist` program: reads the command line, runs the command, and tells in its exit code how that ended.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod commands;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::{
    Cli,
    out::{UNREAD, Unread, hint},
    variables::read_dotenv,
};

fn main() -> ExitCode {
    if let Err(problem) = read_dotenv() {
        hint(format_args!("enlist: {problem}"));
        // As for a command line that is wrong.
        return ExitCode::from(2);
    }
    let command = Cli::parse().command;
    let code_of_failure = command.code_of_failure();
    match command.run() {
        Ok(code) => code,
        Err(error) if error.is::<Unread>() => ExitCode::from(UNREAD),
        Err(error) => {
            // Some have a line for each of several faults.
            for line in format!("enlist: {error:#}").lines() {
                hint(line);
            }
            code_of_failure
        }
    }
}
