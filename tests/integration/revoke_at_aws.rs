//! Revocations as AWS would see them: what old sessions may still do, by the policies that were
//! really written through the revoker roles of the stand-in.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use openssl::nid::Nid;
use rolegate::{
    access::{TargetArn, revocation::REVOCATION_POLICY},
    app::Application,
    audit::{Action, Actor, AuditEvent, Outcome},
    aws::issuer::subject::subject_pattern,
    broker::{
        Broker, Client, GroupsRefused, OpenOrder, OpenRefused, Reach, RevokeAnswer, RevokeOrder,
        RevokedBy, SignInSession, Whom,
    },
    clock::{Clock as _, SystemClock},
    demo::{
        aws::{
            Account, Catalogue, Fault, OidcProvider, Principal, Role, SamlProvider, StsAction,
            StsFault, Trust,
        },
        sample::{self, BROKER_ACCESS_KEY_ID, BROKER_ARN, BROKER_SECRET_ACCESS_KEY},
    },
    store::{
        KnownPeople as _, Revocation, Revocations as _, Revoked, RevokedRole, SignInSessions as _,
    },
};
use time::{Duration, OffsetDateTime};

use crate::support::{
    app::{Options, TestApp},
    cookie_browser::{CookieBrowser, client},
    saml::keys::KeyPair,
};

const SHOP: &str = "222233334444";
const SHOP_DEV: &str = "222233335555";
const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const DEVELOPER: &str = "arn:aws:iam::222233335555:role/team/Developer";
/// Opened by an assertion of ours: at STS, and by the browser.
const VOUCHED: &str = "arn:aws:iam::222233334444:role/Vouched";
const POSTED: &str = "arn:aws:iam::222233335555:role/Posted";
/// Opened by a token of ours.
const TOKEN: &str = "arn:aws:iam::222233335555:role/Token";
const ALL: [&str; 5] = [READER, DEVELOPER, VOUCHED, POSTED, TOKEN];
const FEDERATED: &str = "arn:aws:sts::444455556666:federated-user/uploads";
const REVOKER: &str = "rolegate-revoker";
const ADMIN_KEY: &str = "AKIASHOPADMIN0000001";
const AUDIENCE: &str = "sts.amazonaws.com";
const WRITING: &str =
    r#"["iam:PutRolePolicy","iam:DeleteRolePolicy","iam:GetRolePolicy","iam:ListRolePolicies"]"#;

/// How AWS opens the revoker roles for Rolegate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Errands {
    /// By the broker's own keys.
    Keys,
    /// By an assertion of the issuer: nothing at AWS trusts the keys.
    Issuer,
}

struct Stage {
    app: TestApp,
    /// Seconds that AWS's clock is ahead.
    shift: Arc<AtomicI64>,
    /// The issuer's keys.
    _files: tempfile::TempDir,
}

/// What somebody got from AWS.
#[derive(Debug, Default)]
struct Held {
    keys: Vec<String>,
    consoles: Vec<String>,
}

impl Stage {
    async fn start(errands: Errands, source_identity: Option<&str>) -> Self {
        let mut overrides = vec![("AWS__REVOKER_ROLE".to_owned(), REVOKER.to_owned())];
        if let Some(template) = source_identity {
            overrides.push(("AWS__SOURCE_IDENTITY".to_owned(), template.to_owned()));
        }
        if errands == Errands::Issuer {
            for (key, value) in [
                ("ROLE_DEFAULTS__GRANT_METHOD", "assume-role-with-saml"),
                ("ROLE_DEFAULTS__VOUCHED_BY", "issuer"),
            ] {
                overrides.push((key.to_owned(), value.to_owned()));
            }
        }
        let files = crate::support::temporary_dir("revoke-issuer");
        let shift = Arc::new(AtomicI64::new(0));
        let seconds = Arc::clone(&shift);
        let app = TestApp::start_with(Options {
            overrides,
            mapping_toml: Some(table()),
            more_toml: issuer_toml(files.path()),
            aws_clock: Some(Arc::new(move || {
                SystemClock.now() + Duration::seconds(seconds.load(Ordering::SeqCst))
            })),
            ..Options::default()
        })
        .await;
        let catalogue = catalogue(&app, errands);
        app.aws.update(|known| *known = catalogue);
        Self {
            app,
            shift,
            _files: files,
        }
    }

