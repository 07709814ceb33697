//! [`Sts`] on the AWS SDK: `AssumeRole`, `AssumeRoleWithSAML` and `GetCallerIdentity`.
//!
//! Never here: deciding who may; keeping people's credentials. Entry points: [`SdkSts::new`],
//! [`Settings`].

mod refusal;
mod saml;
mod sources;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sts::{
    Client,
    config::{
        AppName, BehaviorVersion, FrameworkMetadata, Region, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    operation::RequestId,
    types::{AssumedRoleUser, Credentials, PolicyDescriptorType, Tag},
};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::time::Instant;
use url::Url;

pub(super) use self::refusal::TooLong;
use self::refusal::{Signer, refusal};
pub use self::sources::{SourceKind, SourceSettings};
use super::{
    Caller, Issued, Proof, SessionCredentials, Sts, StsError,
    partition::{implicit_region, partition_of_region},
};
use crate::access::{
    ConsoleWay, Grant, GrantMethod, Partition, SessionDuration, TargetArn, TargetKind,
};

/// The first pause before a repeated call; the SDK doubles it with jitter.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// How long a connection may take, where the whole call may take longer.
const LONGEST_CONNECT: Duration = Duration::from_secs(3);
/// How old a client with refused credentials must be before it is made again, so that new
/// profiles are noticed and a stubborn refusal does not cost a client per click.
const LEAST_CLIENT_AGE: Duration = Duration::from_secs(5);

/// How STS is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The region to ask in where a role names none and it is in the role's partition.
    pub default_region: String,
    /// Instead of the regional endpoint of the SDK.
    pub endpoint: Option<Url>,
    /// The deadline of one call with all its repetitions.
    pub call_timeout: Duration,
    /// How often a call is tried at most, 1 or more; only throttling, 5xx and broken connections
    /// are tried again.
    pub attempts: u32,
    /// The credential sources.
    pub sources: Vec<SourceSettings>,
}

/// What is wrong with the settings.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum SettingsError {
    /// Two sources have one id.
    #[error("the credential source `{0}` is there twice: ids are unique")]
    Twice(String),
    /// A chained source names another that is not there.
    #[error("the credential source `{id}` builds on `{source_id}`, which is not configured")]
    UnknownSource {
        /// The chained source.
        id: String,
        /// What it names.
        source_id: String,
    },
    /// Chained sources build on each other in a circle.
    #[error("the credential source `{0}` builds on itself: a chain must end at another type")]
    Circle(String),
    /// Not a region.
    #[error("`{0}` is not an AWS region, such as eu-west-1")]
    Region(String),
}

/// The Security Token Service, spoken to by the AWS SDK.
///
/// One client for each credential source and region, made when first needed, and one for each
/// region that signs nothing.
pub struct SdkSts {
    settings: Settings,
    base: SdkConfig,
    clients: Mutex<HashMap<(String, String), (Client, Instant)>>,
    unsigned: Mutex<HashMap<String, Client>>,
    chained: Mutex<HashMap<String, bool>>,
}

