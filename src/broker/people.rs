//! People and groups, for those who keep the table: in the directories now, and as last seen here.
//!
//! Never here: whether the asker may; that is asked before. Entry points: [`Broker::find_people`],
//! [`Broker::person`], [`Broker::find_groups`], [`Broker::group`].

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use time::OffsetDateTime;

use super::Broker;
use crate::{
    access::{ConnectorId, GroupKey, Identity, explain::Basis},
    identity::{
        Connector, GroupMembers, GroupSummary, Listing, LocatedEntry, LookUpError,
        PasswordConnector, RefreshError, SignInError,
    },
    store::{KnownPerson, StoreError},
};

/// How many people or groups a search shows.
const SHOWN: usize = 50;
/// The longest text that is looked for, in bytes; a longer one names nobody and nothing.
const LONGEST_TEXT: usize = 1_000;
/// How many members of a group are read.
pub(super) const MEMBERS: usize = 20_000;

/// What was found, and what could not be asked.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Sentences about what could not be asked, such as a directory that is down.
    pub missing: Vec<String>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            missing: Vec::new(),
        }
    }
}

/// A person in a list of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPerson {
    /// The connector.
    pub connector: ConnectorId,
    /// The stable id.
    pub subject: String,
    /// The canonical user name.
    pub username: String,
    /// What to call the person.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// When they were last seen here; none for somebody who never signed in.
    pub seen_at: Option<OffsetDateTime>,
    /// Whether the directory has them now; none where it could not be asked.
    pub is_in_directory: Option<bool>,
}

/// A person with the groups that are known best.
#[derive(Debug, Clone)]
pub struct PersonRecord {
    /// Who, with the groups.
    pub identity: Identity,
    /// Where the groups come from.
    pub basis: Basis,
    /// When they were last seen here; none for somebody who never signed in.
    pub seen_at: Option<OffsetDateTime>,
    /// Sentences about what could not be asked.
    pub missing: Vec<String>,
}

/// A group, and who is in it.
#[derive(Debug, Clone)]
pub struct GroupRecord {
    /// The key.
    pub key: GroupKey,
    /// Who is in it by the directory; none where it could not be asked, or has no such group.
    pub members: Option<GroupMembers>,
    /// People who were last seen here with it.
    pub seen: Vec<FoundPerson>,
    /// Sentences about what could not be asked.
    pub missing: Vec<String>,
}

/// How far a long look-up is; shared between the task that works and the page that shows it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicUsize,
    total: AtomicUsize,
}

impl Progress {
    /// How much is done, of how much.
    pub fn counts(&self) -> (usize, usize) {
        let Counts { done, total } = &*self.0;
        (done.load(Ordering::Relaxed), total.load(Ordering::Relaxed))
    }

    /// Says how much there is to do.
    pub fn expect(&self, more: usize) {
        self.0.total.fetch_add(more, Ordering::Relaxed);
    }

    /// Says that some of it is done.
    pub fn advance(&self, by: usize) {
        self.0.done.fetch_add(by, Ordering::Relaxed);
    }
}

/// The people whom an edit may touch, and who among them could not be looked at.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// Everybody known to the store, and the live members of the groups that were asked about.
    /// Groups are as last seen, but those that were asked about are as the directory says now.
    pub people: Vec<Identity>,
    /// Sentences about what could not be resolved.
    pub unresolved: Vec<String>,
    /// The connectors of groups whose members are not all known.
    pub unread: BTreeSet<String>,
}

/// Why the members of a group were not read, in a sentence.
pub(super) enum Unread {
    /// The directory has no such group.
    Absent(String),
    /// It could not be asked.
    Unknown(String),
}

