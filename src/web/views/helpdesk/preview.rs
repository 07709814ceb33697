//! What an edit would do, as it stands directly above the button that saves it.
//!
//! Never here: whether it may be saved. Entry points: [`Effects::new`], [`PreviewPanel`].

use std::collections::HashSet;

use askama::Template;

use super::{
    super::words::{counted, grouped},
    wording::{self, Difference, RoleChip},
};
use crate::{
    access::{Altered, Identity, Policy, Row, RowName, Terms},
    broker::{EditPreview, RowChange, Wait},
    web::EnvironmentRule,
};

/// How many people are named for one role; the rest are counted.
const MOST_NAMES: usize = 100;
/// How many roles are listed with their people; the rest are counted.
const MOST_ROLES: usize = 200;
/// How many rows are shown with their differences; the rest are counted.
const MOST_ROWS: usize = 200;

/// Some people by name, and how many there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// The first of them.
    pub(crate) names: Vec<String>,
    /// How many there are in all.
    pub(crate) count: usize,
}

impl Names {
    fn of(places: &[usize], people: &[Identity]) -> Self {
        let named = places.iter().take(MOST_NAMES);
        Self {
            names: named
                .filter_map(|place| people.get(*place))
                .map(name)
                .collect(),
            count: places.len(),
        }
    }

    /// `and 12 others`, where some are not named.
    pub(crate) fn rest(&self) -> Option<String> {
        let rest = self.count.saturating_sub(self.names.len());
        (rest > 0).then(|| format!("and {}", counted(rest, "other", "others")))
    }
}

fn name(person: &Identity) -> String {
    match &person.display_name {
        Some(name) if *name != person.username => format!("{name} ({})", person.username),
        _ => person.username.clone(),
    }
}

/// What an edit does to one role.
#[derive(Debug, Clone)]
pub(crate) struct RoleLine {
    /// The role.
    pub(crate) chip: RoleChip,
    /// Whether it is protected, before or after.
    pub(crate) is_protected: bool,
    /// Who gains it.
    pub(crate) gains: Names,
    /// Who loses it.
    pub(crate) losses: Names,
    /// Who keeps it on other terms.
    pub(crate) altered: Names,
    /// The other terms, each once.
    pub(crate) terms: Vec<String>,
}

/// A row that changes.
#[derive(Debug, Clone)]
pub(crate) struct RowLine {
    /// What happens to it: `added`, `changed` or `ended`.
    pub(crate) what: &'static str,
    /// What it is.
    pub(crate) title: String,
    /// What is different.
    pub(crate) differences: Vec<Difference>,
}

/// What an edit would do, in words.
#[derive(Debug, Clone)]
pub(crate) struct Effects {
    /// `+3 people, −1 person`.
    pub(crate) headline: String,
    /// The roles, protected ones first.
    pub(crate) roles: Vec<RoleLine>,
    /// How many roles are not listed.
    pub(crate) more_roles: usize,
    /// The rows.
    pub(crate) rows: Vec<RowLine>,
    /// How many rows are not listed.
    pub(crate) more_rows: usize,
    /// How many rows change.
    pub(crate) row_count: usize,
    /// What could not be resolved.
    pub(crate) unresolved: Vec<String>,
    /// Why a second person is asked, as sentences.
    pub(crate) waits: Vec<String>,
    /// The roles that the author gains, joined.
    pub(crate) own_gains: String,
    /// Whether the author reads it.
    pub(crate) is_own: bool,
    /// Stands for what is shown.
    pub(crate) digest: String,
    /// What the button says.
    pub(crate) button: String,
}

