//! `rolegate mapping review`: who can open what, to take away for an access review. Entry point:
//! [`run`].

use std::{
    collections::{BTreeSet, HashMap},
    io::Write,
};

use clap::ValueEnum;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    Failure,
    failure::with_causes,
    installation::{Installation, host_actor},
    output::{counted, json_array},
    progress::{note, while_waiting},
    reference, row,
};
use crate::{
    app,
    audit::{Action, AuditEvent, Outcome},
    broker::{AccessRow, ReviewScope},
    clock::{self, Clock, SystemClock},
    store::{AuditLog, PersonStore, PolicyStore, StoreError},
};

/// How many of a person's role sessions are looked through for the latest of each role.
const SESSIONS_EACH: u32 = 1_000;
const COLUMNS: [&str; 15] = [
    "connector",
    "username",
    "display_name",
    "email",
    "subject",
    "account",
    "account_name",
    "role",
    "protected",
    "kind",
    "row",
    "group",
    "conditions",
    "last_opened",
    "groups_read_at",
];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ReviewFormat {
    #[default]
    Csv,
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReviewArguments {
    /// Only the roles of this account: its id, name or alias
    #[arg(long)]
    account: Option<String>,
    /// Only this role: its ARN, or ACCOUNT/ROLE
    #[arg(long)]
    role: Option<String>,
    /// How to write the list
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ReviewFormat,
}

/// One line, with when the person last opened the role.
struct Line {
    row: AccessRow,
    last_opened: Option<OffsetDateTime>,
}

pub(super) async fn run<S: PolicyStore + PersonStore + AuditLog>(
    installation: &Installation,
    store: &S,
    arguments: &ReviewArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let tables = installation.all_tables(store).await?;
    let account = arguments.account.as_deref();
    let account = account
        .map(|text| reference::account_id(text, &tables))
        .transpose()?;
    let role = arguments.role.as_deref();
    let role = role
        .map(|text| reference::role(text, &tables))
        .transpose()?;
    let broker = app::broker(&installation.config, clock::system())
        .await
        .map_err(|error| Failure::Refused(with_causes(&error)))?;
    let reading = async {
        let mut rows = broker.access_rows(&ReviewScope::default()).await?;
        rows.retain(|found| {
            account.as_ref().is_none_or(|id| found.account == *id)
                && role.as_ref().is_none_or(|arn| found.role == *arn)
        });
        with_last_opened(store, rows).await
    };
    let lines = while_waiting("reading who can open what", reading).await?;
    // What is taken away is noted first.
    let event = AuditEvent::new(
        SystemClock.now(),
        Action::Export,
        Outcome::Ok,
        host_actor()?,
    );
    let event = event
        .with("what", "access_review")
        .with("rows", lines.len());
    store.append(&event).await?;
    let people: BTreeSet<(&str, &str)> = (lines.iter())
        .map(|line| (line.row.connector.as_str(), line.row.subject.as_str()))
        .collect();
    note(&format!(
        "{} of {}; whoever never signed in here is not among them, and groups are as last seen",
        counted(lines.len(), "line"),
        if people.len() == 1 {
            "1 person".to_owned()
        } else {
            format!("{} people", people.len())
        },
    ));
    match arguments.output {
        ReviewFormat::Json => {
            let rows: Vec<Value> = lines.iter().map(as_json).collect();
            json_array(out, &rows)
        }
        ReviewFormat::Csv => write_csv(&lines, out),
    }
}

async fn with_last_opened<S: PersonStore>(
    store: &S,
    rows: Vec<AccessRow>,
) -> Result<Vec<Line>, StoreError> {
    let mut opened: HashMap<(String, String), HashMap<String, OffsetDateTime>> = HashMap::new();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let person = (row.connector.to_string(), row.subject.clone());
        if !opened.contains_key(&person) {
            let sessions = store
                .role_sessions(&person.0, &person.1, SESSIONS_EACH)
                .await?;
            let mut latest = HashMap::new();
            // Newest first.
            for session in sessions {
                latest.entry(session.role).or_insert(session.started_at);
            }
            opened.insert(person.clone(), latest);
        }
        let last_opened = opened.get(&person);
        let last_opened = last_opened.and_then(|of| of.get(row.role.as_str()).copied());
        lines.push(Line { row, last_opened });
    }
    Ok(lines)
}

/// A line by column.
fn cells(line: &Line) -> [String; COLUMNS.len()] {
    let Line { row, last_opened } = line;
    let kind = match (&row.group, row.is_rule) {
        (None, _) => "asserted",
        (_, true) => "rule",
        (_, false) => "mapping",
    };
    [
        row.connector.to_string(),
        row.username.clone(),
        row.display_name.clone().unwrap_or_default(),
        row.email.clone().unwrap_or_default(),
        row.subject.clone(),
        row.account.to_string(),
        row.account_name.clone(),
        row.role.to_string(),
        row.is_protected.to_string(),
        kind.to_owned(),
        row.row.to_string(),
        row.group
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        row::conditions(&row.conditions, SystemClock.now()),
        last_opened.map(row::instant).unwrap_or_default(),
        row::instant(row.groups_read_at),
    ]
}

fn as_json(line: &Line) -> Value {
    let cells = COLUMNS.iter().zip(cells(line));
    let mut object: serde_json::Map<String, Value> = cells
        .map(|(column, cell)| {
            let value = if cell.is_empty() {
                Value::Null
            } else {
                Value::from(cell)
            };
            ((*column).to_owned(), value)
        })
        .collect();
    object.insert("protected".to_owned(), line.row.is_protected.into());
    object.insert("conditions".to_owned(), json!(line.row.conditions));
    Value::Object(object)
}

fn write_csv(lines: &[Line], out: &mut dyn Write) -> Result<(), Failure> {
    write!(out, "{}\r\n", COLUMNS.join(","))?;
    for line in lines {
        let cells = cells(line).map(|cell| quoted(&cell));
        write!(out, "{}\r\n", cells.join(","))?;
    }
    Ok(())
}

/// A cell as RFC 4180 writes it. What a spreadsheet would take for a formula is led by an
/// apostrophe, for the names come from directories.
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let lead = if is_formula { "'" } else { "" };
    if is_formula || cell.contains(['"', ',', '\r', '\n', ';']) {
        format!("\"{lead}{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn no_cell_ends_early_or_becomes_a_formula() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(quoted("=1+1"), "\"'=1+1\"");
        assert_eq!(quoted("@x"), "\"'@x\"");
    }
}
