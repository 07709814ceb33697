//! Edits of the tables: what would change, whether it fits together, and the change itself.
//!
//! The store judges again, in its transaction; here every problem is found before anything is
//! tried, and told at once. Entry point: [`Edit`].

use std::{collections::BTreeMap, io::Write};

use super::{
    Failure,
    installation::host_actor,
    output::{counted, printable},
    progress::{note, while_waiting},
    row::Row,
};
use crate::{
    access::{Mapping, MappingRule, PolicyTables},
    clock::{Clock, SystemClock},
    store::{Change, EditContext, PolicyStore},
};

/// What follows the problems of an edit.
pub(super) const NOTHING_CHANGED: &str = "nothing was changed";

/// What every edit takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct EditArguments {
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

/// Changes of a table that was read.
pub(super) struct Edit<'a> {
    pub(super) store: &'a dyn PolicyStore,
    pub(super) before: &'a PolicyTables,
    pub(super) changes: Vec<Change>,
}

impl Edit<'_> {
    /// Makes the changes in the name of who runs this, and says what each did.
    pub(super) async fn make(
        self,
        arguments: &EditArguments,
        out: &mut dyn Write,
    ) -> Result<Summary, Failure> {
        self.make_with(arguments, out, |_| ()).await
    }

    /// The same, with what `say` adds to who, when and why.
    pub(super) async fn make_with(
        self,
        arguments: &EditArguments,
        out: &mut dyn Write,
        say: impl FnOnce(&mut EditContext),
    ) -> Result<Summary, Failure> {
        let actor = host_actor()?;
        let summary = self.preview()?;
        let mut context = EditContext {
            reason: arguments.reason.clone(),
            ..EditContext::new(actor, SystemClock.now())
        };
        say(&mut context);
        let what = format!("changing {}", counted(self.changes.len(), "row"));
        while_waiting(&what, self.store.apply(self.changes, &context)).await?;
        summary.write(out)?;
        Ok(summary)
    }

    /// The tables after the changes.
    pub(super) fn after(&self) -> Result<PolicyTables, Failure> {
        self.before
            .after(&self.changes)
            .map_err(|mut problems| match problems.len() {
                1 => Failure::Refused(problems.remove(0)),
                _ => Failure::Problems(problems, NOTHING_CHANGED),
            })
    }

    /// What the changes would do.
    pub(super) fn preview(&self) -> Result<Summary, Failure> {
        self.after()?;
        let index = Index::of(self.before);
        let mut summary = Summary::default();
        for change in &self.changes {
            summary.note(&index.effect(change));
        }
        Ok(summary)
    }
}

/// What one change does.
enum Effect {
    Added(String),
    Replaced(String, Vec<String>),
    Unchanged(String),
    Removed(String),
}

/// What all changes do.
#[derive(Debug, Default)]
pub(super) struct Summary {
    lines: Vec<String>,
    unchanged_lines: Vec<String>,
    added: usize,
    replaced: usize,
    removed: usize,
}

impl Summary {
    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Added(row) => {
                self.added += 1;
                self.lines.push(format!("added {row}"));
            }
            Effect::Replaced(row, changes) => {
                self.replaced += 1;
                self.lines
                    .push(format!("replaced {row}: {}", changes.join("; ")));
            }
            Effect::Unchanged(row) => self.unchanged_lines.push(format!("unchanged {row}")),
            Effect::Removed(row) => {
                self.removed += 1;
                self.lines.push(format!("removed {row}"));
            }
        }
    }

    /// A line for each row that changes, or for the one that does not.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        for line in &self.lines {
            writeln!(out, "{}", printable(line))?;
        }
        if let ([], [line]) = (self.lines.as_slice(), self.unchanged_lines.as_slice()) {
            writeln!(out, "{}", printable(line))?;
        }
        Ok(())
    }

    /// How many rows of each fate.
    pub(super) fn counts(&self) -> String {
        format!(
            "{} added, {} replaced, {} removed, {} unchanged",
            self.added,
            self.replaced,
            self.removed,
            self.unchanged_lines.len()
        )
    }
}

/// The rows there are, by what a change names them by.
struct Index(BTreeMap<(&'static str, String), (String, Row)>);

impl Index {
    fn of(tables: &PolicyTables) -> Self {
        let mut index = BTreeMap::new();
        for account in &tables.accounts {
            let name = format!("account {} ({})", account.id, account.name);
            index.insert(("account", account.id.to_string()), (name, account.into()));
        }
        for role in &tables.roles {
            let name = format!("role {}", role.arn);
            index.insert(("role", role.arn.to_string()), (name, role.into()));
        }
        for mapping in &tables.mappings {
            let row = (mapping.title(), Row::from(mapping));
            index.insert(("mapping", pair(mapping)), row.clone());
            index.insert(("mapping id", mapping.id.0.clone()), row);
        }
        for rule in &tables.rules {
            let row = (rule.title(), Row::from(rule));
            index.insert(("rule", content(rule)), row.clone());
            index.insert(("rule id", rule.id.0.clone()), row);
        }
        Self(index)
    }

    fn effect(&self, change: &Change) -> Effect {
        match change {
            Change::PutAccount(account) => {
                let name = format!("account {} ({})", account.id, account.name);
                self.put("account", account.id.to_string(), name, &account.into())
            }
            Change::PutRole(role) => {
                let name = format!("role {}", role.arn);
                self.put("role", role.arn.to_string(), name, &role.as_ref().into())
            }
            Change::PutMapping(mapping) => {
                self.put("mapping", pair(mapping), mapping.title(), &mapping.into())
            }
            Change::PutRule(rule) => self.put("rule", content(rule), rule.title(), &rule.into()),
            Change::RemoveAccount(id) => self.removed("account", id.as_str()),
            Change::RemoveRole(arn) => self.removed("role", arn.as_str()),
            Change::EndMapping(id) => self.removed("mapping id", &id.0),
            Change::EndRule(id) => self.removed("rule id", &id.0),
            // Made by sign-ins alone.
            Change::BindGroup { group, .. } => Effect::Unchanged(group.to_string()),
        }
    }

    fn put(&self, kind: &'static str, key: String, name: String, after: &Row) -> Effect {
        let Some((_, before)) = self.0.get(&(kind, key)) else {
            return Effect::Added(name);
        };
        let changes = before.changes_to(after);
        if changes.is_empty() {
            Effect::Unchanged(name)
        } else {
            Effect::Replaced(name, changes)
        }
    }

    fn removed(&self, kind: &'static str, key: &str) -> Effect {
        let found = self.0.get(&(kind, key.to_owned()));
        Effect::Removed(found.map_or_else(|| format!("{kind} {key}"), |(name, _)| name.clone()))
    }
}

fn pair(mapping: &Mapping) -> String {
    format!("{} {}", mapping.role, mapping.group)
}

fn content(rule: &MappingRule) -> String {
    format!("{} {} {}", rule.connector, rule.group_pattern, rule.role)
}

/// Says, without refusing, what gives nothing yet.
pub(super) fn warn(text: &str) {
    note(&format!("warning: {}", printable(text)));
}
