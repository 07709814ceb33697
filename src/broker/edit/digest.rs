//! A number that stands for a preview, so that what was shown is what is saved.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{EditPreview, RowChange};
use crate::access::{Identity, MappingId, Row, RowName};

/// SHA-256, in hexadecimal, over the rows, who gains and loses what, and why the edit waits. How
/// long a role lasts is left out: near an expiry that changes with every second.
pub(super) fn of(preview: &EditPreview) -> String {
    let mut rows: Vec<String> = preview.rows.iter().map(row).collect();
    rows.sort_unstable();
    let person = |place: &usize| preview.people.get(*place).map(subject);
    let effects: Vec<Value> = preview
        .effects
        .roles
        .iter()
        .map(|effect| {
            let mut sides: [Vec<Option<String>>; 3] = [
                effect.gains.iter().map(person).collect(),
                effect.losses.iter().map(person).collect(),
                effect.altered.iter().map(|a| person(&a.person)).collect(),
            ];
            // The list of people has an order of its own.
            for people in &mut sides {
                people.sort_unstable();
            }
            json!([effect.role.as_str(), effect.is_protected, sides])
        })
        .collect();
    let waits: Vec<&str> = preview.waits.iter().map(|wait| wait.code()).collect();
    let all = json!([rows, effects, waits, preview.own_gains]);
    hex::encode(digest(&SHA256, all.to_string().as_bytes()))
}

fn row(row: &RowChange) -> String {
    let before = row.before.as_ref().map(Row::revision);
    let Some(after) = &row.after else {
        return json!([row.name, before, null]).to_string();
    };
    if before.is_some() {
        return json!([row.name, before, after.revision()]).to_string();
    }
    // A new row's id is made anew each time that it is looked at.
    let kind = match &row.name {
        RowName::Account(_) | RowName::Role(_) => json!(row.name),
        RowName::Mapping(_) => json!("mapping"),
        RowName::Rule(_) => json!("rule"),
    };
    json!([kind, before, nameless(after.clone()).revision()]).to_string()
}

fn nameless(row: Row) -> Row {
    match row {
        Row::Mapping(mut mapping) => {
            mapping.id = MappingId(String::new());
            Row::Mapping(mapping)
        }
        Row::Rule(mut rule) => {
            rule.id = MappingId(String::new());
            Row::Rule(rule)
        }
        row => row,
    }
}

fn subject(identity: &Identity) -> String {
    format!("{}:{}", identity.connector, identity.subject)
}
