//! The sample directory and the stand-in for AWS, at wire level: real listeners on the loopback
//! address that `rolegate demo` and the integration tests talk to as they would to slapd and AWS.
//!
//! Nothing here may be used by the production path, and nothing here uses it: the stand-ins judge
//! what Rolegate sends, so they must not share its code. Entry points: [`directory::Directory`],
//! [`aws::StandIn`], [`sample`] for the people, accounts and roles both of them know, [`staff`]
//! for those who look after the table in the demo, and [`ways`] for its further ways to AWS.

pub mod aws;
pub mod directory;
pub mod sample;
pub mod staff;
pub mod ways;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after another thread panicked: the state of a stand-in is never half-written.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
