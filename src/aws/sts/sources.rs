//! Where the broker's own AWS credentials come from.
//!
//! Providers are made without network I/O; they fetch when the first call needs them. Never here:
//! people's credentials. Entry point: [`provider`].

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use aws_config::{
    SdkConfig, default_provider::credentials::DefaultCredentialsChain, identity::IdentityCache,
    profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig,
    sts::AssumeRoleProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_sdk_sts::config::{Region, SharedIdentityCache, timeout::TimeoutConfig};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::Settings;

/// The largest environment file that is read.
const LARGEST_FILE: u64 = 64 * 1024;
/// What CloudTrail shows as the session of a role that the broker assumes for itself.
const OWN_SESSION_NAME: &str = "rolegate";

/// One credential source.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// What roles call it; unique.
    pub id: String,
    /// What it is.
    pub kind: SourceKind,
}

/// The kinds of credential sources.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// The SDK's own order: environment, profile, web identity, container, instance.
    DefaultChain,
    /// A profile of the shared AWS configuration files.
    Profile(String),
    /// A role assumed with another source.
    AssumeRole {
        /// The id of the other source.
        source: String,
        /// The role.
        role_arn: String,
        /// What the role's trust policy asks for.
        external_id: Option<String>,
    },
    /// A file of `AWS_ACCESS_KEY_ID=…` lines, read again when it changes.
    EnvironmentFile(PathBuf),
    /// Keys in memory, for the demo.
    Static {
        /// `AKIA…` or `ASIA…`.
        access_key_id: String,
        /// The secret access key.
        secret: SecretString,
        /// The session token of temporary keys.
        session_token: Option<SecretString>,
    },
}

impl SourceKind {
    /// Whether the SDK may keep what the source gave; a file and memory are read at each call.
    pub(super) fn identity_cache(&self, settings: &Settings) -> SharedIdentityCache {
        match self {
            Self::EnvironmentFile(_) | Self::Static { .. } => IdentityCache::no_cache(),
            _ => IdentityCache::lazy()
                .load_timeout(settings.call_timeout)
                .build(),
        }
    }
}

/// The provider at the end of `chain`, which starts at a source that needs no other.
pub(super) async fn provider(
    chain: &[&SourceSettings],
    base: &SdkConfig,
    region: &str,
) -> Option<SharedCredentialsProvider> {
    let mut provider = None;
    for source in chain {
        provider = Some(link(source, provider, base, region).await?);
    }
    provider
}

async fn link(
    source: &SourceSettings,
    before: Option<SharedCredentialsProvider>,
    base: &SdkConfig,
    region: &str,
) -> Option<SharedCredentialsProvider> {
    let region = Region::new(region.to_owned());
    let provider = match &source.kind {
        SourceKind::DefaultChain => {
            let chain = DefaultCredentialsChain::builder()
                .configure(provider_config(base, &region))
                .region(region)
                .build();
            SharedCredentialsProvider::new(chain.await)
        }
        SourceKind::Profile(name) => SharedCredentialsProvider::new(
            ProfileFileCredentialsProvider::builder()
                .configure(&provider_config(base, &region))
                .profile_name(name)
                .build(),
        ),
        SourceKind::AssumeRole {
            role_arn,
            external_id,
            ..
        } => {
            let mut builder = AssumeRoleProvider::builder(role_arn)
                .configure(base)
                .region(region)
                .session_name(OWN_SESSION_NAME);
            if let Some(external_id) = external_id {
                builder = builder.external_id(external_id);
            }
            SharedCredentialsProvider::new(builder.build_from_provider(before?).await)
        }
        SourceKind::EnvironmentFile(path) => {
            SharedCredentialsProvider::new(EnvironmentFile::new(path))
        }
        SourceKind::Static {
            access_key_id,
            secret,
            session_token,
        } => SharedCredentialsProvider::new(Credentials::new(
            access_key_id,
            secret.expose_secret(),
            session_token
                .as_ref()
                .map(|token| token.expose_secret().to_owned()),
            None,
            "rolegate",
        )),
    };
    Some(provider)
}

