//! `rolegate mapping history` and `rolegate mapping undo`. Entry points: [`list`], [`undo`].

use std::{io::Write, sync::Arc};

use serde_json::{Value, json};

use super::{
    Failure,
    audit::who,
    edit::{Edit, EditArguments},
    failure::with_causes,
    installation::{Installation, host_actor},
    output::{Format, OutputArguments, Table, json_array},
    progress::note,
    reference, row,
};
use crate::{
    access::{GroupKey, MappingId, Row, RowName, TargetArn},
    app,
    audit::{Action, AuditEvent, Outcome},
    broker::{Broker, EditRefused, HistoryEntry, HistoryFilter, Undo},
    clock::{self, Clock, SystemClock},
    store::PolicyStore,
};

/// How many rows of the log are read at a time.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// Of one mapping or rule, by its id
    #[arg(long, value_name = "ID", visible_alias = "row")]
    mapping: Option<String>,
    /// Of a role and the mappings that give it: its ARN, or ACCOUNT/ROLE
    #[arg(long)]
    role: Option<String>,
    /// Of the mappings of a group
    #[arg(long, value_name = "CONNECTOR:NAME")]
    group: Option<String>,
    /// By whom, by user name or stable id
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// Of one edit
    #[arg(long, value_name = "ID")]
    edit: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, clap::Args)]
pub(super) struct UndoArguments {
    /// A change, by its number in `mapping history`; or a whole edit or import, by its id
    #[arg(value_name = "SEQ|EDIT")]
    what: String,
    #[command(flatten)]
    edit: EditArguments,
}

async fn broker(installation: &Installation) -> Result<Arc<Broker>, Failure> {
    let broker = app::broker(&installation.config, clock::system()).await;
    broker.map_err(|error| Failure::Refused(with_causes(&error)))
}

