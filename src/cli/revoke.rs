//! `rolegate revoke`: end role sessions that AWS has issued. Entry point: [`run`].

use std::{
    io::{self, Write},
    path::Path,
};

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    Failure,
    failure::with_causes,
    installation::{Installation, host_actor},
    output::{self, Format, OutputArguments, Table, counted, printable},
    progress::{note, while_waiting},
    reference, row,
};
use crate::{
    access::{ConnectorId, revocation::RevocationPolicy},
    app,
    broker::{
        Broker, CANNOT_BE_UNDONE, PlannedRole, Reach, RevocationPlan, RevocationRecord,
        RevokeAnswer, RevokeOrder, RevokeRefused, RevokedBy, RoleAnswer, TAKES_EFFECT, Whom,
        WrittenHow,
    },
    clock,
};

const EXIT_CODES: &str = "Exit codes: 0 the policy is at every role; 1 refused, or it still has to \
                          be written at some role; 2 wrong usage or configuration.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// End all role sessions of a person, and their sign-ins here
    #[command(after_help = EXIT_CODES)]
    Person(Person),
    /// End one role session by its id, and with it the person's others of that role
    #[command(after_help = EXIT_CODES)]
    Session(Session),
    /// End everybody's sessions of a role
    #[command(after_help = EXIT_CODES)]
    Role(Role),
    /// List what was revoked, and how far that came at AWS
    List(OutputArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct Person {
    /// Whose: a user name or a stable id
    user: String,
    /// Where the person signs in; needed where more than one place knows the name
    #[arg(long, value_name = "ID")]
    connector: Option<String>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
pub(super) struct Session {
    /// The id of the role session, which is the intent's id in the audit log
    id: String,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
pub(super) struct Role {
    /// The role: its ARN, or ACCOUNT/ROLE
    role: String,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the policies that would be written; nothing is ended and nothing recorded
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) async fn run(file: Option<&Path>, command: Command) -> Result<(), Failure> {
    let installation = Installation::load(file)?;
    let broker = app::broker(&installation.config, clock::system())
        .await
        .map_err(|error| Failure::Refused(with_causes(&error)))?;
    let out = &mut io::stdout().lock();
    let (whom, options) = match command {
        Command::List(arguments) => return list(&broker, arguments.output, out).await,
        Command::Person(person) => {
            let whom = whom(&installation, &broker, &person).await?;
            (whom, person.options)
        }
        Command::Session(session) => (Whom::RoleSession(session.id), session.options),
        Command::Role(role) => {
            // What is not in the table any more may still have sessions.
            let arn = match role.role.parse() {
                Ok(arn) => arn,
                Err(_) => reference::role(&role.role, broker.tables().await?.as_ref())?,
            };
            (Whom::Role(arn), role.options)
        }
    };
    revoke(&broker, whom, options, out).await
}

async fn revoke(
    broker: &Broker,
    whom: Whom,
    options: Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let by = RevokedBy::Host(host_actor()?);
    let format = options.output.output;
    if options.print {
        let plan = broker.plan_revocation(&whom, by, None);
        let plan = while_waiting("composing", plan).await.map_err(refused)?;
        return print(&plan, format, out);
    }
    let order = RevokeOrder {
        whom,
        reason: options.reason,
    };
    let revoking = broker.revoke(&order, by, None);
    let answer = while_waiting("revoking", revoking).await.map_err(refused)?;
    match format {
        Format::Json => output::json_array(out, &[as_json(&answer)])?,
        Format::Text => tell(&answer, out)?,
    }
    let is_everywhere = (answer.roles.iter()).all(|role| role.reach == Reach::Applied);
    if is_everywhere {
        Ok(())
    } else {
        Err(Failure::Told(1))
    }
}

/// The person whom a name means; more than one is a question back.
async fn whom(
    installation: &Installation,
    broker: &Broker,
    person: &Person,
) -> Result<Whom, Failure> {
    let only = connector(installation, person.connector.as_deref())?;
    let looking = broker.person(only.as_ref(), &person.user);
    let found = while_waiting(&format!("looking for {}", person.user), looking).await?;
    for sentence in &found.missing {
        note(&format!("warning: {}", printable(sentence)));
    }
    let mut people = found.items.into_iter().map(|record| record.identity);
    match (people.next(), people.next()) {
        (Some(identity), None) => Ok(Whom::Person {
            connector: identity.connector,
            subject: identity.subject,
        }),
        (None, _) => Err(Failure::Refused(format!(
            "nobody is called `{}`, and nobody of that name signed in here; nothing was ended",
            person.user
        ))),
        (Some(one), Some(other)) => Err(Failure::Usage(format!(
            "`{}` means {} at {} and {} at {}; --connector says which, or name the stable id",
            person.user, one.subject, one.connector, other.subject, other.connector
        ))),
    }
}

fn connector(
    installation: &Installation,
    only: Option<&str>,
) -> Result<Option<ConnectorId>, Failure> {
    let Some(only) = only else { return Ok(None) };
    // Somebody of a connector that is gone from the configuration may have sessions still.
    let known = installation.group_forms();
    if let Some(id) = known.keys().find(|id| id.as_str() == only) {
        return Ok(Some(id.clone()));
    }
    only.parse()
        .map(Some)
        .map_err(|_| Failure::Usage(format!("`{only}` cannot be the id of a connector")))
}

fn print(plan: &RevocationPlan, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    if format == Format::Json {
        let roles: Vec<Value> = plan.roles.iter().map(planned_json).collect();
        return output::json_array(out, &roles);
    }
    if plan.roles.is_empty() {
        note(&format!("no session of {} can be left at AWS", plan.whose));
    }
    for planned in &plan.roles {
        writeln!(out, "# {}", planned.role)?;
        if let WrittenHow::Never(why) = &planned.how {
            writeln!(out, "# {why}")?;
        }
        write_policy(planned.policy.as_ref(), "", out)?;
    }
    Ok(())
}

fn tell(answer: &RevokeAnswer, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(
        out,
        "Sessions of {} that were issued before {} are revoked (revocation {}).",
        printable(&answer.whose),
        row::instant(answer.issued_before),
        answer.id
    )?;
    if answer.sign_ins_ended > 0 {
        let count = usize::try_from(answer.sign_ins_ended).unwrap_or(usize::MAX);
        writeln!(out, "{} to Rolegate ended.", counted(count, "sign-in"))?;
    }
    if answer.roles.is_empty() {
        writeln!(
            out,
            "No session of theirs can be left at AWS: no role was opened lately."
        )?;
        return Ok(());
    }
    for role in &answer.roles {
        tell_role(role, out)?;
    }
    let later = answer.later();
    if later > 0 {
        writeln!(
            out,
            "\nNot yet applied at {}. The server tries again every minute, as long as it runs.",
            counted(later, "role")
        )?;
    }
    writeln!(out, "\n{TAKES_EFFECT}")?;
    for sentence in CANNOT_BE_UNDONE {
        writeln!(out, "{sentence}")?;
    }
    Ok(())
}

fn tell_role(answer: &RoleAnswer, out: &mut dyn Write) -> Result<(), Failure> {
    let (word, why) = state(&answer.reach);
    writeln!(out, "\n{word:<8} {}", answer.role)?;
    if let Some(why) = why {
        writeln!(out, "         {}", printable(why))?;
    }
    match &answer.reach {
        Reach::Applied => {
            let coarser = answer.policy.as_ref();
            if let Some(sentence) = coarser.and_then(|policy| policy.coarser.sentence()) {
                writeln!(out, "         {sentence}")?;
            }
            Ok(())
        }
        Reach::Paste => {
            writeln!(
                out,
                "         No aws.revoker_role is configured. Put this inline policy, named \
                 RolegateRevocations, on the role:"
            )?;
            write_policy(answer.policy.as_ref(), "         ", out)
        }
        Reach::Later(_) | Reach::Never(_) => write_policy(answer.policy.as_ref(), "         ", out),
    }
}

fn write_policy(
    policy: Option<&RevocationPolicy>,
    indent: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(policy) = policy else { return Ok(()) };
    if let Some(sentence) = policy.coarser.sentence() {
        writeln!(out, "{indent}# {sentence}")?;
    }
    writeln!(out, "{indent}{}", policy.document)?;
    Ok(())
}

/// A word for scripts and columns, and what there is to say.
fn state(reach: &Reach) -> (&'static str, Option<&str>) {
    match reach {
        Reach::Applied => ("applied", None),
        Reach::Later(why) => ("later", Some(why)),
        Reach::Paste => ("paste", None),
        Reach::Never(why) => ("never", Some(why)),
    }
}

fn policy_json(policy: Option<&RevocationPolicy>) -> Value {
    let parsed = policy.and_then(|policy| serde_json::from_str(&policy.document).ok());
    parsed.unwrap_or(Value::Null)
}

fn coarser_json(policy: Option<&RevocationPolicy>) -> Option<String> {
    policy.and_then(|policy| policy.coarser.sentence())
}

fn planned_json(planned: &PlannedRole) -> Value {
    let (how, why) = match &planned.how {
        WrittenHow::Here => ("here", None),
        WrittenHow::ByHand => ("paste", None),
        WrittenHow::Never(why) => ("never", Some(why)),
    };
    json!({
        "role": planned.role.as_str(),
        "how": how,
        "why": why,
        "policy": policy_json(planned.policy.as_ref()),
        "coarser": coarser_json(planned.policy.as_ref()),
    })
}

fn as_json(answer: &RevokeAnswer) -> Value {
    let roles = answer.roles.iter().map(|role| {
        let (state, why) = state(&role.reach);
        json!({
            "role": role.role.as_str(),
            "state": state,
            "why": why,
            "policy": policy_json(role.policy.as_ref()),
            "coarser": coarser_json(role.policy.as_ref()),
        })
    });
    json!({
        "id": answer.id,
        "whose": answer.whose,
        "issued_before": row::instant(answer.issued_before),
        "expires_at": row::instant(answer.expires_at),
        "sign_ins_ended": answer.sign_ins_ended,
        "roles": roles.collect::<Vec<_>>(),
    })
}

async fn list(broker: &Broker, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let records = broker.revocations().await?;
    if format == Format::Json {
        let rows: Vec<Value> = records.iter().map(record_json).collect();
        return output::json_array(out, &rows);
    }
    let mut table = Table::new(&["ISSUED BEFORE", "WHOSE", "BY", "ROLES", "APPLIED", "ID"]);
    for record in &records {
        let applied = record
            .roles
            .iter()
            .filter(|(_, reach)| *reach == Reach::Applied);
        table.push([
            row::instant(record.issued_before),
            record.whose.clone(),
            record.by.clone(),
            record.roles.len().to_string(),
            applied.count().to_string(),
            record.id.clone(),
        ]);
    }
    if table.is_empty() {
        note("nothing was revoked yet");
        return Ok(());
    }
    Ok(table.write(out)?)
}

fn record_json(record: &RevocationRecord) -> Value {
    let roles = record.roles.iter().map(|(role, reach)| {
        let (state, why) = state(reach);
        json!({ "role": role, "state": state, "why": why })
    });
    json!({
        "id": record.id,
        "whose": record.whose,
        "issued_before": row::instant(record.issued_before),
        "expires_at": row::instant(record.expires_at),
        "by": record.by,
        "reason": record.reason,
        "roles": roles.collect::<Vec<_>>(),
    })
}

fn refused(error: RevokeRefused) -> Failure {
    match error {
        RevokeRefused::StoreUnavailable(error) => error.into(),
        other => Failure::Refused(other.to_string()),
    }
}
