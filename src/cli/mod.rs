//! The command line: one file per command.
//!
//! A command reads its arguments, calls what the server calls too, and says what came of it:
//! results on standard output, everything else on standard error. Never here: decisions, SQL, the
//! end of the process. Entry points: [`Arguments`], [`run`].

mod account;
mod audit;
mod aws_setup;
mod check;
mod consoleme;
#[cfg(feature = "demo")]
mod demo;
mod edit;
mod explain;
mod failure;
mod history;
mod import;
mod installation;
mod issuer;
mod mapping;
mod organization;
mod output;
mod preview;
mod progress;
mod reference;
mod review;
mod revoke;
mod role;
mod row;
mod saml;
mod serve;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

pub use failure::Failure;

/// Sign in with your directory, pick a role, land in the AWS console.
#[derive(Debug, Parser)]
#[command(
    name = "rolegate",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 refused or a check failed, 2 wrong usage or \
                        configuration."
)]
pub struct Arguments {
    /// The configuration [default: config/rolegate.toml]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ROLEGATE_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C
    Serve(serve::Arguments),
    /// Try everything in one process: a sample directory, a stand-in for AWS, and Rolegate
    #[cfg(feature = "demo")]
    Demo(demo::Arguments),
    /// Look for mistakes in the configuration, the mappings and, on request, the servers
    Check(check::Arguments),
    /// List or edit the AWS accounts
    #[command(subcommand)]
    Account(account::Command),
    /// List or edit the roles that can be opened
    #[command(subcommand)]
    Role(role::Command),
    /// List or edit which groups may open which roles
    #[command(subcommand)]
    Mapping(mapping::Command),
    /// Say why a person may or may not open a role, and what would give it
    Explain(explain::Arguments),
    /// Write what has to be made at AWS: providers, trust policies, Rolegate's own policy
    AwsSetup(aws_setup::Arguments),
    /// End role sessions that AWS has issued: a person's, one, or a role's
    #[command(subcommand)]
    Revoke(revoke::Command),
    /// Print SAML metadata, verify a response, or measure how fast that is
    #[command(subcommand)]
    Saml(saml::Command),
    /// Make and list the keys by which Rolegate vouches for people at AWS itself
    #[command(subcommand)]
    Issuer(issuer::Command),
    /// Read the audit log, or verify that nobody changed it
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Runs one command to its end.
///
/// # Errors
/// [`Failure`], which knows what to tell and the exit code.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    // An error means that one is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = Runtime::new()
        .map_err(|error| Failure::Refused(format!("no threads can be started: {error}")))?;
    let file = arguments.config.as_deref();
    runtime.block_on(async {
        match arguments.command {
            Command::Serve(arguments) => Box::pin(serve::run(file, &arguments)).await,
            #[cfg(feature = "demo")]
            Command::Demo(arguments) => Box::pin(demo::run(&arguments)).await,
            Command::Check(arguments) => check::run(file, &arguments).await,
            Command::Account(command) => account::run(file, command).await,
            Command::Role(command) => role::run(file, command).await,
            Command::Mapping(command) => mapping::run(file, command).await,
            Command::Explain(arguments) => explain::run(file, &arguments).await,
            Command::AwsSetup(arguments) => Box::pin(aws_setup::run(file, &arguments)).await,
            Command::Revoke(command) => Box::pin(revoke::run(file, command)).await,
            Command::Saml(command) => saml::run(file, &command),
            Command::Issuer(command) => issuer::run(file, &command),
            Command::Audit(command) => audit::run(file, command).await,
        }
    })
}
