//! `rolegate demo`: the production program against a sample directory and a stand-in for AWS.
//!
//! Everything it starts listens on loopback, and its folder goes with it. Entry point: [`run`].

use std::{
    env, fs,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    Failure,
    failure::with_causes,
    import::{self, Kind},
    output::Table,
};
use crate::{
    app,
    audit::Actor,
    aws::issuer::keys,
    clock::{self, Clock, SystemClock},
    config::{Config, mapping_file::MappingFile},
    demo::{
        aws::{Catalogue, StandIn},
        directory::{Directory, RunningDirectory},
        sample, staff,
        ways::{self, Vouching},
    },
    store::{EditContext, PolicyStore},
    telemetry,
};

/// The configuration of the demo; only addresses and paths are put over it.
const CONFIGURATION: &str = include_str!("../../config/demo.toml");
/// How long the issuer's certificate is good for, so that nothing warns of its end.
const ISSUER_DAYS: u32 = 365;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to serve the pages; loopback alone, for the passwords are known to everybody
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    #[arg(value_parser = loopback)]
    listen: SocketAddr,
    /// What to log: error, warn, info, debug or trace, also by module as in info,rolegate=debug
    #[arg(
        long,
        value_name = "FILTER",
        env = "ROLEGATE_LOG",
        hide_env_values = true,
        default_value = "warn"
    )]
    log: String,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "write ADDRESS:PORT, such as 127.0.0.1:8080".to_owned())?;
    if !address.ip().is_loopback() {
        return Err(
            "the demo listens on 127.0.0.1 or [::1] alone: everybody knows its passwords"
                .to_owned(),
        );
    }
    Ok(address)
}

/// A folder of our own that goes with the value.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("rolegate-demo-{}", Uuid::new_v4()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What is left is in the temporary folder, whose owner sweeps it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What runs beside Rolegate.
struct Surroundings {
    directory: RunningDirectory,
    aws: StandIn,
    folder: TemporaryFolder,
}

impl Surroundings {
    fn start() -> io::Result<Self> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let directory = Directory::sample();
        staff::join(&directory);
        Ok(Self {
            directory: directory.start(any_port)?,
            aws: StandIn::start(Catalogue::sample(), any_port)?,
            folder: TemporaryFolder::create()?,
        })
    }

    /// The keys that the stand-in knows the broker by, in a file of the folder.
    fn write_keys(&self) -> io::Result<PathBuf> {
        let keys = format!(
            "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
            sample::BROKER_ACCESS_KEY_ID,
            sample::BROKER_SECRET_ACCESS_KEY
        );
        self.write("aws.env", keys.as_bytes())
    }

    /// New keys of the issuer in files of the folder, and the section of the configuration that
    /// names them.
    fn write_issuer(&self) -> io::Result<String> {
        let saml = keys::new_saml_key(None, SystemClock.now(), ISSUER_DAYS);
        let saml = saml.map_err(io::Error::other)?;
        let oidc = keys::new_oidc_key(None).map_err(io::Error::other)?;
        let certificate = saml.certificate_pem.unwrap_or_default();
        let files = [
            self.write("issuer-saml.key", &saml.key_pem)?,
            self.write("issuer-saml.crt", &certificate)?,
            self.write("issuer-oidc.key", &oidc.key_pem)?,
        ];
        let [saml_key, certificate, oidc_key] =
            files.map(|path| toml::Value::from(path.display().to_string()));
        Ok(format!(
            "\n[issuer]\n\
             saml_keys = [{{ key_file = {saml_key}, certificate_file = {certificate} }}]\n\
             oidc_keys = [{{ key_file = {oidc_key} }}]\n"
        ))
    }

    /// A new file of the folder, for its owner alone.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.folder.0.join(name);
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        options.open(&path)?.write_all(content)?;
        Ok(path)
    }

    /// Lets the accounts of the stand-in trust the issuer.
    fn trust_issuer(&self, config: &Config) -> Result<(), Failure> {
        let cannot = |error: &dyn std::error::Error| Failure::Refused(with_causes(error));
        let issuer = app::issuer::issuer(config, &clock::system()).map_err(|e| cannot(&e))?;
        let Some((issuer, metadata)) =
            issuer.and_then(|issuer| issuer.saml_metadata().map(|metadata| (issuer, metadata)))
        else {
            return Ok(());
        };
        let vouching = Vouching {
            name: issuer.name(),
            metadata: &metadata,
            audience: issuer.token_audience(),
            recipient: &self.aws.saml_url(),
        };
        let mut outcome = Ok(());
        self.aws
            .update(|catalogue| match ways::join(catalogue.clone(), vouching) {
                Ok(joined) => *catalogue = joined,
                Err(error) => outcome = Err(Failure::Refused(error)),
            });
        outcome
    }

    /// The values of the configuration that are known only now, as environment variables.
    fn overrides(&self, listen: SocketAddr, keys: &Path) -> Vec<(&'static str, String)> {
        let database = self.folder.0.join("rolegate.db");
        vec![
            ("ROLEGATE_PUBLIC_URL", format!("http://{listen}")),
            ("ROLEGATE_SERVER__LISTEN", listen.to_string()),
            (
                "ROLEGATE_STORE__URL",
                format!("sqlite://{}", database.display()),
            ),
            ("ROLEGATE_CONNECTOR__CORP__URLS", self.directory.url()),
            (
                "ROLEGATE_CONNECTOR__CORP__BIND_PASSWORD",
                sample::SERVICE_PASSWORD.to_owned(),
            ),
            ("ROLEGATE_AWS__STS_ENDPOINT", self.aws.url().to_string()),
            ("ROLEGATE_AWS__IAM_ENDPOINT", self.aws.url().to_string()),
            (
                "ROLEGATE_AWS__ORGANIZATIONS_ENDPOINT",
                self.aws.url().to_string(),
            ),
            (
                "ROLEGATE_AWS__SAML_ENDPOINT",
                self.aws.saml_url().to_string(),
            ),
            ("ROLEGATE_AWS__READ_ROLE", ways::READ_ROLE.to_owned()),
            ("ROLEGATE_AWS__REVOKER_ROLE", ways::REVOKER_ROLE.to_owned()),
            (
                "ROLEGATE_AWS__SIGN_IN_ENDPOINT",
                self.aws.federation_url().to_string(),
            ),
            (
                "ROLEGATE_AWS__CONSOLE_URL",
                self.aws.console_url().to_string(),
            ),
            (
                "ROLEGATE_AWS__CREDENTIAL_SOURCE__DEFAULT__TYPE",
                "environment-file".to_owned(),
            ),
            (
                "ROLEGATE_AWS__CREDENTIAL_SOURCE__DEFAULT__PATH",
                keys.display().to_string(),
            ),
        ]
    }
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let listen = free_address(arguments.listen)?;
    let cannot_start =
        |error: io::Error| Failure::Refused(format!("the demo cannot start: {error}"));
    let surroundings = Surroundings::start().map_err(cannot_start)?;
    let keys = surroundings.write_keys().map_err(cannot_start)?;
    let overrides = surroundings.overrides(listen, &keys);
    let file = Path::new("config/demo.toml");
    let text = CONFIGURATION.to_owned() + &surroundings.write_issuer().map_err(cannot_start)?;
    let loaded = Config::parse(&text, file, overrides).map_err(Failure::Configuration)?;
    surroundings.trust_issuer(&loaded.config)?;
    fill_store(&loaded.config).await?;
    telemetry::init(&arguments.log);
    // Where nobody reads there is nobody to introduce it to.
    let announce = || drop(introduce(listen, &mut io::stdout().lock()));
    app::serve(loaded.config, Arc::new(SystemClock), announce)
        .await
        .map_err(|error| Failure::Refused(with_causes(&error)))
}

