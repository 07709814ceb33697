//! The configuration: a TOML file, environment overrides, and the typed [`Config`] they make.
//!
//! Every problem of a file is reported at once, each with its key, its line and what would be
//! right; an unknown key is a problem. Nothing here opens a socket or logs, and no secret is ever
//! part of a finding. Entry point: [`Config::load`].

mod address;
mod api;
mod audit;
mod aws;
mod connector;
mod document;
mod environment;
mod finding;
mod issuer;
mod ldap;
pub mod mapping_file;
mod oidc;
mod organisation;
mod preset;
mod probe;
pub(crate) mod reader;
mod report;
mod saml;
mod secret_file;
mod server;
mod template;
mod tokens;
mod trusted_issuer;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

pub use address::AddressError;
pub use api::Api;
pub use audit::{Audit, AuditStream};
pub use aws::{
    Aws, CredentialSource, CredentialSourceKind, GRANT_METHODS, RoleDefaults, TEMPLATE_PLACEHOLDERS,
};
pub use connector::{Connector, ConnectorKind};
pub use finding::{Finding, Findings, Severity};
pub use issuer::{Issuer, IssuerKey};
pub use ldap::{Bind, DirectoryKind, GroupStrategy, Ldap, LdapUrl, UserAttributes};
pub use oidc::{OIDC_ALGORITHMS, Oidc, OidcClaims, OidcPassThrough, TokenAuth};
pub use organisation::{Access, AccessScope, Colour, EnvironmentRule, Organisation};
pub use probe::Probe;
use reader::Section;
pub use saml::{
    APPLICATION_PLACEHOLDERS, KeyPair, MetadataSource, NAME_ID, OfferedRoles, RequestBinding, Saml,
    SamlAttributes,
};
pub use server::{PublicUrl, Server, SignInSession, Store, TlsFiles};
pub use tokens::Tokens;
pub use trusted_issuer::{RequiredClaim, TokenClaims, TokenVerification, TrustedIssuer};

/// Everything an operator can decide, checked; safe to print with `Debug`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address browsers see.
    pub public_url: PublicUrl,
    /// Listeners and the limits of a request.
    pub server: Server,
    /// Where state is kept.
    pub store: Store,
    /// How long a sign-in and its groups last.
    pub sign_in_session: SignInSession,
    /// Names, notices and colours of the pages.
    pub organisation: Organisation,
    /// Which groups may do what in Rolegate itself.
    pub access: Access,
    /// The directories people sign in with, in the order of the file; at least one.
    pub connectors: Vec<Connector>,
    /// How AWS is reached.
    pub aws: Aws,
    /// How Rolegate vouches for people itself, where it does.
    pub issuer: Option<Issuer>,
    /// What holds for roles that do not say.
    pub role_defaults: RoleDefaults,
    /// A file of accounts, roles and mappings that is loaded at start.
    pub mappings_file: Option<PathBuf>,
    /// Where the audit log goes beside the store, and how it is signed.
    pub audit: Audit,
    /// How often and how fast roles are looked at.
    pub probe: Probe,
    /// How often one caller of the API may ask.
    pub api: Api,
    /// What clients are given so that they can act for a person without a browser.
    pub tokens: Tokens,
    /// Whose tokens applications may bring.
    pub trusted_issuers: Vec<TrustedIssuer>,
    /// SHA-256 of the file's text, in hexadecimal; overrides are not part of it.
    pub fingerprint: String,
}

/// A configuration that can be used, and what was noticed on the way.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file it came from.
    pub file: PathBuf,
    /// Findings of severity [`Severity::Warning`].
    pub warnings: Vec<Finding>,
}

/// The folder that systemd keeps a service's credentials in (systemd.exec, "Credentials").
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where the configuration is looked for when neither a path nor `ROLEGATE_CONFIG` says.
pub const DEFAULT_FILE: &str = "config/rolegate.toml";

