//! The SAML sign-in page of the stand-in: what a browser that brings an assertion sees.

use rolegate::demo::aws::SignIn;

use super::*;

const AWS_SIGN_IN: &str = "https://signin.aws.amazon.com/saml";
const DEEP: &str = "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1";
const STALE: &str = "arn:aws:iam::111111111111:role/Stale";
const GUARDED: &str = "arn:aws:iam::111111111111:role/Guarded";

/// The catalogue of the SAML tests, with roles that are open to the sign-in page.
fn sign_in_stand_in(provider: &TestIdentityProvider) -> StandIn {
    let stand_in = saml_stand_in(provider);
    let own = stand_in.saml_url();
    stand_in.update(|catalogue| {
        let trust = || Trust::default().with_saml(PROVIDER, [AWS_SIGN_IN, own.as_str()]);
        let tagged = trust().with_session_tags().with_source_identity();
        *catalogue = std::mem::take(catalogue)
            .with_role(Role::new(FEDERATED, trust()))
            .with_role(Role::new(LONG, tagged))
            .with_role(Role::new(GUARDED, trust().with_mfa_required()))
            .with_role(Role::new(
                STALE,
                Trust::default().with_saml(PROVIDER, [for_aws::ACS]),
            ));
    });
    stand_in
}

/// A request for roles, with an address of the sign-in page.
fn request_for(roles: &[&str], recipient: &str) -> Request {
    let pairs: Vec<String> = roles
        .iter()
        .map(|role| format!("{role},{PROVIDER}"))
        .collect();
    let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
    Request {
        acs_url: recipient.to_owned(),
        ..for_aws::request(now(), &pairs)
    }
}

async fn bring(browser: &Browser, stand_in: &StandIn, posted: &str, relay: &str) -> Page {
    let form = [("SAMLResponse", posted), ("RelayState", relay)];
    browser.submit(stand_in.saml_url(), &form).await
}

fn last_attempt(stand_in: &StandIn) -> SignIn {
    stand_in.sign_ins().pop().expect("an attempt")
}

#[tokio::test]
async fn an_assertion_opens_the_console_without_any_call_to_sts() {
    let provider = for_aws::provider();
    let stand_in = sign_in_stand_in(&provider);
    let own = stand_in.saml_url();
    for recipient in [own.as_str(), AWS_SIGN_IN] {
        let request = request_for(&[LONG], recipient)
            .with_aws("PrincipalTag:team", &["payments"])
            .with_aws("SourceIdentity", &["ada.l"])
            .with_aws("SessionDuration", &["28000"]);
        let draft = provider.response(&request).sign_assertion();
        let posted = draft.posted();
        let browser = Browser::default();
        let page = bring(&browser, &stand_in, &posted, DEEP).await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert_eq!(page.element("account"), "111111111111");
        assert_eq!(page.element("role"), "Long");
        assert_eq!(page.element("session-name"), "ada");
        assert_eq!(page.element("destination"), DEEP);
        let issued = stand_in.issued().pop().expect("a session");
        assert_eq!(
            issued.duration_seconds, 28_000,
            "the role's own limit is an hour"
        );
        assert_eq!(issued.tags, [("team".to_owned(), "payments".to_owned())]);
        assert_eq!(issued.source_identity.as_deref(), Some("ada.l"));
        let assertion = draft.root.copy("Assertion");
        let assertion_id = assertion.id();
        let evidence = issued.saml.expect("an assertion");
        assert_eq!(evidence.assertion_id, assertion_id);
        assert_eq!(
            (evidence.audience.as_str(), evidence.response),
            (recipient, posted)
        );
        let attempt = last_attempt(&stand_in);
        assert_eq!(attempt.outcome, SignInOutcome::SignedIn);
        assert_eq!(attempt.assertion_id.as_deref(), Some(assertion_id));
        assert_eq!(attempt.destination.as_deref(), Some(DEEP));
    }
    assert_eq!(stand_in.sts_calls(), 0);
}

