//! Whose signatures count at this moment: the provider's metadata, read at start or fetched again
//! and again, with the last good copy behind it.
//!
//! A document that cannot be fetched or used never takes the place of one that could; only its own
//! `validUntil` ends it. Never here: what is done with the keys. Entry points:
//! [`ProviderTrust::current`], [`ProviderTrust::refresh`].

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use reqwest::redirect;
use time::OffsetDateTime;
use url::Url;

use super::{
    metadata_signature,
    provider_metadata::{LARGEST, MetadataError, ProviderMetadata},
    settings::{Settings, Source},
};
use crate::{
    access::ConnectorId,
    clock::Clock,
    identity::{Cause, RedirectRefused},
};

/// How long one fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The least time between two fetches that failed, or that a doubtful signature asked for.
const PAUSE: Duration = Duration::from_mins(1);

/// Where the last good document of a connector is kept, over restarts.
#[async_trait]
pub trait KeptDocuments: Send + Sync {
    /// Keeps a document in the place of an older one.
    async fn keep(
        &self,
        connector: &ConnectorId,
        document: &str,
        fetched_at: OffsetDateTime,
    ) -> Result<(), Cause>;

    /// The document that was kept, and when it was fetched.
    async fn last(
        &self,
        connector: &ConnectorId,
    ) -> Result<Option<(String, OffsetDateTime)>, Cause>;
}

/// What holds, and since when it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// What the provider says of itself.
    pub metadata: ProviderMetadata,
    /// When it said so.
    pub fetched_at: OffsetDateTime,
}

/// The provider's metadata as it is known at this moment.
pub(super) struct ProviderTrust {
    connector: ConnectorId,
    reader: Reader,
    source: Option<Fetched>,
    kept: Option<Arc<dyn KeptDocuments>>,
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
    /// Held while fetching, so that one fetch serves everybody who waits.
    fetching: tokio::sync::Mutex<()>,
}

/// An address with the means to ask it.
struct Fetched {
    url: Url,
    refresh: Duration,
    client: reqwest::Client,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Published>>,
    /// When the last fetch began.
    tried_at: Option<OffsetDateTime>,
    /// What is wrong since the last fetch.
    problem: Option<String>,
}

/// How a document is judged.
#[derive(Clone)]
struct Reader {
    certificates: Vec<Vec<u8>>,
    entity_id: Option<String>,
}

impl Reader {
    fn read(&self, text: &str) -> Result<ProviderMetadata, MetadataError> {
        if text.len() > LARGEST {
            return Err(MetadataError(format!("is larger than {LARGEST} bytes")));
        }
        if self.certificates.is_empty() {
            return ProviderMetadata::parse(text, self.entity_id.as_deref());
        }
        let signed = metadata_signature::verified(text, &self.certificates)?;
        ProviderMetadata::parse(&signed, self.entity_id.as_deref())
    }
}

/// Why a fetch brought nothing.
enum Unfetched {
    Unreachable(String),
    Unusable(String),
}

