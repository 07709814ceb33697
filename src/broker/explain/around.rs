//! What is known beside the table: edits that wait, mappings that were ended, what AWS and the
//! directories said.
//!
//! What cannot be asked becomes a sentence, and the explanation goes on without it.

use std::collections::HashSet;

use time::OffsetDateTime;

use crate::{
    access::{
        Change, ConnectorId, GroupKey, Identity, Mapping, PolicyTables, Row, TargetArn,
        explain::{AwsRefusal, Basis, EndedMapping, GroupRelations, GroupsTrouble, Surroundings},
    },
    audit::{Action, Actor, AuditEvent, Outcome},
    broker::Broker,
    identity::{Connector, LookUpError},
    store::{AuditFilter, AuditRow, PendingState, ProbeState, RoleProbe, StoreError},
};

/// How many groups are looked up in directories for one question.
const GROUPS: usize = 20;
/// How many changes of mappings are looked through for ended ones.
const CHANGES: u32 = 500;
/// How many pending edits are looked through.
const PENDING: u32 = 500;
/// How many people of the same name are looked at.
const NAMESAKES: u32 = 50;
/// How many sign-ins and readings are looked through for the person's newest.
const READINGS: u32 = 50;
/// What failed at AWS without AWS having refused this role.
const NO_REFUSALS: [&str; 3] = ["aws_throttled", "aws_unavailable", "aws_assertion_expired"];
/// The codes of rows about groups that were not read in full.
const TROUBLES: [&str; 5] = [
    "groups_overage",
    "groups_unknown",
    "groups_unavailable",
    "directory_unavailable",
    "not_supported",
];

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) identity: &'a Identity,
    pub(super) basis: Basis,
    /// One role, or all.
    pub(super) target: Option<&'a TargetArn>,
    /// The moment in the past that it is about.
    pub(super) until: Option<OffsetDateTime>,
}

/// How far to look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// No further than the store.
    Store,
    /// To the directories too.
    Directories,
}

/// What is known, and sentences about what is not.
pub(super) struct Gathered {
    pub(super) around: Surroundings,
    pub(super) unknown: Vec<String>,
}

impl Broker {
    pub(super) async fn around(
        &self,
        question: &Question<'_>,
        reach: Reach,
    ) -> Result<Gathered, StoreError> {
        let tables = self.tables().await?;
        let is_past = question.until.is_some();
        let is_known = question.basis != Basis::Given;
        let mut unknown = Vec::new();
        let mut around = Surroundings {
            basis: question.basis,
            groups: Vec::new(),
            others: Vec::new(),
            pending: Vec::new(),
            ended: self.ended(question, &tables).await?,
            refused_by_aws: self.refused_by_aws(question).await?,
            trouble: None,
            groups_valid_for: self.settings.groups_valid_for,
        };
        if is_past {
            let sentence = "which edits waited for a second person at the time";
            unknown.push(format!("{sentence}."));
        } else {
            match self.pending_mappings(question).await {
                Ok(pending) => around.pending = pending,
                Err(error) => unknown.push(unread("which edits wait", &error)),
            }
        }
        if is_known && !is_past {
            around.trouble = self.trouble(question.identity).await?;
            match self.namesakes(question.identity).await {
                Ok(others) => around.others = others,
                Err(error) => unknown.push(unread("whether they are known elsewhere", &error)),
            }
        }
        if let (Some(target), Reach::Directories) = (question.target, reach) {
            let groups = groups_giving(target, question.identity, &tables);
            around.groups = self.relations(groups, &mut unknown).await;
        }
        Ok(Gathered { around, unknown })
    }

    /// The mappings among the edits that wait.
    async fn pending_mappings(
        &self,
        question: &Question<'_>,
    ) -> Result<Vec<(String, Mapping)>, StoreError> {
        let waiting = Some(PendingState::Waiting);
        let edits = &self.adapters.pending_edits;
        let edits = edits.pending_edits(waiting, PENDING).await?;
        let now = self.now();
        let mut found = Vec::new();
        for edit in edits.into_iter().filter(|edit| edit.expires_at > now) {
            for change in edit.changes {
                if let Change::PutMapping(mapping) = change
                    && question.target.is_none_or(|target| *target == mapping.role)
                {
                    found.push((edit.id.clone(), mapping));
                }
            }
        }
        Ok(found)
    }

