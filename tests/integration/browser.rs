//! Headless Chromium under the production headers, against Rolegate with the sample directory and
//! the stand-in for AWS. The steps are in `tests/browser`.

use std::{fmt::Write as _, sync::Arc};

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
use tokio::task::JoinSet;

use crate::{
    saml_sign_in::Campus,
    support::{
        app::{Options, TestApp, import},
        browser::run_browser_script,
        identity_providers::{IdentityProvider, Product},
        tls::Authority,
    },
};

const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const ASKING: &str = "arn:aws:iam::111122223333:role/Migration";
const ENDED: &str = "arn:aws:iam::111122223333:role/Audit";
const ENDING: &str = "arn:aws:iam::111122223333:role/Incident";
const CONDITIONAL: &str = "arn:aws:iam::111122223333:role/Keys";
const HANDED_OVER: &str = "arn:aws:iam::333344446666:role/Warehouse";
const VOUCHED: &str = "arn:aws:iam::333344446666:role/Reports";
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
async fn people_sign_in_and_out_through_identity_providers() {
    let is_asked = "allow_idp_initiated = true";
    let by_form = r#"request_binding = "post""#;
    let (simplesamlphp, pysaml2, samlify, posting) = tokio::join!(
        Campus::start(Product::SimpleSamlPhp, is_asked, |_| ()),
        Campus::start(Product::Pysaml2, "", |_| ()),
        Campus::start(Product::Samlify, "", |_| ()),
        Campus::start(Product::Samlify, by_form, |_| ()),
    );
    let state = |campus: &Campus| {
        json!({
            "url": campus.app.url.as_str(),
            "logout": campus.provider.logout_url(),
            "start": unasked_sign_in(campus),
        })
    };
    let campuses = json!({
        "simplesamlphp": state(&simplesamlphp),
        "pysaml2": state(&pysaml2),
        "samlify": state(&samlify),
        "posting": state(&posting),
    });
    let _time = in_real_time([&simplesamlphp, &pysaml2, &samlify, &posting]);
    run("providers", &[&campuses.to_string()]).await;
}

/// Lets the clocks go with the providers', which tell the time in what they sign, until the value is
/// dropped: a script may take longer than the difference that is allowed.
fn in_real_time<const N: usize>(campuses: [&Campus; N]) -> JoinSet<()> {
    let clocks = campuses.map(|campus| Arc::clone(&campus.app.clock));
    let mut ticking = JoinSet::new();
    ticking.spawn(async move {
        let mut seconds = tokio::time::interval(std::time::Duration::from_secs(1));
        loop {
            seconds.tick().await;
            for clock in &clocks {
                clock.advance(SystemClock.now() - clock.now());
            }
        }
    });
    ticking
}

/// Where SimpleSAMLphp signs people in for Rolegate without being asked by it.
fn unasked_sign_in(campus: &Campus) -> String {
    let entity_id = campus.app.url.join("saml/campus/metadata").unwrap();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("spentityid", entity_id.as_str())
        .finish();
    format!("{}?{query}", campus.provider.single_sign_on_url())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_on_another_site_signs_people_in_over_https() {
    let (redirecting, posting) = tokio::join!(
        secure_campus(Product::Samlify, ""),
        secure_campus(Product::Pysaml2, r#"request_binding = "post""#),
    );
    let names = ["rolegate.localhost", "provider.localhost"];
    let (certificate, key) = Authority::new().sign(&names, &[]);
    let sites = json!({
        "certificate": { "certificate": certificate, "key": key },
        "sites": [redirecting.1, posting.1],
    });
    let _time = in_real_time([&redirecting.0, &posting.0]);
    run("providers_over_https", &[&sites.to_string()]).await;
}

/// A campus whose two servers browsers see by https on two sites, and what the script has to know
/// to end TLS in front of them.
async fn secure_campus(product: Product, connector: &str) -> (Campus, Value) {
    let (address, [inside, provider]) = (
        IdentityProvider::reserve(),
        [(); 2].map(|()| IdentityProvider::reserve().port()),
    );
    let origin = format!("https://rolegate.localhost:{inside}");
    let provider_origin = format!("https://provider.localhost:{provider}");
    let at = (address, format!("{origin}/"));
    let campus = Campus::start_as(product, (at.0, &at.1), connector, |settings| {
        settings.origin = Some(provider_origin.clone());
    })
    .await;
    let behind = campus.provider.url("").parse::<url::Url>().unwrap().port();
    let site = json!({
        "name": format!("{product:?}"),
        "rolegate": { "origin": origin, "upstream": address.port() },
        "provider": { "origin": provider_origin, "upstream": behind },
    });
    (campus, site)
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
    let (campus, strict, posting) = Box::pin(campuses()).await;
    pages["campus"] = json!({
        "url": campus.app.url.as_str(),
        "start": unasked_sign_in(&campus),
        "handed_over": HANDED_OVER,
        "vouched": VOUCHED,
    });
    pages["strict"] = json!({
        "url": strict.app.url.as_str(), "start": unasked_sign_in(&strict),
    });
    pages["posting"] = json!({ "url": posting.app.url.as_str() });
    let _time = in_real_time([&campus, &strict, &posting]);
    run("pages", &[&pages.to_string()]).await;
}

/// One that takes sign-ins which began at the provider, and has roles that open there; one that
/// does not take them; one that sends its requests by a form.
async fn campuses() -> (Campus, Campus, Campus) {
    let open = "allow_idp_initiated = true\n\
                aws_application_url = \"https://idp.example.com/aws?RelayState={relay_state}\"";
    let (campus, strict, posting) = tokio::join!(
        Campus::start(Product::SimpleSamlPhp, open, |settings| {
            let mut grace = settings.people["bob"].clone();
            "grace-idp".clone_into(&mut grace.password);
            "5f0e-grace".clone_into(&mut grace.subject);
            let many = "http://schemas.microsoft.com/claims/groups.link".to_owned();
            let elsewhere = "https://graph.windows.net/users/grace/getMemberObjects".to_owned();
            grace.attributes.insert(many, vec![elsewhere]);
            settings.people.insert("grace".to_owned(), grace);
        }),
        Campus::start(Product::SimpleSamlPhp, "", |_| ()),
        Campus::start(Product::Samlify, r#"request_binding = "post""#, |_| ()),
    );
    let provider = "arn:aws:iam::333344446666:saml-provider/Campus";
    let mut toml = String::new();
    for (arn, how) in [
        (HANDED_OVER, r#"console = "idp-initiated""#.to_owned()),
        (
            VOUCHED,
            format!("grant_method = \"assume-role-with-saml\"\nsaml_provider_arn = \"{provider}\""),
        ),
    ] {
        let _ = write!(
            toml,
            "\n[[role]]\narn = \"{arn}\"\n{how}\n\
             [[mapping]]\ngroup = \"campus:payments-dev\"\nrole = \"{arn}\"\n"
        );
    }
    import(&campus.app.config, &campus.app.store, &toml).await;
    (campus, strict, posting)
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