impl Effects {
    /// Puts a preview into words; nothing of the people but the first names is kept.
    pub(crate) fn new(preview: &EditPreview, policy: &Policy, rules: &[EnvironmentRule]) -> Self {
        let counts = Counts::of(preview);
        let shown = preview.effects.roles.iter().take(MOST_ROLES);
        Self {
            headline: counts.headline(),
            roles: shown
                .map(|effect| RoleLine {
                    chip: RoleChip::of(&effect.role, policy, rules),
                    is_protected: effect.is_protected,
                    gains: Names::of(&effect.gains, &preview.people),
                    losses: Names::of(&effect.losses, &preview.people),
                    altered: altered(&effect.altered, &preview.people),
                    terms: terms(&effect.altered),
                })
                .collect(),
            more_roles: preview.effects.roles.len().saturating_sub(MOST_ROLES),
            rows: preview
                .rows
                .iter()
                .take(MOST_ROWS)
                .map(|row| row_line(row, policy))
                .collect(),
            more_rows: preview.rows.len().saturating_sub(MOST_ROWS),
            row_count: preview.rows.len(),
            unresolved: preview.unresolved.clone(),
            waits: preview
                .waits
                .iter()
                // The roles themselves say it better.
                .filter(|wait| **wait != Wait::SelfGain || preview.own_gains.is_empty())
                .map(|wait| reason(*wait))
                .collect(),
            own_gains: own_gains(&preview.own_gains, policy),
            is_own: true,
            digest: preview.digest.clone(),
            button: button(preview, &counts),
        }
    }

    /// The same for whoever is to be the second person.
    #[must_use]
    pub(crate) fn for_second_person(self) -> Self {
        Self {
            is_own: false,
            waits: Vec::new(),
            ..self
        }
    }

    /// Whether there is anything to save.
    pub(crate) fn changes_something(&self) -> bool {
        self.row_count > 0
    }
}

fn altered(altered: &[Altered], people: &[Identity]) -> Names {
    let places: Vec<usize> = altered.iter().map(|altered| altered.person).collect();
    Names::of(&places, people)
}

fn own_gains(arns: &[String], policy: &Policy) -> String {
    let title = |arn: &String| match arn.parse() {
        Ok(arn) => wording::role_title(&arn, policy),
        Err(_) => arn.clone(),
    };
    let titles: Vec<String> = arns.iter().map(title).collect();
    titles.join(", ")
}

fn row_line(row: &RowChange, policy: &Policy) -> RowLine {
    let what = match (&row.before, &row.after) {
        (None, _) => "added",
        (Some(_), Some(_)) => "changed",
        (Some(_), None) => "ended",
    };
    let known = row.after.as_ref().or(row.before.as_ref());
    RowLine {
        what,
        title: known.map_or_else(
            || wording::name_title(&row.name),
            |row| wording::row_title(row, policy),
        ),
        differences: wording::differences(row.before.as_ref(), row.after.as_ref()),
    }
}

/// Why a second person is asked.
pub(crate) fn reason(wait: Wait) -> String {
    reason_of_code(wait.code())
}

/// The same by its stable code.
pub(crate) fn reason_of_code(code: &str) -> String {
    match code {
        "self_gain" => "It gives its author a role, or better terms.",
        "protected" => "It touches an account or role that is protected.",
        "unresolved" => "Whether it gives its author anything could not be worked out.",
        other => other,
    }
    .to_owned()
}

fn terms(altered: &[Altered]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for Altered { before, after, .. } in altered {
        let words = change_of_terms(*before, *after);
        if !told.contains(&words) {
            told.push(words);
        }
        if told.len() == 5 {
            break;
        }
    }
    told
}

fn change_of_terms(before: Terms, after: Terms) -> String {
    let mut words = Vec::new();
    if before.longest != after.longest {
        words.push(format!(
            "{} at most instead of {}",
            super::super::words::minutes(after.longest),
            super::super::words::minutes(before.longest)
        ));
    }
    match (before.is_read_only, after.is_read_only) {
        (false, true) => words.push("read-only from now on".to_owned()),
        (true, false) => words.push("no longer read-only".to_owned()),
        _ => {}
    }
    match (before.requires_reason, after.requires_reason) {
        (false, true) => words.push("asked for a reason".to_owned()),
        (true, false) => words.push("no longer asked for a reason".to_owned()),
        _ => {}
    }
    words.join(", ")
}

/// How many different people gain, lose, or keep a role on other terms.
struct Counts {
    gain: usize,
    lose: usize,
    altered: usize,
}

