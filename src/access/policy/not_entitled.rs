//! Why a person may not open a role.

use thiserror::Error;
use time::OffsetDateTime;

use crate::access::{Clipped, ConnectorId, GrantMethod, MappingId, Unenforceable};

/// Why a person may not open a role as asked.
///
/// `UnknownRole` and `NoMapping` are told apart here and in the audit, never to the person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotEntitled {
    /// The table has no such role, or it is disabled.
    #[error("the role is not in the table")]
    UnknownRole,
    /// None of the person's groups gives it.
    #[error("none of the person's groups gives the role")]
    NoMapping,
    /// A mapping names the person's group, but was about another one of that name, which is gone.
    #[error("mapping {0} is about an earlier group of the same name")]
    GroupRecreated(MappingId),
    /// A mapping gave it until it expired.
    #[error("mapping {mapping} expired at {at}")]
    Expired {
        /// The mapping.
        mapping: MappingId,
        /// When.
        at: OffsetDateTime,
    },
    /// A mapping gives it for less than the 15 minutes that AWS needs.
    #[error("mapping {mapping} ends at {at}, in less than 15 minutes")]
    EndsTooSoon {
        /// The mapping.
        mapping: MappingId,
        /// When.
        at: OffsetDateTime,
    },
    /// A mapping gives it under a condition that this version cannot enforce.
    #[error("mapping {mapping} asks for {}, which this version cannot enforce", condition.key())]
    Unenforceable {
        /// The mapping.
        mapping: MappingId,
        /// The condition.
        condition: Unenforceable,
    },
    /// Rolegate's own issuer vouches for the role's people, and has no key for its grant method.
    #[error("the issuer has no key for {0}")]
    NoIssuer(GrantMethod),
    /// AWS wants a token of the person's own provider, and the connector's are none that it takes.
    #[error("the role needs a sign-in whose token AWS takes, and connector {0} brings none")]
    OidcSignInRequired(ConnectorId),
    /// The role's sessions open no console (GetSessionToken).
    #[error("the role gives credentials, and opens no console")]
    CredentialsOnly,
    /// A template of the role's needs something of the person that is missing or does not fit.
    #[error("{key} needs {placeholder}, {problem}")]
    Template {
        /// The setting's key: `session_policy` or `session_tags`.
        key: &'static str,
        /// What stands between the braces.
        placeholder: String,
        /// What is wrong with it, such as `and the person has none`.
        problem: String,
    },
    /// The role's row has a setting that the way it is opened cannot carry.
    #[error("the role's {key} cannot hold for the way it is opened")]
    Contradiction {
        /// The setting's key.
        key: &'static str,
    },
    /// The role is opened with an assertion, and the person did not sign in with one.
    #[error("the role needs a sign-in through a SAML provider, and {0} is none")]
    SamlSignInRequired(ConnectorId),
    /// The role is opened with an assertion, and the person's does not name it.
    #[error("the identity provider's assertion does not name the role")]
    NotAsserted,
    /// The role opens in the console only, by the identity provider itself.
    #[error("the role opens in the console only")]
    ConsoleOnly,
    /// The role opens by the identity provider's own AWS application, and the connector has none.
    #[error("connector {0} has no AWS application to hand over to")]
    NoHandOver(ConnectorId),
    /// A mapping asks for something, and nothing can be asked of a role that the identity provider
    /// opens itself.
    #[error(
        "mapping {mapping} asks for {key}, which cannot hold where the provider opens the role"
    )]
    HandOverUnlimited {
        /// The mapping.
        mapping: MappingId,
        /// The condition's key.
        key: &'static str,
    },
    /// The person asked for a session that only we could have made: shorter, or read-only.
    #[error("{key} cannot be had where the identity provider opens the role")]
    HandOverAsIs {
        /// What was asked for: `duration` or `read_only`.
        key: &'static str,
    },
    /// A reason must be given.
    #[error("mapping {0} asks for a reason")]
    ReasonRequired(MappingId),
    /// Longer than allowed.
    #[error("at most {} is allowed", .0.longest)]
    TooLong(Clipped),
    /// Read-only was asked for, by person or mapping, and the role narrows sessions by policies
    /// of its own: session policies are united by AWS, so both together would widen access. Or its
    /// sessions cannot be narrowed at all (GetSessionToken).
    #[error("read-only cannot be joined with the role's own session policies or grant method")]
    ReadOnlyUnavailable,
}

impl NotEntitled {
    /// A stable code for audit rows and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownRole => "unknown_role",
            Self::NoMapping => "no_mapping",
            Self::GroupRecreated(_) => "group_recreated",
            Self::Expired { .. } => "mapping_expired",
            Self::EndsTooSoon { .. } => "mapping_ends_too_soon",
            Self::Unenforceable { .. } => "condition_unenforceable",
            Self::NoIssuer(_) => "no_issuer",
            Self::OidcSignInRequired(_) => "oidc_needed",
            Self::CredentialsOnly => "credentials_only",
            Self::Template { .. } => "template_unfilled",
            Self::Contradiction { .. } => "role_contradicts_itself",
            Self::SamlSignInRequired(_) => "saml_needed",
            Self::NotAsserted => "role_not_asserted",
            Self::ConsoleOnly => "console_only",
            Self::NoHandOver(_) => "no_hand_over",
            Self::HandOverUnlimited { .. } => "hand_over_unlimited",
            Self::HandOverAsIs { .. } => "hand_over_as_is",
            Self::ReasonRequired(_) => "reason_required",
            Self::TooLong(_) => "duration_too_long",
            Self::ReadOnlyUnavailable => "read_only_unavailable",
        }
    }

    /// How near this miss is; the nearest is the one worth telling.
    pub(super) fn nearness(&self) -> u8 {
        match self {
            Self::UnknownRole => 0,
            Self::NoMapping => 1,
            Self::GroupRecreated(_) => 2,
            Self::NoIssuer(_)
            | Self::OidcSignInRequired(_)
            | Self::CredentialsOnly
            | Self::Template { .. }
            | Self::Contradiction { .. }
            | Self::SamlSignInRequired(_)
            | Self::NotAsserted
            | Self::ConsoleOnly
            | Self::NoHandOver(_) => 3,
            Self::Unenforceable { .. } | Self::HandOverUnlimited { .. } => 4,
            Self::Expired { .. } => 5,
            Self::EndsTooSoon { .. } => 6,
            Self::ReadOnlyUnavailable | Self::HandOverAsIs { .. } => 7,
            Self::TooLong(_) => 8,
            Self::ReasonRequired(_) => 9,
        }
    }
}
