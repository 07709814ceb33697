//! Rows of the audit log as CSV (RFC 4180), for spreadsheets.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line ending for a
//! formula, blanks in front of it or not; such a cell gets an apostrophe in front. The columns are a
//! contract. Entry points: [`HEADER`], [`record`]; [`line()`] is for every other table too.

use time::format_description::well_known::Rfc3339;

use super::{Actor, AuditEvent};

/// The columns, in order.
pub const HEADER: [&str; 17] = [
    "seq",
    "at",
    "action",
    "outcome",
    "actor_kind",
    "connector",
    "subject",
    "username",
    "client_address",
    "request_id",
    "role",
    "account",
    "intent",
    "reason",
    "details",
    "hash",
    "actor_detail",
];

/// The cells of one row; `details` is JSON, and `actor_detail` the user id of the command line or
/// the hash of the mapping file.
pub fn record(seq: i64, event: &AuditEvent, hash: &str) -> [String; 17] {
    let (kind, [connector, subject, username], detail) = match &event.actor {
        Actor::Person {
            connector,
            subject,
            username,
        } => {
            let names = [Some(connector.clone()), subject.clone(), username.clone()];
            ("person", names, String::new())
        }
        Actor::Host { uid } => ("host", [const { None }; 3], uid.to_string()),
        Actor::File { hash } => ("file", [const { None }; 3], hash.clone()),
        Actor::System => ("system", [const { None }; 3], String::new()),
    };
    let details = if event.details.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&event.details).unwrap_or_default()
    };
    let address = event.client_address.map(|address| address.to_string());
    let told = |text: Option<String>| text.unwrap_or_default();
    [
        seq.to_string(),
        event.at.format(&Rfc3339).unwrap_or_default(),
        event.action.as_str().to_owned(),
        event.outcome.as_str().to_owned(),
        kind.to_owned(),
        told(connector),
        told(subject),
        told(username),
        told(address),
        told(event.request_id.clone()),
        told(event.role.clone()),
        told(event.account.clone()),
        told(event.intent.clone()),
        told(event.reason.clone()),
        details,
        hash.to_owned(),
        detail,
    ]
}

/// One line with its ending.
pub fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

fn cell(text: &str) -> String {
    let is_formula =
        text.starts_with(['\t', '\r', '\n']) || text.trim_start().starts_with(['=', '+', '-', '@']);
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\r', '\n', '\'']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_and_separators_are_text() {
        let cells = [
            "=1+1",
            "+1",
            "-1",
            "@a",
            " =1",
            "\tx",
            "a,b",
            "say \"hi\"",
            "two\nlines",
            "",
            "plain",
        ];
        assert_eq!(
            line(cells),
            "\"'=1+1\",\"'+1\",\"'-1\",\"'@a\",\"' =1\",\"'\tx\",\"a,b\",\"say \"\"hi\"\"\",\
             \"two\nlines\",,plain\r\n"
        );
    }
}
