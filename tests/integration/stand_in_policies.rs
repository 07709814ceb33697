//! The stand-in's policies: trust documents, identity and session policies, IAM and Organizations,
//! asked by hand-made signed requests and by boto3.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use rolegate::aws::{saml_trust_statement, trust_statement};
use rolegate::demo::aws::{
    Account, AccountStatus, Catalogue, Fault, Issued, Principal, Role, SamlProvider, StandIn,
    StsFault, Trust,
};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use url::{Url, form_urlencoded};

use crate::support::{saml::for_aws, tools_dir};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BROKER: &str = "arn:aws:iam::222222222222:user/team/broker";
const BROKER_KEY: &str = "AKIABROKER0000000000";
const INSIDER: &str = "arn:aws:iam::111111111111:user/insider";
const INSIDER_KEY: &str = "AKIAINSIDER000000000";
const TARGET: &str = "arn:aws:iam::111111111111:role/team/Target";
const READER: &str = "arn:aws:iam::111111111111:role/Reader";
const PROVIDER: &str = "arn:aws:iam::111111111111:saml-provider/corp";
const OPENING: &str = r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#;

/// Who signs: key id, secret, session token.
#[derive(Clone)]
struct Keys(String, String, Option<String>);

impl Keys {
    fn of(access_key_id: &str) -> Self {
        Self(access_key_id.to_owned(), SECRET.to_owned(), None)
    }

    fn issued(issued: &Issued) -> Self {
        Self(
            issued.access_key_id.clone(),
            issued.secret_access_key.clone(),
            Some(issued.session_token.clone()),
        )
    }
}

/// What came back.
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    /// The text of the first element with this name; empty where there is none.
    fn element(&self, name: &str) -> &str {
        let rest = self.body.split_once(&format!("<{name}>"));
        let text = rest.and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
        text.map_or("", |(text, _)| text)
    }

    /// Status, code and message of a refusal in XML.
    fn refusal(&self) -> (u16, &str, &str) {
        (self.status, self.element("Code"), self.element("Message"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

struct Scene {
    stand_in: StandIn,
    /// Seconds that the clock is ahead.
    shift: Arc<AtomicI64>,
}

impl Scene {
    fn start(catalogue: Catalogue) -> Self {
        let shift = Arc::new(AtomicI64::new(0));
        let seconds = Arc::clone(&shift);
        let clock = move || now(&seconds);
        let stand_in = StandIn::start_with_clock(catalogue, ANY_PORT, Arc::new(clock));
        Self {
            stand_in: stand_in.expect("a free port on 127.0.0.1"),
            shift,
        }
    }

    fn pass(&self, seconds: i64) {
        self.shift.fetch_add(seconds, Ordering::SeqCst);
    }

    fn now(&self) -> OffsetDateTime {
        now(&self.shift)
    }

    async fn send(
        &self,
        keys: &Keys,
        (service, region): (&str, &str),
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let url = self.stand_in.url();
        let Keys(id, secret, token) = keys.clone();
        let identity = Credentials::new(id, secret, token, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(SystemTime::from(self.now()))
            .settings(SigningSettings::default())
            .build()
            .expect("complete");
        let signable = SignableRequest::new(
            "POST",
            url.as_str(),
            headers.iter().copied(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let signed = sign(signable.expect("signable"), &params.into()).expect("is signed");
        let mut request = http().post(url.clone());
        for (name, value) in headers.iter().copied().chain(signed.output().headers()) {
            request = request.header(name, value);
        }
        let response = request.body(body).send().await.expect("answers");
        Answer {
            status: response.status().as_u16(),
            body: response.text().await.expect("text"),
        }
    }

    async fn query(
        &self,
        keys: &Keys,
        (service, version): (&str, &str),
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action);
        form.append_pair("Version", version);
        form.extend_pairs(parameters);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(keys, (service, "us-east-1"), &headers, form.finish())
            .await
    }

    async fn iam(&self, keys: &Keys, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.query(keys, ("iam", "2010-05-08"), action, parameters)
            .await
    }

    async fn assume(&self, keys: &Keys, role: &str, parameters: &[(&str, &str)]) -> Answer {
        let mut all = vec![("RoleArn", role), ("RoleSessionName", "ada")];
        all.retain(|(name, _)| !parameters.iter().any(|(given, _)| given == name));
        all.extend(parameters);
        self.query(keys, ("sts", "2011-06-15"), "AssumeRole", &all)
            .await
    }

    /// A session, as it was issued.
    async fn session(&self, keys: &Keys, role: &str, parameters: &[(&str, &str)]) -> Issued {
        let answer = self.assume(keys, role, parameters).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.stand_in.issued().pop().expect("was issued")
    }

    async fn organizations(&self, keys: &Keys, operation: &str, body: Value) -> Answer {
        let target = format!("AWSOrganizationsV20161128.{operation}");
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        self.send(
            keys,
            ("organizations", "us-east-1"),
            &headers,
            body.to_string(),
        )
        .await
    }

    fn set_trust(&self, document: &str) {
        let trust = Trust::document(document).expect("IAM takes it");
        self.stand_in
            .update(|catalogue| assert!(catalogue.set_trust(TARGET, trust)));
    }

    fn may(&self, session: &Issued, action: &str) -> bool {
        self.stand_in
            .is_allowed(&session.access_key_id, action, "arn:aws:s3:::b/x")
    }
}

fn now(shift: &AtomicI64) -> OffsetDateTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "the stand-in has the system's clock, shifted"
    )]
    let now = OffsetDateTime::now_utc();
    now + Duration::seconds(shift.load(Ordering::SeqCst))
}

fn http() -> reqwest::Client {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    client.build().expect("a client")
}

fn document(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

/// A trust in the broker, under a condition.
fn trusting(condition: &str) -> String {
    document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{BROKER}"}},"Action":{OPENING},
        "Condition":{condition}}}"#
    ))
}