    /// AWS's time.
    fn now(&self) -> OffsetDateTime {
        SystemClock.now() + Duration::seconds(self.shift.load(Ordering::SeqCst))
    }

    /// Makes Rolegate's clock show the time that AWS's does.
    fn synchronise(&self) {
        let behind = self.now() - self.app.clock.now();
        self.app.clock.advance(behind);
    }

    /// Sets both clocks so far from the machine's, by which the SDK signs; AWS takes five minutes.
    fn set_clocks(&self, ahead: Duration) {
        self.shift.store(ahead.whole_seconds(), Ordering::SeqCst);
        self.synchronise();
    }

    /// Moves both clocks.
    fn pass(&self, by: Duration) {
        self.app.clock.advance(by);
        self.shift.fetch_add(by.whole_seconds(), Ordering::SeqCst);
    }

    async fn session(&self, username: &str) -> SignInSession {
        let known = self.app.store.known_people().await.unwrap();
        let person = known
            .iter()
            .find(|known| known.identity.username == username);
        let subject = &person.unwrap().identity.subject;
        let sessions = self.app.store.sessions_of("corp", subject).await.unwrap();
        sessions.into_iter().next().unwrap()
    }

    async fn whom(&self, username: &str) -> Whom {
        let session = self.session(username).await;
        Whom::Person {
            connector: session.identity.connector,
            subject: session.identity.subject,
        }
    }

    async fn revoke(&self, whom: Whom) -> RevokeAnswer {
        self.synchronise();
        revoke_by(&self.app.broker, whom).await
    }

    /// Credentials of a role for somebody signed in.
    async fn credentials(&self, browser: &mut CookieBrowser, role: &str) -> String {
        browser.get("/").await;
        let before = self.app.aws.issued().len();
        let shown = browser.post("/credentials", &[("role", role)]).await;
        assert_eq!(shown.status, 200, "{role}: {}", shown.body);
        self.issued_after(before, role)
    }

    fn issued_after(&self, before: usize, role: &str) -> String {
        let issued = self.app.aws.issued();
        let one = issued[before..].iter().find(|one| {
            one.role_arn == role
                || one.action == StsAction::GetSessionToken
                || one.arn.contains(":federated-user/")
        });
        one.unwrap_or_else(|| panic!("{role}"))
            .access_key_id
            .clone()
    }

    /// A console session of a role for somebody signed in.
    async fn console(&self, browser: &mut CookieBrowser, role: &str) -> String {
        let opened = browser.open_console(&[("role", role)]).await;
        if opened.status == 303 {
            return console_session(client().get(opened.location())).await;
        }
        assert_eq!(opened.status, 200, "{role}: {}", opened.body);
        let response = value_of(&opened.body, "SAMLResponse");
        let relay_state = value_of(&opened.body, "RelayState");
        let form = [("SAMLResponse", response), ("RelayState", relay_state)];
        console_session(client().post(self.app.aws.saml_url()).form(&form)).await
    }

    /// Everything that the table gives, in every way.
    async fn open_all(&self, browser: &mut CookieBrowser) -> Held {
        let mut held = Held::default();
        for role in [READER, DEVELOPER, VOUCHED, TOKEN] {
            held.keys.push(self.credentials(browser, role).await);
        }
        for role in [READER, VOUCHED, POSTED] {
            held.consoles.push(self.console(browser, role).await);
        }
        held
    }

    fn may(&self, key: &str) -> bool {
        self.app.aws.is_allowed(key, "s3:GetObject", "*")
    }

    /// What each of somebody's sessions may, the console's last.
    fn may_each(&self, held: &Held) -> Vec<bool> {
        let keys = held.keys.iter().map(|key| self.may(key));
        let consoles = held.consoles.iter().map(|session| {
            let aws = &self.app.aws;
            aws.is_allowed_in_console(session, "s3:GetObject", "*")
        });
        keys.chain(consoles).collect()
    }

    /// The policy of a role that Rolegate wrote, if it is there.
    fn policy(&self, role: &str) -> Option<String> {
        let policies = self.app.aws.role_policies(role);
        let ours = policies
            .into_iter()
            .find(|(name, _)| name == REVOCATION_POLICY);
        ours.map(|(_, document)| document)
    }

