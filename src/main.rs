//! The `rolegate` program: arguments become a command, and its end becomes the exit code.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use rolegate::cli::{self, Arguments};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => {
            // Help and version come this way too. Where nobody listens there is nobody to tell.
            let _ = told.print();
            return if told.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let Err(failure) = cli::run(arguments) else {
        return ExitCode::SUCCESS;
    };
    let message = failure.to_string();
    if !message.is_empty() {
        let _ = writeln!(std::io::stderr(), "{message}");
    }
    ExitCode::from(failure.exit_code())
}
