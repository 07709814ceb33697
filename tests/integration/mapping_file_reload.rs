//! The mapping file changes while the server runs.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rolegate::{
    access::PolicyTables,
    audit::{Action, Actor, AuditEvent, Outcome},
    broker::MappingFileState,
    demo::sample::group_dn,
    store::{AuditFilter, AuditLog as _, PolicyStore as _},
};

use crate::{
    process::Installation,
    support::{app::TestApp, cookie_browser::CookieBrowser, temporary_dir},
};

const BILLING: &str = "arn:aws:iam::444455556666:role/Billing";
const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const NETWORK_OPERATOR: &str = "arn:aws:iam::444455556666:role/NetworkOperator";
/// Longer than the file takes to be noticed on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server whose table is completed by a file.
struct Installed {
    app: TestApp,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Installed {
    async fn with(text: &str) -> Self {
        let dir = temporary_dir("mapping-file");
        let path = dir.path().join("mappings.toml");
        std::fs::write(&path, text).unwrap();
        let overrides = [("MAPPINGS__FILE", path.to_str().unwrap())];
        let app = TestApp::start_overriding(&overrides).await;
        Self {
            app,
            path,
            _dir: dir,
        }
    }

    /// Puts another file in its place, whole.
    fn write(&self, text: &str) {
        replace(&self.path, text);
    }

    fn state(&self) -> MappingFileState {
        self.app.broker.mapping_file()
    }

    /// Waits until the file is as the test wants it to be known.
    async fn until(&self, is_so: impl Fn(&MappingFileState) -> bool) {
        let started = Instant::now();
        while !is_so(&self.state()) {
            let state = self.state();
            assert!(
                started.elapsed() < PATIENCE,
                "the file is not noticed: {state:?}"
            );
            // Gives the server time to work.
            self.app.operations("healthz").await;
        }
    }

    /// What the log says about the file, oldest first.
    async fn events(&self) -> Vec<AuditEvent> {
        let mut rows = self.app.audit_rows().await;
        rows.reverse();
        let events = rows.into_iter().map(|row| row.event);
        events
            .filter(|event| event.action == Action::MappingFileLoad)
            .collect()
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn mapping(group: &str, role: &str) -> String {
    let group = group_dn(group);
    format!("[[mapping]]\ngroup = \"corp:{group}\"\nrole = \"{role}\"\n")
}

async fn is_offered(browser: &mut CookieBrowser, role: &str) -> bool {
    let page = browser.get("/").await;
    page.body.contains(&format!("data-role-arn=\"{role}\""))
}

#[tokio::test]
async fn a_new_row_of_the_file_is_in_force_without_a_new_sign_in() {
    let installed = Installed::with(&mapping("everyone", NETWORK_OPERATOR)).await;
    let first = installed.state();
    let mut browser = installed.app.signed_in("linus").await;
    assert!(is_offered(&mut browser, NETWORK_OPERATOR).await);
    assert!(!is_offered(&mut browser, BILLING).await);
    let version = installed.app.store.policy_version().await.unwrap();

    // A row more, one less, and one that only moved.
    let text = format!(
        "# moved\n{}{}",
        mapping("helpdesk", SHOP_READER),
        mapping("everyone", BILLING)
    );
    installed.write(&text);
    installed.until(|state| state.hash != first.hash).await;
    assert!(is_offered(&mut browser, BILLING).await);
    assert!(!is_offered(&mut browser, NETWORK_OPERATOR).await);
    // Whoever decided on the rows before cannot announce a grant any more.
    assert!(installed.app.store.policy_version().await.unwrap() > version);

    let state = installed.state();
    assert_eq!(state.path.as_deref(), installed.path.to_str());
    assert!(state.trouble.is_none() && state.loaded_at.is_some());
    let events = installed.events().await;
    assert_eq!(events.len(), 2);
    let hash = state.hash.unwrap();
    assert_eq!(events[1].actor, Actor::File { hash });
    assert_eq!(events[1].outcome, Outcome::Ok);
    let details = serde_json::to_value(&events[1].details).unwrap();
    for (key, expected) in [
        ("rows_added", 2),
        ("rows_changed", 0),
        ("rows_removed", 1),
        ("people_gaining", 1),
        ("people_losing", 1),
    ] {
        assert_eq!(details[key], expected, "{key} in {details}");
    }
    let metrics = installed.app.metrics().await;
    assert!(metrics.contains("rolegate_mapping_file_loads_total{outcome=\"ok\"}"));
}

#[tokio::test]
async fn what_the_start_loaded_is_in_the_audit_log() {
    let installed = Installed::with(&mapping("everyone", BILLING)).await;
    let events = installed.events().await;
    assert_eq!(events.len(), 1);
    let hash = installed.state().hash.unwrap();
    assert_eq!(hash.len(), 64);
    assert_eq!(events[0].actor, Actor::File { hash });
    assert_eq!(events[0].details["at_start"], true);
    assert_eq!(events[0].details["rows"], 1);
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_a_mended_one_is_in_force() {
    let installed = Installed::with(&mapping("everyone", NETWORK_OPERATOR)).await;
    let good = installed.state();
    let mut browser = installed.app.signed_in("linus").await;

    let broken = format!("{}typo = 1\n", mapping("everyone", BILLING));
    installed.write(&broken);
    installed.until(|state| state.trouble.is_some()).await;
    assert!(is_offered(&mut browser, NETWORK_OPERATOR).await);
    assert!(!is_offered(&mut browser, BILLING).await);
    let state = installed.state();
    assert_eq!((&state.hash, state.loaded_at), (&good.hash, good.loaded_at));
    let findings = state.trouble.unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("mappings.toml:4: "), "{findings:?}");
    assert!(findings[0].contains("typo"), "{findings:?}");

    std::fs::remove_file(&installed.path).unwrap();
    let is_missing = |state: &MappingFileState| {
        let trouble = state.trouble.as_ref().map(|trouble| &trouble.findings);
        trouble.is_some_and(|findings| findings[0].contains("No such file"))
    };
    installed.until(is_missing).await;
    assert!(is_offered(&mut browser, NETWORK_OPERATOR).await);

    installed.write(&mapping("everyone", BILLING));
    installed.until(|state| state.trouble.is_none()).await;
    assert!(is_offered(&mut browser, BILLING).await);
    assert!(!is_offered(&mut browser, NETWORK_OPERATOR).await);

    let events = installed.events().await;
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.outcome, event.reason.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (Outcome::Ok, None),
            (Outcome::Refused, Some("invalid")),
            (Outcome::Refused, Some("unreadable")),
            (Outcome::Ok, None),
        ]
    );
    assert!(matches!(events[1].actor, Actor::File { .. }));
    assert_eq!(events[2].actor, Actor::System);
}

#[tokio::test]
async fn a_broken_file_that_is_put_back_as_it_was_is_current_again() {
    let text = mapping("everyone", NETWORK_OPERATOR);
    let installed = Installed::with(&text).await;
    let good = installed.state();
    installed.write("[[mapping]\n");
    installed.until(|state| state.trouble.is_some()).await;
    installed.write(&text);
    installed.until(|state| state.trouble.is_none()).await;
    assert_eq!(installed.state().hash, good.hash);
    let last = installed.events().await.pop().unwrap();
    assert_eq!(last.details["rows_added"], 0);
    assert_eq!(last.details["rows_changed"], 0);
    assert_eq!(last.details["rows_removed"], 0);
}

#[tokio::test]
async fn nothing_is_in_force_that_the_store_could_not_record() {
    let installed = Installed::with(&mapping("everyone", NETWORK_OPERATOR)).await;
    let good = installed.state();
    let mut browser = installed.app.signed_in("linus").await;
    let lock = installed.app.lock_database().await;
    let refused = installed
        .app
        .broker
        .replace_file_tables("mappings.toml", "0123", PolicyTables::default())
        .await;
    assert!(refused.is_err());
    assert_eq!(installed.state().hash, good.hash);
    drop(lock);
    assert!(is_offered(&mut browser, NETWORK_OPERATOR).await);
}

#[tokio::test]
async fn a_hang_up_loads_the_file_and_metrics_tell_whether_it_is_current() {
    let dir = temporary_dir("mapping-file-process");
    let path = dir.path().join("mappings.toml");
    std::fs::write(&path, mapping("everyone", NETWORK_OPERATOR)).unwrap();
    let more = format!("[mappings]\nfile = \"{}\"\n", path.display());
    let installation = Installation::start_with(&more);
    let process = &installation.process;
    let is_current = async |value: &str| {
        let line = format!("rolegate_mapping_file_is_current {value}\n");
        process.metrics().await.contains(&line)
    };
    assert!(is_current("1").await);
    for (text, value) in [("[[mapping]\n", "0"), (&mapping("everyone", BILLING), "1")] {
        replace(&path, text);
        process.signal("HUP");
        let started = Instant::now();
        while !is_current(value).await {
            assert!(started.elapsed() < PATIENCE, "{}", process.log());
        }
    }
    let metrics = process.metrics().await;
    assert!(metrics.contains("rolegate_mapping_file_loads_total{outcome=\"refused\"} 1\n"));
    assert!(metrics.contains("rolegate_mapping_file_loads_total{outcome=\"ok\"} 2\n"));
    assert!(metrics.contains("rolegate_mapping_file_loaded_timestamp_seconds "));
    let log = process.log();
    assert!(log.contains("the mapping file cannot be loaded; the last good one stays in force"));
    assert!(log.contains("the mapping file was loaded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_told_on_every_surface_and_changes_nothing() {
    let dir = temporary_dir("mapping-file-surfaces");
    let path = dir.path().join("mappings.toml");
    std::fs::write(&path, mapping("everyone", NETWORK_OPERATOR)).unwrap();
    let more = format!(
        "[mappings]\nfile = \"{}\"\n[access]\nhelpdesk = [\"corp:{}\"]\n",
        path.display(),
        group_dn("helpdesk")
    );
    let installation = Installation::start_with(&more);
    let process = &installation.process;
    let mut grace = process.browser();
    assert_eq!(grace.sign_in("grace", "grace-demo").await.status, 303);
    let mut linus = process.browser();
    assert_eq!(linus.sign_in("linus", "linus-demo").await.status, 303);
    let banner = "The mapping file cannot be loaded; the last good one stays in force.";
    assert!(!grace.get("/helpdesk/mappings").await.body.contains(banner));
    let version = installation.store().await.policy_version().await.unwrap();

    // One row would do; the other does not; neither is in force.
    let broken = mapping("everyone", BILLING) + "[[mapping]]\ngroup = \"corp:cn=x,dc=x\"\n";
    replace(&path, &broken);
    process.signal("HUP");
    let finding = "mappings.toml:4: ";
    let started = Instant::now();
    let page = loop {
        let page = grace.get("/helpdesk/mappings").await.body;
        if page.contains(banner) {
            break page;
        }
        assert!(started.elapsed() < PATIENCE, "{}", process.log());
    };
    assert!(page.contains(finding), "{page}");
    for path in ["/helpdesk/rules", "/helpdesk/people", "/helpdesk/pending"] {
        assert!(grace.get(path).await.body.contains(banner), "{path}");
    }
    assert!(is_offered(&mut linus, NETWORK_OPERATOR).await);
    assert!(!is_offered(&mut linus, BILLING).await);

    let log = process.log();
    let line = log.lines().find(|line| line.contains("cannot be loaded"));
    assert!(line.unwrap().contains(finding), "{line:?}");
    let metrics = loop {
        let metrics = process.metrics().await;
        if metrics.contains("rolegate_mapping_file_loads_total{outcome=\"refused\"} 1\n") {
            break metrics;
        }
        assert!(started.elapsed() < PATIENCE, "{metrics}");
    };
    assert!(metrics.contains("rolegate_mapping_file_is_current 0\n"));

    let store = installation.store().await;
    assert_eq!(store.policy_version().await.unwrap(), version);
    let filter = AuditFilter {
        actions: vec![Action::MappingFileLoad],
        limit: 10,
        ..AuditFilter::default()
    };
    let rows = store.audit_rows(&filter).await.unwrap();
    let event = &rows[0].event;
    assert_eq!(
        (rows.len(), event.outcome, event.reason.as_deref()),
        (2, Outcome::Refused, Some("invalid"))
    );
    assert!(
        event.details["findings"][0]
            .as_str()
            .unwrap()
            .contains(finding)
    );

    let checked = process.command().arg("check").output().unwrap();
    let told = [checked.stdout, checked.stderr].concat();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{told}");
    assert!(told.contains(finding), "{told}");
}
