//! STS and the federation endpoint, asked through the production adapters.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use rolegate::{
    access::{
        AssertedRole, AuthenticationMethod, Conditions, ConnectorId, ConsoleWay, Grant,
        GrantMethod, Group, GroupKey, GroupKeyForm, Identity, Mapping, MappingId, NameTemplate,
        Origin, Partition, Policy, PolicySettings, PolicyTables, Request, Role, RoleDefaults,
        SessionDuration,
    },
    aws::{
        ConsoleVisit, Issued, Proof, SessionCredentials, SignIn, SignInUrlError, Sts, StsError,
        sign_in::{self, FederationSignIn},
        sts::{self, SdkSts, SettingsError, SourceKind, SourceSettings},
    },
    demo::{
        aws::{
            Account, Catalogue, Fault, FederationFault, Principal, Role as AwsRole, SamlProvider,
            SignInOutcome, StandIn, StsFault, Trust,
        },
        sample,
    },
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use url::Url;

use crate::support::{
    moto::{self, Moto},
    saml::{
        for_aws,
        provider::{Request as SamlRequest, TestIdentityProvider, instant},
    },
    tcp_proxy::TcpProxy,
    temporary_dir,
};

const ACCOUNT: &str = "999900001111";
const TARGET: &str = "arn:aws:iam::999900001111:role/team/Target";
const LONG: &str = "arn:aws:iam::999900001111:role/Long";
const SECRET: &str = sample::BROKER_SECRET_ACCESS_KEY;
/// For servers that never answer; whatever answers is waited for patiently.
const BRIEF: Duration = Duration::from_millis(400);
const PATIENT: Duration = Duration::from_secs(30);
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;

fn catalogue() -> Catalogue {
    let trust = || {
        Trust::of([sample::BROKER_ARN, sample::BROKER_ROLE_ARN])
            .with_session_tags()
            .with_source_identity()
    };
    Catalogue::sample()
        .with_account(Account::new(ACCOUNT, "Payments").without_region("ap-east-1"))
        .with_role(AwsRole::new(
            TARGET,
            trust().with_external_id("rolegate-7f3c"),
        ))
        .with_role(AwsRole::new(LONG, trust()).with_max_session_seconds(43_200))
        .with_principal(
            Principal::role_session(
                sample::BROKER_ROLE_ARN,
                "i-0123456789abcdef0",
                "ASIADEMOINSTANCE0001",
            )
            .with_secret(SECRET, "instance-token")
            .from_instance_profile()
            .which_may_assume("*"),
        )
        .with_principal(Principal::user(
            "arn:aws:iam::444455556666:root",
            "AKIADEMOROOT00000001",
            SECRET,
        ))
}

fn stand_in() -> StandIn {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    StandIn::start(catalogue(), any_port).expect("a free port on 127.0.0.1")
}

fn role(arn: &str) -> Role {
    Role {
        owner: None,
        arn: arn.parse().expect("a role's ARN"),
        description: None,
        own: RoleDefaults::default(),
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        protected: false,
        disabled: false,
    }
}

/// A role with everything that a grant can carry.
fn full_role() -> Role {
    Role {
        own: RoleDefaults {
            external_id: Some("rolegate-7f3c".to_owned()),
            region: Some("eu-central-1".to_owned()),
            source_identity: Some("{username}@corp".parse().expect("a template")),
            ..RoleDefaults::default()
        },
        session_policy: Some(POLICY.to_owned()),
        policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
        session_tags: BTreeMap::from([
            ("team".to_owned(), "payments".to_owned()),
            ("cost centre".to_owned(), "42".to_owned()),
        ]),
        ..role(TARGET)
    }
}

/// A role that allows twelve hours in the table.
fn long_role(arn: &str) -> Role {
    Role {
        own: RoleDefaults {
            max_duration: Some(SessionDuration::LONGEST),
            ..RoleDefaults::default()
        },
        ..role(arn)
    }
}

/// The only way to a grant: a table that gives the role to a group that the person is in.
fn granted(role: Role, request: &Request) -> Grant {
    let connector: ConnectorId = "corp".parse().expect("a connector id");
    let key = GroupKey::new(&connector, "aws-users", GroupKeyForm::Exact).expect("a group");
    let now = OffsetDateTime::UNIX_EPOCH;
    let arn = role.arn.clone();
    let provider = format!("arn:aws:iam::{}:saml-provider/corp", arn.account());
    let identity = Identity {
        connector,
        subject: "6f9619ff".to_owned(),
        username: "ada".to_owned(),
        display_name: None,
        email: None,
        entry_dn: None,
        groups: vec![Group {
            key: key.clone(),
            name: "aws-users".to_owned(),
            stable_id: None,
            through: None,
        }],
        groups_read_at: now,
        authenticated_at: now,
        method: AuthenticationMethod::Saml,
        authentication_context: None,
        asserted_roles: vec![AssertedRole {
            role: arn.clone(),
            provider: provider.parse().expect("a provider's ARN"),
        }],
    };
    let tables = PolicyTables {
        version: 1,
        roles: vec![role],
        mappings: vec![Mapping {
            id: MappingId("m-1".to_owned()),
            group: key,
            role: arn.clone(),
            conditions: Conditions::default(),
            ticket: None,
            origin: Origin::Store,
        }],
        ..PolicyTables::default()
    };
    let settings = PolicySettings {
        role_defaults: RoleDefaults::default(),
        session_name: "{username}".parse::<NameTemplate>().expect("a template"),
        hand_over_connectors: HashSet::from([identity.connector.clone()]),
        ..PolicySettings::default()
    };
    Policy::new(tables, settings)
        .authorize(&identity, &arn, request, now)
        .expect("the person is entitled")
}

fn grant(role: Role) -> Grant {
    granted(role, &Request::console())
}

fn explicit(role: Role, seconds: u64) -> Grant {
    let request = Request {
        duration: Some(SessionDuration::from_seconds(seconds).expect("within the limits")),
        ..Request::console()
    };
    granted(role, &request)
}

fn keys(id: &str, secret: &str, token: Option<&str>) -> SourceKind {
    SourceKind::Static {
        access_key_id: id.to_owned(),
        secret: secret.to_owned().into(),
        session_token: token.map(|token| token.to_owned().into()),
    }
}

fn broker_keys() -> SourceKind {
    keys(sample::BROKER_ACCESS_KEY_ID, SECRET, None)
}

