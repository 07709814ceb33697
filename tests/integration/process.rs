//! The built program as an operator runs it: a hand-written file, real servers, `kill -9`.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use rolegate::{
    audit::Outcome,
    demo::{
        aws::{Catalogue, Fault, FederationFault, StandIn, StsFault},
        directory::{self, Directory, RunningDirectory},
        sample,
    },
    store::{AuditFilter, AuditLog as _, ChainStatus, sql::SqlStore},
};
use serde_json::Value;

use crate::support::{
    children,
    cookie_browser::CookieBrowser,
    process::Process,
    slapd::{self, Slapd},
    temporary_dir,
};

pub(crate) const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The sample directory, the stand-in for AWS and the program between them.
pub(crate) struct Installation {
    pub(crate) process: Process,
    pub(crate) aws: StandIn,
    pub(crate) directory: RunningDirectory,
    pub(crate) dir: tempfile::TempDir,
}

impl Installation {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// With tables behind those of the usual configuration.
    pub(crate) fn start_with(more: &str) -> Self {
        let dir = temporary_dir("process");
        let directory = Directory::sample().start(LOOPBACK).unwrap();
        let aws = StandIn::start(Catalogue::sample(), LOOPBACK).unwrap();
        write_broker_keys(dir.path());
        let mapping = dir.path().join("table.toml");
        std::fs::write(&mapping, sample::mapping_toml()).unwrap();
        let connector = format!(
            r#"
            urls = ["{}"]
            bind_dn = "{}"
            bind_password = "{}"
            user_base = "{}"
            group_base = "{}"
            "#,
            directory.url(),
            sample::SERVICE_DN,
            sample::SERVICE_PASSWORD,
            sample::PEOPLE_BASE,
            sample::GROUPS_BASE
        );
        let process = Process::start(dir.path(), |a, b| {
            configuration(dir.path(), (a, b), &connector, &aws) + more
        });
        run(&process, &["mapping", "import", mapping.to_str().unwrap()]);
        Self {
            process,
            aws,
            directory,
            dir,
        }
    }

    pub(crate) async fn store(&self) -> SqlStore {
        let path = self.dir.path().join("rolegate.db");
        SqlStore::open(&format!("sqlite://{}", path.display()))
            .await
            .unwrap()
    }
}

pub(crate) fn write_broker_keys(dir: &Path) {
    let text = format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
        sample::BROKER_ACCESS_KEY_ID,
        sample::BROKER_SECRET_ACCESS_KEY
    );
    std::fs::write(dir.join("aws.env"), text).unwrap();
}

fn configuration(
    dir: &Path,
    (listen, operations): (SocketAddr, SocketAddr),
    connector: &str,
    aws: &StandIn,
) -> String {
    let dir = dir.display();
    format!(
        r#"
        public_url = "http://{listen}"

        [server]
        listen = "{listen}"
        operations_listen = "{operations}"

        [store]
        url = "sqlite://{dir}/rolegate.db"

        [[connector]]
        id = "corp"
        type = "ldap"
        preset = "openldap"
        label = "Directory"
        {connector}

        [aws]
        default_region = "eu-west-1"
        sts_endpoint = "{}"
        sign_in_endpoint = "{}"
        console_url = "{}"

        [[aws.credential_source]]
        id = "default"
        type = "environment-file"
        path = "{dir}/aws.env"

        [role_defaults]
        max_duration = "4h"
        "#,
        aws.url(),
        aws.federation_url(),
        aws.console_url()
    )
}

