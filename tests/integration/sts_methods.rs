//! The calls of STS beside `AssumeRole` and `AssumeRoleWithSAML`, codes of MFA devices, and the
//! pages about them.
//!
//! What goes over the wire is seen by a server that answers each call by its `Action`, in AWS's own
//! form; moto, which other people wrote, answers the same calls.

use std::{
    collections::{BTreeMap, HashSet},
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse};
use rolegate::{
    access::{
        Abilities, AuthenticationMethod, Conditions, ConnectorId, Delivery, Grant, GrantMethod,
        Group, GroupKey, GroupKeyForm, Identity, Mapping, MappingId, NameTemplate, Origin, Policy,
        PolicySettings, PolicyTables, Request, Role, RoleDefaults, SessionDuration, Voucher,
    },
    aws::{
        Issued, Proof, Sts, StsError,
        sts::{self, SdkSts, SourceKind, SourceSettings},
    },
    clock::{Clock as _, SystemClock},
    demo::aws::{self as stand_in, Account, Catalogue, MfaDevice, Principal, StandIn, Trust},
    store::Change,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::net::TcpListener;

use crate::support::{
    app::{Options, TestApp},
    cookie_browser::hidden_value,
    editing,
    moto::{self, Moto},
};

const ACCOUNT: &str = "222233334444";
const USER: &str = "arn:aws:iam::222233334444:user/tools/uploads";
const FEDERATED: &str = "arn:aws:sts::222233334444:federated-user/uploads";
const TARGET: &str = "arn:aws:iam::222233334444:role/Target";
const DEVICE: &str = "arn:aws:iam::222233334444:mfa/uploads";
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
const RIGHT_CODE: &str = "123456";

/// A call as it arrived.
#[derive(Debug, Clone)]
struct Call {
    form: BTreeMap<String, String>,
    is_signed: bool,
    region: String,
}

impl Call {
    fn get(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }

    fn action(&self) -> &str {
        self.get("Action").unwrap_or_default()
    }
}

/// A server that answers as STS and the federation endpoint do, and keeps what it was asked.
#[derive(Clone)]
struct Answering {
    url: String,
    caller: &'static str,
    calls: Arc<Mutex<Vec<Call>>>,
    refusals: Arc<Mutex<BTreeMap<&'static str, Refusal>>>,
}

/// Status, code and message.
type Refusal = (u16, &'static str, &'static str);

impl Answering {
    /// A server to which every key is `caller`'s.
    async fn start(caller: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            caller,
            calls: Arc::default(),
            refusals: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The one call of an action.
    fn call(&self, action: &str) -> Call {
        let calls = self.calls();
        let mut found = calls.into_iter().filter(|call| call.action() == action);
        let call = found.next().unwrap_or_else(|| panic!("no {action}"));
        assert!(found.next().is_none(), "{action} came twice");
        call
    }

    fn refuse(&self, action: &'static str, status: u16, code: &'static str, text: &'static str) {
        let refusal = (status, code, text);
        self.refusals.lock().unwrap().insert(action, refusal);
    }

    async fn sts(&self) -> SdkSts {
        sts_at(&self.url, "AKIAUPLOADS000000001", "secret").await
    }
}

async fn answer(
    State(server): State<Answering>,
    headers: axum::http::HeaderMap,
    body: String,
) -> axum::response::Response {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let authorization = headers.get("authorization").map(|value| {
        let scope = value.to_str().unwrap_or_default();
        scope.split('/').nth(2).unwrap_or_default().to_owned()
    });
    let call = Call {
        form,
        is_signed: authorization.is_some(),
        region: authorization.unwrap_or_default(),
    };
    server.calls.lock().unwrap().push(call.clone());
    let refusal = server.refusals.lock().unwrap().get(call.action()).copied();
    if let Some((status, code, text)) = refusal {
        return refused(status, code, text);
    }
    if call.get("TokenCode").is_some_and(|code| code != RIGHT_CODE) {
        let text = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
        return refused(403, "AccessDenied", text);
    }
    if call.action() == "getSigninToken" {
        return r#"{"SigninToken":"planted-token"}"#.into_response();
    }
    result(&server, &call).into_response()
}

fn refused(status: u16, code: &str, text: &str) -> axum::response::Response {
    let document = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>\
         <RequestId>r-1</RequestId></ErrorResponse>"
    );
    (StatusCode::from_u16(status).unwrap(), document).into_response()
}

/// A success, in the form of the API reference.
fn result(server: &Answering, call: &Call) -> String {
    let action = call.action();
    let account = server.caller.split(':').nth(4).unwrap();
    let content = match action {
        "GetCallerIdentity" => format!(
            "<Arn>{}</Arn><UserId>AIDA</UserId><Account>{account}</Account>",
            server.caller
        ),
        "GetFederationToken" => {
            let name = call.get("Name").unwrap();
            credentials(call)
                + &format!(
                    "<FederatedUser><Arn>arn:aws:sts::{account}:federated-user/{name}</Arn>\
                     <FederatedUserId>{account}:{name}</FederatedUserId></FederatedUser>"
                )
        }
        "GetSessionToken" => credentials(call),
        _ => {
            let name = call.get("RoleSessionName").unwrap();
            credentials(call)
                + &format!(
                    "<AssumedRoleUser><Arn>arn:aws:sts::{ACCOUNT}:assumed-role/Target/{name}</Arn>\
                     <AssumedRoleId>AROATARGET:{name}</AssumedRoleId></AssumedRoleUser>"
                )
        }
    };
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         {content}</{action}Result><ResponseMetadata><RequestId>r-1</RequestId>\
         </ResponseMetadata></{action}Response>"
    )
}

