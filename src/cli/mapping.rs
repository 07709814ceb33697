//! `rolegate mapping`. Entry point: [`run`].

use std::{
    io::{self, Write},
    path::Path,
};

use clap::Subcommand;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{
    Failure,
    edit::{Edit, EditArguments, warn},
    history,
    import::{self, ExportArguments, Kind},
    installation::Installation,
    output::{self, Format, OutputArguments, Table},
    preview,
    progress::note,
    reference, review,
    role::warn_about,
    row::{self, Row},
};
use crate::{
    access::{Conditions, Mapping, MappingId, Origin, PolicyTables, SessionDuration},
    clock::{Clock, SystemClock},
    store::{Change, PolicyStore},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the mappings and the pattern rules
    List(ListArguments),
    /// Let a group open a role, or replace how it may
    Add(AddArguments),
    /// End a mapping or a rule
    Remove(RemoveArguments),
    /// Add or replace the accounts, roles, mappings and rules of a file
    Import(import::MappingImportArguments),
    /// Say who gains and who loses by an import, and change nothing
    Preview(preview::PreviewArguments),
    /// List what was changed, newest first, with before and after
    History(history::ListArguments),
    /// Take back one change, or a whole edit or import
    Undo(history::UndoArguments),
    /// Write who can open what, by which row, for an access review
    Review(review::ReviewArguments),
    /// Write all accounts, roles, mappings and rules to standard output, as import reads them
    Export(ExportArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// Only those of this group, such as corp:cn=dev,ou=groups,dc=example,dc=com
    #[arg(long, value_name = "CONNECTOR:NAME")]
    group: Option<String>,
    /// Only those that give this role: its ARN, or ACCOUNT/ROLE
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArguments {
    /// Who, such as corp:cn=dev,ou=groups,dc=example,dc=com
    #[arg(long, value_name = "CONNECTOR:NAME")]
    group: String,
    /// What they may open: its ARN, or ACCOUNT/ROLE
    #[arg(long)]
    role: String,
    /// The end, with a time zone, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    expires: Option<OffsetDateTime>,
    /// The ticket or note that explains it
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    /// The longest role session it gives, such as 45m or 4h
    #[arg(long, value_name = "DURATION")]
    max_duration: Option<SessionDuration>,
    /// Give the role under AWS's `ReadOnlyAccess`
    #[arg(long)]
    read_only: bool,
    /// Ask the person why, for the audit log
    #[arg(long)]
    require_reason: bool,
    #[command(flatten)]
    edit: EditArguments,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "rolegate mapping remove [OPTIONS] <ID>\n       \
                            rolegate mapping remove [OPTIONS] --group <CONNECTOR:NAME> --role <ROLE>")]
pub(super) struct RemoveArguments {
    /// Its id, as `mapping list` shows it
    #[arg(required_unless_present_all = ["group", "role"], conflicts_with_all = ["group", "role"])]
    id: Option<String>,
    /// Its group, together with --role
    #[arg(long, value_name = "CONNECTOR:NAME", requires = "role")]
    group: Option<String>,
    /// Its role, together with --group
    #[arg(long, requires = "group")]
    role: Option<String>,
    #[command(flatten)]
    edit: EditArguments,
}

/// Reads a moment; without a zone it would mean something else elsewhere.
fn instant(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "write a date with time and zone, such as 2027-01-31T00:00:00Z".to_owned())
}

pub(super) async fn run(file: Option<&Path>, command: Command) -> Result<(), Failure> {
    let installation = Installation::load(file)?;
    let store = installation.open_store().await?;
    let out = &mut io::stdout().lock();
    match command {
        Command::List(arguments) => {
            let tables = installation.all_tables(store.as_ref()).await?;
            list(&installation, tables, &arguments, out)
        }
        Command::Add(arguments) => add(&installation, store.as_ref(), arguments, out).await,
        Command::Remove(arguments) => remove(&installation, store.as_ref(), &arguments, out).await,
        Command::Import(arguments) => {
            import::run_mappings(&installation, store.as_ref(), &arguments, out).await
        }
        Command::Preview(arguments) => {
            preview::run(&installation, store.as_ref(), &arguments, out).await
        }
        Command::History(arguments) => {
            history::list(&installation, store.as_ref(), &arguments, out).await
        }
        Command::Undo(arguments) => {
            history::undo(&installation, store.as_ref(), &arguments, out).await
        }
        Command::Review(arguments) => {
            review::run(&installation, store.as_ref(), &arguments, out).await
        }
        Command::Export(arguments) => {
            import::export(store.tables().await?, Kind::Mapping, arguments, out)
        }
    }
}

