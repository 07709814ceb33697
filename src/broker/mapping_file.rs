//! The mapping file while the server runs: loaded again when it changes, all of it or nothing.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use time::OffsetDateTime;

use super::Broker;
use crate::{
    access::{Identity, MappingId, Origin, Policy, PolicyTables, Preview},
    audit::{Action, Actor, AuditEvent, Outcome},
    store::StoreError,
};

/// How many findings, and how many roles, an audit row names.
const NAMED: usize = 20;

/// What is known of the mapping file.
#[derive(Debug, Clone, Default)]
pub struct MappingFileState {
    /// Its path; none where no file is configured.
    pub path: Option<String>,
    /// SHA-256 of the content in force, in hexadecimal.
    pub hash: Option<String>,
    /// When that was loaded.
    pub loaded_at: Option<OffsetDateTime>,
    /// What is wrong with the content that is there now, where it is not in force.
    pub trouble: Option<MappingFileTrouble>,
}

/// A mapping file that could not be loaded; the last good one stays in force.
#[derive(Debug, Clone)]
pub struct MappingFileTrouble {
    /// When it was noticed.
    pub since: OffsetDateTime,
    /// Every finding, a line each.
    pub findings: Vec<String>,
}

/// The state, and the content whose refusal is in the audit log.
#[derive(Debug, Default)]
pub(super) struct MappingFileWatch {
    state: Mutex<MappingFileState>,
    /// The hash and the findings.
    audited: Mutex<Option<(Option<String>, Vec<String>)>>,
}

/// What a file changes in the rows of the one before it.
#[derive(Debug, Default, PartialEq, Eq)]
struct RowCounts {
    added: usize,
    changed: usize,
    removed: usize,
}

impl Broker {
    /// What is known of the mapping file.
    pub fn mapping_file(&self) -> MappingFileState {
        lock(&self.mapping_file.state).clone()
    }

    /// Notes that the rows which the broker was made with come from this file.
    pub async fn note_file_at_start(&self, path: &str, hash: &str) -> Result<(), StoreError> {
        let tables = self.policy.file_tables().await;
        let event = self
            .file_event(path, hash, Outcome::Ok)
            .with("at_start", true)
            .with("rows", rows(&tables));
        self.adapters.policy.note_file(&event).await?;
        self.note_loaded(path, hash);
        Ok(())
    }

    /// Puts rows that were read from the mapping file in force, with an audit row that says who
    /// gains and loses how much.
    pub async fn replace_file_tables(
        &self,
        path: &str,
        hash: &str,
        tables: PolicyTables,
    ) -> Result<(), StoreError> {
        let store = self.adapters.policy.as_ref();
        let counts = RowCounts::between(&*self.policy.file_tables().await, &tables);
        let before = self.policy().await?;
        let after = self.policy.with_file(&tables, store).await?;
        let known = self.adapters.known_people.known_people().await?;
        let people = known.into_iter().map(|person| person.identity).collect();
        let effect = self.effect(before, after, people).await?;
        tracing::info!(
            path,
            hash,
            rows.added = counts.added,
            rows.changed = counts.changed,
            rows.removed = counts.removed,
            people.gaining = effect.gaining,
            people.losing = effect.losing,
            "the mapping file was loaded"
        );
        let event = self
            .file_event(path, hash, Outcome::Ok)
            .with("rows_added", counts.added)
            .with("rows_changed", counts.changed)
            .with("rows_removed", counts.removed)
            .with("people_gaining", effect.gaining)
            .with("people_losing", effect.losing)
            .with("roles", effect.roles);
        self.policy
            .replace_file(tables, store.note_file(&event))
            .await?;
        self.note_loaded(path, hash);
        Ok(())
    }

    /// Notes that the mapping file cannot be loaded: on the pages, in the log, in a metric, and in
    /// the audit log once for each content.
    pub async fn refuse_file(
        &self,
        path: &str,
        hash: Option<&str>,
        findings: Vec<String>,
    ) -> Result<(), StoreError> {
        let content = (hash.map(str::to_owned), findings.clone());
        if lock(&self.mapping_file.audited).as_ref() == Some(&content) {
            return Ok(());
        }
        let named: Vec<_> = findings.iter().take(NAMED).cloned().collect();
        {
            let mut state = lock(&self.mapping_file.state);
            let trouble = state.trouble.take();
            let since = match trouble {
                // The audit row is all that was missing.
                Some(trouble) if trouble.findings == findings => trouble.since,
                _ => {
                    tracing::error!(
                        path,
                        hash,
                        findings = named.join("; "),
                        "the mapping file cannot be loaded; the last good one stays in force"
                    );
                    self.now()
                }
            };
            state.path = Some(path.to_owned());
            state.trouble = Some(MappingFileTrouble { since, findings });
        }
        metrics::gauge!("rolegate_mapping_file_is_current").set(0.0);
        let event = AuditEvent {
            reason: Some(
                if hash.is_some() {
                    "invalid"
                } else {
                    "unreadable"
                }
                .to_owned(),
            ),
            ..self.file_event(path, hash.unwrap_or_default(), Outcome::Refused)
        };
        let event = event.with("findings", named);
        self.adapters.audit.append(&event).await?;
        *lock(&self.mapping_file.audited) = Some(content);
        count_load("refused");
        Ok(())
    }