impl std::fmt::Debug for SdkSts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SdkSts")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl SdkSts {
    /// Checks the settings and reads the SDK's own environment and shared files; no network I/O.
    pub async fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let base = settings.sdk_config().await;
        let chained = (settings.sources.iter())
            .filter(|source| matches!(source.kind, SourceKind::AssumeRole { .. }))
            .map(|source| (source.id.clone(), true))
            .collect();
        Ok(Self {
            settings,
            base,
            clients: Mutex::default(),
            unsigned: Mutex::default(),
            chained: Mutex::new(chained),
        })
    }

    async fn client(&self, source: &str, region: &str) -> Result<Client, StsError> {
        let key = (source.to_owned(), region.to_owned());
        if let Some((client, _)) = locked(&self.clients).get(&key) {
            return Ok(client.clone());
        }
        let unknown = || StsError::UnknownSource(source.to_owned());
        let chain = self.settings.chain(source).ok_or_else(unknown)?;
        let provider = sources::provider(&chain, &self.base, region)
            .await
            .ok_or_else(unknown)?;
        let kind = chain.last().map(|source| &source.kind);
        let cache = kind.ok_or_else(unknown)?.identity_cache(&self.settings);
        let configuration = aws_sdk_sts::config::Builder::from(&self.base)
            .region(Region::new(region.to_owned()))
            .credentials_provider(provider)
            .identity_cache(cache)
            .build();
        let client = Client::from_conf(configuration);
        // Two first callers may make two clients; the later one stays.
        locked(&self.clients).insert(key, (client.clone(), Instant::now()));
        Ok(client)
    }

    /// Lets the next call make its client anew when the broker's credentials were refused: the SDK
    /// keeps what profiles said until then.
    fn forget_refused(&self, source: &str, error: &StsError) {
        if matches!(error, StsError::BrokerCredentials { .. }) {
            locked(&self.clients)
                .retain(|(id, _), (_, made)| id != source || made.elapsed() < LEAST_CLIENT_AGE);
        }
    }

    fn region(&self, grant: &Grant) -> Result<String, StsError> {
        let partition = grant.target().partition();
        match grant.region() {
            Some(region) if partition_of_region(region) == Some(partition) => Ok(region.to_owned()),
            Some(region) => Err(invalid(
                "region",
                format!("region {region} is not in partition {partition}"),
            )),
            None => Ok(self.region_in(partition)),
        }
    }

    fn region_in(&self, partition: Partition) -> String {
        let default_region = &self.settings.default_region;
        if partition_of_region(default_region) == Some(partition) {
            default_region.clone()
        } else {
            implicit_region(partition).to_owned()
        }
    }

    fn is_chained(&self, source: &str) -> bool {
        locked(&self.chained).get(source).copied() == Some(true)
    }

    async fn assume_role(
        &self,
        grant: &Grant,
        region: &str,
        duration: SessionDuration,
    ) -> Result<Issued, StsError> {
        let source = grant.credential_source();
        let client = self.client(source, region).await?;
        let output = client
            .assume_role()
            .role_arn(grant.target().as_str())
            .role_session_name(grant.session_name().as_str())
            .duration_seconds(duration.seconds().cast_signed())
            .set_external_id(grant.external_id().map(str::to_owned))
            .set_source_identity(grant.source_identity().map(|name| name.as_str().to_owned()))
            .set_policy(grant.session_policy().map(str::to_owned))
            .set_policy_arns(policy_arns(grant))
            .set_tags(tags(grant))
            .send()
            .await
            .map_err(|error| refusal(&error, region, Signer::Broker))
            .inspect_err(|error| self.forget_refused(source, error))?;
        let answer = Answer {
            request_id: output.request_id().map(str::to_owned),
            credentials: output.credentials,
            user: output.assumed_role_user,
        };
        answer.issued(region, duration, self.is_chained(source))
    }

    async fn issue_own(&self, grant: &Grant, region: &str) -> Result<Issued, StsError> {
        let source = grant.credential_source();
        let asked = grant.duration();
        let may_shorten = may_shorten(grant);
        if may_shorten && self.is_chained(source) {
            return self.assume_role(grant, region, SessionDuration::HOUR).await;
        }
        let error = match self.assume_role(grant, region, asked).await {
            Ok(issued) => return Ok(issued),
            Err(error) => error,
        };
        let limit = TooLong::of(&error);
        if limit == Some(TooLong::ForChaining) {
            locked(&self.chained).insert(source.to_owned(), true);
        }
        if limit.is_some() && may_shorten {
            self.assume_role(grant, region, SessionDuration::HOUR).await
        } else {
            Err(error)
        }
    }
}

/// Whether an hour in place of the grant's length is no surprise.
fn may_shorten(grant: &Grant) -> bool {
    !grant.duration_is_explicit() && grant.duration() > SessionDuration::HOUR
}

fn invalid(code: &str, message: String) -> StsError {
    StsError::Invalid {
        code: code.to_owned(),
        message,
        request_id: None,
    }
}

#[async_trait]
impl Sts for SdkSts {
    async fn issue(&self, grant: &Grant, proof: &Proof) -> Result<Issued, StsError> {
        if grant.target().kind() != TargetKind::Role {
            return Err(ungrantable(grant));
        }
        if grant.console() != ConsoleWay::Federation {
            let message = format!("{} is opened by the identity provider", grant.target());
            return Err(invalid("console", message));
        }
        match (grant.method(), proof) {
            (GrantMethod::AssumeRole, Proof::Own) => {
                let region = self.region(grant)?;
                self.issue_own(grant, &region).await
            }
            (GrantMethod::AssumeRoleWithSaml, Proof::SamlResponse(response)) => {
                let region = self.region(grant)?;
                self.issue_by_saml(grant, &region, response).await
            }
            (GrantMethod::AssumeRole, _) => Err(invalid(
                "proof",
                "an assertion was brought for a role that is assumed without one".to_owned(),
            )),
            (GrantMethod::AssumeRoleWithSaml, _) => Err(invalid(
                "proof",
                "the role is assumed with an assertion, and none was brought".to_owned(),
            )),
            _ => Err(ungrantable(grant)),
        }
    }

