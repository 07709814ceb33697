//! Pattern rules, and what one matches and gives.

use askama::Template;
use time::OffsetDateTime;

use super::{
    super::{Layout, Moment, words::counted},
    Desk,
    edit::EditForm,
    links,
    wording::{self, RoleChip},
};
use crate::{
    access::{MappingRule, Origin, Policy, PolicyTables, RowName},
    web::EnvironmentRule,
};

/// How many matches are listed; the rest are counted.
const MOST_MATCHES: usize = 100;

/// A group that a rule matches.
struct Match {
    group: String,
    /// The role, where the table has it.
    chip: Option<RoleChip>,
    /// The ARN as filled in.
    arn: String,
    is_withheld: bool,
}

/// What a rule matches among the groups that are known, and what it gives them.
#[derive(Template)]
#[template(path = "helpdesk/matches.html", whitespace = "minimize")]
pub(crate) struct Matches {
    summary: String,
    found: Vec<Match>,
    more: usize,
    /// Whether it is sent beside the fragment that was asked for.
    is_beside: bool,
}

// A template of ours, escaped as any other.
impl askama::filters::HtmlSafe for Matches {}

impl Matches {
    /// What `rule` gives to groups of these names.
    pub(crate) fn new(
        rule: &MappingRule,
        names: &[String],
        policy: &Policy,
        environments: &[EnvironmentRule],
    ) -> Self {
        let found = match rule.roles_for(names.iter().map(String::as_str)) {
            Ok(found) => found,
            Err(error) => return Self::unknown(&format!("{error}.")),
        };
        let count = found.len();
        let matches: Vec<Match> = found
            .into_iter()
            .take(MOST_MATCHES)
            .map(|(place, arn)| {
                let role = policy.ruled_role(&arn);
                let chip = role.map(|role| RoleChip::of(role, policy, environments));
                let is_protected = chip.as_ref().is_some_and(|chip| chip.is_protected);
                Match {
                    group: names.get(place).cloned().unwrap_or_default(),
                    is_withheld: is_protected && !rule.allow_protected,
                    chip,
                    arn,
                }
            })
            .collect();
        Self {
            summary: format!(
                "It matches {} of the {} that are known.",
                counted(count, "group", "groups"),
                counted(names.len(), "group", "groups")
            ),
            more: count.saturating_sub(matches.len()),
            found: matches,
            is_beside: false,
        }
    }

    /// A sentence in place of the matches.
    pub(crate) fn unknown(sentence: &str) -> Self {
        Self {
            summary: sentence.to_owned(),
            found: Vec::new(),
            more: 0,
            is_beside: false,
        }
    }

    /// The same to be sent beside the fragment that was asked for.
    #[must_use]
    pub(crate) fn beside(mut self) -> Self {
        self.is_beside = true;
        self
    }
}

struct RuleRow {
    id: String,
    connector: String,
    pattern: String,
    role: String,
    conditions: String,
    ends: Option<Moment>,
    allows_protected: bool,
    ticket: String,
    origin: Option<String>,
    problem: Option<String>,
    matched: String,
    edit: Option<String>,
    history: String,
}

/// `GET /helpdesk/rules`
#[derive(Template)]
#[template(path = "helpdesk/rules.html", whitespace = "minimize")]
pub(crate) struct RulesView {
    layout: Layout,
    desk: Desk,
    rows: Vec<RuleRow>,
    count: String,
    form: Option<EditForm>,
    saved: Option<(String, Option<String>)>,
}

/// What the page of rules is made from.
pub(crate) struct RulesInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The rows.
    pub(crate) tables: &'a PolicyTables,
    /// What is decided on them.
    pub(crate) policy: &'a Policy,
    /// The names of the groups that are known, by connector.
    pub(crate) names: &'a dyn Fn(&str) -> Vec<String>,
    /// An edit beside the rows.
    pub(crate) form: Option<EditForm>,
    /// What was just saved.
    pub(crate) saved: Option<(String, Option<String>)>,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

impl RulesView {
    /// Every rule, in the order in which they are read.
    pub(crate) fn new(input: RulesInput<'_>) -> Self {
        let rows: Vec<RuleRow> = input
            .tables
            .rules
            .iter()
            .map(|rule| rule_row(rule, &input))
            .collect();
        Self {
            count: counted(rows.len(), "rule", "rules"),
            rows,
            layout: input.layout,
            desk: input.desk,
            form: input.form,
            saved: input.saved,
        }
    }

    fn running(&self) -> Option<&str> {
        self.form.as_ref().and_then(EditForm::running)
    }
}

fn rule_row(rule: &MappingRule, input: &RulesInput<'_>) -> RuleRow {
    let names = (input.names)(rule.connector.as_str());
    let problems = input.policy.problems().iter();
    let mut problems = problems.filter(|problem| problem.about == rule.id.0);
    let is_of_store = rule.origin == Origin::Store;
    RuleRow {
        id: rule.id.to_string(),
        connector: rule.connector.to_string(),
        pattern: rule.group_pattern.clone(),
        role: rule.role.clone(),
        conditions: wording::conditions(&rule.conditions).join(", "),
        ends: rule
            .conditions
            .expires
            .map(|at| Moment::relative(at, input.now)),
        allows_protected: rule.allow_protected,
        ticket: rule.ticket.clone().unwrap_or_default(),
        origin: match rule.origin {
            Origin::Store => None,
            Origin::File { line } => Some(format!("mapping file, line {line}")),
        },
        problem: problems.next().map(|problem| problem.message.clone()),
        matched: rule
            .roles_for(names.iter().map(String::as_str))
            .map_or_else(
                |_| String::new(),
                |found| counted(found.len(), "group", "groups"),
            ),
        edit: (is_of_store && input.desk.is_admin).then(|| links::rule(&rule.id)),
        history: wording::history_link(&RowName::Rule(rule.id.clone())),
    }
}
