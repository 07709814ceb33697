//! Role session names and source identities: legal for AWS, readable, never shared by two people.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Errand, Identity};

/// The longest that STS takes for both names (AWS API, AssumeRole).
const LONGEST: usize = 64;
/// The longest name of a federated user (AWS API, GetFederationToken).
const LONGEST_FEDERATED: usize = 32;
/// The hexadecimal digits that tell two names apart once characters had to be replaced.
const SUFFIX: usize = 12;

/// A text with `{username}`, `{connector}`, `{email}` and `{subject}` in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameTemplate(String);

impl NameTemplate {
    /// Whether the names it makes differ between connectors.
    pub fn names_connector(&self) -> bool {
        self.0.contains("{connector}")
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The RoleSessionName of `identity`; the same at every call.
    pub fn role_session_name(&self, identity: &Identity) -> RoleSessionName {
        RoleSessionName(legal(&self.fill(identity)))
    }

    /// The SourceIdentity of `identity`; the same at every call.
    pub fn source_identity(&self, identity: &Identity) -> SourceIdentity {
        SourceIdentity(legal(&self.fill(identity)))
    }

    fn fill(&self, identity: &Identity) -> String {
        let mut filled = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(match name {
                "username" => &identity.username,
                "connector" => identity.connector.as_str(),
                "email" => identity.email.as_deref().unwrap_or(&identity.username),
                _ => &identity.subject,
            });
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

impl Default for NameTemplate {
    /// `{username}`.
    fn default() -> Self {
        Self("{username}".to_owned())
    }
}

impl FromStr for NameTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut rest = text;
        let mut names_person = false;
        while let Some((before, after)) = rest.split_once('{') {
            if before.contains('}') {
                return Err(TemplateError::Brace(text.to_owned()));
            }
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| TemplateError::Brace(text.to_owned()))?;
            match name {
                "username" | "email" | "subject" => names_person = true,
                "connector" => {}
                other => return Err(TemplateError::Placeholder(other.to_owned())),
            }
            rest = after;
        }
        if rest.contains('}') {
            return Err(TemplateError::Brace(text.to_owned()));
        }
        if !names_person {
            return Err(TemplateError::NamesNobody(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for NameTemplate {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        text.parse()
    }
}

impl From<NameTemplate> for String {
    fn from(template: NameTemplate) -> Self {
        template.0
    }
}

/// Why a text is not a name template.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// An unknown name between braces.
    #[error(
        "`{{{0}}}` is not known; there are {{username}}, {{connector}}, {{email}}, {{subject}}"
    )]
    Placeholder(String),
    /// A brace without its partner.
    #[error("`{0}` has a brace without its partner")]
    Brace(String),
    /// The same for everybody.
    #[error("`{0}` is the same for everybody: it needs {{username}}, {{email}} or {{subject}}")]
    NamesNobody(String),
}

/// A RoleSessionName: 2–64 of `[\w+=,.@-]` (AWS API, AssumeRole).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoleSessionName(String);

impl RoleSessionName {
    /// The name of the broker's own session.
    pub(super) fn of_errand(errand: Errand) -> Self {
        Self(errand.session_name().to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as GetFederationToken takes it: 2–32 of `[\w+=,.@-]` (AWS API). A longer one is cut
    /// and ends in a digest of the whole.
    pub(super) fn federated_name(&self) -> String {
        if self.0.len() <= LONGEST_FEDERATED {
            return self.0.clone();
        }
        ending_in_digest(&self.0, LONGEST_FEDERATED, &self.0)
    }
}

impl fmt::Display for RoleSessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A SourceIdentity: 2–64 of `[\w+=,.@-]` (AWS API, AssumeRole).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceIdentity(String);

impl SourceIdentity {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Makes `text` legal. A text that is legal already stays as it is, unless it looks like one that
/// was changed; a changed one ends in a digest of the original, so that no two texts share a name.
fn legal(text: &str) -> String {
    let is_legal = (2..=LONGEST).contains(&text.len()) && text.chars().all(is_legal_character);
    if is_legal && !looks_changed(text) {
        return text.to_owned();
    }
    let name: String = text
        .chars()
        .map(|character| {
            if is_legal_character(character) {
                character
            } else {
                '-'
            }
        })
        .collect();
    ending_in_digest(&name, LONGEST, text)
}

/// The beginning of a legal name, and a digest of what it stands for, within `longest`.
fn ending_in_digest(name: &str, longest: usize, of: &str) -> String {
    let mut cut: String = name.chars().take(longest - SUFFIX - 2).collect();
    cut.push_str("--");
    let hash = hex::encode(digest(&SHA256, of.as_bytes()));
    cut.push_str(&hash[..SUFFIX]);
    cut
}

fn looks_changed(text: &str) -> bool {
    text.rsplit_once("--").is_some_and(|(_, suffix)| {
        suffix.len() == SUFFIX
            && suffix
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn is_legal_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn legal_names_stay_as_they_are() {
        assert_eq!(
            legal("ada.lovelace@example.com"),
            "ada.lovelace@example.com"
        );
    }

    #[test]
    fn changed_names_stay_readable_and_apart() {
        assert!(legal("zoë").starts_with("zo---"));
        assert_ne!(legal("zoë"), legal("zoé"));
        assert_ne!(legal("a b"), legal("a-b"));
        assert_eq!(legal("x").len(), 1 + 2 + SUFFIX);
    }

    #[test]
    fn a_name_that_imitates_a_changed_one_is_changed_itself() {
        let changed = legal("zoë");
        assert_ne!(legal(&changed), changed);
    }

    #[test]
    fn templates_name_their_mistakes() {
        assert!(matches!(
            "{user}".parse::<NameTemplate>(),
            Err(TemplateError::Placeholder(_))
        ));
        assert!(matches!(
            "{username".parse::<NameTemplate>(),
            Err(TemplateError::Brace(_))
        ));
        assert!(matches!(
            "a}{username}".parse::<NameTemplate>(),
            Err(TemplateError::Brace(_))
        ));
        assert!(matches!(
            "rolegate".parse::<NameTemplate>(),
            Err(TemplateError::NamesNobody(_))
        ));
        assert!(
            "{connector}.{username}"
                .parse::<NameTemplate>()
                .unwrap()
                .names_connector()
        );
    }

    proptest! {
        #[test]
        fn every_text_becomes_legal(text in "\\PC{0,100}") {
            let name = legal(&text);
            prop_assert!((2..=LONGEST).contains(&name.len()));
            prop_assert!(name.chars().all(is_legal_character));
        }

        #[test]
        fn different_texts_have_different_names(a in "[aA ë-]{0,70}", b in "[aA ë-]{0,70}") {
            prop_assume!(a != b);
            prop_assert_ne!(legal(&a), legal(&b));
        }
    }
}