    /// A call of the shop's administrator, at AWS's time.
    async fn call(&self, service: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        let version = match service {
            "iam" => "2010-05-08",
            _ => "2011-06-15",
        };
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        let keys = Credentials::new(ADMIN_KEY, BROKER_SECRET_ACCESS_KEY, None, None, "test");
        let identity = keys.into();
        let settings = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(service)
            .time(SystemTime::from(self.now()))
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let url = self.app.aws.url();
        let bytes = SignableBody::Bytes(body.as_bytes());
        let request = SignableRequest::new("POST", url.as_str(), [kind].into_iter(), bytes);
        let signed = sign(request.unwrap(), &settings.into()).unwrap();
        let mut request = client().post(url.clone()).header(kind.0, kind.1);
        for (name, value) in signed.output().headers() {
            request = request.header(name, value);
        }
        let response = request.body(body.clone()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// A session of the shop's reading role under some name, past Rolegate.
    async fn assume(&self, session_name: &str) -> String {
        let (status, body) = self
            .call(
                "sts",
                &[
                    ("Action", "AssumeRole"),
                    ("RoleArn", READER),
                    ("RoleSessionName", session_name),
                    ("DurationSeconds", "7200"),
                ],
            )
            .await;
        assert_eq!(status, 200, "{body}");
        let (_, rest) = body.split_once("<AccessKeyId>").unwrap();
        rest.split_once("</AccessKeyId>").unwrap().0.to_owned()
    }

    /// Puts a policy of somebody else on the reading role, so long.
    async fn put_foreign_policy(&self, length: usize) {
        let document = |sid: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"{sid}","Effect":"Allow","Action":"*","Resource":"*"}}]}}"#
            )
        };
        let document = document(&"a".repeat(length - document("").len()));
        let parameters = [
            ("Action", "PutRolePolicy"),
            ("RoleName", "ReadOnly"),
            ("PolicyName", "foreign"),
            ("PolicyDocument", document.as_str()),
        ];
        let (status, body) = self.call("iam", &parameters).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn waiting(&self) -> Vec<TargetArn> {
        let now = self.app.clock.now();
        self.app.store.roles_to_settle(now).await.unwrap()
    }

    /// The command line on the same store and the same AWS, as another program.
    fn command(&self, arguments: &[&str]) -> Command {
        let app = &self.app;
        let mut command = Command::new(env!("CARGO_BIN_EXE_rolegate"));
        command
            .env("ROLEGATE_CONFIG", "config/demo.toml")
            .env(
                "ROLEGATE_STORE__URL",
                format!("sqlite://{}", app.database().display()),
            )
            .env("ROLEGATE_CONNECTOR__CORP__URLS", app.directory.url())
            .env(
                "ROLEGATE_CONNECTOR__CORP__BIND_PASSWORD",
                sample::SERVICE_PASSWORD,
            )
            .env("ROLEGATE_AWS__STS_ENDPOINT", app.aws.url().as_str())
            .env("ROLEGATE_AWS__IAM_ENDPOINT", app.aws.url().as_str())
            .env("ROLEGATE_AWS__REVOKER_ROLE", REVOKER)
            .env(
                "ROLEGATE_AWS__CREDENTIAL_SOURCE__DEFAULT__TYPE",
                "environment-file",
            )
            .env(
                "ROLEGATE_AWS__CREDENTIAL_SOURCE__DEFAULT__PATH",
                app.dir.path().join("aws.env"),
            )
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }
}

async fn revoke_by(broker: &Broker, whom: Whom) -> RevokeAnswer {
    let order = RevokeOrder { whom, reason: None };
    let host = RevokedBy::Host(Actor::Host { uid: 0 });
    broker.revoke(&order, host, None).await.unwrap()
}

fn all_applied(answer: &RevokeAnswer) -> bool {
    answer.roles.iter().all(|role| role.reach == Reach::Applied)
}

fn why_later(answer: &RevokeAnswer) -> &str {
    match &answer.roles[0].reach {
        Reach::Later(why) => why,
        other => panic!("{other:?}"),
    }
}