fn allowing(action: &str, resource: &str) -> String {
    document(&format!(
        r#"{{"Effect":"Allow","Action":{action},"Resource":"{resource}"}}"#
    ))
}

/// The broker may open whatever trusts it; the insider is of the roles' own account.
fn catalogue() -> Catalogue {
    let broker = Principal::user(BROKER, BROKER_KEY, SECRET);
    let insider = Principal::user(INSIDER, INSIDER_KEY, SECRET);
    Catalogue::default()
        .with_account(Account::new("111111111111", "One").with_alias("one-production"))
        .with_account(Account::new("222222222222", "Two").with_email("two@example.com"))
        .with_role(
            Role::new(
                TARGET,
                Trust::of([BROKER])
                    .with_session_tags()
                    .with_source_identity(),
            )
            .with_max_session_seconds(7_200)
            .with_description("Reads & <writes>"),
        )
        .with_role(Role::new(READER, Trust::of([BROKER])))
        .with_principal(broker.which_may_assume("*"))
        .with_principal(insider)
}

type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<&'a str>);

const KNOWN: (&str, &str) = ("SourceIdentity", "ada@example.com");
const KEY: (&str, &str) = ("Tags.member.1.Key", "team");
const VALUE: (&str, &str) = ("Tags.member.1.Value", "pay");

/// Each trust, caller and request with the action that is refused.
async fn try_each(rows: &[Row<'_>]) {
    let scene = Scene::start(catalogue());
    for (trust, caller, parameters, refused) in rows {
        scene.set_trust(trust);
        let answer = scene.assume(&Keys::of(caller), TARGET, parameters).await;
        let case = format!("{trust} {parameters:?} {}", answer.body);
        match refused {
            None => assert_eq!(answer.status, 200, "{case}"),
            Some(action) => {
                let (status, code, message) = answer.refusal();
                assert_eq!((status, code), (403, "AccessDenied"), "{case}");
                let expected =
                    format!("not authorized to perform: sts:{action} on resource: {TARGET}");
                assert!(message.contains(&expected), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_trust_document_sets_conditions_on_the_request() {
    let guarded = trusting(r#"{"StringEquals":{"sts:ExternalId":["x-0","x-1"]}}"#);
    let named = trusting(
        r#"{"StringLike":{"sts:SourceIdentity":"*@example.com","sts:RoleSessionName":"a*"}}"#,
    );
    let own =
        trusting(r#"{"StringEquals":{"sts:SourceIdentity":"${sts:RoleSessionName}@example.com"}}"#);
    let tagged = trusting(
        r#"{"StringEquals":{"aws:RequestTag/Team":"pay"},
        "ForAllValues:StringEquals":{"aws:TagKeys":["team","cost"]}}"#,
    );
    let with_mfa = trusting(r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#);
    let external = ("ExternalId", "x-1");
    let refused = Some("AssumeRole");
    let more = ("Tags.member.2.Key", "x");
    let more = [KEY, VALUE, more, ("Tags.member.2.Value", "")];
    try_each(&[
        (&guarded, BROKER_KEY, &[external], None),
        (&guarded, BROKER_KEY, &[("ExternalId", "x-2")], refused),
        (&guarded, BROKER_KEY, &[], refused),
        (&guarded, INSIDER_KEY, &[external], refused),
        (&named, BROKER_KEY, &[KNOWN], None),
        (&named, BROKER_KEY, &[], refused),
        (
            &named,
            BROKER_KEY,
            &[("SourceIdentity", "eve@example.org")],
            refused,
        ),
        (
            &named,
            BROKER_KEY,
            &[KNOWN, ("RoleSessionName", "eve")],
            refused,
        ),
        (&own, BROKER_KEY, &[KNOWN], None),
        (
            &own,
            BROKER_KEY,
            &[KNOWN, ("RoleSessionName", "adam")],
            refused,
        ),
        (&tagged, BROKER_KEY, &[KEY, VALUE], None),
        (
            &tagged,
            BROKER_KEY,
            &[KEY, ("Tags.member.1.Value", "x")],
            refused,
        ),
        (&tagged, BROKER_KEY, &[], refused),
        (&tagged, BROKER_KEY, &more, refused),
        (&with_mfa, BROKER_KEY, &[], refused),
    ])
    .await;
}

#[tokio::test]
async fn a_trust_document_names_principals_accounts_and_actions() {
    let without = document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"222222222222"}},"Action":"sts:AssumeRole"}},
        {{"Effect":"Deny","Principal":{{"AWS":"*"}},"Action":"sts:*",
        "Condition":{{"StringNotEquals":{{"aws:PrincipalArn":"{BROKER}"}}}}}}"#
    ));
    let account = document(
        r#"{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole"}"#,
    );
    let itself = document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{INSIDER}"}},"Action":"sts:AssumeRole"}}"#
    ));
    try_each(&[
        (&without, BROKER_KEY, &[], None),
        (&without, BROKER_KEY, &[KEY, VALUE], Some("TagSession")),
        (&without, BROKER_KEY, &[KNOWN], Some("SetSourceIdentity")),
        (&without, INSIDER_KEY, &[], Some("AssumeRole")),
        (&account, INSIDER_KEY, &[], Some("AssumeRole")),
        (&account, BROKER_KEY, &[], Some("AssumeRole")),
        (&itself, INSIDER_KEY, &[], None),
        (&itself, INSIDER_KEY, &[KNOWN], Some("SetSourceIdentity")),
    ])
    .await;
}

