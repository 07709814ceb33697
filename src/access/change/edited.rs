//! Tables while changes are made to them, and what keeps the changes from fitting.
//!
//! The store judges again, in its transaction; here every problem is found before anything is
//! tried, and told at once. Entry point: [`Edited`].

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Change;
use crate::access::{
    Account, AccountId, ConnectorId, ConsoleWay, GroupKey, Mapping, MappingId, MappingRule, Origin,
    PolicyTables, Role, RoleDefaults, TargetArn,
};

/// What tells two rules apart in the store.
type RuleKey = (ConnectorId, String, String);

/// Rows by their place in the tables, and what was touched.
pub(super) struct Edited<'a> {
    before: &'a PolicyTables,
    accounts: Rows<AccountId, Account>,
    roles: Rows<TargetArn, Role>,
    mappings: Rows<MappingId, Mapping>,
    rules: Rows<MappingId, MappingRule>,
    pairs: HashMap<(GroupKey, TargetArn), MappingId>,
    twins: HashMap<RuleKey, MappingId>,
    group_ids: HashMap<MappingId, String>,
    /// Ids that rows of this edit came with and that the store will not keep.
    made_up: HashSet<MappingId>,
    removed_accounts: Vec<AccountId>,
    problems: Vec<String>,
}

/// Rows that keep their order, with an index and a note of those that were put.
struct Rows<K, T> {
    all: Vec<Option<T>>,
    places: HashMap<K, usize>,
    put: HashSet<K>,
}

impl<K: Clone + Eq + std::hash::Hash, T: Clone> Rows<K, T> {
    fn of(rows: &[T], key: impl Fn(&T) -> K) -> Self {
        let mut places = HashMap::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            // The store's row stands in front of the mapping file's of the same name.
            places.entry(key(row)).or_insert(place);
        }
        Self {
            all: rows.iter().cloned().map(Some).collect(),
            places,
            put: HashSet::new(),
        }
    }

    fn find(&self, key: &K) -> Option<&T> {
        self.all.get(*self.places.get(key)?)?.as_ref()
    }

    fn put(&mut self, key: K, row: T) {
        self.put.insert(key.clone());
        if let Some(place) = self.places.get(&key) {
            self.all[*place] = Some(row);
        } else {
            self.places.insert(key, self.all.len());
            self.all.push(Some(row));
        }
    }

    fn take(&mut self, key: &K) -> Option<T> {
        let place = self.places.remove(key)?;
        self.put.remove(key);
        self.all.get_mut(place)?.take()
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.all.iter().flatten()
    }

    fn is_put(&self, key: &K) -> bool {
        self.put.contains(key)
    }

    fn into_rows(self) -> Vec<T> {
        self.all.into_iter().flatten().collect()
    }
}

fn pair(mapping: &Mapping) -> (GroupKey, TargetArn) {
    (mapping.group.clone(), mapping.role.clone())
}

fn twin(rule: &MappingRule) -> RuleKey {
    let MappingRule {
        connector,
        group_pattern,
        role,
        ..
    } = rule;
    (connector.clone(), group_pattern.clone(), role.clone())
}

/// What is said of a row that the tables do not keep themselves.
fn kept_in_file(title: &str, origin: &Origin) -> Option<String> {
    let Origin::File { line } = origin else {
        return None;
    };
    Some(format!(
        "{title} is kept in the mapping file, line {line}: edit it there"
    ))
}

