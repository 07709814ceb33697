//! What outlives a request: tables, sign-in sessions, role sessions, the audit log.
//!
//! Traits per table family, and one SQL implementation of them. Never here: decisions. Times are
//! stored as UTC milliseconds, ids are `UUIDv7`, a sign-in session's id is stored as its hash.
//! Entry points: the traits, `sql::SqlStore`.

pub mod sql;

use std::{collections::BTreeMap, error::Error};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::{
    access::{
        Group, GroupKey, Identity, MappingId, PolicyTables, ProviderSession, RowName, TargetArn,
        TokenScopes,
    },
    audit::{Action, Actor, AuditEvent, Outcome},
};

pub use crate::access::Change;

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database cannot be reached, written or trusted. Nothing was changed, except that a
    /// write which missed its deadline while the disk held it up may still be made.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The table was edited since the decision was made.
    #[error("the table was edited meanwhile")]
    PolicyChanged,
    /// The row would break a rule of the table.
    #[error("{0}")]
    Conflict(String),
    /// There is no such row.
    #[error("{0} does not exist")]
    NotFound(String),
}

impl StoreError {
    /// An [`Unavailable`](Self::Unavailable) because of `source`.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}

/// Who changes the tables, when and why; goes into the audit rows.
#[derive(Debug, Clone)]
pub struct EditContext {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: OffsetDateTime,
    /// A ticket or a sentence.
    pub reason: Option<String>,
    /// The request, where it came by one.
    pub request_id: Option<String>,
    /// The version of the tables that was looked at: when they are no longer at it, nothing is
    /// changed ([`StoreError::PolicyChanged`]).
    pub at_version: Option<i64>,
    /// The pending edit that this carries out; when it is no longer waiting, or has other changes,
    /// nothing is changed ([`StoreError::Conflict`]).
    pub settles: Option<Settles>,
    /// The edit that this takes back.
    pub undoes: Option<String>,
    /// Who approved it.
    pub approved_by: Option<Actor>,
    /// Rows of the audit log that belong to the same act, written in front of those of the changes.
    pub announced_by: Vec<AuditEvent>,
}

impl EditContext {
    /// A context with nothing but who and when.
    pub fn new(actor: Actor, at: OffsetDateTime) -> Self {
        Self {
            actor,
            at,
            reason: None,
            request_id: None,
            at_version: None,
            settles: None,
            undoes: None,
            approved_by: None,
            announced_by: Vec::new(),
        }
    }
}

/// The pending edit that an edit carries out.
#[derive(Debug, Clone)]
pub struct Settles {
    /// Its id.
    pub pending: String,
    /// Who approved it.
    pub by: Actor,
}

/// What an edit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The version of the tables from now on.
    pub version: i64,
    /// How many rows really changed; a row put as it was is none.
    pub changed: usize,
    /// The edit's id, a `UUIDv7`, which all its audit rows carry as the detail `edit`.
    pub edit: String,
}

/// Accounts, roles, mappings and rules.
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// All rows, as one consistent reading.
    async fn tables(&self) -> Result<PolicyTables, StoreError>;

    /// The number that every edit raises; one cheap read.
    async fn policy_version(&self) -> Result<i64, StoreError>;

    /// Makes all changes or none, with one audit row each (before and after), and raises the
    /// version, in one transaction.
    async fn apply(
        &self,
        changes: Vec<Change>,
        context: &EditContext,
    ) -> Result<Applied, StoreError>;

    /// Raises the version without a change of a row, with one audit row: the mapping file, which
    /// stands beside the tables, has changed.
    async fn note_file(&self, event: &AuditEvent) -> Result<i64, StoreError>;
}

/// Somebody who has signed in here, with the groups as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPerson {
    /// Who; `groups_read_at` says when the groups were seen.
    pub identity: Identity,
    /// When they first signed in.
    pub first_seen_at: OffsetDateTime,
    /// When they last signed in or had their groups read.
    pub seen_at: OffsetDateTime,
}

/// The groups that a person was seen with, and for how long they were the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenGroups {
    /// The groups.
    pub groups: Vec<Group>,
    /// When they were first seen so.
    pub from: OffsetDateTime,
    /// When they were last seen so.
    pub until: OffsetDateTime,
}

/// Whoever has signed in. Kept by [`SignInSessions::save_session`] and
/// [`SignInSessions::renew_session`], in their transactions.
#[async_trait]
pub trait KnownPeople: Send + Sync {
    /// Everybody, by connector and user name.
    async fn known_people(&self) -> Result<Vec<KnownPerson>, StoreError>;

