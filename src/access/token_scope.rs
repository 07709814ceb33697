//! What a broker token may be used for.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One thing that a broker token may be used for, beside saying whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TokenScope {
    /// `sso:account:access`: what AWS's own tools ask for. Accounts, roles and credentials, by the
    /// operations that those tools use.
    Aws,
    /// `roles`: the person's accounts and roles.
    Roles,
    /// `credentials`: opening the person's roles, as credentials or in the console.
    Credentials,
    /// `sessions`: the person's role sessions and broker tokens; ending them.
    Sessions,
    /// `mappings:read`: the table, where the person may see it.
    Mappings,
    /// `audit:read`: the audit log, where the person may read it.
    Audit,
}

impl TokenScope {
    /// Every scope.
    pub const ALL: [Self; 6] = [
        Self::Aws,
        Self::Roles,
        Self::Credentials,
        Self::Sessions,
        Self::Mappings,
        Self::Audit,
    ];

    /// The word in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "sso:account:access",
            Self::Roles => "roles",
            Self::Credentials => "credentials",
            Self::Sessions => "sessions",
            Self::Mappings => "mappings:read",
            Self::Audit => "audit:read",
        }
    }
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no scope")]
pub struct UnknownScope(pub String);

impl FromStr for TokenScope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.chars().take(60).collect()))
    }
}

impl TryFrom<String> for TokenScope {
    type Error = UnknownScope;

    fn try_from(text: String) -> Result<Self, UnknownScope> {
        text.parse()
    }
}

impl From<TokenScope> for String {
    fn from(scope: TokenScope) -> Self {
        scope.as_str().to_owned()
    }
}

/// What a broker token may be used for; written with blanks between the words (RFC 6749, 3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenScopes(BTreeSet<TokenScope>);

impl TokenScopes {
    /// Whether it may be used for that.
    pub fn contains(&self, scope: TokenScope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether all of it is in `other` too.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether it may be used for nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes, in the order of [`TokenScope::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = TokenScope> {
        self.0.iter().copied()
    }
}

impl FromIterator<TokenScope> for TokenScopes {
    fn from_iter<I: IntoIterator<Item = TokenScope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl FromStr for TokenScopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split_ascii_whitespace().map(str::parse).collect()
    }
}

impl fmt::Display for TokenScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|scope| scope.as_str()).collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_back_as_they_are_written() {
        let all: TokenScopes = TokenScope::ALL.into_iter().collect();
        assert_eq!(all.to_string().parse(), Ok(all.clone()));
        let some: TokenScopes = "roles  credentials".parse().unwrap();
        assert!(some.is_within(&all) && !all.is_within(&some));
        assert_eq!(
            "roles everything".parse::<TokenScopes>(),
            Err(UnknownScope("everything".to_owned()))
        );
    }
}
