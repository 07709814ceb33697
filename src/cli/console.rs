//! `rolegate console`. Entry point: [`run`].

use std::time::Duration;

use super::{
    Failure, browser,
    output::printable,
    signed_in::{ServerArguments, SessionArguments, choose, code_for, print, reason_for, tell},
};
use crate::client::{ConsoleAddress, ConsoleOrder, Loopback};

/// How long a browser may take to start.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// An ARN, or account/role; a part is enough where it can mean one role alone
    role: Option<String>,
    /// The console of a service, such as s3
    #[arg(long, value_name = "NAME", conflicts_with = "destination")]
    service: Option<String>,
    /// An address in the console
    #[arg(long, value_name = "ADDRESS")]
    destination: Option<String>,
    /// Print the address instead of opening it; whoever opens it within 15 minutes is signed in as
    /// you
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    session: SessionArguments,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    if !arguments.print && !browser::is_here() {
        return Err(no_browser());
    }
    let session = arguments.server.session()?;
    let role = choose(&session, arguments.role.as_deref())?;
    let order = ConsoleOrder {
        reason: reason_for(&role, arguments.session.reason.as_deref())?,
        role: role.arn.clone(),
        destination: arguments.service.or(arguments.destination),
        region: arguments.session.region,
        duration: arguments.session.duration,
        read_only: arguments.session.read_only,
        mfa_code: code_for(&role)?,
    };
    let address = session.console(&order)?;
    if arguments.print {
        return print(&format!("{}\n", address.url.expose()));
    }
    show(&address)?;
    tell(&format!(
        "{} opens in your browser.",
        printable(&role.label())
    ));
    Ok(())
}

fn show(address: &ConsoleAddress) -> Result<(), Failure> {
    let url = address.url.expose();
    if address.opens_here {
        return if browser::open(url) {
            Ok(())
        } else {
            Err(no_browser())
        };
    }
    let failed = |error: std::io::Error| {
        Failure::Refused(format!("no port of 127.0.0.1 can be listened to: {error}"))
    };
    let (local, wait) = Loopback::bind()
        .and_then(|loopback| loopback.redirect_once(url.to_owned()))
        .map_err(failed)?;
    if !browser::open(&local) {
        return Err(no_browser());
    }
    if wait(PATIENCE) {
        return Ok(());
    }
    Err(Failure::Refused(
        "no browser came for the address; `--print` prints it".to_owned(),
    ))
}

fn no_browser() -> Failure {
    Failure::Refused(
        "no browser can be opened here; `--print` prints the address for one elsewhere".to_owned(),
    )
}