    /// Those who were last seen with a group, by connector and user name.
    async fn known_people_with(&self, group: &GroupKey) -> Result<Vec<KnownPerson>, StoreError>;

    /// The groups that somebody was last seen with, by key and name, one for each.
    async fn known_groups(&self) -> Result<Vec<Group>, StoreError>;

    /// One person.
    async fn known_person(
        &self,
        connector: &str,
        subject: &str,
    ) -> Result<Option<KnownPerson>, StoreError>;

    /// People whose user name, display name or e-mail address contains `text`, ignoring case, by
    /// user name; whoever has exactly this user name or subject comes first.
    async fn find_known_people(
        &self,
        text: &str,
        limit: u32,
    ) -> Result<Vec<KnownPerson>, StoreError>;

    /// The groups that a person was last seen with at or before `at`.
    async fn groups_seen_at(
        &self,
        connector: &str,
        subject: &str,
        at: OffsetDateTime,
    ) -> Result<Option<SeenGroups>, StoreError>;
}

/// An edit that waits for a second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEdit {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// Who wants it.
    pub author: Actor,
    /// What to call the author on pages.
    pub author_name: String,
    /// When it was proposed.
    pub created_at: OffsetDateTime,
    /// When it lapses.
    pub expires_at: OffsetDateTime,
    /// A ticket or a sentence.
    pub reason: Option<String>,
    /// The changes.
    pub changes: Vec<Change>,
    /// The rows as the author saw them: name and [revision](crate::access::Row::revision), none
    /// where there was no such row.
    pub seen: Vec<(RowName, Option<String>)>,
    /// Why it waits: stable codes, such as `self_gain`, `protected`, `unresolved`.
    pub why: Vec<String>,
    /// The edit that it takes back.
    pub undoes: Option<String>,
    /// What became of it.
    pub state: PendingState,
    /// Who decided.
    pub decided_by: Option<Actor>,
    /// When.
    pub decided_at: Option<OffsetDateTime>,
    /// What they said.
    pub note: Option<String>,
}

/// What became of a pending edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingState {
    /// It waits.
    Waiting,
    /// Somebody approved it, and it was carried out.
    Approved,
    /// Somebody declined it.
    Declined,
    /// Its author took it back.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
}

/// Edits that wait for a second person.
#[async_trait]
pub trait PendingEdits: Send + Sync {
    /// Keeps an edit, with its audit row.
    async fn propose(&self, edit: &PendingEdit, event: &AuditEvent) -> Result<(), StoreError>;

    /// One edit.
    async fn pending_edit(&self, id: &str) -> Result<Option<PendingEdit>, StoreError>;

    /// The edits that wait (`Some(Waiting)`), or all, newest first, at most `limit`.
    async fn pending_edits(
        &self,
        state: Option<PendingState>,
        limit: u32,
    ) -> Result<Vec<PendingEdit>, StoreError>;

    /// How many edits wait and have not lapsed by `now`.
    async fn count_waiting(&self, now: OffsetDateTime) -> Result<usize, StoreError>;

    /// Decides on an edit that waits, with its audit row. An edit that does not wait any more is
    /// [`StoreError::Conflict`]. Approving goes through [`PolicyStore::apply`] instead.
    async fn settle(
        &self,
        id: &str,
        state: PendingState,
        note: Option<&str>,
        event: &AuditEvent,
    ) -> Result<(), StoreError>;
}

/// An access review: a list of mappings of a moment, each to be kept or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessReview {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is limited to, in words; empty for everything.
    pub scope: String,
    /// Who began it.
    pub created_by: Actor,
    /// When.
    pub created_at: OffsetDateTime,
    /// By when it should be done.
    pub due_at: Option<OffsetDateTime>,
    /// When it was signed off.
    pub closed_at: Option<OffsetDateTime>,
    /// Who signed it off.
    pub closed_by: Option<Actor>,
    /// How many items there are.
    pub items: u32,
    /// How many of them are decided.
    pub decided: u32,
}

/// A mapping or rule in an access review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewItem {
    /// The row.
    pub row: MappingId,
    /// The group's key, or the rule's pattern.
    pub group: String,
    /// The role's ARN, or the rule's template.
    pub role: String,
    /// How many people had the role by it when the review began.
    pub people: u32,
    /// Whether to keep it (`true`) or end it; none while it is open.
    pub keep: Option<bool>,
    /// What the reviewer said.
    pub note: Option<String>,
    /// Who decided.
    pub decided_by: Option<Actor>,
    /// When.
    pub decided_at: Option<OffsetDateTime>,
}