/// Runs a command of the program and gives what it printed.
pub(crate) fn run(process: &Process, arguments: &[&str]) -> String {
    let mut command = process.command();
    command.args(arguments);
    children::run_or_panic("rolegate", &command, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_signs_in_through_real_slapd_and_the_session_holds_what_sts_issued() {
    let slapd = Slapd::start();
    let dir = temporary_dir("curl");
    let aws = StandIn::start(Catalogue::sample(), LOOPBACK).unwrap();
    write_broker_keys(dir.path());
    let connector = format!(
        r#"
        urls = ["{}"]
        ca_file = "{}"
        bind_dn = "{}"
        bind_password = "{}"
        user_base = "ou=people,{suffix}"
        group_base = "ou=groups,{suffix}"
        "#,
        slapd.ldaps_url(),
        slapd.ca_pem_path().display(),
        slapd::BIND_DN,
        slapd::BIND_PASSWORD,
        suffix = slapd::SUFFIX
    );
    let process = Process::start(dir.path(), |a, b| {
        configuration(dir.path(), (a, b), &connector, &aws)
    });
    run(&process, &["role", "add", SHOP_READER]);
    let group = format!("corp:{}", slapd::group_dn("aws-111111111111-readonly"));
    run(
        &process,
        &["mapping", "add", "--group", &group, "--role", SHOP_READER],
    );

    let script = format!(
        r#"
        set -eu
        jar='{dir}/cookies'; url='{url}'
        token() {{ sed -n 's/.*name="csrf_token" value="\([0-9a-f]*\)".*/\1/p' | head -n 1; }}
        csrf=$(curl -sS -c "$jar" -b "$jar" "$url/login" | token)
        curl -sS -o /dev/null -w '%{{http_code}}\n' -c "$jar" -b "$jar" "$url/login/corp" \
            --data-urlencode "csrf_token=$csrf" \
            --data-urlencode 'username=alice' --data-urlencode 'password={password}'
        csrf=$(curl -sS -c "$jar" -b "$jar" "$url/" | token)
        curl -sSL -o '{dir}/console.html' -w '%{{http_code}}\n' -c "$jar" -b "$jar" \
            "$url/console" --data-urlencode "csrf_token=$csrf" --data-urlencode 'role={SHOP_READER}'
        "#,
        dir = dir.path().display(),
        url = process.url.as_str().trim_end_matches('/'),
        password = slapd::password_of("alice"),
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]);
    let statuses = children::run_or_panic("curl", &shell, None);

    assert_eq!(statuses, "303\n200\n");
    let console = std::fs::read_to_string(dir.path().join("console.html")).unwrap();
    assert!(
        console.contains("222233334444") && console.contains("alice"),
        "{console}"
    );
    let issued = &aws.issued()[0];
    let session: Value = serde_json::from_str(&aws.sign_ins()[0].session).unwrap();
    assert_eq!(session["sessionId"], issued.access_key_id);
    assert_eq!(session["sessionKey"], issued.secret_access_key);
    assert_eq!(session["sessionToken"], issued.session_token);
}

/// How many answers each life of the program may give before it is killed; each number comes up.
const LIVES: u32 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn killed_a_hundred_times_in_a_storm_it_never_issues_without_a_record() {
    let mut installation = Installation::start();
    let mut browser = installation.process.browser();
    assert_eq!(browser.sign_in("linus", "linus-demo").await.status, 303);
    browser.get("/").await;
    let opened = Arc::new(Mutex::new(Vec::new()));
    for life in 0..LIVES {
        let tabs = storm(&installation, &browser, 1 + life % 7, &opened).await;
        installation.process.kill();
        for tab in tabs {
            tab.await.unwrap();
        }
        installation.process.start_again();
    }
    // The last start has closed what the last kill left open once it answers.
    browser.get("/login").await;
    installation.process.stop();

    let store = installation.store().await;
    let filter = AuditFilter {
        limit: 100_000,
        ..AuditFilter::default()
    };
    let rows = store.audit_rows(&filter).await.unwrap();
    let with = |outcome| rows.iter().filter(move |row| row.event.outcome == outcome);
    let intents: HashSet<_> = with(Outcome::Intent)
        .map(|row| row.event.intent.clone())
        .collect();
    let issued = installation.aws.issued();
    assert!(
        issued.len() >= LIVES as usize,
        "only {} grants: no storm",
        issued.len()
    );
    assert!(
        issued.len() <= intents.len(),
        "{} issued, {} intents",
        issued.len(),
        intents.len()
    );
    let recorded: HashSet<_> = with(Outcome::Ok)
        .filter_map(|row| Some(row.event.details.get("access_key_id")?.as_str()?.to_owned()))
        .collect();
    let acknowledged = opened.lock().unwrap().len();
    assert!(
        acknowledged <= recorded.len(),
        "{acknowledged} opened, {} rows",
        recorded.len()
    );
    let ended: HashSet<_> = rows
        .iter()
        .filter(|row| row.event.outcome != Outcome::Intent)
        .filter_map(|row| row.event.intent.clone())
        .collect();
    assert!(
        intents
            .iter()
            .flatten()
            .all(|intent| ended.contains(intent)),
        "an intent hangs open"
    );
    assert!(matches!(
        store.verify_chain().await.unwrap(),
        ChainStatus::Holds { .. }
    ));
}

/// Clicks from four tabs until `answers` roles were opened; the tabs go on clicking until one click
/// is not answered.
async fn storm(
    installation: &Installation,
    browser: &CookieBrowser,
    answers: u32,
    opened: &Arc<Mutex<Vec<String>>>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let count = Arc::new(AtomicU32::new(0));
    let enough = Arc::new(tokio::sync::Notify::new());
    let tab = || {
        let (url, opened) = (
            installation.process.url.join("/console").unwrap(),
            opened.clone(),
        );
        let (count, enough, tab) = (count.clone(), enough.clone(), browser.clone());
        tokio::spawn(async move {
            while let Some(location) = tab.try_open(&url, SHOP_READER).await {
                opened.lock().unwrap().push(location);
                if count.fetch_add(1, Ordering::SeqCst) + 1 >= answers {
                    enough.notify_one();
                }
            }
        })
    };
    let tabs = (0..4).map(|_| tab()).collect();
    enough.notified().await;
    tabs
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_logs_audit_metrics_error_pages_or_the_database_at_any_level() {
    let installation = Installation::start();
    let (secrets, pages) = use_every_secret(&installation).await;
    assert!(
        secrets.iter().all(|secret| secret.len() >= 8),
        "a secret is too short to look for"
    );
    let log = installation.process.log();
    let mut places = vec![
        ("log", log.clone().into_bytes()),
        (
            "audit log",
            run(&installation.process, &["audit", "export"]).into_bytes(),
        ),
        ("error pages", pages.into_bytes()),
        ("metrics", installation.process.metrics().await.into_bytes()),
        (
            "database",
            std::fs::read(installation.dir.path().join("rolegate.db")).unwrap(),
        ),
    ];
    assert!(places.iter().all(|(_, bytes)| bytes.len() > 1_000));
    let wal = std::fs::read(installation.dir.path().join("rolegate.db-wal"));
    places.push(("write-ahead log", wal.unwrap_or_default()));
    for (place, bytes) in &places {
        for secret in &secrets {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in the {place}");
        }
    }
    for line in log.lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(
            parsed.is_ok_and(|value| value.is_object()),
            "no JSON object: {line}"
        );
    }
}

/// Signs in, opens roles and meets every kind of failure. Gives all secrets that were used, and
/// the error pages that were shown.
async fn use_every_secret(installation: &Installation) -> (Vec<String>, String) {
    let process = &installation.process;
    let mut secrets: Vec<String> = [
        sample::SERVICE_PASSWORD,
        sample::BROKER_SECRET_ACCESS_KEY,
        "linus-demo",
        "planted-wrong-password",
        "planted-name-that-is-a-password",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut pages = process
        .browser()
        .sign_in("linus", "planted-wrong-password")
        .await
        .body;
    process
        .browser()
        .sign_in("planted-name-that-is-a-password", "x")
        .await;
    let mut browser = process.browser();
    browser.sign_in("linus", "linus-demo").await;
    secrets.push(browser.cookies["rolegate"].clone());
    secrets.push(browser.cookies["rolegate-browser"].clone());
    let answer = browser.open_console(&[("role", SHOP_READER)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let location: url::Url = answer.location().parse().unwrap();
    let token = location
        .query_pairs()
        .find(|(name, _)| name == "SigninToken")
        .unwrap()
        .1;
    secrets.extend([token.into_owned(), browser.csrf_token.clone()]);
    browser.post("/credentials", &[("role", SHOP_READER)]).await;
    for fault in [
        Fault::Federation(FederationFault::BadRequest),
        Fault::Sts(StsFault::AccessDenied),
        Fault::Sts(StsFault::Garbage),
    ] {
        installation.aws.set_fault(fault);
        pages += &browser.open_console(&[("role", SHOP_READER)]).await.body;
    }
    installation
        .directory
        .set_fault(Some(directory::Fault::CloseConnections));
    pages += &process.browser().sign_in("linus", "linus-demo").await.body;
    for issued in installation.aws.issued() {
        secrets.extend([issued.secret_access_key, issued.session_token]);
    }
    (secrets, pages)
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_lets_requests_in_flight_finish() {
    let installation = Installation::start();
    let mut browser = installation.process.browser();
    browser.sign_in("linus", "linus-demo").await;
    browser.get("/").await;
    let url = installation.process.url.join("/console").unwrap();
    installation.aws.set_fault(Fault::Sts(StsFault::Hang));
    let calls = installation.aws.sts_calls();
    let click = tokio::spawn(async move { browser.try_post(&url, SHOP_READER).await });
    while installation.aws.sts_calls() == calls {
        tokio::task::yield_now().await;
    }
    installation.process.signal("TERM");
    installation.process.wait_until_refusing();
    installation.aws.clear_faults();
    let status = click
        .await
        .unwrap()
        .expect("the request in flight was cut off");
    assert!(status == 303 || status == 503, "{status}");
}
