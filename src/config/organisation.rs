//! The sections about the people who use it: names and colours of the pages, and who may edit.
//!
//! Entry points: the public structs.

use std::time::Duration;

use regex::{Regex, RegexBuilder};

use super::reader::Section;
use super::{address, template};
use crate::access::{AccountId, Dn};

const PENDING_EXPIRES_AFTER: Duration = Duration::from_hours(7 * 24);
const PENDING_SHORTEST: Duration = Duration::from_mins(5);
const PENDING_LONGEST: Duration = Duration::from_hours(90 * 24);

/// `[organisation]`: names, notices and colours of the pages.
#[derive(Clone, Debug)]
pub struct Organisation {
    /// Shown beside the product's name.
    pub name: Option<String>,
    /// Plain text shown on the sign-in page.
    pub notice: Option<String>,
    /// Where help is asked for: a URL with `{summary}` and `{request_id}` to fill, percent-encoded.
    pub help_url: Option<String>,
    /// Rules that colour accounts; the first that matches counts.
    pub environments: Vec<EnvironmentRule>,
}

impl Organisation {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let name = section.string("name");
        let notice = section.string("notice");
        let help_url = section.parsed("help_url", help_url);
        let has_rules = section.has("environment");
        let mut environments =
            section.array_of_tables("environment", "name", EnvironmentRule::read);
        if !has_rules {
            environments = EnvironmentRule::defaults();
        }
        Self {
            name,
            notice,
            help_url,
            environments,
        }
    }
}

fn help_url(text: &str) -> Result<String, String> {
    template::check(text, &["summary", "request_id"])?;
    let filled = text.replace("{summary}", "s").replace("{request_id}", "r");
    address::absolute(&filled, &["https", "http"]).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// `[[organisation.environment]]`: which accounts belong to an environment, and its colour.
#[derive(Clone, Debug)]
pub struct EnvironmentRule {
    /// The word shown beside the colour.
    pub name: String,
    /// Looked for, ignoring case, in an account's `environment` or, where it has none, its name.
    pub pattern: Regex,
    /// The colour of the bar.
    pub colour: Colour,
}

impl EnvironmentRule {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        section.demand("name", "a word such as \"production\"");
        section.demand("pattern", "a regular expression such as \"prod\"");
        section.demand("colour", "red, amber, green, blue or grey");
        let name = section.string("name");
        let pattern = section.parsed("pattern", pattern);
        let colour = section.choice("colour", &Colour::NAMES);
        Some(Self {
            name: name?,
            pattern: pattern?,
            colour: colour?,
        })
    }

    fn defaults() -> Vec<Self> {
        let rules = [
            // Before production, whose name they contain.
            ("test", "(non|pre)[-_ ]?prod", Colour::Amber),
            (
                "production",
                "(^|[^a-z])(prod|production|prd|live)([^a-z]|$)",
                Colour::Red,
            ),
            (
                "test",
                "(^|[^a-z])(test|staging|stage|uat|qa)([^a-z]|$)",
                Colour::Amber,
            ),
            (
                "development",
                "(^|[^a-z])(dev|development|sandbox)([^a-z]|$)",
                Colour::Green,
            ),
        ];
        let rule = |(name, text, colour): (&str, _, _)| {
            let pattern = pattern(text).ok()?;
            Some(Self {
                name: name.to_owned(),
                pattern,
                colour,
            })
        };
        rules.into_iter().filter_map(rule).collect()
    }
}

fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .case_insensitive(true)
        .build()
        .map_err(|error| {
            // The error's own text draws the pattern over several lines; its last says what is wrong.
            let text = error.to_string();
            let reason = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            format!("not a regular expression: {reason}")
        })
}

/// The colours a page knows, each with contrast in both themes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// By default production.
    Red,
    /// By default test.
    Amber,
    /// By default development.
    Green,
    /// Free to use.
    Blue,
    /// What no rule matches.
    Grey,
}

impl Colour {
    pub(super) const NAMES: [(&'static str, Self); 5] = [
        ("red", Self::Red),
        ("amber", Self::Amber),
        ("green", Self::Green),
        ("blue", Self::Blue),
        ("grey", Self::Grey),
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Amber => "amber",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Grey => "grey",
        }
    }
}

