//! Who signed in, and the groups they are in.

use std::{collections::HashMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use super::{Dn, DnError, SamlProviderArn, TargetArn};

/// The id of a configured connector, such as `corp`: `[a-z0-9-]{1,32}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectorId(String);

impl ConnectorId {
    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ConnectorId {
    type Err = GroupKeyError;

    fn from_str(text: &str) -> Result<Self, GroupKeyError> {
        let is_legal = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if is_legal {
            Ok(Self(text.to_owned()))
        } else {
            Err(GroupKeyError::Connector(text.chars().take(60).collect()))
        }
    }
}

impl TryFrom<String> for ConnectorId {
    type Error = GroupKeyError;

    fn try_from(text: String) -> Result<Self, GroupKeyError> {
        text.parse()
    }
}

impl From<ConnectorId> for String {
    fn from(id: ConnectorId) -> Self {
        id.0
    }
}

/// How the groups of a connector are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKeyForm {
    /// LDAP: as distinguished names, in normalised form (RFC 4514, [`Dn`]).
    DistinguishedName,
    /// Claims: byte for byte.
    Exact,
}

/// A group as mappings compare it: `connector:value`, the value in the connector's normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupKey(String);

impl GroupKey {
    /// The key of the group that a connector calls `value`.
    ///
    /// # Errors
    /// When the connector's groups are DNs and `value` is none.
    pub fn new(
        connector: &ConnectorId,
        value: &str,
        form: GroupKeyForm,
    ) -> Result<Self, GroupKeyError> {
        let value = match form {
            GroupKeyForm::Exact => value.to_owned(),
            GroupKeyForm::DistinguishedName => value
                .parse::<Dn>()
                .map_err(|source| GroupKeyError::Dn {
                    value: value.to_owned(),
                    source,
                })?
                .normalised(),
        };
        if value.is_empty() {
            return Err(GroupKeyError::Empty);
        }
        Ok(Self(format!("{connector}:{value}")))
    }

    /// Reads `connector:name` as a person wrote it.
    ///
    /// # Errors
    /// When no such connector is configured, or the name has not its form.
    pub fn parse(
        text: &str,
        forms: &HashMap<ConnectorId, GroupKeyForm>,
    ) -> Result<Self, GroupKeyError> {
        let (connector, value) = text
            .split_once(':')
            .ok_or_else(|| GroupKeyError::Shape(text.to_owned()))?;
        let connector: ConnectorId = connector.parse()?;
        let form = forms
            .get(&connector)
            .ok_or_else(|| GroupKeyError::UnknownConnector {
                connector: connector.to_string(),
                known: {
                    let mut known: Vec<&str> = forms.keys().map(ConnectorId::as_str).collect();
                    known.sort_unstable();
                    known.join(", ")
                },
            })?;
        Self::new(&connector, value, *form)
    }

    /// A key read back from the store, which holds only keys made by [`GroupKey::new`].
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// `connector:value`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The connector's id.
    pub fn connector(&self) -> &str {
        self.0
            .split_once(':')
            .map_or("", |(connector, _)| connector)
    }

    /// The normalised value behind the connector's id.
    pub fn value(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, value)| value)
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text names no group.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum GroupKeyError {
    /// No connector in front.
    #[error("`{0}` is not a group: write connector:name, such as corp:cn=dev,ou=groups,dc=x")]
    Shape(String),
    /// Not a legal connector id.
    #[error("`{0}` is not a connector id: lower-case letters, digits and hyphens, at most 32")]
    Connector(String),
    /// A connector that the configuration has not.
    #[error("no connector `{connector}` is configured; there are: {known}")]
    UnknownConnector {
        /// The id that was written.
        connector: String,
        /// The ids there are.
        known: String,
    },
    /// The connector's groups are DNs and this is none.
    #[error("`{value}` is not a distinguished name")]
    Dn {
        /// What was written.
        value: String,
        /// Where it goes wrong.
        source: DnError,
    },
    /// Nothing behind the connector's id.
    #[error("the group's name is empty")]
    Empty,
}

/// A group that a connector reported for a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Group {
    /// What explicit mappings compare.
    pub key: GroupKey,
    /// The name as received; rules match it ignoring case.
    pub name: String,
    /// The directory's own stable id (entryUUID, objectGUID), where it told.
    pub stable_id: Option<String>,
    /// The group through which the person is in this one; none for direct membership.
    pub through: Option<GroupKey>,
}

/// How a person proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticationMethod {
    /// A password that the directory accepted.
    Password,
    /// An assertion of a SAML identity provider.
    Saml,
    /// An ID token of an OpenID Connect provider.
    Oidc,
    /// A token of an issuer that is trusted for applications; nobody sat at a browser.
    Token,
}

/// A role that an identity provider's assertion names itself, with the IAM provider that vouches
/// for it (the attribute `https://aws.amazon.com/SAML/Attributes/Role`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AssertedRole {
    /// The role.
    pub role: TargetArn,
    /// The IAM SAML provider.
    pub provider: SamlProviderArn,
}

/// A provider's session with a person, as logging out needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderSession {
    /// The NameID.
    pub name_id: String,
    /// Its `Format`.
    pub format: Option<String>,
    /// Its `NameQualifier`.
    pub name_qualifier: Option<String>,
    /// Its `SPNameQualifier`.
    pub sp_name_qualifier: Option<String>,
    /// The provider's name for the session.
    pub session_index: Option<String>,
}

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The connector that vouches for the person.
    pub connector: ConnectorId,
    /// The stable id of the person within the connector (entryUUID, objectGUID in canonical form).
    pub subject: String,
    /// The canonical user name from the directory entry, never what was typed.
    pub username: String,
    /// What to call the person on a page.
    pub display_name: Option<String>,
    /// The e-mail address that the directory has.
    pub email: Option<String>,
    /// The entry's distinguished name, where the connector is a directory.
    pub entry_dn: Option<String>,
    /// All groups, direct and nested, without doubles.
    pub groups: Vec<Group>,
    /// When the groups were read.
    pub groups_read_at: OffsetDateTime,
    /// When the person proved who they are.
    pub authenticated_at: OffsetDateTime,
    /// How the person proved who they are.
    pub method: AuthenticationMethod,
    /// How in the provider's words, such as a SAML AuthnContextClassRef.
    pub authentication_context: Option<String>,
    /// The roles that the provider itself names, where the connector reads them.
    pub asserted_roles: Vec<AssertedRole>,
}

impl Identity {
    /// What pages call the person: the display name, else the user name.
    pub fn display(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.username)
    }
}
