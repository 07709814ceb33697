//! What the provider publishes as it is known at this moment: its metadata and its keys, fetched
//! together again and again, with the last good copy behind them.
//!
//! What cannot be fetched or used never takes the place of what could. Never here: what is done
//! with the keys. Entry points: [`ProviderTrust::current`], [`ProviderTrust::newer_than`].

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{discovery::Provider, http::Http, keys::Keys, settings::Settings};
use crate::{
    clock::Clock,
    identity::{RedirectRefused, saml::KeptDocuments},
};

/// The least time between two fetches that failed, or that a doubtful token asked for.
const PAUSE: Duration = Duration::from_mins(1);
/// OpenID Connect Discovery, 4.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// What holds, and since when it is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Published {
    pub(super) provider: Provider,
    pub(super) keys: Keys,
    pub(super) fetched_at: OffsetDateTime,
    /// By how many seconds the provider's clock was ahead of ours; none where it did not say.
    pub(super) clock_ahead: Option<i64>,
}

/// Both documents as they came, to be kept over restarts.
#[derive(Serialize, Deserialize)]
struct Documents {
    issuer: String,
    discovery: String,
    keys: String,
}

impl Documents {
    fn read(&self, settings: &Settings) -> Result<(Provider, Keys), String> {
        let provider = Provider::read(&self.discovery, settings)?;
        Ok((provider, Keys::parse(&self.keys)?))
    }
}

#[derive(Default)]
struct State {
    current: Option<Arc<Published>>,
    /// When the last fetch began.
    tried_at: Option<OffsetDateTime>,
    /// What is wrong since the last fetch.
    problem: Option<String>,
}

/// What the provider publishes.
pub(super) struct ProviderTrust {
    settings: Arc<Settings>,
    http: Http,
    kept: Option<Arc<dyn KeptDocuments>>,
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
    /// Held while fetching, so that one fetch serves everybody who waits.
    fetching: tokio::sync::Mutex<()>,
}

