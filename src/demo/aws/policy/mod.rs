//! IAM's policy language: reading a document as strictly as IAM, and deciding a request by it.
//!
//! It shares no code with `crate::aws`, whose documents it has to judge. A statement that cannot be
//! decided does not apply when it allows; there is no document that is half understood. Source: IAM
//! User Guide, "IAM JSON policy elements reference" and "Policy evaluation logic". Entry points:
//! [`Document::identity`], [`Document::trust`], [`Document::decide`].

mod condition;
mod document;
mod pattern;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use condition::Condition;
use pattern::Pattern;

/// A policy document that IAM would take.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// Whether `${…}` is a variable: from version 2012-10-17 on.
    has_variables: bool,
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    is_deny: bool,
    /// Of a trust policy alone.
    principals: Option<Principals>,
    actions: Choice,
    /// Of an identity policy alone.
    resources: Option<Choice>,
    conditions: Vec<Condition>,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug)]
struct Choice {
    is_negated: bool,
    patterns: Vec<String>,
}

#[derive(Clone, Debug)]
enum Principals {
    Everyone,
    /// Kind and value.
    Listed(Vec<(String, String)>),
}

/// Why IAM would answer `MalformedPolicyDocument`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

/// What policies are asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// `service:Name`.
    pub(super) action: &'a str,
    pub(super) subject: Subject<'a>,
    pub(super) context: &'a Context,
}

/// What the documents of the two kinds look at beside the action.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// Identity and session policies: the resource that is acted on.
    Resource(&'a str),
    /// Trust policies: who comes.
    Claimant(Claimant<'a>),
}

/// Who asks for a role.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claimant<'a> {
    /// A user or role of IAM, with what STS calls the session.
    Aws { arn: &'a str, caller_arn: &'a str },
    /// Somebody whom a provider vouches for: its ARN.
    Federated(&'a str),
}

/// What one document says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Denied by a statement: nothing can allow it.
    Denied,
    /// Allowed.
    Allowed,
    /// Allowed to the claimant's account, which has to allow it to the claimant.
    AllowedToAccount,
    /// Not spoken of, which is a no.
    Silent,
}

impl Decision {
    pub(super) fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed | Self::AllowedToAccount)
    }
}

/// The condition keys of one request; names are compared without regard to case.
#[derive(Clone, Debug, Default)]
pub(super) struct Context(HashMap<String, Vec<String>>);

impl Context {
    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.set_all(key, [value]);
    }

    /// Sets a key with any number of values; one with none is not there.
    pub(super) fn set_all<'a>(&mut self, key: &str, values: impl IntoIterator<Item = &'a str>) {
        let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
        if values.is_empty() {
            self.0.remove(&key.to_lowercase());
        } else {
            self.0.insert(key.to_lowercase(), values);
        }
    }

    /// Adds all keys of `other`, which win.
    pub(super) fn extend(&mut self, other: &Self) {
        let pairs = (other.0.iter()).map(|(key, values)| (key.clone(), values.clone()));
        self.0.extend(pairs);
    }

    fn values(&self, key: &str) -> &[String] {
        self.0.get(&key.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The value of a key that has exactly one.
    fn single(&self, key: &str) -> Option<&str> {
        match self.values(key) {
            [value] => Some(value),
            _ => None,
        }
    }
}

/// How close a principal element comes to who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    Itself,
    Account,
}

impl Document {
    /// Decides: a deny wins over every allow.
    pub(super) fn decide(&self, question: &Question<'_>) -> Decision {
        let mut decision = Decision::Silent;
        for statement in &self.statements {
            let Some(naming) = statement.applies(question, self.has_variables) else {
                continue;
            };
            match naming {
                _ if statement.is_deny => return Decision::Denied,
                Naming::Itself => decision = Decision::Allowed,
                Naming::Account if decision == Decision::Silent => {
                    decision = Decision::AllowedToAccount;
                }
                Naming::Account => {}
            }
        }
        decision
    }
}

/// What several documents of one kind say together.
pub(super) fn decide_all(documents: &[Document], question: &Question<'_>) -> Decision {
    let decisions: Vec<Decision> = (documents.iter())
        .map(|document| document.decide(question))
        .collect();
    let wanted = [
        Decision::Denied,
        Decision::Allowed,
        Decision::AllowedToAccount,
    ];
    (wanted.into_iter())
        .find(|decision| decisions.contains(decision))
        .unwrap_or(Decision::Silent)
}

impl Statement {
    fn applies(&self, question: &Question<'_>, has_variables: bool) -> Option<Naming> {
        let context = question.context;
        let naming = match (question.subject, &self.principals, &self.resources) {
            (Subject::Claimant(claimant), Some(principals), _) => principals.naming(claimant)?,
            (Subject::Resource(resource), None, Some(resources)) => {
                let variables = has_variables.then_some(context);
                let matches = |pattern: &str| {
                    let pattern = Pattern::with_wildcards(pattern, variables);
                    // Without a value for a variable nobody knows what `NotResource` leaves out.
                    let is_unknown_excluded = resources.is_negated && !self.is_deny;
                    pattern.map_or(is_unknown_excluded, |pattern| pattern.matches(resource))
                };
                resources.includes(matches).then_some(Naming::Itself)?
            }
            _ => return None,
        };
        let action = question.action.to_ascii_lowercase();
        let is_action = |pattern: &str| {
            let pattern = Pattern::with_wildcards(&pattern.to_ascii_lowercase(), None);
            pattern.is_some_and(|pattern| pattern.matches(&action))
        };
        let does_apply = self.actions.includes(is_action)
            && (self.conditions.iter())
                .all(|condition| condition.holds(context, has_variables, self.is_deny));
        does_apply.then_some(naming)
    }
}

impl Choice {
    fn includes(&self, matches: impl Fn(&str) -> bool) -> bool {
        let is_listed = self.patterns.iter().any(|pattern| matches(pattern));
        is_listed != self.is_negated
    }
}

impl Principals {
    fn naming(&self, claimant: Claimant<'_>) -> Option<Naming> {
        let Self::Listed(listed) = self else {
            return Some(Naming::Itself);
        };
        let of_kind = |kind: &str| {
            let listed = listed.iter().filter(move |(known, _)| known == kind);
            listed.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        match claimant {
            Claimant::Federated(provider) => {
                let values = of_kind("Federated");
                (values.contains(&provider) || values.contains(&"*")).then_some(Naming::Itself)
            }
            Claimant::Aws { arn, caller_arn } => {
                let values = of_kind("AWS");
                let mut parts = arn.split(':').skip(1);
                let partition = parts.next().unwrap_or_default();
                let account = parts.nth(2).unwrap_or_default();
                let root = format!("arn:{partition}:iam::{account}:root");
                if [arn, caller_arn, "*"]
                    .iter()
                    .any(|own| values.contains(own))
                {
                    Some(Naming::Itself)
                } else {
                    let is_account = values.contains(&account) || values.contains(&root.as_str());
                    (is_account && !account.is_empty()).then_some(Naming::Account)
                }
            }
        }
    }
}
