//! When something is down: a page that says so, an audit row, a metric, and recovery by itself.

use std::time::{Duration, Instant};

use crate::support::{
    app::{Options, TestApp},
    cookie_browser::{Answer, CookieBrowser},
    slapd::{self, Slapd},
    tcp_proxy::TcpProxy,
};
use rolegate::demo::{
    aws::{Fault, FederationFault, StsFault},
    directory,
};

const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
/// Short deadlines, so that a hanging server is noticed soon.
const HASTY: [(&str, &str); 4] = [
    ("AWS__CALL_TIMEOUT", "1s"),
    ("CONNECTOR__CORP__CONNECT_TIMEOUT", "1s"),
    ("CONNECTOR__CORP__OPERATION_TIMEOUT", "1s"),
    ("CONNECTOR__CORP__SIGN_IN_TIMEOUT", "5s"),
];

async fn open(browser: &mut CookieBrowser) -> Answer {
    browser.open_console(&[("role", SHOP_READER)]).await
}

/// The page tells the person something with a next step and the id, and nothing of the inside.
fn assert_calm(answer: &Answer, status: u16, secrets: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(
        answer.body.contains(answer.header("x-request-id")),
        "{}",
        answer.body
    );
    for secret in secrets {
        assert!(
            !answer.body.contains(secret),
            "{secret} is on the page:\n{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn sts_faults_have_a_page_an_audit_row_and_a_metric_and_heal() {
    let app = TestApp::start_overriding(&HASTY).await;
    let mut browser = app.signed_in("linus").await;
    for (fault, status, reason) in [
        (StsFault::Down, 503, "aws_unavailable"),
        (StsFault::Hang, 503, "aws_unavailable"),
        (StsFault::Garbage, 503, "aws_unavailable"),
        (StsFault::InternalError(9), 503, "aws_unavailable"),
        (StsFault::Throttle(9), 503, "aws_throttled"),
        (StsFault::AccessDenied, 502, "aws_access_denied"),
    ] {
        app.aws.set_fault(Fault::Sts(fault));
        let answer = open(&mut browser).await;
        assert_calm(
            &answer,
            status,
            &["AKIA", "not authorized to perform", "127.0.0.1"],
        );
        let event = app.last_audit_event().await;
        assert_eq!(
            (&event["outcome"], &event["reason"]),
            (&"failed".into(), &reason.into())
        );
        let metric = format!(r#"outcome="{reason}""#);
        assert!(
            app.metrics().await.contains(&metric),
            "{fault:?} is not counted"
        );
        app.aws.clear_faults();
        assert_eq!(
            open(&mut browser).await.status,
            303,
            "{fault:?} did not heal"
        );
    }
}

#[tokio::test]
async fn a_throttled_call_is_repeated_before_anybody_notices() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    app.aws.set_fault(Fault::Sts(StsFault::Throttle(1)));
    assert_eq!(open(&mut browser).await.status, 303);
}

#[tokio::test]
async fn federation_faults_have_a_page_an_audit_row_and_a_metric_and_heal() {
    let app = TestApp::start_overriding(&HASTY).await;
    let mut browser = app.signed_in("linus").await;
    for (fault, status, reason) in [
        (FederationFault::Down, 503, "sign_in_endpoint_unavailable"),
        (FederationFault::Hang, 503, "sign_in_endpoint_unavailable"),
        (FederationFault::BadRequest, 502, "sign_in_endpoint_refused"),
        (
            FederationFault::InternalError,
            503,
            "sign_in_endpoint_unavailable",
        ),
        (FederationFault::Garbage, 502, "sign_in_endpoint_garbage"),
    ] {
        app.aws.set_fault(Fault::Federation(fault));
        let answer = open(&mut browser).await;
        let issued = app.aws.issued().pop().unwrap();
        assert_calm(
            &answer,
            status,
            &[&issued.secret_access_key, &issued.session_token],
        );
        let event = app.last_audit_event().await;
        assert_eq!(
            (&event["outcome"], &event["reason"]),
            (&"failed".into(), &reason.into())
        );
        assert_eq!(event["details"]["access_key_id"], issued.access_key_id);
        app.aws.clear_faults();
        assert_eq!(
            open(&mut browser).await.status,
            303,
            "{fault:?} did not heal"
        );
    }
}

#[tokio::test]
async fn a_refused_session_duration_is_left_out_and_the_console_opens() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    app.aws.set_fault(Fault::Federation(
        FederationFault::BadRequestWithSessionDuration,
    ));
    assert_eq!(open(&mut browser).await.status, 303);
}

#[tokio::test]
async fn a_directory_that_hangs_closes_or_answers_in_part_signs_nobody_in_and_heals() {
    let app = TestApp::start_overriding(&HASTY).await;
    for fault in [
        directory::Fault::Hang,
        directory::Fault::CloseConnections,
        directory::Fault::Busy,
        directory::Fault::SizeLimitPartial,
    ] {
        app.directory.set_fault(Some(fault));
        let answer = app.browser().sign_in("linus", "linus-demo").await;
        // An incomplete answer to "who is that" may be nobody's; it is never somebody's.
        let is_partial = matches!(fault, directory::Fault::SizeLimitPartial);
        let status = if is_partial {
            answer.status.clamp(401, 503)
        } else {
            503
        };
        assert_calm(&answer, status, &["127.0.0.1", "ldap"]);
        assert_ne!(app.last_audit_event().await["outcome"], "ok", "{fault:?}");
        app.directory.set_fault(None);
        let healed = app.browser().sign_in("linus", "linus-demo").await;
        assert_eq!(
            healed.status, 303,
            "{fault:?} did not heal: {}",
            healed.body
        );
    }
}

#[tokio::test]
async fn tries_that_a_dead_directory_did_not_answer_make_nobody_wait() {
    let app = TestApp::start_overriding(&HASTY).await;
    app.directory
        .set_fault(Some(directory::Fault::CloseConnections));
    // One more than an address may fail in a row.
    for _ in 0..61 {
        let answer = app.browser().sign_in("linus", "linus-demo").await;
        assert_eq!(answer.status, 503, "{}", answer.body);
    }
    app.directory.set_fault(None);
    let healed = app.browser().sign_in("linus", "linus-demo").await;
    assert_eq!(healed.status, 303, "{}", healed.body);
}

#[tokio::test]
async fn old_groups_serve_for_an_hour_while_the_directory_is_down_and_are_audited_as_such() {
    let app = TestApp::start_overriding(&HASTY).await;
    let mut browser = app.signed_in("linus").await;
    app.directory
        .set_fault(Some(directory::Fault::CloseConnections));
    app.clock.advance(time::Duration::minutes(30));
    assert_eq!(open(&mut browser).await.status, 303);
    let rows = app.audit_rows().await;
    let old = rows
        .iter()
        .find(|row| row.event.action.as_str() == "groups.refresh")
        .unwrap();
    assert_eq!(old.event.reason.as_deref(), Some("directory_unavailable"));

    let refreshed = browser.post("/refresh", &[]).await;
    assert_calm(&refreshed, 503, &["127.0.0.1"]);

    app.clock.advance(time::Duration::minutes(31));
    let issued = app.aws.issued().len();
    let answer = open(&mut browser).await;
    assert_calm(&answer, 503, &["127.0.0.1"]);
    assert_eq!(app.aws.issued().len(), issued);
    app.directory.set_fault(None);
    assert_eq!(open(&mut browser).await.status, 303);
}

/// A Rolegate that signs people in against real slapd, through proxies that can be broken.
async fn against_slapd(slapd: &Slapd, urls: &[String], extra: &[(&str, &str)]) -> TestApp {
    let urls = serde_json::to_string(urls).unwrap();
    let ca = slapd.ca_pem_path().display().to_string();
    let people = format!("ou=people,{}", slapd::SUFFIX);
    let groups = format!("ou=groups,{}", slapd::SUFFIX);
    let mut overrides = vec![
        ("CONNECTOR__CORP__URLS", urls.as_str()),
        ("CONNECTOR__CORP__CA_FILE", ca.as_str()),
        ("CONNECTOR__CORP__BIND_DN", slapd::BIND_DN),
        ("CONNECTOR__CORP__BIND_PASSWORD", slapd::BIND_PASSWORD),
        ("CONNECTOR__CORP__USER_BASE", people.as_str()),
        ("CONNECTOR__CORP__GROUP_BASE", groups.as_str()),
    ];
    overrides.extend(HASTY);
    overrides.extend(extra);
    let overrides = overrides
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    TestApp::start_with(Options {
        overrides,
        ..Options::default()
    })
    .await
}

#[tokio::test]
async fn the_second_url_serves_while_the_first_is_down_and_the_first_is_taken_back() {
    let slapd = Slapd::start();
    let first = TcpProxy::to(slapd.ldaps_address());
    let second = TcpProxy::to(slapd.ldaps_address());
    let urls = [&first, &second].map(|proxy| format!("ldaps://{}", proxy.address()));
    let app = against_slapd(&slapd, &urls, &[]).await;
    let sign_in = async || {
        let mut browser = app.browser();
        browser.sign_in("alice", &slapd::password_of("alice")).await
    };
    assert_eq!(sign_in().await.status, 303);
    first.refuse();
    assert_eq!(sign_in().await.status, 303);
    second.refuse();
    assert_calm(&sign_in().await, 503, &["127.0.0.1"]);
    first.heal();
    assert_eq!(
        sign_in().await.status,
        303,
        "the first URL was not taken back"
    );
    second.heal();
    first.hang();
    assert_eq!(
        sign_in().await.status,
        303,
        "a hanging server was waited for too long"
    );
}

#[tokio::test]
async fn a_server_with_a_certificate_of_another_authority_is_not_spoken_to() {
    let slapd = Slapd::start();
    let other = Slapd::start();
    let urls = [format!("ldaps://{}", slapd.ldaps_address())];
    let ca = other.ca_pem_path().display().to_string();
    let app = against_slapd(&slapd, &urls, &[("CONNECTOR__CORP__CA_FILE", &ca)]).await;
    let answer = app
        .browser()
        .sign_in("alice", &slapd::password_of("alice"))
        .await;
    assert_calm(&answer, 503, &["certificate", "127.0.0.1"]);
    assert_eq!(slapd.binds_as(&slapd::person_dn("alice")), 0);
}

#[tokio::test]
async fn an_audit_log_that_cannot_be_written_keeps_sts_from_being_called() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    browser.get("/").await;
    let calls = app.aws.sts_calls();
    let lock = app.lock_database().await;
    let started = Instant::now();
    let answer = browser.post("/console", &[("role", SHOP_READER)]).await;
    assert_calm(&answer, 503, &["sqlite", "database is locked"]);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "took {:?}",
        started.elapsed()
    );
    assert_eq!(
        app.aws.sts_calls(),
        calls,
        "STS was called without a record"
    );
    assert!(
        app.metrics()
            .await
            .contains("rolegate_store_failures_total")
    );
    let refused = app.browser().sign_in("linus", "linus-demo").await;
    assert_calm(&refused, 503, &["sqlite"]);
    drop(lock);
    assert_eq!(open(&mut browser).await.status, 303, "did not heal");
}

