//! What the commands on people's own machines share: which server, which sign-in, which role.
//!
//! Entry points: [`ServerArguments`], [`choose`].

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
};

use dialoguer::{FuzzySelect, Input, theme::ColorfulTheme};

use super::{Failure, output::printable};
use crate::client::{
    ClientError, NotFound, OfferedRole, Secret, ServerUrl, Session, StateFolder, find,
};

/// Which server is asked.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArguments {
    /// The address of your Rolegate [default: where you signed in last]
    #[arg(long, value_name = "URL", env = "ROLEGATE_URL", hide_env_values = true)]
    url: Option<String>,
}

/// What a session of a role should be.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SessionArguments {
    /// How long it lasts, such as 1h or 45m, where the role allows it
    #[arg(long, value_name = "DURATION")]
    pub(super) duration: Option<String>,
    /// Let it only read, whatever the role may do
    #[arg(long)]
    pub(super) read_only: bool,
    /// Why you need it, such as "TICKET-1: restart"; some roles ask, and it is audited
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// The AWS region to work in
    #[arg(long, value_name = "REGION")]
    pub(super) region: Option<String>,
}

impl ServerArguments {
    pub(super) fn session(&self) -> Result<Session, Failure> {
        open(self.url.as_deref())
    }
}

/// The sign-in at the server of this address, or at that of the last sign-in.
pub(super) fn open(url: Option<&str>) -> Result<Session, Failure> {
    let server = url.map(str::parse::<ServerUrl>).transpose()?;
    Ok(Session::open(&state()?, server, ca_file())?)
}

/// Where things are kept.
pub(super) fn state() -> Result<StateFolder, Failure> {
    Ok(StateFolder::open(path_of("ROLEGATE_STATE_DIR"))?)
}

fn ca_file() -> Option<PathBuf> {
    path_of("ROLEGATE_CA_FILE")
}

/// A path in the environment; an empty one is none.
pub(super) fn path_of(variable: &str) -> Option<PathBuf> {
    let value = env::var_os(variable).filter(|value| !value.is_empty())?;
    Some(PathBuf::from(value))
}

/// Whether somebody sits there who can be asked. Standard output may go elsewhere meanwhile.
pub(super) fn is_somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Says something that is no result.
pub(super) fn tell(text: &str) {
    // Where nobody listens there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a result.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// The role that a text means, among the person's own; without a text the only one there is, or one
/// that is picked on the terminal.
pub(super) fn choose(session: &Session, text: Option<&str>) -> Result<OfferedRole, Failure> {
    let kept = session.kept_roles()?;
    let Some(text) = text else {
        let roles = match kept {
            Some((roles, true)) => roles,
            _ => session.roles(None)?,
        };
        return pick(roles);
    };
    if let Some((roles, is_recent)) = kept {
        match find(text, &roles) {
            // A whole name means the same tomorrow; a part of one has to be looked up in a list that
            // is not old.
            Ok(found) if found.is_whole || is_recent => return Ok(taken(text, found)),
            Err(error @ NotFound::Ambiguous { .. }) if is_recent => return Err(error.into()),
            _ => {}
        }
    }
    let roles = session.roles(None)?;
    Ok(taken(text, find(text, &roles)?))
}

fn taken(text: &str, found: crate::client::Match<'_>) -> OfferedRole {
    if !found.is_whole && io::stderr().is_terminal() {
        let (label, arn) = (printable(&found.role.label()), printable(&found.role.arn));
        tell(&format!("{} is {label} ({arn})", printable(text)));
    }
    found.role.clone()
}

fn pick(roles: Vec<OfferedRole>) -> Result<OfferedRole, Failure> {
    let mut roles: Vec<OfferedRole> = roles
        .into_iter()
        .filter(|role| role.opens_credentials || role.opens_console)
        .collect();
    if !is_somebody_there() {
        return match (roles.pop(), roles.is_empty()) {
            (Some(role), true) => Ok(role),
            (None, _) => Err(Failure::Refused(
                "none of your groups gives an AWS role".to_owned(),
            )),
            (Some(_), false) => Err(Failure::Usage(
                "which role? name one of those that `rolegate roles` lists".to_owned(),
            )),
        };
    }
    if roles.is_empty() {
        return Err(Failure::Refused(
            "none of your groups gives an AWS role".to_owned(),
        ));
    }
    let lines = roles.iter().map(|role| {
        let line = format!("{}  {}", role.label(), role.account.id);
        printable(&line)
    });
    let chosen = FuzzySelect::with_theme(&ColorfulTheme::default())
        .with_prompt("Role")
        .items(lines)
        .default(0)
        .max_length(15)
        .interact_opt()
        .map_err(|error| Failure::Refused(format!("the terminal cannot be read: {error}")))?;
    match chosen {
        Some(index) if index < roles.len() => Ok(roles.swap_remove(index)),
        _ => Err(Failure::Refused("no role was chosen".to_owned())),
    }
}

/// The reason for opening a role that wants one: what was given, or what the person says now.
pub(super) fn reason_for(
    role: &OfferedRole,
    given: Option<&str>,
) -> Result<Option<String>, Failure> {
    if given.is_some() || !role.requires_reason {
        return Ok(given.map(str::to_owned));
    }
    let label = printable(&role.label());
    if !is_somebody_there() {
        return Err(Failure::Refused(format!(
            "{label} asks why you need it; add --reason \"TICKET-1: what you will do\""
        )));
    }
    ask(&format!("Why do you need {label}?")).map(Some)
}

/// The code of the person's MFA device, for a role that wants one; never from the arguments, which
/// other programs of the machine can read.
pub(super) fn code_for(role: &OfferedRole) -> Result<Option<Secret>, Failure> {
    if !role.requires_code {
        return Ok(None);
    }
    let label = printable(&role.label());
    if !is_somebody_there() {
        return Err(Failure::Refused(format!(
            "{label} asks for a code of your MFA device; run this on a terminal, where you can type \
             it"
        )));
    }
    Ok(Some(Secret::new(ask(&format!("MFA code for {label}"))?)))
}

fn ask(question: &str) -> Result<String, Failure> {
    let answer: String = Input::with_theme(&ColorfulTheme::default())
        .with_prompt(question)
        .interact_text()
        .map_err(|error| Failure::Refused(format!("the terminal cannot be read: {error}")))?;
    Ok(answer.trim().to_owned())
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NoServer | ClientError::BadAddress(_) | ClientError::Unwritable(_) => {
                Self::Usage(error.to_string())
            }
            ClientError::Refused(refusal) => {
                let mut told: Vec<String> = refusal.to_string().lines().map(printable).collect();
                if refusal.error == "reason_required" {
                    told.push("give one with --reason \"TICKET-1: what you will do\"".to_owned());
                }
                Self::Refused(told.join("\n"))
            }
            error => Self::Refused(printable(&error.to_string())),
        }
    }
}

impl From<NotFound> for Failure {
    fn from(error: NotFound) -> Self {
        let told: Vec<String> = error.to_string().lines().map(printable).collect();
        let told = told.join("\n");
        match error {
            NotFound::Ambiguous { .. } => Self::Usage(told),
            NotFound::Unknown { .. } => Self::Refused(told),
        }
    }
}
