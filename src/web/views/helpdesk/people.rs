//! People: the search, one person with groups, roles and what they opened, and the answer to "why?".

use std::collections::{HashMap, HashSet};

use askama::Template;
use time::OffsetDateTime;

use super::{
    Desk,
    explanation::{BasisWords, ExplanationPart},
    links,
    tree::{Step, walk},
    wording,
};
use crate::{
    access::{Entitlement, Group, GroupKey, Identity},
    broker::{Action, AuditRow, FoundPerson, PersonRecord, RoleSession},
    web::{
        EnvironmentRule,
        views::{Layout, Moment, audit, environment::Environment, query_string, words},
    },
};

/// So many roles are listed; the rest is counted.
const MOST_ROLES: usize = 200;
/// Nesting that a tree of groups shows.
const DEEPEST_GROUP: usize = 24;

/// A person in a list.
pub(crate) struct PersonRow {
    /// Their page.
    pub(crate) href: String,
    /// What to call them.
    pub(crate) name: String,
    /// The user name.
    pub(crate) username: String,
    /// The e-mail address; may be empty.
    pub(crate) email: String,
    /// The connector's label.
    pub(crate) connector: String,
    /// When they were last seen here.
    pub(crate) seen: Option<Moment>,
    /// What the directory says about them, where that is worth saying.
    pub(crate) note: &'static str,
}

impl PersonRow {
    /// Prepares one.
    pub(crate) fn new(
        person: &FoundPerson,
        label: impl FnOnce(&crate::access::ConnectorId) -> String,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            href: links::person_known(
                person.connector.as_str(),
                (&person.subject, &person.username),
                person.seen_at.is_some(),
            ),
            name: person
                .display_name
                .clone()
                .unwrap_or_else(|| person.username.clone()),
            username: person.username.clone(),
            email: person.email.clone().unwrap_or_default(),
            connector: label(&person.connector),
            seen: person.seen_at.map(|at| Moment::relative(at, now)),
            note: match person.is_in_directory {
                Some(false) => "no longer in the directory",
                Some(true) | None => "",
            },
        }
    }
}

/// `GET /helpdesk/people?q=`
#[derive(Template)]
#[template(path = "helpdesk/people.html", whitespace = "minimize")]
pub(crate) struct PeopleView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// What was looked for.
    pub(crate) query: String,
    /// Who was found; none where nothing was looked for.
    pub(crate) found: Option<Vec<PersonRow>>,
    /// What could not be asked.
    pub(crate) missing: Vec<String>,
}

impl PeopleView {
    fn count(&self) -> String {
        let count = self.found.as_ref().map_or(0, Vec::len);
        words::counted(count, "person", "people")
    }
}

/// A group of a person, in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupItem {
    /// The short name.
    pub(crate) short: String,
    /// The name as received.
    pub(crate) name: String,
    /// Its page.
    pub(crate) href: String,
    /// How many roles come with it; empty for none.
    pub(crate) gives: String,
}

/// Why a person has a role.
pub(crate) struct Reason {
    /// `Mapping`, `Rule`
    pub(crate) kind: &'static str,
    /// The row's page; none where the assertion gives the role.
    pub(crate) href: Option<String>,
    /// The group's short name.
    pub(crate) group: String,
    /// The group's page.
    pub(crate) group_href: Option<String>,
    /// When it ends.
    pub(crate) ends: Option<Moment>,
}

/// A role that the person may open.
pub(crate) struct HeldRow {
    /// The role's ARN.
    pub(crate) arn: String,
    /// The account's id.
    pub(crate) account_id: String,
    /// Its environment.
    pub(crate) environment: Environment,
    /// The account's name, or its id.
    pub(crate) account: String,
    /// The role's name.
    pub(crate) role: String,
    /// The role's page.
    pub(crate) role_href: String,
    /// The whole proof.
    pub(crate) why: String,
    /// In short.
    pub(crate) reasons: Vec<Reason>,
}

/// Something that the person opened.
pub(crate) struct OpenedRow {
    /// The account's id.
    pub(crate) account_id: String,
    /// The account's name, or its id.
    pub(crate) account: String,
    /// The role's name.
    pub(crate) role: String,
    /// `console` or `credentials`.
    pub(crate) delivery: String,
    /// When.
    pub(crate) started: Moment,
    /// When it ends or ended.
    pub(crate) ends: Moment,
}

/// Something that the person was refused.
pub(crate) struct RefusedRow {
    /// When.
    pub(crate) at: Moment,
    /// What was tried.
    pub(crate) what: &'static str,
    /// The role's name and account; may be empty.
    pub(crate) role: String,
    /// Why, in words.
    pub(crate) why: String,
    /// Why, as its stable code.
    pub(crate) code: String,
}

