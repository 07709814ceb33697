//! Edits of rows as they stand: end them, give them an end, take a change back.

use super::{
    super::{
        super::super::views::{
            helpdesk::{edit::Field, wording},
            words::counted,
        },
        fields::{Fields, end, seen_field},
    },
    Bench, Errors, Reading, Sheet, in_words,
    mapping::END_HINT,
    reason,
};
use crate::{
    access::{Change, MappingId, Row, RowName},
    broker::{EditDraft, Undo},
};

/// How many rows are named above the form; the preview shows the rest.
const MOST_TITLES: usize = 10;

/// The rows that a form is about, and those that cannot be edited.
struct Chosen {
    rows: Vec<Row>,
    seen: Vec<(RowName, Option<String>)>,
    trouble: Vec<String>,
}

fn chosen(bench: &Bench<'_>, fields: &Fields) -> Chosen {
    let carried = fields.seen();
    let mut chosen = Chosen {
        rows: Vec::new(),
        seen: Vec::new(),
        trouble: Vec::new(),
    };
    for text in fields.all("row") {
        // The list's checkboxes are about mappings and say the id alone.
        let name = match text.strip_prefix("rule:") {
            Some(id) => RowName::Rule(MappingId(id.to_owned())),
            None => RowName::Mapping(MappingId(
                text.strip_prefix("mapping:").unwrap_or(text).to_owned(),
            )),
        };
        let row = find(bench, &name);
        let seen = carried.iter().find(|(other, _)| *other == name).cloned();
        match (row, seen) {
            (Some(row), seen) => {
                let now = || (name.clone(), Some(row.revision()));
                chosen.seen.push(seen.unwrap_or_else(now));
                chosen.rows.push(row);
            }
            // Gone meanwhile: the broker says by whom.
            (None, Some(seen)) => chosen.seen.push(seen),
            (None, None) => chosen.trouble.push(format!(
                "{} does not exist any more.",
                wording::name_title(&name)
            )),
        }
    }
    if chosen.seen.is_empty() && chosen.trouble.is_empty() {
        let sentence = "Choose at least one row of the list first.";
        chosen.trouble.push(sentence.to_owned());
    }
    chosen
}

fn find(bench: &Bench<'_>, name: &RowName) -> Option<Row> {
    match name {
        RowName::Mapping(id) => {
            let mut rows = bench.tables.mappings.iter();
            rows.find(|row| row.id == *id).cloned().map(Row::Mapping)
        }
        RowName::Rule(id) => {
            let mut rows = bench.tables.rules.iter();
            rows.find(|row| row.id == *id).cloned().map(Row::Rule)
        }
        _ => None,
    }
}

fn is_about_rules(chosen: &Chosen) -> bool {
    let mut seen = chosen.seen.iter();
    seen.any(|(name, _)| matches!(name, RowName::Rule(_)))
}

/// `End 3 mappings`
fn title(verb: &str, chosen: &Chosen) -> String {
    let count = chosen.seen.len();
    if is_about_rules(chosen) {
        format!("{verb} {}", counted(count, "rule", "rules"))
    } else {
        format!("{verb} {}", counted(count, "mapping", "mappings"))
    }
}

fn about(bench: &Bench<'_>, chosen: &Chosen) -> Vec<String> {
    let rows = chosen.rows.iter().take(MOST_TITLES);
    let mut about: Vec<String> = rows
        .map(|row| wording::row_title(row, &bench.policy))
        .collect();
    let rest = chosen.rows.len().saturating_sub(MOST_TITLES);
    if rest > 0 {
        about.push(format!("and {rest} more"));
    }
    about
}

