//! Why a person may open a role, or may not, and what would give it.
//!
//! The answer is a tree of [`Statement`]s: the row, the way from the person to its group, each
//! condition with its value; for a role that is not held, the nearest misses, the easiest to mend
//! first. What the table alone cannot know comes in as [`Surroundings`]. Entry points:
//! [`Policy::explain`], [`Policy::nearest_misses`].

mod held;
mod misses;
#[cfg(test)]
mod tests;
mod words;

use serde::Serialize;
use time::OffsetDateTime;

use super::{GroupKey, Identity, Mapping, MappingId, Policy, RowName, TargetArn};
use words::Telling;

/// What is known beside the table and the person.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where the person's groups come from.
    pub basis: Basis,
    /// What the directory says about the groups that give the role, where it was asked.
    pub groups: Vec<GroupRelations>,
    /// The same person (by user name or e-mail address) at other connectors.
    pub others: Vec<Identity>,
    /// Mappings that wait for a second person, each with the id of its pending edit.
    pub pending: Vec<(String, Mapping)>,
    /// Mappings of the role that were ended, newest first.
    pub ended: Vec<EndedMapping>,
    /// What AWS said when the role was last asked for or probed, where it refused.
    pub refused_by_aws: Option<AwsRefusal>,
    /// Why the person's last sign-in or group reading brought no complete groups.
    pub trouble: Option<GroupsTrouble>,
    /// From what age on groups are read again before a grant, and until when old ones serve.
    pub groups_valid_for: std::time::Duration,
}

/// Where a person's groups come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Basis {
    /// Read from the directory for this question.
    Live,
    /// As last seen at a sign-in or a reading.
    LastSeen {
        /// When.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
    /// Given by whoever asks (`--group`).
    Given,
}

/// A group as its directory knows it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupRelations {
    /// The key under which a mapping names it.
    pub key: GroupKey,
    /// Whether there is such a group.
    pub exists: bool,
    /// Its name as the directory writes it.
    pub name: Option<String>,
    /// The directory's own stable id.
    pub stable_id: Option<String>,
    /// The groups that are members of it, directly.
    pub member_groups: Vec<GroupKey>,
    /// The groups that it is a member of, directly.
    pub parent_groups: Vec<GroupKey>,
}

/// A mapping that was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedMapping {
    /// As it was.
    pub mapping: Mapping,
    /// When.
    pub at: OffsetDateTime,
    /// Who ended it, in words.
    pub by: String,
    /// Why, where they said.
    pub reason: Option<String>,
}

/// What AWS said when a role was last asked for, or last probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsRefusal {
    /// When.
    pub at: OffsetDateTime,
    /// The stable code of the audit row, such as `access_denied`.
    pub code: String,
    /// Whether it was no person but a probe.
    pub is_probe: bool,
}

/// Why a person's groups are not known in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsTrouble {
    /// When.
    pub at: OffsetDateTime,
    /// The stable code of the audit row, such as `groups_overage` or `groups_unavailable`.
    pub code: String,
}

/// The situations that an explanation tells apart; the names are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// A mapping gives it.
    HeldByMapping,
    /// A pattern rule gives it.
    HeldByRule,
    /// A mapping or rule gives it to a group that the person reaches through other groups.
    HeldThroughNestedGroups,
    /// The identity provider's assertion gives it.
    HeldByAssertion,
    /// A mapping gave it until it expired.
    MappingExpired,
    /// A mapping would give it, and waits for a second person.
    MappingPending,
    /// A mapping gave it until somebody ended it.
    MappingEnded,
    /// The person has the group, written in another case or form.
    GroupWrittenOtherwise,
    /// The person is in a group directly below or above the one that gives it.
    GroupOneLevelAway,
    /// The person has the group at another connector.
    GroupAtAnotherConnector,
    /// The group was renamed: the person's has the same stable id under another name.
    GroupRenamed,
    /// The group was made again under the same name.
    GroupRecreated,
    /// The role is disabled.
    RoleDisabled,
    /// The role is there, and AWS refused it when it was last asked for or probed.
    RoleRefusedByAws,
    /// A condition is not met: MFA, approval, a reason, the age of the groups.
    ConditionUnmet,
    /// The groups are not known in full: overage, or a look-up that was refused.
    GroupsNotKnown,
    /// The way the role is opened does not fit the person's sign-in.
    SignInDoesNotFit,
    /// None of the person's groups gives it.
    NotGiven,
    /// The table has no such role.
    UnknownRole,
}

