//! `rolegate exec`. Entry point: [`run`].

mod supervised;

use std::{env, ffi::OsString, io, process::Command};

use super::{
    Failure,
    credentials::{of_role, order, region},
    output::printable,
    signed_in::{ServerArguments, SessionArguments, choose, is_somebody_there, reason_for, tell},
};
use crate::client::{OfferedRole, helper::Endpoint, shell};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The command finds the credentials in AWS_ACCESS_KEY_ID and its companions, and the role in \
ROLEGATE_ROLE; variables that would lead AWS's tools elsewhere, such as AWS_PROFILE, are removed. \
The exit code is the command's.")]
pub(super) struct Arguments {
    /// An ARN, or account/role; a part is enough where it can mean one role alone
    role: Option<String>,
    /// Let the command ask this machine for credentials again and again, so that it can run longer
    /// than one session lasts
    #[arg(long)]
    container: bool,
    #[command(flatten)]
    session: SessionArguments,
    #[command(flatten)]
    server: ServerArguments,
    /// The command and its arguments, behind `--`; your shell where there is none
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let session = arguments.server.session()?;
    let role = choose(&session, arguments.role.as_deref())?;
    if arguments.container {
        // Asked before anything runs, because nobody can be asked when a session has to be renewed.
        arguments.session.reason = reason_for(&role, arguments.session.reason.as_deref())?;
    }
    // The first is got here in any case: what is wrong is told before the command starts.
    let credentials = of_role(&session, &role, &arguments.session)?;
    let region = region(&role, &arguments.session).or(credentials.region.as_deref());
    let mut command = prepared(&arguments.command, &role, region);
    if arguments.command.is_empty() && is_somebody_there() {
        let label = printable(&role.label());
        let end = printable(&credentials.expiration);
        tell(&if arguments.container {
            format!("This shell has {label}; `exit` leaves it.")
        } else {
            format!("This shell has {label} until {end}; `exit` leaves it.")
        });
    }
    if !arguments.container {
        command.envs(shell::variables(&credentials, region));
        return replace(command);
    }
    let order = order(&role, &arguments.session);
    let endpoint = Endpoint::start(move || session.credentials(&order)).map_err(|error| {
        Failure::Refused(format!("no port of 127.0.0.1 can be listened to: {error}"))
    })?;
    command
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &endpoint.address)
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", endpoint.token.expose());
    supervised::wait(command)
}

/// The command without the variables that would lead AWS's tools elsewhere.
fn prepared(words: &[OsString], role: &OfferedRole, region: Option<&str>) -> Command {
    let mut command = match words {
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        [] => Command::new(own_shell()),
    };
    for name in shell::STALE {
        command.env_remove(name);
    }
    if let Some(region) = region {
        command.envs(shell::REGION.map(|name| (name, region)));
    }
    command.env("ROLEGATE_ROLE", &role.arn);
    command
}

fn own_shell() -> OsString {
    let (variable, usual) = if cfg!(windows) {
        ("COMSPEC", "cmd.exe")
    } else {
        ("SHELL", "/bin/sh")
    };
    let chosen = env::var_os(variable).filter(|value| !value.is_empty());
    chosen.unwrap_or_else(|| usual.into())
}

/// Becomes the command: nothing of this process stays behind.
#[cfg(unix)]
fn replace(mut command: Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt as _;

    let error = command.exec();
    Err(not_run(&command, &error))
}

#[cfg(not(unix))]
fn replace(command: Command) -> Result<(), Failure> {
    supervised::wait(command)
}

/// What shells say: 127 where there is no such program, 126 where it cannot be run.
fn not_run(command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    tell(&format!(
        "error: {} cannot be run: {error}",
        printable(&program)
    ));
    Failure::Told(if error.kind() == io::ErrorKind::NotFound {
        127
    } else {
        126
    })
}