fn provider_config(base: &SdkConfig, region: &Region) -> ProviderConfig {
    let timeouts = base
        .timeout_config()
        .cloned()
        .unwrap_or_else(TimeoutConfig::disabled);
    ProviderConfig::default()
        .with_region(Some(region.clone()))
        .with_behavior_version(Some(aws_config::BehaviorVersion::latest()))
        .with_timeout_config(timeouts)
}

/// Keys from a file of `NAME=value` lines, as `aws configure export-credentials --format env`
/// writes them. Debug shows the path alone.
struct EnvironmentFile {
    path: Arc<Path>,
    last: Arc<Mutex<Option<(SystemTime, u64, Credentials)>>>,
}

impl EnvironmentFile {
    fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            last: Arc::default(),
        }
    }

    async fn load(&self) -> Result<Credentials, FileError> {
        let unreadable = |source| FileError::Unreadable {
            path: self.path.to_path_buf(),
            source,
        };
        let metadata = tokio::fs::metadata(&self.path).await.map_err(unreadable)?;
        let modified = metadata.modified().map_err(unreadable)?;
        let version = (modified, metadata.len());
        if let Some((at, length, credentials)) = self.last().as_ref()
            && (*at, *length) == version
        {
            return Ok(credentials.clone());
        }
        if metadata.len() > LARGEST_FILE {
            return Err(FileError::TooLarge(self.path.to_path_buf()));
        }
        let text = SecretString::from(
            tokio::fs::read_to_string(&self.path)
                .await
                .map_err(unreadable)?,
        );
        let credentials = parse(text.expose_secret()).map_err(|name| FileError::Missing {
            path: self.path.to_path_buf(),
            name,
        })?;
        *self.last() = Some((version.0, version.1, credentials.clone()));
        Ok(credentials)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<(SystemTime, u64, Credentials)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EnvironmentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvironmentFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ProvideCredentials for EnvironmentFile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.load().await.map_err(|error| match error {
                FileError::Unreadable { .. } => CredentialsError::provider_error(error),
                _ => CredentialsError::invalid_configuration(error),
            })
        })
    }
}

/// Reads the keys, or names the variable that is missing.
fn parse(text: &str) -> Result<Credentials, &'static str> {
    let value = |wanted: &str| {
        text.lines()
            .map(str::trim)
            .map(|line| line.strip_prefix("export ").unwrap_or(line).trim_start())
            .filter_map(|line| line.split_once('='))
            .filter(|(name, _)| name.trim() == wanted)
            .map(|(_, value)| unquoted(value.trim()))
            .find(|value| !value.is_empty())
    };
    Ok(Credentials::new(
        value("AWS_ACCESS_KEY_ID").ok_or("AWS_ACCESS_KEY_ID")?,
        value("AWS_SECRET_ACCESS_KEY").ok_or("AWS_SECRET_ACCESS_KEY")?,
        value("AWS_SESSION_TOKEN").map(str::to_owned),
        None,
        "environment-file",
    ))
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

/// Why a file gave no keys; never with its content.
#[derive(Debug, Error)]
enum FileError {
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is larger than 64 KiB: it holds lines such as AWS_ACCESS_KEY_ID=…", .0.display())]
    TooLarge(PathBuf),
    #[error("{} has no line {name}=…", path.display())]
    Missing { path: PathBuf, name: &'static str },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files_are_read_in_the_forms_that_tools_write() {
        let text = "# comment\nexport AWS_ACCESS_KEY_ID=AKIAX\r\nAWS_SECRET_ACCESS_KEY=\"s=/+\"\n\
                    AWS_SESSION_TOKEN='token'\nOTHER=x\n";
        let credentials = parse(text).unwrap();
        assert_eq!(credentials.access_key_id(), "AKIAX");
        assert_eq!(credentials.secret_access_key(), "s=/+");
        assert_eq!(credentials.session_token(), Some("token"));
        assert_eq!(
            parse("AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=\n").unwrap_err(),
            "AWS_SECRET_ACCESS_KEY"
        );
    }
}
