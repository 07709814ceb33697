//! `rolegate audit`: one file per group of commands. Entry point: [`run`].

mod checkpoints;
mod cloudtrail;
mod export;
mod retirement;
mod verify;

use std::{
    io::{self, Write},
    path::Path,
};

use clap::Subcommand;
use time::{
    Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description,
};

use super::{
    Failure,
    installation::Installation,
    output::{self, Format, OutputArguments, Table},
    progress::note,
    reference, row,
};
use crate::{
    access::PolicyTables,
    audit::{Action, Actor, Outcome},
    clock::{Clock, SystemClock},
    store::{AuditFilter, AuditLog, AuditRow, PolicyStore},
};

/// How many rows are read at a time.
const PAGE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List rows, newest first
    List(ListArguments),
    /// Verify the hash chain, and on request checkpoints and CloudTrail: 0 only if all of it holds
    Verify(verify::Arguments),
    /// Write rows to standard output, oldest first, as JSON lines or CSV
    Export(export::Arguments),
    /// Make a key that signs checkpoints, and print the public half
    Key(checkpoints::KeyArguments),
    /// Sign a checkpoint of the log now, and print it
    Checkpoint,
    /// Erase what old rows say and about whom; their hashes stay, and the chain holds
    Erase(retirement::EraseArguments),
    /// Drop old rows altogether; the chain then begins behind a signed checkpoint
    Drop(retirement::DropArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct FilterArguments {
    /// By user name, or stable id
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// By account: its id, name or alias
    #[arg(long)]
    account: Option<String>,
    /// By role: its ARN, or ACCOUNT/ROLE
    #[arg(long)]
    role: Option<String>,
    /// By action, such as `sign_in` or `console.open`
    #[arg(long, value_parser = action)]
    action: Option<Action>,
    /// By outcome: intent, ok, refused, failed or unknown
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Not before: 2027-01-31, 2027-01-31T08:00:00Z, or 24h ago as 24h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<OffsetDateTime>,
    /// Before, in the same forms
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<OffsetDateTime>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    filter: FilterArguments,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    output: OutputArguments,
}

fn action(text: &str) -> Result<Action, String> {
    named(text, Action::ALL.map(|action| (action.as_str(), action)))
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let all = [
        Outcome::Intent,
        Outcome::Ok,
        Outcome::Refused,
        Outcome::Failed,
        Outcome::Unknown,
    ];
    named(text, all.map(|outcome| (outcome.as_str(), outcome)))
}

fn named<T: Copy, const N: usize>(text: &str, all: [(&str, T); N]) -> Result<T, String> {
    let found = all.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("there are: {}", names.join(", "))
    })
}

/// Reads a moment, a day (its beginning in UTC), or how long ago.
pub(super) fn moment(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(at);
    }
    if let Ok(day) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Ok(day.midnight().assume_utc());
    }
    let ago = humantime::parse_duration(text).ok();
    ago.and_then(|ago| time::Duration::try_from(ago).ok())
        .and_then(|ago| SystemClock.now().checked_sub(ago))
        .ok_or_else(|| "write 2027-01-31, 2027-01-31T08:00:00Z, or 24h for 24 hours ago".to_owned())
}

impl FilterArguments {
    fn filter(&self, tables: &PolicyTables) -> Result<AuditFilter, Failure> {
        let account = self.account.as_deref();
        let account = account
            .map(|text| reference::account_id(text, tables))
            .transpose()?;
        // The log outlives the table: an ARN need not be in it any more.
        let role = match self.role.as_deref() {
            Some(arn) if arn.starts_with("arn:") => Some(arn.to_owned()),
            Some(text) => Some(reference::role(text, tables)?.to_string()),
            None => None,
        };
        Ok(AuditFilter {
            person: self.person.clone(),
            account: account.map(|id| id.to_string()),
            role,
            actions: self.action.into_iter().collect(),
            outcome: self.outcome,
            since: self.since,
            until: self.until,
            row: None,
            edit: None,
            before: None,
            after: None,
            limit: PAGE,
        })
    }
}

pub(super) async fn run(file: Option<&Path>, command: Command) -> Result<(), Failure> {
    let out = &mut io::stdout().lock();
    match command {
        Command::Verify(arguments) => return verify::run(file, &arguments, out).await,
        Command::Key(arguments) => return checkpoints::make_key(&arguments, out),
        _ => {}
    }
    let installation = Installation::load(file)?;
    let store = installation.open_store().await?;
    let done = match command {
        Command::List(arguments) => {
            let mut filter = arguments.filter.filter(&store.tables().await?)?;
            filter.limit = arguments.limit;
            let rows = store.audit_rows(&filter).await?;
            list(&rows, arguments.output.output, out)
        }
        Command::Export(arguments) => {
            let filter = arguments.filter.filter(&store.tables().await?)?;
            export::run(store.as_ref(), filter, &arguments, out).await
        }
        Command::Checkpoint => checkpoints::sign(&installation, store.as_ref(), out).await,
        Command::Erase(arguments) => retirement::erase(store.as_ref(), &arguments, out).await,
        Command::Drop(arguments) => {
            retirement::drop_rows(&installation, store.as_ref(), &arguments, out).await
        }
        Command::Verify(_) | Command::Key(_) => Ok(()),
    };
    store.close().await;
    done
}

fn list(rows: &[AuditRow], format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json_array(out, rows);
    }
    let header = [
        "SEQ", "AT", "ACTION", "OUTCOME", "WHO", "FROM", "WHAT", "REASON",
    ];
    let mut table = Table::new(&header);
    for AuditRow { seq, event, .. } in rows {
        let what = event.role.clone().or_else(|| event.account.clone());
        table.push([
            seq.to_string(),
            row::instant(event.at),
            event.action.as_str().to_owned(),
            event.outcome.as_str().to_owned(),
            who(&event.actor),
            event
                .client_address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            what.unwrap_or_default(),
            event.reason.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        note("no row of the audit log matches");
        return Ok(());
    }
    Ok(table.write(out)?)
}

pub(super) fn who(actor: &Actor) -> String {
    match actor {
        Actor::Person {
            connector,
            subject,
            username,
        } => {
            let name = username.as_deref().or(subject.as_deref()).unwrap_or("?");
            format!("{connector}:{name}")
        }
        Actor::Host { uid } => format!("host:{uid}"),
        Actor::File { hash } => format!("file:{}", hash.get(..12).unwrap_or(hash)),
        Actor::System => "rolegate".to_owned(),
    }
}
