//! Whose groups an edit touches: those of the changed mappings, those that changed rules match, and
//! those that lead to a changed role.

use std::collections::BTreeSet;

use regex::RegexBuilder;

use crate::{
    access::{Account, AccountId, GroupKey, MappingRule, PolicyTables, Role, Row, TargetArn},
    broker::{Broker, Found},
    identity::GroupSummary,
    store::StoreError,
};

use super::RowChange;

/// From how many characters on the beginning of a pattern is worth a search.
const PREFIX: usize = 3;
/// The largest compiled pattern, in bytes, as for rules themselves.
const PATTERN_LIMIT: usize = 1 << 20;

/// The groups whose members an edit may touch, and what of them is not known.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) groups: BTreeSet<GroupKey>,
    pub(super) unresolved: Vec<String>,
    /// The connectors of rules whose groups were not all found.
    pub(super) unread: BTreeSet<String>,
}

impl Broker {
    /// The groups that the changed rows are about.
    pub(super) async fn touched(
        &self,
        rows: &[RowChange],
        tables: &[&PolicyTables],
    ) -> Result<Touched, StoreError> {
        let mut touched = Touched::default();
        let mut roles: BTreeSet<&TargetArn> = BTreeSet::new();
        let mut accounts: BTreeSet<&AccountId> = BTreeSet::new();
        let mut given: BTreeSet<(&str, &TargetArn)> = BTreeSet::new();
        for row in rows {
            for side in [&row.before, &row.after].into_iter().flatten() {
                match side {
                    Row::Mapping(mapping) => {
                        touched.groups.insert(mapping.group.clone());
                        given.insert((mapping.group.connector(), &mapping.role));
                    }
                    Row::Rule(rule) => self.add_matches(rule, &mut touched).await?,
                    Row::Role(role) if !is_cosmetic(row) => {
                        roles.insert(&role.arn);
                    }
                    Row::Account(account) if !is_cosmetic(row) => {
                        accounts.insert(&account.id);
                    }
                    Row::Role(_) | Row::Account(_) => {}
                }
            }
        }
        if roles.is_empty() && accounts.is_empty() && given.is_empty() {
            return Ok(touched);
        }
        for mapping in tables.iter().flat_map(|tables| &tables.mappings) {
            let role = &mapping.role;
            // Whoever has the role by another group of the same directory neither gains nor loses
            // it, and somebody who never signed in is known by the groups that were asked about.
            let is_given = given.contains(&(mapping.group.connector(), role));
            if is_given || roles.contains(role) || accounts.contains(&role.account()) {
                touched.groups.insert(mapping.group.clone());
            }
        }
        Ok(touched)
    }

    /// The groups whose names have what every match of a rule's pattern begins with, some that do
    /// not match among them; none where the pattern does not begin with plain letters.
    pub async fn groups_like(
        &self,
        pattern: &str,
    ) -> Result<Option<Found<GroupSummary>>, StoreError> {
        let text = searchable(pattern.strip_prefix('^').unwrap_or(pattern));
        if text.chars().count() < PREFIX {
            return Ok(None);
        }
        self.find_groups(&text).await.map(Some)
    }

    /// The groups of the directory that a rule matches, as far as a search finds them.
    async fn add_matches(
        &self,
        rule: &MappingRule,
        touched: &mut Touched,
    ) -> Result<(), StoreError> {
        let pattern = &rule.group_pattern;
        let inner = pattern.strip_prefix('^').unwrap_or(pattern);
        let inner = inner.strip_suffix('$').unwrap_or(inner);
        let built = RegexBuilder::new(&format!("^(?:{inner})$"))
            .case_insensitive(true)
            .size_limit(PATTERN_LIMIT)
            .build();
        let Ok(built) = built else { return Ok(()) };
        let Some(found) = self.groups_like(pattern).await? else {
            touched.unread.insert(rule.connector.to_string());
            touched.unresolved.push(format!(
                "The directory cannot be searched for groups that match {pattern}, because it does \
                 not begin with plain letters: only people who were seen here are counted."
            ));
            return Ok(());
        };
        let matching = found.items.into_iter().filter(|group| {
            group.key.connector() == rule.connector.as_str() && built.is_match(&group.name)
        });
        touched.groups.extend(matching.map(|group| group.key));
        if !found.missing.is_empty() {
            touched.unread.insert(rule.connector.to_string());
        }
        touched.unresolved.extend(found.missing);
        Ok(())
    }
}

/// What to search a directory for: of a distinguished name the beginning of its first value, which
/// is what directories know as a group's name.
fn searchable(pattern: &str) -> String {
    let prefix = literal_prefix(pattern);
    match prefix.split_once('=') {
        Some((_, value)) => value.split(',').next().unwrap_or_default().to_owned(),
        None => prefix,
    }
}

/// The letters that every match of a pattern begins with.
fn literal_prefix(pattern: &str) -> String {
    if pattern.contains('|') {
        return String::new();
    }
    let is_plain = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ' | ',' | '=');
    let mut prefix: String = pattern.chars().take_while(is_plain).collect();
    let next = pattern.chars().nth(prefix.chars().count());
    if matches!(next, Some('?' | '*' | '{')) {
        prefix.pop();
    }
    prefix
}

/// Whether a changed account or role gives what it gave before.
pub(super) fn is_cosmetic(row: &RowChange) -> bool {
    match (&row.before, &row.after) {
        (Some(Row::Account(before)), Some(Row::Account(after))) => {
            let stripped = |account: &Account| (account.protected, account.role_defaults.clone());
            stripped(before) == stripped(after)
        }
        (Some(Row::Role(before)), Some(Row::Role(after))) => {
            let stripped = |role: &Role| Role {
                description: None,
                owner: None,
                ..role.clone()
            };
            stripped(before) == stripped(after)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{literal_prefix, searchable};

    #[test]
    fn a_distinguished_name_is_searched_for_by_its_first_value() {
        assert_eq!(searchable(r"cn=aws-(?<account>\d{12}),ou=groups"), "aws-");
        assert_eq!(searchable("cn=readers,ou=groups,dc=x"), "readers");
        assert_eq!(searchable(r"cn=(?<role>\w+),ou=aws"), "");
        assert_eq!(searchable(r"aws-(?<account>\d{12})"), "aws-");
    }

    #[test]
    fn only_what_every_match_begins_with_is_searched_for() {
        assert_eq!(literal_prefix(r"aws-(?<account>\d{12})-x"), "aws-");
        assert_eq!(literal_prefix("aws-?x"), "aws");
        assert_eq!(literal_prefix("aws|ops"), "");
        assert_eq!(literal_prefix("(?<a>x)"), "");
    }
}
