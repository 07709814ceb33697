//! `rolegate explain`: why a person may or may not open a role. Entry point: [`run`].

use std::{
    io::{self, Write},
    path::Path,
};

use serde::Serialize;
use time::OffsetDateTime;

use super::{
    Failure,
    audit::moment,
    failure::with_causes,
    installation::{Installation, host_actor},
    output::{self, Format, OutputArguments, counted, printable},
    progress::{note, while_waiting},
    reference,
};
use crate::{
    access::{
        AuthenticationMethod, ConnectorId, Group, GroupKey, Identity, TargetArn,
        explain::{Basis, Explanation},
    },
    app,
    audit::Actor,
    broker::{Asker, Broker, ExplainRefused, PersonRecord},
    clock,
    config::ConnectorKind,
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 the role can be opened, or everything was listed; 1 it \
                        cannot; 2 wrong usage or configuration."
)]
pub(super) struct Arguments {
    /// Whom to explain: a user name or a stable id
    user: String,
    /// The role: its ARN, or ACCOUNT/ROLE; an ACCOUNT alone means all its roles [default: all that
    /// the person may open, and the nearest misses]
    role: Option<String>,
    /// Where the person signs in [default: everywhere that knows them]
    #[arg(long, value_name = "ID")]
    connector: Option<String>,
    /// Explain somebody who has just these groups, such as `corp:cn=dev,dc=example`; asks no
    /// directory
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// As it was then: 2027-01-31, 2027-01-31T08:00:00Z, or 24h ago as 24h
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "role")]
    at: Option<OffsetDateTime>,
    #[command(flatten)]
    output: OutputArguments,
}

/// One answer, and whom it is about.
#[derive(Serialize)]
struct Answer {
    person: About,
    #[serde(flatten)]
    explanation: Explanation,
}

/// Whom an answer is about.
#[derive(Clone, Serialize)]
struct About {
    connector: ConnectorId,
    subject: String,
    username: String,
    display_name: Option<String>,
}

impl About {
    fn of(identity: &Identity) -> Self {
        Self {
            connector: identity.connector.clone(),
            subject: identity.subject.clone(),
            username: identity.username.clone(),
            display_name: identity.display_name.clone(),
        }
    }
}

pub(super) async fn run(file: Option<&Path>, arguments: &Arguments) -> Result<(), Failure> {
    let installation = Installation::load(file)?;
    let config = &installation.config;
    let only = connector(&installation, arguments.connector.as_deref())?;
    let broker = app::broker(config, clock::system())
        .await
        .map_err(|error| Failure::Refused(with_causes(&error)))?;
    let people = if arguments.groups.is_empty() {
        known(&broker, only.as_ref(), &arguments.user).await?
    } else {
        vec![hypothetical(&installation, only, arguments, &broker)?]
    };
    let actor = host_actor()?;
    let out = &mut io::stdout().lock();
    let Some(role) = &arguments.role else {
        return list(&broker, &people, &actor, arguments.output.output, out).await;
    };
    let roles = broker.roles_meant(role).await.map_err(refused)?;
    let question = (roles.as_slice(), arguments.at);
    let answers = while_waiting("explaining", ask(&broker, &people, question, &actor)).await?;
    match arguments.output.output {
        Format::Json => output::json_array(out, &answers)?,
        Format::Text => {
            for (index, answer) in answers.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                write_lines(&answer.explanation.to_text(), out)?;
            }
        }
    }
    if answers.iter().any(|answer| answer.explanation.is_held) {
        Ok(())
    } else {
        Err(Failure::Told(1))
    }
}

async fn ask(
    broker: &Broker,
    people: &[PersonRecord],
    (roles, at): (&[TargetArn], Option<OffsetDateTime>),
    actor: &Actor,
) -> Result<Vec<Answer>, Failure> {
    let asker = Asker {
        actor,
        client: None,
    };
    let mut answers = Vec::new();
    for person in people {
        for role in roles {
            let explained = match at {
                None => broker.explain(person, role, &asker).await,
                Some(at) => broker.explain_at(person, role, at, &asker).await,
            };
            answers.push(Answer {
                person: About::of(&person.identity),
                explanation: explained.map_err(refused)?,
            });
        }
    }
    Ok(answers)
}

/// Everything that each person may open, in short, and the nearest misses.
async fn list(
    broker: &Broker,
    people: &[PersonRecord],
    actor: &Actor,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asker = Asker {
        actor,
        client: None,
    };
    let mut answers = Vec::new();
    for (index, person) in people.iter().enumerate() {
        let asked = broker.explain_person(person, &asker);
        let explained = while_waiting("explaining", asked).await.map_err(refused)?;
        if format == Format::Json {
            let all = explained.held.into_iter().chain(explained.misses);
            answers.extend(all.map(|explanation| Answer {
                person: About::of(&person.identity),
                explanation,
            }));
            continue;
        }
        if index > 0 {
            writeln!(out)?;
        }
        let Identity {
            connector,
            username,
            ..
        } = &person.identity;
        let count = counted(explained.held.len(), "role");
        let title = format!("{username} at {connector} can open {count}.");
        writeln!(out, "{}", printable(&title))?;
        writeln!(out, "{}", person.basis.sentence())?;
        for explanation in &explained.held {
            write_short(explanation, out)?;
        }
        if !explained.misses.is_empty() {
            writeln!(out, "\nNearest misses")?;
        }
        for explanation in &explained.misses {
            write_short(explanation, out)?;
        }
    }
    if format == Format::Json {
        output::json_array(out, &answers)?;
    }
    Ok(())
}