fn role_keys() -> SourceKind {
    keys(
        sample::BROKER_ROLE_ACCESS_KEY_ID,
        SECRET,
        Some(sample::BROKER_ROLE_SESSION_TOKEN),
    )
}

fn source(id: &str, kind: SourceKind) -> SourceSettings {
    SourceSettings {
        id: id.to_owned(),
        kind,
    }
}

fn settings(endpoint: &str, sources: Vec<SourceSettings>) -> sts::Settings {
    sts::Settings {
        default_region: "eu-west-1".to_owned(),
        endpoint: Some(endpoint.parse().expect("a URL")),
        call_timeout: PATIENT,
        attempts: 1,
        sources,
    }
}

async fn sts_with(endpoint: &str, kind: SourceKind) -> SdkSts {
    let settings = settings(endpoint, vec![source("default", kind)]);
    SdkSts::new(settings).await.expect("settings that work")
}

async fn broker(stand_in: &StandIn) -> SdkSts {
    sts_with(stand_in.url().as_str(), broker_keys()).await
}

/// A server that answers every request with one text and tells what it was asked.
async fn answering(status: u16, body: &str) -> (Url, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let answer = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-length: {}\r\nlocation: http://127.0.0.1:1/\r\n\
         x-amzn-requestid: r-1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = read_request(&mut stream).await;
            let _ = sender.send(request);
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url.parse().expect("a URL"), requests)
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => request.extend_from_slice(&buffer[..count]),
        }
    }
}

fn error_document(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>r-1</RequestId></ErrorResponse>"
    )
}

/// Everything that an error shows to somebody.
fn shown(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn std::error::Error + 'static)| {
        (*error).source()
    });
    let texts: Vec<String> = chain.map(|error| format!("{error} {error:?}")).collect();
    texts.join("\n")
}

#[tokio::test]
async fn everything_that_a_grant_carries_arrives() {
    let stand_in = stand_in();
    let sts = broker(&stand_in).await;
    let issued = sts
        .issue(&explicit(full_role(), 1_800), &Proof::Own)
        .await
        .expect("issued");

    let [arrived] = <[_; 1]>::try_from(stand_in.issued()).expect("one session");
    assert_eq!(arrived.role_arn, TARGET);
    assert_eq!(arrived.session_name, "ada");
    assert_eq!(arrived.duration_seconds, 1_800);
    assert_eq!(arrived.external_id.as_deref(), Some("rolegate-7f3c"));
    assert_eq!(arrived.source_identity.as_deref(), Some("ada@corp"));
    assert_eq!(arrived.policy.as_deref(), Some(POLICY));
    assert_eq!(
        arrived.policy_arns,
        ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    );
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        arrived.tags,
        [tag("cost centre", "42"), tag("team", "payments")]
    );
    assert!(arrived.transitive_tag_keys.is_empty());
    assert_eq!(arrived.region, "eu-central-1");
    assert_eq!(arrived.caller_arn, sample::BROKER_ARN);

    assert_eq!(issued.credentials.access_key_id, arrived.access_key_id);
    assert_eq!(
        issued.credentials.expiration.unix_timestamp(),
        arrived.expiration.unix_timestamp()
    );
    assert_eq!(issued.assumed_role_arn, arrived.arn);
    assert!(issued.assumed_role_id.ends_with(":ada"));
    assert_eq!(issued.request_id, Some(arrived.request_id));
    assert_eq!(issued.region, "eu-central-1");
    assert_eq!(issued.duration.seconds(), 1_800);
    assert!(!issued.is_chained);
}

#[tokio::test]
async fn a_plain_grant_sends_nothing_that_it_has_not() {
    let stand_in = stand_in();
    broker(&stand_in)
        .await
        .issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect("issued");
    let [arrived] = <[_; 1]>::try_from(stand_in.issued()).expect("one session");
    assert_eq!(arrived.duration_seconds, 3_600);
    assert_eq!(arrived.region, "eu-west-1");
    assert_eq!(
        (arrived.external_id, arrived.source_identity, arrived.policy),
        (None, None, None)
    );
    assert!(arrived.tags.is_empty() && arrived.policy_arns.is_empty());
}

#[tokio::test]
async fn the_user_agent_names_the_broker_and_its_version() {
    let stand_in = stand_in();
    let issued = broker(&stand_in)
        .await
        .issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect("issued");
    let sign_in = federation(Some(stand_in.url()), PATIENT);
    sign_in
        .sign_in_url(issued.credentials, &visit(None))
        .await
        .expect("a URL");
    let name = format!("rolegate/{}", env!("CARGO_PKG_VERSION"));
    let [sts, federation] = <[String; 2]>::try_from(stand_in.user_agents()).expect("two calls");
    assert!(sts.contains(&name), "{sts}");
    assert_eq!(federation, name);
}

#[tokio::test]
async fn other_partitions_are_asked_in_their_own_region() {
    let catalogue = catalogue().with_other_partitions();
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let stand_in = StandIn::start(catalogue, any_port).expect("a free port");
    let sources = vec![
        source("gov", keys("AKIADEMOROLEGATE0GOV", SECRET, None)),
        source("cn", keys("AKIADEMOROLEGATE00CN", SECRET, None)),
    ];
    let sts = SdkSts::new(settings(stand_in.url().as_str(), sources))
        .await
        .expect("settings");
    for (source, arn, region) in [
        (
            "gov",
            "arn:aws-us-gov:iam::555566667777:role/ReadOnly",
            "us-gov-west-1",
        ),
        (
            "cn",
            "arn:aws-cn:iam::555566668888:role/ReadOnly",
            "cn-northwest-1",
        ),
    ] {
        let mut role = role(arn);
        role.own.credential_source = Some(source.to_owned());
        assert_eq!(
            sts.issue(&grant(role), &Proof::Own)
                .await
                .expect("issued")
                .region,
            region
        );
    }
    let mut role = role("arn:aws-cn:iam::555566668888:role/ReadOnly");
    role.own.region = Some("eu-west-1".to_owned());
    role.own.credential_source = Some("cn".to_owned());
    let calls = stand_in.sts_calls();
    let error = sts
        .issue(&grant(role), &Proof::Own)
        .await
        .expect_err("another partition");
    assert_eq!(error.code(), "aws_invalid_request");
    assert!(error.to_string().contains("eu-west-1"));
    assert_eq!(stand_in.sts_calls(), calls);
}