/// Access reviews. What is ended by one is ended by an edit like any other.
#[async_trait]
pub trait AccessReviews: Send + Sync {
    /// Begins a review, with its audit row.
    async fn start_review(
        &self,
        review: &AccessReview,
        items: &[ReviewItem],
        event: &AuditEvent,
    ) -> Result<(), StoreError>;

    /// All reviews, newest first.
    async fn reviews(&self) -> Result<Vec<AccessReview>, StoreError>;

    /// One review with its items, by role and group.
    async fn review(&self, id: &str)
    -> Result<Option<(AccessReview, Vec<ReviewItem>)>, StoreError>;

    /// Notes a decision on items of an open review, with one audit row. A closed review is
    /// [`StoreError::Conflict`].
    async fn decide_review(
        &self,
        id: &str,
        rows: &[MappingId],
        decision: &ReviewDecision,
        event: &AuditEvent,
    ) -> Result<(), StoreError>;

    /// Signs a review off, with its audit row; every item must be decided.
    async fn close_review(
        &self,
        id: &str,
        by: &Actor,
        event: &AuditEvent,
    ) -> Result<(), StoreError>;
}

/// What a reviewer decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewDecision {
    /// Whether to keep the row.
    pub keep: bool,
    /// What they say about it.
    pub note: Option<String>,
    /// Who.
    pub by: Actor,
    /// When.
    pub at: OffsetDateTime,
}

/// A sign-in that was begun here and is going on at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingSignIn {
    /// The id of the request that the provider answers; random.
    pub id: String,
    /// The connector.
    pub connector: String,
    /// SHA-256, in hexadecimal, of the secret in the cookie of the browser that began it.
    pub browser_hash: String,
    /// The RelayState that has to come back.
    pub relay_state: String,
    /// Where the person goes afterwards; a path of ours.
    pub next: String,
    /// Who has to come back, where somebody was sent to sign in again for a role.
    pub subject: Option<String>,
    /// When it was begun.
    pub created_at: OffsetDateTime,
    /// From when on an answer comes too late.
    pub expires_at: OffsetDateTime,
}

/// What taking a pending sign-in found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is the caller's now, and nobody else's ever.
    Pending(Box<PendingSignIn>),
    /// It was begun in another browser, and stays.
    OtherBrowser,
    /// It was begun too long ago, and is gone.
    Expired,
    /// There is none: it never was, or it was taken.
    Unknown,
}

/// What conversations with redirecting providers leave behind. All of it is shared by replicas.
#[async_trait]
pub trait Conversations: Send + Sync {
    /// Keeps a sign-in that begins.
    async fn begin_sign_in(&self, pending: &PendingSignIn) -> Result<(), StoreError>;

