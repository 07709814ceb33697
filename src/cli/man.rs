//! `rolegate man`, for whoever packages the program. Entry point: [`run`].

use std::path::PathBuf;

use clap::CommandFactory as _;

use super::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder to write them into
    folder: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    clap_mangen::generate_to(super::Arguments::command(), &arguments.folder).map_err(|error| {
        let folder = arguments.folder.display();
        Failure::Refused(format!("{folder} cannot be written to: {error}"))
    })
}
