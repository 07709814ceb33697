//! The composition root: from a [`Config`] to a running server.
//!
//! The only place that names concrete adapters. Entry points: [`serve`], [`Application`].

pub(crate) mod audit;
pub(crate) mod issuer;
mod mapping_file;
pub(crate) mod probe;
mod revocation;
mod trusted;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use url::Url;

use crate::{
    access::{
        AccessRules, ConnectorId, GrantMethod, GroupKey, GroupKeyForm, HelpdeskGroup,
        PolicySettings, PolicyTables, RoleDefaults, Scope, SessionDuration,
    },
    aws::{Iam, Sts, iam, sign_in, sts},
    broker::{Adapters, ApiSettings, Broker, BrokerSettings, TokenSettings},
    clock::Clock,
    config::{self, Config, ConnectorKind, CredentialSourceKind, mapping_file::MappingFile},
    identity::{Cause, Connector, ldap, oidc, saml},
    store::{ProviderDocuments, StoreError, sql::SqlStore},
    telemetry::Metrics,
    web,
};
use mapping_file::{LoadedFile, Watch};

/// How often connectors are asked whether it is time to fetch what their provider publishes.
const REFRESH_EVERY: Duration = Duration::from_mins(1);
/// How often ended sign-in sessions are swept away.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// How often the mapping file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why the server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A file that the configuration names cannot be read or used.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The mapping file has mistakes.
    #[error("the mapping file has to be mended first\n{0}")]
    Mappings(config::Findings),
    /// A setting passed the configuration's checks and an adapter cannot use it.
    #[error("{key}: {message}")]
    Setting {
        /// The key.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// `[access]` names something that is no group.
    #[error("{0}")]
    Access(String),
    /// The store cannot be opened.
    #[error("the store {url} cannot be used")]
    Store {
        /// Its URL.
        url: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A listener's address cannot be had.
    #[error("{key}: {address} cannot be listened on")]
    Listen {
        /// The key that names it.
        key: &'static str,
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Opens the store that the configuration names.
pub async fn open_store(config: &Config) -> Result<Arc<SqlStore>, StartError> {
    SqlStore::open(&config.store.url)
        .await
        .map(Arc::new)
        .map_err(|source| store_error(config, source))
}

fn store_error(config: &Config, source: StoreError) -> StartError {
    StartError::Store {
        url: config.store.url.clone(),
        source,
    }
}

/// How the groups of each connector and trusted issuer are compared.
pub fn group_forms(config: &Config) -> HashMap<ConnectorId, GroupKeyForm> {
    config
        .connectors
        .iter()
        .filter_map(|connector| {
            let form = match connector.kind {
                ConnectorKind::Ldap(_) => GroupKeyForm::DistinguishedName,
                ConnectorKind::Saml(_) | ConnectorKind::Oidc(_) => GroupKeyForm::Exact,
            };
            Some((connector.id.parse().ok()?, form))
        })
        .chain(
            config
                .trusted_issuers
                .iter()
                .filter_map(|issuer| Some((issuer.id.parse().ok()?, GroupKeyForm::Exact))),
        )
        .collect()
}

/// What the configuration adds to the table.
pub fn policy_settings(config: &Config) -> PolicySettings {
    let first_source = config
        .aws
        .credential_sources
        .first()
        .map(|source| source.id.clone());
    let defaults = &config.role_defaults;
    PolicySettings {
        role_defaults: RoleDefaults {
            grant_method: defaults.grant_method.parse::<GrantMethod>().ok(),
            credential_source: defaults.credential_source.clone().or(first_source),
            external_id: defaults.external_id.clone(),
            max_duration: defaults
                .max_duration
                .and_then(|duration| SessionDuration::try_from(duration).ok()),
            region: defaults.region.clone(),
            source_identity: None,
            saml_provider_arn: defaults.saml_provider_arn.clone(),
            console: defaults.console,
            vouched_by: defaults.vouched_by,
            mfa_serial: None,
            audit_tag: defaults.audit_tag,
            public_values: BTreeMap::new(),
        },
        session_name: config.aws.session_name.clone(),
        source_identity: config.aws.source_identity.clone(),
        hand_over_connectors: saml_connectors(config)
            .filter(|(_, saml)| saml.aws_application_url.is_some())
            .map(|(id, _)| id)
            .collect(),
        web_identity_connectors: web_identity_connectors(config),
        issuer: config
            .issuer
            .as_ref()
            .map(issuer::abilities)
            .unwrap_or_default(),
        connectors: config.connectors.len() + config.trusted_issuers.len(),
        giving_connectors: saml_connectors(config)
            .filter(|(_, saml)| saml.offer_asserted_roles == config::OfferedRoles::All)
            .map(|(id, _)| id)
            .collect(),
    }
}

/// Which groups may do what here. A group that a scope names is limited by it, wherever else it is
/// named as helpdesk.
///
/// # Errors
/// Every group that is none of its connector's form.
pub fn access_rules(config: &Config) -> Result<AccessRules, StartError> {
    let forms = group_forms(config);
    let mut problems = Vec::new();
    let mut key = |key: &str, text: &str| {
        let parsed = GroupKey::parse(text, &forms);
        let noted = parsed.map_err(|error| problems.push(format!("{key}: {}", chain(&error))));
        noted.ok()
    };
    let access = &config.access;
    let mut helpdesk: Vec<HelpdeskGroup> = Vec::new();
    for scope in &access.scopes {
        let limits = Scope {
            accounts: scope.accounts.clone(),
            environments: scope.environments.clone(),
            roles: scope.roles.clone(),
        };
        let group = key("access.scope", &scope.group);
        helpdesk.extend(group.map(|group| HelpdeskGroup {
            group,
            scope: limits,
        }));
    }
    let unlimited = access.helpdesk.iter();
    let unlimited: Vec<GroupKey> = unlimited
        .filter_map(|text| key("access.helpdesk", text))
        .filter(|group| !helpdesk.iter().any(|limited| limited.group == *group))
        .collect();
    helpdesk.extend(unlimited.into_iter().map(|group| HelpdeskGroup {
        group,
        scope: Scope::default(),
    }));
    let mut keys = |name: &str, texts: &[String]| -> Vec<GroupKey> {
        texts.iter().filter_map(|text| key(name, text)).collect()
    };
    let rules = AccessRules {
        helpdesk,
        auditor: keys("access.auditor", &access.auditor),
        admin: keys("access.admin", &access.admin),
    };
    if problems.is_empty() {
        Ok(rules)
    } else {
        Err(StartError::Access(problems.join("; ")))
    }
}

/// The connectors of type `saml`.
fn saml_connectors(config: &Config) -> impl Iterator<Item = (ConnectorId, &config::Saml)> {
    config.connectors.iter().filter_map(|connector| {
        let ConnectorKind::Saml(saml) = &connector.kind else {
            return None;
        };
        Some((connector.id.parse().ok()?, saml.as_ref()))
    })
}

/// The connectors whose sign-ins bring a token that AWS takes.
fn web_identity_connectors(config: &Config) -> HashSet<ConnectorId> {
    let connectors = config.connectors.iter().filter_map(|connector| {
        let ConnectorKind::Oidc(oidc) = &connector.kind else {
            return None;
        };
        let passes = oidc.pass_through != config::OidcPassThrough::Nothing;
        passes.then(|| connector.id.parse().ok()).flatten()
    });
    connectors.collect()
}

/// The ways to sign in, without any connection made, for commands without a store: what providers
/// publish is not kept.
pub fn connectors(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Connector>, StartError> {
    connectors_keeping(config, clock, None)
}

/// The ways to sign in; `documents` keeps what providers publish.
fn connectors_keeping(
    config: &Config,
    clock: &Arc<dyn Clock>,
    documents: Option<&Arc<dyn ProviderDocuments>>,
) -> Result<Vec<Connector>, StartError> {
    let kept = || {
        documents.map(|documents| {
            Arc::new(KeptInStore(Arc::clone(documents))) as Arc<dyn saml::KeptDocuments>
        })
    };
    let of_kind = |connector: &config::Connector| {
        let key = format!("connector.{}", connector.id);
        match &connector.kind {
            ConnectorKind::Ldap(settings) => {
                let settings = ldap_settings(connector, settings, &key)?;
                ldap::LdapConnector::new(settings, Arc::clone(clock))
                    .map(|connector| Connector::Password(Box::new(connector)))
                    .map_err(|error| StartError::Setting {
                        key,
                        message: chain(&error),
                    })
            }
            ConnectorKind::Saml(settings) => {
                let settings = saml_settings(&config.public_url, connector, settings, &key)?;
                saml::SamlConnector::new(settings, kept(), Arc::clone(clock))
                    .map(|connector| Connector::Redirect(Box::new(connector)))
                    .map_err(|error| StartError::Setting {
                        key,
                        message: chain(error.as_ref()),
                    })
            }
            ConnectorKind::Oidc(settings) => {
                let settings = oidc_settings(&config.public_url, connector, settings, &key)?;
                oidc::OidcConnector::new(settings, kept(), Arc::clone(clock))
                    .map(|connector| Connector::Redirect(Box::new(connector)))
                    .map_err(|error| StartError::Setting {
                        key,
                        message: chain(error.as_ref()),
                    })
            }
        }
    };
    config.connectors.iter().map(of_kind).collect()
}

/// Keeps what providers publish in the store, which the connectors do not know.
struct KeptInStore(Arc<dyn ProviderDocuments>);

#[async_trait]
impl saml::KeptDocuments for KeptInStore {
    async fn keep(
        &self,
        connector: &ConnectorId,
        document: &str,
        fetched_at: OffsetDateTime,
    ) -> Result<(), Cause> {
        let connector = connector.as_str();
        Ok(self
            .0
            .keep_document(connector, document, fetched_at)
            .await?)
    }

    async fn last(
        &self,
        connector: &ConnectorId,
    ) -> Result<Option<(String, OffsetDateTime)>, Cause> {
        Ok(self.0.document(connector.as_str()).await?)
    }
}

fn saml_settings(
    public_url: &config::PublicUrl,
    connector: &config::Connector,
    settings: &config::Saml,
    key: &str,
) -> Result<saml::Settings, StartError> {
    let setting = |message: String| StartError::Setting {
        key: key.to_owned(),
        message,
    };
    let id: ConnectorId = connector
        .id
        .parse()
        .map_err(|error| setting(chain(&error)))?;
    let address = |place: &str| {
        let path = format!("/saml/{}/{place}", connector.id);
        let url = public_url.url().join(&path);
        url.map_err(|error| setting(error.to_string()))
    };
    let metadata_url = address("metadata")?;
    let certificates: Result<Vec<_>, _> = settings
        .metadata_certificates
        .iter()
        .map(|certificate| certificate.to_der())
        .collect();
    let groups_from = settings.groups_from.as_ref().map(|id| id.parse());
    let attributes = &settings.attributes;
    Ok(saml::Settings {
        id,
        label: connector.label.clone(),
        entity_id: settings
            .sp_entity_id
            .clone()
            .unwrap_or_else(|| metadata_url.to_string()),
        acs_url: address("acs")?,
        slo_url: address("slo")?,
        source: metadata_source(&settings.metadata)?,
        metadata_certificates: certificates.map_err(|error| setting(error.to_string()))?,
        provider_entity_id: settings.idp_entity_id.clone(),
        attributes: saml::settings::AttributeNames {
            subject: attributes.subject.clone(),
            username: attributes.username.clone(),
            display_name: attributes.display_name.clone(),
            email: attributes.email.clone(),
            groups: attributes.groups.clone(),
        },
        keys: settings
            .keys
            .iter()
            .map(|pair| saml::settings::Key {
                private: pair.key.clone(),
                certificate: pair.certificate.clone(),
            })
            .collect(),
        audiences: settings.audiences.clone(),
        sign_requests: settings.sign_requests,
        request_binding: match settings.request_binding {
            config::RequestBinding::Redirect => saml::settings::Binding::Redirect,
            config::RequestBinding::Post => saml::settings::Binding::Post,
        },
        force_authentication: settings.force_authn,
        authn_contexts: settings.authn_contexts.clone(),
        name_id_format: settings.name_id_format.clone(),
        clock_skew: settings.clock_skew,
        longest_authentication_age: settings.longest_authentication_age,
        require_encryption: settings.require_encrypted_assertions,
        allow_cbc: settings.allow_cbc_encryption,
        takes_unsolicited: settings.allow_idp_initiated,
        groups_from: groups_from
            .transpose()
            .map_err(|error| setting(chain(&error)))?,
        pass_through: settings.pass_through,
        aws_application_url: settings.aws_application_url.clone(),
    })
}

fn oidc_settings(
    public_url: &config::PublicUrl,
    connector: &config::Connector,
    settings: &config::Oidc,
    key: &str,
) -> Result<oidc::Settings, StartError> {
    use oidc::settings::{ClaimNames, PassThrough, TokenAuth};
    let setting = |message: String| StartError::Setting {
        key: key.to_owned(),
        message,
    };
    let address = |path: &str| {
        let url = public_url.url().join(path);
        url.map_err(|error| setting(error.to_string()))
    };
    let parsed = |id: &str| id.parse().map_err(|error| setting(chain(&error)));
    let claims = &settings.claims;
    Ok(oidc::Settings {
        id: parsed(&connector.id)?,
        label: connector.label.clone(),
        issuer: settings.issuer.clone(),
        client_id: settings.client_id.clone(),
        client_secret: settings.client_secret.clone(),
        token_auth: settings.token_auth.map(|auth| match auth {
            config::TokenAuth::Basic => TokenAuth::Basic,
            config::TokenAuth::Post => TokenAuth::Post,
            config::TokenAuth::None => TokenAuth::None,
        }),
        callback_url: address(&format!("/oidc/{}/callback", connector.id))?,
        signed_out_url: address("/signed-out")?,
        backchannel_url: address(&format!("/oidc/{}/backchannel-logout", connector.id))?,
        token_endpoint: settings.token_endpoint.clone(),
        scopes: settings.scopes.clone(),
        claims: ClaimNames {
            subject: claims.subject.clone(),
            username: claims.username.clone(),
            display_name: claims.display_name.clone(),
            email: claims.email.clone(),
            groups: claims.groups.clone(),
        },
        userinfo: settings.userinfo,
        algorithms: settings.allowed_algorithms.clone(),
        clock_skew: settings.clock_skew,
        longest_authentication_age: settings.longest_authentication_age,
        force_authentication: settings.force_authn,
        groups_from: settings.groups_from.as_deref().map(parsed).transpose()?,
        pass_through: match &settings.pass_through {
            config::OidcPassThrough::Nothing => PassThrough::Nothing,
            config::OidcPassThrough::IdToken => PassThrough::IdToken,
            config::OidcPassThrough::AccessToken(provider_id) => PassThrough::AccessToken {
                provider_id: provider_id.clone(),
            },
        },
        ca_pem: settings.ca_file.as_ref().map(read).transpose()?,
        refresh: settings.metadata_refresh,
    })
}

fn metadata_source(source: &config::MetadataSource) -> Result<saml::settings::Source, StartError> {
    Ok(match source {
        config::MetadataSource::Url { url, refresh } => saml::settings::Source::Url {
            url: url.clone(),
            refresh: *refresh,
        },
        config::MetadataSource::File(path) => {
            let text = String::from_utf8(read(path)?).map_err(|_| StartError::File {
                path: path.display().to_string(),
                message: "is not UTF-8".to_owned(),
            })?;
            saml::settings::Source::Text(text)
        }
    })
}

fn ldap_settings(
    connector: &config::Connector,
    ldap: &config::Ldap,
    key: &str,
) -> Result<ldap::Settings, StartError> {
    let setting = |message: String| StartError::Setting {
        key: key.to_owned(),
        message,
    };
    let urls: Result<Vec<Url>, _> = ldap
        .urls
        .iter()
        .map(|url| url.as_str().parse::<Url>())
        .collect();
    let attributes = &ldap.user_attributes;
    Ok(ldap::Settings {
        id: connector
            .id
            .parse()
            .map_err(|error| setting(chain(&error)))?,
        label: connector.label.clone(),
        urls: urls.map_err(|error| setting(error.to_string()))?,
        start_tls: ldap.start_tls,
        ca_pem: ldap.ca_file.as_ref().map(read).transpose()?,
        bind: match &ldap.bind {
            config::Bind::Service { dn, password } => ldap::Bind::Service {
                dn: dn.clone(),
                password: password.clone(),
            },
            config::Bind::Direct { template } => ldap::Bind::Direct {
                template: template.clone(),
            },
        },
        user_base: ldap.user_base.clone(),
        user_filter: ldap.user_filter.clone(),
        attributes: ldap::Attributes {
            subject: attributes.subject.clone(),
            username: attributes.username.clone(),
            display_name: Some(attributes.display_name.clone()),
            email: Some(attributes.email.clone()),
        },
        group_strategy: match ldap.group_strategy {
            config::GroupStrategy::Search => ldap::GroupStrategy::Search,
            config::GroupStrategy::MemberOf => ldap::GroupStrategy::MemberOf,
            config::GroupStrategy::Posix => ldap::GroupStrategy::Posix,
            config::GroupStrategy::InChain => ldap::GroupStrategy::InChain,
        },
        group_base: ldap.group_base.clone(),
        group_filter: ldap.group_filter.clone(),
        nested_groups: ldap.nested_groups,
        nesting_limit: ldap.nesting_limit,
        group_limit: ldap.group_limit,
        page_size: i32::try_from(ldap.page_size).unwrap_or(500),
        pool_size: ldap.pool_size,
        connect_timeout: ldap.connect_timeout,
        operation_timeout: ldap.operation_timeout,
        sign_in_timeout: ldap.sign_in_timeout,
        flavour: match ldap.directory_kind {
            config::DirectoryKind::ActiveDirectory => ldap::Flavour::ActiveDirectory,
            _ => ldap::Flavour::Other,
        },
    })
}

/// The Security Token Service, without any call made.
pub async fn sts(config: &Config) -> Result<Arc<dyn Sts>, StartError> {
    Ok(sdk_sts(config).await?)
}

/// IAM and Organizations, without any call made.
pub async fn iam(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Iam>, StartError> {
    iam_client(config, sdk_sts(config).await?, clock)
}

fn iam_client(
    config: &Config,
    sts: Arc<sts::SdkSts>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Iam>, StartError> {
    let settings = iam::Settings {
        iam_endpoint: config.aws.iam_endpoint.clone(),
        organizations_endpoint: config.aws.organizations_endpoint.clone(),
        default_region: config.aws.default_region.clone(),
        call_timeout: config.aws.call_timeout,
        attempts: config.aws.attempts,
    };
    let client =
        iam::IamClient::new(settings, sts, clock).map_err(|error| StartError::Setting {
            key: "aws.iam_endpoint".to_owned(),
            message: chain(&error),
        })?;
    Ok(Arc::new(client))
}

async fn sdk_sts(config: &Config) -> Result<Arc<sts::SdkSts>, StartError> {
    let sources = config
        .aws
        .credential_sources
        .iter()
        .map(|source| sts::SourceSettings {
            id: source.id.clone(),
            kind: match &source.kind {
                CredentialSourceKind::DefaultChain => sts::SourceKind::DefaultChain,
                CredentialSourceKind::Profile { name } => sts::SourceKind::Profile(name.clone()),
                CredentialSourceKind::AssumeRole {
                    source,
                    role_arn,
                    external_id,
                } => sts::SourceKind::AssumeRole {
                    source: source.clone(),
                    role_arn: role_arn.clone(),
                    external_id: external_id.clone(),
                },
                CredentialSourceKind::EnvironmentFile { path } => {
                    sts::SourceKind::EnvironmentFile(path.clone())
                }
            },
        });
    let settings = sts::Settings {
        default_region: config.aws.default_region.clone(),
        endpoint: config.aws.sts_endpoint.clone(),
        call_timeout: config.aws.call_timeout,
        attempts: config.aws.attempts,
        sources: sources.collect(),
    };
    let sts = sts::SdkSts::new(settings)
        .await
        .map_err(|error| StartError::Setting {
            key: "aws.credential_source".to_owned(),
            message: chain(&error),
        })?;
    Ok(Arc::new(sts))
}

fn broker_settings(
    config: &Config,
    file_tables: PolicyTables,
) -> Result<BrokerSettings, StartError> {
    let session = &config.sign_in_session;
    let change_urls = config.connectors.iter().filter_map(|connector| {
        let ConnectorKind::Ldap(ldap) = &connector.kind else {
            return None;
        };
        Some((
            connector.id.parse().ok()?,
            ldap.password_change_url.clone()?,
        ))
    });
    Ok(BrokerSettings {
        public_url: config.public_url.url().clone(),
        idle_timeout: session.idle_timeout,
        absolute_timeout: session.absolute_timeout,
        groups_refresh_after: session.groups_refresh_after,
        groups_valid_for: session.groups_valid_for,
        default_region: config.aws.default_region.clone(),
        console_url: config.aws.console_url.clone(),
        saml_endpoint: saml_endpoint(config),
        read_role: config.aws.read_role.clone(),
        revoker_role: config.aws.revoker_role.clone(),
        password_change_urls: change_urls.collect(),
        policy: policy_settings(config),
        file_tables,
        access: access_rules(config)?,
        pending_edits_expire_after: config.access.pending_expires_after,
        api: ApiSettings {
            requests_per_minute: config.api.requests_per_minute,
            credentials_per_minute: config.api.credentials_per_minute,
        },
        tokens: TokenSettings {
            access: config.tokens.access,
            refresh: config.tokens.refresh,
            device_flow: config.tokens.device_flow,
        },
    })
}

/// AWS's SAML sign-in address: beside the federation endpoint where only that is overridden.
fn saml_endpoint(config: &Config) -> Option<Url> {
    let beside = || {
        let mut url = config.aws.sign_in_endpoint.clone()?;
        url.set_path("/saml");
        url.set_query(None);
        Some(url)
    };
    config.aws.saml_endpoint.clone().or_else(beside)
}

/// The rows of `[mappings] file`; a broken file keeps the server from starting.
pub fn file_tables(config: &Config) -> Result<PolicyTables, StartError> {
    Ok(loaded_file(config)?.tables)
}

/// The mapping file as it is now; without rows where none is configured.
fn loaded_file(config: &Config) -> Result<LoadedFile, StartError> {
    let Some(path) = &config.mappings_file else {
        return Ok(LoadedFile::default());
    };
    mapping_file::load(path, &group_forms(config)).map_err(|unusable| match unusable.findings {
        Ok(findings) => StartError::Mappings(findings),
        Err(message) => StartError::File {
            path: path.display().to_string(),
            message,
        },
    })
}

/// The use-cases on every adapter, with the store open and nothing served: what commands ask.
pub async fn broker(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<Broker>, StartError> {
    let store = open_store(config).await?;
    broker_on(config, &store, clock, file_tables(config)?).await
}

async fn broker_on(
    config: &Config,
    store: &Arc<SqlStore>,
    clock: Arc<dyn Clock>,
    file_tables: PolicyTables,
) -> Result<Arc<Broker>, StartError> {
    let sign_in = sign_in::FederationSignIn::new(sign_in::Settings {
        endpoint: config.aws.sign_in_endpoint.clone(),
        call_timeout: config.aws.call_timeout,
    })
    .map_err(|error| StartError::Setting {
        key: "aws.sign_in_endpoint".to_owned(),
        message: chain(&error),
    })?;
    let documents: Arc<dyn ProviderDocuments> = store.clone();
    let sts = sdk_sts(config).await?;
    let adapters = Adapters {
        connectors: connectors_keeping(config, &clock, Some(&documents))?,
        iam: iam_client(config, Arc::clone(&sts), Arc::clone(&clock))?,
        sts,
        sign_in: Arc::new(sign_in),
        issuer: issuer::in_force(config, &clock)?,
        policy: store.clone(),
        sessions: store.clone(),
        tokens: store.clone(),
        trusted_issuers: trusted::issuers(config, &clock)?,
        conversations: store.clone(),
        people: store.clone(),
        known_people: store.clone(),
        pending_edits: store.clone(),
        reviews: store.clone(),
        probes: store.clone(),
        revocations: store.clone(),
        audit: store.clone(),
        health: store.clone(),
        clock,
    };
    let settings = broker_settings(config, file_tables)?;
    Ok(Arc::new(Broker::new(adapters, settings)))
}

/// A broker with its doors, not yet open.
#[expect(missing_debug_implementations, reason = "routers and trait objects")]
pub struct Application {
    broker: Arc<Broker>,
    pages: axum::Router,
    operations: axum::Router,
    mapping_file: Option<Watch>,
    tls: Option<Arc<rustls::ServerConfig>>,
    drain: Duration,
    audit: audit::Tasks,
    prober: probe::Prober,
}

impl Application {
    /// Builds every adapter, opens the store and closes what a crash left open.
    pub async fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        // First, so that what the start counts is not lost.
        let metrics = Metrics::install();
        let store = open_store(config).await?;
        let audit = audit::Tasks::new(config, store.clone(), Arc::clone(&clock))?;
        let file = loaded_file(config)?;
        // On the heap: with all adapters it is too large for the stack of whoever awaits this.
        let broker = Box::pin(broker_on(config, &store, clock, file.tables)).await?;
        broker
            .start()
            .await
            .map_err(|source| store_error(config, source))?;
        audit
            .note_settings(config)
            .await
            .map_err(|source| store_error(config, source))?;
        if let Some(path) = &config.mappings_file {
            let path = path.display().to_string();
            let noted = broker.note_file_at_start(&path, &file.hash).await;
            noted.map_err(|source| store_error(config, source))?;
        }
        Ok(Self {
            pages: web::router(Arc::clone(&broker), web_settings(config)),
            operations: web::operations::router(
                Arc::clone(&broker),
                Arc::new(move || metrics.render()),
            ),
            mapping_file: config
                .mappings_file
                .as_ref()
                .map(|path| Watch::new(path.clone(), group_forms(config), Arc::clone(&broker))),
            broker,
            tls: config.server.tls.as_ref().map(tls).transpose()?,
            drain: config.server.drain_timeout,
            audit,
            prober: probe::Prober::new(&config.probe),
        })
    }

    /// The use-cases, for callers that are not browsers.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Serves until `stop` turns true and what is in flight has finished.
    pub async fn run(
        self,
        listener: TcpListener,
        operations: TcpListener,
        stop: watch::Receiver<bool>,
    ) {
        let warm_up = warm_up(Arc::clone(&self.broker));
        let sweep = sweep(Arc::clone(&self.broker), stop.clone());
        let audit = self.audit.run(stop.clone());
        let refresh = refresh_trust(Arc::clone(&self.broker), stop.clone());
        let reload = reload(self.mapping_file, stop.clone());
        let settle = revocation::settle(Arc::clone(&self.broker), stop.clone());
        let probes = self.prober.run(Arc::clone(&self.broker), stop.clone());
        let pages = web::serve(listener, self.tls, self.pages, stop.clone(), self.drain);
        let operations = web::serve(operations, None, self.operations, stop, self.drain);
        tokio::join!(
            warm_up, pages, operations, sweep, refresh, audit, reload, settle, probes
        );
    }
}

/// Asks AWS once who we are, so that the first person meets the right limits.
async fn warm_up(broker: Arc<Broker>) {
    broker.learn_callers().await;
}

/// Lets every connector fetch what its provider publishes, all at once, so that a provider that
/// hangs holds up no other.
async fn refresh_trust(broker: Arc<Broker>, stop: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    for index in 0..broker.connectors().len() {
        running.spawn(refresh_connector(Arc::clone(&broker), index, stop.clone()));
    }
    while running.join_next().await.is_some() {}
}

async fn refresh_connector(broker: Arc<Broker>, index: usize, mut stop: watch::Receiver<bool>) {
    let Some(Connector::Redirect(connector)) = broker.connectors().get(index) else {
        return;
    };
    let again_and_again = async {
        loop {
            connector.refresh_trust().await;
            tokio::time::sleep(REFRESH_EVERY).await;
        }
    };
    tokio::select! {
        () = again_and_again => {}
        () = web::stopped(&mut stop) => {}
    }
}

/// Looks at the mapping file every now and then, and at once on SIGHUP.
async fn reload(mut file: Option<Watch>, mut stop: watch::Receiver<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hang_up = signal(SignalKind::hangup()).ok();
    loop {
        let asked = async {
            match &mut hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {
                if let Some(file) = &mut file {
                    file.look().await;
                }
            }
            _ = asked => {
                if let Some(file) = &mut file {
                    file.look_again().await;
                } else {
                    tracing::info!("there is no mapping file to load again");
                }
            }
            () = web::stopped(&mut stop) => return,
        }
    }
}

async fn sweep(broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {
                if let Err(error) = broker.sweep().await {
                    tracing::warn!(error = chain(&error), "ended sessions could not be swept");
                }
            }
            () = web::stopped(&mut stop) => return,
        }
    }
}

/// Runs the server until SIGTERM or SIGINT. Calls `announce` once it can be reached.
pub async fn serve(
    config: Config,
    clock: Arc<dyn Clock>,
    announce: impl FnOnce(),
) -> Result<(), StartError> {
    let listener = listen("server.listen", config.server.listen).await?;
    let operations = listen("server.operations_listen", config.server.operations_listen).await?;
    let application = Application::new(&config, clock).await?;
    let (stopper, stop) = watch::channel(false);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        url = %config.public_url.url(),
        listen = %config.server.listen,
        "ready"
    );
    announce();
    let stopping = async {
        stop_signal().await;
        tracing::info!("stopping");
        // Fails only when the server has ended already.
        let _ = stopper.send(true);
    };
    tokio::join!(application.run(listener, operations, stop), stopping);
    Ok(())
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            key,
            address: address.to_string(),
            source,
        })
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn web_settings(config: &Config) -> web::Settings {
    let organisation = &config.organisation;
    web::Settings {
        is_secure: config.public_url.is_secure(),
        origin: config.public_url.origin(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        body_limit: config.server.body_limit,
        request_timeout: config.server.request_timeout,
        organisation: organisation.name.clone().unwrap_or_default(),
        notice: organisation.notice.clone(),
        help_url: organisation.help_url.clone(),
        environments: organisation
            .environments
            .iter()
            .map(|rule| web::EnvironmentRule {
                name: rule.name.clone(),
                pattern: rule.pattern.clone(),
                colour: rule.colour.name().to_owned(),
            })
            .collect(),
        table_text: table_text(config),
    }
}

/// A finding in a text without a name.
fn in_words(finding: &config::Finding) -> String {
    let place = finding
        .line
        .map_or_else(String::new, |line| format!("line {line}: "));
    if finding.key.is_empty() {
        format!("{place}{}", finding.message)
    } else {
        format!("{place}{}: {}", finding.key, finding.message)
    }
}

/// The mapping file's form, for the pages, which do not know the configuration.
fn table_text(config: &Config) -> web::TableText {
    let forms = group_forms(config);
    web::TableText {
        read: Arc::new(move |text| {
            MappingFile::parse(text, Path::new("text"), &forms)
                .map(|rows| rows.into_tables(0))
                .map_err(|findings| findings.0.iter().map(in_words).collect())
        }),
        to_toml: config::mapping_file::to_toml,
        to_json_lines: config::mapping_file::to_json_lines,
    }
}

fn tls(files: &config::TlsFiles) -> Result<Arc<rustls::ServerConfig>, StartError> {
    let file = |path: &Path, message: String| StartError::File {
        path: path.display().to_string(),
        message,
    };
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect);
    let certificates = certificates.map_err(|error| file(&files.certificate, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| file(&files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| file(&files.certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| file(&files.key, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(path: &std::path::PathBuf) -> Result<Vec<u8>, StartError> {
    fs::read(path).map_err(|error| StartError::File {
        path: path.display().to_string(),
        message: error.to_string(),
    })
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