impl Config {
    /// Reads the configuration from `path`, the file that `ROLEGATE_CONFIG` names, or
    /// [`DEFAULT_FILE`], then puts the overrides of `environment` over it.
    ///
    /// `environment` is meant to be [`std::env::vars_os`]; files that the configuration names are
    /// opened to see that they can be read.
    ///
    /// # Errors
    /// Every finding, when one of them is an error.
    pub fn load<N: Into<OsString>, V: Into<OsString>>(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Loaded, Findings> {
        let environment: Vec<(OsString, OsString)> = environment
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let named = environment
            .iter()
            .find(|(name, _)| name == "ROLEGATE_CONFIG");
        let file = path
            .map(Path::to_owned)
            .or_else(|| named.map(|(_, value)| PathBuf::from(value)))
            .unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        Self::parse(&text, &file, environment)
    }

    /// Reads the configuration from a text that came from `file`.
    ///
    /// # Errors
    /// Every finding, when one of them is an error.
    pub fn parse<N: Into<OsString>, V: Into<OsString>>(
        text: &str,
        file: &Path,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Loaded, Findings> {
        let environment: Vec<(OsString, OsString)> = environment
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let credentials = environment
            .iter()
            .find(|(name, _)| name == CREDENTIALS_DIRECTORY)
            .map(|(_, value)| PathBuf::from(value));
        let (config, warnings) = reader::read(
            text,
            file,
            |document, report| environment::apply(environment, document, report),
            |top| Self::read(top, credentials.as_deref()),
        )?;
        let file = file.to_owned();
        match config {
            Some(config) => Ok(Loaded {
                config: Self {
                    fingerprint: hex::encode(digest(&SHA256, text.as_bytes())),
                    ..config
                },
                file,
                warnings,
            }),
            // A section that reads as nothing has reported why; this is for the day one does not.
            None => Err(Findings(vec![Finding::about_file(&file, "cannot be used")])),
        }
    }

    fn read(top: &mut Section<'_>, credentials: Option<&Path>) -> Option<Self> {
        top.demand(
            "public_url",
            "the address browsers see, such as \"https://aws.example.com\"",
        );
        let public_url = top.parsed("public_url", str::parse::<PublicUrl>);
        let (connectors, connector_ids) = Connector::read_all(top);
        let (trusted_issuers, issuer_ids) = TrustedIssuer::read_all(top, &connector_ids);
        // Both vouch for people, whose groups begin with their ids.
        let vouching_ids = [connector_ids, issuer_ids].concat();
        let aws = top.table("aws", |section| Aws::read(section, vouching_ids.len()));
        let has_issuer = top.has("issuer");
        let issuer = top.table("issuer", |section| {
            Issuer::read(section, has_issuer, public_url.as_ref(), credentials)
        });
        let sign_in_timeout = connectors.iter().map(Connector::sign_in_timeout).max();
        let sign_in_timeout = sign_in_timeout.unwrap_or_default();
        let source_ids = aws.as_ref().map(Aws::source_ids);
        let config = Self {
            server: top.table("server", |section| Server::read(section, sign_in_timeout)),
            store: top.table("store", Store::read),
            sign_in_session: top.table("sign_in_session", SignInSession::read),
            organisation: top.table("organisation", Organisation::read),
            access: top.table("access", |section| Access::read(section, &vouching_ids)),
            role_defaults: top.table("role_defaults", |section| {
                RoleDefaults::read(section, source_ids.as_deref())
            }),
            mappings_file: top.table("mappings", |section| section.readable_file("file")),
            audit: top.table("audit", Audit::read),
            issuer,
            probe: top.table("probe", Probe::read),
            api: top.table("api", Api::read),
            tokens: top.table("tokens", Tokens::read),
            trusted_issuers,
            fingerprint: String::new(),
            public_url: public_url?,
            connectors,
            aws: aws?,
        };
        Some(config)
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> Findings {
    let message = format!(
        "cannot be read ({error}); name the configuration with --config FILE or ROLEGATE_CONFIG"
    );
    Findings(vec![Finding::about_file(file, message)])
}
