//! `rolegate aws-config`. Entry point: [`run`].

use std::{env, path::PathBuf};

use super::{
    Failure,
    output::{counted, printable},
    signed_in::{ServerArguments, path_of, print, tell},
};
use crate::client::aws_config::{Plan, Style, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Profiles stand between two marker lines; the rest of the file is never touched. Run it again when your \
roles have changed: profiles of roles that are gone are removed. With --sso, `aws sso login` signs in \
at Rolegate, and nothing of Rolegate's has to be installed where the file is used.")]
pub(super) struct Arguments {
    /// Write the file; without it, what would change is shown
    #[arg(long)]
    write: bool,
    /// Let AWS's own tools sign in at Rolegate, instead of running this program
    #[arg(long)]
    sso: bool,
    /// What stands before each profile's name
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// How profiles are called, with {account}, {account_id}, {environment} and {role}
    #[arg(long, value_name = "TEXT", default_value = "{account}-{role}")]
    template: String,
    /// Where profiles work whose role names no region, such as eu-west-1
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The file [default: ~/.aws/config]
    #[arg(
        long,
        value_name = "FILE",
        env = "AWS_CONFIG_FILE",
        hide_env_values = true
    )]
    file: Option<PathBuf>,
    /// Lose what somebody wrote between the marker lines
    #[arg(long)]
    discard_edits: bool,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let session = arguments.server.session()?;
    let path = match arguments.file {
        Some(path) => path,
        None => own_file()?,
    };
    let style = if arguments.sso {
        Style::Sso
    } else {
        Style::Process {
            program: own_path()?,
        }
    };
    let wish = Wish {
        template: arguments.template,
        prefix: arguments.prefix,
        style,
        region: arguments.region,
        discards_edits: arguments.discard_edits,
    };
    let roles = session.roles(None)?;
    let plan = Plan::make(&path, session.server(), &roles, &wish)?;
    for name in &plan.taken {
        tell(&format!(
            "You have a profile {name} of your own already, which is left alone; --prefix or \
             --template gives ours other names.",
        ));
    }
    let file = printable(&plan.path().display().to_string());
    if plan.is_done() {
        tell(&format!("{file} is as it should be."));
        return Ok(());
    }
    let (come, go, change) = plan.counts();
    let counts = format!(
        "{} added, {go} removed, {change} changed",
        counted(come, "section")
    );
    if !arguments.write {
        print(&plan.difference())?;
        tell(&format!("{file}: {counts}, once you add --write."));
        return Ok(());
    }
    match plan.write()? {
        Some(backup) => {
            let backup = printable(&backup.display().to_string());
            tell(&format!("{file}: {counts}; what was there is in {backup}."));
        }
        None => tell(&format!("{file}: {counts}.")),
    }
    Ok(())
}

fn own_file() -> Result<PathBuf, Failure> {
    let home = path_of(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
    let home = home.ok_or_else(|| {
        Failure::Usage("your home directory is not known; name the file with --file".to_owned())
    })?;
    Ok(home.join(".aws").join("config"))
}

/// This program, by the path under which it will be run again.
fn own_path() -> Result<String, Failure> {
    let path = env::current_exe()
        .map_err(|error| Failure::Refused(format!("this program cannot find itself: {error}")))?;
    path.into_os_string().into_string().map_err(|_| {
        Failure::Refused("the path of this program cannot be written as text".to_owned())
    })
}
