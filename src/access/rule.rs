//! Pattern rules: one row for a naming convention of groups.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Conditions, ConnectorId, MappingId, Origin};

/// The largest compiled pattern, in bytes; matching is linear in the name whatever the pattern.
const PATTERN_LIMIT: usize = 1 << 20;

/// The longest pattern, and the longest role, in bytes: reading a pattern takes a hundred times its
/// length.
const LONGEST: usize = 2_000;

/// A rule as it is written: groups whose name matches give the role that the captures name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingRule {
    /// The row's id.
    pub id: MappingId,
    /// Whose groups.
    pub connector: ConnectorId,
    /// A regular expression, anchored at both ends, that is matched against group names as
    /// received, ignoring case.
    pub group_pattern: String,
    /// The role's ARN with `{capture}` names in it.
    pub role: String,
    /// What is asked for first.
    pub conditions: Conditions,
    /// Whether it may give roles marked protected.
    pub allow_protected: bool,
    /// The ticket or note that explains the row.
    pub ticket: Option<String>,
    /// Where the row comes from.
    pub origin: Origin,
}

/// A rule ready to match.
#[derive(Debug, Clone)]
pub(super) struct CompiledRule {
    pub(super) rule: MappingRule,
    pattern: Regex,
}

impl MappingRule {
    /// Checks the rule and makes it ready to match.
    pub(super) fn compile(&self) -> Result<CompiledRule, RuleError> {
        if self.group_pattern.len().max(self.role.len()) > LONGEST {
            return Err(RuleError::TooLong);
        }
        if !self.group_pattern.starts_with('^') || !self.group_pattern.ends_with('$') {
            return Err(RuleError::Open(self.group_pattern.clone()));
        }
        // The group keeps `^a|b$` from being open in the middle.
        let inner = &self.group_pattern[1..self.group_pattern.len() - 1];
        // By itself first: `^a)|(?:b$` would close the group and be open.
        self.built(inner)?;
        let pattern = self.built(&format!("^(?:{inner})$"))?;
        let known: Vec<&str> = pattern.capture_names().flatten().collect();
        for name in placeholders(&self.role) {
            if !known.contains(&name) {
                return Err(RuleError::Capture(name.to_owned()));
            }
        }
        if self.role.splitn(6, ':').count() != 6 {
            return Err(RuleError::Role(self.role.clone()));
        }
        Ok(CompiledRule {
            rule: self.clone(),
            pattern,
        })
    }

    fn built(&self, pattern: &str) -> Result<Regex, RuleError> {
        RegexBuilder::new(pattern)
            .case_insensitive(true)
            .size_limit(PATTERN_LIMIT)
            .build()
            .map_err(|source| RuleError::Pattern {
                pattern: self.group_pattern.clone(),
                source: Box::new(source),
            })
    }

    /// What each of these group names gives by the rule, as the ARN before it is looked up in the
    /// table: the name's place and the ARN, for names that match.
    pub fn roles_for<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<Vec<(usize, String)>, RuleError> {
        let compiled = self.compile()?;
        let given = names.into_iter().enumerate();
        Ok(given
            .filter_map(|(place, name)| Some((place, compiled.role_for(name)?)))
            .collect())
    }

    /// Checks the rule without keeping anything.
    pub fn check(&self) -> Result<(), RuleError> {
        self.compile().map(|_| ())
    }
}

impl CompiledRule {
    /// The role ARN that a group of this name gives, before it is looked up in the table.
    pub(super) fn role_for(&self, group_name: &str) -> Option<String> {
        let captures = self.pattern.captures(group_name)?;
        let mut role = self.rule.role.clone();
        for name in placeholders(&self.rule.role) {
            let value = captures.name(name)?.as_str();
            role = role.replace(&format!("{{{name}}}"), value);
        }
        Some(role)
    }
}

fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name)
}

/// Why a rule cannot be used; it gives nothing until mended.
#[derive(Debug, Error, Clone)]
pub enum RuleError {
    /// The pattern or the role is no convention any more.
    #[error("the pattern and the role may have {LONGEST} bytes each")]
    TooLong,
    /// The pattern could match in the middle of a name.
    #[error("the pattern `{0}` is open: it must start with ^ and end with $")]
    Open(String),
    /// Not a regular expression.
    #[error("`{pattern}` is not a regular expression")]
    Pattern {
        /// What was written.
        pattern: String,
        /// Where it goes wrong.
        source: Box<regex::Error>,
    },
    /// The role names a capture that the pattern has not.
    #[error("the role names {{{0}}}, and the pattern has no (?<{0}>…)")]
    Capture(String),
    /// The role is not an ARN.
    #[error("`{0}` is not an ARN, such as arn:aws:iam::{{account}}:role/{{role}}")]
    Role(String),
}
