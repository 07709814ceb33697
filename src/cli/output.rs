//! Standard output: aligned tables, JSON arrays and JSON lines.
//!
//! Never here: colours, which nobody needs to read a table. Entry points: [`Table`], [`json_array`].

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use clap::ValueEnum;
use serde::Serialize;

use super::Failure;

/// How a list is written: as an aligned table, or as one JSON array.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Text,
    Json,
}

/// The `--output` of everything that lists.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct OutputArguments {
    /// How to write the list
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) output: Format,
}

/// Rows under a header, each column as wide as its widest cell.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    columns: usize,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        Self {
            columns: header.len(),
            rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()],
        }
    }

    pub(super) fn push<const N: usize>(&mut self, row: [String; N]) {
        self.rows
            .push(row.into_iter().map(|cell| printable(&cell)).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String cannot fail.
                let _ = write!(line, "{cell:<width$}  ");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A text without control characters: what directories and browsers say must not steer a terminal.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Writes one JSON array, an element to a line.
pub(super) fn json_array<T: Serialize>(out: &mut dyn Write, values: &[T]) -> Result<(), Failure> {
    if values.is_empty() {
        return Ok(writeln!(out, "[]")?);
    }
    for (index, value) in values.iter().enumerate() {
        let before = if index == 0 { "[" } else { "," };
        write!(out, "{before}\n  ")?;
        json(out, value)?;
    }
    Ok(writeln!(out, "\n]")?)
}

/// Writes one JSON line.
#[cfg(feature = "server")]
pub(super) fn json_line<T: Serialize>(out: &mut dyn Write, value: &T) -> Result<(), Failure> {
    json(out, value)?;
    Ok(writeln!(out)?)
}

fn json<T: Serialize>(out: &mut dyn Write, value: &T) -> Result<(), Failure> {
    serde_json::to_writer(out, value).map_err(|error| io::Error::from(error).into())
}

/// `1 role`, `2 roles`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}
