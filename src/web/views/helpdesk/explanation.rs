//! An explanation as people read it: in full for the helpdesk, in their own words for the person.
//!
//! Never here for the person themselves: ids of rows, other people, and whether a role that they
//! have nothing to do with exists. Entry points: [`ExplanationPart::new`], [`own_words`].

use time::OffsetDateTime;

use super::{
    links,
    tree::{Step, walk},
    wording,
};
use crate::{
    access::{
        Authority, Identity, Policy, TargetArn,
        explain::{Basis, Explanation, Finding, Remedy, Situation, Statement},
    },
    web::views::{Moment, query_string},
};

/// Proofs are as deep as nesting of groups is; deeper ones are cut.
const DEEPEST_PROOF: usize = 24;

/// A sentence of a proof with the pages that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// The sentence.
    pub(crate) text: String,
    /// The row's page.
    pub(crate) row: Option<String>,
    /// The group's page.
    pub(crate) group: Option<String>,
}

/// Something that the reader may press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Press {
    /// Where it leads; nothing is changed by going there.
    pub(crate) href: String,
    /// Its words.
    pub(crate) text: String,
}

/// One finding.
pub(crate) struct FindingPart {
    /// Its stable name.
    pub(crate) code: &'static str,
    /// It in a few words.
    pub(crate) title: &'static str,
    /// The proof.
    pub(crate) proof: Vec<Step<Said>>,
    /// What would mend it, where the reader may do it here.
    pub(crate) press: Option<Press>,
    /// What would mend it, as a sentence.
    pub(crate) request: String,
}

/// Where a person's groups come from, as a page tells it.
#[derive(Debug, Clone)]
pub(crate) struct BasisWords {
    /// The words in front of the moment.
    pub(crate) text: &'static str,
    /// When.
    pub(crate) at: Option<Moment>,
}

impl BasisWords {
    /// Tells it.
    pub(crate) fn new(basis: Basis, now: OffsetDateTime) -> Self {
        let (text, at) = match basis {
            Basis::Live => ("read from the directory just now", None),
            Basis::LastSeen { at } => ("as last seen", Some(Moment::relative(at, now))),
            Basis::Given => ("as given with the question", None),
        };
        Self { text, at }
    }
}

/// Why a person may or may not open a role, for whoever keeps the table.
pub(crate) struct ExplanationPart {
    /// The role's ARN.
    pub(crate) arn: String,
    /// The role's name.
    pub(crate) role: String,
    /// The role's page.
    pub(crate) role_href: String,
    /// The account's name, or its id.
    pub(crate) account: String,
    /// Whether it can be opened.
    pub(crate) is_held: bool,
    /// The answer.
    pub(crate) summary: String,
    /// The reasons.
    pub(crate) findings: Vec<FindingPart>,
    /// Where the groups come from.
    pub(crate) basis: BasisWords,
    /// For which moment, where that is not now.
    pub(crate) at: Option<Moment>,
    /// What is not known.
    pub(crate) unknown: Vec<String>,
    /// The whole of it, for a ticket.
    pub(crate) ticket: String,
}

impl ExplanationPart {
    /// Prepares it for a reader, who may press what their authority reaches. `is_past` tells that
    /// the question was about an earlier moment.
    pub(crate) fn new(
        explanation: &Explanation,
        person: &str,
        (authority, policy): (&Authority, &Policy),
        (now, is_past): (OffsetDateTime, bool),
    ) -> Self {
        let role = &explanation.role;
        let may_map = authority.may_edit_mappings_of(role, policy.account(&role.account()));
        let rights = PressRights {
            may_map,
            is_admin: authority.is_admin,
        };
        Self {
            arn: role.to_string(),
            role: role.name().to_owned(),
            role_href: links::role(role),
            account: explanation.account.clone(),
            is_held: explanation.is_held,
            summary: explanation.summary.clone(),
            findings: explanation
                .findings
                .iter()
                .map(|finding| finding_part(finding, rights, is_past))
                .collect(),
            basis: BasisWords::new(explanation.basis, now),
            at: is_past.then(|| Moment::clock(explanation.at, now)),
            unknown: explanation.unknown.clone(),
            ticket: explanation.for_ticket(person),
        }
    }
}

#[derive(Clone, Copy)]
struct PressRights {
    may_map: bool,
    is_admin: bool,
}