fn reading(
    bench: &Bench<'_>,
    sheet: &Sheet<'_>,
    (edit, verb): (&str, &str),
    chosen: Chosen,
    draft: Result<(EditDraft, Errors), Errors>,
) -> Reading {
    let (draft, errors) = match draft {
        Ok((draft, errors)) => (Some(draft), errors),
        Err(errors) => (None, errors),
    };
    let list = if is_about_rules(&chosen) {
        "/helpdesk/rules"
    } else {
        "/helpdesk/mappings"
    };
    let mut form = sheet.form(title(verb, &chosen), sheet.query.link(list, &[]));
    form.about = about(bench, &chosen);
    form.hidden = vec![("edit".to_owned(), edit.to_owned())];
    let rows = sheet.fields.0.iter().filter(|(name, _)| name == "row");
    form.hidden.extend(rows.cloned());
    form.hidden.extend(chosen.seen.iter().map(seen_field));
    if edit == "expiry" {
        let expires = Field::text("expires", "Ends", sheet.fields.one("expires"));
        form.fields
            .push(expires.hint(END_HINT).error(errors.get("expires").cloned()));
    }
    form.fields.push(sheet.reason_field(&errors));
    Reading {
        form,
        draft: draft.filter(|_| chosen.trouble.is_empty()),
        trouble: chosen.trouble,
    }
}

/// Ends rows now.
pub(super) fn read_end(bench: &Bench<'_>, sheet: &Sheet<'_>) -> Reading {
    let chosen = chosen(bench, sheet.fields);
    let mut errors = Errors::new();
    let reason = reason(sheet.fields, &mut errors);
    let ended = chosen.seen.iter().filter_map(|(name, _)| match name {
        RowName::Mapping(id) => Some(Change::EndMapping(id.clone())),
        RowName::Rule(id) => Some(Change::EndRule(id.clone())),
        _ => None,
    });
    let draft = EditDraft {
        changes: ended.collect(),
        seen: chosen.seen.clone(),
        reason,
        undoes: None,
    };
    reading(bench, sheet, ("end", "End"), chosen, Ok((draft, errors)))
}

/// Gives rows an end, or takes it away.
pub(super) fn read_expiry(bench: &Bench<'_>, sheet: &Sheet<'_>) -> Reading {
    let chosen = chosen(bench, sheet.fields);
    let mut errors = Errors::new();
    let reason = reason(sheet.fields, &mut errors);
    let is_first = !sheet.fields.0.iter().any(|(name, _)| name == "expires");
    let draft = match end(sheet.fields.one("expires"), None, bench.now) {
        // Nobody has named an end yet.
        Ok(_) if is_first => Err(Errors::new()),
        Ok(expires) => {
            let changes = chosen.rows.iter().filter_map(|row| match row {
                Row::Mapping(mapping) => {
                    let mut mapping = mapping.clone();
                    mapping.conditions.expires = expires;
                    Some(Change::PutMapping(mapping))
                }
                Row::Rule(rule) => {
                    let mut rule = rule.clone();
                    rule.conditions.expires = expires;
                    Some(Change::PutRule(rule))
                }
                _ => None,
            });
            let draft = EditDraft {
                changes: changes.collect(),
                seen: chosen.seen.clone(),
                reason,
                undoes: None,
            };
            Ok((draft, errors))
        }
        Err(message) => {
            errors.insert("expires", message);
            Err(errors)
        }
    };
    reading(bench, sheet, ("expiry", "Set the end of"), chosen, draft)
}

/// Takes back a change, or a whole edit.
pub(super) async fn read_undo(bench: &Bench<'_>, sheet: &Sheet<'_>) -> Reading {
    let fields = sheet.fields;
    let (change, edit) = (fields.one("change"), fields.one("whole"));
    let mut form = sheet.form("Undo".to_owned(), "/helpdesk/history".to_owned());
    let mut errors = Errors::new();
    let why = reason(fields, &mut errors);
    let mut hidden = Fields::of(&[("edit", "undo")]).0;
    let what = if let Ok(seq) = change.parse() {
        hidden.push(("change".to_owned(), change.to_owned()));
        form.about.push("Takes one change back.".to_owned());
        Undo::Change(seq)
    } else {
        hidden.push(("whole".to_owned(), edit.to_owned()));
        form.about.push("Takes a whole edit back.".to_owned());
        Undo::Edit(edit.to_owned())
    };
    form.hidden = hidden;
    form.fields.push(sheet.reason_field(&errors));
    let (draft, trouble) = match bench.app.broker.undo(&what).await {
        Ok(draft) => {
            let reason = why.or(draft.reason.clone());
            (Some(EditDraft { reason, ..draft }), Vec::new())
        }
        Err(refused) => (None, in_words(&refused).1),
    };
    Reading {
        form,
        draft,
        trouble,
    }
}
