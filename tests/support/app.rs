//! Rolegate itself, composed as in production, on random ports with a clock that tests move.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use rolegate::{
    app::{self, Application},
    audit::Actor,
    broker::Broker,
    clock::{Clock as _, FixedClock, SystemClock},
    config::{Config, mapping_file::MappingFile},
    demo::{
        aws::{Catalogue, StandIn},
        directory::{Directory, RunningDirectory},
        sample,
    },
    store::sql::SqlStore,
    store::{
        AuditFilter, AuditLog as _, AuditRow, Change, EditContext, PolicyStore as _,
        SignInSessions as _,
    },
};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use url::Url;

use super::{cookie_browser::CookieBrowser, temporary_dir};

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A running Rolegate with the sample directory, the stand-in for AWS and the sample table.
pub struct TestApp {
    /// What browsers see.
    pub url: Url,
    /// `/metrics`, `/healthz`, `/readyz`.
    pub operations_url: Url,
    /// The sample directory.
    pub directory: RunningDirectory,
    /// The stand-in for AWS.
    pub aws: StandIn,
    /// The clock that sessions, groups and mappings are judged by; starts at the real time.
    pub clock: Arc<FixedClock>,
    /// A second handle on the same database, as the command line would have.
    pub store: Arc<SqlStore>,
    /// The configuration it runs with.
    pub config: Config,
    /// The use-cases of the running server.
    pub broker: Arc<Broker>,
    /// The folder with the database and the credentials.
    pub dir: tempfile::TempDir,
    stop: watch::Sender<bool>,
    running: Option<JoinHandle<()>>,
}

/// What a test changes before the start.
#[derive(Default)]
pub struct Options {
    /// Overrides by environment name without `ROLEGATE_`, such as `SIGN_IN_SESSION__IDLE_TIMEOUT`.
    pub overrides: Vec<(String, String)>,
    /// The table instead of the sample one.
    pub mapping_toml: Option<String>,
    /// The directory instead of the sample one.
    pub directory: Option<Directory>,
    /// The stand-in's catalogue instead of the sample one.
    pub catalogue: Option<Catalogue>,
    /// The stand-in's clock instead of the system's.
    pub aws_clock: Option<rolegate::demo::aws::Clock>,
    /// The address instead of a random one, for somebody who has to know it beforehand.
    pub address: Option<SocketAddr>,
    /// Tables behind those of `config/demo.toml`, such as `[[connector]]`.
    pub more_toml: String,
}

impl TestApp {
    /// Starts with the samples.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts with some overrides.
    pub async fn start_overriding(overrides: &[(&str, &str)]) -> Self {
        let overrides = overrides
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Self::start_with(Options {
            overrides,
            ..Options::default()
        })
        .await
    }

    /// Starts with what the test wants.
    pub async fn start_with(options: Options) -> Self {
        let dir = temporary_dir("app");
        let directory = options
            .directory
            .unwrap_or_else(Directory::sample)
            .start(LOOPBACK)
            .unwrap();
        let catalogue = options.catalogue.unwrap_or_else(Catalogue::sample);
        let aws = match options.aws_clock {
            Some(clock) => StandIn::start_with_clock(catalogue, LOOPBACK, clock),
            None => StandIn::start(catalogue, LOOPBACK),
        };
        let aws = aws.unwrap();
        let listener = TcpListener::bind(options.address.unwrap_or(LOOPBACK));
        let listener = listener.await.unwrap();
        let operations = TcpListener::bind(LOOPBACK).await.unwrap();
        let url = origin(&listener);
        let operations_url = origin(&operations);
        let mut environment = base_environment(&dir, &directory, &aws, &url);
        environment.extend(
            options
                .overrides
                .into_iter()
                .map(|(key, value)| (format!("ROLEGATE_{key}"), value)),
        );
        let config = configuration(&options.more_toml, environment);
        let store = app::open_store(&config).await.unwrap();
        let toml = options.mapping_toml.unwrap_or_else(sample::mapping_toml);
        import(&config, &store, &toml).await;
        let clock = Arc::new(FixedClock::new(SystemClock.now()));
        let application = Application::new(&config, clock.clone()).await.unwrap();
        let broker = Arc::clone(application.broker());
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(application.run(listener, operations, stopped));
        Self {
            url,
            operations_url,
            directory,
            aws,
            clock,
            store,
            config,
            broker,
            dir,
            stop,
            running: Some(running),
        }
    }

    /// Ends the server and starts it again on the same address with the same database.
    pub async fn restart(&mut self) {
        self.shut_down().await;
        let listener = TcpListener::bind(address(&self.url)).await.unwrap();
        let operations = TcpListener::bind(address(&self.operations_url))
            .await
            .unwrap();
        let application = Application::new(&self.config, self.clock.clone())
            .await
            .unwrap();
        self.broker = Arc::clone(application.broker());
        let (stop, stopped) = watch::channel(false);
        self.running = Some(tokio::spawn(application.run(listener, operations, stopped)));
        self.stop = stop;
    }