    /// Takes a pending sign-in, once. None for `browser_hash` stands for a browser without the
    /// cookie.
    async fn take_sign_in(
        &self,
        connector: &str,
        id: &str,
        browser_hash: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Taken, StoreError>;

    /// Uses an answer up; says whether this is its first use. Remembered until `keep_until`.
    async fn use_answer(
        &self,
        connector: &str,
        answer_id: &str,
        keep_until: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Keeps a proof, sealed, with a sign-in session; replaces an older one, and goes with the
    /// session.
    async fn hold_proof(
        &self,
        id_hash: &str,
        sealed: &str,
        expires_at: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// The sealed proof of a session and its end, unless that is over.
    async fn held_proof(
        &self,
        id_hash: &str,
        now: OffsetDateTime,
    ) -> Result<Option<(String, OffsetDateTime)>, StoreError>;

    /// Ends the sign-in sessions that rest on a provider's sessions; none in `session_indexes`
    /// means all of that NameID, and no `name_id` means those sessions, whosever they are. Says
    /// whose they were, without doubles of a session.
    async fn end_provider_sessions(
        &self,
        connector: &str,
        name_id: Option<&str>,
        session_indexes: &[String],
    ) -> Result<Vec<SignInSession>, StoreError>;

    /// Removes what is past its end; says how many rows.
    async fn sweep_conversations(&self, now: OffsetDateTime) -> Result<u64, StoreError>;
}

/// What providers published, as last fetched and found good.
#[async_trait]
pub trait ProviderDocuments: Send + Sync {
    /// Keeps a document of a connector in the place of an older one.
    async fn keep_document(
        &self,
        connector: &str,
        document: &str,
        fetched_at: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// The last good document and when it was fetched.
    async fn document(
        &self,
        connector: &str,
    ) -> Result<Option<(String, OffsetDateTime)>, StoreError>;
}

/// A session with the broker: of a browser, or of a device that holds broker tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSession {
    /// SHA-256 of the session's id, in hexadecimal; the id itself is the cookie's secret. Behind
    /// [`ONE_CALL`] where the session is not kept.
    pub id_hash: String,
    /// Who, with the groups as last read.
    pub identity: Identity,
    /// The address that signed in.
    pub client_address: String,
    /// The browser, as it names itself; cut to 200 characters.
    pub user_agent: String,
    /// When it began; the absolute timeout counts from here.
    pub created_at: OffsetDateTime,
    /// When it was last used; touched at most once a minute.
    pub last_seen_at: OffsetDateTime,
    /// When it ends, whatever happens.
    pub expires_at: OffsetDateTime,
    /// What it rests on at the provider, where there is one.
    pub provider_session: Option<ProviderSession>,
    /// The client that holds broker tokens for it; none for a browser's. A device's session is never
    /// found by a cookie, and does not idle out.
    pub device: Option<Device>,
}

/// What stands in front of the hash of a session that is never kept; no store takes it for a hash.
pub const ONE_CALL: &str = "one-call-";

impl SignInSession {
    /// Whether the session is in no store: its person proves who they are with each call.
    pub fn is_of_one_call(&self) -> bool {
        self.id_hash.starts_with(ONE_CALL)
    }
}

/// A client that holds broker tokens for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What it calls itself, or what the person calls it; at most 100 characters. Nobody vouches for it.
    pub name: String,
    /// What it may be used for.
    pub scopes: TokenScopes,
    /// The one role it is limited to, where it is.
    pub role: Option<TargetArn>,
}

/// Sign-in sessions; they survive a restart.
#[async_trait]
pub trait SignInSessions: Send + Sync {
    /// Writes a session, new or changed.
    async fn save_session(&self, session: &SignInSession) -> Result<(), StoreError>;

    /// Reads a session by the hash of its id.
    async fn session(&self, id_hash: &str) -> Result<Option<SignInSession>, StoreError>;

    /// Writes what was read anew of a session's person; says whether the session was still there.
    /// One that was ended meanwhile stays ended.
    async fn renew_session(&self, id_hash: &str, identity: &Identity) -> Result<bool, StoreError>;

    /// Notes that a session was used.
    async fn touch_session(&self, id_hash: &str, at: OffsetDateTime) -> Result<(), StoreError>;

    /// Ends a session.
    async fn end_session(&self, id_hash: &str) -> Result<(), StoreError>;

    /// A person's sessions, newest first.
    async fn sessions_of(
        &self,
        connector: &str,
        subject: &str,
    ) -> Result<Vec<SignInSession>, StoreError>;

    /// Ends every session of a person; says how many there were.
    async fn end_sessions_of(&self, connector: &str, subject: &str) -> Result<u64, StoreError>;

    /// Removes sessions past their end or not used since `idle_since`; says how many.
    async fn sweep_sessions(
        &self,
        now: OffsetDateTime,
        idle_since: OffsetDateTime,
    ) -> Result<u64, StoreError>;
}

/// One set of temporary credentials that was issued; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSession {
    /// The intent that announced it, a `UUIDv7`.
    pub id: String,
    /// The person's connector.
    pub connector: String,
    /// The person's stable id.
    pub subject: String,
    /// The role's ARN.
    pub role: String,
    /// `console` or `credentials`.
    pub delivery: String,
    /// The `RoleSessionName`.
    pub session_name: String,
    /// The access key id that STS issued; console calls may show another.
    pub access_key_id: String,
    /// STS's request id.
    pub aws_request_id: Option<String>,
    /// Whether it was narrowed to reading.
    pub read_only: bool,
    /// When it was issued.
    pub started_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// What a person set for themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Role ARNs marked as favourites, in the order they were marked.
    pub favourites: Vec<String>,
    /// Role ARNs opened lately, newest first, without doubles, at most 12.
    pub recents: Vec<String>,
    /// Small settings by name: `theme`, `sign_out_first`, `shortcuts`.
    pub settings: BTreeMap<String, String>,
}

/// A role session that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRole {
    /// The role's ARN.
    pub role: String,
    /// `console` or `credentials`.
    pub delivery: String,
    /// When it ends.
    pub ends_at: OffsetDateTime,
}

/// What the picker shows of a person beside their roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonState {
    /// What they set.
    pub preferences: Preferences,
    /// Their role sessions that have not ended, newest first, at most 100.
    pub open: Vec<OpenRole>,
    /// The version of the tables at the same moment.
    pub policy_version: i64,
}

