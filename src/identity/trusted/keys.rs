//! The keys that an issuer publishes as they are known at this moment.
//!
//! Fetched when a token needs them, again and again, with the last good copy behind them for a day.
//! Whoever sends tokens of keys that do not exist makes us ask once a minute at most. Never here:
//! what is verified with the keys. Entry points: [`PublishedKeys::current`],
//! [`PublishedKeys::newer_than`].

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use time::OffsetDateTime;
use url::Url;

use crate::{
    access::ConnectorId,
    clock::Clock,
    identity::{
        TokenRefusal,
        oidc::{http::Http, keys::Keys, trust::is_over},
    },
};

/// How old a copy may grow before the issuer is asked again.
const REFRESH: Duration = Duration::from_hours(1);
/// How old a copy may grow when the issuer does not answer: keys may have been withdrawn since.
const LONGEST_KEPT: Duration = Duration::from_hours(24);
/// The least time between two fetches.
const PAUSE: Duration = Duration::from_mins(1);

/// A key set, and since when it is known.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) keys: Keys,
    fetched_at: OffsetDateTime,
}

#[derive(Default)]
struct State {
    known: Option<Arc<Known>>,
    /// When the last fetch began.
    tried_at: Option<OffsetDateTime>,
    /// What is wrong since the last fetch.
    problem: Option<String>,
}

/// What an issuer publishes.
pub(super) struct PublishedKeys {
    issuer: ConnectorId,
    url: Url,
    http: Http,
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
    /// Held while fetching, so that one fetch serves everybody who waits.
    fetching: tokio::sync::Mutex<()>,
}

impl PublishedKeys {
    pub(super) fn new(issuer: ConnectorId, url: Url, http: Http, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuer,
            url,
            http,
            clock,
            state: RwLock::default(),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// What holds now, fetched where it is not known or no longer fresh.
    pub(super) async fn current(&self) -> Result<Arc<Known>, TokenRefusal> {
        let now = self.clock.now();
        let known = self.read_state(|state| state.known.clone());
        let is_fresh = |known: &Arc<Known>| !is_over(known.fetched_at, REFRESH, now);
        if let Some(known) = known.clone().filter(is_fresh) {
            return Ok(known);
        }
        if self.is_pause_over(None) {
            self.fetch_once().await;
        } else if known.is_none() {
            // Somebody may be at it.
            drop(self.fetching.lock().await);
        }
        let (known, problem) =
            self.read_state(|state| (state.known.clone(), state.problem.clone()));
        known
            .filter(|known| !is_over(known.fetched_at, LONGEST_KEPT, now))
            .ok_or_else(|| {
                let problem = problem.unwrap_or_else(|| "the keys were not fetched yet".to_owned());
                TokenRefusal::Unavailable(problem.into())
            })
    }

    /// What holds now if it differs from `used`, after fetching once more where the copy is not
    /// fresh: a signature did not fit, and the issuer may have a new key.
    pub(super) async fn newer_than(&self, used: &Known) -> Option<Arc<Known>> {
        if self.is_pause_over(Some(used.fetched_at)) {
            self.fetch_once().await;
        }
        let known = self.read_state(|state| state.known.clone());
        known.filter(|known| known.keys != used.keys)
    }

    fn read_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the pause is over since the last try, and since `fetched_at`.
    fn is_pause_over(&self, fetched_at: Option<OffsetDateTime>) -> bool {
        let now = self.clock.now();
        let tried_at = self.read_state(|state| state.tried_at);
        let mut since = [tried_at, fetched_at].into_iter().flatten();
        since.all(|since| is_over(since, PAUSE, now))
    }

    /// Fetches, unless somebody else did while this waited.
    async fn fetch_once(&self) {
        let tried_at = self.read_state(|state| state.tried_at);
        let _turn = self.fetching.lock().await;
        if self.read_state(|state| state.tried_at) != tried_at {
            return;
        }
        let now = self.clock.now();
        self.change_state(|state| state.tried_at = Some(now));
        let fetched = match self.http.document(self.url.as_str()).await {
            Ok((text, _)) => Keys::parse(&text).map_err(|error| format!("{}: {error}", self.url)),
            Err(problem) => Err(problem),
        };
        let outcome = if fetched.is_ok() { "ok" } else { "failed" };
        self.settle(fetched, now);
        metrics::counter!(
            "rolegate_provider_metadata_fetches_total",
            "connector" => self.issuer.to_string(), "outcome" => outcome
        )
        .increment(1);
    }

    /// Takes what was found into use and says once when what is wrong has changed.
    fn settle(&self, fetched: Result<Keys, String>, now: OffsetDateTime) {
        let issuer = self.issuer.as_str();
        let problem = fetched.as_ref().err().cloned();
        let was_wrong = self.change_state(|state| {
            if let Ok(keys) = fetched {
                let known = Known {
                    keys,
                    fetched_at: now,
                };
                state.known = Some(Arc::new(known));
            }
            std::mem::replace(&mut state.problem, problem.clone()).is_some()
        });
        match problem {
            Some(problem) if !was_wrong => {
                tracing::warn!(issuer, problem, "a trusted issuer's keys cannot be fetched");
            }
            None if was_wrong => {
                tracing::info!(issuer, "a trusted issuer's keys were fetched again");
            }
            _ => {}
        }
    }
}
