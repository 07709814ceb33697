//! `rolegate credentials`. Entry point: [`run`].

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{
    Failure,
    output::printable,
    signed_in::{ServerArguments, SessionArguments, choose, code_for, print, reason_for, tell},
};
use crate::client::{
    CredentialOrder, Credentials, OfferedRole, Session,
    aws_config::{Style, Wish, name_of, named},
    shell::{self, Format},
};

/// How many roles are asked for at once.
const AT_ONCE: usize = 6;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
bash, zsh:   eval \"$(rolegate credentials ROLE --format env)\"
fish:        rolegate credentials ROLE --format fish | source
PowerShell:  rolegate credentials ROLE --format powershell | Out-String | Invoke-Expression
cmd:         for /f \"delims=\" %i in ('rolegate credentials ROLE --format windows-cmd') do @%i

Credentials are kept until five minutes before their end, so it does not matter how often this is \
run.")]
pub(super) struct Arguments {
    /// An ARN, or account/role; a part is enough where it can mean one role alone
    role: Option<String>,
    /// Every role that needs no reason or code, as sections of a file: --format ini
    #[arg(long, conflicts_with_all = ["role", "unset"])]
    all: bool,
    /// Who will read it
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// Print what makes a shell forget the credentials
    #[arg(long, conflicts_with = "role")]
    unset: bool,
    #[command(flatten)]
    session: SessionArguments,
    /// How sections are called, with {account}, {account_id}, {environment} and {role}
    #[arg(long, value_name = "TEXT", default_value = "{account}-{role}")]
    template: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.unset {
        return print(&shell::unset(arguments.format)?);
    }
    let session = arguments.server.session()?;
    if arguments.all {
        return every(&session, arguments);
    }
    let role = choose(&session, arguments.role.as_deref())?;
    let credentials = of_role(&session, &role, &arguments.session)?;
    let profile = match arguments.format {
        Format::Ini => name_of(&role, &arguments.template)?,
        _ => String::new(),
    };
    let region = region(&role, &arguments.session);
    print(&shell::write(
        arguments.format,
        &credentials,
        region,
        &profile,
    )?)
}

/// Where to work: where was asked for, or where the role does.
pub(super) fn region<'a>(role: &'a OfferedRole, wish: &'a SessionArguments) -> Option<&'a str> {
    wish.region.as_deref().or(role.region.as_deref())
}

/// Credentials of a role; asks the person what the role wants to know, where nothing is kept.
pub(super) fn of_role(
    session: &Session,
    role: &OfferedRole,
    wish: &SessionArguments,
) -> Result<Credentials, Failure> {
    let mut order = order(role, wish);
    if let Some(credentials) = session.kept_credentials(&order)? {
        return Ok(credentials);
    }
    order.reason = reason_for(role, wish.reason.as_deref())?;
    order.mfa_code = code_for(role)?;
    Ok(session.credentials(&order)?)
}

pub(super) fn order(role: &OfferedRole, wish: &SessionArguments) -> CredentialOrder {
    CredentialOrder {
        role: role.arn.clone(),
        duration: wish.duration.clone(),
        read_only: wish.read_only,
        region: wish.region.clone(),
        reason: wish.reason.clone(),
        mfa_code: None,
    }
}

/// One section for each role; those that cannot be had are told, and the exit code says so.
fn every(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.format != Format::Ini {
        return Err(Failure::Usage(
            "--all writes sections of a file; add --format ini".to_owned(),
        ));
    }
    let mut roles = session.roles(None)?;
    roles.retain(|role| {
        role.needs_nobody() || arguments.session.reason.is_some() && !role.requires_code
    });
    let wish = Wish {
        template: arguments.template.clone(),
        prefix: String::new(),
        style: Style::Sso,
        region: None,
        discards_edits: false,
    };
    let named = named(&roles, &wish)?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((name, role)) = named.get(next.fetch_add(1, Ordering::Relaxed)) {
            let order = order(role, &arguments.session);
            let section = session.credentials(&order).and_then(|credentials| {
                let region = region(role, &arguments.session);
                shell::write(Format::Ini, &credentials, region, name)
            });
            done.push((name, role, section));
        }
        done
    };
    let mut sections = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let done = workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_default());
        done.collect::<Vec<_>>()
    });
    sections.sort_by_key(|(name, ..)| *name);
    let (mut text, mut is_whole) = (String::new(), true);
    for (_, role, section) in sections {
        match section {
            Ok(section) if text.is_empty() => text = section,
            Ok(section) => text = format!("{text}\n{section}"),
            Err(error) => {
                is_whole = false;
                let told = Failure::from(error).to_string();
                let label = printable(&role.label());
                tell(&format!("{label}: {}", told.trim_start_matches("error: ")));
            }
        }
    }
    print(&text)?;
    if is_whole {
        Ok(())
    } else {
        Err(Failure::Told(1))
    }
}
