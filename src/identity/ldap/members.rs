//! Who is in a group: the way of `groups.rs` walked downwards.
//!
//! A person is found here exactly when the group would be found for the person at a sign-in.

use std::collections::{HashMap, HashSet};

use ldap3::ldap_escape;
use tokio::time::Instant;

use super::{
    GroupStrategy, LdapConnector, SearchRequest,
    entry::Entry,
    failure::Failure,
    groups::{BATCH, MEMBER_OF, Search, SearchSome, parsed},
    lookups::{Way, equals_any, is_within},
};
use crate::{
    access::GroupKey,
    identity::{GroupMembers, LocatedEntry, LookUpError, Member},
};

/// The rule by which Active Directory follows nested groups itself.
const IN_CHAIN: &str = "memberOf:1.2.840.113556.1.4.1941:";

/// What was found on the way down.
struct Descent<'a> {
    connector: &'a LdapConnector,
    /// The group that was asked about.
    top: GroupKey,
    people: Vec<Member>,
    /// The subjects of `people`.
    seen: HashSet<String>,
    /// The groups below the one that was asked about, each with the next group on the way up.
    above: HashMap<GroupKey, GroupKey>,
    limit: usize,
    is_cut: bool,
    deadline: Instant,
}

/// A group on the way down.
struct Below {
    key: GroupKey,
    entry: Entry,
}

/// Members that groups list, each with the first group that does.
#[derive(Default)]
struct Listed<'e> {
    /// By the normal form of the DN: the DN as written, and the group.
    names: HashMap<String, (&'e str, GroupKey)>,
    usernames: HashMap<&'e str, GroupKey>,
}

impl LdapConnector {
    pub(super) async fn members_of(
        &self,
        group: &GroupKey,
        limit: usize,
    ) -> Result<Option<GroupMembers>, LookUpError> {
        self.check_searchable()?;
        let deadline = self.deadline();
        let way = self.way()?;
        let mut attributes = self.group_attributes();
        if let Way::Lists { names, usernames } = &way {
            attributes.extend(names);
            attributes.extend(usernames);
        }
        let Some(entry) = self.group_entry(group, &attributes, deadline).await? else {
            return Ok(None);
        };
        let Some(summary) = self.summary(&entry) else {
            return Ok(None);
        };
        let mut descent = Descent {
            connector: self,
            top: summary.key.clone(),
            people: Vec::new(),
            seen: HashSet::new(),
            above: HashMap::new(),
            limit,
            is_cut: false,
            deadline,
        };
        match &way {
            Way::BackLinks => descent.by_back_links(entry).await?,
            Way::Chain => descent.by_chain(&entry).await?,
            Way::Lists { names, usernames } => {
                descent
                    .by_lists(entry, (names, usernames), &attributes)
                    .await?;
            }
        }
        let mut people = descent.people;
        people.sort_by_cached_key(|member| member.person.username.to_lowercase());
        Ok(Some(GroupMembers {
            group: summary,
            people,
            is_cut: descent.is_cut,
        }))
    }

    /// Whether groups in groups count, for a way that the server does not follow itself.
    fn follows_groups(&self) -> bool {
        self.settings.nested_groups && self.settings.group_strategy != GroupStrategy::Posix
    }
}