/// A role, its reasons without their proofs, and what would mend a miss.
fn write_short(explanation: &Explanation, out: &mut dyn Write) -> Result<(), Failure> {
    let title = format!("\n{}  {}", explanation.account, explanation.role);
    write_lines(&title, out)?;
    for finding in &explanation.findings {
        let label = finding.situation.label();
        writeln!(
            out,
            "  {}",
            printable(&format!("{label}: {}", finding.proof.text))
        )?;
        if !finding.request.is_empty() {
            writeln!(out, "  > {}", printable(&finding.request))?;
        }
    }
    Ok(())
}

/// Names come from directories: nothing in them may steer a terminal.
fn write_lines(text: &str, out: &mut dyn Write) -> Result<(), Failure> {
    for line in text.lines() {
        writeln!(out, "{}", printable(line))?;
    }
    Ok(())
}

fn connector(
    installation: &Installation,
    only: Option<&str>,
) -> Result<Option<ConnectorId>, Failure> {
    let Some(only) = only else { return Ok(None) };
    let forms = installation.group_forms();
    let found = forms.keys().find(|id| id.as_str() == only);
    found.cloned().map(Some).ok_or_else(|| {
        let mut known: Vec<&str> = forms.keys().map(ConnectorId::as_str).collect();
        known.sort_unstable();
        Failure::Usage(format!(
            "no connector `{only}` is configured; there are: {}",
            known.join(", ")
        ))
    })
}

async fn known(
    broker: &Broker,
    only: Option<&ConnectorId>,
    user: &str,
) -> Result<Vec<PersonRecord>, Failure> {
    let what = format!("looking for {user}");
    let found = while_waiting(&what, broker.person(only, user)).await?;
    for sentence in &found.missing {
        note(&format!("warning: {}", printable(sentence)));
    }
    if found.items.is_empty() {
        let place = only.map_or_else(|| "any connector".to_owned(), |id| format!("`{id}`"));
        let here = "nobody of that name signed in here";
        let fact = if found.missing.is_empty() {
            format!("nobody is called `{user}` in {place}, and {here}")
        } else {
            format!("`{user}` could not be looked for everywhere, and {here}")
        };
        return Err(Failure::Refused(format!(
            "{fact}; --group explains somebody with groups that you name"
        )));
    }
    Ok(found.items)
}

/// Somebody with just the groups that were given.
fn hypothetical(
    installation: &Installation,
    only: Option<ConnectorId>,
    arguments: &Arguments,
    broker: &Broker,
) -> Result<PersonRecord, Failure> {
    let forms = installation.group_forms();
    let group = |text: &String| -> Result<Group, Failure> {
        let key = reference::group(text, &forms)?;
        // Rules match the name as it is written, mappings the key.
        let name = text.split_once(':').map_or("", |(_, name)| name);
        Ok(Group {
            name: name.to_owned(),
            stable_id: None,
            through: None,
            key,
        })
    };
    let groups: Vec<Group> = arguments
        .groups
        .iter()
        .map(group)
        .collect::<Result<_, _>>()?;
    let of_first = |key: &GroupKey| key.connector().parse::<ConnectorId>().ok();
    let first = groups.first().and_then(|group| of_first(&group.key));
    let Some(connector) = only.or(first) else {
        return Err(Failure::Usage("--connector names no connector".to_owned()));
    };
    let configured = &installation.config.connectors;
    let kind = configured
        .iter()
        .find(|configured| configured.id == connector.as_str());
    let method = match kind.map(|configured| &configured.kind) {
        Some(ConnectorKind::Saml(_)) => AuthenticationMethod::Saml,
        Some(ConnectorKind::Oidc(_)) => AuthenticationMethod::Oidc,
        Some(ConnectorKind::Ldap(_)) | None => AuthenticationMethod::Password,
    };
    let now = broker.now();
    Ok(PersonRecord {
        identity: Identity {
            connector,
            subject: arguments.user.clone(),
            username: arguments.user.clone(),
            display_name: None,
            email: None,
            entry_dn: None,
            groups,
            groups_read_at: now,
            authenticated_at: now,
            method,
            authentication_context: None,
            asserted_roles: Vec::new(),
        },
        basis: Basis::Given,
        seen_at: None,
        missing: Vec::new(),
    })
}

fn refused(error: ExplainRefused) -> Failure {
    match error {
        ExplainRefused::UnknownRole(message) => Failure::Refused(message),
        ExplainRefused::StoreUnavailable(error) => error.into(),
    }
}
