//! A thousand roles of every grant method: probed while AWS throttles, and mended by nothing but what
//! is printed.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use rolegate::{
    audit::Actor,
    broker::{ProbeBudget, ProbeOrder, ProbeRound, TrustToAdd},
    clock::{Clock as _, SystemClock},
    demo::{
        aws::{Account, Catalogue, Fault, OidcProvider, Role, SamlProvider, StsFault, Trust},
        sample,
    },
    store::{Change, ProbeState},
};
use tempfile::TempDir;

use super::issuer::issuer_toml;
use crate::support::{
    app::{Options, TestApp},
    cookie_browser::CookieBrowser,
    editing, temporary_dir,
};

const ACCOUNT: &str = "999900001111";
const OTHER_ACCOUNT: &str = "999900002222";
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "sts.amazonaws.com";
const RECIPIENT: &str = "https://signin.aws.amazon.com/saml";
const READING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetRole","iam:ListRoles"],"Resource":"*"}]}"#;
const TAGGED: &str = "session_tags = { team = \"x\" }\n";
const EXTERNAL_ID: &str = "external_id = \"ours\"\n";
const BY_SAML: &str = "grant_method = \"assume-role-with-saml\"\nvouched_by = \"issuer\"\n\
                       saml_provider_arn = \"arn:aws:iam::{account}:saml-provider/rolegate\"\n";
const BY_TOKEN: &str =
    "grant_method = \"assume-role-with-web-identity\"\nvouched_by = \"issuer\"\n";
const FEDERATED: &str = "grant_method = \"federation-token\"\nsession_policy = '{\"Version\":\
                         \"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\
                         \"Resource\":\"*\"}]}'\n";

/// As much as a debug build needs on a busy machine.
const AMPLE: ProbeBudget = ProbeBudget {
    longest: Duration::from_mins(4),
    per_second: 10_000,
    parallel: 8,
};

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

fn saml_provider(account: &str) -> String {
    format!("arn:aws:iam::{account}:saml-provider/rolegate")
}

fn oidc_provider(account: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/issuer.example")
}

fn by_us() -> Trust {
    Trust::of([sample::BROKER_ARN])
}

fn by_saml(audience: &str) -> Trust {
    Trust::default().with_saml(&saml_provider(ACCOUNT), [audience])
}

fn by_token(audience: &str, subject: &str) -> Trust {
    Trust::default().with_web_identity(&oidc_provider(ACCOUNT), [audience], [subject])
}

fn foreign() -> Trust {
    Trust::of(["arn:aws:iam::123456789012:root"])
}

/// A role as the table and AWS have it.
struct Row {
    arn: String,
    settings: String,
    /// None: AWS has no such role.
    trust: Option<Trust>,
    is_broken: bool,
}

impl Row {
    /// The role of a number: one of eight kinds, or a federated user.
    fn of(number: usize) -> Self {
        if number >= 980 {
            return Self {
                arn: format!(
                    "arn:aws:sts::{}:federated-user/F{number}",
                    sample::BROKER_ACCOUNT
                ),
                settings: FEDERATED.to_owned(),
                trust: None,
                is_broken: false,
            };
        }
        let name = format!("R{number:04}");
        let subject = format!("role:{ACCOUNT}/{name}:*");
        let (settings, trust) = match number % 8 {
            0 => (String::new(), by_us()),
            1 => (EXTERNAL_ID.to_owned(), by_us().with_external_id("ours")),
            2 => {
                let settings = format!("{TAGGED}source_identity = \"{{username}}\"\n");
                (settings, by_us().with_session_tags().with_source_identity())
            }
            3 => {
                let trust = by_us().with_external_id("ours").with_session_tags();
                (format!("{TAGGED}{EXTERNAL_ID}"), trust)
            }
            4 => (BY_SAML.to_owned(), by_saml(RECIPIENT)),
            5 => (
                format!("{BY_SAML}{TAGGED}"),
                by_saml(RECIPIENT).with_session_tags(),
            ),
            6 => (BY_TOKEN.to_owned(), by_token(AUDIENCE, &subject)),
            _ => {
                let trust = by_token(AUDIENCE, &subject).with_session_tags();
                (format!("{BY_TOKEN}{TAGGED}"), trust)
            }
        };
        let long = if number.is_multiple_of(40) {
            "max_duration = \"12h\"\n"
        } else {
            ""
        };
        let broken = broken(number, &subject);
        Self {
            arn: arn(&name),
            settings: settings + long,
            is_broken: broken.is_some(),
            trust: broken.unwrap_or(Some(trust)),
        }
    }
}

