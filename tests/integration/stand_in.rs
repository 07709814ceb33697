//! The stand-in for AWS, driven by the AWS SDK, by a browser-like `reqwest` and by raw HTTP.

#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder;
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect;
use rolegate::demo::aws::{
    Account, BrowserMode, Catalogue, Fault, FederationFault, Issued, Principal, Role, SamlProvider,
    SignInOutcome, StandIn, StsFault, Trust,
};
use rolegate::demo::sample;
use time::{Duration, OffsetDateTime};
use url::Url;

mod saml_sign_in;
mod users;
mod web_identity;

use crate::support::saml::{
    for_aws,
    provider::{Draft, Request, TestIdentityProvider, instant},
};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const READ_ONLY: &str = "arn:aws:iam::111122223333:role/team/ReadOnly";
const DEVELOPER: &str = "arn:aws:iam::111122224444:role/team/Developer";
const SETTLEMENT: &str = "arn:aws:iam::111122223333:role/partner/Settlement";
const CONSOLE: &str = "https://console.aws.amazon.com/";
const SECRET: &str = sample::BROKER_SECRET_ACCESS_KEY;

fn start() -> StandIn {
    StandIn::start(Catalogue::sample(), ANY_PORT).expect("a free port on 127.0.0.1")
}

fn client(stand_in: &StandIn, credentials: Credentials, region: &str) -> Client {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(stand_in.url())
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(credentials)
        .build();
    Client::from_conf(config)
}

fn keys(access_key_id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::new(
        access_key_id,
        secret,
        token.map(str::to_owned),
        None,
        "test",
    )
}

fn broker(stand_in: &StandIn) -> Client {
    client(
        stand_in,
        keys(sample::BROKER_ACCESS_KEY_ID, SECRET, None),
        "eu-west-1",
    )
}

fn assume(client: &Client, role: &str) -> AssumeRoleFluentBuilder {
    client.assume_role().role_arn(role).role_session_name("ada")
}

async fn refusal(request: AssumeRoleFluentBuilder) -> (u16, String, String) {
    let error = request.send().await.expect_err("is refused");
    describe(&error)
}

fn describe<E: ProvideErrorMetadata>(
    error: &SdkError<E, aws_sdk_sts::config::http::HttpResponse>,
) -> (u16, String, String) {
    let status = error
        .raw_response()
        .map_or(0, |response| response.status().as_u16());
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    (status, text(error.code()), text(error.message()))
}