impl ProviderTrust {
    pub(super) fn new(
        settings: Arc<Settings>,
        http: Http,
        kept: Option<Arc<dyn KeptDocuments>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            settings,
            http,
            kept,
            clock,
            state: RwLock::default(),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// What holds now. Where nothing is known, it is fetched, at most once a minute.
    pub(super) async fn current(&self) -> Result<Arc<Published>, RedirectRefused> {
        if self.published().is_none() {
            if self.is_pause_over(None) {
                self.fetch_once().await;
            } else {
                // Somebody may be at it.
                drop(self.fetching.lock().await);
            }
        }
        self.published().ok_or_else(|| {
            let problem = self.problem();
            let problem = problem.unwrap_or_else(|| "it was not fetched yet".to_owned());
            RedirectRefused::Unavailable(problem.into())
        })
    }

    /// Fetches where it is time to, and tells the metrics how old the copy in use is.
    pub(super) async fn refresh(&self) {
        if self.is_due() {
            self.fetch_once().await;
        }
        self.measure();
    }

    /// What holds now if its keys differ from `used`, after fetching once more where the copy is
    /// not fresh: a signature did not fit, and the provider may have a new key.
    pub(super) async fn newer_than(&self, used: &Arc<Published>) -> Option<Arc<Published>> {
        if self.is_pause_over(Some(used.fetched_at)) {
            self.fetch_once().await;
            self.measure();
        }
        self.published().filter(|now| now.keys != used.keys)
    }

    pub(super) fn published(&self) -> Option<Arc<Published>> {
        self.read_state(|state| state.current.clone())
    }

    /// What went wrong at the last fetch.
    pub(super) fn problem(&self) -> Option<String> {
        self.read_state(|state| state.problem.clone())
    }

    fn read_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the refresh interval is over or, after a failure, the pause.
    fn is_due(&self) -> bool {
        let (fetched_at, tried_at, failed) = self.read_state(|state| {
            let fetched_at = state.current.as_ref().map(|current| current.fetched_at);
            (fetched_at, state.tried_at, state.problem.is_some())
        });
        let now = self.clock.now();
        match (fetched_at, tried_at) {
            (_, None) => true,
            (Some(fetched_at), Some(_)) if !failed => {
                is_over(fetched_at, self.settings.refresh, now)
            }
            (_, Some(tried_at)) => is_over(tried_at, PAUSE, now),
        }
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
        let outcome = match self.fetch(now).await {
            Ok((documents, published)) => {
                self.keep(&documents, now).await;
                self.settle(Some(published), None);
                "ok"
            }
            Err(problem) => {
                let last = match self.published() {
                    None => self.last_kept().await,
                    Some(_) => None,
                };
                self.settle(last, Some(problem));
                "failed"
            }
        };
        metrics::counter!(
            "rolegate_provider_metadata_fetches_total",
            "connector" => self.settings.id.to_string(), "outcome" => outcome
        )
        .increment(1);
    }

    /// Takes what was found into use and says once when what is wrong has changed.
    fn settle(&self, found: Option<Published>, problem: Option<String>) {
        let connector = self.settings.id.as_str();
        let was_wrong = self.change_state(|state| {
            if let Some(published) = found {
                state.current = Some(Arc::new(published));
            }
            std::mem::replace(&mut state.problem, problem.clone()).is_some()
        });
        match problem {
            Some(problem) if !was_wrong && self.published().is_some() => tracing::warn!(
                connector,
                problem,
                "what the provider publishes could not be refreshed; the last good copy serves"
            ),
            Some(problem) if !was_wrong => tracing::error!(
                connector,
                problem,
                "what the provider publishes is not known; nobody can sign in there"
            ),
            None if was_wrong => {
                tracing::info!(connector, "what the provider publishes was fetched again");
            }
            _ => {}
        }
    }

    async fn fetch(&self, now: OffsetDateTime) -> Result<(Documents, Published), String> {
        let settings = &self.settings;
        let address = format!("{}{WELL_KNOWN}", settings.issuer.trim_end_matches('/'));
        let (discovery, clock_ahead) = self.text_of(&address, now).await?;
        let provider = Provider::read(&discovery, settings)?;
        let (keys, _) = self
            .text_of(provider.metadata.jwks_uri().as_str(), now)
            .await?;
        let published = Published {
            keys: Keys::parse(&keys)?,
            provider,
            fetched_at: now,
            clock_ahead,
        };
        let documents = Documents {
            issuer: settings.issuer.clone(),
            discovery,
            keys,
        };
        Ok((documents, published))
    }

    /// A document, and by how many seconds its server's clock is ahead.
    async fn text_of(
        &self,
        address: &str,
        now: OffsetDateTime,
    ) -> Result<(String, Option<i64>), String> {
        let (text, date) = self.http.document(address).await?;
        Ok((text, date.map(|date| (date - now).whole_seconds())))
    }

    async fn keep(&self, documents: &Documents, now: OffsetDateTime) {
        let (Some(kept), Ok(text)) = (&self.kept, serde_json::to_string(documents)) else {
            return;
        };
        if let Err(error) = kept.keep(&self.settings.id, &text, now).await {
            let connector = self.settings.id.as_str();
            tracing::warn!(connector, %error, "what the provider publishes could not be kept");
        }
    }

    /// The kept copy, judged like one that was just fetched; none where it is of another issuer.
    async fn last_kept(&self) -> Option<Published> {
        let connector = self.settings.id.as_str();
        let (text, fetched_at) = match self.kept.as_ref()?.last(&self.settings.id).await {
            Ok(kept) => kept?,
            Err(error) => {
                tracing::warn!(connector, %error, "the kept copy could not be read");
                return None;
            }
        };
        let documents: Documents = serde_json::from_str(&text).ok()?;
        if documents.issuer != self.settings.issuer {
            return None;
        }
        match documents.read(&self.settings) {
            Ok((provider, keys)) => Some(Published {
                provider,
                keys,
                fetched_at,
                clock_ahead: None,
            }),
            Err(problem) => {
                tracing::warn!(connector, problem, "the kept copy cannot be used");
                None
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an age in seconds fits 52 bits")]
    fn measure(&self) {
        let connector = self.settings.id.to_string();
        let published = self.published();
        let is_fresh = published.is_some() && self.problem().is_none();
        metrics::gauge!("rolegate_provider_metadata_fresh", "connector" => connector.clone())
            .set(f64::from(u8::from(is_fresh)));
        if let Some(published) = published {
            let age = self.clock.now() - published.fetched_at;
            metrics::gauge!("rolegate_provider_metadata_age_seconds", "connector" => connector)
                .set(age.whole_seconds().max(0) as f64);
        }
    }
}

/// Whether `span` has passed since `since`; a clock that went back has passed everything.
pub(in crate::identity) fn is_over(
    since: OffsetDateTime,
    span: Duration,
    now: OffsetDateTime,
) -> bool {
    now < since || now - since >= span
}