#[tokio::test]
async fn a_role_that_allows_less_gets_an_hour_unless_a_length_was_asked_for() {
    let stand_in = stand_in();
    let sts = broker(&stand_in).await;
    let mut short = long_role(TARGET);
    short.own.external_id = Some("rolegate-7f3c".to_owned());

    let issued = sts
        .issue(&grant(short.clone()), &Proof::Own)
        .await
        .expect("issued");
    assert_eq!(issued.duration, SessionDuration::HOUR);
    assert_eq!(stand_in.sts_calls(), 2);
    assert_eq!(sts.ceiling("default"), None);

    let error = sts
        .issue(&explicit(short, 7_200), &Proof::Own)
        .await
        .expect_err("too long");
    assert_eq!(error.code(), "aws_invalid_request");
    assert_eq!(stand_in.sts_calls(), 3);
    assert_eq!(stand_in.issued().len(), 1);
}

#[tokio::test]
async fn chaining_is_learned_from_a_refusal_and_remembered() {
    let stand_in = stand_in();
    let sts = sts_with(stand_in.url().as_str(), role_keys()).await;
    assert_eq!(sts.ceiling("default"), None);

    let error = sts
        .issue(&explicit(long_role(LONG), 7_200), &Proof::Own)
        .await
        .expect_err("longer than an hour");
    assert_eq!(error.code(), "aws_invalid_request");
    assert_eq!(sts.ceiling("default"), Some(SessionDuration::HOUR));
    assert_eq!(stand_in.sts_calls(), 1);

    let issued = sts
        .issue(&grant(long_role(LONG)), &Proof::Own)
        .await
        .expect("issued");
    assert_eq!(issued.duration, SessionDuration::HOUR);
    assert!(issued.is_chained);
    assert_eq!(stand_in.sts_calls(), 2);
}

#[tokio::test]
async fn a_first_click_on_role_credentials_is_tried_again_at_an_hour() {
    let stand_in = stand_in();
    let sts = sts_with(stand_in.url().as_str(), role_keys()).await;
    let issued = sts
        .issue(&grant(long_role(LONG)), &Proof::Own)
        .await
        .expect("issued");
    assert_eq!(issued.duration, SessionDuration::HOUR);
    assert!(issued.is_chained);
    assert_eq!(stand_in.sts_calls(), 2);
}

#[tokio::test]
async fn the_caller_tells_whether_role_chaining_limits_apply() {
    let stand_in = stand_in();
    let sources = vec![
        source("user", broker_keys()),
        source("role", role_keys()),
        source(
            "instance",
            keys("ASIADEMOINSTANCE0001", SECRET, Some("instance-token")),
        ),
        source("root", keys("AKIADEMOROOT00000001", SECRET, None)),
    ];
    let sts = SdkSts::new(settings(stand_in.url().as_str(), sources))
        .await
        .expect("settings");
    assert_eq!(
        sts.credential_sources(),
        ["user", "role", "instance", "root"]
    );

    let user = sts.caller("user").await.expect("known");
    assert_eq!(user.arn, sample::BROKER_ARN);
    assert_eq!(user.account, sample::BROKER_ACCOUNT);
    assert!(!user.is_temporary);
    assert_eq!(sts.ceiling("user"), None);

    assert!(sts.caller("role").await.expect("known").is_temporary);
    assert_eq!(sts.ceiling("role"), Some(SessionDuration::HOUR));
    assert!(!sts.caller("instance").await.expect("known").is_temporary);
    assert_eq!(sts.ceiling("instance"), None);

    let root = sts.caller("root").await.expect_err("root is refused");
    assert!(matches!(&root, StsError::BrokerCredentials { code, .. } if code == "root"));
    let unknown = sts.caller("nobody").await.expect_err("not configured");
    assert!(matches!(&unknown, StsError::UnknownSource(id) if id == "nobody"));
}

#[tokio::test]
async fn a_source_can_be_a_role_assumed_with_another_source() {
    let stand_in = stand_in();
    let hub = SourceKind::AssumeRole {
        source: "default".to_owned(),
        role_arn: sample::BROKER_ROLE_ARN.to_owned(),
        external_id: None,
    };
    let sources = vec![source("hub", hub), source("default", broker_keys())];
    let sts = SdkSts::new(settings(stand_in.url().as_str(), sources))
        .await
        .expect("settings");
    assert_eq!(stand_in.sts_calls(), 0);
    assert_eq!(sts.ceiling("hub"), Some(SessionDuration::HOUR));

    let mut role = long_role(LONG);
    role.own.credential_source = Some("hub".to_owned());
    let issued = sts
        .issue(&grant(role.clone()), &Proof::Own)
        .await
        .expect("issued");
    assert!(issued.is_chained);
    assert_eq!(issued.duration, SessionDuration::HOUR);
    let chain = stand_in.issued();
    assert_eq!(chain[0].role_arn, sample::BROKER_ROLE_ARN);
    assert_eq!(chain[0].session_name, "rolegate");
    assert_eq!(
        chain[1].caller_arn,
        "arn:aws:sts::444455556666:assumed-role/rolegate/rolegate"
    );
    sts.issue(&grant(role), &Proof::Own).await.expect("issued");
    assert_eq!(stand_in.issued().len(), 3, "the hub's credentials are kept");
}

#[tokio::test]
async fn a_hub_role_that_refuses_the_broker_is_the_brokers_problem() {
    let stand_in = stand_in();
    let hub = SourceKind::AssumeRole {
        source: "default".to_owned(),
        role_arn: "arn:aws:iam::444455556666:role/missing".to_owned(),
        external_id: None,
    };
    let sources = vec![source("hub", hub), source("default", broker_keys())];
    let sts = SdkSts::new(settings(stand_in.url().as_str(), sources))
        .await
        .expect("settings");
    let error = sts.caller("hub").await.expect_err("refused");
    assert_eq!(error.code(), "aws_broker_credentials");

    stand_in.set_fault(Fault::Sts(StsFault::Down));
    let error = sts.caller("hub").await.expect_err("down");
    assert_eq!(error.code(), "aws_unavailable");
}