/// The value of a hidden field, whatever characters it has.
fn value_of(html: &str, name: &str) -> String {
    let pattern = format!(r#"name="{name}"\s+value="([^"]*)""#);
    let found = regex::Regex::new(&pattern).unwrap();
    let found = found.captures(html).unwrap_or_else(|| panic!("{html}"));
    let mut value = found[1].to_owned();
    for (escaped, character) in [
        ("&#43;", "+"),
        ("&#x2f;", "/"),
        ("&#47;", "/"),
        ("&#61;", "="),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ] {
        value = value.replace(escaped, character);
    }
    value
}

/// Follows a sign-in to the console; the id of the session.
async fn console_session(first: reqwest::RequestBuilder) -> String {
    let mut cookies: Vec<String> = Vec::new();
    let mut answer = first.send().await.unwrap();
    for _ in 0..5 {
        for line in answer.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            cookies.push(line.split(';').next().unwrap().to_owned());
        }
        let found = answer
            .url()
            .query_pairs()
            .find(|(name, _)| name == "session");
        if let Some((_, session)) = found {
            return session.into_owned();
        }
        let Some(location) = answer.headers().get("location") else {
            panic!("{}: {}", answer.url().clone(), answer.text().await.unwrap());
        };
        let next = answer.url().join(location.to_str().unwrap()).unwrap();
        let request = client().get(next).header("cookie", cookies.join("; "));
        answer = request.send().await.unwrap();
    }
    panic!("the way does not end: {}", answer.url());
}

fn table() -> String {
    let issuer = "vouched_by = \"issuer\"\n";
    let saml = "grant_method = \"assume-role-with-saml\"\n";
    let everything = r#"session_policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'"#;
    let rows = [
        (READER, "grant_method = \"assume-role\"\n".to_owned()),
        (DEVELOPER, "grant_method = \"assume-role\"\n".to_owned()),
        (VOUCHED, format!("{saml}{issuer}")),
        (POSTED, format!("{saml}{issuer}console = \"saml-post\"\n")),
        (
            TOKEN,
            format!("grant_method = \"assume-role-with-web-identity\"\n{issuer}"),
        ),
        (BROKER_ARN, "grant_method = \"session-token\"\n".to_owned()),
        (
            FEDERATED,
            format!("grant_method = \"federation-token\"\n{everything}\n"),
        ),
    ];
    let mut text = String::new();
    for account in [SHOP, SHOP_DEV, sample::BROKER_ACCOUNT] {
        let _ = write!(
            text,
            "[[account]]\nid = \"{account}\"\nname = \"{account}\"\n"
        );
    }
    for (arn, keys) in rows {
        let group = format!("corp:{}", sample::group_dn("everyone"));
        let _ = write!(text, "[[role]]\narn = \"{arn}\"\n{keys}");
        let _ = write!(text, "[[mapping]]\ngroup = \"{group}\"\nrole = \"{arn}\"\n");
    }
    text
}

fn issuer_toml(dir: &std::path::Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;

    let saml = KeyPair::rsa("issuer", 1);
    let oidc = KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1);
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    format!(
        "[issuer]\nsaml_keys = [{{ key_file = {:?}, certificate_file = {:?} }}]\n\
         oidc_keys = [{{ key_file = {:?} }}]\n",
        write("saml.key", saml.key_pem()),
        write("saml.crt", saml.certificate_pem()),
        write("oidc.key", oidc.key_pem()),
    )
}