/// What belongs to one person.
#[async_trait]
pub trait PersonStore: Send + Sync {
    /// All that the picker needs, in one reading.
    async fn person_state(
        &self,
        connector: &str,
        subject: &str,
        at: OffsetDateTime,
    ) -> Result<PersonState, StoreError>;

    /// A person's role sessions, newest first, at most `limit`.
    async fn role_sessions(
        &self,
        connector: &str,
        subject: &str,
        limit: u32,
    ) -> Result<Vec<RoleSession>, StoreError>;

    /// What a person set.
    async fn preferences(&self, connector: &str, subject: &str) -> Result<Preferences, StoreError>;

    /// Marks or unmarks a favourite.
    async fn set_favourite(
        &self,
        connector: &str,
        subject: &str,
        role: &str,
        is_favourite: bool,
    ) -> Result<(), StoreError>;

    /// Keeps one small setting.
    async fn set_setting(
        &self,
        connector: &str,
        subject: &str,
        name: &str,
        value: &str,
    ) -> Result<(), StoreError>;
}

/// A row of the audit log as it stands in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its place: 1, 2, 3… without a gap.
    pub seq: i64,
    /// What happened.
    pub event: AuditEvent,
    /// The chain's hash at this row, in hexadecimal.
    pub hash: String,
}

/// Which rows to list; everything that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By the actor's user name or subject.
    pub person: Option<String>,
    /// By account id.
    pub account: Option<String>,
    /// By role ARN.
    pub role: Option<String>,
    /// By action: one of these; empty for all.
    pub actions: Vec<Action>,
    /// By outcome.
    pub outcome: Option<Outcome>,
    /// Not before.
    pub since: Option<OffsetDateTime>,
    /// Before.
    pub until: Option<OffsetDateTime>,
    /// By the row of the tables that was changed: an account's id, a role's ARN, a mapping's or
    /// rule's id.
    pub row: Option<String>,
    /// By edit: the rows that one [`PolicyStore::apply`] wrote.
    pub edit: Option<String>,
    /// Only rows with a smaller `seq`: the keyset cursor of the next page.
    pub before: Option<i64>,
    /// Only rows with a larger `seq`; with it the rows come oldest first.
    pub after: Option<i64>,
    /// How many at most; newest first.
    pub limit: u32,
}

/// What walking the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainStatus {
    /// Every row follows from the one before.
    Holds {
        /// How many rows.
        rows: i64,
        /// The head's hash.
        head: String,
    },
    /// The first row that does not.
    Broken {
        /// Its place.
        seq: i64,
        /// What is wrong with it.
        problem: String,
    },
}

/// Hears how far a walk is: rows so far, rows in all.
pub type Progress<'a> = &'a (dyn Fn(i64, i64) + Send + Sync);

/// What walking the whole chain found, and what it lacks on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// Whether it holds.
    pub status: ChainStatus,
    /// The last row that was dropped, 0 where none was.
    pub dropped_through: i64,
    /// The signed checkpoint about that row, as a JSON line.
    pub dropped_behind: Option<String>,
    /// How many of the rows have their payload erased.
    pub erased: i64,
}

/// A row as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Its place.
    pub seq: i64,
    /// The event as JSON, unless it was erased.
    pub payload: Option<String>,
    /// The chain's hash at this row, in hexadecimal.
    pub hash: String,
}

/// What is to become of old rows.
#[derive(Debug, Clone)]
pub enum Retirement {
    /// Payloads, salts and people's names of everything before this moment go; hashes stay.
    Erase(OffsetDateTime),
    /// All rows up to a checkpoint go; the chain then begins behind it.
    Drop {
        /// The last row to go.
        at: ChainHead,
        /// What was signed about it, as a JSON line.
        checkpoint: String,
    },
}

/// What became of old rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// The last row that is erased or dropped.
    pub through: i64,
    /// The row that records it.
    pub recorded_at: i64,
}

/// A row of the chain, by place and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Its place.
    pub seq: i64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