/// The address to serve at, with a port that is free now.
fn free_address(wanted: SocketAddr) -> Result<SocketAddr, Failure> {
    let taken = |error: io::Error| {
        let port = wanted.port();
        Failure::Refused(if error.kind() == io::ErrorKind::AddrInUse {
            format!(
                "port {port} is taken; choose another with --listen {}:PORT",
                wanted.ip()
            )
        } else {
            format!("{wanted} cannot be listened on ({error}); choose another with --listen")
        })
    };
    TcpListener::bind(wanted)
        .and_then(|listener| listener.local_addr())
        .map_err(taken)
}

/// Puts the sample's accounts, roles and mappings into the new store.
async fn fill_store(config: &Config) -> Result<(), Failure> {
    let cannot = |error: &dyn std::error::Error| Failure::Refused(with_causes(error));
    let store = app::open_store(config)
        .await
        .map_err(|error| cannot(&error))?;
    let now = SystemClock.now();
    let text = staff::mapping_toml(now) + &ways::mapping_toml();
    let rows = MappingFile::parse(&text, Path::new("sample"), &app::group_forms(config))
        .map_err(|findings| cannot(&findings))?;
    let mut tables = rows.into_tables(0);
    for account in &mut tables.accounts {
        account.protected = account.id.as_str() == staff::PROTECTED_ACCOUNT;
    }
    let context = EditContext {
        reason: Some("the demo's sample".to_owned()),
        ..EditContext::new(Actor::System, now)
    };
    store
        .apply(import::changes(Kind::Mapping, tables), &context)
        .await?;
    store.close().await;
    Ok(())
}

/// What a person needs to try it.
fn introduce(listen: SocketAddr, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(
        out,
        "Rolegate is at http://{listen}\n\nSign in as one of these:\n"
    )?;
    let mut people = Table::new(&["USERNAME", "PASSWORD", "WHO"]);
    for person in sample::PEOPLE.iter().chain(&staff::PEOPLE) {
        people.push([
            person.username.to_owned(),
            person.password.to_owned(),
            format!("{}: {}", person.name, person.note),
        ]);
    }
    people.write(out)?;
    writeln!(
        out,
        "\ngrace may edit the table at http://{listen}/helpdesk; mappings of Payments production wait\n\
         there until annie approves them. katherine reads the log at http://{listen}/audit.\n\
         ada's roles Keyless, Vouched and WebIdentity of Payments development are opened by Rolegate's own\n\
         word instead of AWS keys; Uploads of Shared services is her own folder of a bucket; Broken cannot\n\
         be opened, which Rolegate notices by itself within two minutes.\n\n\
         The directory, AWS and its console are made up and on this machine alone. Ctrl-C ends it."
    )?;
    Ok(out.flush()?)
}
