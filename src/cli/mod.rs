//! The command line: one file per command.
//!
//! A command reads its arguments, calls what the server calls too, and says what came of it:
//! results on standard output, everything else on standard error. Never here: decisions, SQL, the
//! end of the process. Entry points: [`Arguments`], [`run`].

#[cfg(feature = "server")]
mod account;
#[cfg(feature = "server")]
mod audit;
#[cfg(feature = "client")]
mod aws_config;
#[cfg(feature = "server")]
mod aws_setup;
#[cfg(feature = "client")]
mod browser;
#[cfg(feature = "server")]
mod check;
#[cfg(feature = "client")]
mod completions;
#[cfg(feature = "client")]
mod console;
#[cfg(feature = "server")]
mod consoleme;
#[cfg(feature = "client")]
mod credentials;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "server")]
mod edit;
#[cfg(feature = "client")]
mod exec;
#[cfg(feature = "server")]
mod explain;
mod failure;
#[cfg(feature = "server")]
mod history;
#[cfg(feature = "server")]
mod import;
#[cfg(feature = "server")]
mod installation;
#[cfg(feature = "server")]
mod issuer;
#[cfg(feature = "client")]
mod login;
#[cfg(feature = "client")]
mod logout;
#[cfg(feature = "client")]
mod man;
#[cfg(feature = "server")]
mod mapping;
#[cfg(feature = "server")]
mod organization;
mod output;
#[cfg(feature = "server")]
mod preview;
#[cfg(feature = "server")]
mod progress;
#[cfg(feature = "server")]
mod reference;
#[cfg(feature = "server")]
mod review;
#[cfg(feature = "server")]
mod revoke;
#[cfg(feature = "server")]
mod role;
#[cfg(feature = "client")]
mod roles;
#[cfg(feature = "server")]
mod row;
#[cfg(feature = "server")]
mod saml;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "client")]
mod signed_in;
#[cfg(feature = "client")]
mod whoami;

#[cfg(feature = "server")]
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

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
    #[cfg(feature = "server")]
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
    #[cfg(feature = "client")]
    #[command(flatten)]
    Person(PersonCommand),
    #[cfg(feature = "server")]
    #[command(flatten)]
    Host(HostCommand),
}

/// What people run on their own machines.
#[cfg(feature = "client")]
#[derive(Debug, Subcommand)]
enum PersonCommand {
    /// Sign in at your Rolegate, by a browser or by a code typed into one elsewhere
    Login(login::Arguments),
    /// Sign out, and forget what is kept here
    Logout(logout::Arguments),
    /// Say who you are signed in as
    Whoami(whoami::Arguments),
    /// List the roles that you can open
    Roles(roles::Arguments),
    /// Print credentials of a role, for a shell or a program
    Credentials(credentials::Arguments),
    /// Run a command, or a shell, with credentials of a role
    Exec(exec::Arguments),
    /// Open a role in the AWS console
    Console(console::Arguments),
    /// Write a profile for each of your roles into AWS's configuration file
    AwsConfig(aws_config::Arguments),
    /// Print what completes commands in your shell
    Completions(completions::Arguments),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Arguments),
}

/// What whoever keeps the server runs on its host.
#[cfg(feature = "server")]
#[derive(Debug, Subcommand)]
enum HostCommand {
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
    match arguments.command {
        #[cfg(feature = "client")]
        Command::Person(command) => run_for_person(command),
        #[cfg(feature = "server")]
        Command::Host(command) => run_on_host(arguments.config.as_deref(), command),
    }
}

/// Without threads: a warm answer should be there before a runtime would have started.
#[cfg(feature = "client")]
fn run_for_person(command: PersonCommand) -> Result<(), Failure> {
    match command {
        PersonCommand::Login(arguments) => login::run(&arguments),
        PersonCommand::Logout(arguments) => logout::run(&arguments),
        PersonCommand::Whoami(arguments) => whoami::run(&arguments),
        PersonCommand::Roles(arguments) => roles::run(&arguments),
        PersonCommand::Credentials(arguments) => credentials::run(&arguments),
        PersonCommand::Exec(arguments) => exec::run(arguments),
        PersonCommand::Console(arguments) => console::run(arguments),
        PersonCommand::AwsConfig(arguments) => aws_config::run(arguments),
        PersonCommand::Completions(arguments) => completions::run(&arguments),
        PersonCommand::Man(arguments) => man::run(&arguments),
    }
}

#[cfg(feature = "server")]
fn run_on_host(file: Option<&Path>, command: HostCommand) -> Result<(), Failure> {
    // An error means that one is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Refused(format!("no threads can be started: {error}")))?;
    runtime.block_on(async {
        match command {
            HostCommand::Serve(arguments) => Box::pin(serve::run(file, &arguments)).await,
            #[cfg(feature = "demo")]
            HostCommand::Demo(arguments) => Box::pin(demo::run(&arguments)).await,
            HostCommand::Check(arguments) => check::run(file, &arguments).await,
            HostCommand::Account(command) => account::run(file, command).await,
            HostCommand::Role(command) => role::run(file, command).await,
            HostCommand::Mapping(command) => mapping::run(file, command).await,
            HostCommand::Explain(arguments) => explain::run(file, &arguments).await,
            HostCommand::AwsSetup(arguments) => Box::pin(aws_setup::run(file, &arguments)).await,
            HostCommand::Revoke(command) => Box::pin(revoke::run(file, command)).await,
            HostCommand::Saml(command) => saml::run(file, &command),
            HostCommand::Issuer(command) => issuer::run(file, &command),
            HostCommand::Audit(command) => audit::run(file, command).await,
        }
    })
}