impl Counts {
    fn of(preview: &EditPreview) -> Self {
        let roles = &preview.effects.roles;
        let gain: HashSet<usize> = roles.iter().flat_map(|r| r.gains.iter().copied()).collect();
        let lose: HashSet<usize> = roles
            .iter()
            .flat_map(|r| r.losses.iter().copied())
            .collect();
        let altered = roles.iter().flat_map(|role| &role.altered);
        let altered: HashSet<usize> = altered.map(|altered| altered.person).collect();
        Self {
            gain: gain.len(),
            lose: lose.len(),
            altered: altered.len(),
        }
    }

    fn headline(&self) -> String {
        let mut parts = Vec::new();
        if self.gain > 0 {
            parts.push(format!("+{}", counted(self.gain, "person", "people")));
        }
        if self.lose > 0 {
            parts.push(format!("−{}", counted(self.lose, "person", "people")));
        }
        if self.altered > 0 {
            let people = counted(self.altered, "person", "people");
            parts.push(format!("{people} on other terms"));
        }
        if parts.is_empty() {
            "Nobody gains or loses a role.".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

/// What the button does: `End mapping for 12 people`.
fn button(preview: &EditPreview, counts: &Counts) -> String {
    if !preview.waits.is_empty() {
        return "Ask a second person".to_owned();
    }
    let rows = &preview.rows;
    let noun = noun(rows);
    let (verb, people) = if rows.iter().all(|row| row.before.is_none()) {
        ("Add", counts.gain)
    } else if rows.iter().all(|row| row.after.is_none()) {
        ("End", counts.lose)
    } else {
        ("Save", counts.gain.max(counts.lose).max(counts.altered))
    };
    let what = match rows.len() {
        0 => return "Nothing to save".to_owned(),
        1 => noun.0.to_owned(),
        count => format!("{} {}", grouped(count), noun.1),
    };
    match people {
        0 => format!("{verb} {what}"),
        people => format!("{verb} {what} for {}", counted(people, "person", "people")),
    }
}

fn noun(rows: &[RowChange]) -> (&'static str, &'static str) {
    let kind = |name: &RowName| match name {
        RowName::Account(_) => ("account", "accounts"),
        RowName::Role(_) => ("role", "roles"),
        RowName::Mapping(_) => ("mapping", "mappings"),
        RowName::Rule(_) => ("rule", "rules"),
    };
    let mut kinds = rows.iter().map(|row| kind(&row.name));
    match kinds.next() {
        Some(first) if kinds.all(|kind| kind == first) => first,
        _ => ("change", "changes"),
    }
}

/// The state of the preview on a page.
#[derive(Debug, Clone)]
pub(crate) enum PreviewState {
    /// Nobody has asked yet.
    NotAsked,
    /// What was entered cannot be used; the messages stand beside the fields, and these here.
    Invalid(Vec<String>),
    /// It is being worked out.
    Running(Running),
    /// It was worked out.
    Ready(Box<Effects>),
    /// It cannot be done; sentences say why.
    Refused(Vec<String>),
}

/// A preview that takes its time.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// Where it is shown once it is there.
    pub(crate) href: String,
    /// How much is done.
    pub(crate) done: usize,
    /// How much there is to do; zero while that is not known.
    pub(crate) total: usize,
}

/// The preview within its form.
#[derive(Template)]
#[template(path = "helpdesk/preview.html", whitespace = "minimize")]
pub(crate) struct PreviewPanel {
    /// What is shown.
    pub(crate) state: PreviewState,
    /// A sentence in front, such as that the preview has changed.
    pub(crate) notice: Option<String>,
    /// Where saving posts to.
    pub(crate) save: String,
    /// Messages for the fields of the form, where the panel alone is sent: name and message.
    pub(crate) field_errors: Vec<(&'static str, String)>,
}

// A template of ours, escaped as any other.
impl askama::filters::HtmlSafe for PreviewPanel {}

/// Your version of a row, as a change would make it.
pub(crate) fn row_of(change: &crate::access::Change) -> Option<Row> {
    use crate::access::Change;
    Some(match change {
        Change::PutAccount(account) => Row::Account(account.clone()),
        Change::PutRole(role) => Row::Role(role.clone()),
        Change::PutMapping(mapping) => Row::Mapping(mapping.clone()),
        Change::PutRule(rule) => Row::Rule(rule.clone()),
        _ => return None,
    })
}