/// What the form "why, or why not?" shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    /// The role as typed.
    pub(crate) role: String,
    /// The date as typed.
    pub(crate) at: String,
    /// What is wrong with either.
    pub(crate) problem: Option<String>,
    /// The roles that were meant, where there are several: address, role, account.
    pub(crate) choices: Vec<(String, String, String)>,
}

/// What a person's page is made from.
pub(crate) struct PersonInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// Who.
    pub(crate) person: &'a PersonRecord,
    /// The connector's label.
    pub(crate) connector: String,
    /// What they may open.
    pub(crate) entitlements: &'a [Entitlement<'a>],
    /// What they opened, newest first.
    pub(crate) opened: &'a [RoleSession],
    /// What they were refused, newest first.
    pub(crate) refused: &'a [AuditRow],
    /// What people call an account, by the ARN of a role in it.
    pub(crate) account_name: &'a dyn Fn(&str) -> String,
    /// The question.
    pub(crate) question: Question,
    /// The answer.
    pub(crate) explanation: Option<ExplanationPart>,
    /// Whether the reader may look at the audit log.
    pub(crate) may_read_audit: bool,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

/// `GET /helpdesk/people/{connector}/{subject}`
#[derive(Template)]
#[template(path = "helpdesk/person.html", whitespace = "minimize")]
pub(crate) struct PersonView {
    layout: Layout,
    desk: Desk,
    href: String,
    picker_href: String,
    name: String,
    username: String,
    email: String,
    connector: String,
    subject: String,
    seen: Option<Moment>,
    basis: BasisWords,
    missing: Vec<String>,
    groups: Vec<Step<GroupItem>>,
    group_count: String,
    held: Vec<HeldRow>,
    held_count: String,
    held_rest: usize,
    opened: Vec<OpenedRow>,
    refused: Vec<RefusedRow>,
    question: Question,
    explanation: Option<ExplanationPart>,
    audit_href: Option<String>,
    revoke_href: String,
}

impl PersonView {
    /// Prepares the page.
    pub(crate) fn new(input: PersonInput<'_>) -> Self {
        let identity = &input.person.identity;
        let now = input.now;
        let href = person_href(input.person);
        let environments = &input.layout.environments;
        let held = input.entitlements.iter().take(MOST_ROLES);
        Self {
            picker_href: format!("{href}/picker"),
            name: identity.display().to_owned(),
            username: identity.username.clone(),
            email: identity.email.clone().unwrap_or_default(),
            connector: input.connector,
            subject: identity.subject.clone(),
            seen: input.person.seen_at.map(|at| Moment::relative(at, now)),
            basis: BasisWords::new(input.person.basis, now),
            missing: input.person.missing.clone(),
            groups: group_tree(&identity.groups, &given_by(input.entitlements)),
            group_count: words::counted(identity.groups.len(), "group", "groups"),
            held: held
                .map(|held| held_row(held, identity, (&href, environments), now))
                .collect(),
            held_count: words::counted(input.entitlements.len(), "role", "roles"),
            held_rest: input.entitlements.len().saturating_sub(MOST_ROLES),
            opened: input
                .opened
                .iter()
                .map(|session| opened_row(session, input.account_name, now))
                .collect(),
            refused: input
                .refused
                .iter()
                .map(|row| refused_row(row, input.account_name, now))
                .collect(),
            question: input.question.clone(),
            explanation: input.explanation,
            audit_href: input
                .may_read_audit
                .then(|| query_string("/audit", &[("person", &identity.subject)])),
            revoke_href: query_string(
                "/helpdesk/revocations/new",
                &[(
                    "person",
                    &format!("{}:{}", identity.connector, identity.subject),
                )],
            ),
            layout: input.layout.clone(),
            desk: input.desk,
            href,
        }
    }
}

/// A person's page.
pub(crate) fn person_href(person: &PersonRecord) -> String {
    let identity = &person.identity;
    links::person_known(
        identity.connector.as_str(),
        (&identity.subject, &identity.username),
        person.seen_at.is_some(),
    )
}