#[tokio::test]
async fn a_console_session_ends_as_the_assertion_says() {
    let provider = for_aws::provider();
    let stand_in = sign_in_stand_in(&provider);
    let length = async |request: Request, end: Option<Duration>| {
        let draft = provider.response(&request);
        let draft = draft.session_end(end.map(|end| now() + end));
        let posted = draft.sign_assertion().posted();
        let page = bring(&Browser::default(), &stand_in, &posted, DEEP).await;
        assert_eq!(page.status, 200, "{}", page.text);
        stand_in.issued().pop().expect("a session").duration_seconds
    };
    let plain = || request_for(&[FEDERATED], AWS_SIGN_IN);
    let long = || plain().with_aws("SessionDuration", &["43200"]);
    assert_eq!(length(plain(), None).await, 3_600);
    assert_eq!(length(long(), None).await, 43_200);
    let cut = length(long(), Some(Duration::minutes(20))).await;
    assert!((1_150..=1_200).contains(&cut), "{cut}");
}

#[tokio::test]
async fn several_roles_are_offered_and_one_is_picked() {
    let provider = for_aws::provider();
    let stand_in = sign_in_stand_in(&provider);
    let draft = provider.response(&request_for(&[FEDERATED, LONG], AWS_SIGN_IN));
    let posted = draft.sign_assertion().posted();
    let browser = Browser::default();
    let page = bring(&browser, &stand_in, &posted, DEEP).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Select a role"), "{}", page.text);
    assert!(page.text.contains(FEDERATED) && page.text.contains(LONG));
    assert!(stand_in.issued().is_empty() && stand_in.sign_ins().is_empty());
    let pick = async |role: &str| {
        let form = [
            ("SAMLResponse", posted.as_str()),
            ("RelayState", DEEP),
            ("roleIndex", role),
        ];
        browser.submit(stand_in.saml_url(), &form).await
    };
    assert_eq!(pick(ELSEWHERE).await.status, 400, "was not offered");
    let page = pick(LONG).await;
    assert_eq!((page.status, page.element("role")), (200, "Long"));
    assert_eq!(page.element("destination"), DEEP);
}

#[tokio::test]
async fn a_relay_state_that_is_no_console_leads_to_the_home() {
    let provider = for_aws::provider();
    let stand_in = sign_in_stand_in(&provider);
    let posted = provider.response(&request_for(&[FEDERATED], AWS_SIGN_IN));
    let posted = posted.sign_assertion().posted();
    let home = stand_in.console_url();
    let own = format!("{home}/ec2/home");
    for (relay, destination) in [
        ("", home.as_str()),
        ("https://evil.example.com/", home.as_str()),
        ("https://console.amazonaws.cn/", home.as_str()),
        ("javascript:alert(1)", home.as_str()),
        (own.as_str(), own.as_str()),
        (DEEP, DEEP),
    ] {
        let page = bring(&Browser::default(), &stand_in, &posted, relay).await;
        assert_eq!(page.status, 200, "{relay}: {}", page.text);
        let expected = destination.replace('&', "&amp;");
        assert_eq!(page.element("destination"), expected, "{relay}");
    }
    let lines = posted.as_bytes().chunks(76).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    let page = bring(&Browser::default(), &stand_in, &lines.join("\r\n"), DEEP).await;
    assert_eq!(page.status, 200, "base64 may have lines");
}

#[tokio::test]
async fn one_browser_holds_assertions_as_it_holds_logins() {
    let provider = for_aws::provider();
    let stand_in = sign_in_stand_in(&provider);
    stand_in.set_browser_mode(BrowserMode::SingleSession);
    let posted = |role: &str| {
        let draft = provider.response(&request_for(&[role], AWS_SIGN_IN));
        draft.sign_assertion().posted()
    };
    let browser = Browser::default();
    let first = bring(&browser, &stand_in, &posted(FEDERATED), DEEP).await;
    assert_eq!(first.status, 200);
    let second = bring(&browser, &stand_in, &posted(LONG), DEEP).await;
    assert_eq!(second.status, 400);
    assert!(
        second.text.contains("You must first log out"),
        "{}",
        second.text
    );
    assert_eq!(stand_in.issued().len(), 1);
    stand_in.set_browser_mode(BrowserMode::MultiSession);
    let second = bring(&browser, &stand_in, &posted(LONG), DEEP).await;
    assert_eq!(second.status, 200);
    assert!(second.text.contains("as Federated"), "{}", second.text);
}