#[tokio::test]
async fn what_the_product_prints_can_be_pasted_into_a_trust() {
    let scene = Scene::start(catalogue());
    let broker = Keys::of(BROKER_KEY);
    let other = document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{INSIDER}"}},"Action":"sts:AssumeRole"}}"#
    ));
    scene.set_trust(&other);
    let wishes = [
        ("ExternalId", "x-1"),
        ("SourceIdentity", "ada"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "pay"),
    ];
    assert_eq!(scene.assume(&broker, TARGET, &wishes).await.status, 403);
    let statement = trust_statement(BROKER, Some("x-1"), true, true);
    let trust = Trust::document(&other).expect("is taken");
    let mended = trust.with_statement(&statement).expect("is taken");
    scene
        .stand_in
        .update(|catalogue| assert!(catalogue.set_trust(TARGET, mended.clone())));
    assert_eq!(scene.assume(&broker, TARGET, &wishes).await.status, 200);
    let insider = Keys::of(INSIDER_KEY);
    assert_eq!(scene.assume(&insider, TARGET, &[]).await.status, 200);
    assert_eq!(scene.assume(&broker, TARGET, &[]).await.status, 403);
    scene.set_trust(&mended.text());
    assert_eq!(scene.assume(&broker, TARGET, &wishes).await.status, 200);
    let built = Trust::of([INSIDER]).with_statement(&statement);
    assert!(built.is_ok_and(|built| built.text().contains(INSIDER)));
}

#[test]
fn documents_that_iam_would_not_take_are_refused() {
    let long = format!(r#""{}""#, vec![INSIDER; 60].join("\",\""));
    let statement = |action: &str, principal: &str| {
        document(&format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":[{principal}]}},"Action":"{action}"}}"#
        ))
    };
    for (text, words) in [
        (document("{}"), "Missing required field Effect"),
        (statement("iam:GetRole", "\"*\""), "may only specify STS"),
        (statement("sts:AssumeRole", "\"ada\""), "Invalid principal"),
        (statement("sts:AssumeRole", &long), "ACLSizePerRole: 2048"),
    ] {
        let refusal = Trust::document(&text).expect_err("is refused");
        assert!(refusal.contains(words), "{refusal}");
    }
    let principal = Principal::user(BROKER, BROKER_KEY, SECRET);
    let trust = statement("sts:AssumeRole", "\"*\"");
    let refusal = principal
        .clone()
        .with_policy(&trust)
        .expect_err("is a trust");
    assert!(refusal.contains("should not specify a principal"));
    let resource = format!("arn:aws:s3:::{}", "x".repeat(6_100));
    let refusal = principal.with_policy(&allowing("\"s3:*\"", &resource));
    assert!(refusal.expect_err("is long").contains("PolicySize: 6144"));
}

#[tokio::test]
async fn a_callers_own_policy_is_needed_in_another_account() {
    let listed = format!(
        r#"{{"Effect":"Allow","Action":["sts:AssumeRole","sts:SetSourceIdentity"],
        "Resource":["arn:aws:iam::111111111111:role/team/*"]}},
        {{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*",
        "Condition":{{"StringEquals":{{"sts:RoleSessionName":"root"}}}}}},
        {{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"{READER}"}}"#
    );
    let broker = Principal::user(BROKER, BROKER_KEY, SECRET);
    let broker = broker.with_policy(&document(&listed)).expect("is taken");
    let denied = allowing(r#""s3:*""#, "*").replace("Allow", "Deny");
    let denied = denied.replace("s3:*", "sts:AssumeRole");
    let insider = Principal::user(INSIDER, INSIDER_KEY, SECRET);
    let insider = insider.with_policy(&denied).expect("is taken");
    let open = || {
        Trust::of([BROKER, INSIDER])
            .with_session_tags()
            .with_source_identity()
    };
    let catalogue = Catalogue::default()
        .with_account(Account::new("111111111111", "One"))
        .with_role(Role::new(TARGET, open()))
        .with_role(Role::new(READER, open()))
        .with_principal(broker)
        .with_principal(insider);
    let scene = Scene::start(catalogue);
    let broker = Keys::of(BROKER_KEY);
    let tags = vec![("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")];
    for (keys, role, parameters, refused) in [
        (&broker, TARGET, vec![], None),
        (&broker, TARGET, vec![("SourceIdentity", "ada")], None),
        (&broker, TARGET, tags, Some("sts:TagSession")),
        (
            &broker,
            TARGET,
            vec![("RoleSessionName", "root")],
            Some("sts:AssumeRole"),
        ),
        (&broker, READER, vec![], Some("sts:AssumeRole")),
        (
            &Keys::of(INSIDER_KEY),
            TARGET,
            vec![],
            Some("sts:AssumeRole"),
        ),
    ] {
        let answer = scene.assume(keys, role, &parameters).await;
        match refused {
            None => assert_eq!(answer.status, 200, "{}", answer.body),
            Some(action) => assert!(answer.refusal().2.contains(action), "{}", answer.body),
        }
    }
}