impl Broker {
    /// People by user name, display name or e-mail address: in the directories and as known here.
    pub async fn find_people(&self, text: &str) -> Result<Found<FoundPerson>, StoreError> {
        let text = text.trim();
        let mut found = Found {
            items: Vec::new(),
            missing: Vec::new(),
        };
        if text.is_empty() || text.len() > LONGEST_TEXT {
            return Ok(found);
        }
        let asked = self
            .directories()
            .map(|directory| async move { (directory, directory.find_people(text, SHOWN).await) });
        let answers = together(asked).await;
        let known = self
            .adapters
            .known_people
            .find_known_people(text, shown())
            .await?;
        let mut people = BTreeMap::new();
        for person in &known {
            let person = FoundPerson::from(person);
            people.insert((person.connector.clone(), person.subject.clone()), person);
        }
        for (directory, answer) in answers {
            match answer {
                Ok(listing) => {
                    found
                        .missing
                        .extend(cut_short(directory.label(), "people", &listing));
                    self.merge(&mut people, directory.id(), listing, text)
                        .await?;
                }
                Err(error) => found.missing.push(unanswered(directory, &error)),
            }
        }
        found.items = people.into_values().collect();
        found.items.sort_by_cached_key(|person| {
            let is_exact = is_called(text, &person.username, &person.subject);
            (!is_exact, person.username.to_lowercase())
        });
        if found.items.len() > SHOWN {
            found.items.truncate(SHOWN);
            found.missing.push(format!(
                "More than {SHOWN} people fit. Type more of the name to see the others."
            ));
        }
        Ok(found)
    }

    /// Adds what a directory found to those who are known here.
    async fn merge(
        &self,
        people: &mut BTreeMap<(ConnectorId, String), FoundPerson>,
        connector: &ConnectorId,
        listing: Listing<LocatedEntry>,
        text: &str,
    ) -> Result<(), StoreError> {
        let found: HashSet<&str> = (listing.items.iter())
            .map(|entry| entry.subject.as_str())
            .collect();
        // Directories search for no subject and for nothing as short as one character.
        let is_whole = !listing.is_cut && text.chars().count() > 1;
        for person in people.values_mut() {
            if person.connector == *connector
                && is_whole
                && !found.contains(person.subject.as_str())
                && person.subject != text
            {
                person.is_in_directory = Some(false);
            }
        }
        for entry in listing.items {
            let key = (connector.clone(), entry.subject.clone());
            let seen_at = match people.get(&key) {
                Some(person) => person.seen_at,
                None => self.seen_at(connector, &entry.subject).await?,
            };
            let person = FoundPerson {
                connector: connector.clone(),
                subject: entry.subject,
                username: entry.username,
                display_name: entry.display_name,
                email: entry.email,
                seen_at,
                is_in_directory: Some(true),
            };
            people.insert(key, person);
        }
        Ok(())
    }

    async fn seen_at(
        &self,
        connector: &ConnectorId,
        subject: &str,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let known = self
            .adapters
            .known_people
            .known_person(connector.as_str(), subject);
        Ok(known.await?.map(|person| person.seen_at))
    }

    /// Everybody who is called `name` (a user name or a stable id), at one connector or at all:
    /// read from the directory now where that can be, else as last seen here.
    pub async fn person(
        &self,
        connector: Option<&ConnectorId>,
        name: &str,
    ) -> Result<Found<PersonRecord>, StoreError> {
        let name = name.trim();
        let mut found = Found {
            items: Vec::new(),
            missing: Vec::new(),
        };
        if name.is_empty() || name.len() > LONGEST_TEXT {
            return Ok(found);
        }
        let is_wanted = |id: &ConnectorId| connector.is_none_or(|wanted| wanted == id);
        let mut known = self
            .adapters
            .known_people
            .find_known_people(name, shown())
            .await?;
        known.retain(|person| {
            let identity = &person.identity;
            is_wanted(&identity.connector) && is_called(name, &identity.username, &identity.subject)
        });
        let wanted = self
            .directories()
            .filter(|directory| is_wanted(directory.id()));
        let looked_up = together(
            wanted.map(|directory| async move { (directory, directory.look_up(name).await) }),
        );
        for (directory, answer) in looked_up.await {
            match answer {
                Ok(Some(identity)) => {
                    let seen_at = self.seen_at(&identity.connector, &identity.subject).await?;
                    known.retain(|person| !is_same(&person.identity, &identity));
                    found.items.push(PersonRecord {
                        identity,
                        basis: Basis::Live,
                        seen_at,
                        missing: Vec::new(),
                    });
                }
                Ok(None) => {}
                Err(error) => found.missing.push(not_looked_up(directory, &error)),
            }
        }
        let records = together(known.into_iter().map(|person| self.record_of(person)));
        found.items.extend(records.await);
        Ok(found)
    }

