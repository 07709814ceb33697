//! `rolegate whoami`. Entry point: [`run`].

use std::fmt::Write as _;

use super::{
    Failure,
    login::named,
    output::{Format, OutputArguments, counted, printable},
    signed_in::{ServerArguments, print},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let session = arguments.server.session()?;
    let me = session.me()?;
    if arguments.output.output == Format::Json {
        let text = serde_json::to_string_pretty(&me)
            .map_err(|error| Failure::from(std::io::Error::from(error)))?;
        return print(&(text + "\n"));
    }
    let mut text = String::new();
    let device = me.device.as_ref();
    let lines = [
        ("Signed in as", Some(named(&me))),
        ("at", Some(session.server().to_string())),
        ("by", Some(me.connector.clone())),
        ("email", me.email.clone()),
        ("groups", Some(counted(me.groups.len(), "group"))),
        ("since", me.authenticated_at.clone()),
        ("device", device.map(|device| device.name.clone())),
        (
            "sign in again by",
            device.and_then(|device| device.expires_at.clone()),
        ),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<17} {}", printable(&value));
        }
    }
    print(&text)
}