    fn ceiling(&self, credential_source: &str) -> Option<SessionDuration> {
        self.is_chained(credential_source)
            .then_some(SessionDuration::HOUR)
    }

    async fn caller(&self, credential_source: &str) -> Result<Caller, StsError> {
        let partition = self.settings.partition(credential_source);
        let region = match partition {
            Some(partition) => self.region_in(partition),
            None => self.settings.default_region.clone(),
        };
        let output = self
            .client(credential_source, &region)
            .await?
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| refusal(&error, &region, Signer::Broker))
            .inspect_err(|error| self.forget_refused(credential_source, error))?;
        let (Some(arn), Some(account)) = (output.arn, output.account) else {
            return Err(no_answer());
        };
        if arn.ends_with(":root") {
            return Err(StsError::BrokerCredentials {
                code: "root".to_owned(),
                cause: None,
            });
        }
        let is_temporary = is_role_session(&arn);
        locked(&self.chained).insert(credential_source.to_owned(), is_temporary);
        Ok(Caller {
            arn,
            account,
            is_temporary,
        })
    }

    fn credential_sources(&self) -> Vec<String> {
        let sources = self.settings.sources.iter();
        sources.map(|source| source.id.clone()).collect()
    }
}

impl Settings {
    fn check(&self) -> Result<(), SettingsError> {
        if partition_of_region(&self.default_region).is_none() {
            return Err(SettingsError::Region(self.default_region.clone()));
        }
        let mut seen = HashSet::new();
        for source in &self.sources {
            if !seen.insert(&source.id) {
                return Err(SettingsError::Twice(source.id.clone()));
            }
        }
        for source in &self.sources {
            let SourceKind::AssumeRole { source: before, .. } = &source.kind else {
                continue;
            };
            if self.source(before).is_none() {
                return Err(SettingsError::UnknownSource {
                    id: source.id.clone(),
                    source_id: before.clone(),
                });
            }
            if self.chain(&source.id).is_none() {
                return Err(SettingsError::Circle(source.id.clone()));
            }
        }
        Ok(())
    }

    fn source(&self, id: &str) -> Option<&SourceSettings> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// The sources that `id` builds on, the first one first, and `id` itself; none where one is
    /// missing or they form a circle.
    fn chain(&self, id: &str) -> Option<Vec<&SourceSettings>> {
        let mut chain = vec![self.source(id)?];
        while let Some(SourceKind::AssumeRole { source, .. }) = chain.last().map(|s| &s.kind) {
            if chain.len() > self.sources.len() {
                return None;
            }
            chain.push(self.source(source)?);
        }
        chain.reverse();
        Some(chain)
    }

    /// The partition that a chained source's own role is in.
    fn partition(&self, id: &str) -> Option<Partition> {
        match &self.source(id)?.kind {
            SourceKind::AssumeRole { role_arn, .. } => role_arn
                .parse::<TargetArn>()
                .ok()
                .map(|arn| arn.partition()),
            _ => None,
        }
    }

    async fn sdk_config(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.call_timeout.min(LONGEST_CONNECT))
            .operation_timeout(self.call_timeout)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(self.attempts.max(1))
            .with_initial_backoff(INITIAL_BACKOFF)
            .with_max_backoff(LONGEST_BACKOFF);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.default_region.clone()))
            .no_credentials()
            .timeout_config(timeouts)
            .retry_config(retries);
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint.as_str());
        }
        // `app/rolegate-0.1.0` and `lib/rolegate/0.1.0`: the SDK allows no slash in an app name.
        let version = env!("CARGO_PKG_VERSION");
        if let Ok(name) = AppName::new(format!("rolegate-{version}")) {
            loader = loader.app_name(name);
        }
        if let Ok(metadata) = FrameworkMetadata::new("rolegate", Some(version)) {
            loader = loader.framework_metadata(metadata);
        }
        loader.load().await
    }
}

fn policy_arns(grant: &Grant) -> Option<Vec<PolicyDescriptorType>> {
    let arns = grant.policy_arns();
    let described = |arn: &String| PolicyDescriptorType::builder().arn(arn).build();
    (!arns.is_empty()).then(|| arns.iter().map(described).collect())
}

fn tags(grant: &Grant) -> Option<Vec<Tag>> {
    let tags = grant.session_tags();
    let built = tags.iter().filter_map(|(key, value)| {
        // Both members are set, so that building cannot fail.
        Tag::builder().key(key).value(value).build().ok()
    });
    (!tags.is_empty()).then(|| built.collect())
}

fn ungrantable(grant: &Grant) -> StsError {
    let message = format!("{} cannot be granted by {}", grant.target(), grant.method());
    invalid("grant_method", message)
}

