//! How long directories take to check a password, so that names which nobody has take as long.
//!
//! A bind as nobody is answered without a password being hashed. Where hashing is slow on purpose
//! (PBKDF2, Argon2) that tells known names from unknown ones, whatever else is alike.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How many of the latest binds are remembered.
const REMEMBERED: usize = 31;
/// A lead smaller than this is chance, and finer than timers wait.
const LEAST_LEAD: Duration = Duration::from_millis(3);

/// The latest binds of people that exist.
#[derive(Debug, Default)]
pub(super) struct BindTimes(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    times: Vec<Duration>,
    write_at: usize,
}

impl BindTimes {
    /// Notes how long the bind of somebody took.
    pub(super) fn note(&self, took: Duration) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = ring.write_at;
        match ring.times.get_mut(at) {
            Some(place) => *place = took,
            None => ring.times.push(took),
        }
        ring.write_at = (at + 1) % REMEMBERED;
    }

    /// How much longer the bind of somebody takes than this bind of nobody took. Zero where the
    /// two are alike: waiting for what is only chance would tell the two apart again.
    pub(super) fn lead(&self, took: Duration) -> Duration {
        let mut times = {
            let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            ring.times.clone()
        };
        times.sort_unstable();
        let usual = times.get(times.len() / 2).copied().unwrap_or_default();
        let lead = usual.saturating_sub(took);
        if lead < LEAST_LEAD || lead < took {
            return Duration::ZERO;
        }
        lead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn nobody_waits_as_long_as_somebody_takes_lately() {
        let times = BindTimes::default();
        assert_eq!(times.lead(milliseconds(1)), Duration::ZERO);
        for count in 0..1_000 {
            times.note(milliseconds(count));
        }
        // The latest 31 are 969 to 999.
        assert_eq!(times.lead(milliseconds(4)), milliseconds(980));
    }

    #[test]
    fn nobody_does_not_wait_where_both_take_about_as_long() {
        let times = BindTimes::default();
        times.note(milliseconds(10));
        for alike in [8, 10, 6, 30] {
            assert_eq!(times.lead(milliseconds(alike)), Duration::ZERO);
        }
    }
}