#[tokio::test]
async fn readiness_fails_for_the_store_alone() {
    let app = TestApp::start().await;
    app.directory
        .set_fault(Some(directory::Fault::CloseConnections));
    app.aws.set_fault(Fault::Sts(StsFault::Down));
    assert_eq!(app.operations("readyz").await.0, 200);
    let _lock = app.lock_database().await;
    let (status, body) = app.operations("readyz").await;
    assert_eq!((status, body.starts_with("store:")), (503, true), "{body}");
    assert_eq!(app.operations("healthz").await.0, 200);
}

#[tokio::test]
async fn temporary_credentials_of_ours_cap_sessions_at_an_hour_and_omit_the_console_length() {
    use rolegate::demo::sample;
    let app = TestApp::start().await;
    let keys = format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\nAWS_SESSION_TOKEN={}\n",
        sample::BROKER_ROLE_ACCESS_KEY_ID,
        sample::BROKER_SECRET_ACCESS_KEY,
        sample::BROKER_ROLE_SESSION_TOKEN
    );
    std::fs::write(app.dir.path().join("aws.env"), keys).unwrap();
    let mut app = app;
    app.restart().await;
    let mut browser = app.signed_in("linus").await;
    let answer = open(&mut browser).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(app.aws.issued()[0].duration_seconds, 3_600);
    assert_eq!(app.aws.sign_ins().last().unwrap().session_duration, None);
    let longer = browser
        .open_console(&[("role", SHOP_READER), ("duration", "2h")])
        .await;
    assert_eq!(longer.status, 400, "{}", longer.body);
}

