//! People and groups, for those who keep the table: in the directories now, and as last seen here.
//!
//! Never here: whether the asker may; that is asked before. Entry points: [`Broker::find_people`],
//! [`Broker::person`], [`Broker::find_groups`], [`Broker::group`].

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use time::OffsetDateTime;

use super::Broker;
use crate::{
    access::{ConnectorId, GroupKey, Identity, explain::Basis},
    identity::{GroupMembers, GroupSummary},
    store::StoreError,
};

/// What was found, and what could not be asked.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Sentences about what could not be asked, such as a directory that is down.
    pub missing: Vec<String>,
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
}

impl Broker {
    /// People by user name, display name or e-mail address: in the directories and as known here.
    pub async fn find_people(&self, text: &str) -> Result<Found<FoundPerson>, StoreError> {
        let _ = text;
        Err(StoreError::unavailable("not yet"))
    }

    /// Everybody who is called `name` (a user name or a stable id), at one connector or at all:
    /// read from the directory now where that can be, else as last seen here.
    pub async fn person(
        &self,
        connector: Option<&ConnectorId>,
        name: &str,
    ) -> Result<Found<PersonRecord>, StoreError> {
        let _ = (connector, name);
        Err(StoreError::unavailable("not yet"))
    }

    /// Groups by name: in the directories, in mappings, and as people were seen with them.
    pub async fn find_groups(&self, text: &str) -> Result<Found<GroupSummary>, StoreError> {
        let _ = text;
        Err(StoreError::unavailable("not yet"))
    }

    /// A group and who is in it.
    pub async fn group(&self, key: &GroupKey) -> Result<GroupRecord, StoreError> {
        let _ = key;
        Err(StoreError::unavailable("not yet"))
    }

    /// Everybody whom an edit that touches these groups may touch.
    pub async fn crowd(
        &self,
        groups: &[GroupKey],
        progress: &Progress,
    ) -> Result<Crowd, StoreError> {
        let _ = (groups, progress);
        Err(StoreError::unavailable("not yet"))
    }
}