    /// Somebody who has signed in here, with the groups of now where they can be read.
    async fn record_of(&self, known: KnownPerson) -> PersonRecord {
        let seen = &known.identity;
        let read = match self.connector(&seen.connector) {
            Some(Connector::Password(directory)) => match directory.look_up(&seen.username).await {
                Ok(Some(now)) if is_same(&now, seen) => Ok(now),
                Ok(_) | Err(SignInError::Refused { .. }) => Err(gone(directory.label())),
                Err(error) => Err(not_looked_up(directory.as_ref(), &error)),
            },
            Some(Connector::Redirect(provider)) => match provider.groups_from() {
                Some(directory) => match self.groups_elsewhere(directory, seen).await {
                    Ok(now) => Ok(now),
                    Err(RefreshError::Gone) => Err(gone(self.label(directory))),
                    Err(_) => Err(down(self.label(directory))),
                },
                None => Err(format!(
                    "{} tells groups at a sign-in alone. These are as last seen.",
                    provider.label()
                )),
            },
            None => Err(format!(
                "The connector `{}` is not configured any more. The groups are as last seen.",
                seen.connector
            )),
        };
        let at = seen.groups_read_at;
        let (identity, basis, missing) = match read {
            Ok(now) => (now, Basis::Live, Vec::new()),
            Err(sentence) => (known.identity, Basis::LastSeen { at }, vec![sentence]),
        };
        PersonRecord {
            identity,
            basis,
            seen_at: Some(known.seen_at),
            missing,
        }
    }

    /// Groups by name: in the directories, in mappings, and as people were seen with them.
    pub async fn find_groups(&self, text: &str) -> Result<Found<GroupSummary>, StoreError> {
        let text = text.trim();
        let mut missing = Vec::new();
        let mut groups: BTreeMap<GroupKey, GroupSummary> = BTreeMap::new();
        if text.is_empty() || text.len() > LONGEST_TEXT {
            return Ok(Found {
                items: Vec::new(),
                missing,
            });
        }
        let asked = self
            .directories()
            .map(|directory| async move { (directory, directory.find_groups(text, SHOWN).await) });
        let mut is_whole = self.is_every_group_live();
        for (directory, answer) in together(asked).await {
            match answer {
                Ok(listing) => {
                    missing.extend(cut_short(directory.label(), "groups", &listing));
                    let found = listing.items.into_iter();
                    groups.extend(found.map(|group| (group.key.clone(), group)));
                }
                Err(error) => {
                    is_whole = false;
                    missing.push(unanswered(directory, &error));
                }
            }
        }
        let folded = text.to_lowercase();
        let mut named = self.mapped_groups(&folded).await?;
        if !is_whole {
            named.extend(self.seen_groups().await?);
        }
        for group in named {
            let names = [group.key.as_str(), &group.name];
            if names
                .iter()
                .any(|name| name.to_lowercase().contains(&folded))
            {
                groups.entry(group.key.clone()).or_insert(group);
            }
        }
        let mut items: Vec<GroupSummary> = groups.into_values().collect();
        items.sort_by_cached_key(|group| {
            let is_exact = [group.key.as_str(), group.key.value(), &group.name]
                .iter()
                .any(|name| name.to_lowercase() == folded);
            (!is_exact, group.key.clone())
        });
        if items.len() > SHOWN {
            items.truncate(SHOWN);
            missing.push(format!(
                "More than {SHOWN} groups fit. Type more of the name to see the others."
            ));
        }
        Ok(Found { items, missing })
    }

