//! Importing a text of the mapping file's form into the table.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::{
    super::{
        super::super::views::helpdesk::edit::{EditForm, Field, Kind},
        fields::Fields,
    },
    Bench, Errors, Reading, Sheet, reason,
};
use crate::{
    access::{Account, Change, Conditions, MappingId, Origin, PolicyTables, Role, in_utc},
    broker::EditDraft,
};

/// The form with what was entered.
pub(in super::super) fn form(sheet: &Sheet<'_>, errors: &Errors) -> EditForm {
    let fields = sheet.fields;
    let mut form = sheet.form(
        "Import into the table".to_owned(),
        "/helpdesk/import".to_owned(),
    );
    // Up to megabytes: sent when asked for, not with each letter.
    form.is_live = false;
    form.hidden = Fields::of(&[("edit", "import"), ("seed", &seed(fields))]).0;
    let mut text = Field::text("text", "Rows, as TOML", fields.one("text"))
        .hint("The same form as the export and the mapping file: [[account]], [[role]], [[mapping]] and [[mapping_rule]].")
        .error(errors.get("text").cloned());
    text.kind = Kind::Area { rows: 16 };
    let replace = Field::check(
        "replace",
        "Also end the mappings and rules that the text does not have",
        fields.is_set("replace"),
    )
    .hint("Accounts and roles always stay, and so does the mapping file.");
    form.fields = vec![text, replace, sheet.reason_field(errors)];
    form
}

/// What the ids of new rows are made of, so that they are the same when it is saved as when it was
/// shown.
fn seed(fields: &Fields) -> String {
    match fields.one("seed") {
        "" => Uuid::new_v4().to_string(),
        seed => seed.to_owned(),
    }
}

/// Reads the form.
pub(super) fn read(bench: &Bench<'_>, sheet: &Sheet<'_>) -> Reading {
    let fields = sheet.fields;
    let mut errors = Errors::new();
    let why = reason(fields, &mut errors);
    let text = fields.one("text");
    let read = if text.is_empty() {
        errors.insert("text", "Paste the rows to import.".to_owned());
        Err(Vec::new())
    } else {
        (bench.app.settings.table_text.read)(text)
    };
    let (draft, trouble) = match read {
        Ok(rows) => {
            let seed = seed(fields);
            let changes = changes(bench, rows, &seed, fields.is_set("replace"));
            if changes.is_empty() && text_has_no_rows(text) {
                let message = "There are no rows in it.";
                errors.insert("text", message.to_owned());
                (None, Vec::new())
            } else {
                (Some(draft(bench, changes, why)), Vec::new())
            }
        }
        Err(findings) => {
            if !findings.is_empty() {
                let message = "The text has mistakes; each is named below.";
                errors.insert("text", message.to_owned());
            }
            (None, findings)
        }
    };
    Reading {
        form: form(sheet, &errors),
        draft,
        trouble,
    }
}

fn text_has_no_rows(text: &str) -> bool {
    !text.lines().any(|line| line.trim_start().starts_with("[["))
}

fn draft(bench: &Bench<'_>, changes: Vec<Change>, reason: Option<String>) -> EditDraft {
    let names = changes.iter().filter_map(Change::row);
    let seen = names.map(|name| {
        let revision = bench.tables.row(&name).map(|row| row.revision());
        (name, revision)
    });
    EditDraft {
        seen: seen.collect(),
        changes,
        reason,
        undoes: None,
    }
}

/// The changes that put `rows` into the table; rows that are there already are none.
fn changes(bench: &Bench<'_>, rows: PolicyTables, seed: &str, replaces: bool) -> Vec<Change> {
    let tables = &bench.tables;
    let accounts: HashMap<&str, &Account> = tables
        .accounts
        .iter()
        .map(|account| (account.id.as_str(), account))
        .collect();
    let roles: HashMap<&str, &Role> = tables
        .roles
        .iter()
        .map(|role| (role.arn.as_str(), role))
        .collect();
    let mut changes = Vec::new();
    let new_accounts = rows.accounts.into_iter();
    changes.extend(
        new_accounts
            .filter(|account| accounts.get(account.id.as_str()) != Some(&account))
            .map(Change::PutAccount),
    );
    let new_roles = rows.roles.into_iter();
    changes.extend(
        new_roles
            .filter(|role| roles.get(role.arn.as_str()) != Some(&role))
            .map(|role| Change::PutRole(Box::new(role))),
    );
    let ids = Ids { seed };
    put_mappings(tables, rows.mappings, (&ids, replaces), &mut changes);
    put_rules(tables, rows.rules, (&ids, replaces), &mut changes);
    changes
}

