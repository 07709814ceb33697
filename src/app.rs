//! The composition root: from a [`Config`] to a running server.
//!
//! The only place that names concrete adapters. Entry points: [`serve`], [`Application`].

use std::{collections::HashMap, fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use thiserror::Error;
use tokio::{net::TcpListener, sync::watch};
use url::Url;

use crate::{
    access::{
        ConnectorId, GrantMethod, GroupKeyForm, PolicySettings, PolicyTables, RoleDefaults,
        SessionDuration,
    },
    aws::{Sts, sign_in, sts},
    broker::{Adapters, Broker, BrokerSettings},
    clock::Clock,
    config::{self, Config, ConnectorKind, CredentialSourceKind, mapping_file::MappingFile},
    identity::{Connector, ldap},
    store::{StoreError, sql::SqlStore},
    telemetry::Metrics,
    web,
};

/// How often ended sign-in sessions are swept away.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

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

/// How the groups of each connector are compared.
pub fn group_forms(config: &Config) -> HashMap<ConnectorId, GroupKeyForm> {
    config
        .connectors
        .iter()
        .filter_map(|connector| {
            let form = match connector.kind {
                ConnectorKind::Ldap(_) => GroupKeyForm::DistinguishedName,
            };
            Some((connector.id.parse().ok()?, form))
        })
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
            console: None,
        },
        session_name: config.aws.session_name.clone(),
        source_identity: config.aws.source_identity.clone(),
        ..PolicySettings::default()
    }
}

/// The ways to sign in, without any connection made.
pub fn connectors(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Connector>, StartError> {
    config
        .connectors
        .iter()
        .map(|connector| match &connector.kind {
            ConnectorKind::Ldap(settings) => {
                let key = format!("connector.{}", connector.id);
                let settings = ldap_settings(connector, settings, &key)?;
                ldap::LdapConnector::new(settings, Arc::clone(clock))
                    .map(|connector| Connector::Password(Box::new(connector)))
                    .map_err(|error| StartError::Setting {
                        key,
                        message: chain(&error),
                    })
            }
        })
        .collect()
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

fn broker_settings(config: &Config) -> Result<BrokerSettings, StartError> {
    let session = &config.sign_in_session;
    let change_urls = config.connectors.iter().filter_map(|connector| {
        let ConnectorKind::Ldap(ldap) = &connector.kind;
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
        password_change_urls: change_urls.collect(),
        policy: policy_settings(config),
        file_tables: file_tables(config)?,
    })
}

/// The rows of `[mappings] file`; a broken file keeps the server from starting.
pub fn file_tables(config: &Config) -> Result<PolicyTables, StartError> {
    let Some(path) = &config.mappings_file else {
        return Ok(PolicyTables::default());
    };
    let text = String::from_utf8(read(path)?).map_err(|_| StartError::File {
        path: path.display().to_string(),
        message: "is not UTF-8".to_owned(),
    })?;
    let rows =
        MappingFile::parse(&text, path, &group_forms(config)).map_err(StartError::Mappings)?;
    Ok(rows.into_tables(0))
}

/// A broker with its doors, not yet open.
#[expect(missing_debug_implementations, reason = "routers and trait objects")]
pub struct Application {
    broker: Arc<Broker>,
    pages: axum::Router,
    operations: axum::Router,
    tls: Option<Arc<rustls::ServerConfig>>,
    drain: Duration,
}

impl Application {
    /// Builds every adapter, opens the store and closes what a crash left open.
    pub async fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let store = open_store(config).await?;
        let sign_in = sign_in::FederationSignIn::new(sign_in::Settings {
            endpoint: config.aws.sign_in_endpoint.clone(),
            call_timeout: config.aws.call_timeout,
        })
        .map_err(|error| StartError::Setting {
            key: "aws.sign_in_endpoint".to_owned(),
            message: chain(&error),
        })?;
        let adapters = Adapters {
            connectors: connectors(config, &clock)?,
            sts: sts(config).await?,
            sign_in: Arc::new(sign_in),
            policy: store.clone(),
            sessions: store.clone(),
            conversations: store.clone(),
            people: store.clone(),
            audit: store.clone(),
            health: store,
            clock,
        };
        let broker = Arc::new(Broker::new(adapters, broker_settings(config)?));
        broker
            .start()
            .await
            .map_err(|source| store_error(config, source))?;
        let metrics = Metrics::install();
        Ok(Self {
            pages: web::router(Arc::clone(&broker), web_settings(config)),
            operations: web::operations::router(
                Arc::clone(&broker),
                Arc::new(move || metrics.render()),
            ),
            broker,
            tls: config.server.tls.as_ref().map(tls).transpose()?,
            drain: config.server.drain_timeout,
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
        let pages = web::serve(listener, self.tls, self.pages, stop.clone(), self.drain);
        let operations = web::serve(operations, None, self.operations, stop, self.drain);
        tokio::join!(warm_up, pages, operations, sweep);
    }
}

/// Asks AWS once who we are, so that the first person meets the right limits.
async fn warm_up(broker: Arc<Broker>) {
    broker.learn_callers().await;
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
