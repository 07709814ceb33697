//! The columns that mappings and rules share.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::{
    access::{Conditions, SessionDuration, in_utc},
    store::{
        StoreError,
        sql::column::{instant, milliseconds, unreadable},
    },
};

/// Conditions as columns.
#[derive(Debug, Clone, FromRow)]
pub(super) struct ConditionColumns {
    pub(super) expires_ms: Option<i64>,
    pub(super) max_duration_seconds: Option<i64>,
    pub(super) read_only: i64,
    pub(super) require_mfa: i64,
    pub(super) require_reason: i64,
    pub(super) require_approval_by: Option<String>,
}

impl ConditionColumns {
    pub(super) fn of(conditions: &Conditions) -> Self {
        let seconds = |duration: SessionDuration| i64::from(duration.seconds());
        Self {
            expires_ms: conditions.expires.map(milliseconds),
            max_duration_seconds: conditions.max_duration.map(seconds),
            read_only: conditions.read_only.into(),
            require_mfa: conditions.require_mfa.into(),
            require_reason: conditions.require_reason.into(),
            require_approval_by: conditions.require_approval_by.clone(),
        }
    }

    pub(super) fn conditions(self) -> Result<Conditions, StoreError> {
        Ok(Conditions {
            expires: self.expires_ms.map(instant).transpose()?,
            max_duration: self.max_duration_seconds.map(duration).transpose()?,
            read_only: self.read_only != 0,
            require_mfa: self.require_mfa != 0,
            require_reason: self.require_reason != 0,
            require_approval_by: self.require_approval_by,
        })
    }
}

fn duration(seconds: i64) -> Result<SessionDuration, StoreError> {
    let seconds = u64::try_from(seconds).map_err(|error| unreadable("a duration", error))?;
    SessionDuration::from_seconds(seconds).map_err(|error| unreadable("a duration", error))
}

/// The conditions as they will be read back: whole milliseconds, in UTC.
pub(super) fn as_stored(conditions: &Conditions) -> Result<Conditions, StoreError> {
    let whole = |at: OffsetDateTime| instant(milliseconds(in_utc(at)));
    Ok(Conditions {
        expires: conditions.expires.map(whole).transpose()?,
        ..conditions.clone()
    })
}
