//! How STS is asked, and what of it cannot work.
//!
//! Never here: network I/O. Entry point: [`Settings`].

use std::{collections::HashSet, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_sts::config::{
    AppName, BehaviorVersion, FrameworkMetadata, Region, retry::RetryConfig, timeout::TimeoutConfig,
};
use thiserror::Error;
use url::Url;

use super::sources::{SourceKind, SourceSettings};
use crate::{
    access::{Partition, TargetArn},
    aws::partition::partition_of_region,
};

/// The first pause before a repeated call; the SDK doubles it with jitter.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// How long a connection may take, where the whole call may take longer.
const LONGEST_CONNECT: Duration = Duration::from_secs(3);

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

impl Settings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
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
    pub(super) fn chain(&self, id: &str) -> Option<Vec<&SourceSettings>> {
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
    pub(super) fn partition(&self, id: &str) -> Option<Partition> {
        match &self.source(id)?.kind {
            SourceKind::AssumeRole { role_arn, .. } => role_arn
                .parse::<TargetArn>()
                .ok()
                .map(|arn| arn.partition()),
            _ => None,
        }
    }

    pub(super) async fn sdk_config(&self) -> SdkConfig {
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
}
