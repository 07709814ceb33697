//! Probing roles: what is found, within which budget, and what mends it.

use std::{collections::BTreeSet, fmt::Write as _, sync::Mutex, time::Duration};

use rolegate::{
    audit::{Action, Actor, Outcome},
    broker::{ProbeBudget, ProbeOrder, ProbeRound},
    demo::{
        aws::{Account, Catalogue, Fault, Role, StsFault, Trust},
        sample,
    },
    store::{ProbeState, RoleProbe, RoleProbes as _},
};
use serde_json::Value;

use crate::support::app::{Options, TestApp};

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

/// What IAM would make of a trust policy of this one statement, as far as the stand-in knows it.
fn pasted(statement: &str) -> Trust {
    let statement: Value = serde_json::from_str(statement).unwrap();
    let principal = statement["Principal"]["AWS"].as_str().unwrap();
    let actions: Vec<&str> = statement["Action"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action.as_str().unwrap())
        .collect();
    assert!(actions.contains(&"sts:AssumeRole"));
    let mut trust = Trust::of([principal]);
    if let Some(external_id) = statement["Condition"]["StringEquals"]["sts:ExternalId"].as_str() {
        trust = trust.with_external_id(external_id);
    }
    if actions.contains(&"sts:TagSession") {
        trust = trust.with_session_tags();
    }
    if actions.contains(&"sts:SetSourceIdentity") {
        trust = trust.with_source_identity();
    }
    trust
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_is_found_in_its_state_and_nothing_is_kept_of_the_session() {
    let row = |name, settings, trust| Row {
        name,
        settings,
        trust,
    };
    let app = app(vec![
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
    .await;
    let found = round(&app, AMPLE).await;
    assert_eq!((found.left, found.throttled), (0, 0));
    assert_eq!(names(&found, ProbeState::Works), set(["Works"]));
    let broken = set(["Gone", "Foreign", "Guarded", "Elsewhere"]);
    assert_eq!(names(&found, ProbeState::Broken), broken);
    assert_eq!(
        names(&found, ProbeState::Inconclusive),
        set(["Tagged", "Unknown"])
    );
    assert_eq!(names(&found, ProbeState::NotProbed), set(["Person"]));

    let gone = known(&app, "Gone").await;
    assert_eq!(gone.code.as_deref(), Some("aws_access_denied"));
    assert!(gone.message.unwrap().contains("trust policy"));
    let tagged = known(&app, "Tagged").await;
    assert!(tagged.message.unwrap().contains("proves nothing"));
    assert_eq!(known(&app, "Works").await.code, None);

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
async fn a_thousand_roles_are_probed_while_aws_throttles() {
    const BROKEN: [&str; 4] = ["R0007", "R0256", "R0511", "R0998"];
    let names_of_all: Vec<String> = (0..1_000).map(|number| format!("R{number:04}")).collect();
    let rows = names_of_all.iter().map(|name| Row {
        name,
        settings: "",
        trust: (!BROKEN.contains(&name.as_str())).then(trusting),
    });
    let app = app(rows.collect()).await;
    app.aws.set_fault(Fault::Sts(StsFault::Throttle(24)));
    let heard = Mutex::new(Vec::new());
    let order = ProbeOrder {
        roles: None,
        budget: AMPLE,
        by: Actor::System,
    };
    let progress = |done, total| heard.lock().unwrap().push((done, total));
    let found = app.broker.probe_round(order, &progress).await.unwrap();
    assert_eq!(found.left, 0, "the budget is enough");
    assert!(found.throttled > 0, "AWS throttled");
    assert_eq!(names(&found, ProbeState::Broken), set(BROKEN));
    assert_eq!(names(&found, ProbeState::Works).len(), 996);
    assert_eq!(heard.into_inner().unwrap().last(), Some(&(1_000, 1_000)));

    for name in BROKEN {
        let role = arn(name).parse().unwrap();
        let add = app.broker.trust_to_add(&role).await.unwrap().unwrap();
        app.aws.update(|catalogue| {
            let taken = std::mem::take(catalogue);
            *catalogue = taken.with_role(Role::new(&arn(name), pasted(&add.statement)));
        });
    }
    let found = round(&app, AMPLE).await;
    assert_eq!(found.count(ProbeState::Works), 1_000);
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