fn put_mappings(
    tables: &PolicyTables,
    rows: Vec<crate::access::Mapping>,
    (ids, replaces): (&Ids<'_>, bool),
    changes: &mut Vec<Change>,
) {
    let stored = tables.mappings.iter();
    let mut stored: HashMap<_, _> = stored
        .filter(|row| row.origin == Origin::Store)
        .map(|row| ((row.group.clone(), row.role.clone()), row))
        .collect();
    for mut row in rows {
        row.origin = Origin::Store;
        row.conditions = as_kept(row.conditions);
        let there = stored.remove(&(row.group.clone(), row.role.clone()));
        row.id = there.map_or_else(
            || ids.of(&[row.group.as_str(), row.role.as_str()]),
            |there| there.id.clone(),
        );
        if there != Some(&row) {
            changes.push(Change::PutMapping(row));
        }
    }
    if replaces {
        let mut ended: Vec<MappingId> = stored.into_values().map(|row| row.id.clone()).collect();
        ended.sort_unstable();
        changes.extend(ended.into_iter().map(Change::EndMapping));
    }
}

fn put_rules(
    tables: &PolicyTables,
    rows: Vec<crate::access::MappingRule>,
    (ids, replaces): (&Ids<'_>, bool),
    changes: &mut Vec<Change>,
) {
    let key = |row: &crate::access::MappingRule| {
        [
            row.connector.to_string(),
            row.group_pattern.clone(),
            row.role.clone(),
        ]
    };
    let stored = tables.rules.iter();
    let mut stored: HashMap<_, _> = stored
        .filter(|row| row.origin == Origin::Store)
        .map(|row| (key(row), row))
        .collect();
    for mut row in rows {
        row.origin = Origin::Store;
        row.conditions = as_kept(row.conditions);
        let key = key(&row);
        let there = stored.remove(&key);
        row.id = there.map_or_else(
            || ids.of(&key.each_ref().map(String::as_str)),
            |there| there.id.clone(),
        );
        if there != Some(&row) {
            changes.push(Change::PutRule(row));
        }
    }
    if replaces {
        let mut ended: Vec<MappingId> = stored.into_values().map(|row| row.id.clone()).collect();
        ended.sort_unstable();
        changes.extend(ended.into_iter().map(Change::EndRule));
    }
}

/// The conditions as the store keeps them.
fn as_kept(conditions: Conditions) -> Conditions {
    Conditions {
        expires: conditions
            .expires
            .map(|at| in_utc(at).truncate_to_millisecond()),
        ..conditions
    }
}

/// Makes ids for new rows.
struct Ids<'a> {
    seed: &'a str,
}

impl Ids<'_> {
    fn of(&self, key: &[&str]) -> MappingId {
        let hash = digest(&SHA256, [&[self.seed], key].concat().join("\0").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_ref()[..16]);
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        MappingId(id.to_string())
    }
}

/// How many rows a table has in all.
pub(in super::super) fn row_count(tables: &PolicyTables) -> usize {
    tables.accounts.len() + tables.roles.len() + tables.mappings.len() + tables.rules.len()
}

/// The table without the rows of the mapping file, as far as rows say where they come from.
pub(in super::super) fn of_store(tables: &PolicyTables) -> PolicyTables {
    PolicyTables {
        version: tables.version,
        accounts: tables.accounts.clone(),
        roles: tables.roles.clone(),
        mappings: {
            let rows = tables.mappings.iter();
            rows.filter(|row| row.origin == Origin::Store)
                .cloned()
                .collect()
        },
        rules: {
            let rows = tables.rules.iter();
            rows.filter(|row| row.origin == Origin::Store)
                .cloned()
                .collect()
        },
        ..PolicyTables::default()
    }
}