#[tokio::test]
async fn a_full_disk_keeps_sts_from_being_called_and_heals() {
    let disk = SmallDisk::mount();
    let url = format!("sqlite://{}/rolegate.db", disk.path().display());
    let app = TestApp::start_overriding(&[("STORE__URL", &url)]).await;
    let mut browser = app.signed_in("linus").await;
    browser.get("/").await;
    let ballast = disk.fill();
    let calls = app.aws.sts_calls();
    let mut answer = browser.post("/console", &[("role", SHOP_READER)]).await;
    // What SQLite had room for already may still fit a row or two.
    for _ in 0..50 {
        if answer.status == 503 {
            break;
        }
        answer = browser.post("/console", &[("role", SHOP_READER)]).await;
    }
    assert_calm(&answer, 503, &["sqlite", "disk"]);
    let granted = u64::try_from(app.aws.issued().len()).unwrap();
    assert_eq!(
        app.aws.sts_calls() - calls,
        granted,
        "STS was called for nothing"
    );
    std::fs::remove_file(ballast).unwrap();
    assert_eq!(open(&mut browser).await.status, 303, "did not heal");
}

/// A file system of three megabytes, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let dir = crate::support::temporary_dir("disk");
        let path = dir.path().to_str().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs", path]);
        crate::support::children::run_or_panic("mount", &mount, None);
        Self(dir)
    }

    fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// Writes a file until nothing fits any more, and says where it is.
    fn fill(&self) -> std::path::PathBuf {
        use std::io::Write as _;
        let path = self.path().join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = self.0.path().to_str().unwrap();
        let mut unmount = std::process::Command::new("umount");
        unmount.args(["--lazy", path]);
        crate::support::children::run("umount", &unmount, None);
    }
}
