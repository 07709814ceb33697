//! Environment overrides: `ROLEGATE_SECTION__KEY`, array items by id as in
//! `ROLEGATE_CONNECTOR__CORP__BIND_PASSWORD`.
//!
//! They change the document before it is read, so that a variable is checked exactly as the file
//! is. The process environment itself is read by the caller. Entry point: [`apply`].

use std::ffi::OsString;

use super::document::{Node, Origin, Table, Value};
use super::finding::Severity;
use super::reader::{joined, nearest};
use super::report::Report;

const PREFIX: &str = "ROLEGATE_";

/// Arrays of tables by their path, and the key that names their items.
const ARRAYS: [(&str, &str); 4] = [
    ("connector", "id"),
    ("aws.credential_source", "id"),
    ("organisation.environment", "name"),
    ("trusted_issuer", "id"),
];

/// Keys without a section, the only ones whose variable has no `__`.
const TOP_LEVEL: [&str; 1] = ["public_url"];

/// Puts every override into the document; what is not there yet is created.
pub(super) fn apply<N: Into<OsString>, V: Into<OsString>>(
    variables: impl IntoIterator<Item = (N, V)>,
    document: &mut Table,
    report: &Report,
) {
    let mut overrides: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into().into_string().ok()?, value.into())))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    // The process environment has no order; findings should.
    overrides.sort();
    for (name, value) in overrides {
        let key = name[PREFIX.len()..].to_lowercase();
        if !key.contains("__") && !TOP_LEVEL.contains(&key.as_str()) {
            warn_of_near_miss(&name, &key, report);
            continue;
        }
        let origin = Origin::Variable(name);
        let segments: Vec<_> = key.split("__").collect();
        let path = segments.join(".");
        let placed = match value.into_string() {
            _ if segments.contains(&"") => Err("a part of the name is empty".to_owned()),
            Ok(text) => set(document, "", &segments, &text, &origin),
            Err(_) => Err("is not UTF-8".to_owned()),
        };
        if let Err(message) = placed {
            report.tell(Severity::Error, Some(&origin), &path, message);
        }
    }
}

/// Other variables of the prefix belong to the program or, such as `ROLEGATE_PORT`, to Kubernetes.
fn warn_of_near_miss(name: &str, key: &str, report: &Report) {
    if let Some(meant) = nearest(key, TOP_LEVEL.into_iter()) {
        let message = format!(
            "is not read; did you mean {PREFIX}{}?",
            meant.to_uppercase()
        );
        report.tell(
            Severity::Warning,
            Some(&Origin::Variable(name.to_owned())),
            "",
            message,
        );
    }
}

fn set(
    table: &mut Table,
    path: &str,
    segments: &[&str],
    text: &str,
    origin: &Origin,
) -> Result<(), String> {
    let Some((key, rest)) = segments.split_first() else {
        return Ok(());
    };
    let path = joined(path, key);
    if rest.is_empty() {
        let value = Value::Text(text.to_owned());
        table.insert(
            (*key).to_owned(),
            Node {
                value,
                origin: origin.clone(),
            },
        );
        return Ok(());
    }
    let label = ARRAYS
        .iter()
        .find(|(array, _)| *array == path)
        .map(|(_, label)| *label);
    let node = table.entry((*key).to_owned()).or_insert_with(|| Node {
        value: if label.is_some() {
            Value::Array(Vec::new())
        } else {
            Value::Table(Table::new())
        },
        origin: origin.clone(),
    });
    match (&mut node.value, label) {
        (Value::Table(below), None) => set(below, &path, rest, text, origin),
        (Value::Array(items), Some(label)) => {
            let (id, rest) = (rest[0], &rest[1..]);
            if rest.is_empty() {
                return Err(format!(
                    "names no key; write {PREFIX}…__{}__KEY",
                    id.to_uppercase()
                ));
            }
            set(item(items, label, id, origin), &path, rest, text, origin)
        }
        // `[connector]` for `[[connector]]`, which the reader reports.
        (Value::Table(_), Some(_)) => Ok(()),
        (other, _) => Err(format!(
            "{path} is {}, and has no keys below it",
            other.description()
        )),
    }
}

/// The item that a variable's part names, where `_` stands for the `-` a variable cannot have.
fn item<'t>(items: &'t mut Vec<Node>, label: &str, id: &str, origin: &Origin) -> &'t mut Table {
    let is_named = |node: &Node| match &node.value {
        Value::Table(table) => table
            .get(label)
            .and_then(|name| name.value.as_str())
            .is_some_and(|name| name.to_lowercase().replace(['-', ' '], "_") == id),
        _ => false,
    };
    let index = items.iter().position(is_named).unwrap_or_else(|| {
        let name = Value::Text(id.replace('_', "-"));
        let name = Node {
            value: name,
            origin: origin.clone(),
        };
        let table = Table::from([(label.to_owned(), name)]);
        items.push(Node {
            value: Value::Table(table),
            origin: origin.clone(),
        });
        items.len() - 1
    });
    match &mut items[index].value {
        Value::Table(table) => table,
        _ => unreachable!("only tables are named, and the new item is one"),
    }
}