    /// The mappings that somebody ended and nobody made again, newest first.
    async fn ended(
        &self,
        question: &Question<'_>,
        tables: &PolicyTables,
    ) -> Result<Vec<EndedMapping>, StoreError> {
        let filter = AuditFilter {
            role: question.target.map(ToString::to_string),
            actions: vec![Action::MappingChange],
            until: question.until,
            limit: CHANGES,
            ..AuditFilter::default()
        };
        let pair = |mapping: &Mapping| (mapping.group.clone(), mapping.role.clone());
        // The newest word about a pair counts, and what is there now is not ended.
        let mut seen: HashSet<(GroupKey, TargetArn)> = if question.until.is_none() {
            tables.mappings.iter().map(pair).collect()
        } else {
            HashSet::new()
        };
        let mut found = Vec::new();
        for AuditRow { event, .. } in self.adapters.audit.audit_rows(&filter).await? {
            let newest = mapping_of(&event, "after").or_else(|| mapping_of(&event, "before"));
            let Some(mapping) = newest.filter(|mapping| seen.insert(pair(mapping))) else {
                continue;
            };
            if !event.details.contains_key("after") {
                found.push(EndedMapping {
                    mapping,
                    at: event.at,
                    by: named(&event.actor),
                    reason: text_of(&event, "reason"),
                });
            }
        }
        Ok(found)
    }

    /// What AWS said when the role was last asked for or probed, where that was a refusal.
    ///
    /// A probe that went well takes back no refusal of a person, who brings more than it does.
    async fn refused_by_aws(
        &self,
        question: &Question<'_>,
    ) -> Result<Option<AwsRefusal>, StoreError> {
        let Some(target) = question.target else {
            return Ok(None);
        };
        let newest = |outcome| AuditFilter {
            role: Some(target.to_string()),
            actions: vec![Action::ConsoleOpen, Action::CredentialsIssue],
            outcome: Some(outcome),
            until: question.until,
            limit: 1,
            ..AuditFilter::default()
        };
        let audit = &self.adapters.audit;
        let failed = audit.audit_rows(&newest(Outcome::Failed)).await?;
        let failed = failed.into_iter().next();
        let done = audit.audit_rows(&newest(Outcome::Ok)).await?;
        let done = done.into_iter().next();
        let probe = match question.until {
            // What a probe found before its last one is not kept.
            Some(_) => None,
            None => self.known_probe(target).await?,
        };
        let asked = failed
            .as_ref()
            .and_then(|failed| refusal(failed, done.as_ref()));
        let probed = probe.and_then(|probe| refusal_of_probe(probe, done.as_ref()));
        Ok(asked
            .into_iter()
            .chain(probed)
            .max_by_key(|refusal| refusal.at))
    }

    /// Why the person's newest sign-in or reading, later than the groups at hand, brought none.
    async fn trouble(&self, identity: &Identity) -> Result<Option<GroupsTrouble>, StoreError> {
        let filter = AuditFilter {
            person: Some(identity.subject.clone()),
            actions: vec![Action::SignIn, Action::GroupsRefresh],
            since: Some(identity.groups_read_at),
            limit: READINGS,
            ..AuditFilter::default()
        };
        let rows = self.adapters.audit.audit_rows(&filter).await?;
        let newest = rows.into_iter().find(|row| is_about(&row.event, identity));
        Ok(newest.and_then(|AuditRow { event, .. }| {
            let code = event
                .reason
                .filter(|code| event.outcome != Outcome::Ok && TROUBLES.contains(&code.as_str()))?;
            Some(GroupsTrouble { at: event.at, code })
        }))
    }

    /// Whoever has the same user name or e-mail address at another connector.
    async fn namesakes(&self, identity: &Identity) -> Result<Vec<Identity>, StoreError> {
        let people = &self.adapters.known_people;
        let mut found: Vec<Identity> = Vec::new();
        let texts = [Some(identity.username.as_str()), identity.email.as_deref()];
        for text in texts.into_iter().flatten() {
            for known in people.find_known_people(text, NAMESAKES).await? {
                let other = known.identity;
                let is_new = found.iter().all(|found| {
                    (&found.connector, &found.subject) != (&other.connector, &other.subject)
                });
                if other.connector != identity.connector && is_new && is_same(&other, identity) {
                    found.push(other);
                }
            }
        }
        Ok(found)
    }