/// What both calls answer.
struct Answer {
    request_id: Option<String>,
    credentials: Option<Credentials>,
    user: Option<AssumedRoleUser>,
}

impl Answer {
    fn issued(
        self,
        region: &str,
        duration: SessionDuration,
        is_chained: bool,
    ) -> Result<Issued, StsError> {
        let (Some(credentials), Some(user)) = (self.credentials, self.user) else {
            return Err(no_answer());
        };
        let expiration = OffsetDateTime::from_unix_timestamp(credentials.expiration.secs());
        if credentials.access_key_id.is_empty() || credentials.session_token.is_empty() {
            return Err(no_answer());
        }
        Ok(Issued {
            credentials: SessionCredentials {
                access_key_id: credentials.access_key_id,
                secret_access_key: credentials.secret_access_key.into(),
                session_token: credentials.session_token.into(),
                expiration: expiration.map_err(|_| no_answer())?,
            },
            assumed_role_arn: user.arn,
            assumed_role_id: user.assumed_role_id,
            request_id: self.request_id,
            region: region.to_owned(),
            duration,
            is_chained,
        })
    }
}

fn no_answer() -> StsError {
    StsError::Unavailable("the answer of STS lacks what it must hold".into())
}

/// Whether assuming a role with these credentials is role chaining.
///
/// An instance's session is named after the instance; AWS does not count it as chaining, and the
/// console's sign-in falls back where it does after all.
fn is_role_session(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next(), parts.nth(2).unwrap_or_default());
    if service != Some("sts") || !resource.starts_with("assumed-role/") {
        return false;
    }
    let session = resource.rsplit('/').next().unwrap_or_default();
    let is_instance = session.strip_prefix("i-").is_some_and(|id| {
        matches!(id.len(), 8 | 17) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    !is_instance
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chained(id: &str, source: &str) -> SourceSettings {
        SourceSettings {
            id: id.to_owned(),
            kind: SourceKind::AssumeRole {
                source: source.to_owned(),
                role_arn: "arn:aws-cn:iam::111122223333:role/hub".to_owned(),
                external_id: None,
            },
        }
    }

    fn settings(sources: Vec<SourceSettings>) -> Settings {
        Settings {
            default_region: "eu-west-1".to_owned(),
            endpoint: None,
            call_timeout: Duration::from_secs(1),
            attempts: 1,
            sources,
        }
    }

    fn root() -> SourceSettings {
        SourceSettings {
            id: "root".to_owned(),
            kind: SourceKind::DefaultChain,
        }
    }

    #[test]
    fn sources_that_cannot_work_are_refused() {
        let check = |sources| settings(sources).check();
        assert_eq!(
            check(vec![root(), chained("a", "root"), chained("b", "a")]),
            Ok(())
        );
        assert_eq!(
            check(vec![root(), root()]),
            Err(SettingsError::Twice("root".to_owned()))
        );
        assert_eq!(
            check(vec![chained("a", "b"), chained("b", "a")]),
            Err(SettingsError::Circle("a".to_owned()))
        );
        assert_eq!(
            check(vec![chained("a", "x")]),
            Err(SettingsError::UnknownSource {
                id: "a".to_owned(),
                source_id: "x".to_owned()
            })
        );
        let elsewhere = Settings {
            default_region: "eu-west".to_owned(),
            ..settings(vec![])
        };
        assert!(matches!(elsewhere.check(), Err(SettingsError::Region(_))));
    }

    #[test]
    fn chains_start_at_the_source_that_needs_no_other() {
        let settings = settings(vec![chained("b", "a"), chained("a", "root"), root()]);
        let chain = settings.chain("b").unwrap();
        let ids: Vec<&str> = chain.iter().map(|source| source.id.as_str()).collect();
        assert_eq!(ids, ["root", "a", "b"]);
        assert_eq!(settings.partition("b"), Some(Partition::AwsCn));
    }

    #[test]
    fn role_sessions_are_told_from_users_and_instances() {
        for (arn, is_chained) in [
            ("arn:aws:iam::111122223333:user/rolegate", false),
            ("arn:aws:sts::111122223333:assumed-role/task/4f1c2a", true),
            (
                "arn:aws:sts::111122223333:assumed-role/web/i-0123456789abcdef0",
                false,
            ),
            (
                "arn:aws:sts::111122223333:assumed-role/web/i-am-alice",
                true,
            ),
            ("arn:aws:sts::111122223333:federated-user/x", false),
        ] {
            assert_eq!(is_role_session(arn), is_chained, "{arn}");
        }
    }
}