/// The trust of the roles that are broken; none within where AWS has no such role.
#[expect(
    clippy::option_option,
    reason = "not broken, broken without a role, broken with another trust"
)]
fn broken(number: usize, subject: &str) -> Option<Option<Trust>> {
    let other_subject = "role:999900001111/Another:*";
    Some(match number {
        8 | 12 | 22 => Some(foreign()),
        16 | 18 | 46 => None,
        9 => Some(by_us().with_external_id("theirs")),
        11 => Some(by_us().with_external_id("theirs").with_session_tags()),
        20 => Some(by_saml("https://elsewhere.example/saml")),
        29 => Some(by_saml("https://elsewhere.example/saml").with_session_tags()),
        30 => Some(by_token(AUDIENCE, other_subject)),
        31 => Some(by_token(AUDIENCE, other_subject).with_session_tags()),
        38 => Some(by_token("another-audience", subject)),
        // What only IAM tells: a probe has neither tags nor a SourceIdentity.
        26 => Some(by_us().with_source_identity()),
        34 => Some(by_us().with_session_tags()),
        37 => Some(by_saml(RECIPIENT)),
        39 => Some(by_token(AUDIENCE, subject)),
        _ => return None,
    })
}

/// Rolegate as an issuer that these accounts know, with a read role that opens `trust`.
async fn app(table: String, catalogue: Catalogue, has_keys: bool) -> (TestApp, TempDir) {
    let keys = temporary_dir("issuer");
    let mut overrides = vec![
        ("AWS__ATTEMPTS", "1"),
        ("AWS__READ_ROLE", "RolegateRead"),
        ("AWS__SAML_ENDPOINT", RECIPIENT),
        ("ISSUER__URL", ISSUER),
    ];
    // Keys that AWS does not know.
    let nobodys = keys.path().join("aws.env");
    let text = "AWS_ACCESS_KEY_ID=AKIANOBODY0000000001\nAWS_SECRET_ACCESS_KEY=nobody\n";
    std::fs::write(&nobodys, text).unwrap();
    let nobodys = nobodys.display().to_string();
    if !has_keys {
        overrides.push(("AWS__CREDENTIAL_SOURCE__DEFAULT__PATH", &nobodys));
    }
    let app = TestApp::start_with(Options {
        mapping_toml: Some(table),
        catalogue: Some(catalogue),
        more_toml: issuer_toml(keys.path()),
        overrides: overrides
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        ..Options::default()
    })
    .await;
    let metadata = app.broker.issuer().unwrap().saml_metadata().unwrap();
    app.aws.update(|catalogue| {
        for account in [ACCOUNT, OTHER_ACCOUNT] {
            let saml = SamlProvider::new(&saml_provider(account), &metadata).unwrap();
            let oidc = OidcProvider::new(&oidc_provider(account), [AUDIENCE]).unwrap();
            *catalogue = std::mem::take(catalogue)
                .with_saml_provider(saml)
                .with_oidc_provider(oidc.fetched_from(app.url.clone()));
        }
    });
    (app, keys)
}

/// A role as IAM has it, with the longest session that the table gives unless it says another.
fn role(arn: &str, trust: Trust) -> Role {
    Role::new(arn, trust).with_max_session_seconds(14_400)
}

fn reader(account: &str, trust: Trust) -> Role {
    let arn = format!("arn:aws:iam::{account}:role/RolegateRead");
    Role::new(&arn, trust).with_policy(READING).unwrap()
}