/// How many roles come with each group.
fn given_by(entitlements: &[Entitlement<'_>]) -> HashMap<GroupKey, usize> {
    let mut given: HashMap<GroupKey, usize> = HashMap::new();
    for entitlement in entitlements {
        let groups: HashSet<&GroupKey> = entitlement
            .givers
            .iter()
            .filter_map(|giver| giver.group.as_ref())
            .collect();
        for group in groups {
            *given.entry(group.clone()).or_default() += 1;
        }
    }
    given
}

/// The groups under those through which the person is in them.
fn group_tree(groups: &[Group], given: &HashMap<GroupKey, usize>) -> Vec<Step<GroupItem>> {
    let known: HashSet<&GroupKey> = groups.iter().map(|group| &group.key).collect();
    let mut above: HashMap<&GroupKey, Vec<&Group>> = HashMap::new();
    let mut roots = Vec::new();
    for group in groups {
        match &group.through {
            Some(through) if known.contains(through) && *through != group.key => {
                above.entry(through).or_default().push(group);
            }
            _ => roots.push(group),
        }
    }
    let by_name = |group: &&Group| group.name.to_lowercase();
    roots.sort_by_key(by_name);
    for nested in above.values_mut() {
        nested.sort_by_key(by_name);
    }
    walk(
        &roots,
        DEEPEST_GROUP,
        &|group: &Group| above.get(&group.key).cloned().unwrap_or_default(),
        &|group| GroupItem {
            short: wording::short_name(&group.name).to_owned(),
            name: group.name.clone(),
            href: links::group(&group.key),
            gives: given
                .get(&group.key)
                .map(|count| words::counted(*count, "role", "roles"))
                .unwrap_or_default(),
        },
    )
}

fn held_row(
    held: &Entitlement<'_>,
    identity: &Identity,
    (href, environments): (&str, &[EnvironmentRule]),
    now: OffsetDateTime,
) -> HeldRow {
    let arn = &held.role.arn;
    let name = |key: &GroupKey| {
        let group = identity.groups.iter().find(|group| group.key == *key);
        let name = group.map_or(key.value(), |group| group.name.as_str());
        wording::short_name(name).to_owned()
    };
    let reasons = held.givers.iter().map(|giver| Reason {
        kind: match (giver.group.is_some(), giver.is_rule) {
            (false, _) => "Named by the identity provider",
            (true, true) => "Rule",
            (true, false) => "Mapping",
        },
        href: giver.group.as_ref().map(|_| {
            if giver.is_rule {
                links::rule(giver.mapping)
            } else {
                links::mapping(giver.mapping)
            }
        }),
        group: giver.group.as_ref().map(&name).unwrap_or_default(),
        group_href: giver.group.as_ref().map(links::group),
        ends: giver
            .conditions
            .expires
            .map(|ends| Moment::relative(ends, now)),
    });
    HeldRow {
        account_id: arn.account().to_string(),
        environment: Environment::of(held.account, environments),
        account: held.account_name(),
        role: arn.name().to_owned(),
        role_href: links::role(arn),
        why: query_string(href, &[("role", arn.as_str())]),
        reasons: reasons.collect(),
        arn: arn.to_string(),
    }
}

fn opened_row(
    session: &RoleSession,
    account_name: &dyn Fn(&str) -> String,
    now: OffsetDateTime,
) -> OpenedRow {
    let (account_id, role) = audit::account_and_role(&session.role);
    OpenedRow {
        account: account_name(&session.role),
        account_id,
        role,
        delivery: session.delivery.clone(),
        started: Moment::relative(session.started_at, now),
        ends: Moment::relative(session.expires_at, now),
    }
}

fn refused_row(
    row: &AuditRow,
    account_name: &dyn Fn(&str) -> String,
    now: OffsetDateTime,
) -> RefusedRow {
    let code = row.event.reason.clone().unwrap_or_default();
    let role = row.event.role.as_deref().unwrap_or_default();
    RefusedRow {
        at: Moment::relative(row.event.at, now),
        what: match row.event.action {
            Action::SignIn => "Signing in",
            Action::ConsoleOpen => "Opening the console",
            Action::CredentialsIssue => "Credentials",
            Action::GroupsRefresh => "Reading the groups",
            _ => "Something",
        },
        role: if role.is_empty() {
            String::new()
        } else {
            format!(
                "{} in {}",
                audit::account_and_role(role).1,
                account_name(role)
            )
        },
        why: audit::reason_in_words(&code),
        code,
    }
}

/// `GET /helpdesk/people/{connector}/{subject}` where nobody is called so.
#[derive(Template)]
#[template(path = "helpdesk/nobody.html", whitespace = "minimize")]
pub(crate) struct NobodyView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// What is not there, as a title.
    pub(crate) title: String,
    /// What could not be asked.
    pub(crate) missing: Vec<String>,
    /// Where to look for it: address and words.
    pub(crate) back: (&'static str, &'static str),
}