/// The audit log.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Appends one event; durable when this returns. Says its place.
    async fn append(&self, event: &AuditEvent) -> Result<i64, StoreError>;

    /// Appends the intent of a grant, in a transaction that fails with
    /// [`StoreError::PolicyChanged`] when the tables are no longer at `policy_version`.
    async fn announce(
        &self,
        event: &AuditEvent,
        policy_version: i64,
    ) -> Result<ChainHead, StoreError>;

    /// The same for the order of somebody signed in: fails with [`StoreError::NotFound`] when their
    /// sign-in session is no longer kept. So what was asked for before sign-ins ended, and decided
    /// after it, opens nothing.
    async fn announce_for(
        &self,
        event: &AuditEvent,
        policy_version: i64,
        session: &str,
    ) -> Result<ChainHead, StoreError>;

    /// The last row of the chain.
    async fn chain_head(&self) -> Result<ChainHead, StoreError>;

    /// Appends the end of a grant and, where credentials were issued, its role session and the
    /// person's recents, in one transaction. A role session whose intent was never announced is
    /// [`StoreError::NotFound`].
    async fn conclude(
        &self,
        event: &AuditEvent,
        role_session: Option<&RoleSession>,
    ) -> Result<i64, StoreError>;

    /// Writes `unknown` behind every intent that was announced by `at` and has no end; called
    /// once at start, with the moment of the start.
    async fn close_orphans(&self, at: OffsetDateTime) -> Result<u64, StoreError>;

    /// Lists rows, newest first.
    async fn audit_rows(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError>;

    /// Walks the whole chain.
    async fn verify_chain(&self) -> Result<ChainStatus, StoreError> {
        self.walk_chain(&|_, _| ())
            .await
            .map(|report| report.status)
    }

    /// Walks the whole chain and tells what it lacks on purpose; `progress` hears now and then how
    /// far it is, and of how many rows.
    async fn walk_chain(&self, progress: Progress<'_>) -> Result<ChainReport, StoreError>;

    /// The hash of the row at `seq`, in hexadecimal; that of the last row dropped for its place.
    async fn chain_hash(&self, seq: i64) -> Result<Option<String>, StoreError>;

    /// The rows behind `after` as they are kept, oldest first.
    async fn audit_lines(&self, after: i64, limit: u32) -> Result<Vec<AuditLine>, StoreError>;

    /// The last row that a stream is known to have; 0 before the first.
    async fn stream_cursor(&self, stream: &str) -> Result<i64, StoreError>;

    /// Notes the last row that a stream has.
    async fn move_stream_cursor(&self, stream: &str, seq: i64) -> Result<(), StoreError>;

    /// Erases or drops old rows and records that in the same transaction, with `event`. None where
    /// there was nothing to do.
    async fn retire(
        &self,
        retirement: &Retirement,
        event: &AuditEvent,
    ) -> Result<Option<Retired>, StoreError>;
}

/// Whether the store answers at all.
#[async_trait]
pub trait StoreHealth: Send + Sync {
    /// One round trip that also proves the store can be written.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// What probing a role found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeState {
    /// AWS opened it.
    Works,
    /// AWS refused, and nothing but the role or what it trusts is to blame.
    Broken,
    /// Nothing is known: AWS throttled or did not answer, or the trust may want what a probe has not.
    Inconclusive,
    /// It cannot be probed: it needs a person.
    NotProbed,
}

impl ProbeState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Works,
        Self::Broken,
        Self::Inconclusive,
        Self::NotProbed,
    ];

    /// The name in the store and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Broken => "broken",
            Self::Inconclusive => "inconclusive",
            Self::NotProbed => "not_probed",
        }
    }
}

/// What is known of a role by probing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleProbe {
    /// The role's ARN.
    pub role: String,
    /// What was found.
    pub state: ProbeState,
    /// A stable code of what was found, such as `aws_access_denied`; none where it works.
    pub code: Option<String>,
    /// What was found, for whoever mends it; no secret.
    pub message: Option<String>,
    /// `MaxSessionDuration`, in seconds, where IAM told.
    pub max_duration_seconds: Option<u32>,
    /// The role's description in IAM, where IAM told.
    pub description: Option<String>,
    /// When it was looked at.
    pub checked_at: OffsetDateTime,
    /// Since when the state is this one.
    pub since: OffsetDateTime,
}

impl RoleProbe {
    /// Whether the role's trust policy is what has to be looked at.
    pub fn is_about_trust(&self) -> bool {
        let code = self.code.as_deref();
        matches!(code, Some("aws_access_denied" | "trust_lacks_action"))
    }
}

/// What is known of roles by probing them.
#[async_trait]
pub trait RoleProbes: Send + Sync {
    /// Keeps what was found in place of what was known; `since` is kept where the state is the same.
    async fn note_probe(&self, probe: &RoleProbe) -> Result<(), StoreError>;

    /// What is known of one role.
    async fn probe(&self, role: &TargetArn) -> Result<Option<RoleProbe>, StoreError>;

