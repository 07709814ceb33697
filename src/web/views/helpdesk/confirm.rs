//! What an edit would do, to be read before it is saved.

use std::collections::BTreeMap;

use askama::Template;
use serde_json::Value;

use super::{Desk, links};
use crate::{
    access::{Identity, Policy, Row},
    broker::{EditPreview, RowChange, Wait},
    web::views::{Layout, words},
};

/// So many people are named for each role; the rest is counted.
const MOST_NAMES: usize = 20;

/// A setting of a row that changes.
pub(crate) struct Difference {
    name: String,
    before: String,
    after: String,
}

/// A row that changes.
pub(crate) struct ChangedRow {
    title: String,
    differences: Vec<Difference>,
}

/// A role that somebody gains, loses or keeps on other terms.
pub(crate) struct EffectRow {
    role: String,
    account: String,
    arn: String,
    is_protected: bool,
    gains: String,
    losses: String,
    altered: usize,
}

/// The page.
#[derive(Template)]
#[template(path = "helpdesk/confirm.html", whitespace = "minimize")]
pub(crate) struct ConfirmView {
    layout: Layout,
    desk: Desk,
    title: String,
    /// What could not be done, in sentences.
    problems: Vec<String>,
    rows: Vec<ChangedRow>,
    effects: Vec<EffectRow>,
    gain_count: String,
    loss_count: String,
    unresolved: Vec<String>,
    waits: Vec<&'static str>,
    reason: String,
    hidden: Vec<(&'static str, String)>,
    button: Option<&'static str>,
    back: String,
}

/// What the page is made from beside the preview.
pub(crate) struct ConfirmInput {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// What could not be done, in sentences.
    pub(crate) problems: Vec<String>,
    /// The reason as typed.
    pub(crate) reason: String,
    /// What the form carries.
    pub(crate) hidden: Vec<(&'static str, String)>,
    /// Where to go instead; a path of ours.
    pub(crate) back: String,
}

impl ConfirmView {
    /// Where the form posts to: `changes`, `seen`, `reason`, `digest`, `back`.
    pub(crate) const SAVE: &'static str = "/helpdesk/confirm";

    /// Prepares the page; without a preview it says only what could not be done.
    pub(crate) fn new(input: ConfirmInput, preview: Option<&EditPreview>, policy: &Policy) -> Self {
        let mut view = Self {
            title: "Nothing was saved".to_owned(),
            layout: input.layout,
            desk: input.desk,
            problems: input.problems,
            rows: Vec::new(),
            effects: Vec::new(),
            gain_count: String::new(),
            loss_count: String::new(),
            unresolved: Vec::new(),
            waits: Vec::new(),
            reason: input.reason,
            hidden: input.hidden,
            button: None,
            back: input.back,
        };
        let Some(preview) = preview else {
            return view;
        };
        let people = |places: &[usize]| places.len();
        let roles = &preview.effects.roles;
        let gains: usize = roles.iter().map(|role| people(&role.gains)).sum();
        let losses: usize = roles.iter().map(|role| people(&role.losses)).sum();
        view.title = "What this does".to_owned();
        view.rows = preview.rows.iter().map(changed_row).collect();
        view.effects = roles
            .iter()
            .map(|effect| EffectRow {
                role: effect.role.name().to_owned(),
                account: policy
                    .account(&effect.role.account())
                    .map_or_else(|| effect.role.account().to_string(), |a| a.name.clone()),
                arn: effect.role.to_string(),
                is_protected: effect.is_protected,
                gains: names(&effect.gains, &preview.people),
                losses: names(&effect.losses, &preview.people),
                altered: effect.altered.len(),
            })
            .collect();
        view.gain_count = words::counted(gains, "role is gained", "roles are gained");
        view.loss_count = words::counted(losses, "role is lost", "roles are lost");
        view.unresolved.clone_from(&preview.unresolved);
        view.waits = preview
            .waits
            .iter()
            .map(|wait| wait_in_words(*wait))
            .collect();
        view.button = Some(if preview.rows.is_empty() {
            "Close"
        } else if preview.waits.is_empty() {
            "Save"
        } else {
            "Put it before a second person"
        });
        view
    }
}

fn wait_in_words(wait: Wait) -> &'static str {
    match wait {
        Wait::SelfGain => "It gives you a role, or better terms.",
        Wait::Protected => "It touches an account or role that is protected.",
        Wait::Unresolved => "Whether it gives you anything could not be worked out.",
    }
}

fn names(places: &[usize], people: &[Identity]) -> String {
    let named = places.iter().take(MOST_NAMES);
    let named: Vec<&str> = named
        .filter_map(|place| people.get(*place))
        .map(Identity::display)
        .collect();
    let rest = places.len().saturating_sub(named.len());
    match rest {
        0 => named.join(", "),
        rest => format!("{} and {rest} more", named.join(", ")),
    }
}

fn changed_row(change: &RowChange) -> ChangedRow {
    let what = match (&change.before, &change.after) {
        (None, _) => "New",
        (_, None) => "Ended",
        _ => "Changed",
    };
    ChangedRow {
        title: format!("{what}: {}", row_title(change)),
        differences: differences(change.before.as_ref(), change.after.as_ref()),
    }
}

fn row_title(change: &RowChange) -> String {
    let row = change.after.as_ref().or(change.before.as_ref());
    match row {
        Some(Row::Account(account)) => format!("account {} ({})", account.name, account.id),
        Some(Row::Role(role)) => format!("role {}", role.arn),
        Some(Row::Mapping(mapping)) => format!(
            "mapping of {} to {}",
            links::short_group(mapping.group.value()),
            mapping.role
        ),
        Some(Row::Rule(rule)) => format!("rule {} to {}", rule.group_pattern, rule.role),
        None => "a row".to_owned(),
    }
}

/// The settings that differ, by their keys in the mapping file.
fn differences(before: Option<&Row>, after: Option<&Row>) -> Vec<Difference> {
    let (before, after) = (settings(before), settings(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |settings: &BTreeMap<String, String>, name: &String| {
        settings.get(name).cloned().unwrap_or_default()
    };
    names
        .into_iter()
        .map(|name| Difference {
            name: name.clone(),
            before: of(&before, name),
            after: of(&after, name),
        })
        .filter(|difference| difference.before != difference.after)
        .collect()
}

fn settings(row: Option<&Row>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    if let Some(value) = row.and_then(|row| serde_json::to_value(row).ok()) {
        flatten("", &value["row"], &mut settings);
    }
    settings
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let key = match (name, key.as_str()) {
                    // How rows nest is nothing that people know.
                    ("" | "own" | "role_defaults" | "conditions", key) => key.to_owned(),
                    (name, key) => format!("{name}.{key}"),
                };
                flatten(&key, value, into);
            }
        }
        Value::Null => {}
        Value::Bool(is_set) => {
            if *is_set {
                into.insert(name.to_owned(), "yes".to_owned());
            }
        }
        Value::String(text) => {
            into.insert(name.to_owned(), text.clone());
        }
        Value::Array(items) if items.is_empty() => {}
        other => {
            into.insert(name.to_owned(), other.to_string());
        }
    }
}