fn list(
    installation: &Installation,
    mut tables: PolicyTables,
    arguments: &ListArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if let Some(role) = &arguments.role {
        let role = reference::role(role, &tables)?;
        tables.mappings.retain(|mapping| mapping.role == role);
        tables.rules.clear();
    }
    if let Some(group) = &arguments.group {
        let group = reference::group(group, &installation.group_forms())?;
        tables.mappings.retain(|mapping| mapping.group == group);
        tables.rules.clear();
    }
    if arguments.output.output == Format::Json {
        let rules = tables.rules.iter().map(Row::from);
        let rows: Vec<Row> = tables.mappings.iter().map(Row::from).chain(rules).collect();
        return output::json_array(out, &rows);
    }
    let now = SystemClock.now();
    let mut table = Table::new(&["ID", "GROUP", "ROLE", "CONDITIONS", "TICKET"]);
    for mapping in &tables.mappings {
        table.push([
            mapping.id.to_string(),
            mapping.group.to_string(),
            mapping.role.to_string(),
            row::conditions(&mapping.conditions, now),
            mapping.ticket.clone().unwrap_or_default(),
        ]);
    }
    for rule in &tables.rules {
        table.push([
            rule.id.to_string(),
            format!("{}:{}", rule.connector, rule.group_pattern),
            rule.role.clone(),
            row::conditions(&rule.conditions, now),
            rule.ticket.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        let is_filtered = arguments.role.is_some() || arguments.group.is_some();
        note(if is_filtered {
            "no mapping matches; a pattern rule may still give the role"
        } else {
            "there are no mappings; add one with `rolegate mapping add --group GROUP --role ROLE`"
        });
        return Ok(());
    }
    Ok(table.write(out)?)
}

async fn add(
    installation: &Installation,
    store: &dyn PolicyStore,
    arguments: AddArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = store.tables().await?;
    let mapping = Mapping {
        id: MappingId(Uuid::now_v7().to_string()),
        group: reference::group(&arguments.group, &installation.group_forms())?,
        role: reference::role(&arguments.role, &before)?,
        conditions: Conditions {
            expires: arguments.expires,
            max_duration: arguments.max_duration,
            read_only: arguments.read_only,
            require_reason: arguments.require_reason,
            ..Conditions::default()
        }
        .as_kept(),
        ticket: arguments.ticket,
        origin: Origin::Store,
    };
    let row = PolicyTables {
        mappings: vec![mapping.clone()],
        ..PolicyTables::default()
    };
    import::judge(&row, installation)?;
    let is_expired = mapping.conditions.is_expired(SystemClock.now());
    let role = mapping.role.clone();
    let edit = Edit {
        store,
        before: &before,
        changes: vec![Change::PutMapping(mapping)],
    };
    edit.make(&arguments.edit, out).await?;
    if is_expired {
        warn("its end lies in the past, so it gives nothing");
    }
    warn_about(&[role.as_str()], store.tables().await?, installation);
    Ok(())
}

async fn remove(
    installation: &Installation,
    store: &dyn PolicyStore,
    arguments: &RemoveArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = store.tables().await?;
    let change = match (&arguments.id, &arguments.group, &arguments.role) {
        (None, Some(group), Some(role)) => {
            let group = reference::group(group, &installation.group_forms())?;
            let role = reference::role(role, &before)?;
            let found = (before.mappings.iter())
                .find(|mapping| mapping.group == group && mapping.role == role);
            found
                .map(|mapping| Change::EndMapping(mapping.id.clone()))
                .ok_or_else(|| Failure::Refused(format!("no mapping gives {role} to {group}")))?
        }
        (id, ..) => row_with_id(id.as_deref().unwrap_or_default(), &before)?,
    };
    let edit = Edit {
        store,
        before: &before,
        changes: vec![change],
    };
    edit.make(&arguments.edit, out).await?;
    Ok(())
}

fn row_with_id(id: &str, tables: &PolicyTables) -> Result<Change, Failure> {
    let id = MappingId(id.to_owned());
    if tables.mappings.iter().any(|mapping| mapping.id == id) {
        Ok(Change::EndMapping(id))
    } else if tables.rules.iter().any(|rule| rule.id == id) {
        Ok(Change::EndRule(id))
    } else if id.0.starts_with("file:") {
        Err(Failure::Refused(format!(
            "{id} is a row of the mapping file: remove it there"
        )))
    } else {
        Err(Failure::Refused(format!(
            "no mapping or rule has the id `{id}`; `rolegate mapping list` shows what there is"
        )))
    }
}