/// `[access]`: group keys, `connector:name`, and what their members may do here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// May edit mappings of every role, unless `scopes` limit the group.
    pub helpdesk: Vec<String>,
    /// May read everything.
    pub auditor: Vec<String>,
    /// May edit accounts, roles and rules.
    pub admin: Vec<String>,
    /// Groups that may edit mappings of some roles.
    pub scopes: Vec<AccessScope>,
    /// How long an edit waits for a second person.
    pub pending_expires_after: Duration,
}

/// `[[access.scope]]`: a helpdesk group and what it is limited to; at least one limit is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessScope {
    /// The group's key.
    pub group: String,
    /// The accounts; empty where they are no limit.
    pub accounts: Vec<AccountId>,
    /// The environments of accounts; empty where they are no limit.
    pub environments: Vec<String>,
    /// Patterns of role ARNs; empty where they are no limit.
    pub roles: Vec<String>,
}

impl Access {
    /// `connector_ids`: of every connector, also those this version cannot use.
    pub(super) fn read(section: &mut Section<'_>, connector_ids: &[String]) -> Self {
        let pending_expires_after = (section
            .duration("pending_expires_after", PENDING_SHORTEST..=PENDING_LONGEST))
        .unwrap_or(PENDING_EXPIRES_AFTER);
        let scopes = section.array_of_tables("scope", "group", |scope| {
            AccessScope::read(scope, connector_ids)
        });
        let limited: Vec<String> = scopes.iter().map(|scope| same_form(&scope.group)).collect();
        let place = section.place("helpdesk");
        let mut groups = |key| {
            section
                .list(key, |text| group_key(text, connector_ids))
                .unwrap_or_default()
        };
        let access = Self {
            helpdesk: groups("helpdesk"),
            auditor: groups("auditor"),
            admin: groups("admin"),
            scopes,
            pending_expires_after,
        };
        let both = access.helpdesk.iter();
        for group in both.filter(|group| limited.contains(&same_form(group))) {
            let message = format!(
                "{group:?} is in a [[access.scope]] too, which limits it: take it out of one of the \
                 two"
            );
            section.warn_at(&place, message);
        }
        access
    }
}

impl AccessScope {
    fn read(section: &mut Section<'_>, connector_ids: &[String]) -> Option<Self> {
        section.demand(
            "group",
            "a helpdesk group such as \"corp:cn=helpdesk-dev,ou=groups,dc=example,dc=com\"",
        );
        let group = section.parsed("group", |text| group_key(text, connector_ids));
        let limits = ["accounts", "environments", "roles"];
        if !limits.iter().any(|key| section.has(key)) {
            // What limits nothing is more likely forgotten than meant.
            let message = "limits nothing: add accounts, environments or roles, or name the group \
                           in helpdesk";
            section.refuse("group", message);
        }
        Some(Self {
            accounts: section
                .non_empty_list("accounts", str::parse::<AccountId>)
                .unwrap_or_default(),
            environments: section
                .non_empty_list("environments", |text| Ok::<_, String>(text.to_owned()))
                .unwrap_or_default(),
            roles: section
                .non_empty_list("roles", role_pattern)
                .unwrap_or_default(),
            group: group?,
        })
    }
}

fn role_pattern(text: &str) -> Result<String, String> {
    if text.starts_with("arn:") || text.starts_with('*') {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected a role's ARN in which * stands for anything, such as \"*:role/ReadOnly\"; found \
         {text:?}"
    ))
}

/// A group's key in a form in which two spellings of one group are alike; good enough to warn.
fn same_form(group: &str) -> String {
    let parts = group.split_once(':').and_then(|(connector, name)| {
        let name: Dn = name.parse().ok()?;
        Some(format!("{connector}:{}", name.normalised()))
    });
    parts.unwrap_or_else(|| group.to_owned())
}

fn group_key(text: &str, connector_ids: &[String]) -> Result<String, String> {
    let shape = "expected CONNECTOR:GROUP, such as corp:cn=helpdesk,ou=groups,dc=example,dc=com";
    match text.split_once(':') {
        Some((_, "")) | None => Err(format!("{shape}; found {text:?}")),
        // Without any the connectors were reported.
        Some(_) if connector_ids.is_empty() => Ok(text.to_owned()),
        Some((id, _)) if connector_ids.iter().any(|known| known == id) => Ok(text.to_owned()),
        Some((id, _)) => Err(format!(
            "there is no connector {id:?}; known are {}",
            connector_ids.join(", ")
        )),
    }
}
