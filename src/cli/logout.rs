//! `rolegate logout`. Entry point: [`run`].

use super::{
    Failure,
    signed_in::{ServerArguments, print},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let session = arguments.server.session()?;
    let server = session.server();
    match session.forget() {
        Ok(true) => print(&format!(
            "Signed out of {server}. Credentials that are in use elsewhere last until their end.\n"
        )),
        Ok(false) => print(&format!("Nobody was signed in at {server}.\n")),
        Err(error) => {
            let told = Failure::from(error).to_string();
            let told = told.trim_start_matches("error: ");
            Err(Failure::Refused(format!(
                "what was kept here is forgotten, but the server was not told: {told}"
            )))
        }
    }
}
