//! How values stand in columns: UTC milliseconds, 0 and 1, JSON.

use serde::{Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

use crate::store::StoreError;

/// UTC milliseconds; what is finer is dropped.
pub(super) fn milliseconds(at: OffsetDateTime) -> i64 {
    let milliseconds = at.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

/// The moment that [`milliseconds`] wrote.
pub(super) fn instant(milliseconds: i64) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .map_err(|error| unreadable("a time", error))
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| unwritable(&error))
}

/// The value that [`json`] wrote.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| unreadable("JSON", error))
}

/// A value as JSON for an audit row.
pub(super) fn json_value(value: &impl Serialize) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(value).map_err(|error| unwritable(&error))
}

/// A value that has no JSON, such as a date behind the year 9999.
fn unwritable(error: &serde_json::Error) -> StoreError {
    StoreError::Conflict(format!("the row cannot be written: {error}"))
}

/// A column whose content this program never wrote.
pub(super) fn unreadable(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::unavailable(format!("a column does not hold {what}: {error}"))
}
