//! What a person at a terminal sees while a command works. Entry points: [`while_waiting`],
//! [`note`].

use std::{
    future::Future,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

/// Waits for `work`, and shows on a terminal what is being done and for how long.
pub(super) async fn while_waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let started = Instant::now();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // Quick work shows nothing: the first tick is immediate.
    ticks.tick().await;
    let mut work = std::pin::pin!(work);
    let mut was_shown = false;
    loop {
        tokio::select! {
            done = &mut work => {
                if was_shown {
                    show("\r\x1b[K");
                }
                return done;
            }
            _ = ticks.tick() => {
                was_shown = true;
                show(&format!("\r{what} … {} s", started.elapsed().as_secs()));
            }
        }
    }
}

/// Counts long work on a terminal, every so many steps.
pub(super) struct Counter {
    what: &'static str,
    is_shown: bool,
}

impl Counter {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            // Rows that scroll by on the same terminal are progress enough.
            is_shown: io::stderr().is_terminal() && !io::stdout().is_terminal(),
        }
    }

    pub(super) fn show(&self, done: i64, of: i64) {
        if self.is_shown {
            show(&format!("\r{} … {done} of {of}", self.what));
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if self.is_shown {
            show("\r\x1b[K");
        }
    }
}

/// Tells something beside the result.
pub(super) fn note(text: &str) {
    show(&format!("{text}\n"));
}

fn show(text: &str) {
    let mut terminal = io::stderr();
    // Where nobody listens there is nobody to tell.
    let _ = terminal.write_all(text.as_bytes());
    let _ = terminal.flush();
}
