//! Edits of rows as they stand: end them, give them an end, take a change back, do what a review
//! decided.

use super::{
    super::{
        super::super::views::{
            helpdesk::{edit::Field, links, wording},
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
        let name = wording::name_of_text(text)
            .unwrap_or_else(|| RowName::Mapping(MappingId(text.to_owned())));
        let row = bench.tables.row(&name);
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

/// The list that rows of that kind stand in.
pub(in super::super) fn list_of(name: Option<&RowName>) -> &'static str {
    match name {
        Some(RowName::Account(_) | RowName::Role(_)) => "/helpdesk/roles",
        Some(RowName::Rule(_)) => "/helpdesk/rules",
        Some(RowName::Mapping(_)) | None => "/helpdesk/mappings",
    }
}

/// `End 3 mappings`, `Remove 1 role`
fn title(verb: &str, chosen: &Chosen) -> String {
    let (one, many, verb) = match chosen.seen.first().map(|(name, _)| name) {
        Some(RowName::Account(_)) => ("account", "accounts", "Remove"),
        Some(RowName::Role(_)) => ("role", "roles", "Remove"),
        Some(RowName::Rule(_)) => ("rule", "rules", verb),
        Some(RowName::Mapping(_)) | None => ("mapping", "mappings", verb),
    };
    format!("{verb} {}", counted(chosen.seen.len(), one, many))
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
    let list = list_of(chosen.seen.first().map(|(name, _)| name));
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
    let ended = chosen.seen.iter().map(|(name, _)| match name {
        RowName::Mapping(id) => Change::EndMapping(id.clone()),
        RowName::Rule(id) => Change::EndRule(id.clone()),
        RowName::Account(id) => Change::RemoveAccount(id.clone()),
        RowName::Role(arn) => Change::RemoveRole(arn.clone()),
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

/// Ends what a review that is signed off decided to end, as far as it is still there.
pub(super) async fn read_review(bench: &Bench<'_>, sheet: &Sheet<'_>) -> Reading {
    let fields = sheet.fields;
    let id = fields.one("review");
    let mut errors = Errors::new();
    let why = reason(fields, &mut errors);
    let (draft, trouble) = match bench.app.broker.review_ends(id).await {
        Ok(ends) => (Some(ends.draft), Vec::new()),
        Err(refused) => (None, in_words(&refused).1),
    };
    let mut form = sheet.form(
        "End what the review decided to end".to_owned(),
        links::review(id),
    );
    form.hidden = Fields::of(&[("edit", "review"), ("review", id)]).0;
    let mut said = sheet.reason_field(&errors);
    if let Some(usual) = draft.as_ref().and_then(|draft| draft.reason.as_deref())
        && said.value.is_empty()
    {
        usual.clone_into(&mut said.value);
    }
    form.fields.push(said);
    // The review's own words are offered, and not put in where somebody took them away.
    let is_fresh = !fields.0.iter().any(|(name, _)| name == "reason");
    let draft = draft.map(|draft| EditDraft {
        reason: why.or(draft.reason.filter(|_| is_fresh)),
        ..draft
    });
    Reading {
        form,
        draft,
        trouble,
    }
}