impl ProviderTrust {
    /// Reads a text at once; an address is asked later.
    pub(super) fn new(
        settings: &Settings,
        kept: Option<Arc<dyn KeptDocuments>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Cause> {
        let reader = Reader {
            certificates: settings.metadata_certificates.clone(),
            entity_id: settings.provider_entity_id.clone(),
        };
        let mut state = State::default();
        let source = match &settings.source {
            Source::Text(text) => {
                let published = Published {
                    metadata: reader.read(text)?,
                    fetched_at: clock.now(),
                };
                refuse_expired(&published.metadata, clock.now())?;
                state.current = Some(Arc::new(published));
                None
            }
            Source::Url { url, refresh } => Some(Fetched {
                url: url.clone(),
                refresh: *refresh,
                client: client()?,
            }),
        };
        Ok(Self {
            connector: settings.id.clone(),
            reader,
            source,
            kept,
            clock,
            state: RwLock::new(state),
            fetching: tokio::sync::Mutex::new(()),
        })
    }

    /// What holds now. Where nothing is known, or what is known has ended, it is fetched, at most
    /// once a minute.
    pub(super) async fn current(&self) -> Result<Arc<Published>, RedirectRefused> {
        if self.valid().is_none() {
            if self.is_pause_over(None) {
                self.fetch_once().await;
            } else {
                // Somebody may be at it.
                drop(self.fetching.lock().await);
            }
        }
        self.valid().ok_or_else(|| {
            let problem = match (
                self.published(),
                self.read_state(|state| state.problem.clone()),
            ) {
                (_, Some(problem)) => problem,
                (Some(published), None) => expired(&published.metadata),
                (None, None) => "it was not fetched yet".to_owned(),
            };
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

    /// What holds now if it differs from `used`, after fetching once more where the copy is not
    /// fresh: a signature did not fit, and the provider may have a new key.
    pub(super) async fn newer_than(&self, used: &Arc<Published>) -> Option<Arc<Published>> {
        self.source.as_ref()?;
        if self.is_pause_over(Some(used.fetched_at)) {
            self.fetch_once().await;
            self.measure();
        }
        self.valid()
            .filter(|now| now.metadata.certificates != used.metadata.certificates)
    }

    /// The copy in use, even one that has ended.
    pub(super) fn published(&self) -> Option<Arc<Published>> {
        self.read_state(|state| state.current.clone())
    }

    /// What went wrong at the last fetch.
    pub(super) fn problem(&self) -> Option<String> {
        self.read_state(|state| state.problem.clone())
    }

    fn valid(&self) -> Option<Arc<Published>> {
        let now = self.clock.now();
        self.published()
            .filter(|published| published.metadata.valid_until.is_none_or(|end| now < end))
    }

    fn read_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the refresh interval is over or, after a failure, the pause.
    fn is_due(&self) -> bool {
        let Some(source) = &self.source else {
            return false;
        };
        let (fetched_at, tried_at, failed) = self.read_state(|state| {
            let fetched_at = state.current.as_ref().map(|current| current.fetched_at);
            (fetched_at, state.tried_at, state.problem.is_some())
        });
        match (fetched_at, tried_at) {
            (_, None) => true,
            (Some(fetched_at), Some(_)) if !failed => {
                is_over(fetched_at, source.refresh, self.clock.now()) || self.valid().is_none()
            }
            (_, Some(tried_at)) => is_over(tried_at, PAUSE, self.clock.now()),
        }
    }

    /// Whether the pause is over since the last try, and since `fetched_at`.
    fn is_pause_over(&self, fetched_at: Option<OffsetDateTime>) -> bool {
        let now = self.clock.now();
        let tried_at = self.read_state(|state| state.tried_at);
        [tried_at, fetched_at]
            .into_iter()
            .flatten()
            .all(|since| is_over(since, PAUSE, now))
    }

    /// Fetches, unless somebody else did while this waited.
    async fn fetch_once(&self) {
        let Some(source) = &self.source else {
            return;
        };
        let tried_at = self.read_state(|state| state.tried_at);
        let _turn = self.fetching.lock().await;
        if self.read_state(|state| state.tried_at) != tried_at {
            return;
        }
        let now = self.clock.now();
        self.change_state(|state| state.tried_at = Some(now));
        let outcome = match self.fetch(source).await {
            Ok((text, metadata)) => {
                self.keep(source, &text, now).await;
                self.settle(Some((metadata, now)), None);
                "ok"
            }
            Err(unfetched) => {
                let (outcome, problem) = match unfetched {
                    Unfetched::Unreachable(problem) => ("unreachable", problem),
                    Unfetched::Unusable(problem) => ("unusable", problem),
                };
                let kept = match self.published() {
                    None => self.last_kept(source).await,
                    Some(_) => None,
                };
                self.settle(kept, Some(problem));
                outcome
            }
        };
        metrics::counter!(
            "rolegate_provider_metadata_fetches_total",
            "connector" => self.connector.to_string(), "outcome" => outcome
        )
        .increment(1);
    }

    /// Takes what was found into use and says once when what is wrong has changed.
    fn settle(&self, found: Option<(ProviderMetadata, OffsetDateTime)>, problem: Option<String>) {
        let connector = self.connector.as_str();
        let was_wrong = self.change_state(|state| {
            if let Some((metadata, fetched_at)) = found {
                state.current = Some(Arc::new(Published {
                    metadata,
                    fetched_at,
                }));
            }
            std::mem::replace(&mut state.problem, problem.clone()).is_some()
        });
        match problem {
            Some(problem) if !was_wrong && self.published().is_some() => tracing::warn!(
                connector,
                problem,
                "the provider's metadata could not be refreshed; the last good copy serves"
            ),
            Some(problem) if !was_wrong => tracing::error!(
                connector,
                problem,
                "the provider's metadata is not known; nobody can sign in there"
            ),
            None if was_wrong => {
                tracing::info!(connector, "the provider's metadata was fetched again");
            }
            _ => {}
        }
    }

    async fn fetch(&self, source: &Fetched) -> Result<(String, ProviderMetadata), Unfetched> {
        let text = text_of(source).await?;
        let metadata = self
            .judged(text.clone())
            .await
            .map_err(Unfetched::Unusable)?;
        Ok((text, metadata))
    }

    /// Reads a document off the async threads; one that has ended is refused.
    async fn judged(&self, text: String) -> Result<ProviderMetadata, String> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || reader.read(&text)).await;
        let metadata = read
            .map_err(|_| "its reader failed".to_owned())?
            .map_err(|error| error.to_string())?;
        refuse_expired(&metadata, self.clock.now())?;
        Ok(metadata)
    }

    async fn keep(&self, source: &Fetched, text: &str, now: OffsetDateTime) {
        let Some(kept) = &self.kept else {
            return;
        };
        // The address goes along: a copy from elsewhere is no copy once the address is another.
        let document = format!("{}\n{text}", source.url);
        if let Err(error) = kept.keep(&self.connector, &document, now).await {
            let connector = self.connector.as_str();
            tracing::warn!(connector, %error, "the provider's metadata could not be kept");
        }
    }

    /// The kept copy, judged like one that was just fetched.
    async fn last_kept(&self, source: &Fetched) -> Option<(ProviderMetadata, OffsetDateTime)> {
        let connector = self.connector.as_str();
        let (document, fetched_at) = match self.kept.as_ref()?.last(&self.connector).await {
            Ok(kept) => kept?,
            Err(error) => {
                tracing::warn!(connector, %error, "the kept metadata could not be read");
                return None;
            }
        };
        let text = document.strip_prefix(&format!("{}\n", source.url))?;
        match self.judged(text.to_owned()).await {
            Ok(metadata) => Some((metadata, fetched_at)),
            Err(problem) => {
                tracing::warn!(connector, problem, "the kept metadata cannot be used");
                None
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an age in seconds fits 52 bits")]
    fn measure(&self) {
        let now = self.clock.now();
        let connector = self.connector.to_string();
        let is_fresh = self.valid().is_some() && self.problem().is_none();
        metrics::gauge!("rolegate_provider_metadata_fresh", "connector" => connector.clone())
            .set(f64::from(u8::from(is_fresh)));
        if let Some(published) = self.published().filter(|_| self.source.is_some()) {
            let age = (now - published.fetched_at).whole_seconds().max(0);
            metrics::gauge!("rolegate_provider_metadata_age_seconds", "connector" => connector)
                .set(age as f64);
        }
    }
}

/// Whether `span` has passed since `since`; a clock that went back has passed everything.
fn is_over(since: OffsetDateTime, span: Duration, now: OffsetDateTime) -> bool {
    now < since || now - since >= span
}

fn refuse_expired(metadata: &ProviderMetadata, now: OffsetDateTime) -> Result<(), String> {
    if metadata.valid_until.is_none_or(|end| now < end) {
        return Ok(());
    }
    Err(expired(metadata))
}

fn expired(metadata: &ProviderMetadata) -> String {
    let end = metadata.valid_until.map(|end| end.to_string());
    format!(
        "the provider's metadata is not valid any more: its validUntil was {}",
        end.unwrap_or_default()
    )
}

/// Follows redirects within the host alone, and never to something less safe.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    let policy = redirect::Policy::custom(|attempt| {
        let is_same = attempt.previous().first().is_some_and(|first| {
            let next = attempt.url();
            next.scheme() == first.scheme()
                && next.host() == first.host()
                && next.port_or_known_default() == first.port_or_known_default()
        });
        if is_same && attempt.previous().len() <= 3 {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    reqwest::Client::builder()
        .timeout(FETCH_TIMEOUT)
        .user_agent(concat!("rolegate/", env!("CARGO_PKG_VERSION")))
        .redirect(policy)
        .build()
}

async fn text_of(source: &Fetched) -> Result<String, Unfetched> {
    let url = &source.url;
    let unreachable = |error: reqwest::Error| {
        let cause = chain(&error.without_url());
        Unfetched::Unreachable(format!("{url} does not answer: {cause}"))
    };
    let mut response = source
        .client
        .get(url.clone())
        .send()
        .await
        .map_err(unreachable)?;
    if !response.status().is_success() {
        let problem = format!("{url} answers {}; expected metadata", response.status());
        return Err(Unfetched::Unreachable(problem));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > LARGEST {
            let problem = format!("{url} answers with more than {LARGEST} bytes");
            return Err(Unfetched::Unusable(problem));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes)
        .map_err(|_| Unfetched::Unusable(format!("what {url} answers is not UTF-8")))
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
