//! Everybody who is known, held in memory, for those who look at all of them at once.
//!
//! Tens of thousands of people with their groups take a second to read from their rows. So they are
//! kept, each group once however many people have it, and before every use the rows that changed
//! since are read: whoever signed in meanwhile, here or by another process, is seen. Never here: an
//! answer from memory alone. Entry points: [`Register::through`], [`Register::add`].

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    access::{ConnectorId, Group, GroupKey},
    store::KnownPerson,
};

/// Everybody as last read.
#[derive(Debug, Default)]
pub(super) struct Register {
    /// The number of the last change that was read; the first is 1.
    through: i64,
    people: HashMap<(ConnectorId, String), Entry>,
    groups: HashSet<Arc<Group>>,
}

/// A person, whose groups are held apart.
#[derive(Debug)]
struct Entry {
    person: KnownPerson,
    groups: Box<[Arc<Group>]>,
}

impl Entry {
    fn whole(&self) -> KnownPerson {
        let mut person = self.person.clone();
        person.identity.groups = self.groups.iter().map(|group| (**group).clone()).collect();
        person
    }
}

impl Register {
    /// The number of the last change that is in it.
    pub(super) fn through(&self) -> i64 {
        self.through
    }

    /// How many people are in it.
    pub(super) fn count(&self) -> usize {
        self.people.len()
    }

    /// Puts a person as the change of this number left them. Changes come in their order.
    pub(super) fn add(&mut self, mut person: KnownPerson, change: i64) {
        let groups = std::mem::take(&mut person.identity.groups);
        let groups = groups.into_iter().map(|group| self.shared(group)).collect();
        let identity = &person.identity;
        let place = (identity.connector.clone(), identity.subject.clone());
        self.people.insert(place, Entry { person, groups });
        self.through = change;
    }

    fn shared(&mut self, group: Group) -> Arc<Group> {
        if let Some(known) = self.groups.get(&group) {
            return Arc::clone(known);
        }
        let group = Arc::new(group);
        self.groups.insert(Arc::clone(&group));
        group
    }

    /// Lets go of the groups that nobody has any more.
    pub(super) fn tidy(&mut self) {
        self.groups.retain(|group| Arc::strong_count(group) > 1);
    }

    /// Everybody, by connector and user name.
    pub(super) fn everybody(&self) -> Vec<KnownPerson> {
        self.in_order(|_| true)
    }

    /// Those who were last seen with a group, by connector and user name.
    pub(super) fn with_group(&self, key: &GroupKey) -> Vec<KnownPerson> {
        // More than one where it was seen with several names or ids.
        let wanted = self.groups.iter().filter(|group| group.key == *key);
        let wanted: Vec<&Arc<Group>> = wanted.collect();
        let is_wanted = |group: &Arc<Group>| wanted.iter().any(|one| Arc::ptr_eq(one, group));
        self.in_order(|entry| entry.groups.iter().any(is_wanted))
    }

    /// The groups that somebody was last seen with, by key and name, one for each.
    pub(super) fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<&Arc<Group>> = self.groups.iter().collect();
        groups.sort_unstable_by(|a, b| (&a.key, &a.name).cmp(&(&b.key, &b.name)));
        groups.dedup_by(|one, other| one.key == other.key && one.name == other.name);
        groups.into_iter().map(|group| (**group).clone()).collect()
    }

    fn in_order(&self, is_wanted: impl Fn(&Entry) -> bool) -> Vec<KnownPerson> {
        let mut entries: Vec<&Entry> = self.people.values().filter(|one| is_wanted(one)).collect();
        entries.sort_unstable_by_key(|entry| {
            let identity = &entry.person.identity;
            (
                identity.connector.as_str(),
                identity.username.as_str(),
                identity.subject.as_str(),
            )
        });
        entries.into_iter().map(Entry::whole).collect()
    }
}