pub(super) async fn list(
    installation: &Installation,
    store: &dyn PolicyStore,
    arguments: &ListArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let role = match arguments.role.as_deref() {
        // The log outlives the table: an ARN need not be in it any more.
        Some(arn) if arn.starts_with("arn:") => {
            let parsed: Result<TargetArn, _> = arn.parse();
            Some(parsed.map_err(|error| Failure::Usage(with_causes(&error)))?)
        }
        Some(text) => Some(reference::role(text, &store.tables().await?)?),
        None => None,
    };
    let forms = installation.group_forms();
    let group = arguments.group.as_deref();
    let group = group
        .map(|text| reference::group(text, &forms))
        .transpose()?;
    let broker = broker(installation).await?;
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let mut found: Vec<HistoryEntry> = Vec::new();
    let mut before = None;
    loop {
        let page = broker
            .history(&HistoryFilter {
                row: None,
                edit: arguments.edit.clone(),
                person: arguments.person.clone(),
                before,
                limit: PAGE,
            })
            .await?;
        let Some(last) = page.last() else { break };
        before = Some(last.seq);
        found.extend(page.into_iter().filter(|entry| {
            arguments
                .mapping
                .as_ref()
                .is_none_or(|id| has_id(entry, id))
                && role.as_ref().is_none_or(|role| is_about(entry, role))
                && group.as_ref().is_none_or(|group| names(entry, group))
        }));
        if found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    write(&found, arguments.output.output, out)
}

fn has_id(entry: &HistoryEntry, id: &str) -> bool {
    match &entry.row {
        Some(RowName::Mapping(MappingId(found)) | RowName::Rule(MappingId(found))) => found == id,
        Some(RowName::Account(found)) => found.as_str() == id,
        Some(RowName::Role(found)) => found.as_str() == id,
        None => false,
    }
}

fn sides(entry: &HistoryEntry) -> impl Iterator<Item = &Row> {
    [&entry.before, &entry.after].into_iter().flatten()
}

fn is_about(entry: &HistoryEntry, role: &TargetArn) -> bool {
    sides(entry).any(|side| match side {
        Row::Role(row) => row.arn == *role,
        Row::Mapping(row) => row.role == *role,
        Row::Account(_) | Row::Rule(_) => false,
    })
}

fn names(entry: &HistoryEntry, group: &GroupKey) -> bool {
    sides(entry).any(|side| matches!(side, Row::Mapping(row) if row.group == *group))
}

fn write(found: &[HistoryEntry], format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    if format == Format::Json {
        let rows: Vec<Value> = found.iter().map(as_json).collect();
        return json_array(out, &rows);
    }
    let mut table = Table::new(&["SEQ", "WHEN", "WHO", "CHANGE", "REASON", "EDIT"]);
    for entry in found {
        let by = match &entry.approved_by {
            Some(second) => format!("{}, approved by {}", who(&entry.by), who(second)),
            None => who(&entry.by),
        };
        table.push([
            entry.seq.to_string(),
            row::instant(entry.at),
            by,
            change(entry),
            entry.reason.clone().unwrap_or_default(),
            entry.edit.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        note("no change matches");
        return Ok(());
    }
    Ok(table.write(out)?)
}

fn as_json(entry: &HistoryEntry) -> Value {
    json!({
        "seq": entry.seq,
        "at": row::instant(entry.at),
        "action": entry.action,
        "by": entry.by,
        "approved_by": entry.approved_by,
        "reason": entry.reason,
        "row": entry.row,
        "before": entry.before,
        "after": entry.after,
        "edit": entry.edit,
        "undoes": entry.undoes,
    })
}

/// What a change did, in words.
fn change(entry: &HistoryEntry) -> String {
    let undone = entry
        .undoes
        .as_ref()
        .map(|edit| format!(" (takes back {edit})"));
    let told = match (&entry.before, &entry.after) {
        (None, Some(after)) => format!("added {}", after.title()),
        (Some(before), None) => format!("removed {}", before.title()),
        (Some(before), Some(after)) => {
            let changes = row::Row::from(before).changes_to(&row::Row::from(after));
            format!("changed {}: {}", after.title(), changes.join("; "))
        }
        (None, None) => entry.action.as_str().to_owned(),
    };
    told + &undone.unwrap_or_default()
}

/// Takes one change or a whole edit back, where nobody changed its rows since.
pub(super) async fn undo(
    installation: &Installation,
    store: &dyn PolicyStore,
    arguments: &UndoArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let broker = broker(installation).await?;
    let what = match arguments.what.parse() {
        Ok(seq) => Undo::Change(seq),
        Err(_) => Undo::Edit(arguments.what.clone()),
    };
    let draft = broker.undo(&what).await.map_err(|error| match error {
        EditRefused::NotFound(what) => Failure::Refused(format!(
            "{what} does not exist; `rolegate mapping history` shows what there is"
        )),
        EditRefused::StoreUnavailable(error) => error.into(),
        other => Failure::Refused(other.to_string()),
    })?;
    let before = store.tables().await?;
    let mut conflicts = Vec::new();
    for (name, seen) in &draft.seen {
        let now = before.row(name);
        if now.as_ref().map(Row::revision) != *seen {
            conflicts.push(conflict(&broker, name, now.as_ref()).await?);
        }
    }
    match conflicts.len() {
        0 => {}
        1 => return Err(Failure::Refused(conflicts.remove(0))),
        _ => return Err(Failure::Problems(conflicts, super::edit::NOTHING_CHANGED)),
    }
    let undoes = draft.undoes.clone();
    let actor = host_actor()?;
    let told = undoes.clone().unwrap_or_else(|| arguments.what.clone());
    let announced = AuditEvent::new(
        SystemClock.now(),
        Action::EditUndo,
        Outcome::Ok,
        actor.clone(),
    );
    let mut announced = announced.with("undoes", told);
    if let Some(reason) = &arguments.edit.reason {
        announced = announced.with("reason", reason.clone());
    }
    let edit = Edit {
        store,
        before: &before,
        changes: draft.changes,
    };
    edit.make_with(&arguments.edit, out, |context| {
        context.undoes = undoes;
        context.at_version = Some(before.version);
        context.announced_by = vec![announced];
    })
    .await?;
    Ok(())
}

/// Who changed a row that was to be taken back.
async fn conflict(broker: &Broker, name: &RowName, now: Option<&Row>) -> Result<String, Failure> {
    let last = broker
        .history(&HistoryFilter {
            row: Some(name.clone()),
            limit: 1,
            ..HistoryFilter::default()
        })
        .await?;
    let title = match (now, last.first().and_then(|entry| sides(entry).last())) {
        (Some(row), _) | (None, Some(row)) => row.title(),
        (None, None) => format!("{name:?}"),
    };
    Ok(match last.first() {
        Some(entry) => format!(
            "{title} was changed since, by {} at {} (row {} of the log): take that back first",
            who(&entry.by),
            row::instant(entry.at),
            entry.seq
        ),
        None => format!("{title} was changed since: look at it first"),
    })
}
