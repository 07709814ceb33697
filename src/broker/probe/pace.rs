//! How fast AWS is asked, and until when.
//!
//! Entry point: [`Pace::slot`].

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// The longest pause between two calls.
const SLOWEST: Duration = Duration::from_secs(2);
/// What a first throttled call slows down to at least.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Hands out moments at which AWS may be asked; slower after AWS throttled, and back to its own
/// pace while AWS answers.
#[derive(Debug)]
pub(super) struct Pace {
    own: Duration,
    ends: Instant,
    now: Mutex<Beat>,
}

#[derive(Debug)]
struct Beat {
    interval: Duration,
    next: Instant,
    /// Until when further throttled calls are about a pace that was given up already.
    is_told_until: Instant,
}

impl Pace {
    pub(super) fn new(per_second: u32, longest: Duration) -> Self {
        let own = Duration::from_secs(1) / per_second.max(1);
        let now = Instant::now();
        Self {
            own,
            ends: now + longest,
            now: Mutex::new(Beat {
                interval: own,
                next: now,
                is_told_until: now,
            }),
        }
    }

    /// Waits for the next moment; false where none is left.
    pub(super) async fn slot(&self) -> bool {
        let at = {
            let mut beat = self.beat();
            let at = beat.next.max(Instant::now());
            if at >= self.ends {
                return false;
            }
            beat.next = at + beat.interval;
            at
        };
        sleep_until(at).await;
        true
    }

    /// Whether none is left.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    /// AWS throttled, or did not answer.
    pub(super) fn slow_down(&self) {
        let now = Instant::now();
        let mut beat = self.beat();
        if now >= beat.is_told_until {
            beat.interval = (beat.interval * 3 / 2).clamp(FIRST_PAUSE, SLOWEST.max(self.own));
            beat.is_told_until = now + beat.interval;
        }
    }

    /// AWS answered.
    pub(super) fn ease(&self) {
        let mut beat = self.beat();
        beat.interval = self.own + beat.interval.saturating_sub(self.own) / 2;
    }

    fn beat(&self) -> MutexGuard<'_, Beat> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_slows_down_where_aws_throttles_and_recovers() {
        let pace = Pace::new(100, Duration::from_secs(1));
        let interval = || pace.beat().interval;
        let own = Duration::from_millis(10);
        assert_eq!(interval(), own);
        // Several at once are one sign.
        (0..100).for_each(|_| pace.slow_down());
        assert_eq!(interval(), Duration::from_millis(15));
        for _ in 0..100 {
            pace.beat().is_told_until = Instant::now();
            pace.slow_down();
        }
        assert_eq!(interval(), SLOWEST);
        (0..100).for_each(|_| pace.ease());
        assert_eq!(interval(), own);
    }

    #[tokio::test]
    async fn nothing_begins_after_its_end() {
        let pace = Pace::new(1, Duration::ZERO);
        assert!(pace.is_over());
        assert!(!pace.slot().await);
    }
}
