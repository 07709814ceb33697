//! A TOML text as a tree in which every value knows where it was written.
//!
//! No key is known here and no type is expected. The tree has no `Debug`, because it holds
//! secrets. Entry point: [`parse`].

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// The entries of a table by key.
pub(crate) type Table = BTreeMap<String, Node>;

/// Where a value was written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// On this line of the file, counted from 1.
    Line(usize),
    /// In this environment variable.
    Variable(String),
}

/// A value and where it was written: for an entry the place of its key.
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// A value of the document.
pub(crate) enum Value {
    /// A TOML string.
    String(String),
    /// A TOML integer, saturated at the ends of `i64`.
    Integer(i64),
    /// A TOML float, which no key takes.
    Float,
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML date, time, or both.
    Datetime(toml::value::Datetime),
    /// A TOML array, also of tables.
    Array(Vec<Node>),
    /// A TOML table.
    Table(Table),
    /// The text of an environment variable, whose type is decided by the key it is for.
    Text(String),
}

impl Value {
    /// What it is, for "expected …, found …"; never the value itself, which may be a secret.
    pub(crate) fn description(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Text(_) => "other text",
        }
    }

    /// The text of a string, wherever it was written.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What could be read of a text.
pub(crate) struct Document {
    /// The entries, without those that were not TOML.
    pub(crate) table: Table,
    /// What is not TOML: the line and why.
    pub(crate) syntax_errors: Vec<(Option<usize>, String)>,
}

/// Reads as much of a TOML text as there is.
pub(crate) fn parse(text: &str) -> Document {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let syntax_errors = errors
        .iter()
        // The error's own Display quotes the line, which may hold a secret.
        .map(|error| {
            (
                error.span().map(|span| lines.number(&span)),
                error.message().to_owned(),
            )
        })
        .collect();
    Document {
        table: entries(table.into_inner(), &lines),
        syntax_errors,
    }
}

/// Reads the array an environment variable holds, every value placed there.
pub(crate) fn parse_array(text: &str, origin: &Origin) -> Option<Vec<Node>> {
    let value = DeValue::parse(text).ok()?;
    let mut node = node(value, None, &Lines::of(text));
    place(&mut node, origin);
    match node.value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn place(node: &mut Node, origin: &Origin) {
    node.origin = origin.clone();
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| place(item, origin)),
        Value::Table(table) => table.values_mut().for_each(|item| place(item, origin)),
        _ => {}
    }
}

fn entries(table: DeTable<'_>, lines: &Lines) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let line = lines.number(&key.span());
            (
                key.into_inner().into_owned(),
                node(value, Some(line), lines),
            )
        })
        .collect()
}

fn node(value: Spanned<DeValue<'_>>, line: Option<usize>, lines: &Lines) -> Node {
    let line = line.unwrap_or_else(|| lines.number(&value.span()));
    let value = match value.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => Value::Integer(integer(&number)),
        DeValue::Float(_) => Value::Float,
        DeValue::Boolean(claim) => Value::Boolean(claim),
        DeValue::Datetime(datetime) => Value::Datetime(datetime),
        DeValue::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| node(item, None, lines))
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(entries(table, lines)),
    };
    Node {
        value,
        origin: Origin::Line(line),
    }
}

fn integer(number: &DeInteger<'_>) -> i64 {
    i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_else(|_| {
        if number.as_str().starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        }
    })
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            text.match_indices('\n')
                .map(|(newline, _)| newline + 1)
                .collect(),
        )
    }

    fn number(&self, span: &Range<usize>) -> usize {
        self.0.partition_point(|start| *start <= span.start) + 1
    }
}