fn finding_part(finding: &Finding, rights: PressRights, is_past: bool) -> FindingPart {
    let press = finding.remedy.as_ref().filter(|_| !is_past);
    FindingPart {
        code: code(finding.situation),
        title: title(finding.situation),
        proof: walk(
            &[&finding.proof],
            DEEPEST_PROOF,
            &|statement: &Statement| statement.because.iter().collect(),
            &said,
        ),
        press: press.and_then(|remedy| self::press(remedy, rights)),
        request: finding.request.clone(),
    }
}

fn said(statement: &Statement) -> Said {
    Said {
        text: statement.text.clone(),
        row: statement.row.as_ref().map(links::row),
        group: statement.group.as_ref().map(links::group),
    }
}

/// The button for a remedy, where there is one and the reader may press it. Rows of the mapping
/// file are edited in the file.
fn press(remedy: &Remedy, rights: PressRights) -> Option<Press> {
    let (is_allowed, href, text) = match remedy {
        Remedy::Extend { mapping } => (
            rights.may_map && !is_in_file(&mapping.0),
            links::mapping(mapping),
            "Extend the mapping…".to_owned(),
        ),
        Remedy::Approve { pending } => (
            rights.may_map || rights.is_admin,
            format!("/helpdesk/pending/{}", links::segment(pending)),
            "See the change that waits…".to_owned(),
        ),
        Remedy::Map { group, role } => (
            rights.may_map,
            query_string(
                "/helpdesk/mappings/new",
                &[("group", group.as_str()), ("role", role.as_str())],
            ),
            format!("Map {} to it…", wording::group_name(group.as_str())),
        ),
        Remedy::Rebind { mapping, group } => (
            rights.may_map && !is_in_file(&mapping.0),
            query_string(&links::mapping(mapping), &[("group", group.as_str())]),
            "Let the mapping mean the group of today…".to_owned(),
        ),
        Remedy::EnableRole { role } => (
            rights.is_admin,
            links::role(role),
            "Enable the role…".to_owned(),
        ),
        Remedy::JoinGroup { .. }
        | Remedy::MendInAws { .. }
        | Remedy::SignInAgain
        | Remedy::MeetCondition { .. }
        | Remedy::MendGroups => return None,
    };
    is_allowed.then_some(Press { href, text })
}

fn is_in_file(id: &str) -> bool {
    id.starts_with("file:")
}

/// The stable name of a situation, as in JSON.
fn code(situation: Situation) -> &'static str {
    match situation {
        Situation::HeldByMapping => "held_by_mapping",
        Situation::HeldByRule => "held_by_rule",
        Situation::HeldThroughNestedGroups => "held_through_nested_groups",
        Situation::HeldByAssertion => "held_by_assertion",
        Situation::MappingExpired => "mapping_expired",
        Situation::MappingPending => "mapping_pending",
        Situation::MappingEnded => "mapping_ended",
        Situation::GroupWrittenOtherwise => "group_written_otherwise",
        Situation::GroupOneLevelAway => "group_one_level_away",
        Situation::GroupAtAnotherConnector => "group_at_another_connector",
        Situation::GroupRenamed => "group_renamed",
        Situation::GroupRecreated => "group_recreated",
        Situation::RoleDisabled => "role_disabled",
        Situation::RoleRefusedByAws => "role_refused_by_aws",
        Situation::ConditionUnmet => "condition_unmet",
        Situation::GroupsNotKnown => "groups_not_known",
        Situation::SignInDoesNotFit => "sign_in_does_not_fit",
        Situation::NotGiven => "not_given",
        Situation::UnknownRole => "unknown_role",
    }
}

fn title(situation: Situation) -> &'static str {
    match situation {
        Situation::HeldByMapping => "Held by a mapping",
        Situation::HeldByRule => "Held by a rule",
        Situation::HeldThroughNestedGroups => "Held through nested groups",
        Situation::HeldByAssertion => "Held by the identity provider's word",
        Situation::MappingExpired => "The mapping has expired",
        Situation::MappingPending => "A mapping waits for approval",
        Situation::MappingEnded => "The mapping was ended",
        Situation::GroupWrittenOtherwise => "The group is written otherwise",
        Situation::GroupOneLevelAway => "The group is one level away",
        Situation::GroupAtAnotherConnector => "The group is held through another connector",
        Situation::GroupRenamed => "The group was renamed",
        Situation::GroupRecreated => "The group was made again",
        Situation::RoleDisabled => "The role is disabled",
        Situation::RoleRefusedByAws => "AWS refuses the role",
        Situation::ConditionUnmet => "A condition is not met",
        Situation::GroupsNotKnown => "The groups are not known in full",
        Situation::SignInDoesNotFit => "The role opens for another way to sign in",
        Situation::NotGiven => "No group gives it",
        Situation::UnknownRole => "There is no such role",
    }
}