/// Assertions and tokens are judged by the stand-in's clock, which goes on.
fn catch_up(app: &TestApp) {
    app.clock.advance(SystemClock.now() - app.clock.now());
}

async fn round(app: &TestApp) -> ProbeRound {
    catch_up(app);
    let order = ProbeOrder {
        roles: None,
        budget: AMPLE,
        by: Actor::System,
    };
    app.broker.probe_round(order, &|_, _| ()).await.unwrap()
}

fn in_state(round: &ProbeRound, state: ProbeState) -> BTreeSet<String> {
    let found = round.found.iter().filter(|found| found.state == state);
    found.map(|found| found.role.clone()).collect()
}

/// Whether a person's click opens each of these roles.
async fn clicks(app: &TestApp, person: &mut CookieBrowser, roles: &[&Row]) -> Vec<bool> {
    let mut opened = Vec::new();
    for row in roles {
        catch_up(app);
        let answer = person.open_console(&[("role", &row.arn)]).await;
        opened.push(answer.status == 303);
    }
    opened
}

async fn printed(app: &TestApp, role: &str) -> TrustToAdd {
    let role = role.parse().unwrap();
    let add = app.broker.trust_to_add(&role).await.unwrap();
    add.unwrap_or_else(|| panic!("nothing is printed for {role}"))
}

/// What an administrator of AWS does with a printed statement.
fn paste(app: &TestApp, row: &Row, statement: &str) {
    let trust = match &row.trust {
        Some(trust) => trust.with_statement(statement),
        None => Trust::document(&format!(
            r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#
        )),
    };
    let trust = trust.unwrap_or_else(|error| panic!("{}: {error}\n{statement}", row.arn));
    app.aws.update(|catalogue| {
        if row.trust.is_some() {
            assert!(catalogue.set_trust(&row.arn, trust), "{}", row.arn);
        } else {
            *catalogue = std::mem::take(catalogue).with_role(role(&row.arn, trust));
        }
    });
}

