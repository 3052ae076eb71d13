//! The `enlist` program: reads the command line, runs the command, and tells in its exit code how that ended.

mod commands;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Cli;

fn main() -> ExitCode {
    // A missing .env is fine; one that cannot be read is not.
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        eprintln!("enlist: .env: {error}");
        return ExitCode::FAILURE;
    }
    let command = Cli::parse().command;
    let code_of_failure = command.code_of_failure();
    match command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("enlist: {error:#}");
            code_of_failure
        }
    }
}