#[tokio::test]
async fn an_environment_file_is_read_again_when_it_changes() {
    let stand_in = stand_in();
    let dir = temporary_dir("environment-file-");
    let path = dir.path().join("broker.env");
    let write = |id: &str, secret: &str| {
        let text = format!("export AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY=\"{secret}\"\n");
        std::fs::write(&path, text).expect("written");
    };
    let sts = sts_with(
        stand_in.url().as_str(),
        SourceKind::EnvironmentFile(path.clone()),
    )
    .await;
    let error = sts.caller("default").await.expect_err("no file");
    assert!(matches!(&error, StsError::BrokerCredentials { code, .. } if code == "provider"));

    write("AKIAUNKNOWN", "old-secret");
    let error = sts.caller("default").await.expect_err("unknown key");
    assert!(
        matches!(&error, StsError::BrokerCredentials { code, .. } if code == "InvalidClientTokenId")
    );
    write(sample::BROKER_ACCESS_KEY_ID, SECRET);
    let caller = sts.caller("default").await.expect("the new key");
    assert_eq!(caller.arn, sample::BROKER_ARN);

    std::fs::write(&path, "AWS_ACCESS_KEY_ID=only-half").expect("written");
    let error = sts.caller("default").await.expect_err("half a key");
    assert!(shown(&error).contains("AWS_SECRET_ACCESS_KEY"));
}

#[tokio::test]
async fn missing_credentials_are_the_brokers_problem() {
    let stand_in = stand_in();
    let profile = SourceKind::Profile("rolegate-has-no-such-profile".to_owned());
    let sts = sts_with(stand_in.url().as_str(), profile).await;
    let error = sts
        .issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect_err("no credentials");
    assert!(
        matches!(&error, StsError::BrokerCredentials { code, .. } if code == "none"),
        "{error:?}"
    );
    assert_eq!(stand_in.sts_calls(), 0);
}

