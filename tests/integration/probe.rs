//! Probing roles: what is found, within which budget, and what mends it.

use std::{collections::BTreeSet, fmt::Write as _, sync::Mutex, time::Duration};

use rolegate::{
    audit::{Action, Actor, Outcome},
    broker::{ProbeBudget, ProbeOrder, ProbeRound, Trust as Trusting},
    demo::{
        aws::{Account, Catalogue, Fault, Role, StsFault, Trust},
        directory::Entry,
        sample,
    },
    store::{ProbeState, RoleProbe, RoleProbes as _},
};
use serde_json::Value;

use crate::support::{
    app::{Options, TestApp},
    moto::{self, Moto},
};

const ACCOUNT: &str = "999900001111";

/// More than any of these rounds needs.
const AMPLE: ProbeBudget = ProbeBudget {
    longest: Duration::from_mins(2),
    per_second: 10_000,
    parallel: 8,
};

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// A role as the table has it and as AWS has it.
struct Row<'a> {
    name: &'a str,
    /// More keys of the table's row.
    settings: &'a str,
    /// None: AWS has no such role.
    trust: Option<Trust>,
}

fn trusting() -> Trust {
    Trust::of([sample::BROKER_ARN])
}

/// An application with these roles and nothing else.
async fn app(rows: Vec<Row<'_>>) -> TestApp {
    let mut toml = format!("[[account]]\nid = \"{ACCOUNT}\"\nname = \"Payments\"\n");
    let account = Account::new(ACCOUNT, "Payments").without_region("ap-east-1");
    let mut catalogue = Catalogue::sample().with_account(account);
    for row in rows {
        let arn = arn(row.name);
        writeln!(toml, "\n[[role]]\narn = \"{arn}\"\n{}", row.settings).unwrap();
        if let Some(trust) = row.trust {
            catalogue = catalogue.with_role(Role::new(&arn, trust));
        }
    }
    TestApp::start_with(Options {
        mapping_toml: Some(toml),
        catalogue: Some(catalogue),
        ..Options::default()
    })
    .await
}

async fn round(app: &TestApp, budget: ProbeBudget) -> ProbeRound {
    let order = ProbeOrder {
        roles: None,
        budget,
        by: Actor::System,
    };
    app.broker.probe_round(order, &|_, _| ()).await.unwrap()
}