    fn file_event(&self, path: &str, hash: &str, outcome: Outcome) -> AuditEvent {
        let actor = if hash.is_empty() {
            Actor::System
        } else {
            let hash = hash.to_owned();
            Actor::File { hash }
        };
        AuditEvent::new(self.now(), Action::MappingFileLoad, outcome, actor).with("path", path)
    }

    fn note_loaded(&self, path: &str, hash: &str) {
        let now = self.now();
        *lock(&self.mapping_file.state) = MappingFileState {
            path: Some(path.to_owned()),
            hash: Some(hash.to_owned()),
            loaded_at: Some(now),
            trouble: None,
        };
        *lock(&self.mapping_file.audited) = None;
        count_load("ok");
        metrics::gauge!("rolegate_mapping_file_is_current").set(1.0);
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds since 1970 fit a double for millions of years"
        )]
        metrics::gauge!("rolegate_mapping_file_loaded_timestamp_seconds")
            .set(now.unix_timestamp() as f64);
    }

    /// Compares the policies on a thread of its own: with a large table it takes seconds.
    async fn effect(
        &self,
        before: Arc<Policy>,
        after: Policy,
        people: Vec<Identity>,
    ) -> Result<Effect, StoreError> {
        let now = self.now();
        let compared = tokio::task::spawn_blocking(move || {
            Effect::of(&Preview::between(&before, &after, &people, now))
        });
        compared.await.map_err(StoreError::unavailable)
    }
}

/// How many people a file touches, and the roles, protected ones first.
struct Effect {
    gaining: usize,
    losing: usize,
    roles: Vec<serde_json::Value>,
}

impl Effect {
    fn of(preview: &Preview) -> Self {
        let mut gaining: HashSet<usize> = HashSet::new();
        let mut losing: HashSet<usize> = HashSet::new();
        for role in &preview.roles {
            gaining.extend(&role.gains);
            losing.extend(&role.losses);
        }
        let named = preview.roles.iter().take(NAMED).map(|effect| {
            serde_json::json!({
                "role": effect.role.to_string(),
                "gains": effect.gains.len(),
                "losses": effect.losses.len(),
            })
        });
        Self {
            gaining: gaining.len(),
            losing: losing.len(),
            roles: named.collect(),
        }
    }
}

impl RowCounts {
    /// Rows are told apart by what they are about: a line more at the top of the file moves every
    /// row and changes none.
    fn between(before: &PolicyTables, after: &PolicyTables) -> Self {
        let mut counts = Self::default();
        counts.compare(&before.accounts, &after.accounts, |row| row.id.clone());
        counts.compare(&before.roles, &after.roles, |row| row.arn.clone());
        let (old, new) = (unplaced_mappings(before), unplaced_mappings(after));
        counts.compare(&old, &new, |row| (row.group.clone(), row.role.clone()));
        let (old, new) = (unplaced_rules(before), unplaced_rules(after));
        counts.compare(&old, &new, |row| {
            let (connector, role) = (row.connector.clone(), row.role.clone());
            (connector, row.group_pattern.clone(), role)
        });
        counts
    }

    fn compare<T: PartialEq, K: Hash + Eq>(
        &mut self,
        before: &[T],
        after: &[T],
        key: impl Fn(&T) -> K,
    ) {
        let mut old: HashMap<K, &T> = before.iter().map(|row| (key(row), row)).collect();
        for row in after {
            match old.remove(&key(row)) {
                None => self.added += 1,
                Some(other) if other != row => self.changed += 1,
                Some(_) => {}
            }
        }
        self.removed += old.len();
    }
}

/// The mappings without the lines that they stand in.
fn unplaced_mappings(tables: &PolicyTables) -> Vec<crate::access::Mapping> {
    let mut rows = tables.mappings.clone();
    for row in &mut rows {
        row.id = MappingId(String::new());
        row.origin = Origin::Store;
    }
    rows
}

/// The rules without the lines that they stand in.
fn unplaced_rules(tables: &PolicyTables) -> Vec<crate::access::MappingRule> {
    let mut rows = tables.rules.clone();
    for row in &mut rows {
        row.id = MappingId(String::new());
        row.origin = Origin::Store;
    }
    rows
}

fn rows(tables: &PolicyTables) -> usize {
    tables.accounts.len() + tables.roles.len() + tables.mappings.len() + tables.rules.len()
}

fn count_load(outcome: &'static str) {
    metrics::counter!("rolegate_mapping_file_loads_total", "outcome" => outcome).increment(1);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