fn revoker(account: &str, trust: Trust, actions: &str) -> Role {
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":"arn:aws:iam::{account}:role/*"}}]}}"#
    );
    let arn = format!("arn:aws:iam::{account}:role/{REVOKER}");
    Role::new(&arn, trust).with_policy(&policy).unwrap()
}

fn keys_trust() -> Trust {
    Trust::of([BROKER_ARN])
        .with_session_tags()
        .with_source_identity()
}

fn broker(policies: &[&str]) -> Principal {
    let listing = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    let user = Principal::user(BROKER_ARN, BROKER_ACCESS_KEY_ID, BROKER_SECRET_ACCESS_KEY);
    let user = user.which_may_assume("*").which_may_federate();
    let mut user = user.with_policy(listing).unwrap();
    for policy in policies {
        user = user.with_policy(policy).unwrap();
    }
    user
}

fn catalogue(app: &TestApp, errands: Errands) -> Catalogue {
    let metadata = app.broker.issuer().unwrap().saml_metadata().unwrap();
    let admin = format!("arn:aws:iam::{SHOP}:user/admin");
    let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*","sts:*"],"Resource":"*"}]}"#;
    let mut whole = Catalogue::default()
        .with_account(Account::new(sample::BROKER_ACCOUNT, "Shared"))
        .with_principal(broker(&[]))
        .with_principal(
            Principal::user(&admin, ADMIN_KEY, BROKER_SECRET_ACCESS_KEY)
                .with_policy(all)
                .unwrap(),
        );
    let saml_of = |account: &str| format!("arn:aws:iam::{account}:saml-provider/rolegate");
    let oidc_of = |account: &str| format!("arn:aws:iam::{account}:oidc-provider/rolegate.example");
    let recipient = app.aws.saml_url().to_string();
    let by_saml = |account: &str| {
        let trust = Trust::default().with_saml(&saml_of(account), [recipient.as_str()]);
        trust.with_session_tags().with_source_identity()
    };
    for account in [SHOP, SHOP_DEV] {
        let provider = OidcProvider::new(&oidc_of(account), [AUDIENCE]).unwrap();
        let provider = provider.with_url(app.url.as_str());
        let trust = match errands {
            Errands::Keys => keys_trust(),
            Errands::Issuer => by_saml(account),
        };
        whole = whole
            .with_account(Account::new(account, account))
            .with_saml_provider(SamlProvider::new(&saml_of(account), &metadata).unwrap())
            .with_oidc_provider(provider.fetched_from(app.url.clone()))
            .with_role(revoker(account, trust, WRITING));
    }
    let subject = subject_pattern(&TOKEN.parse().unwrap());
    let by_token = Trust::default()
        .with_web_identity(&oidc_of(SHOP_DEV), [AUDIENCE], [subject.as_str()])
        .with_session_tags()
        .with_source_identity();
    let reader = Trust::of([BROKER_ARN, admin.as_str()]);
    let reader = reader.with_session_tags().with_source_identity();
    let roles = [
        (READER, reader),
        (DEVELOPER, keys_trust()),
        (VOUCHED, by_saml(SHOP)),
        (POSTED, by_saml(SHOP_DEV)),
        (TOKEN, by_token),
    ];
    roles.into_iter().fold(whole, |whole, (arn, trust)| {
        whole.with_role(Role::new(arn, trust).with_max_session_seconds(43_200))
    })
}

/// One person's sessions of every kind are ended, and they come back.
async fn ada_is_cut_off(errands: Errands, source_identity: Option<&str>) {
    let stage = Stage::start(errands, source_identity).await;
    stage.set_clocks(Duration::minutes(-3));
    let mut ada = stage.app.signed_in("ada").await;
    let mut linus = stage.app.signed_in("linus").await;
    let hers = stage.open_all(&mut ada).await;
    let his = stage.open_all(&mut linus).await;
    assert_eq!(stage.may_each(&hers), [true; 7]);
    assert_eq!(stage.may_each(&his), [true; 7]);

    // After what a browser can do with an assertion that it has not posted.
    stage.set_clocks(Duration::minutes(3));
    let answer = stage.revoke(stage.whom("ada").await).await;
    assert!(all_applied(&answer), "{:#?}", answer.roles);
    assert_eq!(answer.roles.len(), ALL.len());
    assert_eq!(stage.may_each(&hers), [false; 7], "every old session");
    assert_eq!(stage.may_each(&his), [true; 7], "nobody else notices");
    assert_eq!(ada.get("/").await.status, 303, "the sign-in is over");
    assert_eq!(linus.get("/").await.status, 200);

    let mut ada = stage.app.signed_in("ada").await;
    let anew = stage.open_all(&mut ada).await;
    assert_eq!(stage.may_each(&anew), [true; 7], "at once");
    assert_eq!(stage.may_each(&hers), [false; 7]);
    for role in ALL {
        let policy = stage.policy(role).unwrap();
        let names_source = policy.contains("aws:SourceIdentity");
        assert_eq!(names_source, source_identity.is_some(), "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_sessions_are_denied_in_every_account_and_a_new_sign_in_works_at_once() {
    ada_is_cut_off(Errands::Keys, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_where_a_source_identity_is_sent() {
    ada_is_cut_off(Errands::Keys, Some("{username}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_issuer_opens_the_revoker_roles() {
    ada_is_cut_off(Errands::Issuer, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_role_session_ends_that_person_there_and_a_whole_role_everybody() {
    let stage = Stage::start(Errands::Keys, None).await;
    let mut ada = stage.app.signed_in("ada").await;
    let mut linus = stage.app.signed_in("linus").await;
    let read = stage.credentials(&mut ada, READER).await;
    let rows = stage.app.audit_rows().await;
    let intent = rows[0].event.intent.clone().unwrap();
    let developed = stage.credentials(&mut ada, DEVELOPER).await;
    let his = stage.credentials(&mut linus, READER).await;

    let answer = stage.revoke(Whom::RoleSession(intent)).await;
    assert!(all_applied(&answer), "{:?}", answer.roles);
    let may = |keys: [&str; 3]| keys.map(|key| stage.may(key));
    assert_eq!(may([&read, &developed, &his]), [false, true, true]);
    let again = stage.credentials(&mut ada, READER).await;
    assert!(stage.may(&again), "the sign-in stays, and opens it anew");

    let answer = stage.revoke(Whom::Role(READER.parse().unwrap())).await;
    assert!(all_applied(&answer), "{:?}", answer.roles);
    assert_eq!(may([&again, &developed, &his]), [false, true, false]);
    let again = stage.credentials(&mut linus, READER).await;
    assert!(stage.may(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_does_not_take_is_told_and_written_later() {
    let stage = Stage::start(Errands::Keys, None).await;
    let without_writing = || {
        let revoker = revoker(SHOP, keys_trust(), r#"["iam:GetRolePolicy"]"#);
        stage
            .app
            .aws
            .update(|known| *known = std::mem::take(known).with_role(revoker));
    };
    let with_writing = || {
        let revoker = revoker(SHOP, keys_trust(), WRITING);
        stage
            .app
            .aws
            .update(|known| *known = std::mem::take(known).with_role(revoker));
    };
    let mut grace = stage.app.signed_in("grace").await;
    for fault in [
        None,
        Some(StsFault::Down),
        Some(StsFault::AccessDenied),
        Some(StsFault::Throttle(1_000)),
    ] {
        let mut ada = stage.app.signed_in("ada").await;
        let held = stage.credentials(&mut ada, READER).await;
        let whom = stage.whom("ada").await;
        match fault {
            None => without_writing(),
            Some(fault) => stage.app.aws.set_fault(Fault::Sts(fault)),
        }
        let answer = stage.revoke(whom).await;
        let why = why_later(&answer);
        if fault.is_none() {
            assert!(why.contains("iam:PutRolePolicy"), "{why}");
        }
        let page = grace
            .get(&format!("/helpdesk/revocations/{}", answer.id))
            .await;
        for words in ["Not yet applied.", "will be tried again"] {
            assert!(page.body.contains(words), "{fault:?}: {}", page.body);
        }
        assert!(stage.may(&held), "{fault:?}: it is not written yet");
        assert_eq!(ada.get("/").await.status, 303, "what is ours has ended");
        stage.app.aws.clear_faults();
        with_writing();
        assert_eq!(stage.app.broker.settle_revocations().await.unwrap(), 0);
        assert!(!stage.may(&held), "{fault:?}");
        assert_eq!(stage.waiting().await, []);
        let page = grace
            .get(&format!("/helpdesk/revocations/{}", answer.id))
            .await;
        assert!(!page.body.contains("Not yet applied."), "{}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_other_inline_policies_it_denies_more_and_goes_when_it_has_expired() {
    // What the issuer opens needs no signature, which would be of the machine's own time.
    let stage = Stage::start(Errands::Issuer, None).await;
    let mut ada = stage.app.signed_in("ada").await;
    let mut linus = stage.app.signed_in("linus").await;
    let hers = stage.credentials(&mut ada, READER).await;
    let his = stage.credentials(&mut linus, READER).await;
    stage.put_foreign_policy(10_200).await;
    let answer = stage.revoke(stage.whom("ada").await).await;
    let why = why_later(&answer);
    assert!(why.contains("leave no room"), "{why}");
    assert!(stage.may(&hers));

    // One person takes 197 characters, everybody fewer.
    stage.put_foreign_policy(10_060).await;
    assert_eq!(stage.app.broker.settle_revocations().await.unwrap(), 0);
    assert!(!stage.may(&hers));
    assert!(!stage.may(&his), "there is no room to leave him out");
    let event = stage.app.last_audit_event().await;
    assert_eq!(event["action"], "revocation.apply");
    let coarser = event["details"]["coarser"].as_str().unwrap();
    assert!(coarser.contains("Everybody's sessions"), "{coarser}");
    let again = stage.credentials(&mut linus, READER).await;
    assert!(stage.may(&again));

    stage.pass(Duration::hours(12));
    assert_eq!(stage.app.broker.settle_revocations().await.unwrap(), 0);
    assert!(stage.policy(READER).is_some(), "not before its end");
    stage.pass(Duration::minutes(31));
    assert_eq!(stage.waiting().await.len(), 1);
    assert_eq!(stage.app.broker.settle_revocations().await.unwrap(), 0);
    assert_eq!(stage.policy(READER), None);
    assert_eq!(stage.app.aws.role_policies(READER).len(), 1, "not ours");
    assert_eq!(stage.waiting().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_people_of_one_role_stay_within_what_iam_takes_and_are_denied() {
    let stage = Stage::start(Errands::Keys, None).await;
    let name = |place: usize| format!("person-{place:04}@example.com");
    // Sessions of fifty minutes ago.
    stage.shift.store(-3_000, Ordering::SeqCst);
    let mut held = Vec::new();
    for place in 0..1_000 {
        held.push(stage.assume(&name(place)).await);
    }
    stage.shift.store(0, Ordering::SeqCst);
    assert!(held.iter().all(|key| stage.may(key)));
    let stranger = stage.assume("zoe").await;

    stage.synchronise();
    let began = stage.app.clock.now() - Duration::seconds(2_100);
    for place in 0..1_000 {
        let at = began + Duration::seconds(2 * i64::try_from(place).unwrap());
        keep_revocation(&stage.app, &name(place), at).await;
    }
    assert_eq!(stage.app.broker.settle_revocations().await.unwrap(), 0);
    assert_eq!(stage.waiting().await, []);
    let policy = stage.policy(READER).unwrap();
    assert!(policy.len() <= 10_240, "{}", policy.len());
    let left: Vec<usize> = (0..1_000)
        .filter(|place| stage.may(&held[*place]))
        .collect();
    assert!(left.is_empty(), "not denied: {left:?}");
    assert!(stage.may(&stranger), "who opened it since is not touched");
    for place in [0, 500, 999] {
        let again = stage.assume(&name(place)).await;
        assert!(stage.may(&again), "{place}");
    }
}

/// Writes down that somebody's sessions of the reading role were revoked at a moment.
async fn keep_revocation(app: &TestApp, session_name: &str, at: OffsetDateTime) {
    let revocation = Revocation {
        id: format!("r-{session_name}"),
        whose: Revoked::Person {
            connector: "corp".to_owned(),
            subject: session_name.to_owned(),
        },
        session_names: vec![session_name.to_owned()],
        source_identities: Vec::new(),
        issued_before: at,
        created_at: at,
        expires_at: at + Duration::minutes(750),
        by: "host:0".to_owned(),
        reason: None,
    };
    let role = RevokedRole {
        revocation: revocation.id.clone(),
        role: READER.to_owned(),
        applied_at: None,
        failure: None,
        is_final: false,
    };
    let actor = Actor::Host { uid: 0 };
    let event = AuditEvent::new(at, Action::SessionRevoke, Outcome::Ok, actor);
    app.store
        .revoke(&revocation, &[role], &event)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policies_printed_for_an_iam_user_deny_when_somebody_puts_them_there() {
    let stage = Stage::start(Errands::Keys, None).await;
    let mut ada = stage.app.signed_in("ada").await;
    let mut linus = stage.app.signed_in("linus").await;
    let token = stage.credentials(&mut ada, BROKER_ARN).await;
    let federated = stage.credentials(&mut ada, FEDERATED).await;
    let his = stage.credentials(&mut linus, FEDERATED).await;
    let may = |keys: [&str; 4]| keys.map(|key| stage.may(key));
    let keys = [token.as_str(), &federated, &his, BROKER_ACCESS_KEY_ID];
    assert_eq!(may(keys), [true; 4]);

    let answer = stage.revoke(stage.whom("ada").await).await;
    let printed = |arn: &str| {
        let role = answer.roles.iter().find(|role| role.role.as_str() == arn);
        let role = role.unwrap_or_else(|| panic!("{arn}: {:?}", answer.roles));
        assert!(matches!(role.reach, Reach::Never(_)), "{:?}", role.reach);
        role.policy.as_ref().unwrap().document.clone()
    };
    assert_eq!(may(keys), [true; 4], "nothing is written on users");
    let put = |policies: &[&str]| {
        let user = broker(policies);
        stage
            .app
            .aws
            .update(|known| *known = std::mem::take(known).with_principal(user));
    };
    put(&[&printed(FEDERATED)]);
    assert_eq!(may(keys), [true, false, true, true]);
    put(&[&printed(BROKER_ARN)]);
    assert_eq!(
        may(keys),
        [false, false, false, true],
        "everybody's sessions of these keys, and never the keys"
    );
    let mut ada = stage.app.signed_in("ada").await;
    for target in [BROKER_ARN, FEDERATED] {
        let again = stage.credentials(&mut ada, target).await;
        assert!(stage.may(&again), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_that_revoke_at_the_same_time_lose_nothing() {
    let stage = Stage::start(Errands::Keys, None).await;
    let second = Application::new(&stage.app.config, stage.app.clock.clone()).await;
    let second = Arc::clone(second.unwrap().broker());
    let people = ["ada", "linus", "grace", "margaret"];
    for round in 0..3 {
        let (mut held, mut whom) = (Vec::new(), Vec::new());
        for username in people {
            let mut browser = stage.app.signed_in(username).await;
            held.push(stage.credentials(&mut browser, READER).await);
            whom.push(stage.whom(username).await);
        }
        stage.synchronise();
        let mut whom = whom.into_iter();
        let mut next = || whom.next().unwrap();
        let (first, broker) = (&stage.app.broker, &*second);
        // The command line is a program of its own, with a lock of its own.
        let mut command = stage.command(&["revoke", "person", "margaret"]);
        let command = tokio::task::spawn_blocking(move || command.output().unwrap());
        let (one, two, three, output) = tokio::join!(
            revoke_by(first, next()),
            revoke_by(broker, next()),
            revoke_by(first, next()),
            command,
        );
        for answer in [&one, &two, &three] {
            assert!(all_applied(answer), "{:?}", answer.roles);
        }
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{told}");
        let left: Vec<bool> = held.iter().map(|key| stage.may(key)).collect();
        assert_eq!(
            left,
            [false; 4],
            "round {round}: {:?}",
            stage.policy(READER)
        );
        let policy = stage.policy(READER).unwrap();
        for username in people {
            assert!(policy.contains(&format!("*:{username}")), "{policy}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_came_before_the_revocation_and_decides_after_it_opens_nothing() {
    let stage = Stage::start(Errands::Keys, None).await;
    let mut ada = stage.app.signed_in("ada").await;
    stage.credentials(&mut ada, READER).await;
    // As a page has it before it asks the broker.
    let mut session = stage.session("ada").await;
    stage.revoke(stage.whom("ada").await).await;
    let (calls, rows) = (
        stage.app.aws.sts_calls(),
        stage.app.audit_rows().await.len(),
    );
    let order = OpenOrder {
        role: READER.to_owned(),
        ..OpenOrder::default()
    };
    let from = Client {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        request_id: "late".to_owned(),
        user_agent: "tests".to_owned(),
        browser: None,
    };
    let broker = &stage.app.broker;
    let console = broker.open_console(&mut session, &order, None, &from).await;
    let credentials = broker.issue_credentials(&mut session, &order, None, &from);
    let refusals = [console.err().unwrap(), credentials.await.err().unwrap()];
    for refused in refusals {
        assert!(
            matches!(refused, OpenRefused::Groups(GroupsRefused::SignInAgain)),
            "{refused}"
        );
    }
    assert_eq!(stage.app.aws.sts_calls(), calls, "AWS was not asked");
    assert_eq!(
        stage.app.audit_rows().await.len(),
        rows,
        "nothing was announced"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_that_a_browser_kept_opens_a_console_that_may_nothing() {
    let stage = Stage::start(Errands::Keys, None).await;
    let mut ada = stage.app.signed_in("ada").await;
    let mut linus = stage.app.signed_in("linus").await;
    let his = stage.console(&mut linus, POSTED).await;
    let kept = ada.open_console(&[("role", POSTED)]).await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    let answer = stage.revoke(stage.whom("ada").await).await;
    assert!(all_applied(&answer), "{:?}", answer.roles);

    let form = [("SAMLResponse", value_of(&kept.body, "SAMLResponse"))];
    let request = client().post(stage.app.aws.saml_url()).form(&form);
    let late = console_session(request).await;
    let may = |session: &str| {
        let aws = &stage.app.aws;
        aws.is_allowed_in_console(session, "s3:GetObject", "*")
    };
    assert!(!may(&late));
    assert!(may(&his));
}
