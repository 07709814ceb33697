//! Everybody whom an edit may touch: who is known here, and the members of the groups in question as
//! their directories have them now.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    Broker, Crowd, Progress,
    people::{MEMBERS, Unread, more_members, together},
};
use crate::{
    access::{AuthenticationMethod, ConnectorId, Group, GroupKey, Identity},
    identity::{Connector, GroupMembers, Member},
    store::StoreError,
};

/// How many groups are read at the same time.
const GROUPS_AT_ONCE: usize = 4;

impl Broker {
    /// Everybody whom an edit that touches these groups may touch.
    pub async fn crowd(
        &self,
        groups: &[GroupKey],
        progress: &Progress,
    ) -> Result<Crowd, StoreError> {
        let mut asked = HashSet::new();
        let groups: Vec<&GroupKey> = groups.iter().filter(|key| asked.insert(*key)).collect();
        progress.expect(groups.len());
        let known = self.adapters.known_people.known_people().await?;
        let people = known.into_iter().map(|person| person.identity).collect();
        let mut gathering = Gathering::new(self, people);
        for batch in groups.chunks(GROUPS_AT_ONCE) {
            let reading = batch.iter().map(|key| async move {
                let members = self.live_members(key).await;
                progress.advance(1);
                members
            });
            let answers = together(reading).await;
            for (key, answer) in batch.iter().zip(answers) {
                match answer {
                    Ok(members) => gathering.correct(key, &members),
                    Err(Unread::Unknown(sentence)) => {
                        gathering.unread.insert(key.connector().to_owned());
                        gathering.unresolved.push(sentence);
                    }
                    Err(Unread::Absent(sentence)) => {
                        gathering.leave(key);
                        gathering.unresolved.push(sentence);
                    }
                }
            }
        }
        Ok(gathering.finish())
    }
}

/// The people so far.
struct Gathering<'a> {
    broker: &'a Broker,
    people: Vec<Identity>,
    /// `people`, by connector and subject.
    places: HashSet<(ConnectorId, String)>,
    /// How many were found in a directory alone.
    newcomers: usize,
    is_full: bool,
    unresolved: Vec<String>,
    /// The connectors of groups whose members are not all known.
    unread: BTreeSet<String>,
}

impl<'a> Gathering<'a> {
    fn new(broker: &'a Broker, people: Vec<Identity>) -> Self {
        Self {
            broker,
            places: people.iter().map(place_of).collect(),
            people,
            newcomers: 0,
            is_full: false,
            unresolved: Vec::new(),
            unread: BTreeSet::new(),
        }
    }

    /// Lets everybody be in the group, or not, as the directory says.
    fn correct(&mut self, key: &GroupKey, members: &GroupMembers) {
        if members.is_cut {
            self.unread.insert(key.connector().to_owned());
            self.unresolved.push(more_members(members));
        }
        let Some(directory) = self.broker.connector_of(key).map(Connector::id) else {
            return;
        };
        let mut by_subject: HashMap<&str, &Member> = HashMap::new();
        let mut by_username: HashMap<String, &Member> = HashMap::new();
        for member in &members.people {
            by_subject.insert(&member.person.subject, member);
            by_username.insert(member.person.username.to_lowercase(), member);
        }
        for person in &mut self.people {
            let member = if person.connector == *directory {
                by_subject.get(person.subject.as_str())
            } else if takes_groups_from(self.broker, &person.connector, directory) {
                by_username.get(&person.username.to_lowercase())
            } else {
                continue;
            };
            let held = person.groups.iter().position(|group| group.key == *key);
            match (member, held) {
                (Some(member), Some(at)) => person.groups[at] = group(members, member),
                (Some(member), None) => person.groups.push(group(members, member)),
                // Whoever was not read may still be in it.
                (None, Some(at)) if !members.is_cut => {
                    person.groups.remove(at);
                }
                (None, _) => {}
            }
        }
        for member in &members.people {
            self.add(directory, members, member);
        }
    }

    /// Lets nobody be in a group that is not there.
    fn leave(&mut self, key: &GroupKey) {
        for person in &mut self.people {
            person.groups.retain(|group| group.key != *key);
        }
    }

    /// Adds a member who never signed in, with the groups that were asked about alone.
    fn add(&mut self, directory: &ConnectorId, members: &GroupMembers, member: &Member) {
        let place = (directory.clone(), member.person.subject.clone());
        if self.places.contains(&place) {
            return;
        }
        if self.newcomers == MEMBERS {
            self.is_full = true;
            self.unread.insert(directory.to_string());
            return;
        }
        self.newcomers += 1;
        self.places.insert(place);
        let now = self.broker.now();
        self.people.push(Identity {
            connector: directory.clone(),
            subject: member.person.subject.clone(),
            username: member.person.username.clone(),
            display_name: member.person.display_name.clone(),
            email: member.person.email.clone(),
            entry_dn: Some(member.person.dn.clone()),
            groups: vec![group(members, member)],
            groups_read_at: now,
            authenticated_at: now,
            method: AuthenticationMethod::Password,
            authentication_context: None,
            asserted_roles: Vec::new(),
        });
    }

    fn finish(mut self) -> Crowd {
        if self.is_full {
            self.unresolved.push(format!(
                "The groups have more than {MEMBERS} members who never signed in here. The others \
                 are not counted."
            ));
        }
        Crowd {
            people: self.people,
            unresolved: self.unresolved,
            unread: self.unread,
        }
    }
}

fn place_of(person: &Identity) -> (ConnectorId, String) {
    (person.connector.clone(), person.subject.clone())
}

/// Whether the people of a connector have the groups that a directory knows of their user names.
fn takes_groups_from(broker: &Broker, connector: &ConnectorId, directory: &ConnectorId) -> bool {
    match broker.connector(connector) {
        Some(Connector::Redirect(provider)) => provider.groups_from() == Some(directory),
        _ => false,
    }
}

/// The group as the member has it.
fn group(members: &GroupMembers, member: &Member) -> Group {
    Group {
        key: members.group.key.clone(),
        name: members.group.name.clone(),
        stable_id: members.group.stable_id.clone(),
        through: member.through.last().cloned(),
    }
}
