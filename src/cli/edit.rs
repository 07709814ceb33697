//! Edits of the tables: what would change, whether it fits together, and the change itself.
//!
//! The store judges again, in its transaction; here every problem is found before anything is
//! tried, and told at once. Entry point: [`Edit`].

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use super::{
    Failure,
    installation::host_actor,
    output::{counted, printable},
    progress::{note, while_waiting},
    row::Row,
};
use crate::{
    access::{ConsoleWay, Mapping, MappingRule, PolicyTables, Role},
    audit::Actor,
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
        self.make_as(host_actor()?, arguments, out).await
    }

    /// The same in the name of `actor`.
    pub(super) async fn make_as(
        self,
        actor: Actor,
        arguments: &EditArguments,
        out: &mut dyn Write,
    ) -> Result<Summary, Failure> {
        let summary = self.preview()?;
        let context = EditContext {
            reason: arguments.reason.clone(),
            ..EditContext::new(actor, SystemClock.now())
        };
        let what = format!("changing {}", counted(self.changes.len(), "row"));
        while_waiting(&what, self.store.apply(self.changes, &context)).await?;
        summary.write(out)?;
        Ok(summary)
    }

    /// What the changes would do.
    pub(super) fn preview(&self) -> Result<Summary, Failure> {
        let problems = problems(self.before, &self.changes);
        if problems.len() > 1 {
            return Err(Failure::Problems(problems, NOTHING_CHANGED));
        }
        if let Some(problem) = problems.into_iter().next() {
            return Err(Failure::Refused(problem));
        }
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
            let row = (mapping_name(mapping), Row::from(mapping));
            index.insert(("mapping", pair(mapping)), row.clone());
            index.insert(("mapping id", mapping.id.0.clone()), row);
        }
        for rule in &tables.rules {
            let row = (rule_name(rule), Row::from(rule));
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
            Change::PutMapping(mapping) => self.put(
                "mapping",
                pair(mapping),
                mapping_name(mapping),
                &mapping.into(),
            ),
            Change::PutRule(rule) => self.put("rule", content(rule), rule_name(rule), &rule.into()),
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

fn mapping_name(mapping: &Mapping) -> String {
    format!("mapping {} → {}", mapping.group, mapping.role)
}

fn rule_name(rule: &MappingRule) -> String {
    format!(
        "rule {}:{} → {}",
        rule.connector, rule.group_pattern, rule.role
    )
}

/// What keeps the changes from fitting together with each other and with what is there.
fn problems(before: &PolicyTables, changes: &[Change]) -> Vec<String> {
    let mut roles: BTreeSet<String> = before.roles.iter().map(|r| r.arn.to_string()).collect();
    let row = |mapping: &Mapping| {
        (
            pair(mapping),
            (mapping.role.to_string(), mapping_name(mapping)),
        )
    };
    let mut given: BTreeMap<String, (String, String)> = before.mappings.iter().map(row).collect();
    let mut removed_accounts = Vec::new();
    let mut problems = Vec::new();
    for change in changes {
        match change {
            Change::PutRole(role) => drop(roles.insert(role.arn.to_string())),
            Change::RemoveRole(arn) => drop(roles.remove(arn.as_str())),
            Change::EndMapping(id) => {
                let ended = before.mappings.iter().find(|mapping| mapping.id == *id);
                drop(ended.and_then(|mapping| given.remove(&pair(mapping))));
            }
            Change::PutMapping(mapping) => given.extend([row(mapping)]),
            Change::PutRule(rule) => {
                let problem = rule.check().err();
                problems.extend(problem.map(|error| format!("{}: {error}", rule.id)));
            }
            Change::RemoveAccount(id) => removed_accounts.push(id.to_string()),
            Change::PutAccount(_) | Change::EndRule(_) | Change::BindGroup { .. } => {}
        }
    }
    let mut orphans: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (role, mapping) in given.values().filter(|(role, _)| !roles.contains(role)) {
        orphans.entry(role).or_default().push(mapping);
    }
    problems.extend(orphans.into_iter().map(|(role, mappings)| {
        let count = counted(mappings.len(), "mapping");
        let is_removed = before.roles.iter().any(|known| known.arn.as_str() == role);
        if is_removed {
            format!(
                "{role} is still given by {count}: end those first, such as {}",
                mappings[0]
            )
        } else {
            format!("{role} is not in the table, and {count} would give it: add the role first")
        }
    }));
    problems.extend(same_names(&roles));
    problems.extend(unlimited(before, changes));
    for account in removed_accounts {
        let marker = format!("::{account}:");
        let left = roles.iter().filter(|arn| arn.contains(&marker)).count();
        if left > 0 {
            let count = counted(left, "role");
            problems.push(format!(
                "account {account} still has {count}: remove those first"
            ));
        }
    }
    problems
}

/// Conditions on roles that the identity provider opens itself, where either was changed: nothing
/// could make them hold.
fn unlimited(before: &PolicyTables, changes: &[Change]) -> Vec<String> {
    let mut roles: BTreeMap<&str, (&Role, bool)> = (before.roles.iter())
        .map(|role| (role.arn.as_str(), (role, false)))
        .collect();
    let mut given: BTreeMap<String, (&Mapping, bool)> = (before.mappings.iter())
        .map(|mapping| (pair(mapping), (mapping, false)))
        .collect();
    for change in changes {
        match change {
            Change::PutRole(role) => drop(roles.insert(role.arn.as_str(), (role, true))),
            Change::PutMapping(mapping) => drop(given.insert(pair(mapping), (mapping, true))),
            Change::EndMapping(id) => given.retain(|_, (mapping, _)| mapping.id != *id),
            _ => {}
        }
    }
    let asked = given.values().filter_map(|(mapping, is_new)| {
        let (role, is_role_new) = roles.get(mapping.role.as_str())?;
        let is_handed_over = role.own.console == Some(ConsoleWay::IdpInitiated);
        let key = mapping.conditions.keys().next()?;
        (is_handed_over && (*is_new || *is_role_new)).then(|| {
            format!(
                "{} asks for {key}, and the identity provider opens this role itself (console = \
                 \"idp-initiated\"), so that nothing can be asked for: drop it, or let the \
                 console open by federation",
                mapping_name(mapping)
            )
        })
    });
    asked.collect()
}

/// Two roles of one account whose paths end alike: `account/role` could not tell them apart.
fn same_names(roles: &BTreeSet<String>) -> Vec<String> {
    let mut by_name: BTreeMap<(&str, String), &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for arn in roles {
        let account = arn.split(':').nth(4).unwrap_or_default();
        let name = arn.rsplit('/').next().unwrap_or_default().to_lowercase();
        if let Some(other) = by_name.insert((account, name), arn) {
            problems.push(format!(
                "{other} and {arn} have the same name in one account: keep one of the two"
            ));
        }
    }
    problems
}

/// Says, without refusing, what gives nothing yet.
pub(super) fn warn(text: &str) {
    note(&format!("warning: {}", printable(text)));
}
