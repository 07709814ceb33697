//! `rolegate roles`. Entry point: [`run`].

use std::io;

use super::{
    Failure,
    output::{Format, OutputArguments, Table, json_array},
    signed_in::{ServerArguments, tell},
};
use crate::client::OfferedRole;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Show only roles whose name, account or ARN holds this
    filter: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let session = arguments.server.session()?;
    let roles = session.roles(arguments.filter.as_deref())?;
    let mut out = io::stdout().lock();
    if arguments.output.output == Format::Json {
        return json_array(&mut out, &roles);
    }
    let mut table = Table::new(&["ACCOUNT", "ID", "ROLE", "NOTES"]);
    for role in &roles {
        let (account, id) = (role.account.label().to_owned(), role.account.id.clone());
        table.push([account, id, role.name.clone(), notes(role)]);
    }
    if table.is_empty() {
        match &arguments.filter {
            Some(filter) => tell(&format!("None of your roles holds `{filter}`.")),
            None => tell("None of your groups gives an AWS role."),
        }
        return Ok(());
    }
    Ok(table.write(&mut out)?)
}

fn notes(role: &OfferedRole) -> String {
    let state = role.state.as_deref().filter(|state| *state == "broken");
    let notes = [
        role.requires_reason.then_some("asks why"),
        role.requires_code.then_some("asks for a code"),
        (!role.opens_credentials).then_some("console only"),
        (!role.opens_console).then_some("credentials only"),
        role.read_only.then_some("read-only"),
        state,
    ];
    let notes: Vec<&str> = notes.into_iter().flatten().collect();
    notes.join(", ")
}