fn credentials(call: &Call) -> String {
    let seconds: i64 = call.get("DurationSeconds").unwrap().parse().unwrap();
    let end = SystemClock.now() + time::Duration::seconds(seconds);
    let end = end.replace_nanosecond(0).unwrap().format(&Rfc3339).unwrap();
    format!(
        "<Credentials><AccessKeyId>ASIAPLANTED000000001</AccessKeyId><SecretAccessKey>planted\
         </SecretAccessKey><SessionToken>planted-session</SessionToken>\
         <Expiration>{end}</Expiration></Credentials>"
    )
}

pub(super) async fn sts_at(url: &str, id: &str, secret: &str) -> SdkSts {
    let keys = SourceKind::Static {
        access_key_id: id.to_owned(),
        secret: secret.to_owned().into(),
        session_token: None,
    };
    SdkSts::new(sts::Settings {
        default_region: "eu-west-1".to_owned(),
        endpoint: Some(url.parse().unwrap()),
        call_timeout: Duration::from_secs(30),
        attempts: 2,
        sources: vec![SourceSettings {
            id: "default".to_owned(),
            kind: keys,
        }],
    })
    .await
    .unwrap()
}

pub(super) fn role(arn: &str, method: GrantMethod) -> Role {
    Role {
        owner: None,
        arn: arn.parse().unwrap(),
        description: None,
        own: RoleDefaults {
            grant_method: Some(method),
            ..RoleDefaults::default()
        },
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        protected: false,
        disabled: false,
    }
}

fn federation_token() -> Role {
    Role {
        session_policy: Some(POLICY.to_owned()),
        policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
        ..role(FEDERATED, GrantMethod::FederationToken)
    }
}

fn session_token() -> Role {
    role(USER, GrantMethod::SessionToken)
}

fn behind_a_code(mut role: Role) -> Role {
    role.own.mfa_serial = Some(DEVICE.to_owned());
    role
}

fn web_identity() -> Role {
    let mut role = role(TARGET, GrantMethod::AssumeRoleWithWebIdentity);
    role.own.vouched_by = Some(Voucher::Issuer);
    role.session_policy = Some(POLICY.to_owned());
    role
}