    /// What is known of all roles, by ARN.
    async fn probes(&self) -> Result<Vec<RoleProbe>, StoreError>;

    /// Leave for this replica to probe, until `until`: one at a time. False where another has it.
    async fn claim_probing(
        &self,
        holder: &str,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError>;
}

/// Whose sessions are ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// All of one person's, in every role they opened.
    Person {
        /// The connector's id.
        connector: String,
        /// The subject.
        subject: String,
    },
    /// One person's of one role.
    RoleSession {
        /// The connector's id.
        connector: String,
        /// The subject.
        subject: String,
        /// The role's ARN.
        role: String,
    },
    /// Everybody's of one role.
    Role {
        /// The role's ARN.
        role: String,
    },
}

/// A revocation: role sessions issued before a moment are denied everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// UUIDv7.
    pub id: String,
    /// Whose sessions.
    pub whose: Revoked,
    /// The session names of the person, which `aws:userid` ends in; empty for a whole role.
    pub session_names: Vec<String>,
    /// The source identities of the person, where one is sent.
    pub source_identities: Vec<String>,
    /// Sessions issued before this moment are denied.
    pub issued_before: OffsetDateTime,
    /// When it was revoked.
    pub created_at: OffsetDateTime,
    /// From when on no such session can be left.
    pub expires_at: OffsetDateTime,
    /// Who revoked, for pages: the audit row says it in full.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// How far a revocation came at one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedRole {
    /// The revocation's id.
    pub revocation: String,
    /// The role's ARN.
    pub role: String,
    /// When the policy that holds it was written at AWS; none: not yet, or by hand.
    pub applied_at: Option<OffsetDateTime>,
    /// What went wrong the last time; no secret.
    pub failure: Option<String>,
    /// Whether it cannot be done for this target at all, and `failure` says why.
    pub is_final: bool,
}

/// A role that a person opened, or was about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedRole {
    /// The role's ARN.
    pub role: TargetArn,
    /// The names that the sessions have, as far as they are known.
    pub session_names: Vec<String>,
    /// The source identities that were sent.
    pub source_identities: Vec<String>,
    /// When it was opened last.
    pub latest: OffsetDateTime,
}

/// Revocations, and how far they came.
#[async_trait]
pub trait Revocations: Send + Sync {
    /// Keeps a revocation for the roles where such sessions may be left, with an audit row, in one
    /// transaction. A role that is [final](RevokedRole::is_final) is kept for the pages alone.
    async fn revoke(
        &self,
        revocation: &Revocation,
        roles: &[RevokedRole],
        event: &AuditEvent,
    ) -> Result<(), StoreError>;

    /// The revocations of a role that have not expired at `now`, oldest first.
    async fn revocations_of(
        &self,
        role: &TargetArn,
        now: OffsetDateTime,
    ) -> Result<Vec<Revocation>, StoreError>;

    /// The newest revocations with how far they came, at most `limit`.
    async fn revocations(
        &self,
        limit: u32,
    ) -> Result<Vec<(Revocation, Vec<RevokedRole>)>, StoreError>;

    /// Notes that a role's policy now holds these revocations, and none that had expired by then; or
    /// why it does not.
    async fn note_revoked(
        &self,
        role: &TargetArn,
        revocations: &[String],
        result: Result<OffsetDateTime, String>,
    ) -> Result<(), StoreError>;

    /// Notes that it is not known which policy a role has, and why: all that is in force for it at
    /// `now` is to be written again.
    async fn doubt_revoked(
        &self,
        role: &TargetArn,
        why: &str,
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Roles whose policy at AWS still holds revocations that have expired, or lacks some.
    async fn roles_to_settle(&self, now: OffsetDateTime) -> Result<Vec<TargetArn>, StoreError>;

    /// What one person opened since a moment, by role, whether AWS is known to have issued it or not.
    async fn roles_with_sessions(
        &self,
        connector: &str,
        subject: &str,
        since: OffsetDateTime,
    ) -> Result<Vec<OpenedRole>, StoreError>;

    /// When the last console was announced, since `since`, that a browser opens by an assertion
    /// ([`SamlPost`](crate::access::ConsoleWay::SamlPost)): whose session AWS issues later.
    async fn last_posted(
        &self,
        whose: &Revoked,
        since: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, StoreError>;

    /// One role session by its id.
    async fn role_session(&self, id: &str) -> Result<Option<RoleSession>, StoreError>;
}

/// A broker token; the token itself is known to its holder alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerToken {
    /// SHA-256 of the token, in hexadecimal.
    pub hash: String,
    /// The device's [`SignInSession::id_hash`]; the token ends with that session.
    pub session: String,
    /// What it is for.
    pub kind: TokenKind,
    /// SHA-256 of the id of the client that may use it to refresh; none where it cannot be.
    pub client: Option<String>,
    /// What it may be used for.
    pub scopes: TokenScopes,
    /// When it was issued.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// When a refresh token was used; a second use ends the session.
    pub used_at: Option<OffsetDateTime>,
}

/// What a broker token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Brought as a bearer token.
    Access,
    /// Exchanged, once, for new tokens.
    Refresh,
}