/// One line of the proof, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// A sentence in plain words.
    pub text: String,
    /// The row that it is about, to be linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<RowName>,
    /// The group that it is about, to be linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupKey>,
    /// What it rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Statement>,
}

/// What would give the role; a button where the reader may press it, and text for a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Remedy {
    /// Set another end, or none, on this mapping.
    Extend {
        /// The mapping.
        mapping: MappingId,
    },
    /// Approve the pending edit.
    Approve {
        /// Its id.
        pending: String,
    },
    /// Map this group to the role.
    Map {
        /// The group.
        group: GroupKey,
        /// The role.
        role: TargetArn,
    },
    /// Let this mapping mean the group under its new name or id.
    Rebind {
        /// The mapping.
        mapping: MappingId,
        /// The group.
        group: GroupKey,
    },
    /// Add the person to this group, in the directory.
    JoinGroup {
        /// The group.
        group: GroupKey,
    },
    /// Enable the role.
    EnableRole {
        /// The role.
        role: TargetArn,
    },
    /// Mend the role in AWS.
    MendInAws {
        /// The role.
        role: TargetArn,
    },
    /// The person signs in again.
    SignInAgain,
    /// The person gives what is asked for.
    MeetCondition {
        /// The condition's key, such as `require_reason`.
        condition: String,
    },
    /// Somebody mends what keeps the groups from being read.
    MendGroups,
}

/// One reason why the role is held, or one thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub situation: Situation,
    /// The proof.
    pub proof: Statement,
    /// What would mend it; none where the role is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// The remedy as a sentence to copy into a ticket; empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
}

/// Why one person may or may not open one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The role.
    pub role: TargetArn,
    /// The account's name, or its id.
    pub account: String,
    /// Whether it can be opened now.
    pub is_held: bool,
    /// One sentence that answers.
    pub summary: String,
    /// The reasons; where it is not held, the nearest misses, the easiest to mend first.
    pub findings: Vec<Finding>,
    /// Where the groups come from.
    pub basis: Basis,
    /// When it was asked about.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What is not known, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

impl Policy {
    /// Why `identity` may or may not open `target` at `now`.
    pub fn explain(
        &self,
        identity: &Identity,
        target: &TargetArn,
        around: &Surroundings,
        now: OffsetDateTime,
    ) -> Explanation {
        let telling = Telling {
            policy: self,
            identity,
            target,
            around,
            now,
        };
        let evidence = self.evidence(identity, target, now);
        let entitlement = evidence
            .as_ref()
            .and_then(|evidence| evidence.held.as_ref());
        let findings = match (&evidence, entitlement) {
            (Some(evidence), Some(entitlement)) => {
                let mut findings = held::reasons(&telling, evidence, entitlement);
                findings.extend(held::obstacles(&telling, entitlement));
                findings
            }
            (Some(evidence), None) => misses::of_role(&telling, evidence),
            (None, _) => misses::of_unknown_role(&telling),
        };
        let is_held = entitlement.is_some();
        Explanation {
            role: target.clone(),
            account: telling.account(),
            is_held,
            summary: words::summary(&telling, is_held, &findings),
            findings,
            basis: around.basis,
            at: now,
            unknown: Vec::new(),
        }
    }

    /// The roles that the person does not hold and comes nearest to, at most `limit`, the easiest
    /// to mend first; roles that merely exist are none of them.
    pub fn nearest_misses(
        &self,
        identity: &Identity,
        around: &Surroundings,
        now: OffsetDateTime,
        limit: usize,
    ) -> Vec<Explanation> {
        let candidates = misses::candidates(self, identity, around, now);
        let explained = candidates
            .iter()
            .map(|target| self.explain(identity, target, around, now));
        let mut near: Vec<(u8, Explanation)> = explained
            .filter(|explanation| !explanation.is_held)
            .filter_map(|explanation| {
                let rank = misses::nearness(explanation.findings.first()?)?;
                Some((rank, explanation))
            })
            .collect();
        near.sort_by_cached_key(|(rank, explanation)| {
            let account = explanation.account.to_lowercase();
            (*rank, account, explanation.role.clone())
        });
        near.truncate(limit);
        near.into_iter()
            .map(|(_, explanation)| explanation)
            .collect()
    }
}