/// What a person is told about a role that they come near to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnMiss {
    /// The role's name.
    pub(crate) role: String,
    /// The account's name, or its id.
    pub(crate) account: String,
    /// What is the matter, and what to ask for.
    pub(crate) words: String,
    /// Whom to ask, where the role or its account says.
    pub(crate) owner: Option<String>,
}

impl OwnMiss {
    /// `Operator in Payments production`
    pub(crate) fn asked(&self) -> String {
        format!("{} in {}", self.role, self.account)
    }
}

/// The explanation for the person themselves, from the first finding that is theirs to know; none
/// where the person has nothing to do with the role, so that nobody learns which roles there are.
pub(crate) fn own_words(
    explanation: &Explanation,
    identity: &Identity,
    policy: &Policy,
) -> Option<OwnMiss> {
    if explanation.is_held {
        return None;
    }
    let finding = explanation
        .findings
        .iter()
        .find(|finding| is_own(finding.situation))?;
    let role = &explanation.role;
    Some(OwnMiss {
        role: role.name().to_owned(),
        account: explanation.account.clone(),
        words: own_sentence(finding, identity)?,
        // Groups that are not known are said of every role, whether it is there or not.
        owner: (finding.situation != Situation::GroupsNotKnown)
            .then(|| owner(policy, role))
            .flatten(),
    })
}

/// Whether a situation says something about the person and not only about the table.
fn is_own(situation: Situation) -> bool {
    !matches!(
        situation,
        Situation::NotGiven | Situation::UnknownRole | Situation::RoleDisabled
    )
}

fn owner(policy: &Policy, role: &TargetArn) -> Option<String> {
    let own = policy.role(role).and_then(|role| role.owner.clone());
    let owner = own.or_else(|| policy.account(&role.account())?.owner.clone())?;
    (!owner.trim().is_empty()).then_some(owner)
}

fn own_sentence(finding: &Finding, identity: &Identity) -> Option<String> {
    let short = |group: &crate::access::GroupKey| wording::group_name(group.as_str()).to_owned();
    Some(match (finding.situation, finding.remedy.as_ref()) {
        (Situation::MappingExpired, _) => {
            "Your access has ended. Ask for it to be extended.".to_owned()
        }
        (Situation::MappingEnded, _) => {
            "Your access was ended. If you still need it, ask for it again.".to_owned()
        }
        (Situation::MappingPending, _) => {
            "It was asked for, and waits for a second person to approve it.".to_owned()
        }
        (Situation::GroupRenamed | Situation::GroupRecreated, _) => {
            "Your group was renamed or made again, and the role still goes by the old one. Ask for \
             it to be moved to your group of today."
                .to_owned()
        }
        (Situation::GroupAtAnotherConnector, _) => {
            "It comes with another way to sign in. Sign out, and sign in that way.".to_owned()
        }
        (_, Some(Remedy::JoinGroup { group })) => {
            format!("Ask to be added to the group {}.", short(group))
        }
        (_, Some(Remedy::Map { group, .. }))
            if identity.groups.iter().any(|own| own.key == *group) =>
        {
            format!("Ask for it to be given to your group {}.", short(group))
        }
        (Situation::GroupWrittenOtherwise | Situation::GroupOneLevelAway, _) => {
            "You are in a group close to the one that gives it. Ask for it.".to_owned()
        }
        (Situation::RoleRefusedByAws, _) => {
            "It is yours, and AWS refused it when it was last asked for. Tell whoever keeps the \
             role."
                .to_owned()
        }
        (Situation::ConditionUnmet, Some(Remedy::MeetCondition { condition }))
            if condition == "require_reason" =>
        {
            "It is yours once you say why you need it.".to_owned()
        }
        (Situation::ConditionUnmet, _) => {
            "It asks for something that is not met now. Ask your helpdesk which way is open."
                .to_owned()
        }
        (Situation::GroupsNotKnown, _) => {
            "Your groups could not be read in full, so that it may be yours all the same. Sign in \
             again; if that does not help, tell your helpdesk."
                .to_owned()
        }
        (Situation::SignInDoesNotFit, _) => {
            "It opens only for people who sign in another way. Sign out, and sign in through your \
             identity provider."
                .to_owned()
        }
        _ => return None,
    })
}