/// What a client asked a person for: by a browser on the same machine (an authorization code,
/// RFC 6749) or by a code that is typed elsewhere (RFC 8628).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// SHA-256 of the authorization code or device code, in hexadecimal.
    pub hash: String,
    /// SHA-256 of the code that the person types, in hexadecimal; none for an authorization code.
    pub user_code_hash: Option<String>,
    /// SHA-256 of the client's id, in hexadecimal.
    pub client: String,
    /// What the client calls itself.
    pub client_name: String,
    /// From where the client asked.
    pub client_address: String,
    /// What it asked for.
    pub scopes: TokenScopes,
    /// Where the browser was sent with the code, as it was written; none for a device code.
    pub redirect_uri: Option<String>,
    /// The PKCE challenge, S256 (RFC 7636); none for a device code.
    pub code_challenge: Option<String>,
    /// How far it is.
    pub state: AuthorizationState,
    /// The browser's [`SignInSession::id_hash`] that approved it.
    pub approved_by: Option<String>,
    /// The device's session that was made of it; a second use of the code ends that.
    pub session: Option<String>,
    /// When it was begun.
    pub created_at: OffsetDateTime,
    /// From when on it is worth nothing.
    pub expires_at: OffsetDateTime,
    /// When the client asked last whether the person has decided.
    pub polled_at: Option<OffsetDateTime>,
}

/// How far an [`Authorization`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorizationState {
    /// The person has not decided.
    Waiting,
    /// The person agreed.
    Approved,
    /// The person declined.
    Declined,
    /// Tokens were issued for it.
    Redeemed,
}

/// Broker tokens, and what they come from. All of it is shared by replicas.
#[async_trait]
pub trait BrokerTokens: Send + Sync {
    /// Keeps what a client asks for; with an audit row where a person agreed at once.
    async fn begin_authorization(
        &self,
        authorization: &Authorization,
        event: Option<&AuditEvent>,
    ) -> Result<(), StoreError>;

    /// One authorization, by the hash of its code; also one that is over.
    async fn authorization(&self, hash: &str) -> Result<Option<Authorization>, StoreError>;

    /// The authorization that waits for this typed code and has not lapsed by `now`.
    async fn waiting_authorization(
        &self,
        user_code_hash: &str,
        now: OffsetDateTime,
    ) -> Result<Option<Authorization>, StoreError>;

    /// Notes a person's decision, with its audit row; says whether it was still waiting. `approved_by`
    /// is the browser's session; none declines.
    async fn decide_authorization(
        &self,
        hash: &str,
        approved_by: Option<&str>,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Notes that the client asked whether the person has decided.
    async fn note_poll(&self, hash: &str, at: OffsetDateTime) -> Result<(), StoreError>;

    /// Makes the device's session and its first tokens of an approved authorization, once, with the
    /// audit row; says whether it was the first.
    async fn redeem_authorization(
        &self,
        hash: &str,
        session: &SignInSession,
        tokens: &[BrokerToken],
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Makes a device's session with its tokens, with the audit row.
    async fn begin_device(
        &self,
        session: &SignInSession,
        tokens: &[BrokerToken],
        event: &AuditEvent,
    ) -> Result<(), StoreError>;

    /// A token by its hash, with its session; also one that is over. None where the session has ended.
    async fn broker_token(
        &self,
        hash: &str,
    ) -> Result<Option<(BrokerToken, SignInSession)>, StoreError>;

    /// Uses a refresh token up and issues those that follow it, with the audit row; says whether it was
    /// its first use. Access tokens of the same session that were issued before go on until they end.
    async fn rotate_token(
        &self,
        hash: &str,
        followers: &[BrokerToken],
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Removes tokens and authorizations that are over, and those whose session has ended; says how
    /// many. Used refresh tokens stay as long as their session, so that a second use is noticed.
    async fn sweep_tokens(&self, now: OffsetDateTime) -> Result<u64, StoreError>;
}
