//! Mappings: a group gives a role, under conditions.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, UtcOffset, macros::datetime};

use super::{GroupKey, SessionDuration, TargetArn};

/// The first and the last moment that RFC 3339 can write in UTC.
const FIRST: OffsetDateTime = datetime!(0000-01-01 00:00 UTC);
const LAST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999 UTC);

/// A moment in UTC. Those that no calendar has there, such as the last minute of the year 9999 west
/// of Greenwich, become the last or the first that it has: anybody may write them into a form.
pub fn in_utc(at: OffsetDateTime) -> OffsetDateTime {
    match at.checked_to_offset(UtcOffset::UTC) {
        Some(at) => at.clamp(FIRST, LAST),
        None if at.year() > 0 => LAST,
        None => FIRST,
    }
}

/// The id of a mapping or rule: a UUIDv7 in the store, `file:LINE` in a mapping file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MappingId(pub String);

impl MappingId {
    /// Whether the store keeps it as it is: a UUID in its usual form, in lower case. Anything else
    /// is an id that somebody made up, or a line of a file, and the store gives the row another.
    pub fn is_stored_form(&self) -> bool {
        let bytes = self.0.as_bytes();
        let is_right = |(place, byte): (usize, &u8)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        };
        bytes.len() == 36 && bytes.iter().enumerate().all(is_right)
    }
}

impl fmt::Display for MappingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a row comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The store, edited on the pages and the command line.
    Store,
    /// The mapping file, at this line.
    File {
        /// The line of the row's header.
        line: usize,
    },
}

/// What a mapping asks for before it gives its role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// From this moment on it gives nothing; role sessions end no later.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires: Option<OffsetDateTime>,
    /// The longest role session it gives.
    pub max_duration: Option<SessionDuration>,
    /// Gives the role under AWS's ReadOnlyAccess as session policy, never more.
    pub read_only: bool,
    /// Asks for a second factor. Cannot be enforced by this version, so it gives nothing.
    pub require_mfa: bool,
    /// Asks the person for a reason, which goes to the audit log.
    pub require_reason: bool,
    /// Asks a member of this group to approve. Cannot be enforced by this version: gives nothing.
    pub require_approval_by: Option<String>,
}

/// A condition that this version knows and cannot enforce; its mapping gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unenforceable {
    /// `require_mfa`
    RequireMfa,
    /// `require_approval_by`
    RequireApprovalBy,
}

impl Unenforceable {
    /// The key in configuration and tables.
    pub fn key(self) -> &'static str {
        match self {
            Self::RequireMfa => "require_mfa",
            Self::RequireApprovalBy => "require_approval_by",
        }
    }
}

impl Conditions {
    /// The first condition that this version cannot enforce.
    pub fn unenforceable(&self) -> Option<Unenforceable> {
        if self.require_mfa {
            Some(Unenforceable::RequireMfa)
        } else if self.require_approval_by.is_some() {
            Some(Unenforceable::RequireApprovalBy)
        } else {
            None
        }
    }

    /// The keys of what it asks for, in the order of the fields.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        [
            ("expires", self.expires.is_some()),
            ("max_duration", self.max_duration.is_some()),
            ("read_only", self.read_only),
            ("require_mfa", self.require_mfa),
            ("require_reason", self.require_reason),
            ("require_approval_by", self.require_approval_by.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_set)| is_set.then_some(key))
    }

    /// Whether nothing is given any more at `now`.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// How many things are asked of the person; fewer is preferred.
    pub(super) fn obligations(&self) -> usize {
        usize::from(self.require_reason) + usize::from(self.read_only)
    }
}

/// One row of the table: members of `group` may open `role`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The row's id.
    pub id: MappingId,
    /// Who: members of this group.
    pub group: GroupKey,
    /// What they may open.
    pub role: TargetArn,
    /// What is asked for first.
    pub conditions: Conditions,
    /// The ticket or note that explains the row.
    pub ticket: Option<String>,
    /// Where the row comes from.
    pub origin: Origin,
}