impl Descent<'_> {
    async fn by_back_links(&mut self, top: Entry) -> Result<(), Failure> {
        let mut level = vec![Below {
            key: self.top.clone(),
            entry: top,
        }];
        for depth in 0.. {
            for batch in level.chunks(BATCH) {
                self.add_people_naming(batch).await?;
            }
            if !self.connector.follows_groups() || self.is_full() {
                break;
            }
            let mut next = Vec::new();
            for batch in level.chunks(BATCH) {
                let filter = naming(&self.connector.group_restriction(), batch);
                for entry in self.groups(&filter, &[MEMBER_OF]).await? {
                    let parent = named_by(&entry, batch, self.connector);
                    next.extend(self.descend(entry, parent)?);
                }
            }
            if self.ends_below(&next, depth) {
                break;
            }
            level = next;
        }
        Ok(())
    }

    /// Adds the people whose `memberOf` names one of these groups.
    async fn add_people_naming(&mut self, batch: &[Below]) -> Result<(), Failure> {
        let filter = naming(&self.connector.person_restriction(), batch);
        let mut attributes = self.connector.person_attributes();
        attributes.push(MEMBER_OF);
        for entry in self.people(&filter, &attributes).await? {
            if let Some(group) = named_by(&entry, batch, self.connector) {
                self.add(&entry, &group);
            }
        }
        Ok(())
    }

    async fn by_chain(&mut self, top: &Entry) -> Result<(), Failure> {
        let dn = ldap_escape(top.dn.as_str());
        let restriction = self.connector.group_restriction();
        let filter = format!("(&{restriction}({IN_CHAIN}={dn}))");
        let mut below: HashMap<GroupKey, Vec<GroupKey>> = HashMap::new();
        for entry in self.groups(&filter, &[MEMBER_OF]).await? {
            let key = self.connector.key(&entry.dn)?;
            for parent in entry.texts(MEMBER_OF) {
                let children = below.entry(self.connector.key(parent)?).or_default();
                children.push(key.clone());
            }
        }
        // By distance, so that the shortest way is told.
        let mut reached = vec![self.top.clone()];
        let mut at = 0;
        while let Some(parent) = reached.get(at).cloned() {
            for child in below.remove(&parent).unwrap_or_default() {
                if child != self.top && !self.above.contains_key(&child) {
                    self.above.insert(child.clone(), parent.clone());
                    reached.push(child);
                }
            }
            at += 1;
        }
        let restriction = self.connector.person_restriction();
        let filter = format!("(&{restriction}({IN_CHAIN}={dn}))");
        let mut attributes = self.connector.person_attributes();
        attributes.push(MEMBER_OF);
        for entry in self.people(&filter, &attributes).await? {
            let named: HashSet<GroupKey> = entry
                .texts(MEMBER_OF)
                .filter_map(|dn| self.connector.key(dn).ok())
                .collect();
            // A way through groups that do not count cannot be told.
            let nearest = reached.iter().find(|group| named.contains(group));
            self.add(&entry, nearest.unwrap_or(&reached[0]));
        }
        Ok(())
    }

    async fn by_lists(
        &mut self,
        top: Entry,
        (names, usernames): (&[&str], &[&str]),
        attributes: &[&str],
    ) -> Result<(), Failure> {
        let mut seen = HashSet::new();
        let mut level = vec![Below {
            key: self.top.clone(),
            entry: top,
        }];
        for depth in 0.. {
            let mut listed = Listed::default();
            for group in &level {
                for dn in names.iter().flat_map(|name| group.entry.texts(name)) {
                    // What is no DN is nobody's.
                    let Ok(key) = self.connector.key(dn) else {
                        continue;
                    };
                    if seen.insert(key.clone()) {
                        let key = key.value().to_owned();
                        listed.names.insert(key, (dn, group.key.clone()));
                    }
                }
                for name in usernames.iter().flat_map(|name| group.entry.texts(name)) {
                    listed
                        .usernames
                        .entry(name)
                        .or_insert_with(|| group.key.clone());
                }
            }
            self.add_listed_people(&listed).await?;
            if !self.connector.follows_groups() || self.is_full() {
                break;
            }
            let next = self.listed_groups(&listed, attributes).await?;
            if self.ends_below(&next, depth) {
                break;
            }
            level = next;
        }
        Ok(())
    }

    async fn add_listed_people(&mut self, listed: &Listed<'_>) -> Result<(), Failure> {
        let restriction = self.connector.person_restriction();
        let attributes = self.connector.person_attributes();
        for batch in within(listed, &self.connector.settings.user_base)?.chunks(BATCH) {
            let filter = self.connector.by_dn(&restriction, batch);
            for entry in self.people(&filter, &attributes).await? {
                let key = self.connector.key(&entry.dn)?;
                if let Some((_, group)) = listed.names.get(key.value()) {
                    self.add(&entry, group);
                }
            }
            if self.is_full() {
                return Ok(());
            }
        }
        let usernames: Vec<&str> = listed.usernames.keys().copied().collect();
        let attribute = &self.connector.settings.attributes.username;
        for batch in usernames.chunks(BATCH) {
            let filter = equals_any(&restriction, attribute, batch);
            for entry in self.people(&filter, &attributes).await? {
                // Lists of user names tell the cases of letters apart (RFC 2307 section 3), and of
                // several names of a person only the canonical one counts.
                let person = self.connector.person(&entry);
                let group = person.and_then(|person| listed.usernames.get(&*person.username));
                if let Some(group) = group {
                    self.add(&entry, group);
                }
            }
            if self.is_full() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The groups among the members that were not met before.
    async fn listed_groups(
        &mut self,
        listed: &Listed<'_>,
        attributes: &[&str],
    ) -> Result<Vec<Below>, Failure> {
        let restriction = self.connector.group_restriction();
        let mut next = Vec::new();
        for batch in within(listed, &self.connector.group_root())?.chunks(BATCH) {
            let filter = self.connector.by_dn(&restriction, batch);
            for entry in self.groups(&filter, attributes).await? {
                let key = self.connector.key(&entry.dn)?;
                let parent = listed
                    .names
                    .get(key.value())
                    .map(|(_, group)| group.clone());
                next.extend(self.descend(entry, parent)?);
            }
        }
        Ok(next)
    }

    /// Notes a group below `parent`; none where it was met before.
    fn descend(
        &mut self,
        entry: Entry,
        parent: Option<GroupKey>,
    ) -> Result<Option<Below>, Failure> {
        let key = self.connector.key(&entry.dn)?;
        let Some(parent) = parent else {
            return Ok(None);
        };
        if key == self.top || self.above.contains_key(&key) {
            return Ok(None);
        }
        self.above.insert(key.clone(), parent);
        Ok(Some(Below { key, entry }))
    }

    /// Whether the way down ends above these groups: nobody below them could sign in.
    fn ends_below(&mut self, next: &[Below], depth: usize) -> bool {
        let is_too_deep = depth >= self.connector.settings.nesting_limit;
        self.is_cut |= is_too_deep && !next.is_empty();
        is_too_deep || next.is_empty()
    }

    fn add(&mut self, entry: &Entry, group: &GroupKey) {
        let Some(person) = self.connector.person(entry) else {
            return;
        };
        if self.seen.contains(&person.subject) {
            return;
        }
        if self.people.len() == self.limit {
            self.is_cut = true;
            return;
        }
        self.seen.insert(person.subject.clone());
        let through = self.way_up(group);
        self.people.push(member(person, through));
    }

    fn way_up(&self, group: &GroupKey) -> Vec<GroupKey> {
        let mut through = Vec::new();
        let mut group = group;
        while let Some(parent) = self.above.get(group) {
            through.push(group.clone());
            group = parent;
        }
        through
    }

    fn is_full(&self) -> bool {
        self.people.len() == self.limit && self.is_cut
    }

    async fn people(&mut self, filter: &str, attributes: &[&str]) -> Result<Vec<Entry>, Failure> {
        let limit = self.limit.saturating_add(1);
        let search = SearchSome(self.connector.some_people(filter, attributes, limit));
        let (entries, is_cut) = self.connector.servers.run(&search, self.deadline).await?;
        self.is_cut |= is_cut;
        Ok(entries)
    }

    async fn groups(&self, filter: &str, attributes: &[&str]) -> Result<Vec<Entry>, Failure> {
        let base = self.connector.group_root();
        let request: SearchRequest<'_> = self.connector.group_request(&base, filter, attributes);
        self.connector
            .servers
            .run(&Search(request), self.deadline)
            .await
    }
}

fn member(person: LocatedEntry, through: Vec<GroupKey>) -> Member {
    Member { person, through }
}

/// The DNs that lie below `base`.
fn within<'e>(listed: &Listed<'e>, base: &str) -> Result<Vec<&'e str>, Failure> {
    let base = parsed(base)?;
    let names = listed.names.values().map(|(dn, _)| *dn);
    Ok(names.filter(|dn| is_within(dn, &base)).collect())
}

/// A filter for entries whose `memberOf` names one of these groups.
fn naming(restriction: &str, batch: &[Below]) -> String {
    let dns: Vec<&str> = batch.iter().map(|group| group.entry.dn.as_str()).collect();
    equals_any(restriction, MEMBER_OF, &dns)
}

/// The first of the groups that the entry's `memberOf` names; where only a part of it was sent,
/// it may be any of them.
fn named_by(entry: &Entry, batch: &[Below], connector: &LdapConnector) -> Option<GroupKey> {
    let named: HashSet<GroupKey> = entry
        .texts(MEMBER_OF)
        .filter_map(|dn| connector.key(dn).ok())
        .collect();
    let group = batch.iter().find(|group| named.contains(&group.key));
    group
        .or_else(|| batch.first())
        .map(|group| group.key.clone())
}