    /// How groups stand to others now. A directory that does not answer is asked once.
    async fn relations(
        &self,
        groups: Vec<GroupKey>,
        unknown: &mut Vec<String>,
    ) -> Vec<GroupRelations> {
        let count = groups.len();
        if count > GROUPS {
            unknown.push(format!(
                "how {} of the {count} groups that give it stand to others: {GROUPS} were looked \
                 up.",
                count - GROUPS
            ));
        }
        let mut silent: HashSet<String> = HashSet::new();
        let mut found = Vec::new();
        for group in groups.into_iter().take(GROUPS) {
            let id = group.connector().to_owned();
            let Ok(connector) = id.parse::<ConnectorId>() else {
                continue;
            };
            let Some(Connector::Password(directory)) = self.connector(&connector) else {
                continue;
            };
            if silent.contains(&id) {
                continue;
            }
            match directory.relations(&group).await {
                Ok(relations) => found.push(relations),
                Err(error) => {
                    unknown.push(unanswered(&id, &error));
                    silent.insert(id);
                }
            }
        }
        found
    }
}

/// What a failed row says of AWS, where no later one went well.
fn refusal(failed: &AuditRow, done: Option<&AuditRow>) -> Option<AwsRefusal> {
    let is_over = done.is_some_and(|done| done.seq > failed.seq);
    let code = failed.event.reason.clone().filter(|code| {
        !is_over && code.starts_with("aws_") && !NO_REFUSALS.contains(&code.as_str())
    })?;
    Some(AwsRefusal {
        at: failed.event.at,
        code,
        is_probe: false,
    })
}

/// The same of the last probe.
fn refusal_of_probe(probe: RoleProbe, done: Option<&AuditRow>) -> Option<AwsRefusal> {
    let is_over = done.is_some_and(|done| done.event.at > probe.checked_at);
    let code = probe.code.filter(|_| !is_over)?;
    (probe.state == ProbeState::Broken).then_some(AwsRefusal {
        at: probe.checked_at,
        code,
        is_probe: true,
    })
}

/// The groups whose mappings give a role and that the person has not, of the connectors that the
/// person's groups come from.
fn groups_giving(target: &TargetArn, identity: &Identity, tables: &PolicyTables) -> Vec<GroupKey> {
    let mut connectors: HashSet<&str> = identity
        .groups
        .iter()
        .map(|group| group.key.connector())
        .collect();
    connectors.insert(identity.connector.as_str());
    let rows = tables.mappings.iter();
    let mut found: Vec<GroupKey> = rows
        .filter(|mapping| mapping.role == *target)
        .map(|mapping| &mapping.group)
        .filter(|key| connectors.contains(key.connector()))
        .filter(|key| identity.groups.iter().all(|group| group.key != **key))
        .cloned()
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The mapping before or after a change, in either form that the log has.
fn mapping_of(event: &AuditEvent, when: &str) -> Option<Mapping> {
    let value = event.details.get(when)?;
    let plain = serde_json::from_value(value.clone()).ok();
    plain.or_else(|| match serde_json::from_value(value.clone()) {
        Ok(Row::Mapping(mapping)) => Some(mapping),
        _ => None,
    })
}

fn text_of(event: &AuditEvent, key: &str) -> Option<String> {
    let value = event.details.get(key)?.as_str()?;
    Some(value.to_owned())
}

fn is_about(event: &AuditEvent, identity: &Identity) -> bool {
    matches!(
        &event.actor,
        Actor::Person { connector, subject: Some(subject), .. }
            if *connector == identity.connector.as_str() && *subject == identity.subject
    )
}

fn is_same(other: &Identity, identity: &Identity) -> bool {
    let by_name = other.username.to_lowercase() == identity.username.to_lowercase();
    let addresses = (other.email.as_deref(), identity.email.as_deref());
    let by_address = matches!(addresses, (Some(one), Some(another))
        if one.eq_ignore_ascii_case(another));
    by_name || by_address
}

/// Who did something, in words.
fn named(actor: &Actor) -> String {
    match actor {
        Actor::Person {
            username, subject, ..
        } => {
            let name = username.as_deref().or(subject.as_deref());
            name.unwrap_or("somebody").to_owned()
        }
        Actor::Host { uid } => format!("the command line (user id {uid})"),
        Actor::File { .. } => "the mapping file".to_owned(),
        Actor::System => "Rolegate".to_owned(),
    }
}

fn unread(what: &str, error: &StoreError) -> String {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "an explanation goes without {what}"
    );
    format!("{what}: the store did not say.")
}

fn unanswered(connector: &str, error: &LookUpError) -> String {
    let why = match error {
        LookUpError::NotSupported => "it cannot be searched without a person's password",
        LookUpError::Unavailable(_) => "it did not answer",
        LookUpError::Misconfigured(_) => "it does not fit the configuration",
    };
    tracing::warn!(
        connector,
        error = error as &dyn std::error::Error,
        "how groups stand to others could not be read"
    );
    format!("how the groups of {connector} stand to each other: {why}.")
}