#[tokio::test]
async fn a_saml_trust_document_is_held_against_the_assertion() {
    let provider = for_aws::provider();
    let uploaded = SamlProvider::new(PROVIDER, &provider.metadata(&[&provider.primary]));
    let catalogue = catalogue().with_saml_provider(uploaded.expect("metadata"));
    let scene = Scene::start(catalogue);
    let trusting = |actions: &str, condition: &str| {
        document(&format!(
            r#"{{"Effect":"Allow","Principal":{{"Federated":"{PROVIDER}"}},"Action":{actions},
            "Condition":{condition}}}"#
        ))
    };
    let redeem = async |tagged: bool| {
        let mut request = for_aws::request(scene.now(), &[&format!("{TARGET},{PROVIDER}")]);
        if tagged {
            request = request
                .with_aws("PrincipalTag:team", &["pay"])
                .with_aws("SourceIdentity", &["ada"]);
        }
        let posted = provider.response(&request).sign_assertion().posted();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithSAML")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", TARGET)
            .append_pair("PrincipalArn", PROVIDER)
            .append_pair("SAMLAssertion", &posted)
            .finish();
        let call = http().post(scene.stand_in.url()).body(form);
        call.send().await.expect("answers").status().as_u16()
    };
    let all = r#"["sts:AssumeRoleWithSAML","sts:TagSession","sts:SetSourceIdentity"]"#;
    let bare = r#""sts:AssumeRoleWithSAML""#;
    let audience = format!(r#"{{"StringEquals":{{"SAML:aud":"{}"}}}}"#, for_aws::ACS);
    let person = format!(
        r#"{{"StringEquals":{{"saml:iss":"{}","SAML:sub":"{}","saml:doc":"111111111111/corp",
        "SAML:sub_type":"persistent"}}}}"#,
        for_aws::ISSUER,
        for_aws::SUBJECT
    );
    let elsewhere = r#"{"StringEquals":{"SAML:aud":"https://signin.aws.amazon.com/saml"}}"#;
    for (trust, tagged, expected) in [
        (trusting(bare, &audience), false, 200),
        (trusting(bare, &audience), true, 403),
        (trusting(all, &audience), true, 200),
        (trusting(all, &person), true, 200),
        (trusting(all, elsewhere), false, 403),
        (
            trusting(all, r#"{"StringEquals":{"SAML:sub":"eve"}}"#),
            false,
            403,
        ),
        (
            trusting(all, r#"{"StringLike":{"aws:RequestTag/team":"p*"}}"#),
            true,
            200,
        ),
        (
            trusting(all, r#"{"StringLike":{"aws:RequestTag/team":"p*"}}"#),
            false,
            403,
        ),
        (
            trusting(&bare.replace("WithSAML", ""), &audience),
            false,
            403,
        ),
    ] {
        scene.set_trust(&trust);
        assert_eq!(redeem(tagged).await, expected, "{trust}");
    }
    let printed =
        saml_trust_statement(&PROVIDER.parse().expect("an ARN"), for_aws::ACS, true, true);
    scene.set_trust(&document(&printed));
    assert_eq!(redeem(true).await, 200);
}

#[tokio::test]
async fn sessions_may_what_role_and_session_policies_both_allow() {
    let role = Role::new(TARGET, Trust::of([BROKER]).with_session_tags());
    let role = role.with_policy(&document(
        r#"{"Effect":"Allow","Action":["s3:*","ec2:Describe*"],"Resource":"*"},
        {"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"},
        {"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::*:user/${aws:PrincipalTag/name}"}"#,
    ));
    let scene = Scene::start(catalogue().with_role(role.expect("is taken")));
    let broker = Keys::of(BROKER_KEY);
    let plain = scene.session(&broker, TARGET, &[]).await;
    let getting = allowing(r#"["s3:GetObject","iam:*"]"#, "*");
    let narrowed = scene
        .session(&broker, TARGET, &[("Policy", &getting)])
        .await;
    let read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let reading = scene
        .session(&broker, TARGET, &[("PolicyArns.member.1.arn", read_only)])
        .await;
    let nothing = "arn:aws:iam::aws:policy/AWSDenyAll";
    let both = [
        ("Policy", getting.as_str()),
        ("PolicyArns.member.1.arn", nothing),
    ];
    let none = scene.session(&broker, TARGET, &both).await;
    for (action, expected) in [
        ("s3:GetObject", [true, true, true, false]),
        ("s3:PutObject", [true, false, false, false]),
        ("s3:DeleteObject", [false, false, false, false]),
        ("ec2:DescribeInstances", [true, false, true, false]),
        ("ec2:RunInstances", [false, false, false, false]),
    ] {
        let may = [&plain, &narrowed, &reading, &none].map(|session| scene.may(session, action));
        assert_eq!(may, expected, "{action}");
    }
    let tags = [
        ("Tags.member.1.Key", "Name"),
        ("Tags.member.1.Value", "ada"),
    ];
    let ada = scene.session(&broker, TARGET, &tags).await;
    for (session, user, expected) in [
        (&ada, "ada", true),
        (&ada, "eve", false),
        (&plain, "ada", false),
    ] {
        let user = format!("arn:aws:iam::111111111111:user/{user}");
        let key = &session.access_key_id;
        let may = scene.stand_in.is_allowed(key, "iam:GetUser", &user);
        assert_eq!(may, expected, "{user}");
    }
    assert!(
        !scene
            .stand_in
            .is_allowed("ASIAUNKNOWN", "s3:GetObject", "*")
    );
    let unattached = scene.session(&broker, READER, &[]).await;
    assert!(scene.may(&unattached, "s3:DeleteObject"));
    assert!(
        !scene
            .stand_in
            .is_allowed(&unattached.access_key_id, "sts:AssumeRole", TARGET)
    );
    scene.pass(3_601);
    assert!(!scene.may(&plain, "s3:GetObject"));
}

/// Denies whoever got credentials before `moment` and fits.
fn revoking(moment: OffsetDateTime, operator: &str, key: &str, value: &str) -> String {
    let moment = moment.format(&Rfc3339).expect("a date");
    document(&format!(
        r#"{{"Effect":"Deny","Action":["*"],"Resource":["*"],
        "Condition":{{"DateLessThan":{{"aws:TokenIssueTime":"{moment}"}},
        "{operator}":{{"{key}":"{value}"}}}}}}"#
    ))
}

#[tokio::test]
async fn a_revoked_person_is_denied_and_comes_back_with_a_new_session() {
    let scene = Scene::start(catalogue());
    let broker = Keys::of(BROKER_KEY);
    let revoker = Keys::issued(&scene.session(&broker, READER, &[]).await);
    let named = |name: &'static str| [("RoleSessionName", name), ("SourceIdentity", name)];
    for (operator, key, value) in [
        ("StringLike", "aws:userid", "*:ada"),
        ("StringEquals", "aws:SourceIdentity", "ada"),
    ] {
        let ada = scene.session(&broker, TARGET, &named("ada")).await;
        let eve = scene.session(&broker, TARGET, &named("eve")).await;
        let elsewhere = scene
            .session(&broker, READER, &[("RoleSessionName", "ada")])
            .await;
        scene.pass(60);
        let policy = revoking(scene.now(), operator, key, value);
        let parameters = [
            ("RoleName", "Target"),
            ("PolicyName", "revoked"),
            ("PolicyDocument", policy.as_str()),
        ];
        let put = scene.iam(&revoker, "PutRolePolicy", &parameters).await;
        assert_eq!(put.status, 200, "{}", put.body);
        let kept = vec![("revoked".to_owned(), policy.clone())];
        assert_eq!(scene.stand_in.role_policies(TARGET), kept);
        scene.pass(60);
        let again = scene.session(&broker, TARGET, &named("ada")).await;
        let may =
            [&ada, &eve, &elsewhere, &again].map(|session| scene.may(session, "s3:GetObject"));
        assert_eq!(may, [false, true, true, true], "{policy}");
        let denied = scene.iam(&Keys::issued(&ada), "ListRoles", &[]).await;
        let (status, code, message) = denied.refusal();
        assert_eq!((status, code), (403, "AccessDenied"));
        assert!(
            message.ends_with("with an explicit deny in an identity-based policy"),
            "{message}"
        );
        let who = scene
            .query(
                &Keys::issued(&ada),
                ("sts", "2011-06-15"),
                "GetCallerIdentity",
                &[],
            )
            .await;
        assert_eq!(
            who.status, 200,
            "nobody can be kept from asking who they are"
        );
        let lifted = [("RoleName", "Target"), ("PolicyName", "revoked")];
        let lifted = scene.iam(&revoker, "DeleteRolePolicy", &lifted).await;
        assert_eq!(lifted.status, 200, "{}", lifted.body);
        assert!(scene.may(&ada, "s3:GetObject"));
    }
}

#[tokio::test]
async fn a_console_session_has_the_identity_that_opened_it() {
    let scene = Scene::start(catalogue());
    let issued = scene.session(&Keys::of(BROKER_KEY), TARGET, &[]).await;
    let session = json!({
        "sessionId": issued.access_key_id,
        "sessionKey": issued.secret_access_key,
        "sessionToken": issued.session_token,
    });
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "getSigninToken")
        .append_pair("Session", &session.to_string())
        .append_pair("SessionDuration", "7200")
        .finish();
    let endpoint = scene.stand_in.federation_url();
    let token = http().post(endpoint.clone()).body(form).send().await;
    let token: Value = token.expect("answers").json().await.expect("JSON");
    let mut login = endpoint;
    login
        .query_pairs_mut()
        .append_pair("Action", "login")
        .append_pair(
            "SigninToken",
            token["SigninToken"].as_str().expect("a token"),
        )
        .append_pair("Destination", scene.stand_in.console_url().as_str());
    let login = http().get(login).send().await.expect("answers");
    let cookie = login.headers()[SET_COOKIE].to_str().expect("text");
    let hop = login.headers()[LOCATION].to_str().expect("text");
    let hop = http().get(hop).header(COOKIE, cookie).send().await;
    let console = hop.expect("answers").headers()[LOCATION]
        .to_str()
        .expect("text")
        .to_owned();
    let console = Url::parse(&console).expect("a URL");
    let (_, id) = console.query_pairs().next().expect("the session");
    let may = |id: &str| {
        scene
            .stand_in
            .is_allowed_in_console(id, "s3:GetObject", "*")
    };
    assert!(may(&id));
    assert!(!may("another"));
    scene.pass(3_700);
    assert!(!scene.may(&issued, "s3:GetObject"));
    assert!(may(&id), "it may outlive the credentials");
    let parameters = [
        ("RoleName", "Target"),
        ("PolicyName", "AWSRevokeOlderSessions"),
        (
            "PolicyDocument",
            &revoking(scene.now(), "StringLike", "aws:userid", "*:ada"),
        ),
    ];
    let revoker = Keys::issued(&scene.session(&Keys::of(BROKER_KEY), READER, &[]).await);
    assert_eq!(
        scene
            .iam(&revoker, "PutRolePolicy", &parameters)
            .await
            .status,
        200
    );
    assert!(!may(&id));
}