#[tokio::test]
async fn refusals_of_the_stand_in_keep_their_meaning() {
    let stand_in = stand_in();
    let sts = broker(&stand_in).await;

    let error = sts
        .issue(&grant(role(TARGET)), &Proof::Own)
        .await
        .expect_err("no external id");
    let StsError::AccessDenied {
        message,
        request_id,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(message.contains("not authorized to perform: sts:AssumeRole"));
    assert!(request_id.is_some());

    let mut elsewhere = role(LONG);
    elsewhere.own.region = Some("ap-east-1".to_owned());
    let error = sts
        .issue(&grant(elsewhere), &Proof::Own)
        .await
        .expect_err("switched off");
    assert!(matches!(&error, StsError::RegionDisabled { region } if region == "ap-east-1"));

    let mut tagged = role(LONG);
    tagged.session_tags = (0..40)
        .map(|number| (format!("key-{number}"), "x".repeat(200)))
        .collect();
    let error = sts
        .issue(&grant(tagged), &Proof::Own)
        .await
        .expect_err("too many tags");
    assert!(matches!(&error, StsError::Invalid { code, .. } if code == "PackedPolicyTooLarge"));

    let mut broken = role(LONG);
    // JSON, as far as Rolegate looks; whether it is a policy is for IAM to say.
    broken.session_policy = Some(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Action":"*","Resource":"*"}]}"#
            .to_owned(),
    );
    let error = sts
        .issue(&grant(broken), &Proof::Own)
        .await
        .expect_err("not a policy");
    assert!(matches!(&error, StsError::Invalid { code, .. } if code == "MalformedPolicyDocument"));

    for (id, secret, expected) in [
        ("AKIAUNKNOWN", SECRET, "InvalidClientTokenId"),
        (
            sample::BROKER_ACCESS_KEY_ID,
            "wrong",
            "SignatureDoesNotMatch",
        ),
    ] {
        let sts = sts_with(stand_in.url().as_str(), keys(id, secret, None)).await;
        let error = sts
            .issue(&grant(role(LONG)), &Proof::Own)
            .await
            .expect_err(expected);
        assert!(
            matches!(&error, StsError::BrokerCredentials { code, .. } if code == expected),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn every_error_code_keeps_its_meaning_through_the_sdk() {
    for (status, code, meaning) in [
        (403, "AccessDenied", "aws_access_denied"),
        (400, "ValidationError", "aws_invalid_request"),
        (400, "PackedPolicyTooLarge", "aws_invalid_request"),
        (400, "MalformedPolicyDocument", "aws_invalid_request"),
        (403, "RegionDisabledException", "aws_region_disabled"),
        (403, "InvalidClientTokenId", "aws_broker_credentials"),
        (403, "SignatureDoesNotMatch", "aws_broker_credentials"),
        (403, "ExpiredToken", "aws_broker_credentials"),
        (400, "ExpiredTokenException", "aws_broker_credentials"),
        (400, "RequestExpired", "aws_broker_credentials"),
        (400, "Throttling", "aws_throttled"),
        (400, "ThrottlingException", "aws_throttled"),
        (500, "InternalFailure", "aws_unavailable"),
        (503, "ServiceUnavailable", "aws_unavailable"),
    ] {
        let (url, _requests) = answering(status, &error_document(code, "because")).await;
        let sts = sts_with(url.as_str(), broker_keys()).await;
        let error = sts
            .issue(&grant(role(LONG)), &Proof::Own)
            .await
            .expect_err(code);
        assert_eq!(error.code(), meaning, "{code}");
        match &error {
            StsError::AccessDenied { request_id, .. } | StsError::Invalid { request_id, .. } => {
                assert_eq!(request_id.as_deref(), Some("r-1"), "{code}");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn throttling_and_server_errors_are_tried_again_within_the_limit() {
    let stand_in = stand_in();
    let mut settings = settings(
        stand_in.url().as_str(),
        vec![source("default", broker_keys())],
    );
    settings.attempts = 3;
    let sts = SdkSts::new(settings).await.expect("settings");
    for fault in [StsFault::Throttle(2), StsFault::InternalError(2)] {
        let before = stand_in.sts_calls();
        stand_in.set_fault(Fault::Sts(fault));
        sts.issue(&grant(role(LONG)), &Proof::Own)
            .await
            .expect("the third time");
        assert_eq!(stand_in.sts_calls() - before, 3, "{fault:?}");
    }
    stand_in.set_fault(Fault::Sts(StsFault::Throttle(3)));
    let error = sts
        .issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect_err("throttled");
    assert_eq!(error.code(), "aws_throttled");
    sts.issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect("healed by itself");
}

#[tokio::test]
async fn silence_and_nonsense_are_unavailability_and_end() {
    let stand_in = stand_in();
    let sources = vec![source("default", broker_keys())];
    let mut impatient = settings(stand_in.url().as_str(), sources);
    impatient.call_timeout = BRIEF;
    let impatient = SdkSts::new(impatient).await.expect("settings");
    stand_in.set_fault(Fault::Sts(StsFault::Hang));
    let error = impatient
        .issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect_err("hangs");
    assert_eq!(error.code(), "aws_unavailable", "{error:?}");

    let sts = broker(&stand_in).await;
    for fault in [StsFault::Down, StsFault::Garbage] {
        stand_in.set_fault(Fault::Sts(fault));
        let error = sts
            .issue(&grant(role(LONG)), &Proof::Own)
            .await
            .expect_err("broken");
        assert_eq!(error.code(), "aws_unavailable", "{fault:?}: {error:?}");
    }
    stand_in.clear_faults();
    sts.issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect("healed by itself");
}

#[tokio::test]
async fn a_refused_connection_is_unavailability_and_heals() {
    let stand_in = stand_in();
    let address = format!("127.0.0.1:{}", stand_in.url().port().expect("a port"));
    let proxy = TcpProxy::to(address.parse().expect("an address"));
    let sts = sts_with(&format!("http://{}", proxy.address()), broker_keys()).await;
    proxy.refuse();
    let error = sts
        .issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect_err("refused");
    assert_eq!(error.code(), "aws_unavailable");
    proxy.heal();
    // The host in the signature is the proxy's, and STS does not know its own name.
    sts.issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect("healed by itself");
}

#[tokio::test]
async fn half_an_answer_is_none_and_its_secrets_stay_in_it() {
    let planted = "planted-secret-key";
    let body = format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAX</AccessKeyId>\
         <SecretAccessKey>{planted}</SecretAccessKey><Broken"
    );
    let empty = "<AssumeRoleResponse><AssumeRoleResult></AssumeRoleResult></AssumeRoleResponse>";
    for body in [body.as_str(), empty] {
        let (url, _requests) = answering(200, body).await;
        let sts = sts_with(url.as_str(), broker_keys()).await;
        let error = sts
            .issue(&grant(role(LONG)), &Proof::Own)
            .await
            .expect_err("no answer");
        assert_eq!(error.code(), "aws_unavailable", "{error:?}");
        assert!(!shown(&error).contains(planted), "{}", shown(&error));
    }
}

#[tokio::test]
async fn sources_that_build_on_nothing_are_refused_at_the_start() {
    let hub = SourceKind::AssumeRole {
        source: "absent".to_owned(),
        role_arn: sample::BROKER_ROLE_ARN.to_owned(),
        external_id: None,
    };
    let error = SdkSts::new(settings("http://127.0.0.1:1", vec![source("hub", hub)]))
        .await
        .expect_err("refused");
    assert!(matches!(error, SettingsError::UnknownSource { .. }));
}

#[tokio::test]
async fn moto_with_signatures_accepts_and_refuses_as_aws_does() {
    let moto = Moto::start_with_signatures();
    let key = |key: &moto::AccessKey| keys(&key.id, &key.secret, None);
    let sts = sts_with(&moto.url(), key(moto.broker_keys())).await;
    let caller = sts.caller("default").await.expect("the key is known");
    assert_eq!(caller.account, moto::ACCOUNT_ID);
    let issued = sts
        .issue(&grant(role(moto::ROLE_ARN)), &Proof::Own)
        .await
        .expect("trusted");
    assert!(issued.credentials.access_key_id.starts_with("ASIA"));

    let mut guarded = role(moto::GUARDED_ROLE_ARN);
    guarded.own.external_id = Some("another".to_owned());
    let refused = sts
        .issue(&grant(guarded.clone()), &Proof::Own)
        .await
        .expect_err("another external id");
    assert_eq!(refused.code(), "aws_access_denied", "{refused:?}");
    guarded.own.external_id = Some(moto::EXTERNAL_ID.to_owned());
    sts.issue(&grant(guarded), &Proof::Own)
        .await
        .expect("trusted with the external id");

    let powerless = sts_with(&moto.url(), key(moto.powerless_keys())).await;
    let refused = powerless
        .issue(&grant(role(moto::ROLE_ARN)), &Proof::Own)
        .await
        .expect_err("no policy");
    assert_eq!(refused.code(), "aws_access_denied", "{refused:?}");
    let unknown = sts_with(&moto.url(), keys("AKIAUNKNOWN", "any", None)).await;
    let refused = unknown.caller("default").await.expect_err("unknown key");
    assert_eq!(refused.code(), "aws_broker_credentials", "{refused:?}");
}

fn federation(endpoint: Option<Url>, call_timeout: Duration) -> FederationSignIn {
    FederationSignIn::new(sign_in::Settings {
        endpoint,
        call_timeout,
    })
    .expect("settings that work")
}

fn visit(session_duration: Option<SessionDuration>) -> ConsoleVisit {
    ConsoleVisit {
        partition: Partition::Aws,
        region: Some("eu-west-1".to_owned()),
        destination: "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1&a=b c"
            .parse()
            .expect("a URL"),
        issuer: "https://rolegate.example.org/go?role=x&y=z"
            .parse()
            .expect("a URL"),
        session_duration,
        sign_out_first: false,
    }
}

/// Credentials that no server has issued, with planted secrets.
fn planted() -> SessionCredentials {
    SessionCredentials {
        access_key_id: "ASIAPLANTED".to_owned(),
        secret_access_key: "planted/secret+key".to_owned().into(),
        session_token: "planted&session=token".to_owned().into(),
        expiration: OffsetDateTime::UNIX_EPOCH,
    }
}

async fn issued(stand_in: &StandIn, kind: SourceKind) -> Issued {
    let sts = sts_with(stand_in.url().as_str(), kind).await;
    sts.issue(&grant(role(LONG)), &Proof::Own)
        .await
        .expect("issued")
}

/// The query of a login URL by name.
fn query(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn exactly_the_issued_credentials_arrive_by_post_and_open_the_console() {
    let stand_in = stand_in();
    let issued = issued(&stand_in, broker_keys()).await;
    let sign_in = federation(Some(stand_in.url()), PATIENT);
    let visit = visit(Some(SessionDuration::LONGEST));
    let url = sign_in
        .sign_in_url(issued.credentials, &visit)
        .await
        .expect("a URL");
    assert_eq!(format!("{url:?}"), "SignInUrl(redacted)");
    let url: Url = url.into_location().parse().expect("a URL");
    assert_eq!(url.path(), "/federation");
    let login = query(&url);
    assert_eq!(login["Action"], "login");
    assert_eq!(login["Issuer"], visit.issuer.as_str());
    assert_eq!(login["Destination"], visit.destination.as_str());
    assert!(!login["SigninToken"].is_empty());
    assert_eq!(login.len(), 4);

    let sent = &stand_in.sign_ins()[0];
    let known = &stand_in.issued()[0];
    assert!(sent.is_post);
    assert_eq!(sent.session_duration.as_deref(), Some("43200"));
    let session: serde_json::Value = serde_json::from_str(&sent.session).expect("JSON");
    assert_eq!(
        session,
        serde_json::json!({
            "sessionId": known.access_key_id,
            "sessionKey": known.secret_access_key,
            "sessionToken": known.session_token,
        })
    );
    open(&url).await;
    assert_eq!(stand_in.sign_ins()[0].outcome, SignInOutcome::SignedIn);
}

/// Follows a URL like a browser, one hop after the other.
async fn open(url: &Url) -> reqwest::Response {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client")
        .get(url.clone())
        .send()
        .await
        .expect("an answer")
}

#[tokio::test]
async fn signing_out_first_wraps_the_login_at_the_same_origin() {
    let stand_in = stand_in();
    let issued = issued(&stand_in, broker_keys()).await;
    let visit = ConsoleVisit {
        sign_out_first: true,
        ..visit(None)
    };
    let url = federation(Some(stand_in.federation_url()), PATIENT)
        .sign_in_url(issued.credentials, &visit)
        .await
        .expect("a URL");
    let url: Url = url.into_location().parse().expect("a URL");
    assert_eq!(url.path(), "/oauth");
    let logout = query(&url);
    assert_eq!(logout["Action"], "logout");
    let login: Url = logout["redirect_uri"].parse().expect("a URL");
    assert_eq!(login.origin(), url.origin());
    assert_eq!(query(&login)["Action"], "login");

    let hop = open(&url).await;
    assert_eq!(hop.headers()["location"], login.as_str());
}

#[tokio::test]
async fn a_forbidden_session_duration_is_left_out_the_second_time() {
    let stand_in = stand_in();
    let issued = issued(&stand_in, role_keys()).await;
    let sign_in = federation(Some(stand_in.url()), PATIENT);
    sign_in
        .sign_in_url(issued.credentials, &visit(Some(SessionDuration::HOUR)))
        .await
        .expect("a URL the second time");
    let durations: Vec<_> = (stand_in.sign_ins().into_iter())
        .map(|sign_in| sign_in.session_duration)
        .collect();
    assert_eq!(durations, [Some("3600".to_owned()), None]);
}

#[tokio::test]
async fn faults_of_the_sign_in_endpoint_have_their_meaning_and_heal() {
    let stand_in = stand_in();
    let patient = federation(Some(stand_in.url()), PATIENT);
    let impatient = federation(Some(stand_in.url()), BRIEF);
    for (fault, code) in [
        (FederationFault::BadRequest, "sign_in_endpoint_refused"),
        (
            FederationFault::InternalError,
            "sign_in_endpoint_unavailable",
        ),
        (FederationFault::Garbage, "sign_in_endpoint_garbage"),
        (FederationFault::Hang, "sign_in_endpoint_unavailable"),
        (FederationFault::Down, "sign_in_endpoint_unavailable"),
    ] {
        stand_in.set_fault(Fault::Federation(fault));
        let credentials = issued(&stand_in, broker_keys()).await.credentials;
        let sign_in = match fault {
            FederationFault::Hang => &impatient,
            _ => &patient,
        };
        let error = sign_in
            .sign_in_url(credentials, &visit(Some(SessionDuration::HOUR)))
            .await
            .expect_err("broken");
        assert_eq!(error.code(), code, "{fault:?}: {error:?}");
        let text = shown(&error);
        for issued in stand_in.issued() {
            assert!(!text.contains(&issued.secret_access_key), "{text}");
            assert!(!text.contains(&issued.session_token), "{text}");
        }
    }
    stand_in.clear_faults();
    let credentials = issued(&stand_in, broker_keys()).await.credentials;
    patient
        .sign_in_url(credentials, &visit(None))
        .await
        .expect("healed by itself");
}

#[tokio::test]
async fn a_sign_in_endpoint_that_refuses_connections_is_unavailable() {
    let stand_in = stand_in();
    let address = format!("127.0.0.1:{}", stand_in.url().port().expect("a port"));
    let proxy = TcpProxy::to(address.parse().expect("an address"));
    proxy.refuse();
    let endpoint = format!("http://{}", proxy.address());
    let sign_in = federation(Some(endpoint.parse().expect("a URL")), PATIENT);
    let error = sign_in
        .sign_in_url(planted(), &visit(None))
        .await
        .expect_err("refused");
    assert_eq!(error.code(), "sign_in_endpoint_unavailable");
    assert!(!shown(&error).contains("planted"));
}

#[tokio::test]
async fn answers_that_hold_no_token_are_refused_without_their_content() {
    let endless = format!("{{\"SigninToken\":\"{}\"}}", "x".repeat(70_000));
    for (status, body, code) in [
        (200, "<html>planted-body</html>", "sign_in_endpoint_garbage"),
        (200, "{\"SigninToken\":\"\"}", "sign_in_endpoint_garbage"),
        (
            200,
            "{\"SigninToken\":7,\"planted-body\":1}",
            "sign_in_endpoint_garbage",
        ),
        (200, "{}", "sign_in_endpoint_garbage"),
        (200, endless.as_str(), "sign_in_endpoint_garbage"),
        (302, "planted-body", "sign_in_endpoint_refused"),
        (403, "planted-body", "sign_in_endpoint_refused"),
        (503, "planted-body", "sign_in_endpoint_unavailable"),
    ] {
        let (url, mut requests) = answering(status, body).await;
        let error = federation(Some(url), PATIENT)
            .sign_in_url(planted(), &visit(Some(SessionDuration::HOUR)))
            .await
            .expect_err("no token");
        assert_eq!(error.code(), code, "{status} {body:.40}");
        assert!(!shown(&error).contains("planted"), "{}", shown(&error));
        requests.recv().await.expect("asked");
        assert!(requests.try_recv().is_err(), "{status} was asked twice");
    }
}

#[tokio::test]
async fn credentials_travel_in_the_body_alone() {
    let (url, mut requests) = answering(200, "{\"SigninToken\":\"t\"}").await;
    federation(Some(url), PATIENT)
        .sign_in_url(planted(), &visit(None))
        .await
        .expect("a URL");
    let request = requests.recv().await.expect("asked");
    let (head, body) = request.split_once("\r\n\r\n").expect("a request");
    assert!(head.starts_with("POST /federation HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"));
    assert!(
        !head.contains("planted") && !head.contains("ASIA"),
        "{head}"
    );
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    assert_eq!(form.keys().collect::<Vec<_>>(), ["Action", "Session"]);
    assert_eq!(
        form["Session"],
        "{\"sessionId\":\"ASIAPLANTED\",\"sessionKey\":\"planted/secret+key\",\
         \"sessionToken\":\"planted&session=token\"}"
    );
}

#[tokio::test]
async fn a_region_of_another_partition_has_no_sign_in_host() {
    let visit = ConsoleVisit {
        partition: Partition::AwsCn,
        ..visit(None)
    };
    let error = federation(None, BRIEF)
        .sign_in_url(planted(), &visit)
        .await
        .expect_err("eu-west-1 is not in China");
    assert!(matches!(error, SignInUrlError::NoHost(Partition::AwsCn)));
}

#[tokio::test]
async fn debug_of_everything_shows_no_secret() {
    let stand_in = stand_in();
    let dir = PathBuf::from("/etc/rolegate/aws.env");
    let sources = vec![
        source(
            "default",
            keys("AKIAX", "planted-secret", Some("planted-token")),
        ),
        source("file", SourceKind::EnvironmentFile(dir)),
    ];
    let settings = settings(stand_in.url().as_str(), sources);
    let configured = format!("{settings:?}");
    let sts = SdkSts::new(settings).await.expect("settings");
    let error = sts.caller("default").await.expect_err("unknown key");
    let issued = issued(&stand_in, broker_keys()).await;
    let known = &stand_in.issued()[0];
    let text = format!(
        "{configured} {sts:?} {:?} {} {issued:?} {:?}",
        planted(),
        shown(&error),
        federation(None, BRIEF)
    );
    for secret in [
        "planted",
        SECRET,
        &known.secret_access_key,
        &known.session_token,
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// What a subscriber wrote.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("no holder panics")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn at_the_loudest_log_level_no_issued_secret_is_written() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let stand_in = stand_in();
    let guard = tracing::subscriber::set_default(subscriber);
    let issued = issued(&stand_in, broker_keys()).await;
    let url = federation(Some(stand_in.url()), PATIENT)
        .sign_in_url(issued.credentials, &visit(None))
        .await
        .expect("a URL")
        .into_location();
    drop(guard);
    let text = String::from_utf8_lossy(&written.0.lock().expect("no holder panics")).into_owned();
    assert!(text.contains("TRACE"), "nothing was written");
    let token = query(&url.parse().expect("a URL"))["SigninToken"].clone();
    let known = &stand_in.issued()[0];
    for secret in [&known.secret_access_key, &known.session_token, &token] {
        // A run of letters and digits reads the same in XML, JSON and forms.
        let run = secret
            .split(|c: char| !c.is_ascii_alphanumeric())
            .max_by_key(|run| run.len())
            .expect("split gives one");
        let line = text.lines().find(|line| line.contains(run));
        assert_eq!(line, None, "a secret was written");
    }
    assert!(!text.contains(SECRET));
}

const PROVIDER: &str = "arn:aws:iam::999900001111:saml-provider/corp";
const FEDERATED: &str = "arn:aws:iam::999900001111:role/team/Federated";
const HOUR_ONLY: &str = "arn:aws:iam::999900001111:role/HourOnly";

fn saml_stand_in(provider: &TestIdentityProvider) -> StandIn {
    let uploaded = SamlProvider::new(PROVIDER, &provider.metadata(&[&provider.primary]));
    let uploaded = uploaded.expect("metadata");
    let trust = || Trust::default().with_saml(PROVIDER, [for_aws::ACS]);
    let catalogue = catalogue()
        .with_saml_provider(uploaded)
        .with_role(AwsRole::new(FEDERATED, trust()).with_max_session_seconds(43_200))
        .with_role(AwsRole::new(HOUR_ONLY, trust()));
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    StandIn::start(catalogue, any_port).expect("a free port on 127.0.0.1")
}

fn saml_role(arn: &str) -> Role {
    let mut role = long_role(arn);
    role.own.grant_method = Some(GrantMethod::AssumeRoleWithSaml);
    role
}

fn request() -> SamlRequest {
    let pair = |role: &str| format!("{role},{PROVIDER}");
    #[expect(
        clippy::disallowed_methods,
        reason = "the stand-in has the system's clock"
    )]
    let now = OffsetDateTime::now_utc();
    for_aws::request(now, &[&pair(FEDERATED), &pair(HOUR_ONLY)])
}

/// The request's response, signed, as a browser posts it.
fn signed(provider: &Arc<TestIdentityProvider>, request: &SamlRequest) -> String {
    let draft = provider.response(request).session_end(None);
    draft.sign_assertion().posted()
}

fn proof(posted: &str) -> Proof {
    Proof::SamlResponse(posted.to_owned().into())
}

/// An adapter whose only credential source does not work.
async fn without_credentials(endpoint: &str) -> SdkSts {
    sts_with(
        endpoint,
        SourceKind::EnvironmentFile(PathBuf::from("/nowhere")),
    )
    .await
}

#[tokio::test]
async fn an_assertion_opens_a_role_without_any_credentials_of_ours() {
    let provider = for_aws::provider();
    let stand_in = saml_stand_in(&provider);
    let sts = without_credentials(stand_in.url().as_str()).await;
    let narrowed = Role {
        session_policy: Some(POLICY.to_owned()),
        policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
        ..saml_role(FEDERATED)
    };
    let posted = signed(&provider, &request());
    let issued = sts
        .issue(&grant(narrowed), &proof(&posted))
        .await
        .expect("issued");
    let [arrived] = <[_; 1]>::try_from(stand_in.issued()).expect("one session");
    assert_eq!(arrived.role_arn, FEDERATED);
    assert_eq!(arrived.policy.as_deref(), Some(POLICY));
    assert_eq!(
        arrived.policy_arns,
        ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    );
    assert_eq!(arrived.duration_seconds, 43_200);
    let evidence = arrived.saml.expect("an assertion");
    assert_eq!(evidence.provider_arn, PROVIDER);
    assert_eq!(evidence.response, posted);
    assert_eq!(issued.assumed_role_arn, arrived.arn);
    assert_eq!(issued.credentials.access_key_id, arrived.access_key_id);
    assert_eq!(
        issued.request_id.as_deref(),
        Some(arrived.request_id.as_str())
    );
    assert_eq!(issued.duration, SessionDuration::LONGEST);
    assert_eq!(issued.region, "eu-west-1");
    assert!(!issued.is_chained);
}

#[tokio::test]
async fn a_session_by_assertion_is_as_long_as_role_and_assertion_let_it() {
    let provider = for_aws::provider();
    let stand_in = saml_stand_in(&provider);
    let sts = without_credentials(stand_in.url().as_str()).await;
    let posted = proof(&signed(&provider, &request()));
    let issued = sts.issue(&grant(saml_role(HOUR_ONLY)), &posted).await;
    assert_eq!(issued.expect("an hour").duration, SessionDuration::HOUR);
    assert_eq!(stand_in.sts_calls(), 2);
    let refused = sts
        .issue(&explicit(saml_role(HOUR_ONLY), 7_200), &posted)
        .await
        .expect_err("a length that was asked for is not shortened");
    assert_eq!(refused.code(), "aws_invalid_request");

    let half_an_hour = request().with_aws("SessionDuration", &["1800"]);
    let posted = proof(&signed(&provider, &half_an_hour));
    let issued = sts
        .issue(&grant(saml_role(FEDERATED)), &posted)
        .await
        .expect("issued");
    assert!((1_700..=1_800).contains(&issued.duration.seconds()));
}

#[tokio::test]
async fn refusals_of_an_assertion_keep_their_meaning() {
    let provider = for_aws::provider();
    let stand_in = saml_stand_in(&provider);
    let settings = sts::Settings {
        attempts: 3,
        ..settings(
            stand_in.url().as_str(),
            vec![source("default", broker_keys())],
        )
    };
    let sts = SdkSts::new(settings).await.expect("settings that work");
    let response = || provider.response(&request());
    let old = response().edit(|root| {
        let issued_at = instant(request().now - Duration::from_mins(6));
        root.at("Assertion").set("IssueInstant", issued_at);
    });
    let elsewhere = SamlRequest {
        acs_url: "https://other.example.com/acs".to_owned(),
        ..request()
    };
    let failed = response().edit(|root| {
        let code = root.at("Status/StatusCode");
        code.set("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder");
    });
    let stranger = signed(&for_aws::provider(), &request());
    let endless = "x".repeat(100_001);
    for (posted, code, calls) in [
        (old.sign_assertion().posted(), "aws_assertion_expired", 1),
        (signed(&provider, &elsewhere), "aws_access_denied", 1),
        (failed.sign_assertion().posted(), "aws_assertion_refused", 1),
        (stranger, "aws_assertion_refused", 1),
        (endless, "aws_assertion_refused", 0),
        (String::new(), "aws_assertion_refused", 0),
    ] {
        let before = stand_in.sts_calls();
        let refused = sts
            .issue(&grant(saml_role(FEDERATED)), &proof(&posted))
            .await
            .expect_err("refused");
        assert_eq!(refused.code(), code, "{refused:?}");
        assert_eq!(stand_in.sts_calls() - before, calls, "{code}");
        assert!(posted.is_empty() || !shown(&refused).contains(&posted));
    }

    stand_in.set_fault(Fault::Sts(StsFault::Throttle(2)));
    let posted = proof(&signed(&provider, &request()));
    sts.issue(&grant(saml_role(FEDERATED)), &posted)
        .await
        .expect("the third try");
}

#[tokio::test]
async fn the_wrong_proof_is_no_call() {
    let provider = for_aws::provider();
    let stand_in = saml_stand_in(&provider);
    let sts = broker(&stand_in).await;
    let posted = signed(&provider, &request());
    let mut handed_over = saml_role(FEDERATED);
    handed_over.own.max_duration = None;
    handed_over.own.console = Some(ConsoleWay::IdpInitiated);
    for (role, proof) in [
        (saml_role(FEDERATED), Proof::Own),
        (role(LONG), proof(&posted)),
        (handed_over.clone(), proof(&posted)),
        (handed_over, Proof::Own),
    ] {
        let refused = sts.issue(&grant(role), &proof).await.expect_err("refused");
        assert!(matches!(refused, StsError::Invalid { .. }), "{refused:?}");
    }
    assert_eq!(stand_in.sts_calls(), 0);
}

#[tokio::test]
async fn at_the_loudest_log_level_no_assertion_is_written() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let provider = for_aws::provider();
    let stand_in = saml_stand_in(&provider);
    let sts = broker(&stand_in).await;
    let posted = signed(&provider, &request());
    let stranger = signed(&for_aws::provider(), &request());
    let guard = tracing::subscriber::set_default(subscriber);
    let grant = grant(saml_role(FEDERATED));
    let issued = sts.issue(&grant, &proof(&posted)).await.expect("issued");
    let refused = sts.issue(&grant, &proof(&stranger)).await;
    drop(guard);
    let told = format!("{issued:?} {refused:?} {:?}", proof(&posted));
    let text = String::from_utf8_lossy(&written.0.lock().expect("no holder panics")).into_owned();
    assert!(text.contains("TRACE"), "nothing was written");
    let known = &stand_in.issued()[0];
    for secret in [
        &posted,
        &stranger,
        &known.secret_access_key,
        &known.session_token,
    ] {
        let run = secret
            .split(|c: char| !c.is_ascii_alphanumeric())
            .max_by_key(|run| run.len())
            .expect("split gives one");
        let line = text.lines().find(|line| line.contains(run));
        assert_eq!(line, None, "a secret was written");
        assert!(!told.contains(run));
    }
}

#[tokio::test]
async fn moto_takes_an_assertion_without_a_signature() {
    let moto = Moto::start();
    let sts = without_credentials(&moto.url()).await;
    let pair = format!(
        "{},arn:aws:iam::{}:saml-provider/corp",
        moto::ROLE_ARN,
        moto::ACCOUNT_ID
    );
    let posted = signed(&for_aws::provider(), &request().with_aws("Role", &[&pair]));
    let issued = sts
        .issue(&grant(saml_role(moto::ROLE_ARN)), &proof(&posted))
        .await
        .expect("moto believes every assertion");
    assert!(issued.credentials.access_key_id.starts_with("ASIA"));
    assert!(
        issued
            .assumed_role_arn
            .ends_with(":assumed-role/rolegate-target/ada"),
        "{}",
        issued.assumed_role_arn
    );
}