/// The only way to a grant: a table that gives the role to a group that the person is in.
pub(super) fn grant(role: Role, seconds: u64) -> Grant {
    let connector: ConnectorId = "corp".parse().unwrap();
    let key = GroupKey::new(&connector, "aws-users", GroupKeyForm::Exact).unwrap();
    let now = OffsetDateTime::UNIX_EPOCH;
    let arn = role.arn.clone();
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
        method: AuthenticationMethod::Password,
        authentication_context: None,
        asserted_roles: Vec::new(),
    };
    let mut role = role;
    role.own.max_duration = SessionDuration::from_seconds(seconds).ok();
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
        session_name: "{username}".parse::<NameTemplate>().unwrap(),
        hand_over_connectors: HashSet::new(),
        issuer: Abilities {
            saml: true,
            oidc: true,
        },
        ..PolicySettings::default()
    };
    let request = Request {
        delivery: Delivery::Credentials,
        ..Request::console()
    };
    Policy::new(tables, settings)
        .authorize(&identity, &arn, &request, now)
        .unwrap()
}

fn code(digits: &str) -> Proof {
    Proof::OwnWithCode(digits.to_owned().into())
}

pub(super) fn token(text: &str, provider_id: Option<&str>) -> Proof {
    Proof::WebIdentity {
        token: text.to_owned().into(),
        provider_id: provider_id.map(str::to_owned),
    }
}

fn is_planted(issued: &Issued) -> bool {
    issued.credentials.access_key_id == "ASIAPLANTED000000001"
}

#[tokio::test]
async fn a_federated_user_is_asked_for_with_everything_that_narrows_it() {
    let server = Answering::start(USER).await;
    let sts = server.sts().await;
    let grant = grant(federation_token(), 129_600);
    let issued = sts.issue(&grant, &Proof::Own).await.unwrap();
    assert!(is_planted(&issued));
    let ada = "arn:aws:sts::222233334444:federated-user/ada";
    assert_eq!(issued.assumed_role_arn, ada);
    assert_eq!(issued.assumed_role_id, "222233334444:ada");
    assert_eq!(issued.duration.seconds(), 129_600);
    assert!(
        issued.is_chained,
        "the console would take no SessionDuration"
    );

    let call = server.call("GetFederationToken");
    assert!(call.is_signed);
    assert_eq!(call.region, "eu-west-1");
    assert_eq!(call.get("Name"), Some("ada"));
    assert_eq!(call.get("DurationSeconds"), Some("129600"));
    assert_eq!(call.get("Policy"), Some(POLICY));
    assert!(call.form.keys().any(|key| key.starts_with("PolicyArns.")));
    assert_eq!(call.get("TokenCode"), None);
}

#[tokio::test]
async fn a_session_of_an_iam_user_is_asked_for_with_a_code() {
    let server = Answering::start(USER).await;
    let sts = server.sts().await;
    let grant = grant(behind_a_code(session_token()), 3_600);
    let issued = sts.issue(&grant, &code(RIGHT_CODE)).await.unwrap();
    assert!(is_planted(&issued));
    assert_eq!(issued.assumed_role_arn, USER);
    assert_eq!(issued.assumed_role_id, "");

    let call = server.call("GetSessionToken");
    assert_eq!(call.get("SerialNumber"), Some(DEVICE));
    assert_eq!(call.get("TokenCode"), Some(RIGHT_CODE));
    assert_eq!(call.get("DurationSeconds"), Some("3600"));
}