/// What is posted, and some words of the page.
type Refused = (String, &'static str);

fn bad_responses(provider: &Arc<TestIdentityProvider>) -> Vec<Refused> {
    let sign_in = || request_for(&[FEDERATED], AWS_SIGN_IN);
    let signed = |request: &Request| provider.response(request).sign_assertion().posted();
    let good = provider.response(&sign_in());
    let old = good.clone().edit(|root| {
        let issued_at = instant(now() - Duration::minutes(5));
        root.at("Assertion").set("IssueInstant", issued_at);
    });
    let late = good.clone().edit(|root| {
        let begin = instant(now() + Duration::minutes(6));
        root.at("Assertion/Conditions").set("NotBefore", begin);
    });
    let astray = good
        .clone()
        .edit(|root| root.set("Destination", for_aws::ACS));
    let government = sign_in();
    let government = Request {
        acs_url: "https://signin.amazonaws-us-gov.com/saml".to_owned(),
        ..government
    };
    let stranger = for_aws::provider().response(&sign_in());
    vec![
        (
            "%%".to_owned(),
            "Your request included an invalid SAML response",
        ),
        (good.posted(), "signature invalid"),
        (stranger.sign_assertion().posted(), "signature invalid"),
        (
            old.sign_assertion().posted(),
            "within 5 minutes of issuance",
        ),
        (late.sign_assertion().posted(), "not valid yet"),
        (
            astray.sign_assertion().posted(),
            "not for this sign-in address",
        ),
        (signed(&government), "not for this sign-in address"),
        (
            signed(&request_for(&[STALE], for_aws::ACS)),
            "not for this sign-in address",
        ),
        (signed(&request_for(&[STALE], AWS_SIGN_IN)), NOT_AUTHORIZED),
        (
            signed(&request_for(&[GUARDED], AWS_SIGN_IN)),
            NOT_AUTHORIZED,
        ),
        (
            signed(&request_for(
                &["arn:aws:iam::111111111111:role/No"],
                AWS_SIGN_IN,
            )),
            NOT_AUTHORIZED,
        ),
    ]
}

fn bad_sessions(provider: &Arc<TestIdentityProvider>) -> Vec<Refused> {
    let sign_in = || request_for(&[FEDERATED], AWS_SIGN_IN);
    let signed = |request: &Request| provider.response(request).sign_assertion().posted();
    let tagged = |name: &str, values: &[&str]| {
        let request = request_for(&[LONG], AWS_SIGN_IN).with_aws(name, values);
        provider.response(&request).sign_assertion().posted()
    };
    vec![
        (
            signed(&sign_in().with_aws("Role", &[])),
            "a role to sign in to",
        ),
        (
            signed(&sign_in().with_aws("RoleSessionName", &[])),
            "RoleSessionName is required",
        ),
        (
            signed(&sign_in().with_aws("SessionDuration", &["43201"])),
            "SessionDuration",
        ),
        (
            signed(&sign_in().with_aws("SourceIdentity", &["ada"])),
            NOT_AUTHORIZED,
        ),
        (tagged("PrincipalTag:a", &["1", "2"]), "one value"),
        (tagged("PrincipalTag:a", &["1;"]), "tags"),
        (tagged("PrincipalTag:aws:a", &["1"]), "reserved"),
        (tagged("TransitiveTagKeys", &["a"]), "transitive"),
        (tagged("SourceIdentity", &["ada", "bob"]), "one value"),
    ]
}

#[tokio::test]
async fn what_aws_would_not_let_in_is_refused_on_a_page() {
    let provider = for_aws::provider();
    let stand_in = sign_in_stand_in(&provider);
    let cases = [bad_responses(&provider), bad_sessions(&provider)];
    for (posted, words) in cases.into_iter().flatten() {
        let page = bring(&Browser::default(), &stand_in, &posted, DEEP).await;
        assert_eq!(page.status, 400, "{words}: {}", page.text);
        assert!(page.text.contains(words), "{words}: {}", page.text);
        let SignInOutcome::Refused(reason) = last_attempt(&stand_in).outcome else {
            panic!("{words}: was let in");
        };
        assert!(reason.contains(words), "{reason}");
    }
    assert!(stand_in.issued().is_empty());
    assert_eq!(
        http()
            .get(stand_in.saml_url())
            .send()
            .await
            .expect("answers")
            .status(),
        400
    );
    let good = provider.response(&request_for(&[FEDERATED], AWS_SIGN_IN));
    let good = good.sign_assertion().posted();
    let page = bring(&Browser::default(), &stand_in, &good, DEEP).await;
    assert_eq!(page.status, 200, "nothing is wrong with it");
}
