//! [`Sts`] on the AWS SDK: the five calls that issue credentials, and `GetCallerIdentity`.
//!
//! Never here: deciding who may; keeping people's credentials. Entry points: [`SdkSts::new`],
//! [`Settings`].

mod answer;
mod code;
mod own;
mod own_credentials;
mod refusal;
mod saml;
mod settings;
mod sources;
mod tokens;
mod web_identity;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sts::{
    Client,
    config::Region,
    types::{PolicyDescriptorType, Tag},
};
use tokio::time::Instant;

pub(super) use self::refusal::{ISSUER_UNREACHABLE, TooLong};
use self::{
    answer::{Answer, no_answer},
    code::{Code, UsedCodes},
    refusal::{Signer, refusal},
    web_identity::Token,
};
pub use self::{
    settings::{Settings, SettingsError},
    sources::{SourceKind, SourceSettings},
};
use super::{
    Caller, Issued, Proof, Sts, StsError,
    partition::{implicit_region, partition_of_region},
};
use crate::access::{ConsoleWay, Grant, GrantMethod, Partition, SessionDuration, TargetArn};

/// How old a client with refused credentials must be before it is made again, so that new
/// profiles are noticed and a stubborn refusal does not cost a client per click.
const LEAST_CLIENT_AGE: Duration = Duration::from_secs(5);

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
    codes: UsedCodes,
    /// Roles behind a code that gave an hour at most: to ask for more first would use up the code.
    short: Mutex<HashSet<TargetArn>>,
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
            codes: UsedCodes::default(),
            short: Mutex::default(),
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

    /// Who a source is, asked in `region`; an account's root user is refused.
    async fn caller_in(&self, source: &str, region: &str) -> Result<Caller, StsError> {
        let output = self
            .client(source, region)
            .await?
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| refusal(&error, region, Signer::Broker))
            .inspect_err(|error| self.forget_refused(source, error))?;
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
        locked(&self.chained).insert(source.to_owned(), is_temporary);
        Ok(Caller {
            arn,
            account,
            is_temporary,
        })
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
        if grant.target().kind() != grant.method().target_kind() {
            return Err(ungrantable(grant));
        }
        if grant.console() == ConsoleWay::IdpInitiated {
            let message = format!("{} is opened by the identity provider", grant.target());
            return Err(invalid("console", message));
        }
        let region = self.region(grant)?;
        match (grant.method(), proof, grant.mfa_serial()) {
            (GrantMethod::AssumeRole, Proof::Own, None) => {
                self.issue_own(grant, &region, None).await
            }
            (GrantMethod::AssumeRole, Proof::OwnWithCode(digits), Some(serial)) => {
                let code = Code { serial, digits };
                self.codes.refuse_used(&code, Instant::now())?;
                let issued = self.issue_own(grant, &region, Some(&code)).await?;
                self.codes.note_accepted(&code);
                Ok(issued)
            }
            (GrantMethod::SessionToken, Proof::Own, None) => {
                self.issue_session_token(grant, &region, None).await
            }
            (GrantMethod::SessionToken, Proof::OwnWithCode(digits), Some(serial)) => {
                let code = Code { serial, digits };
                self.codes.refuse_used(&code, Instant::now())?;
                let issued = self
                    .issue_session_token(grant, &region, Some(&code))
                    .await?;
                self.codes.note_accepted(&code);
                Ok(issued)
            }
            (GrantMethod::FederationToken, Proof::Own, _) => {
                self.issue_federation_token(grant, &region).await
            }
            (GrantMethod::AssumeRoleWithSaml, Proof::SamlResponse(response), _) => {
                self.issue_by_saml(grant, &region, response).await
            }
            (
                GrantMethod::AssumeRoleWithWebIdentity,
                Proof::WebIdentity { token, provider_id },
                _,
            ) => {
                let token = Token {
                    token,
                    provider_id: provider_id.as_deref(),
                };
                self.issue_by_web_identity(grant, &region, token).await
            }
            _ => Err(misfit(grant)),
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
        self.caller_in(credential_source, &region).await
    }

    fn credential_sources(&self) -> Vec<String> {
        let sources = self.settings.sources.iter();
        sources.map(|source| source.id.clone()).collect()
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

/// What vouches and what the grant wants do not go together; a mistake of ours.
fn misfit(grant: &Grant) -> StsError {
    let wanted = match (grant.method(), grant.mfa_serial()) {
        (GrantMethod::AssumeRoleWithSaml, _) => "with an assertion",
        (GrantMethod::AssumeRoleWithWebIdentity, _) => "with a token of an identity provider",
        (_, Some(_)) => "with a code of its MFA device",
        (_, None) => "with our own credentials alone",
    };
    let message = format!("the role is opened {wanted}, and something else was brought");
    invalid("proof", message)
}

fn ungrantable(grant: &Grant) -> StsError {
    let message = format!("{} cannot be granted by {}", grant.target(), grant.method());
    invalid("grant_method", message)
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
