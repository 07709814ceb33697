//! Headless Chromium under the production headers, against Rolegate with the sample directory and
//! the stand-in for AWS. The steps are in `tests/browser`.

use std::fmt::Write as _;

use rolegate::{
    clock::{Clock as _, SystemClock},
    demo::{
        aws::{BrowserMode, Fault, FederationFault, StsFault},
        directory,
        sample::{self, group_dn, person_dn},
    },
};
use serde_json::{Value, json};
use time::{Duration, format_description::well_known::Rfc3339};

use crate::support::{
    app::{Options, TestApp},
    browser::run_browser_script,
};

const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const ASKING: &str = "arn:aws:iam::111122223333:role/Migration";
const ENDED: &str = "arn:aws:iam::111122223333:role/Audit";
const ENDING: &str = "arn:aws:iam::111122223333:role/Incident";
const CONDITIONAL: &str = "arn:aws:iam::111122223333:role/Keys";
const NARROWED: &str = "arn:aws:iam::333344446666:role/Buckets";

#[tokio::test(flavor = "multi_thread")]
async fn people_land_in_the_console_by_search_by_link_and_by_pasting() {
    let app = TestApp::start().await;
    run("journeys", &[app.url.as_str()]).await;
}

#[tokio::test]
async fn the_filter_in_the_browser_ranks_as_the_server_does() {
    run("ranking", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_without_javascript() {
    let app = TestApp::start().await;
    run("without_javascript", &[app.url.as_str()]).await;
    let issued = app.aws.issued();
    let chosen = issued
        .iter()
        .find(|issued| issued.duration_seconds == 1_800)
        .expect("the length that was chosen reached STS");
    assert_eq!(
        chosen.policy_arns,
        ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_is_enough_on_a_small_screen() {
    let app = TestApp::start().await;
    run("keyboard", &[app.url.as_str()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_browser_holds_one_or_five_sessions_of_aws() {
    let (single, five) = (TestApp::start().await, TestApp::start().await);
    single.aws.set_browser_mode(BrowserMode::SingleSession);
    five.aws.set_browser_mode(BrowserMode::MultiSession);
    run(
        "several_sessions",
        &[single.url.as_str(), five.url.as_str()],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_in_light_and_dark_narrow_and_wide() {
    let main = TestApp::start_with(Options {
        mapping_toml: Some(sample::mapping_toml() + &roles_with_conditions()),
        ..Options::default()
    })
    .await;
    let large = TestApp::start_with(Options {
        mapping_toml: Some(ten_thousand_roles()),
        ..Options::default()
    })
    .await;
    let (broken, silent, denied, garbled, locked) = (
        TestApp::start().await,
        TestApp::start().await,
        TestApp::start().await,
        TestApp::start().await,
        TestApp::start().await,
    );

    let mut ada = main.signed_in("ada").await;
    for role in [READER, "arn:aws:iam::333344446666:role/Analyst"] {
        assert_eq!(ada.open_console(&[("role", role)]).await.status, 303);
    }
    let favourite = "arn:aws:iam::111122224444:role/team/Developer";
    ada.post("/favourites", &[("role", favourite), ("favourite", "1")])
        .await;
    main.signed_in("ada").await;
    let mut pages = json!({
        "main": state(&main, "ada").await,
        "empty": state(&main, "margaret").await,
        "gone": state(&main, "linus").await,
        "large": state(&large, "ada").await,
        "broken": state(&broken, "ada").await,
        "silent": state(&silent, "ada").await,
        "denied": state(&denied, "ada").await,
        "garbled": state(&garbled, "ada").await,
        "locked": state(&locked, "ada").await,
    });
    let names = json!({
        "asking": ASKING, "ended": ENDED, "ending": ENDING,
        "conditional": CONDITIONAL, "narrowed": NARROWED,
    });
    for (name, arn) in names.as_object().unwrap() {
        pages["main"][name] = arn.clone();
    }

    main.directory.remove_entry(&person_dn("linus"));
    broken
        .directory
        .set_fault(Some(directory::Fault::CloseConnections));
    // Groups read before are good for an hour while the directory is down.
    broken.clock.advance(Duration::minutes(61));
    silent.aws.set_fault(Fault::Sts(StsFault::Down));
    denied.aws.set_fault(Fault::Sts(StsFault::AccessDenied));
    garbled
        .aws
        .set_fault(Fault::Federation(FederationFault::Garbage));
    let _lock = locked.lock_database().await;
    run("pages", &[&pages.to_string()]).await;
}

/// Where a Rolegate is, and the cookies of a person who has signed in there.
async fn state(app: &TestApp, username: &str) -> Value {
    let mut browser = app.browser();
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    browser
        .headers
        .push(("user-agent".to_owned(), firefox.to_owned()));
    let answer = browser.sign_in(username, &format!("{username}-demo")).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    json!({ "url": app.url.as_str(), "cookies": browser.cookies })
}

/// A role for each thing that a mapping or a role can ask for, all ada's.
fn roles_with_conditions() -> String {
    let at = |minutes| {
        (SystemClock.now() + Duration::minutes(minutes))
            .format(&Rfc3339)
            .unwrap()
    };
    let policy = r#"session_policy = '{"Version":"2012-10-17","Statement":[]}'"#;
    let rows = [
        (
            ASKING,
            "",
            format!("require_reason = true\nexpires = {}", at(120)),
        ),
        (ENDED, "", format!("expires = {}", at(-120))),
        (ENDING, "", format!("expires = {}", at(10))),
        (CONDITIONAL, "", "require_mfa = true".to_owned()),
        (NARROWED, policy, String::new()),
    ];
    let group = group_dn("payments-leads");
    let mut toml = String::new();
    for (arn, of_role, of_mapping) in rows {
        let _ = write!(
            toml,
            "\n[[role]]\narn = \"{arn}\"\n{of_role}\n\
             [[mapping]]\ngroup = \"corp:{group}\"\nrole = \"{arn}\"\n{of_mapping}\n"
        );
    }
    toml
}

/// A thousand accounts with ten roles each, open to everyone.
fn ten_thousand_roles() -> String {
    const NAMES: [&str; 10] = [
        "Administrator",
        "Analyst",
        "Auditor",
        "Billing",
        "Developer",
        "Network",
        "Operator",
        "ReadOnly",
        "Release",
        "Support",
    ];
    const KINDS: [&str; 3] = ["production", "test", "development"];
    let group = group_dn("everyone");
    let mut toml = String::new();
    for number in 0..1_000 {
        let id = 700_000_000_000_u64 + number;
        let kind = KINDS[usize::try_from(number).unwrap() % KINDS.len()];
        let _ = write!(
            toml,
            "\n[[account]]\nid = \"{id}\"\nname = \"Account {number:04} {kind}\"\n\
             environment = \"{kind}\"\n"
        );
        for name in NAMES {
            let _ = write!(
                toml,
                "\n[[role]]\narn = \"arn:aws:iam::{id}:role/{name}\"\n\
                 [[mapping]]\ngroup = \"corp:{group}\"\n\
                 role = \"arn:aws:iam::{id}:role/{name}\"\n"
            );
        }
    }
    toml
}

async fn run(script: &str, arguments: &[&str]) {
    print!("{}", run_browser_script(script, arguments).await);
}