#[tokio::test]
async fn a_signed_assume_role_is_answered_with_fresh_credentials() {
    let stand_in = start();
    let client = broker(&stand_in);
    let answer = assume(&client, SETTLEMENT)
        .duration_seconds(900)
        .external_id(sample::EXTERNAL_ID)
        .source_identity("ada")
        .tags(Tag::builder().key("team").value("payments").build().expect("a tag"))
        .policy(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#)
        .policy_arns(PolicyDescriptorType::builder().arn("arn:aws:iam::aws:policy/ReadOnlyAccess").build())
        .send()
        .await
        .expect("is allowed");
    let credentials = answer.credentials().expect("credentials");
    let [issued] = <[Issued; 1]>::try_from(stand_in.issued()).expect("one session");
    assert_eq!(credentials.access_key_id(), issued.access_key_id);
    assert_eq!(credentials.secret_access_key(), issued.secret_access_key);
    assert_eq!(credentials.session_token(), issued.session_token);
    assert!((600..900).contains(&issued.session_token.len()));
    assert_eq!(
        credentials.expiration().secs(),
        issued.expiration.unix_timestamp()
    );
    assert_eq!(answer.request_id(), Some(issued.request_id.as_str()));
    assert_eq!(answer.source_identity(), Some("ada"));
    #[expect(deprecated, reason = "what stands in its place is not documented yet")]
    let packed = answer.packed_policy_size();
    assert!(packed.is_some_and(|size| (1..100).contains(&size)));
    let user = answer.assumed_role_user().expect("a user");
    assert_eq!(
        user.arn(),
        "arn:aws:sts::111122223333:assumed-role/Settlement/ada"
    );
    assert_eq!(issued.arn, user.arn());
    assert!(user.assumed_role_id().starts_with("AROA"));
    assert_eq!(issued.tags, [("team".to_owned(), "payments".to_owned())]);
    assert_eq!(
        issued.policy_arns,
        ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    );
    assert_eq!(
        (issued.region.as_str(), issued.caller_arn.as_str()),
        ("eu-west-1", sample::BROKER_ARN)
    );
    assert!(!issued.is_chained);
    assert!(!format!("{issued:?}").contains(&issued.secret_access_key));
    assume(&client, READ_ONLY).send().await.expect("is allowed");
    let keys: Vec<_> = stand_in
        .issued()
        .into_iter()
        .map(|issued| issued.access_key_id)
        .collect();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(stand_in.sts_calls(), 2);
    assert!(stand_in.user_agents()[0].contains("aws-sdk-rust"));
}

#[tokio::test]
async fn who_signs_is_verified() {
    let stand_in = start();
    let arn = async |credentials: Credentials, region: &str| {
        let answer = client(&stand_in, credentials, region)
            .get_caller_identity()
            .send()
            .await;
        answer
            .map(|identity| identity.arn().unwrap_or_default().to_owned())
            .map_err(|error| describe(&error))
    };
    let id = sample::BROKER_ACCESS_KEY_ID;
    assert_eq!(
        arn(keys(id, SECRET, None), "eu-west-1").await.as_deref(),
        Ok(sample::BROKER_ARN)
    );
    let session = keys(
        sample::BROKER_ROLE_ACCESS_KEY_ID,
        SECRET,
        Some(sample::BROKER_ROLE_SESSION_TOKEN),
    );
    assert_eq!(
        arn(session, "us-east-1").await.as_deref(),
        Ok("arn:aws:sts::444455556666:assumed-role/rolegate/broker")
    );
    for (credentials, region, code) in [
        (
            keys(id, "wrong", None),
            "eu-west-1",
            "SignatureDoesNotMatch",
        ),
        (
            keys("AKIAUNKNOWN000000000", SECRET, None),
            "eu-west-1",
            "InvalidClientTokenId",
        ),
        (
            keys(id, SECRET, Some("token")),
            "eu-west-1",
            "InvalidClientTokenId",
        ),
        (
            keys(sample::BROKER_ROLE_ACCESS_KEY_ID, SECRET, None),
            "eu-west-1",
            "InvalidClientTokenId",
        ),
        (
            keys(sample::BROKER_ROLE_ACCESS_KEY_ID, SECRET, Some("x")),
            "eu-west-1",
            "InvalidClientTokenId",
        ),
        (keys(id, SECRET, None), "cn-north-1", "InvalidClientTokenId"),
    ] {
        let (status, seen, message) = arn(credentials, region).await.expect_err("is refused");
        assert_eq!((status, seen.as_str()), (403, code), "{message}");
    }
    assert!(stand_in.issued().is_empty());
}

#[tokio::test]
async fn what_is_not_signed_is_refused_in_xml() {
    let stand_in = start();
    let post = async |body: &'static str| {
        let response = http()
            .post(stand_in.url())
            .body(body)
            .send()
            .await
            .expect("answers");
        let status = response.status().as_u16();
        assert!(response.headers().contains_key("x-amzn-requestid"));
        (status, response.text().await.expect("text"))
    };
    let (status, text) = post("Action=GetCallerIdentity&Version=2011-06-15").await;
    assert_eq!(status, 403);
    assert!(
        text.contains("<Code>MissingAuthenticationToken</Code>"),
        "{text}"
    );
    let (status, text) = post("Action=AssumeRoot&Version=2011-06-15").await;
    assert_eq!(status, 400);
    assert!(text.contains("<Code>InvalidAction</Code>"), "{text}");
    let (status, text) = post("Action=GetCallerIdentity").await;
    assert!(
        status == 400 && text.contains("NO_VERSION_SPECIFIED"),
        "{text}"
    );
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_more_than_fifteen_minutes_is_refused() {
    let (stand_in, shift) = start_shifted();
    for (minutes, expected) in [
        (14, None),
        (16, Some("Signature expired")),
        (-14, None),
        (-16, Some("Signature not yet current")),
    ] {
        shift.store(minutes * 60, Ordering::SeqCst);
        let answer = broker(&stand_in).get_caller_identity().send().await;
        let refused = answer.err().map(|error| describe(&error));
        assert_eq!(refused.is_some(), expected.is_some(), "{refused:?}");
        if let (Some((status, code, message)), Some(expected)) = (refused, expected) {
            assert_eq!((status, code.as_str()), (403, "SignatureDoesNotMatch"));
            assert!(message.starts_with(expected), "{message}");
        }
    }
}

#[tokio::test]
async fn trust_is_checked_as_iam_does() {
    let secret = "s".repeat(40);
    let role = |name: &str| format!("arn:aws:iam::111111111111:role/{name}");
    let user = "arn:aws:iam::111111111111:user/same";
    let stranger = "arn:aws:iam::222222222222:user/other";
    let catalogue = Catalogue::default()
        .with_account(Account::new("111111111111", "One").without_region("eu-north-1"))
        .with_role(Role::new(&role("Named"), Trust::of([user, stranger])))
        .with_role(Role::new(
            &role("Root"),
            Trust::of(["arn:aws:iam::111111111111:root"]),
        ))
        .with_role(Role::new(
            &role("External"),
            Trust::of([user]).with_external_id("abc"),
        ))
        .with_role(Role::new(
            &role("Tagged"),
            Trust::of([user]).with_session_tags(),
        ))
        .with_role(Role::new(
            &role("Known"),
            Trust::of([user]).with_source_identity(),
        ))
        .with_principal(Principal::user(user, "AKIASAME000000000000", &secret))
        .with_principal(
            Principal::user(stranger, "AKIAOTHER00000000000", &secret)
                .which_may_assume("arn:aws:iam::*:role/R*"),
        );
    let stand_in = StandIn::start(catalogue, ANY_PORT).expect("starts");
    let same = client(
        &stand_in,
        keys("AKIASAME000000000000", &secret, None),
        "eu-west-1",
    );
    let other = client(
        &stand_in,
        keys("AKIAOTHER00000000000", &secret, None),
        "eu-west-1",
    );
    let north = client(
        &stand_in,
        keys("AKIASAME000000000000", &secret, None),
        "eu-north-1",
    );
    let tag = || Tag::builder().key("a").value("b").build().expect("a tag");
    let named = role("Named");
    for allowed in [
        assume(&same, &named),
        assume(&same, &role("External")).external_id("abc"),
        assume(&same, &role("Tagged")).tags(tag()),
        assume(&same, &role("Known")).source_identity("ada"),
    ] {
        allowed.send().await.expect("is allowed");
    }
    for (refused, action) in [
        (assume(&other, &named), "AssumeRole"),
        (assume(&other, &role("Root")), "AssumeRole"),
        (assume(&same, &role("Root")), "AssumeRole"),
        (assume(&same, &role("Nowhere")), "AssumeRole"),
        (assume(&same, &role("External")), "AssumeRole"),
        (
            assume(&same, &role("External")).external_id("abd"),
            "AssumeRole",
        ),
        (assume(&same, &named).tags(tag()), "TagSession"),
        (
            assume(&same, &named).source_identity("ada"),
            "SetSourceIdentity",
        ),
    ] {
        let (status, code, message) = refusal(refused).await;
        assert_eq!((status, code.as_str()), (403, "AccessDenied"));
        let expected = format!("is not authorized to perform: sts:{action} on resource: arn:");
        assert!(message.contains(&expected), "{message}");
    }
    let (status, code, _) = refusal(assume(&north, &named)).await;
    assert_eq!((status, code.as_str()), (403, "RegionDisabledException"));
    assert_eq!(stand_in.issued().len(), 4);
}

#[tokio::test]
async fn a_trust_can_be_mended_while_the_stand_in_runs() {
    let stand_in = start();
    let client = broker(&stand_in);
    assume(&client, READ_ONLY).send().await.expect("is allowed");
    let distrust = |trust: Trust| {
        let mut is_there = false;
        stand_in.update(|catalogue| is_there = catalogue.set_trust(READ_ONLY, trust));
        assert!(is_there);
    };
    distrust(Trust::default());
    assert_eq!(refusal(assume(&client, READ_ONLY)).await.1, "AccessDenied");
    distrust(Trust::of([sample::BROKER_ARN]));
    assume(&client, READ_ONLY).send().await.expect("is allowed");
    stand_in.update(|catalogue| assert!(!catalogue.set_trust("arn:x", Trust::default())));
}

#[tokio::test]
async fn parameters_are_held_to_the_model() {
    let stand_in = start();
    let client = broker(&stand_in);
    let role = || client.assume_role().role_arn(READ_ONLY);
    let named = |name: &str| role().role_session_name(name);
    let ok = || named("ada");
    for (request, text) in vec![
        (role(), "Value null at 'roleSessionName'"),
        (named("a"), "greater than or equal to 2"),
        (named("ada lovelace"), "at 'roleSessionName' failed"),
        (named("adä"), r"pattern: [\w+=,.@-]*"),
        (named(&"a".repeat(65)), "less than or equal to 64"),
        (ok().duration_seconds(899), "greater than or equal to 900"),
        (ok().duration_seconds(43_201), "less than or equal to 43200"),
        (
            ok().duration_seconds(14_401),
            "exceeds the MaxSessionDuration set for this role.",
        ),
        (ok().external_id("a b"), "at 'externalId'"),
        (ok().source_identity("a/b"), "at 'sourceIdentity'"),
        (
            ok().source_identity("a/b").duration_seconds(1),
            "2 validation errors detected",
        ),
    ] {
        let (status, code, message) = refusal(request).await;
        assert_eq!(
            (status, code.as_str()),
            (400, "ValidationError"),
            "{message}"
        );
        assert!(message.contains(text), "{message}");
    }
    ok().duration_seconds(14_400)
        .send()
        .await
        .expect("the role's own limit is allowed");
    assert_eq!(stand_in.issued().len(), 1);
}

#[tokio::test]
async fn session_policies_and_tags_are_held_to_their_limits() {
    const INVALID: &str = "ValidationError";
    const MALFORMED: &str = "MalformedPolicyDocument";
    let stand_in = start();
    let client = broker(&stand_in);
    let ok = || assume(&client, READ_ONLY);
    let tag = |key: &str, value: &str| {
        let tag = Tag::builder().key(key).value(value);
        tag.build().expect("a tag")
    };
    let managed = |arn: &str| PolicyDescriptorType::builder().arn(arn).build();
    let arns = (0..11)
        .map(|_| managed("arn:aws:iam::aws:policy/A"))
        .collect();
    let foreign = managed("arn:aws:iam::999999999999:policy/A");
    let long_tags = (0..50)
        .map(|n| tag(&format!("k{n}"), &"v".repeat(200)))
        .collect();
    for (request, code, text) in vec![
        (ok().policy("{"), MALFORMED, "invalid Json"),
        (ok().policy(r#"{"Statement":[]}"#), MALFORMED, "statement"),
        (ok().policy(" ".repeat(2_049)), INVALID, "at 'policy'"),
        (ok().set_policy_arns(Some(arns)), INVALID, "at 'policyArns'"),
        (ok().policy_arns(foreign), INVALID, "is not valid"),
        (
            ok().tags(tag("a", "1")).tags(tag("A", "2")),
            INVALID,
            "Duplicate tag keys",
        ),
        (ok().tags(tag("aws:a", "1")), INVALID, "reserved"),
        (ok().tags(tag("a", "1;2")), INVALID, "at 'tags'"),
        (
            ok().set_tags(Some(long_tags)),
            "PackedPolicyTooLarge",
            "% of allotted space",
        ),
        (ok().transitive_tag_keys("x"), INVALID, "transitive"),
    ] {
        let (status, seen, message) = refusal(request).await;
        assert_eq!((status, seen.as_str()), (400, code), "{message}");
        assert!(message.contains(text), "{message}");
    }
    assert!(stand_in.issued().is_empty());
}

#[tokio::test]
async fn role_chaining_is_limited_to_an_hour() {
    let stand_in = start();
    let role = keys(
        sample::BROKER_ROLE_ACCESS_KEY_ID,
        SECRET,
        Some(sample::BROKER_ROLE_SESSION_TOKEN),
    );
    let chained = client(&stand_in, role, "eu-west-1");
    let (status, code, message) =
        refusal(assume(&chained, DEVELOPER).duration_seconds(3_601)).await;
    assert_eq!((status, code.as_str()), (400, "ValidationError"));
    assert!(
        message.contains("exceeds the 1 hour session limit for roles assumed by role chaining.")
    );
    assume(&chained, DEVELOPER)
        .duration_seconds(3_600)
        .send()
        .await
        .expect("an hour is allowed");
    let instance = keys(
        sample::INSTANCE_ACCESS_KEY_ID,
        SECRET,
        Some(sample::INSTANCE_SESSION_TOKEN),
    );
    let instance = client(&stand_in, instance, "eu-west-1");
    assume(&instance, DEVELOPER)
        .duration_seconds(43_200)
        .send()
        .await
        .expect("is no chaining");

    let issued = chained_through_sts(&stand_in).await;
    assert_eq!(
        issued.caller_arn,
        "arn:aws:sts::444455556666:assumed-role/rolegate/ada"
    );
    let chaining: Vec<_> = stand_in
        .issued()
        .iter()
        .map(|issued| issued.is_chained)
        .collect();
    assert_eq!(chaining, [true, false, false, true]);
}

/// Assumes the broker's role with the user's keys, then another role with what that gave.
async fn chained_through_sts(stand_in: &StandIn) -> Issued {
    let broker = broker(stand_in);
    let first = assume(&broker, sample::BROKER_ROLE_ARN)
        .send()
        .await
        .expect("is allowed");
    let first = first.credentials().expect("credentials");
    let token = Some(first.session_token());
    let keys = keys(first.access_key_id(), first.secret_access_key(), token);
    let second = client(stand_in, keys, "eu-west-1");
    assume(&second, READ_ONLY).send().await.expect("is allowed");
    stand_in.issued().pop().expect("was issued")
}

#[tokio::test]
async fn partitions_do_not_mix() {
    let catalogue = Catalogue::sample().with_other_partitions();
    let stand_in = StandIn::start(catalogue, ANY_PORT).expect("starts");
    let china = "arn:aws-cn:iam::555566668888:role/ReadOnly";
    let government = "arn:aws-us-gov:iam::555566667777:role/ReadOnly";
    let with = |id: &str, region: &str| client(&stand_in, keys(id, SECRET, None), region);
    let gov = with("AKIADEMOROLEGATE0GOV", "us-gov-west-1");
    let cn = with("AKIADEMOROLEGATE00CN", "cn-north-1");
    assume(&gov, government).send().await.expect("is allowed");
    assume(&cn, china).send().await.expect("is allowed");
    let commercial = broker(&stand_in);
    for refused in [
        assume(&commercial, china),
        assume(&gov, china),
        assume(&cn, READ_ONLY),
    ] {
        assert_eq!(refusal(refused).await.1, "AccessDenied");
    }
    let issued = stand_in.issued();
    let token = signin_token(&stand_in, &issued[1], None)
        .await
        .expect("a token");
    let browser = Browser::default();
    let refused = browser.open(login(&stand_in, &token, CONSOLE)).await;
    assert_eq!(refused.status, 400);
    let opened = browser
        .open(login(&stand_in, &token, "https://console.amazonaws.cn/"))
        .await;
    assert_eq!(opened.status, 200, "{}", opened.text);
}

#[tokio::test]
async fn sts_faults_come_and_go() {
    let stand_in = start();
    let client = broker(&stand_in);
    let call = async || {
        assume(&client, READ_ONLY)
            .send()
            .await
            .map(|_| ())
            .map_err(|e| describe(&e))
    };
    let code = async || call().await.expect_err("fails").1;
    stand_in.set_fault(Fault::Sts(StsFault::Throttle(2)));
    assert_eq!(
        (code().await, code().await),
        ("Throttling".into(), "Throttling".into())
    );
    call().await.expect("works again");
    stand_in.set_fault(Fault::Sts(StsFault::InternalError(1)));
    assert_eq!(call().await.expect_err("fails").0, 500);
    call().await.expect("works again");
    stand_in.set_fault(Fault::Sts(StsFault::AccessDenied));
    assert_eq!(code().await, "AccessDenied");
    client
        .get_caller_identity()
        .send()
        .await
        .expect("cannot be denied");
    for fault in [StsFault::Down, StsFault::Garbage] {
        stand_in.set_fault(Fault::Sts(fault));
        call().await.expect_err("fails");
    }
    stand_in.set_fault(Fault::Sts(StsFault::Hang));
    let calls = stand_in.sts_calls();
    let hanging = tokio::spawn(assume(&client, READ_ONLY).send());
    while stand_in.sts_calls() == calls {
        tokio::task::yield_now().await;
    }
    assert!(!hanging.is_finished());
    stand_in.clear_faults();
    hanging
        .await
        .expect("no panic")
        .expect_err("was never answered");
    call().await.expect("works again");
    assert_eq!(stand_in.issued().len(), 3);
}

#[tokio::test]
async fn a_sign_in_token_opens_the_console_once() {
    let stand_in = start();
    let issued = issue(&stand_in, READ_ONLY).await;
    let token = signin_token(&stand_in, &issued, Some("43200"))
        .await
        .expect("a token");
    let destination = "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1";
    let browser = Browser::default();
    let page = browser.open(login(&stand_in, &token, destination)).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.hops.len(), 2, "{:?}", page.hops);
    assert_eq!(page.hops[0].path(), "/oauth");
    assert_eq!(page.element("account"), "111122223333");
    assert_eq!(page.element("account-name"), "Payments production");
    assert_eq!(page.element("role"), "ReadOnly");
    assert_eq!(page.element("session-name"), "ada");
    assert_eq!(page.element("service"), "s3");
    assert_eq!(page.element("region"), "eu-west-1");
    assert_eq!(page.element("destination"), destination);
    assert!(
        page.text
            .contains(r#"<a id="issuer" href="https://broker.example.com/console"#)
    );
    assert!(!page.text.contains(&issued.session_token) && !page.text.contains(&token));

    let again = Browser::default()
        .open(login(&stand_in, &token, destination))
        .await;
    assert_eq!(again.status, 400);
    let [first, second] = <[_; 2]>::try_from(stand_in.sign_ins()).expect("two attempts");
    assert_eq!(first.outcome, SignInOutcome::SignedIn);
    assert!(first.is_post && first.session.contains(&issued.access_key_id));
    assert_eq!(first.session_duration.as_deref(), Some("43200"));
    assert_eq!(first.destination.as_deref(), Some(destination));
    assert_eq!(
        second.outcome,
        SignInOutcome::Refused("The sign-in token was used already.".into())
    );
    assert!(!format!("{first:?}").contains(&issued.secret_access_key));
}

#[tokio::test]
async fn sign_in_tokens_and_console_sessions_end() {
    let (stand_in, shift) = start_shifted();
    let issued = issue(&stand_in, READ_ONLY).await;
    let old = signin_token(&stand_in, &issued, None)
        .await
        .expect("a token");
    let fresh = signin_token(&stand_in, &issued, Some("900"))
        .await
        .expect("a token");
    let browser = Browser::default();
    assert_eq!(
        browser.open(login(&stand_in, &fresh, CONSOLE)).await.status,
        200
    );
    shift.store(901, Ordering::SeqCst);
    assert_eq!(
        browser.open(login(&stand_in, &old, CONSOLE)).await.status,
        400
    );
    let page = browser.open(stand_in.console_url()).await;
    assert_eq!(page.status, 401);
    assert!(page.text.contains("Sign in again"), "{}", page.text);
    shift.store(3_601, Ordering::SeqCst);
    let (status, _) = signin_token(&stand_in, &issued, None)
        .await
        .expect_err("has expired");
    assert_eq!(status, 400);
}

#[tokio::test]
async fn get_signin_token_refuses_what_aws_refuses() {
    let stand_in = start();
    let issued = issue(&stand_in, READ_ONLY).await;
    for duration in ["899", "43201", "x", ""] {
        let (status, body) = signin_token(&stand_in, &issued, Some(duration))
            .await
            .expect_err("no");
        assert!(
            status == 400 && body.starts_with("<!doctype html>"),
            "{body}"
        );
    }
    let forged = Issued {
        secret_access_key: "forged".into(),
        ..issued.clone()
    };
    assert_eq!(
        signin_token(&stand_in, &forged, None)
            .await
            .expect_err("no")
            .0,
        400
    );
    let forged = Issued {
        session_token: "forged".into(),
        ..issued.clone()
    };
    assert_eq!(
        signin_token(&stand_in, &forged, None)
            .await
            .expect_err("no")
            .0,
        400
    );
    let chained = chained_through_sts(&stand_in).await;
    assert_eq!(
        signin_token(&stand_in, &chained, Some("3600"))
            .await
            .expect_err("no")
            .0,
        400
    );
    signin_token(&stand_in, &chained, None)
        .await
        .expect("without SessionDuration it is given");

    let mut by_get = stand_in.federation_url();
    by_get
        .query_pairs_mut()
        .append_pair("Action", "getSigninToken")
        .append_pair("Session", &session_json(&issued));
    assert_eq!(
        http().get(by_get).send().await.expect("answers").status(),
        200
    );
    assert!(!stand_in.sign_ins().last().expect("noted").is_post);
}

#[tokio::test]
async fn a_foreign_destination_is_refused_and_the_own_console_taken() {
    let stand_in = start();
    let issued = issue(&stand_in, READ_ONLY).await;
    let token = signin_token(&stand_in, &issued, None)
        .await
        .expect("a token");
    let browser = Browser::default();
    for destination in [
        "https://example.com/",
        "https://console.amazonaws-us-gov.com/",
        "https://111122223333-abcd1234.eu-west-1.console.aws.amazon.com/",
        "/console",
    ] {
        let page = browser.open(login(&stand_in, &token, destination)).await;
        assert_eq!(page.status, 400, "{destination}");
    }
    let mut own = stand_in.console_url();
    own.set_path("/console/ec2/home");
    own.set_query(Some("region=eu-central-1"));
    let page = browser.open(login(&stand_in, &token, own.as_str())).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(
        (page.element("service"), page.element("region")),
        ("ec2", "eu-central-1")
    );
}

#[tokio::test]
async fn a_single_session_browser_must_sign_out_first() {
    let stand_in = start();
    stand_in.set_browser_mode(BrowserMode::SingleSession);
    let browser = Browser::default();
    assert_eq!(open_role(&stand_in, &browser, READ_ONLY).await.status, 200);
    let renewed = open_role(&stand_in, &browser, READ_ONLY).await;
    assert_eq!(renewed.status, 200, "the same identity renews its session");
    let issued = issue(&stand_in, DEVELOPER).await;
    let token = signin_token(&stand_in, &issued, None)
        .await
        .expect("a token");
    let address = login(&stand_in, &token, CONSOLE);
    let refused = browser.open(address.clone()).await;
    assert_eq!(refused.status, 400);
    let text = "You must first log out before logging into a different AWS account";
    assert!(refused.text.contains(text), "{}", refused.text);
    assert_eq!(
        Browser::default().open(stand_in.console_url()).await.status,
        403
    );

    let mut sign_out = stand_in.url();
    sign_out.set_path("/oauth");
    sign_out
        .query_pairs_mut()
        .append_pair("Action", "logout")
        .append_pair("redirect_uri", address.as_str());
    let page = browser.open(sign_out.clone()).await;
    assert_eq!((page.status, page.element("role")), (200, "Developer"));
    sign_out.set_query(Some(
        "Action=logout&redirect_uri=https%3A%2F%2Fexample.com%2F",
    ));
    assert_eq!(browser.open(sign_out).await.status, 400);
}

#[tokio::test]
async fn a_multi_session_browser_holds_five() {
    let stand_in = start();
    stand_in.set_browser_mode(BrowserMode::SingleSession);
    let mut opt_in = stand_in.url();
    opt_in.set_path("/sessions/v1/opt-in");
    let browser = Browser::default();
    assert_eq!(browser.open(opt_in.clone()).await.status, 200);
    let roles = [
        READ_ONLY,
        DEVELOPER,
        "arn:aws:iam::111122225555:role/team/Developer",
        "arn:aws:iam::222233334444:role/ReadOnly",
        "arn:aws:iam::333344446666:role/Analyst",
    ];
    for (index, role) in roles.iter().enumerate() {
        let page = open_role(&stand_in, &browser, role).await;
        assert_eq!(
            page.text.matches("<li>").count(),
            index + 1,
            "{}",
            page.text
        );
    }
    let sixth = open_role(
        &stand_in,
        &browser,
        "arn:aws:iam::333344446666:role/Engineer",
    )
    .await;
    assert_eq!(sixth.status, 400);
    assert!(
        sixth.text.contains("five console sessions"),
        "{}",
        sixth.text
    );
    assert_eq!(
        open_role(&stand_in, &browser, READ_ONLY).await.status,
        200,
        "renewed"
    );
    assert_eq!(browser.open(opt_in).await.status, 400, "opted in already");
}

#[tokio::test]
async fn federation_faults_come_and_go() {
    let stand_in = start();
    let issued = issue(&stand_in, READ_ONLY).await;
    let ask = async |duration: Option<&str>| signin_token(&stand_in, &issued, duration).await;
    for (fault, status) in [
        (FederationFault::BadRequest, 400),
        (FederationFault::InternalError, 500),
        (FederationFault::Garbage, 200),
        (FederationFault::Down, 0),
    ] {
        stand_in.set_fault(Fault::Federation(fault));
        assert_eq!(ask(None).await.expect_err("fails").0, status, "{fault:?}");
    }
    stand_in.set_fault(Fault::Federation(
        FederationFault::BadRequestWithSessionDuration,
    ));
    assert_eq!(ask(Some("900")).await.expect_err("fails").0, 400);
    ask(None).await.expect("works without");
    stand_in.clear_faults();
    ask(Some("900")).await.expect("works again");
}

#[tokio::test]
async fn pages_carry_strict_headers_and_escape_what_they_show() {
    let stand_in = start();
    let issued = issue(&stand_in, READ_ONLY).await;
    let token = signin_token(&stand_in, &issued, None)
        .await
        .expect("a token");
    let mut address = login(
        &stand_in,
        &token,
        "https://console.aws.amazon.com/<b>?x=\"'<i>",
    );
    let query = address
        .query()
        .unwrap_or_default()
        .replace("https%3A%2F%2Fbroker", "javascript%3Abroker");
    address.set_query(Some(&query));
    let browser = Browser::default();
    let page = browser.open(address).await;
    assert_eq!(page.status, 200);
    assert!(
        !page.text.contains("<b>") && !page.text.contains("<i>"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("javascript:"), "{}", page.text);
    let response = http()
        .get(stand_in.console_url())
        .send()
        .await
        .expect("answers");
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(policy.starts_with("default-src 'none'"));
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn a_dropped_stand_in_stops_listening() {
    let stand_in = start();
    let url = stand_in.url();
    http().get(url.clone()).send().await.expect("answers");
    drop(stand_in);
    while http().get(url.clone()).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

fn start_shifted() -> (StandIn, Arc<AtomicI64>) {
    let shift = Arc::new(AtomicI64::new(0));
    let seconds = Arc::clone(&shift);
    #[expect(
        clippy::disallowed_methods,
        reason = "the SDK signs with the system's clock"
    )]
    let clock =
        move || OffsetDateTime::now_utc() + Duration::seconds(seconds.load(Ordering::SeqCst));
    let stand_in = StandIn::start_with_clock(Catalogue::sample(), ANY_PORT, Arc::new(clock));
    (stand_in.expect("a free port on 127.0.0.1"), shift)
}

fn http() -> reqwest::Client {
    let client = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy();
    client.build().expect("a client")
}

async fn issue(stand_in: &StandIn, role: &str) -> Issued {
    assume(&broker(stand_in), role)
        .send()
        .await
        .expect("is allowed");
    stand_in.issued().pop().expect("was issued")
}

fn session_json(issued: &Issued) -> String {
    serde_json::json!({
        "sessionId": issued.access_key_id,
        "sessionKey": issued.secret_access_key,
        "sessionToken": issued.session_token,
    })
    .to_string()
}

/// The token, or the status (0: no answer) and body of the refusal.
async fn signin_token(
    stand_in: &StandIn,
    issued: &Issued,
    duration: Option<&str>,
) -> Result<String, (u16, String)> {
    let session = session_json(issued);
    let mut form = vec![("Action", "getSigninToken"), ("Session", session.as_str())];
    form.extend(duration.map(|duration| ("SessionDuration", duration)));
    let sent = http()
        .post(stand_in.federation_url())
        .form(&form)
        .send()
        .await;
    let response = sent.map_err(|error| (0, error.to_string()))?;
    let status = response.status().as_u16();
    let text = response.text().await.expect("text");
    let answer: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    answer
        .and_then(|answer| Some(answer.get("SigninToken")?.as_str()?.to_owned()))
        .ok_or((status, text))
}

fn login(stand_in: &StandIn, token: &str, destination: &str) -> Url {
    let mut url = stand_in.federation_url();
    url.query_pairs_mut()
        .append_pair("Action", "login")
        .append_pair(
            "Issuer",
            "https://broker.example.com/console/111122223333/ReadOnly",
        )
        .append_pair("Destination", destination)
        .append_pair("SigninToken", token);
    url
}

async fn open_role(stand_in: &StandIn, browser: &Browser, role: &str) -> Page {
    let issued = issue(stand_in, role).await;
    let token = signin_token(stand_in, &issued, None)
        .await
        .expect("a token");
    browser.open(login(stand_in, &token, CONSOLE)).await
}

/// Follows redirects and keeps the one cookie.
#[derive(Default)]
struct Browser {
    cookie: std::sync::Mutex<Option<String>>,
}

struct Page {
    status: u16,
    hops: Vec<Url>,
    text: String,
}

impl Browser {
    async fn open(&self, url: Url) -> Page {
        self.follow(http().get(url.clone()), url).await
    }

    async fn submit(&self, url: Url, form: &[(&str, &str)]) -> Page {
        self.follow(http().post(url.clone()).form(form), url).await
    }

    async fn follow(&self, mut request: reqwest::RequestBuilder, mut url: Url) -> Page {
        let mut hops = Vec::new();
        loop {
            if let Some(cookie) = self.cookie.lock().expect("not poisoned").clone() {
                request = request.header(COOKIE, cookie);
            }
            let response = request.send().await.expect("answers");
            if let Some(set) = response.headers().get(SET_COOKIE) {
                let set = set.to_str().expect("text");
                let pair = set.split(';').next().map(str::to_owned);
                *self.cookie.lock().expect("not poisoned") = pair;
            }
            let Some(location) = response.headers().get(LOCATION) else {
                let status = response.status().as_u16();
                return Page {
                    status,
                    hops,
                    text: response.text().await.expect("text"),
                };
            };
            url = url.join(location.to_str().expect("text")).expect("a URL");
            hops.push(url.clone());
            request = http().get(url.clone());
        }
    }
}

impl Page {
    /// The text of the element with this id.
    fn element(&self, id: &str) -> &str {
        let mark = format!("id=\"{id}\">");
        let (_, rest) = self.text.split_once(&mark).expect("the element is there");
        rest.split('<').next().expect("text")
    }
}

const PROVIDER: &str = "arn:aws:iam::111111111111:saml-provider/corp";
const FEDERATED: &str = "arn:aws:iam::111111111111:role/team/Federated";
const LONG: &str = "arn:aws:iam::111111111111:role/Long";
const ELSEWHERE: &str = "arn:aws:iam::111111111111:role/Elsewhere";

fn saml_catalogue(provider: &TestIdentityProvider) -> Catalogue {
    let uploaded = SamlProvider::new(PROVIDER, &provider.metadata(&[&provider.primary]));
    let uploaded = uploaded.expect("metadata");
    let trust = || Trust::default().with_saml(PROVIDER, [for_aws::ACS]);
    let tagged = trust().with_session_tags().with_source_identity();
    Catalogue::default()
        .with_account(Account::new("111111111111", "One"))
        .with_saml_provider(uploaded)
        .with_role(Role::new(FEDERATED, trust()))
        .with_role(Role::new(LONG, tagged).with_max_session_seconds(43_200))
        .with_role(Role::new(
            ELSEWHERE,
            Trust::default().with_saml(PROVIDER, ["https://signin.aws.amazon.com/saml"]),
        ))
}

fn saml_stand_in(provider: &TestIdentityProvider) -> StandIn {
    StandIn::start(saml_catalogue(provider), ANY_PORT).expect("a free port on 127.0.0.1")
}

/// A client without any credentials.
fn anybody(stand_in: &StandIn) -> Client {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(stand_in.url())
        .region(Region::new("eu-west-1"))
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn now() -> OffsetDateTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "the stand-in has the system's clock"
    )]
    OffsetDateTime::now_utc()
}

fn pairs() -> [String; 3] {
    [
        format!("{FEDERATED},{PROVIDER}"),
        format!(" {PROVIDER} , {LONG} "),
        format!("{ELSEWHERE},{PROVIDER}"),
    ]
}

fn request() -> Request {
    let pairs = pairs();
    let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
    for_aws::request(now(), &pairs)
}

fn response(provider: &Arc<TestIdentityProvider>) -> Draft {
    provider.response(&request())
}

type SamlAnswer = aws_sdk_sts::operation::assume_role_with_saml::AssumeRoleWithSamlOutput;

async fn redeem(
    stand_in: &StandIn,
    role: &str,
    posted: &str,
    seconds: i32,
) -> Result<SamlAnswer, (u16, String, String)> {
    let call = anybody(stand_in)
        .assume_role_with_saml()
        .role_arn(role)
        .principal_arn(PROVIDER)
        .saml_assertion(posted)
        .duration_seconds(seconds);
    call.send().await.map_err(|error| describe(&error))
}

#[tokio::test]
async fn an_assertion_is_redeemed_without_a_signature() {
    let provider = for_aws::provider();
    let stand_in = saml_stand_in(&provider);
    for (draft, role) in [
        (response(&provider).sign_assertion(), FEDERATED),
        (response(&provider).sign_response(), LONG),
    ] {
        let posted = draft.posted();
        let answer = redeem(&stand_in, role, &posted, 3_600)
            .await
            .expect("taken");
        assert_eq!(answer.subject(), Some(for_aws::SUBJECT));
        assert_eq!(answer.subject_type(), Some("persistent"));
        assert_eq!(answer.issuer(), Some(for_aws::ISSUER));
        assert_eq!(answer.audience(), Some(for_aws::ACS));
        // printf %s 'https://idp.example.com/metadata111111111111/corp' | sha1, in base64
        assert_eq!(
            answer.name_qualifier(),
            Some("3uqKXKux6oXAfQ0AmKKuSI5R4p4=")
        );
        let issued = stand_in.issued().pop().expect("one session");
        assert_eq!(issued.role_arn, role);
        assert_eq!(issued.session_name, "ada");
        assert_eq!(issued.caller_arn, PROVIDER);
        assert!(!issued.is_chained && issued.tags.is_empty());
        let user = answer.assumed_role_user().expect("a user");
        assert_eq!(user.arn(), issued.arn);
        let saml = issued.saml.as_ref().expect("an assertion");
        assert_eq!(saml.response, posted);
        assert_eq!(saml.assertion_id, draft.root.copy("Assertion").id());
        assert!(!format!("{issued:?}").contains(&posted));
    }
}

#[tokio::test]
async fn what_the_assertion_says_of_the_session_holds() {
    let provider = for_aws::provider();
    let stand_in = saml_stand_in(&provider);
    let rich = request()
        .with_aws("PrincipalTag:team", &["payments"])
        .with_aws("TransitiveTagKeys", &["team"])
        .with_aws("SourceIdentity", &["ada.l"])
        .with_aws("SessionDuration", &["7200"]);
    let rich = provider.response(&rich);
    let posted = rich.clone().sign_assertion().posted();
    redeem(&stand_in, LONG, &posted, 43_200)
        .await
        .expect("taken");
    let issued = stand_in.issued().pop().expect("one session");
    assert_eq!(issued.tags, [("team".to_owned(), "payments".to_owned())]);
    assert_eq!(issued.transitive_tag_keys, ["team"]);
    assert_eq!(issued.source_identity.as_deref(), Some("ada.l"));
    assert_eq!(issued.duration_seconds, 7_200);

    let short = rich.session_end(Some(now() + Duration::minutes(30)));
    let posted = short.sign_assertion().posted();
    redeem(&stand_in, LONG, &posted, 43_200)
        .await
        .expect("taken");
    let issued = stand_in.issued().pop().expect("a second session");
    assert!((1_700..=1_800).contains(&issued.duration_seconds));

    let refused = redeem(&stand_in, FEDERATED, &posted, 3_600).await;
    let (status, code, _) = refused.expect_err("tags that the trust does not allow");
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    let posted = response(&provider).sign_assertion().posted();
    let refused = redeem(&stand_in, FEDERATED, &posted, 7_200).await;
    let (status, code, message) = refused.expect_err("longer than the role allows");
    assert_eq!((status, code.as_str()), (400, "ValidationError"));
    assert!(message.contains("MaxSessionDuration"), "{message}");
}

const NOT_AUTHORIZED: &str = "Not authorized to perform sts:AssumeRoleWithSAML";

/// A response that is not signed yet, and its refusal: status, code and words.
type Case = (Draft, (u16, &'static str, &'static str));

fn with_bad_envelope(provider: &Arc<TestIdentityProvider>) -> Vec<Case> {
    let past = instant(now() - Duration::SECOND);
    let confirmation = "Assertion/Subject/SubjectConfirmation/SubjectConfirmationData";
    let response = || response(provider);
    vec![
        (
            response().edit(|root| {
                root.at("Issuer").fill("https://other.example.com");
                root.at("Assertion/Issuer")
                    .fill("https://other.example.com");
            }),
            (
                400,
                "InvalidIdentityToken",
                "Issuer not present in specified provider",
            ),
        ),
        (
            response().edit(|root| {
                let code = root.at("Status/StatusCode");
                code.set("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder");
            }),
            (403, "IDPRejectedClaim", ""),
        ),
        (
            response().edit(|root| {
                let audience = root.at("Assertion/Conditions/AudienceRestriction/Audience");
                audience.fill("urn:amazon:webservices:govcloud");
            }),
            (
                400,
                "InvalidIdentityToken",
                "does not contain the required audience",
            ),
        ),
        (
            response().edit(|root| {
                let issued_at = instant(now() - Duration::minutes(5));
                root.at("Assertion").set("IssueInstant", issued_at);
            }),
            (400, "ExpiredTokenException", "within 5 minutes of issuance"),
        ),
        (
            response().edit(|root| root.at(confirmation).set("NotOnOrAfter", &*past)),
            (400, "ExpiredTokenException", ""),
        ),
        (
            response().edit(|root| root.at("Assertion/Conditions").set("NotOnOrAfter", &*past)),
            (400, "ExpiredTokenException", ""),
        ),
        (
            response().edit(|root| {
                root.at(confirmation)
                    .set("Recipient", "https://other.example.com/acs");
            }),
            (403, "AccessDenied", NOT_AUTHORIZED),
        ),
        (
            response().edit(|root| drop(root.take("Assertion/Subject/NameID"))),
            (403, "AccessDenied", NOT_AUTHORIZED),
        ),
    ]
}

fn with_bad_claims(provider: &Arc<TestIdentityProvider>) -> Vec<Case> {
    let with = |name: &str, values: &[&str]| provider.response(&request().with_aws(name, values));
    vec![
        (
            with("RoleSessionName", &[]),
            (400, "InvalidIdentityToken", "RoleSessionName is required"),
        ),
        (
            with("RoleSessionName", &["ada", "bob"]),
            (400, "InvalidIdentityToken", "RoleSessionName is required"),
        ),
        (
            with("RoleSessionName", &["a b"]),
            (400, "InvalidIdentityToken", "must match"),
        ),
        (
            with("SourceIdentity", &["aws:x"]),
            (400, "InvalidIdentityToken", "Source Identity"),
        ),
        (
            with("Role", &[&pairs()[1]]),
            (
                400,
                "InvalidIdentityToken",
                "doesn't contain the requested Role",
            ),
        ),
    ]
}

#[tokio::test]
async fn assertions_are_refused_as_aws_refuses_them() {
    let provider = for_aws::provider();
    let stand_in = saml_stand_in(&provider);
    let refused = async |role: &str, posted: String| {
        let answer = redeem(&stand_in, role, &posted, 3_600).await;
        answer.expect_err("is refused")
    };
    let cases = [with_bad_envelope(&provider), with_bad_claims(&provider)];
    for (draft, (status, code, words)) in cases.into_iter().flatten() {
        let posted = draft.sign_assertion().posted();
        let (seen_status, seen, message) = refused(FEDERATED, posted).await;
        assert_eq!((seen_status, seen.as_str()), (status, code), "{message}");
        assert!(message.contains(words), "{message}");
    }
    let good = response(&provider).sign_assertion();
    let stranger = response(&for_aws::provider()).sign_assertion().posted();
    let unsigned = response(&provider).posted();
    let altered = |part: &str, other: &str| {
        let document = good.xml();
        assert!(document.contains(part), "{part}:\n{document}");
        let document = document.replace(part, other);
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, document)
    };
    let reference = format!("URI=\"#{}\"", good.root.copy("Assertion").id());
    let fetching = altered(&reference, "URI=\"http://127.0.0.1:1/\"");
    let transforming = altered(
        "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
        "http://www.w3.org/TR/1999/REC-xslt-19991116",
    );
    let changed = altered(for_aws::SUBJECT, "eve@example.com");
    let good = good.posted();
    for (role, posted, words) in [
        (FEDERATED, unsigned, "signature invalid"),
        (FEDERATED, stranger, "signature invalid"),
        (FEDERATED, changed, "signature invalid"),
        (FEDERATED, fetching, "signature invalid"),
        (FEDERATED, transforming, "signature invalid"),
        (
            FEDERATED,
            good.replace('+', " "),
            "Invalid base64 SAMLResponse",
        ),
        (
            FEDERATED,
            good[..good.len() - 8].to_owned(),
            "Invalid SAMLResponse",
        ),
        (ELSEWHERE, good.clone(), NOT_AUTHORIZED),
        (
            "arn:aws:iam::111111111111:role/Unknown",
            good.clone(),
            "doesn't contain the requested",
        ),
    ] {
        let (_, _, message) = refused(role, posted).await;
        assert!(message.contains(words), "{message}");
    }
    assert!(stand_in.issued().is_empty());
    redeem(&stand_in, FEDERATED, &good, 3_600)
        .await
        .expect("nothing is wrong with it");
}

#[tokio::test]
async fn an_assertion_is_taken_for_five_minutes_and_never_with_a_signature() {
    let provider = for_aws::provider();
    let shift = Arc::new(AtomicI64::new(0));
    let seconds = Arc::clone(&shift);
    let clock = move || now() + Duration::seconds(seconds.load(Ordering::SeqCst));
    let stand_in = StandIn::start_with_clock(saml_catalogue(&provider), ANY_PORT, Arc::new(clock));
    let stand_in = stand_in.expect("a free port on 127.0.0.1");
    let posted = response(&provider).sign_assertion().posted();
    for (later, is_taken) in [(0, true), (290, true), (301, false)] {
        shift.store(later, Ordering::SeqCst);
        let answer = redeem(&stand_in, FEDERATED, &posted, 900).await;
        assert_eq!(answer.is_ok(), is_taken, "{later}");
    }
    shift.store(0, Ordering::SeqCst);
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithSAML")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", FEDERATED)
        .append_pair("PrincipalArn", PROVIDER)
        .append_pair("SAMLAssertion", &posted)
        .finish();
    let signed = http()
        .post(stand_in.url())
        .header("authorization", "AWS4-HMAC-SHA256 Credential=x")
        .body(form.clone());
    let answer = signed.send().await.expect("answers");
    assert_eq!(answer.status().as_u16(), 400);
    let answer = http().post(stand_in.url()).body(form).send().await;
    assert_eq!(answer.expect("answers").status().as_u16(), 200);
    let missing = "Action=AssumeRoleWithSAML&Version=2011-06-15";
    let answer = http().post(stand_in.url()).body(missing).send().await;
    let text = answer.expect("answers").text().await.expect("text");
    for field in ["roleArn", "principalArn", "sAMLAssertion"] {
        assert!(text.contains(field), "{text}");
    }
}

#[test]
fn metadata_is_taken_as_iam_takes_it() {
    let provider = for_aws::provider();
    let metadata = provider.metadata(&[&provider.primary]);
    assert!(SamlProvider::new(PROVIDER, &metadata).is_ok());
    let padding = "x".repeat(1_000);
    for bad in [
        String::new(),
        padding.clone(),
        format!("\u{feff}{metadata}x"),
        metadata.replace("IDPSSODescriptor", "SPSSODescriptor"),
        metadata.replace("use=\"signing\"", "use=\"encryption\""),
        format!("<!DOCTYPE x>{metadata}"),
    ] {
        assert!(SamlProvider::new(PROVIDER, &bad).is_err(), "{bad}");
    }
}