fn names(round: &ProbeRound, state: ProbeState) -> BTreeSet<String> {
    let found = round.found.iter().filter(|found| found.state == state);
    found
        .map(|found| found.role.rsplit('/').next().unwrap().to_owned())
        .collect()
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

async fn known(app: &TestApp, name: &str) -> RoleProbe {
    let role = arn(name).parse().unwrap();
    app.store
        .probe(&role)
        .await
        .unwrap()
        .expect("it was probed")
}

/// An application with a role for each state.
async fn one_of_each() -> TestApp {
    let row = |name, settings, trust| Row {
        name,
        settings,
        trust,
    };
    app(vec![
        row("Works", "", Some(trusting())),
        row("Gone", "", None),
        row("Foreign", "", Some(Trust::of(["arn:aws:iam::123456789012:root"]))),
        row("Guarded", "external_id = \"one\"", Some(trusting().with_external_id("two"))),
        row("Tagged", "session_tags = { team = \"x\" }", None),
        row("Elsewhere", "region = \"ap-east-1\"", Some(trusting())),
        row("Disabled", "disabled = true", None),
        row("Unknown", "credential_source = \"nowhere\"", Some(trusting())),
        row(
            "Person",
            "grant_method = \"assume-role-with-saml\"\nsaml_provider_arn = \"arn:aws:iam::{account}:saml-provider/corp\"",
            None,
        ),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_is_found_in_its_state() {
    let app = one_of_each().await;
    let heard = Mutex::new(Vec::new());
    let order = ProbeOrder {
        roles: None,
        budget: AMPLE,
        by: Actor::System,
    };
    let progress = |done, total| heard.lock().unwrap().push((done, total));
    let found = app.broker.probe_round(order, &progress).await.unwrap();
    assert_eq!(heard.into_inner().unwrap().last(), Some(&(8, 8)));
    assert_eq!((found.left, found.throttled), (0, 0));
    assert_eq!(names(&found, ProbeState::Works), set(["Works"]));
    let broken = set(["Gone", "Foreign", "Guarded", "Elsewhere"]);
    assert_eq!(names(&found, ProbeState::Broken), broken);
    let inconclusive = set(["Tagged", "Unknown"]);
    assert_eq!(names(&found, ProbeState::Inconclusive), inconclusive);
    assert_eq!(names(&found, ProbeState::NotProbed), set(["Person"]));

    let gone = known(&app, "Gone").await;
    assert_eq!(gone.code.as_deref(), Some("aws_access_denied"));
    assert!(gone.message.unwrap().contains("trust policy"));
    let tagged = known(&app, "Tagged").await;
    assert!(tagged.message.unwrap().contains("proves nothing"));
    assert_eq!(known(&app, "Works").await.code, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probes_session_may_nothing_and_is_known_by_its_row_alone() {
    let app = one_of_each().await;
    round(&app, AMPLE).await;
    let issued = app.aws.issued();
    let [session] = issued.as_slice() else {
        panic!("one role was opened, and {} sessions issued", issued.len());
    };
    assert!(session.arn.ends_with("/Works/rolegate-probe"));
    assert_eq!(session.duration_seconds, 900);
    assert!(session.policy.as_deref().unwrap().contains("\"Deny\""));

    let rows = app.audit_rows().await;
    let probes: Vec<_> = rows
        .iter()
        .map(|row| &row.event)
        .filter(|event| event.action == Action::RoleProbe)
        .collect();
    let intents = probes
        .iter()
        .filter(|event| event.outcome == Outcome::Intent);
    assert_eq!(intents.count(), 1);
    let of_session = probes
        .iter()
        .find(|event| event.details.contains_key("access_key_id"))
        .expect("the session is in the log");
    assert_eq!(of_session.role.as_deref(), Some(arn("Works").as_str()));
    assert_eq!(of_session.details["session_name"], "rolegate-probe");
    let text = serde_json::to_string(&probes).unwrap();
    assert!(
        !text.contains(&session.secret_access_key),
        "a secret in the log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_inconclusive_and_does_not_forget_what_is_known() {
    let row = |name, trust| Row {
        name,
        settings: "",
        trust,
    };
    let app = app(vec![row("Works", Some(trusting())), row("Gone", None)]).await;
    app.aws.set_fault(Fault::Sts(StsFault::Throttle(100_000)));
    let found = round(&app, AMPLE).await;
    assert_eq!(found.count(ProbeState::Inconclusive), 2);
    assert_eq!(known(&app, "Gone").await.state, ProbeState::Inconclusive);
    app.aws.clear_faults();
    let found = round(&app, AMPLE).await;
    assert_eq!(names(&found, ProbeState::Broken), set(["Gone"]));
    app.aws.set_fault(Fault::Sts(StsFault::Down));
    let found = round(&app, AMPLE).await;
    assert_eq!(found.count(ProbeState::Inconclusive), 2);
    assert_eq!(known(&app, "Gone").await.state, ProbeState::Broken);
    assert_eq!(known(&app, "Works").await.state, ProbeState::Works);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_budget_does_not_reach_is_first_in_the_next_round() {
    let names_of_all: Vec<String> = (0..40).map(|number| format!("R{number:02}")).collect();
    let rows = names_of_all.iter().map(|name| Row {
        name,
        settings: "",
        trust: Some(trusting()),
    });
    let app = app(rows.collect()).await;
    // Two slots fit, whatever the machine is doing meanwhile.
    let brief = ProbeBudget {
        longest: Duration::from_millis(150),
        per_second: 10,
        parallel: 1,
    };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for _ in 0..3 {
        app.clock.advance(time::Duration::HOUR);
        let found = round(&app, brief).await;
        assert!(found.left > 0 && found.found.len() + found.left == 40);
        for role in found.found.into_iter().map(|found| found.role) {
            assert!(
                seen.insert(role),
                "a role was probed before all others were"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_probes_at_a_time() {
    let app = app(Vec::new()).await;
    let later = app.broker.now() + time::Duration::HOUR;
    assert!(app.broker.claim_probing("one", later).await.unwrap());
    assert!(!app.broker.claim_probing("two", later).await.unwrap());
    assert!(app.broker.claim_probing("one", later).await.unwrap());
    app.clock.advance(time::Duration::HOUR);
    let later = later + time::Duration::HOUR;
    assert!(app.broker.claim_probing("two", later).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_names_what_the_row_sends() {
    let app = app(vec![Row {
        name: "Full",
        settings: "external_id = \"rolegate-7f3c\"\nsource_identity = \"{username}\"\n\
                   session_tags = { team = \"x\" }",
        trust: None,
    }])
    .await;
    let role = arn("Full").parse().unwrap();
    let add = app.broker.trust_to_add(&role).await.unwrap().unwrap();
    let statement: Value = serde_json::from_str(&add.statement).unwrap();
    assert_eq!(statement["Principal"]["AWS"], sample::BROKER_ARN);
    let actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"];
    assert_eq!(statement["Action"], serde_json::json!(actions));
    assert_eq!(
        statement["Condition"]["StringEquals"]["sts:ExternalId"],
        "rolegate-7f3c"
    );
    let own: Value = serde_json::from_str(&add.own_statement.unwrap()).unwrap();
    assert_eq!(own["Resource"], arn("Full"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_iam_says_is_read_and_roles_that_trust_us_are_found() {
    let moto = Moto::start();
    let trust = |principal: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
        )
    };
    let us = "arn:aws:sts::123456789012:user/moto";
    for (name, principal) in [
        ("Known", us),
        ("Named", us),
        ("Whole", "arn:aws:iam::123456789012:root"),
        ("Other", "arn:aws:iam::999999999999:root"),
    ] {
        moto.iam(&[
            ("Action", "CreateRole"),
            ("RoleName", name),
            ("Description", "Looks after things"),
            ("AssumeRolePolicyDocument", &trust(principal)),
        ]);
    }
    let role = "arn:aws:iam::123456789012:role/Known";
    let app = TestApp::start_with(Options {
        mapping_toml: Some(format!(
            "[[role]]\narn = \"{role}\"\nmax_duration = \"4h\"\n"
        )),
        overrides: [
            ("AWS__STS_ENDPOINT", moto.url()),
            ("AWS__IAM_ENDPOINT", moto.url()),
            ("AWS__READ_ROLE", "rolegate-target".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec(),
        ..Options::default()
    })
    .await;
    let found = round(&app, AMPLE).await;
    assert_eq!(found.count(ProbeState::Works), 1, "{found:?}");
    let known = app
        .store
        .probe(&role.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(known.max_duration_seconds, Some(3_600));
    assert_eq!(known.description.as_deref(), Some("Looks after things"));
    let message = known.message.unwrap();
    assert!(
        message.contains("up to 4 h") && message.contains("1 h"),
        "{message}"
    );

    let account = moto::ACCOUNT_ID.parse().unwrap();
    let found = app
        .broker
        .discover_roles(&account, Actor::System)
        .await
        .unwrap();
    let found: Vec<(&str, Trusting)> = found
        .iter()
        .map(|role| (role.arn.name(), role.trust))
        .collect();
    assert_eq!(
        found,
        [("Named", Trusting::Named), ("Whole", Trusting::Perhaps)]
    );
    assert_an_admin_can_pick_from(&app).await;
}

/// The page of the account lists what was discovered, with a form for each.
async fn assert_an_admin_can_pick_from(app: &TestApp) {
    let admins = format!("cn=cloud-admins,{}", sample::GROUPS_BASE);
    let group = Entry::new(&admins)
        .with("objectClass", ["top", "groupOfNames"])
        .with("cn", ["cloud-admins"]);
    app.directory.add_entry(group);
    let ada = format!("uid=ada,{}", sample::PEOPLE_BASE);
    assert!(app.directory.add_member(&admins, &ada));
    let mut ada = app.signed_in("ada").await;
    let page = ada.get("/helpdesk/accounts/123456789012/discover").await;
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("Named") && !page.body.contains("Other"),
        "{}",
        page.body
    );
    let form = "/helpdesk/roles/new?arn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2FNamed";
    assert!(page.body.contains(form), "{}", page.body);
    let page = ada.get(form).await;
    assert!(
        page.body.contains("arn:aws:iam::123456789012:role/Named"),
        "{}",
        page.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_say_what_was_found_and_look_again_when_asked() {
    let app = TestApp::start().await;
    let mut ada = app.signed_in("ada").await;
    let picker = ada.get("/").await;
    let (_, role) = picker
        .body
        .split_once("data-role-arn=\"")
        .expect("ada has a role");
    let role = role.split_once('"').unwrap().0.to_owned();
    let words = "could not be opened at the last check";
    assert!(!picker.body.contains(words));
    app.aws.update(|catalogue| {
        let foreign = Trust::of(["arn:aws:iam::999999999999:root"]);
        assert!(
            catalogue.set_trust(&role, foreign),
            "the stand-in has {role}"
        );
    });

    let mut grace = app.signed_in("grace").await;
    let page = format!("/helpdesk/roles/{}", role.replace('/', "%2F"));
    let before = grace.get(&page).await;
    assert!(
        before.body.contains("It was not looked at yet"),
        "{}",
        before.body
    );
    let looked = grace
        .post("/helpdesk/roles/probe", &[("role", &role)])
        .await;
    assert_eq!(looked.status, 303, "{}", looked.body);
    let after = grace.get(&page).await;
    assert!(after.body.contains("AWS did not open it"), "{}", after.body);
    assert!(after.body.contains("sts:AssumeRole"), "{}", after.body);
    assert!(after.body.contains(sample::BROKER_ARN), "{}", after.body);
    for part in ["data-copy ", "data-copy-button hidden", "/lookups."] {
        assert!(after.body.contains(part), "{part}: {}", after.body);
    }
    assert_asked_by(&app, "grace", &role).await;
    for path in [
        "/".to_owned(),
        "/picker.json".to_owned(),
        format!("/role?arn={role}"),
    ] {
        let page = ada.get(&path).await;
        assert!(page.body.contains(words), "{path}: {}", page.body);
    }

    ada.get("/").await;
    let refused = ada.post("/helpdesk/roles/probe", &[("role", &role)]).await;
    assert_eq!(refused.status, 403);
    let discover = ada.get("/helpdesk/accounts/111122223333/discover").await;
    assert_eq!(discover.status, 403);
    let unknown = grace
        .post("/helpdesk/roles/probe", &[("role", &arn("Nobody"))])
        .await;
    assert_eq!(unknown.status, 400);

    app.aws.update(|catalogue| {
        catalogue.set_trust(&role, Trust::of([sample::BROKER_ARN]));
    });
    grace
        .post("/helpdesk/roles/probe", &[("role", &role)])
        .await;
    assert!(!ada.get("/").await.body.contains(words));
}

/// Everything that was found of a role by one look is in the log as this person's.
async fn assert_asked_by(app: &TestApp, username: &str, role: &str) {
    let rows = app.audit_rows().await;
    let events = rows.iter().map(|row| &row.event);
    let probes: Vec<_> = events
        .filter(|event| event.action == Action::RoleProbe)
        .collect();
    for probe in &probes {
        let Actor::Person { username: name, .. } = &probe.actor else {
            panic!("nobody asked: {probe:?}");
        };
        assert_eq!(name.as_deref(), Some(username));
    }
    let outcomes: Vec<_> = probes.iter().map(|probe| probe.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Failed, Outcome::Intent]);
    assert_eq!(probes[1].role.as_deref(), Some(role));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_reads_what_was_found_and_starts_no_look() {
    let app = TestApp::start_overriding(&[(
        "ACCESS__AUDITOR",
        &format!("corp:cn=webshop-readers,{}", sample::GROUPS_BASE),
    )])
    .await;
    let role = "arn:aws:iam::222233334444:role/ReadOnly";
    let page = format!("/helpdesk/roles/{}", role.replace('/', "%2F"));
    let mut linus = app.signed_in("linus").await;
    let seen = linus.get(&page).await;
    assert!(seen.body.contains("Does AWS open it?"), "{}", seen.body);
    assert!(!seen.body.contains("Check now"), "{}", seen.body);
    linus.get("/").await;
    let refused = linus.post("/helpdesk/roles/probe", &[("role", role)]).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let rows = app.audit_rows().await;
    let looked = rows.iter().any(|row| row.event.action == Action::RoleProbe);
    assert!(!looked, "an auditor made Rolegate open a role");
}