impl<'a> Edited<'a> {
    pub(super) fn of(before: &'a PolicyTables) -> Self {
        let mut pairs = HashMap::with_capacity(before.mappings.len());
        for mapping in &before.mappings {
            pairs
                .entry(pair(mapping))
                .or_insert_with(|| mapping.id.clone());
        }
        let mut twins = HashMap::with_capacity(before.rules.len());
        for rule in &before.rules {
            twins.entry(twin(rule)).or_insert_with(|| rule.id.clone());
        }
        Self {
            before,
            accounts: Rows::of(&before.accounts, |account| account.id.clone()),
            roles: Rows::of(&before.roles, |role| role.arn.clone()),
            mappings: Rows::of(&before.mappings, |mapping| mapping.id.clone()),
            rules: Rows::of(&before.rules, |rule| rule.id.clone()),
            pairs,
            twins,
            group_ids: before.group_ids.clone(),
            made_up: HashSet::new(),
            removed_accounts: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn make(&mut self, change: &Change) {
        match change {
            Change::PutAccount(account) => self.accounts.put(account.id.clone(), account.clone()),
            Change::RemoveAccount(id) => match self.accounts.take(id) {
                Some(_) => self.removed_accounts.push(id.clone()),
                None => self.missing(&format!("account {id}")),
            },
            Change::PutRole(role) => self.roles.put(role.arn.clone(), Role::clone(role)),
            Change::RemoveRole(arn) => {
                if self.roles.take(arn).is_none() {
                    self.missing(&format!("role {arn}"));
                }
            }
            Change::PutMapping(mapping) => self.put_mapping(mapping),
            Change::EndMapping(id) => self.end_mapping(id),
            Change::BindGroup { group, group_id } => self.bind(group, group_id),
            Change::PutRule(rule) => self.put_rule(rule),
            Change::EndRule(id) => self.end_rule(id),
        }
    }

    fn missing(&mut self, row: &str) {
        self.problems.push(format!(
            "{row} does not exist: it was removed meanwhile, or never was there"
        ));
    }

    /// The id of a new row. One that the store does not keep names no other row of this edit: the
    /// store makes another for each.
    fn new_id(&mut self, id: &MappingId) -> MappingId {
        if id.is_stored_form() || self.made_up.insert(id.clone()) {
            return id.clone();
        }
        let id = MappingId(format!("{id}+{}", self.made_up.len()));
        self.made_up.insert(id.clone());
        id
    }

    fn put_mapping(&mut self, mapping: &Mapping) {
        let of_pair = self.pairs.get(&pair(mapping));
        let same_pair = of_pair.and_then(|id| self.mappings.find(id));
        let same_id = self.mappings.find(&mapping.id);
        let same_id = same_id.filter(|row| !self.made_up.contains(&row.id));
        let in_file = [same_pair, same_id].into_iter().flatten();
        let in_file = in_file.filter_map(|row| kept_in_file(&row.title(), &row.origin));
        if let Some(problem) = { in_file }.next() {
            self.problems.push(problem);
            return;
        }
        let before = match (same_pair, same_id) {
            (Some(twin), Some(row)) if twin.id != row.id => {
                self.problems.push(format!(
                    "mapping {} already gives {} to {}: end one of the two",
                    twin.id, twin.role, twin.group
                ));
                return;
            }
            (twin, row) => twin.or(row).cloned(),
        };
        let id = match &before {
            Some(row) => row.id.clone(),
            None => self.new_id(&mapping.id),
        };
        let mapping = Mapping {
            id,
            conditions: mapping.conditions.as_kept(),
            origin: Origin::Store,
            ..mapping.clone()
        };
        if let Some(before) = before {
            self.pairs.remove(&pair(&before));
            if before.group != mapping.group {
                self.group_ids.remove(&before.id);
            }
        }
        self.pairs.insert(pair(&mapping), mapping.id.clone());
        self.mappings.put(mapping.id.clone(), mapping);
    }

    fn end_mapping(&mut self, id: &MappingId) {
        let Some(found) = self.mappings.find(id) else {
            return self.missing(&format!("mapping {id}"));
        };
        if let Some(problem) = kept_in_file(&found.title(), &found.origin) {
            return self.problems.push(problem);
        }
        let pair = pair(found);
        if self.pairs.get(&pair) == Some(id) {
            self.pairs.remove(&pair);
        }
        self.group_ids.remove(id);
        self.mappings.take(id);
    }

    fn bind(&mut self, group: &GroupKey, group_id: &str) {
        let unbound: Vec<MappingId> = (self.mappings.iter())
            .filter(|mapping| mapping.group == *group && mapping.origin == Origin::Store)
            .filter(|mapping| !self.group_ids.contains_key(&mapping.id))
            .map(|mapping| mapping.id.clone())
            .collect();
        let bound = unbound.into_iter().map(|id| (id, group_id.to_owned()));
        self.group_ids.extend(bound);
    }

    fn put_rule(&mut self, rule: &MappingRule) {
        if let Err(error) = rule.check() {
            let causes = std::error::Error::source(&error)
                // It draws the pattern over several lines; its last one says what is wrong.
                .and_then(|source| Some(source.to_string().lines().last()?.trim().to_owned()))
                .map(|cause| format!(": {}", cause.trim_start_matches("error: ")))
                .unwrap_or_default();
            self.problems
                .push(format!("{}: {error}{causes}", rule.title()));
            return;
        }
        let same_content = self.twins.get(&twin(rule));
        let same_content = same_content.and_then(|id| self.rules.find(id));
        let same_id = self.rules.find(&rule.id);
        let same_id = same_id.filter(|row| !self.made_up.contains(&row.id));
        let in_file = [same_content, same_id].into_iter().flatten();
        let in_file = in_file.filter_map(|row| kept_in_file(&row.title(), &row.origin));
        if let Some(problem) = { in_file }.next() {
            self.problems.push(problem);
            return;
        }
        let before = match (same_content, same_id) {
            (Some(other), Some(row)) if other.id != row.id => {
                self.problems.push(format!(
                    "rule {} already has this connector, pattern and role: end one of the two",
                    other.id
                ));
                return;
            }
            (other, row) => other.or(row).cloned(),
        };
        let id = match &before {
            Some(row) => row.id.clone(),
            None => self.new_id(&rule.id),
        };
        let rule = MappingRule {
            id,
            conditions: rule.conditions.as_kept(),
            origin: Origin::Store,
            ..rule.clone()
        };
        if let Some(before) = before {
            self.twins.remove(&twin(&before));
        }
        self.twins.insert(twin(&rule), rule.id.clone());
        self.rules.put(rule.id.clone(), rule);
    }

    fn end_rule(&mut self, id: &MappingId) {
        let Some(found) = self.rules.find(id) else {
            return self.missing(&format!("rule {id}"));
        };
        if let Some(problem) = kept_in_file(&found.title(), &found.origin) {
            return self.problems.push(problem);
        }
        let twin = twin(found);
        if self.twins.get(&twin) == Some(id) {
            self.twins.remove(&twin);
        }
        self.rules.take(id);
    }

    /// What was made, or everything that keeps it from fitting together.
    pub(super) fn end(mut self) -> Result<PolicyTables, Vec<String>> {
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(self.orphans());
        problems.extend(self.same_names());
        problems.extend(self.unlimited());
        problems.extend(self.abandoned());
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(PolicyTables {
            version: self.before.version,
            accounts: self.accounts.into_rows(),
            roles: self.roles.into_rows(),
            mappings: self.mappings.into_rows(),
            rules: self.rules.into_rows(),
            group_ids: self.group_ids,
        })
    }

    /// Mappings without a role, where either was touched.
    fn orphans(&self) -> Vec<String> {
        let known: HashSet<&TargetArn> = self.before.roles.iter().map(|role| &role.arn).collect();
        let mut orphans: BTreeMap<&TargetArn, Vec<&Mapping>> = BTreeMap::new();
        for mapping in self.mappings.iter() {
            let is_touched = self.mappings.is_put(&mapping.id) || known.contains(&mapping.role);
            if is_touched && self.roles.find(&mapping.role).is_none() {
                orphans.entry(&mapping.role).or_default().push(mapping);
            }
        }
        let sentences = orphans.into_iter().map(|(role, mappings)| {
            let count = counted(mappings.len(), "mapping");
            if known.contains(role) {
                let first = mappings.first().map(|mapping| mapping.title());
                let first = first.unwrap_or_default();
                format!("{role} is still given by {count}: end those first, such as {first}")
            } else {
                format!("{role} is not in the table, and {count} would give it: add the role first")
            }
        });
        sentences.collect()
    }

    /// Two roles of one account whose paths end alike, where one was put: `account/role` could not
    /// tell them apart.
    fn same_names(&self) -> Vec<String> {
        let mut by_name: BTreeMap<(&str, String), &TargetArn> = BTreeMap::new();
        let mut roles: Vec<&TargetArn> = self.roles.iter().map(|role| &role.arn).collect();
        roles.sort_unstable();
        roles.dedup();
        let mut problems = Vec::new();
        for arn in roles {
            let key = (arn.account_digits(), arn.name().to_lowercase());
            let Some(other) = by_name.insert(key, arn) else {
                continue;
            };
            if self.roles.is_put(arn) || self.roles.is_put(other) {
                problems.push(format!(
                    "{other} and {arn} have the same name in one account: keep one of the two"
                ));
            }
        }
        problems
    }

    /// Conditions on roles that the identity provider opens itself, where either was put: nothing
    /// could make them hold.
    fn unlimited(&self) -> Vec<String> {
        let asked = self.mappings.iter().filter_map(|mapping| {
            let key = mapping.conditions.keys().next()?;
            let role = self.roles.find(&mapping.role)?;
            let account = role.arn.account();
            let settings = match self.accounts.find(&account) {
                Some(row) => role.own.or(&row.role_defaults),
                None => RoleDefaults::clone(&role.own),
            };
            let is_touched = self.mappings.is_put(&mapping.id)
                || self.roles.is_put(&role.arn)
                || self.accounts.is_put(&account);
            let is_handed_over = settings.console == Some(ConsoleWay::IdpInitiated);
            (is_handed_over && is_touched).then(|| {
                format!(
                    "{} asks for {key}, and the identity provider opens this role itself (console \
                     = \"idp-initiated\"), so that nothing can be asked for: drop it, or let the \
                     console open by federation",
                    mapping.title()
                )
            })
        });
        asked.collect()
    }

    /// Roles whose account was removed.
    fn abandoned(&self) -> Vec<String> {
        let left = self.removed_accounts.iter().filter_map(|account| {
            if self.accounts.find(account).is_some() {
                return None;
            }
            let roles = self.roles.iter();
            let roles = roles.filter(|role| role.arn.account_digits() == account.as_str());
            let count = roles.count();
            (count > 0).then(|| {
                format!(
                    "account {account} still has {}: remove those first",
                    counted(count, "role")
                )
            })
        });
        left.collect()
    }
}

/// `1 role`, `2 roles`.
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
