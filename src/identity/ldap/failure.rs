//! What can go wrong between us and a directory.

use std::fmt;

use thiserror::Error;

use super::connection::{ADMIN_LIMIT_EXCEEDED, SIZE_LIMIT_EXCEEDED, TIME_LIMIT_EXCEEDED};
use crate::identity::{Cause, LookUpError, RefreshError, SignInError};

/// Why an operation gave no usable answer.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// The server did not answer in time, or broke the connection. Another one may do better.
    #[error("no answer from {url}")]
    Unreachable {
        url: String,
        #[source]
        cause: Cause,
    },
    /// All the time there is for a sign-in has passed.
    #[error("the time for a sign-in has passed")]
    TimeIsUp,
    /// The server does not accept the service account.
    #[error("{url} refused the service account")]
    ServiceAccount {
        url: String,
        #[source]
        answer: Answer,
    },
    /// The server refused an operation, or broke off a search: what it sent is not all.
    #[error("the operation was refused")]
    Refused(#[source] Answer),
    /// More entries or values than the configuration allows.
    #[error("there are more than {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    /// A group's DN that cannot be read, or that changes while being read.
    #[error("the directory's answer cannot be used: {0}")]
    Unreadable(String),
}

/// A result code and the server's words for it (RFC 4511 section 4.1.9).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) struct Answer {
    pub(super) code: u32,
    pub(super) text: String,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.code {
            0 => "success",
            1 => "operationsError",
            3 => "timeLimitExceeded",
            4 => "sizeLimitExceeded",
            8 => "strongerAuthRequired",
            10 => "referral",
            11 => "adminLimitExceeded",
            13 => "confidentialityRequired",
            32 => "noSuchObject",
            34 => "invalidDNSyntax",
            49 => "invalidCredentials",
            50 => "insufficientAccessRights",
            53 => "unwillingToPerform",
            _ => "see RFC 4511 section 4.1.9",
        };
        write!(f, "the server answered {} ({name})", self.code)?;
        if self.text.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.text)
        }
    }
}

impl Failure {
    /// Whether another server may do better.
    pub(super) fn is_of_one_server(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::ServiceAccount { .. })
    }

    /// The word for it in metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimeIsUp => "timeout",
            Self::ServiceAccount { .. } => "service_account",
            Self::Refused(_) => "refused",
            Self::TooMany { .. } => "too_many",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl From<Failure> for SignInError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable { .. } | Failure::TimeIsUp => Self::Unavailable(failure.into()),
            other => Self::Misconfigured(other.into()),
        }
    }
}

impl From<Failure> for RefreshError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure.into())
    }
}

impl From<Failure> for LookUpError {
    /// An answer that a limit cut short is none.
    fn from(failure: Failure) -> Self {
        let is_cut = match &failure {
            Failure::Unreachable { .. } | Failure::TimeIsUp | Failure::TooMany { .. } => true,
            Failure::Refused(answer) => matches!(
                answer.code,
                TIME_LIMIT_EXCEEDED | SIZE_LIMIT_EXCEEDED | ADMIN_LIMIT_EXCEEDED
            ),
            Failure::ServiceAccount { .. } | Failure::Unreadable(_) => false,
        };
        if is_cut {
            Self::Unavailable(failure.into())
        } else {
            Self::Misconfigured(failure.into())
        }
    }
}