#[tokio::test]
async fn iam_tells_roles_to_those_who_may_ask() {
    let scene = Scene::start(catalogue());
    let broker = Keys::of(BROKER_KEY);
    let reader = Keys::issued(&scene.session(&broker, READER, &[]).await);
    let role = scene
        .iam(&reader, "GetRole", &[("RoleName", "Target")])
        .await;
    assert_eq!(role.status, 200, "{}", role.body);
    assert_eq!(role.element("Arn"), TARGET);
    assert_eq!(role.element("Path"), "/team/");
    assert_eq!(role.element("MaxSessionDuration"), "7200");
    assert_eq!(role.element("Description"), "Reads &amp; &lt;writes&gt;");
    let trust = role.element("AssumeRolePolicyDocument");
    assert!(
        trust.starts_with("%7B%22") && !trust.contains(['+', ' ', '"', ':']),
        "{trust}"
    );
    for (keys, name, expected) in [
        (
            &reader,
            "Nowhere",
            (
                404,
                "NoSuchEntity",
                "The role with name Nowhere cannot be found.",
            ),
        ),
        (&reader, "a b", (400, "ValidationError", "roleName")),
        (
            &broker,
            "Target",
            (
                403,
                "AccessDenied",
                "role Target because no identity-based policy allows the iam:GetRole action",
            ),
        ),
    ] {
        let answer = scene.iam(keys, "GetRole", &[("RoleName", name)]).await;
        let (status, code, message) = answer.refusal();
        assert_eq!((status, code), (expected.0, expected.1), "{}", answer.body);
        assert!(message.contains(expected.2), "{message}");
    }
    let narrowed = allowing(r#""iam:GetRole""#, TARGET);
    let narrowed = scene
        .session(&broker, READER, &[("Policy", &narrowed)])
        .await;
    let narrowed = Keys::issued(&narrowed);
    let get = scene
        .iam(&narrowed, "GetRole", &[("RoleName", "Target")])
        .await;
    assert_eq!(get.status, 200, "{}", get.body);
    let list = scene.iam(&narrowed, "ListRoles", &[]).await;
    assert!(
        list.refusal()
            .2
            .contains("because no session policy allows the iam:ListRoles action")
    );
    let alias = scene.iam(&reader, "ListAccountAliases", &[]).await;
    assert_eq!(alias.element("member"), "one-production");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    for (service, region, code) in [
        ("iam", "eu-west-1", "SignatureDoesNotMatch"),
        ("sts", "us-east-1", "IncompleteSignature"),
        ("iam", "cn-north-1", "InvalidClientTokenId"),
    ] {
        let body = "Action=ListRoles&Version=2010-05-08".to_owned();
        let answer = scene.send(&reader, (service, region), &headers, body).await;
        assert_eq!(answer.refusal().1, code, "{service} {region}");
    }
    let unknown = scene.iam(&reader, "DeleteRole", &[]).await;
    assert_eq!(unknown.refusal().1, "InvalidAction");
    scene.stand_in.set_fault(Fault::Sts(StsFault::Throttle(1)));
    let throttled = scene.iam(&reader, "ListRoles", &[]).await;
    assert_eq!(throttled.refusal(), (400, "Throttling", "Rate exceeded"));
    assert_eq!(scene.iam(&reader, "ListRoles", &[]).await.status, 200);
    assert_eq!(scene.stand_in.sts_calls(), 2);
    assert_eq!(scene.stand_in.iam_calls(), 13);
}

#[tokio::test]
async fn roles_come_in_pages() {
    let role = |number: usize| {
        let arn = format!("arn:aws:iam::111111111111:role/many/R{number:03}");
        Role::new(&arn, Trust::of([BROKER]))
    };
    let catalogue = (0..230).fold(catalogue(), |catalogue, number| {
        catalogue.with_role(role(number))
    });
    let scene = Scene::start(catalogue);
    let reader = Keys::issued(&scene.session(&Keys::of(BROKER_KEY), READER, &[]).await);
    let mut pages = Vec::new();
    let mut marker = String::new();
    loop {
        let mut parameters = vec![("PathPrefix", "/many/")];
        if !marker.is_empty() {
            parameters.push(("Marker", marker.as_str()));
        }
        let answer = scene.iam(&reader, "ListRoles", &parameters).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        pages.push(answer.body.matches("<RoleName>").count());
        if answer.element("IsTruncated") == "false" {
            break;
        }
        answer.element("Marker").clone_into(&mut marker);
    }
    assert_eq!(pages, [100, 100, 30]);
    for (name, value) in [("MaxItems", "0"), ("MaxItems", "1001"), ("Marker", "x")] {
        let answer = scene.iam(&reader, "ListRoles", &[(name, value)]).await;
        assert_eq!(answer.refusal().1, "ValidationError", "{name} {value}");
    }
}

#[tokio::test]
async fn inline_policies_are_held_to_their_limits() {
    let served = "arn:aws:iam::111111111111:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_1";
    let scene = Scene::start(catalogue().with_role(Role::new(served, Trust::of([BROKER]))));
    let revoker = Keys::issued(&scene.session(&Keys::of(BROKER_KEY), READER, &[]).await);
    let put = async |role: &str, name: &str, document: &str| {
        let parameters = [
            ("RoleName", role),
            ("PolicyName", name),
            ("PolicyDocument", document),
        ];
        scene.iam(&revoker, "PutRolePolicy", &parameters).await
    };
    let sized = |size: usize| {
        let empty = allowing(r#""s3:*""#, "arn:aws:s3:::");
        let padding = "x".repeat(size - empty.len());
        allowing(r#""s3:*""#, &format!("arn:aws:s3:::{padding}"))
    };
    assert_eq!(put("Target", "a", &sized(6_000)).await.status, 200);
    let blanks = sized(4_240).replace("},", "},                    ");
    assert_eq!(
        put("Target", "b", &format!("{blanks}\n\n\t ")).await.status,
        200
    );
    let over = put("Target", "b", &sized(4_241)).await;
    assert_eq!(
        over.refusal(),
        (
            409,
            "LimitExceeded",
            "Maximum policy size of 10240 bytes exceeded for role Target"
        )
    );
    assert_eq!(put("Target", "a", &sized(500)).await.status, 200);
    assert_eq!(put("Target", "b", &sized(9_740)).await.status, 200);
    for (role, name, document, status, code) in [
        ("Target", "c", "{}", 400, "MalformedPolicyDocument"),
        ("Target", "c d", "{}", 400, "ValidationError"),
        ("Target", "c", "", 400, "ValidationError"),
        ("Nowhere", "c", "{}", 404, "NoSuchEntity"),
        ("AWSReservedSSO_A_1", "c", "{}", 400, "UnmodifiableEntity"),
    ] {
        let answer = put(role, name, document).await;
        let (seen, named, _) = answer.refusal();
        assert_eq!((seen, named), (status, code), "{}", answer.body);
    }
    let at = async |action: &str, name: &str| {
        let parameters = [("RoleName", "Target"), ("PolicyName", name)];
        scene.iam(&revoker, action, &parameters).await
    };
    let names = scene
        .iam(&revoker, "ListRolePolicies", &[("RoleName", "Target")])
        .await;
    assert!(
        names
            .body
            .contains("<PolicyNames><member>a</member><member>b</member></PolicyNames>")
    );
    let kept = at("GetRolePolicy", "a").await;
    let kept = form_urlencoded::parse(kept.element("PolicyDocument").as_bytes())
        .next()
        .map(|(text, _)| text.into_owned());
    assert_eq!(kept, Some(sized(500)));
    assert_eq!(at("DeleteRolePolicy", "a").await.status, 200);
    for action in ["GetRolePolicy", "DeleteRolePolicy"] {
        let answer = at(action, "a").await;
        let expected = (
            404,
            "NoSuchEntity",
            "The role policy with name a cannot be found.",
        );
        assert_eq!(answer.refusal(), expected);
    }
}

fn organization() -> Catalogue {
    let listing = allowing(r#""organizations:ListAccounts""#, "*");
    let may_list = |principal: Principal| principal.with_policy(&listing).expect("is taken");
    let accounts = (0..45).map(|number| {
        let account = Account::new(&format!("3000000000{number:02}"), &format!("Many {number}"));
        match number {
            0 => account.with_status(AccountStatus::Suspended),
            1 => account.with_status(AccountStatus::PendingClosure),
            _ => account,
        }
    });
    let catalogue = accounts.fold(catalogue(), Catalogue::with_account);
    catalogue
        .with_principal(may_list(Principal::user(
            "arn:aws:iam::222222222222:user/lister",
            "AKIALISTER0000000000",
            SECRET,
        )))
        .with_principal(may_list(Principal::user(
            "arn:aws:iam::111111111111:user/lister",
            "AKIAMEMBER0000000000",
            SECRET,
        )))
        .with_management_account("222222222222")
}

#[tokio::test]
async fn organizations_lists_accounts_in_pages_one_of_them_empty() {
    let scene = Scene::start(organization());
    let lister = Keys::of("AKIALISTER0000000000");
    let mut accounts: Vec<Value> = Vec::new();
    let mut pages = Vec::new();
    let mut body = json!({});
    loop {
        let answer = scene.organizations(&lister, "ListAccounts", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        let page = answer["Accounts"].as_array().expect("a list");
        pages.push(page.len());
        accounts.extend(page.iter().cloned());
        let Some(token) = answer["NextToken"].as_str() else {
            break;
        };
        body = json!({ "NextToken": token });
    }
    assert_eq!(pages, [20, 0, 20, 7]);
    assert_eq!(accounts[0]["Email"], "aws+111111111111@example.com");
    assert_eq!(accounts[1]["Name"], "Two");
    assert_eq!(accounts[1]["Email"], "two@example.com");
    let states: Vec<_> = accounts[1..5]
        .iter()
        .map(|account| &account["Status"])
        .collect();
    assert_eq!(states, ["ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "ACTIVE"]);
}

#[tokio::test]
async fn organizations_refuses_in_json() {
    let scene = Scene::start(organization());
    let lister = Keys::of("AKIALISTER0000000000");
    for (keys, operation, body, code) in [
        (
            Keys::of("AKIAMEMBER0000000000"),
            "ListAccounts",
            json!({}),
            "AccessDeniedException",
        ),
        (
            Keys::of(BROKER_KEY),
            "ListAccounts",
            json!({}),
            "AccessDeniedException",
        ),
        (
            Keys::of("AKIANOBODY0000000000"),
            "ListAccounts",
            json!({}),
            "UnrecognizedClientException",
        ),
        (
            Keys(lister.0.clone(), "wrong".into(), None),
            "ListAccounts",
            json!({}),
            "InvalidSignatureException",
        ),
        (
            lister.clone(),
            "CloseAccount",
            json!({}),
            "UnknownOperationException",
        ),
        (
            lister.clone(),
            "ListAccounts",
            json!({"MaxResults": 21}),
            "InvalidInputException",
        ),
        (
            lister.clone(),
            "ListAccounts",
            json!({"NextToken": "x"}),
            "InvalidInputException",
        ),
        (
            lister.clone(),
            "ListAccounts",
            json!("all"),
            "SerializationException",
        ),
    ] {
        let answer = scene.organizations(&keys, operation, body).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert_eq!(answer.json()["__type"], code, "{}", answer.body);
    }
    scene.stand_in.set_fault(Fault::Sts(StsFault::Throttle(1)));
    let throttled = scene
        .organizations(&lister, "ListAccounts", json!({}))
        .await;
    assert_eq!(throttled.json()["__type"], "TooManyRequestsException");
}

const BOTO: &str = r#"
import boto3, json, sys
from botocore.config import Config
from botocore.exceptions import ClientError
url, key, secret, token, lister, lister_secret = sys.argv[1:]
config = Config(retries={"total_max_attempts": 1}, proxies={})
iam = boto3.client("iam", region_name="us-east-1", endpoint_url=url, config=config,
    aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token)
role = iam.get_role(RoleName="Target")["Role"]
pages = list(iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1}))
policy = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}
iam.put_role_policy(RoleName="Target", PolicyName="p+1", PolicyDocument=json.dumps(policy))
read = iam.get_role_policy(RoleName="Target", PolicyName="p+1")["PolicyDocument"]
names = iam.list_role_policies(RoleName="Target")["PolicyNames"]
iam.delete_role_policy(RoleName="Target", PolicyName="p+1")
refusals = []
for call in [lambda: iam.get_role(RoleName="Nowhere"),
             lambda: iam.delete_role_policy(RoleName="Target", PolicyName="p+1"),
             lambda: iam.put_role_policy(RoleName="Target", PolicyName="p", PolicyDocument="{}")]:
    try:
        call()
    except ClientError as error:
        refusals.append([error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]])
organizations = boto3.client("organizations", region_name="us-east-1", endpoint_url=url, config=config,
    aws_access_key_id=lister, aws_secret_access_key=lister_secret)
accounts = [account for page in organizations.get_paginator("list_accounts").paginate()
    for account in page["Accounts"]]
print(json.dumps({
    "role": {**role, "CreateDate": role["CreateDate"].isoformat()},
    "pages": [[role["RoleName"] for role in page["Roles"]] for page in pages],
    "read": read == policy, "names": names, "refusals": refusals,
    "aliases": iam.list_account_aliases()["AccountAliases"],
    "accounts": len(accounts), "joined": accounts[0]["JoinedTimestamp"].year,
}))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn boto3_understands_iam_and_organizations() {
    let scene = Scene::start(organization());
    let session = scene.session(&Keys::of(BROKER_KEY), READER, &[]).await;
    let python = tools_dir().join("venv/bin/python");
    let output = Command::new(&python)
        .args(["-c", BOTO, scene.stand_in.url().as_str()])
        .args([
            &session.access_key_id,
            &session.secret_access_key,
            &session.session_token,
        ])
        .args(["AKIALISTER0000000000", SECRET])
        .env_remove("AWS_PROFILE")
        .output()
        .unwrap_or_else(|error| panic!("{} with boto3: {error}", python.display()));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let role = &seen["role"];
    assert_eq!(role["Arn"], TARGET);
    assert_eq!(role["Path"], "/team/");
    assert_eq!(role["MaxSessionDuration"], 7_200);
    assert_eq!(role["Description"], "Reads & <writes>");
    assert_eq!(role["CreateDate"], "2024-02-29T08:00:00+00:00");
    let trust = &role["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(trust["Principal"]["AWS"][0], BROKER);
    assert_eq!(seen["pages"], json!([["Reader"], ["Target"]]));
    assert_eq!(seen["read"], true);
    assert_eq!(seen["names"], json!(["p+1"]));
    assert_eq!(
        seen["refusals"],
        json!([
            [404, "NoSuchEntity"],
            [404, "NoSuchEntity"],
            [400, "MalformedPolicyDocument"]
        ])
    );
    assert_eq!(seen["aliases"], json!(["one-production"]));
    assert_eq!(
        (&seen["accounts"], &seen["joined"]),
        (&json!(47), &json!(2024))
    );
}