    /// Asks the server to stop and waits until it has.
    pub async fn shut_down(&mut self) {
        let _ = self.stop.send(true);
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    /// Starts another server on the same configuration, database and clock, which ends with this
    /// one; returns its address, which is not the public one.
    pub async fn start_replica(&self) -> Url {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let operations = TcpListener::bind(LOOPBACK).await.unwrap();
        let url = origin(&listener);
        let application = Application::new(&self.config, self.clock.clone()).await;
        let stopped = self.stop.subscribe();
        tokio::spawn(application.unwrap().run(listener, operations, stopped));
        url
    }

    /// A new browser without cookies.
    pub fn browser(&self) -> CookieBrowser {
        CookieBrowser::new(self.url.clone())
    }

    /// A browser in which a sample person has signed in.
    pub async fn signed_in(&self, username: &str) -> CookieBrowser {
        let mut browser = self.browser();
        let answer = browser.sign_in(username, &format!("{username}-demo")).await;
        assert_eq!(
            answer.status, 303,
            "{username} could not sign in: {}",
            answer.body
        );
        browser
    }

    /// All audit rows, newest first.
    pub async fn audit_rows(&self) -> Vec<AuditRow> {
        let filter = AuditFilter {
            limit: 1_000,
            ..AuditFilter::default()
        };
        self.store.audit_rows(&filter).await.unwrap()
    }

    /// The newest audit row as JSON.
    pub async fn last_audit_event(&self) -> serde_json::Value {
        serde_json::to_value(&self.audit_rows().await[0].event).unwrap()
    }

    /// The metrics in text form.
    pub async fn metrics(&self) -> String {
        self.operations("metrics").await.1
    }

    /// Status and body of an operations page.
    pub async fn operations(&self, path: &str) -> (u16, String) {
        let url = self.operations_url.join(path).unwrap();
        let response = super::cookie_browser::client()
            .get(url)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The handles of a sample person's sign-in sessions, newest first.
    pub async fn store_sessions(&self, username: &str) -> Vec<String> {
        let rows = self.audit_rows().await;
        let subject = rows.iter().find_map(|row| match &row.event.actor {
            Actor::Person {
                subject,
                username: Some(name),
                ..
            } if name == username => subject.clone(),
            _ => None,
        });
        let sessions = self
            .store
            .sessions_of("corp", &subject.unwrap())
            .await
            .unwrap();
        sessions
            .into_iter()
            .map(|session| session.id_hash)
            .collect()
    }

    /// Changes the table as the host's command line does.
    pub async fn edit(&self, changes: Vec<Change>) {
        self.store.apply(changes, &context()).await.unwrap();
    }

    /// Keeps everybody else from writing to the database until the value is dropped.
    pub async fn lock_database(&self) -> SqliteConnection {
        let url = format!("sqlite://{}", self.database().display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        connection
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.dir.path().join("rolegate.db")
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// Who the tests are when they edit the table.
pub fn context() -> EditContext {
    EditContext::new(Actor::Host { uid: 0 }, SystemClock.now())
}

/// Puts a whole mapping file into the store.
pub async fn import(config: &Config, store: &SqlStore, toml: &str) {
    let forms = app::group_forms(config);
    let tables = MappingFile::parse(toml, "sample.toml".as_ref(), &forms).unwrap();
    let accounts = tables.accounts.into_iter().map(Change::PutAccount);
    let roles = tables
        .roles
        .into_iter()
        .map(|role| Change::PutRole(Box::new(role)));
    let mappings = tables.mappings.into_iter().map(Change::PutMapping);
    let rules = tables.rules.into_iter().map(Change::PutRule);
    let changes = accounts.chain(roles).chain(mappings).chain(rules).collect();
    store.apply(changes, &context()).await.unwrap();
}

fn base_environment(
    dir: &tempfile::TempDir,
    directory: &RunningDirectory,
    aws: &StandIn,
    url: &Url,
) -> BTreeMap<String, String> {
    let keys = dir.path().join("aws.env");
    let text = format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
        sample::BROKER_ACCESS_KEY_ID,
        sample::BROKER_SECRET_ACCESS_KEY
    );
    std::fs::write(&keys, text).unwrap();
    let database = dir.path().join("rolegate.db");
    [
        ("PUBLIC_URL", url.to_string()),
        ("STORE__URL", format!("sqlite://{}", database.display())),
        ("CONNECTOR__CORP__URLS", directory.url()),
        (
            "CONNECTOR__CORP__BIND_PASSWORD",
            sample::SERVICE_PASSWORD.to_owned(),
        ),
        ("AWS__STS_ENDPOINT", aws.url().to_string()),
        ("AWS__IAM_ENDPOINT", aws.url().to_string()),
        ("AWS__ORGANIZATIONS_ENDPOINT", aws.url().to_string()),
        ("AWS__SIGN_IN_ENDPOINT", aws.federation_url().to_string()),
        ("AWS__SAML_ENDPOINT", aws.saml_url().to_string()),
        ("AWS__CONSOLE_URL", aws.console_url().to_string()),
        // Rounds are what tests ask for.
        ("PROBE__EVERY", "off".to_owned()),
        (
            "AWS__CREDENTIAL_SOURCE__DEFAULT__TYPE",
            "environment-file".to_owned(),
        ),
        (
            "AWS__CREDENTIAL_SOURCE__DEFAULT__PATH",
            keys.display().to_string(),
        ),
    ]
    .into_iter()
    .map(|(key, value)| (format!("ROLEGATE_{key}"), value))
    .collect()
}

fn configuration(more: &str, environment: BTreeMap<String, String>) -> Config {
    let file = "config/demo.toml";
    let text = format!("{}\n{more}", include_str!("../../config/demo.toml"));
    match Config::parse(&text, file.as_ref(), environment) {
        Ok(loaded) => loaded.config,
        Err(findings) => panic!("the test's configuration is wrong:\n{findings}"),
    }
}

fn origin(listener: &TcpListener) -> Url {
    format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap()
}

fn address(url: &Url) -> SocketAddr {
    url.socket_addrs(|| None).unwrap()[0]
}