async fn thousand() -> (TestApp, TempDir, Vec<Row>) {
    let rows: Vec<Row> = (0..1_000).map(Row::of).collect();
    let mut table = format!("[[account]]\nid = \"{ACCOUNT}\"\nname = \"Payments\"\n");
    let mut catalogue = Catalogue::sample()
        .with_account(Account::new(ACCOUNT, "Payments"))
        .with_role(reader(ACCOUNT, by_us()));
    for row in &rows {
        write!(table, "\n[[role]]\narn = \"{}\"\n{}", row.arn, row.settings).unwrap();
        if let Some(trust) = &row.trust {
            catalogue = catalogue.with_role(role(&row.arn, trust.clone()));
        }
    }
    let (app, keys) = app(table, catalogue, true).await;
    (app, keys, rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_roles_are_judged_while_aws_throttles_and_mended_by_what_is_printed() {
    let (app, _keys, rows) = thousand().await;
    let broken: Vec<&Row> = rows.iter().filter(|row| row.is_broken).collect();
    let names: BTreeSet<String> = broken.iter().map(|row| row.arn.clone()).collect();
    assert_eq!(names.len(), 17);

    app.aws.set_fault(Fault::Sts(StsFault::ThrottleEvery(7)));
    let found = round(&app).await;
    app.aws.clear_faults();
    assert_eq!(found.left, 0, "the budget is enough");
    assert!(found.throttled > 100, "AWS throttled {}", found.throttled);
    for found in &found.found {
        let is_broken = found.state == ProbeState::Broken;
        assert_eq!(is_broken, names.contains(&found.role), "{found:?}");
    }
    assert_eq!(in_state(&found, ProbeState::Inconclusive), BTreeSet::new());
    assert_eq!(found.count(ProbeState::Works), 983);
    let too_long: Vec<_> = (found.found.iter())
        .filter(|found| found.state == ProbeState::Works && found.message.is_some())
        .collect();
    assert_eq!(too_long.len(), 25);
    assert!(too_long[0].message.as_ref().unwrap().contains("12 h"));

    // Some of each kind, and the last two of which are federated users.
    let sound: Vec<&Row> = rows[0..8].iter().chain(&rows[998..]).collect();
    let mappings = broken.iter().chain(&sound).map(|row| {
        let mapping = editing::mapping("book-club", &row.arn);
        Change::PutMapping(mapping)
    });
    app.edit(mappings.collect()).await;
    let mut ada = app.signed_in("ada").await;
    assert_eq!(clicks(&app, &mut ada, &sound).await, [true; 10]);
    assert_eq!(clicks(&app, &mut ada, &broken).await, [false; 17]);

    for row in &broken {
        let add = printed(&app, &row.arn).await;
        paste(&app, row, &add.statement);
    }
    // People open roles while a round goes on.
    let (found, opened) = tokio::join!(round(&app), clicks(&app, &mut ada, &broken));
    assert_eq!(in_state(&found, ProbeState::Broken), BTreeSet::new());
    assert_eq!(found.count(ProbeState::Works), 1_000);
    assert_eq!(opened, [true; 17]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_of_aws_accounts_are_read_by_what_the_issuer_vouches_for() {
    let subject = format!("role:{ACCOUNT}/RolegateRead:*");
    let read_by_saml = Trust::default().with_saml(&saml_provider(OTHER_ACCOUNT), [RECIPIENT]);
    let mut catalogue = Catalogue::sample()
        .with_account(Account::new(ACCOUNT, "Payments"))
        .with_account(Account::new(OTHER_ACCOUNT, "Shop"))
        .with_role(reader(ACCOUNT, by_token(AUDIENCE, &subject)))
        .with_role(reader(OTHER_ACCOUNT, read_by_saml.clone()));
    // More than IAM lists in one answer.
    for number in 0..1_100 {
        let name = format!("R{number:04}");
        let ours = number % 100 == 99;
        let subject = format!("role:{ACCOUNT}/{name}:*");
        let trust = if ours {
            by_token(AUDIENCE, &subject)
        } else {
            foreign()
        };
        catalogue = catalogue.with_role(Role::new(&arn(&name), trust).with_description("Told"));
    }
    let open = format!("arn:aws:iam::{OTHER_ACCOUNT}:role/Open");
    catalogue = catalogue.with_role(Role::new(&open, read_by_saml));
    let known = arn("R0099");
    let table = format!(
        "[[account]]\nid = \"{ACCOUNT}\"\nname = \"Payments\"\n[account.role_defaults]\n{BY_TOKEN}\n\
         [[account]]\nid = \"{OTHER_ACCOUNT}\"\nname = \"Shop\"\n[account.role_defaults]\n{BY_SAML}\n\
         [[role]]\narn = \"{known}\"\n"
    );
    let (app, _keys) = app(table, catalogue, false).await;

    let found = round(&app).await;
    assert_eq!(in_state(&found, ProbeState::Works), BTreeSet::from([known]));
    assert_eq!(found.found[0].description.as_deref(), Some("Told"));

    let account = ACCOUNT.parse().unwrap();
    let found = app
        .broker
        .discover_roles(&account, Actor::System)
        .await
        .unwrap();
    let found: Vec<&str> = found.iter().map(|role| role.arn.name()).collect();
    let expected: Vec<String> = (2..=11)
        .map(|place| format!("R{:04}", place * 100 - 1))
        .collect();
    assert_eq!(found, expected);
    let account = OTHER_ACCOUNT.parse().unwrap();
    let found = app
        .broker
        .discover_roles(&account, Actor::System)
        .await
        .unwrap();
    let found: Vec<&str> = found.iter().map(|role| role.arn.as_str()).collect();
    assert_eq!(found, [open]);

    for action in ["AssumeRole", "GetCallerIdentity"] {
        assert_eq!(app.aws.sts_calls_of(action), 0, "{action} wants keys");
    }
}