#[tokio::test]
async fn nobody_is_asked_with_keys_that_are_not_the_users() {
    let role_session = "arn:aws:sts::222233334444:assumed-role/hub/task";
    let instance = "arn:aws:sts::222233334444:assumed-role/hub/i-0123456789abcdef0";
    let other = "arn:aws:iam::222233334444:user/rolegate";
    let elsewhere = "arn:aws:iam::444455556666:user/tools/uploads";
    let root = "arn:aws:iam::222233334444:root";
    for (caller, federation, session) in [
        (role_session, false, false),
        (instance, false, false),
        (other, true, false),
        (elsewhere, false, false),
        (root, false, false),
        (USER, true, true),
    ] {
        for (role, is_given) in [(federation_token(), federation), (session_token(), session)] {
            let server = Answering::start(caller).await;
            let sts = server.sts().await;
            let issued = sts.issue(&grant(role, 3_600), &Proof::Own).await;
            assert_eq!(issued.is_ok(), is_given, "{caller}: {issued:?}");
            let asked = server
                .calls()
                .iter()
                .any(|call| matches!(call.action(), "GetFederationToken" | "GetSessionToken"));
            assert_eq!(asked, is_given, "{caller}");
            let Err(error) = issued else { continue };
            let words = error.for_operator();
            if caller == root {
                assert!(
                    matches!(&error, StsError::BrokerCredentials { code, .. } if code == "root")
                );
            } else {
                assert!(words.contains(caller), "{words}");
                assert!(words.contains("long-term keys"), "{words}");
            }
            assert!(!error.for_person().contains("arn:"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_role_is_assumed_with_a_code_which_counts_once() {
    let server = Answering::start(USER).await;
    let sts = server.sts().await;
    let grant = grant(behind_a_code(role(TARGET, GrantMethod::AssumeRole)), 3_600);
    let wrong = sts.issue(&grant, &code("000000")).await.unwrap_err();
    assert!(matches!(wrong, StsError::CodeRefused { .. }), "{wrong:?}");
    assert_eq!(wrong.code(), "aws_code_refused");
    sts.issue(&grant, &code(RIGHT_CODE)).await.unwrap();
    let asked = server.calls().len();
    let again = sts.issue(&grant, &code(RIGHT_CODE)).await.unwrap_err();
    assert!(matches!(again, StsError::CodeUsed), "{again:?}");
    assert_eq!(
        server.calls().len(),
        asked,
        "AWS was asked with a used code"
    );
    let shown = format!("{again} {again:?} {wrong} {wrong:?} {:?}", code(RIGHT_CODE));
    assert!(
        !shown.contains(RIGHT_CODE) && !shown.contains("000000"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_right_code_that_a_too_long_session_used_up_is_not_called_wrong() {
    let keys = ("AKIAUPLOADS000000000", "uploads-secret");
    let user = Principal::user(USER, keys.0, keys.1).with_mfa_device(
        DEVICE,
        MfaDevice::Codes(vec![RIGHT_CODE.into(), "654321".into()]),
    );
    let catalogue = Catalogue::default()
        .with_account(Account::new(ACCOUNT, "Uploads"))
        .with_principal(user)
        .with_role(stand_in::Role::new(
            TARGET,
            Trust::of([USER]).with_mfa_required(),
        ));
    let aws = StandIn::start(catalogue, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let sts = sts_at(aws.url().as_str(), keys.0, keys.1).await;
    // Four hours in the table, one in IAM: the first call uses the code up and gives nothing.
    let grant = grant(behind_a_code(role(TARGET, GrantMethod::AssumeRole)), 14_400);
    let used = sts.issue(&grant, &code(RIGHT_CODE)).await.unwrap_err();
    assert!(matches!(used, StsError::CodeUsed), "{used:?}");
    let issued = sts.issue(&grant, &code("654321")).await.unwrap();
    assert_eq!(issued.duration, SessionDuration::HOUR);
}

#[tokio::test]
async fn what_vouches_and_what_is_granted_have_to_fit() {
    let server = Answering::start(USER).await;
    let sts = server.sts().await;
    let plain = || role(TARGET, GrantMethod::AssumeRole);
    let assertion = || Proof::SamlResponse("PD94bWw+".to_owned().into());
    for (role, proof) in [
        (plain(), code(RIGHT_CODE)),
        (plain(), assertion()),
        (plain(), token("planted.jwt", None)),
        (behind_a_code(plain()), Proof::Own),
        (session_token(), code(RIGHT_CODE)),
        (behind_a_code(session_token()), Proof::Own),
        (federation_token(), code(RIGHT_CODE)),
        (web_identity(), Proof::Own),
        (web_identity(), assertion()),
    ] {
        let error = sts.issue(&grant(role, 3_600), &proof).await.unwrap_err();
        assert!(
            matches!(&error, StsError::Invalid { code, .. } if code == "proof"),
            "{error:?}"
        );
    }
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn a_token_goes_to_aws_unsigned_and_with_the_persons_session_name() {
    let server = Answering::start(USER).await;
    let sts = server.sts().await;
    let asked = grant(web_identity(), 3_600);
    let issued = sts.issue(&asked, &token("planted.jwt.sig", None)).await;
    let issued = issued.unwrap();
    assert!(issued.assumed_role_id.ends_with(":ada"));
    assert!(!issued.is_chained);
    let call = server.call("AssumeRoleWithWebIdentity");
    assert!(!call.is_signed);
    assert_eq!(call.get("RoleArn"), Some(TARGET));
    assert_eq!(call.get("RoleSessionName"), Some("ada"));
    assert_eq!(call.get("WebIdentityToken"), Some("planted.jwt.sig"));
    assert_eq!(call.get("Policy"), Some(POLICY));
    assert_eq!(call.get("ProviderId"), None);

    let facebook = token("planted-access-token", Some("graph.facebook.com"));
    sts.issue(&asked, &facebook).await.unwrap();
    let calls = server.calls();
    let call = calls.last().unwrap();
    assert_eq!(call.get("ProviderId"), Some("graph.facebook.com"));

    for length in [3, 20_001] {
        let error = sts.issue(&asked, &token(&"x".repeat(length), None)).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, StsError::AssertionRefused { .. }),
            "{error:?}"
        );
    }
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn refusals_of_tokens_mean_what_they_mean() {
    let action = "AssumeRoleWithWebIdentity";
    for (status, code, text, meant, words) in [
        (
            400,
            "InvalidIdentityToken",
            "Incorrect token audience",
            "aws_assertion_refused",
            "aud",
        ),
        (
            400,
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://x",
            "aws_assertion_refused",
            "IAM OIDC provider",
        ),
        (
            400,
            "ExpiredTokenException",
            "Token expired: 1",
            "aws_assertion_expired",
            "clock",
        ),
        (
            403,
            "IDPRejectedClaim",
            "no",
            "aws_assertion_refused",
            "token",
        ),
        (
            400,
            "IDPCommunicationError",
            "Couldn't retrieve",
            "aws_unavailable",
            "jwks_uri",
        ),
        (
            403,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            "aws_access_denied",
            "aud and sub",
        ),
    ] {
        let server = Answering::start(USER).await;
        server.refuse(action, status, code, text);
        let sts = server.sts().await;
        let grant = grant(web_identity(), 3_600);
        let issued = sts.issue(&grant, &token("a.b.c", None)).await;
        let error = issued.unwrap_err();
        assert_eq!(error.code(), meant, "{code}");
        assert!(
            error.for_operator().contains(words),
            "{}",
            error.for_operator()
        );
        // What AWS calls retryable is tried again.
        let tries = if code == "IDPCommunicationError" {
            2
        } else {
            1
        };
        assert_eq!(server.calls().len(), tries, "{code}");
    }
}

#[tokio::test]
async fn a_token_opens_an_hour_where_the_role_gives_no_more_and_nobody_chose() {
    let server = Answering::start(USER).await;
    let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    server.refuse("AssumeRoleWithWebIdentity", 400, "ValidationError", message);
    let sts = server.sts().await;
    let grant = grant(web_identity(), 14_400);
    let issued = sts.issue(&grant, &token("a.b.c", None)).await;
    issued.unwrap_err();
    let asked: Vec<_> = (server.calls().iter())
        .map(|call| call.get("DurationSeconds").unwrap().to_owned())
        .collect();
    assert_eq!(asked, ["14400", "3600"]);
}

#[tokio::test]
async fn moto_gives_tokens_of_all_three_kinds() {
    let moto = Moto::start();
    let keys = moto.broker_keys();
    let sts = sts_at(&moto.url(), &keys.id, &keys.secret).await;
    let account = moto::ACCOUNT_ID;
    let federated = format!("arn:aws:sts::{account}:federated-user/uploads");
    let mut federation = federation_token();
    federation.arn = federated.parse().unwrap();
    let issued = sts
        .issue(&grant(federation, 3_600), &Proof::Own)
        .await
        .unwrap();
    let ada = format!("arn:aws:sts::{account}:federated-user/ada");
    assert_eq!(issued.assumed_role_arn, ada);
    assert_eq!(issued.assumed_role_id, format!("{account}:ada"));

    let user = format!("arn:aws:iam::{account}:user/{}", moto::BROKER_USER);
    let session = role(&user, GrantMethod::SessionToken);
    let issued = sts
        .issue(&grant(session, 3_600), &Proof::Own)
        .await
        .unwrap();
    assert_eq!(issued.assumed_role_arn, user);
    assert!(!issued.credentials.access_key_id.is_empty());

    let mut vouched = web_identity();
    vouched.arn = moto::ROLE_ARN.parse().unwrap();
    let issued = sts
        .issue(&grant(vouched, 3_600), &token("a.b.c", None))
        .await;
    assert!(issued.unwrap().assumed_role_arn.ends_with("/ada"));
}

/// Rolegate with roles of these grant methods, which Ada has, in front of `server`.
async fn app_with(server: &Answering, roles: Vec<Role>) -> TestApp {
    let overrides = [
        ("AWS__STS_ENDPOINT", server.url.clone()),
        (
            "AWS__SIGN_IN_ENDPOINT",
            format!("{}/federation", server.url),
        ),
    ];
    let app = TestApp::start_with(Options {
        overrides: overrides
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        ..Options::default()
    })
    .await;
    let mut changes = Vec::new();
    for role in roles {
        let arn = role.arn.to_string();
        changes.push(Change::PutRole(Box::new(role)));
        changes.push(Change::PutMapping(editing::mapping("book-club", &arn)));
    }
    app.edit(changes).await;
    app
}

/// The person who has the roles.
const MEMBER: &str = "ada";

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_asked_for_at_the_moment_of_use_and_never_kept() {
    let server = Answering::start(USER).await;
    let role = behind_a_code(role(TARGET, GrantMethod::AssumeRole));
    let app = app_with(&server, vec![role]).await;
    let mut person = app.signed_in(MEMBER).await;
    let picker = person.get("/").await;
    assert!(picker.body.contains(">code<"), "{}", picker.body);
    let options = person.get(&format!("/role?arn={TARGET}")).await;
    assert!(options.body.contains("name=\"mfa_code\"") && options.body.contains(DEVICE));
    let link = person.get(&format!("/console/{ACCOUNT}/Target")).await;
    assert!(link.body.contains("name=\"mfa_code\"") && !link.body.contains("data-auto-submit"));

    let before = server.calls().len();
    let order = [
        ("role", TARGET),
        ("region", "eu-central-1"),
        ("read_only", "true"),
    ];
    let asked = person.open_console(&order).await;
    assert_eq!(asked.status, 400);
    for part in [
        "one-time-code",
        "inputmode=\"numeric\"",
        DEVICE,
        "Please enter a code",
    ] {
        assert!(asked.body.contains(part), "{part} in {}", asked.body);
    }
    assert_eq!(
        hidden_value(&asked.body, "region").as_deref(),
        Some("eu-central-1")
    );
    assert_eq!(
        hidden_value(&asked.body, "read_only").as_deref(),
        Some("true")
    );
    assert_eq!(app.last_audit_event().await["reason"], "code_needed");

    for (digits, words, reason) in [
        ("12345", "A code has six digits", "code_invalid"),
        ("000000", "AWS did not take that code", "aws_code_refused"),
    ] {
        let order = [("role", TARGET), ("mfa_code", digits)];
        let answer = person.post("/credentials", &order).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains(words), "{}", answer.body);
        assert!(!answer.body.contains(digits), "the code is on the page");
        assert_eq!(app.last_audit_event().await["reason"], reason);
    }
    let with_code = [("role", TARGET), ("mfa_code", " 123 456 ")];
    let shown = person.post("/credentials", &with_code).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    person.get("/").await;
    let again = person.post("/console", &with_code).await;
    assert_eq!(again.status, 400);
    assert!(
        again.body.contains("That code was used already"),
        "{}",
        again.body
    );
    assert_eq!(app.last_audit_event().await["reason"], "code_used");
    let used: Vec<Call> = server.calls()[before..].to_vec();
    let assumed = used.iter().filter(|call| call.action() == "AssumeRole");
    assert_eq!(assumed.count(), 2, "{used:?}");

    let rows = app.audit_rows().await;
    let events: Vec<_> = rows.iter().map(|row| &row.event).collect();
    let rows = serde_json::to_string(&events).unwrap();
    assert!(rows.contains("\"mfa\":true"));
    let database = std::fs::read(app.database()).unwrap();
    // Bare digits stand in hexadecimal ids by chance.
    for digits in ["\"123456\"", "\"000000\"", "123 456"] {
        assert!(!rows.contains(digits), "{digits} is in the audit log");
        let is_kept = database
            .windows(digits.len())
            .any(|part| part == digits.as_bytes());
        assert!(!is_kept, "{digits} is in the database");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_tries_codes_until_one_fits() {
    let server = Answering::start(USER).await;
    let role = behind_a_code(role(TARGET, GrantMethod::AssumeRole));
    let app = app_with(&server, vec![role]).await;
    let mut person = app.signed_in(MEMBER).await;
    person.get("/").await;
    let tries = |server: &Answering| {
        let calls = server.calls();
        let tries = calls.iter().filter(|call| call.get("TokenCode").is_some());
        tries.count()
    };
    for number in 0..6 {
        let guess = format!("00000{number}");
        let order = [("role", TARGET), ("mfa_code", guess.as_str())];
        assert_eq!(person.post("/credentials", &order).await.status, 400);
    }
    assert_eq!(tries(&server), 6);
    for path in ["/credentials", "/console"] {
        let order = [("role", TARGET), ("mfa_code", RIGHT_CODE)];
        let refused = person.post(path, &order).await;
        assert_eq!(refused.status, 429, "{}", refused.body);
        assert!(!refused.header("retry-after").is_empty());
    }
    assert_eq!(tries(&server), 6, "AWS is not asked any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_an_iam_users_keys_offers_credentials_and_no_console() {
    let server = Answering::start(USER).await;
    let app = app_with(&server, vec![session_token()]).await;
    let mut person = app.signed_in(MEMBER).await;
    let picker = person.get("/").await;
    assert!(picker.body.contains(">credentials<"));
    let options = person.get(&format!("/role?arn={USER}")).await;
    assert!(
        options.body.contains("action=\"/credentials\""),
        "{}",
        options.body
    );
    assert!(!options.body.contains("Open the console") && !options.body.contains("/console"));
    for answer in [
        person.open_console(&[("role", USER)]).await,
        person.get(&format!("/console/{ACCOUNT}/uploads")).await,
    ] {
        assert_eq!(answer.status, 400);
        assert!(
            answer.body.contains("This role opens no console"),
            "{}",
            answer.body
        );
        assert!(answer.body.contains("/role?arn="));
    }
    person.get("/").await;
    let shown = person.post("/credentials", &[("role", USER)]).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let event = app.last_audit_event().await;
    assert_eq!(event["details"]["session_name"], "uploads");
    assert_eq!(event["details"]["assumed_role_arn"], USER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federated_users_console_has_no_length_of_its_own() {
    let server = Answering::start(USER).await;
    let app = app_with(&server, vec![federation_token()]).await;
    let mut person = app.signed_in(MEMBER).await;
    let opened = person.open_console(&[("role", FEDERATED)]).await;
    assert_eq!(opened.status, 303, "{}", opened.body);
    assert!(opened.location().contains("SigninToken=planted-token"));
    let call = server.call("getSigninToken");
    assert_eq!(call.get("SessionDuration"), None);
    let event = app.last_audit_event().await;
    assert_eq!(event["details"]["session_name"], MEMBER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_rolegate_vouches_for_stays_shut_without_a_key() {
    let server = Answering::start(USER).await;
    let mut posted = role(TARGET, GrantMethod::AssumeRoleWithSaml);
    posted.own.vouched_by = Some(Voucher::Issuer);
    posted.own.console = Some(rolegate::access::ConsoleWay::SamlPost);
    let app = app_with(&server, vec![posted]).await;
    let mut person = app.signed_in(MEMBER).await;
    let refused = person.open_console(&[("role", TARGET)]).await;
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .body
            .contains("Rolegate itself has to vouch for you"),
        "{}",
        refused.body
    );
    assert_eq!(app.last_audit_event().await["reason"], "no_issuer");
}