    /// The groups that mappings name and that have `part`, which is in lower case, in their keys.
    async fn mapped_groups(&self, part: &str) -> Result<Vec<GroupSummary>, StoreError> {
        let tables = self.policy.tables(self.adapters.policy.as_ref()).await?;
        let mut looked_at = HashSet::new();
        let mappings = tables
            .mappings
            .iter()
            .filter(|mapping| looked_at.insert(&mapping.group))
            .filter(|mapping| mapping.group.as_str().to_lowercase().contains(part));
        let mapped = mappings.map(|mapping| GroupSummary {
            key: mapping.group.clone(),
            name: mapping.group.value().to_owned(),
            description: None,
            stable_id: tables.group_ids.get(&mapping.id).cloned(),
        });
        Ok(mapped.collect())
    }

    /// The groups that people were last seen with.
    async fn seen_groups(&self) -> Result<Vec<GroupSummary>, StoreError> {
        let groups = self.adapters.known_people.known_groups().await?;
        let seen = groups.into_iter().map(|group| GroupSummary {
            key: group.key,
            name: group.name,
            description: None,
            stable_id: group.stable_id,
        });
        Ok(seen.collect())
    }

    /// Whether every group that counts can be found in a directory now.
    fn is_every_group_live(&self) -> bool {
        self.connectors().iter().all(|connector| match connector {
            Connector::Password(_) => true,
            Connector::Redirect(provider) => provider.groups_from().is_some(),
        })
    }

    /// A group and who is in it.
    pub async fn group(&self, key: &GroupKey) -> Result<GroupRecord, StoreError> {
        let known = self.adapters.known_people.known_people_with(key).await?;
        let mut seen: Vec<FoundPerson> = known.iter().map(FoundPerson::from).collect();
        seen.sort_by_cached_key(|person| person.username.to_lowercase());
        let mut missing = Vec::new();
        let members = match self.live_members(key).await {
            Ok(members) => {
                if members.is_cut {
                    missing.push(more_members(&members));
                }
                Some(members)
            }
            Err(Unread::Absent(sentence) | Unread::Unknown(sentence)) => {
                missing.push(sentence);
                None
            }
        };
        if let Some(members) = &members {
            let now: HashSet<&str> = (members.people.iter())
                .map(|member| member.person.subject.as_str())
                .collect();
            for person in &mut seen {
                if person.connector.as_str() == key.connector() {
                    let is_member = now.contains(person.subject.as_str());
                    person.is_in_directory = is_member.then_some(true);
                }
            }
        }
        Ok(GroupRecord {
            key: key.clone(),
            members,
            seen,
            missing,
        })
    }

    /// Who is in a group now, or a sentence that says why that is not known.
    pub(super) async fn live_members(&self, key: &GroupKey) -> Result<GroupMembers, Unread> {
        let directory = match self.connector_of(key) {
            Some(Connector::Password(directory)) => directory,
            Some(Connector::Redirect(provider)) => {
                return Err(Unread::Unknown(format!(
                    "{} cannot be asked who is in {}. Only people who signed in with it count.",
                    provider.label(),
                    key.value()
                )));
            }
            None => {
                let sentence = format!("No connector of {key} is configured.");
                return Err(Unread::Unknown(sentence));
            }
        };
        match directory.members(key, MEMBERS).await {
            Ok(Some(members)) => Ok(members),
            Ok(None) => Err(Unread::Absent(format!(
                "{} has no group {}.",
                directory.label(),
                key.value()
            ))),
            Err(error) => Err(Unread::Unknown(unanswered(directory.as_ref(), &error))),
        }
    }

    pub(super) fn connector_of(&self, key: &GroupKey) -> Option<&Connector> {
        let mut connectors = self.connectors().iter();
        connectors.find(|connector| connector.id().as_str() == key.connector())
    }

    fn directories(&self) -> impl Iterator<Item = &dyn PasswordConnector> {
        self.connectors()
            .iter()
            .filter_map(|connector| match connector {
                Connector::Password(directory) => Some(directory.as_ref()),
                Connector::Redirect(_) => None,
            })
    }

    fn label<'a>(&'a self, id: &'a ConnectorId) -> &'a str {
        self.connector(id).map_or(id.as_str(), Connector::label)
    }
}

impl From<&KnownPerson> for FoundPerson {
    fn from(person: &KnownPerson) -> Self {
        let identity = &person.identity;
        Self {
            connector: identity.connector.clone(),
            subject: identity.subject.clone(),
            username: identity.username.clone(),
            display_name: identity.display_name.clone(),
            email: identity.email.clone(),
            seen_at: Some(person.seen_at),
            is_in_directory: None,
        }
    }
}

/// Waits for all of these at the same time. The results keep the order.
pub(super) async fn together<F: Future>(tasks: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = tasks.map(|task| (Box::pin(task), None)).collect();
    poll_fn(|context| {
        let mut are_all_done = true;
        for (task, result) in &mut running {
            if result.is_none() {
                match task.as_mut().poll(context) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => are_all_done = false,
                }
            }
        }
        if are_all_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    running
        .into_iter()
        .filter_map(|(_, result)| result)
        .collect()
}

pub(super) fn more_members(members: &GroupMembers) -> String {
    format!(
        "{} has more members than the {} that were read. What is said about it may miss people.",
        members.group.name,
        members.people.len()
    )
}

fn shown() -> u32 {
    u32::try_from(SHOWN).unwrap_or(u32::MAX)
}

fn is_called(name: &str, username: &str, subject: &str) -> bool {
    subject == name || username.to_lowercase() == name.to_lowercase()
}

fn is_same(one: &Identity, other: &Identity) -> bool {
    one.connector == other.connector && one.subject == other.subject
}

fn cut_short<T>(label: &str, what: &str, listing: &Listing<T>) -> Option<String> {
    listing.is_cut.then(|| {
        format!("{label} has more {what} that fit. Type more of the name to see the others.")
    })
}

fn gone(label: &str) -> String {
    format!("{label} has nobody of this name any more. The groups are as last seen.")
}

fn down(label: &str) -> String {
    format!("{label} does not answer. Try again in a minute.")
}

fn unanswered(directory: &dyn PasswordConnector, error: &LookUpError) -> String {
    let label = directory.label();
    match error {
        LookUpError::NotSupported => format!(
            "{label} cannot be searched: it is configured without a service account. Only people \
             who signed in count."
        ),
        LookUpError::Unavailable(_) => {
            log(directory, error);
            down(label)
        }
        LookUpError::Misconfigured(_) => {
            log(directory, error);
            unusable(label)
        }
    }
}

fn not_looked_up(directory: &dyn PasswordConnector, error: &SignInError) -> String {
    let label = directory.label();
    match error {
        SignInError::Refused { .. } => format!(
            "{label} has more than one entry of this name, or one that lacks what a sign-in takes. \
             Nobody signs in with it."
        ),
        SignInError::GroupsUnavailable { .. } => format!(
            "{label} has this person, and their groups cannot be read in full. Until they can be, \
             they cannot sign in."
        ),
        SignInError::Unavailable(_) => {
            log(directory, error);
            down(label)
        }
        SignInError::Misconfigured(_) | SignInError::PasswordChangeRequired { .. } => {
            log(directory, error);
            unusable(label)
        }
    }
}

fn unusable(label: &str) -> String {
    format!(
        "{label} answers, but cannot be asked as it is configured. Run `rolegate check --live` on \
         the server to see why."
    )
}

fn log(directory: &dyn PasswordConnector, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(connector.id = %directory.id(), error, "a look-up was not answered");
}
